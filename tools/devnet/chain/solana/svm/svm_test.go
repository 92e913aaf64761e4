package svm

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gagliardetto/solana-go"
	computebudget "github.com/gagliardetto/solana-go/programs/compute-budget"
	"github.com/gagliardetto/solana-go/programs/system"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/gagliardetto/solana-go/rpc/jsonrpc"
	"github.com/gagliardetto/solana-go/rpc/ws"
	"github.com/google/go-cmp/cmp"
)

// failure is the JSON-RPC error in err.
func failure(t *testing.T, err error) *jsonrpc.RPCError {
	t.Helper()
	var failed *jsonrpc.RPCError
	if !errors.As(err, &failed) {
		t.Fatalf("got error %v, want one of JSON-RPC", err)
	}
	return failed
}

// cause is the err of a transaction that the simulation refused.
func cause(t *testing.T, err error) any {
	t.Helper()
	failed := failure(t, err)
	data, _ := failed.Data.(map[string]any)
	if failed.Code != -32002 || data["logs"] == nil {
		t.Fatalf("got error %v, want one of a simulation", err)
	}
	return data["err"]
}

// TestTransaction follows a transaction from its simulation until it is final.
func TestTransaction(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{FinalizedAfter: 3})
	transfer, to := s.pay(solana.LAMPORTS_PER_SOL)
	price := computebudget.NewSetComputeUnitPriceInstruction(2_000_001).Build()
	limit := computebudget.NewSetComputeUnitLimitInstruction(1000).Build()
	tx := s.signed(t, s.hash(ctx, t), price, transfer, limit)

	simulated, err := s.client.SimulateTransactionWithOpts(ctx, tx,
		&rpc.SimulateTransactionOpts{SigVerify: true, Commitment: rpc.CommitmentProcessed})
	check(t, err)
	if simulated.Value.Err != nil || *simulated.Value.UnitsConsumed != 450 || len(simulated.Value.Logs) != 6 {
		t.Errorf("the simulation says %+v, want 450 units and 6 lines", simulated.Value)
	}
	fee, err := s.client.GetFeeForMessage(ctx, message(t, tx), rpc.CommitmentProcessed)
	check(t, err)
	if fee.Value == nil || *fee.Value != 7001 {
		t.Errorf("the fee is %v, want 5000 for a signature and 2001 for 1000 units", fee.Value)
	}

	signature, err := s.client.SendTransactionWithOpts(ctx, tx, processed)
	check(t, err)
	slot, err := s.client.GetSlot(ctx, rpc.CommitmentProcessed)
	check(t, err)
	if early, err := s.client.GetTransaction(ctx, signature,
		&rpc.GetTransactionOpts{Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentConfirmed}); !errors.Is(err,
		rpc.ErrNotFound) {
		t.Errorf("before it is confirmed the transaction is told as %+v (%v)", early, err)
	}
	seen := map[rpc.CommitmentType][]uint64{}
	for _, want := range []rpc.ConfirmationStatusType{"processed", "confirmed", "confirmed", "finalized"} {
		if got := s.status(ctx, t, signature); got != want {
			t.Errorf("the transaction is %q, want %q", got, want)
		}
		for _, commitment := range []rpc.CommitmentType{rpc.CommitmentProcessed, rpc.CommitmentConfirmed,
			rpc.CommitmentFinalized} {
			balance, err := s.client.GetBalance(ctx, to, commitment)
			check(t, err)
			seen[commitment] = append(seen[commitment], balance.Value/solana.LAMPORTS_PER_SOL)
		}
		s.warp(ctx, t, 1)
	}
	want := map[rpc.CommitmentType][]uint64{rpc.CommitmentProcessed: {1, 1, 1, 1}, rpc.CommitmentConfirmed: {0, 1, 1, 1},
		rpc.CommitmentFinalized: {0, 0, 0, 1}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("balances under the commitments (-want +got):\n%s", diff)
	}

	found, err := s.client.GetTransaction(ctx, signature,
		&rpc.GetTransactionOpts{Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentConfirmed})
	check(t, err)
	decoded, err := found.Transaction.GetTransaction()
	check(t, err)
	if found.Slot != slot || found.Meta.Fee != 7001 ||
		found.Meta.PreBalances[0]-found.Meta.PostBalances[0] != solana.LAMPORTS_PER_SOL+7001 ||
		decoded.Signatures[0] != signature || len(found.Meta.LogMessages) != 6 || found.BlockTime == nil {
		t.Errorf("the transaction is told as %+v", found.Meta)
	}
	var asJSON struct {
		Transaction struct {
			Message struct {
				RecentBlockhash solana.Hash
				Instructions    []struct{ Data solana.Base58 }
			}
		}
	}
	check(t,
		s.client.RPCCallForInto(ctx, &asJSON, "getTransaction",
			[]any{signature, map[string]any{"encoding": "json", "commitment": "confirmed"}}))
	if told := asJSON.Transaction.Message; told.RecentBlockhash != tx.Message.RecentBlockhash ||
		!slices.Equal(told.Instructions[1].Data, tx.Message.Instructions[1].Data) {
		t.Errorf("as JSON the transaction is %+v", told)
	}
	block, err := s.client.GetBlockWithOpts(ctx, slot,
		&rpc.GetBlockOpts{Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentConfirmed})
	check(t, err)
	if len(block.Transactions) != 1 || block.Transactions[0].Meta.Fee != 7001 || *block.BlockHeight != slot-100 ||
		block.ParentSlot != slot-1 {
		t.Errorf("the block is told as %+v", block)
	}
	fees, err := s.client.GetRecentPrioritizationFees(ctx, solana.PublicKeySlice{to})
	check(t, err)
	if i := slices.IndexFunc(fees, func(f rpc.PriorizationFeeResult) bool {
		return f.PrioritizationFee != 0
	}); len(fees) != 150 || i < 0 || fees[i].Slot != slot || fees[i].PrioritizationFee != 2_000_001 {
		t.Errorf("the prices of %d slots are told as %+v", len(fees), fees)
	}
	history, err := s.client.GetSignaturesForAddressWithOpts(ctx,
		to, &rpc.GetSignaturesForAddressOpts{Commitment: rpc.CommitmentConfirmed})
	check(t, err)
	if len(history) != 1 || history[0].Signature != signature || history[0].Slot != slot {
		t.Errorf("the account's transactions are told as %+v", history)
	}
	s.warp(ctx, t, 300)
	for search, want := range map[bool]bool{false: false, true: true} {
		statuses, err := s.client.GetSignatureStatuses(ctx, search, signature)
		check(t, err)
		if got := statuses.Value[0] != nil; got != want {
			t.Errorf("after 300 slots the status is there: %v, searching the history: %v", got, search)
		}
	}
}

