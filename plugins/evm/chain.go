package evm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Chain is one chain: its nodes, the contracts that are followed on it and a queue for each transmitting account.
type Chain struct {
	config  Config
	id      *big.Int
	loans   relayerv1loop.CreateChainLoans
	logger  *slog.Logger
	metrics *metrics
	hub     *relayer.Hub
	pool    *account.Pool
	events  endpoint.Contracts

	cancel  context.CancelFunc
	resumed sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	heights   map[string]uint64 // by node
	contracts map[common.Address]*contract
	queues    map[common.Address]*queue
}

// queue is one account's.
type queue struct {
	*relayer.Queue
	account *account.Account
}

var _ relayerv1loop.Chain = (*Chain)(nil)

func newChain(config Config, loans relayerv1loop.CreateChainLoans, logger *slog.Logger, metrics *metrics, hub *relayer.Hub) (*Chain, error) {
	id, ok := new(big.Int).SetString(config.ChainID, 10)
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "chain_id: %q is no decimal number", config.ChainID)
	}
	c := &Chain{
		config: config, id: id, loans: loans, logger: logger, metrics: metrics, hub: hub,
		heights: map[string]uint64{}, contracts: map[common.Address]*contract{}, queues: map[common.Address]*queue{},
	}
	var nodes []relayer.Node[*endpoint.Client]
	for _, node := range config.inOrder() {
		if !config.Enabled {
			break
		}
		driver := endpoint.NewDriver(endpoint.Settings{
			WSURL: string(node.WSURL), HTTPURL: string(node.HTTPURL), ChainID: id, SendOnly: node.SendOnly,
			PollInterval: time.Duration(cmp.Or(config.NodePool.NewHeadsPollInterval, config.PollInterval)),
			Timeout:      time.Duration(config.RequestTimeout),
			BatchSize:    uint64(config.RPCDefaultBatchSize), Page: uint64(config.LogBackfillBatchSize),
			Contracts: &c.events, Logged: c.logged,
		})
		nodes = append(nodes, relayer.Node[*endpoint.Client]{Name: node.Name, Driver: driver, SendOnly: node.SendOnly})
	}
	lag := uint64(config.NodePool.SyncThreshold)
	if lag == 0 {
		lag = math.MaxUint64
	}
	c.pool = relayer.NewPool(relayer.PoolSettings{
		Logger: logger, Timeout: time.Duration(config.RequestTimeout), Advanced: c.advanced, Serves: c.serves,
		Selection: section.Selections[config.NodePool.SelectionMode], MaxLag: lag,
		MaxSilence: time.Duration(config.NoNewHeadsThreshold),
		Observe:    func(node, outcome string) { metrics.calls.WithLabelValues(config.ChainID, node, outcome).Inc() },
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
		failures = append(failures, contract.close())
	}
	failures = append(failures, c.pool.Close())
	c.metrics.forget(c.config.ChainID)
	return errors.Join(failures...)
}

// resume starts the queue of an account that has something unfinished in the Store.
func (c *Chain) resume(name string) error {
	address, err := account.Parse(name)
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
	if c.heights[node] == height {
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
		contract.nudge()
	}
	for _, q := range c.queues {
		q.Trigger()
	}
}

// logged hears of each event of a followed contract.
func (c *Chain) logged(address common.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if contract := c.contracts[address]; contract != nil {
		contract.trigger()
	}
}

// acquire follows a contract once more. release must follow.
func (c *Chain) acquire(address common.Address) (*contract, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, status.Error(codes.FailedPrecondition, "the chain is released")
	}
	followed := c.contracts[address]
	if followed == nil {
		followed = &contract{
			address: address, pool: c.pool, hub: c.hub, backfill: uint64(c.config.LogBackfillDepth), logger: c.logger,
			digester: evmutil.EVMOffchainConfigDigester{ChainID: c.id.Uint64(), ContractAddress: address},
		}
		followed.follow(
			time.Duration(c.config.PollInterval), time.Duration(c.config.LogPollInterval), time.Duration(c.config.RequestTimeout),
		)
		c.contracts[address] = followed
	}
	followed.users++
	c.events.Add(address)
	return followed, nil
}

func (c *Chain) release(followed *contract) error {
	c.mu.Lock()
	c.events.Remove(followed.address)
	followed.users--
	last := followed.users == 0
	if last {
		delete(c.contracts, followed.address)
	}
	c.mu.Unlock()
	if last {
		return followed.close()
	}
	return nil
}

