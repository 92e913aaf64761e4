package relayer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ErrWrongChain is returned by a Driver when a node serves another chain than the configured one. WrongChain says
// which.
var ErrWrongChain = errors.New("answers for another chain")

// WrongChain returns ErrWrongChain with the chain that the node serves, in words for people: "chain 5".
func WrongChain(served string) error { return wrongChain(served) }

type wrongChain string

func (w wrongChain) Error() string { return "answers for " + string(w) }

func (w wrongChain) Is(target error) bool { return target == ErrWrongChain }

// Driver connects to one RPC node. C is the client that makes calls.
type Driver[C any] interface {
	// Connect opens a client and checks that the node serves the right chain.
	Connect(ctx context.Context) (C, error)
	// Watch reports the newest block whenever it changes, checks that the node still answers for the right chain, and
	// returns the reason when it does not.
	Watch(ctx context.Context, client C, report func(height uint64)) error
	// Disconnect closes a client that Connect opened. Calls in progress on it fail.
	Disconnect(client C)
}

// Node is one RPC node of a Pool.
type Node[C any] struct {
	// Name in the configuration.
	Name   string
	Driver Driver[C]
	// SendOnly nodes take part in Broadcast and serve nothing else. The height that their driver reports is ignored.
	SendOnly bool
}

// Selection decides which of several equally good nodes is asked first.
type Selection int

// The selections.
const (
	// InOrder asks the nodes in the order of the configuration.
	InOrder Selection = iota
	// HighestHead asks the node with the newest block first.
	HighestHead
	// RoundRobin asks the nodes in turn.
	RoundRobin
)

// PoolSettings configure a Pool, except for its nodes.
type PoolSettings struct {
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Selection of nodes; zero means InOrder.
	Selection Selection
	// MaxLag is how many blocks a node may be behind the newest of all before others are asked first; 0 means 5.
	MaxLag uint64
	// MaxSilence is how long a node may report no new block before others are asked first; 0 means for ever, for chains
	// that make no blocks while nothing happens.
	MaxSilence time.Duration
	// Timeout bounds one call to one node; 0 means 5 s. While another node can be asked, a call waits a quarter of it,
	// and at least 2 s, so that a node that hangs leaves time for the next.
	Timeout time.Duration
	// ReconnectMin and ReconnectMax bound the pause before a failed node is connected again; 0 means 500 ms and 1.5 s,
	// so that feeds resume within 3 s of its return.
	ReconnectMin, ReconnectMax time.Duration
	// Observe, if set, is called with the outcome of each call to each node, "ok" or "fault", and its duration. A node
	// that cannot be connected is also a fault, and so is one that stops reporting blocks, with duration 0. It must not
	// block.
	Observe func(node, outcome string, took time.Duration)
	// Advanced, if set, is called with each new height of each node. It must not block.
	Advanced func(node string, height uint64)
	// Serves, if set, is called when a node begins to serve, for the first time or again, so that waiting work can go
	// on although no block is new. It must not block.
	Serves func(node string)
}

// Pool keeps clients of several nodes of one chain and makes each call to the best of them: connected, not behind the
// others, without a recent fault, and first by the Selection. If a node fails, the call goes on to the next.
type Pool[C any] struct {
	settings PoolSettings
	nodes    []*member[C]
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	turns    atomic.Uint64 // calls so far, for RoundRobin
	reached  chan struct{} // closed when a node has reported a block for the first time
	reach    func()
}

// NewPool begins to connect to all nodes and returns at once.
func NewPool[C any](settings PoolSettings, nodes []Node[C]) *Pool[C] {
	if settings.Logger == nil {
		settings.Logger = slog.New(slog.DiscardHandler)
	}
	settings.MaxLag = cmp.Or(settings.MaxLag, 5)
	settings.Timeout = cmp.Or(settings.Timeout, 5*time.Second)
	settings.ReconnectMin = cmp.Or(settings.ReconnectMin, 500*time.Millisecond)
	settings.ReconnectMax = cmp.Or(settings.ReconnectMax, 1500*time.Millisecond)
	p := &Pool[C]{settings: settings, reached: make(chan struct{})}
	p.reach = sync.OnceFunc(func() { close(p.reached) })
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, node := range nodes {
		m := &member[C]{Node: node, state: relayerv1.NodeState_NODE_STATE_CONNECTING, reason: silent}
		p.nodes = append(p.nodes, m)
		p.running.Go(func() { p.keep(m) })
	}
	return p
}

// Close disconnects from all nodes and waits for the end of every goroutine.
func (p *Pool[C]) Close() error {
	p.cancel()
	p.running.Wait()
	return nil
}

