package solana

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// window is how many transactions of an account may be under way: one question after their statuses covers as many.
const window = endpoint.MaxSignatures

// Chain is one chain: its nodes, the contracts that are followed on it and a queue for each transmitting account.
type Chain struct {
	config  Config
	loans   relayerv1loop.CreateChainLoans
	logger  *slog.Logger
	metrics *metrics
	pool    *account.Pool
	horizon endpoint.Horizon
	pushes  relayer.Followed[sol.PublicKey]
	ledger  *ledger
	market  *market // nil: prices are fixed

	cancel  context.CancelFunc
	resumed sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	triggered time.Time // when the queues were last told of a slot
	queues    map[sol.PublicKey]*queue
}

// queue is one account's.
type queue struct {
	*relayer.Queue
	account *account.Account
	balance *relayer.Poller[uint64]
}

var _ relayerv1loop.Chain = (*Chain)(nil)

func newChain(config Config, loans relayerv1loop.CreateChainLoans, logger *slog.Logger, metrics *metrics, hub *relayer.Hub) *Chain {
	c := &Chain{config: config, loans: loans, logger: logger, metrics: metrics, queues: map[sol.PublicKey]*queue{}}
	interval, timeout := time.Duration(config.OCR2CachePollPeriod), time.Duration(config.TxTimeout)
	c.ledger = &ledger{
		horizon: &c.horizon, hub: hub, ttl: time.Duration(config.OCR2CacheTTL), pushes: &c.pushes, contracts: map[ocr2.Contract]*contract{},
	}
	var nodes []relayer.Node[*endpoint.Client]
	for _, node := range config.ordered() {
		if !config.Enabled {
			break
		}
		nodes = append(nodes, relayer.Node[*endpoint.Client]{Name: node.Name, SendOnly: node.SendOnly})
		nodes[len(nodes)-1].Driver = endpoint.NewDriver(endpoint.Settings{
			SendOnly: node.SendOnly, URL: string(node.URL), WSURL: string(node.WSURL), ChainID: config.ChainID,
			Commitment:   rpc.CommitmentType(config.Commitment),
			PollInterval: interval, Timeout: timeout, Accounts: &c.pushes, Pushed: c.ledger.pushed,
		})
	}
	c.mu.Lock() // nodes may serve before the ledger is made
	defer c.mu.Unlock()
	c.pool = relayer.NewPool(relayer.PoolSettings{
		Logger: logger, Selection: section.Selections[config.MultiNode.SelectionMode], MaxLag: config.maxLag(),
		MaxSilence: time.Duration(config.MultiNode.NodeNoNewHeadsThreshold), Timeout: timeout,
		Advanced: c.advanced, Serves: c.serves,
		Observe: func(node, outcome string) { metrics.calls.WithLabelValues(config.ChainID, node, outcome).Inc() },
	}, nodes)
	c.ledger.pool = c.pool
	c.ledger.start(config.ChainID, interval, timeout)
	if config.FeeEstimatorMode != estimatorFixed {
		c.market = newMarket(config, c.pool, logger, metrics)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.resumed.Go(func() { relayer.Resume(ctx, loans.Store, logger, c.resume) })
	return c
}

// Close ends all work of the chain. The host releases providers before their chain.
func (c *Chain) Close() error {
	c.cancel()
	c.resumed.Wait()
	c.mu.Lock()
	c.closed = true
	queues := c.queues
	c.mu.Unlock()
	var failures []error
	for _, q := range queues {
		failures = append(failures, q.Close(), q.balance.Close())
	}
	failures = append(failures, c.ledger.poller.Close())
	if c.market != nil {
		failures = append(failures, c.market.Close())
	}
	failures = append(failures, c.pool.Close())
	c.metrics.forget(c.config.ChainID)
	return errors.Join(failures...)
}

// resume starts the queue of an account that has something unfinished in the Store.
func (c *Chain) resume(name string) error {
	key, err := account.Parse(name)
	if err == nil {
		_, err = c.queue(key)
	}
	return err
}

// advanced hears of the newest slot of each node. Slots come faster than anybody needs to look.
func (c *Chain) advanced(node string, slot uint64) {
	c.metrics.height.WithLabelValues(c.config.ChainID, node).Set(float64(slot))
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.triggered) < time.Duration(c.config.ConfirmPollPeriod) {
		return
	}
	c.wake()
}

