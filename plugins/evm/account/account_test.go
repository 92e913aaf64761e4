package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"pgregory.net/rapid"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReplacementsAreTaken holds that every replacement is above the last by what nodes ask, never above the ceiling, and that
// the ceiling is reached before it is refused.
func TestReplacementsAreTaken(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string, most int64) *big.Int { return big.NewInt(rapid.Int64Range(1, most).Draw(t, name)) }
		fees := Fees{CapMax: amount("max", 1e12), BumpPercent: rapid.Uint64Range(10, 100).Draw(t, "percent")}
		fees.CapDefault = lesser(amount("cap", 1e12), fees.CapMax)
		fees.TipDefault = lesser(amount("tip", 1e12), fees.CapDefault)
		var base, price *big.Int
		if rapid.Bool().Draw(t, "1559") {
			base = amount("base", 1e12)
		} else {
			price = amount("price", 1e12)
		}
		attempts := []terms{fees.first(base, price)}
		if attempts[0].Cap.Cmp(fees.CapDefault) > 0 {
			t.Fatalf("a first attempt offers %v, the default is %v", attempts[0].Cap, fees.CapDefault)
		}
		for range 400 {
			last := attempts[len(attempts)-1]
			next, err := fees.replacement(attempts, base, price)
			if errors.Is(err, relayer.ErrCeiling) {
				if grown(grown(last.Cap, 10), 10).Cmp(fees.CapMax) < 0 && (last.Tip == nil || grown(last.Tip, 10).Cmp(fees.CapMax) < 0) {
					t.Fatalf("refused at %v with %v allowed", last, fees.CapMax)
				}
				return
			}
			if next.Cap.Cmp(fees.CapMax) > 0 || next.Cap.Cmp(grown(last.Cap, 10)) < 0 {
				t.Fatalf("%v after %v, with %v allowed", next.Cap, last.Cap, fees.CapMax)
			}
			if next.Tip != nil && (next.Tip.Cmp(next.Cap) > 0 || next.Tip.Cmp(grown(last.Tip, 10)) < 0) {
				t.Fatalf("tip %v after %v, fee %v", next.Tip, last.Tip, next.Cap)
			}
			attempts = append(attempts, next)
		}
		t.Fatalf("no end to replacements: %v", attempts[len(attempts)-1])
	})
}

// signer is a fake keystore: it signs with one key, whatever the account.
type signer struct {
	hostservicev1.KeystoreServiceClient
	key interface {
		sign(hash []byte) ([]byte, error)
	}
}

type signing func(hash []byte) ([]byte, error)

func (s signing) sign(hash []byte) ([]byte, error) { return s(hash) }

func (s signer) Sign(_ context.Context, in *hostservicev1.SignRequest, _ ...grpc.CallOption) (*hostservicev1.SignResponse, error) {
	signature, err := s.key.sign(in.GetData())
	return &hostservicev1.SignResponse{Signature: signature}, err
}

// scripted is an account on a chain of one scripted node at block 100.
func scripted(t *testing.T, key signing, baseFee bool) (*Account, *relayertest.Server) {
	t.Helper()
	server := relayertest.NewServer(t, "")
	server.Answer("eth_chainId", func(json.RawMessage) (any, error) { return "0x539", nil })
	server.Answer("eth_getBlockByNumber", func(json.RawMessage) (any, error) {
		block := map[string]any{"number": "0x64", "hash": common.Hash{1}, "timestamp": "0x1"}
		if baseFee {
			block["baseFeePerGas"] = "0x7"
		}
		return block, nil
	})
	pool := relayer.NewPool(relayer.PoolSettings{}, []relayer.Node[*endpoint.Client]{{Name: "n", Driver: endpoint.NewDriver(endpoint.Settings{
		HTTPURL: server.HTTPURL, ChainID: big.NewInt(1337), PollInterval: time.Second, Timeout: time.Second, Contracts: &endpoint.Contracts{},
	})}})
	t.Cleanup(func() { _ = pool.Close() })
	for pool.Statuses()[0].GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
		if t.Context().Err() != nil {
			t.Fatal("the scripted node does not serve")
		}
		time.Sleep(time.Millisecond)
	}
	return New(Settings{
		Address: me, ChainID: big.NewInt(1337), Keystore: signer{key: key}, Pool: pool, FinalityDepth: 5, GasLimit: 30_000,
		Fees: Fees{CapDefault: big.NewInt(1000), TipDefault: big.NewInt(10), CapMax: big.NewInt(2000), BumpThreshold: 3, BumpPercent: 20},
	}), server
}

