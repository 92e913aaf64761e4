package relayer

import (
	"cmp"
	"context"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// chain is one chain. What it has no methods for, its base answers.
type chain struct {
	*base
	config Config
}

type (
	base     = service.Chain[*client, common.Address, *account, *contract]
	contract = service.Polled[*client]
)

// open makes a chain. It waits for no node.
func open(config Config, env service.Env) (relayerv1loop.Chain, error) {
	id, _ := new(big.Int).SetString(config.ChainID, 10) // whose form was checked
	c := &chain{config: config}
	var nodes []relayer.Node[*client]
	for _, node := range config.Nodes {
		nodes = append(nodes, relayer.Node[*client]{Name: node.Name, Driver: &endpoint{
			url: node.HTTPURL.Reveal(), id: id,
			interval: config.PollInterval.Duration, timeout: config.RequestTimeout.Duration,
		}})
	}
	c.base = service.NewChain(service.ChainSettings[*client, common.Address, *account, *contract]{
		Env: env, Config: config, Nodes: nodes, Pool: relayer.PoolSettings{Timeout: config.RequestTimeout.Duration},
		Open: func(name string) (*account, relayer.QueueSettings, error) {
			return &account{
				address: common.HexToAddress(name), chain: id, config: config,
				keystore: env.Loans.Keystore, pool: c.Pool(),
			}, relayer.QueueSettings{}, nil
		},
		Follow: func(address common.Address) *contract { return c.follow(id, address) },
		Head:   (*client).Head,
	})
	c.Resume()
	return c, nil
}

// CreateProvider implements relayerv1loop.Chain. It says how to serve the contract of one job.
func (c *chain) CreateProvider(
	_ context.Context, request *relayerv1.CreateProviderRequest,
) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	job, err := c.Job(request)
	if err != nil {
		return nil, nil, err
	}
	address, gas := common.HexToAddress(job.Contract), cmp.Or(uint64(request.GetGasLimit()), c.config.GasLimit)
	return c.Provider(request.GetName(), job, address, service.Served{
		Codec: codec{}, Digest: digest,
		Payload: func(_ context.Context, report service.Report) ([]byte, error) {
			return payload(address, gas, report)
		},
	})
}
