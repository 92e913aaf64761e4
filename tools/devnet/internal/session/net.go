package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/hosts"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
)

// joinPeriod is how often a node that was started again is asked what it observed.
const joinPeriod = 50 * time.Millisecond

// Net is how a network of hosts fared.
type Net struct {
	// LongestGapMS is the longest time between two answers, in milliseconds.
	LongestGapMS int64 `json:"longest_gap_ms"`
	// Events are the events of the schedule that have begun, without conditions that held from the start.
	Events []NetEvent `json:"events"`
}

// NetEvent is how it fared during an event.
type NetEvent struct {
	// Event is the user's text.
	Event string `json:"event"`
	// Rounds is the number of answers during the event, and LongestGapMS the longest time between two answers of which
	// one is in it.
	Rounds       int   `json:"rounds"`
	LongestGapMS int64 `json:"longest_gap_ms"`
	// FirstRoundMS is the time from its end to the next answer; absent when it had no end. The end of what is done to a
	// node is when it is started again.
	FirstRoundMS *int64 `json:"first_round_ms,omitempty"`
	// JoinedMS is the time from when a node was started again until a round landed in which it observed; absent for other
	// events.
	JoinedMS *int64 `json:"joined_ms,omitempty"`
}

// happening is an event with when it took place.
type happening struct {
	hosts.Event
	begun, over time.Time     // zero: it has not, it is not
	joined      time.Duration // 0: the node has not
}

// checkNet says what is wrong with what the user wants of the network, and returns its events.
func checkNet(config Config) ([]*happening, error) {
	if len(config.Net) > 0 && !config.Hosts {
		return nil, errors.New("--net says what happens between hosts, but the nodes have none without --hosts; add it")
	}
	if len(config.Net) == 0 && (config.HealedWithin != 0 || config.JoinedWithin != 0) {
		return nil, errors.New("--healed-within and --joined-within say how events may end, " +
			"but there are none without --net; add one")
	}
	if config.HealedWithin < 0 || config.JoinedWithin < 0 {
		return nil, fmt.Errorf("--healed-within is %s and --joined-within %s; give times above zero, or 0 for any",
			config.HealedWithin, config.JoinedWithin)
	}
	if config.Hosts && config.Source != "" {
		return nil, errors.New("--source names a server that nodes cannot reach from hosts of their own; " +
			"leave out --source or --hosts")
	}
	var all []*happening
	for _, text := range config.Net {
		event, err := hosts.ParseEvent(text, config.Nodes)
		if err != nil {
			return nil, err
		}
		if event.Condition == nil && config.KillEvery > 0 {
			return nil, fmt.Errorf("--net %q and --kill-every would kill a node twice; leave one of them out", text)
		}
		all = append(all, &happening{Event: event})
	}
	return all, checkStops(all)
}

// checkStops finds what would be done to a node that is stopped.
func checkStops(all []*happening) error {
	for _, stop := range all {
		for _, h := range all {
			if stop.Act == hosts.Stop && h != stop && h.Condition == nil && h.Node == stop.Node &&
				h.At >= stop.At && h.At <= stop.At+stop.For {
				return fmt.Errorf("--net %q falls into %q, when the node does not run; choose another time", h.Text, stop.Text)
			}
		}
	}
	return nil
}

// NetLength is how long the events of the network take, from the first round on. Events that cannot be read take no
// time.
func NetLength(config Config) time.Duration {
	var length time.Duration
	for _, text := range config.Net {
		if e, err := hosts.ParseEvent(text, config.Nodes); err == nil {
			length = max(length, e.At+e.For)
		}
	}
	return length
}

// timed says whether an event begins after the first round.
func timed(all []*happening) bool {
	return slices.ContainsFunc(all, func(h *happening) bool { return h.Timed })
}

// progress is how long a leader has to be given for a round among so many nodes: six messages go one after another,
// nodes enter an epoch up to one apart, and the rest is for their own work. Messages that reach a quorum without delay
// do not count.
func progress(all []*happening, nodes int) time.Duration {
	var longest time.Duration
	for _, h := range all {
		if h.Condition != nil && h.Condition.Parts(nodes, 2*ocr2.Faulty(nodes)+1) {
			longest = max(longest, h.Condition.Delay)
		}
	}
	return 10 * longest
}