var (
	myKey, _ = crypto.ToECDSA(common.LeftPadBytes([]byte{1}, 32))
	me       = crypto.PubkeyToAddress(myKey.PublicKey)
)

func mine(hash []byte) ([]byte, error) { return crypto.Sign(hash, myKey) }

func TestSign(t *testing.T) {
	t.Parallel()
	payload, err := Call{To: common.Address{9}, Data: []byte{1, 2}, Value: (*hexutil.Big)(big.NewInt(3)), Gas: 70_000}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decode := func(a relayer.Attempt) *types.Transaction {
		t.Helper()
		tx := new(types.Transaction)
		if err := tx.UnmarshalBinary(a.Raw); err != nil || tx.Hash().Hex() != a.Hash {
			t.Fatalf("the attempt's bytes are not its transaction: %v", err)
		}
		return tx
	}
	account, _ := scripted(t, mine, true)
	first, err := account.Sign(t.Context(), relayer.Draft{Sequence: 4, Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	tx := decode(first)
	if tx.Type() != types.DynamicFeeTxType || tx.Nonce() != 4 || tx.Gas() != 70_000 || *tx.To() != (common.Address{9}) || tx.Value().Int64() != 3 || tx.GasFeeCap().Int64() != 1000 || tx.GasTipCap().Int64() != 10 {
		t.Errorf("first attempt: %+v", tx)
	}
	filler, err := account.Sign(t.Context(), relayer.Draft{Sequence: 4, Attempts: []relayer.Attempt{first}})
	if err != nil {
		t.Fatal(err)
	}
	tx = decode(filler)
	if tx.Nonce() != 4 || *tx.To() != me || len(tx.Data()) != 0 || tx.Value().Sign() != 0 || tx.GasFeeCap().Int64() != 1200 || tx.GasTipCap().Int64() != 12 {
		t.Errorf("filler: %+v", tx)
	}
	old, server := scripted(t, mine, false)
	server.Answer("eth_gasPrice", func(json.RawMessage) (any, error) { return "0x20", nil })
	first, err = old.Sign(t.Context(), relayer.Draft{Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	if tx := decode(first); tx.Type() != types.LegacyTxType || tx.GasPrice().Int64() != 0x20 || tx.ChainId().Int64() != 1337 {
		t.Errorf("before EIP-1559: %+v", tx)
	}
}

func TestSignDistrustsTheKeystore(t *testing.T) {
	t.Parallel()
	other, _ := crypto.GenerateKey()
	for name, key := range map[string]signing{
		"another key": func(hash []byte) ([]byte, error) { return crypto.Sign(hash, other) },
		"too short":   func([]byte) ([]byte, error) { return []byte{1}, nil },
		"garbage":     func([]byte) ([]byte, error) { return make([]byte, 65), nil },
		"refuses":     func([]byte) ([]byte, error) { return nil, errors.New("not lent") },
	} {
		account, _ := scripted(t, key, true)
		if _, err := account.Sign(t.Context(), relayer.Draft{}); err == nil {
			t.Errorf("%s: a transaction came out", name)
		}
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		said        string
		ok, refused bool
	}{
		"taken":        {"", true, false},
		"known":        {"already known", true, false},
		"no coins":     {"insufficient funds for gas * price + value: balance 0", false, true},
		"nonce is old": {"nonce too low: next nonce 5, tx nonce 4", false, false},
		"too cheap":    {"replacement transaction underpriced", false, false},
		"rate":         {"rate limit reached", false, false},
	}
	for name, c := range cases {
		account, server := scripted(t, mine, true)
		server.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) {
			if c.said != "" {
				return nil, errors.New(c.said)
			}
			return common.Hash{}, nil
		})
		err := account.Send(t.Context(), relayer.Attempt{Raw: []byte{1}})
		if (err == nil) != c.ok || errors.Is(err, relayer.ErrRefused) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	account, server := scripted(t, mine, true)
	receipts := map[string]any{
		"deep":     map[string]any{"blockNumber": "0x5f", "status": "0x1"}, // 95: five blocks on top
		"fresh":    map[string]any{"blockNumber": "0x60", "status": "0x1"},
		"reverted": map[string]any{"blockNumber": "0x5f", "status": "0x0"},
	}
	server.Answer("eth_getTransactionReceipt", func(params json.RawMessage) (any, error) {
		var hash []string
		err := json.Unmarshal(params, &hash)
		return receipts[hash[0]], err
	})
	server.Answer("eth_getTransactionCount", func(params json.RawMessage) (any, error) {
		if string(params) == fmt.Sprintf(`["%s","latest"]`, hexutil.Encode(me[:])) {
			return "0x5", nil
		}
		return "0x4", nil // at block 95
	})
	attempt := func(hash string, height int) relayer.Attempt {
		return relayer.Attempt{Hash: hash, Terms: []byte(fmt.Sprintf(`{"cap":1,"height":%d}`, height))}
	}
	flights := map[string]relayer.Flight{
		"deep":       {Sequence: 1, Attempts: []relayer.Attempt{attempt("gone", 0), attempt("deep", 0)}},
		"fresh":      {Sequence: 4, Attempts: []relayer.Attempt{attempt("fresh", 0), attempt("gone", 0)}},
		"reverted":   {Sequence: 2, Attempts: []relayer.Attempt{attempt("reverted", 0)}},
		"lost":       {Sequence: 3, Attempts: []relayer.Attempt{attempt("gone", 0)}},
		"maybe lost": {Sequence: 4, Attempts: []relayer.Attempt{attempt("gone", 0)}},
		"stuck":      {Sequence: 5, Attempts: []relayer.Attempt{attempt("gone", 97)}},
		"young":      {Sequence: 5, Attempts: []relayer.Attempt{attempt("gone", 98)}},
		"behind":     {Sequence: 6, Attempts: []relayer.Attempt{attempt("gone", 0)}},
	}
	want := map[string]relayer.Outcome{
		"deep":       {State: relayer.SucceededForGood, Hash: "deep"},
		"fresh":      {State: relayer.Succeeded, Hash: "fresh"},
		"reverted":   {State: relayer.RevertedForGood, Hash: "reverted"},
		"lost":       {State: relayer.Lost},
		"maybe lost": {},
		"stuck":      {Stuck: true},
		"young":      {},
		"behind":     {},
	}
	got := map[string]relayer.Outcome{}
	for name, flight := range flights {
		survey, err := account.Survey(t.Context(), []relayer.Flight{flight}, nil)
		if err != nil || survey.Next != 5 {
			t.Fatalf("%s: next %d, %v", name, survey.Next, err)
		}
		got[name] = survey.Outcomes[0]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	word := func(n byte) []byte { return common.LeftPadBytes([]byte{n}, 32) }
	digest := func(n byte) []byte { return common.RightPadBytes([]byte{n}, 32) }
	join := func(words ...[]byte) (b hexutil.Bytes) {
		for _, w := range words {
			b = append(b, w...)
		}
		return b
	}
	v := &views{details: join(word(1), word(9), digest(7)), transmission: join(digest(7), word(3), word(2), word(0), word(0))}
	item := func(d byte, epoch uint32, round uint8) relayer.Item {
		i := relayer.Item{Epoch: epoch, Round: round}
		i.Digest[0] = d
		return i
	}
	cases := map[string]struct {
		item    relayer.Item
		views   *views
		want    relayer.Verdict
		foreign bool
	}{
		"newer round":  {item(7, 3, 3), v, relayer.Verdict{}, false},
		"newer epoch":  {item(7, 4, 1), v, relayer.Verdict{}, false},
		"same":         {item(7, 3, 2), v, relayer.Verdict{Stale: "the contract has a transmission of epoch 3 round 2"}, false},
		"older epoch":  {item(7, 2, 9), v, relayer.Verdict{Stale: "the contract has a transmission of epoch 3 round 2"}, false},
		"other digest": {item(8, 9, 9), v, relayer.Verdict{Stale: "the contract has another configuration"}, true},
		"no answer":    {item(7, 9, 9), &views{}, relayer.Verdict{Wait: true}, false},
		"garbage":      {item(7, 9, 9), &views{details: []byte{1}, transmission: []byte{2}}, relayer.Verdict{Wait: true}, false},
	}
	for name, c := range cases {
		got, foreign := verdict(c.item, c.views)
		if diff := cmp.Diff(c.want, got); diff != "" || foreign != c.foreign {
			t.Errorf("%s: foreign %t, (-want +got):\n%s", name, foreign, diff)
		}
	}
}

// TestReportBeforeItsConfiguration holds that a report under a configuration that the node does not show yet is kept until a
// block of after the doubt shows that there will be none, and sent if it comes.
func TestReportBeforeItsConfiguration(t *testing.T) {
	t.Parallel()
	account, server := scripted(t, mine, true)
	digest := func(n byte) []byte { return common.RightPadBytes([]byte{n}, 32) }
	shown := digest(7)
	server.Answer("eth_getTransactionCount", func(json.RawMessage) (any, error) { return "0x5", nil })
	server.Answer("eth_call", func(params json.RawMessage) (any, error) {
		details := strings.Contains(string(params), hexutil.Encode(aggregator.ConfigDetailsCall(common.Address{}, nil).Args[0].(map[string]any)["input"].(hexutil.Bytes)))
		if details {
			return hexutil.Bytes(slices.Concat(make([]byte, 64), shown)), nil
		}
		return hexutil.Bytes(slices.Concat(shown, make([]byte, 128))), nil
	})
	block := func(number uint64, at time.Time) {
		server.Answer("eth_getBlockByNumber", func(json.RawMessage) (any, error) {
			return map[string]any{"number": hexutil.Uint64(number), "hash": common.Hash{byte(number)}, "timestamp": hexutil.Uint64(at.Unix())}, nil
		})
	}
	early, late := relayer.Item{Contract: me.Hex(), Epoch: 1, Digest: [32]byte(digest(6))}, relayer.Item{Contract: me.Hex(), Epoch: 1, Digest: [32]byte(digest(8))}
	survey := func(when string, want ...relayer.Verdict) {
		t.Helper()
		got, err := account.Survey(t.Context(), nil, []relayer.Item{early, late})
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if diff := cmp.Diff(want, got.Verdicts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	stale := relayer.Verdict{Stale: "the contract has another configuration"}
	block(100, time.Now().Add(-time.Minute)) // what a node that lags, or is behind at its start, takes for the newest
	survey("the node knows neither configuration", relayer.Verdict{Wait: true}, relayer.Verdict{Wait: true})
	block(105, time.Now().Add(-30*time.Second))
	survey("the node catches up", relayer.Verdict{Wait: true}, relayer.Verdict{Wait: true})
	block(110, time.Now().Add(time.Minute))
	shown = digest(8)
	survey("the node has caught up", stale, relayer.Verdict{})
}
