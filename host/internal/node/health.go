package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/web"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// healthTimeout bounds what a chain's state may take: it is kept by its relayer, so that one that is there answers at
// once.
const healthTimeout = time.Second

// health names the RPC nodes of each chain that do not serve and the accounts whose transactions fail, and why. They
// do not make the node ill: it outlives the outage of a chain's provider, and to restart it would mend nothing.
func (p *plugins) health() []web.Check {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	var mu sync.Mutex
	var all []web.Check
	var wait sync.WaitGroup
	for _, r := range p.running() {
		if r.plugin.Status().State != supervise.Ready {
			continue // the plugin's own check says why
		}
		for id, c := range r.chains {
			wait.Go(func() {
				check := chainHealth(ctx, c)
				check.Name = r.title + " chain " + id
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

// scrape is the runtime as the HTTP server sees it.
type scrape struct{ runtime *loophost.Runtime }

// List implements web.Plugins. A plugin that starts for the first time is not among them: it may yet be refused, or be
// of another kind than it is started as.
func (s scrape) List() []web.Plugin {
	var all []web.Plugin
	for _, p := range s.runtime.Plugins() {
		if st := p.Status(); st.State != supervise.Starting {
			all = append(all, web.Plugin{Name: st.Name, Kind: st.Kind, Job: ownerOf(st.Name)})
		}
	}
	return all
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
