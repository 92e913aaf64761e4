package evm_test

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"
	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/plugins/evm"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

var (
	policyAccount  = common.HexToAddress("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf")
	policyContract = common.HexToAddress("0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF")
	policyFacts    = signing.Facts{
		Contracts: []signing.Contract{
			{Job: 6, ID: common.Address{6}.Hex(), Transmitter: common.Address{1}.Hex()},
			// Established nodes take addresses without 0x.
			{Job: 7, ID: strings.ToLower(policyContract.Hex())[2:], Transmitter: policyAccount.Hex(), GasLimit: 900_000},
		},
		Transfers: []signing.Transfer{{From: policyAccount.Hex(), To: common.Address{3}.Hex(), Amount: big.NewInt(5)}},
	}
)

const policySection = "ChainID = '1337'\nFeeCapMax = '200 gwei'\nFeeCapDefault = '100 gwei'\n" +
	"[[Nodes]]\nName = 'n'\nHTTPURL = 'http://127.0.0.1:1'\n"

func policyCheck(t testing.TB) signing.Check {
	t.Helper()
	check, err := evm.SigningCheck([]byte(policySection))
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// policyReport is a report of n observations.
func policyReport(t testing.TB, n int) []byte {
	t.Helper()
	observations := make([]median.ParsedAttributedObservation, n)
	for i := range observations {
		observations[i] = median.ParsedAttributedObservation{
			Timestamp: 1, Value: big.NewInt(int64(i)), JuelsPerFeeCoin: big.NewInt(1), GasPriceSubunits: new(big.Int),
			Observer: commontypes.OracleID(i),
		}
	}
	report, err := evmreportcodec.ReportCodec{}.BuildReport(context.Background(), observations)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func policyInput(t testing.TB, signatures int) []byte {
	t.Helper()
	input, err := aggregator.Transmit([3][32]byte{{0, 1}, {31: 1}}, policyReport(t, 4),
		slicesOf(signatures, bytes.Repeat([]byte{1}, 65)))
	if err != nil {
		t.Fatal(err)
	}
	return input
}

func slicesOf(n int, b []byte) (all [][]byte) {
	for range n {
		all = append(all, b)
	}
	return all
}

// asked is the request to sign a transaction.
func asked(t testing.TB, u account.Unsigned) signing.Request {
	t.Helper()
	preimage, err := u.Preimage()
	if err != nil {
		t.Fatal(err)
	}
	return signing.Request{Account: policyAccount.Hex(), Data: crypto.Keccak256(preimage), Transaction: preimage}
}

// sound is a transmission to the job's contract.
func sound(t testing.TB) account.Unsigned {
	return account.Unsigned{
		ChainID: big.NewInt(1337), Nonce: 9, Cap: big.NewInt(100e9), Tip: big.NewInt(2e9), Gas: 500_000, To: &policyContract,
		Value: new(big.Int), Data: policyInput(t, 2),
	}
}

// What go-ethereum has signed is the Keccak-256 of the preimage, for both kinds of transactions.
func TestPreimage(t *testing.T) {
	t.Parallel()
	u := sound(t)
	signer := types.LatestSignerForChainID(u.ChainID)
	dynamic := types.NewTx(&types.DynamicFeeTx{
		ChainID: u.ChainID, Nonce: u.Nonce, GasTipCap: u.Tip, GasFeeCap: u.Cap, Gas: u.Gas, To: u.To, Value: u.Value,
		Data: u.Data,
	})
	if got := [32]byte(asked(t, u).Data); signer.Hash(dynamic) != got {
		t.Errorf("EIP-1559: %x, want %x", got, signer.Hash(dynamic))
	}
	u.Tip = nil
	legacy := types.NewTx(&types.LegacyTx{
		Nonce: u.Nonce, GasPrice: u.Cap, Gas: u.Gas, To: u.To, Value: u.Value, Data: u.Data,
	})
	if got := [32]byte(asked(t, u).Data); signer.Hash(legacy) != got {
		t.Errorf("EIP-155: %x, want %x", got, signer.Hash(legacy))
	}
}

func TestSigningCheckAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*account.Unsigned)
		want   signing.Verdict
	}{
		"a report": {func(*account.Unsigned) {},
			signing.Verdict{Kind: signing.Transmission, Job: 7, Slot: "9", To: policyContract.Hex()}},
		"a report before EIP-1559": {func(u *account.Unsigned) { u.Tip = nil },
			signing.Verdict{Kind: signing.Transmission, Job: 7, Slot: "9", To: policyContract.Hex()}},
		"a report of 31 oracles": {func(u *account.Unsigned) { u.Data = policyInput(t, 31) },
			signing.Verdict{Kind: signing.Transmission, Job: 7, Slot: "9", To: policyContract.Hex()}},
		"a filler": {func(u *account.Unsigned) { u.To, u.Data = &policyAccount, nil },
			signing.Verdict{Kind: signing.Filler, Slot: "9", To: policyAccount.Hex()}},
		"a transfer that was asked for": {
			func(u *account.Unsigned) { u.To, u.Data, u.Value = &common.Address{3}, nil, big.NewInt(5) },
			signing.Verdict{Kind: signing.Coins, Slot: "9", To: common.Address{3}.Hex()}},
		"a chain whose gas is cheap and plenty": {
			func(u *account.Unsigned) { u.Gas, u.Cap, u.Tip = 3e9, big.NewInt(20e6), new(big.Int) },
			signing.Verdict{Kind: signing.Transmission, Job: 7, Slot: "9", To: policyContract.Hex()}},
	} {
		u := sound(t)
		c.change(&u)
		got, err := policyCheck(t)(asked(t, u), policyFacts)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// The most that a transaction may cost is what the operator's limits of gas and fees come to.
func TestSigningCheckFollowsLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		section string
		most    uint64 // gas at the highest fee
		whose   string
	}{
		"the job's":   {policySection, 900_000, "the largest limit that is configured"},
		"the chain's": {"GasLimitDefault = 1000000\n" + policySection, 1_000_000, "the largest limit that is configured"},
		"multiplied": {policySection + "[GasEstimator]\nLimitMultiplier = '1.5'\n", 1_350_000,
			"the largest limit that is configured"},
		"the highest": {policySection + "[GasEstimator]\nLimitMax = 700000\n", 700_000, "which is LimitMax"},
		"estimated": {policySection + "[GasEstimator]\nEstimateLimit = true\n", 36_000_000,
			"since the limit is estimated and LimitMax is not set"},
		"estimated, up to the highest": {policySection + "[GasEstimator]\nEstimateLimit = true\nLimitMax = 2000000\n",
			2_000_000, "which is LimitMax"},
	} {
		check, err := evm.SigningCheck([]byte(c.section))
		if err != nil {
			t.Fatal(err)
		}
		u := sound(t)
		u.Cap = big.NewInt(200e9)
		for gas, want := range map[uint64]string{c.most: "", c.most + 1: fmt.Sprintf("%d gas, %s,", c.most, c.whose)} {
			u.Gas = gas
			_, err := check(asked(t, u), policyFacts)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %d gas: %v; want %q", name, gas, err, want)
			}
		}
	}
}

