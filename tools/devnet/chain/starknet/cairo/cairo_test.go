// Package cairo holds package aggregator to the contract's Cairo: both are given the same felts, and what comes out
// must be the same.
package cairo

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
)

//go:embed aggregator.cairo
var contract string

// prelude begins the tests in Cairo.
const prelude = `
#[cfg(test)]
mod tests {
    use starknet::testing::{
        set_caller_address, set_contract_address, set_block_number, set_block_timestamp, set_chain_id, pop_log_raw
    };
    use super::Aggregator;

    fn at(caller: felt252, block: u64, time: u64) {
        set_chain_id('LOOP_DEVNET');
        set_contract_address(55.try_into().unwrap());
        set_caller_address(caller.try_into().unwrap());
        set_block_number(block);
        set_block_timestamp(time);
    }

    fn same(got: Span<felt252>, want: Span<felt252>, what: felt252) {
        assert(got.len() == want.len(), what);
        let mut i = 0;
        while i < got.len() {
            assert(*got.at(i) == *want.at(i), what);
            i += 1;
        };
    }

    fn emitted(keys: Array<felt252>, data: Array<felt252>) {
        let (got_keys, got_data) = pop_log_raw(55.try_into().unwrap()).expect('no event');
        same(got_keys, keys.span(), 'keys');
        same(got_data, data.span(), 'data');
    }
`

// script is a test in Cairo under way, beside the model in Go that it is held to.
type script struct {
	model *aggregator.Aggregator
	body  strings.Builder
	panic *aggregator.Panic // with which it ends
}

func owner() stark.Felt { return stark.FromUint64(77) }

