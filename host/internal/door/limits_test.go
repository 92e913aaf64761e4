package door

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/database"
)

// limited is an API behind a door, and the tokens of some callers.
type limited struct {
	nodev1connect.UnimplementedNodeServiceHandler
	url     string
	secrets []string

	began  chan struct{} // a call has begun
	finish chan struct{} // closed: calls end
}

func newLimited(t *testing.T, callers int) *limited {
	t.Helper()
	l := &limited{began: make(chan struct{}), finish: make(chan struct{})}
	known := tokens{}
	for i := range callers {
		secret, hash := NewSecret()
		l.secrets = append(l.secrets, secret)
		known[hex.EncodeToString(hash)] = database.Token{Name: fmt.Sprint(i), Role: "operate"}
	}
	guard := New(known, &nodev1.TokenWanted{}, slog.New(slog.DiscardHandler))
	_, api := nodev1connect.NewNodeServiceHandler(l, guard.Options())
	server := httptest.NewServer(guard.Guard(api))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// ValidateJob says how long the spec is.
func (l *limited) ValidateJob(_ context.Context, r *nodev1.ValidateJobRequest) (*nodev1.ValidateJobResponse, error) {
	return &nodev1.ValidateJobResponse{Problems: []*nodev1.Problem{{Line: uint32(len(r.GetSpecToml()))}}}, nil
}

// ListPlugins is a call that takes its time.
func (l *limited) ListPlugins(context.Context, *nodev1.ListPluginsRequest) (*nodev1.ListPluginsResponse, error) {
	l.began <- struct{}{}
	<-l.finish
	return &nodev1.ListPluginsResponse{}, nil
}

func (l *limited) client(by int, options ...connect.ClientOption) nodev1connect.NodeServiceClient {
	transport := withToken{&http.Transport{DisableKeepAlives: true}, l.secrets[by]}
	return nodev1connect.NewNodeServiceClient(&http.Client{Transport: transport}, l.url, options...)
}

type withToken struct {
	transport *http.Transport
	secret    string
}

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.secret)
	return w.transport.RoundTrip(r)
}

func TestSizesOfRequests(t *testing.T) {
	t.Parallel()
	l := newLimited(t, 1)
	const around = 16 // the length of what a request has besides the spec
	packed := connect.WithSendGzip()
	for name, c := range map[string]struct {
		length  int
		options []connect.ClientOption
		says    string
	}{
		"the largest": {maxRequest - around, nil, ""},
		"too large":   {maxRequest + 1, nil, "has at most 256 KiB, and this one has more"},
		"by JSON":     {maxRequest + 1, []connect.ClientOption{connect.WithProtoJSON()}, "has at most 256 KiB"},
		"by gRPC-Web": {maxRequest + 1, []connect.ClientOption{connect.WithGRPCWeb()},
			"larger than configured max 262144"},
		"packed, the largest": {maxRequest - around, []connect.ClientOption{packed}, ""},
		"packed, too large": {maxRequest + 1, []connect.ClientOption{packed},
			"and this one has more when it is unpacked"},
		"packed, by gRPC-Web": {maxRequest + 1, []connect.ClientOption{packed, connect.WithGRPCWeb()},
			"when it is unpacked"},
		"packed, and still huge": {20 * maxRequest, []connect.ClientOption{packed}, "when it is unpacked"},
	} {
		spec := strings.Repeat("a", c.length)
		r, err := l.client(0, c.options...).ValidateJob(t.Context(), &nodev1.ValidateJobRequest{SpecToml: spec})
		if c.says == "" {
			if err != nil || r.GetProblems()[0].GetLine() != uint32(c.length) {
				t.Errorf("%s: %v, %v", name, r, err)
			}
			continue
		}
		if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s", name, err, c.says)
		}
	}
}

// What is beyond the limit is not unpacked, though connect would like to know how much it is.
func TestBombsAreNotUnpacked(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		_, _ = w.Write(zeros) // a buffer takes all
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	unpacker, unpacked := newLimitedGzip(), 0
	if err := unpacker.Reset(&bomb); err != nil {
		t.Fatal(err)
	}
	for p := make([]byte, 4<<10); ; {
		n, err := unpacker.Read(p)
		unpacked += n
		if errors.Is(err, io.EOF) {
			t.Fatal("it was unpacked to its end")
		}
		if err != nil {
			break
		}
	}
	if unpacked > maxRequest {
		t.Errorf("%d bytes were unpacked", unpacked)
	}
}

// Calls in progress are bounded by caller and in all, and an end makes room.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	l := newLimited(t, 3)
	var all sync.WaitGroup
	begin := func(by int) {
		all.Go(func() {
			if _, err := l.client(by).ListPlugins(t.Context(), &nodev1.ListPluginsRequest{}); err != nil {
				t.Errorf("a call that was let in: %v", err)
			}
		})
		<-l.began
	}
	refused := func(by int, says string) {
		t.Helper()
		_, err := l.client(by).ListPlugins(t.Context(), &nodev1.ListPluginsRequest{})
		if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
	for range maxCalls {
		begin(0)
	}
	refused(0, "8 calls of this caller are in progress, which is the most; try again when one has ended")
	for range maxRemoteCalls - maxCalls {
		begin(1)
	}
	refused(2, "16 calls by TCP are in progress, which is the most; try again when one has ended")
	close(l.finish)
	all.Wait()
	for range 2 * maxRemoteCalls { // what was counted is counted back
		begin(2)
		all.Wait()
	}
}

