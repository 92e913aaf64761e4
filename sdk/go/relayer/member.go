package relayer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

type member[C any] struct {
	Node[C]
	mu        sync.Mutex
	client    C
	connected bool
	state     relayerv1.NodeState
	reason    string
	height    uint64
	latency   time.Duration // of the newest call that it answered; 0 if there is none
	news      time.Time     // when the height last changed
	faults    int           // in a row
	until     time.Time     // before this time no block that it reports clears its faults
	rest      time.Time     // it is not connected before this time, as it asked
	session   uint64        // counts its clients
	restart   context.CancelCauseFunc
}

// silent is the reason of a node that neither answered nor failed so far.
const silent = "has not answered yet"

// keep connects a node, watches it, and connects it again when it fails.
func (p *Pool[C]) keep(m *member[C]) {
	pause := &backoff.ExponentialBackOff{
		InitialInterval:     p.settings.ReconnectMin,
		RandomizationFactor: 0.5,
		Multiplier:          2,
		MaxInterval:         p.settings.ReconnectMax,
	}
	pause.Reset()
	told := "" // the reason that was logged last
	for {
		served, err := p.session(m)
		if p.ctx.Err() != nil {
			return
		}
		if served {
			pause.Reset()
		}
		m.fail(err)
		if reason := shortcoming(err); served || reason != told {
			told = reason
			p.settings.Logger.Warn("an RPC node does not serve; it is dialled again", "node", m.Name, "reason", reason)
		}
		wait := min(pause.NextBackOff(), p.settings.ReconnectMax) // its jitter goes beyond the bound
		timer := time.NewTimer(max(wait, m.resting()))
		select {
		case <-p.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// session connects a node once, and watches it until that fails. served reports whether the node ever reported a block.
func (p *Pool[C]) session(m *member[C]) (served bool, err error) {
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	dial, stop := context.WithTimeout(ctx, p.settings.Timeout)
	begin := time.Now()
	client, err := m.Driver.Connect(dial)
	stop()
	if err != nil {
		p.observe(m, outcomeFault, time.Since(begin))
		return false, err
	}
	defer m.Driver.Disconnect(client)
	m.answered(time.Since(begin))
	m.mu.Lock()
	m.client, m.connected, m.session, m.restart = client, true, m.session+1, cancel
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		var none C
		m.client, m.connected = none, false
	}()
	err = m.Driver.Watch(ctx, client, func(height uint64) {
		begins := !served
		served = true
		m.mu.Lock()
		if m.height != height || begins {
			m.news = time.Now()
		}
		m.height, m.state = height, relayerv1.NodeState_NODE_STATE_ALIVE
		if time.Now().After(m.until) { // its pause after faults is over: it may be asked again
			m.faults, m.reason = 0, ""
		}
		m.mu.Unlock()
		if m.SendOnly {
			return
		}
		p.reach()
		if p.settings.Advanced != nil {
			p.settings.Advanced(m.Name, height)
		}
		if begins && p.settings.Serves != nil {
			p.settings.Serves(m.Name)
		}
	})
	switch {
	case p.ctx.Err() != nil:
	case ctx.Err() != nil:
		err = context.Cause(ctx) // from calls, which were observed
	default:
		p.observe(m, outcomeFault, 0)
	}
	return served, err
}

// resting is for how much longer a node wants to be left alone.
func (m *member[C]) resting() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Until(m.rest)
}

func (m *member[C]) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.reason = relayerv1.NodeState_NODE_STATE_UNREACHABLE, shortcoming(err)
	m.rest = later(m.rest, restOf(err))
	if errors.Is(err, ErrWrongChain) {
		m.state = relayerv1.NodeState_NODE_STATE_WRONG_CHAIN
	}
}

// answered records how long an answer took.
func (m *member[C]) answered(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latency = took
}

// tolerance is how many calls in a row may fail before the client itself is made anew.
const tolerance = 5

// outcome records what a call by the client of a session says about its node.
func (p *Pool[C]) outcome(m *member[C], session uint64, err error, took time.Duration) {
	word := outcomeOK
	m.mu.Lock()
	if err == nil {
		m.faults, m.until = 0, time.Time{}
	} else {
		word = outcomeFault
		m.faults++
		// Half a second, doubled for each further fault, at most 16 s; jittered, since many callers saw the same fault.
		pause := 500 * time.Millisecond << min(m.faults-1, 5)
		m.until = time.Now().Add(pause/2 + rand.N(pause))
		m.reason = Reason(err)
		rest := restOf(err)
		m.rest = later(m.rest, rest)
		switch {
		case m.restart == nil:
		case rest > 0: // it is not even watched until it may be asked again
			m.restart(err)
		case m.faults == tolerance && session == m.session: // else the client was made anew meanwhile
			m.restart(errUseless)
		}
	}
	m.mu.Unlock()
	p.observe(m, word, took)
}

func (p *Pool[C]) observe(m *member[C], outcome string, took time.Duration) {
	if p.settings.Observe != nil {
		p.settings.Observe(m.Name, outcome, took)
	}
}

// later is the end of a rest that begins now, or of the known one if that ends later.
func later(known time.Time, rest time.Duration) time.Time {
	if end := time.Now().Add(rest); rest > 0 && end.After(known) {
		return end
	}
	return known
}