func TestSigningCheckRefuses(t *testing.T) {
	t.Parallel()
	approve := append([]byte{0x09, 0x5e, 0xa7, 0xb3}, make([]byte, 64)...)
	for name, c := range map[string]struct {
		change func(*account.Unsigned)
		want   string
	}{
		"the whole balance": {func(u *account.Unsigned) { u.To, u.Data, u.Value = &common.Address{9}, nil, big.NewInt(1e18) },
			"no operator has asked for that"},
		"one wei to itself": {
			func(u *account.Unsigned) { u.To, u.Data, u.Value = &policyAccount, nil, big.NewInt(1) },
			"transfers 1 wei",
		},
		"another amount than asked": {
			func(u *account.Unsigned) { u.To, u.Data, u.Value = &common.Address{3}, nil, big.NewInt(6) },
			"transfers 6 wei",
		},
		"coins to the contract": {
			func(u *account.Unsigned) { u.Data, u.Value = nil, big.NewInt(1) },
			"transfers 1 wei",
		},
		"coins with a report": {
			func(u *account.Unsigned) { u.Value = big.NewInt(1) },
			"sends 1 wei with a transmission",
		},
		"an approval of a token": {
			func(u *account.Unsigned) { u.To, u.Data = &common.Address{8}, approve },
			"the contract of no job",
		},
		"an approval at the contract":  {func(u *account.Unsigned) { u.Data = approve }, "the function is 0x095ea7b3"},
		"another account's contract":   {func(u *account.Unsigned) { u.To = &common.Address{6} }, "the contract of no job"},
		"a call of the account itself": {func(u *account.Unsigned) { u.To = &policyAccount }, "the contract of no job"},
		"a new contract":               {func(u *account.Unsigned) { u.To = nil }, "makes a contract"},
		"another chain":                {func(u *account.Unsigned) { u.ChainID = big.NewInt(1) }, "is for chain 1,"},
		"an access list":               {func(u *account.Unsigned) { u.AccessList = types.AccessList{{}} }, "access list"},
		"a fee beyond the most": {
			func(u *account.Unsigned) { u.Cap = big.NewInt(201e9) },
			"FeeCapMax is 200000000000",
		},
		"a price beyond the most": {
			func(u *account.Unsigned) { u.Cap, u.Tip = big.NewInt(201e9), nil },
			"FeeCapMax is 200000000000",
		},
		"a tip above the fee": {
			func(u *account.Unsigned) { u.Tip = big.NewInt(101e9) },
			"more than it pays at most",
		},
		"gas beyond any block": {func(u *account.Unsigned) { u.Gas = 1 << 60 }, "its fee may come to"},
		"a fee wider than any": {
			func(u *account.Unsigned) { u.Cap = new(big.Int).Lsh(big.NewInt(1), 300) },
			"FeeCapMax is",
		},
		"bytes behind a report": {func(u *account.Unsigned) { u.Data = append(u.Data, 0) }, "not in the one form"},
		"a selector alone":      {func(u *account.Unsigned) { u.Data = u.Data[:4] }, "cannot be read"},
		"half a selector":       {func(u *account.Unsigned) { u.Data = u.Data[:2] }, "the function is"},
		"no report":             {func(u *account.Unsigned) { u.Data = inputOf(t, []byte{1}) }, "its report"},
		"a report of too many": {func(u *account.Unsigned) {
			u.Data = inputOf(t, append(policyReport(t, 31), make([]byte, 32)...))
		}, "the largest has"},
	} {
		u := sound(t)
		c.change(&u)
		got, err := policyCheck(t)(asked(t, u), policyFacts)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "it") {
			t.Errorf("%s: %+v, %v, want %q", name, got, err, c.want)
		}
	}
}

