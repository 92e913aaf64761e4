package aggregator

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/plugins/stark"
)

type bytesOf []byte

func (b *bytesOf) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	return err
}

type digestVector struct {
	Chain                 string
	Contract, Count       stark.Felt
	Signers, Transmitters []stark.Felt
	F, Min, Max, Version  stark.Felt
	Offchain, Digest      bytesOf
	Event                 struct{ Keys, Data []stark.Felt }
}

// vectors are made by ../testdata/vectors.mjs.
type vectors struct {
	Selectors map[string]stark.Felt
	Packings  []struct {
		Data  bytesOf
		Felts []stark.Felt
	}
	Digests []digestVector
	Reports []struct {
		Context struct {
			Digest    bytesOf
			Epoch     uint32
			Round     uint8
			ExtraHash bytesOf
		}
		Report    bytesOf
		Signature bytesOf
		Hash      stark.Felt
		Median    stark.Felt
		Calldata  []stark.Felt
	}
}

func read(t testing.TB) vectors {
	t.Helper()
	text, err := os.ReadFile("../testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Selectors) < 6 || len(v.Packings) < 8 || len(v.Digests) < 3 || len(v.Reports) < 2 {
		t.Fatal("the file of vectors is cut short")
	}
	return v
}

func (d digestVector) config(t testing.TB) Config {
	t.Helper()
	count, _ := d.Count.Uint64()
	f, _ := d.F.Uint64()
	version, _ := d.Version.Uint64()
	return Config{
		Digest: [32]byte(d.Digest), Count: count, Signers: d.Signers, Transmitters: d.Transmitters, F: uint8(f),
		Onchain: Onchain{Min: d.Min.Big(), Max: d.Max.Big()}, OffchainVersion: version, Offchain: d.Offchain,
	}
}

// same compares what go-cmp cannot look into.
var same = cmp.Options{
	cmp.Comparer(func(a, b stark.Felt) bool { return a == b }),
	cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }),
}

func TestVectors(t *testing.T) {
	t.Parallel()
	v := read(t)
	for name, want := range v.Selectors {
		if got := Selector(name); got != want {
			t.Errorf("Selector(%s) = %s, want %s", name, got, want)
		}
	}
	for _, c := range v.Packings {
		if diff := cmp.Diff(c.Felts, Pack(c.Data), same); diff != "" {
			t.Errorf("Pack of %d bytes (-want +got):\n%s", len(c.Data), diff)
		}
		if got, err := Unpack(c.Felts); err != nil || !bytes.Equal(got, c.Data) {
			t.Errorf("Unpack of %d bytes: %x, %v", len(c.Data), got, err)
		}
	}
	for i, c := range v.Digests {
		chain, err := stark.ShortString(c.Chain)
		if err != nil {
			t.Fatal(err)
		}
		want := c.config(t)
		if got, err := want.ComputeDigest(chain, c.Contract); err != nil || got != want.Digest {
			t.Errorf("configuration %d: the digest is %x, %v, want %x", i, got, err, want.Digest)
		}
		got, err := ParseConfigSet(c.Event.Keys, c.Event.Data)
		if err != nil {
			t.Fatalf("configuration %d: %v", i, err)
		}
		if len(got.Offchain) == 0 {
			got.Offchain = want.Offchain // nothing is nothing
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("configuration %d (-want +got):\n%s", i, diff)
		}
	}
	for i, c := range v.Reports {
		context := Context{Digest: [32]byte(c.Context.Digest), Epoch: c.Context.Epoch, Round: c.Context.Round,
			ExtraHash: [32]byte(c.Context.ExtraHash)}
		calldata, err := Transmit(context, c.Report, [][]byte{c.Signature})
		if err != nil {
			t.Fatalf("report %d: %v", i, err)
		}
		if diff := cmp.Diff(c.Calldata, calldata, same); diff != "" {
			t.Errorf("report %d: calldata (-want +got):\n%s", i, diff)
		}
		// The oracles sign the calldata's head.
		if got := stark.PedersenArray(calldata[:len(calldata)-4]...); got != c.Hash {
			t.Errorf("report %d: the hash is %s, want %s", i, got, c.Hash)
		}
		if signature, err := ParseSignature(c.Signature); err != nil ||
			!stark.Verify(signature.Public, c.Hash, signature.Signature) {
			t.Errorf("report %d: the signature is not verified: %v", i, err)
		}
		if median, err := Median(c.Report); err != nil || median.Cmp(c.Median.Big()) != 0 {
			t.Errorf("report %d: the median is %s, %v, want %s", i, median, err, c.Median)
		}
	}
}

func TestPackingRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data")
		felts := Pack(data)
		if got, err := Unpack(felts); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%x comes back as %x, %v", data, got, err)
		}
		// Whatever else unpacks is packed the same: bytes have one packing.
		changed := felts[rapid.IntRange(0, len(felts)-1).Draw(t, "at")].Bytes()
		changed[rapid.IntRange(1, 31).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		other := append([]stark.Felt(nil), felts...)
		for i := range other {
			if f, err := stark.FromBytes(changed[:]); err == nil {
				other[i] = f
			}
			if got, err := Unpack(other); err == nil {
				if diff := cmp.Diff(other, Pack(got), same); diff != "" {
					t.Fatalf("two packings of %x:\n%s", got, diff)
				}
			}
			other[i] = felts[i]
		}
	})
}

func TestReportRoundTrips(t *testing.T) {
	t.Parallel()
	number := rapid.Custom(func(t *rapid.T) *big.Int {
		return new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "number"))
	})
	rapid.Check(t, func(t *rapid.T) {
		observations := make([]Observation, rapid.IntRange(1, MaxOracles).Draw(t, "n"))
		for i := range observations {
			observations[i] = Observation{
				Seconds: rapid.Uint32().Draw(t, "seconds"), Value: number.Draw(t, "value"),
				JuelsPerFeeCoin: number.Draw(t, "juels"), GasPrice: number.Draw(t, "gas"), Observer: uint8(i),
			}
		}
		report, err := BuildReport(observations)
		if err != nil || len(report) != ReportLength(len(observations)) {
			t.Fatalf("%d bytes, %v", len(report), err)
		}
		median, err := Median(report)
		if err != nil {
			t.Fatal(err)
		}
		below, above := 0, 0
		for _, o := range observations {
			below += max(0, median.Cmp(o.Value))
			above += max(0, -median.Cmp(o.Value))
		}
		if n := len(observations); below > n/2 || above > n-1-n/2 {
			t.Fatalf("%s is not a median: %d of %d are below it and %d above", median, below, n, above)
		}
		if report[32] != 1 {
			t.Fatal("the word of observers is not marked")
		}
		seen := map[byte]bool{}
		for i := range observations {
			id := report[33+i]
			seen[id] = true
			if value := new(big.Int).SetBytes(report[96+32*i : 128+32*i]); value.Cmp(observations[id].Value) != 0 {
				t.Fatalf("observer %d stands with another's value", id)
			}
		}
		if len(seen) != len(observations) {
			t.Fatalf("%d observers of %d", len(seen), len(observations))
		}
		if more, err := Median(append(report, 1, 2, 3)); err != nil || more.Cmp(median) != 0 {
			t.Fatalf("with more bytes: %v", err)
		}
		if _, err := Median(report[:len(report)-1]); err == nil {
			t.Fatal("a byte less is a report")
		}
	})
}

func TestOnchainRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 17).Draw(t, "min"))
		b := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 17).Draw(t, "max"))
		encoded, err := Onchain{a, b}.Encode()
		if good := a.Cmp(b) <= 0 && b.BitLen() <= 128; good != (err == nil) {
			t.Fatalf("%s, %s: %v", a, b, err)
		}
		if err != nil {
			return
		}
		decoded, err := DecodeOnchain(encoded)
		if err != nil || decoded.Min.Cmp(a) != 0 || decoded.Max.Cmp(b) != 0 {
			t.Fatalf("%v, %v", decoded, err)
		}
	})
}

