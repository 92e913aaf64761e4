// Package process starts programs that must not outlive this one, and ends them with everything that they started.
//
// It must not know what the programs do.
package process

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command is a program to start.
type Command struct {
	// Path is the program's file.
	Path string
	// Args are its arguments, without its name.
	Args []string
	// Env is its whole environment.
	Env []string
	// Dir is the folder in which it starts.
	Dir string
	// LogFile takes what it prints, and is made when it does not exist.
	LogFile string
	// Namespace is the network namespace in which it runs, on Linux; nil: that of this process.
	Namespace *os.File
}

// Launcher starts processes. On Linux each of them is killed when this process dies in whatever way, and what they
// leave behind becomes a child of this process, so that Close finds it: only one Launcher at a time, and no other
// children.
type Launcher struct {
	starts chan func()
	ended  sync.WaitGroup

	mu sync.Mutex
	// own are the processes that were started here and have not ended, inherited those that they may have left behind.
	own       map[int]bool
	inherited []int
}

// NewLauncher makes a Launcher.
func NewLauncher() (*Launcher, error) {
	if err := adopt(); err != nil {
		return nil, fmt.Errorf("make this process the keeper of what its children leave behind: %w", err)
	}
	l := &Launcher{starts: make(chan func()), own: map[int]bool{}}
	l.ended.Go(func() {
		// The kernel sends the signal of a parent's death when the thread ends that started the child. The runtime ends
		// threads as it likes, but not one to which a goroutine is locked.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for start := range l.starts {
			start()
		}
	})
	return l, nil
}

// Start starts a program in its own process group.
func (l *Launcher) Start(command Command) (*Process, error) {
	log, err := os.OpenFile(command.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: open its log: %w", command.Path, err)
	}
	defer log.Close()
	// A file, not a pipe: nobody has to read it, and Wait does not wait for grandchildren that hold it open.
	cmd := &exec.Cmd{
		Path: command.Path, Args: append([]string{command.Path}, command.Args...), Env: command.Env, Dir: command.Dir,
		Stdout: log, Stderr: log, SysProcAttr: attributes(),
	}
	started := make(chan error)
	l.starts <- func() { started <- startIn(command.Namespace, cmd.Start) }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	p := &Process{cmd: cmd, log: command.LogFile, done: make(chan struct{})}
	l.mu.Lock()
	l.own[p.PID()] = true
	l.mu.Unlock()
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.own, p.PID())
	}()
	return p, nil
}

// Inherit names processes that a killed one had started. They became children of this process, so that somebody has to
// wait for their ends, or each would keep its number for as long as this process lives: done here, now and at each
// further call.
func (l *Launcher) Inherit(pids ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inherited = slices.DeleteFunc(append(l.inherited, pids...), func(pid int) bool {
		// A number may have passed on to a process that was started here, whose end is that of its Wait.
		return l.own[pid] || reap(pid)
	})
}

// Close kills whatever the processes left behind; stop them first. The Launcher cannot be used afterwards.
func (l *Launcher) Close() error {
	err := killAdopted()
	close(l.starts)
	l.ended.Wait()
	return err
}

// Process is a program that was started.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // after done
}

// PID is the number of the process and of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit waits for the end of the process and says how it ended: "exit status 1", "signal: killed".
func (p *Process) Exit() string {
	<-p.done
	if p.err != nil {
		return p.err.Error()
	}
	return p.cmd.ProcessState.String()
}

// Killed waits for the end of the process and says whether SIGKILL ended it.
func (p *Process) Killed() bool {
	<-p.done
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Kill kills the process and nothing else: what it started is left to find out by itself. It returns when the process
// has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that it has ended
	<-p.done
}

// Stop asks the process group to end with SIGTERM, kills it after the grace, and returns when the process has ended. Of
// one that ended before, it stops nothing: the number may be another's by now.
func (p *Process) Stop(grace time.Duration) {
	select {
	case <-p.done:
		return
	default:
	}
	// Errors mean that the group has ended, which is what is wanted.
	_ = syscall.Kill(-p.PID(), syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
}

// maxTail is how much of the end of a log Tail looks at.
const maxTail = 64 << 10

// Tail is the last lines that the process printed.
func (p *Process) Tail(lines int) string {
	log, err := os.Open(p.log)
	if err != nil {
		return fmt.Sprintf("(its log cannot be read: %v)", err)
	}
	defer log.Close()
	if info, err := log.Stat(); err == nil && info.Size() > maxTail {
		_, _ = log.Seek(-maxTail, io.SeekEnd) // at worst the tail is the head
	}
	text, err := io.ReadAll(io.LimitReader(log, maxTail))
	if err != nil {
		return fmt.Sprintf("(its log cannot be read: %v)", err)
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
