package relayer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answerTime is how long an answer of a server is waited for: one of a good server comes in time on a busy machine too.
const answerTime = 8 * time.Second

// plainDriver is the smallest driver: it asks a JSON-RPC server for its chain and height.
type plainDriver struct {
	url  string
	poll time.Duration
}

type plainClient struct {
	url  string
	http *http.Client
}

func (c plainClient) ask(ctx context.Context, method string) (answer string, err error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, method)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", StatusCode(response.StatusCode)
	}
	var reply struct {
		Result string
		Error  *struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		return "", err
	}
	if reply.Error != nil {
		return "", Answered(errors.New(reply.Error.Message))
	}
	return reply.Result, nil
}

func (d plainDriver) Connect(ctx context.Context) (plainClient, error) {
	c := plainClient{d.url, &http.Client{Transport: &http.Transport{}}}
	chain, err := c.ask(ctx, "chain")
	if err != nil {
		c.http.CloseIdleConnections()
		return c, err
	}
	if chain != "right" {
		c.http.CloseIdleConnections()
		return c, WrongChain("chain " + chain)
	}
	return c, nil
}

func (d plainDriver) Watch(ctx context.Context, c plainClient, report func(uint64)) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, answerTime)
		answer, err := c.ask(bounded, "height")
		cancel()
		if err != nil {
			return err
		}
		var height uint64
		if _, err := fmt.Sscan(answer, &height); err != nil {
			return Said("answers with a height that is not a number")
		}
		report(height)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d.poll):
		}
	}
}

func (d plainDriver) Disconnect(c plainClient) { c.http.CloseIdleConnections() }

func scripted(t *testing.T, name string, height *atomic.Int64) *relayertest.Server {
	t.Helper()
	s := relayertest.NewServer(t, "")
	s.Answer("chain", func(json.RawMessage) (any, error) { return "right", nil })
	s.Answer("height", func(json.RawMessage) (any, error) { return fmt.Sprint(height.Load()), nil })
	s.Answer("name", func(json.RawMessage) (any, error) { return name, nil })
	return s
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("within a minute not so: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestPoolLeavesABadNode(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil      func(*relayertest.Server)
		wantState  relayerv1.NodeState
		wantReason string
	}{
		"down": {func(s *relayertest.Server) { s.SetFault(relayertest.Down) }, relayerv1.NodeState_NODE_STATE_UNREACHABLE,
			""},
		"hangs": {func(s *relayertest.Server) { s.SetFault(relayertest.Hang) }, relayerv1.NodeState_NODE_STATE_UNREACHABLE,
			"does not answer in time"},
		"HTML": {func(s *relayertest.Server) { s.SetFault(relayertest.HTML) }, relayerv1.NodeState_NODE_STATE_UNREACHABLE,
			"answers with something other than the JSON expected"},
		"limits": {
			func(s *relayertest.Server) { s.SetFault(relayertest.Limit) },
			relayerv1.NodeState_NODE_STATE_UNREACHABLE,
			"answers with HTTP status 429: it limits the rate of requests",
		},
		"garbage": {func(s *relayertest.Server) {
			s.SetFault(relayertest.Garbage)
		}, relayerv1.NodeState_NODE_STATE_UNREACHABLE, "ended the connection in the middle of an answer"},
		"other chain": {func(s *relayertest.Server) {
			s.Answer("chain", func(json.RawMessage) (any, error) { return "wrong", nil })
			s.SetFault(relayertest.Down)
			s.SetFault(relayertest.None)
			s.Answer("height", func(json.RawMessage) (any, error) { return "none", nil })
		}, relayerv1.NodeState_NODE_STATE_WRONG_CHAIN, "answers for chain wrong"},
		"lags": {func(s *relayertest.Server) { s.SetFault(relayertest.Lag) }, relayerv1.NodeState_NODE_STATE_ALIVE,
			"is 93 blocks behind the newest node and is asked last"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var height atomic.Int64
			height.Store(7)
			first, second := scripted(t, "first", &height), scripted(t, "second", &height)
			pool := NewPool(PoolSettings{Timeout: answerTime, ReconnectMin: 5 * time.Millisecond,
				ReconnectMax: 20 * time.Millisecond}, []Node[plainClient]{
				{Name: "first", Driver: plainDriver{first.HTTPURL, 5 * time.Millisecond}},
				{Name: "second", Driver: plainDriver{second.HTTPURL, 5 * time.Millisecond}},
			})
			t.Cleanup(func() { pool.Close() })
			who := func() (answer string, err error) {
				err = pool.Do(t.Context(), func(ctx context.Context, c plainClient) (err error) {
					answer, err = c.ask(ctx, "name")
					return err
				})
				return answer, err
			}
			eventually(t, "both serve", func() bool {
				s := pool.Statuses()
				return s[0].State == relayerv1.NodeState_NODE_STATE_ALIVE && s[1].State == relayerv1.NodeState_NODE_STATE_ALIVE
			})
			if got, err := who(); got != "first" || err != nil {
				t.Fatalf("with both serving, %q answered (%v), want first", got, err)
			}
			c.spoil(first)
			height.Store(100)
			if name != "lags" { // a lag shows only once the other node is seen to be ahead
				if got, err := who(); err != nil {
					t.Fatalf("the first call after the fault failed: %q, %v", got, err)
				}
			}
			eventually(t, "the second answers and the first's state is told", func() bool {
				got, err := who()
				s := pool.Statuses()[0]
				return err == nil && got == "second" && s.State == c.wantState &&
					(c.wantReason == "" || s.Reason == c.wantReason)
			})
			if latency := pool.Statuses()[1].GetLatency().AsDuration(); latency <= 0 || latency > answerTime {
				t.Errorf("the second answers within %s", latency)
			}
			if s := pool.Statuses()[0]; strings.Contains(s.Reason, "127.0.0.1") {
				t.Errorf("the reason %q holds an address", s.Reason)
			}
			first.SetFault(relayertest.None)
			first.Answer("chain", func(json.RawMessage) (any, error) { return "right", nil })
			first.Answer("height", func(json.RawMessage) (any, error) { return "100", nil })
			eventually(t, "the first answers again", func() bool { got, err := who(); return err == nil && got == "first" })
		})
	}
}

