package door

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
)

// The limits of calls. What is large in a request is a job spec, which has a few KiB, or a key's file.
const (
	// maxRequest is the most bytes of a request, as it comes and unpacked.
	maxRequest = 256 << 10
	// maxCalls is the most calls in progress of one caller, and maxRemoteCalls of all callers by TCP, whose bodies are in
	// memory at once. Callers by the socket are the node's own user and root: others cannot take their place.
	maxCalls       = 8
	maxRemoteCalls = 16
	// maxStreams and maxRemoteStreams are the same of streams, which last long and are no reason to refuse calls.
	maxStreams       = 4
	maxRemoteStreams = 16
	// streamTimeout is for a stream's whole answer: a method ends it before.
	streamTimeout = 11 * time.Minute
	// maxRefusals is the most lines of the audit in a minute about callers who are not known, who could fill a disk with
	// them.
	maxRefusals = 1000
)

// tooLarge refuses a request for its size.
func tooLarge(how string) *connect.Error {
	return connect.NewError(connect.CodeResourceExhausted,
		fmt.Errorf("a request to the API has at most %d KiB, and this one has more%s", maxRequest>>10, how))
}

// limitedBody is a request's body.
type limitedBody struct{ io.ReadCloser }

func limitBody(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	return limitedBody{http.MaxBytesReader(w, body, maxRequest)}
}

func (b limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		err = tooLarge("")
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = connect.NewError(connect.CodeDeadlineExceeded, errors.New("the request did not come whole in time"))
	}
	return n, err
}

// limitedGzip unpacks a body up to the limit. connect alone would go on to the end, to say how long the message would
// have been, and a sender needs to send only a thousandth of that.
type limitedGzip struct {
	gzip.Reader
	left int
}

func newLimitedGzip() connect.Decompressor { return &limitedGzip{} }

func (g *limitedGzip) Reset(r io.Reader) error {
	g.left = maxRequest
	return g.Reader.Reset(r)
}

func (g *limitedGzip) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if g.left -= n; g.left < 0 {
		return 0, tooLarge(" when it is unpacked")
	}
	return n, err
}

// Options are what the API's handler needs for the limits and the audit.
func (d *Door) Options() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithInterceptors(d.auditor()),
		connect.WithReadMaxBytes(maxRequest),
		connect.WithCompression("gzip", newLimitedGzip, func() connect.Compressor { return gzip.NewWriter(io.Discard) }),
	)
}

// Sparing counts refusals minute by minute, so that no flood of them fills the log.
type Sparing struct {
	most int

	mu      sync.Mutex
	since   time.Time // the minute's beginning
	refused int       // in it
}

// NewSparing limits the refusals that get a line to that many a minute.
func NewSparing(most int) *Sparing { return &Sparing{most: most} }

// Refuse reports whether a refusal gets a line and, after a minute with too many, how many got none.
func (s *Sparing) Refuse() (line bool, without int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.since) >= time.Minute {
		without = max(0, s.refused-s.most)
		s.since, s.refused = now, 0
	}
	s.refused++
	return s.refused <= s.most, without
}

// streams are the methods that answer for as long as their caller listens.
var streams = map[string]bool{
	nodev1connect.NodeServiceWatchRoundsProcedure:    true,
	nodev1connect.NodeServiceWatchRunsProcedure:      true,
	nodev1connect.NodeServiceWatchPluginLogProcedure: true,
}

// lasting lets a stream outlive the time that a server has for an answer.
func lasting(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // which ends the request's context; the request has come
	_ = control.SetWriteDeadline(time.Now().Add(streamTimeout))
}

// calls counts those in progress.
type calls struct {
	what         string
	most, remote int

	mu sync.Mutex
	of map[string]int // by caller
	by int            // TCP
}

// begin counts a call until end is called, or refuses it.
func (c *calls) begin(who caller) (end func(), refusal *connect.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.of[who.key] >= c.most:
		return nil, connect.NewError(connect.CodeResourceExhausted,
			fmt.Errorf("%d %s of this caller are in progress, which is the most; try again when one has ended", c.most, c.what))
	case who.remote && c.by >= c.remote:
		return nil, connect.NewError(connect.CodeResourceExhausted,
			fmt.Errorf("%d %s by TCP are in progress, which is the most; try again when one has ended", c.remote, c.what))
	}
	c.count(who, 1)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count(who, -1)
	}, nil
}

func (c *calls) count(who caller, by int) {
	if c.of[who.key] += by; c.of[who.key] == 0 {
		delete(c.of, who.key)
	}
	if who.remote {
		c.by += by
	}
}
