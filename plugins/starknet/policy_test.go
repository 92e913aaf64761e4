package starknet_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

var (
	policyKey, policySender   = stark.FromUint64(0x11), stark.FromUint64(0x22)
	policyContract, policyTok = stark.FromUint64(0x33), stark.FromUint64(0x70c3)
	policyFriend              = stark.FromUint64(0x44)
	policyFacts               = signing.Facts{
		Contracts: []signing.Contract{
			{Job: 6, ID: "0x66", Transmitter: "0x11", RelayConfigJSON: []byte(`{}`)},
			{Job: 7, ID: "0x033", Transmitter: "0x11", RelayConfigJSON: []byte(`{"accountAddress":"0x22"}`)},
			{Job: 8, ID: "0x88", Transmitter: "0x12", RelayConfigJSON: []byte(`{"accountAddress":"0x22"}`)},
		},
		Transfers: []signing.Transfer{{From: "0x22", To: "0x44", Amount: big.NewInt(5)}},
	}
)

const policySection = "ChainID = 'SN_SEPOLIA'\nFeeToken = '0x70c3'\n[[Nodes]]\nName = 'n'\nURL = 'http://127.0.0.1:1'\n"

func policyCheck(t testing.TB) signing.Check {
	t.Helper()
	check, err := starknet.SigningCheck([]byte(policySection))
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// transmission is the calldata of a report of n observations with some signatures.
func transmission(t testing.TB, n, signatures int) []stark.Felt {
	t.Helper()
	observations := make([]aggregator.Observation, n)
	for i := range observations {
		observations[i] = aggregator.Observation{
			Seconds: 1, Value: big.NewInt(int64(i)), JuelsPerFeeCoin: big.NewInt(1), GasPrice: big.NewInt(1), Observer: uint8(i),
		}
	}
	report, err := aggregator.BuildReport(observations)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for range signatures {
		all = append(all, make([]byte, 96))
	}
	calldata, err := aggregator.Transmit(aggregator.Context{Digest: [32]byte{0, 4}, Epoch: 1, Round: 2}, report, all)
	if err != nil {
		t.Fatal(err)
	}
	return calldata
}

// calling is the calldata of an account that makes calls.
func calling(calls ...account.Call) []stark.Felt {
	all := []stark.Felt{stark.FromUint64(uint64(len(calls)))}
	for _, c := range calls {
		all = append(all, c.To, c.Selector, stark.FromUint64(uint64(len(c.Calldata))))
		all = append(all, c.Calldata...)
	}
	return all
}

func reporting(t testing.TB) account.Call {
	return account.Call{To: policyContract, Selector: aggregator.Selector("transmit"), Calldata: transmission(t, 4, 2)}
}

func moving(to stark.Felt, fri uint64) account.Call {
	return account.Call{
		To: policyTok, Selector: aggregator.Selector("transfer"), Calldata: []stark.Felt{to, stark.FromUint64(fri), {}},
	}
}

func invoking(calls ...account.Call) account.Invoke {
	bound := account.Bound{Amount: 1_000_000, Price: big.NewInt(3e9)}
	return account.Invoke{
		Sender: policySender, Calldata: calling(calls...), Nonce: 9,
		Bounds: account.Bounds{L1: bound, L2: bound, L1Data: bound},
	}
}

// requested is the request to sign a transaction for a network.
func requested(t testing.TB, tx account.Invoke, network string) signing.Request {
	t.Helper()
	chain, err := stark.ShortString(network)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := tx.Hash(chain)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(tx)
	if err != nil {
		t.Fatal(err)
	}
	data := hash.Bytes()
	return signing.Request{Account: policyKey.String(), Data: data[:], Transaction: text}
}

func TestSigningCheckAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tx   account.Invoke
		want signing.Verdict
	}{
		"a report": {
			invoking(reporting(t)),
			signing.Verdict{Kind: signing.Transmission, Job: 7, Slot: "9", To: "0x33"},
		},
		"a filler": {invoking(), signing.Verdict{Kind: signing.Filler, Slot: "9", To: "0x22"}},
		"a transfer, as ordered": {
			invoking(moving(policyFriend, 5)),
			signing.Verdict{Kind: signing.Coins, Slot: "9", To: "0x44"},
		},
	} {
		got, err := policyCheck(t)(requested(t, c.tx, "SN_SEPOLIA"), policyFacts)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestSigningCheckRefuses(t *testing.T) {
	t.Parallel()
	with := func(change func(*account.Invoke)) account.Invoke {
		tx := invoking(reporting(t))
		change(&tx)
		return tx
	}
	called := func(change func(*account.Call)) account.Invoke {
		call := reporting(t)
		change(&call)
		return invoking(call)
	}
	approve := account.Call{
		To:       policyTok,
		Selector: aggregator.Selector("approve"),
		Calldata: []stark.Felt{policyFriend, {}, {}},
	}
	for name, c := range map[string]struct {
		tx   account.Invoke
		want string
	}{
		"the whole balance":         {invoking(moving(stark.FromUint64(0x99), 1e18)), "no operator has asked for that"},
		"another amount than asked": {invoking(moving(policyFriend, 6)), "transfers 6 FRI"},
		"a transfer of few words": {
			invoking(account.Call{To: policyTok, Selector: aggregator.Selector("transfer")}),
			"the token does not have",
		},
		"an approval":             {invoking(approve), "the contract of no job"},
		"a report and a transfer": {invoking(reporting(t), moving(policyFriend, 5)), "makes 2 calls"},
		"a transfer and a report": {invoking(moving(policyFriend, 5), reporting(t)), "makes 2 calls"},
		"another function": {
			called(func(c *account.Call) { c.Selector = aggregator.Selector("withdraw_payment") }),
			"another function of the contract 0x33",
		},
		"another contract": {called(func(c *account.Call) { c.To = policyFriend }), "the contract of no job"},
		"a contract without account": {
			called(func(c *account.Call) { c.To = stark.FromUint64(0x66) }),
			"the contract of no job",
		},
		"another key's contract": {
			called(func(c *account.Call) { c.To = stark.FromUint64(0x88) }),
			"the contract of no job",
		},
		"another account": {
			with(func(tx *account.Invoke) { tx.Sender = policyFriend }),
			"the contract of no job",
		},
		"words behind a report": {
			called(func(c *account.Call) { c.Calldata = append(c.Calldata, stark.Felt{}) }),
			"more or fewer arguments",
		},
		"no arguments": {called(func(c *account.Call) { c.Calldata = nil }), "fewer than a transmission"},
		"no signatures": {
			called(func(c *account.Call) { c.Calldata = c.Calldata[:len(c.Calldata)-7] }),
			"fewer than a transmission of 4",
		},
		"too many observations": {called(func(c *account.Call) { c.Calldata[5] = stark.FromUint64(32) }), "1 to 31"},
		"a number beyond 64 bits": {
			called(func(c *account.Call) { c.Calldata[len(c.Calldata)-7] = policyWide(t) }),
			"signatures",
		},
		"a fee beyond any": {
			with(func(tx *account.Invoke) { tx.Bounds.L2.Price = new(big.Int).Lsh(big.NewInt(1), 127) }),
			"and FeeMax is 100000000000000000000",
		},
		"fewer arguments than it has": {
			with(func(tx *account.Invoke) { tx.Calldata[3] = stark.FromUint64(1) }),
			"more or fewer arguments than it says",
		},
		"calldata of nothing": {with(func(tx *account.Invoke) { tx.Calldata = nil }), "makes 0 calls"},
		"a filler with arguments": {
			with(func(tx *account.Invoke) { tx.Calldata = []stark.Felt{{}, policyFriend} }),
			"makes 0 calls",
		},
	} {
		got, err := policyCheck(t)(requested(t, c.tx, "SN_SEPOLIA"), policyFacts)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "it") {
			t.Errorf("%s: %+v, %v, want %q", name, got, err, c.want)
		}
	}
}

