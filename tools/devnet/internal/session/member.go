package session

import (
	"context"
	"maps"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
)

// member is a node with its place in the network, and what is known of it although its process was killed.
type member struct {
	*node.Node
	keys  node.Keys // before the network is complete
	jobID int64

	mu      sync.Mutex
	plugins []node.Plugin // as it last reported them
	left    []int         // processes of plugins when it was killed last
	away    bool          // it is to be killed, or was and is not ready again
	dying   bool          // it was asked for the last time, and its process may still run
	// What died with its processes: the generations of its plugins, what it observed, when that was.
	generations map[string]uint64
	observed    node.Observations
	votes       node.Votes
	failures    map[string]uint64 // of its job
	killed      []time.Time
	// accepted are the reports that it handed to its relayer: its Store was seen to hold them, or its log says so.
	accepted map[node.Round]bool
	// ended are the reports of which its relayer said what became of them, without their configuration.
	ended map[node.Round]bool
}

func newMember(started *node.Node) *member {
	return &member{Node: started, generations: map[string]uint64{}, observed: node.Observations{},
		accepted: map[node.Round]bool{}, ended: map[node.Round]bool{}}
}

// memory is what a node says of one generation, and forgets with it.
type memory struct {
	plugins  []node.Plugin
	observed node.Observations // of the median
	votes    node.Votes        // of a product
	failures map[string]uint64
}

// leave notes that the node is to be killed, and what it said last.
func (m *member) leave(last memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away, m.dying = true, true
	m.votes, m.failures = m.votes.Add(last.votes), added(m.failures, last.failures)
	m.plugins, m.left = nil, nil
	for _, plugin := range last.plugins {
		if plugin.PID > 0 {
			m.left = append(m.left, plugin.PID)
		}
		m.generations[plugin.Name] += plugin.Generation
	}
	maps.Copy(m.observed, last.observed)
}

// gone notes that the process of a node that has left has ended.
func (m *member) gone() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dying = false
	m.killed = append(m.killed, time.Now())
}

// back notes that the node is ready again.
func (m *member) back() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = false
}

// orphans are the processes that the node left behind when it was killed.
func (m *member) orphans() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left
}

func (m *member) isAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

// ask asks the node something that it need not answer while it is killed and started again: asked is whether it
// answered, and err is nil when a kill came in between.
func (m *member) ask(do func() error) (asked bool, err error) {
	generation := m.Generation()
	if m.isAway() {
		return false, nil
	}
	err = do()
	if err != nil && (m.isAway() || m.Generation() != generation) {
		return false, nil
	}
	return err == nil, err
}

// refresh asks the node for its plugins.
func (m *member) refresh(ctx context.Context) error {
	var plugins []node.Plugin
	generation := m.Generation()
	asked, err := m.ask(func() (err error) { plugins, err = m.Plugins(ctx); return err })
	if err != nil || !asked {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.away && m.Generation() == generation {
		m.plugins = plugins
	}
	return nil
}

// known are the plugins as the node last reported them, and restarts the generations of plugins after their first.
func (m *member) known() (plugins []node.Plugin, restarts uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := maps.Clone(m.generations)
	for _, plugin := range m.plugins {
		total[plugin.Name] += plugin.Generation
	}
	for _, generations := range total {
		if generations > 0 {
			restarts += generations - 1
		}
	}
	return m.plugins, restarts
}

// observations are what the node observed in a round that was observed at a time. forgotten says that it may have
// observed something that died with it.
func (m *member) observations(ctx context.Context, round node.Round,
	at time.Time) (values []*big.Int, forgotten bool, err error) {
	var now node.Observations
	if _, err := m.ask(func() (err error) { now, err = m.Observations(ctx, m.jobID); return err }); err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	values = slices.Concat(m.observed[round], now[round])
	if len(values) > 0 {
		return values, false, nil
	}
	// The chain knows only the second. The node's clock is this process's.
	forgotten = m.dying || slices.ContainsFunc(m.killed, func(killed time.Time) bool {
		return killed.After(at.Add(-2 * time.Second))
	})
	return nil, forgotten, nil
}

// gather reads from the node's database which reports it accepted and has not finished, and returns all that it has
// not.
func (m *member) gather(ctx context.Context) (node.Unfinished, error) {
	unfinished, err := m.Unfinished(ctx)
	if err != nil {
		return node.Unfinished{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, round := range unfinished.Reports {
		m.accepted[round] = true
	}
	return unfinished, nil
}

// readLog reads from the node's log which reports it accepted, and of which its relayer said what became of them.
func (m *member) readLog() error {
	told, err := m.Tale()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, round := range told.Accepted {
		m.accepted[round] = true
	}
	for _, round := range told.Ended {
		m.ended[round] = true
	}
	return nil
}

// acceptances are the reports that the node is known to have accepted, with whether its relayer said what became of
// them.
func (m *member) acceptances() map[audit.Position]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[audit.Position]bool{}
	for round := range m.accepted {
		all[audit.Position(round)] = m.ended[node.Round{Epoch: round.Epoch, Round: round.Round}]
	}
	return all
}