func inputOf(t testing.TB, report []byte) []byte {
	t.Helper()
	input, err := aggregator.Transmit([3][32]byte{}, report, [][]byte{make([]byte, 65)})
	if err != nil {
		t.Fatal(err)
	}
	return input
}

// Hashes of other things than transactions, and other things than the hash's, are not signed.
func TestSigningCheckRefusesOtherBytes(t *testing.T) {
	t.Parallel()
	good := asked(t, sound(t))
	for name, c := range map[string]struct {
		preimage []byte
		data     []byte
		want     string
	}{
		"no transaction":             {nil, good.Data, "comes without the transaction"},
		"another hash":               {good.Transaction, make([]byte, 32), "not what the hash to be signed is of"},
		"no hash":                    {good.Transaction, nil, "not what the hash to be signed is of"},
		"a message of EIP-191":       {[]byte("\x19Ethereum Signed Message:\n2hi"), nil, "EIP-191"},
		"typed data of EIP-712":      {append([]byte{0x19, 0x01}, make([]byte, 64)...), nil, "EIP-712"},
		"a delegation of EIP-7702":   {append([]byte{0x05}, good.Transaction[1:]...), nil, "of the type 0x05"},
		"a transaction with code":    {append([]byte{0x04}, good.Transaction[1:]...), nil, "of the type 0x04"},
		"a transaction with blobs":   {append([]byte{0x03}, good.Transaction[1:]...), nil, "of the type 0x03"},
		"a transaction of EIP-2930":  {append([]byte{0x01}, good.Transaction[1:]...), nil, "of the type 0x01"},
		"bytes behind a transaction": {append(bytes.Clone(good.Transaction), 0), nil, "not a transaction of EIP-1559"},
		"a transaction of any chain": {[]byte{0xc6, 1, 1, 1, 0x80, 1, 0x80}, nil, "names its chain"},
		"noise":                      {[]byte{0xff, 0xff}, nil, "names its chain"},
	} {
		r := signing.Request{Account: good.Account, Data: c.data, Transaction: c.preimage}
		if c.data == nil && c.preimage != nil && name != "no hash" {
			r.Data = crypto.Keccak256(c.preimage)
		}
		if got, err := policyCheck(t)(r, policyFacts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want %q", name, got, err, c.want)
		}
	}
}

