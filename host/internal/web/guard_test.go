package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// request asks a server as a browser might: a Host of its own choice, and headers.
func request(t *testing.T, client *http.Client, method, url, host string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	if host != "" {
		r.Host = host
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// A page that made its own name lead here (DNS rebinding) names itself as the Host, and one of another site says its
// Origin.
func TestBrowsersThatSpeakForOthersAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.Hosts = []string{"Oracle-1", "feeds.example"} })
	_, port, err := net.SplitHostPort(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method, path, host string
		header             []string
		code               int
	}{
		"its address":                   {"POST", "/api/x", "", nil, 200},
		"localhost":                     {"POST", "/api/x", "localhost:" + port, nil, 200},
		"another of its addresses":      {"GET", "/metrics", "192.0.2.7:6688", nil, 200},
		"an address of IPv6":            {"GET", "/metrics", "[::1]:6688", nil, 200},
		"IPv6 without a port":           {"GET", "/metrics", "[::1]", nil, 200},
		"a name that was configured":    {"GET", "/metrics", "feeds.example:6688", nil, 200},
		"in capitals, with a last dot":  {"GET", "/metrics", "ORACLE-1.", nil, 200},
		"rebinding to the API":          {"POST", "/api/x", "evil.example:" + port, nil, 421},
		"rebinding to metrics":          {"GET", "/metrics", "evil.example", nil, 421},
		"rebinding to a plugin's page":  {"GET", "/plugins/evm/metrics", "evil.example", nil, 421},
		"rebinding with its own origin": {"POST", "/api/x", "evil.example", []string{"Origin", "http://evil.example"}, 421},
		"a name that ends in another":   {"GET", "/metrics", "localhost.evil.example", nil, 421},
		"a form of another site":        {"POST", "/api/x", "", []string{"Origin", "https://evil.example"}, 403},
		"a fetch of another site":       {"POST", "/api/x", "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a page on another port":        {"POST", "/api/x", "", []string{"Sec-Fetch-Site", "same-site"}, 403},
		"a page without an origin":      {"POST", "/api/x", "", []string{"Origin", "null"}, 403},
		"a page of its own":             {"POST", "/api/x", "", []string{"Sec-Fetch-Site", "same-origin"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := request(t, http.DefaultClient, c.method, "http://"+s.Address()+c.path, c.host, c.header...)
			if response.StatusCode != c.code {
				t.Errorf("the code is %d, want %d", response.StatusCode, c.code)
			}
			wantHeaders(t, response)
		})
	}
}

func wantHeaders(t *testing.T, response *http.Response) {
	t.Helper()
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
	} {
		if got := response.Header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func TestHeadersAreOnEveryAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, path := range []string{
		"/discovery", "/metrics", "/health", "/readyz", "/plugins/evm/metrics", "/plugins/nobody/metrics", "/nothing",
		"/api/x",
	} {
		wantHeaders(t, request(t, http.DefaultClient, "GET", "http://"+s.Address()+path, ""))
	}
}

func TestMetricsAreServedAsNothingElse(t *testing.T) {
	t.Parallel()
	const text, open = "text/plain; version=0.0.4; charset=utf-8", "application/openmetrics-text; version=1.0.0; " +
		"charset=utf-8"
	for said, want := range map[string]string{
		text: text, open: open,
		text + "; escaping=underscores": text + "; escaping=underscores",
		open + "; escaping=values":      open + "; escaping=values",
		"application/openmetrics-text":  "application/openmetrics-text; charset=utf-8",
		"text/plain":                    text,
		"TEXT/HTML":                     text,
		"text/html; version=0.0.4":      text,
		"image/svg+xml":                 text,
		"text/plain; charset=utf-7":     text,
		"text/plain\r\nSet-Cookie: a=b": text,
		"text/plain; version=<script>":  text,
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited": text,
		"": text,
	} {
		if got := metricsType(said); got != want {
			t.Errorf("%q is served as %q, want %q", said, got, want)
		}
	}
	s := start(t, nil)
	for path, want := range map[string]struct {
		code       int
		typed, has string
	}{
		"/plugins/page/metrics":                 {200, text, "<script>alert(1)</script>"},
		"/plugins/angry/metrics":                {503, "text/plain; charset=utf-8", "<script>alert(2)</script>"},
		"/plugins/%3Cscript%3E/metrics":         {404, "text/plain; charset=utf-8", "<script>"},
		"/plugins/page/metrics/%3Cscript%3E":    {404, "text/plain; charset=utf-8", "there is nothing here"},
		"/plugins/page/metrics?%3Cscript%3E=%3": {200, text, "<script>alert(1)</script>"},
	} {
		response := request(t, http.DefaultClient, "GET", "http://"+s.Address()+path, "", "Accept", "text/html")
		got := body(t, response)
		if response.StatusCode != want.code || response.Header.Get("Content-Type") != want.typed ||
			!strings.Contains(got, want.has) {
			t.Errorf("%s: %d %q %q", path, response.StatusCode, response.Header.Get("Content-Type"), got)
		}
		wantHeaders(t, response)
	}
}