// The outcomes that are reported to PoolSettings.Observe.
const (
	outcomeOK    = "ok"
	outcomeFault = "fault"
)

// ranked are the connected nodes, best first; for sending, the SendOnly ones follow at the end.
func (p *Pool[C]) ranked(sending bool) []*member[C] {
	type rank struct {
		*member[C]
		late   bool
		faults int
		height uint64
	}
	nodes := p.nodes
	if p.settings.Selection == RoundRobin && len(nodes) > 0 {
		first := int(p.turns.Add(1) % uint64(len(nodes)))
		nodes = slices.Concat(nodes[first:], nodes[:first])
	}
	newest := p.Height()
	var ranks []rank
	for _, m := range nodes {
		if m.SendOnly && !sending {
			continue
		}
		m.mu.Lock()
		if m.connected && time.Now().After(m.rest) {
			ranks = append(ranks, rank{m, p.lateLocked(m, newest) != "", m.faults, m.height})
		}
		m.mu.Unlock()
	}
	slices.SortStableFunc(ranks, func(a, b rank) int {
		// A node that failed comes after the others until it reports a block again: one that hangs would cost each call its
		// wait.
		better := cmp.Or(order(a.SendOnly, b.SendOnly), order(a.faults > 0, b.faults > 0), order(a.late, b.late),
			cmp.Compare(a.faults, b.faults))
		if better == 0 && p.settings.Selection == HighestHead {
			return cmp.Compare(b.height, a.height)
		}
		return better
	})
	members := make([]*member[C], len(ranks))
	for i, r := range ranks {
		members[i] = r.member
	}
	return members
}