// serves hears when a node begins to serve, maybe after an outage.
func (c *Chain) serves(string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.poller.Nudge()
	c.wake()
}

// wake has the queues look at the chain. The lock is held.
func (c *Chain) wake() {
	c.triggered = time.Now()
	for _, q := range c.queues {
		q.Trigger()
	}
}

// acquire follows a contract once more. release must follow.
func (c *Chain) acquire(accounts ocr2.Contract) (*contract, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, status.Error(codes.FailedPrecondition, "the chain is released")
	}
	return c.ledger.acquire(accounts), nil
}

// queue returns the account's queue, and starts it if there is none. It lives as long as the chain: jobs come and go, what
// was accepted stays.
func (c *Chain) queue(key sol.PublicKey) (*queue, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, status.Error(codes.FailedPrecondition, "the chain is released")
	}
	if q := c.queues[key]; q != nil {
		return q, nil
	}
	fees := account.Fees{
		Default: c.config.ComputeUnitPriceDefault, Min: c.config.ComputeUnitPriceMin, Max: c.config.ComputeUnitPriceMax, BumpPeriod: time.Duration(c.config.FeeBumpPeriod),
	}
	if c.market != nil {
		fees.Market = c.market.price
	}
	name := key.String()
	sender := account.New(account.Settings{
		Key: key, Keystore: c.loans.Keystore, Pool: c.pool, Horizon: &c.horizon, Commitment: rpc.CommitmentType(c.config.Commitment),
		SkipPreflight: c.config.SkipPreflight, Retries: int(c.config.MaxRetries),
		UnitLimit: c.config.ComputeUnitLimitDefault, EstimateUnits: c.config.EstimateComputeUnitLimit, Fees: fees, Logger: c.logger,
	})
	q := &queue{account: sender, Queue: relayer.NewQueue(relayer.QueueSettings{
		Account: name, Store: c.loans.Store, Sender: sender, Logger: c.logger, Unordered: true, Window: window,
		Interval: time.Duration(c.config.ConfirmPollPeriod), Resend: time.Duration(c.config.TxRetryPeriod),
		Settled: func(_ relayer.Item, ending string) {
			c.metrics.transmissions.WithLabelValues(c.config.ChainID, ending).Inc()
		},
		Depth: func(waiting, flying int) {
			c.metrics.queue.WithLabelValues(c.config.ChainID, name, "waiting").Set(float64(waiting))
			c.metrics.queue.WithLabelValues(c.config.ChainID, name, "flying").Set(float64(flying))
		},
	})}
	period := time.Duration(c.config.BalancePollPeriod)
	q.balance = relayer.NewPoller(relayer.PollerSettings[uint64]{
		Subject: "the balance of " + name, Interval: period, Retry: period, Timeout: time.Duration(c.config.TxTimeout), Fetch: sender.Balance,
		Fetched: func(lamports uint64) {
			c.metrics.balance.WithLabelValues(c.config.ChainID, name).Set(float64(lamports))
		},
	})
	q.Start()
	c.queues[key] = q
	return q, nil
}

// LatestHead implements relayerv1loop.Chain. The hash is the newest blockhash, and the time that of the chain's own clock.
func (c *Chain) LatestHead(ctx context.Context, _ *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	var response *relayerv1.LatestHeadResponse
	err := c.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		newest, err := client.LatestBlockhash(ctx, rpc.CommitmentProcessed)
		if err != nil {
			return err
		}
		_, clock, err := client.Accounts(ctx, []sol.PublicKey{sol.SysVarClockPubkey}, endpoint.Slice{})
		if err != nil {
			return err
		}
		now, err := clockTime(clock[0])
		response = &relayerv1.LatestHeadResponse{Number: newest.Slot, Hash: newest.Hash[:], Timestamp: timestamppb.New(now)}
		return err
	})
	if err != nil {
		return nil, asUnavailable(err)
	}
	return response, nil
}

