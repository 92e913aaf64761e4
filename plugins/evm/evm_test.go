package evm_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/google/go-cmp/cmp"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/evm"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestProviderFollowsAndTransmits(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	f := newFeed(d, o)
	x := newFixture(t, o.transmitters[0])
	ctx := t.Context()
	configs, unwatch := x.Watch()

	// Polling would take minutes: what is seen was pushed.
	pushed := strings.Replace(settings("", [2]string{strings.Replace(d.url, "http", "ws", 1), d.url}), "50ms", "5m", 1)
	chain, _ := x.chain(pushed)
	p, _ := x.provider(chain, "provider-1", f.address, me)
	second, _ := x.provider(chain, "provider-2", f.address, me) // shares the poller

	// Before the first configuration.
	want := map[string]*relayerv1.WatchContractConfigsResponse{
		"provider-1": {Provider: "provider-1", ConfigDigest: make([]byte, 32)},
		"provider-2": {Provider: "provider-2", ConfigDigest: make([]byte, 32)},
	}
	receive := func() { t.Helper(); relayertest.Receives(t, configs, want) }
	receive()

	digest := f.configure("first")
	details, err := f.LatestConfigDetails(nil)
	must(t, err)
	for _, m := range want {
		m.ChangedInBlock, m.ConfigDigest = uint64(details.BlockNumber), digest[:]
	}
	receive() // the log is pushed: nothing else is mined
	unwatch()

	got, err := second.LatestConfigDetails(ctx, &relayerv1.LatestConfigDetailsRequest{})
	must(t, err)
	if diff := cmp.Diff(&relayerv1.LatestConfigDetailsResponse{ChangedInBlock: uint64(details.BlockNumber),
		ConfigDigest: digest[:]}, got, protocmp.Transform()); diff != "" {
		t.Errorf("LatestConfigDetails (-want +got):\n%s", diff)
	}
	config, err := p.LatestConfig(ctx, &relayerv1.LatestConfigRequest{ChangedInBlock: got.GetChangedInBlock()})
	must(t, err)
	if c := config.GetConfig(); c.GetF() != 1 || string(c.GetOffchainConfig()) != "first" || len(c.GetSigners()) != 4 ||
		c.GetTransmitters()[0] != me.Hex() || c.GetConfigCount() != 1 {
		t.Errorf("LatestConfig = %v", c)
	}
	computed, err := p.ConfigDigest(ctx, &relayerv1.ConfigDigestRequest{Config: config.GetConfig()})
	must(t, err)
	if ocrtypes.ConfigDigest(computed.GetConfigDigest()) != digest {
		t.Errorf("ConfigDigest = %x, the contract's is %x", computed.GetConfigDigest(), digest)
	}
	if _, err := p.LatestConfig(ctx,
		&relayerv1.LatestConfigRequest{ChangedInBlock: 1}); status.Code(err) != codes.NotFound {
		t.Errorf("LatestConfig of a block without one: %v", err)
	}
	if prefix, err := p.ConfigDigestPrefix(ctx, &relayerv1.ConfigDigestPrefixRequest{}); err != nil ||
		prefix.GetPrefix() != 1 {
		t.Errorf("ConfigDigestPrefix = %v, %v", prefix, err)
	}
	config.GetConfig().Transmitters[0] = "me"
	if _, err := p.ConfigDigest(ctx,
		&relayerv1.ConfigDigestRequest{Config: config.GetConfig()}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("ConfigDigest with a transmitter that is not an address: %v", err)
	}
	if account, err := p.FromAccount(ctx, &relayerv1.FromAccountRequest{}); err != nil ||
		account.GetAccount() != me.Hex() {
		t.Errorf("FromAccount = %v, %v", account, err)
	}

	// A transmission, and the same again.
	request := f.report(digest, 1, 1, 42)
	for range 2 {
		_, err = p.Transmit(ctx, request)
		must(t, err)
	}
	d.mineUntil("the report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 42 })
	wantDetails := func(epoch uint32, answer int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("the cache shows epoch %d", epoch), func() bool {
			latest, err := p.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
			return err == nil && latest.GetTimestamp().GetEpoch() == epoch &&
				wire.Int(latest.GetLatestAnswer()).Int64() == answer
		})
		e, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
		if err != nil || e.GetEpoch() != epoch {
			t.Errorf("LatestConfigDigestAndEpoch = %v, %v", e, err)
		}
	}
	wantDetails(1, 42)
	_, err = p.Transmit(ctx, request) // stale by now
	must(t, err)
	_, err = p.Transmit(ctx, f.report(digest, 2, 1, 43))
	must(t, err)
	d.mineUntil("the next report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 43 })
	wantDetails(2, 43)
	if n := d.nonce(me); n != 2 {
		t.Errorf("%d transactions for two reports", n)
	}

	// A requested round.
	asked, err := p.LatestRoundRequested(ctx, &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(time.Hour)})
	must(t, err)
	if diff := cmp.Diff(
		&medianv1.LatestRoundRequestedResponse{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}},
		asked, protocmp.Transform()); diff != "" {
		t.Errorf("LatestRoundRequested before any (-want +got):\n%s", diff)
	}
	d.send(func(o *bind.TransactOpts) (*types.Transaction, error) { return f.RequestNewRound(o) })
	eventually(t, "the requested round is known", func() bool {
		asked, err = p.LatestRoundRequested(ctx, &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(time.Hour)})
		return err == nil && asked.GetTimestamp().GetEpoch() == 2
	})
	for range 3 {
		d.mine() // each takes a second of the chain's time
	}
	eventually(t, "the requested round is too old for a short lookback", func() bool {
		asked, err = p.LatestRoundRequested(ctx, &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(time.Second)})
		return err == nil && asked.GetTimestamp().GetEpoch() == 0
	})

	// A bootstrap job's view of the same.
	bootstrap, _, err := chain.CreateProvider(ctx,
		&relayerv1.CreateProviderRequest{ProviderType: "config", Name: "bootstrap",
			Config: &relayerv1.ProviderConfig{ContractId: strings.ToLower(f.address.Hex())}})
	must(t, err)
	block, err := d.client().BlockNumber(ctx)
	must(t, err)
	eventually(t, "the bootstrap job sees the newest block", func() bool {
		height, err := bootstrap.LatestBlockHeight(ctx, &relayerv1.LatestBlockHeightRequest{})
		return err == nil && height.GetBlockHeight() == block
	})
	must(t, bootstrap.(interface{ Close() error }).Close())

	// The chain itself.
	head, err := chain.LatestHead(ctx, &relayerv1.LatestHeadRequest{})
	must(t, err)
	if len(head.GetHash()) != 32 || head.GetNumber() == 0 || head.GetTimestamp().AsTime().Before(time.Unix(1, 0)) {
		t.Errorf("LatestHead = %v", head)
	}
	_, err = chain.Replay(ctx, &relayerv1.ReplayRequest{FromBlock: 1})
	must(t, err)
	if _, err := chain.Replay(ctx,
		&relayerv1.ReplayRequest{FromBlock: 1_000_000}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Replay above the head: %v", err)
	}
	state, err := chain.ChainStatus(ctx, &relayerv1.ChainStatusRequest{})
	must(t, err)
	if strings.Contains(state.GetConfigToml(), "127.0.0.1") ||
		!strings.Contains(state.GetConfigToml(), "FinalityDepth = 2") {
		t.Errorf("ChainStatus shows %s", state.GetConfigToml())
	}
	if _, problems := evm.ParseConfig("EVM",
		[]byte(strings.ReplaceAll(strings.ReplaceAll(state.GetConfigToml(), "WSURL = '[redacted]'", "WSURL = 'ws://a'"),
			"'[redacted]'", "'http://a'"))); problems.Err() != nil {
		t.Errorf("the status's TOML is not a configuration: %v", problems.Err())
	}
	d.mineUntil("the store is empty once all is final", func() bool { return len(x.Keys()) == 0 })
	x.Measured(f.address.Hex(), 43)
}

