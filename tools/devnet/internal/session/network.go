package session

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/hosts"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
	"github.com/loop-plugins/loop/tools/devnet/internal/process"
)

// bridgeName is the bridge that every node gets, for the jobs of users.
const bridgeName = "price"

// Ends of a session.
var (
	errDone    = errors.New("the rounds are done")
	errTimeout = errors.New("the time is over")
)

// network is a session under way.
type network struct {
	config   Config
	display  Display
	kind     kind
	binaries binaries
	plugins
	product *product       // nil: the median
	average *audit.Average // of the product, where that is how it is checked
	// languages are the nodes' in turn.
	languages []language
	template  *job.Template
	// exact is what every answer must be; nil: the median is enough.
	exact *big.Int

	httpPorts, p2pPorts []int
	releasePorts        func()

	events []*happening

	folder   string
	ledger   ledger
	chain    node.Chain     // as the nodes reach it
	hosts    *hosts.Network // nil: the nodes have none of their own
	feeds    *feeds         // nil: there is one
	prices   *price.Server
	launcher *process.Launcher
	started  time.Time // of the first node
	members  []*member
	complete chan struct{} // closed when all nodes have their jobs
	enough   chan struct{} // closed when there is nothing more to wait for
	spared   chan struct{} // closed when nothing is killed any more
	begun    chan struct{} // closed with the first transmission
	rested   chan struct{} // closed when nothing more happens to the hosts
	limit    *time.Timer   // of Config.Timeout; nil without one

	mu      sync.Mutex
	result  Result
	over    bool             // enough is closed
	calm    bool             // the events are over
	times   []time.Time      // of the transmissions
	taken   []transmission   // up to the end
	landed  []audit.Position // of all transmissions
	resumed []*Resumption    // for each time when all nodes were killed
}

func (n *network) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.close()) }()
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if n.config.Timeout > 0 {
		n.limit = time.AfterFunc(n.config.Timeout, func() {
			if n.bounded() {
				cancel(errTimeout)
			} else {
				n.finish()
			}
		})
		defer n.limit.Stop()
	}
	n.display.Step(n.kind.opening)
	if err := n.open(running); err != nil {
		return n.verdict(ctx, running, err)
	}
	err = n.live(running)
	n.countAfterAll(ctx)
	return n.verdict(ctx, running, err)
}

// live runs the nodes to the end of the session, and returns nil only when ctx ended it.
func (n *network) live(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	n.display.Step(fmt.Sprintf("Chain %s at %s, contract %s. Starting %d nodes …",
		n.chain.ID, n.ledger.describe().Origin(), n.ledger.contract(), n.config.Nodes))
	n.started = time.Now()
	for i := range n.config.Nodes {
		m, err := n.startNode(i)
		if err != nil {
			cancel()
			_ = group.Wait() // it was cancelled
			return err
		}
		n.members = append(n.members, m)
		group.Go(func() error { return m.Watch(ctx) })
	}
	group.Go(func() error { return unlessOver(ctx, n.end(ctx)) })
	// Watched before there is a configuration, so that no transmission is missed.
	group.Go(func() error {
		if n.feeds != nil {
			return unlessOver(ctx, n.watchFeeds(ctx))
		}
		return unlessOver(ctx, n.ledger.watch(ctx, func(t transmission) error { return n.take(ctx, t) }))
	})
	group.Go(func() error {
		if err := n.configure(ctx); err != nil {
			return err
		}
		if n.feeds != nil { // nodes that are measured answer nobody else
			group.Go(func() error { return unlessOver(ctx, n.beginFeeds(ctx)) })
		} else {
			group.Go(func() error { return unlessOver(ctx, n.observe(ctx)) })
		}
		if n.config.KillEvery > 0 {
			group.Go(func() error { return unlessOver(ctx, n.kill(ctx, group)) })
		}
		if n.hosts != nil {
			group.Go(func() error { return unlessOver(ctx, n.happen(ctx, group)) })
		}
		return nil
	})
	return group.Wait()
}

// unlessOver drops the error of what ctx ended, which would hide the error of what was waited for.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, errDone) {
		return nil
	}
	return err
}

