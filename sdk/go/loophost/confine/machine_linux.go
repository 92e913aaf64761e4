package confine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// firstUser and lastUser bound the users that are given out: numbers that systemd, and with it most distributions,
// leave free.
const firstUser, lastUser = 60706, 61183

// Machine is what a host finds out about its machine, and the users that it has given out there. The zero value is
// ready.
type Machine struct {
	mu    sync.Mutex
	given map[int]bool

	tried sync.Once
	level Level
	why   string

	unshared sync.Once
	refusal  error // of namespaces
}

// best is the highest level below User that works on this machine, and why it is not Landlock. It tries each with a
// process, because a container may refuse what its kernel has.
func (m *Machine) best() (Level, string) {
	m.tried.Do(func() {
		m.level = Landlock
		if ABI() == 0 {
			m.level, m.why = Limits, "this kernel has no Landlock, or a filter of system calls hides it"
		}
		for ; m.level != None; m.level = below(m.level) {
			trial := &Confinement{needs: Needs{Descriptors: Descriptors}, level: m.level}
			if m.level == Landlock {
				trial.abi = ABI()
			}
			err := trial.rehearse()
			if err == nil || passing(err) {
				return
			}
			m.why = err.Error()
		}
	})
	return m.level, m.why
}

// namespaces says why this machine refuses a plugin namespaces; nil if it does not. The first plugin that wants them
// makes the trial for all, with every kind of namespace.
func (m *Machine) namespaces(trial Confinement) error {
	m.unshared.Do(func() {
		trial.needs.Connect = []uint16{}
		if err := trial.rehearse(); !passing(err) {
			m.refusal = err
		}
	})
	return m.refusal
}

// passing reports whether an error comes from a machine that is too busy, and says nothing about what it allows.
func passing(err error) bool {
	return slices.ContainsFunc([]error{
		os.ErrDeadlineExceeded, syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE,
	}, func(e error) bool { return errors.Is(err, e) })
}

func below(l Level) Level {
	if l == Landlock {
		return Limits
	}
	return None
}

// take gives out a user that no process runs as.
func (m *Machine) take() (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	busy := running()
	for user := firstUser; user <= lastUser; user++ {
		if m.given[user] || busy[user] {
			continue
		}
		if m.given == nil {
			m.given = map[int]bool{}
		}
		m.given[user] = true
		return user, nil
	}
	return 0, fmt.Errorf("the users %d to %d all have processes; end some", firstUser, lastUser)
}

func (m *Machine) give(user int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.given, user)
}

// running are the users that processes run as.
func running() map[int]bool {
	all := map[int]bool{}
	entries, _ := os.ReadDir("/proc") // some are better than none
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if info, err := e.Info(); err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				all[int(s.Uid)] = true
			}
		}
	}
	return all
}