func TestRestartBetweenAcceptAndSend(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	first, second := newFeed(d, o), newFeed(d, o)
	digests := []ocrtypes.ConfigDigest{first.configure("a"), second.configure("b")}
	x := newFixture(t, o.transmitters[0])
	ctx := t.Context()

	// The chain is away: reports are accepted all the same.
	chain, stop := x.chain(settings("", [2]string{"", "http://127.0.0.1:1"}))
	for i, f := range []*feed{first, second} {
		p, release := x.provider(chain, "p", f.address, me)
		for epoch := uint32(1); epoch <= 3; epoch++ {
			_, err := p.Transmit(ctx, f.report(digests[i], epoch, 1, int64(epoch)))
			must(t, err)
		}
		release()
	}
	relayertest.IsAway(t, chain)
	stop()
	if n := len(x.Keys()); n != 6 {
		t.Fatalf("the store holds %d entries, want 6 reports", n)
	}

	// A new generation, to which no job gives a provider.
	_, stop = x.chain(settings("", [2]string{"", d.url}))
	d.mineUntil("both contracts have the newest report", func() bool {
		a, _, _ := first.latest()
		b, _, _ := second.latest()
		return a == 3 && b == 3
	})
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })
	if n := d.nonce(me); n != 2 {
		t.Errorf("%d transactions, want one for each contract: older reports were stale", n)
	}
	stop()
}

