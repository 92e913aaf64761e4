package starknet_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestProviderFollowsAndTransmits(t *testing.T) { eachVersion(t, testProviderFollowsAndTransmits) }

func testProviderFollowsAndTransmits(t *testing.T, version string) {
	o := newOracles(t)
	me, key := o.accounts[0], o.transmitters[0]
	d := newFakeChain(t, o, version)
	f := newFeed(d, o)
	x := newFixture(t, key)
	ctx := t.Context()
	configs, unwatch := x.Watch()
	// Unfinished transactions are looked at when there is a new block: to wait for the interval would take hours.
	chain, _ := x.chain(strings.Replace(settings("", d.url), "ConfirmationPoll = '100ms'", "ConfirmationPoll = '5m'", 1))
	p, _ := x.provider(chain, "provider-1", f.address, me, key)
	second, _ := x.provider(chain, "provider-2", f.address, me, key) // shares the poller

	// Before the first configuration.
	want := map[string]*relayerv1.WatchContractConfigsResponse{
		"provider-1": {Provider: "provider-1", ConfigDigest: make([]byte, 32)},
		"provider-2": {Provider: "provider-2", ConfigDigest: make([]byte, 32)},
	}
	receive := func() { t.Helper(); relayertest.Receives(t, configs, want) }
	receive()

	digest := f.configure("first of two in one block", "first")
	for _, m := range want {
		m.ChangedInBlock, m.ConfigDigest = f.block, digest[:]
	}
	for m := range configs { // the first of both may have been seen
		if [32]byte(m.GetConfigDigest()) == digest {
			break
		}
	}
	unwatch()

	// And once more, read again.
	for range 2 {
		got, err := second.LatestConfigDetails(ctx, &relayerv1.LatestConfigDetailsRequest{})
		must(t, err)
		if diff := cmp.Diff(&relayerv1.LatestConfigDetailsResponse{ChangedInBlock: f.block, ConfigDigest: digest[:]}, got,
			protocmp.Transform()); diff != "" {
			t.Errorf("LatestConfigDetails (-want +got):\n%s", diff)
		}
		config, err := p.LatestConfig(ctx, &relayerv1.LatestConfigRequest{ChangedInBlock: got.GetChangedInBlock()})
		if err != nil {
			t.Fatalf("LatestConfig: %v", err)
		}
		signer := o.signers[0].Public().Bytes()
		if c := config.GetConfig(); c.GetF() != 1 || string(c.GetOffchainConfig()) != "first" || len(c.GetSigners()) != 4 ||
			string(c.GetSigners()[0]) != string(signer[:]) ||
			c.GetTransmitters()[0] != me.String() || c.GetConfigCount() != 2 || len(c.GetOnchainConfig()) != 96 {
			t.Errorf("LatestConfig = %v", c)
		}
		computed, err := p.ConfigDigest(ctx, &relayerv1.ConfigDigestRequest{Config: config.GetConfig()})
		must(t, err)
		if [32]byte(computed.GetConfigDigest()) != digest {
			t.Errorf("ConfigDigest = %x, the contract's is %x", computed.GetConfigDigest(), digest)
		}
		for name, change := range map[string]func(*relayerv1.ContractConfig){
			"transmitter":    func(c *relayerv1.ContractConfig) { c.Transmitters[0] = "me" },
			"signer":         func(c *relayerv1.ContractConfig) { c.Signers[3] = c.Signers[3][1:] },
			"onchain config": func(c *relayerv1.ContractConfig) { c.OnchainConfig = []byte{1} },
			"f":              func(c *relayerv1.ContractConfig) { c.F = 256 },
		} {
			other, err := p.LatestConfig(ctx, &relayerv1.LatestConfigRequest{ChangedInBlock: got.GetChangedInBlock()})
			must(t, err)
			change(other.GetConfig())
			if _, err := p.ConfigDigest(ctx,
				&relayerv1.ConfigDigestRequest{Config: other.GetConfig()}); status.Code(err) != codes.InvalidArgument {
				t.Errorf("ConfigDigest with a bad %s: %v", name, err)
			}
		}
		eventually(t, "the block is known", func() bool {
			height, err := p.LatestBlockHeight(ctx, &relayerv1.LatestBlockHeightRequest{})
			return err == nil && height.GetBlockHeight() == f.block
		})
		_, err = chain.Replay(ctx, &relayerv1.ReplayRequest{FromBlock: 1})
		must(t, err)
	}
	if _, err := p.LatestConfig(ctx,
		&relayerv1.LatestConfigRequest{ChangedInBlock: 1}); status.Code(err) != codes.NotFound {
		t.Errorf("LatestConfig of a block without one: %v", err)
	}
	if prefix, err := p.ConfigDigestPrefix(ctx, &relayerv1.ConfigDigestPrefixRequest{}); err != nil ||
		prefix.GetPrefix() != 4 {
		t.Errorf("ConfigDigestPrefix = %v, %v", prefix, err)
	}
	if account, err := p.FromAccount(ctx, &relayerv1.FromAccountRequest{}); err != nil ||
		account.GetAccount() != me.String() {
		t.Errorf("FromAccount = %v, %v", account, err)
	}

	// A transmission, and the same again.
	request := f.report(digest, 1, 1, 42)
	for range 2 {
		_, err := p.Transmit(ctx, request)
		must(t, err)
	}
	eventually(t, "the report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 42 })
	d.mine() // views are read at complete blocks
	wantDetails := func(epoch uint32, answer int64) {
		t.Helper()
		// Who transmitted is read with the next block, if the time for it was too short.
		d.mineUntil(fmt.Sprintf("the cache shows epoch %d", epoch), func() bool {
			latest, err := p.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
			return err == nil && latest.GetTimestamp().GetEpoch() == epoch &&
				wire.Int(latest.GetLatestAnswer()).Int64() == answer && latest.GetTransmitter() == me.String()
		})
		e, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
		if err != nil || e.GetEpoch() != epoch || [32]byte(e.GetConfigDigest()) != digest {
			t.Errorf("LatestConfigDigestAndEpoch = %v, %v", e, err)
		}
	}
	wantDetails(1, 42)
	_, err := p.Transmit(ctx, request) // stale by now
	must(t, err)
	_, err = p.Transmit(ctx, f.report(digest, 2, 1, 43))
	must(t, err)
	d.mineUntil("the next report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 43 })
	d.mine()
	wantDetails(2, 43)
	if n := d.nonce(me); n != 2 {
		t.Errorf("%d transactions for two reports", n)
	}
	asked, err := p.LatestRoundRequested(ctx, &medianv1.LatestRoundRequestedRequest{})
	must(t, err)
	if diff := cmp.Diff(
		&medianv1.LatestRoundRequestedResponse{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}},
		asked, protocmp.Transform()); diff != "" {
		t.Errorf("LatestRoundRequested (-want +got):\n%s", diff)
	}

	// A bootstrap job's view of the same.
	bootstrap, _, err := chain.CreateProvider(ctx,
		&relayerv1.CreateProviderRequest{ProviderType: "config", Name: "bootstrap",
			Config: &relayerv1.ProviderConfig{ContractId: "0x000" + strings.ToUpper(f.address.String()[2:])}})
	must(t, err)
	details, err := bootstrap.LatestConfigDetails(ctx, &relayerv1.LatestConfigDetailsRequest{})
	if err != nil || [32]byte(details.GetConfigDigest()) != digest {
		t.Errorf("the bootstrap job's LatestConfigDetails = %v, %v", details, err)
	}
	must(t, bootstrap.(interface{ Close() error }).Close())

	// The chain itself.
	head, err := chain.LatestHead(ctx, &relayerv1.LatestHeadRequest{})
	must(t, err)
	if len(head.GetHash()) != 32 || head.GetNumber() == 0 ||
		head.GetTimestamp().AsTime().Before(time.Unix(1_700_000_000, 0)) {
		t.Errorf("LatestHead = %v", head)
	}
	if _, err := chain.Replay(ctx,
		&relayerv1.ReplayRequest{FromBlock: 1_000_000}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Replay above the head: %v", err)
	}
	state, err := chain.ChainStatus(ctx, &relayerv1.ChainStatusRequest{})
	must(t, err)
	if strings.Contains(state.GetConfigToml(), "127.0.0.1") ||
		!strings.Contains(state.GetConfigToml(), "FeeMultiplier = 1.5") {
		t.Errorf("ChainStatus shows %s", state.GetConfigToml())
	}
	if _, problems := starknet.ParseConfig("Starknet",
		[]byte(strings.ReplaceAll(state.GetConfigToml(), "'[redacted]'", "'http://a'"))); problems.Err() != nil {
		t.Errorf("the status's TOML is not a configuration: %v", problems.Err())
	}
	d.mineUntil("the store is empty once all is final", func() bool { return len(x.Keys()) == 0 })
	x.Measured(f.address.String(), 43)
}

func TestRestartBetweenAcceptAndSend(t *testing.T) { eachVersion(t, testRestartBetweenAcceptAndSend) }

func testRestartBetweenAcceptAndSend(t *testing.T, version string) {
	o := newOracles(t)
	me, key := o.accounts[0], o.transmitters[0]
	d := newFakeChain(t, o, version)
	first, second := newFeed(d, o), newFeed(d, o)
	digests := [][32]byte{first.configure("a"), second.configure("b")}
	x := newFixture(t, key)
	ctx := t.Context()

	// The chain is away: reports are accepted all the same.
	chain, stop := x.chain(settings("", "http://127.0.0.1:1"))
	for i, f := range []*feed{first, second} {
		p, release := x.provider(chain, "p", f.address, me, key)
		for epoch := uint32(1); epoch <= 3; epoch++ {
			_, err := p.Transmit(ctx, f.report(digests[i], epoch, 1, int64(epoch)))
			must(t, err)
		}
		release()
	}
	relayertest.IsAway(t, chain)
	if n := len(x.Keys()); n != 6 {
		t.Fatalf("the store holds %d entries, want 6 reports", n)
	}
	stop()

	// A new generation, to which no job gives a provider.
	_, stop = x.chain(settings("", d.url))
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
// waste fees.
func TestFeedsShareAnAccount(t *testing.T) { eachVersion(t, testFeedsShareAnAccount) }

func testFeedsShareAnAccount(t *testing.T, version string) {
	o := newOracles(t)
	me, key := o.accounts[0], o.transmitters[0]
	d := newFakeChain(t, o, version)
	x := newFixture(t, key)
	chain, _ := x.chain(settings("", d.url))
	const count, epochs = 10, 3
	feeds := make([]*feed, count)
	providers := make([]relayerv1loop.Provider, count)
	digests := make([][32]byte, count)
	for i := range feeds {
		feeds[i] = newFeed(d, o)
		digests[i] = feeds[i].configure("a")
		providers[i], _ = x.provider(chain, fmt.Sprint("p", i), feeds[i].address, me, key)
	}
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		relayertest.TransmitAtOnce(t, providers, func(i int) *relayerv1.TransmitRequest {
			return feeds[i].report(digests[i], epoch, 1, int64(epoch))
		})
		d.mineUntil("every feed has its report", func() bool {
			return !slices.ContainsFunc(feeds, func(f *feed) bool { e, _, _ := f.latest(); return e != epoch })
		})
	}
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })
	if n := d.nonce(me); n != epochs*count {
		t.Errorf("%d transactions for %d reports", n, epochs*count)
	}
	if n := x.ended("transmitted"); n != epochs*count {
		t.Errorf("%v transmissions ended as transmitted, want %d", n, epochs*count)
	}
}

