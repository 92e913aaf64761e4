package account_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keystore signs as the host does.
type keystore struct{ key ed25519.PrivateKey }

func (k keystore) ListAccounts(context.Context, *hostservicev1.ListAccountsRequest,
	...grpc.CallOption) (*hostservicev1.ListAccountsResponse, error) {
	return &hostservicev1.ListAccountsResponse{
		Accounts: []string{sol.PublicKeyFromBytes(k.key.Public().(ed25519.PublicKey)).String()}}, nil
}

func (k keystore) Sign(_ context.Context, in *hostservicev1.SignRequest,
	_ ...grpc.CallOption) (*hostservicev1.SignResponse, error) {
	return &hostservicev1.SignResponse{Signature: ed25519.Sign(k.key, in.GetData())}, nil
}

// node is a fake of an RPC node: what it answers is in its fields. It is no chain.
type node struct {
	*relayertest.Server
	mu        sync.Mutex
	height    uint64
	blockhash sol.Hash
	statuses  map[string]any // by signature; within the node's memory
	history   map[string]any
	state     []byte
	stateSlot uint64
	sendErr   error
	sent      []string
	units     any
	noHistory bool
	balance   any // an error: the node does not say it
	least     any // likewise
}

func newNode(t *testing.T) *node {
	n := &node{Server: relayertest.NewServer(t, ""), height: 100, blockhash: sol.Hash{1}, statuses: map[string]any{},
		history: map[string]any{}, stateSlot: 50, balance: uint64(7_000_000), least: 890_880}
	answer := func(method string, script func(params []json.RawMessage) (any, error)) {
		n.Answer(method, func(text json.RawMessage) (any, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			var params []json.RawMessage
			_ = json.Unmarshal(text, &params)
			return script(params)
		})
	}
	inContext := func(value any) any {
		return map[string]any{"context": map[string]any{"slot": n.stateSlot}, "value": value}
	}
	answer("getGenesisHash", func([]json.RawMessage) (any, error) { return "11111111111111111111111111111111", nil })
	answer("getSlot", func([]json.RawMessage) (any, error) { return n.stateSlot, nil })
	answer("getBlockHeight", func([]json.RawMessage) (any, error) { return n.height, nil })
	answer("getLatestBlockhash", func([]json.RawMessage) (any, error) {
		return inContext(map[string]any{"blockhash": n.blockhash.String(), "lastValidBlockHeight": n.height + 150}), nil
	})
	answer("getBalance", func([]json.RawMessage) (any, error) {
		err, _ := n.balance.(error)
		return inContext(n.balance), err
	})
	answer("getMinimumBalanceForRentExemption", func([]json.RawMessage) (any, error) {
		err, _ := n.least.(error)
		return n.least, err
	})
	answer("getSignatureStatuses", func(params []json.RawMessage) (any, error) {
		var signatures []string
		_ = json.Unmarshal(params[0], &signatures)
		known := maps.Clone(n.statuses)
		if len(params) > 1 {
			if n.noHistory {
				return nil, errors.New("Transaction history is not available from this node")
			}
			maps.Copy(known, n.history)
		}
		values := make([]any, len(signatures))
		for i, s := range signatures {
			values[i] = known[s]
		}
		return inContext(values), nil
	})
	answer("getMultipleAccounts", func(params []json.RawMessage) (any, error) {
		var keys []string
		_ = json.Unmarshal(params[0], &keys)
		values := make([]any, len(keys))
		for i := range keys {
			if n.state != nil {
				values[i] = map[string]any{"data": []string{base64.StdEncoding.EncodeToString(n.state), "base64"},
					"owner": "11111111111111111111111111111111", "lamports": 1, "executable": false, "rentEpoch": 0}
			}
		}
		return inContext(values), nil
	})
	answer("simulateTransaction", func([]json.RawMessage) (any, error) { return inContext(n.units), nil })
	answer("sendTransaction", func(params []json.RawMessage) (any, error) {
		n.sent = append(n.sent, string(params[1]))
		return "1111111111111111111111111111111111111111111111111111111111111111", n.sendErr
	})
	return n
}

