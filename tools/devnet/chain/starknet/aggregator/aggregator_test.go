package aggregator

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/stark-curve/fr"
	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/plugins/stark"
)

// vectors are made by ../testdata/vectors.mjs.
type vectors struct {
	Selectors map[string]stark.Felt
	Configs   []struct {
		Chain           string
		Contract        stark.Felt
		Count           uint64
		Oracles         [][2]stark.Felt
		F               uint64
		Min, Max        stark.Felt
		Version, Digest stark.Felt
		Offchain        []stark.Felt
	}
	Reports []struct {
		Words              []stark.Felt
		Hash, Public, R, S stark.Felt
	}
}

func read(t *testing.T) vectors {
	t.Helper()
	text, err := os.ReadFile("../testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Selectors) < 20 || len(v.Configs) < 3 || len(v.Reports) < 3 {
		t.Fatal("the file of vectors is cut short")
	}
	return v
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	for name, want := range read(t).Selectors {
		if got := Selector(name); got != want {
			t.Errorf("Selector(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestDigestOfVectors(t *testing.T) {
	t.Parallel()
	for i, c := range read(t).Configs {
		owner := stark.FromUint64(77)
		a, err := New(Settings{ChainID: shortString(c.Chain), Address: c.Contract, Owner: owner, Min: c.Min.Big(),
			Max: c.Max.Big()})
		if err != nil {
			t.Fatal(err)
		}
		a.configCount = c.Count - 1
		calldata := felts(uint64(len(c.Oracles)))
		for _, o := range c.Oracles {
			calldata = append(calldata, o[0], o[1])
		}
		calldata = append(calldata, stark.FromUint64(c.F), stark.Felt{}, c.Version, stark.FromUint64(uint64(len(c.Offchain))))
		result, err := a.Call(Environment{Caller: owner, Block: 9}, Selector("set_config"), append(calldata, c.Offchain...))
		if err != nil {
			t.Fatalf("configuration %d: %v", i, err)
		}
		if diff := cmp.Diff([]string{c.Digest.String()}, texts(result.Returned)); diff != "" {
			t.Errorf("configuration %d: digest (-want +got):\n%s", i, diff)
		}
	}
}

func TestReportsOfVectors(t *testing.T) {
	t.Parallel()
	for i, c := range read(t).Reports {
		n, _ := c.Words[5].Uint64()
		p := report{
			digest: c.Words[0], epochAndRound: c.Words[1].Big().Uint64(), extra: c.Words[2],
			timestamp: c.Words[3].Big().Uint64(), observers: c.Words[4],
			juels: c.Words[6+n].Big(), gas: c.Words[7+n].Big(),
		}
		for _, observation := range c.Words[6 : 6+n] {
			p.observations = append(p.observations, observation.Big())
		}
		if got := p.hash(); got != c.Hash {
			t.Errorf("report %d: hash %s, want %s", i, got, c.Hash)
		}
		if !Verify(c.Hash, c.Public, c.R, c.S) {
			t.Errorf("report %d: the signature is not verified", i)
		}
		if Verify(c.Hash, c.Public, c.S, c.R) || Verify(c.Public, c.Public, c.R, c.S) || Verify(c.Hash, c.Hash, c.R, c.S) {
			t.Errorf("report %d: a wrong signature is verified", i)
		}
	}
}

func TestVerifyAsCairo(t *testing.T) {
	t.Parallel()
	k := key(t, 5)
	hash := stark.FromUint64(99)
	good, err := k.Sign(hash)
	if err != nil {
		t.Fatal(err)
	}
	order := fr.Modulus()
	for name, c := range map[string]struct {
		r, s stark.Felt
		want bool
	}{
		"good":           {good.R, good.S, true},
		"the high s":     {good.R, mustFelt(new(big.Int).Sub(order, good.S.Big())), true},
		"s is zero":      {good.R, stark.Felt{}, false},
		"s is the order": {good.R, mustFelt(order), false},
		"r is zero":      {stark.Felt{}, good.S, false},
		"r is the order": {mustFelt(order), good.S, false},
		"r is no point":  {stark.FromUint64(5), good.S, false},
		"other s":        {good.R, stark.FromUint64(1), false},
	} {
		if got := Verify(hash, k.Public(), c.r, c.s); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func texts(all []stark.Felt) []string {
	var some []string
	for _, f := range all {
		some = append(some, f.String())
	}
	return some
}

func key(t testing.TB, n byte) *stark.Key {
	t.Helper()
	k, err := stark.NewKey(append(make([]byte, 31), n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// fixture is a contract with four oracles, whose transmitters are 101 to 104.
type fixture struct {
	*Aggregator
	keys   []*stark.Key
	digest stark.Felt
}

func owner() stark.Felt { return stark.FromUint64(77) }

func newFixture(t testing.TB) *fixture {
	t.Helper()
	a, err := New(Settings{
		ChainID: shortString("LOOP_DEVNET"), Address: stark.FromUint64(55), Owner: owner(), Min: big.NewInt(10),
		Max: big.NewInt(1000), Decimals: 8,
		Description: shortString("test"),
		Billing:     Billing{ObservationPayment: 1, TransmissionPayment: 2, GasBase: 14951, GasPerSignature: 13},
		LinkBalance: big.NewInt(100_000_000_000),
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Aggregator: a}
	for i := range 4 {
		f.keys = append(f.keys, key(t, byte(i+1)))
	}
	result, err := a.Call(Environment{Caller: owner(), Block: 3}, Selector("set_config"), f.config(1, nil))
	if err != nil {
		t.Fatal(err)
	}
	f.digest = result.Returned[0]
	return f
}

func (f *fixture) config(faulty uint64, change func([]stark.Felt)) []stark.Felt {
	calldata := felts(4)
	for i, k := range f.keys {
		calldata = append(calldata, k.Public(), stark.FromUint64(uint64(101+i)))
	}
	calldata = append(calldata, felts(faulty, 0, 2, 3, 40, 41, 42)...)
	if change != nil {
		change(calldata)
	}
	return calldata
}

// given is a report to be, good unless it is changed.
type given struct {
	digest        stark.Felt
	epochAndRound uint64
	observations  []uint64
	signers       []int
	caller        uint64
	juels, gas    *big.Int
	spoil         func([]stark.Felt) []stark.Felt
}

func (f *fixture) given() given {
	return given{digest: f.digest, epochAndRound: 0x105, observations: []uint64{20, 30, 40, 50}, signers: []int{0, 2},
		caller: 103, juels: big.NewInt(7), gas: big.NewInt(9)}
}

func (f *fixture) transmit(t testing.TB, g given) (Result, error) {
	t.Helper()
	words := []stark.Felt{g.digest, stark.FromUint64(g.epochAndRound), stark.FromUint64(6), stark.FromUint64(1700000000),
		stark.FromUint64(0x01020301), stark.FromUint64(uint64(len(g.observations)))}
	words = append(append(words, felts(g.observations...)...), mustFelt(g.juels), mustFelt(g.gas))
	calldata := append(slices.Clone(words), stark.FromUint64(uint64(len(g.signers))))
	for _, i := range g.signers {
		k := key(t, byte(i+1))
		signature, err := k.Sign(stark.PedersenArray(words...))
		if err != nil {
			t.Fatal(err)
		}
		calldata = append(calldata, signature.R, signature.S, k.Public())
	}
	if g.spoil != nil {
		calldata = g.spoil(calldata)
	}
	return f.Call(Environment{Caller: stark.FromUint64(g.caller), Block: 12, Time: 1700000050}, Selector("transmit"),
		calldata)
}

func TestTransmit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	result, err := f.transmit(t, f.given())
	if err != nil {
		t.Fatal(err)
	}
	// 1.15 * (14951 + 2*13) = 17223, times 9, times 7.
	want := Event{
		Keys: []stark.Felt{Selector("NewTransmission"), stark.FromUint64(1), stark.FromUint64(103)},
		Data: slices.Concat(felts(40, 1700000000, 0x01020301, 4, 20, 30, 40, 50, 7, 9), []stark.Felt{f.digest},
			felts(0x105, 17223*63)),
	}
	if len(result.Events) != 1 || !slices.Equal(result.Events[0].Keys, want.Keys) ||
		!slices.Equal(result.Events[0].Data, want.Data) {
		t.Errorf("events %v, want %v", result.Events, want)
	}
	owed := int64(4*1_000_000_000 + 2*1_000_000_000 + 17223*63)
	for view, want := range map[string][]stark.Felt{
		"latest_config_details": {stark.FromUint64(1), stark.FromUint64(3), f.digest},
		"latest_transmission_details": {f.digest, stark.FromUint64(0x105), stark.FromUint64(40),
			stark.FromUint64(1700000050)},
		"latest_round_data":          felts(1, 40, 12, 1700000000, 1700000050),
		"link_available_for_payment": felts(0, uint64(100_000_000_000-owed)),
		"billing":                    felts(1, 2, 14951, 13),
		"transmitters":               felts(4, 101, 102, 103, 104),
		"type_and_version":           {shortString("ocr2/aggregator.cairo 1.0.0")},
		"description":                {shortString("test")},
		"decimals":                   felts(8),
		"owner":                      {owner()},
	} {
		result, err := f.Call(Environment{}, Selector(view), nil)
		if err != nil {
			t.Errorf("%s: %v", view, err)
		}
		if diff := cmp.Diff(texts(want), texts(result.Returned)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", view, diff)
		}
		if _, err := f.Call(Environment{}, Selector(view), felts(1)); !errors.Is(err, Panic("Input too long for arguments")) {
			t.Errorf("%s with an argument: %v", view, err)
		}
	}
	for id, want := range map[uint64][]stark.Felt{1: felts(1, 40, 12, 1700000000, 1700000050), 2: felts(2, 0, 0, 0, 0)} {
		if result, err := f.Call(Environment{}, Selector("round_data"), felts(id)); err != nil ||
			!slices.Equal(result.Returned, want) {
			t.Errorf("round %d: %v, %v, want %v", id, result.Returned, err, want)
		}
	}
	if _, err := f.Call(Environment{}, stark.FromUint64(1), nil); !errors.Is(err, ErrEntryPoint) {
		t.Errorf("an entry point that is none: %v", err)
	}
}

// TestLinkAvailable takes LINK away from a contract that owes 6 gjuels and a reimbursement for one round of four
// oracles.
func TestLinkAvailable(t *testing.T) {
	t.Parallel()
	const owed = 6_000_000_000 + 17223*63
	for balance, want := range map[uint64][]stark.Felt{owed + 1: felts(0, 1), owed: felts(1, 0), owed - 1: felts(1, 1)} {
		f := newFixture(t)
		f.settings.LinkBalance = new(big.Int).SetUint64(balance)
		if _, err := f.transmit(t, f.given()); err != nil {
			t.Fatal(err)
		}
		if result, err := f.Call(Environment{}, Selector("link_available_for_payment"), nil); err != nil ||
			!slices.Equal(result.Returned, want) {
			t.Errorf("of %d: %v, %v, want %v", balance, result.Returned, err, want)
		}
	}
}

// TestTransmitRefusesInOrder spoils reports: each case has all faults of those that follow it in the contract's checks,
// as far as they go together, so that the order shows.
func TestTransmitRefusesInOrder(t *testing.T) {
	t.Parallel()
	all := []struct {
		name   string
		change func(*given)
		want   error
	}{
		{"an argument too many", func(g *given) {
			g.spoil = func(c []stark.Felt) []stark.Felt { return append(c, stark.Felt{}) }
		}, Panic("Input too long for arguments")},
		{"stale", func(g *given) { g.epochAndRound = 0x105 }, Panic("stale report")},
		{"a sender of no oracle", func(g *given) { g.caller = 100 }, Panic("unknown sender")},
		{"another digest", func(g *given) { g.digest = stark.FromUint64(1) }, Panic("config digest mismatch")},
		{"too many signatures", func(g *given) { g.signers = []int{8, 8, 8} }, Panic("wrong number of signatures")},
		{"too few signatures", func(g *given) { g.signers = []int{8} }, Panic("wrong number of signatures")},
		{"a signer of no oracle", func(g *given) { g.signers = []int{8, 8} }, Panic("invalid signer")},
		{"a signer twice", func(g *given) { g.signers = []int{2, 2} }, Panic("duplicate signer")},
		{"a signature of another hash", func(g *given) {
			g.signers = []int{0, 2}
			g.spoil = func(c []stark.Felt) []stark.Felt { c[len(c)-2] = stark.FromUint64(1); return c }
		}, Panic("")},
		{"too many observations", func(g *given) { g.spoil = nil; g.observations = make([]uint64, 32) }, Panic("")},
		{"too few observations", func(g *given) { g.observations = []uint64{1} }, Panic("")},
		{"median too low", func(g *given) {
			g.observations = []uint64{9, 9, 9, 2000}
		}, Panic("median is out of min-max range")},
		{"median too high", func(g *given) {
			g.observations = []uint64{9, 9, 1001}
		}, Panic("median is out of min-max range")},
		{"too much to pay", func(g *given) {
			g.observations = []uint64{20, 30}
			g.gas, g.juels = new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1)
		}, Panic("u128_mul Overflow")},
		{"too much to pay at last", func(g *given) {
			g.gas, g.juels = new(big.Int).Lsh(big.NewInt(1), 100), new(big.Int).Lsh(big.NewInt(1), 100)
		}, Panic("u128_mul Overflow")},
	}
	f := newFixture(t)
	if _, err := f.transmit(t, f.given()); err != nil {
		t.Fatal(err)
	}
	g := f.given()
	g.epochAndRound++
	for _, c := range slices.Backward(all) {
		c.change(&g)
		before := *f.Clone()
		if _, err := f.transmit(t, g); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if f.epochAndRound != before.epochAndRound || len(f.rounds) != len(before.rounds) {
			t.Errorf("%s: it changed the contract", c.name)
		}
	}
	last := f.given()
	last.epochAndRound, last.observations = 0x106, []uint64{1, 10, 10}
	if _, err := f.transmit(t, last); err != nil {
		t.Errorf("the lowest median, after all: %v", err)
	}
}

func TestSetConfigRefusesInOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	many := felts(32)
	for i := range uint64(32) {
		many = append(many, felts(1000+i, 2000+i)...)
	}
	many = append(many, felts(1, 0, 2, 0)...)
	for name, c := range map[string]struct {
		caller   stark.Felt
		calldata []stark.Felt
		want     error
	}{
		"no caller":       {stark.Felt{}, f.config(1, nil), Panic("Caller is the zero address")},
		"a stranger":      {stark.FromUint64(1), f.config(0, nil), Panic("Caller is not the owner")},
		"too many":        {owner(), many, Panic("too many oracles")},
		"f beyond 8 bits": {owner(), f.config(86, nil), Panic("u8_mul Overflow")},
		"f too high":      {owner(), f.config(2, nil), Panic("faulty-oracle f too high")},
		"f is zero":       {owner(), f.config(0, nil), Panic("f must be positive")},
		"f of 9 bits":     {owner(), f.config(256, nil), Panic("Failed to deserialize param #2")},
		"an on-chain config": {owner(), slices.Concat(f.config(1, nil)[:9], felts(1, 1, 5, 2, 0)),
			Panic("onchain_config must be empty")},
		"a signer twice": {owner(), f.config(1, func(c []stark.Felt) { c[3] = c[1] }), Panic("repeated signer")},
		"a transmitter twice": {owner(), f.config(1, func(c []stark.Felt) { c[4] = c[2] }),
			Panic("repeated transmitter")},
		"a transmitter of no sort": {owner(),
			f.config(1, func(c []stark.Felt) { c[2] = mustFelt(new(big.Int).Lsh(big.NewInt(1), 251)) }),
			Panic("Failed to deserialize param #1")},
		"an argument cut off": {owner(), f.config(1, nil)[:15], Panic("Failed to deserialize param #5")},
		"nothing":             {owner(), nil, Panic("Failed to deserialize param #1")},
		"more than there is":  {owner(), felts(1<<32 - 1), Panic("Failed to deserialize param #1")},
	} {
		if _, err := f.Call(Environment{Caller: c.caller}, Selector("set_config"), c.calldata); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if f.configCount != 1 {
		t.Error("a refused configuration was counted")
	}
}

// TestSetConfigAgain proves that a configuration takes the place of the one before, and begins epochs anew.
func TestSetConfigAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if _, err := f.transmit(t, f.given()); err != nil {
		t.Fatal(err)
	}
	old := f.digest
	result, err := f.Call(Environment{Caller: owner(), Block: 20}, Selector("set_config"),
		f.config(1, func(c []stark.Felt) { c[6] = stark.FromUint64(203) }))
	if err != nil {
		t.Fatal(err)
	}
	f.digest = result.Returned[0]
	wantKeys := []stark.Felt{Selector("ConfigSet"), stark.FromUint64(3), f.digest}
	wantData := slices.Concat(felts(2, 4), f.config(1, func(c []stark.Felt) { c[6] = stark.FromUint64(203) })[1:9],
		felts(1, 3, 1, 10, 1000, 2, 3, 40, 41, 42))
	if f.digest == old || !slices.Equal(result.Events[0].Keys, wantKeys) ||
		!slices.Equal(result.Events[0].Data, wantData) {
		t.Errorf("event %v, want keys %v and data %v", result.Events[0], wantKeys, wantData)
	}
	g := f.given()
	g.epochAndRound = 1
	if _, err := f.transmit(t, g); !errors.Is(err, Panic("unknown sender")) {
		t.Errorf("by an oracle that was: %v", err)
	}
	g.caller = 203
	if _, err := f.transmit(t, g); err != nil {
		t.Errorf("by the oracle in its place: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	wide := new(big.Int).Lsh(big.NewInt(1), 128)
	for name, c := range map[string][2]*big.Int{
		"none": {}, "equal": {big.NewInt(1), big.NewInt(1)}, "turned round": {big.NewInt(2), big.NewInt(1)},
		"negative": {big.NewInt(-1), big.NewInt(1)}, "129 bits": {big.NewInt(1), wide},
	} {
		if _, err := New(Settings{Min: c[0], Max: c[1]}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzCall looks for calldata that breaks the model instead of the call.
func FuzzCall(f *testing.F) {
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range functions() {
			if !yield(name) {
				return
			}
		}
	})
	f.Add(uint8(0), uint8(103), []byte{})
	f.Add(uint8(slices.Index(names, "transmit")), uint8(103), binary.BigEndian.AppendUint64(nil, 4))
	f.Fuzz(func(t *testing.T, function, caller uint8, bytes []byte) {
		a := newFixture(t)
		var calldata []stark.Felt
		for chunk := range slices.Chunk(bytes, 4) {
			n, err := stark.FromBytes(chunk)
			if err != nil {
				t.Fatal(err)
			}
			calldata = append(calldata, n)
		}
		name := names[int(function)%len(names)]
		env := Environment{Caller: stark.FromUint64(uint64(caller)), Block: 5, Time: 6}
		_, err := a.Call(env, Selector(name), calldata)
		var said Panic
		if err != nil && !errors.As(err, &said) {
			t.Errorf("%s: %v is not a word of the contract's", name, err)
		}
	})
}