// TestPoolCountsRefusals checks that a node that cannot be connected is a fault, each time that it is tried.
func TestPoolCountsRefusals(t *testing.T) {
	t.Parallel()
	var faults atomic.Int64
	pool := NewPool(PoolSettings{
		ReconnectMin: time.Millisecond, ReconnectMax: 2 * time.Millisecond,
		Observe: func(node, outcome string, took time.Duration) {
			if node != "nobody" || outcome != "fault" || took <= 0 {
				t.Errorf("node %s: %s after %s", node, outcome, took)
			}
			faults.Add(1)
		},
	}, []Node[plainClient]{{Name: "nobody", Driver: plainDriver{"http://127.0.0.1:9", time.Millisecond}}})
	eventually(t, "refusals are counted", func() bool { return faults.Load() >= 3 })
	pool.Close()
}

func TestPoolSaysWhyNobodyServes(t *testing.T) {
	t.Parallel()
	var height atomic.Int64
	server := scripted(t, "first", &height)
	server.SetFault(relayertest.HTML)
	pool := NewPool(PoolSettings{ReconnectMin: time.Millisecond, ReconnectMax: time.Millisecond},
		[]Node[plainClient]{{Name: "primary", Driver: plainDriver{server.HTTPURL, time.Second}}})
	t.Cleanup(func() { pool.Close() })
	eventually(t, "the reason is known", func() bool {
		err := pool.Do(t.Context(), func(context.Context, plainClient) error { return nil })
		return status.Code(err) == codes.Unavailable &&
			status.Convert(err).Message() == "no RPC node serves: primary answers with something other than the JSON expected"
	})
}

func TestPoolReturnsAnswers(t *testing.T) {
	t.Parallel()
	var height atomic.Int64
	server := scripted(t, "first", &height)
	pool := NewPool(PoolSettings{Timeout: time.Minute},
		[]Node[plainClient]{{Name: "primary", Driver: plainDriver{server.HTTPURL, time.Second}}})
	t.Cleanup(func() { pool.Close() })
	eventually(t, "it serves", func() bool { return pool.Statuses()[0].State == relayerv1.NodeState_NODE_STATE_ALIVE })
	err := pool.Do(t.Context(), func(ctx context.Context, c plainClient) error {
		_, err := c.ask(ctx, "unheard of")
		return err
	})
	if err == nil || err.Error() != "the method unheard of is not scripted" {
		t.Errorf("got %v, want the node's own error", err)
	}
	if s := pool.Statuses()[0]; s.State != relayerv1.NodeState_NODE_STATE_ALIVE {
		t.Errorf("an answered error made the node %v", s)
	}
}

func TestReasonHoldsNoAddress(t *testing.T) {
	t.Parallel()
	_, err := http.Get("http://user:key@127.0.0.1:1/secret")
	for _, err := range []error{err, fmt.Errorf("call: %w", err), Said("see https://node.example/key for more"),
		errors.New("wss://key@host failed")} {
		if got := Reason(err); got == "" || strings.Contains(got, "key") || strings.Contains(got, "secret") ||
			strings.Contains(got, "127.0") {
			t.Errorf("Reason(%v) = %q", err, got)
		}
	}
}

