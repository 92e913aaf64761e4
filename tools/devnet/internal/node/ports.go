package node

import (
	"fmt"
	"net"
	"strconv"
)

// PortsFrom returns the n ports of 127.0.0.1 from first on, all of which must be free.
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
