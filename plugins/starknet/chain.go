package starknet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/stark"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Chain is one network: its nodes, the contracts that are followed on it and a queue for each transmitting account.
type Chain struct {
	config  Config
	id      stark.Felt
	loans   relayerv1loop.CreateChainLoans
	logger  *slog.Logger
	metrics *metrics
	hub     *relayer.Hub
	pool    *account.Pool

	cancel  context.CancelFunc
	resumed sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	heights   map[string]uint64 // by node
	contracts map[stark.Felt]*contract
	queues    map[stark.Felt]*queue
}

// queue is one account's.
type queue struct {
	*relayer.Queue
	account *account.Account
}

var _ relayerv1loop.Chain = (*Chain)(nil)

func newChain(config Config, loans relayerv1loop.CreateChainLoans, logger *slog.Logger, metrics *metrics, hub *relayer.Hub) (*Chain, error) {
	id, err := stark.ShortString(config.ChainID)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "chain_id: %v", err)
	}
	c := &Chain{
		config: config, id: id, loans: loans, logger: logger, metrics: metrics, hub: hub,
		heights: map[string]uint64{}, contracts: map[stark.Felt]*contract{}, queues: map[stark.Felt]*queue{},
	}
	var nodes []relayer.Node[*endpoint.Client]
	for _, node := range config.Nodes {
		if !config.Enabled {
			break
		}
		nodes = append(nodes, relayer.Node[*endpoint.Client]{Name: node.Name, Driver: endpoint.NewDriver(endpoint.Settings{
			URL: string(node.URL), APIKey: strings.TrimSpace(string(node.APIKey)), ChainID: id,
			PollInterval: time.Duration(config.OCR2CachePollPeriod), Timeout: time.Duration(config.RequestTimeout),
		})})
	}
	c.pool = relayer.NewPool(relayer.PoolSettings{
		Logger: logger, Timeout: time.Duration(config.RequestTimeout), Advanced: c.advanced, Serves: c.serves,
		Observe: func(node, outcome string) { metrics.calls.WithLabelValues(config.ChainID, node, outcome).Inc() },
	}, nodes)
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.resumed.Go(func() { relayer.Resume(ctx, loans.Store, logger, c.resume) })
	return c, nil
}

// Close ends all work of the chain. The host releases providers before their chain.
func (c *Chain) Close() error {
	c.cancel()
	c.resumed.Wait()
	c.mu.Lock()
	c.closed = true
	queues, contracts := c.queues, c.contracts
	c.mu.Unlock()
	var failures []error
	for _, q := range queues {
		failures = append(failures, q.Close())
	}
	for _, contract := range contracts {
		failures = append(failures, contract.poller.Close())
	}
	failures = append(failures, c.pool.Close())
	c.metrics.forget(c.config.ChainID)
	return errors.Join(failures...)
}

// resume starts the queue of an account that has something unfinished in the Store.
func (c *Chain) resume(name string) error {
	address, err := stark.ParseFelt(name)
	if err == nil {
		_, err = c.queue(address)
	}
	return err
}

// advanced hears of the newest block of each node, whether or not it is new. A block counts once for each node that tells of
// it: the node that is asked next may be the last to have it.
func (c *Chain) advanced(node string, height uint64) {
	c.metrics.height.WithLabelValues(c.config.ChainID, node).Set(float64(height))
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.heights[node]; ok && known == height {
		return
	}
	c.heights[node] = height
	c.wake()
}

// serves hears when a node begins to serve, maybe after an outage in which no block was made.
func (c *Chain) serves(string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake()
}

// wake has everything look at the chain. The lock is held.
func (c *Chain) wake() {
	for _, contract := range c.contracts {
		contract.poller.Nudge()
	}
	for _, q := range c.queues {
		q.Trigger()
	}
}

// acquire follows a contract once more. release must follow.
func (c *Chain) acquire(address stark.Felt) (*contract, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, status.Error(codes.FailedPrecondition, "the chain is released")
	}
	followed := c.contracts[address]
	if followed == nil {
		followed = &contract{address: address, chain: c.id, pool: c.pool, hub: c.hub}
		followed.follow(c.config)
		c.contracts[address] = followed
	}
	followed.users++
	return followed, nil
}

func (c *Chain) release(followed *contract) error {
	c.mu.Lock()
	followed.users--
	last := followed.users == 0
	if last {
		delete(c.contracts, followed.address)
	}
	c.mu.Unlock()
	if last {
		return followed.poller.Close()
	}
	return nil
}

// queue returns the account's queue, and starts it if there is none. It lives as long as the chain: jobs come and go, what
// was accepted stays.
func (c *Chain) queue(address stark.Felt) (*queue, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, status.Error(codes.FailedPrecondition, "the chain is released")
	}
	if q := c.queues[address]; q != nil {
		return q, nil
	}
	sender := account.New(account.Settings{
		Address: address, ChainID: c.id, Keystore: c.loans.Keystore, Pool: c.pool, Logger: c.logger,
		FeeMultiplier: c.config.FeeMultiplier, Estimates: int(c.config.FeeEstimationMaxAttempts),
		Timeout: time.Duration(c.config.TxTimeout),
	})
	name := address.String()
	q := &queue{account: sender, Queue: relayer.NewQueue(relayer.QueueSettings{
		Account: name, Store: c.loans.Store, Sender: sender, Logger: c.logger, Interval: time.Duration(c.config.ConfirmationPoll),
		Settled: func(_ relayer.Item, ending string) {
			c.metrics.transmissions.WithLabelValues(c.config.ChainID, ending).Inc()
		},
		Depth: func(waiting, flying int) {
			c.metrics.queue.WithLabelValues(c.config.ChainID, name, "waiting").Set(float64(waiting))
			c.metrics.queue.WithLabelValues(c.config.ChainID, name, "flying").Set(float64(flying))
		},
	})}
	q.Start()
	c.queues[address] = q
	return q, nil
}

