// Package machine counts what processes hold: descriptors, memory, children, and the load of the machine that they
// share.
//
// It must not know what the processes are.
package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Descriptors counts the open descriptors of a process.
func Descriptors(pid int) (int, error) {
	d, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("counting the descriptors of process %d: %w", pid, err)
	}
	if pid == os.Getpid() {
		return len(d) - 1, nil // one of them was there for the counting
	}
	return len(d), nil
}

// Connections counts the TCP sockets among the descriptors of a process: clients of other machines pool these, and
// close them by timers of their own.
func Connections(pid int) (int, error) {
	folder := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, fmt.Errorf("counting the connections of process %d: %w", pid, err)
	}
	own := map[string]bool{}
	for _, e := range entries {
		to, err := os.Readlink(folder + e.Name())
		if err != nil {
			continue // it was closed meanwhile
		}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	n := 0
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // a kernel without IPv6 has no tcp6
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			// sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode
			if fields := strings.Fields(line); len(fields) > 9 && own[fields[9]] {
				n++
			}
		}
	}
	return n, nil
}

// Files counts the descriptors of a process whose file names begin with a prefix: a database's pool of connections has
// several of each of its files.
func Files(pid int, name string) (int, error) {
	folder := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, fmt.Errorf("counting the open files of process %d: %w", pid, err)
	}
	n := 0
	for _, e := range entries {
		to, err := os.Readlink(folder + e.Name()) // one that was closed meanwhile has none
		if err == nil && strings.HasPrefix(filepath.Base(to), name) {
			n++
		}
	}
	return n, nil
}

// Resident is the resident memory of a process in bytes; 0 when it has ended.
func Resident(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// Alive reports whether a process runs. A process that has ended but was not waited for does not count.
func Alive(pid int) bool {
	_, state, ok := stat(pid)
	return ok && state != "Z" && state != "X"
}

// Parent is the process that started one; 0 when it has ended.
func Parent(pid int) int {
	parent, _, _ := stat(pid)
	return parent
}

// Descendants are the processes that a process started, and theirs.
func Descendants(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			if parent, _, ok := stat(id); ok {
				children[parent] = append(children[parent], id)
			}
		}
	}
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all
}

// stat is the parent and the state of a process.
func stat(pid int) (parent int, state string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	// The command's name stands in parentheses and may hold anything.
	_, rest, found := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 2 {
		return 0, "", false
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, fields[0], err == nil
}

// Load is the machine's load average over the last minute.
func Load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}

// Peak watches the resident memory of this process until the returned function is called, which returns how much it
// grew at most since Peak.
func Peak() func() uint64 {
	base := Resident(os.Getpid())
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		most := base
		for {
			most = max(most, Resident(os.Getpid()))
			select {
			case <-tick.C:
			case <-stop:
				peak <- max(most, Resident(os.Getpid())) - base
				return
			}
		}
	}()
	return func() uint64 { close(stop); return <-peak }
}

// Settle counts until nothing has gone away for a while, or limit is over, and returns the least: what ends by itself
// ends a moment after what it served.
func Settle(while, limit time.Duration, count func() (int, error)) (int, error) {
	least, err := count()
	if err != nil {
		return 0, err
	}
	for last, deadline := time.Now(), time.Now().Add(limit); time.Since(last) < while && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		now, err := count()
		if err != nil {
			return 0, err
		}
		if now < least {
			least, last = now, time.Now()
		}
	}
	return least, nil
}
