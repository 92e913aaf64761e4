package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// Reloaded is what became of a configuration that was read again.
type Reloaded struct {
	// Applied are the keys and the chains that changed, and AtRestart those that change when the node starts anew.
	Applied, AtRestart []string
	// Failed are the jobs on the changed chains that do not run yet, with the reasons.
	Failed []string
}

// Reload reads the configuration again and applies what can change while the node runs: the log level, and the tables
// of chains. An invalid configuration changes nothing.
func (n *Node) Reload(ctx context.Context) (*Reloaded, error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	r, err := n.reload(ctx)
	if err == nil || ctx.Err() == nil { // a caller who has gone cut it short, and says nothing of the configuration
		n.reread.note(err)
	}
	if err != nil {
		n.logger.Error("the configuration could not be reloaded; the node keeps the old one", "error", err)
		return nil, err
	}
	n.logger.Info("the configuration was reloaded", "applied", strings.Join(r.Applied, ", "),
		"atNextStart", strings.Join(r.AtRestart, ", "), "failed", strings.Join(r.Failed, ", "))
	return r, nil
}

// reread is the result of reading the configuration again.
type reread struct {
	mu    sync.Mutex
	fault string
}

func (r *reread) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault = ""; err != nil {
		r.fault = strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
	}
}

func (r *reread) configuration() health.Configuration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return health.Configuration{Fault: r.fault}
}

func (n *Node) reload(ctx context.Context) (*Reloaded, error) {
	next, spelled, err := n.read(ctx)
	if err != nil {
		return nil, err
	}
	r := &Reloaded{}
	if level := level(next.Log.Level); level != n.level.Level() {
		n.level.Set(level)
		r.Applied = append(r.Applied, logLevelKey)
	}
	for _, key := range config.Changed(n.settings.Config, next) {
		if key != logLevelKey {
			r.AtRestart = append(r.AtRestart, key)
		}
	}
	changed, others := n.changedChains(next, spelled)
	r.AtRestart = append(r.AtRestart, others...)
	for _, c := range changed {
		failed, err := n.jobs.changeChain(ctx, c)
		if err != nil {
			err = fmt.Errorf("%s: %w", c.title(), err)
			if len(r.Applied) > 0 {
				err = fmt.Errorf("%w; applied before that: %s", err, strings.Join(r.Applied, ", "))
			}
			return nil, err
		}
		r.Applied, r.Failed = append(r.Applied, c.title()), append(r.Failed, failed...)
	}
	return r, nil
}

const logLevelKey = "Log.Level"

// read reads the configuration, and has the node's relayers check it.
func (n *Node) read(ctx context.Context) (*config.Config, map[chainKey][]string, error) {
	if n.settings.Reread == nil {
		return nil, nil, errors.New("this node was started without a configuration file to read again")
	}
	next, err := n.settings.Reread()
	if next != nil {
		// Its error has the problems that were found before, too.
		if all := next.CheckChains(ctx, n.plugins.known.sections(func(string, error) {})); all != nil {
			err = all
		}
	}
	if err != nil {
		return nil, nil, &configError{err}
	}
	spelled, err := spellAccounts(ctx, n.plugins.known, next.Chains)
	return next, spelled, err
}

// changedChain is a chain of the node whose table has changed.
type changedChain struct {
	key      chainKey
	section  string
	table    config.Chain
	accounts []string // that it may sign with; none: all of its relay
}

func (c changedChain) title() string { return fmt.Sprintf("%s, ChainID = %q", c.section, c.key.chain) }

