package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/doctor"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

const (
	// diagnosisTimeout bounds a diagnosis, and askTimeout one of its calls: a person waits.
	diagnosisTimeout = 15 * time.Second
	askTimeout       = 5 * time.Second
	// bridgesAtOnce is how many bridges are asked concurrently.
	bridgesAtOnce = 16
)

// Diagnose looks at all that a running node knows. It asks every chain and every bridge, and returns the worst finding
// first.
func (n *Node) Diagnose(ctx context.Context) []*nodev1.Finding {
	ctx, cancel := context.WithTimeout(ctx, diagnosisTimeout)
	defer cancel()
	found := n.diagnose(ctx)
	doctor.Sort(found)
	return found
}

func (n *Node) diagnose(ctx context.Context) []*nodev1.Finding {
	found := []*nodev1.Finding{
		doctor.Good(doctor.Node, "node", fmt.Sprintf("it runs %s since %s", n.settings.Version,
			n.startedAt.UTC().Format(time.RFC3339))),
	}
	found = append(found, ofConfig(n.settings.Config)...)
	if faults := n.database.Faults(); faults > 0 {
		found = append(found, doctor.Warning(doctor.Database, "the database",
			fmt.Sprintf("%d reads or writes of it have failed since the node started", faults),
			"see the node's log for why, and whether its disk is full or failing"))
	}
	found = append(found, n.ofPlugins()...)
	if !n.ready.Load() {
		return append(found, doctor.Unchecked(doctor.Node, "node",
			"it is starting, so that chains, jobs and bridges are not looked at",
			"ask again when /readyz says that it is ready"))
	}
	for _, part := range n.states.look(ctx) {
		found = append(found, doctor.OfPart(part)...)
	}
	found = append(found, n.ofChains(ctx)...)
	found = append(found, n.ofJobs(time.Now())...)
	return append(found, n.ofBridges(ctx)...)
}

// ofConfig looks at what is known of a configuration without starting anything: its warnings, and room on its disks.
func ofConfig(c *config.Config) []*nodev1.Finding {
	var found []*nodev1.Finding
	for _, w := range c.Warnings {
		found = append(found, doctor.Warning(doctor.Configuration, w.Place(), w.Key+": "+w.Text,
			"fix the line, or leave it out"))
	}
	if len(found) == 0 {
		found = append(found, doctor.Good(doctor.Configuration, "configuration", "nothing is to be said of it"))
	}
	seen := map[string]bool{}
	for _, v := range []doctor.Volume{
		{What: "the database", Path: filepath.Dir(c.Database.Path)}, {What: "RootDir", Path: c.RootDir},
	} {
		if !seen[v.Path] {
			seen[v.Path] = true
			found = append(found, ofVolume(v))
		}
	}
	return found
}

func ofVolume(v doctor.Volume) *nodev1.Finding {
	var s unix.Statfs_t
	path := v.Path
	for { // a folder that a first start makes is on its parent's disk
		err := unix.Statfs(path, &s)
		if err == nil {
			break
		}
		if parent := filepath.Dir(path); errors.Is(err, unix.ENOENT) && parent != path {
			path = parent
			continue
		}
		return doctor.Unchecked(doctor.Disk, v.What, fmt.Sprintf("the room at %s is not known: %v", v.Path, err),
			"look at the disk there")
	}
	block := uint64(s.Bsize)
	v.Free, v.Total = s.Bavail*block, s.Blocks*block
	return doctor.OfVolume(v)
}

func (n *Node) ofPlugins() []*nodev1.Finding {
	var found []*nodev1.Finding
	for _, p := range n.runtime.Plugins() {
		found = append(found, doctor.OfPlugin(n.factsOf(p))...)
	}
	return found
}

func (n *Node) factsOf(p *loophost.Plugin) doctor.PluginFacts {
	facts := doctor.PluginFacts{Status: p.Status()}
	for _, kind := range everyKind() {
		if kind.Name == facts.Kind {
			facts.Protocol = kind.ProtocolVersion
		}
	}
	running, err := p.Checksums()
	if err != nil {
		return facts // that of a process that ends: its state tells
	}
	now, err := p.FilesNow()
	if err != nil {
		return facts // a file that is away is told when the plugin is started again
	}
	for _, f := range now {
		if !slices.Contains(running, f) && len(running) > 0 {
			facts.Changed = append(facts.Changed, f.Path)
		}
	}
	return facts
}

// ofChains looks at all chains, side by side.
func (n *Node) ofChains(ctx context.Context) []*nodev1.Finding {
	var mu sync.Mutex
	var wait sync.WaitGroup
	of := map[string][]*nodev1.Finding{}
	for _, r := range n.plugins.running() {
		for id, c := range r.all() {
			title := r.title + " chain " + id
			if r.plugin.Status().State != supervise.Ready {
				mu.Lock()
				of[title] = []*nodev1.Finding{doctor.Unchecked(doctor.Chain, title, "its plugin does not serve",
					"see what is said of plugin "+r.plugin.Name())}
				mu.Unlock()
				continue
			}
			wait.Go(func() {
				found := ofChain(ctx, title, c)
				mu.Lock()
				defer mu.Unlock()
				of[title] = found
			})
		}
	}
	wait.Wait()
	var found []*nodev1.Finding
	for _, title := range slices.Sorted(maps.Keys(of)) {
		found = append(found, of[title]...)
	}
	return found
}

