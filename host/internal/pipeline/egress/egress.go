// Package egress makes HTTP clients that reach only the public internet. The address is checked when the connection is
// made, after the name has been resolved, so neither a redirect nor a name that resolves to another address the second
// time avoids the check.
//
// The package must not know why a request is restricted.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrRestricted is in the errors of requests to an address that is not public.
var ErrRestricted = errors.New("the address is local, and this request may reach public addresses only")

// reserved are the networks that are not public, beyond those that netip knows by name. From IANA's registries of
// special purpose addresses; the tunnels among them are here because they can lead to a private IPv4 address.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // "this" network
	netip.MustParsePrefix("100.64.0.0/10"),   // carriers' shared space, which clouds use inside
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("::/96"),           // IPv4-compatible, obsolete
	netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64 of local use
	netip.MustParsePrefix("2001::/23"),       // Teredo and other protocol assignments
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4
	netip.MustParsePrefix("fec0::/10"),       // site-local, obsolete
}

// nat64 holds an IPv4 address in its last four bytes.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Public reports whether an address can be on the public internet.
func Public(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if nat64.Contains(address) { // how a network with IPv6 alone reaches the rest
		bytes := address.As16()
		address = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if !address.IsGlobalUnicast() || address.IsPrivate() {
		return false // loopback, link-local, multicast and unspecified addresses are no global unicast
	}
	for _, network := range reserved {
		if network.Contains(address) {
			return false
		}
	}
	return true
}

// Client returns a client that connects only to permitted addresses, which are the public ones unless a test says
// otherwise. It takes cookies, redirect policy and timeouts from the base, and TLS configuration and limits from the
// base's transport if that is an *http.Transport. It uses no proxy, since the check would see the proxy's address.
func Client(base *http.Client, permitted func(netip.Addr) bool) *http.Client {
	transport, ok := base.Transport.(*http.Transport)
	if ok && transport != nil {
		transport = transport.Clone()
	} else {
		transport = Transport()
	}
	dialer := &net.Dialer{
		Timeout:   30 * time.Second,
		KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			host, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w (it cannot be read)", ErrRestricted)
			}
			if !permitted(host.Addr()) {
				return ErrRestricted
			}
			return nil
		},
	}
	transport.Proxy = nil
	transport.DialContext = dialer.DialContext
	transport.DialTLSContext = nil
	client := *base
	client.Transport = transport
	return &client
}

// Transport returns a new transport like that of the standard library, including proxies of the environment, but made
// for many requests to a few hosts with small replies.
func Transport() *http.Transport {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second}
	if standard, ok := http.DefaultTransport.(*http.Transport); ok {
		transport = standard.Clone()
	}
	transport.MaxIdleConnsPerHost = 16           // the default is 2, and adapters of many jobs often share a host
	transport.MaxResponseHeaderBytes = 256 << 10 // the default is 10 MB for each reply
	return transport
}