// lateLocked says why a node is asked after the others although it answers; empty if it is not.
func (p *Pool[C]) lateLocked(m *member[C], newest uint64) string {
	switch silence := time.Since(m.news); {
	case m.SendOnly || m.news.IsZero():
		return ""
	case newest > m.height && newest-m.height > p.settings.MaxLag:
		return fmt.Sprintf("is %d blocks behind the newest node and is asked last", newest-m.height)
	case p.settings.MaxSilence > 0 && silence > p.settings.MaxSilence:
		return fmt.Sprintf("has told of no new block for %s and is asked last", silence.Round(time.Second))
	default:
		return ""
	}
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// Height returns the newest block of all connected nodes; 0 if there is none.
func (p *Pool[C]) Height() uint64 {
	var newest uint64
	for _, m := range p.nodes {
		m.mu.Lock()
		if m.connected && !m.SendOnly {
			newest = max(newest, m.height)
		}
		m.mu.Unlock()
	}
	return newest
}

// Await waits until any node has reported its first block, as the function Await does. It does not wait in later
// outages.
//
// It returns UNAVAILABLE with each node's reason and no addresses.
func (p *Pool[C]) Await(ctx context.Context) error {
	if len(p.nodes) > 0 {
		Await(ctx, p.reached)
	}
	select {
	case <-p.reached:
		return nil
	default:
		return p.unavailable(nil)
	}
}

// Best returns the client to which a call would go now.
func (p *Pool[C]) Best() (client C, err error) {
	ranked := p.ranked(false)
	if len(ranked) == 0 {
		return client, p.unavailable(nil)
	}
	m := ranked[0]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client, nil
}

// Do makes a call to the best node, and to the next after a fault. Every error of call is a fault of the node, except
// one marked with Answered or Unserved, and one that comes when ctx has ended.
//
// Do returns the answered error, or UNAVAILABLE with each node's reason and no addresses.
func (p *Pool[C]) Do(ctx context.Context, call func(ctx context.Context, client C) error) error {
	tried := map[string]string{}
	members := p.ranked(false)
	for i, m := range members {
		timeout := p.settings.Timeout
		if i < len(members)-1 {
			timeout = min(timeout, max(timeout/4, 2*time.Second))
		}
		err := p.try(ctx, m, timeout, call)
		if answer := (answered{}); errors.As(err, &answer) {
			return answer.error
		}
		if err == nil {
			return nil
		}
		tried[m.Name] = Reason(err)
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	return p.unavailable(tried)
}

func (p *Pool[C]) try(ctx context.Context, m *member[C], timeout time.Duration,
	call func(ctx context.Context, client C) error) error {
	m.mu.Lock()
	client, connected, session := m.client, m.connected, m.session
	m.mu.Unlock()
	if !connected {
		return Said("is not connected any more")
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begin := time.Now()
	err := call(attempt, client)
	switch took := time.Since(begin); {
	case blameless(err):
		m.answered(took)
		p.outcome(m, session, nil, took)
	case ctx.Err() != nil: // the caller gave up: that says nothing of the node
	default:
		p.outcome(m, session, err, took)
	}
	return err
}

// Broadcast makes a call to all connected nodes concurrently and returns nil with the first that succeeds; the others
// go on, each within its own timeout. If no node succeeds, Broadcast returns the first answered error, or else
// UNAVAILABLE with each node's reason. sure reports that every node that was asked has answered, but for those that do
// not serve the call: they say nothing of it. If none serves it, sure is false.
func (p *Pool[C]) Broadcast(ctx context.Context,
	call func(ctx context.Context, client C) error) (sure bool, err error) {
	members := p.ranked(true)
	if len(members) == 0 {
		return true, p.unavailable(nil)
	}
	type result struct {
		node string
		err  error
	}
	results := make(chan result, len(members))
	for _, m := range members {
		p.running.Go(func() { // detached from the caller: the first success must not end the others
			err := p.try(p.ctx, m, p.settings.Timeout, call)
			results <- result{m.Name, err}
		})
	}
	sure = true
	var answer error
	tried := map[string]string{}
	for range members {
		select {
		case r := <-results:
			a := answered{}
			switch {
			case r.err == nil:
				return true, nil
			case errors.As(r.err, &a):
				if answer == nil {
					answer = a.error
				}
			default:
				sure = sure && IsUnserved(r.err)
				tried[r.node] = Reason(r.err)
			}
		case <-ctx.Done():
			return false, status.FromContextError(ctx.Err()).Err()
		}
	}
	if answer != nil {
		return sure, answer
	}
	return false, p.unavailable(tried)
}

// unavailable says of each node why it does not serve.
func (p *Pool[C]) unavailable(tried map[string]string) error {
	return status.Error(codes.Unavailable, p.why(tried, "is not connected"))
}

// Why says why no node serves, for the error of a caller that waited in vain: it has each node's name and reason,
// without addresses.
func (p *Pool[C]) Why() string { return p.why(nil, silent) }

// why takes a node's reason from tried, else from its state. A node without either has the reason otherwise.
func (p *Pool[C]) why(tried map[string]string, otherwise string) string {
	var reasons []string
	for i, s := range p.Statuses() {
		if p.nodes[i].SendOnly && tried[s.GetName()] == "" && s.GetState() == relayerv1.NodeState_NODE_STATE_ALIVE {
			continue // it does all that it is for
		}
		reasons = append(reasons, fmt.Sprintf("%s %s", s.GetName(), cmp.Or(tried[s.GetName()], s.GetReason(), otherwise)))
	}
	if len(reasons) == 0 {
		return "no RPC node is configured; name at least one"
	}
	return "no RPC node serves: " + strings.Join(reasons, "; ")
}

// Statuses describes the nodes in the order of the configuration.
func (p *Pool[C]) Statuses() []*relayerv1.NodeStatus {
	newest := p.Height()
	statuses := make([]*relayerv1.NodeStatus, len(p.nodes))
	for i, m := range p.nodes {
		m.mu.Lock()
		s := &relayerv1.NodeStatus{Name: m.Name, State: m.state, Reason: m.reason, LatestBlock: m.height}
		if m.latency > 0 {
			s.Latency = durationpb.New(m.latency)
		}
		if s.State == relayerv1.NodeState_NODE_STATE_ALIVE {
			switch {
			case m.faults > 0:
				s.State = relayerv1.NodeState_NODE_STATE_UNREACHABLE
			default:
				s.Reason = p.lateLocked(m, newest)
			}
		}
		m.mu.Unlock()
		statuses[i] = s
	}
	return statuses
}

// Page returns a page of Statuses, as ChainService.ListNodeStatuses does. Its token is the number of nodes before it.
//
// It returns INVALID_ARGUMENT for an invalid token.
func (p *Pool[C]) Page(request *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	nodes := p.Statuses()
	start := 0
	if token := request.GetPageToken(); token != "" {
		var err error
		if start, err = strconv.Atoi(token); err != nil || start <= 0 || start >= len(nodes) {
			return nil, status.Errorf(codes.InvalidArgument,
				"page_token: %q is not from a list of this chain's %d nodes; begin again without one", token, len(nodes))
		}
	}
	end := len(nodes)
	response := &relayerv1.ListNodeStatusesResponse{Total: uint32(len(nodes))}
	if size := int64(request.GetPageSize()); size > 0 && size < int64(end-start) {
		end = start + int(size)
		response.NextPageToken = strconv.Itoa(end)
	}
	response.Nodes = nodes[start:end]
	return response, nil
}