// ofChain looks at a chain: its RPC nodes, its clock, and what its accounts hold.
func ofChain(ctx context.Context, title string, c *relayerv1loophost.Chain) []*nodev1.Finding {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	nodes, err := triedNodes(ctx, c)
	if err != nil {
		return []*nodev1.Finding{doctor.Failed(doctor.Chain, title, Worded(err.Error()), "see the state of its plugin")}
	}
	var rpc []doctor.RPC
	for _, s := range nodes.GetNodes() {
		rpc = append(rpc, rpcNode(s))
	}
	found := doctor.OfNodes(title, rpc)
	if head, err := c.LatestHead(ctx, &relayerv1.LatestHeadRequest{}); err == nil {
		found = append(found, doctor.OfHead(title, head.GetTimestamp().AsTime(), time.Now()))
	} else {
		found = append(found, doctor.Unchecked(doctor.Clock, title,
			"no block is known to hold this machine's clock against", "see what is said of its RPC nodes"))
	}
	status, err := c.ChainStatus(ctx, &relayerv1.ChainStatusRequest{})
	if err != nil {
		return append(found, doctor.Failed(doctor.Chain, title, Worded(err.Error()), "see the state of its plugin"))
	}
	for _, trouble := range status.GetTroubles() {
		found = append(found, doctor.Warning(doctor.Chain, title, Worded(trouble), ""))
	}
	for _, a := range status.GetAccounts() {
		found = append(found, doctor.OfFunds(title, doctor.Account{Name: a.GetAccount(), Balance: wire.Int(a.GetBalance()),
			Decimals: a.GetDecimals()}))
	}
	return found
}

// triedNodes returns the RPC nodes of a chain once one serves or all have been tried, but after lostAfter at most: that
// those of a chain that has just begun have not answered yet is no fault of theirs.
func triedNodes(ctx context.Context, c *relayerv1loophost.Chain) (*relayerv1.ListNodeStatusesResponse, error) {
	for begin := time.Now(); ; {
		nodes, err := c.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
		if err != nil || !trying(nodes.GetNodes()) || time.Since(begin) > lostAfter {
			return nodes, err
		}
		select {
		case <-time.After(headPause):
		case <-ctx.Done(): // the next question says so
		}
	}
}

// trying reports whether no RPC node serves, and one of them has not been tried yet.
func trying(nodes []*relayerv1.NodeStatus) bool {
	is := func(state relayerv1.NodeState) bool {
		return slices.ContainsFunc(nodes, func(n *relayerv1.NodeStatus) bool { return n.GetState() == state })
	}
	return is(relayerv1.NodeState_NODE_STATE_CONNECTING) && !is(relayerv1.NodeState_NODE_STATE_ALIVE)
}

func rpcNode(s *relayerv1.NodeStatus) doctor.RPC {
	text := rpcState(s)
	if s.GetLatestBlock() > 0 {
		text += fmt.Sprintf(", block %d", s.GetLatestBlock())
	}
	return doctor.RPC{Name: s.GetName(), Text: text, Serves: s.GetState() == relayerv1.NodeState_NODE_STATE_ALIVE}
}

// ofJobs looks at what jobs do, and with whom.
func (n *Node) ofJobs(now time.Time) []*nodev1.Finding {
	all := n.jobs.list()
	if len(all) == 0 {
		return []*nodev1.Finding{doctor.Good(doctor.Job, "jobs", "there is no job")}
	}
	var found []*nodev1.Finding
	for _, r := range all {
		found = append(found, doctor.OfJob(r.title(), n.states.job(r).State))
		if r.oracle == nil {
			continue
		}
		facts := r.oracle.Facts()
		found = append(found, doctor.OfPeers(r.title(), facts, now)...)
		if facts.Bootstrap {
			continue
		}
		found = append(found, doctor.OfBudgets(r.title(), facts.Members, r.oracle.Longest())...)
		if r.spec.PluginType == job.PluginMedian {
			found = append(found, doctor.OfClocks(r.title(), facts))
		}
		if r.transmitter(n.states.last()) == nil {
			found = append(found, doctor.OfFunds(r.title(), doctor.Account{Name: r.spec.Account()}))
		}
	}
	return found
}

// ofBridges asks every bridge whether it answers.
func (n *Node) ofBridges(ctx context.Context) []*nodev1.Finding {
	all, err := n.database.Bridges(ctx)
	if err != nil {
		return []*nodev1.Finding{doctor.Failed(doctor.Database, "the database", "the bridges cannot be read: "+err.Error(),
			"see the node's log")}
	}
	found := make([]*nodev1.Finding, len(all))
	var wait sync.WaitGroup
	turn := make(chan struct{}, bridgesAtOnce)
	for at, b := range all {
		wait.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			begin := time.Now()
			status, err := n.runner.Reach(ctx, b.Name)
			answer := doctor.Answer{Status: status, Took: time.Since(begin)}
			if err != nil {
				answer.Fault = err.Error()
			}
			_, used := n.UsesBridge(b.Name)
			found[at] = doctor.OfBridge(b.Name, used, answer)
		})
	}
	wait.Wait()
	return found
}
