package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReplacementsAreTaken checks that every replacement is above the last by what nodes ask, has the base fee or the
// default for its tip however low the node's proposal, is never above the ceiling, and that the ceiling is reached
// before it is refused.
func TestReplacementsAreTaken(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string, most int64) *big.Int { return big.NewInt(rapid.Int64Range(1, most).Draw(t, name)) }
		fees := Fees{CapMax: amount("max", 1e12), BumpPercent: rapid.Uint64Range(10, 100).Draw(t, "percent"),
			BumpMin: amount("step", 1e6)}
		fees.CapDefault = lesser(amount("cap", 1e12), fees.CapMax)
		fees.TipDefault = lesser(amount("tip", 1e12), fees.CapDefault)
		var base *big.Int
		price := amount("price", 1e12)
		if rapid.Bool().Draw(t, "1559") {
			base = amount("base", 1e12)
			price = big.NewInt(rapid.Int64Range(0, 1e12).Draw(t, "tip proposed"))
		}
		attempts := []terms{fees.first(base, price)}
		if first := attempts[0]; first.Cap.Cmp(fees.CapMax) > 0 || first.Tip != nil && first.Tip.Cmp(first.Cap) > 0 {
			t.Fatalf("a first attempt offers %v, with %v allowed", first, fees.CapMax)
		}
		if first := attempts[0]; base != nil && first.Cap.Cmp(fees.CapMax) < 0 &&
			first.Cap.Cmp(needed(base, first.Tip)) < 0 {
			t.Fatalf("a first attempt offers %v with a base fee of %v: no block takes it", first, base)
		}
		for range 400 {
			last := attempts[len(attempts)-1]
			next, err := fees.replacement(attempts, base, price)
			if errors.Is(err, relayer.ErrCeiling) {
				if grown(last.Cap, 10).Cmp(fees.CapMax) < 0 && (last.Tip == nil || grown(last.Tip, 10).Cmp(fees.CapMax) < 0) {
					t.Fatalf("refused at %v with %v allowed", last, fees.CapMax)
				}
				return
			}
			if next.Cap.Cmp(fees.CapMax) > 0 || next.Cap.Cmp(grown(last.Cap, 10)) < 0 {
				t.Fatalf("%v after %v, with %v allowed", next.Cap, last.Cap, fees.CapMax)
			}
			if next.Tip != nil && (next.Tip.Cmp(next.Cap) > 0 || next.Tip.Cmp(grown(last.Tip, 10)) < 0 ||
				next.Tip.Cmp(lesser(fees.TipDefault, base)) < 0) {
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

func (s signer) Sign(_ context.Context, in *hostservicev1.SignRequest,
	_ ...grpc.CallOption) (*hostservicev1.SignResponse, error) {
	signature, err := s.key.sign(in.GetData())
	return &hostservicev1.SignResponse{Signature: signature}, err
}

// scripted is an account on a chain of one scripted node at block 100.
func scripted(t *testing.T, key signing, baseFee bool) (account *Account, server *relayertest.Server) {
	t.Helper()
	account = manned(t, key, baseFee, 1, func(_ int, s *relayertest.Server) { server = s })
	return account, server
}

// manned is an account on a chain of several scripted nodes at block 100.
func manned(t *testing.T, key signing, baseFee bool, n int, script func(int, *relayertest.Server)) *Account {
	t.Helper()
	var nodes []relayer.Node[*endpoint.Client]
	for i := range n {
		server := node(t, baseFee)
		script(i, server)
		nodes = append(nodes,
			relayer.Node[*endpoint.Client]{Name: fmt.Sprint("n", i), Driver: endpoint.NewDriver(endpoint.Settings{
				HTTPURL: server.HTTPURL, ChainID: big.NewInt(1337), PollInterval: time.Second, Timeout: time.Minute,
				Contracts: &endpoint.Contracts{},
			})})
	}
	pool := relayer.NewPool(relayer.PoolSettings{Timeout: time.Minute}, nodes)
	t.Cleanup(func() { _ = pool.Close() })
	for unready := true; unready; {
		if t.Context().Err() != nil {
			t.Fatal("the scripted nodes do not serve")
		}
		time.Sleep(time.Millisecond)
		unready = slices.ContainsFunc(pool.Statuses(), func(s *relayerv1.NodeStatus) bool {
			return s.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE
		})
	}
	return New(Settings{
		Address: me, ChainID: big.NewInt(1337), Keystore: signer{key: key}, Pool: pool, FinalityDepth: 5, GasLimit: 30_000,
		Fees: Fees{CapDefault: big.NewInt(1000), TipDefault: big.NewInt(10), CapMax: big.NewInt(2000), BumpThreshold: 3,
			BumpPercent: 20},
	})
}

// node is a scripted node at block 100.
func node(t *testing.T, baseFee bool) *relayertest.Server {
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
	return server
}

var (
	myKey, _ = crypto.ToECDSA(common.LeftPadBytes([]byte{1}, 32))
	me       = crypto.PubkeyToAddress(myKey.PublicKey)
)

func mine(hash []byte) ([]byte, error) { return crypto.Sign(hash, myKey) }

func TestSign(t *testing.T) {
	t.Parallel()
	payload, err := Call{To: common.Address{9}, Data: []byte{1, 2}, Value: (*hexutil.Big)(big.NewInt(3)),
		Gas: 70_000}.Encode()
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
	if tx.Type() != types.DynamicFeeTxType || tx.Nonce() != 4 || tx.Gas() != 70_000 || *tx.To() != (common.Address{9}) ||
		tx.Value().Int64() != 3 || tx.GasFeeCap().Int64() != 24 || tx.GasTipCap().Int64() != 10 {
		t.Errorf("first attempt: %+v", tx)
	}
	filler, err := account.Sign(t.Context(), relayer.Draft{Sequence: 4, Attempts: []relayer.Attempt{first}})
	if err != nil {
		t.Fatal(err)
	}
	tx = decode(filler)
	if tx.Nonce() != 4 || *tx.To() != me || len(tx.Data()) != 0 || tx.Value().Sign() != 0 ||
		tx.GasFeeCap().Int64() != 29 || tx.GasTipCap().Int64() != 12 {
		t.Errorf("filler: %+v", tx)
	}
	old, server := scripted(t, mine, false)
	server.Answer("eth_gasPrice", func(json.RawMessage) (any, error) { return "0x20", nil })
	first, err = old.Sign(t.Context(), relayer.Draft{Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	if tx := decode(first); tx.Type() != types.LegacyTxType || tx.GasPrice().Int64() != 0x20 ||
		tx.ChainId().Int64() != 1337 {
		t.Errorf("before EIP-1559: %+v", tx)
	}
}

// TestReplacementBeyondTheBalance checks that no replacement is signed for which the account cannot pay, while the
// earlier attempt may be one that it can pay for, and that only a known balance prevents one.
func TestReplacementBeyondTheBalance(t *testing.T) {
	t.Parallel()
	account, server := scripted(t, mine, true)
	account.settings.Fees.Fixed = true
	first, err := account.Sign(t.Context(), relayer.Draft{Sequence: 4}) // 30,000 gas at 1,000 wei
	if err != nil || server.Requests("eth_getBalance") > 0 {
		t.Fatalf("%v, and the balance was asked for %d times", err, server.Requests("eth_getBalance"))
	}
	for balance, want := range map[string]bool{"0x2255100": true, "0x22550ff": false, "": true} { // at 1,200 wei
		server.Answer("eth_getBalance", func(json.RawMessage) (any, error) {
			if balance == "" {
				return nil, errors.New("the method is not permitted for this key")
			}
			return balance, nil
		})
		_, err := account.Sign(t.Context(), relayer.Draft{Sequence: 4, Attempts: []relayer.Attempt{first}})
		if (err == nil) != want || errors.Is(err, relayer.ErrUnfunded) == want {
			t.Errorf("with a balance of %q: %v", balance, err)
		}
	}
}

// TestCeilingIsNamed checks that an error says which key of the configuration bounds what is offered.
func TestCeilingIsNamed(t *testing.T) {
	t.Parallel()
	account, _ := scripted(t, mine, true)
	account.settings.Fees.Fixed, account.settings.Fees.CapMax = true, big.NewInt(1000)
	first, err := account.Sign(t.Context(), relayer.Draft{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = account.Sign(t.Context(), relayer.Draft{Attempts: []relayer.Attempt{first}})
	if !errors.Is(err, relayer.ErrCeiling) || !strings.Contains(err.Error(), "FeeCapMax is 1000 wei per gas; raise it") {
		t.Errorf("beyond the most that is allowed: %v", err)
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

// TestFirstTerms checks what a first attempt offers: what a block can take, within the operator's bounds.
func TestFirstTerms(t *testing.T) {
	t.Parallel()
	wei := big.NewInt
	fees := Fees{CapDefault: wei(100), TipDefault: wei(2), CapMax: wei(500), BumpPercent: 20}
	with := func(change func(*Fees)) Fees {
		changed := fees
		change(&changed)
		return changed
	}
	cases := map[string]struct {
		fees           Fees
		base, proposed *big.Int
		want           terms
	}{
		"a cheap block":             {fees, wei(10), nil, terms{Cap: wei(22), Tip: wei(2)}},
		"a dear block":              {fees, wei(150), nil, terms{Cap: wei(302), Tip: wei(2)}},
		"beyond the highest":        {fees, wei(1000), nil, terms{Cap: wei(500), Tip: wei(2)}},
		"the node's tip":            {fees, wei(10), wei(30), terms{Cap: wei(50), Tip: wei(30)}},
		"a tip below the default":   {fees, wei(10), wei(1), terms{Cap: wei(21), Tip: wei(1)}},
		"a tip of 0":                {fees, wei(10), wei(0), terms{Cap: wei(20), Tip: wei(0)}},
		"no base fee but a tip":     {fees, wei(0), wei(30), terms{Cap: wei(30), Tip: wei(30)}},
		"nothing":                   {fees, wei(0), wei(0), terms{Cap: wei(0), Tip: wei(0)}},
		"a tip of a node that errs": {fees, wei(10), wei(1e9), terms{Cap: wei(120), Tip: wei(100)}},
		"the least tip": {with(func(f *Fees) { f.TipMin = wei(25) }), wei(10), wei(3),
			terms{Cap: wei(45), Tip: wei(25)}},
		"the least tip, and none is proposed": {with(func(f *Fees) { f.TipMin = wei(25) }), wei(10), nil,
			terms{Cap: wei(45), Tip: wei(25)}},
		"fixed": {with(func(f *Fees) { f.Fixed = true }), wei(10), wei(30), terms{Cap: wei(100), Tip: wei(2)}},
		"fixed, in a dear block": {with(func(f *Fees) { f.Fixed = true }), wei(150), wei(30),
			terms{Cap: wei(302), Tip: wei(2)}},
		"no fees": {with(func(f *Fees) { f.CapDefault, f.TipDefault = wei(0), wei(0) }), wei(0), wei(7),
			terms{Cap: wei(0), Tip: wei(0)}},
		"a price":         {fees, nil, wei(130), terms{Cap: wei(130)}},
		"a price beyond":  {fees, nil, wei(1300), terms{Cap: wei(500)}},
		"no price":        {fees, nil, wei(0), terms{Cap: wei(0)}},
		"the least price": {with(func(f *Fees) { f.PriceMin = wei(30) }), nil, wei(1), terms{Cap: wei(30)}},
		"a fixed price":   {with(func(f *Fees) { f.Fixed = true }), nil, nil, terms{Cap: wei(100)}},
	}
	for name, c := range cases {
		same := cmp.Comparer(func(a, b *big.Int) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
		if diff := cmp.Diff(c.want, c.fees.first(c.base, c.proposed), same); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, base := range []int64{8, 7e6, 50e9} {
		offered := Fees{CapDefault: wei(1e11), TipDefault: wei(1e9), CapMax: wei(5e11)}.first(wei(base), nil)
		for range 5 {
			base += base / 8
		}
		if offered.Cap.Int64() < base+offered.Tip.Int64() {
			t.Errorf("after five full blocks it offers %v of %d and the tip", offered.Cap, base)
		}
	}
	nothing := terms{Cap: wei(0), Tip: wei(0)}
	free := with(func(f *Fees) { f.TipDefault = wei(0) })
	for name, c := range map[string]struct {
		fees    Fees
		base    *big.Int
		earlier terms
	}{"no base fee": {fees, nil, terms{Cap: wei(0)}}, "a base fee of 0": {free, wei(0), nothing}} {
		if dearer, err := c.fees.replacement([]terms{c.earlier}, c.base, wei(0)); !errors.Is(err, relayer.ErrCeiling) {
			t.Errorf("%s: a chain without fees is offered %v, %v in place of nothing", name, dearer, err)
		}
	}
	if dearer, err := fees.replacement([]terms{nothing}, wei(0), wei(0)); err != nil || dearer.Tip.Int64() != 2 {
		t.Errorf("%v, %v in place of nothing, with a tip by default", dearer, err)
	}
}

// TestRaisedTips checks what replacements offer on chains of different prices: a tip that blocks take after few of
// them, and not many times the going price where that is low.
func TestRaisedTips(t *testing.T) {
	t.Parallel()
	const gwei = 1e9
	wei := func(gweis float64) *big.Int { return big.NewInt(int64(gweis * gwei)) }
	usual := Fees{CapDefault: wei(100), TipDefault: wei(1), CapMax: wei(500), BumpPercent: 20}
	least := usual
	least.TipMin = wei(30)
	none := usual
	none.TipDefault = wei(0)
	for name, c := range map[string]struct {
		fees           Fees
		base, proposed float64 // gwei; a negative proposal is none
		tips           [3]float64
	}{
		"Ethereum at night":                   {usual, 0.1, 0.01, [3]float64{0.01, 0.1, 0.12}},
		"Ethereum at night, with a usual tip": {usual, 0.1, 0.1, [3]float64{0.1, 1, 1.2}},
		"Ethereum":                            {usual, 2, 0.05, [3]float64{0.05, 1, 1.2}},
		"Ethereum at a busy time":             {usual, 50, 2, [3]float64{2, 2.4, 2.88}},
		"Base":                                {usual, 0.005, 0.001, [3]float64{0.001, 0.01, 0.012}},
		"Optimism":                            {usual, 0.0000002, 0.001, [3]float64{0.001, 0.01, 0.012}},
		"Arbitrum":                            {usual, 0.01, 0, [3]float64{0, 0.01, 0.012}},
		"Mantle":                              {none, 0.02, 0, [3]float64{0, 2e-9, 3e-9}},
		"BNB":                                 {usual, 0, 0.05, [3]float64{0.05, 0.5, 0.6}},
		"Polygon":                             {least, 100, 25, [3]float64{30, 36, 43.2}},
		"a node that proposes 0":              {usual, 5, 0, [3]float64{0, 1, 1.2}},
		"a node that proposes a wei":          {usual, 5, 1e-9, [3]float64{1e-9, 1, 1.2}},
		"the same where nothing has a price":  {usual, 7e-9, 1e-9, [3]float64{1e-9, 1, 1.2}},
		"a node that proposes 0 there":        {usual, 0, 0, [3]float64{0, 1, 1.2}},
		"a node that proposes nothing":        {usual, 5, -1, [3]float64{1, 1.2, 1.44}},
	} {
		base, proposed := wei(c.base), wei(c.proposed)
		if c.proposed < 0 {
			proposed = nil
		}
		attempts := []terms{c.fees.first(base, proposed)}
		for range len(c.tips) - 1 {
			next, err := c.fees.replacement(attempts, base, proposed)
			if err != nil {
				t.Fatalf("%s: %v after %v", name, err, attempts)
			}
			attempts = append(attempts, next)
		}
		for i, want := range c.tips {
			if got := attempts[i].Tip; got.Cmp(wei(want)) != 0 {
				t.Errorf("%s: tip %d is %v, want %v", name, i, got, wei(want))
			}
			if attempts[i].Cap.Cmp(needed(base, attempts[i].Tip)) < 0 {
				t.Errorf("%s: attempt %d offers %v, of which the base fee leaves less than its tip", name, i, attempts[i])
			}
		}
	}
}

// TestSend checks what becomes of a transaction by what nodes answer to it: nodes are scripted, and the words theirs.
func TestSend(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		said                         string
		ok, refused, funds           bool // what the queue hears
		held, spared, cheap, trouble bool
	}{
		"taken": {said: "", ok: true, held: true},
		"known": {said: "already known", ok: true, held: true},
		"mined": {said: "nonce too low: next nonce 5, tx nonce 4", ok: true},
		"no coins": {said: "insufficient funds for gas * price + value: balance 0", refused: true, funds: true,
			spared: true, trouble: true},
		"too much gas": {said: "exceeds block gas limit", refused: true, spared: true, trouble: true},
		"too cheap":    {said: "transaction underpriced: gas tip cap 1, minimum needed 25", spared: true, cheap: true},
		"no bump":      {said: "replacement transaction underpriced", cheap: true},
		"full":         {said: "txpool is full", spared: true},
		"rate":         {said: "rate limit reached"},
		"other":        {said: "what is this?"},
	}
	for name, c := range cases {
		account, server := scripted(t, mine, true)
		server.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) {
			if c.said != "" {
				return nil, errors.New(c.said)
			}
			return common.Hash{}, nil
		})
		err := account.Send(t.Context(), relayer.Attempt{Hash: "h", Raw: []byte{1}})
		refused, unfunded := errors.Is(err, relayer.ErrRefused), errors.Is(err, relayer.ErrUnfunded)
		if (err == nil) != c.ok || refused != c.refused || unfunded != c.funds {
			t.Errorf("%s: %v", name, err)
		}
		if now := account.standing["h"]; now.held != c.held || now.cheap != c.cheap || now.spared != c.spared {
			t.Errorf("%s: the attempt stands as %+v", name, now)
		}
		if trouble := account.Trouble(); (trouble != "") != c.trouble {
			t.Errorf("%s: the account tells %q", name, trouble)
		}
	}
}

// TestSolvent checks that an account counts as funded once it holds the fee for lack of which it was refused, whatever
// was to be transferred, or for lack of which no gas was estimated, and that its trouble ends with that unless it is
// another by then.
func TestSolvent(t *testing.T) {
	t.Parallel()
	payload, err := Call{To: common.Address{9}, Value: (*hexutil.Big)(big.NewInt(1e9)), Gas: 30_000}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, estimate := range []bool{false, true} {
		account, server := scripted(t, mine, true)
		account.settings.Fees.Fixed = true
		if funded, err := account.Solvent(t.Context()); funded || err != nil {
			t.Errorf("nothing is known of it, and it can pay: %t, %v", funded, err)
		}
		said := "insufficient funds"
		refuse := func(json.RawMessage) (any, error) { return nil, errors.New(said) }
		server.Answer("eth_sendRawTransaction", refuse)
		server.Answer("eth_estimateGas", refuse)
		account.settings.Limit.Estimate = estimate
		attempt, err := account.Sign(t.Context(), relayer.Draft{Payload: payload})
		if err == nil {
			err = account.Send(t.Context(), attempt)
		}
		if !errors.Is(err, relayer.ErrUnfunded) || (account.Trouble() == "") != estimate {
			t.Fatalf("%v, and the account tells %q", err, account.Trouble())
		}
		for _, c := range []struct {
			balance string
			want    bool
		}{{"", false}, {"0x1c9c37f", false}, {"0x1c9c380", true}} { // 30,000 gas at 1,000 wei
			if c.balance != "" {
				server.Answer("eth_getBalance", func(json.RawMessage) (any, error) { return c.balance, nil })
			}
			funded, err := account.Solvent(t.Context())
			if funded != c.want || (err != nil) != (c.balance == "") || funded && account.Trouble() != "" {
				t.Errorf("with %q it can pay: %t, %v, and it tells %q", c.balance, funded, err, account.Trouble())
			}
		}
		_ = account.Send(t.Context(), attempt)
		said = "intrinsic gas too low"
		_ = account.Send(t.Context(), attempt)
		if _, _ = account.Solvent(t.Context()); !strings.HasSuffix(account.Trouble(), said) {
			t.Errorf("funds end the trouble that %s: %q", said, account.Trouble())
		}
	}
}

// TestServersSpeakOfThemselves checks that what a server says with an HTTP status of its own (it wants money or a key,
// bans or is down) is never taken for an answer about the transaction or its account: the transaction may land
// elsewhere, or later.
func TestServersSpeakOfThemselves(t *testing.T) {
	t.Parallel()
	cases := map[int]string{
		402: "insufficient balance",
		401: "invalid signature",
		403: "Sender is banned in local queue.",
		503: "already known",
	}
	for status, words := range cases {
		account := manned(t, mine, true, 1, func(_ int, s *relayertest.Server) {
			s.HTTPURL = refuse(t, s.HTTPURL, status, words)
		})
		err := account.Send(t.Context(), relayer.Attempt{Hash: "h", Raw: []byte{1}})
		if err == nil || errors.Is(err, relayer.ErrRefused) || errors.Is(err, relayer.ErrUnfunded) ||
			relayer.IsAnswered(err) {
			t.Errorf("status %d: %v", status, err)
		}
		if now := account.standing["h"]; now != (standing{}) || account.Trouble() != "" {
			t.Errorf("status %d: the attempt stands as %+v, and the account tells %q", status, now, account.Trouble())
		}
	}
}

// TestCodesOfServersAlone checks the same for the error codes with which a server says what an HTTP status does.
func TestCodesOfServersAlone(t *testing.T) {
	t.Parallel()
	for _, code := range []coded{402, 429} {
		account, server := scripted(t, mine, true)
		server.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) { return nil, code })
		err := account.Send(t.Context(), relayer.Attempt{Hash: "h", Raw: []byte{1}})
		if err == nil || errors.Is(err, relayer.ErrRefused) || relayer.IsAnswered(err) ||
			account.standing["h"] != (standing{}) {
			t.Errorf("code %d: %v, and the attempt stands as %+v", code, err, account.standing["h"])
		}
	}
}

// coded is an answer "insufficient balance" of this code.
type coded int

func (coded) Error() string { return "insufficient balance" }

func (c coded) ErrorCode() int { return int(c) }

// refuse is a proxy of a node that refuses only transactions, with a status.
func refuse(t *testing.T, node string, status int, words string) string {
	t.Helper()
	u, err := url.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte("eth_sendRawTransaction")) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":%q}}`, words)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// TestNodesDisagree checks that a transaction is neither dearer nor given up as long as one of several nodes may take
// it later, and that one node which has it suffices.
func TestNodesDisagree(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		said                            []string
		ok, refused, unfunded, isDearer bool
	}{
		"one has it":       {said: []string{"insufficient funds", "already known"}, ok: true},
		"one is full":      {said: []string{"insufficient funds", "txpool is full"}},
		"one wants more":   {said: []string{"transaction underpriced", "exceeds block gas limit"}, isDearer: true},
		"one lacks a word": {said: []string{"transaction underpriced", "what is this?"}},
		"no funds": {said: []string{"InsufficientFunds, Balance is 0", "insufficient funds"}, refused: true,
			unfunded: true},
	}
	for name, c := range cases {
		account := manned(t, mine, true, len(c.said), func(node int, s *relayertest.Server) {
			s.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) { return nil, errors.New(c.said[node]) })
		})
		err := account.Send(t.Context(), relayer.Attempt{Hash: "h", Raw: []byte{1}})
		refused, unfunded := errors.Is(err, relayer.ErrRefused), errors.Is(err, relayer.ErrUnfunded)
		if (err == nil) != c.ok || refused != c.refused || unfunded != c.unfunded {
			t.Errorf("%s: %v", name, err)
		}
		if now := account.standing["h"]; now.cheap != c.isDearer {
			t.Errorf("%s: the attempt stands as %+v", name, now)
		}
	}
}

// TestNodesThatTakeNoTransactions checks that the answers of the other nodes count beside one that takes no
// transactions, in whatever way it says so, and that such a node alone neither takes nor refuses one.
func TestNodesThatTakeNoTransactions(t *testing.T) {
	t.Parallel()
	closed := map[string]func(*testing.T, *relayertest.Server){
		"without the method": func(*testing.T, *relayertest.Server) {},
		"verifier": func(_ *testing.T, s *relayertest.Server) {
			s.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) {
				return nil, errors.New("Cannot send raw transaction in verifier mode")
			})
		},
		"restricted key": func(t *testing.T, s *relayertest.Server) {
			s.HTTPURL = refuse(t, s.HTTPURL, http.StatusForbidden, "this key may not do that")
		},
	}
	says := map[string]string{
		"without the method": "answers with the error: the method eth_sendRawTransaction is not scripted",
		"verifier":           "answers with the error: Cannot send raw transaction in verifier mode",
		"restricted key":     "answers with HTTP status 403 and the error: this key may not do that",
	}
	for name, closes := range closed {
		for said, want := range map[string]struct{ refused, unfunded, cheap bool }{
			"intrinsic gas too low":   {refused: true},
			"transaction underpriced": {cheap: true},
			"insufficient funds":      {refused: true, unfunded: true},
		} {
			account := manned(t, mine, true, 2, func(node int, s *relayertest.Server) {
				if node == 0 {
					closes(t, s)
					return
				}
				s.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) { return nil, errors.New(said) })
			})
			err := account.Send(t.Context(), relayer.Attempt{Hash: "h", Raw: []byte{1}})
			if refused := errors.Is(err, relayer.ErrRefused); refused != want.refused ||
				errors.Is(err, relayer.ErrUnfunded) != want.unfunded || account.standing["h"].cheap != want.cheap {
				t.Errorf("%s beside one that says %q: %v, and the attempt stands as %+v", name, said, err,
					account.standing["h"])
			}
		}
		account := manned(t, mine, true, 1, func(_ int, s *relayertest.Server) { closes(t, s) })
		err := account.Send(t.Context(), relayer.Attempt{Hash: "h", Raw: []byte{1}})
		if want := "no RPC node serves: n0 " + says[name]; status.Convert(err).Message() != want {
			t.Errorf("%s, alone: %v, want %q", name, err, want)
		}
		if now := account.standing["h"]; errors.Is(err, relayer.ErrRefused) || now != (standing{}) {
			t.Errorf("%s, alone: %v, and the attempt stands as %+v", name, err, now)
		}
	}
}

