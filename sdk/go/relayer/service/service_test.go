package service_test

import (
	"context"
	"errors"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is a section with nothing but its chain's id in it.
type config string

func (c config) ID() string                { return string(c) }
func (c config) Serves() bool              { return true }
func (c config) Redacted() (string, error) { return "ChainID = '" + string(c) + "'\n", nil }

// node is a client of a node that is asked for nothing but a contract's view.
type node struct {
	blocks  chan uint64
	metrics *prometheus.Registry // of the chain that open made

	mu     sync.Mutex
	view   service.View
	config *relayerv1.ContractConfig
	asked  int // for the view
}

func (n *node) Connect(context.Context) (*node, error) { return n, nil }
func (n *node) Disconnect(*node)                       {}

func (n *node) Watch(ctx context.Context, _ *node, report func(uint64)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case block := <-n.blocks:
			report(block)
		}
	}
}

// shows changes what the node answers.
func (n *node) shows(change func(*service.View)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.view)
}

// idle is an account with nothing to do.
type idle struct{ relayer.Sender }

func (idle) Trouble() string { return "it is poor" }

// tried is the chain that is under test.
type tried = service.Chain[*node, string, idle, *service.Polled[*node]]

func digestOf(c *relayerv1.ContractConfig) ([32]byte, error) {
	return [32]byte{byte(c.GetConfigCount())}, nil
}

// open makes a chain of one node, maybe with a Replay. All runs in a bubble, where time stands still while anything
// works.
func open(t *testing.T, n *node, pause time.Duration,
	replay ...func(context.Context, uint64) error) (*tried, *relayer.Hub) {
	var (
		c   *tried
		hub *relayer.Hub
	)
	n.metrics = prometheus.NewPedanticRegistry()
	r := service.New(service.Settings{Logger: slog.New(slog.DiscardHandler), Registerer: n.metrics}, service.Kind[config]{
		Name: "Toy", Parse: func(_ string, text []byte) (config, *document.Problems) {
			return config(text), &document.Problems{}
		},
		Open: func(id config, env service.Env) (relayerv1loop.Chain, error) {
			hub = env.Hub
			settings := service.ChainSettings[*node, string, idle, *service.Polled[*node]]{
				Env: env, Config: id, Nodes: []relayer.Node[*node]{{Name: "n0", Driver: n}}, Pause: pause,
				Open: func(name string) (idle, relayer.QueueSettings, error) {
					if name == "nobody" {
						return idle{}, relayer.QueueSettings{}, status.Error(codes.InvalidArgument, "nobody is not an account")
					}
					return idle{}, relayer.QueueSettings{}, nil
				},
				Head: func(*node) service.Head {
					return service.Head{Number: 4, Hash: []byte{1}, Time: time.Unix(5, 0)}
				},
				Balance: func(context.Context, idle) (*big.Int, error) { return big.NewInt(2_500), nil }, Coin: 1000,
				Follow: func(address string) *service.Polled[*node] {
					return service.NewPolled(service.PolledSettings[*node]{
						Address: address, Pool: c.Pool(), Hub: env.Hub, Steady: 10 * time.Second, DigestPrefix: 7, Digest: digestOf,
						Poller: relayer.PollerSettings[service.View]{Interval: time.Hour, TTL: 2 * time.Hour},
						Read: func(_ context.Context, n *node) (service.View, error) {
							n.mu.Lock()
							defer n.mu.Unlock()
							n.asked++
							return n.view, nil
						},
						Config: func(_ context.Context, n *node, _ uint64) (*relayerv1.ContractConfig, error) { return n.config, nil },
					})
				},
			}
			for _, one := range replay {
				settings.Replay = one
			}
			c = service.NewChain(settings)
			c.Resume()
			return nil, nil
		},
	})
	loans := relayerv1loop.CreateChainLoans{Keystore: relayertest.Keystore{}, Store: &relayertest.Store{}}
	_, _, err := r.CreateChain(t.Context(), &relayerv1.CreateChainRequest{ChainId: "1", ConfigToml: []byte("2")}, loans)
	if got := status.Convert(err).Message(); got != "config_toml: ChainID is 2, but chain_id is 1" {
		t.Errorf("another chain's section: %v", err)
	}
	_, _, err = r.CreateChain(t.Context(), &relayerv1.CreateChainRequest{ChainId: "1", ConfigToml: []byte("1")}, loans)
	relayertest.Must(t, err)
	return c, hub
}

