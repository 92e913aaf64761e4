package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// turns is how long the threads that a process has now have had a processor, and how long they have waited for one, by
// /proc/<pid>/task/<tid>/schedstat.
func turns(pid int) (had, waited time.Duration) {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task/"
	threads, _ := os.ReadDir(tasks) // none once it has ended
	for _, thread := range threads {
		var buffer [1 << 7]byte
		stat, err := readProc(tasks+thread.Name()+"/schedstat", buffer[:])
		// Of three numbers the first are nanoseconds on a processor and on the run queue
		// (Documentation/scheduler/sched-stats.rst).
		if fields := bytes.Fields(stat); err == nil && len(fields) == 3 {
			on, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			queued, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			had, waited = had+time.Duration(on), waited+time.Duration(queued)
		}
	}
	return had, waited
}

// states are what processes do, by the letters of proc_pid_stat(5).
var states = map[byte]string{
	'R': "runs", 'S': "sleeps", 'D': "waits for a disk or the like", 'T': "is stopped by a signal",
	't': "is stopped by a debugger",
}

// doing says what a process does and has done so far; empty if it has ended.
func doing(pid int) string {
	now, ok := readEntry(pid)
	state, alive := states[now.state]
	if !ok || !alive {
		return ""
	}
	had, waited := turns(pid)
	return fmt.Sprintf("it %s, after %s on a processor and %s of waiting for one", state, had.Round(time.Millisecond),
		waited.Round(time.Millisecond))
}
