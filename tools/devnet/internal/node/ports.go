package node

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// FreePorts finds n free ports of 127.0.0.1. Nothing keeps others from taking them meanwhile.
//
// They are none of those that the kernel gives to outgoing connections: while a killed node is away, any connection of
// the machine could get its port, and the node could not start again.
func FreePorts(n int) ([]int, error) {
	const lowest = 10_000 // what people run stands below
	outgoing := lowestOutgoing()
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		port := 0 // any
		if outgoing > lowest && tries < 100*n {
			port = lowest + rand.IntN(outgoing-lowest)
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil && port != 0 {
			continue // it is taken
		}
		if err != nil {
			return nil, fmt.Errorf("find a free port of 127.0.0.1: %w", err)
		}
		defer listener.Close() // only when all are found: or one would be found twice
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// lowestOutgoing is the lowest port that the kernel gives to outgoing connections.
func lowestOutgoing() int {
	// Linux's default, and below that of others.
	lowest := 32_768
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if _, err := fmt.Sscan(string(text), &lowest); err != nil {
			return 32_768
		}
	}
	return lowest
}

// PortsFrom are the n ports of 127.0.0.1 from first on, all of which must be free.
func PortsFrom(first, n int) ([]int, error) {
	var ports []int
	for port := first; port < first+n; port++ {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, fmt.Errorf(
				"take the ports %d to %d of 127.0.0.1: %w; choose others with --http-port, or 0 for free ones",
				first, first+n-1, err)
		}
		defer listener.Close()
		ports = append(ports, port)
	}
	return ports, nil
}
