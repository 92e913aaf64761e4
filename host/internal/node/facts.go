package node

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// healthTimeout bounds the call for a chain's state. Its relayer keeps the state, so a healthy one answers at once.
const healthTimeout = time.Second

// memory is what is remembered of the node's parts from earlier looks.
type memory struct {
	plugins map[string]*pluginMemory
	chains  map[partID]*chainMemory
}

func newMemory() memory {
	return memory{plugins: map[string]*pluginMemory{}, chains: map[partID]*chainMemory{}}
}

type pluginMemory struct {
	phase    health.Phase
	since    time.Time
	restarts uint64
	ends     []time.Time // that are in the last health.Window
}

type chainMemory struct {
	begun, served time.Time
	told          health.Attempts
	well          map[string]time.Time // when each RPC node last was, by name
}

// chainSeen is a chain with what its relayer told of it when it was asked last.
type chainSeen struct {
	id      string
	served  *served
	nodes   []*relayerv1.NodeStatus
	told    *relayerv1.ChainStatusResponse
	err     error
	state   health.State
	account map[string]health.Account // by name
}

func (c *chainSeen) part() partID { return chainPart(c.served.plugin.Name(), c.id) }

// title is how people call the chain.
func (c *chainSeen) title() string { return c.served.title + " chain " + c.id }

// Chain is a chain as a process of its relayer serves it.
type Chain struct {
	Relay, ID string
	// Plugin is the name of that process.
	Plugin string
	Health health.Part
	// Nodes and Accounts are what the relayer told when it was asked last.
	Nodes    []*relayerv1.NodeStatus
	Accounts []*relayerv1.AccountStatus
}

// Chains looks at all parts of the node, and returns its chains: one that isolated jobs use once for each process.
func (n *Node) Chains(ctx context.Context) []Chain {
	n.states.look(ctx)
	found := n.states.last()
	var all []Chain
	for _, part := range found.all {
		if part.kind != health.KindChain {
			continue
		}
		now, _ := n.states.of(part.partID)
		c := found.chains[part.partID]
		all = append(all, Chain{
			Relay: c.served.relayer.Relay(), ID: c.id, Plugin: c.served.plugin.Name(), Health: now, Nodes: c.nodes,
			Accounts: c.told.GetAccounts(),
		})
	}
	return all
}

// survey is the result of a look at the node's parts.
type survey struct {
	all    []seen
	states map[partID]health.State
	chains map[partID]*chainSeen
}

func newSurvey() *survey {
	return &survey{states: map[partID]health.State{}, chains: map[partID]*chainSeen{}}
}

func (s *survey) add(part seen) {
	s.all = append(s.all, part)
	s.states[part.partID] = part.state
}

// survey finds every part and its state. Parts come before those that need them.
func (s *states) survey(ctx context.Context) *survey {
	n, now := s.node, time.Now()
	found := newSurvey()
	for _, p := range n.runtime.Plugins() {
		if st := p.Status(); st.State != supervise.Stopped { // an isolated job's that ends
			found.add(s.plugin(st, now))
		}
	}
	if !n.ready.Load() { // the other parts are being made
		found.add(seen{
			partID: partID{kind: health.KindNode}, name: "node",
			state: health.State{Level: health.Waiting, Cause: "starting", Reason: "the node " + n.phase()},
		})
		return found
	}
	found.add(s.database(now))
	found.add(seen{
		partID: configurationPart(), name: "configuration", state: s.node.reread.configuration().State(now),
	})
	for _, c := range n.plugins.ask(ctx) {
		c.state = s.chain(c, found.states[pluginPart(c.served.plugin.Name())], now)
		found.chains[c.part()] = c
		found.add(seen{
			partID: c.part(), name: c.title(), state: c.state, attributes: []slog.Attr{
				slog.String(
					"plugin",
					c.served.plugin.Name(),
				), slog.String("relay", c.served.relayer.Relay()), slog.String("chain", c.id),
			},
		})
	}
	jobs := n.jobs.list()
	for _, name := range bridgesOf(jobs) {
		found.add(seen{
			partID: bridgePart(name), name: "bridge " + name, attributes: []slog.Attr{slog.String("bridge", name)},
			state: health.Bridge{Name: name, Requests: n.sources.requestsTo(name)}.State(now),
		})
	}
	for _, r := range jobs {
		found.add(seen{
			partID: jobPart(r.stored.ID), name: r.title(), state: r.state(found, now),
			attributes: []slog.Attr{slog.Int64("job", r.stored.ID), slog.String("name", r.stored.Name)},
		})
	}
	s.forget(found)
	return found
}