func (n *network) startNode(i int) (*member, error) {
	name := "node-" + strconv.Itoa(i)
	spoken := n.languages[i%len(n.languages)]
	commands := map[string]string{commandVariable(n.agreeing): spoken.product, commandVariable(n.relay): spoken.relayer}
	if n.config.InProcess {
		commands = nil
	}
	started, err := node.Start(n.launcher, node.Settings{
		Name: name, Dir: filepath.Join(n.folder, name), Binary: n.binaries.node, PluginCommands: commands,
		Variables: n.config.Variables,
		HTTPPort:  n.httpPorts[i], P2PPort: n.p2pPorts[i], Chain: n.chain, Host: n.hostOf(i),
		Debug: n.audited(), // so that its log has a line for each report
	})
	if err != nil {
		return nil, err
	}
	return newMember(started), nil
}

// commandVariable is the variable by which a node knows the command of a plugin.
func commandVariable(plugin string) string { return "CL_" + strings.ToUpper(plugin) + "_CMD" }

// configure turns nodes that start into a network: keys, money, the contract's configuration, jobs.
func (n *network) configure(ctx context.Context) error {
	err := n.each(ctx, func(ctx context.Context, m *member) (err error) {
		if err := m.WaitReady(ctx); err != nil {
			return err
		}
		m.keys, err = m.Keys(ctx)
		return err
	})
	if err != nil {
		return err
	}
	n.display.Step(fmt.Sprintf("%d nodes are ready. Configuring the contract and adding the jobs …", len(n.members)))
	var bootstrappers []string
	for _, m := range n.bootstrapping() {
		bootstrappers = append(bootstrappers, m.keys.PeerID+"@"+m.P2PAddress())
	}
	agreed := terms{
		query: n.config.MaxDurationQuery, progress: progress(n.events, n.config.Nodes), product: n.product.onChain(),
	}
	if n.feeds != nil {
		agreed.pace = n.feeds.pace
	}
	if err := n.ledger.configure(ctx, n.members, agreed); err != nil {
		return err
	}
	if err := n.each(ctx, func(ctx context.Context, m *member) error {
		return n.addJob(ctx, m, bootstrappers)
	}); err != nil {
		return err
	}
	close(n.complete)
	n.display.Step(fmt.Sprintf(
		"The nodes run OCR%d on contract %s. Waiting for the first round …", n.ocr(), n.ledger.contract()))
	return nil
}

// bootstrapping are the members that the others know from the start: all, so that a network on one machine is there at
// once; of hosts the first alone, as real networks have it.
func (n *network) bootstrapping() []*member {
	if n.hosts != nil {
		return n.members[:1]
	}
	return n.members
}

func (n *network) addJob(ctx context.Context, m *member, bootstrappers []string) error {
	fields := job.Fields{
		Node: m.Name(), Relay: n.relay, ChainID: n.chain.ID, Contract: n.ledger.contract(),
		TransmitterID: m.keys.Account, BundleID: m.keys.BundleID, Bootstrappers: bootstrappers,
		PriceURL: n.prices.PriceURL(m.Name()), PricePath: "data,result",
		BridgeName: bridgeName, BridgeURL: n.prices.BridgeURL(m.Name()),
		Decimals: decimals, Scale: "1" + strings.Repeat("0", decimals),
	}
	if n.product != nil {
		fields.Product, fields.OCRVersion = n.product.name, n.product.ocr
	}
	n.ledger.fields(&fields, n.prices)
	if n.feeds != nil {
		fields.Feed = 1
	}
	if n.config.Source != "" {
		fields.PriceURL, fields.PricePath = n.config.Source, n.config.SourcePath
	}
	spec, err := n.template.Spec(fields)
	if err != nil {
		return err
	}
	if err := m.AddBridge(ctx, fields.BridgeName, fields.BridgeURL); err != nil {
		return err
	}
	id, warnings, err := m.AddJob(ctx, spec)
	if err != nil {
		return err
	}
	m.jobID = id
	if n.feeds != nil {
		return n.addFeeds(ctx, m, fields)
	}
	for _, warning := range warnings {
		n.display.Step(fmt.Sprintf("%s warns of its job: %s", m.Name(), warning))
	}
	return nil
}

// each does something with all members at once.
func (n *network) each(ctx context.Context, do func(context.Context, *member) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range n.members {
		group.Go(func() error { return do(ctx, m) })
	}
	return group.Wait()
}

// bounded says whether the session has an end of its own.
func (n *network) bounded() bool { return n.config.Rounds > 0 || n.config.Kills > 0 || timed(n.events) }

// audited says whether the session ends with the comparison of what nodes accepted and what the chain has.
func (n *network) audited() bool {
	return n.config.KillEvery > 0 || n.config.RPC != "" || n.hosts != nil
}

