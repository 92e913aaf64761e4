package starknet

import (
	"context"
	"errors"
	"math/big"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// Chain is one network, with its id as a field element.
type Chain struct {
	*base
	config Config
	id     stark.Felt
	reader *service.Reader[*endpoint.Client, stark.Felt]
}

type base = service.Chain[*endpoint.Client, stark.Felt, *account.Account, *contract]

var _ relayerv1loop.Chain = (*Chain)(nil)

func newChain(config Config, env service.Env) (relayerv1loop.Chain, error) {
	id, err := stark.ShortString(config.ChainID)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "chain_id: %v", err)
	}
	c := &Chain{config: config, id: id}
	var nodes []relayer.Node[*endpoint.Client]
	for _, node := range config.Nodes {
		nodes = append(nodes, relayer.Node[*endpoint.Client]{Name: node.Name, Driver: endpoint.NewDriver(endpoint.Settings{
			URL: node.URL.Reveal(), APIKey: strings.TrimSpace(node.APIKey.Reveal()), ChainID: id,
			PollInterval: config.OCR2CachePollPeriod.Duration, Timeout: config.RequestTimeout.Duration,
		})})
	}
	c.base = service.NewChain(service.ChainSettings[*endpoint.Client, stark.Felt, *account.Account, *contract]{
		Env: env, Config: config, Nodes: nodes, Pool: relayer.PoolSettings{Timeout: config.RequestTimeout.Duration},
		Open: func(name string) (*account.Account, relayer.QueueSettings, error) {
			address, err := stark.ParseFelt(name)
			if err != nil {
				return nil, relayer.QueueSettings{}, err
			}
			return account.New(account.Settings{
				Address: address, ChainID: id, Keystore: env.Loans.Keystore, Pool: c.Pool(), Logger: env.Logger,
				FeeToken: config.FeeToken.Felt, FeeMultiplier: config.FeeMultiplier, FeeMax: config.feeMax(),
				Estimates: int(config.FeeEstimationMaxAttempts), Timeout: config.TxTimeout.Duration,
			}), relayer.QueueSettings{Interval: config.ConfirmationPoll.Duration}, nil
		},
		Balance: func(ctx context.Context, a *account.Account) (*big.Int, error) { return a.Balance(ctx) },
		Coin:    1e18, // FRI
		Follow:  c.follow,
		Head: func(client *endpoint.Client) service.Head {
			head := client.Head()
			hash := head.Hash.Bytes()
			return service.Head{Number: head.Number, Hash: hash[:], Time: head.Time}
		},
		Replay: c.replay,
	})
	c.read()
	c.Resume()
	return c, nil
}

// read begins to read contracts, all of them at once: at an interval, and at each new block of any node.
func (c *Chain) read() {
	interval, timeout := c.config.OCR2CachePollPeriod.Duration, c.config.RequestTimeout.Duration
	c.reader = service.NewReader(service.ReaderSettings[*endpoint.Client, stark.Felt]{
		Pool: c.Pool(),
		Poller: relayer.PollerSettings[struct{}]{
			Interval: interval, Retry: min(interval, time.Second), Gap: min(interval/2, 500*time.Millisecond),
			TTL: c.config.OCR2CacheTTL.Duration, Timeout: 2 * timeout,
		},
		Read: read, Then: (&transmitters{chain: c}).find,
	})
}

// Close ends all work of the chain. The host releases providers before their chain.
func (c *Chain) Close() error { return errors.Join(c.reader.Close(), c.base.Close()) }

// Transact implements relayerv1loop.Chain: it transfers the token that pays fees, in its smallest unit, FRI. It knows
// only the keys of accounts that a job transmits from.
func (c *Chain) Transact(ctx context.Context, request *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	transfer, err := service.ReadTransfer(request, stark.ParseFelt, "FRI", 256)
	if err != nil {
		return nil, err
	}
	from, to, amount := transfer.From, transfer.To, transfer.Amount
	q, ok := c.Started(from.String())
	if !ok || q.Account.Key().IsZero() {
		return nil, status.Errorf(codes.NotFound,
			"from: no job of this node transmits from %s on chain %s, so that its key is not known", from, c.config.ChainID)
	}
	key := q.Account.Key()
	lent, err := c.Lends(ctx, func(name string) bool { return name == key.String() })
	if err != nil {
		return nil, err
	}
	if !lent {
		return nil, status.Errorf(codes.NotFound, "from: this node has no key %s, which signs for %s on chain %s", key, from,
			c.config.ChainID)
	}
	low := new(big.Int).And(amount, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)))
	call := account.Call{Key: key, To: c.config.FeeToken.Felt, Selector: aggregator.Selector("transfer"),
		Calldata: []stark.Felt{to}}
	for _, half := range []*big.Int{low, new(big.Int).Rsh(amount, 128)} {
		f, err := stark.FromBig(half)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "amount: %v", err)
		}
		call.Calldata = append(call.Calldata, f)
	}
	if request.GetCheckBalance() {
		balance, err := q.Account.Balance(ctx)
		if err != nil {
			return nil, service.AsUnavailable(err)
		}
		if balance.Cmp(amount) < 0 {
			return nil, status.Errorf(codes.FailedPrecondition,
				"%s holds %s FRI, fewer than the %s to transfer; send less or fund the account", from, balance, amount)
		}
		cost, err := q.Account.Cost(ctx, call)
		if err != nil {
			return nil, c.refused(err, from, amount)
		}
		if need := new(big.Int).Add(amount, cost); balance.Cmp(need) < 0 {
			return nil, status.Errorf(codes.FailedPrecondition,
				"%s holds %s FRI, and the transfer needs up to %s with its fees; send less or fund the account", from, balance,
				need)
		}
	}
	payload, err := call.Encode()
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
func (c *Chain) refused(err error, from stark.Felt, amount *big.Int) error {
	switch {
	case endpoint.IsCode(err, endpoint.CodeInsufficientBalance):
		return status.Errorf(codes.FailedPrecondition, "%s does not hold %s FRI and the fees; send less or fund the account",
			from, amount)
	case status.Code(err) != codes.Unknown:
		return err
	default:
		return status.Errorf(codes.FailedPrecondition, "the chain refuses to transfer %s FRI from %s: %v", amount, from, err)
	}
}

// replay has each contract's latest configuration read again: of the chain's events, the relayer keeps nothing else.
func (c *Chain) replay(_ context.Context, from uint64) error {
	for _, contract := range c.Contracts() {
		contract.Forget(from)
	}
	return nil
}
