// Package web serves what operators and Prometheus ask a node over HTTP: /discovery, /plugins/<name>/metrics, /metrics, /health,
// /readyz and whatever API is mounted beside them.
//
// It knows plugins by name alone. It must not know jobs, chains or how a plugin is run.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Plugins is what the server asks of the runtime.
type Plugins interface {
	// Names returns the plugins whose metrics can be scraped now, sorted.
	Names() []string
	// Collect returns a plugin's exposition for an Accept header. Its errors are gRPC statuses: NOT_FOUND for a name that no
	// plugin has, UNAVAILABLE for a plugin that is down, DEADLINE_EXCEEDED for one that does not answer in time.
	Collect(ctx context.Context, name, accept string) (contentType string, exposition []byte, err error)
}

// Check is the health of one part of the node.
type Check struct {
	Name    string `json:"name"`
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason,omitempty"`
}

// Settings are what a Server needs.
type Settings struct {
	// Address is host:port to listen on; port 0 takes any free one.
	Address string
	// DiscoveryHost is the host under which Prometheus finds this node.
	DiscoveryHost string
	Plugins       Plugins
	// Gatherer holds the node's own metrics.
	Gatherer prometheus.Gatherer
	// Health returns the state of the node's parts.
	Health func() []Check
	// Ready is whether the node has started its jobs.
	Ready func() bool
	// API is served under APIPath.
	APIPath string
	API     http.Handler
	Logger  *slog.Logger
}

// Server is a node's HTTP server.
type Server struct {
	settings Settings
	listener net.Listener
	http     *http.Server
	done     chan struct{}
}

// The server's limits: clients are operators and scrapers on a private network, none of which sends much.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	scrapeTimeout     = 5 * time.Second
	maxHeaderBytes    = 64 << 10
)

// Start listens and serves.
func Start(s Settings) (*Server, error) {
	listener, err := net.Listen("tcp", s.Address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s failed: %w; end what holds the port or set [WebServer] HTTPPort", s.Address, err)
	}
	server := &Server{settings: s, listener: listener, done: make(chan struct{})}
	server.http = &http.Server{
		Handler:           server.handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(server.done)
		if err := server.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.Logger.Error("the HTTP server ended", "error", err)
		}
	}()
	return server, nil
}

// Address is host:port where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close ends the server after the requests in flight, or when ctx ends.
func (s *Server) Close(ctx context.Context) {
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // the requests that are left have had their time
	}
	<-s.done
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /discovery", s.discovery)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.settings.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle(s.settings.APIPath, s.settings.API)
	// The mux cleans paths and redirects; a plugin's name is whatever stands between two slashes, escapes and dots included,
	// so that odd names end here as unknown and never reach another route.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.EscapedPath(), "/plugins/"); ok {
			s.plugin(w, r, name)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// target is one entry of Prometheus's HTTP service discovery.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	_, port, err := net.SplitHostPort(s.Address())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	host := []string{net.JoinHostPort(s.settings.DiscoveryHost, port)}
	all := []target{{Targets: host, Labels: map[string]string{"__metrics_path__": "/metrics"}}}
	for _, name := range s.settings.Plugins.Names() {
		all = append(all, target{Targets: host, Labels: map[string]string{
			"__metrics_path__":   "/plugins/" + url.PathEscape(name) + "/metrics",
			"__meta_plugin_name": name,
		}})
	}
	s.json(w, http.StatusOK, all)
}

func (s *Server) plugin(w http.ResponseWriter, r *http.Request, rest string) {
	escaped, tail, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(escaped)
	if err != nil || tail != "metrics" || name == "" {
		http.Error(w, "there is nothing here but /plugins/<name>/metrics", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "metrics are read with GET", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), scrapeLimit(r))
	defer cancel()
	contentType, exposition, err := s.settings.Plugins.Collect(ctx, name, r.Header.Get("Accept"))
	if err != nil {
		http.Error(w, status.Convert(err).Message(), httpStatus(err))
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(exposition) // a scraper that went away needs no answer
}

// scrapeLimit is Prometheus's own timeout for the scrape, less a margin for the way back, or the default.
func scrapeLimit(r *http.Request) time.Duration {
	seconds, err := time.ParseDuration(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds") + "s")
	if err != nil || seconds <= 0 {
		return scrapeTimeout
	}
	return min(max(seconds-seconds/10, 100*time.Millisecond), scrapeTimeout)
}

func httpStatus(err error) int {
	switch status.Code(err) {
	case codes.NotFound:
		return http.StatusNotFound
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	body := struct {
		Status string  `json:"status"`
		Checks []Check `json:"checks"`
	}{"passing", s.settings.Health()}
	code := http.StatusOK
	for _, c := range body.Checks {
		if !c.Healthy {
			body.Status, code = "failing", http.StatusServiceUnavailable
		}
	}
	s.json(w, code, body)
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.settings.Ready() {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

func (s *Server) json(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n'))
}
