// Package web serves a node's HTTP requests of operators and Prometheus. It serves two things: the open endpoints,
// which are /discovery, /plugins/<name>/metrics, /metrics, /health and /readyz, and an API that the caller mounts. It
// decides where each is served, refuses browsers that act for other sites, and tells the API who is at the other end of
// a socket.
//
// It knows plugins only by name. It must not know jobs, chains, how a plugin is run, or who may do what.
package web

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Plugin is a plugin of the node, whether it serves or not.
type Plugin struct {
	Name string
	// Kind is what the plugin reports about itself: relayer, median or product.
	Kind string
	// Job is the id of the job that has the plugin for itself; empty if all jobs share it.
	Job string
}

// Plugins is what the server needs from the runtime.
type Plugins interface {
	// List returns the plugins that the node has, sorted by name.
	List() []Plugin
	// Collect returns a plugin's exposition for an Accept header. Its errors are gRPC statuses: NOT_FOUND if no plugin
	// has the name, UNAVAILABLE if the plugin is down, DEADLINE_EXCEEDED if it does not answer in time.
	Collect(ctx context.Context, name, accept string) (contentType string, exposition []byte, err error)
}

// Health is the health of the node.
type Health struct {
	// Status is passing, degraded or failing.
	Status string `json:"status"`
	// Failing reports whether feeds do not work.
	Failing    bool        `json:"-"`
	Components []Component `json:"components"`
}

// Component is a part of the node with its state.
type Component struct {
	// Kind is node, database, plugin, chain, bridge or job.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// State is running, degraded, waiting or failed.
	State string `json:"state"`
	// Reason is why it is not running, and Remedy what to do.
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Since is when it came into its state.
	Since time.Time `json:"since"`
}

// Settings configure a Server.
type Settings struct {
	// Address is host:port where the open endpoints are served, and the API too if only this machine can reach the
	// host; port 0 takes any free one.
	Address string
	// TLS is where the API is served by TLS; nil means nowhere.
	TLS *TLS
	// Socket is the path of the unix socket of the API; empty means none.
	Socket string
	// Hosts are the names, besides localhost and addresses, that requests on TCP may call this node by.
	Hosts []string
	// DiscoveryHost is the host under which Prometheus finds this node; empty means that of the request for /discovery.
	DiscoveryHost string
	Plugins       Plugins
	// Gatherer holds the node's own metrics.
	Gatherer prometheus.Gatherer
	// Health returns the health of the node and its parts.
	Health func(ctx context.Context) Health
	// Ready reports whether the node has started its jobs.
	Ready func() bool
	// API is served under APIPath. PeerOf tells it who calls by the socket.
	APIPath string
	API     http.Handler
	Logger  *slog.Logger
}

// TLS is a listener that serves the API by TLS.
type TLS struct {
	// Address is host:port to listen on; port 0 takes any free one.
	Address string
	// CertPath and KeyPath are files in PEM. They are read for each connection, so that renewed ones need no restart.
	CertPath, KeyPath string
}

// Server serves the open endpoints and the API of a node.
type Server struct {
	settings Settings
	listener net.Listener // of the open endpoints
	tls      net.Listener // nil without TLS
	servers  []*http.Server
	done     sync.WaitGroup
}

// Start listens and serves.
func Start(s Settings) (_ *Server, err error) {
	server := &Server{settings: s}
	var listeners []net.Listener
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // the error is that of another
			}
		}
	}()
	if server.listener, err = net.Listen("tcp", s.Address); err != nil {
		return nil, fmt.Errorf("listening on %s failed: %w; end what holds the port or set [WebServer] HTTPPort", s.Address,
			err)
	}
	listeners = append(listeners, server.listener)
	var certificate *certificate
	if s.TLS != nil {
		if certificate, err = loadCertificate(s.TLS, s.Logger); err != nil {
			return nil, err
		}
		if server.tls, err = net.Listen("tcp", s.TLS.Address); err != nil {
			return nil, fmt.Errorf("listening on %s failed: %w; end what holds the port or set [WebServer.TLS] HTTPSPort",
				s.TLS.Address, err)
		}
		listeners = append(listeners, server.tls)
	}
	var local net.Listener
	if s.Socket != "" {
		if local, err = listenSocket(s.Socket); err != nil {
			return nil, err
		}
	}

	api := http.NewServeMux()
	api.Handle(s.APIPath, s.API)
	endpoints := few(server.open())
	if loopback(s.Address) {
		endpoints = beside(s.APIPath, s.API, endpoints)
	} else {
		s.Logger.Info("the operator's API is not served on this address, because other machines can reach it",
			"http", s.Address)
	}
	server.serve(server.listener, &http.Server{Handler: guarded(s.Hosts, endpoints)})
	if server.tls != nil {
		server.serve(tls.NewListener(server.tls, certificate.config()), &http.Server{Handler: guarded(s.Hosts, api)})
	}
	if local != nil {
		// No browser can speak to a file.
		server.serve(local, &http.Server{Handler: sealed(api), ConnContext: withPeer})
	}
	return server, nil
}

// serve gives a server its limits and runs it until Close.
func (s *Server) serve(l net.Listener, server *http.Server) {
	limit(server)
	open := limited(l)
	open.watch(server)
	server.ErrorLog = slog.NewLogLogger(s.settings.Logger.Handler(), slog.LevelDebug)
	s.servers = append(s.servers, server)
	s.done.Go(func() {
		if err := server.Serve(open); !errors.Is(err, http.ErrServerClosed) {
			s.settings.Logger.Error("a listener of the HTTP server ended", "address", l.Addr(), "error", err)
		}
	})
}

// Address returns host:port of the open endpoints.
func (s *Server) Address() string { return s.listener.Addr().String() }

// TLSAddress returns host:port of the API by TLS; empty without it.
func (s *Server) TLSAddress() string {
	if s.tls == nil {
		return ""
	}
	return s.tls.Addr().String()
}

// Close ends the server after the requests in flight, or when ctx ends.
func (s *Server) Close(ctx context.Context) {
	var all sync.WaitGroup
	for _, server := range s.servers {
		all.Go(func() {
			if err := server.Shutdown(ctx); err != nil {
				_ = server.Close() // the requests that are left have had their time
			}
		})
	}
	all.Wait()
	s.done.Wait()
}

// loopback reports whether an address is for this machine alone.
func loopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// beside serves the paths below a path separately from the rest, and cleans none of them.
func beside(path string, below, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, path) {
			below.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// open serves the open endpoints. The mux cleans paths and redirects. A plugin's name is whatever is between two
// slashes, escapes and dots included, so that odd names end here as unknown and never reach another route.
func (s *Server) open() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /discovery", s.discovery)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.settings.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /readyz", s.readyz)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.EscapedPath(), "/plugins/"); ok {
			s.plugin(w, r, name)
			return
		}
		mux.ServeHTTP(w, r)
	})
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
	w.Header().Set("Content-Type", metricsType(contentType))
	_, _ = w.Write(exposition) //nolint:gosec // no HTML: metricsType; a scraper that went away needs no answer
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

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	health := s.settings.Health(r.Context())
	code := http.StatusOK
	if health.Failing {
		code = http.StatusServiceUnavailable
	}
	s.json(w, code, health)
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