func felts(numbers ...int64) []stark.Felt {
	all := make([]stark.Felt, len(numbers))
	for i, n := range numbers {
		all[i] = stark.FromUint64(uint64(n))
	}
	return all
}

var wide, _ = stark.FromBig(new(big.Int).Lsh(big.NewInt(1), 130))

// TestRefuses checks that errors name what is wrong.
func TestRefuses(t *testing.T) {
	t.Parallel()
	with := func(list []stark.Felt, at int, f stark.Felt) []stark.Felt {
		changed := append([]stark.Felt(nil), list...)
		changed[at] = f
		return changed
	}
	good := read(t).Digests[0].Event
	small := felts(9, 1, 11, 12, 1, 3, 1, 5, 6, 2, 1, 0)
	event := func(keys, data []stark.Felt) func() error {
		return func() error { _, err := ParseConfigSet(keys, data); return err }
	}
	report := make([]byte, ReportLength(2))
	report[32], report[95], report[127], report[159] = 1, 2, 5, 6
	changed := func(at int, value byte) []byte {
		c := append([]byte(nil), report...)
		c[at] = value
		return c
	}
	median := func(report []byte) func() error { return func() error { _, err := Median(report); return err } }
	build := func(change func(*Observation)) func() error {
		return func() error {
			o := Observation{Value: big.NewInt(1), JuelsPerFeeCoin: big.NewInt(2), GasPrice: big.NewInt(3)}
			change(&o)
			_, err := BuildReport([]Observation{o})
			return err
		}
	}
	transmit := func(context Context, report []byte, signatures ...[]byte) func() error {
		return func() error { _, err := Transmit(context, report, signatures); return err }
	}
	signature := make([]byte, 96)
	ones := bytes.Repeat([]byte{0xff}, 32)
	for name, c := range map[string]struct {
		call func() error
		want string
	}{
		"short details": {func() error { _, err := ParseConfigDetails(felts(1, 2)); return err },
			"the contract's answer to latest_config_details cannot be read: it ends after 2 elements, before config_digest; " +
				"check that it is an OCR2 aggregator"},
		"long details": {func() error { _, err := ParseConfigDetails(felts(1, 2, 3, 4)); return err },
			"it has 4 elements, and 3 are expected"},
		"wide block": {func() error { _, err := ParseConfigDetails(with(felts(1, 2, 3), 1, wide)); return err },
			"block_number has 131 bits, and the contract's have at most 64"},
		"wide epoch": {func() error {
			_, err := ParseTransmissionDetails(with(felts(1, 2, 3, 4), 1, wide))
			return err
		}, "epoch_and_round has 131 bits"},
		"wide answer": {func() error {
			_, err := ParseTransmissionDetails(with(felts(1, 2, 3, 4), 2, wide))
			return err
		}, "latest_answer has 131 bits"},
		"wide time": {func() error {
			_, err := ParseTransmissionDetails(with(felts(1, 2, 3, 4), 3, wide))
			return err
		}, "latest_timestamp has 131 bits"},
		"no transmission": {func() error {
			_, err := ParseTransmissionDetails(nil)
			return err
		}, "latest_transmission_details cannot be read: it ends after 0 elements, before config_digest"},
		"no keys": {event(nil, small),
			"the event ConfigSet, in its keys, cannot be read: it ends after 0 elements, before selector"},
		"other event": {event(felts(1, 2, 3), small), "0x1 is the selector of another event"},
		"no digest":   {event(good.Keys[:2], small), "before latest_config_digest"},
		"more keys": {event(append(append([]stark.Felt{}, good.Keys...), good.Keys...), small),
			"it has 6 elements, and 3 are expected"},
		"many oracles": {event(good.Keys, with(small, 1, stark.FromUint64(32))),
			"oracles is 32, and there is room for 5"},
		"too many oracles": {event(good.Keys, append(felts(1, 32), make([]stark.Felt, 80)...)),
			"it has 32 oracles, and the contract takes at most 31"},
		"wide number": {event(good.Keys, with(small, 1, wide)), "oracles has 131 bits"},
		"wide f": {event(good.Keys, with(small, 4, stark.FromUint64(256))),
			"f has 9 bits, and the contract's have at most 8"},
		"short onchain config": {event(good.Keys, with(small, 5, stark.FromUint64(2))),
			"its on-chain configuration has 2 elements, and 3 are expected"},
		"other version": {event(good.Keys, with(small, 6, stark.FromUint64(2))),
			"its on-chain configuration has version 2, and only 1 is known"},
		"reversed bounds": {event(good.Keys, with(small, 7, stark.FromUint64(7))), "min_answer is above max_answer"},
		"wide bound":      {event(good.Keys, with(small, 8, wide)), "max_answer has 131 bits"},
		"wide version":    {event(good.Keys, with(small, 9, wide)), "offchain_config_version has 131 bits"},
		"cut short":       {event(good.Keys, small[:10]), "it ends after 10 elements, before offchain_config_len"},
		"long offchain config": {event(good.Keys, with(small, 10, stark.FromUint64(9))),
			"offchain_config_len is 9, and there is room for 1"},
		"bad packing": {event(good.Keys, with(small, 11, stark.FromUint64(5))),
			"offchain_config: packed bytes say that they are 0x5, in 0 chunks of 31"},
		"no packing": {event(good.Keys, with(small[:11], 10, stark.Felt{})), "offchain_config: packed bytes have no length"},
		"full chunk": {func() error { _, err := Unpack([]stark.Felt{stark.FromUint64(1), wide}); return err },
			"chunk 0 of packed bytes has more than 1"},
		"spare chunk": {func() error {
			_, err := Unpack(felts(1, 0, 0))
			return err
		}, "packed bytes say that they are 0x1, in 2 chunks of 31"},
		"more data": {event(good.Keys, append(append([]stark.Felt{}, small...), wide)),
			"it has 13 elements, and 12 are expected"},

		"short report": {median(report[:159]), "a report has at least 160 bytes, got 159"},
		"cut report":   {median(report[:len(report)-1]), "a report of 2 observations has 224 bytes, got 223"},
		"no observations": {median(changed(95, 0)),
			"the report says that it holds 0 observations, and reports hold 1 to 31"},
		"many observations": {median(changed(95, 32)), "the report says that it holds 32 observations"},
		"huge number":       {median(changed(64, 1)), "observations, and reports hold 1 to 31"},
		"beyond the field":  {median(changed(96, 0xff)), "word 3 of the report: the number is not below 2^251"},
		"wide observation":  {median(changed(100, 1)), "word 3 of the report has 217 bits, and the contract takes 128"},
		"wide time in it":   {median(changed(20, 1)), "word 0 of the report has 89 bits, and the contract takes 64"},
		"not sorted":        {median(changed(159, 4)), "observation 1 of the report is below the one before"},

		"negative value": {build(func(o *Observation) { o.Value = big.NewInt(-1) }),
			"observations[0].value: Starknet's reports hold integers of 128 bits and no negative ones: value = (-1), fee = " +
				"(2), gas = (3)"},
		"negative juels": {build(func(o *Observation) { o.JuelsPerFeeCoin = big.NewInt(-1) }),
			"observations[0].juels_per_fee_coin"},
		"negative gas": {build(func(o *Observation) { o.GasPrice = big.NewInt(-1) }), "observations[0].gas_price_subunits"},
		"wide value":   {build(func(o *Observation) { o.Value = wide.Big() }), "observations[0].value"},
		"no value":     {build(func(o *Observation) { o.Value = nil }), "observations[0].value"},
		"no oracles": {func() error {
			_, err := BuildReport(nil)
			return err
		}, "observations: a report holds 1 to 31, got 0"},
		"32 oracles": {func() error {
			_, err := BuildReport(make([]Observation, 32))
			return err
		}, "observations: a report holds 1 to 31, got 32"},

		"digest beyond": {transmit(Context{Digest: [32]byte(ones)}, report, signature),
			"report_context: the config digest: the number is not below"},
		"more report": {transmit(Context{}, append(report, 0), signature),
			"report: it has 225 bytes, 1 more than its words"},
		"no report":     {transmit(Context{}, nil, signature), "report: a report has at least 160 bytes, got 0"},
		"no signatures": {transmit(Context{}, report), "signatures: the contract takes 1 to 31, got 0"},
		"32 signatures": {transmit(Context{}, report, make([][]byte, 32)...),
			"signatures: the contract takes 1 to 31, got 32"},
		"short signature": {transmit(Context{}, report, signature, signature[:95]),
			"signatures[1]: it must be public key, r and s in 96 bytes, got 95"},
		"r beyond": {transmit(Context{}, report,
			append(append(append([]byte{}, signature[:32]...), ones...), signature[:32]...)), "signatures[0]: its r: the " +
			"number is not below"},

		"other onchain version": {func() error { _, err := DecodeOnchain(make([]byte, 96)); return err },
			"an on-chain configuration of version 0 is not known, only of 1"},
		"onchain of EVM": {func() error {
			_, err := DecodeOnchain(make([]byte, 49))
			return err
		}, "an on-chain configuration has 96 bytes, got 49"},
		"uneven oracles": {func() error { _, err := Config{Signers: felts(1)}.ComputeDigest(wide, wide); return err },
			"there are 1 signers and 0 transmitters"},
		"too few oracles": {func() error {
			_, err := Config{Signers: felts(1, 2, 3), Transmitters: felts(1, 2, 3), F: 1}.ComputeDigest(wide, wide)
			return err
		}, "3 oracles do not bear f = 1 faulty ones; more than 3f are needed"},
		"32 in the config": {func() error {
			_, err := Config{Signers: make([]stark.Felt, 32), Transmitters: make([]stark.Felt, 32)}.ComputeDigest(wide, wide)
			return err
		}, "the contract takes at most 31 oracles, got 32"},
		"no bounds": {func() error {
			_, err := Config{Signers: felts(1), Transmitters: felts(1)}.ComputeDigest(wide, wide)
			return err
		}, "on-chain configuration: min: the contract holds integers of 128 bits"},
	} {
		if err := c.call(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, err := ParseConfigSet(good.Keys, small); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if _, err := Median(report); err != nil {
		t.Errorf("the good report: %v", err)
	}
	// The first byte of the extra hash is of no account.
	if _, err := Transmit(Context{ExtraHash: [32]byte(ones)}, report, [][]byte{signature}); err != nil {
		t.Errorf("a high extra hash: %v", err)
	}
}

// FuzzParse checks that no answer, event or report causes a panic, and that what is read encodes to the same.
func FuzzParse(f *testing.F) {
	encode := func(list []stark.Felt) []byte {
		var out []byte
		for _, e := range list {
			b := e.Bytes()
			out = append(out, b[:]...)
		}
		return out
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 96))
	for _, v := range read(f).Digests {
		f.Add(encode(v.Event.Data))
	}
	for _, v := range read(f).Reports {
		f.Add([]byte(v.Report))
	}
	keys := []stark.Felt{Selector(ConfigSetEvent), {}, {}}
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []stark.Felt
		for i := 0; i+32 <= len(data); i += 32 {
			e, err := stark.FromBytes(data[i : i+32])
			if err != nil {
				break
			}
			list = append(list, e)
		}
		_, _ = ParseConfigDetails(list)
		if d, err := ParseTransmissionDetails(list); err == nil && d.Answer == nil {
			t.Error("details without an answer")
		}
		if c, err := ParseConfigSet(keys, list); err == nil {
			if _, err := c.Onchain.Encode(); err != nil {
				t.Errorf("an on-chain configuration that has no bytes: %v", err)
			}
			if got := len(list) - 9 - 2*len(c.Signers); got != len(Pack(c.Offchain)) {
				t.Errorf("an off-chain configuration of %d elements packs to %d", got, len(Pack(c.Offchain)))
			}
		}
		if _, err := parseReport(data); err == nil {
			if m, err := Median(data); err != nil || !fits(m) {
				t.Errorf("the median is %s, %v", m, err)
			}
		}
		_, _ = ParseSignature(data)
		_, _ = DecodeOnchain(data)
		_, _ = Transmit(Context{}, data, [][]byte{data})
	})
}
