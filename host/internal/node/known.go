package node

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// Known are the relayers and products of a configuration, for commands that start no node. Built-in ones are asked in
// this process; those that the environment names run until Close.
type Known struct {
	node     *Node
	known    relayers
	products products
	failed   []error
	runtime  *loophost.Runtime // nil if no plugin runs
}

// OpenKnown starts what is needed to ask the relayers and products of a configuration.
func OpenKnown(ctx context.Context, s Settings) (*Known, error) {
	n := &Node{settings: s, logger: s.Logger, tables: tables{chains: s.Config.Chains}}
	var err error
	if n.builtin, err = builtinRelayers(ctx, s); err != nil {
		return nil, err
	}
	r := &Known{node: n, known: maps.Clone(n.builtin), products: products{}}
	names := n.foreign()
	if len(names) == 0 {
		return r, nil
	}
	if r.runtime, err = loophost.New(loophost.Settings{
		Logger: s.Logger, SocketDir: s.Config.Plugins.SocketDir, SocketHint: socketHint, Version: s.Version,
		StopTimeout: s.Config.Plugins.StopTimeout.Duration, Keep: s.Config.Kept(),
	}); err != nil {
		return nil, err
	}
	n.runtime = r.runtime
	var started []*launched
	started, r.failed = n.commands(ctx, names, describedKinds)
	for _, l := range started {
		if l.product != nil {
			r.products[l.name] = l.product
		} else {
			r.known[l.relayer.Relay()] = l.relayer
		}
	}
	return r, nil
}

// Failed returns the errors of plugins that do not start, or do not describe themselves.
func (r *Known) Failed() []error { return r.failed }

// Jobs returns the relayers for checks of jobs.
func (r *Known) Jobs() job.Relayers { return r.known }

// Products returns the products for checks of jobs.
func (r *Known) Products() job.Products { return r.products }

// Described returns the descriptions of the relayers' tables.
func (r *Known) Described() []config.Described {
	var all []config.Described
	for _, name := range r.known.Relays() {
		all = append(all, config.Described{Section: r.known[name].Section(), TOML: r.known[name].ReferenceTOML()})
	}
	return all
}

// CheckConfig lets the relayers check the chains of the configuration. Its error also has the problems that were found
// before.
func (r *Known) CheckConfig(ctx context.Context) error {
	return r.node.settings.Config.CheckChains(ctx, r.known.sections(func(string, error) {}))
}

// Close ends what OpenKnown has started.
func (r *Known) Close(ctx context.Context) {
	if r.runtime != nil {
		r.runtime.Close(ctx)
	}
}

// Plugins returns the names of the plugins as in the configuration, products first.
func (r *Known) Plugins() []string {
	sections := map[string]string{}
	for _, relayer := range r.known {
		sections[relayer.Plugin()] = relayer.Section()
	}
	names := append(slices.Collect(maps.Keys(r.node.settings.Builtin)), r.node.commanded()...)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(min(len(sections[a]), 1), min(len(sections[b]), 1)), strings.Compare(a, b))
	})
	names = slices.Compact(names)
	for at, name := range names {
		names[at] = cmp.Or(sections[name], strings.ToUpper(name[:1])+name[1:])
	}
	return names
}