// LatestHead implements relayerv1loop.Chain.
func (c *Chain) LatestHead(context.Context, *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	client, err := c.pool.Best()
	if err != nil {
		return nil, err
	}
	head := client.Head()
	hash := head.Hash.Bytes()
	return &relayerv1.LatestHeadResponse{Number: head.Number, Hash: hash[:], Timestamp: timestamppb.New(head.Time)}, nil
}

// ChainStatus implements relayerv1loop.Chain.
func (c *Chain) ChainStatus(context.Context, *relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	document, err := c.config.Redacted()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	response := &relayerv1.ChainStatusResponse{ChainId: c.config.ChainID, Enabled: c.config.Enabled, ConfigToml: document}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.queues {
		if trouble := q.account.Trouble(); trouble != "" {
			response.Troubles = append(response.Troubles, trouble)
		}
	}
	slices.Sort(response.Troubles)
	return response, nil
}

// ListNodeStatuses implements relayerv1loop.Chain.
func (c *Chain) ListNodeStatuses(_ context.Context, request *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	return c.pool.Page(request)
}

// Transact implements relayerv1loop.Chain: it moves the token that fees are paid in, in its smallest unit, FRI. It knows the key of
// an account that a job transmits from, and of no other.
func (c *Chain) Transact(ctx context.Context, request *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	from, err := stark.ParseFelt(request.GetFrom())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "from: %v", err)
	}
	to, err := stark.ParseFelt(request.GetTo())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "to: %v", err)
	}
	amount := wire.Int(request.GetAmount())
	if amount == nil || amount.Sign() < 0 || amount.BitLen() > 256 {
		return nil, status.Error(codes.InvalidArgument, "amount: it must be FRI from 0 to 2^256-1")
	}
	c.mu.Lock()
	q := c.queues[from]
	c.mu.Unlock()
	if q == nil || q.account.Key().IsZero() {
		return nil, status.Errorf(codes.NotFound, "from: no job of this node transmits from %s on chain %s, so that its key is not known", from, c.config.ChainID)
	}
	lent, err := c.loans.Keystore.ListAccounts(ctx, &hostservicev1.ListAccountsRequest{})
	if err != nil {
		return nil, fmt.Errorf("list the accounts of chain %s: %w", c.config.ChainID, err)
	}
	key := q.account.Key()
	if !slices.Contains(lent.GetAccounts(), key.String()) {
		return nil, status.Errorf(codes.NotFound, "from: this node has no key %s, which signs for %s on chain %s", key, from, c.config.ChainID)
	}
	low := new(big.Int).And(amount, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)))
	call := account.Call{Key: key, To: c.config.FeeToken, Selector: aggregator.Selector("transfer"), Calldata: []stark.Felt{to}}
	for _, half := range []*big.Int{low, new(big.Int).Rsh(amount, 128)} {
		f, err := stark.FromBig(half)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "amount: %v", err)
		}
		call.Calldata = append(call.Calldata, f)
	}
	if request.GetCheckBalance() {
		balance, err := q.account.Balance(ctx, c.config.FeeToken)
		if err != nil {
			return nil, asUnavailable(err)
		}
		if balance.Cmp(amount) < 0 {
			return nil, status.Errorf(codes.FailedPrecondition, "%s holds %s FRI, fewer than the %s to transfer; send less or fund the account", from, balance, amount)
		}
		cost, err := q.account.Cost(ctx, call)
		if err != nil {
			return nil, c.refused(err, from, amount)
		}
		if need := new(big.Int).Add(amount, cost); balance.Cmp(need) < 0 {
			return nil, status.Errorf(codes.FailedPrecondition, "%s holds %s FRI, and the transfer needs up to %s with its fees; send less or fund the account", from, balance, need)
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
		return status.Errorf(codes.FailedPrecondition, "%s does not hold %s FRI and the fees; send less or fund the account", from, amount)
	case status.Code(err) != codes.Unknown:
		return err
	default:
		return status.Errorf(codes.FailedPrecondition, "the chain refuses to transfer %s FRI from %s: %v", amount, from, err)
	}
}

// Replay implements relayerv1loop.Chain. The relayer keeps nothing of the chain's events but each contract's latest configuration,
// which it reads again.
func (c *Chain) Replay(_ context.Context, request *relayerv1.ReplayRequest) (*relayerv1.ReplayResponse, error) {
	client, err := c.pool.Best()
	if err != nil {
		return nil, err
	}
	if head := max(client.Head().Number, c.pool.Height()); request.GetFromBlock() > head {
		return nil, status.Errorf(codes.InvalidArgument, "from_block: %d is above the latest block, %d", request.GetFromBlock(), head)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, contract := range c.contracts {
		contract.forget(request.GetFromBlock())
	}
	return &relayerv1.ReplayResponse{}, nil
}