// TestSendWithoutNodes checks that an attempt which could not be sent anywhere counts as one that no node has, unless a
// node had it before.
func TestSendWithoutNodes(t *testing.T) {
	t.Parallel()
	account, server := scripted(t, mine, true)
	server.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) { return common.Hash{}, nil })
	if err := account.Send(t.Context(), relayer.Attempt{Hash: "held", Raw: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	_ = account.settings.Pool.Close()
	for hash, want := range map[string]standing{"held": {held: true}, "new": {spared: true}} {
		for range 2 {
			err := account.Send(t.Context(), relayer.Attempt{Hash: hash, Raw: []byte{1}})
			if err == nil || errors.Is(err, relayer.ErrRefused) || account.standing[hash] != want {
				t.Errorf("%s: %v, and it stands as %+v", hash, err, account.standing[hash])
			}
		}
	}
}

// TestStubbornNodes checks that what nodes go on refusing in words that nobody knows is refused at last, unless a node
// has had it.
func TestStubbornNodes(t *testing.T) {
	t.Parallel()
	account, server := scripted(t, mine, true)
	server.Answer(
		"eth_sendRawTransaction",
		func(json.RawMessage) (any, error) { return nil, errors.New("what is this?") },
	)
	account.holds("held")
	for hash, want := range map[string]bool{"new": true, "held": false} {
		for _, later := range []time.Duration{0, stubborn} {
			now := account.standing[hash]
			if !now.unclear.IsZero() {
				now.unclear = now.unclear.Add(-later)
			}
			account.standing[hash] = now
			err := account.Send(t.Context(), relayer.Attempt{Hash: hash, Raw: []byte{1}})
			if err == nil || errors.Is(err, relayer.ErrRefused) != (want && later > 0) {
				t.Errorf("%s, %s later: %v", hash, later, err)
			}
		}
	}
}

// TestPriceOfWhatNobodyTook checks that an attempt which no node ever took is followed by one at a first attempt's
// price, that one which a node has is outbid, at once by the default tip if the proposed one was far below it, and that
// a node which names the least tip is paid that.
func TestPriceOfWhatNobodyTook(t *testing.T) {
	t.Parallel()
	said := map[string]string{
		"first": "insufficient funds", "held": "", "tiny": "",
		"cheap": "transaction gas price below minimum: gas tip cap 10, minimum needed 400",
	}
	want := map[string][2]int64{"first": {24, 10}, "cheap": {414, 400}, "held": {29, 12}, "tiny": {24, 10}}
	for name, answer := range said {
		account, server := scripted(t, mine, true)
		if name == "tiny" {
			server.Answer("eth_maxPriorityFeePerGas", func(json.RawMessage) (any, error) { return "0x1", nil })
		}
		server.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) {
			if answer == "" {
				return common.Hash{}, nil
			}
			return nil, errors.New(answer)
		})
		first, err := account.Sign(t.Context(), relayer.Draft{Sequence: 4})
		if err != nil {
			t.Fatal(err)
		}
		_ = account.Send(t.Context(), first)
		next, err := account.terms(t.Context(), []relayer.Attempt{first})
		if err != nil || next.Cap.Int64() != want[name][0] || next.Tip.Int64() != want[name][1] {
			t.Errorf("%s: %v after it, %v, want %v", name, next, err, want[name])
		}
	}
}