// What an operator can do about TLS and proxies depends on what is wrong with them.
func TestReasonNamesWhatToSet(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	get := func(url string, change func(*http.Transport, *x509.CertPool)) error {
		trusted := x509.NewCertPool()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
		defer transport.CloseIdleConnections()
		if change != nil {
			change(transport, trusted)
		}
		answer, err := (&http.Client{Transport: transport}).Get(url)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
	trust := func(_ *http.Transport, trusted *x509.CertPool) { trusted.AddCert(secure.Certificate()) }
	for want, err := range map[string]error{
		"": get(secure.URL, trust),
		"has a TLS certificate signed by an authority that is not trusted: if it is one of yours, name the file with the " +
			"authority's " +
			"certificate by SSL_CERT_FILE": get(secure.URL, nil),
		"has a TLS certificate of another host name": get(secure.URL, func(t *http.Transport, trusted *x509.CertPool) {
			trust(t, trusted)
			t.TLSClientConfig.ServerName = "other.example.net"
		}),
		"has a TLS certificate that has expired or is not valid yet, by this machine's clock": get(secure.URL,
			func(t *http.Transport, trusted *x509.CertPool) {
				trust(t, trusted)
				t.TLSClientConfig.Time = func() time.Time { return time.Unix(0, 0).Add(-time.Hour) }
			}),
		"does not speak TLS at this port: is it http or ws in place of https or wss": get(
			strings.Replace(plain.URL, "http", "https", 1), nil),
		"cannot be reached through its proxy (HTTPS_PROXY or HTTP_PROXY), which refuses connections": get(secure.URL,
			func(t *http.Transport, _ *x509.CertPool) {
				t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("user", "secret"), Host: "127.0.0.1:1"})
			}),
	} {
		if got := Reason(err); got != want {
			t.Errorf("Reason(%v) = %q; want %q", err, got, want)
		}
	}
}

func TestPoller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			fetches int
			failure atomic.Pointer[string] // its test and its reader run in turn, which the race detector cannot see
		)
		fail := func(text string) { failure.Store(&text) }
		fail("first answer is late")
		p := NewPoller(PollerSettings[int]{
			Subject: "the thing", Interval: 10 * time.Second, Retry: 20 * time.Second, Gap: time.Second, TTL: time.Minute,
			Fetch: func(context.Context) (int, error) {
				fetches++
				if text := *failure.Load(); text != "" {
					return 0, errors.New(text)
				}
				return fetches, nil
			},
		})
		defer p.Close()
		want := func(value int, message string) {
			t.Helper()
			synctest.Wait()
			got, err := p.Latest()
			if got != value || status.Convert(err).Message() != message {
				t.Errorf("Latest() = %d, %q, want %d, %q", got, status.Convert(err).Message(), value, message)
			}
		}
		want(0, "the thing has not been read yet: first answer is late")
		fail("")
		p.Trigger()
		want(2, "")
		p.Nudge() // within the gap: waits for its end
		want(2, "")
		time.Sleep(time.Second)
		want(3, "")
		p.Nudge()
		synctest.Wait()
		p.Trigger() // cuts the gap short
		want(4, "")
		time.Sleep(11 * time.Second) // the interval and its tenth
		want(5, "")
		fail("the chain is away")
		time.Sleep(45 * time.Second)
		want(5, "")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if _, err := p.Latest(); status.Code(err) != codes.Unavailable ||
			!strings.HasSuffix(err.Error(), "which is too long: the chain is away") {
			t.Errorf("beyond the age limit: %v", err)
		}
	})
}

func TestHub(t *testing.T) {
	t.Parallel()
	var h Hub
	digest := func(b byte) (d [32]byte) { d[0] = b; return d }
	message := func(p string, block uint64, d [32]byte) *relayerv1.WatchContractConfigsResponse {
		return &relayerv1.WatchContractConfigsResponse{Provider: p, ChangedInBlock: block, ConfigDigest: bytes.Clone(d[:])}
	}
	h.Publish("a", 0, digest(0))
	h.Publish("b", 5, digest(1))
	h.Publish("gone", 5, digest(1))
	h.Remove("gone")
	ctx, cancel := context.WithCancel(t.Context())
	received := make(chan *relayerv1.WatchContractConfigsResponse)
	ended := make(chan error, 1)
	go func() {
		ended <- h.Watch(ctx, func(m *relayerv1.WatchContractConfigsResponse) error { received <- m; return nil })
	}()
	next := func(want *relayerv1.WatchContractConfigsResponse) {
		t.Helper()
		if diff := cmp.Diff(want, <-received, protocmp.Transform()); diff != "" {
			t.Errorf("watch (-want +got):\n%s", diff)
		}
	}
	next(message("a", 0, digest(0)))
	h.Publish("a", 9, digest(2)) // while the reader is slow
	h.Publish("a", 10, digest(3))
	next(message("b", 5, digest(1)))
	next(message("a", 10, digest(3)))
	h.Publish("a", 10, digest(3)) // nothing new
	h.Publish("b", 11, digest(4))
	next(message("b", 11, digest(4)))
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v", err)
	}
}
