package web

import (
	"fmt"
	"net/http"
	"time"
)

// The limits of requests: clients are operators and scrapers on a private network, none of which sends much.
const (
	readHeaderTimeout = 5 * time.Second
	// readTimeout is for a request's header and body; what has come whole may be answered later.
	readTimeout = 30 * time.Second
	// answerTimeout is for a request's answer from when its header was read: no call takes a minute.
	answerTimeout  = 2 * time.Minute
	idleTimeout    = 2 * time.Minute
	scrapeTimeout  = 5 * time.Second
	maxHeaderBytes = 64 << 10
	// maxStreams is the most requests at once of a connection by HTTP/2, and maxBuffered how many bytes of their bodies it
	// may send before they are read.
	maxStreams  = 32
	maxBuffered = 256 << 10
	// maxOpen is the most requests to the open endpoints in progress: each holds what it answers in memory.
	maxOpen = 16
)

// limit gives a server its limits.
func limit(server *http.Server) {
	server.ReadHeaderTimeout, server.IdleTimeout, server.MaxHeaderBytes = readHeaderTimeout, idleTimeout, maxHeaderBytes
	server.ReadTimeout, server.WriteTimeout = readTimeout, answerTimeout
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxBuffered, MaxReceiveBufferPerStream: maxBuffered,
	}
}

// few refuses requests while too many are in progress.
func few(next http.Handler) http.Handler {
	running := make(chan struct{}, maxOpen)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case running <- struct{}{}:
			defer func() { <-running }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("%d requests are in progress, which is the most; try again", maxOpen),
				http.StatusServiceUnavailable)
		}
	})
}