// TestFeedsShareAnAccount checks that feeds which transmit at once from one account neither race for its nonces nor
// waste gas.
func TestFeedsShareAnAccount(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	feeds := newFeeds(d, o, 10)
	x := newFixture(t, o.transmitters[0])
	chain, _ := x.chain(settings("", [2]string{strings.Replace(d.url, "http", "ws", 1), d.url}))
	providers := make([]relayerv1loop.Provider, len(feeds))
	digests := make([]ocrtypes.ConfigDigest, len(feeds))
	for i, f := range feeds {
		digests[i] = f.configure("a")
		providers[i], _ = x.provider(chain, fmt.Sprint("p", i), f.address, me)
	}
	const epochs = 3
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		relayertest.TransmitAtOnce(t, providers, func(i int) *relayerv1.TransmitRequest {
			return feeds[i].report(digests[i], epoch, 1, int64(epoch))
		})
		d.mineUntil("every feed has its report", func() bool {
			return !slices.ContainsFunc(feeds, func(f *feed) bool { e, _, _ := f.latest(); return e != epoch })
		})
	}
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })
	if n := d.nonce(me); n != epochs*uint64(len(feeds)) {
		t.Errorf("%d transactions for %d reports", n, epochs*len(feeds))
	}
	families, err := x.Metrics.Gather()
	must(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "ending" &&
					(label.GetValue() != "transmitted" || metric.GetCounter().GetValue() != float64(epochs*len(feeds))) {
					t.Errorf("%v transmissions ended as %s", metric.GetCounter().GetValue(), label.GetValue())
				}
			}
		}
	}
}

// tooCheap has all attempts offer less than any base fee.
const tooCheap = "FeeCapDefault = '1000'\nTipCapDefault = '1000'\nFeeCapMax = '1000'\n"

