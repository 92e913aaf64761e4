package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPublic(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "100.63.255.255": true, "100.128.0.0": true, "172.15.0.1": true, "172.32.0.1": true,
		"2606:4700::1111": true, "::ffff:1.1.1.1": true, "64:ff9b::101:101": true,
		"0.0.0.0": false, "0.1.2.3": false, "127.0.0.1": false, "127.255.0.1": false, "10.0.0.1": false, "172.16.0.1": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "192.0.0.8": false, "192.0.2.1": false,
		"198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false,
		"255.255.255.255": false,
		"::":              false, "::1": false, "::7f00:1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false,
		"64:ff9b::a00:1": false,
		"64:ff9b:1::1":   false, "fc00::1": false, "fd00::1": false, "fe80::1": false, "fe80::1%eth0": false,
		"fec0::1": false,
		"ff02::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "2001::1": false,
	} {
		if got := Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("Public(%s) = %v", address, got)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// TestClientDialsTLSItself: a base may bring a way of its own to connect, which would go around the check.
func TestClientDialsTLSItself(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.DialTLSContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&tls.Dialer{Config: transport.TLSClientConfig}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	base := &http.Client{Transport: transport}
	t.Cleanup(base.CloseIdleConnections)
	if response, err := base.Get(server.URL); err != nil {
		t.Fatal(err)
	} else {
		response.Body.Close()
	}
	if _, err := Client(base, Public).Get(server.URL); !errors.Is(err, ErrRestricted) {
		t.Errorf("Get = %v", err)
	}
}

// TestClient permits one loopback address, and sees that neither a name nor a redirect leads to another.
func TestClient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		io.WriteString(w, "reached")
	}))
	t.Cleanup(server.Close)
	elsewhere := strings.Replace(server.URL, "127.0.0.1", "127.0.0.2", 1)
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	only := netip.MustParseAddr("127.0.0.1")

	proxied := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (uri *url.URL, err error) {
		return nil, errors.New("a proxy was asked")
	}}}
	for name, base := range map[string]*http.Client{"default": {}, "with a proxy": proxied} {
		permits := Client(base, func(a netip.Addr) bool { return a == only })
		refuses := Client(base, Public)
		t.Cleanup(permits.CloseIdleConnections)
		t.Cleanup(refuses.CloseIdleConnections)
		for _, test := range []struct {
			client  *http.Client
			url     string
			refused bool
		}{
			{permits, server.URL, false},
			{permits, server.URL + "/?to=" + server.URL, false},
			{permits, elsewhere, true},
			{permits, server.URL + "/?to=" + elsewhere, true},
			{refuses, server.URL, true},
			{refuses, byName, true},
			{refuses, "http://[::ffff:127.0.0.1]:1", true},
		} {
			response, err := test.client.Get(test.url)
			if err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
			if errors.Is(err, ErrRestricted) != test.refused || (err != nil) != test.refused {
				t.Errorf("%s: %s: %v", name, test.url, err)
			}
		}
	}
}