// TestTips checks where the tip of a first attempt comes from, and that all transactions between two blocks share one
// question.
func TestTips(t *testing.T) {
	t.Parallel()
	propose := func(s *relayertest.Server) {
		s.Answer("eth_maxPriorityFeePerGas", func(json.RawMessage) (any, error) { return "0x14", nil })
	}
	free := func(s *relayertest.Server) {
		s.Answer("eth_maxPriorityFeePerGas", func(json.RawMessage) (any, error) { return "0x0", nil })
	}
	nothing := func(s *relayertest.Server) {
		s.Answer("eth_maxPriorityFeePerGas", func(json.RawMessage) (any, error) { return nil, nil })
	}
	empty := func(s *relayertest.Server) {
		s.Answer("eth_feeHistory", func(json.RawMessage) (any, error) {
			return map[string]any{"reward": []any{[]string{"0x0"}, nil, []string{}, []any{nil}}}, nil
		})
	}
	past := func(s *relayertest.Server) {
		s.Answer("eth_feeHistory", func(params json.RawMessage) (any, error) {
			if string(params) != `["0x8","latest",[60]]` {
				return nil, fmt.Errorf("invalid params %s", params)
			}
			return map[string]any{"reward": [][]string{{"0x0"}, {"0x1e"}, {"0x28"}, {"0x1f"}}}, nil
		})
	}
	cases := map[string]struct {
		history uint64
		answer  []func(*relayertest.Server)
		want    int64
	}{
		"neither":               {0, nil, 10},
		"the node's proposal":   {0, []func(*relayertest.Server){propose, past}, 20},
		"it has none":           {0, []func(*relayertest.Server){past}, 31},
		"history":               {8, []func(*relayertest.Server){propose, past}, 31},
		"history is not served": {8, []func(*relayertest.Server){propose}, 20},
		"a proposal of 0":       {0, []func(*relayertest.Server){free, past}, 0},
		"null":                  {0, []func(*relayertest.Server){nothing}, 10},
		"empty blocks":          {0, []func(*relayertest.Server){empty}, 10},
		"history of nothing":    {8, []func(*relayertest.Server){empty, free}, 0},
		"neither has any":       {8, []func(*relayertest.Server){empty, nothing}, 10},
	}
	for name, c := range cases {
		account, server := scripted(t, mine, true)
		account.settings.Fees.History = c.history
		for _, answer := range c.answer {
			answer(server)
		}
		for range 2 {
			got, err := account.terms(t.Context(), nil)
			if err != nil || got.Tip.Int64() != c.want {
				t.Errorf("%s: tip %v, %v, want %d", name, got.Tip, err, c.want)
			}
		}
		if asked := server.Requests("eth_maxPriorityFeePerGas"); asked > 1 {
			t.Errorf("%s: asked %d times between two blocks", name, asked)
		}
	}
}

