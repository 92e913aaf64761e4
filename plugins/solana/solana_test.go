package solana_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/solana"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"math/big"
)

func TestProviderFollowsAndTransmits(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	me := key.PublicKey()
	x := newFixture(t, key)
	ctx := t.Context()
	configs, unwatch := x.Watch()

	// Polling would take minutes: what is seen after the first reading was pushed.
	pushed := strings.Replace(settings("", d.Nodes[0]), "OCR2CachePollPeriod = '100ms'",
		"OCR2CachePollPeriod = '5m'\nOCR2CacheTTL = '1h'", 1)
	chain, _ := x.chain(pushed)
	p, _ := x.provider(d, chain, "provider-1", 0, me)
	second, _ := x.provider(d, chain, "provider-2", 0, me)
	receive := func() (got map[string]*relayerv1.WatchContractConfigsResponse) {
		got = map[string]*relayerv1.WatchContractConfigsResponse{}
		for range 2 {
			m := <-configs
			got[m.GetProvider()] = m
		}
		return got
	}
	check := func() {
		t.Helper()
		digest, err := hex.DecodeString(d.Feeds[0].Digest)
		must(t, err)
		got := receive()
		for _, name := range []string{"provider-1", "provider-2"} {
			if m := got[name]; string(m.GetConfigDigest()) != string(digest) || m.GetChangedInBlock() == 0 {
				t.Fatalf("%s is told of %v, the configuration is %x", name, m, digest)
			}
		}
		details, err := second.LatestConfigDetails(ctx, nil)
		must(t, err)
		if string(details.GetConfigDigest()) != string(digest) ||
			details.GetChangedInBlock() != got["provider-2"].GetChangedInBlock() {
			t.Errorf("LatestConfigDetails = %v", details)
		}
		config, err := p.LatestConfig(ctx, &relayerv1.LatestConfigRequest{ChangedInBlock: details.GetChangedInBlock()})
		must(t, err)
		c := config.GetConfig()
		if c.GetF() != 1 || len(c.GetSigners()) != 4 || c.GetTransmitters()[0] != me.String() ||
			c.GetConfigCount() != d.Feeds[0].Count || len(c.GetOnchainConfig()) != 49 {
			t.Errorf("LatestConfig = %v", c)
		}
		computed, err := p.ConfigDigest(ctx, &relayerv1.ConfigDigestRequest{Config: c})
		must(t, err)
		if string(computed.GetConfigDigest()) != string(digest) {
			t.Errorf("ConfigDigest = %x, the program's is %x", computed.GetConfigDigest(), digest)
		}
	}
	check()
	if _, err := p.LatestConfig(ctx,
		&relayerv1.LatestConfigRequest{ChangedInBlock: 1}); status.Code(err) != codes.NotFound {
		t.Errorf("LatestConfig of a slot without one: %v", err)
	}
	if prefix, err := p.ConfigDigestPrefix(ctx, nil); err != nil || prefix.GetPrefix() != 3 {
		t.Errorf("ConfigDigestPrefix = %v, %v", prefix, err)
	}
	if account, err := p.FromAccount(ctx, nil); err != nil || account.GetAccount() != me.String() {
		t.Errorf("FromAccount = %v, %v", account, err)
	}
	eventually(t, "the feed is read", func() bool { _, _, err := answer(ctx, p); return err == nil })
	if epoch, value, err := answer(ctx, p); err != nil || epoch != 0 || value != 0 {
		t.Errorf("before the first round: epoch %d, answer %d, %v", epoch, value, err)
	}

	// What lands before its account is subscribed to is not pushed. Slots come over the same connection, and show when
	// that is done.
	first, err := p.LatestBlockHeight(ctx, nil)
	must(t, err)
	eventually(t, "slots are pushed", func() bool {
		h, err := p.LatestBlockHeight(ctx, nil)
		return err == nil && h.GetBlockHeight() > first.GetBlockHeight()+2
	})

	// Accepted, and the same again.
	request := d.report(0, 1, 1, 42)
	for range 2 {
		_, err := p.Transmit(ctx, request)
		must(t, err)
	}
	eventually(t, "the report is in the feed", func() bool { e, v, _ := d.latest(0); return e == 1 && v == 42 })
	eventually(t, "the cache shows it", func() bool {
		e, v, err := answer(ctx, p)
		return err == nil && e == 1 && v == 42
	})
	details, err := p.LatestTransmissionDetails(ctx, nil)
	must(t, err)
	digest, _ := hex.DecodeString(d.Feeds[0].Digest)
	want := &medianv1.LatestTransmissionDetailsResponse{
		Timestamp:    &reportingv1.ReportTimestamp{ConfigDigest: digest, Epoch: 1, Round: 1},
		LatestAnswer: wire.BigInt(big.NewInt(42)), LatestTimestamp: observationTime(1), Transmitter: me.String(),
	}
	if diff := cmp.Diff(want, details, protocmp.Transform()); diff != "" {
		t.Errorf("LatestTransmissionDetails (-want +got):\n%s", diff)
	}
	// Stale, then newer; the answers of i128 are signed on the way, though this feed takes none below 1.
	_, err = p.Transmit(ctx, d.report(0, 1, 1, 41))
	must(t, err)
	_, err = p.Transmit(ctx, d.report(0, 2, 1, 43))
	must(t, err)
	eventually(t, "the next report is in the feed", func() bool { e, v, _ := d.latest(0); return e == 2 && v == 43 })
	eventually(t, "all is settled", func() bool { return len(x.Keys()) == 0 })
	if e, err := p.LatestConfigDigestAndEpoch(ctx, nil); err != nil || e.GetEpoch() > 2 {
		t.Errorf("LatestConfigDigestAndEpoch = %v, %v", e, err)
	}
	if succeeded, failed := d.landed(me); succeeded != 2 || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, for two reports", succeeded, failed)
	}
	asked, err := p.LatestRoundRequested(ctx, &medianv1.LatestRoundRequestedRequest{})
	must(t, err)
	if diff := cmp.Diff(
		&medianv1.LatestRoundRequestedResponse{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: digest}}, asked,
		protocmp.Transform()); diff != "" {
		t.Errorf("LatestRoundRequested (-want +got):\n%s", diff)
	}

	// A configuration is pushed, and with it every report of the old one is stale.
	d.configure(0)
	check()
	unwatch()

	// The chain itself.
	head, err := chain.LatestHead(ctx, nil)
	must(t, err)
	if len(head.GetHash()) != 32 || head.GetNumber() == 0 || head.GetTimestamp().GetSeconds() == 0 {
		t.Errorf("LatestHead = %v", head)
	}
	if h, err := p.LatestBlockHeight(ctx, nil); err != nil || h.GetBlockHeight() == 0 {
		t.Errorf("LatestBlockHeight = %v, %v", h, err)
	}
	_, err = chain.Replay(ctx, &relayerv1.ReplayRequest{FromBlock: 1})
	must(t, err)
	if _, err := chain.Replay(ctx,
		&relayerv1.ReplayRequest{FromBlock: 1 << 40}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Replay above the head: %v", err)
	}
	state, err := chain.ChainStatus(ctx, nil)
	must(t, err)
	if text := state.GetConfigToml(); strings.Contains(text, "127.0.0.1") ||
		!strings.Contains(text, "Commitment = 'confirmed'") {
		t.Errorf("ChainStatus shows %s", text)
	}
	readable := strings.ReplaceAll(strings.ReplaceAll(state.GetConfigToml(), "WSURL = '[redacted]'", "WSURL = 'ws://a'"),
		"'[redacted]'", "'http://a'")
	if _, problems := solana.ParseConfig("Solana", []byte(readable)); problems.Err() != nil {
		t.Errorf("the status's TOML is not a configuration: %v", problems.Err())
	}
	eventually(t, "the balance is told", func() bool {
		return len(x.Gathered("loop_relayer_account_balance", "account")) == 1
	})
}