func TestTransact(t *testing.T) { eachVersion(t, testTransact) }

func testTransact(t *testing.T, version string) {
	o := newOracles(t)
	me, key := o.accounts[0], o.transmitters[0]
	d := newFakeChain(t, o, version)
	f := newFeed(d, o)
	f.configure("a")
	x := newFixture(t, key)
	ctx := t.Context()
	chain, _ := x.chain(settings("", d.url))
	request := func(amount *big.Int, change func(*relayerv1.TransactRequest)) *relayerv1.TransactRequest {
		r := &relayerv1.TransactRequest{From: me.String(), To: "0x5", Amount: wire.BigInt(amount), CheckBalance: true}
		if change != nil {
			change(r)
		}
		return r
	}
	small := big.NewInt(5)
	if _, err := chain.Transact(ctx, request(small, nil)); status.Code(err) != codes.NotFound {
		t.Errorf("before a job named the account's key: %v", err)
	}
	x.provider(chain, "p", f.address, me, key)
	eventually(t, "the chain is reached", func() bool { _, err := chain.LatestHead(ctx, nil); return err == nil })
	for name, c := range map[string]struct {
		request *relayerv1.TransactRequest
		want    codes.Code
	}{
		"too much":           {request(big.NewInt(2e18), nil), codes.FailedPrecondition},
		"too much with fees": {request(big.NewInt(1e18), nil), codes.FailedPrecondition},
		"negative":           {request(big.NewInt(-1), nil), codes.InvalidArgument},
		"no amount":          {request(small, func(r *relayerv1.TransactRequest) { r.Amount = nil }), codes.InvalidArgument},
		"from nowhere":       {request(small, func(r *relayerv1.TransactRequest) { r.From = "me" }), codes.InvalidArgument},
		"to nowhere":         {request(small, func(r *relayerv1.TransactRequest) { r.To = "you" }), codes.InvalidArgument},
		"another's": {request(small, func(r *relayerv1.TransactRequest) { r.From = o.accounts[1].String() }),
			codes.NotFound},
	} {
		if _, err := chain.Transact(ctx, c.request); status.Code(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	x.Asked(signing.Transfer{From: me.String(), To: "0x5", Amount: small})
	sent, err := chain.Transact(ctx, request(small, nil))
	must(t, err)
	d.mu.Lock()
	tx := d.order[0]
	d.mu.Unlock()
	if len(tx.calldata) != 7 || tx.calldata[4].String() != "0x5" || tx.calldata[5].String() != "0x5" ||
		!tx.calldata[6].IsZero() || sent.GetTransactionHash() != tx.hash.String() {
		t.Errorf("sent %v as %v", tx.calldata, sent)
	}
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })

	// What is not checked beforehand, nodes refuse.
	d.set(func() { d.balance = big.NewInt(5) })
	x.Asked(signing.Transfer{From: me.String(), To: "0x5", Amount: small})
	_, err = chain.Transact(ctx, request(small, func(r *relayerv1.TransactRequest) { r.CheckBalance = false }))
	want := me.String() + " does not hold 5 FRI and the fees; send less or fund the account"
	if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != want {
		t.Errorf("without funds: %v, want %s", err, want)
	}
}
