package node

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/health"
)

// ListChains implements nodev1connect.NodeServiceHandler.
func (s *service) ListChains(ctx context.Context, _ *nodev1.ListChainsRequest) (*nodev1.ListChainsResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	s.node.states.look(ctx)
	found := s.node.states.last()
	r := &nodev1.ListChainsResponse{}
	for _, part := range found.all {
		if part.kind != health.KindChain {
			continue
		}
		now, _ := s.node.states.of(part.partID)
		r.Chains = append(r.Chains, found.chains[part.partID].describe(now))
	}
	return r, nil
}

func (c *chainSeen) describe(now health.Part) *nodev1.Chain {
	shown := &nodev1.Chain{
		Relay: c.served.relayer.Relay(), Id: c.id, Plugin: c.served.plugin.Name(), State: stateOf(now.Level),
		Reason: now.Reason, Remedy: now.Remedy, StateSince: timestamppb.New(now.Since),
	}
	for _, n := range c.nodes {
		shown.LatestBlock = max(shown.LatestBlock, n.GetLatestBlock())
		shown.Nodes = append(shown.Nodes, &nodev1.RpcNode{
			Name: n.GetName(), Serves: n.GetState() == relayerv1.NodeState_NODE_STATE_ALIVE, Reason: n.GetReason(),
			LatestBlock: n.GetLatestBlock(), Latency: n.GetLatency(),
		})
	}
	for _, a := range c.told.GetAccounts() {
		shown.Accounts = append(shown.Accounts, describeAccount(a))
	}
	return shown
}

func describeAccount(a *relayerv1.AccountStatus) *nodev1.ChainAccount {
	return &nodev1.ChainAccount{
		Account: a.GetAccount(), Balance: a.GetBalance(), Decimals: a.GetDecimals(), Trouble: a.GetTrouble(),
		OldestWaiting: a.GetOldestWaiting(),
	}
}
