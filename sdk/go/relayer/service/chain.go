package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Account is a transmitting account of a relayer. If it is an io.Closer, it is closed after its queue.
type Account interface {
	relayer.Sender
	// Trouble says, for operators, why the account's transactions have no effect; empty if they have.
	Trouble() string
}

// Followed is a contract that the providers of a chain share. A contract that is followed twice is one Followed.
type Followed interface {
	Contract
	// Nudge asks to read the contract, because a block is new or a node serves. The chain calls it with its lock held,
	// so it must not block.
	Nudge()
	// Close ends all reading, when the last provider or the chain is released.
	Close() error
}

// ChainSettings configure a Chain: C is the client of an endpoint, K names a contract, A is an account and F a
// contract.
type ChainSettings[C any, K comparable, A Account, F Followed] struct {
	Env
	Config Config
	// Nodes are the nodes of the section, in the order in which they are asked. They are not connected if the section
	// says so.
	Nodes []relayer.Node[C]
	// Pool says how nodes are selected. The chain sets the callbacks: Logger, Observe, Advanced and Serves.
	Pool relayer.PoolSettings
	// Pause is for how long after a block other blocks wake nothing, on chains with very frequent blocks; 0 means that
	// each block wakes contracts and queues, once for each node that reports it.
	Pause time.Duration
	// Served, if set, is called when a node begins to serve, possibly before NewChain has returned. It must not block.
	Served func()
	// Open makes an account by its name in the chain's spelling, and configures its queue, when the first job transmits
	// from it or the Store has something unfinished of it. The chain sets Account, Store, Sender, Logger and the
	// callbacks.
	Open func(name string) (A, relayer.QueueSettings, error)
	// Balance returns how much an account holds of the coin that it pays with, in its smallest unit. Coin is the number
	// of these units in one coin. If Balance is nil, the relayer does not report balances.
	Balance func(ctx context.Context, account A) (*big.Int, error)
	Coin    float64
	// BalancePeriod is how often balances are read; 0 means 30 s.
	BalancePeriod time.Duration
	// Follow begins to read a contract, when the first provider asks for it.
	Follow func(key K) F
	// Head returns the newest block that a node has reported. If it is nil, the relayer implements LatestHead.
	Head func(client C) Head
	// Replay reads the relayer's data of the chain again from a block on, which is not above the newest. If it is nil,
	// the relayer's Features have no FEATURE_REPLAY.
	Replay func(ctx context.Context, from uint64) error
}

// Head is a block as far as the host needs it.
type Head struct {
	Number uint64
	Hash   []byte
	Time   time.Time
}

// Chain is one chain: its nodes, the contracts that are followed on it and a queue for each transmitting account. A
// relayer embeds it and adds CreateProvider, and Transact and ReadContract if its Features have them.
type Chain[C any, K comparable, A Account, F Followed] struct {
	settings ChainSettings[C, K, A, F]
	id       string
	pool     *relayer.Pool[C]

	ctx     context.Context // ends with the chain
	cancel  context.CancelFunc
	resumed sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	woken     time.Time         // when a block last woke all
	heights   map[string]uint64 // by node
	contracts map[K]*shared[F]
	queues    map[string]*Queue[A]
	providers map[string]provided // by name
}

// provided is a contract as a provider has it.
type provided struct {
	name     string
	contract Contract
}

// shared is a contract with how many providers share it.
type shared[F Followed] struct {
	contract F
	users    int
}

// Queue is the queue of one account.
type Queue[A Account] struct {
	*relayer.Queue
	Account A

	balance *relayer.Poller[*big.Int] // nil: nobody asks for it
	held    atomic.Pointer[big.Int]   // what it read last; nil if nothing
}

