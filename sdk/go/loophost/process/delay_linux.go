package process

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// delay is how long the threads of a process have waited for a processor, by /proc/<pid>/task/<tid>/schedstat.
func delay(pid int) (sum time.Duration) {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task/"
	threads, _ := os.ReadDir(tasks) // none once it has ended
	for _, thread := range threads {
		var buffer [1 << 7]byte
		stat, err := readProc(tasks+thread.Name()+"/schedstat", buffer[:])
		// The second of three numbers is nanoseconds on the run queue (Documentation/scheduler/sched-stats.rst).
		if fields := bytes.Fields(stat); err == nil && len(fields) == 3 {
			ns, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}
