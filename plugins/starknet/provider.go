package starknet

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// CreateProvider implements relayerv1loop.Chain. It does not use the gas limit of a job, since a transaction's bounds
// come from its estimate.
func (c *Chain) CreateProvider(_ context.Context,
	request *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	job, err := c.Job(request)
	if err != nil {
		return nil, nil, err
	}
	if name := job.RelayConfig.Text("nodeName"); name != "" &&
		!slices.ContainsFunc(c.config.Nodes, func(n NodeConfig) bool { return n.Name == name }) {
		return nil, nil, status.Errorf(codes.InvalidArgument,
			"relayConfig.nodeName: chain %s has no RPC node %q; remove the key, since every node of the chain serves every job",
			c.config.ChainID, name)
	}
	address, err := stark.ParseFelt(job.Contract)
	if err != nil {
		return nil, nil, err
	}
	key, _ := stark.ParseFelt(job.Transmitter) // whose form is known, unless the job has none
	provider, response, err := c.Provider(request.GetName(), job, address, service.Served{
		Codec: codec{}, Digest: reportDigest,
		Payload: func(_ context.Context, report service.Report) ([]byte, error) { return payload(key, address, report) },
	})
	if q, ok := c.Started(job.From); ok && err == nil && job.Transmitter != "" {
		q.Account.Use(key)
	}
	return provider, response, err
}

// payload is the call that transmits a report, signed with a key.
func payload(key, contract stark.Felt, report service.Report) ([]byte, error) {
	calldata, err := aggregator.Transmit(contextOf(report), report.Report, report.Signatures)
	if err != nil {
		return nil, err
	}
	return account.Call{Key: key, To: contract, Selector: aggregator.Selector(aggregator.TransmitFunction),
		Calldata: calldata}.Encode()
}
