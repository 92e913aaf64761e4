package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
)

// The hosts' network has 256 addresses: nodes count up from 1, the new addresses of nodes that move from 101, and the
// outside has the last.
const bits = 24

func address(last int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 0, byte(last)}) }

const (
	firstNode   = 1
	firstMoved  = 101
	lastMoved   = 253
	outsideLast = 254
)

// Network is hosts that a switch in this process connects. Only this process can reach them, and all of it ends with
// this process and those that it started in the namespaces: nothing has a name that could outlive them.
type Network struct {
	namespaces map[int]*os.File
	addresses  map[int]netip.Addr
	fabric     *fabric
	forwarders []*forwarder
	// urls are forwarded addresses by those outside.
	urls  map[string]string
	moved int
}

// Start makes a host for each of so many nodes, and one for the outside. The seed fixes which packets are lost.
func Start(nodes int, seed uint64) (*Network, error) {
	n := &Network{
		namespaces: map[int]*os.File{}, addresses: map[int]netip.Addr{Outside: address(outsideLast)},
		urls: map[string]string{},
	}
	for node := range nodes {
		n.addresses[node] = address(firstNode + node)
	}
	devices := map[int]io.ReadWriteCloser{}
	for host, address := range n.addresses {
		namespace, tun, err := newNamespace(address, bits)
		if err != nil {
			for _, opened := range devices {
				_ = opened.Close()
			}
			_ = n.closeNamespaces()
			return nil, fmt.Errorf("--hosts makes network namespaces and TUN devices, "+
				"which needs root and /dev/net/tun on this machine: %w", err)
		}
		n.namespaces[host], devices[host] = namespace, tun
	}
	owners := map[netip.Addr]int{}
	for host, address := range n.addresses {
		owners[address] = host
	}
	n.fabric = newFabric(devices, owners, seed)
	return n, nil
}

// Close ends the network. Processes in it keep their namespaces until they end.
func (n *Network) Close() error {
	for _, f := range n.forwarders {
		f.close()
	}
	n.fabric.close()
	return n.closeNamespaces()
}

func (n *Network) closeNamespaces() error {
	var errs []error
	for _, namespace := range n.namespaces {
		errs = append(errs, namespace.Close())
	}
	return errors.Join(errs...)
}

// Set makes these conditions the ones that hold.
func (n *Network) Set(conditions []*Condition) { n.fabric.set(conditions) }

// Namespace returns the namespace of a node's host, for its processes.
func (n *Network) Namespace(node int) *os.File { return n.namespaces[node] }

// Address returns the address of a node's host.
func (n *Network) Address(node int) string { return n.addresses[node].String() }

// Move gives a node's host another address, and takes the one that it has.
func (n *Network) Move(node int) error {
	if firstMoved+n.moved > lastMoved {
		return fmt.Errorf("move node %d: no address is left after %d moves", node, n.moved)
	}
	next := address(firstMoved + n.moved)
	n.moved++
	if err := within(n.namespaces[node], func() error { return setAddress(next, bits) }); err != nil {
		return fmt.Errorf("move node %d to %s: %w", node, next, err)
	}
	n.fabric.route(next, node)
	n.addresses[node] = next
	return nil
}

// Publish makes a port of 127.0.0.1 on a node's host one of this machine's 127.0.0.1.
func (n *Network) Publish(node, port int) error {
	local := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	listener, err := net.Listen("tcp4", local)
	if err != nil {
		return fmt.Errorf("publish the port %d of node %d: %w", port, node, err)
	}
	n.forwarders = append(n.forwarders, forward(listener, func(ctx context.Context) (far net.Conn, err error) {
		err = within(n.namespaces[node], func() (err error) {
			far, err = (&net.Dialer{}).DialContext(ctx, "tcp4", local)
			return err
		})
		return far, err
	}))
	return nil
}

// URL returns where the nodes reach a server that this machine reaches at a URL with a port. A server with a
// certificate cannot be used, since the certificate names another address.
func (n *Network) URL(server string) (string, error) {
	parsed, err := url.Parse(server)
	if err != nil || server == "" {
		return server, err
	}
	target := parsed.Host
	if parsed.Port() == "" || parsed.Scheme == "https" || parsed.Scheme == "wss" {
		return "", fmt.Errorf("let the nodes of --hosts reach %s://%s: only http and ws with a port can be forwarded",
			parsed.Scheme, target)
	}
	if n.urls[target] == "" {
		var listener net.Listener
		err := within(n.namespaces[Outside], func() (err error) {
			listener, err = net.Listen("tcp4", net.JoinHostPort(n.addresses[Outside].String(), "0"))
			return err
		})
		if err != nil {
			return "", fmt.Errorf("let the nodes reach %s: %w", server, err)
		}
		n.forwarders = append(n.forwarders, forward(listener, func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", target)
		}))
		n.urls[target] = listener.Addr().String()
	}
	parsed.Host = n.urls[target]
	return parsed.String(), nil
}
