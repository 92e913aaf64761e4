package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/oracle"
	"github.com/loop-plugins/loop/host/internal/web"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// plugins are the node's plugins and the chains in them.
type plugins struct {
	node   *Node
	median *medianv1loophost.Median

	mu     sync.Mutex
	relays map[string]*relay // by the plugins' names: isolated jobs' too
}

// relay is one relayer plugin.
type relay struct {
	plugin *relayerv1loophost.Relayer
	watch  *oracle.Watch
	chains map[string]*relayerv1loophost.Chain
}

// relayer is what the configuration says of one kind of relayer.
type relayer struct {
	name     string
	plugin   config.Plugin
	fallback func() loop.Plugin
	chains   []chain
}

type chain struct {
	id   string
	toml func() ([]byte, error)
}

// relayers lists the relayers that the configuration asks for: those with a command or an enabled chain.
func relayers(c *config.Config) []relayer {
	evm := relayer{name: "evm", plugin: c.Environment.EVM, fallback: fallback.EVM}
	for _, ch := range c.EVM {
		if ch.Enabled {
			evm.chains = append(evm.chains, chain{ch.ChainID, ch.TOML})
		}
	}
	solana := relayer{name: "solana", plugin: c.Environment.Solana, fallback: fallback.Solana}
	for _, ch := range c.Solana {
		if ch.Enabled {
			solana.chains = append(solana.chains, chain{ch.ChainID, ch.TOML})
		}
	}
	starknet := relayer{name: "starknet", plugin: c.Environment.Starknet, fallback: fallback.Starknet}
	for _, ch := range c.Starknet {
		if ch.Enabled {
			starknet.chains = append(starknet.chains, chain{ch.ChainID, ch.TOML})
		}
	}
	var wanted []relayer
	for _, r := range []relayer{evm, solana, starknet} {
		if len(r.chains) > 0 || !r.plugin.InProcess() {
			wanted = append(wanted, r)
		}
	}
	return wanted
}

// chainTimeout bounds the wait for a chain's object at start. It opens no connection, so that it is there at once or its
// plugin is ill, in which case the runtime goes on trying.
const chainTimeout = 5 * time.Second

// lender gives what a relayer may use for one chain.
type lender func(relay, chain string) relayerv1loophost.CreateChainLoans

// lent is what a relayer may sign with on one chain: the accounts that the configuration names for it, or if it names none
// all of its kind.
func (n *Node) lent(relay, chain string) *hostservice.Keystore {
	for _, c := range n.settings.Config.EVM {
		if relay == "evm" && c.ChainID == chain && len(c.Accounts) > 0 {
			return hostservice.NewKeystoreOf(n.keys, relay, c.Accounts...)
		}
	}
	for _, c := range n.settings.Config.Solana {
		if relay == "solana" && c.ChainID == chain && len(c.Accounts) > 0 {
			return hostservice.NewKeystoreOf(n.keys, relay, c.Accounts...)
		}
	}
	for _, c := range n.settings.Config.Starknet {
		if relay == "starknet" && c.ChainID == chain && len(c.Accounts) > 0 {
			return hostservice.NewKeystoreOf(n.keys, relay, c.Accounts...)
		}
	}
	return hostservice.NewKeystore(n.keys, relay)
}

// lend gives the shared process of a relayer keys and a store for one chain.
func (n *Node) lend(relay, chain string) relayerv1loophost.CreateChainLoans {
	return n.export(n.accounts.of(relay, chain).Shared(n.lent(relay, chain), n.store(relay, chain)))
}

func (n *Node) store(relay, chain string) *hostservice.Store {
	return hostservice.NewStore(n.database.Store(database.Scope{PluginKind: relay, Chain: chain}))
}

func (n *Node) export(v *hostservice.View) relayerv1loophost.CreateChainLoans {
	return relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(n.runtime, v),
		Store:    hostservicev1loophost.ExportStore(n.runtime, v),
	}
}

// launch starts every plugin side by side.
func launch(ctx context.Context, n *Node, lend lender) (*plugins, error) {
	p := &plugins{node: n, relays: map[string]*relay{}}
	wanted := relayers(n.settings.Config)
	var wait sync.WaitGroup
	var first error
	fail := func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if first == nil {
			first = err
		}
	}
	wait.Go(func() {
		var err error
		if p.median, err = medianv1loophost.LaunchMedian(ctx, n.runtime, pluginSettings("median", n.settings.Config.Environment.Median, fallback.Median)); err != nil {
			fail(&pluginError{err})
		}
	})
	for _, r := range wanted {
		wait.Go(func() {
			if _, err := p.relay(ctx, r, r.name, lend); err != nil {
				fail(err)
			}
		})
	}
	wait.Wait()
	if first != nil {
		p.close()
		return nil, first
	}
	return p, nil
}

func variable(name string) string {
	return map[string]string{"median": "CL_MEDIAN_CMD", "evm": "CL_EVM_CMD", "solana": "CL_SOLANA_CMD", "starknet": "CL_STARKNET_CMD"}[name]
}

func pluginSettings(name string, c config.Plugin, inside func() loop.Plugin) loophost.PluginSettings {
	s := loophost.PluginSettings{Name: name, Hint: "check " + variable(name)}
	if c.InProcess() {
		b := inside()
		s.InProcess = &b
		return s
	}
	s.GRPC = c.Rules.Transport == config.TransportGRPC
	if c.Attach != "" {
		s.Attach, s.Hint = c.Attach, "check LOOP_REATTACH"
		return s
	}
	s.Command, s.Env, s.SHA256, s.MemoryLimit = c.Command, c.Environ(), c.Rules.SHA256.Sums, c.Rules.MemoryLimit.Bytes
	return s
}

