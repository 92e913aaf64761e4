package loophost_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// descriptors counts the open descriptors of a process.
func descriptors(t testing.TB, pid string) int {
	t.Helper()
	d, err := os.ReadDir("/proc/" + pid + "/fd")
	if err != nil {
		t.Skip("descriptors are counted on Linux alone")
	}
	return len(d)
}

// goroutinesOf asks a plugin for its own count, which its metrics hold.
func goroutinesOf(t *testing.T, p *loophost.Plugin) int {
	t.Helper()
	m, err := p.CollectMetrics(t.Context(), "text/plain")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(m.GetExposition()), "\n") {
		if n, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			count, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			return count
		}
	}
	t.Fatal("the plugin does not count its goroutines")
	return 0
}

// settle waits until f has been the same for a while, and returns it: goroutines end a moment after what they served.
func settle(f func() int) int {
	last, same := f(), 0
	for same < 20 {
		time.Sleep(5 * time.Millisecond)
		if now := f(); now == last {
			same++
		} else {
			last, same = now, 0
		}
	}
	return last
}

// TestNothingIsLeft creates and releases a thousand trees of objects, restarts the plugin in between, and finds
// goroutines and descriptors of both sides where they were. It runs alone: it counts the whole process.
func TestNothingIsLeft(t *testing.T) {
	for _, m := range []mode{outOfProcess, overGRPC} {
		t.Run(string(m), func(t *testing.T) { nothingIsLeft(t, m) })
	}
}

func nothingIsLeft(t *testing.T, m mode) {
	t.Helper()
	r := newRuntime(t)
	p := launchRelayer(t, r, m)
	cycle := func(n int) {
		for range n {
			c := newChain(r, p, "")
			provider := providerOf(c)
			if _, err := provider.Created(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	cycle(20) // connections and pools
	count := func() [4]int {
		return [4]int{
			settle(runtime.NumGoroutine),
			settle(func() int { return descriptors(t, "self") }),
			settle(func() int { return goroutinesOf(t, p.Plugin) }),
			settle(func() int { return descriptors(t, strconv.Itoa(p.Status().PID)) }),
		}
	}
	before := count()
	asBefore := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; { // on a busy machine what has settled may go on all the same
			after, more := count(), false
			for i := range after {
				more = more || after[i] > before[i]
			}
			if !more {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("after %s: goroutines and descriptors of host and plugin were %v and are %v", what, before, after)
				return
			}
		}
	}
	cycle(1000)
	asBefore("1,000 objects")
	for range 5 {
		generation := p.Status().Generation
		kill(t, p.Plugin)
		ready(t, p.Plugin, generation+1)
		time.Sleep(600 * time.Millisecond) // generations shorter than supervise.ShortUptime end in quarantine
	}
	cycle(20)
	asBefore("5 restarts")
	if n := len(p.Status().Objects); n != 0 {
		t.Errorf("%d objects are left in the journal", n)
	}
}
