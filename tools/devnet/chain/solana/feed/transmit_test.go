package feed

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/gagliardetto/solana-go"
	computebudget "github.com/gagliardetto/solana-go/programs/compute-budget"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/gagliardetto/solana-go/rpc/jsonrpc"
	"github.com/google/go-cmp/cmp"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// attempt is a transmission with everything that can be wrong with it.
type attempt struct {
	digest      ocrtypes.ConfigDigest
	epoch       uint32
	round       uint8
	timestamp   uint32
	observers   []byte
	count       uint8 // of observers, as the report says it
	median      *big.Int
	juels       uint64
	signers     []*secp256k1.PrivateKey
	spoil       func(signatures []byte) []byte
	bump        uint8
	transmitter solana.PrivateKey
	accounts    []*solana.AccountMeta
}

// good is an attempt that the feed takes.
func (n *network) good(ctx context.Context, t *testing.T, epoch uint32, round uint8) attempt {
	t.Helper()
	state, err := n.ReadState(ctx, rpc.CommitmentProcessed)
	check(t, err)
	a := attempt{
		digest: state.ConfigDigest, epoch: epoch, round: round, timestamp: uint32(time.Now().Unix()),
		median: big.NewInt(200_012_345_678),
		juels:  9_000_000_000, bump: n.StoreBump, transmitter: n.members[1].TransmitterKey,
	}
	for i := range n.members {
		a.observers = append(a.observers, byte(len(n.members)-1-i))
	}
	a.count = uint8(len(a.observers))
	for _, member := range n.members[:state.F+1] {
		a.signers = append(a.signers, member.SignerKey)
	}
	a.accounts = []*solana.AccountMeta{
		solana.Meta(n.State).WRITE(), solana.Meta(a.transmitter.PublicKey()).SIGNER(), solana.Meta(n.Transmissions).WRITE(),
		solana.Meta(StoreProgram), solana.Meta(n.StoreAuthority), solana.Meta(solana.SysVarInstructionsPubkey),
	}
	return a
}

// data is the attempt's as the deployed program takes it.
func (a attempt) data() []byte {
	report := binary.BigEndian.AppendUint32(nil, a.timestamp)
	report = append(report, a.count)
	report = append(report, append(slices.Clone(a.observers), make([]byte, 32-len(a.observers))...)...)
	report = append(report, twosComplement(a.median, 16)...)
	report = binary.BigEndian.AppendUint64(report, a.juels)
	reportContext := append(slices.Clone(a.digest[:]), make([]byte, 27)...)
	reportContext = binary.BigEndian.AppendUint32(reportContext, a.epoch)
	reportContext = append(reportContext, a.round)
	reportContext = append(reportContext, make([]byte, 32)...)
	hash := sha256.Sum256(slices.Concat([]byte{byte(len(report))}, report, reportContext))
	var signatures []byte
	for _, signer := range a.signers {
		compact := ecdsa.SignCompact(signer, hash[:], false) // 27 + recovery id, r, s
		signatures = append(append(signatures, compact[1:]...), compact[0]-27)
	}
	if a.spoil != nil {
		signatures = a.spoil(signatures)
	}
	return slices.Concat([]byte{a.bump}, reportContext, report, signatures)
}

func (a attempt) instruction() solana.Instruction {
	accounts := slices.Clone(a.accounts)
	accounts[1] = solana.Meta(a.transmitter.PublicKey()).SIGNER()
	return solana.NewInstruction(OCR2Program, accounts, a.data())
}

// priced are the instructions of a transaction as relayers send it.
func (a attempt) priced(price uint64) []solana.Instruction {
	return []solana.Instruction{
		computebudget.NewSetComputeUnitPriceInstruction(price).Build(), a.instruction(),
		computebudget.NewSetComputeUnitLimitInstruction(400_000).Build(),
	}
}