// TestGasLimits checks how a limit is made, that an attempt's successor keeps it, and that what a node refuses to
// estimate is not signed.
func TestGasLimits(t *testing.T) {
	t.Parallel()
	payload, err := Call{To: common.Address{9}, Data: []byte{1}, Gas: 70_000}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		limit Limit
		want  uint64
	}{
		"the job's":      {Limit{}, 70_000},
		"multiplied":     {Limit{Multiplier: 1.5}, 105_000},
		"bounded":        {Limit{Multiplier: 1.5, Max: 80_000}, 80_000},
		"estimated":      {Limit{Estimate: true}, 57_500},
		"estimated more": {Limit{Estimate: true, Multiplier: 2}, 115_000},
	}
	for name, c := range cases {
		account, server := scripted(t, mine, true)
		account.settings.Limit = c.limit
		server.Answer("eth_estimateGas", func(params json.RawMessage) (any, error) {
			for _, field := range []string{`"input":"0x01"`, `"data":"0x01"`, `"from"`, `"to"`} {
				if !strings.Contains(string(params), field) {
					return nil, fmt.Errorf("%s lacks %s", params, field)
				}
			}
			return "0xc350", nil
		})
		first, err := account.Sign(t.Context(), relayer.Draft{Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
		server.Answer("eth_estimateGas", func(json.RawMessage) (any, error) {
			return nil, errors.New("execution reverted: stale report")
		})
		next, err := account.Sign(t.Context(), relayer.Draft{Payload: payload, Attempts: []relayer.Attempt{first}})
		if err != nil {
			t.Fatal(err)
		}
		for _, attempt := range []relayer.Attempt{first, next} {
			tx := new(types.Transaction)
			if err := tx.UnmarshalBinary(attempt.Raw); err != nil || tx.Gas() != c.want {
				t.Errorf("%s: gas %d, %v, want %d", name, tx.Gas(), err, c.want)
			}
		}
		if _, err := account.Sign(t.Context(), relayer.Draft{Payload: payload}); c.limit.Estimate != (err != nil) {
			t.Errorf("%s: a report that would revert: %v", name, err)
		}
		server.Answer("eth_estimateGas", func(json.RawMessage) (any, error) { return "0xffffffffffffffff", nil })
		if _, err := account.Sign(t.Context(), relayer.Draft{Payload: payload}); c.limit.Estimate != (err != nil) {
			t.Errorf("%s: an estimate that no node means: %v", name, err)
		}
	}
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	account, server := scripted(t, mine, true)
	receipts := map[string]any{
		"deep": map[string]any{ // 95: five blocks on top
			"blockNumber": "0x5f", "status": "0x1", "gasUsed": "0x64", "effectiveGasPrice": "0x7", "l1Fee": "0x3",
		},
		"fresh": map[string]any{"blockNumber": "0x60", "status": "0x1"},
		"reverted": map[string]any{
			"blockNumber": "0x5f", "status": "0x0", "gasUsed": "0x64", "effectiveGasPrice": "0x7",
		},
	}
	server.Answer("eth_getTransactionReceipt", func(params json.RawMessage) (any, error) {
		var hash []string
		if err := json.Unmarshal(params, &hash); err != nil || hash[0] == "untold" {
			return nil, errors.New("the transaction was refused before consensus")
		}
		return receipts[hash[0]], nil
	})
	server.Answer("eth_getTransactionCount", func(params json.RawMessage) (any, error) {
		if string(params) == fmt.Sprintf(`["%s","latest"]`, hexutil.Encode(me[:])) {
			return "0x5", nil
		}
		return "0x4", nil // at block 95
	})
	server.Answer("eth_sendRawTransaction", func(params json.RawMessage) (any, error) {
		switch string(params) {
		case `["0x01"]`:
			return nil, errors.New("transaction underpriced")
		case `["0x02"]`:
			return nil, errors.New("insufficient funds")
		}
		return common.Hash{}, nil
	})
	attempt := func(hash string, height uint64) relayer.Attempt {
		if height > 0 { // a node had it then
			account.standing[hash] = standing{held: true, passed: true, height: height}
		}
		return relayer.Attempt{Hash: hash}
	}
	answered := func(raw byte, hash string) relayer.Attempt {
		sent := relayer.Attempt{Hash: hash, Raw: []byte{raw}}
		_ = account.Send(t.Context(), sent)
		return sent
	}
	flights := map[string]relayer.Flight{
		"deep":       {Sequence: 1, Attempts: []relayer.Attempt{attempt("gone", 0), attempt("deep", 0)}},
		"fresh":      {Sequence: 4, Attempts: []relayer.Attempt{attempt("fresh", 0), attempt("gone", 0)}},
		"reverted":   {Sequence: 2, Attempts: []relayer.Attempt{attempt("reverted", 0)}},
		"lost":       {Sequence: 3, Attempts: []relayer.Attempt{attempt("gone", 0)}},
		"maybe lost": {Sequence: 4, Attempts: []relayer.Attempt{attempt("gone", 0)}},
		"untold":     {Sequence: 3, Attempts: []relayer.Attempt{attempt("untold", 0)}},
		"stuck":      {Sequence: 5, Attempts: []relayer.Attempt{attempt("held at 97", 97)}},
		"young":      {Sequence: 5, Attempts: []relayer.Attempt{attempt("held at 98", 98)}},
		"just sent":  {Sequence: 5, Attempts: []relayer.Attempt{answered(3, "just sent")}},
		"nobody's":   {Sequence: 5, Attempts: []relayer.Attempt{attempt("gone", 0)}},
		"cheap":      {Sequence: 5, Attempts: []relayer.Attempt{answered(1, "cheap")}},
		"unfunded":   {Sequence: 5, Attempts: []relayer.Attempt{answered(2, "unfunded")}},
		"behind":     {Sequence: 6, Attempts: []relayer.Attempt{attempt("held at 1", 1)}},
	}
	want := map[string]relayer.Outcome{
		"deep":       {State: relayer.SucceededForGood, Hash: "deep", Fee: big.NewInt(703)},
		"fresh":      {State: relayer.Succeeded, Hash: "fresh"},
		"reverted":   {State: relayer.RevertedForGood, Hash: "reverted", Fee: big.NewInt(700)},
		"lost":       {State: relayer.Lost},
		"maybe lost": {},
		"untold":     {},
		"stuck":      {Stuck: true},
		"young":      {},
		"just sent":  {},
		"nobody's":   {},
		"cheap":      {Stuck: true},
		"unfunded":   {},
		"behind":     {},
	}
	names := slices.Sorted(maps.Keys(flights))
	var all []relayer.Flight
	for _, name := range names {
		all = append(all, flights[name])
	}
	survey, err := account.Survey(t.Context(), all, nil)
	if err != nil || survey.Next != 5 {
		t.Fatalf("next %d, %v", survey.Next, err)
	}
	got := map[string]relayer.Outcome{}
	for i, name := range names {
		got[name] = survey.Outcomes[i]
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(big.Int{})); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if now := account.standing["just sent"]; now != (standing{held: true, passed: true, height: 100}) {
		t.Errorf("what was sent before the survey stands as %+v: blocks count from the survey's own", now)
	}
}

// TestEstimatesOfWhatReverts checks that a contract's own words are those of its report alone, and that a node's say
// what they say.
func TestEstimatesOfWhatReverts(t *testing.T) {
	t.Parallel()
	payload, err := Call{To: common.Address{9}, Data: []byte{1}, Gas: 70_000}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[string]error{
		"execution reverted: insufficient balance":       relayer.ErrRefused,
		"insufficient funds for gas + value. balance: 0": relayer.ErrUnfunded,
	} {
		account, server := scripted(t, mine, true)
		account.settings.Limit.Estimate = true
		server.Answer("eth_estimateGas", func(json.RawMessage) (any, error) { return nil, errors.New(answer) })
		_, err := account.Sign(t.Context(), relayer.Draft{Payload: payload})
		for _, is := range []error{relayer.ErrRefused, relayer.ErrUnfunded} {
			if errors.Is(err, is) != errors.Is(want, is) {
				t.Errorf("%s: %v, want %v", answer, err, want)
			}
		}
		_ = account.settings.Pool.Close()
		if _, err := account.Sign(t.Context(), relayer.Draft{Payload: payload}); err == nil ||
			errors.Is(err, relayer.ErrRefused) {
			t.Errorf("without a node: %v", err)
		}
	}
}

// TestSurveyOfAnAccountWithoutFunds checks that an account that cannot pay for what a node holds counts as unfunded
// once blocks pass the transaction by, and not if the node does not tell the balance.
func TestSurveyOfAnAccountWithoutFunds(t *testing.T) {
	t.Parallel()
	account, server := scripted(t, mine, true)
	server.Answer("eth_sendRawTransaction", func(json.RawMessage) (any, error) { return common.Hash{}, nil })
	server.Answer("eth_getTransactionCount", func(json.RawMessage) (any, error) { return "0x5", nil })
	account.settings.Fees.Fixed = true
	sent, err := account.Sign(t.Context(), relayer.Draft{Sequence: 5}) // 30,000 gas at 1,000 wei
	if err != nil {
		t.Fatal(err)
	}
	payload, err := Call{To: common.Address{9}, Value: (*hexutil.Big)(big.NewInt(1e9)), Gas: 30_000}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	transfer, err := account.Sign(t.Context(), relayer.Draft{Sequence: 5, Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	const poor = "it holds 29999999 wei, and a transaction may cost 30000000"
	flights := []relayer.Flight{{Sequence: 5, Attempts: []relayer.Attempt{sent}}}
	for i, c := range []struct {
		flights []relayer.Flight
		height  uint64
		cheap   bool
		balance any // nil: the node does not tell it
		want    string
		stuck   bool
	}{
		{flights, 98, false, "0x1", "", false},
		{flights, 97, false, nil, "", true},
		{flights, 97, false, "0x1c9c380", "", true},
		{flights, 97, false, "0x1c9c37f", poor, true},
		{flights, 97, false, "0x1c9c380", "", false}, // now that it is funded, its price may do
		{flights, 97, false, "0x1c9c380", "", true},
		{flights, 97, false, "0x1c9c37f", poor, true},
		{flights, 97, true, "0x1c9c380", "", true}, // nodes want more, whatever the account holds
		{flights, 97, false, "0x1c9c37f", poor, true},
		{nil, 0, false, "0x1c9c37f", poor, false}, // it is as poor without a transaction
		{nil, 0, false, "0x1c9c380", "", false},
		{nil, 0, false, "0x1", "", false},
		{[]relayer.Flight{{Sequence: 5, Attempts: []relayer.Attempt{transfer}}}, 97, false, "0x1c9c380", "", true},
	} {
		account.standing[sent.Hash] = standing{held: true, passed: true, height: c.height, cheap: c.cheap}
		account.standing[transfer.Hash] = account.standing[sent.Hash]
		server.Answer("eth_getBalance", func(json.RawMessage) (any, error) {
			if c.balance == nil {
				return nil, errors.New("the method eth_getBalance does not exist")
			}
			return c.balance, nil
		})
		survey, err := account.Survey(t.Context(), c.flights, nil)
		stuck := len(survey.Outcomes) > 0 && survey.Outcomes[0].Stuck
		if err != nil || survey.Unfunded != c.want || stuck != c.stuck {
			t.Errorf("case %d, passed by since %d with a balance of %v: %+v, %v, want %q and %v", i, c.height, c.balance, survey,
				err, c.want, c.stuck)
		}
	}
}

func TestStanding(t *testing.T) {
	t.Parallel()
	word := func(n byte) []byte { return common.LeftPadBytes([]byte{n}, 32) }
	digest := func(n byte) []byte { return common.RightPadBytes([]byte{n}, 32) }
	for name, c := range map[string]struct {
		output []byte
		want   *relayer.Standing
	}{
		"an answer": {
			slices.Concat(digest(7), word(3), word(2), word(0), word(0)),
			&relayer.Standing{Config: [32]byte{7}, Digest: [32]byte{7}, Epoch: 3, Round: 2},
		},
		"no answer": {nil, nil},
		"garbage":   {[]byte{2}, nil},
	} {
		if diff := cmp.Diff(c.want, (&view{output: c.output}).standing()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestReportBeforeItsConfiguration checks that a report under a configuration that the node does not show yet is kept
// until a block from after the doubt began shows that there will be none, and sent if it comes.
func TestReportBeforeItsConfiguration(t *testing.T) {
	t.Parallel()
	account, server := scripted(t, mine, true)
	digest := func(n byte) []byte { return common.RightPadBytes([]byte{n}, 32) }
	shown := digest(7)
	server.Answer("eth_getTransactionCount", func(json.RawMessage) (any, error) { return "0x5", nil })
	server.Answer("eth_call", func(params json.RawMessage) (any, error) {
		details := strings.Contains(string(params),
			hexutil.Encode(aggregator.ConfigDetailsCall(common.Address{},
				nil).Args[0].(map[string]any)["input"].(hexutil.Bytes)))
		if details {
			return hexutil.Bytes(slices.Concat(make([]byte, 64), shown)), nil
		}
		return hexutil.Bytes(slices.Concat(shown, make([]byte, 128))), nil
	})
	block := func(number uint64, at time.Time) {
		server.Answer("eth_getBlockByNumber", func(json.RawMessage) (any, error) {
			return map[string]any{"number": hexutil.Uint64(number), "hash": common.Hash{byte(number)},
				"timestamp": hexutil.Uint64(at.Unix())}, nil
		})
	}
	early, late := relayer.Item{Contract: me.Hex(), Epoch: 1,
		Digest: [32]byte(digest(6))}, relayer.Item{Contract: me.Hex(), Epoch: 1, Digest: [32]byte(digest(8))}
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
