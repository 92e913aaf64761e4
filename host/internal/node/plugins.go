package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/oracle"
	"github.com/loop-plugins/loop/host/internal/relay"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// plugins are the node's plugins and the chains in them.
type plugins struct {
	node     *Node
	median   *medianv1loophost.Median // nil if the node has none
	products products
	shared   map[string]*served // by relay
	known    relayers

	mu     sync.Mutex
	relays map[string]*served // by the plugins' names: isolated jobs' too
}

// served is a process of a relayer, which all jobs share or one has for itself.
type served struct {
	// title is the relay's name, with a suffix if one job has the process for itself.
	title   string
	relayer *relay.Relayer
	plugin  *relayerv1loophost.Relayer
	watch   *oracle.Watch

	mu     sync.Mutex
	chains map[string]*relayerv1loophost.Chain
}

// chain is a chain of the process by its id; nil, if it has none of that.
func (s *served) chain(id string) *relayerv1loophost.Chain {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chains[id]
}

// all are the process's chains by their ids.
func (s *served) all() map[string]*relayerv1loophost.Chain {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.chains)
}

// put has a chain in place of the one before.
func (s *served) put(id string, c *relayerv1loophost.Chain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chains[id] = c
}

// launch starts the plugins that the environment names, and then the built-in ones that the configuration needs and
// that no other plugin replaces.
func launch(ctx context.Context, n *Node) (_ *plugins, err error) {
	p := &plugins{
		node: n, products: products{}, shared: map[string]*served{}, relays: map[string]*served{},
		known: maps.Clone(n.builtin),
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	all, failed := n.commands(ctx, n.commanded(), everyKind)
	for _, l := range all {
		p.take(l) // also beside an error: what runs is to end
	}
	if len(failed) > 0 {
		return nil, &pluginError{failed[0]}
	}
	if err := unique(all); err != nil {
		return nil, err
	}
	if p.median == nil {
		for _, name := range slices.Sorted(maps.Keys(n.settings.Builtin)) {
			if inside := n.settings.Builtin[name].New(); inside.Kind.Name == kindMedian {
				l, err := n.start(ctx, inside.Kind, n.pluginSettings(name, config.Plugin{}, kindMedian))
				if err != nil {
					return nil, &pluginError{err}
				}
				p.take(l)
				break
			}
		}
	}
	for _, name := range p.known.Relays() {
		r := p.known[name]
		if p.shared[name] != nil || len(n.chains(r)) == 0 {
			continue
		}
		s, err := p.serve(ctx, r, r.Plugin(), name, false)
		if err != nil {
			return nil, err
		}
		p.share(s)
	}
	return p, nil
}

// launched is a plugin that was started from a command: of one kind.
type launched struct {
	name    string
	median  *medianv1loophost.Median
	product *offered
	relayer *relay.Relayer
	plugin  *relayerv1loophost.Relayer
}

// serves is what jobs ask for to get the plugin.
func (l *launched) serves() string {
	switch {
	case l.relayer != nil:
		return "the relay " + l.relayer.Relay()
	case l.product != nil:
		return "the product " + l.name
	}
	return "the product " + kindMedian
}

// unique refuses two plugins that serve the same.
func unique(all []*launched) error {
	first := map[string]*launched{}
	for _, l := range all {
		if other := first[l.serves()]; other != nil {
			return &configError{fmt.Errorf("the plugins %s and %s both serve %s: remove %s or %s",
				other.name, l.name, l.serves(), variable(other.name), variable(l.name))}
		}
		first[l.serves()] = l
	}
	return nil
}

// take makes a plugin that was launched the node's.
func (p *plugins) take(l *launched) {
	switch {
	case l.median != nil:
		p.median = l.median
		return
	case l.product != nil:
		p.products[l.name] = l.product
		return
	}
	name := l.relayer.Relay()
	p.known[name] = l.relayer
	p.share(p.serving(l.relayer, l.plugin, name))
}

// share makes a relayer's process the one that all jobs without their own process share.
func (p *plugins) share(s *served) {
	p.shared[s.relayer.Relay()] = s
	p.keep(s)
}

// keep has a relayer's process among those that run.
func (p *plugins) keep(s *served) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.relays[s.plugin.Name()] = s
}

func (p *plugins) serving(r *relay.Relayer, plugin *relayerv1loophost.Relayer, title string) *served {
	return &served{
		title: title, relayer: r, plugin: plugin, watch: oracle.NewWatch(plugin.RelayerServiceClient, p.node.logger),
		chains: map[string]*relayerv1loophost.Chain{},
	}
}

// serve starts another process of a known relayer, under a different name. A patient one may be down at first.
func (p *plugins) serve(ctx context.Context, r *relay.Relayer, name, title string, patient bool) (*served, error) {
	n := p.node
	settings := n.pluginSettings(r.Plugin(), n.settings.Config.Environment.Plugins[r.Plugin()], kindRelayer)
	settings.Name, settings.Patient = name, patient
	plugin, err := relayerv1loophost.LaunchRelayer(ctx, n.runtime, settings)
	if err != nil {
		return nil, &pluginError{err}
	}
	return p.serving(r, plugin, title), nil
}