// TestUnauthorisedIsRevertedOnce checks that what the program refuses for good is paid for once, and its reason logged.
func TestUnauthorisedIsRevertedOnce(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	stranger, err := sol.NewRandomPrivateKey()
	must(t, err)
	d.admin("loop_airdrop", stranger.PublicKey().String(), 1_000_000_000)
	x := newFixture(t, stranger, d.Oracles[1].Transmitter.PrivateKey)
	ctx := t.Context()
	chain, _ := x.chain(settings("", d.Nodes...))
	p, _ := x.provider(d, chain, "p", 0, stranger.PublicKey())
	_, err = p.Transmit(ctx, d.report(0, 1, 1, 42))
	must(t, err)
	eventually(t, "it is reverted", func() bool { return x.endings()["reverted"] == 1 })
	_, err = p.Transmit(ctx, d.report(0, 1, 1, 42)) // has no effect
	must(t, err)
	q, _ := x.provider(d, chain, "q", 0, d.Oracles[1].Transmitter.PublicKey())
	_, err = q.Transmit(ctx, d.report(0, 1, 2, 43))
	must(t, err)
	eventually(t, "another's report is in the feed, and all is settled", func() bool {
		e, v, _ := d.latest(0)
		return e == 1 && v == 43 && len(x.Keys()) == 0
	})
	if succeeded, failed := d.landed(stranger.PublicKey()); succeeded != 0 || failed != 1 {
		t.Errorf("%d transactions succeeded and %d failed, want one that fails", succeeded, failed)
	}
	if diff := cmp.Diff(map[string]float64{"reverted": 1, "transmitted": 1}, x.endings()); diff != "" {
		t.Errorf("endings (-want +got):\n%s", diff)
	}
}

