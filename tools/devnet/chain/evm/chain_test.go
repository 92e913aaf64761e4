package evm

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3confighelper"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"
)

// member is an oracle with its private keys, which a node would keep to itself.
type member struct {
	oracle      Oracle
	signer      *ecdsa.PrivateKey
	transmitter *ecdsa.PrivateKey
}

func newMember(t *testing.T) member {
	t.Helper()
	_, peer, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	peerID, err := ragetypes.PeerIDFromPrivateKey(peer)
	check(t, err)
	offchain, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	encryption, err := ecdh.X25519().GenerateKey(rand.Reader)
	check(t, err)
	signer, err := crypto.GenerateKey()
	check(t, err)
	transmitter, err := crypto.GenerateKey()
	check(t, err)
	return member{
		oracle: Oracle{
			PeerID:                    peerID.String(),
			OffchainPublicKey:         offchain,
			ConfigEncryptionPublicKey: encryption.PublicKey().Bytes(),
			Signer:                    crypto.PubkeyToAddress(signer.PublicKey),
			Transmitter:               crypto.PubkeyToAddress(transmitter.PublicKey),
		},
		signer:      signer,
		transmitter: transmitter,
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sign signs a report as OCR2's EVM key does: over the hash of the report's hash and the three words of its context.
func (m member) sign(t *testing.T, reportContext ocrtypes.ReportContext, report ocrtypes.Report) []byte {
	t.Helper()
	words := evmutil.RawReportContext(reportContext)
	message := append(crypto.Keccak256(report), words[0][:]...)
	message = append(append(message, words[1][:]...), words[2][:]...)
	signature, err := crypto.Sign(crypto.Keccak256(message), m.signer)
	check(t, err)
	return signature
}

// TestFeedsKeepTheFee holds that the blocks in which many feeds are made do not raise the base fee.
func TestFeedsKeepTheFee(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := Start()
	check(t, err)
	defer func() { check(t, c.Close()) }()
	var oracles []Oracle
	for range 4 {
		oracles = append(oracles, newMember(t).oracle)
	}
	feeds, err := c.DeployFeeds(ctx, 1+perBlock)
	check(t, err)
	check(t, c.ConfigureFeeds(ctx, feeds[:perBlock], oracles, Timing{}))
	head, err := c.Head(ctx)
	check(t, err)
	for number := range head + 1 {
		block, err := c.client.BlockByNumber(ctx, new(big.Int).SetUint64(number))
		check(t, err)
		if block.GasUsed() > block.GasLimit()/2 {
			t.Errorf("the %d transactions of block %d use %d of %d gas, want half of it at most", len(block.Transactions()),
				number, block.GasUsed(), block.GasLimit())
		}
	}
}

// TestFeedTakesReports proves that the contract is the real one: it takes a report with f+1 signatures over JSON-RPC,
// gives it back as an event, and refuses one with f.
func TestFeedTakesReports(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := Start()
	check(t, err)
	defer func() { check(t, c.Close()) }()

	feed, err := c.DeployFeed(ctx)
	check(t, err)
	var members []member
	var oracles []Oracle
	for range 4 {
		m := newMember(t)
		members, oracles = append(members, m), append(oracles, m.oracle)
		check(t, c.Fund(ctx, m.oracle.Transmitter))
	}

	watch, stop := context.WithCancel(ctx)
	seen := make(chan Transmission, 1)
	watched := make(chan error, 1)
	go func() {
		watched <- feed.Watch(watch, func(transmission Transmission) error { seen <- transmission; return nil })
	}()

	digest, err := feed.Configure(ctx, oracles, Timing{MaxDurationQuery: 200 * time.Millisecond}, nil)
	check(t, err)

	reportContext := ocrtypes.ReportContext{
		ReportTimestamp: ocrtypes.ReportTimestamp{ConfigDigest: digest, Epoch: 0x01020304, Round: 5},
	}
	report, err := evmreportcodec.ReportCodec{}.BuildReport(ctx, observations(30, 10, 20))
	check(t, err)

	client, err := ethclient.DialContext(ctx, c.HTTPURL())
	check(t, err)
	defer client.Close()
	aggregator, err := ocr2aggregator.NewOCR2Aggregator(feed.Address(), client)
	check(t, err)
	var change func(*bind.TransactOpts) // what the transaction has otherwise
	transmit := func(signers ...member) error {
		var rs, ss [][32]byte
		var vs [32]byte
		for i, m := range signers {
			r, s, v, err := evmutil.SplitSignature(m.sign(t, reportContext, report))
			check(t, err)
			rs, ss, vs[i] = append(rs, r), append(ss, s), v
		}
		auth, err := bind.NewKeyedTransactorWithChainID(members[3].transmitter, big.NewInt(ID))
		check(t, err)
		auth.Context = ctx
		if change != nil {
			change(auth)
		}
		_, err = aggregator.Transmit(auth, evmutil.RawReportContext(reportContext), report, rs, ss, vs)
		return err
	}

	if err := transmit(members[0]); err == nil || !strings.Contains(err.Error(), "wrong number of signatures") {
		t.Errorf("a report with one signature of two: got error %v, want wrong number of signatures", err)
	}
	check(t, transmit(members[0], members[1]))

	var got Transmission
	select {
	case got = <-seen:
	case err := <-watched:
		t.Fatalf("the watch ended: %v", err)
	}
	want := Transmission{
		RoundID: 1, ConfigDigest: digest, Epoch: 0x01020304, Round: 5, Answer: big.NewInt(20),
		Observations: []*big.Int{big.NewInt(10), big.NewInt(20), big.NewInt(30)}, Observers: []int{1, 2, 0},
		ObservationsTimestamp: 1700000000, Transmitter: members[3].oracle.Transmitter, GasUsed: got.GasUsed,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Errorf("transmission (-want +got):\n%s", diff)
	}
	if got.GasUsed < 100_000 || got.GasUsed > 400_000 {
		t.Errorf("transmitting used %d gas, want some 0.2M", got.GasUsed)
	}

	stop()
	if err := <-watched; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v, want context.Canceled", err)
	}

	// Once more: it is stale, and its transaction fails. And one that waits for two others, which never come.
	for _, nonce := range []int64{1, 4} {
		change = func(auth *bind.TransactOpts) { auth.GasLimit, auth.Nonce = 500_000, big.NewInt(nonce) }
		check(t, transmit(members[0], members[1]))
	}
	c.Seal(ctx)
	transmitter, idle := members[3].oracle.Transmitter, members[0].oracle.Transmitter
	for {
		accounts, err := c.Accounts(ctx, transmitter, idle)
		check(t, err)
		if accounts[transmitter].Next < 2 { // the pool takes what it was given in its own time
			c.Seal(ctx)
			continue
		}
		if diff := cmp.Diff(map[common.Address]Account{transmitter: {Next: 2, Mined: 2, Pooled: []uint64{4}}, idle: {}},
			accounts); diff != "" {
			t.Errorf("accounts (-want +got):\n%s", diff)
		}
		break
	}
	landed, err := feed.Landed(ctx)
	check(t, err)
	want.GasUsed = 0
	if diff := cmp.Diff([]Transmission{want}, landed,
		cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Errorf("landed (-want +got):\n%s", diff)
	}
	sent, err := feed.Sent(ctx)
	check(t, err)
	once := Report{ConfigDigest: digest, Epoch: 0x01020304, Round: 5}
	if diff := cmp.Diff([]Report{once, once}, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// observations are those of the oracles 0, 1, 2…, in ascending order as a report must have them.
func observations(values ...int64) []median.ParsedAttributedObservation {
	var all []median.ParsedAttributedObservation
	for i, value := range values {
		all = append(all, median.ParsedAttributedObservation{
			Timestamp: 1700000000, Value: big.NewInt(value), JuelsPerFeeCoin: big.NewInt(1),
			GasPriceSubunits: big.NewInt(0), Observer: commontypes.OracleID(i),
		})
	}
	return all
}

func TestConfigureRefusesBadOracles(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := Start()
	check(t, err)
	defer func() { check(t, c.Close()) }()
	feed, err := c.DeployFeed(ctx)
	check(t, err)

	tests := map[string]struct {
		spoil func([]Oracle) []Oracle
		want  string
	}{
		"too few oracles": {
			func(oracles []Oracle) []Oracle { return oracles[:3] }, "3 oracles given, it takes 4 to 31"},
		"short offchain key": {
			func(oracles []Oracle) []Oracle { oracles[2].OffchainPublicKey = nil; return oracles },
			"oracle 2: its offchain public key has 0 bytes"},
		"short encryption key": {
			func(oracles []Oracle) []Oracle { oracles[1].ConfigEncryptionPublicKey = []byte{1}; return oracles },
			"oracle 1: its config encryption public key has 1 bytes"},
		"two oracles with one transmitter": {
			func(oracles []Oracle) []Oracle { oracles[0].Transmitter = oracles[1].Transmitter; return oracles },
			"configure the feed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var oracles []Oracle
			for range 4 {
				oracles = append(oracles, newMember(t).oracle)
			}
			_, err := feed.Configure(ctx, test.spoil(oracles), Timing{}, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestTiming reads off the chain what a session says of the feed's timing, and of the product and its protocol.
func TestTiming(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := Start()
	check(t, err)
	defer func() { check(t, c.Close()) }()
	feed, err := c.DeployFeed(ctx)
	check(t, err)
	var oracles []Oracle
	for range 4 {
		oracles = append(oracles, newMember(t).oracle)
	}
	client, err := ethclient.DialContext(ctx, c.HTTPURL())
	check(t, err)
	defer client.Close()
	aggregator, err := ocr2aggregator.NewOCR2Aggregator(feed.Address(), client)
	check(t, err)
	configure := func(said Timing, product *Product) ocrtypes.ContractConfig {
		digest, err := feed.Configure(ctx, oracles, said, product)
		check(t, err)
		events, err := aggregator.FilterConfigSet(nil)
		check(t, err)
		for events.Next() && events.Event.ConfigDigest != digest {
		}
		check(t, events.Error())
		return evmutil.ContractConfigFromConfigSetEvent(*events.Event)
	}
	timing := func(query, progress time.Duration) Timing {
		return Timing{MaxDurationQuery: query, DeltaProgress: progress}
	}
	for said, want := range map[Timing]Timing{
		timing(0, 0): timing(0, 3*time.Second),
		timing(300*time.Millisecond, time.Second):    timing(300*time.Millisecond, 3*time.Second),
		timing(300*time.Millisecond, 10*time.Second): timing(300*time.Millisecond, 10*time.Second),
	} {
		public, err := confighelper.PublicConfigFromContractConfig(false, configure(said, nil))
		check(t, err)
		if got := timing(public.MaxDurationQuery, public.DeltaProgress); got != want {
			t.Errorf("%+v became %+v, want %+v", said, got, want)
		}
		plugin := []byte(`{"window": 60}`)
		public, err = confighelper.PublicConfigFromContractConfig(false, configure(said, &Product{OCR: 2, Config: plugin}))
		check(t, err)
		if diff := cmp.Diff(plugin, public.ReportingPluginConfig); diff != "" {
			t.Errorf("a product's configuration over OCR2 (-want +got):\n%s", diff)
		}
		config := configure(said, &Product{OCR: 3, Config: plugin})
		if config.OffchainConfigVersion != 30 {
			t.Errorf("the configuration for OCR3 has the version %d, want 30", config.OffchainConfigVersion)
		}
		third, err := ocr3confighelper.PublicConfigFromContractConfig(false, config)
		check(t, err)
		if got := timing(third.MaxDurationQuery, third.DeltaProgress); got != want ||
			third.DeltaInitial != want.DeltaProgress/2 {
			t.Errorf("%+v became %+v over OCR3 with DeltaInitial %s, want %+v", said, got, third.DeltaInitial, want)
		}
		if diff := cmp.Diff(plugin, third.ReportingPluginConfig); diff != "" {
			t.Errorf("a product's configuration over OCR3 (-want +got):\n%s", diff)
		}
	}
	type paced struct{ Round, Progress, Resend time.Duration }
	for pace, want := range map[time.Duration]paced{
		0:                {500 * time.Millisecond, 3 * time.Second, time.Second},
		10 * time.Second: {10 * time.Second, 30 * time.Second, 5 * time.Second},
	} {
		public, err := confighelper.PublicConfigFromContractConfig(false, configure(Timing{Pace: pace}, nil))
		check(t, err)
		if diff := cmp.Diff(want, paced{public.DeltaRound, public.DeltaProgress, public.DeltaResend}); diff != "" {
			t.Errorf("a feed with a round in %s (-want +got):\n%s", pace, diff)
		}
	}
}

// TestReceiptOfTheLatestBlock proves that a transaction is waited for until calls see what it did.
func TestReceiptOfTheLatestBlock(t *testing.T) {
	latest := 5
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			ID     json.RawMessage
			Method string
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Errorf("a request is no JSON: %v", err)
		}
		answer := fmt.Sprintf(`{"transactionHash":"%s","blockNumber":"0x7","status":"0x1","gasUsed":"0x1",`+
			`"cumulativeGasUsed":"0x1","logsBloom":"0x%0512d","logs":[]}`, common.Hash{1}, 0)
		if request.Method == "eth_blockNumber" {
			latest++
			answer = fmt.Sprintf(`"0x%x"`, latest)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, request.ID, answer)
	}))
	defer server.Close()
	client, err := ethclient.Dial(server.URL)
	check(t, err)
	defer client.Close()
	c := &Chain{client: client, period: time.Millisecond}
	_, err = c.receipt(t.Context(), common.Hash{1})
	check(t, err)
	if latest != 7 {
		t.Errorf("the receipt of block 7 was enough at block %d", latest)
	}
}

// TestClockFollowsWallClock proves that blocks come by themselves, and not so fast that the chain's clock runs away.
func TestClockFollowsWallClock(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := Start()
	check(t, err)
	defer func() { check(t, c.Close()) }()

	var recipients []common.Address
	for range 10 {
		key, err := crypto.GenerateKey()
		check(t, err)
		recipients = append(recipients, crypto.PubkeyToAddress(key.PublicKey))
	}
	begin := time.Now()
	check(t, c.Fund(ctx, recipients...)) // one block
	if lead := c.own.lead(); lead > 2*time.Second {
		t.Errorf("after transactions that were sent together the chain's clock leads by %s, want those of one block", lead)
	}
	const busy = 6 // rounds of ten blocks, one of which even a machine that has much else to do makes in time
	rounds := 1
	for ; ; rounds++ {
		for _, recipient := range recipients {
			check(t, c.Fund(ctx, recipient)) // ten blocks: some ten seconds
		}
		took, lead := time.Since(begin), c.own.lead()
		if lead > maxLead+2*time.Second { // a block that is made below it, and the next
			t.Errorf("the chain's clock leads by %s", lead)
		}
		if took <= 5*time.Second && lead >= 5*time.Second {
			break
		}
		if rounds == busy {
			t.Fatalf("ten transactions took %s, after which the chain's clock leads by %s; want blocks on demand, and some 10s",
				took, lead)
		}
		begin = time.Now()
	}
	for _, recipient := range recipients {
		balance, err := c.client.BalanceAt(ctx, recipient, nil)
		check(t, err)
		if want := ether(100 + 100*int64(rounds)); balance.Cmp(want) != 0 {
			t.Errorf("account %s has %s wei, want %s", recipient, balance, want)
		}
	}
}

func TestCloseFreesPort(t *testing.T) {
	c, err := Start()
	check(t, err)
	url := c.HTTPURL()
	check(t, c.Close())
	if response, err := http.Get(url); err == nil {
		response.Body.Close()
		t.Errorf("%s still answers after Close", url)
	}
}
