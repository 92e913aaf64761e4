package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// mostDescriptors is what a plugin may have its node open, beside what the node has open by itself.
const mostDescriptors = 64

// What a plugin sends too much of costs its node no more memory than mostMemory, and few descriptors, makes no series
// without an end, and stops neither the node nor another plugin.
func TestFloodsOfAPlugin(t *testing.T) {
	n := battle{level: confine.Auto, root: os.Geteuid() == 0, program: "flooder"}.start(t)
	f := &flooding{besieged: n, t: t, evm: n.plugin(t, "evm")}
	f.scrape("/metrics")
	for range 3 {
		f.scrape("/plugins/median/metrics")
	}
	f.connect()
	f.forget() // what the password of its keys took
	f.memory, f.descriptors = f.peak(), f.open()
	f.flood("connections", nil)
	f.flood("streams", nil)
	f.flood("codes", func() {
		for range 2000 {
			f.scrape("/plugins/median/metrics")
		}
	})
	if series := strings.Count(f.scrape("/metrics"), `loop_call_duration_seconds_count{`); series > 100 {
		t.Errorf("a plugin that fails with ever new codes makes %d series", series)
	}
	f.flood("large metrics", func() {
		var all sync.WaitGroup
		for range 48 {
			all.Go(func() { f.scrape("/plugins/median/metrics") })
		}
		all.Wait()
	})
	for _, what := range []string{"bodies", "elements"} {
		f.flood(what+" by frames", nil)
		f.flood(what+" by gRPC", nil)
	}
}

// flooding is a node whose median floods it.
type flooding struct {
	*besieged
	t                   *testing.T
	evm                 int
	orders              net.Conn
	answers             *bufio.Reader
	memory, descriptors int
}

// connect connects to the flooder of the median's process.
func (f *flooding) connect() {
	f.t.Helper()
	var err error
	if f.orders, err = net.Dial("unix", filepath.Join(folderOf(f.t, f.plugin(f.t, "median")), "flood")); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = f.orders.Close() })
	f.answers = bufio.NewReader(f.orders)
}

// flood has the median flood the node, if it is still there, and looks at what that costs.
func (f *flooding) flood(what string, meanwhile func()) {
	f.t.Helper()
	f.forget()
	if _, err := fmt.Fprintln(f.orders, what); err != nil {
		f.t.Fatal(err)
	}
	said, err := f.answers.ReadString('\n')
	if meanwhile != nil {
		meanwhile()
	}
	more, opened := f.peak()-f.memory, f.open()-f.descriptors
	f.t.Logf("%s (%s, %v): %d MiB and %d descriptors more", what, strings.TrimSpace(said), err, more>>20, opened)
	if more > mostMemory {
		f.t.Errorf("%s cost the node %d MiB, and %d are the most", what, more>>20, mostMemory>>20)
	}
	if opened > mostDescriptors {
		f.t.Errorf("%s have the node open %d descriptors more, and %d are the most", what, opened, mostDescriptors)
	}
	if now := f.plugin(f.t, "evm"); now != f.evm {
		f.t.Errorf("after %s the other plugin has the process %d and not %d", what, now, f.evm)
	}
	if err != nil { // it was killed
		f.loop(f.t, "plugins", "restart", "median")
		f.connect()
	}
}

// forget forgets the node's peak of memory.
func (f *flooding) forget() {
	f.t.Helper()
	if err := os.WriteFile(proc(f.cmd.Process.Pid, "clear_refs"), []byte("5"), 0); err != nil {
		f.t.Fatal(err)
	}
}

// peak is the most memory that the node has had since it was forgotten last, in bytes.
func (f *flooding) peak() int {
	f.t.Helper()
	status, err := os.ReadFile(proc(f.cmd.Process.Pid, "status"))
	if err != nil {
		f.t.Fatal(err)
	}
	kB, err := strconv.Atoi(string(peakMemory.FindSubmatch(status)[1]))
	if err != nil {
		f.t.Fatal(err)
	}
	return kB << 10
}

// open counts what the node has open.
func (f *flooding) open() int {
	f.t.Helper()
	all, err := os.ReadDir(proc(f.cmd.Process.Pid, "fd"))
	if err != nil {
		f.t.Skip(err) // only root may see it
	}
	return len(all)
}

// scrape reads a page of the node, or the text of its refusal.
func (f *flooding) scrape(path string) string {
	r, err := http.Get(f.url + path)
	if err != nil {
		f.t.Error(err)
		return ""
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		f.t.Error(err)
	}
	return b.String()
}