// TestRecentFees asks, as of agave, what it took in a slot to write to accounts: the largest of the least price of all
// transactions and the least of those that wrote to each account.
func TestRecentFees(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{})
	pay := func(price uint64) solana.PublicKey {
		transfer, to := s.pay(solana.LAMPORTS_PER_SOL / 100)
		offer := computebudget.NewSetComputeUnitPriceInstruction(price).Build()
		_, err := s.client.SendTransactionWithOpts(ctx, s.signed(t, s.hash(ctx, t), offer, transfer), processed)
		check(t, err)
		return to
	}
	cheap, dear := pay(10), pay(30)
	slot := s.warp(ctx, t, 1) - 1
	for name, c := range map[string]struct {
		accounts solana.PublicKeySlice
		want     uint64
	}{
		"none":                      {solana.PublicKeySlice{}, 10},
		"one":                       {solana.PublicKeySlice{dear}, 30},
		"two of two transactions":   {solana.PublicKeySlice{cheap, dear}, 30},
		"one of both, by the least": {solana.PublicKeySlice{s.rich.PublicKey()}, 10},
		"one that nobody wrote":     {solana.PublicKeySlice{solana.NewWallet().PublicKey()}, 10},
	} {
		fees, err := s.client.GetRecentPrioritizationFees(ctx, c.accounts)
		check(t, err)
		for _, fee := range fees[len(fees)-10:] {
			want := uint64(0) // there is no transaction
			if fee.Slot == slot {
				want = c.want
			}
			if fee.PrioritizationFee != want {
				t.Errorf("%s: slot %d has the fee %d, want %d", name, fee.Slot, fee.PrioritizationFee, want)
			}
		}
	}
}