// TestChainWakes checks that each block of a node has a contract read once, and that on a chain whose blocks come fast
// a pause does.
func TestChainWakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pause time.Duration
		want  int // readings, the first among them
	}{"each block": {0, 4}, "with a pause": {time.Minute, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := &node{blocks: make(chan uint64)}
				chain, _ := open(t, n, c.pause)
				n.blocks <- 1
				synctest.Wait() // it has woken whoever is there: nobody
				contract, err := chain.Acquire("a")
				relayertest.Must(t, err)
				again, err := chain.Acquire("a")
				relayertest.Must(t, err)
				if again != contract {
					t.Error("one contract is followed twice")
				}
				time.Sleep(2 * time.Second)
				for _, block := range []uint64{1, 2, 2, 3, 4} {
					n.blocks <- block
					time.Sleep(time.Second)
				}
				time.Sleep(c.pause)
				if c.pause > 0 {
					n.blocks <- 5
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if n.asked != c.want {
					t.Errorf("the contract was read %d times, want %d", n.asked, c.want)
				}
				relayertest.Must(t, chain.Release("a"))
				if _, ok := chain.Contract("a"); !ok {
					t.Error("a contract is let go of that a provider still has")
				}
				relayertest.Must(t, chain.Release("a"))
				if _, ok := chain.Contract("a"); ok {
					t.Error("a contract is kept that no provider has")
				}
				relayertest.Must(t, chain.Close())
			})
		})
	}
}

// TestChainQueues checks that an account has one queue, whose trouble the chain tells, and that a chain that is
// released starts none.
func TestChainQueues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := open(t, &node{blocks: make(chan uint64)}, 0)
		first, err := c.Queue("me")
		relayertest.Must(t, err)
		if second, err := c.Queue("me"); err != nil || second != first {
			t.Errorf("the same account has another queue: %v", err)
		}
		if _, err := c.Queue("nobody"); status.Code(err) != codes.InvalidArgument {
			t.Errorf("the queue of an account that cannot be opened: %v", err)
		}
		got, err := c.ChainStatus(t.Context(), nil)
		want := &relayerv1.ChainStatusResponse{ChainId: "1", Enabled: true, ConfigToml: "ChainID = '1'\n",
			Troubles: []string{"it is poor"}, Accounts: []*relayerv1.AccountStatus{
				{Account: "me", Decimals: 3, Trouble: "it is poor", OldestWaiting: &durationpb.Duration{}},
			}}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("ChainStatus: %v (-want +got):\n%s", err, diff)
		}
		relayertest.Must(t, c.Close())
		if _, err := c.Queue("you"); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("a queue of a chain that is released: %v", err)
		}
		if _, err := c.Acquire("a"); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("a contract of a chain that is released: %v", err)
		}
	})
}

// TestChainAnswers checks what a chain answers for its relayer, and that it refuses what the relayer has nothing for.
func TestChainAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{blocks: make(chan uint64)}
		var from []uint64
		c, _ := open(t, n, 0)
		if _, err := c.LatestHead(t.Context(), nil); status.Code(err) != codes.Unavailable {
			t.Errorf("LatestHead before a node has answered: %v", err)
		}
		n.blocks <- 6
		synctest.Wait()
		got, err := c.LatestHead(t.Context(), nil)
		want := &relayerv1.LatestHeadResponse{Number: 4, Hash: []byte{1}, Timestamp: timestamppb.New(time.Unix(5, 0))}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("LatestHead: %v (-want +got):\n%s", err, diff)
		}
		errs := map[string]error{}
		_, errs["Replay"] = c.Replay(t.Context(), nil)
		_, errs["Transact"] = c.Transact(t.Context(), nil)
		_, errs["ReadContract"] = c.ReadContract(t.Context(), nil)
		for method, err := range errs {
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("%s of a relayer without it: %v", method, err)
			}
		}
		relayertest.Must(t, c.Close())

		replaying, _ := open(t, n, 0, func(_ context.Context, block uint64) error {
			from = append(from, block)
			if block == 5 {
				return errors.New("it is pruned")
			}
			return nil
		})
		n.blocks <- 6
		synctest.Wait()
		for block, code := range map[uint64]codes.Code{5: codes.Unavailable, 6: codes.OK, 7: codes.InvalidArgument} {
			_, err := replaying.Replay(t.Context(), &relayerv1.ReplayRequest{FromBlock: block})
			if status.Code(err) != code {
				t.Errorf("Replay from block %d of 6: %v, want %v", block, err, code)
			}
		}
		slices.Sort(from)
		if diff := cmp.Diff([]uint64{5, 6}, from); diff != "" {
			t.Errorf("blocks that were read from (-want +got):\n%s", diff)
		}
		relayertest.Must(t, replaying.Close())
	})
}