// transact sends a transaction that key pays for, in a slot of its own so that no other is the same, and returns what
// became of it.
func (f *Feed) transact(ctx context.Context, key solana.PrivateKey,
	instructions ...solana.Instruction) (solana.Signature, *solana.Transaction, error) {
	if _, err := f.chain.Warp(ctx, 1); err != nil {
		return solana.Signature{}, nil, err
	}
	latest, err := f.client.GetLatestBlockhash(ctx, rpc.CommitmentProcessed)
	if err != nil {
		return solana.Signature{}, nil, err
	}
	tx, err := solana.NewTransaction(instructions, latest.Value.Blockhash, solana.TransactionPayer(key.PublicKey()))
	if err != nil {
		return solana.Signature{}, nil, err
	}
	if _, err := tx.Sign(func(solana.PublicKey) *solana.PrivateKey { return &key }); err != nil {
		return solana.Signature{}, nil, err
	}
	signature, err := f.client.SendTransactionWithOpts(ctx,
		tx, rpc.TransactionOpts{PreflightCommitment: rpc.CommitmentProcessed})
	if err != nil {
		return solana.Signature{}, tx, err
	}
	return signature, tx, f.wait(ctx, signature)
}

// codeOf is the program's error of a transaction that the simulation refused, -1 for another error, 0 for none.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	var failed *jsonrpc.RPCError
	if !errors.As(err, &failed) || failed.Code != -32002 {
		return -1
	}
	data, _ := failed.Data.(map[string]any)
	cause, _ := data["err"].(map[string]any)
	parts, _ := cause["InstructionError"].([]any)
	if len(parts) != 2 {
		return -1
	}
	custom, _ := parts[1].(map[string]any)
	code, err := number(custom["Custom"])
	if err != nil {
		return -1
	}
	return code
}

func number(value any) (n int, err error) {
	_, err = fmt.Sscan(fmt.Sprint(value), &n)
	return n, err
}

func TestTransmit(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 4, Settings{LiveLength: 3, HistoricalLength: 2, Granularity: 2})
	const price = 1_000
	for i := range uint8(5) {
		i++
		a := n.good(ctx, t, 7, i+1)
		a.median.Add(a.median, big.NewInt(int64(i)))
		a.transmitter = n.members[i%4].TransmitterKey
		signature, _, err := n.transact(ctx, a.transmitter, a.priced(price)...)
		check(t, err)
		state, err := n.ReadState(ctx, rpc.CommitmentProcessed)
		check(t, err)
		if state.Epoch != 7 || state.Round != i+1 || state.RoundID != uint32(i) ||
			state.LatestTransmitter != a.transmitter.PublicKey() {
			t.Errorf("after round %d the state has epoch %d, round %d, round id %d, transmitter %s",
				i+1, state.Epoch, state.Round, state.RoundID, state.LatestTransmitter)
		}
		rounds, flagged, err := n.ReadRounds(ctx, rpc.CommitmentProcessed)
		check(t, err)
		if len(rounds) != min(int(i), 3) || rounds[0].ID != uint32(i) || rounds[0].Answer.Cmp(a.median) != 0 ||
			rounds[0].Timestamp != a.timestamp || flagged {
			t.Errorf("after round %d the ring holds %v (flag %v), want answer %s on top", i+1, rounds, flagged, a.median)
		}
		// 5000 lamports and 71000 units at the price make 5071 lamports of 9 gjuels.
		wantPaid := uint64(5071) * a.juels / 1e9 * uint64(1+i/5)
		if got := state.Oracles[i%4].PaymentGjuels; got != wantPaid {
			t.Errorf("oracle %d is due %d gjuels, want %d", i%4, got, wantPaid)
		}
		check(t, n.confirmed(ctx, signature))
		transmission, err := n.transmissionOf(ctx, signature)
		check(t, err)
		want := Transmission{
			RoundID: uint32(i), ConfigDigest: a.digest, Epoch: 7, Round: i + 1, Answer: a.median, Observers: []int{3, 2, 1, 0},
			ObservationsTimestamp: a.timestamp, Transmitter: a.transmitter.PublicKey(), Fee: 5000 + price*400_000/1e6,
			Units: transmission.Units,
		}
		if diff := cmp.Diff(want, transmission, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
			t.Errorf("transmission (-want +got):\n%s", diff)
		}
		if transmission.Units < 50_000 || transmission.Units > 100_000 {
			t.Errorf("the transmission took %d units, want some 25,000 for each of 2 signatures, and no more than as many again",
				transmission.Units)
		}
	}
}