func message(t *testing.T, tx *solana.Transaction) string {
	t.Helper()
	bytes, err := tx.Message.MarshalBinary()
	check(t, err)
	return base64.StdEncoding.EncodeToString(bytes)
}

// TestExpiry lets blockhashes grow old with and without a preflight.
func TestExpiry(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{HashWindow: 5})
	latest, err := s.client.GetLatestBlockhash(ctx, rpc.CommitmentProcessed)
	check(t, err)
	height, err := s.client.GetBlockHeight(ctx, rpc.CommitmentProcessed)
	check(t, err)
	if latest.Value.LastValidBlockHeight != height+5 || latest.Context.Slot == height {
		t.Errorf("at height %d of slot %d the blockhash is good until %d", height, latest.Context.Slot,
			latest.Value.LastValidBlockHeight)
	}
	hash := latest.Value.Blockhash
	send := func(skip bool) (solana.Signature, error) {
		transfer, _ := s.pay(solana.LAMPORTS_PER_SOL / 100)
		return s.client.SendTransactionWithOpts(ctx, s.signed(t, hash, transfer),
			rpc.TransactionOpts{SkipPreflight: skip, PreflightCommitment: rpc.CommitmentProcessed})
	}
	for age := range 7 {
		valid, err := s.client.IsBlockhashValid(ctx, hash, rpc.CommitmentProcessed)
		check(t, err)
		_, err = send(false)
		skipped, skipErr := send(true)
		check(t, skipErr)
		landed := s.status(ctx, t, skipped) != ""
		if want := age <= 5; valid.Value != want || (err == nil) != want || landed != want {
			t.Errorf("at an age of %d slots: valid %v, sent with %v, and landed without preflight: %v", age, valid.Value, err,
				landed)
		}
		if age > 5 && cause(t, err) != "BlockhashNotFound" {
			t.Errorf("the old blockhash is refused as %v", err)
		}
		s.warp(ctx, t, 1)
	}
	transfer, _ := s.pay(1)
	if fee, err := s.client.GetFeeForMessage(ctx, message(t, s.signed(t, hash, transfer)),
		rpc.CommitmentProcessed); err != nil || fee.Value != nil {
		t.Errorf("the fee under an old blockhash is %v (%v), want none", fee, err)
	}
	replaced, err := s.client.SimulateTransactionWithOpts(ctx, s.signed(t, hash, transfer),
		&rpc.SimulateTransactionOpts{ReplaceRecentBlockhash: true, Commitment: rpc.CommitmentProcessed})
	check(t, err)
	if replaced.Value.Err != nil && replaced.Value.Err != "InsufficientFundsForRent" {
		if _, rent := replaced.Value.Err.(map[string]any)["InsufficientFundsForRent"]; !rent {
			t.Errorf("with another blockhash the simulation says %v", replaced.Value.Err)
		}
	}
}