// connect lets the hosts, if the nodes have any, reach the chain and the prices, and users the nodes.
func (n *network) connect() (err error) {
	n.chain = n.ledger.describe()
	n.chain.Relay = n.relay
	if n.hosts == nil {
		return nil
	}
	if n.chain.HTTPURL, err = n.hosts.URL(n.chain.HTTPURL); err != nil {
		return err
	}
	if n.chain.WSURL, err = n.hosts.URL(n.chain.WSURL); err != nil {
		return err
	}
	if err := n.prices.Through(n.hosts.URL); err != nil {
		return err
	}
	for i, port := range n.httpPorts {
		if err := n.hosts.Publish(i, port); err != nil {
			return err
		}
	}
	n.setNet()
	return nil
}

// hostOf is where a node runs; nil: with everything else.
func (n *network) hostOf(i int) *node.Host {
	if n.hosts == nil {
		return nil
	}
	return &node.Host{Namespace: n.hosts.Namespace(i), Address: n.hosts.Address(i)}
}

// setNet gives the hosts the conditions that hold now.
func (n *network) setNet() {
	var now []*hosts.Condition
	for _, h := range n.events {
		if h.Condition != nil && (!h.Timed || !h.begun.IsZero()) && h.over.IsZero() {
			now = append(now, h.Condition)
		}
	}
	n.hosts.Set(now)
}

// step is the beginning or the end of an event.
type step struct {
	*happening
	at  time.Duration
	end bool
}

func steps(all []*happening) []step {
	var found []step
	for _, h := range all {
		if h.Timed {
			found = append(found, step{h, h.At, false})
		}
		if h.For > 0 {
			found = append(found, step{h, h.At + h.For, true})
		}
	}
	slices.SortStableFunc(found, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return found
}

// happen has the events take place, until they are over and nodes that were started again have joined. When the session
// has what it wants before, nothing more begins, and what has begun ends. The conditions are lifted in the end.
func (n *network) happen(ctx context.Context, group *errgroup.Group) error {
	defer close(n.rested)
	defer n.hosts.Set(nil)
	select {
	case <-n.begun:
	case <-n.enough:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-n.enough:
			cancel()
		case <-waiting.Done():
		}
	}()
	joins, joining := errgroup.WithContext(waiting)
	from := time.Now()
	for _, s := range steps(n.events) {
		pause := time.NewTimer(time.Until(from.Add(s.at)))
		select {
		case <-ctx.Done():
		case <-n.enough:
		case <-pause.C:
		}
		pause.Stop()
		if ctx.Err() != nil {
			break
		}
		if n.isOver() && (!s.end || s.begun.IsZero()) {
			continue
		}
		join := func(m *member) { joins.Go(func() error { return n.join(joining, m, s.happening) }) }
		if err := n.perform(ctx, group, s, join); err != nil {
			cancel()
			_ = joins.Wait() // it was cancelled
			return err
		}
	}
	if err := unlessOver(waiting, joins.Wait()); err != nil {
		return err
	}
	n.mu.Lock()
	n.calm = true // the next round shows that the feed has gone on
	n.mu.Unlock()
	select {
	case <-n.enough:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// isOver says whether there is nothing more to wait for.
func (n *network) isOver() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.over
}

// perform begins or ends an event, and calls join for a node that it started again.
func (n *network) perform(ctx context.Context, group *errgroup.Group, s step, join func(*member)) error {
	if s.end {
		n.display.Step("Over: " + s.Text)
	} else {
		n.display.Step("Now: " + s.Text)
		s.begun = time.Now()
	}
	if s.Condition != nil {
		if s.end {
			s.over = time.Now()
		}
		n.setNet()
		return nil
	}
	m := n.members[s.Node]
	if !s.end {
		// Who started it last looks when it is ready, and must have seen that before it is killed again.
		for m.isAway() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(joinPeriod):
			}
		}
		plugins, err := m.Plugins(ctx)
		if err != nil {
			return err
		}
		if err := n.endNode(ctx, m, plugins); err != nil {
			return err
		}
	}
	if s.Act == hosts.Stop && !s.end {
		return nil
	}
	if s.Act == hosts.Move {
		if err := n.hosts.Move(s.Node); err != nil {
			return err
		}
		if err := m.Move(n.hosts.Address(s.Node)); err != nil {
			return err
		}
	}
	if err := n.beginNode(ctx, group, m); err != nil {
		return err
	}
	s.over = time.Now()
	join(m)
	return nil
}

