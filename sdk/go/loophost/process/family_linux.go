package process

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// TellsMemory reports whether this machine can tell how much memory a process takes.
func TellsMemory() bool {
	_, ok := readEntry(os.Getpid())
	return ok
}

// entry is a process as /proc/<pid>/stat has it.
type entry struct {
	born
	parent, group, session int
	state                  byte   // as proc_pid_stat(5) has it
	resident               uint64 // bytes
}

// born tells a process from all others: process ids are used again.
type born struct {
	pid   int
	start uint64 // in clock ticks since the machine's start
}

// dead reports whether the process has ended and was not waited for.
func (e entry) dead() bool { return e.state == 'Z' || e.state == 'X' }

// readEntry reads one process.
func readEntry(pid int) (entry, bool) {
	var buffer [1 << 10]byte // a line has some 350 bytes
	stat, err := readProc("/proc/"+strconv.Itoa(pid)+"/stat", buffer[:])
	if err != nil || len(stat) == 0 {
		return entry{}, false // it has ended
	}
	// The second field is the program's name in brackets and may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return entry{}, false
	}
	number := func(field int) uint64 { // counted from 1, as proc_pid_stat(5) does
		n, _ := strconv.ParseUint(string(fields[field-3]), 10, 64) // pages may be negative for a moment, and are 0 then
		return n
	}
	return entry{
		born: born{pid: pid, start: number(22)}, parent: int(number(4)), group: int(number(5)), session: int(number(6)),
		state: fields[0][0], resident: number(24) * uint64(os.Getpagesize()),
	}, true
}

// readProc reads a file of /proc, into a buffer as far as that has room, with as few system calls as possible: it reads
// one for each process of the machine whenever a plugin ends.
func readProc(path string, buffer []byte) ([]byte, error) {
	f, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(f) }() // it was only read
	for all := buffer[:0]; ; {
		all = slices.Grow(all, 512)
		n, err := unix.Read(f, all[len(all):cap(all)])
		if err != nil || n <= 0 {
			return all, err
		}
		all = all[:len(all)+n]
	}
}

// tableAge is how old a list of all processes may be: the memory of a host's plugins is measured at about the same
// time.
const tableAge = 100 * time.Millisecond

// table is the machine's processes, listed for all plugins of a host together.
type table struct {
	mu  sync.Mutex
	at  time.Time
	ask time.Duration // the processor time that the listing took
	all []entry
}

// look returns a list of all processes. Listing takes at most a fiftieth of a processor: if there are thousands, the
// list may be older.
func (t *table) look() []entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil || time.Since(t.at) > max(tableAge, 50*t.ask) {
		runtime.LockOSThread()
		begin := threadTime()
		t.all = entries()
		t.at, t.ask = time.Now(), threadTime()-begin
		runtime.UnlockOSThread()
	}
	return t.all
}

// threadTime is the processor time that this thread has had. What it waits for a processor is no cost: on a busy
// machine the list would be a second old where it is to be a tenth.
func threadTime() time.Duration {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// entries lists all processes as they are now.
func entries() []entry {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = proc.Close() }() // it was only read
	names, _ := proc.Readdirnames(-1)   // some are better than none
	all := make([]entry, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if e, ok := readEntry(pid); ok {
				all = append(all, e)
			}
		}
	}
	return all
}

// family is a process, the leader, and its descendants. A parent may end, and its children then have another parent. So
// a process also belongs to the family if it is in the leader's group or session, if its environment has the leader's
// mark, which other plugins can neither guess nor read, or if it belonged when it was first seen.
type family struct {
	leader  born
	mark    []byte // of the environment; empty: none
	table   *table
	starter *Starter // nil: somebody else's process

	mu   sync.Mutex
	seen map[born]bool // those started since the leader, and whether they are family
}

// newFamily is the family of a process that was just started; without a starter, somebody else started it.
func newFamily(pid int, mark string, s *Starter) *family {
	e, ok := readEntry(pid)
	if !ok {
		return nil // there is no /proc
	}
	f := &family{leader: e.born, table: &table{}, starter: s}
	if s != nil {
		f.table = &s.processes
	}
	if mark != "" {
		f.mark = []byte("\x00" + markKey + "=" + mark + "\x00")
	}
	return f
}

// members picks the family out of all processes.
func (f *family) members(all []entry) []entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	children, seen, buffer := map[int][]entry{}, map[born]bool{}, make([]byte, 0, 8<<10)
	var next []entry
	for _, e := range all {
		if e.start < f.leader.start {
			continue
		}
		children[e.parent] = append(children[e.parent], e)
		member, known := f.seen[e.born]
		if e.born == f.leader || e.group == f.leader.pid || e.session == f.leader.pid {
			member, known = true, true
		}
		if !known && len(f.mark) > 0 {
			environment, err := readProc("/proc/"+strconv.Itoa(e.pid)+"/environ", buffer)
			buffer = environment
			member = bytes.Contains(append([]byte{0}, environment...), f.mark)
			known = err != nil || len(environment) > 0 // one that is executing a program just now shows none: it is asked again
		}
		if known {
			seen[e.born] = member
		}
		if member {
			next = append(next, e)
		}
	}
	var family []entry
	in := map[born]bool{}
	for len(next) > 0 {
		e := next[0]
		next = next[1:]
		if in[e.born] {
			continue
		}
		in[e.born], seen[e.born] = true, true
		family = append(family, e)
		next = append(next, children[e.pid]...)
	}
	f.seen = seen
	return family
}

// resident sums the resident memory of the family, pages that they share counted for each.
func (f *family) resident() uint64 {
	if f == nil {
		return 0
	}
	var total uint64
	for _, e := range f.members(f.table.look()) {
		total += e.resident
	}
	return total
}

// rounds bounds the hunt for processes that start others faster than they are killed.
const rounds = 20

// kill ends whatever of the family is left. The leader, if it is dead, has not been waited for, so that its id is not
// used again.
func (f *family) kill() {
	if f == nil {
		return
	}
	defer f.starter.reap()
	for range rounds {
		left := false
		var dying []int // descriptors that end with the processes
		all := entries()
		for _, e := range append(f.members(all), f.strays(all)...) {
			if e.dead() {
				continue
			}
			left = true
			if ending, err := unix.PidfdOpen(e.pid, 0); err == nil {
				dying = append(dying, ending)
			}
			p, err := os.FindProcess(e.pid) // holds on to the process, not to its id
			if err != nil {
				continue
			}
			if now, ok := readEntry(e.pid); ok && now.born == e.born {
				_ = p.Signal(syscall.SIGKILL) // ESRCH: it has ended
			}
			_ = p.Release()
		}
		await(dying)
		if !left {
			return
		}
	}
}

// lingering is how long a process that was killed may take to free its memory before others are looked for.
const lingering = time.Second

// await waits for the ends of processes.
func await(dying []int) {
	until := time.Now().Add(lingering)
	for _, ending := range dying {
		if left := time.Until(until); left > 0 {
			// An interrupted wait is a short one: the next round waits again.
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(ending), Events: unix.POLLIN}}, int(left.Milliseconds()))
		}
		_ = unix.Close(ending)
	}
}

// wait waits for a process to end, then calls endOthers, and takes the status last, so that the process's id is not
// used again meanwhile.
func wait(cmd *exec.Cmd, endOthers func()) error {
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	endOthers()
	return cmd.Wait()
}
