package process

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Adopt makes this process the parent of descendants of plugins that lose their own parent. So processes that leave
// their session and their environment are still found. They end with the next plugin that ends, and count as this
// host's. A host that starts processes other than plugins must not adopt, since those would be treated as strays.
func (s *Starter) Adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("adopting what plugins leave behind (PR_SET_CHILD_SUBREAPER): %w", err)
	}
	s.mu.Lock()
	s.adopting = true
	s.mu.Unlock()
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	go func() {
		defer signal.Stop(died)
		for {
			select {
			case <-died:
			case <-s.closed:
				return
			}
			begin := time.Now()
			s.reap()
			select {
			// A plugin whose children die all the time costs no more than a look at memory.
			case <-time.After(max(tableAge, 50*time.Since(begin))):
			case <-s.closed:
				return
			}
		}
	}()
	return nil
}

// reap waits for adopted processes that have ended, so that nothing is left of them.
func (s *Starter) reap() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.adopting {
		return
	}
	for _, e := range entries() {
		if _, ours := s.started[e.pid]; e.parent == os.Getpid() && e.dead() && !ours {
			_, _ = syscall.Wait4(e.pid, nil, syscall.WNOHANG, nil) // ECHILD: it is not there any more
		}
	}
}

// strays are the adopted processes that may come from this family: started after it, and not of a living plugin's
// family.
func (f *family) strays(all []entry) []entry {
	if f.starter == nil {
		return nil
	}
	f.starter.mu.Lock()
	adopting, started := f.starter.adopting, []*family{}
	ours := map[int]bool{}
	for pid, other := range f.starter.started {
		ours[pid] = true
		if other != nil && other != f {
			started = append(started, other)
		}
	}
	f.starter.mu.Unlock()
	if !adopting {
		return nil
	}
	var strays []entry
	for _, e := range all {
		if e.parent == os.Getpid() && !ours[e.pid] && e.start >= f.leader.start && !e.dead() {
			strays = append(strays, e)
		}
	}
	if len(strays) == 0 {
		return nil
	}
	for _, other := range started {
		theirs := other.members(all)
		strays = slices.DeleteFunc(strays, func(e entry) bool {
			return slices.ContainsFunc(theirs, func(member entry) bool { return member.born == e.born })
		})
	}
	return strays
}