func (n *node) set(change func(*node)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

func status(commitment string, failure any) any {
	return map[string]any{"slot": 60, "confirmations": nil, "err": failure, "confirmationStatus": commitment}
}

// fixture is an account on a fake node.
type fixture struct {
	*account.Account
	key     ed25519.PrivateKey
	node    *node
	horizon endpoint.Horizon
}

func newFixture(t *testing.T, key ed25519.PrivateKey, change func(*account.Settings)) *fixture {
	t.Helper()
	f := &fixture{key: key, node: newNode(t)}
	pool := relayer.NewPool(relayer.PoolSettings{Timeout: time.Minute},
		[]relayer.Node[*endpoint.Client]{{Name: "n", Driver: endpoint.NewDriver(endpoint.Settings{
			URL: f.node.HTTPURL, ChainID: "localnet", Commitment: rpc.CommitmentConfirmed, PollInterval: time.Second,
			Timeout:  time.Minute,
			Accounts: &relayer.Followed[sol.PublicKey]{}, Pushed: func(sol.PublicKey, uint64, []byte) {},
		})}})
	t.Cleanup(func() { must(t, pool.Close()) })
	settings := account.Settings{
		Key: sol.PublicKeyFromBytes(key.Public().(ed25519.PublicKey)), Keystore: keystore{key}, Pool: pool,
		Horizon: &f.horizon, Commitment: rpc.CommitmentConfirmed,
		SkipPreflight: true, UnitLimit: 200_000, Fees: account.Fees{Default: 1234, Max: 10_000, BumpPeriod: time.Minute},
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&settings)
	}
	f.Account = account.New(settings)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := pool.Best(); err == nil {
			return f
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func newKey(t *testing.T) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	return key
}

func (f *fixture) payload(t *testing.T, once bool) []byte {
	t.Helper()
	call := account.NewCall(
		sol.NewInstruction(sol.SystemProgramID,
			sol.AccountMetaSlice{sol.Meta(sol.PublicKeyFromBytes(f.key.Public().(ed25519.PublicKey))).SIGNER().WRITE()},
			[]byte{1}))
	call.Once = once
	payload, err := call.Encode()
	must(t, err)
	return payload
}

// TestTransmissionVector compares a whole transmission with six signatures, its own signature included, with the bytes
// that testdata/vectors.py of ocr2 computed.
func TestTransmissionVector(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../ocr2/testdata/vectors.json")
	must(t, err)
	var v struct {
		StateKey    sol.PublicKey `json:"state_key"`
		FeedKey     sol.PublicKey `json:"feed_key"`
		Seed        string        `json:"transmitter_seed"`
		Transmitter sol.PublicKey `json:"transmitter"`
		Digest      string        `json:"digest"`
		Report      string        `json:"report"`
		Signatures  []string      `json:"signatures"`
		Transaction string        `json:"transaction"`
	}
	must(t, json.Unmarshal(text, &v))
	unhex := func(text string) []byte {
		data, err := hex.DecodeString(text)
		must(t, err)
		return data
	}
	f := newFixture(t, ed25519.NewKeyFromSeed(unhex(v.Seed)), nil)
	f.node.set(func(n *node) {
		for i := range n.blockhash {
			n.blockhash[i] = byte(77 + i)
		}
	})
	words := [3][32]byte{[32]byte(unhex(v.Digest))}
	copy(words[1][27:], []byte{1, 2, 3, 4, 5})
	for i := range words[2] {
		words[2][i] = byte(32 + i)
	}
	var signatures [][]byte
	for _, s := range v.Signatures {
		signatures = append(signatures, unhex(s))
	}
	contract := ocr2.Contract{
		Program: sol.MustPublicKeyFromBase58("cjg3oHmg9uuPsP8D6g29NWvhySJkdYdAo9D25PRbKXJ"),
		Store:   sol.MustPublicKeyFromBase58("HEvSKofvBgfaexv23kMabbYqxasxU3mQ4ibBMEmJWHny"),
		State:   v.StateKey, Feed: v.FeedKey,
	}
	instruction, err := contract.Transmit(v.Transmitter, words, unhex(v.Report), signatures)
	must(t, err)
	payload, err := account.NewCall(instruction).Encode()
	must(t, err)
	attempt, err := f.Sign(t.Context(), relayer.Draft{Payload: payload})
	must(t, err)
	if got := hex.EncodeToString(attempt.Raw); got != v.Transaction {
		t.Errorf("transaction\n%s, want\n%s", got, v.Transaction)
	}
	if len(attempt.Raw) != 936 {
		t.Errorf("%d bytes, want 936", len(attempt.Raw))
	}
	if parsed, err := sol.TransactionFromBytes(attempt.Raw); err != nil ||
		parsed.Signatures[0].String() != attempt.Hash ||
		parsed.VerifySignatures() != nil {
		t.Errorf("the transaction is read back with %v, %v", parsed, err)
	}
}

// TestUnfunded checks when an account cannot pay, that what counts is the cheapest attempt, that it is so until the
// account is funded, whether or not it has a transaction, and that a node which does not say what an account holds, or
// has to keep, holds nothing up.
func TestUnfunded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newKey(t), func(s *account.Settings) { s.Fees.BumpPeriod = time.Nanosecond })
	var attempts []relayer.Attempt
	for range 2 {
		attempt, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false), Attempts: attempts})
		must(t, err)
		attempt.Signed = time.Now().Add(-time.Hour)
		attempts = append(attempts, attempt)
	}
	flying := []relayer.Flight{{Attempts: attempts}}
	lacks := relayertest.RPCError{Code: -32601, Message: "Method not found"}
	refuses := relayertest.RPCError{Code: -32000, Message: "The method is not part of your plan"}
	breaks := relayertest.RPCError{Code: -32603, Message: "Internal error"}
	for i, c := range []struct {
		flights []relayer.Flight
		balance any
		least   any
		short   bool
		stuck   bool
	}{
		{nil, 0, 890_880, false, false}, // nothing is known of what it owes
		{flying, 896_126, 890_880, true, true},
		{nil, 896_126, 890_880, true, false},
		{flying, 896_127, 890_880, false, false}, // now that it is funded, its price may do
		{flying, 5_246, 890_880, true, true},
		{flying, 5_247, 890_880, false, false}, // an account may be emptied
		{flying, 5_248, 890_880, true, true},
		{flying, 5_248, lacks, false, false},
		{flying, 5_248, refuses, false, true},
		{flying, 5_248, breaks, false, true},
		{flying, 5_246, breaks, true, true},
		{flying, lacks, 890_880, false, true},
		{flying, refuses, 890_880, false, true},
	} {
		f.node.set(func(n *node) { n.balance, n.least = c.balance, c.least })
		survey, err := f.Survey(t.Context(), c.flights, nil)
		must(t, err)
		stuck := len(survey.Outcomes) > 0 && survey.Outcomes[0].Stuck
		if short := survey.Unfunded != ""; short != c.short || stuck != c.stuck {
			t.Errorf("case %d: %q and stuck %v, want %v and %v", i, survey.Unfunded, stuck, c.short, c.stuck)
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	stale := map[string]any{"InstructionError": []any{1, map[string]any{"Custom": 6003}}}
	cases := map[string]struct {
		attempts int
		set      func(n *node, hashes []string)
		want     relayer.Outcome // Hash: "0" or "1" for that attempt's, whose fee it has if it is for good
	}{
		"nothing yet": {1, func(*node, []string) {}, relayer.Outcome{}},
		"processed": {1, func(n *node, h []string) { n.statuses[h[0]] = status("processed", nil) },
			relayer.Outcome{State: relayer.Succeeded, Hash: "0"}},
		"confirmed": {1, func(n *node, h []string) { n.statuses[h[0]] = status("confirmed", nil) },
			relayer.Outcome{State: relayer.SucceededForGood, Hash: "0"}},
		"finalized": {1, func(n *node, h []string) { n.statuses[h[0]] = status("finalized", nil) },
			relayer.Outcome{State: relayer.SucceededForGood, Hash: "0"}},
		"failed": {1, func(n *node, h []string) { n.statuses[h[0]] = status("confirmed", stale) },
			relayer.Outcome{State: relayer.RevertedForGood, Hash: "0"}},
		"fails, not for good": {1, func(n *node, h []string) { n.statuses[h[0]] = status("processed", stale) },
			relayer.Outcome{State: relayer.Reverted, Hash: "0"}},
		"last moment": {1, func(n *node, _ []string) { n.height = 250 }, relayer.Outcome{}},
		"expired":     {1, func(n *node, _ []string) { n.height = 251 }, relayer.Outcome{State: relayer.Lost}},
		"expired, in history": {
			1,
			func(n *node, h []string) { n.height = 9999; n.history[h[0]] = status("finalized", nil) },
			relayer.Outcome{State: relayer.SucceededForGood, Hash: "0"},
		},
		"expired, no history": {1, func(n *node, _ []string) {
			n.height, n.noHistory = 9999, true
		}, relayer.Outcome{State: relayer.Lost}},
		"one of two succeeded": {2, func(n *node, h []string) {
			n.statuses[h[0]] = status("confirmed", stale)
			n.statuses[h[1]] = status("confirmed", nil)
		}, relayer.Outcome{State: relayer.SucceededForGood, Hash: "1"}},
		"first of two succeeded": {2, func(n *node, h []string) {
			n.statuses[h[1]] = status("confirmed", stale)
			n.statuses[h[0]] = status("confirmed", nil)
		}, relayer.Outcome{State: relayer.SucceededForGood, Hash: "0"}},
		"one failed, one may land": {2, func(n *node, h []string) { n.statuses[h[0]] = status("confirmed", stale) },
			relayer.Outcome{State: relayer.Reverted, Hash: "0"}},
		"one failed, one expired": {2, func(n *node, h []string) {
			n.height = 251
			n.statuses[h[0]] = status("confirmed", stale)
		}, relayer.Outcome{State: relayer.RevertedForGood, Hash: "0"}},
		"both expired": {2, func(n *node, _ []string) { n.height = 251 }, relayer.Outcome{State: relayer.Lost}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, newKey(t), nil)
			var attempts []relayer.Attempt
			var hashes []string
			for range c.attempts {
				attempt, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false), Attempts: attempts})
				must(t, err)
				attempt.Signed = time.Now()
				attempts, hashes = append(attempts, attempt), append(hashes, attempt.Hash)
			}
			f.node.set(func(n *node) { c.set(n, hashes) })
			survey, err := f.Survey(t.Context(), []relayer.Flight{{Attempts: attempts}}, nil)
			must(t, err)
			// A signature, and 247 lamports for the limit of units at the default price, which the second attempt doubles.
			fees := []int64{5247, 5494}
			if c.want.State == relayer.SucceededForGood || c.want.State == relayer.RevertedForGood {
				c.want.Fee = big.NewInt(fees[c.want.Hash[0]-'0'])
			}
			if c.want.Hash != "" {
				c.want.Hash = hashes[c.want.Hash[0]-'0']
			}
			if diff := cmp.Diff([]relayer.Outcome{c.want}, survey.Outcomes, cmp.AllowUnexported(big.Int{})); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestManyStatuses checks that the statuses of more signatures than one request may have are asked for.
func TestManyStatuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newKey(t), nil)
	attempt, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false)})
	must(t, err)
	attempt.Signed = time.Now()
	flights := make([]relayer.Flight, 600)
	for i := range flights {
		copied := attempt
		copied.Hash = fmt.Sprint("signature ", i)
		flights[i] = relayer.Flight{Sequence: uint64(i), Attempts: []relayer.Attempt{copied}}
	}
	f.node.set(func(n *node) { n.statuses["signature 599"] = status("confirmed", nil) })
	survey, err := f.Survey(t.Context(), flights, nil)
	must(t, err)
	if got := survey.Outcomes[599]; got.State != relayer.SucceededForGood || survey.Outcomes[0].State != relayer.Pending {
		t.Errorf("outcomes %v, %v", survey.Outcomes[0], got)
	}
	if n := f.node.Requests("getSignatureStatuses"); n != 3 {
		t.Errorf("%d questions for 600 signatures, want 3", n)
	}
}

func TestBumps(t *testing.T) {
	t.Parallel()
	market := uint64(0)
	var asked []sol.PublicKey
	f := newFixture(t, newKey(t), func(s *account.Settings) {
		s.Fees = account.Fees{Max: 5, BumpPeriod: time.Second,
			Market: func(_ context.Context, written []sol.PublicKey) uint64 {
				asked = written
				return market
			}}
	})
	var attempts []relayer.Attempt
	price := func(a relayer.Attempt) uint64 {
		tx, err := sol.TransactionFromBytes(a.Raw)
		must(t, err)
		data := tx.Message.Instructions[0].Data
		if len(data) != 9 || data[0] != 3 {
			t.Fatalf("the first instruction is %x", data)
		}
		return uint64(data[1]) | uint64(data[2])<<8
	}
	for _, want := range []uint64{0, 1, 2, 4, 5} {
		attempt, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false), Attempts: attempts})
		must(t, err)
		if got := price(attempt); got != want {
			t.Errorf("attempt %d offers %d, want %d", len(attempts), got, want)
		}
		attempt.Signed = time.Now().Add(-2 * time.Second)
		attempts = append(attempts, attempt)
		f.node.set(func(n *node) { n.blockhash[0]++ }) // which the next attempt must not have
	}
	if _, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false), Attempts: attempts}); !errors.Is(err,
		relayer.ErrCeiling) {
		t.Errorf("above the highest price: %v", err)
	}
	first, err := sol.TransactionFromBytes(attempts[0].Raw)
	must(t, err)
	last, err := sol.TransactionFromBytes(attempts[4].Raw)
	must(t, err)
	if first.Message.RecentBlockhash != last.Message.RecentBlockhash {
		t.Error("a replacement lives longer than what it replaces")
	}
	survey, err := f.Survey(t.Context(), []relayer.Flight{{Attempts: attempts[:1]}}, nil)
	must(t, err)
	if !survey.Outcomes[0].Stuck {
		t.Error("a transaction that no block takes is not stuck")
	}
	if asked == nil || len(asked) > 0 {
		t.Errorf("the market was asked for %v, and the transaction writes to nothing but the account that pays", asked)
	}
	market = 3
	mine, other := sol.PublicKeyFromBytes(f.key.Public().(ed25519.PublicKey)), sol.PublicKey{7}
	accounts := sol.AccountMetaSlice{sol.Meta(mine).SIGNER().WRITE(), sol.Meta(other).WRITE(), sol.Meta(sol.PublicKey{8})}
	payload, err := account.NewCall(sol.NewInstruction(sol.SystemProgramID, accounts, []byte{1})).Encode()
	must(t, err)
	fresh, err := f.Sign(t.Context(), relayer.Draft{Payload: payload})
	must(t, err)
	if want := []sol.PublicKey{other}; !slices.Equal(asked, want) {
		t.Errorf("the market was asked for %v, want what others write to as well, %v", asked, want)
	}
	if got := price(fresh); got != 3 {
		t.Errorf("a first attempt offers %d, and the market 3", got)
	}
}