func TestFeeIsRaised(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me, other := address(o.transmitters[0]), address(o.transmitters[1])
	d := newDevchain(t, me, other)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, o.transmitters[0], o.transmitters[1])
	ctx := t.Context()
	// A first attempt that no miner takes: 1 kwei is far below the base fee.
	poor, stop := x.chain(settings(tooCheap, [2]string{"", d.url}))
	p, release := x.provider(poor, "p", f.address, me)
	eventually(t, "the chain is reached", func() bool { _, err := poor.LatestHead(ctx, nil); return err == nil })
	_, err := p.Transmit(ctx, f.report(digest, 1, 1, 7))
	must(t, err)
	eventually(t, "it took a nonce", func() bool { return len(x.Keys()) == 2 })
	release()
	stop()
	x.chain(settings("FeeBumpThreshold = 1\n", [2]string{"", d.url}))
	d.mineUntil("a dearer attempt is in the contract", func() bool { _, _, answer := f.latest(); return answer == 7 })
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })
	if n := d.nonce(me); n != 1 {
		t.Errorf("nonce %d, want 1: a replacement has the same", n)
	}
}

func TestStaleReportIsReplacedByFiller(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me, other := address(o.transmitters[0]), address(o.transmitters[1])
	d := newDevchain(t, me, other)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, o.transmitters[0])
	ctx := t.Context()
	poor, stop := x.chain(settings(tooCheap+"FeeBumpThreshold = 0\n", [2]string{"", d.url}))
	p, release := x.provider(poor, "p", f.address, me)
	eventually(t, "the chain is reached", func() bool { _, err := poor.LatestHead(ctx, nil); return err == nil })
	_, err := p.Transmit(ctx, f.report(digest, 1, 1, 7))
	must(t, err)
	eventually(t, "it took a nonce", func() bool { return len(x.Keys()) == 2 })
	release()
	stop()

	// Another oracle is first, and then the fee may be raised.
	y := newFixture(t, o.transmitters[1])
	faster, _ := y.chain(settings("", [2]string{"", d.url}))
	q, _ := y.provider(faster, "q", f.address, other)
	_, err = q.Transmit(ctx, f.report(digest, 1, 2, 8))
	must(t, err)
	d.mineUntil("the other oracle's report is in the contract", func() bool {
		_, _, answer := f.latest()
		return answer == 8
	})
	x.chain(settings("FeeBumpThreshold = 1\n", [2]string{"", d.url}))
	d.mineUntil("all is settled", func() bool { return d.nonce(me) == 1 && len(x.Keys()) == 0 })
	for _, tx := range d.transactionsOf(me) {
		if *tx.To() != me || len(tx.Data()) != 0 {
			t.Error("the stale report was mined, want a filler")
		}
	}
}

// TestWithoutFunds checks that a report of an account without funds waits as it is, that this is one line of the log, a
// metric and a sentence of the chain's status, and that the report lands at the first price once the account is funded.
func TestWithoutFunds(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, o.transmitters[0])
	server := relayertest.NewServer(t, d.url)
	const fixed = "FeeBumpThreshold = 3\nGasEstimator.Mode = 'FixedPrice'\n"
	chain, _ := x.chain(settings(fixed, [2]string{"", server.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, me)
	unfunded := func() float64 { return x.Gathered("loop_relayer_account_unfunded", "")[""] }
	troubles := func() []string {
		state, err := chain.ChainStatus(t.Context(), &relayerv1.ChainStatusRequest{})
		must(t, err)
		return state.GetTroubles()
	}
	_, err := p.LatestConfigDetails(t.Context(), nil)
	must(t, err)
	_, err = p.Transmit(t.Context(), f.report(digest, 1, 1, 7))
	must(t, err)
	d.mineUntil("the account counts as unfunded", func() bool { return unfunded() == 1 && len(troubles()) == 1 })
	if trouble := troubles()[0]; !strings.HasPrefix(trouble, me.Hex()+": ") || !strings.Contains(trouble, "cannot pay") {
		t.Errorf("the chain's status says %q", trouble)
	}
	d.mineUntil("it was sent again", func() bool { return server.Requests("eth_sendRawTransaction") > 1 })
	d.fund(me, big.NewInt(1e18))
	d.mineUntil("the report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 7 })
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })
	if unfunded() != 0 || len(troubles()) != 0 {
		t.Errorf("once funded, unfunded is %v and the chain's status says %q", unfunded(), troubles())
	}
	if txs := d.transactionsOf(me); len(txs) != 1 || txs[0].GasFeeCap().Cmp(big.NewInt(100e9)) != 0 {
		t.Errorf("%d transactions, want one at the first price of 100 gwei: %v", len(txs), txs)
	}
	for _, once := range []string{"cannot pay for its transactions, which wait", "can pay for its transactions again"} {
		if n := x.Log.Count(once); n != 1 {
			t.Errorf("%d lines say %q:\n%s", n, once, x.Log)
		}
	}
}