// TestRefusals sends what a validator refuses, and tells refusals that leave no trace from failures that cost a fee.
func TestRefusals(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{})
	transfer, _ := s.pay(solana.LAMPORTS_PER_SOL)
	good := s.signed(t, s.hash(ctx, t), transfer)
	signature, err := s.client.SendTransactionWithOpts(ctx, good, processed)
	check(t, err)
	if _, err := s.client.SendTransactionWithOpts(ctx, good, processed); cause(t, err) != "AlreadyProcessed" {
		t.Errorf("a duplicate is refused as %v", err)
	}
	before, err := s.client.GetBalance(ctx, s.rich.PublicKey(), rpc.CommitmentProcessed)
	check(t, err)
	again, err := s.client.SendTransactionWithOpts(ctx, good, rpc.TransactionOpts{SkipPreflight: true})
	check(t, err)
	if again != signature {
		t.Errorf("the duplicate is %s, want %s", again, signature)
	}

	tooMuch, _ := s.pay(1000 * solana.LAMPORTS_PER_SOL)
	failing := s.signed(t, s.hash(ctx, t), tooMuch)
	_, err = s.client.SendTransactionWithOpts(ctx, failing, processed)
	if failed := failure(t, err); !strings.Contains(failed.Message,
		"Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1") {
		t.Errorf("too large a transfer is refused as %q", failed.Message)
	}
	sent, err := s.client.SendTransactionWithOpts(ctx, failing, rpc.TransactionOpts{SkipPreflight: true})
	check(t, err)
	statuses, err := s.client.GetSignatureStatuses(ctx, false, sent)
	check(t, err)
	if statuses.Value[0] == nil || statuses.Value[0].Err == nil {
		t.Errorf("the failed transfer has the status %+v, want its error", statuses.Value[0])
	}
	after, err := s.client.GetBalance(ctx, s.rich.PublicKey(), rpc.CommitmentProcessed)
	check(t, err)
	if before.Value-after.Value != 5000 {
		t.Errorf("a duplicate and a failure cost %d lamports, want the failure's fee of 5000", before.Value-after.Value)
	}

	spoilt := s.signed(t, s.hash(ctx, t), transfer)
	spoilt.Signatures[0][0] ^= 1
	_, err = s.client.SendTransactionWithOpts(ctx, spoilt, processed)
	if failed := failure(t, err); failed.Code != -32003 {
		t.Errorf("a wrong signature is refused as %v", err)
	}
	if _, err := s.client.SendTransactionWithOpts(ctx, spoilt, rpc.TransactionOpts{SkipPreflight: true}); err != nil {
		t.Errorf("without preflight a wrong signature is refused as %v, which no validator notices", err)
	}
	if got := s.status(ctx, t, spoilt.Signatures[0]); got != "" {
		t.Errorf("the transaction with the wrong signature is %s", got)
	}
	unsigned := s.signed(t, s.hash(ctx, t), transfer)
	unsigned.Signatures[0] = solana.Signature{}
	simulated, err := s.client.SimulateTransactionWithOpts(ctx, unsigned,
		&rpc.SimulateTransactionOpts{Commitment: rpc.CommitmentProcessed})
	if err != nil || simulated.Value.Err != nil {
		t.Errorf("an unsigned transaction is simulated to %+v (%v)", simulated, err)
	}

	poor := still{Chain: s.Chain, client: s.client, rich: solana.NewWallet().PrivateKey}
	_, err = s.client.SendTransactionWithOpts(ctx,
		poor.signed(t, s.hash(ctx, t), system.NewTransferInstruction(1, poor.rich.PublicKey(), s.rich.PublicKey()).Build()),
		processed)
	if cause(t, err) != "AccountNotFound" {
		t.Errorf("a payer without an account is refused as %v", err)
	}
	for params, want := range map[string]int{`["!", {"encoding":"base64"}]`: -32602,
		`["AAAA", {"encoding":"base64"}]`: -32602, `[]`: -32602} {
		var result any
		if err := s.client.RPCCallForInto(ctx, &result, "sendTransaction", raw(params)); failure(t, err).Code != want {
			t.Errorf("sendTransaction%s is refused as %v, want code %d", params, err, want)
		}
	}
	if err := s.client.RPCCallForInto(ctx, new(any), "loop_warp", []any{1}); failure(t, err).Code != -32601 {
		t.Errorf("a node takes the admin's method: %v", err)
	}
}