// TestDeadBlockhash checks that a blockhash which the chain has left behind signs nothing more, however lately it was
// asked for.
func TestDeadBlockhash(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newKey(t), nil)
	first, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false)})
	must(t, err)
	f.node.set(func(n *node) { n.height, n.blockhash[0] = 9999, 7 })
	survey, err := f.Survey(t.Context(), []relayer.Flight{{Attempts: []relayer.Attempt{first}}}, nil)
	must(t, err)
	second, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false)})
	must(t, err)
	if survey.Outcomes[0].State != relayer.Lost || first.Hash == second.Hash {
		t.Errorf("after %v the same transaction is signed: %t", survey.Outcomes[0], first.Hash == second.Hash)
	}
}

// TestOnce checks that what would have two effects is never signed twice.
func TestOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newKey(t), func(s *account.Settings) { s.Fees.BumpPeriod = time.Nanosecond })
	attempt, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, true)})
	must(t, err)
	attempt.Signed = time.Now().Add(-time.Second)
	survey, err := f.Survey(t.Context(), []relayer.Flight{{Attempts: []relayer.Attempt{attempt}}}, nil)
	must(t, err)
	if survey.Outcomes[0].Stuck {
		t.Error("a transfer is to be replaced")
	}
	if _, err := f.Sign(t.Context(),
		relayer.Draft{Payload: f.payload(t, true), Attempts: []relayer.Attempt{attempt}}); !errors.Is(err,
		relayer.ErrCeiling) {
		t.Errorf("a transfer is signed again: %v", err)
	}
	must(t, f.Send(t.Context(), attempt))
	var options struct{ SkipPreflight bool }
	must(t, json.Unmarshal([]byte(f.node.sent[0]), &options))
	if options.SkipPreflight {
		t.Error("a transfer is sent untried")
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newKey(t), nil)
	attempt, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false)})
	must(t, err)
	for text, want := range map[string]string{
		"": "ok", "Transaction simulation failed: This transaction has already been processed": "ok",
		"Transaction simulation failed: Error processing Instruction 1: custom program error: 0x1773":           "refused",
		"Transaction simulation failed: Blockhash not found":                                                    "not now",
		"Node is behind by 200 slots":                                                                           "not now",
		"Transaction simulation failed: Insufficient funds for fee":                                             "unfunded",
		"Transaction simulation failed: Transaction results in an account (0) with insufficient funds for rent": "unfunded",
		"Transaction simulation failed: Attempt to debit an account but found no record of a prior credit.":     "unfunded",
	} {
		f.node.set(func(n *node) {
			n.sendErr = nil
			if text != "" {
				n.sendErr = errors.New(text)
			}
		})
		err := f.Send(t.Context(), attempt)
		got := "ok"
		if err != nil {
			got = "not now"
		}
		if errors.Is(err, relayer.ErrRefused) {
			got = "refused"
			if errors.Is(err, relayer.ErrUnfunded) {
				got = "unfunded"
			}
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	state, err := os.ReadFile("../ocr2/testdata/state.bin") // epoch 0x01020304, round 7
	must(t, err)
	head, err := ocr2.ParseHead(state)
	must(t, err)
	const epoch = 0x01020304
	key := sol.PublicKey{9}.String()
	cases := map[string]struct {
		item    relayer.Item
		state   []byte
		horizon uint64
		want    relayer.Verdict
	}{
		"newer epoch": {relayer.Item{Contract: key, Digest: head.ConfigDigest, Epoch: epoch + 1}, state,
			0, relayer.Verdict{}},
		"newer round": {relayer.Item{Contract: key, Digest: head.ConfigDigest, Epoch: epoch, Round: 8}, state, 99,
			relayer.Verdict{}},
		"same": {relayer.Item{Contract: key, Digest: head.ConfigDigest, Epoch: epoch, Round: 7}, state, 99,
			relayer.Verdict{Stale: "the contract has a transmission of epoch 16909060 round 7"}},
		"older": {relayer.Item{Contract: key, Digest: head.ConfigDigest, Epoch: epoch - 1, Round: 9}, state,
			0, relayer.Verdict{Stale: "the contract has a transmission of epoch 16909060 round 7"}},
		"other digest": {relayer.Item{Contract: key, Epoch: epoch + 1}, state, 50,
			relayer.Verdict{Stale: "the contract has another configuration"}},
		"node that lags": {relayer.Item{Contract: key, Epoch: epoch + 1}, state, 51, relayer.Verdict{Wait: true}},
		"no account": {relayer.Item{Contract: key, Digest: head.ConfigDigest, Epoch: epoch + 1}, nil,
			0, relayer.Verdict{Wait: true}},
		"no state": {relayer.Item{Contract: key, Digest: head.ConfigDigest, Epoch: epoch + 1}, []byte("no state"),
			0, relayer.Verdict{Wait: true}},
		"contract of no key": {relayer.Item{Contract: "0x00"}, state, 0, relayer.Verdict{Wait: true}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, newKey(t), nil)
			f.node.set(func(n *node) { n.state = c.state })
			f.horizon.Reach(c.horizon)
			survey, err := f.Survey(t.Context(), nil, []relayer.Item{c.item})
			must(t, err)
			if diff := cmp.Diff([]relayer.Verdict{c.want}, survey.Verdicts); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		units any
		want  uint32
	}{
		"a fifth more":     {map[string]any{"err": nil, "unitsConsumed": 1000}, 1200},
		"at most all":      {map[string]any{"err": nil, "unitsConsumed": 1_399_999}, 1_400_000},
		"cannot be tried":  {map[string]any{"err": "AccountNotFound", "unitsConsumed": 5}, 200_000},
		"nonsense":         {map[string]any{"err": nil, "unitsConsumed": 1 << 40}, 200_000},
		"nothing":          {nil, 200_000},
		"no units at all":  {map[string]any{"err": nil}, 200_000},
		"answers in words": {"five", 200_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, newKey(t), func(s *account.Settings) { s.EstimateUnits = true })
			f.node.set(func(n *node) { n.units = c.units })
			attempt, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false)})
			must(t, err)
			tx, err := sol.TransactionFromBytes(attempt.Raw)
			must(t, err)
			data := tx.Message.Instructions[2].Data
			if got := uint32(data[1]) | uint32(data[2])<<8 | uint32(data[3])<<16; data[0] != 2 || got != c.want {
				t.Errorf("limit %d in %x, want %d", got, data, c.want)
			}
		})
	}
}

// TestForeignSignature checks that what a keystore signs with another key is not sent.
func TestForeignSignature(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newKey(t), func(s *account.Settings) { s.Keystore = keystore{newKey(t)} })
	if _, err := f.Sign(t.Context(), relayer.Draft{Payload: f.payload(t, false)}); err == nil {
		t.Error("it is taken")
	}
}