// Close ends the queue and closes its account.
func (q *Queue[A]) Close() error {
	err := q.Queue.Close()
	if q.balance != nil {
		err = errors.Join(err, q.balance.Close())
	}
	if closer, ok := any(q.Account).(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	return err
}

// NewChain begins to connect to the nodes and returns at once. The relayer calls Resume when it has made what Open and
// Follow need.
func NewChain[C any, K comparable, A Account, F Followed](settings ChainSettings[C, K, A, F]) *Chain[C, K, A, F] {
	c := &Chain[C, K, A, F]{
		settings: settings, id: settings.Config.ID(),
		heights: map[string]uint64{}, contracts: map[K]*shared[F]{}, queues: map[string]*Queue[A]{},
		providers: map[string]provided{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	pool := settings.Pool
	pool.Logger, pool.Advanced, pool.Serves = settings.Logger, c.advanced, c.serves
	nodes := settings.Nodes
	if !settings.Config.Serves() {
		nodes = nil
	}
	for _, node := range nodes {
		settings.Metrics.node(c.id, node.Name)
	}
	settings.Metrics.pool(&pool, c.id)
	c.pool = relayer.NewPool(pool, nodes)
	settings.Metrics.follow(c.id, c.now)
	return c
}

// Resume continues with what the Store holds, whether or not a job still names its accounts.
func (c *Chain[C, K, A, F]) Resume() {
	c.resumed.Go(func() {
		relayer.Resume(c.ctx, c.settings.Loans.Store, c.settings.Logger, func(account string) error {
			_, err := c.Queue(account)
			return err
		})
	})
}

// Close ends all work of the chain. The host releases providers before their chain.
func (c *Chain[C, K, A, F]) Close() error {
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
	for _, followed := range contracts {
		failures = append(failures, followed.contract.Close())
	}
	failures = append(failures, c.pool.Close())
	c.settings.Metrics.forget(c.id)
	return errors.Join(failures...)
}

// Pool returns the chain's nodes.
func (c *Chain[C, K, A, F]) Pool() *relayer.Pool[C] { return c.pool }

// Logger returns a logger that names the chain.
func (c *Chain[C, K, A, F]) Logger() *slog.Logger { return c.settings.Logger }

// Keystore returns the host's keystore, with the accounts that are lent to the chain.
func (c *Chain[C, K, A, F]) Keystore() hostservicev1.KeystoreServiceClient {
	return c.settings.Loans.Keystore
}

// Hub returns the hub for the configurations of the chain's contracts.
func (c *Chain[C, K, A, F]) Hub() *relayer.Hub { return c.settings.Hub }

// advanced is called with the newest block of each node, whether or not it is new. A block counts once for each node
// that reports it: the node that is asked next may be the last to have it.
func (c *Chain[C, K, A, F]) advanced(node string, height uint64) {
	c.settings.Metrics.height.WithLabelValues(c.id, node).Set(float64(height))
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.woken) < c.settings.Pause {
		return
	}
	if known, ok := c.heights[node]; ok && known == height {
		return
	}
	c.heights[node] = height
	c.wakeLocked()
}

// serves is called when a node begins to serve, maybe after an outage in which no block was made.
func (c *Chain[C, K, A, F]) serves(string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settings.Served != nil {
		c.settings.Served()
	}
	c.wakeLocked()
}

// wakeLocked has everything look at the chain.
func (c *Chain[C, K, A, F]) wakeLocked() {
	c.woken = time.Now()
	for _, followed := range c.contracts {
		followed.contract.Nudge()
	}
	for _, q := range c.queues {
		q.Trigger()
	}
}

// errReleased is the error of a chain that is closed.
var errReleased = status.Error(codes.FailedPrecondition, "the chain is released")

// Acquire follows a contract once more. Release must follow.
func (c *Chain[C, K, A, F]) Acquire(key K) (F, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		var none F
		return none, errReleased
	}
	followed := c.contracts[key]
	if followed == nil {
		followed = &shared[F]{contract: c.settings.Follow(key)}
		c.contracts[key] = followed
	}
	followed.users++
	return followed.contract, nil
}

// Release follows a contract once less.
func (c *Chain[C, K, A, F]) Release(key K) error {
	c.mu.Lock()
	followed := c.contracts[key]
	followed.users--
	last := followed.users == 0
	if last {
		delete(c.contracts, key)
	}
	c.mu.Unlock()
	if last {
		return followed.contract.Close()
	}
	return nil
}

// Contract returns the contract that is followed under a key, if there is one.
func (c *Chain[C, K, A, F]) Contract(key K) (contract F, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if followed := c.contracts[key]; followed != nil {
		return followed.contract, true
	}
	return contract, false
}

// Contracts returns all contracts that are followed, in no order.
func (c *Chain[C, K, A, F]) Contracts() []F {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]F, 0, len(c.contracts))
	for _, followed := range c.contracts {
		all = append(all, followed.contract)
	}
	return all
}

// Queue returns the queue of an account by its name in the chain's spelling, and starts it if there is none. The queue
// lives as long as the chain: jobs come and go, but accepted reports stay.
func (c *Chain[C, K, A, F]) Queue(name string) (*Queue[A], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errReleased
	}
	if q := c.queues[name]; q != nil {
		return q, nil
	}
	account, settings, err := c.settings.Open(name)
	if err != nil {
		return nil, err
	}
	settings.Account, settings.Store, settings.Sender, settings.Logger = name, c.settings.Loans.Store, account,
		c.settings.Logger
	c.settings.Metrics.account(&settings, c.id, c.settings.Coin)
	q := &Queue[A]{Queue: relayer.NewQueue(settings), Account: account}
	if c.settings.Balance != nil {
		q.balance = c.watchBalance(name, q)
	}
	q.Start()
	c.queues[name] = q
	return q, nil
}

// Started returns the account's queue, if it was started.
func (c *Chain[C, K, A, F]) Started(name string) (q *Queue[A], ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, ok = c.queues[name]
	return q, ok
}

// ChainStatus implements relayerv1loop.Chain.
func (c *Chain[C, K, A, F]) ChainStatus(context.Context,
	*relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	document, err := c.settings.Config.Redacted()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	response := &relayerv1.ChainStatusResponse{ChainId: c.id, Enabled: c.settings.Config.Serves(), ConfigToml: document}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.queues)) {
		account := c.account(name, c.queues[name])
		if response.Accounts = append(response.Accounts, account); account.GetTrouble() != "" {
			response.Troubles = append(response.Troubles, account.GetTrouble())
		}
	}
	slices.Sort(response.Troubles)
	return response, nil
}

// ListNodeStatuses implements relayerv1loop.Chain.
func (c *Chain[C, K, A, F]) ListNodeStatuses(_ context.Context,
	request *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	return c.pool.Page(request)
}