func raw(params string) []any {
	switch params {
	case `[]`:
		return []any{}
	case `["!", {"encoding":"base64"}]`:
		return []any{"!", map[string]any{"encoding": "base64"}}
	}
	return []any{"AAAA", map[string]any{"encoding": "base64"}}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{})
	address, owner := solana.NewWallet().PublicKey(), solana.NewWallet().PublicKey()
	data := make([]byte, 300)
	for i := range data {
		data[i] = byte(i)
	}
	check(t, s.SetAccount(ctx, address, Account{Lamports: 5_000_000, Data: data, Owner: owner}))
	offset, length := uint64(8), uint64(16)
	sliced, err := s.client.GetAccountInfoWithOpts(ctx, address, &rpc.GetAccountInfoOpts{
		Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentProcessed,
		DataSlice: &rpc.DataSlice{Offset: &offset, Length: &length},
	})
	check(t, err)
	if diff := cmp.Diff(data[8:24], sliced.Value.Data.GetBinary()); diff != "" || sliced.Value.Owner != owner ||
		sliced.Value.Lamports != 5_000_000 || !sliced.Value.RentEpoch.IsUint64() {
		t.Errorf("the slice is %+v", sliced.Value)
	}
	offset = 1000
	if beyond, err := s.client.GetAccountInfoWithOpts(ctx, address, &rpc.GetAccountInfoOpts{
		Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentProcessed,
		DataSlice: &rpc.DataSlice{Offset: &offset, Length: &length},
	}); err != nil || len(beyond.Value.Data.GetBinary()) != 0 {
		t.Errorf("a slice beyond the end is %v (%v), want nothing", beyond, err)
	}
	absent := solana.NewWallet().PublicKey()
	many, err := s.client.GetMultipleAccountsWithOpts(ctx, []solana.PublicKey{absent, address},
		&rpc.GetMultipleAccountsOpts{Encoding: solana.EncodingBase64, Commitment: rpc.CommitmentProcessed})
	check(t, err)
	if many.Value[0] != nil || !slices.Equal(many.Value[1].Data.GetBinary(), data) {
		t.Errorf("several accounts are told as %+v", many.Value)
	}
	if _, err := s.client.GetAccountInfo(ctx, absent); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("an account that is not there ends with %v", err)
	}
	// Without a commitment a node answers what is final, where the account is not yet.
	if _, err := s.client.GetAccountInfo(ctx, address); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("an account that is not final ends with %v", err)
	}
	genesis, err := s.client.GetGenesisHash(ctx)
	check(t, err)
	if again, err := s.client.GetGenesisHash(ctx); err != nil || again != genesis || genesis.IsZero() {
		t.Errorf("the genesis hash is %s, then %s (%v)", genesis, again, err)
	}
}

