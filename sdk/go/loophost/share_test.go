package loophost_test

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// TestObjectsShareOneProcess makes a hundred jobs' providers: they take one process and no descriptor more, and no port
// is open for any of them.
func TestObjectsShareOneProcess(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "")
		use := func(n int) {
			for range n {
				if _, err := providerOf(c).LatestBlockHeight(t.Context(), &relayerv1.LatestBlockHeightRequest{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		use(5)
		pid := p.Status().PID
		before := settle(func() int { return descriptors(t, strconv.Itoa(pid)) })
		use(100)
		if after := settle(func() int { return descriptors(t, strconv.Itoa(pid)) }); after != before {
			t.Errorf("the plugin had %d descriptors and has %d", before, after)
		}
		if s := p.Status(); s.PID != pid || s.Restarts != 0 {
			t.Errorf("there is another process: %+v", s)
		}
		if open := ports(t, pid); len(open) > 0 {
			t.Errorf("the plugin has TCP sockets: %v", open)
		}
	})
}

// ports are the TCP sockets of a process, as the kernel lists them.
func ports(t *testing.T, pid int) []string {
	t.Helper()
	own := map[string]bool{}
	folder := "/proc/" + strconv.Itoa(pid) + "/fd/"
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Skip("sockets are listed on Linux alone")
	}
	for _, e := range entries {
		to, err := os.Readlink(folder + e.Name())
		if err != nil {
			continue // it was closed meanwhile
		}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	if len(own) == 0 {
		t.Error("the plugin has no socket at all")
	}
	var found []string
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/net/" + table)
		if err != nil {
			continue // no IPv6
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			// sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode
			if fields := strings.Fields(s.Text()); len(fields) > 9 && own[fields[9]] {
				found = append(found, fields[1])
			}
		}
	}
	return found
}
