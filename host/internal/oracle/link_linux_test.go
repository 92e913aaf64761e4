package oracle

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/commontypes"
	"golang.org/x/sys/unix"
)

// dialled are both ends of a real connection.
func dialled(t *testing.T, network, host string) (near, far *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen(network, net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skip(err) // no IPv6 here
	}
	defer listener.Close()
	conn, err := net.Dial(network, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = accepted.Close() })
	return conn.(*net.TCPConn), accepted.(*net.TCPConn)
}

// option reads an option of a connection; 0 is the kernel's own choice.
func option(t *testing.T, conn *net.TCPConn, level, name int) (value int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) {
			if value, err = unix.GetsockoptInt(int(fd), level, name); errors.Is(err, unix.ENOPROTOOPT) {
				value, err = -1, nil
			}
		}), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// options are those of a connection that boundSilence sets.
type options struct{ UserTimeout, RTOMax, KeepAlive, KeepIdle, KeepInterval int }

func optionsOf(t *testing.T, conn *net.TCPConn) options {
	t.Helper()
	return options{
		UserTimeout:  option(t, conn, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT),
		RTOMax:       option(t, conn, unix.IPPROTO_TCP, unix.TCP_RTO_MAX_MS),
		KeepAlive:    option(t, conn, unix.SOL_SOCKET, unix.SO_KEEPALIVE),
		KeepIdle:     option(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
		KeepInterval: option(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL),
	}
}

// wanted are the options of a connection whose silence is bounded, on this kernel.
func wanted(untouched options) options {
	want := options{UserTimeout: 10_000, RTOMax: -1, KeepAlive: 1, KeepIdle: 5, KeepInterval: 1}
	if untouched.RTOMax != -1 { // the kernel knows it
		want.UserTimeout, want.RTOMax = 120_000, 1000
	}
	return want
}

func TestBoundSilence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ network, host, named string }{
		"IPv4":                {"tcp4", "127.0.0.1", ""},
		"IPv6":                {"tcp6", "::1", ""},
		"a name for the host": {"tcp4", "127.0.0.1", "oracle.example"},
		"IPv4 in IPv6":        {"tcp4", "127.0.0.1", "::ffff:127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := dialled(t, c.network, c.host)
			other, _ := dialled(t, c.network, c.host)
			before := optionsOf(t, far)
			remote := near.RemoteAddr().String()
			if c.named != "" {
				_, port, _ := net.SplitHostPort(remote)
				remote = net.JoinHostPort(c.named, port)
			}
			if err := boundSilence(remote); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted(before), optionsOf(t, near)); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			for what, conn := range map[string]*net.TCPConn{"the other end": far, "another connection": other} {
				if diff := cmp.Diff(before, optionsOf(t, conn)); diff != "" {
					t.Errorf("%s was touched (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

func TestBoundSilenceSaysWhatItMisses(t *testing.T) {
	t.Parallel()
	near, _ := dialled(t, "tcp4", "127.0.0.1")
	gone := near.RemoteAddr().String()
	_ = near.Close()
	for remote, want := range map[string]string{
		gone:           "no descriptor of this process has the remote address",
		"nowhere":      `read the connection's address "nowhere"`,
		"host:service": `read the connection's address "host:service"`,
	} {
		if err := boundSilence(remote); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", remote, err, want)
		}
	}
}

// TestPeersBoundTheirConnections lets libocr connect two peers: its lines about connections are worded as peerLogger
// knows them.
func TestPeersBoundTheirConnections(t *testing.T) {
	t.Parallel()
	nodes := []*testNode{newNode(t, nodeSettings{}), newNode(t, nodeSettings{})}
	ids := []string{nodes[0].peer.ID(), nodes[1].peer.ID()}
	for i, n := range nodes {
		other := commontypes.BootstrapperLocator{PeerID: ids[1-i], Addrs: []string{nodes[1-i].address}}
		b, err := n.peer.bootstrappers.NewBootstrapper(testDigest, ids, []commontypes.BootstrapperLocator{other}, 1)
		if err == nil {
			err = b.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
	}
	near, _ := dialled(t, "tcp4", "127.0.0.1")
	want := wanted(optionsOf(t, near))
	eventually(t, "a connection of which both ends are bounded", func() bool {
		var set [2]bool
		for fd := range 1000 {
			for _, n := range nodes {
				address := netip.MustParseAddrPort(n.address)
				value, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
				bounded := err == nil && value == want.UserTimeout
				local, err := unix.Getsockname(fd)
				in, ok := local.(*unix.SockaddrInet4)
				set[0] = set[0] || bounded && connectedTo(fd, address)
				set[1] = set[1] || bounded && err == nil && ok && in.Port == int(address.Port())
			}
		}
		return set[0] && set[1]
	})
	for _, n := range nodes {
		if strings.Contains(n.logs.String(), "Cannot bound") {
			t.Errorf("a connection's socket was not found:\n%s", n.logs)
		}
	}
}