// confirmed waits until a transaction is.
func (f *Feed) confirmed(ctx context.Context, signature solana.Signature) error {
	for {
		statuses, err := f.client.GetSignatureStatuses(ctx, false, signature)
		if err != nil {
			return err
		}
		if status := statuses.Value[0]; status != nil && status.ConfirmationStatus != rpc.ConfirmationStatusProcessed {
			return nil
		}
		if _, err := f.chain.Warp(ctx, 1); err != nil {
			return err
		}
	}
}

// transmissionOf is what Watch makes of a confirmed transaction.
func (f *Feed) transmissionOf(ctx context.Context, signature solana.Signature) (Transmission, error) {
	found, err := f.client.GetTransaction(ctx, signature,
		&rpc.GetTransactionOpts{Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentConfirmed})
	if err != nil {
		return Transmission{}, err
	}
	for _, line := range found.Meta.LogMessages {
		if logged, ok := decodeEvent(line); ok {
			return f.transmission(ctx, f.client, signature, logged)
		}
	}
	return Transmission{}, fmt.Errorf("no event in %q", found.Meta.LogMessages)
}

// TestTransmitChecks violates each check together with all those that come after it, and so proves their order too.
func TestTransmitChecks(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 4, Settings{})
	first := n.good(ctx, t, 5, 5)
	_, _, err := n.transact(ctx, first.transmitter, first.priced(0)...)
	check(t, err)
	stranger, err := NewMember()
	check(t, err)
	check(t, n.chain.Airdrop(ctx, stranger.Transmitter, transmitterFunds))
	other := solana.NewWallet().PublicKey()
	neighbour, err := Deploy(ctx, n.chain, Settings{})
	check(t, err)
	spoilt := func(a *attempt, spoil func([]byte) []byte) {
		before := a.spoil
		a.spoil = func(signatures []byte) []byte {
			if before != nil {
				signatures = before(signatures)
			}
			return spoil(signatures)
		}
	}

	checks := []struct {
		name    string
		code    int
		violate func(*attempt)
	}{
		{"state of another program", 3007, func(a *attempt) { a.accounts[0] = solana.Meta(n.Transmissions).WRITE() }},
		{"feed of another program", 3007, func(a *attempt) { a.accounts[2] = solana.Meta(n.State).WRITE() }},
		{"state that is not writable", 2000, func(a *attempt) { a.accounts[0] = solana.Meta(a.accounts[0].PublicKey) }},
		{"another feed", 2012, func(a *attempt) { a.accounts[2] = solana.Meta(neighbour.Transmissions).WRITE() }},
		{"another store", 2012, func(a *attempt) { a.accounts[3] = solana.Meta(other) }},
		{"another bump", 2006, func(a *attempt) { a.bump-- }},
		{"another authority", 2006, func(a *attempt) { a.accounts[4] = solana.Meta(other) }},
		{"stale round", 6003, func(a *attempt) { a.epoch, a.round = 5, 5 }},
		{"unknown transmitter", 6014, func(a *attempt) { a.transmitter = stranger.TransmitterKey }},
		{"another digest", 6004, func(a *attempt) { a.digest[31] ^= 1 }},
		{"part of a signature", 6001, func(a *attempt) { spoilt(a, func(s []byte) []byte { return s[:len(s)-1] }) }},
		{"too few signatures", 6005, func(a *attempt) { a.signers = a.signers[:1] }},
		{"recovery id out of range", 6001, func(a *attempt) { spoilt(a, func(s []byte) []byte { s[64] = 4; return s }) }},
		{"no signature", 6000, func(a *attempt) { spoilt(a, func(s []byte) []byte { clear(s[:64]); return s }) }},
		{"unknown signer", 6013, func(a *attempt) { a.signers[0] = stranger.SignerKey }},
		{"one signer twice", 6008, func(a *attempt) { a.signers[1] = a.signers[0] }},
		{"too few observers", 6001, func(a *attempt) { a.count = 1 }},
		{"median below the range", 6007, func(a *attempt) { a.median = big.NewInt(0) }},
		{"median above the range", 6007, func(a *attempt) { a.median = new(big.Int).Add(maxAnswer, big.NewInt(1)) }},
	}
	for i, violated := range checks {
		t.Run(violated.name, func(t *testing.T) {
			a := n.good(ctx, t, 6, 1)
			violated.violate(&a)
			_, _, err := n.transact(ctx, a.transmitter, a.priced(0)...)
			if code := codeOf(err); code != violated.code {
				t.Errorf("alone it ended with code %d, want %d: %v", code, violated.code, err)
			}
			a = n.good(ctx, t, 6, 1)
			for j := len(checks) - 1; j >= i; j-- {
				// What replaces an account of an earlier check's subject would be seen first.
				if checks[j].code >= 6000 || j == i {
					checks[j].violate(&a)
				}
			}
			if _, _, err := n.transact(ctx, a.transmitter, a.priced(0)...); codeOf(err) != violated.code {
				t.Errorf("with all that come after it it ended with code %d, want %d: %v", codeOf(err), violated.code, err)
			}
		})
	}
	t.Run("transmitter that did not sign", func(t *testing.T) {
		a := n.good(ctx, t, 6, 1)
		accounts := slices.Clone(a.accounts)
		accounts[1] = solana.Meta(n.members[2].Transmitter)
		_, _, err := n.transact(ctx, a.transmitter, solana.NewInstruction(OCR2Program, accounts, a.data()))
		if code := codeOf(err); code != 3010 {
			t.Errorf("it ended with code %d, want 3010: %v", code, err)
		}
	})
	rounds, _, err := n.ReadRounds(ctx, rpc.CommitmentProcessed)
	check(t, err)
	if len(rounds) != 1 {
		t.Errorf("the feed took %d rounds, want the first alone", len(rounds))
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 4, Settings{})
	a := n.good(ctx, t, 5, 5)
	_, tx, err := n.transact(ctx, a.transmitter, a.priced(0)...)
	check(t, err)
	// The same transaction is known to the chain, the same report in another transaction to the program.
	_, err = n.client.SendTransactionWithOpts(ctx, tx, rpc.TransactionOpts{PreflightCommitment: rpc.CommitmentProcessed})
	if failed := new(jsonrpc.RPCError); !errors.As(err, &failed) || failed.Code != -32002 ||
		failed.Data.(map[string]any)["err"] != "AlreadyProcessed" {
		t.Errorf("the same transaction ended with %v, want AlreadyProcessed", err)
	}
	_, _, err = n.transact(ctx, a.transmitter, a.priced(1)...)
	if code := codeOf(err); code != 6003 {
		t.Errorf("the same report ended with code %d, want 6003: %v", code, err)
	}
	for epoch, round := range map[uint32]uint8{4: 255, 5: 4} {
		older := n.good(ctx, t, epoch, round)
		if _, _, err := n.transact(ctx, older.transmitter, older.priced(0)...); codeOf(err) != 6003 {
			t.Errorf("epoch %d round %d after epoch 5 round 5 ended with %v, want 6003", epoch, round, err)
		}
	}
	next := n.good(ctx, t, 6, 0)
	_, _, err = n.transact(ctx, next.transmitter, next.priced(0)...)
	check(t, err)
}

