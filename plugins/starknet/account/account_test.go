package account

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTransactionHash compares the hash that accounts sign with what starknet.js computes (../testdata/vectors.mjs).
func TestTransactionHash(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	type bound struct{ Amount, Price stark.Felt }
	var v struct {
		Transactions []struct {
			Chain                                     string
			Sender, Nonce, To, Selector, Hash, Filler stark.Felt
			Calldata                                  []stark.Felt
			L1, L2, L1Data                            bound
		}
	}
	if err := json.Unmarshal(text, &v); err != nil || len(v.Transactions) < 2 {
		t.Fatalf("%d transactions, %v", len(v.Transactions), err)
	}
	for i, c := range v.Transactions {
		chain, err := stark.ShortString(c.Chain)
		if err != nil {
			t.Fatal(err)
		}
		of := func(b bound) Bound {
			amount, ok := b.Amount.Uint64()
			if !ok {
				t.Fatal("a wide amount")
			}
			return Bound{amount, b.Price.Big()}
		}
		nonce, _ := c.Nonce.Uint64()
		tx := Invoke{
			Sender: c.Sender, Nonce: nonce, Calldata: Call{To: c.To, Selector: c.Selector, Calldata: c.Calldata}.calldata(),
			Bounds: Bounds{of(c.L1), of(c.L2), of(c.L1Data)},
		}
		if got, err := tx.Hash(chain); err != nil || got != c.Hash {
			t.Errorf("transaction %d: %s, %v, want %s", i, got, err, c.Hash)
		}
		tx.Calldata = noCalls()
		if got, err := tx.Hash(chain); err != nil || got != c.Filler {
			t.Errorf("filler %d: %s, %v, want %s", i, got, err, c.Filler)
		}
	}
	zero := Bound{Price: new(big.Int)}
	if _, err := (Invoke{Bounds: Bounds{zero, zero, Bound{Price: new(big.Int).Lsh(big.NewInt(1), 253)}}}).
		Hash(stark.Felt{}); err == nil {
		t.Error("a price beyond the field is hashed")
	}
}

func TestTransactionJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Invoke{
		Sender: stark.FromUint64(0xab), Calldata: noCalls(), Nonce: 10,
		Bounds: Bounds{Bound{1, big.NewInt(2)}, Bound{30, big.NewInt(40)}, Bound{0, new(big.Int)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"account_deployment_data":[],"calldata":["0x0"],"fee_data_availability_mode":"L1","nonce":"0xa","nonce_data_availability_mode":"L1",` +
		`"paymaster_data":[],"resource_bounds":{"l1_data_gas":{"max_amount":"0x0","max_price_per_unit":"0x0"},"l1_gas":{"max_amount":"0x1","max_price_per_unit":"0x2"},` +
		`"l2_gas":{"max_amount":"0x1e","max_price_per_unit":"0x28"}},"sender_address":"0xab","signature":[],"tip":"0x0","type":"INVOKE","version":"0x3"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func resource(amount, price uint64) endpoint.Resource {
	return endpoint.Resource{Amount: stark.FromUint64(amount), Price: stark.FromUint64(price)}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	a := New(Settings{FeeMultiplier: 1.5})
	estimate := endpoint.Estimate{L1: resource(0, 100), L2: resource(1001, 3), L1Data: resource(128, 1)}
	first := Bounds{Bound{0, big.NewInt(150)}, Bound{1502, big.NewInt(5)}, Bound{192, big.NewInt(2)}}
	same := cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
	got, err := a.bounds(estimate, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got, same); diff != "" {
		t.Errorf("a first attempt (-want +got):\n%s", diff)
	}
	if cost := got.Cost(); cost.Int64() != 1502*5+192*2 {
		t.Errorf("it may take %s", cost)
	}
	second := Bounds{Bound{0, big.NewInt(165)}, Bound{1502, big.NewInt(6)}, Bound{192, big.NewInt(3)}}
	got, err = a.bounds(estimate, []terms{{Bounds: first}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, got, same); diff != "" {
		t.Errorf("a second attempt (-want +got):\n%s", diff)
	}
	// A price that has risen by more is enough.
	estimate.L1 = resource(0, 1000)
	if got, err = a.bounds(estimate, []terms{{Bounds: first}}); err != nil || got.L1.Price.Int64() != 1500 {
		t.Errorf("after a rise: %v, %v", got.L1, err)
	}
	estimate.L1 = resource(0, 100)
	high := first
	high.L1.Price = big.NewInt(600)
	if _, err := a.bounds(estimate, []terms{{Bounds: high}}); !errors.Is(err, relayer.ErrCeiling) {
		t.Errorf("beyond four times: %v", err)
	}
	// Room beyond what the sequencer takes would only have the transaction refused; an estimate beyond it is for the
	// network to judge.
	for estimated, want := range map[uint64]uint64{
		700_000_000: 1_050_000_000, 900_000_000: 1_200_000_000, 1_200_000_000: 1_200_000_000, 1_400_000_000: 2_100_000_000,
	} {
		estimate.L2.Amount = stark.FromUint64(estimated)
		if got, err := a.bounds(estimate, nil); err != nil || got.L2.Amount != want {
			t.Errorf("%d of L2 gas are estimated: the bound is %d, %v, want %d", estimated, got.L2.Amount, err, want)
		}
	}
	most := New(Settings{FeeMultiplier: 1.5, FeeMax: big.NewInt(1502*5 + 192*2)})
	estimate.L2.Amount = stark.FromUint64(1001)
	if _, err := most.bounds(estimate, nil); err != nil {
		t.Errorf("as much as may be: %v", err)
	}
	if _, err := most.bounds(estimate, []terms{{Bounds: first}}); !errors.Is(err, relayer.ErrCeiling) ||
		!strings.Contains(err.Error(), "FeeMax is 7894 FRI; raise it") {
		t.Errorf("a second attempt beyond FeeMax: %v", err)
	}
	estimate.L2.Amount = stark.FromUint64(1002)
	if _, err := most.bounds(estimate, nil); err == nil || !strings.Contains(err.Error(), "FeeMax is 7894") {
		t.Errorf("beyond FeeMax: %v", err)
	}
	estimate.L2.Amount = stark.FromUint64(1 << 63)
	if _, err := New(Settings{FeeMultiplier: 10}).bounds(estimate, nil); err == nil {
		t.Error("an amount of 67 bits fits")
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	a := New(Settings{Timeout: time.Minute})
	now := time.Now()
	flight := func(ages ...time.Duration) relayer.Flight {
		f := relayer.Flight{Sequence: 5}
		for i, age := range ages {
			f.Attempts = append(f.Attempts, relayer.Attempt{Hash: string(rune('a' + i)), Signed: now.Add(-age)})
		}
		return f
	}
	in, reverted := endpoint.Status{Known: true, Accepted: true}, endpoint.Status{Known: true, Accepted: true,
		Reverted: true}
	received, rejected := endpoint.Status{Known: true}, endpoint.Status{Known: true, Rejected: true}
	for name, c := range map[string]struct {
		flight         relayer.Flight
		statuses       []endpoint.Status
		next, complete uint64
		want           relayer.Outcome
	}{
		"in the pending block": {flight(0), []endpoint.Status{in}, 6, 5,
			relayer.Outcome{State: relayer.Succeeded, Hash: "a"}},
		"in a complete block": {flight(0), []endpoint.Status{in}, 6, 6,
			relayer.Outcome{State: relayer.SucceededForGood, Hash: "a"}},
		"reverted, pending": {flight(0), []endpoint.Status{reverted}, 6, 5,
			relayer.Outcome{State: relayer.Reverted, Hash: "a"}},
		"reverted for good": {flight(0), []endpoint.Status{reverted}, 6, 6,
			relayer.Outcome{State: relayer.RevertedForGood, Hash: "a"}},
		"an earlier attempt": {flight(0, 0), []endpoint.Status{in, {}}, 6,
			6, relayer.Outcome{State: relayer.SucceededForGood, Hash: "a"}},
		"a later attempt": {flight(0, 0), []endpoint.Status{rejected, in}, 6,
			6, relayer.Outcome{State: relayer.SucceededForGood, Hash: "b"}},
		"another took the number":     {flight(0), []endpoint.Status{{}}, 6, 6, relayer.Outcome{State: relayer.Lost}},
		"it may have used the number": {flight(0), []endpoint.Status{received}, 6, 6, relayer.Outcome{}},
		"it did not use the number":   {flight(0), []endpoint.Status{rejected}, 6, 6, relayer.Outcome{State: relayer.Lost}},
		"another may take it":         {flight(0), []endpoint.Status{{}}, 6, 5, relayer.Outcome{}},
		"in the mempool":              {flight(0), []endpoint.Status{received}, 5, 5, relayer.Outcome{}},
		"not known yet":               {flight(0), []endpoint.Status{{}}, 5, 5, relayer.Outcome{}},
		"in nobody's mempool":         {flight(61 * time.Second), []endpoint.Status{{}}, 5, 5, relayer.Outcome{}},
		"rejected":                    {flight(0), []endpoint.Status{rejected}, 5, 5, relayer.Outcome{Stuck: true}},
		"rejected behind others":      {flight(0), []endpoint.Status{rejected}, 4, 4, relayer.Outcome{}},
		"waits too long": {flight(61 * time.Second), []endpoint.Status{received}, 5,
			5, relayer.Outcome{Stuck: true}},
		"the second may longer": {flight(200*time.Second, 61*time.Second), []endpoint.Status{received, received}, 5,
			5, relayer.Outcome{}},
	} {
		if diff := cmp.Diff(c.want, a.outcome(c.flight, c.statuses, c.next, c.complete)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, c := range map[string]struct {
		said answer
		age  time.Duration
		want bool
	}{
		"taken, and waits":        {taken, 0, false},
		"taken, and lost by now":  {taken, 61 * time.Second, true},
		"too cheap":               {cheap, 0, true},
		"refused for other terms": {0, 61 * time.Second, false},
	} {
		a.said["a"] = c.said
		if got := a.outcome(flight(c.age), []endpoint.Status{{}}, 5, 5); got.Stuck != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestEstimateOfAMovingNonce checks how often an estimate whose nonce is taken meanwhile is tried again, in the words
// of each version, and that this is not called a revert.
func TestEstimateOfAMovingNonce(t *testing.T) {
	t.Parallel()
	const moved = "Invalid transaction nonce of contract at address 0x9. Account nonce: 0x6; got: 0x5."
	reverts := func(text string) map[string]any {
		return map[string]any{"code": 41, "message": "Transaction execution error", "data": map[string]any{
			"transaction_index": 0, "execution_error": text,
		}}
	}
	for name, c := range map[string]struct {
		failure map[string]any
		taken   int // nonces, before an estimate succeeds
		want    string
	}{
		"as an execution error": {reverts(moved), 2, ""},
		"as a nonce":            {map[string]any{"code": 52, "message": "Invalid transaction nonce"}, 2, ""},
		"too often":             {reverts(moved), 3, "Transaction execution error: " + moved},
		"a revert": {reverts("stale report"), 1,
			"the transaction would revert: Transaction execution error: stale report"},
		"a revert that a contract words": {map[string]any{"code": 40, "message": "Contract error",
			"data": map[string]any{"revert_error": "0x1 ('stale report')"}}, 1,
			"the transaction would revert: Contract error: stale report"},
		"nobody serves": {map[string]any{"code": -32603, "message": "Internal error"}, 1,
			"rpc error: code = Unavailable desc = no RPC node serves: n answers with the error: Internal error"},
		"no account": {map[string]any{"code": 20, "message": "Contract not found"}, 1,
			"there is no account at 0x9: deploy its contract and fund it (Contract not found)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tried := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var call struct{ Method string }
				_ = json.NewDecoder(r.Body).Decode(&call)
				answer := map[string]any{}
				switch call.Method {
				case "starknet_specVersion":
					answer["result"] = "0.10.0"
				case "starknet_chainId":
					answer["result"] = "0x1"
				case "starknet_getNonce":
					answer["result"] = "0x5"
				case "starknet_getBlockWithTxHashes":
					answer["result"] = map[string]any{"block_number": 1, "block_hash": "0x1", "timestamp": 1}
				case "starknet_estimateFee":
					if tried++; tried <= c.taken {
						answer["error"] = c.failure
						break
					}
					answer["result"] = []any{map[string]any{
						"l1_gas_consumed": "0x0", "l1_gas_price": "0x1", "l2_gas_consumed": "0x7", "l2_gas_price": "0x1",
						"l1_data_gas_consumed": "0x0",
						"l1_data_gas_price":    "0x1", "overall_fee": "0x7", "unit": "FRI",
					}}
				}
				_ = json.NewEncoder(w).Encode(answer)
			}))
			t.Cleanup(server.Close)
			pool := relayer.NewPool(relayer.PoolSettings{Timeout: time.Minute},
				[]relayer.Node[*endpoint.Client]{{Name: "n", Driver: endpoint.NewDriver(endpoint.Settings{
					URL: server.URL, ChainID: stark.FromUint64(1), PollInterval: time.Hour, Timeout: time.Minute,
				})}})
			t.Cleanup(func() { _ = pool.Close() })
			if err := pool.Await(t.Context()); err != nil {
				t.Fatal(err)
			}
			a := New(Settings{Address: stark.FromUint64(9), Pool: pool, Estimates: 3})
			estimate, err := a.estimate(t.Context(), noCalls())
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), "starknet_estimateFee: ", "")
			}
			refused := strings.HasPrefix(c.want, "the transaction would revert")
			if errors.Is(err, relayer.ErrRefused) != refused {
				t.Errorf("%v counts as refused: %t, want %t", err, !refused, refused)
			}
			trouble := ""
			if name == "no account" {
				trouble = "there is no account at 0x9: deploy its contract and fund it"
			}
			if said := a.Trouble(); said != trouble {
				t.Errorf("the account's trouble is %q, want %q", said, trouble)
			}
			if got != c.want || err == nil && estimate.L2.Amount != stark.FromUint64(7) {
				t.Errorf("%v, %q, want %q", estimate, got, c.want)
			}
		})
	}
}

// answers is a keystore that answers with one signature.
type answers struct {
	hostservicev1.KeystoreServiceClient
	signature []byte
	err       error
}

func (k answers) Sign(context.Context, *hostservicev1.SignRequest,
	...grpc.CallOption) (*hostservicev1.SignResponse, error) {
	return &hostservicev1.SignResponse{Signature: k.signature}, k.err
}

func TestKeystoreIsChecked(t *testing.T) {
	t.Parallel()
	key, err := stark.NewKey(append(make([]byte, 31), 9))
	if err != nil {
		t.Fatal(err)
	}
	hash := stark.FromUint64(77)
	good, err := key.Sign(hash)
	if err != nil {
		t.Fatal(err)
	}
	r, s := good.R.Bytes(), good.S.Bytes()
	bytes := append(r[:], s[:]...)
	if got, err := New(Settings{Keystore: answers{signature: bytes}}).signature(t.Context(), key.Public(),
		hash, nil); err != nil || got != good {
		t.Errorf("%v, %v", got, err)
	}
	high := append([]byte(nil), bytes...)
	high[0] = 0xff
	for name, k := range map[string]answers{
		"short": {signature: bytes[:63]}, "long": {signature: append(bytes, 0)}, "beyond the field": {signature: high},
		"zero":     {signature: make([]byte, 64)},
		"an error": {signature: bytes, err: errors.New("no")},
	} {
		if _, err := New(Settings{Keystore: k}).signature(t.Context(), key.Public(), hash, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := New(Settings{Keystore: answers{signature: bytes}}).signature(t.Context(), key.Public(),
		stark.FromUint64(78), nil); err == nil {
		t.Error("a signature of another hash is taken")
	}
}

// TestReportBeforeItsConfiguration checks that a report under a configuration that the node does not show yet is kept
// until a block from after the doubt began shows that there will be none, and sent if it comes.
func TestReportBeforeItsConfiguration(t *testing.T) {
	t.Parallel()
	server := relayertest.NewServer(t, "")
	answer := func(method string, result any) {
		server.Answer(method, func(json.RawMessage) (any, error) { return result, nil })
	}
	block := func(number uint64, at time.Time) {
		answer("starknet_getBlockWithTxHashes",
			map[string]any{"block_number": number, "block_hash": "0x1", "timestamp": at.Unix()})
	}
	shows := func(digest string) { answer("starknet_call", []string{digest, "0x0", "0x0", "0x0"}) }
	answer("starknet_specVersion", "0.8.1")
	answer("starknet_chainId", "0x1")
	answer("starknet_getNonce", "0x5")
	shows("0x7")
	block(100, time.Now().Add(-time.Minute)) // what a node that lags, or is behind at its start, takes for the newest
	heights := make(chan uint64, 1)
	advanced := func(_ string, height uint64) {
		select {
		case heights <- height:
		default: // it is told again at the next look
		}
	}
	pool := relayer.NewPool(relayer.PoolSettings{Timeout: time.Minute, Advanced: advanced},
		[]relayer.Node[*endpoint.Client]{{Name: "n", Driver: endpoint.NewDriver(endpoint.Settings{
			URL: server.HTTPURL, ChainID: stark.FromUint64(1), PollInterval: 50 * time.Millisecond, Timeout: time.Minute,
		})}})
	t.Cleanup(func() { _ = pool.Close() })
	reach := func(height uint64) {
		for got := range heights {
			if got == height {
				return
			}
		}
	}
	reach(100)
	a := New(Settings{Address: stark.FromUint64(9), Pool: pool})
	item := func(digest uint64) relayer.Item {
		return relayer.Item{Contract: "0x5", Epoch: 1, Digest: stark.FromUint64(digest).Bytes()}
	}
	survey := func(when string, want ...relayer.Verdict) {
		t.Helper()
		got, err := a.Survey(t.Context(), nil, []relayer.Item{item(6), item(8)})
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if diff := cmp.Diff(want, got.Verdicts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	survey("the node knows neither configuration", relayer.Verdict{Wait: true}, relayer.Verdict{Wait: true})
	block(105, time.Now().Add(-30*time.Second))
	reach(105)
	survey("the node catches up", relayer.Verdict{Wait: true}, relayer.Verdict{Wait: true})
	shows("0x8")
	block(110, time.Now().Add(time.Minute))
	reach(110)
	survey("the node has caught up", relayer.Verdict{Stale: "the contract has another configuration"}, relayer.Verdict{})
}