// TestWithoutFunds checks that an account that would keep too little after a transaction counts as unfunded, in one
// line of the log, a metric and the chain's status, that it offers no more meanwhile, and that the report lands once it
// is funded.
func TestWithoutFunds(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	me := key.PublicKey().String()
	d.admin("loop_setAccount", me,
		map[string]any{"lamports": 893_000, "data": "", "owner": sol.SystemProgramID.String()})
	x := newFixture(t, key)
	// No less, since a busy machine sends the transaction anew, and looks for it, within that time.
	chain, _ := x.chain(settings("FeeBumpPeriod = '5s'\n", d.Nodes...))
	p, _ := x.provider(d, chain, "p", 0, key.PublicKey())
	unfunded := func() float64 { return x.Gathered("loop_relayer_account_unfunded", "")[""] }
	troubles := func() []string {
		state, err := chain.ChainStatus(t.Context(), nil)
		must(t, err)
		return state.GetTroubles()
	}
	// The fee of the transaction fits into what the account holds. What the account keeps would be too little.
	_, err := p.Transmit(t.Context(), d.report(0, 1, 1, 42))
	must(t, err)
	eventually(t, "the account counts as unfunded", func() bool { return unfunded() == 1 && len(troubles()) == 1 })
	if trouble := troubles()[0]; !strings.Contains(trouble, me+" cannot pay") ||
		!strings.Contains(trouble, "it holds 893000 lamports") {
		t.Errorf("the chain's status says %q", trouble)
	}
	d.admin("loop_airdrop", me, 1_000_000_000)
	eventually(t, "the report is in the feed, and all is settled", func() bool {
		e, v, _ := d.latest(0)
		return e == 1 && v == 42 && len(x.Keys()) == 0
	})
	if unfunded() != 0 || len(troubles()) != 0 {
		t.Errorf("once funded, unfunded is %v and the chain's status says %q", unfunded(), troubles())
	}
	for text, want := range map[string]int{
		"cannot pay for its transactions, which wait": 1, "can pay for its transactions again": 1,
		"replaced a transaction": 0,
	} {
		if n := x.Log.Count(text); n != want {
			t.Errorf("%d lines say %q, want %d:\n%s", n, text, want, x.Log)
		}
	}
}