// Callers by the socket are counted alone: others cannot take the place of the node's own user.
func TestCallersByTheSocketHaveTheirPlace(t *testing.T) {
	t.Parallel()
	c := calls{what: "calls", most: maxCalls, remote: maxRemoteCalls, of: map[string]int{}}
	for i := range maxRemoteCalls {
		if _, err := c.begin(caller{key: fmt.Sprint(i), remote: true}); err != nil {
			t.Fatal(err)
		}
	}
	end, err := c.begin(caller{key: "user 0"})
	if err != nil {
		t.Fatal(err)
	}
	end()
	if len(c.of) != maxRemoteCalls || c.by != maxRemoteCalls {
		t.Errorf("the counts are %v and %d", c.of, c.by)
	}
}

// Unknown callers cannot fill a disk with the lines of their refusals.
func TestRefusalsOfStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		secret, hash := NewSecret()
		known := tokens{hex.EncodeToString(hash): {Name: "viewer", Role: "view"}}
		api := New(known, &nodev1.TokenWanted{}, slog.New(slog.NewTextHandler(&log, nil))).Guard(http.NotFoundHandler())
		knock := func(secret string) {
			r := httptest.NewRequest(http.MethodPost, nodev1connect.NodeServiceExportKeyProcedure, nil)
			if secret != "" {
				r.Header.Set("Authorization", "Bearer "+secret)
			}
			api.ServeHTTP(httptest.NewRecorder(), r)
		}
		wantLines := func(want int) {
			t.Helper()
			if got := strings.Count(log.String(), "msg=audit"); got != want {
				t.Errorf("the audit has %d lines, want %d", got, want)
			}
			log.Reset()
		}
		for range maxRefusals + 20 {
			knock("")
		}
		wantLines(maxRefusals)
		knock(secret) // a known caller has a line each time
		wantLines(1)
		time.Sleep(time.Minute)
		knock("")
		if said := log.String(); !strings.Contains(said, "; 20 more in the minutes before have no line") {
			t.Errorf("after the minute the audit says %s", said)
		}
		knock("")
		wantLines(2)
	})
}

// pipes are a listener whose connections lie in memory, so that time is that of a test's bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p <- far
	return near, nil
}

// A stream outlives the time in which a server reads a request and writes an answer, and calls do not. Streams are
// counted apart, so that a caller who listens can still make calls.
func TestStreamsLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		secret, hash := NewSecret()
		known := tokens{hex.EncodeToString(hash): {Name: "x", Role: "view"}}
		const limit = time.Second
		listening := make(chan struct{}, 2*maxStreams)
		end := make(chan struct{})
		d := New(known, nil, slog.New(slog.DiscardHandler))
		inMemory := make(pipes)
		server := &http.Server{ReadTimeout: limit, WriteTimeout: limit}
		server.Handler = d.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == nodev1connect.NodeServiceNodeStatusProcedure {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			listening <- struct{}{}
			select {
			case <-end:
				_, _ = io.WriteString(w, "heard")
			case <-r.Context().Done():
			}
		}))
		go func() { _ = server.Serve(inMemory) }() // until it is closed
		defer server.Close()
		client := &http.Client{Transport: &http.Transport{DialContext: inMemory.dial}}
		defer client.CloseIdleConnections()
		ask := func(procedure string) (int, string, error) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://node"+procedure, nil)
			if err != nil {
				return 0, "", err
			}
			request.Header.Set("Authorization", "Bearer "+secret)
			request.Header.Set("Content-Type", "application/connect+proto")
			reply, err := client.Do(request)
			if err != nil {
				return 0, "", err
			}
			defer reply.Body.Close()
			body, err := io.ReadAll(reply.Body)
			return reply.StatusCode, string(body), err
		}
		var streams sync.WaitGroup
		for range maxStreams {
			streams.Go(func() {
				if code, said, err := ask(nodev1connect.NodeServiceWatchRunsProcedure); code != http.StatusOK || said != "heard" ||
					err != nil {
					t.Errorf("a stream got %d %q, %v", code, said, err)
				}
			})
		}
		for range maxStreams {
			<-listening
		}
		if _, said, err := ask(nodev1connect.NodeServiceWatchRoundsProcedure); !strings.Contains(said,
			"4 streams of this caller") || err != nil {
			t.Errorf("one stream more got %q, %v", said, err)
		}
		if code, said, err := ask(nodev1connect.NodeServiceNodeStatusProcedure); code != http.StatusOK || err != nil {
			t.Errorf("a call beside streams got %d %q, %v", code, said, err)
		}
		time.Sleep(4 * limit) // the bubble's: the limits of the server are over
		close(end)
		streams.Wait()
	})
}