// forget drops what is remembered of parts that have gone.
func (s *states) forget(found *survey) {
	for name := range s.memory.plugins {
		if _, is := found.states[pluginPart(name)]; !is {
			delete(s.memory.plugins, name)
		}
	}
	for id := range s.memory.chains {
		if _, is := found.states[id]; !is {
			delete(s.memory.chains, id)
		}
	}
}

func phase(s supervise.State) health.Phase {
	switch s {
	case supervise.Ready:
		return health.Serving
	case supervise.Restarting:
		return health.Restarting
	case supervise.Quarantined:
		return health.Quarantined
	case supervise.Stopped, supervise.Starting:
	}
	return health.Starting
}

func (s *states) plugin(st loophost.Status, now time.Time) seen {
	m := s.memory.plugins[st.Name]
	if m == nil {
		m = &pluginMemory{phase: phase(st.State), since: now, restarts: st.Restarts}
		s.memory.plugins[st.Name] = m
	}
	if p := phase(st.State); p != m.phase {
		m.phase, m.since = p, now
	}
	for ; m.restarts < st.Restarts; m.restarts++ {
		m.ends = append(m.ends, now)
	}
	m.ends = slices.DeleteFunc(m.ends, func(at time.Time) bool { return now.Sub(at) > health.Window })
	facts := health.Plugin{Name: st.Name, Phase: m.phase, Exit: st.LastExit, Since: m.since, Ends: len(m.ends)}
	for _, o := range st.Objects {
		if o.State == loophost.Parked {
			facts.Parked = append(facts.Parked, o.Type+": "+Worded(o.Reason))
		}
	}
	state := facts.State(now)
	if state.Level == health.Running && st.Confinement != "" {
		state.Reason = "confinement: " + st.Confinement.Told(st.Lacks)
	}
	return seen{
		partID: pluginPart(st.Name), name: "plugin " + st.Name, state: state,
		attributes: []slog.Attr{slog.String("plugin", st.Name)},
	}
}

func (s *states) database(now time.Time) seen {
	return seen{partID: databasePart(), name: "database", state: s.node.database.Condition().State(now)}
}

// ask asks the relayer of each chain for the chain's state. It does not ask a plugin that does not serve.
func (p *plugins) ask(ctx context.Context) []*chainSeen {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var all []*chainSeen
	var wait sync.WaitGroup
	for _, r := range p.running() {
		ready := r.plugin.Status().State == supervise.Ready
		for id, handle := range r.all() {
			c := &chainSeen{id: id, served: r}
			if all = append(all, c); ready {
				wait.Go(func() { c.ask(ctx, handle) })
			}
		}
	}
	wait.Wait()
	slices.SortFunc(all, func(a, b *chainSeen) int { return strings.Compare(a.title(), b.title()) })
	return all
}

func (c *chainSeen) ask(ctx context.Context, handle *relayerv1loophost.Chain) {
	nodes, err := handle.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
	if err == nil {
		c.nodes = nodes.GetNodes()
		c.told, err = handle.ChainStatus(ctx, &relayerv1.ChainStatusRequest{})
	}
	c.err = err
}