func TestRestartBetweenAcceptAndSend(t *testing.T) {
	t.Parallel()
	d := newDevchain(t, "--feeds", "2")
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	ctx := t.Context()

	// The chain is away: reports are accepted all the same.
	chain, stop := x.chain(settings("", devnode{RPC: "http://127.0.0.1:1"}))
	for feed := range d.Feeds {
		p, release := x.provider(d, chain, "p", feed, key.PublicKey())
		for epoch := uint32(1); epoch <= 3; epoch++ {
			_, err := p.Transmit(ctx, d.report(feed, epoch, 1, int64(epoch)))
			must(t, err)
		}
		release()
	}
	if _, err := chain.LatestHead(ctx, nil); status.Code(err) != codes.Unavailable ||
		strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("LatestHead without a chain: %v", err)
	}
	stop()
	if n := len(x.Keys()); n != 6 {
		t.Fatalf("the store holds %d entries, want 6 reports", n)
	}

	// A new generation, to which no job gives a provider.
	_, stop = x.chain(settings("", d.Nodes...))
	eventually(t, "both feeds have the newest report, and all is settled", func() bool {
		a, _, _ := d.latest(0)
		b, _, _ := d.latest(1)
		return a == 3 && b == 3 && len(x.Keys()) == 0
	})
	if succeeded, failed := d.landed(key.PublicKey()); succeeded != 2 || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, want one for each feed: older reports were stale", succeeded,
			failed)
	}
	stop()
}

// TestRestartBetweenSendAndConfirm ends the relayer while a transaction is signed and in no block: the next generation
// must not sign another before the first is dead.
func TestRestartBetweenSendAndConfirm(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	ctx := t.Context()
	const unbumped = "FeeBumpPeriod = '0s'\n"
	d.admin("loop_fault", 0, map[string]any{"kind": "drop", "transactions": 1})
	chain, stop := x.chain(settings(unbumped+"", d.Nodes...))
	p, release := x.provider(d, chain, "p", 0, key.PublicKey())
	_, err := p.Transmit(ctx, d.report(0, 1, 1, 42))
	must(t, err)
	eventually(t, "a transaction is signed", func() bool { return len(x.Keys()) == 2 || len(x.Keys()) == 0 })
	release()
	stop()
	_, _ = x.chain(settings(unbumped, d.Nodes...))
	eventually(t, "the report is in the feed, and all is settled", func() bool {
		e, _, _ := d.latest(0)
		return e == 1 && len(x.Keys()) == 0
	})
	if succeeded, failed := d.landed(key.PublicKey()); succeeded != 1 || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, want one", succeeded, failed)
	}
}

// TestExpiry loses every transaction until its blockhash is dead: the report goes again under another, once.
func TestExpiry(t *testing.T) {
	t.Parallel()
	d := newDevchain(t, "--hash-window", "20")
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	ctx := t.Context()
	chain, _ := x.chain(settings("", d.Nodes...))
	p, _ := x.provider(d, chain, "p", 0, key.PublicKey())
	d.admin("loop_fault", 0, map[string]any{"kind": "drop", "transactions": 1_000_000})
	_, err := p.Transmit(ctx, d.report(0, 1, 1, 42))
	must(t, err)
	eventually(t, "a transaction is signed", func() bool { return len(x.Keys()) == 2 })
	d.admin("loop_warp", 40)
	d.admin("loop_fault", 0, nil)
	eventually(t, "the report is in the feed, and all is settled", func() bool {
		e, _, _ := d.latest(0)
		return e == 1 && len(x.Keys()) == 0
	})
	if succeeded, failed := d.landed(key.PublicKey()); succeeded != 1 || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, want one", succeeded, failed)
	}
}

// TestFeedsShareAnAccount checks that feeds which transmit at once from one account neither wait for one another nor
// waste fees.
func TestFeedsShareAnAccount(t *testing.T) {
	t.Parallel()
	const feeds, epochs = 8, 3
	d := newDevchain(t, "--feeds", fmt.Sprint(feeds))
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	chain, _ := x.chain(settings("", d.Nodes...))
	providers := make([]relayerv1loop.Provider, feeds)
	for i := range providers {
		providers[i], _ = x.provider(d, chain, fmt.Sprint("p", i), i, key.PublicKey())
	}
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		var transmitting sync.WaitGroup
		for i := range providers {
			request := d.report(i, epoch, 1, int64(epoch))
			transmitting.Go(func() {
				if _, err := providers[i].Transmit(context.Background(), request); err != nil {
					t.Error(err)
				}
			})
		}
		transmitting.Wait()
		eventually(t, "every feed has its report, and the cache shows it", func() bool {
			for i := range providers {
				if e, v, err := answer(t.Context(), providers[i]); err != nil || e != epoch || v != int64(epoch) {
					return false
				}
			}
			return true
		})
	}
	eventually(t, "all is settled", func() bool { return len(x.Keys()) == 0 })
	if diff := cmp.Diff(map[string]float64{"transmitted": feeds * epochs}, x.endings()); diff != "" {
		t.Errorf("endings (-want +got):\n%s", diff)
	}
	if succeeded, failed := d.landed(key.PublicKey()); succeeded != feeds*epochs || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, for %d reports", succeeded, failed, feeds*epochs)
	}
}