// clockTime reads the clock of a chain: slot, start of the epoch, epoch, its next leader schedule and the time, 8 bytes each.
func clockTime(data []byte) (time.Time, error) {
	const length, timeAt, latest = 40, 32, 253402300799 // the end of the year 9999, which is as far as a Timestamp goes
	if len(data) != length {
		return time.Time{}, relayer.Said("answers with a clock that cannot be read")
	}
	seconds := int64(binary.LittleEndian.Uint64(data[timeAt:]))
	return time.Unix(min(max(seconds, 0), latest), 0).UTC(), nil
}

// ChainStatus implements relayerv1loop.Chain.
func (c *Chain) ChainStatus(context.Context, *relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	document, err := c.config.Redacted()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &relayerv1.ChainStatusResponse{ChainId: c.config.ChainID, Enabled: c.config.Enabled, ConfigToml: document}, nil
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
	if amount == nil || !amount.IsUint64() {
		return nil, status.Error(codes.InvalidArgument, "amount: it must be lamports from 0 to 2^64-1")
	}
	lent, err := c.loans.Keystore.ListAccounts(ctx, &hostservicev1.ListAccountsRequest{})
	if err != nil {
		return nil, fmt.Errorf("list the accounts of chain %s: %w", c.config.ChainID, err)
	}
	if !slices.Contains(lent.GetAccounts(), from.String()) {
		return nil, status.Errorf(codes.NotFound, "from: this node has no key for %s on chain %s", from, c.config.ChainID)
	}
	q, err := c.queue(from)
	if err != nil {
		return nil, err
	}
	lamports := amount.Uint64()
	if request.GetCheckBalance() {
		balance, err := q.account.Balance(ctx)
		if err != nil {
			return nil, asUnavailable(err)
		}
		if cost := q.account.Cost(); balance < cost || balance-cost < lamports {
			return nil, status.Errorf(codes.FailedPrecondition, "%s holds %d lamports, and the transfer needs %d and up to %d for its fees; send less or fund the account", from, balance, lamports, cost)
		}
	}
	payload, err := transfer(from, to, lamports).Encode()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	hash, err := q.Submit(ctx, payload)
	switch {
	case err == nil:
		return &relayerv1.TransactResponse{TransactionHash: hash}, nil
	case status.Code(err) != codes.Unknown:
		return nil, err
	default:
		return nil, status.Errorf(codes.FailedPrecondition, "the chain refuses to transfer %d lamports from %s: %v", lamports, from, err)
	}
}

// transfer is the system program's instruction that moves lamports.
func transfer(from, to sol.PublicKey, lamports uint64) account.Call {
	const tag = 2 // SystemInstruction::Transfer
	call := account.NewCall(sol.NewInstruction(sol.SystemProgramID, sol.AccountMetaSlice{
		sol.Meta(from).WRITE().SIGNER(), sol.Meta(to).WRITE(),
	}, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, tag), lamports)))
	call.Once = true
	return call
}

// Replay implements relayerv1loop.Chain. There are no logs to read: accounts hold all that a relayer wants to know, and they
// are read at once.
func (c *Chain) Replay(ctx context.Context, request *relayerv1.ReplayRequest) (*relayerv1.ReplayResponse, error) {
	if _, err := c.pool.Best(); err != nil {
		return nil, err
	}
	if head := c.pool.Height(); request.GetFromBlock() > head {
		return nil, status.Errorf(codes.InvalidArgument, "from_block: %d is above the latest slot, %d", request.GetFromBlock(), head)
	}
	if err := c.ledger.fetch(ctx); err != nil {
		return nil, asUnavailable(err)
	}
	return &relayerv1.ReplayResponse{}, nil
}