// relay starts a process of a relayer under a name of its own. One that fails is ended.
func (p *plugins) relay(ctx context.Context, r relayer, name string, lend lender) (_ *relay, err error) {
	n := p.node
	settings := pluginSettings(r.name, r.plugin, r.fallback)
	settings.Name = name
	plugin, err := relayerv1loophost.LaunchRelayer(ctx, n.runtime, settings)
	if err != nil {
		return nil, &pluginError{err}
	}
	started := &relay{plugin: plugin, watch: oracle.NewWatch(plugin.RelayerServiceClient, n.logger), chains: map[string]*relayerv1loophost.Chain{}}
	defer func() {
		if err != nil {
			started.close(context.WithoutCancel(ctx))
		}
	}()
	for _, c := range r.chains {
		toml, err := c.toml()
		if err != nil {
			return nil, fmt.Errorf("encoding the configuration of %s chain %s: %w", r.name, c.id, err)
		}
		handle := plugin.CreateChain(&relayerv1.CreateChainRequest{ChainId: c.id, ConfigToml: toml}, lend(r.name, c.id))
		started.chains[c.id] = handle
		made, cancel := context.WithTimeout(ctx, chainTimeout)
		_, err = handle.Created(made)
		cancel()
		switch code := status.Code(err); code {
		case codes.OK:
		case codes.InvalidArgument, codes.FailedPrecondition, codes.Unimplemented:
			return nil, &configError{fmt.Errorf("plugin %s refused the configuration of chain %s: %s; mend it in the node's configuration", r.name, c.id, status.Convert(err).Message())}
		default:
			n.logger.Error("a chain is not there yet; the node goes on and tries again", "plugin", name, "chain", c.id, "error", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.relays[name] = started
	return started, nil
}

// close ends the relayer. When it returns the process is dead.
func (r *relay) close(ctx context.Context) {
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
func (p *plugins) running() map[string]*relay {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.relays)
}

func (p *plugins) close() {
	for _, r := range p.running() {
		r.watch.Close()
	}
}

// healthTimeout bounds what a chain's state may take: it is kept by its relayer, so that one that is there answers at once.
const healthTimeout = time.Second

// health names the RPC nodes of each chain that do not serve and the accounts whose transactions fail, and why. They do not make
// the node ill: it outlives the outage of a chain's provider, and to restart it would mend nothing.
func (p *plugins) health() []web.Check {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	var mu sync.Mutex
	var all []web.Check
	var wait sync.WaitGroup
	for name, r := range p.running() {
		if r.plugin.Status().State != supervise.Ready {
			continue // the plugin's own check says why
		}
		for id, c := range r.chains {
			wait.Go(func() {
				check := chainHealth(ctx, c)
				check.Name = name + " chain " + id
				mu.Lock()
				defer mu.Unlock()
				all = append(all, check)
			})
		}
	}
	wait.Wait()
	slices.SortFunc(all, func(a, b web.Check) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func chainHealth(ctx context.Context, c *relayerv1loophost.Chain) web.Check {
	response, err := c.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
	if err != nil {
		return web.Check{Reason: worded(err.Error())}
	}
	var silent []string
	for _, n := range response.GetNodes() {
		if n.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
			silent = append(silent, "RPC node "+n.GetName()+": "+stateOf(n))
		}
	}
	chain, err := c.ChainStatus(ctx, &relayerv1.ChainStatusRequest{})
	if err != nil {
		return web.Check{Reason: worded(err.Error())}
	}
	return web.Check{Healthy: true, Reason: strings.Join(append(silent, chain.GetTroubles()...), "; ")}
}

// stateOf is the state of an RPC node that does not serve, for people.
func stateOf(n *relayerv1.NodeStatus) string {
	state := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(n.GetState().String(), "NODE_STATE_"), "_", " "))
	if n.GetReason() != "" {
		state += ", " + n.GetReason()
	}
	return state
}

// chain returns a chain of a relayer's shared process.
func (p *plugins) chain(relayName, id string) (*relay, *relayerv1loophost.Chain, error) {
	r := p.running()[relayName]
	if r == nil {
		return nil, nil, fmt.Errorf("this node runs no %s relayer: add a [[%s]] chain to its configuration", relayName, section(relayName))
	}
	c := r.chains[id]
	if c == nil {
		return nil, nil, fmt.Errorf("this node has no %s chain %s: add it to its configuration", relayName, id)
	}
	return r, c, nil
}

// chainIDs are the chains of a relay, in the order of the configuration.
func (p *plugins) chainIDs(relayName string) []string {
	var ids []string
	for _, r := range relayers(p.node.settings.Config) {
		for _, c := range r.chains {
			if r.name == relayName {
				ids = append(ids, c.id)
			}
		}
	}
	return ids
}

func section(relayName string) string {
	return map[string]string{"evm": "EVM", "solana": "Solana", "starknet": "Starknet"}[relayName]
}

// scrape is the runtime as the HTTP server sees it.
type scrape struct{ runtime *loophost.Runtime }

// Names implements web.Plugins.
func (s scrape) Names() []string {
	var names []string
	for _, p := range s.runtime.Plugins() {
		if p.Status().State == supervise.Ready {
			names = append(names, p.Name())
		}
	}
	return names
}

// Collect implements web.Plugins.
func (s scrape) Collect(ctx context.Context, name, accept string) (string, []byte, error) {
	p := s.runtime.Plugin(name)
	if p == nil {
		return "", nil, status.Errorf(codes.NotFound, "there is no plugin %q", name)
	}
	r, err := p.CollectMetrics(ctx, accept)
	if err != nil {
		return "", nil, err
	}
	return r.GetContentType(), r.GetExposition(), nil
}