// A transfer that was asked for is made once: again at its own nonce, for a higher fee, and at no other.
func TestSigningCheckTransfersOnce(t *testing.T) {
	t.Parallel()
	u := sound(t)
	u.To, u.Data, u.Value = &common.Address{3}, nil, big.NewInt(5)
	facts := policyFacts
	facts.Transfers = []signing.Transfer{policyFacts.Transfers[0]}
	facts.Transfers[0].Slot = "9"
	if _, err := policyCheck(t)(asked(t, u), facts); err != nil {
		t.Errorf("the same nonce: %v", err)
	}
	u.Nonce++
	if got, err := policyCheck(t)(asked(t, u), facts); err == nil {
		t.Errorf("another nonce: %+v", got)
	}
}

// Whatever the figures are within the configuration's bounds, a report is signed; with one other target, value,
// function or chain it is not, and neither is any other message for its hash.
func TestSigningCheckProperty(t *testing.T) {
	t.Parallel()
	check := policyCheck(t)
	rapid.Check(t, func(r *rapid.T) {
		u := sound(t)
		u.Nonce = rapid.Uint64().Draw(r, "nonce")
		u.Cap = big.NewInt(rapid.Int64Range(0, 200e9).Draw(r, "cap"))
		u.Tip = big.NewInt(rapid.Int64Range(0, u.Cap.Int64()).Draw(r, "tip"))
		if rapid.Bool().Draw(r, "legacy") {
			u.Tip = nil
		}
		u.Gas = rapid.Uint64Range(21_000, 900_000).Draw(r, "gas")
		u.Data = policyInput(t, rapid.IntRange(1, 31).Draw(r, "signatures"))
		if _, err := check(asked(t, u), policyFacts); err != nil {
			r.Fatalf("%+v: %v", u, err)
		}
		switch rapid.IntRange(0, 3).Draw(r, "change") {
		case 0:
			to := common.Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(r, "to"))
			if to == policyContract {
				return
			}
			u.To = &to
		case 1:
			u.Value = new(big.Int).SetUint64(rapid.Uint64Min(1).Draw(r, "value"))
		case 2:
			u.Data[rapid.IntRange(0, 3).Draw(r, "at")] ^= byte(rapid.IntRange(1, 255).Draw(r, "with"))
		case 3:
			if u.ChainID = big.NewInt(rapid.Int64Min(0).Draw(r, "chain")); u.ChainID.Int64() == 1337 {
				return
			}
		}
		if got, err := check(asked(t, u), policyFacts); err == nil {
			r.Fatalf("changed: %+v: %+v", u, got)
		}
	})
}

// FuzzSigningCheck checks that all that is signed is a call of the job's contract without coins, a filler, or the
// transfer that was asked for, and that no bytes cause a panic.
func FuzzSigningCheck(f *testing.F) {
	check := policyCheck(f)
	u := sound(f)
	f.Add(asked(f, u).Transaction)
	u.Tip = nil
	f.Add(asked(f, u).Transaction)
	u.To, u.Data = &policyAccount, nil
	f.Add(asked(f, u).Transaction)
	f.Add([]byte("\x19\x01"))
	f.Fuzz(func(t *testing.T, preimage []byte) {
		r := signing.Request{Account: policyAccount.Hex(), Data: crypto.Keccak256(preimage), Transaction: preimage}
		verdict, err := check(r, policyFacts)
		if err != nil {
			return
		}
		u, err := account.ReadUnsigned(preimage)
		if err != nil {
			t.Fatalf("signed, and not read: %v", err)
		}
		again, err := u.Preimage()
		if err != nil || !bytes.Equal(again, preimage) {
			t.Errorf("signed in another form than its own: %v", err)
		}
		switch verdict.Kind {
		case signing.Transmission:
			if *u.To != policyContract || u.Value.Sign() != 0 {
				t.Errorf("a transmission of %s wei to %s", u.Value, u.To)
			}
		case signing.Filler:
			if *u.To != policyAccount || u.Value.Sign() != 0 || len(u.Data) > 0 {
				t.Errorf("a filler of %s wei to %s", u.Value, u.To)
			}
		case signing.Coins:
			if *u.To != (common.Address{3}) || u.Value.Int64() != 5 || len(u.Data) > 0 {
				t.Errorf("a transfer of %s wei to %s", u.Value, u.To)
			}
		default:
			t.Errorf("signed as %q", verdict.Kind)
		}
	})
}