func TestTransact(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	ctx := t.Context()
	chain, _ := x.chain(settings("FeeBumpPeriod = '1ms'\n", d.Nodes...))
	to, err := sol.NewRandomPrivateKey()
	must(t, err)
	request := func(amount int64) *relayerv1.TransactRequest {
		return &relayerv1.TransactRequest{From: key.PublicKey().String(), To: to.PublicKey().String(),
			Amount: wire.BigInt(big.NewInt(amount)), CheckBalance: true}
	}
	eventually(t, "the account's funds are confirmed", func() bool {
		b, err := d.client().GetBalance(ctx, key.PublicKey(), rpc.CommitmentConfirmed)
		return err == nil && b.Value > 0
	})
	eventually(t, "the chain is reached", func() bool { _, err := chain.LatestHead(ctx, nil); return err == nil })
	for _, lamports := range []int64{5_000_000, 1 << 62} {
		x.Asked(signing.Transfer{From: key.PublicKey().String(), To: to.PublicKey().String(), Amount: big.NewInt(lamports)})
	}
	response, err := chain.Transact(ctx, request(5_000_000))
	must(t, err)
	balance := func() uint64 {
		b, err := d.client().GetBalance(ctx, to.PublicKey(), rpc.CommitmentConfirmed)
		must(t, err)
		return b.Value
	}
	eventually(t, "the lamports are there, and all is settled", func() bool {
		return balance() == 5_000_000 && len(x.Keys()) == 0
	})
	if succeeded, failed := d.landed(key.PublicKey()); succeeded != 1 || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, want one", succeeded, failed)
	}
	if _, err := sol.SignatureFromBase58(response.GetTransactionHash()); err != nil {
		t.Errorf("the hash is %q", response.GetTransactionHash())
	}
	if _, err := chain.Transact(ctx, request(1<<62)); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("more than the account holds: %v", err)
	}
	unchecked := request(1 << 62)
	unchecked.CheckBalance = false
	if _, err := chain.Transact(ctx, unchecked); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("more than the account holds, unchecked: %v", err)
	}
	foreign := request(1)
	foreign.From = to.PublicKey().String()
	if _, err := chain.Transact(ctx, foreign); status.Code(err) != codes.NotFound {
		t.Errorf("another's lamports: %v", err)
	}
	eventually(t, "all is settled", func() bool {
		return len(x.Keys()) == 0 || strings.Contains(strings.Join(x.Keys(), ""), "flight")
	})
}

func TestBlockHistory(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	chain, _ := x.chain(
		settings("FeeEstimatorMode = 'blockhistory'\nBlockHistoryPollPeriod = '100ms'\nComputeUnitPriceDefault = "+
			"77\nEstimateComputeUnitLimit = true\n", d.Nodes...))
	p, _ := x.provider(d, chain, "p", 0, key.PublicKey())
	prices := func() map[string]float64 { return x.Gathered(priceMetric, "") }
	eventually(t, "blocks are read", func() bool { return len(prices()) == 1 })
	epoch := uint32(0)
	eventually(t, "the price of a transmission's own block is seen", func() bool {
		if len(x.Keys()) == 0 { // again and again: on a busy machine a block comes and goes between two readings
			epoch++
			_, err := p.Transmit(t.Context(), d.report(0, epoch, 1, 42))
			must(t, err)
		}
		return prices()[""] == 77
	})
	eventually(t, "all is settled", func() bool { return len(x.Keys()) == 0 })
}
