package process

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loophost/cgroup"
)

// Starter starts processes from an OS thread of its own. On Linux a child's parent-death signal fires when the *thread*
// that started it ends, so that thread must outlive every child. A thread that was only borrowed would kill its plugins
// when it returned.
type Starter struct {
	jobs      chan startJob
	once      sync.Once
	processes table // the machine's processes, listed for all that it has started
	groups    *cgroup.Tree
	closed    chan struct{}

	mu       sync.Mutex
	adopting bool
	started  map[int]*family // by the process's id, until it has been waited for
}

// errEnded is the answer to whoever starts a process, or wants a folder for it, after the host has ended.
var errEnded = errors.New("the host has ended")

type startJob struct {
	cmd  *exec.Cmd
	done chan error
}

// NewStarter returns a starter. Close it after its last process has ended.
func NewStarter() *Starter {
	s := &Starter{jobs: make(chan startJob), closed: make(chan struct{}), started: map[int]*family{}}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine, after Close
		for {
			select {
			case j := <-s.jobs:
				j.done <- s.run(j.cmd)
			case <-s.closed:
				return
			}
		}
	}()
	return s
}

// run starts a process, unless Close was called: the process would end with the thread, and its caller would wonder
// why.
func (s *Starter) run(cmd *exec.Cmd) error {
	select {
	case <-s.closed:
		return errEnded
	default:
		return cmd.Start()
	}
}

// Group puts every process that is started from now on into a control group of its own, if a part of the machine's tree
// is delegated to this process, and returns what the kernel bounds there. A host that has started other processes must
// not call it, since they would be in the way.
func (s *Starter) Group() (bounds []string, grouped bool, err error) {
	s.mu.Lock() // Delegated tries a group with a process
	defer s.mu.Unlock()
	s.groups, err = cgroup.Delegated()
	return s.groups.Controllers(), s.groups != nil, err
}

func (s *Starter) start(cmd *exec.Cmd) error {
	s.mu.Lock() // until the process is known it could be taken for a stray
	defer s.mu.Unlock()
	j := startJob{cmd, make(chan error, 1)}
	select {
	case s.jobs <- j:
	case <-s.closed: // nothing takes jobs any more
		return errEnded
	}
	err := <-j.done
	if err == nil {
		s.started[cmd.Process.Pid] = nil
	}
	return err
}

// knows notes the family of a process that was started.
func (s *Starter) knows(pid int, f *family) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started[pid] = f
}

// forget notes that a process has been waited for.
func (s *Starter) forget(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.started, pid)
}

// Close ends the thread and with it, on Linux, every process that it started. A process that somebody is about to start
// is not started then, and its caller gets an error.
func (s *Starter) Close() { s.once.Do(func() { close(s.closed) }) }

// lastWords is how long the pipes of a dead process are read on: what it wrote before its end is there at once, and
// only a process that left the group would write more.
const lastWords = 100 * time.Millisecond

// drain lets readers take what is left and no more.
func drain(pipes ...*os.File) {
	for _, p := range pipes {
		_ = p.SetReadDeadline(time.Now().Add(lastWords)) // pipes take deadlines wherever Go runs plugins
	}
}
