package evm

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// Chain is one chain, with its id as a number and the events of its contracts that nodes push.
type Chain struct {
	*base
	config Config
	id     *big.Int
	pushed endpoint.Contracts // whose events nodes push
	reader *service.Reader[*endpoint.Client, common.Address]
	events *events
	nitro  nitro
}

type base = service.Chain[*endpoint.Client, common.Address, *account.Account, *contract]

var _ relayerv1loop.Chain = (*Chain)(nil)

// ether is one in wei: chains with another coin give it 18 decimals too.
const ether = 1e18

func newChain(config Config, env service.Env) (relayerv1loop.Chain, error) {
	id, ok := new(big.Int).SetString(config.ChainID, 10)
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "chain_id: %q is not a decimal number", config.ChainID)
	}
	c := &Chain{config: config, id: id}
	c.events, c.nitro.chain = &events{chain: c}, c
	var nodes []relayer.Node[*endpoint.Client]
	for _, node := range config.inOrder() {
		nodes = append(nodes,
			relayer.Node[*endpoint.Client]{Name: node.Name, SendOnly: node.SendOnly,
				Driver: endpoint.NewDriver(endpoint.Settings{
					WSURL: node.WSURL.Reveal(), HTTPURL: node.HTTPURL.Reveal(), ChainID: id, SendOnly: node.SendOnly,
					PollInterval: cmp.Or(config.NodePool.NewHeadsPollInterval.Duration, config.PollInterval.Duration),
					Timeout:      config.RequestTimeout.Duration,
					BatchSize:    uint64(config.RPCDefaultBatchSize), Page: uint64(config.LogBackfillBatchSize),
					Contracts: &c.pushed, Topics: topics(), Logged: c.events.logged,
				})})
	}
	lag := uint64(config.NodePool.SyncThreshold)
	if lag == 0 {
		lag = math.MaxUint64
	}
	c.base = service.NewChain(service.ChainSettings[*endpoint.Client, common.Address, *account.Account, *contract]{
		Env: env, Config: config, Nodes: nodes,
		Pool: relayer.PoolSettings{
			Timeout: config.RequestTimeout.Duration, Selection: section.Selection(config.NodePool.SelectionMode), MaxLag: lag,
			MaxSilence: config.NoNewHeadsThreshold.Duration,
		},
		Open: func(name string) (*account.Account, relayer.QueueSettings, error) {
			address, err := account.Parse(name)
			if err != nil {
				return nil, relayer.QueueSettings{}, err
			}
			return account.New(account.Settings{
					Address: address, ChainID: id, Keystore: env.Loans.Keystore, Pool: c.Pool(),
					FinalityDepth: uint64(config.FinalityDepth), FinalityTag: config.FinalityTagEnabled,
					FinalityOffset: uint64(config.FinalizedBlockOffset),
					GasLimit:       config.GasLimitDefault, Limit: config.limits(), Fees: config.fees(address),
				}), relayer.QueueSettings{
					Window: int(value(config.Transactions.MaxInFlight, 0)),
					Resend: value(config.Transactions.ResendAfterThreshold, document.Duration{}).Duration,
				}, nil
		},
		Balance: func(ctx context.Context, a *account.Account) (*big.Int, error) { return a.Balance(ctx) }, Coin: ether,
		Follow: c.follow,
		Head: func(client *endpoint.Client) service.Head {
			head := client.Head()
			return service.Head{Number: head.Number, Hash: head.Hash[:], Time: head.Time}
		},
		Replay: c.replay,
	})
	c.read()
	c.Resume()
	return c, nil
}

// read begins to read contracts: at each new block of any node and at each event that a node pushes. PollInterval is
// how often nodes are asked for blocks; contracts are not read much more often, however fast the chain is.
func (c *Chain) read() {
	interval, timeout := c.config.PollInterval.Duration, c.config.RequestTimeout.Duration
	c.reader = service.NewReader(service.ReaderSettings[*endpoint.Client, common.Address]{
		Pool: c.Pool(),
		Poller: relayer.PollerSettings[struct{}]{
			Retry: interval, Gap: min(interval/2, 500*time.Millisecond), Timeout: 2 * timeout,
		},
		Read: c.readContracts, Due: c.events.due, Then: c.events.then,
	})
}

// Close ends all work of the chain. The host releases providers before their chain.
func (c *Chain) Close() error { return errors.Join(c.reader.Close(), c.base.Close()) }

// Transact implements relayerv1loop.Chain.
func (c *Chain) Transact(ctx context.Context, request *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	transfer, err := service.ReadTransfer(request, account.Parse, "wei", 256)
	if err != nil {
		return nil, err
	}
	from, to, amount := transfer.From, transfer.To, transfer.Amount
	lent, err := c.Lends(ctx, func(name string) bool {
		address, err := account.Parse(name)
		return err == nil && address == from
	})
	if err != nil {
		return nil, err
	}
	if !lent {
		return nil, status.Errorf(codes.NotFound, "from: this node has no key for %s on chain %s", from, c.config.ChainID)
	}
	q, err := c.Queue(from.Hex())
	if err != nil {
		return nil, err
	}
	gas, err := q.Account.TransferGas(ctx, to, amount)
	if err != nil {
		return nil, c.refused(err, from, amount)
	}
	if request.GetCheckBalance() {
		balance, err := q.Account.Balance(ctx)
		if err != nil {
			return nil, err
		}
		cost, err := q.Account.Cost(ctx, gas)
		if err != nil {
			return nil, err
		}
		if need := new(big.Int).Add(amount, cost); balance.Cmp(need) < 0 {
			return nil, status.Errorf(codes.FailedPrecondition,
				"%s holds %s wei, and the transfer needs up to %s with its fees; send less or fund the account", from, balance,
				need)
		}
	}
	payload, err := account.Call{To: to, Value: (*hexutil.Big)(amount), Gas: gas}.Encode()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	hash, err := q.Submit(ctx, payload)
	if err != nil {
		return nil, c.refused(err, from, amount)
	}
	return &relayerv1.TransactResponse{TransactionHash: hash}, nil
}

// refused makes a status of what a node said to a transfer.
func (c *Chain) refused(err error, from common.Address, amount *big.Int) error {
	switch {
	case account.ShortOfFunds(err):
		return status.Errorf(codes.FailedPrecondition, "%s does not hold %s wei and the fees; send less or fund the account",
			from, amount)
	case status.Code(err) != codes.Unknown:
		return err
	default:
		return status.Errorf(codes.FailedPrecondition, "the chain refuses to transfer %s wei from %s: %v", amount, from, err)
	}
}

// replay looks for the requests for rounds to all contracts from a block on.
func (c *Chain) replay(ctx context.Context, from uint64) error {
	if err := c.events.replay(ctx, from); err != nil {
		return status.Errorf(codes.Unavailable, "read the events of contracts from block %d: %s", from,
			status.Convert(err).Message())
	}
	return nil
}
