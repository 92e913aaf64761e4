package process

import (
	"cmp"
	"syscall"
	"time"
)

// question looks at what a process does whose time to start is over, before it is killed. SIGQUIT has plugins in Go
// and Python write their stacks to stderr, and so into the log.
func (r *runner) question() {
	pid := r.pid()
	if _, ended := r.exited(); ended || pid == 0 {
		return
	}
	now := Exit{Reason: cmp.Or(doing(pid), "it runs"), Stderr: r.tail.lines()} // before its stacks
	r.mu.Lock()
	r.killed, r.doing = true, now.String()
	r.mu.Unlock()
	r.signal(syscall.SIGQUIT)
	select {
	case <-r.done:
	case <-time.After(stacks):
	}
}

// stacks is how long a process may take to write its stacks.
var stacks = 2 * time.Second

// answer is what question found out, as a part of a sentence.
func (r *runner) answer() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doing == "" {
		return ""
	}
	return " (" + r.doing + ")"
}