// TestFeedsAreApart checks that one feed's trouble is not another's of the same account: a contract that would revert,
// where gas is estimated, and a gas limit that no block takes.
func TestFeedsAreApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings string
		gas      uint32
		spoil    func(*relayerv1.TransmitRequest)
	}{
		"reverts": {settings: "GasEstimator.EstimateLimit = true\n", spoil: func(r *relayerv1.TransmitRequest) {
			r.Signatures[1] = r.Signatures[0]
		}},
		"too much gas": {gas: 4_000_000_000, spoil: func(*relayerv1.TransmitRequest) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOracles(t)
			me := address(o.transmitters[0])
			d := newDevchain(t, me)
			feeds := newFeeds(d, o, 2)
			x := newFixture(t, o.transmitters[0])
			chain, _ := x.chain(settings(c.settings, [2]string{"", d.url}))
			for i, f := range feeds {
				digest := f.configure("a")
				request := &relayerv1.CreateProviderRequest{
					ProviderType: "median", Name: fmt.Sprint("p", i), TransmitterId: me.Hex(),
					Config: &relayerv1.ProviderConfig{ContractId: f.address.Hex()},
				}
				report := f.report(digest, 1, 1, 7)
				if i == 0 {
					request.GasLimit = c.gas
					c.spoil(report)
				}
				p, _ := x.Provider(chain, request)
				_, err := p.Transmit(t.Context(), report)
				must(t, err)
			}
			d.mineUntil("the other feed's report is in its contract", func() bool {
				_, _, answer := feeds[1].latest()
				return answer == 7
			})
			if n := d.nonce(me); n != 1 {
				t.Errorf("nonce %d, want 1: what nobody takes costs nothing", n)
			}
			if n := x.Log.Count("a report was refused; it is sent again later"); n != 1 {
				t.Errorf("%d lines say that a report rests, want 1:\n%s", n, x.Log)
			}
		})
	}
}

func TestTransact(t *testing.T) {
	t.Parallel()
	key, poor := newKey(t), newKey(t)
	me, to := address(key), address(newKey(t))
	d := newDevchain(t, me)
	x := newFixture(t, key, poor)
	ctx := t.Context()
	chain, _ := x.chain(settings("", [2]string{"", d.url}))
	eventually(t, "the chain is reached", func() bool { _, err := chain.LatestHead(ctx, nil); return err == nil })
	cases := map[string]struct {
		request *relayerv1.TransactRequest
		want    codes.Code
	}{
		"no address": {&relayerv1.TransactRequest{From: "me", To: to.Hex(), Amount: wire.BigInt(big.NewInt(1))},
			codes.InvalidArgument},
		"no receiver": {&relayerv1.TransactRequest{From: me.Hex(), To: "0x12", Amount: wire.BigInt(big.NewInt(1))},
			codes.InvalidArgument},
		"no key": {&relayerv1.TransactRequest{From: to.Hex(), To: me.Hex(), Amount: wire.BigInt(big.NewInt(1))},
			codes.NotFound},
		"no coins": {&relayerv1.TransactRequest{From: address(poor).Hex(), To: to.Hex(),
			Amount: wire.BigInt(big.NewInt(1)), CheckBalance: true}, codes.FailedPrecondition},
		"refused by node": {&relayerv1.TransactRequest{From: address(poor).Hex(), To: to.Hex(),
			Amount: wire.BigInt(big.NewInt(0))}, codes.FailedPrecondition},
		"sent": {&relayerv1.TransactRequest{From: me.Hex(), To: to.Hex(), Amount: wire.BigInt(big.NewInt(5)),
			CheckBalance: true}, codes.OK},
	}
	for name, c := range cases {
		x.Asked(signing.Transfer{From: c.request.GetFrom(), To: c.request.GetTo(), Amount: wire.Int(c.request.GetAmount())})
		response, err := chain.Transact(ctx, c.request)
		if status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want == codes.OK && len(response.GetTransactionHash()) != 66 {
			t.Errorf("%s: hash %q", name, response.GetTransactionHash())
		}
	}
	d.mineUntil("the coins arrived and the store is empty", func() bool {
		balance, err := d.client().BalanceAt(ctx, to, nil)
		return err == nil && balance.Int64() == 5 && len(x.Keys()) == 0
	})
	if n := d.nonce(me); n != 1 {
		t.Errorf("nonce %d after one transfer", n)
	}
}

