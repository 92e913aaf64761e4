package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// TellsMemory is whether this machine says how much memory a process takes.
func TellsMemory() bool { return resident(os.Getpid()) > 0 }

// resident sums the resident memory of a process and its descendants, pages that they share counted for each.
func resident(pid int) uint64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0 // it has ended
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	total := pages * uint64(os.Getpagesize())
	// A kernel without CONFIG_PROC_CHILDREN lists none: the leader alone is counted there.
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return total
	}
	for _, c := range bytes.Fields(children) {
		if child, err := strconv.Atoi(string(c)); err == nil {
			total += resident(child)
		}
	}
	return total
}