// TestReimbursement proves what the program takes for the price of a transmission, against big integers.
func TestReimbursement(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 4, Settings{})
	tests := map[string]struct{ juels, price uint64 }{
		"no price": {1_000_000_000, 0}, "rounded up": {1_000_000_000, 1}, "much": {1 << 40, 1 << 33}, "nothing": {0, 7},
		"128 bits": {1<<64 - 1, 1 << 16}, "more than there is": {1<<64 - 1, 1 << 40},
	}
	check(t, n.chain.Airdrop(ctx, n.members[1].Transmitter, 1<<50))
	round := uint8(0)
	for name, test := range tests {
		round++
		a := n.good(ctx, t, 1, round)
		a.juels = test.juels
		signature, _, err := n.transact(ctx, a.transmitter,
			computebudget.NewSetComputeUnitPriceInstruction(test.price).Build(), a.instruction(),
			computebudget.NewSetComputeUnitLimitInstruction(100_000).Build())
		check(t, err)
		check(t, n.confirmed(ctx, signature))
		found, err := n.client.GetTransaction(ctx, signature,
			&rpc.GetTransactionOpts{Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentConfirmed})
		check(t, err)
		for _, line := range found.Meta.LogMessages {
			logged, ok := decodeEvent(line)
			if !ok {
				continue
			}
			fee := new(big.Int).SetUint64((71_000*test.price + 999_999) / 1e6)
			want := fee.Add(fee, big.NewInt(5000)).Mul(fee, new(big.Int).SetUint64(test.juels))
			if want.Div(want, big.NewInt(1e9)); !want.IsUint64() {
				want.SetUint64(1<<64 - 1)
			}
			if want.Uint64() != logged.reimbursed || logged.juels != test.juels {
				t.Errorf("%s: the program took %d gjuels at %d juels, want %s at %d", name, logged.reimbursed, logged.juels, want,
					test.juels)
			}
		}
	}
	// Beyond 64 bits an oracle is due as much as there is.
	err := n.send(ctx, nil, instruction(OCR2Program, "set_billing",
		[]*solana.AccountMeta{solana.Meta(n.State).WRITE(), solana.Meta(n.owner.PublicKey()).SIGNER()}, u32(0), u32(100)))
	check(t, err)
	a := n.good(ctx, t, 1, 200)
	a.juels, a.transmitter = 1<<64-1, n.members[2].TransmitterKey
	check(t, n.chain.Airdrop(ctx, n.members[2].Transmitter, 1<<50))
	_, _, err = n.transact(ctx, a.transmitter, computebudget.NewSetComputeUnitPriceInstruction(1<<40).Build(),
		a.instruction(),
		computebudget.NewSetComputeUnitLimitInstruction(100_000).Build())
	check(t, err)
	state, err := n.ReadState(ctx, rpc.CommitmentProcessed)
	check(t, err)
	if got := state.Oracles[2].PaymentGjuels; got != 1<<64-1 {
		t.Errorf("the transmitter is due %d gjuels, want all that there are", got)
	}
	// The price must stand right before the transmission when something does.
	a = n.good(ctx, t, 2, 1)
	_, _, err = n.transact(ctx, a.transmitter, computebudget.NewSetComputeUnitLimitInstruction(100_000).Build(),
		a.instruction())
	if code := codeOf(err); code != 6001 {
		t.Errorf("a limit in front ended with code %d, want 6001: %v", code, err)
	}
	_, _, err = n.transact(ctx, a.transmitter, a.instruction())
	check(t, err)
}

