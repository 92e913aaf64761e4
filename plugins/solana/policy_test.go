package solana_test

import (
	"bytes"
	encoding "encoding/binary"
	"math/big"
	"strings"
	"testing"

	bin "github.com/gagliardetto/binary"
	sol "github.com/gagliardetto/solana-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/plugins/solana"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// policyKey is a key that is not on the curve: nothing is signed here.
func policyKey(n byte) sol.PublicKey { return sol.PublicKey(bytes.Repeat([]byte{n}, 32)) }

var (
	policyAccount  = policyKey(1)
	policyOther    = policyKey(9)
	policyContract = ocr2.Contract{Program: policyKey(2), State: policyKey(3), Feed: policyKey(4), Store: policyKey(5)}
	policyFacts    = signing.Facts{
		Contracts: []signing.Contract{
			{Job: 6, ID: policyKey(6).String(), Transmitter: policyAccount.String(), RelayConfigJSON: []byte(`{}`)},
			{Job: 7, ID: policyContract.State.String(), Transmitter: policyAccount.String(),
				RelayConfigJSON: []byte(`{"ocr2ProgramID":"` + policyContract.Program.String() + `","transmissionsID":"` +
					policyContract.Feed.String() + `","storeProgramID":"` + policyContract.Store.String() + `"}`)},
			{Job: 8, ID: policyKey(8).String(), Transmitter: policyOther.String(),
				RelayConfigJSON: []byte(`{"ocr2ProgramID":"` + policyContract.Program.String() + `","transmissionsID":"` +
					policyContract.Feed.String() + `","storeProgramID":"` + policyContract.Store.String() + `"}`)},
		},
		Transfers: []signing.Transfer{{From: policyAccount.String(), To: policyOther.String(), Amount: big.NewInt(5)}},
	}
)

func policyCheck(t testing.TB) signing.Check {
	t.Helper()
	check, err := solana.SigningCheck([]byte("ChainID = 'localnet'\nComputeUnitPriceMax = 1000\n"))
	if err != nil {
		t.Fatal(err)
	}
	return check
}

func policyDigest() [32]byte { return [32]byte{0, 3, 7} }

// transmission is a report for a contract with some signatures.
func transmission(t testing.TB, to ocr2.Contract, signatures int) *sol.GenericInstruction {
	t.Helper()
	report, err := ocr2.BuildReport([]ocr2.Observation{{Time: 1, Value: big.NewInt(2), JuelsPerFeeCoin: big.NewInt(3)}})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for range signatures {
		all = append(all, make([]byte, 65))
	}
	i, err := to.Transmit(policyAccount, [3][32]byte{policyDigest()}, report, all)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func budget(data ...byte) sol.Instruction { return sol.NewInstruction(sol.ComputeBudget, nil, data) }

func unitPrice(price uint64) sol.Instruction {
	return budget(encoding.LittleEndian.AppendUint64([]byte{3}, price)...)
}

func unitLimit(limit uint32) sol.Instruction {
	return budget(encoding.LittleEndian.AppendUint32([]byte{2}, limit)...)
}

func coins(to sol.PublicKey, lamports uint64) sol.Instruction {
	return sol.NewInstruction(sol.SystemProgramID, sol.AccountMetaSlice{
		sol.Meta(policyAccount).WRITE().SIGNER(), sol.Meta(to).WRITE(),
	}, encoding.LittleEndian.AppendUint64(encoding.LittleEndian.AppendUint32(nil, 2), lamports))
}

// message is a transaction's.
func message(t testing.TB, payer sol.PublicKey, instructions ...sol.Instruction) []byte {
	t.Helper()
	tx, err := sol.NewTransaction(instructions, sol.Hash{7}, sol.TransactionPayer(payer))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := tx.Message.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func judged(t testing.TB, data []byte) (signing.Verdict, error) {
	t.Helper()
	return policyCheck(t)(signing.Request{Account: policyAccount.String(), Data: data}, policyFacts)
}

func TestSigningCheckAllows(t *testing.T) {
	t.Parallel()
	report := signing.Verdict{Kind: signing.Transmission, Job: 7, To: policyContract.State.String()}
	for name, c := range map[string]struct {
		data []byte
		want signing.Verdict
	}{
		"a report between price and limit": {
			message(t, policyAccount, unitPrice(1000), transmission(t, policyContract, 2), unitLimit(200_000)), report},
		"a report alone":  {message(t, policyAccount, transmission(t, policyContract, 1)), report},
		"a report of all": {message(t, policyAccount, unitPrice(0), transmission(t, policyContract, 19)), report},
		"a transfer asked for": {
			message(t, policyAccount, unitPrice(1), coins(policyOther, 5)),
			signing.Verdict{Kind: signing.Coins, To: policyOther.String()},
		},
		"a transfer, not priced": {
			message(t, policyAccount, coins(policyOther, 5)),
			signing.Verdict{Kind: signing.Coins, To: policyOther.String()},
		},
	} {
		got, err := judged(t, c.data)
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(signing.Verdict{}, "Slot")); diff != "" || err != nil ||
			got.Slot == "" {
			t.Errorf("%s: %+v, %v (-want +got):\n%s", name, got, err, diff)
		}
	}
}

func TestSigningCheckRefuses(t *testing.T) {
	t.Parallel()
	good := transmission(t, policyContract, 2)
	changed := func(change func(*sol.GenericInstruction)) *sol.GenericInstruction {
		i := transmission(t, policyContract, 2)
		change(i)
		return i
	}
	reaccounted := func(at int, key sol.PublicKey) *sol.GenericInstruction {
		return changed(func(i *sol.GenericInstruction) { i.AccountValues[at] = sol.Meta(key).WRITE() })
	}
	versioned := append([]byte{0x80}, message(t, policyAccount, good)...)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"the whole balance": {
			message(t, policyAccount, coins(policyKey(8), 1e9)),
			"no operator has asked for that",
		},
		"another amount than asked": {message(t, policyAccount, coins(policyOther, 6)), "transfers 6 lamports"},
		"coins behind a report":     {message(t, policyAccount, good, coins(policyOther, 5)), "relayers make one call"},
		"coins before a report":     {message(t, policyAccount, coins(policyOther, 5), good), "relayers make one call"},
		"two reports": {
			message(t, policyAccount, good, transmission(t, policyContract, 3)),
			"relayers make one call",
		},
		"the asked transfer, twice": {
			message(t, policyAccount, coins(policyOther, 5), coins(policyOther, 5)),
			"relayers make one call",
		},
		"nothing":                 {message(t, policyAccount, unitPrice(1)), "calls nothing"},
		"a price beyond the most": {message(t, policyAccount, unitPrice(1001), good), "ComputeUnitPriceMax is 1000"},
		"a second price": {
			message(t, policyAccount, unitPrice(1), good, unitPrice(1<<60)),
			"ComputeUnitPriceMax is 1000",
		},
		"a larger heap": {
			message(t, policyAccount, budget(1, 0, 0, 4, 0), good),
			"something else of the compute budget",
		},
		"a deprecated fee": {
			message(t, policyAccount, budget(0, 0, 0, 0, 0, 0, 0, 0, 1), good),
			"something else of the compute budget",
		},
		"another program": {
			message(t, policyAccount, changed(func(i *sol.GenericInstruction) { i.ProgID = policyKey(8) })),
			"for no contract of a job",
		},
		"a token's program": {
			message(t, policyAccount, sol.NewInstruction(sol.TokenProgramID,
				sol.AccountMetaSlice{sol.Meta(policyAccount).SIGNER()}, []byte{3})),
			"for no contract of a job",
		},
		"another state": {
			message(t, policyAccount, reaccounted(0, policyKey(8))),
			"for no contract of a job",
		},
		"another account's state": {
			message(t, policyAccount, transmission(t, ocr2.Contract{Program: policyContract.Program, State: policyKey(8),
				Feed: policyContract.Feed, Store: policyContract.Store}, 1)),
			"for no contract of a job",
		},
		"another feed":  {message(t, policyAccount, reaccounted(2, policyKey(8))), "its account 2"},
		"another store": {message(t, policyAccount, reaccounted(3, policyKey(8))), "its account 3"},
		"a further account": {
			message(t, policyAccount, changed(func(i *sol.GenericInstruction) {
				i.AccountValues = append(i.AccountValues, sol.Meta(policyOther))
			})),
			"names 7 accounts",
		},
		"no accounts": {
			message(t, policyAccount, changed(func(i *sol.GenericInstruction) { i.AccountValues = nil })),
			"for no contract of a job",
		},
		"another instruction of program": {
			message(t, policyAccount, changed(func(i *sol.GenericInstruction) {
				copy(i.DataBytes[1:], []byte{0xbe, 0x82, 0xb2})
			})),
			"no config digest",
		},
		"another bump": {
			message(t, policyAccount, changed(func(i *sol.GenericInstruction) { i.DataBytes[0]++ })),
			"its data begin with",
		},
		"no signatures": {
			message(t, policyAccount, changed(func(i *sol.GenericInstruction) { i.DataBytes = i.DataBytes[:1+96+61] })),
			"its data have 158 bytes",
		},
		"a byte too many": {
			message(t, policyAccount, changed(func(i *sol.GenericInstruction) { i.DataBytes = append(i.DataBytes, 0) })),
			"its data have",
		},
		"another payer": {message(t, policyOther, good), "signatures"},
		"another system instruction": {
			message(t, policyAccount, sol.NewInstruction(sol.SystemProgramID,
				sol.AccountMetaSlice{sol.Meta(policyAccount).WRITE().SIGNER()}, []byte{1, 0, 0, 0})),
			"something else than a transfer",
		},
		"a version":            {versioned, "without a version"},
		"an off-chain message": {[]byte("\xffsolana offchain\x00hello"), "without a version"},
		"bytes behind it":      {append(message(t, policyAccount, good), 0), "in the one form"},
		"nothing at all":       {nil, "without a version"},
		"noise":                {[]byte{1, 2, 3}, "not a transaction"},
	} {
		got, err := judged(t, c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "it") {
			t.Errorf("%s: %+v, %v, want %q", name, got, err, c.want)
		}
	}
	got, err := policyCheck(t)(signing.Request{
		Account: policyAccount.String(), Data: message(t, policyAccount, good), Transaction: []byte{1},
	}, policyFacts)
	if err == nil {
		t.Errorf("a transaction besides: %+v", got)
	}
}

// A transfer that was asked for is made by one transaction: another of the same blockhash would be another transfer.
func TestSigningCheckTransfersOnce(t *testing.T) {
	t.Parallel()
	first := message(t, policyAccount, unitPrice(1), coins(policyOther, 5))
	verdict, err := judged(t, first)
	if err != nil {
		t.Fatal(err)
	}
	facts := signing.Facts{Transfers: []signing.Transfer{policyFacts.Transfers[0]}}
	facts.Transfers[0].Slot = verdict.Slot
	request := signing.Request{Account: policyAccount.String(), Data: first}
	if _, err := policyCheck(t)(request, facts); err != nil {
		t.Errorf("the same transaction again: %v", err)
	}
	request.Data = message(t, policyAccount, unitPrice(2), coins(policyOther, 5))
	if got, err := policyCheck(t)(request, facts); err == nil {
		t.Errorf("a second transaction: %+v", got)
	}
}

// Whatever price and limit a report has within the configuration's bounds, it is signed; with one other program,
// account or byte of its head it is not.
func TestSigningCheckProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		price := rapid.Uint64Range(0, 1000).Draw(r, "price")
		limit := rapid.Uint32Range(0, 1_400_000).Draw(r, "limit")
		i := transmission(t, policyContract, rapid.IntRange(1, 6).Draw(r, "signatures"))
		whole := func() []byte { return message(t, policyAccount, unitPrice(price), i, unitLimit(limit)) }
		if _, err := judged(t, whole()); err != nil {
			r.Fatal(err)
		}
		other := sol.PublicKey(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "other"))
		switch rapid.IntRange(0, 3).Draw(r, "change") {
		case 0:
			i.ProgID = other
		case 1:
			at := rapid.SampledFrom([]int{0, 2, 3, 4, 5}).Draw(r, "account")
			i.AccountValues[at] = sol.Meta(other).WRITE()
		case 2:
			i.DataBytes[rapid.IntRange(0, 2).Draw(r, "at")] ^= byte(rapid.IntRange(1, 255).Draw(r, "with"))
		case 3:
			price = rapid.Uint64Min(1001).Draw(r, "higher")
		}
		if got, err := judged(t, whole()); err == nil {
			r.Fatalf("changed: %+v", got)
		}
	})
}