// changedChains are the node's chains whose tables differ from those of another configuration, and the titles of
// those that come or go, for which the node must be started anew.
func (n *Node) changedChains(next *config.Config, spelled map[chainKey][]string) (changed []changedChain,
	others []string) {
	for _, relay := range n.plugins.known.Relays() {
		r := n.plugins.known[relay]
		before, now := byID(n.chains(r)), byID(enabled(next.Chains, r))
		ids := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(now)))
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			key := chainKey{relay, id}
			c := changedChain{key, r.Section(), now[id], spelled[key]}
			switch was, is := before[id], now[id]; {
			case was.ID == "" || is.ID == "":
				others = append(others, c.title())
			case !slices.Equal(was.TOML(), is.TOML()):
				changed = append(changed, c)
			}
		}
	}
	return changed, others
}

func byID(chains []config.Chain) map[string]config.Chain {
	all := map[string]config.Chain{}
	for _, c := range chains {
		all[c.ID] = c
	}
	return all
}

// changeChain makes a chain, and the jobs on it, anew from another table. The reports that they have accepted are in
// the store. If the relayer refuses the table, the chain stays as it was. Each part has its own time limit, so that a
// slow one does not leave half of a change. The jobs that do not run afterwards are named, with the reasons.
func (j *jobs) changeChain(ctx context.Context, c changedChain) (failed []string, err error) {
	ctx = context.WithoutCancel(ctx) // neither does whoever asked and has gone
	j.changing.Lock()
	defer j.changing.Unlock()
	n := j.node
	shared, chain, err := n.plugins.chain(c.key.relay, c.key.chain)
	if err != nil {
		return nil, err
	}
	stopping, cancel := context.WithTimeout(ctx, replaceTimeout)
	on := j.stopOn(stopping, c.key)
	cancel()
	before := n.tables.replace(c)
	if err := chain.Release(ctx); err != nil {
		// Its handle is gone whatever the relayer says, so that there is no way back.
		n.logger.Error("a relayer did not release a chain in time; a new chain is made beside it",
			"plugin", shared.plugin.Name(), "chain", c.key.chain, "error", err)
	}
	if err = n.plugins.makeChainsOf(ctx, shared, []config.Chain{c.table}, n.lend); err != nil {
		n.tables.replace(before)
		err = errors.Join(err, n.plugins.makeChainsOf(ctx, shared, []config.Chain{before.table}, n.lend))
	}
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var wait sync.WaitGroup
	for _, r := range on {
		wait.Go(func() { j.put(j.open(opening, r.stored)) })
	}
	wait.Wait()
	for _, r := range on {
		now := j.get(r.stored.ID)
		if trouble := now.trouble(); trouble != "" {
			failed = append(failed, now.title()+": "+trouble)
		}
	}
	return failed, err
}

// openTimeout bounds the opening of a job: the starts of two processes of its own (30 s each), and what the job asks
// them for.
const openTimeout = 2 * replaceTimeout

// trouble is why a job that was just opened does not run; empty if nothing is known that keeps it from running.
func (r *running) trouble() string {
	if r.oracle == nil {
		return r.failure()
	}
	if r.own == nil {
		return ""
	}
	for _, p := range r.plugins {
		if st := p.Status(); st.State != supervise.Ready {
			return fmt.Sprintf("its plugin %s does not serve: %s%s", st.Name, st.LastExit, triedAgain)
		}
	}
	return ""
}

// stopOn stops the jobs on a chain. Isolated ones keep their accounts until they are opened again.
func (j *jobs) stopOn(ctx context.Context, on chainKey) []*running {
	var stopped []*running
	var wait sync.WaitGroup
	for _, r := range j.list() {
		if r.removed || !r.invalid && (r.spec.Relay != on.relay || r.spec.ChainID != on.chain) {
			continue // of one whose spec is not valid nobody knows whether it is since this chain's change
		}
		stopped = append(stopped, r)
		wait.Go(func() { j.halt(ctx, r) })
	}
	wait.Wait()
	return stopped
}

// halt stops a job. An isolated one keeps its account until it is opened again, or release gives it back.
func (j *jobs) halt(ctx context.Context, r *running) {
	r.stop(ctx)
	if r.own != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.reserved[r.stored.ID] = r.own.reserved
	}
}