// gathered are the values of all metrics that have one, by name and labels.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	relayertest.Must(t, err)
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, label.GetName()+"="+label.GetValue())
			}
			values[family.GetName()+" "+strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue() +
				float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// TestChainTells checks that a chain's metrics say what is the case when they are asked, and that nothing is left of
// what has gone.
func TestChainTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{blocks: make(chan uint64)}
		n.shows(func(v *service.View) {
			v.Transmission = service.Transmission{Answer: big.NewInt(42), Time: time.Unix(1_700_000_000, 0)}
		})
		c, _ := open(t, n, 0)
		of := func(name string, labels ...string) string {
			labels = append(labels, "chain_id=1", "relay=toy")
			slices.Sort(labels)
			return "loop_relayer_" + name + " " + strings.Join(labels, " ")
		}
		want := map[string]float64{
			of("rpc_calls_total", "node=n0", "outcome=ok"): 0, of("rpc_calls_total", "node=n0", "outcome=fault"): 0,
			of("rpc_node_up", "node=n0"): 0,
		}
		same := func(when string) {
			t.Helper()
			synctest.Wait()
			if d := cmp.Diff(want, gathered(t, n.metrics)); d != "" {
				t.Errorf("%s (-want +got):\n%s", when, d)
			}
		}
		same("before the first block")
		n.blocks <- 7
		_, err := c.Queue("me")
		relayertest.Must(t, err)
		time.Sleep(time.Second)
		want[of("rpc_node_up", "node=n0")], want[of("head", "node=n0")] = 1, 7
		want[of("queue_age_seconds", "account=me")], want[of("account_balance", "account=me")], want[of("account_unfunded",
			"account=me")] = 0, 2.5, 0
		want[of("fees_total", "account=me")] = 0
		want[of("queue_length", "account=me", "state=waiting")], want[of("queue_length", "account=me", "state=flying")] = 0, 0
		same("with an account")
		told, err := c.ChainStatus(t.Context(), nil)
		if relayertest.Must(t, err); wire.Int(told.GetAccounts()[0].GetBalance()).Cmp(big.NewInt(2_500)) != 0 {
			t.Errorf("the account's status: %s", told.GetAccounts()[0])
		}

		job := &service.Job{ProviderType: relayer.ProviderConfig, Contract: "a"}
		var providers []relayerv1loop.Provider
		for _, name := range []string{"p", "q"} {
			p, _, err := c.Provider(name, job, "a", service.Served{})
			relayertest.Must(t, err)
			providers = append(providers, p)
		}
		time.Sleep(time.Second)
		answer, at := of("contract_answer", "contract=a"), of("contract_answer_timestamp_seconds", "contract=a")
		want[answer], want[at], want[of("rpc_calls_total", "node=n0", "outcome=ok")] = 42, 1_700_000_000, 1
		same("with a contract that two jobs follow")
		for _, p := range providers {
			relayertest.Must(t, p.(interface{ Close() error }).Close())
		}
		delete(want, answer)
		delete(want, at)
		same("with no job")
		relayertest.Must(t, c.Close())
		clear(want)
		same("with the chain released")
	})
}

