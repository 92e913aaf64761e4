package feed

import (
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fixture is a configured feed with its oracles, and a node that serves it.
type fixture struct {
	chain   *chain.Chain
	feed    *Feed
	members []Member
	oracles []Oracle
	digest  stark.Felt
	url     string
}

func newFixture(t *testing.T, versions ...chain.Version) *fixture {
	t.Helper()
	c, err := chain.New(chain.Settings{BlockTime: -1})
	check(t, err)
	network, err := rpc.Start(c, rpc.Settings{Versions: versions})
	check(t, err)
	t.Cleanup(func() {
		c.Close()
		check(t, network.Close())
	})
	f := &fixture{chain: c, url: network.URLs()[0]}
	f.feed, err = Deploy(c, Settings{})
	check(t, err)
	for range 4 {
		m, err := NewMember()
		check(t, err)
		c.DeployAccount(m.Account.Key.Public(), new(big.Int).Exp(big.NewInt(10), big.NewInt(21), nil))
		f.members, f.oracles = append(f.members, m), append(f.oracles, m.Oracle)
	}
	digest, err := f.feed.Configure(t.Context(), f.oracles, ocr2.DefaultTiming())
	check(t, err)
	f.digest, err = stark.FromBytes(digest[:])
	check(t, err)
	return f
}

func (f *fixture) send(t *testing.T, epoch uint32, round uint8, observations ...int64) error {
	t.Helper()
	report := Report{
		ConfigDigest: f.digest, Epoch: epoch, Round: round, Timestamp: 1700000000, Observers: []uint8{2, 0, 3},
		JuelsPerFeeCoin: big.NewInt(7), GasPrice: big.NewInt(9),
	}
	for _, n := range observations {
		report.Observations = append(report.Observations, big.NewInt(n))
	}
	calldata, err := report.Calldata(f.members[1].SignerKey, f.members[3].SignerKey)
	check(t, err)
	_, err = f.chain.Send(f.members[2].Account,
		chain.Call{To: f.feed.Address(), Selector: aggregator.Selector("transmit"), Calldata: calldata})
	return err
}

// TestWatch sends reports into complete blocks and the one that is being made, and finds each once, in order.
func TestWatch(t *testing.T) {
	t.Parallel()
	for _, version := range []chain.Version{chain.Version8, chain.Version9, chain.Version10} {
		t.Run(version.Spec(), func(t *testing.T) {
			t.Parallel()
			testWatch(t, version)
		})
	}
}

func testWatch(t *testing.T, version chain.Version) {
	f := newFixture(t, version)
	check(t, f.send(t, 1, 2, 10, 20, 30))
	if err := f.send(t, 1, 2, 10, 20, 30); err == nil || !strings.Contains(err.Error(), "stale report") {
		t.Errorf("a report twice: %v, want stale report", err)
	}
	f.chain.MakeBlock()
	check(t, f.send(t, 0x01020304, 5, 10, 25, 30))
	var got []Transmission
	done := errors.New("done")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := f.feed.Watch(ctx, f.url, func(transmission Transmission) error {
		got = append(got, transmission)
		switch len(got) {
		case 2: // the block is completed, and its transmissions are not seen again
			f.chain.MakeBlock()
			f.chain.MakeBlock()
			return f.send(t, 0x01020304, 6, 10, 26, 30)
		case 3:
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
	for i, want := range []Transmission{{RoundID: 1, Epoch: 1, Round: 2, Answer: big.NewInt(20)},
		{RoundID: 2, Epoch: 0x01020304, Round: 5, Answer: big.NewInt(25)},
		{RoundID: 3, Epoch: 0x01020304, Round: 6, Answer: big.NewInt(26)}} {
		want.ConfigDigest = f.digest.Bytes()
		want.Observations = []*big.Int{big.NewInt(10), want.Answer, big.NewInt(30)}
		want.Observers, want.ObservationsTimestamp = []int{2, 0, 3}, 1700000000
		want.JuelsPerFeeCoin, want.GasPrice, want.Reimbursement = big.NewInt(7), big.NewInt(9), big.NewInt(17223*63)
		want.Transmitter, want.Hash, want.Fee = f.members[2].Transmitter, got[i].Hash, got[i].Fee
		if diff := cmp.Diff(want, got[i], cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }),
			cmp.Comparer(func(a, b stark.Felt) bool { return a == b })); diff != "" {
			t.Errorf("transmission %d (-want +got):\n%s", i, diff)
		}
		if got[i].Fee.Sign() <= 0 {
			t.Errorf("transmission %d cost nothing", i)
		}
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	details, err := f.feed.Call(t.Context(), f.url, "latest_config_details")
	check(t, err)
	if details[0] != stark.FromUint64(1) || details[2] != f.digest {
		t.Errorf("configuration %v, want the first with the digest %s", details, f.digest)
	}
	if _, err := f.feed.Call(t.Context(), f.url, "nothing"); err == nil || !strings.Contains(err.Error(), "(21)") {
		t.Errorf("a view that is none: %v", err)
	}
}

func TestConfigureRefusesBadOracles(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, test := range map[string]struct {
		spoil func([]Oracle) []Oracle
		want  string
	}{
		"too few": {func(o []Oracle) []Oracle { return o[:3] }, "3 oracles given, it takes 4 to 31"},
		"short offchain key": {func(o []Oracle) []Oracle {
			o[2].OffchainPublicKey = nil
			return o
		}, "oracle 2: its offchain public key has 0 bytes"},
		"short encryption key": {func(o []Oracle) []Oracle { o[1].ConfigEncryptionPublicKey = []byte{1}; return o },
			"oracle 1: its config encryption public key has 1 bytes"},
		"one transmitter": {func(o []Oracle) []Oracle { o[0].Transmitter = o[1].Transmitter; return o },
			"repeated transmitter"},
	} {
		oracles := append([]Oracle(nil), f.oracles...)
		if _, err := f.feed.Configure(t.Context(), test.spoil(oracles), ocr2.DefaultTiming()); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestPackBytes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bytes []byte
		want  []string
	}{
		"nothing":   {nil, []string{"0x0"}},
		"a few":     {[]byte{0, 1, 2}, []string{"0x3", "0x102"}},
		"one more":  {append(make([]byte, 30), 5, 6), []string{"0x20", "0x5", "0x6"}},
		"one chunk": {append([]byte{255}, make([]byte, 30)...), []string{"0x1f", "0xff" + strings.Repeat("00", 30)}},
	} {
		var got []string
		for _, f := range packBytes(test.bytes) {
			got = append(got, f.String())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestDecodeRefuses cuts a good event off at each felt.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	felts := make([]stark.Felt, 11)
	felts[3] = stark.FromUint64(2)
	hash := stark.FromUint64(1)
	if _, err := decode(chain.Event{Keys: felts[:3], Data: felts, Transaction: &hash}); err != nil {
		t.Fatal(err)
	}
	for n := range felts {
		if _, err := decode(chain.Event{Keys: felts[:3], Data: felts[:n], Transaction: &hash}); err == nil {
			t.Errorf("an event of %d felts is taken", n)
		}
	}
	if _, err := decode(chain.Event{Keys: felts[:2], Data: felts, Transaction: &hash}); err == nil {
		t.Error("an event of two keys is taken")
	}
}