// queue returns the account's queue, and starts it if there is none. It lives as long as the chain: jobs come and go, what
// was accepted stays.
func (c *Chain) queue(address common.Address) (*queue, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, status.Error(codes.FailedPrecondition, "the chain is released")
	}
	if q := c.queues[address]; q != nil {
		return q, nil
	}
	sender := account.New(account.Settings{
		Address: address, ChainID: c.id, Keystore: c.loans.Keystore, Pool: c.pool,
		FinalityDepth: uint64(c.config.FinalityDepth), FinalityTag: c.config.FinalityTagEnabled,
		FinalityOffset: uint64(c.config.FinalizedBlockOffset),
		GasLimit:       c.config.GasLimitDefault, Limit: c.config.limits(), Fees: c.config.fees(address),
	})
	unfunded := c.metrics.unfunded.WithLabelValues(c.config.ChainID, address.Hex())
	q := &queue{account: sender, Queue: relayer.NewQueue(relayer.QueueSettings{
		Account: address.Hex(), Store: c.loans.Store, Sender: sender, Logger: c.logger,
		Window: int(value(c.config.Transactions.MaxInFlight, 0)),
		Resend: time.Duration(value(c.config.Transactions.ResendAfterThreshold, 0)),
		Unfunded: func(lacks bool) {
			unfunded.Set(0)
			if lacks {
				unfunded.Set(1)
			}
		},
		Settled: func(_ relayer.Item, ending string) {
			c.metrics.transmissions.WithLabelValues(c.config.ChainID, ending).Inc()
		},
		Depth: func(waiting, flying int) {
			c.metrics.queue.WithLabelValues(c.config.ChainID, address.Hex(), "waiting").Set(float64(waiting))
			c.metrics.queue.WithLabelValues(c.config.ChainID, address.Hex(), "flying").Set(float64(flying))
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
	return &relayerv1.LatestHeadResponse{Number: head.Number, Hash: head.Hash[:], Timestamp: timestamppb.New(head.Time)}, nil
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

// Transact implements relayerv1loop.Chain.
func (c *Chain) Transact(ctx context.Context, request *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	from, err := account.Parse(request.GetFrom())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "from: %v", err)
	}
	to, err := account.Parse(request.GetTo())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "to: %v", err)
	}
	amount := wire.Int(request.GetAmount())
	if amount == nil || amount.Sign() < 0 || amount.BitLen() > 256 {
		return nil, status.Error(codes.InvalidArgument, "amount: it must be wei from 0 to 2^256-1")
	}
	lent, err := c.loans.Keystore.ListAccounts(ctx, &hostservicev1.ListAccountsRequest{})
	if err != nil {
		return nil, fmt.Errorf("list the accounts of chain %s: %w", c.config.ChainID, err)
	}
	if !slices.ContainsFunc(lent.GetAccounts(), func(name string) bool { address, err := account.Parse(name); return err == nil && address == from }) {
		return nil, status.Errorf(codes.NotFound, "from: this node has no key for %s on chain %s", from, c.config.ChainID)
	}
	q, err := c.queue(from)
	if err != nil {
		return nil, err
	}
	gas, err := q.account.TransferGas(ctx, to, amount)
	if err != nil {
		return nil, c.refused(err, from, amount)
	}
	if request.GetCheckBalance() {
		balance, err := q.account.Balance(ctx)
		if err != nil {
			return nil, err
		}
		cost, err := q.account.Cost(ctx, gas)
		if err != nil {
			return nil, err
		}
		if need := new(big.Int).Add(amount, cost); balance.Cmp(need) < 0 {
			return nil, status.Errorf(codes.FailedPrecondition, "%s holds %s wei, and the transfer needs up to %s with its fees; send less or fund the account", from, balance, need)
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
		return status.Errorf(codes.FailedPrecondition, "%s does not hold %s wei and the fees; send less or fund the account", from, amount)
	case status.Code(err) != codes.Unknown:
		return err
	default:
		return status.Errorf(codes.FailedPrecondition, "the chain refuses to transfer %s wei from %s: %v", amount, from, err)
	}
}

// Replay implements relayerv1loop.Chain.
func (c *Chain) Replay(ctx context.Context, request *relayerv1.ReplayRequest) (*relayerv1.ReplayResponse, error) {
	client, err := c.pool.Best()
	if err != nil {
		return nil, err
	}
	if head := max(client.Head().Number, c.pool.Height()); request.GetFromBlock() > head {
		return nil, status.Errorf(codes.InvalidArgument, "from_block: %d is above the latest block, %d", request.GetFromBlock(), head)
	}
	c.mu.Lock()
	contracts := make([]*contract, 0, len(c.contracts))
	for _, contract := range c.contracts {
		contracts = append(contracts, contract)
	}
	c.mu.Unlock()
	for _, contract := range contracts {
		if err := contract.replay(ctx, request.GetFromBlock()); err != nil {
			return nil, status.Errorf(codes.Unavailable, "read the events of %s from block %d: %s", contract.address, request.GetFromBlock(), status.Convert(err).Message())
		}
	}
	return &relayerv1.ReplayResponse{}, nil
}