// TestPolled checks what a contract's cache passes over, tells the hub, keeps and does not believe.
func TestPolled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &node{blocks: make(chan uint64),
			view: service.View{Block: 100, State: service.State{ConfigBlock: 9, ConfigDigest: [32]byte{1}}}}
		c, hub := open(t, n, 0)
		contract, err := c.Acquire("a")
		relayertest.Must(t, err)
		p := service.NewConfigProvider("p", contract, func() error { return c.Release("a") })
		told := make(chan *relayerv1.WatchContractConfigsResponse)
		watching, unwatch := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			_ = hub.Watch(watching, func(m *relayerv1.WatchContractConfigsResponse) error { told <- m; return nil })
		}()
		n.blocks <- 100
		m := <-told
		if m.GetProvider() != "p" || m.GetChangedInBlock() != 9 {
			t.Errorf("the hub tells of %v", m)
		}
		height := func() uint64 {
			r, err := p.LatestBlockHeight(t.Context(), nil)
			relayertest.Must(t, err)
			return r.GetBlockHeight()
		}
		for _, step := range []struct {
			block uint64
			after time.Duration
			want  uint64
		}{
			{101, time.Second, 101}, {97, time.Second, 101}, {95, time.Second, 95}, // a little behind, and too far
			{96, time.Second, 96}, {95, 11 * time.Second, 95}, // the chain itself has gone back
		} {
			n.shows(func(v *service.View) { v.Block = step.block })
			time.Sleep(step.after)
			contract.Trigger()
			synctest.Wait()
			if got := height(); got != step.want {
				t.Errorf("the node is at block %d, and the contract's view at %d, want %d", step.block, got, step.want)
			}
		}
		contract.Amend(func(v *service.View) bool { // by an event
			v.Transmission.Transmitter = "me"
			return true
		})
		for _, step := range []struct {
			epoch uint32
			want  string
		}{{0, "me"}, {1, ""}} {
			n.shows(func(v *service.View) { v.Transmission.Epoch = step.epoch })
			time.Sleep(time.Second)
			contract.Trigger()
			synctest.Wait()
			if got, err := contract.Latest(t.Context()); err != nil || got.Epoch != step.epoch || got.Transmitter != step.want {
				t.Errorf("once the view has epoch %d: %+v, %v", step.epoch, got, err)
			}
		}
		request := &relayerv1.LatestConfigRequest{ChangedInBlock: 9}
		if _, err := p.LatestConfig(t.Context(), request); status.Code(err) != codes.NotFound {
			t.Errorf("no configuration: %v", err)
		}
		digest := [32]byte{3}
		n.config = &relayerv1.ContractConfig{ConfigCount: 4, ConfigDigest: digest[:]}
		if _, err := p.LatestConfig(t.Context(), request); status.Code(err) != codes.Unavailable ||
			!strings.Contains(err.Error(), "whose digest is not that of its content") {
			t.Errorf("a configuration that is not what it claims to be: %v", err)
		}
		time.Sleep(time.Minute) // the node is forgiven
		n.config.ConfigCount = 3
		want, err := p.LatestConfig(t.Context(), request)
		relayertest.Must(t, err)
		n.config = nil
		got, err := p.LatestConfig(t.Context(), request)
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("the configuration, kept: %v (-want +got):\n%s", err, diff)
		}
		unwatch()
		<-watched
		relayertest.Must(t, p.Close())
		relayertest.Must(t, c.Close())
	})
}

func TestFits(t *testing.T) {
	t.Parallel()
	limit := new(big.Int).Lsh(big.NewInt(1), 127)
	for text, c := range map[string]struct {
		number *big.Int
		want   bool
	}{
		"none": {nil, false}, "zero": {new(big.Int), true}, "the largest": {new(big.Int).Sub(limit, big.NewInt(1)), true},
		"too large": {limit, false},
		"the least": {new(big.Int).Neg(limit), true},
		"too small": {new(big.Int).Sub(new(big.Int).Neg(limit), big.NewInt(1)), false},
	} {
		if got := service.Fits(c.number, 128); got != c.want {
			t.Errorf("%s: %t, want %t", text, got, c.want)
		}
	}
}