func short(t *testing.T, text string) stark.Felt {
	t.Helper()
	f, err := stark.ShortString(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func array(all []stark.Felt) string {
	var texts []string
	for _, f := range all {
		texts = append(texts, f.String())
	}
	return "array![" + strings.Join(texts, ", ") + "]"
}

func newScript(t *testing.T) *script {
	t.Helper()
	model, err := aggregator.New(aggregator.Settings{
		ChainID: short(t, "LOOP_DEVNET"), Address: stark.FromUint64(55), Owner: owner(), Min: big.NewInt(10),
		Max: big.NewInt(1000), Decimals: 8,
		Description: short(t, "test"),
		Billing:     aggregator.Billing{ObservationPayment: 1, TransmissionPayment: 2, GasBase: 14951, GasPerSignature: 13},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{model: model}
	fmt.Fprintf(&s.body,
		"        at(0, 0, 0);\n        Aggregator::__constructor::constructor(array![77, 10, 1000, 8, 'test', 1, 2, 14951, "+
			"13].span());\n")
	return s
}

// call calls the model and has Cairo do the same. It is the end of the script when the model panics.
func (s *script) call(t *testing.T, caller stark.Felt, block, time uint64, function string,
	calldata []stark.Felt) aggregator.Result {
	t.Helper()
	if s.panic != nil {
		t.Fatal("the script has ended")
	}
	result, err := s.model.Call(aggregator.Environment{Caller: caller, Block: block, Time: time},
		aggregator.Selector(function), calldata)
	invocation := fmt.Sprintf("Aggregator::__external::%s(%s.span())", function, array(calldata))
	fmt.Fprintf(&s.body, "        at(%s, %d, %d);\n", caller, block, time)
	var said aggregator.Panic
	switch {
	case errors.As(err, &said):
		s.panic = &said
		fmt.Fprintf(&s.body, "        %s;\n", invocation)
		return result
	case err != nil:
		t.Fatal(err)
	}
	fmt.Fprintf(&s.body, "        same(%s, %s.span(), 'result');\n", invocation, array(result.Returned))
	for _, e := range result.Events {
		fmt.Fprintf(&s.body, "        emitted(%s, %s);\n", array(e.Keys), array(e.Data))
	}
	return result
}

// source is the script as a test in Cairo.
func (s *script) source(name string) string {
	attribute := ""
	if s.panic != nil {
		attribute = fmt.Sprintf("    #[should_panic(expected: ('%s',))]\n", *s.panic)
	}
	return fmt.Sprintf("\n    #[test]\n    #[available_gas(4000000000)]\n%s    fn %s() {\n%s    }\n", attribute, name,
		&s.body)
}

func felts(numbers ...uint64) []stark.Felt {
	var all []stark.Felt
	for _, n := range numbers {
		all = append(all, stark.FromUint64(n))
	}
	return all
}

func key(t *testing.T, n int) *stark.Key {
	t.Helper()
	k, err := stark.NewKey(append(make([]byte, 31), byte(n+1)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// config is the calldata of a configuration of n oracles, whose transmitters are 101 and up.
func config(t *testing.T, n int, faulty uint64, offchain ...uint64) []stark.Felt {
	t.Helper()
	calldata := felts(uint64(n))
	for i := range n {
		calldata = append(calldata, key(t, i).Public(), stark.FromUint64(uint64(101+i)))
	}
	calldata = append(calldata, felts(faulty, 0, 2, uint64(len(offchain)))...)
	return append(calldata, felts(offchain...)...)
}

// report is the calldata of a report with signatures of these oracles.
func report(t *testing.T, digest stark.Felt, epochAndRound uint64, observations []uint64, juels, gas stark.Felt,
	signers ...int) []stark.Felt {
	t.Helper()
	words := append([]stark.Felt{digest}, felts(epochAndRound, 6, 1700000000, 0x01020301, uint64(len(observations)))...)
	words = append(append(words, felts(observations...)...), juels, gas)
	calldata := append(slices.Clone(words), stark.FromUint64(uint64(len(signers))))
	for _, i := range signers {
		signature, err := key(t, i).Sign(stark.PedersenArray(words...))
		if err != nil {
			t.Fatal(err)
		}
		calldata = append(calldata, signature.R, signature.S, key(t, i).Public())
	}
	return calldata
}

// spoil changes one thing in calldata.
func spoil(random *rand.Rand, calldata []stark.Felt) []stark.Felt {
	changed := slices.Clone(calldata)
	at := random.IntN(len(changed))
	large := new(big.Int).Lsh(big.NewInt(1), uint([]int{8, 32, 64, 128, 251}[random.IntN(5)]))
	number := func(n *big.Int) stark.Felt {
		f, err := stark.FromBig(n)
		if err != nil {
			return stark.Felt{}
		}
		return f
	}
	switch random.IntN(7) {
	case 0:
		return slices.Delete(changed, at, at+1)
	case 1:
		return slices.Insert(changed, at, stark.FromUint64(random.Uint64N(5)))
	case 2:
		return changed[:at]
	case 3:
		changed[at] = number(new(big.Int).Add(changed[at].Big(), big.NewInt(1)))
	case 4:
		changed[at] = number(large)
	case 5:
		changed[at] = number(large.Sub(large, big.NewInt(1)))
	default:
		other := random.IntN(len(changed))
		changed[at], changed[other] = changed[other], changed[at]
	}
	return changed
}

// scripts are those that the test runs: whole lives of a contract, each refusal by itself, and calls spoiled at random.
func scripts(t *testing.T) map[string]*script {
	t.Helper()
	all := map[string]*script{}
	views := func(s *script) {
		for _, view := range []string{
			"latest_config_details", "latest_transmission_details", "latest_round_data", "billing", "transmitters",
			"type_and_version", "description", "decimals", "owner",
		} {
			s.call(t, stark.Felt{}, 1, 1, view, nil)
		}
		for id := range uint64(3) {
			s.call(t, stark.Felt{}, 1, 1, "round_data", felts(id))
		}
	}
	small := felts(7, 9)
	configured := func() (*script, stark.Felt) {
		s := newScript(t)
		return s, s.call(t, owner(), 3, 30, "set_config", config(t, 4, 1, 40, 41, 42)).Returned[0]
	}

	life := newScript(t)
	views(life)
	digest := life.call(t, owner(), 3, 30, "set_config", config(t, 4, 1)).Returned[0]
	views(life)
	life.call(t, stark.FromUint64(103), 12, 1700000050, "transmit",
		report(t, digest, 0x105, []uint64{20, 30, 40, 50}, small[0], small[1], 0, 2))
	views(life)
	life.call(t, stark.FromUint64(101), 13, 1700000060, "transmit",
		report(t, digest, 0x106, []uint64{10, 10}, small[0], small[1], 3, 1))
	digest = life.call(t, owner(), 14, 1700000070, "set_config", config(t, 7, 2, 1, 2, 3, 4)).Returned[0]
	life.call(t, stark.FromUint64(107), 15, 1700000080, "transmit",
		report(t, digest, 1, []uint64{1, 2, 1000, 1001}, small[0], small[1], 6, 0, 3))
	views(life)
	all["life"] = life

	full := newScript(t)
	digest = full.call(t, owner(), 3, 30, "set_config", config(t, 31, 10, 5)).Returned[0]
	full.call(t, stark.FromUint64(131), 4, 40, "transmit",
		report(t, digest, 1, slices.Repeat([]uint64{77}, 31), small[0], small[1], 0, 30, 1, 29, 2, 28, 3, 27, 4, 26, 5))
	all["full"] = full

	wide := stark.FromUint64(1 << 63)
	huge, err := stark.FromBig(new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	for name, refused := range map[string]struct {
		caller   uint64
		calldata func(digest stark.Felt) []stark.Felt
	}{
		"stale": {103, func(d stark.Felt) []stark.Felt {
			return report(t, d, 0, []uint64{20, 30}, small[0], small[1], 0, 2)
		}},
		"sender": {100, func(d stark.Felt) []stark.Felt {
			return report(t, d, 1, []uint64{20, 30}, small[0], small[1], 0, 2)
		}},
		"digest": {103, func(stark.Felt) []stark.Felt {
			return report(t, owner(), 1, []uint64{20, 30}, small[0], small[1], 0, 2)
		}},
		"few": {103, func(d stark.Felt) []stark.Felt { return report(t, d, 1, []uint64{20, 30}, small[0], small[1], 0) }},
		"many": {103, func(d stark.Felt) []stark.Felt {
			return report(t, d, 1, []uint64{20, 30}, small[0], small[1], 0, 1, 2)
		}},
		"signer": {103, func(d stark.Felt) []stark.Felt {
			return report(t, d, 1, []uint64{20, 30}, small[0], small[1], 0, 8)
		}},
		"twice": {103, func(d stark.Felt) []stark.Felt {
			return report(t, d, 1, []uint64{20, 30}, small[0], small[1], 2, 2)
		}},
		"thin": {103, func(d stark.Felt) []stark.Felt { return report(t, d, 1, []uint64{20}, small[0], small[1], 0, 2) }},
		"thick": {103, func(d stark.Felt) []stark.Felt {
			return report(t, d, 1, slices.Repeat([]uint64{20}, 32), small[0], small[1], 0, 2)
		}},
		"low": {103, func(d stark.Felt) []stark.Felt {
			return report(t, d, 1, []uint64{8, 9, 9, 20}, small[0], small[1], 0, 2)
		}},
		"high": {103, func(d stark.Felt) []stark.Felt {
			return report(t, d, 1, []uint64{20, 1001}, small[0], small[1], 0, 2)
		}},
		"gas_price": {103, func(d stark.Felt) []stark.Felt {
			return report(t, d, 1, []uint64{20, 30}, small[0], huge, 0, 2)
		}},
		"juels": {103, func(d stark.Felt) []stark.Felt { return report(t, d, 1, []uint64{20, 30}, wide, wide, 0, 2) }},
	} {
		s, digest := configured()
		s.call(t, stark.FromUint64(refused.caller), 4, 40, "transmit", refused.calldata(digest))
		if s.panic == nil {
			t.Errorf("%s: the model takes it", name)
		}
		all["refuses_"+name] = s
	}
	for name, calldata := range map[string][]stark.Felt{
		"f_zero": config(t, 4, 0), "f_high": config(t, 6, 2), "f_wide": config(t, 4, 86), "f_wider": config(t, 4, 256),
		"many":        config(t, 32, 1),
		"onchain":     slices.Concat(config(t, 4, 1)[:9], felts(1, 1, 5, 2, 0)),
		"signer":      slices.Replace(config(t, 4, 1), 3, 4, key(t, 0).Public()),
		"transmitter": slices.Replace(config(t, 4, 1), 4, 5, stark.FromUint64(101)),
	} {
		s := newScript(t)
		s.call(t, owner(), 3, 30, "set_config", calldata)
		if s.panic == nil {
			t.Errorf("%s: the model takes it", name)
		}
		all["config_refuses_"+name] = s
	}
	for name, caller := range map[string]stark.Felt{"nobody": {}, "stranger": stark.FromUint64(78)} {
		s := newScript(t)
		s.call(t, caller, 3, 30, "set_config", config(t, 4, 1))
		all["config_refuses_"+name] = s
	}

	random := rand.New(rand.NewPCG(1, 2))
	for i := range 30 {
		s, digest := configured()
		good := report(t, digest, 0x105, []uint64{20, 30, 40, 50}, small[0], small[1], 0, 2)
		s.call(t, stark.FromUint64(103), 12, 1700000050, "transmit", spoil(random, good))
		all[fmt.Sprintf("spoiled_report_%d", i)] = s
		s = newScript(t)
		s.call(t, owner(), 3, 30, "set_config", spoil(random, config(t, 4, 1, 40, 41)))
		all[fmt.Sprintf("spoiled_config_%d", i)] = s
	}
	return all
}

// chunk is how many scripts are compiled at once. With 145 wasm-cairo ended with "unreachable", its word for all that
// goes wrong in it, though those that were tried in smaller numbers passed.
const chunk = 25

// TestModelIsCairo runs the scripts in wasm-cairo. It needs a folder with that package, which `make
// test-starknet-cairo` names.
func TestModelIsCairo(t *testing.T) {
	all := scripts(t)
	packages := os.Getenv("LOOP_CAIRO_DIR")
	if packages == "" {
		t.Skip("LOOP_CAIRO_DIR names no folder with wasm-cairo: run make test-starknet-cairo")
	}
	for names := range slices.Chunk(slices.Sorted(maps.Keys(all)), chunk) {
		t.Run(names[0], func(t *testing.T) {
			var source strings.Builder
			source.WriteString(contract + prelude)
			for _, name := range names {
				source.WriteString(all[name].source(name))
			}
			source.WriteString("}\n")
			file := filepath.Join(t.TempDir(), "aggregator.cairo")
			if err := os.WriteFile(file, []byte(source.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "node", "run.mjs", packages, file).CombinedOutput()
			if want := fmt.Sprintf("test result: ok. %d passed; 0 failed", len(names)); err != nil ||
				!strings.Contains(string(out), want) {
				t.Errorf("error %v, want %q of:\n%s", err, want, out)
			}
		})
	}
}
