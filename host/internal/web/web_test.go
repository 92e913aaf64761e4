package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// askVariable has this binary ask the API of the socket that it names, as a process of another user does.
const askVariable = "LOOP_TEST_ASK"

func TestMain(m *testing.M) {
	if socket := os.Getenv(askVariable); socket != "" {
		response, err := overSocket(socket).Get("http://node/api/x")
		if err != nil {
			fmt.Print(err)
			return
		}
		_, _ = io.Copy(os.Stdout, response.Body)
		return
	}
	goleak.VerifyTestMain(m)
}

// fakePlugins stands in for a runtime: the name decides what becomes of a scrape.
type fakePlugins struct{ asked, finish chan string }

func (fakePlugins) List() []Plugin {
	return []Plugin{{Name: "evm", Kind: "relayer"}, {Name: "evm-7", Kind: "relayer", Job: "7"},
		{Name: "a/b", Kind: "median"}}
}

func (f fakePlugins) Collect(ctx context.Context, name, accept string) (string, []byte, error) {
	if f.asked != nil {
		f.asked <- name
	}
	switch name {
	case "page":
		return "text/html", []byte("<script>alert(1)</script>"), nil
	case "angry":
		return "", nil, status.Error(codes.Unavailable, "<script>alert(2)</script>")
	case "evm", "a/b", "..":
		return "text/plain; version=0.0.4", []byte(name + " " + accept), nil
	case "down":
		return "", nil, status.Error(codes.Unavailable, "plugin down is down")
	case "slow":
		if f.finish == nil {
			<-ctx.Done()
		} else {
			<-f.finish
		}
		return "", nil, status.Error(codes.DeadlineExceeded, "no answer")
	case "broken":
		return "", nil, status.Error(codes.Internal, "gathering failed")
	}
	return "", nil, status.Errorf(codes.NotFound, "there is no plugin %q", name)
}

func start(t *testing.T, change func(*Settings)) *Server {
	t.Helper()
	settings := Settings{
		Address: "127.0.0.1:0", DiscoveryHost: "oracle-1", Plugins: fakePlugins{}, Gatherer: prometheus.NewRegistry(),
		Health: func(context.Context) Health { return Health{Status: "passing"} },
		Ready:  func() bool { return true },
		Logger: slog.New(slog.DiscardHandler), APIPath: "/api/",
		API: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the api") }),
	}
	if change != nil {
		change(&settings)
	}
	s, err := Start(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// raw sends a request line as it stands: clients would clean the odd paths that matter here. The first header may be
// Host.
func raw(t *testing.T, s *Server, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if len(header) == 0 || !strings.HasPrefix(header[0], "Host:") {
		header = append([]string{"Host: 127.0.0.1"}, header...)
	}
	request := method + " " + path + " HTTP/1.1\r\nConnection: close\r\n" + strings.Join(append(header, "\r\n"), "\r\n")
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(newReader(b), nil)
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		listens, host, header string
		want                  func(port string) string
	}{
		"a host that is set": {"127.0.0.1:0", "oracle-1", "Host: 127.0.0.1", func(port string) string {
			return "oracle-1:" + port
		}},
		"loopback": {"127.0.0.1:0", "", "Host: 127.0.0.1:6688", func(string) string {
			return "127.0.0.1:6688"
		}},
		"a name, and a port that is mapped": {"127.0.0.1:0", "", "Host: localhost:16688", func(string) string {
			return "localhost:16688"
		}},
		"all addresses, reached by one": {"[::]:0", "", "Host: [::1]:6688", func(string) string { return "[::1]:6688" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(s *Settings) { s.Address, s.DiscoveryHost = test.listens, test.host })
			_, port, err := net.SplitHostPort(s.Address())
			if err != nil {
				t.Fatal(err)
			}
			response, body := raw(t, s, "GET", "/discovery", test.header)
			if response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s", response.StatusCode, response.Header)
			}
			at := []string{test.want(port)}
			want := []target{
				{at, map[string]string{"__metrics_path__": "/metrics", "kind": "node"}},
				{at,
					map[string]string{"__metrics_path__": "/plugins/evm/metrics", "__meta_plugin_name": "evm", "plugin": "evm",
						"kind": "relayer"}},
				{at, map[string]string{
					"__metrics_path__": "/plugins/evm-7/metrics", "__meta_plugin_name": "evm-7", "plugin": "evm-7", "kind": "relayer",
					"job_id": "7",
				}},
				{at,
					map[string]string{"__metrics_path__": "/plugins/a%2Fb/metrics", "__meta_plugin_name": "a/b", "plugin": "a/b",
						"kind": "median"}},
			}
			var got []target
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
		})
	}
}

func TestPluginMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for name, test := range map[string]struct {
		method, path string
		status       int
		body         string
	}{
		"a plugin":               {"GET", "/plugins/evm/metrics", 200, "evm application/openmetrics-text"},
		"unknown":                {"GET", "/plugins/nobody/metrics", 404, `there is no plugin "nobody"`},
		"down":                   {"GET", "/plugins/down/metrics", 503, "plugin down is down"},
		"slow":                   {"GET", "/plugins/slow/metrics", 504, ""},
		"broken":                 {"GET", "/plugins/broken/metrics", 502, "gathering failed"},
		"no name":                {"GET", "/plugins//metrics", 404, "there is nothing here"},
		"nothing":                {"GET", "/plugins/", 404, "there is nothing here"},
		"no metrics":             {"GET", "/plugins/evm", 404, "there is nothing here"},
		"more":                   {"GET", "/plugins/evm/metrics/", 404, "there is nothing here"},
		"escaped slash":          {"GET", "/plugins/a%2Fb/metrics", 200, "a/b"},
		"dots":                   {"GET", "/plugins/../metrics", 200, ".. "},
		"escaped dots":           {"GET", "/plugins/%2e%2e/metrics", 200, ".. "},
		"dots over a slash":      {"GET", "/plugins/..%2fhealth/metrics", 404, `there is no plugin "../health"`},
		"climbing":               {"GET", "/plugins/evm/../../health", 404, "there is nothing here"},
		"double slash":           {"GET", "/plugins//evm/metrics", 404, "there is nothing here"},
		"query":                  {"GET", "/plugins/evm/metrics?x=/health", 200, "evm "},
		"newline":                {"GET", "/plugins/a%0d%0ab/metrics", 404, `there is no plugin "a\r\nb"`},
		"zero byte":              {"GET", "/plugins/%00/metrics", 404, `there is no plugin "\x00"`},
		"post":                   {"POST", "/plugins/evm/metrics", 405, "GET"},
		"semicolon":              {"GET", "/plugins/evm;x/metrics", 404, `there is no plugin "evm;x"`},
		"a name that is escaped": {"GET", "/plugins/%65vm/metrics", 200, "evm "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, body := raw(t, s, test.method, test.path, "Accept: application/openmetrics-text",
				"X-Prometheus-Scrape-Timeout-Seconds: 0.2")
			if response.StatusCode != test.status || !strings.Contains(body, test.body) {
				t.Fatalf("%d %q", response.StatusCode, body)
			}
			if test.status == 200 && response.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
				t.Fatalf("the content type is %q", response.Header.Get("Content-Type"))
			}
		})
	}
}

// FuzzPluginPath holds that no path below /plugins/ reaches another route.
func FuzzPluginPath(f *testing.F) {
	for _, seed := range []string{"evm/metrics", "../health", "%2e%2e/metrics", "a%2f..%2f..%2freadyz", "/../discovery",
		"\\..\\health"} {
		f.Add(seed)
	}
	server := &Server{settings: Settings{
		Plugins: fakePlugins{}, Gatherer: prometheus.NewRegistry(),
		Health: func(context.Context) Health { panic("health was reached") },
		Ready:  func() bool { panic("readiness was reached") },
	}}
	handler := server.open()
	f.Fuzz(func(t *testing.T, path string) {
		request, err := http.NewRequest("GET", "http://x/plugins/"+path, nil)
		if err != nil {
			t.Skip() // no path at all
		}
		if strings.Contains(path, "slow") {
			t.Skip() // waits on purpose
		}
		handler.ServeHTTP(&discard{header: http.Header{}}, request)
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	health := Health{Status: "degraded", Components: []Component{{
		Kind: "chain", Name: "evm chain 1", State: "failed", Reason: "its RPC node a refuses connections",
		Remedy: "see that it runs", Since: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
	}}}
	const components = `"components":[{"kind":"chain","name":"evm chain 1","state":"failed","reason":"its RPC node a ` +
		`refuses connections","remedy":"see that it runs","since":"2026-11-28T12:00:00Z"}]}`
	s := start(t, func(s *Settings) {
		s.Health = func(context.Context) Health { return health }
		s.Ready = func() bool { return false }
	})
	response, body := raw(t, s, "GET", "/health")
	if response.StatusCode != 200 || !strings.Contains(body, `{"status":"degraded",`+components) {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	health.Status, health.Failing = "failing", true
	response, body = raw(t, s, "GET", "/health")
	if response.StatusCode != 503 || !strings.Contains(body, `{"status":"failing",`+components) {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	if response, _ := raw(t, s, "GET", "/readyz"); response.StatusCode != 503 {
		t.Fatal(response.StatusCode)
	}
	if response, body := raw(t, s, "GET", "/api/x"); response.StatusCode != 200 || body != "the api" {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
}

func TestBusyPort(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	if _, err := Start(Settings{Address: s.Address(), Logger: slog.New(slog.DiscardHandler)}); err == nil ||
		!strings.Contains(err.Error(), "set [WebServer] HTTPPort") {
		t.Fatalf("got %v", err)
	}
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(b []byte) (int, error) { return len(b), nil }
func (*discard) WriteHeader(int)             {}
