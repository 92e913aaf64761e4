package oracle

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// boundSilence has the kernel end this process's TCP connections with a remote address when nothing that was sent is
// acknowledged within maxSilence, or nothing is heard for as long. A name in place of an IP address stands for all
// connections with its port.
//
// libocr makes its sockets itself and hands none out, so that they are looked for among the descriptors. The caller
// holds up the goroutine that owns the connection, or its descriptor could meanwhile stand for something else.
func boundSilence(remote string) error {
	want, err := netip.ParseAddrPort(remote)
	if err != nil {
		_, name, err := net.SplitHostPort(remote)
		port, portErr := strconv.ParseUint(name, 10, 16)
		if err := errors.Join(err, portErr); err != nil {
			return fmt.Errorf("read the connection's address %q: %w", remote, err)
		}
		want = netip.AddrPortFrom(netip.Addr{}, uint16(port))
	}
	descriptors, err := os.Open("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("look for the connection's socket: %w", err)
	}
	defer descriptors.Close()
	names, err := descriptors.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("look for the connection's socket: %w", err)
	}
	found := false
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || !connectedTo(fd, want) {
			continue
		}
		found = true
		if err := bound(fd); err != nil {
			return fmt.Errorf("set the options of the connection's socket: %w", err)
		}
	}
	if !found {
		return errors.New("look for the connection's socket: no descriptor of this process has the remote address")
	}
	return nil
}

// connectedTo says whether a descriptor is a TCP connection with a remote address. All other descriptors give errors
// here.
func connectedTo(fd int, want netip.AddrPort) bool {
	remote, err := unix.Getpeername(fd)
	if err != nil {
		return false
	}
	var got netip.AddrPort
	switch remote := remote.(type) {
	case *unix.SockaddrInet4:
		got = netip.AddrPortFrom(netip.AddrFrom4(remote.Addr), uint16(remote.Port))
	case *unix.SockaddrInet6:
		got = netip.AddrPortFrom(netip.AddrFrom16(remote.Addr).Unmap(), uint16(remote.Port))
	default:
		return false
	}
	if got.Port() != want.Port() || want.Addr().IsValid() && got.Addr() != want.Addr().Unmap().WithZone("") {
		return false
	}
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	return err == nil && protocol == unix.IPPROTO_TCP
}

// bound sets a socket's options. The kernel knows TCP_RTO_MAX_MS from Linux 6.15 on.
func bound(fd int) error {
	silence := maxSilence
	switch err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_RTO_MAX_MS, int(retryInterval.Milliseconds())); {
	case err == nil:
		silence = maxRetried
	case !errors.Is(err, unix.ENOPROTOOPT):
		return os.NewSyscallError("setsockopt", err)
	}
	for _, option := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds())},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(maxSilence.Seconds() / 2)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(retryInterval.Seconds())},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}