// TestSize fixes the size of a transmission with six signatures, and that the chain takes it.
func TestSize(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 16, Settings{})
	a := n.good(ctx, t, 1, 1)
	_, tx, err := n.transact(ctx, a.transmitter, a.priced(5)...)
	check(t, err)
	bytes, err := tx.MarshalBinary()
	check(t, err)
	if len(a.signers) != 6 || len(bytes) != 936 {
		t.Errorf("a transmission with %d signatures has %d bytes, want 936 with 6", len(a.signers), len(bytes))
	}
}

// TestMostOracles configures as many oracles as the state holds, and lets the last ones sign.
func TestMostOracles(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, MaxOracles, Settings{})
	a := n.good(ctx, t, 1, 1)
	a.signers = nil
	for _, member := range n.members[MaxOracles-7:] {
		a.signers = append(a.signers, member.SignerKey)
	}
	_, _, err := n.transact(ctx, a.transmitter, a.priced(5)...)
	check(t, err)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	ctx, n := newNetwork(t, 4, Settings{})
	errEnough := errors.New("enough")
	var got []uint32
	done := make(chan error, 1)
	go func() {
		done <- n.Watch(ctx, func(transmission Transmission) error {
			got = append(got, transmission.RoundID)
			if len(got) == 3 {
				return errEnough
			}
			return nil
		})
	}()
	// Watch starts to listen at some time; rounds go on until it has seen three in a row.
	for round := uint8(1); ; round++ {
		select {
		case err := <-done:
			if !errors.Is(err, errEnough) {
				t.Fatalf("watching ended with %v", err)
			}
			if got[1] != got[0]+1 || got[2] != got[1]+1 {
				t.Errorf("saw the rounds %v, want three in a row", got)
			}
			return
		default:
		}
		a := n.good(ctx, t, 1, round)
		_, _, err := n.transact(ctx, a.transmitter, a.priced(0)...)
		check(t, err)
		_, err = n.chain.Warp(ctx, 1)
		check(t, err)
	}
}