// verdict makes the session's error of what ended it. asked is the user's context, running the session's own.
func (n *network) verdict(asked, running context.Context, err error) error {
	interrupted := asked.Err() != nil
	late := errors.Is(context.Cause(running), errTimeout)
	switch {
	case errors.Is(err, errDone):
		return nil
	case interrupted && !n.bounded():
		return nil
	case interrupted:
		return fmt.Errorf("interrupted after %s", n.progress())
	case late:
		var logs strings.Builder
		for _, m := range n.members {
			fmt.Fprintf(&logs, "\n\nLast lines of %s:\n%s", m.Name(), m.Tail())
		}
		var last string
		if err != nil {
			last = " (" + err.Error() + ")"
		}
		return fmt.Errorf("waited %s and saw %s%s; see what the nodes say, or give them more with --timeout%s",
			n.config.Timeout, n.progress(), last, logs.String())
	}
	return err
}

// progress says how much of what was asked for there is.
func (n *network) progress() string {
	if n.feeds != nil {
		return n.feeds.progress(n.config.Rounds)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	text := fmt.Sprintf("%d rounds", n.result.Transmissions)
	if n.config.Rounds > 0 {
		text = fmt.Sprintf("%d of %d rounds", n.result.Transmissions, n.config.Rounds)
	}
	if n.config.Kills > 0 {
		text += fmt.Sprintf(" and %d of %d kills", n.result.Kills, n.config.Kills)
	}
	if !n.calm {
		text += " before all events of --net were over"
	}
	return text
}

// finish says that there is nothing more to wait for.
func (n *network) finish() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.finishLocked()
}

func (n *network) finishLocked() {
	if !n.over {
		n.over = true
		close(n.enough)
	}
}

// end waits until there is nothing more to wait for, makes the last checks, and ends the session with errDone if they
// hold.
func (n *network) end(ctx context.Context) error {
	select {
	case <-n.enough:
	case <-ctx.Done():
		return ctx.Err()
	}
	if n.limit != nil {
		n.limit.Stop() // what follows has limits of its own
	}
	select {
	case <-n.complete:
	default: // it was over before the nodes had their jobs
		return errDone
	}
	if n.config.KillEvery > 0 {
		select {
		case <-n.spared:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if n.hosts != nil {
		select {
		case <-n.rested:
		case <-ctx.Done():
			return ctx.Err()
		}
		n.mu.Lock()
		n.result.Net = tell(n.events, n.times)
		n.mu.Unlock()
	}
	if n.audited() {
		if err := n.await(ctx); err != nil {
			return err
		}
	}
	if n.feeds != nil {
		if err := n.endFeeds(ctx); err != nil {
			return err
		}
		return errDone
	}
	if err := n.ask(ctx); err != nil { // for the last word on restarts
		return err
	}
	if err := n.countLanguages(ctx); err != nil {
		return err
	}
	if err := n.countResumed(ctx); err != nil {
		return err
	}
	if n.config.NoLostVotes {
		if err := n.result.Product.lostVotes(); err != nil {
			return err
		}
	}
	if n.audited() {
		if err := n.settle(ctx); err != nil {
			return err
		}
	}
	if n.hosts != nil {
		if err := n.result.Net.late(n.config.HealedWithin, n.config.JoinedWithin); err != nil {
			return err
		}
	}
	return errDone
}

// close ends everything, the nodes first.
func (n *network) close() error {
	n.display.Step("Stopping …")
	var stops sync.WaitGroup
	for _, m := range n.members {
		stops.Go(m.Stop)
	}
	stops.Wait()
	var errs []error
	if n.feeds != nil {
		errs = append(errs, n.feeds.counter.Close())
	}
	if n.ledger != nil {
		// A chain may be a process, and the launcher kills every process that it finds.
		errs = append(errs, n.ledger.close())
	}
	if n.launcher != nil {
		errs = append(errs, n.launcher.Close())
	}
	if n.prices != nil {
		errs = append(errs, n.prices.Close())
	}
	if n.hosts != nil {
		errs = append(errs, n.hosts.Close())
	}
	switch {
	case n.folder == "":
	case n.config.Keep:
		n.display.Step("Folder kept: " + n.folder)
	default:
		if err := os.RemoveAll(n.folder); err != nil {
			errs = append(errs, fmt.Errorf("remove the folder of the nodes: %w", err))
		}
	}
	return errors.Join(errs...)
}