// TestRoundRequestedFarBack checks that events are found page by page, as far back as configured and on demand beyond.
func TestRoundRequestedFarBack(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	f.configure("a")
	d.send(func(o *bind.TransactOpts) (*types.Transaction, error) { return f.RequestNewRound(o) })
	asked, err := d.client().BlockNumber(t.Context())
	must(t, err)
	for range 1100 {
		d.mine()
	}
	for name, depth := range map[string]int{"within": 5000, "beyond": 50} {
		x := newFixture(t)
		chain, _ := x.chain(settings(fmt.Sprintf("LogBackfillDepth = %d\n", depth), [2]string{"", d.url}))
		p, _ := x.provider(chain, "p", f.address, f.address)
		request := &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(24 * time.Hour)}
		found := func() bool {
			r, err := p.LatestRoundRequested(t.Context(), request)
			return err == nil && [32]byte(r.GetTimestamp().GetConfigDigest()) != [32]byte{}
		}
		eventually(t, "the contract is read", func() bool {
			_, err := p.LatestRoundRequested(t.Context(), request)
			return err == nil
		})
		if found() != (depth > 1100) {
			t.Errorf("%s the depth: found %t", name, found())
		}
		_, err = chain.Replay(t.Context(), &relayerv1.ReplayRequest{FromBlock: asked})
		must(t, err)
		eventually(t, "the replay finds the event", found)
	}
}

func TestListNodeStatusesPages(t *testing.T) {
	t.Parallel()
	x := newFixture(t)
	var urls [][2]string
	for range 5 {
		urls = append(urls, [2]string{"", "http://127.0.0.1:1"})
	}
	chain, _ := x.chain(settings("", urls...))
	var names []string
	token := ""
	for {
		r, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{PageSize: 2, PageToken: token})
		must(t, err)
		if r.GetTotal() != 5 {
			t.Errorf("total %d", r.GetTotal())
		}
		for _, n := range r.GetNodes() {
			names = append(names, n.GetName())
		}
		if token = r.GetNextPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"n0", "n1", "n2", "n3", "n4"}, names); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"x", "0", "-1", "5", "99999999999999999999"} {
		if _, err := chain.ListNodeStatuses(t.Context(),
			&relayerv1.ListNodeStatusesRequest{PageToken: bad}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("page token %q: %v", bad, err)
		}
	}
	if text := fmt.Sprintf("%+v %#v", evm.NodeConfig{WSURL: document.NewSecret("ws://k")},
		evm.NodeConfig{WSURL: document.NewSecret("ws://k")}); strings.Contains(text, "://") {
		t.Errorf("an address prints as %s", text)
	}
}
