package api

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/node"
)

// ListChains implements nodev1connect.NodeServiceHandler.
func (s *service) ListChains(ctx context.Context, _ *nodev1.ListChainsRequest) (*nodev1.ListChainsResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	r := &nodev1.ListChainsResponse{}
	for _, c := range s.node.Chains(ctx) {
		r.Chains = append(r.Chains, describeChain(c))
	}
	return r, nil
}

func describeChain(c node.Chain) *nodev1.Chain {
	shown := &nodev1.Chain{
		Relay: c.Relay, Id: c.ID, Plugin: c.Plugin, State: stateOf(c.Health.Level), Reason: c.Health.Reason,
		Remedy: c.Health.Remedy, StateSince: timestamppb.New(c.Health.Since),
	}
	for _, n := range c.Nodes {
		shown.LatestBlock = max(shown.LatestBlock, n.GetLatestBlock())
		shown.Nodes = append(shown.Nodes, &nodev1.RpcNode{
			Name: n.GetName(), Serves: n.GetState() == relayerv1.NodeState_NODE_STATE_ALIVE, Reason: n.GetReason(),
			LatestBlock: n.GetLatestBlock(), Latency: n.GetLatency(),
		})
	}
	for _, a := range c.Accounts {
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