// variable is the environment variable that names a plugin's command.
func variable(name string) string { return "CL_" + strings.ToUpper(name) + "_CMD" }

// pluginSettings say how a plugin is started as one of a kind. Relayers alone reach a network.
func (n *Node) pluginSettings(name string, c config.Plugin, kind string) loophost.PluginSettings {
	s := loophost.PluginSettings{Name: name, Hint: "check " + variable(name),
		GRPC: c.Rules.Transport == config.TransportGRPC}
	switch {
	case c.InProcess():
		inside := n.settings.Builtin[name].New()
		s.InProcess = &inside
	case c.Attach != "":
		s.Attach, s.Hint = c.Attach, "check LOOP_REATTACH"
	default:
		s.Command, s.SHA256, s.MemoryLimit = c.Command, c.Rules.SHA256.Sums, c.Rules.MemoryLimit.Bytes
		s.Standby = c.Rules.Standby
		s.Env, s.Confine = c.Environ(kind == kindRelayer), c.Rules.Needs(kind == kindRelayer)
	}
	return s
}

// close ends the relayer. When it returns the process is dead.
func (r *served) close(ctx context.Context) {
	r.watch.Close()
	r.plugin.Close(ctx)
}

// drop forgets a relayer that is ended.
func (p *plugins) drop(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.relays, name)
}

// running are the relayers by name.
func (p *plugins) running() map[string]*served {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.relays)
}

func (p *plugins) close() {
	for _, r := range p.running() {
		r.watch.Close()
	}
}

// chain returns a chain of a relayer's shared process.
func (p *plugins) chain(relayName, id string) (*served, *relayerv1loophost.Chain, error) {
	r := p.shared[relayName]
	if r == nil {
		section := relayName
		if known := p.known[relayName]; known != nil {
			section = known.Section()
		}
		return nil, nil, fmt.Errorf("this node runs no %s relayer: add a [[%s]] chain to its configuration",
			relayName, section)
	}
	c := r.chain(id)
	if c == nil {
		return nil, nil, fmt.Errorf("this node has no %s chain %s: add it to its configuration", relayName, id)
	}
	return r, c, nil
}

// chainIDs are the chains of a relay, in the order of the configuration.
func (p *plugins) chainIDs(relayName string) []string {
	var ids []string
	if r := p.known[relayName]; r != nil {
		for _, c := range p.node.chains(r) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// RestartPlugin replaces a plugin's process, and asks the next one what it is.
func (n *Node) RestartPlugin(ctx context.Context, p *loophost.Plugin) error {
	if err := p.Restart(ctx); err != nil {
		return err
	}
	n.plugins.describeAgain(ctx, p.Name())
	n.jobs.askAgain(context.WithoutCancel(ctx), p.Name()) // a job that was stopped must not be left so
	return nil
}

// describeAgain asks a replaced plugin for its description again. The parts that the node relies on do not change while
// it runs.
func (p *plugins) describeAgain(ctx context.Context, name string) {
	p.mu.Lock()
	r := p.relays[name]
	p.mu.Unlock()
	if of := p.products[name]; of != nil {
		p.offeredAgain(ctx, of)
		return
	}
	if r == nil || r.plugin.Status().InProcess {
		return
	}
	now, err := relay.Ask(ctx, name, r.plugin.RelayerServiceClient)
	if err == nil && cmp.Or(strings.Compare(now.Relay(), r.relayer.Relay()), cmp.Compare(now.AccountAlgorithm(),
		r.relayer.AccountAlgorithm())) != 0 {
		err = fmt.Errorf("plugin %s served the relay %s and serves %s now, or signs with other keys", name,
			r.relayer.Relay(), now.Relay())
	}
	if err != nil {
		p.node.logger.Error("the description of a replaced plugin cannot be used; restart the node", "plugin", name,
			"error", err)
		return
	}
	p.node.remember(ctx, name, r.plugin.Status().Kind, now)
}

// RelaysServed returns the relays that a process of the node serves.
func (n *Node) RelaysServed() []string { return slices.Sorted(maps.Keys(n.plugins.shared)) }

// Chain returns a chain of the relayer process that jobs share, or says why there is none.
func (n *Node) Chain(relay, id string) (*relayerv1loophost.Chain, error) {
	_, chain, err := n.plugins.chain(relay, id)
	return chain, err
}

// Owners returns which chain or job each object in a plugin belongs to, by the objects' names. It leaves out children.
func (n *Node) Owners() map[string]string {
	owners := map[string]string{}
	if !n.ready.Load() {
		return owners
	}
	for _, r := range n.plugins.running() {
		for id, c := range r.all() {
			owners[c.Name()] = "chain " + id
		}
	}
	for _, r := range n.jobs.list() {
		if r.oracle == nil {
			continue
		}
		for _, name := range r.oracle.Objects() {
			owners[name] = r.title()
		}
	}
	return owners
}