// FuzzSigningCheck checks that nothing is signed but one call of what is known, and that no bytes cause a panic.
func FuzzSigningCheck(f *testing.F) {
	check := policyCheck(f)
	f.Add(message(f, policyAccount, unitPrice(1000), transmission(f, policyContract, 2), unitLimit(200_000)))
	f.Add(message(f, policyAccount, coins(policyOther, 5)))
	f.Add([]byte("\xffsolana offchain"))
	f.Fuzz(func(t *testing.T, data []byte) {
		verdict, err := check(signing.Request{Account: policyAccount.String(), Data: data}, policyFacts)
		if err != nil {
			return
		}
		var m sol.Message
		if err := m.UnmarshalWithDecoder(bin.NewBinDecoder(data)); err != nil {
			t.Fatalf("signed, and not read: %v", err)
		}
		calls := 0
		for _, i := range m.Instructions {
			switch program := m.AccountKeys[i.ProgramIDIndex]; program {
			case sol.ComputeBudget:
				continue
			case policyContract.Program:
				if verdict.Kind != signing.Transmission || m.AccountKeys[i.Accounts[0]] != policyContract.State {
					t.Errorf("%s of %s", verdict.Kind, m.AccountKeys[i.Accounts[0]])
				}
			case sol.SystemProgramID:
				if verdict.Kind != signing.Coins || m.AccountKeys[i.Accounts[1]] != policyOther ||
					encoding.LittleEndian.Uint64(i.Data[4:]) != 5 {
					t.Errorf("%s to %s", verdict.Kind, m.AccountKeys[i.Accounts[1]])
				}
			default:
				t.Errorf("a call of %s", program)
			}
			calls++
		}
		if calls != 1 || m.Header.NumRequiredSignatures != 1 || m.AccountKeys[0] != policyAccount {
			t.Errorf("%d calls, of %d signers, paid by %s", calls, m.Header.NumRequiredSignatures, m.AccountKeys[0])
		}
	})
}
