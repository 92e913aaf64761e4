package ports

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestClaim has many claims at once, none of which listens yet: no port is given twice.
func TestClaim(t *testing.T) {
	t.Parallel()
	const claims, each = 64, 8
	var mu sync.Mutex
	seen := map[int]bool{}
	var done sync.WaitGroup
	for range claims {
		done.Go(func() {
			ports, release, err := Claim(each)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(release)
			mu.Lock()
			defer mu.Unlock()
			for _, port := range ports {
				if seen[port] {
					t.Errorf("port %d is given twice", port)
				}
				if port < lowest || port >= lowestOutgoing() {
					t.Errorf("port %d may be given to an outgoing connection while a killed node is away", port)
				}
				seen[port] = true
			}
		})
	}
	done.Wait()
	if len(seen) != claims*each {
		t.Errorf("%d ports are claimed, want %d", len(seen), claims*each)
	}
}

func TestClaimRow(t *testing.T) {
	t.Parallel()
	first, release, err := ClaimRow(4)
	if err != nil {
		t.Fatal(err)
	}
	for port := first; port < first+4; port++ {
		if take(port) != nil {
			t.Errorf("port %d of a row from %d on is claimed again", port, first)
		}
	}
	if _, err := ClaimFrom(first-1, 2); err == nil || !strings.HasSuffix(err.Error(), " is in use or claimed") {
		t.Errorf("ports of which one is claimed: got error %v", err)
	}
	release()
	again, err := ClaimFrom(first, 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ClaimFrom(first+3, 1); err == nil {
		t.Error("a port that ClaimFrom has claimed is claimed again")
	}
	again()
	if claim := take(first + 3); claim == nil {
		t.Error("a port of a row that was released cannot be claimed")
	} else {
		_ = claim.Close()
	}
}

// TestTake goes through what makes a port somebody's.
func TestTake(t *testing.T) {
	t.Parallel()
	ports, release, err := Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	port := ports[0]
	if take(port) != nil {
		t.Error("a port that is claimed is claimed again")
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("nobody can listen on a port that is claimed: %v", err)
	}
	release()
	if take(port) != nil {
		t.Error("a port on which somebody listens is claimed")
	}
	_ = listener.Close()
	release() // changes nothing
	again := take(port)
	if again == nil {
		t.Fatal("a port that was released cannot be claimed")
	}
	_ = again.Close()
}