// TestSubscriptions listens to everything with the client that relayers have.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{FinalizedAfter: 3})
	socket, err := ws.Connect(ctx, s.Nodes()[0].WSURL)
	check(t, err)
	defer socket.Close()
	transfer, to := s.pay(solana.LAMPORTS_PER_SOL)
	tx := s.signed(t, s.hash(ctx, t), transfer)
	soon, err := socket.AccountSubscribeWithOpts(to, rpc.CommitmentProcessed, solana.EncodingBase64)
	check(t, err)
	late, err := socket.AccountSubscribeWithOpts(to, rpc.CommitmentConfirmed, solana.EncodingBase64)
	check(t, err)
	logs, err := socket.LogsSubscribeMentions(to, rpc.CommitmentConfirmed)
	check(t, err)
	all, err := socket.LogsSubscribe(ws.LogsSubscribeFilterAll, rpc.CommitmentProcessed)
	check(t, err)
	others, err := socket.LogsSubscribeMentions(solana.NewWallet().PublicKey(), rpc.CommitmentProcessed)
	check(t, err)
	finalized, err := socket.SignatureSubscribe(tx.Signatures[0], rpc.CommitmentFinalized)
	check(t, err)
	// The node takes requests in their order, so the others are there once the last one was told of a slot.
	slots, err := socket.SlotSubscribe()
	check(t, err)
	var first uint64
	for first == 0 {
		made := s.warp(ctx, t, 1)
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		if slot, err := slots.Recv(short); err == nil {
			first = made
			if slot.Parent != slot.Slot-1 || slot.Root != slot.Slot-3 {
				t.Errorf("a slot is told as %+v", slot)
			}
		}
		cancel()
	}

	signature, err := s.client.SendTransactionWithOpts(ctx, tx, processed)
	check(t, err)
	second, _ := s.pay(solana.LAMPORTS_PER_SOL)
	next, err := s.client.SendTransactionWithOpts(ctx, s.signed(t, s.hash(ctx, t), second), processed)
	check(t, err)
	for _, want := range []solana.Signature{signature, next} {
		log, err := all.Recv(ctx)
		check(t, err)
		if log.Value.Signature != want {
			t.Errorf("the logs of %s are told, want those of %s", log.Value.Signature, want)
		}
	}
	account, err := soon.Recv(ctx)
	check(t, err)
	if account.Value.Lamports != solana.LAMPORTS_PER_SOL || account.Context.Slot != first {
		t.Errorf("the account is told as %+v", account)
	}
	s.warp(ctx, t, 1)
	account, err = late.Recv(ctx)
	check(t, err)
	if account.Value.Lamports != solana.LAMPORTS_PER_SOL || account.Context.Slot != first {
		t.Errorf("the confirmed account is told as %+v", account)
	}
	log, err := logs.Recv(ctx)
	check(t, err)
	if log.Value.Signature != signature || log.Context.Slot != first || len(log.Value.Logs) != 2 || log.Value.Err != nil {
		t.Errorf("the logs are told as %+v", log.Value)
	}
	early, cancelEarly := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancelEarly()
	if final, err := finalized.Recv(early); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before it is final the signature is told as %+v (%v)", final, err)
	}
	s.warp(ctx, t, 2)
	final, err := finalized.Recv(ctx)
	check(t, err)
	if final.Value.Err != nil {
		t.Errorf("the signature is told as %+v", final.Value)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if other, err := others.Recv(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a subscription to another account got %+v (%v)", other, err)
	}
	slots.Unsubscribe()
	late.Unsubscribe()
}

// TestVersion1 reads a transaction of version 1, which a reader has to say that it knows.
func TestVersion1(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{})
	var signature string
	check(t, s.call(ctx, &signature, "loop_version1", map[string]any{"priorityFee": 5000, "computeUnitLimit": 300_000}))
	slot := s.warp(ctx, t, 1) - 1
	read := func(newest any) (map[string]any, error) {
		options := rpc.M{"encoding": "json", "commitment": "confirmed"}
		if newest != nil {
			options["maxSupportedTransactionVersion"] = newest
		}
		var block struct{ Transactions []map[string]any } // whose numbers are of 64 bits, floating
		err := s.client.RPCCallForInto(ctx, &block, "getBlock", []any{slot, options})
		if err != nil || len(block.Transactions) == 0 {
			return nil, err
		}
		return block.Transactions[len(block.Transactions)-1], nil
	}
	for _, newest := range []any{nil, 0} {
		_, err := read(newest)
		if refusal := failure(t, err); refusal.Code != -32015 {
			t.Errorf("asked for versions up to %v the node answers %v", newest, refusal)
		}
	}
	got, err := read(1)
	check(t, err)
	message := got["transaction"].(map[string]any)["message"].(map[string]any)
	want := map[string]any{"priorityFee": 5000.0, "computeUnitLimit": 300_000.0, "heapSize": nil,
		"loadedAccountsDataSizeLimit": nil}
	if diff := cmp.Diff(want, message["transactionConfig"]); diff != "" || got["version"] != 1.0 {
		t.Errorf("version %v, configuration (-want +got):\n%s", got["version"], diff)
	}
	fees, err := s.client.GetRecentPrioritizationFees(ctx, nil)
	check(t, err)
	if newest := fees[len(fees)-2]; newest.Slot != slot || newest.PrioritizationFee != 16_666 {
		t.Errorf("the newest fee is %+v, want 16666 at slot %d", newest, slot)
	}
}

