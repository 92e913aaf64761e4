package oracle

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
)

// libocr's links have no read deadline, and TCP by itself tries to send the same data again at ever longer intervals,
// up to two minutes, so that a network which comes back stays unused for as long as it was away.
const (
	// retryInterval is the longest of these intervals where the kernel lets it be set, and that between two probes of a
	// link on which nothing is sent. It is the shortest that Linux takes.
	retryInterval = time.Second
	// maxRetried is how long a peer may then leave sent data unacknowledged before its link is given up and the peer is
	// dialled anew every DeltaDial. Keeping a link is faster: all links of a node recover at the same time, and libocr's
	// next leader hears everybody. But a firewall may have forgotten the link, or the peer may have another address.
	maxRetried = 2 * time.Minute
	// maxSilence is the same where the intervals grow.
	maxSilence = 10 * time.Second
)

// established is libocr's line for a connection that is about to be used. It comes from the goroutine that owns the
// connection.
const established = "Connection established"

// unbounded is the warning of a connection whose socket was not found or refuses an option.
const unbounded = "Cannot bound how long a connection with a peer may be silent: " +
	"after a failure of the network it may take as long as that lasted until the peer is heard again"

// atRest is libocr's line for a peer that sends less again.
const atRest = "authenticatedConnectionReadLoop: limits are no longer being exceeded"

const (
	// repeatPeriod is how often a line that libocr says again and again is logged.
	repeatPeriod = 10 * time.Minute
	// maxRepeats is how many lines are remembered: anybody can connect, and each new address makes a new line.
	maxRepeats = 1000
)

// peerLogger is the logger of the node's peer. It learns there of each new connection, and leaves out what libocr
// repeats: a peer that is away costs a line at each dial, one that sends too much two for a message.
type peerLogger struct {
	*logger
	bound func(remote string) error // boundSilence

	mu   sync.Mutex
	said map[repeated]*repeats
}

// repeated is the part that is equal in two lines if the second says nothing new.
type repeated struct{ message, peer, address, stream string }

type repeats struct {
	reason string
	logged time.Time
	count  int // since then
}

func newPeerLogger(l *logger) *peerLogger {
	return &peerLogger{logger: l, bound: boundSilence, said: map[repeated]*repeats{}}
}

// Info implements commontypes.Logger.
func (l *peerLogger) Info(msg string, fields commontypes.LogFields) {
	switch msg {
	case established:
		remote := text(fields["remoteAddr"])
		if err := l.bound(remote); err != nil {
			l.Warn(unbounded, commontypes.LogFields{"remotePeerID": fields["remotePeerID"], "remoteAddr": remote, "error": err})
		}
		fields = withCount(fields, l.forget(text(fields["remotePeerID"])))
	case atRest:
		count, log := l.admit(msg, fields)
		if !log {
			return
		}
		fields = withCount(fields, count)
	}
	l.logger.Info(msg, fields)
}

// Warn implements commontypes.Logger.
func (l *peerLogger) Warn(msg string, fields commontypes.LogFields) {
	if count, log := l.admit(msg, fields); log {
		l.logger.Warn(msg, withCount(fields, count))
	}
}

// Error implements commontypes.Logger.
func (l *peerLogger) Error(msg string, fields commontypes.LogFields) {
	if count, log := l.admit(msg, fields); log {
		l.logger.Error(msg, withCount(fields, count))
	}
}

// admit says whether a line is to be logged, and how many like it were left out before.
func (l *peerLogger) admit(msg string, fields commontypes.LogFields) (count int, log bool) {
	key := repeated{msg, text(fields["remotePeerID"]), text(fields["remoteAddr"]), text(fields["remoteStreamName"])}
	if host, _, err := net.SplitHostPort(key.address); err == nil && fields["direction"] == "in" {
		key.address = host // every connection has another port
	}
	reason := reasonOf(fields["error"])
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.said[key]
	if before != nil && before.reason == reason && time.Since(before.logged) < repeatPeriod {
		before.count++
		return 0, false
	}
	if before != nil {
		count = before.count
	} else if len(l.said) >= maxRepeats {
		clear(l.said)
	}
	l.said[key] = &repeats{reason: reason, logged: time.Now()}
	return count, true
}

// forget makes all lines about a peer count as new again, and returns how many of them were left out.
func (l *peerLogger) forget(peer string) (count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, before := range l.said {
		if key.peer == peer {
			count += before.count
			delete(l.said, key)
		}
	}
	return count
}

// withCount adds to a line how many like it were left out.
func withCount(fields commontypes.LogFields, count int) commontypes.LogFields {
	if count == 0 {
		return fields
	}
	fields = maps.Clone(fields)
	fields["repeated"] = count
	return fields
}

// reasonOf is an error without the addresses of its connection, which change each time.
func reasonOf(err any) string {
	var operation *net.OpError
	if err, ok := err.(error); ok && errors.As(err, &operation) {
		return operation.Op + ": " + operation.Err.Error()
	}
	return text(err)
}

// text writes a value of a log line; absent ones are empty.
func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