// chain is the state of a chain that was asked.
func (s *states) chain(c *chainSeen, plugin health.State, now time.Time) health.State {
	m := s.memory.chains[c.part()]
	if m == nil {
		m = &chainMemory{begun: now, well: map[string]time.Time{}}
		s.memory.chains[c.part()] = m
	}
	facts := health.Chain{ID: c.id, Section: c.served.relayer.Section(), Plugin: plugin, Begun: m.begun}
	switch {
	case c.told != nil:
		m.told.Note(now, nil)
	case c.err != nil:
		m.told.Note(now, errors.New(Worded(c.err.Error())))
	}
	for _, n := range c.nodes {
		node := health.RPCNode{
			Name: n.GetName(), Reason: n.GetReason(), Serves: n.GetState() == relayerv1.NodeState_NODE_STATE_ALIVE,
			WrongChain: n.GetState() == relayerv1.NodeState_NODE_STATE_WRONG_CHAIN,
		}
		if node.Serves {
			m.served = now
		}
		if _, known := m.well[node.Name]; !known || node.Serves && node.Reason == "" {
			m.well[node.Name] = now
		}
		node.Since = m.well[node.Name]
		facts.Nodes = append(facts.Nodes, node)
	}
	facts.Told, facts.Served = m.told, m.served
	c.account = c.accounts()
	for _, name := range slices.Sorted(maps.Keys(c.account)) {
		facts.Accounts = append(facts.Accounts, c.account[name])
	}
	return facts.State(now)
}

// accounts are those that transmit. A relayer that does not name them reports only their troubles.
func (c *chainSeen) accounts() map[string]health.Account {
	all := map[string]health.Account{}
	for _, a := range c.told.GetAccounts() {
		all[a.GetAccount()] = health.Account{
			Name: a.GetAccount(), Trouble: a.GetTrouble(), Waiting: a.GetOldestWaiting().AsDuration(),
			Empty: a.GetBalance() != nil && wire.Int(a.GetBalance()).Sign() == 0,
		}
	}
	if troubles := c.told.GetTroubles(); len(all) == 0 && len(troubles) > 0 {
		all[""] = health.Account{Trouble: strings.Join(troubles, "; ")}
	}
	return all
}

// state is what the job does, given the parts that it needs.
func (r *running) state(found *survey, now time.Time) health.State {
	if r.oracle == nil {
		return health.State{Level: health.Failed, Cause: "failed", Reason: r.failure()}
	}
	facts := r.oracle.Facts()
	facts.Failure = Worded(facts.Failure)
	for _, p := range r.plugins {
		facts.Plugins = append(facts.Plugins, found.states[pluginPart(p.Name())])
	}
	if c := found.chains[r.chainPart()]; c != nil {
		facts.Chain, facts.ChainName = c.state, c.title()
		account, known := c.account[r.spec.Account()]
		if !known {
			account = c.account[""]
		}
		facts.Account = account.State(now)
	}
	s := facts.State(now)
	s.Reason = Worded(s.Reason)
	return s
}

// transmitter is the state of the account from which the job transmits, as the relayer reported it; nil: not reported.
func (r *running) transmitter(found *survey) *relayerv1.AccountStatus {
	c := found.chains[r.chainPart()]
	if c == nil {
		return nil
	}
	for _, a := range c.told.GetAccounts() {
		if a.GetAccount() == r.spec.Account() {
			return a
		}
	}
	return nil
}

// landings is how many jobs' contracts are asked concurrently.
const landings = 8

// land has each job ask for the latest report that its contract has taken, if there may be a new one and the chain
// serves.
func (s *states) land(ctx context.Context) {
	if !s.node.ready.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	found := s.last()
	var all errgroup.Group
	all.SetLimit(landings)
	for _, r := range s.node.jobs.list() {
		c := found.chains[r.chainPart()]
		if r.oracle == nil || c == nil || c.told == nil || c.state.Level == health.Failed ||
			c.state.Level == health.Waiting {
			continue
		}
		all.Go(func() error {
			if err := r.oracle.Land(ctx); err != nil {
				s.logger.Debug("the latest transmission of a job's contract is not known", "job", r.stored.ID, "error", err)
			}
			return nil
		})
	}
	_ = all.Wait() // none fails
}

// chainPart is the chain that the job follows its contract on.
func (r *running) chainPart() partID {
	if len(r.plugins) == 0 {
		return partID{}
	}
	return chainPart(r.plugins[0].Name(), r.spec.ChainID)
}
