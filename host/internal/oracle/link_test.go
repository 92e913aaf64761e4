package oracle

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/commontypes"
)

// newPeerLog is a peer's logger whose lines a test reads, without times and attributes that all have in common.
func newPeerLog() (l *peerLogger, lines func() []string) {
	out := &logs{}
	l = newPeerLogger(&logger{slog: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))})
	l.bound = func(string) error { return nil }
	return l, func() []string { return strings.Split(strings.TrimSpace(out.String()), "\n") }
}

// address is what libocr logs of a connection's other end when it was dialled from there.
type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// dialError is an error as the kernel's come out of Go's dialler, with the ports of one attempt.
func dialError(from int, reason string) error {
	return &net.OpError{Op: "dial", Net: "tcp", Source: &net.TCPAddr{Port: from}, Err: errors.New(reason)}
}

func TestPeerLoggerLeavesOutRepetition(t *testing.T) {
	t.Parallel()
	dial := func(peer, to string, err error) commontypes.LogFields {
		return commontypes.LogFields{"remotePeerID": peer, "remoteAddr": to, "direction": "out", "error": err}
	}
	limit := func(dropped int) commontypes.LogFields {
		return commontypes.LogFields{"remotePeerID": "A", "remoteAddr": "10.0.0.1:1", "remoteStreamName": "s",
			"dropped": dropped}
	}
	const exceeded = "authenticatedConnectionReadLoop: message limit exceeded, dropping message"
	for name, c := range map[string]struct {
		do   func(l *peerLogger)
		want []string
	}{
		"the same error, from another port": {func(l *peerLogger) {
			for port := range 100 {
				l.Warn("Dial error", dial("A", "10.0.0.1:1", dialError(port, "connection refused")))
			}
		}, []string{
			`level=WARN msg="Dial error" direction=out error="dial tcp :0: connection refused" remoteAddr=10.0.0.1:1 remotePeerID=A`,
		}},
		"another error, and back": {func(l *peerLogger) {
			for _, reason := range []string{"connection refused", "connection refused", "i/o timeout", "connection refused"} {
				l.Warn("Dial error", dial("A", "10.0.0.1:1", dialError(0, reason)))
			}
		}, []string{
			`level=WARN msg="Dial error" direction=out error="dial tcp :0: connection refused" remoteAddr=10.0.0.1:1 remotePeerID=A`,
			`level=WARN msg="Dial error" direction=out error="dial tcp :0: i/o timeout" remoteAddr=10.0.0.1:1 remotePeerID=A repeated=1`,
			`level=WARN msg="Dial error" direction=out error="dial tcp :0: connection refused" remoteAddr=10.0.0.1:1 remotePeerID=A`,
		}},
		"two addresses in turn, and another peer": {func(l *peerLogger) {
			for range 3 {
				l.Warn("Dial error", dial("A", "10.0.0.1:1", errors.New("x")))
				l.Warn("Dial error", dial("A", "10.0.0.2:1", errors.New("x")))
				l.Warn("Dial error", dial("B", "10.0.0.1:1", errors.New("x")))
			}
		}, []string{
			`level=WARN msg="Dial error" direction=out error=x remoteAddr=10.0.0.1:1 remotePeerID=A`,
			`level=WARN msg="Dial error" direction=out error=x remoteAddr=10.0.0.2:1 remotePeerID=A`,
			`level=WARN msg="Dial error" direction=out error=x remoteAddr=10.0.0.1:1 remotePeerID=B`,
		}},
		"a peer that comes and goes": {func(l *peerLogger) {
			l.Warn("Dial error", dial("A", "10.0.0.1:1", errors.New("x")))
			l.Warn("Dial error", dial("A", "10.0.0.1:1", errors.New("x")))
			l.Warn("Dial error", dial("A", "10.0.0.1:1", errors.New("x")))
			l.Info("Connection established", commontypes.LogFields{"remotePeerID": "A", "remoteAddr": address("10.0.0.1:5")})
			l.Warn("Dial error", dial("A", "10.0.0.1:1", errors.New("x")))
		}, []string{
			`level=WARN msg="Dial error" direction=out error=x remoteAddr=10.0.0.1:1 remotePeerID=A`,
			`level=INFO msg="Connection established" remoteAddr=10.0.0.1:5 remotePeerID=A repeated=2`,
			`level=WARN msg="Dial error" direction=out error=x remoteAddr=10.0.0.1:1 remotePeerID=A`,
		}},
		"a peer that is away for long": {func(l *peerLogger) {
			for range 25 {
				l.Warn("Dial error", dial("A", "10.0.0.1:1", errors.New("x")))
				time.Sleep(time.Minute) // the bubble's
			}
		}, []string{
			`level=WARN msg="Dial error" direction=out error=x remoteAddr=10.0.0.1:1 remotePeerID=A`,
			`level=WARN msg="Dial error" direction=out error=x remoteAddr=10.0.0.1:1 remotePeerID=A repeated=9`,
			`level=WARN msg="Dial error" direction=out error=x remoteAddr=10.0.0.1:1 remotePeerID=A repeated=9`,
		}},
		"limits that are exceeded again and again": {func(l *peerLogger) {
			for dropped := range 50 {
				l.Warn(exceeded, limit(dropped))
				l.Info("authenticatedConnectionReadLoop: limits are no longer being exceeded", limit(dropped))
			}
		}, []string{
			`level=WARN msg="` + exceeded + `" dropped=0 remoteAddr=10.0.0.1:1 remotePeerID=A remoteStreamName=s`,
			`level=INFO msg="authenticatedConnectionReadLoop: limits are no longer being exceeded" dropped=0 remoteAddr=10.0.0.1:1 remotePeerID=A remoteStreamName=s`,
		}},
		"errors, and strangers from other ports": {func(l *peerLogger) {
			for port := range 10 {
				l.Error("inbound data exceeded rate limit, connection closed",
					commontypes.LogFields{"remoteAddr": address(fmt.Sprintf("10.0.0.9:%d", port)), "direction": "in"})
			}
		}, []string{
			`level=ERROR msg="inbound data exceeded rate limit, connection closed" direction=in remoteAddr=10.0.0.9:0`}},
		"everything else": {func(l *peerLogger) {
			l.Info("Turned on stream", nil)
			l.Info("Turned on stream", nil)
		}, []string{`level=INFO msg="Turned on stream"`, `level=INFO msg="Turned on stream"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, lines := newPeerLog()
				c.do(l)
				if diff := cmp.Diff(c.want, lines()); diff != "" {
					t.Errorf("lines (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestPeerLoggerForgets has more strangers connect than it may remember.
func TestPeerLoggerForgets(t *testing.T) {
	t.Parallel()
	l, _ := newPeerLog()
	for stranger := range 10 * maxRepeats {
		l.Warn("Knock too short",
			commontypes.LogFields{"remoteAddr": address(fmt.Sprintf("[fd00::%x]:1", stranger)), "direction": "in"})
	}
	if len(l.said) > maxRepeats {
		t.Errorf("it remembers %d lines, want %d at most", len(l.said), maxRepeats)
	}
}

func TestPeerLoggerBoundsConnections(t *testing.T) {
	t.Parallel()
	l, lines := newPeerLog()
	var bounded []string
	l.bound = func(remote string) error {
		bounded = append(bounded, remote)
		if remote == "10.0.0.2:1" {
			return errors.New("no such socket")
		}
		return nil
	}
	l.Info("Connection established", commontypes.LogFields{"remotePeerID": "A", "remoteAddr": address("10.0.0.1:1")})
	l.Info("Connection established", commontypes.LogFields{"remotePeerID": "B", "remoteAddr": "10.0.0.2:1"})
	l.Info("Turned on stream", commontypes.LogFields{"remotePeerID": "B"})
	if diff := cmp.Diff([]string{"10.0.0.1:1", "10.0.0.2:1"}, bounded); diff != "" {
		t.Errorf("connections (-want +got):\n%s", diff)
	}
	if warned := strings.Count(strings.Join(lines(), "\n"), "level=WARN"); warned != 1 ||
		!strings.Contains(strings.Join(lines(), "\n"), `error="no such socket"`) {
		t.Errorf("want one warning of the socket that was not found:\n%s", strings.Join(lines(), "\n"))
	}
}