func policyWide(t testing.TB) stark.Felt {
	t.Helper()
	wide, err := stark.FromBig(new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	return wide
}

// Hashes of other things than the transaction are not signed.
func TestSigningCheckRefusesOtherBytes(t *testing.T) {
	t.Parallel()
	good := requested(t, invoking(reporting(t)), "SN_SEPOLIA")
	drained := requested(t, invoking(moving(policyFriend, 6)), "SN_SEPOLIA")
	for name, c := range map[string]struct {
		data, text []byte
		want       string
	}{
		"no transaction":  {good.Data, nil, "comes without the transaction"},
		"another's hash":  {drained.Data, good.Transaction, "not what the hash to be signed is of"},
		"another network": {requested(t, invoking(reporting(t)), "SN_MAIN").Data, good.Transaction, "on this chain"},
		"no hash":         {nil, good.Transaction, "not what the hash to be signed is of"},
		"no JSON":         {good.Data, []byte("{"), "not a transaction as nodes take it"},
		"no sender":       {good.Data, []byte("{}"), "no sender_address"},
		"a list":          {good.Data, []byte("[1]"), "not a transaction as nodes take it"},
		"a felt beyond all": {
			good.Data, []byte(`{"sender_address":"0x` + strings.Repeat("f", 64) + `"}`),
			"not a transaction as nodes take it",
		},
		"a nonce beyond all": {
			good.Data, []byte(`{"sender_address":"0x1","nonce":"0x1` + strings.Repeat("0", 16) + `"}`),
			"wider than 64 bits",
		},
		"an amount beyond all": {
			good.Data,
			[]byte(`{"sender_address":"0x1","resource_bounds":{"l2_gas":{"max_amount":"0x1` + strings.Repeat("0", 16) + `"}}}`),
			"bound of l2_gas",
		},
		"a price beyond all": {
			good.Data,
			[]byte(`{"sender_address":"0x1","resource_bounds":{"l1_gas":{"max_price_per_unit":"0x1` + strings.Repeat("0", 32) +
				`"}}}`),
			"bound of l1_gas",
		},
	} {
		got, err := policyCheck(t)(signing.Request{Account: good.Account, Data: c.data, Transaction: c.text}, policyFacts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want %q", name, got, err, c.want)
		}
	}
}

// A transfer that was asked for is made once: again at its own nonce, for a higher fee, and at no other.
func TestSigningCheckTransfersOnce(t *testing.T) {
	t.Parallel()
	facts := signing.Facts{Transfers: []signing.Transfer{policyFacts.Transfers[0]}}
	facts.Transfers[0].Slot = "9"
	tx := invoking(moving(policyFriend, 5))
	if _, err := policyCheck(t)(requested(t, tx, "SN_SEPOLIA"), facts); err != nil {
		t.Errorf("the same nonce: %v", err)
	}
	tx.Nonce++
	if got, err := policyCheck(t)(requested(t, tx, "SN_SEPOLIA"), facts); err == nil {
		t.Errorf("another nonce: %+v", got)
	}
}

// Whatever the figures are, a report is signed; with one other sender, contract, function or further call it is not.
func TestSigningCheckProperty(t *testing.T) {
	t.Parallel()
	check := policyCheck(t)
	felt := func(r *rapid.T, name string) stark.Felt {
		f, err := stark.FromBig(new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(r, name)))
		if err != nil {
			r.Fatal(err)
		}
		return f
	}
	rapid.Check(t, func(r *rapid.T) {
		call := account.Call{
			To: policyContract, Selector: aggregator.Selector("transmit"),
			Calldata: transmission(
				t,
				rapid.IntRange(1, 31).Draw(r, "observations"),
				rapid.IntRange(1, 31).Draw(r, "signatures"),
			),
		}
		tx := invoking(call)
		tx.Nonce = rapid.Uint64().Draw(r, "nonce")
		tx.Bounds.L2 = account.Bound{
			Amount: rapid.Uint64Range(0, 1_200_000_000).
				Draw(r, "amount"),
			Price: big.NewInt(rapid.Int64Range(0, 50e9).Draw(r, "price")),
		}
		if _, err := check(requested(t, tx, "SN_SEPOLIA"), policyFacts); err != nil {
			r.Fatal(err)
		}
		switch rapid.IntRange(0, 3).Draw(r, "change") {
		case 0:
			tx.Sender = felt(r, "sender")
		case 1:
			call.To = felt(r, "contract")
			tx.Calldata = calling(call)
		case 2:
			call.Selector = felt(r, "function")
			tx.Calldata = calling(call)
		case 3:
			tx.Calldata = calling(call, account.Call{To: felt(r, "to"), Selector: felt(r, "selector")})
		}
		if got, err := check(requested(t, tx, "SN_SEPOLIA"), policyFacts); err == nil {
			r.Fatalf("changed: %+v", got)
		}
	})
}

// FuzzSigningCheck checks that no text causes a panic, and that what is signed makes only known calls.
func FuzzSigningCheck(f *testing.F) {
	check := policyCheck(f)
	for _, tx := range []account.Invoke{invoking(reporting(f)), invoking(), invoking(moving(policyFriend, 5))} {
		f.Add(requested(f, tx, "SN_SEPOLIA").Transaction)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tx, err := account.ReadInvoke(text)
		if err != nil {
			return
		}
		// The text's own hash: with another nothing would be signed at all.
		verdict, err := check(requested(t, tx, "SN_SEPOLIA"), policyFacts)
		if err != nil {
			return
		}
		call, err := tx.Call()
		switch {
		case err != nil:
			t.Errorf("signed, and not read: %v", err)
		case call == nil:
			if verdict.Kind != signing.Filler {
				t.Errorf("%s without a call", verdict.Kind)
			}
		case call.To == policyContract:
			if verdict.Kind != signing.Transmission || tx.Sender != policySender {
				t.Errorf("%s from %s", verdict.Kind, tx.Sender)
			}
		case call.To != policyTok || call.Calldata[0] != policyFriend || call.Calldata[1] != stark.FromUint64(5):
			t.Errorf("a call of %s", call.To)
		}
	})
}