// TestFaults gives one of two nodes each fault, and looks at the other, too.
func TestFaults(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{Nodes: 2})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ask := func(node int, limit time.Duration) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Nodes()[node].RPCURL,
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"getHealth"}`))
		check(t, err)
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err == nil {
			defer response.Body.Close()
		}
		return response, err
	}
	for name, test := range map[string]struct {
		fault Fault
		want  func(*http.Response, error) bool
	}{
		"down": {Fault{Kind: "down"}, func(_ *http.Response, err error) bool {
			var refused *net.OpError
			return errors.As(err, &refused)
		}},
		"hang": {Fault{Kind: "hang"}, func(_ *http.Response, err error) bool {
			return errors.Is(err, context.DeadlineExceeded)
		}},
		"garbage": {Fault{Kind: "garbage"}, func(r *http.Response, err error) bool {
			return err == nil && r.StatusCode == 200 && r.ContentLength == 200
		}},
		"html": {Fault{Kind: "html"}, func(r *http.Response, err error) bool {
			return err == nil && r.Header.Get("Content-Type") == "text/html"
		}},
		"status": {Fault{Kind: "status", Status: 429}, func(r *http.Response, err error) bool {
			return err == nil && r.StatusCode == 429
		}},
	} {
		socket, err := ws.Connect(ctx, s.Nodes()[0].WSURL)
		check(t, err)
		slots, err := socket.SlotSubscribe()
		check(t, err)
		check(t, s.Fail(ctx, 0, test.fault))
		limit := time.Minute
		if test.fault.Kind == "hang" {
			limit = 200 * time.Millisecond
		}
		if response, err := ask(0, limit); !test.want(response, err) {
			t.Errorf("with the fault %s the node answers %+v (%v)", name, response, err)
		}
		if response, err := ask(1, time.Minute); err != nil || response.StatusCode != 200 {
			t.Errorf("with the fault %s of the one the other answers %+v (%v)", name, response, err)
		}
		s.warp(ctx, t, 1)
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		if slot, err := slots.Recv(short); slot != nil {
			t.Errorf("with the fault %s the node tells of %+v (%v)", name, slot, err)
		}
		cancel()
		socket.Close()
		check(t, s.Heal(ctx, 0))
		if response, err := ask(0, time.Minute); err != nil || response.StatusCode != 200 {
			t.Errorf("healed of %s the node answers %+v (%v)", name, response, err)
		}
	}
	if err := s.Fail(ctx, 0, Fault{Kind: "boredom"}); err == nil || !strings.Contains(err.Error(), "there is no fault") {
		t.Errorf("an unknown fault ends with %v", err)
	}
	if err := s.Heal(ctx, 2); err == nil || !strings.Contains(err.Error(), "their numbers go from 0 to 1") {
		t.Errorf("an unknown node ends with %v", err)
	}
}

// TestLag reads the past from a node that is behind.
func TestLag(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{Nodes: 2})
	transfer, to := s.pay(solana.LAMPORTS_PER_SOL)
	check(t, s.Fail(ctx, 0, Fault{Kind: "lag", Slots: 100}))
	signature, err := s.client.SendTransactionWithOpts(ctx, s.signed(t, s.hash(ctx, t), transfer),
		rpc.TransactionOpts{SkipPreflight: true})
	check(t, err)
	other := rpc.New(s.Nodes()[1].RPCURL)
	defer other.Close()
	slot, err := s.client.GetSlot(ctx, rpc.CommitmentProcessed)
	check(t, err)
	ahead, err := other.GetSlot(ctx, rpc.CommitmentProcessed)
	check(t, err)
	if ahead-slot != 100 {
		t.Errorf("the nodes are at slots %d and %d, want 100 between them", slot, ahead)
	}
	for behind := 100; ; behind -= 99 {
		balance, err := s.client.GetBalance(ctx, to, rpc.CommitmentProcessed)
		check(t, err)
		status := s.status(ctx, t, signature)
		if behind <= 0 {
			if balance.Value != solana.LAMPORTS_PER_SOL || status == "" {
				t.Errorf("100 slots later the node has the balance %d and the status %q", balance.Value, status)
			}
			break
		}
		if balance.Value != 0 || status != "" {
			t.Errorf("%d slots behind the node has the balance %d and the status %q", behind, balance.Value, status)
		}
		s.warp(ctx, t, 99)
	}
	newer, _ := s.pay(solana.LAMPORTS_PER_SOL)
	latest, err := other.GetLatestBlockhash(ctx, rpc.CommitmentProcessed)
	check(t, err)
	tx := s.signed(t, latest.Value.Blockhash, newer)
	if _, err := s.client.SendTransactionWithOpts(ctx, tx, processed); cause(t, err) != "BlockhashNotFound" {
		t.Errorf("a blockhash that the node has not seen is refused as %v", err)
	}
	_, err = other.SendTransactionWithOpts(ctx, tx, processed)
	check(t, err)
	if _, err := s.client.GetHealth(ctx); err != nil {
		t.Errorf("100 slots behind the node's health is %v, and a validator calls that good", err)
	}
	check(t, s.Fail(ctx, 0, Fault{Kind: "lag", Slots: 200}))
	if _, err := s.client.GetHealth(ctx); failure(t, err).Code != -32005 {
		t.Errorf("200 slots behind the node's health is %v", err)
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{})
	check(t, s.Fail(ctx, 0, Fault{Kind: "drop", Transactions: 2}))
	transfer, _ := s.pay(solana.LAMPORTS_PER_SOL)
	tx := s.signed(t, s.hash(ctx, t), transfer)
	for i, want := range []rpc.ConfirmationStatusType{"", "", "processed"} {
		signature, err := s.client.SendTransactionWithOpts(ctx, tx, processed)
		check(t, err)
		if got := s.status(ctx, t, signature); got != want {
			t.Errorf("sent %d times the transaction is %q, want %q", i+1, got, want)
		}
	}
}

// TestSlots lets the chain make slots by itself.
func TestSlots(t *testing.T) {
	t.Parallel()
	ctx, s := startStill(t, Settings{})
	check(t, s.call(ctx, nil, "loop_tick", 10))
	socket, err := ws.Connect(ctx, s.Nodes()[0].WSURL)
	check(t, err)
	defer socket.Close()
	slots, err := socket.SlotSubscribe()
	check(t, err)
	var last uint64
	for range 10 {
		slot, err := slots.Recv(ctx)
		check(t, err)
		if last != 0 && slot.Slot != last+1 {
			t.Errorf("slot %d came after %d", slot.Slot, last)
		}
		last = slot.Slot
	}
	latest, err := s.client.GetLatestBlockhash(ctx, rpc.CommitmentProcessed)
	check(t, err)
	if latest.Context.Slot < last {
		t.Errorf("after slot %d the newest blockhash is of slot %d", last, latest.Context.Slot)
	}
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Start(t.Context(), Settings{Dir: dir}); err == nil ||
		!strings.Contains(err.Error(), "run `make solana`") && !strings.Contains(err.Error(), "install Node.js") {
		t.Errorf("a folder without the chain ends with %v", err)
	}
	t.Setenv("PATH", dir)
	if _, err := Start(t.Context(), Settings{Dir: dir}); err == nil ||
		!strings.Contains(err.Error(), "install Node.js 20 or later") {
		t.Errorf("without Node.js it ends with %v", err)
	}
	if _, err := Locate(); err == nil || !strings.Contains(err.Error(), "run `make solana`") {
		t.Errorf("without a chain beside this program Locate ends with %v", err)
	}
}