// The API is served on loopback, by TLS and by the socket, and the open endpoints on HTTP alone.
func TestFaces(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	pool := makeCertificate(t, files, "feeds.example")
	for name, c := range map[string]struct {
		address   string
		plainCode int
	}{
		"on this machine alone": {"127.0.0.1:0", 200},
		"on all addresses":      {"0.0.0.0:0", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(shortDir(t), "s")
			s := start(t, func(s *Settings) {
				s.Address, s.Socket, s.Hosts = c.address, socket, []string{"feeds.example"}
				s.TLS = &TLS{"127.0.0.1:0", filepath.Join(files, "cert"), filepath.Join(files, "key")}
			})
			_, port, err := net.SplitHostPort(s.Address())
			if err != nil {
				t.Fatal(err)
			}
			private := &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "feeds.example"},
			}}
			for _, ask := range []struct {
				client    *http.Client
				url, path string
				code      int
			}{
				{http.DefaultClient, "http://127.0.0.1:" + port, "/metrics", 200},
				{http.DefaultClient, "http://127.0.0.1:" + port, "/api/x", c.plainCode},
				{private, "https://" + s.TLSAddress(), "/api/x", 200},
				{private, "https://" + s.TLSAddress(), "/metrics", 404},
				{overSocket(socket), "http://node", "/api/x", 200},
				{overSocket(socket), "http://node", "/metrics", 404},
			} {
				response := request(t, ask.client, "POST", ask.url+ask.path, "")
				if ask.path == "/metrics" {
					response = request(t, ask.client, "GET", ask.url+ask.path, "")
				}
				if response.StatusCode != ask.code {
					t.Errorf("%s%s: %d, want %d", ask.url, ask.path, response.StatusCode, ask.code)
				}
				wantHeaders(t, response)
			}
			response := request(t, private, "POST", "https://"+s.TLSAddress()+"/api/x", "evil.example")
			if response.StatusCode != 421 {
				t.Errorf("another name by TLS: %d", response.StatusCode)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := &TLS{"127.0.0.1:0", filepath.Join(dir, "cert"), filepath.Join(dir, "key")}
	_, err := Start(Settings{Address: "127.0.0.1:0", TLS: settings})
	if err == nil || !strings.Contains(err.Error(), "check CertPath and KeyPath") {
		t.Fatalf("without files: %v", err)
	}
	first := makeCertificate(t, dir, "feeds.example")
	s := start(t, func(s *Settings) { s.TLS = settings })
	shown := func(pool *x509.CertPool) error {
		c, err := tls.Dial("tcp", s.TLSAddress(), &tls.Config{RootCAs: pool, ServerName: "feeds.example"})
		if err == nil {
			err = c.Close()
		}
		return err
	}
	if err := shown(first); err != nil {
		t.Fatal(err)
	}
	second := makeCertificate(t, dir, "feeds.example")
	if err := shown(second); err != nil {
		t.Errorf("a renewed certificate is not shown: %v", err)
	}
	if err := os.WriteFile(settings.KeyPath, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := shown(second); err != nil {
		t.Errorf("in the middle of a renewal: %v", err)
	}
}

// makeCertificate writes a certificate that trusts itself, and returns a pool that trusts it.
func makeCertificate(t *testing.T, dir, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, content := range map[string][]byte{
		"cert": certificate, "key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool
}

// shortDir is a folder for sockets: a test's own is too deep for one.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "loop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func overSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// sayPeer is an API that says who calls it.
func sayPeer(w http.ResponseWriter, r *http.Request) {
	peer, ok := PeerOf(r.Context())
	_, _ = fmt.Fprintf(w, "socket %v, uid %d, pid %d, refusal %q", ok, peer.UID, peer.PID, peer.Refusal)
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
