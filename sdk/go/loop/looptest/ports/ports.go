// Package ports finds TCP ports for the nodes that tests and development networks start. A node must know its port
// before it listens, and needs the same port again when it restarts after a crash.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

// lowest is where claims begin: programs that people run use lower ports.
const lowest = 10_000

// Claim finds n TCP ports of 127.0.0.1 on which nothing listens. They belong to the caller until release is called or
// the process ends: no other claim on this machine gets them meanwhile, even if nothing listens on them.
//
// They are outside the range of ports for outgoing connections. Otherwise any connection of the machine could take the
// port of a killed node, and the node could not start again.
func Claim(n int) (ports []int, release func(), err error) {
	var held claims
	for range 100 * (n + 1) {
		if len(ports) == n {
			return ports, sync.OnceFunc(held.release), nil
		}
		port := lowest + rand.IntN(lowestOutgoing()-lowest)
		if claim := take(port); claim != nil {
			held, ports = append(held, claim), append(ports, port)
		}
	}
	held.release()
	return nil, nil, errTaken(n, "")
}

// test is what Address uses of a testing.TB. Programs import this package too, and must not have testing's flags.
type test interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Address returns 127.0.0.1 with a port that belongs to the test until it ends, as [Claim] claims it.
func Address(t test) string {
	t.Helper()
	free, release, err := Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return fmt.Sprintf("127.0.0.1:%d", free[0])
}

// ClaimRow claims n consecutive ports as [Claim] does, and returns the first.
func ClaimRow(n int) (first int, release func(), err error) {
	for range 100 {
		first = lowest + rand.IntN(lowestOutgoing()-lowest-n)
		var held claims
		for len(held) < n {
			claim := take(first + len(held))
			if claim == nil {
				break
			}
			held = append(held, claim)
		}
		if len(held) == n {
			return first, sync.OnceFunc(held.release), nil
		}
		held.release()
	}
	return 0, nil, errTaken(n, " in a row")
}

// ClaimFrom claims the n ports from first on as [Claim] does. If one of them is taken, it claims none.
func ClaimFrom(first, n int) (release func(), err error) {
	var held claims
	for port := first; port < first+n; port++ {
		claim := take(port)
		if claim == nil {
			held.release()
			return nil, fmt.Errorf("take the ports %d to %d of 127.0.0.1: port %d is in use or claimed", first, first+n-1, port)
		}
		held = append(held, claim)
	}
	return sync.OnceFunc(held.release), nil
}

func errTaken(n int, row string) error {
	return fmt.Errorf("find %d free ports%s among %d to %d of 127.0.0.1: nearly all are taken", n, row, lowest,
		lowestOutgoing()-1)
}

type claims []net.PacketConn

func (c claims) release() {
	for _, claim := range c {
		_ = claim.Close()
	}
}

// take claims a port, and returns nil if it is taken. The claim is the UDP port of the same number: it does not hinder
// a TCP listener, every process of the machine meets it, and it ends with this process.
func take(port int) net.PacketConn {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	claim, err := net.ListenPacket("udp4", address)
	if err != nil {
		return nil
	}
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		_ = claim.Close()
		return nil
	}
	_ = listener.Close()
	return claim
}

// lowestOutgoing is the lowest port that the kernel gives to outgoing connections.
var lowestOutgoing = sync.OnceValue(func() int {
	const usual = 32_768 // Linux's default, and below that of others
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	var port int
	if _, err := fmt.Sscan(string(text), &port); err != nil || port <= lowest {
		return usual // a machine that uses nearly all ports for that: some risk is left
	}
	return port
})