// join waits until a round has landed in which a node that was started again observed: then others hear it, and it
// hears them. An observation alone is not enough: a leader makes them in rounds that nobody else knows of, too.
func (n *network) join(ctx context.Context, m *member, h *happening) error {
	n.mu.Lock()
	before := len(n.landed)
	n.mu.Unlock()
	ticker := time.NewTicker(joinPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		joined, err := n.hasJoined(ctx, m, before)
		if err != nil {
			return err
		}
		if joined {
			h.joined = time.Since(h.over)
			n.display.Step(fmt.Sprintf("%s has joined %.1f s after it was started again.", m.Name(), h.joined.Seconds()))
			return nil
		}
	}
}

// hasJoined says whether a node observed in one of the rounds that have landed since there were before of them. For a
// product, only the chain tells which nodes observed.
func (n *network) hasJoined(ctx context.Context, m *member, before int) (bool, error) {
	if n.product != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		return slices.ContainsFunc(n.taken[min(before, len(n.taken)):], func(t transmission) bool {
			return slices.Contains(t.Observers, slices.Index(n.members, m))
		}), nil
	}
	var observed node.Observations
	if _, err := m.ask(func() (err error) { observed, err = m.Observations(ctx, m.jobID); return err }); err != nil {
		return false, err
	}
	return n.tookPart(observed, before), nil
}

// tookPart says whether a node observed in one of the rounds that have landed since there were before of them.
func (n *network) tookPart(observed node.Observations, before int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.landed[before:], func(at audit.Position) bool {
		return len(observed[node.Round(at)]) > 0
	})
}

// tell reports how a network fared whose answers came at these times.
func tell(events []*happening, arrivals []time.Time) *Net {
	told := &Net{Events: []NetEvent{}}
	if len(arrivals) > 0 {
		_, told.LongestGapMS = count(arrivals, arrivals[0], arrivals[len(arrivals)-1])
	}
	for _, h := range events {
		if h.begun.IsZero() {
			continue
		}
		e := NetEvent{Event: h.Text}
		until := h.over
		if until.IsZero() && len(arrivals) > 0 {
			until = arrivals[len(arrivals)-1]
		}
		e.Rounds, e.LongestGapMS = count(arrivals, h.begun, until)
		if after := slices.IndexFunc(arrivals, h.over.Before); after >= 0 && !h.over.IsZero() {
			e.FirstRoundMS = milliseconds(arrivals[after].Sub(h.over))
		}
		if h.joined > 0 {
			e.JoinedMS = milliseconds(h.joined)
		}
		told.Events = append(told.Events, e)
	}
	return told
}

// late is an error when the feed took longer to recover than it may.
func (n *Net) late(healedWithin, joinedWithin time.Duration) error {
	for _, e := range n.Events {
		if e.FirstRoundMS != nil && healedWithin > 0 && *e.FirstRoundMS > healedWithin.Milliseconds() {
			return fmt.Errorf("--net %q was over for %d ms when the next round came, and --healed-within allows %s",
				e.Event, *e.FirstRoundMS, healedWithin)
		}
		if e.JoinedMS != nil && joinedWithin > 0 && *e.JoinedMS > joinedWithin.Milliseconds() {
			return fmt.Errorf("--net %q: the node observed %d ms after it was started again, and --joined-within allows %s",
				e.Event, *e.JoinedMS, joinedWithin)
		}
	}
	return nil
}

func milliseconds(d time.Duration) *int64 {
	ms := d.Milliseconds()
	return &ms
}

// count counts the answers from a time to another, and measures the longest gap, in milliseconds, of those that reach
// into it.
func count(arrivals []time.Time, from, to time.Time) (rounds int, gap int64) {
	for i, arrival := range arrivals {
		if !arrival.Before(from) && !arrival.After(to) {
			rounds++
		}
		if i > 0 && arrival.After(from) && arrivals[i-1].Before(to) {
			gap = max(gap, arrival.Sub(arrivals[i-1]).Milliseconds())
		}
	}
	return rounds, gap
}
