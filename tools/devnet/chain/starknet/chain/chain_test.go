package chain

import (
	"encoding/json"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestVectors holds hashes, signatures and addresses to starknet.js, see ../testdata/vectors.mjs.
func TestVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Invokes []struct {
			Chain        string
			Hash, Public stark.Felt
			Transaction  json.RawMessage
		}
		Addresses []struct{ Salt, Class, Address stark.Felt }
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Invokes) < 4 || len(vectors.Addresses) < 3 {
		t.Fatal("the file of vectors is cut short")
	}
	for i, v := range vectors.Invokes {
		inv, failure := ParseInvoke(v.Transaction, false)
		if failure != nil {
			t.Errorf("transaction %d: %v", i, failure)
			continue
		}
		if got := inv.Hash(short(v.Chain)); got != v.Hash {
			t.Errorf("transaction %d: hash %s, want %s", i, got, v.Hash)
		}
		if !aggregator.Verify(v.Hash, v.Public, inv.Signature[0], inv.Signature[1]) {
			t.Errorf("transaction %d: its signature is not verified", i)
		}
	}
	for i, v := range vectors.Addresses {
		if got := contractAddress(v.Salt, v.Class, stark.PedersenArray(v.Salt)); got != v.Address {
			t.Errorf("address %d: %s, want %s", i, got, v.Address)
		}
	}
}

func newChain(t *testing.T) *Chain {
	t.Helper()
	c, err := New(Settings{BlockTime: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newAccount(t *testing.T, c *Chain) Account {
	t.Helper()
	a, err := NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.DeployAccount(a.Key.Public(), strk(1000)); got != a.Address {
		t.Fatalf("deployed at %s, want %s", got, a.Address)
	}
	return a
}

// signed is a transaction that is good unless change spoils it before it is signed, or spoil after.
func signed(t *testing.T, c *Chain, from Account, change, spoil func(*Invoke), made ...Call) Invoke {
	t.Helper()
	inv := c.unsigned(from, made)
	if change != nil {
		change(&inv)
	}
	signature, err := from.Key.Sign(inv.Hash(c.id))
	if err != nil {
		t.Fatal(err)
	}
	inv.Signature = []stark.Felt{signature.R, signature.S}
	if spoil != nil {
		spoil(&inv)
	}
	return inv
}

func number(n int64) Quantity { return Quantity{big.NewInt(n)} }

var transfer = aggregator.Selector("transfer")

func pay(to stark.Felt, amount uint64) Call {
	return Call{FeeToken(), transfer, []stark.Felt{to, stark.FromUint64(amount), {}}}
}

// TestAddRefusesInOrder spoils a transaction: each case has all faults of those that follow it in a sequencer's checks.
func TestAddRefusesInOrder(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from := newAccount(t, c)
	feed, err := c.DeployAggregator(aggregator.Settings{Min: big.NewInt(1), Max: big.NewInt(2)})
	if err != nil {
		t.Fatal(err)
	}
	stranger := stark.FromUint64(1)
	cases := []struct {
		name   string
		change func(*Invoke)
		want   int
		says   string // what it is told beside the message of the code
	}{
		{"data on L2", func(inv *Invoke) { inv.FeeMode = "L2" }, CodeUnexpected, "data on L1"},
		{"a paymaster", func(inv *Invoke) { inv.FeeMode = "L1"; inv.Paymaster = []stark.Felt{{}} }, CodeUnexpected,
			"no paymasters"},
		{"too much L2 gas", func(inv *Invoke) {
			inv.Paymaster = []stark.Felt{}
			inv.Bounds.L2.Amount = number(1_200_000_001)
		}, CodeUnexpected, "MAX_GAS_AMOUNT_TOO_HIGH"},
		{"a price of L2 gas below the least", func(inv *Invoke) {
			inv.Bounds.L2.Amount = number(1_200_000_000)
			inv.Bounds.L2.Price = number(7_999_999_999)
		}, CodeInsufficientResource, ""},
		{"a sender that is not there", func(inv *Invoke) {
			inv.Bounds.L2.Price = number(8_000_000_000)
			inv.Sender = &stranger
		}, CodeValidationFailure, "is not deployed"},
		{"a sender that is not an account", func(inv *Invoke) { inv.Sender = &feed }, CodeNonAccount, ""},
		{"a nonce too far ahead", func(inv *Invoke) {
			inv.Sender = &from.Address
			n := stark.FromUint64(201)
			inv.Nonce = &n
		}, CodeInvalidNonce, "Account nonce: 0x0, got: 0xc9"},
		{"a price of L2 gas below the last block's", func(inv *Invoke) {
			inv.Nonce = &stark.Felt{}
			inv.Bounds.L2.Price = number(9_000_000_001)
		}, CodeUnexpected, "GAS_PRICE_TOO_LOW: Transaction L2 gas price 9000000001 is below the required threshold " +
			"9000000002."},
		{"a price of L1 gas too low", func(inv *Invoke) {
			inv.Bounds.L2.Price = number(9_000_000_002)
			inv.Bounds.L1.Price = number(30_000_000_000_000)
		}, CodeValidationFailure,
			"Max L1Gas price (30000000000000) is lower than the actual gas price: 30000000000001."},
		{"a price of data too low", func(inv *Invoke) {
			inv.Bounds.L1.Price = number(30_000_000_000_001)
			inv.Bounds.L1Data.Price = number(1)
		}, CodeValidationFailure,
			"Max L1DataGas price (1) is lower than the actual gas price: 40000003."},
		{"too little L2 gas", func(inv *Invoke) {
			inv.Bounds.L1Data.Price = number(40_000_003)
			inv.Bounds.L2.Amount = number(99_999)
		}, CodeValidationFailure,
			"Max L2Gas amount (99999) is lower than the minimal gas amount: 100000."},
		{"too little data", func(inv *Invoke) {
			inv.Bounds.L2.Amount = number(1_000_000)
			inv.Bounds.L1Data.Amount = number(127)
		}, CodeValidationFailure,
			"Max L1DataGas amount (127) is lower than the minimal gas amount: 128."},
		{"more than the account has", func(inv *Invoke) {
			inv.Bounds.L1Data.Amount = number(128)
			inv.Bounds.L1.Amount = number(1 << 60)
		}, CodeValidationFailure, "Resources bounds ({ l1_gas: { max_amount: 1152921504606846976, max_price_per_unit: " +
			"30000000000001 }, l2_gas: { max_amount: 1000000, max_price_per_unit: 9000000002 }, l1_data_gas: " +
			"{ max_amount: 128, max_price_per_unit: 40000003 } }) exceed balance ("},
		{"a tip that the account cannot pay", func(inv *Invoke) {
			inv.Bounds.L1.Amount = number(0)
			inv.Tip = Quantity{new(big.Int).SetUint64(1 << 63)}
		}, CodeValidationFailure, ") exceed balance ("},
		{"calldata without sense", func(inv *Invoke) {
			inv.Tip = number(0)
			inv.Calldata = []stark.Felt{stark.FromUint64(1)}
		}, CodeValidationFailure, "Failed to deserialize"},
		{"no signature", func(inv *Invoke) { inv.Calldata = Calldata(); inv.Signature = []stark.Felt{} },
			CodeValidationFailure, "invalid signature"},
	}
	inv := signed(t, c, from, nil, nil)
	for _, test := range slices.Backward(cases) {
		test.change(&inv)
	}
	for i, test := range cases {
		if i > 0 {
			test.change(&inv)
		}
		if _, failure := c.Add(inv); failure == nil || failure.Code != test.want ||
			!strings.Contains(failure.Error(), test.says) {
			t.Errorf("%s: %v, want code %d and %q", test.name, failure, test.want, test.says)
		}
	}
	if n := len(c.transactions); n != 0 {
		t.Errorf("%d transactions were taken", n)
	}
	// All that has been set right again is right now, but for the signature.
	signature, err := from.Key.Sign(inv.Hash(c.id))
	if err != nil {
		t.Fatal(err)
	}
	inv.Signature = []stark.Felt{signature.R, signature.S}
	if _, failure := c.Add(inv); failure != nil {
		t.Errorf("at last: %v", failure)
	}
	if _, failure := c.Add(inv); failure == nil || failure.Code != CodeDuplicate {
		t.Errorf("again: %v, want code %d", failure, CodeDuplicate)
	}
}

// TestBoundsAreEachEnough has each bound alone below what is wanted, and then all of them at it.
func TestBoundsAreEachEnough(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from := newAccount(t, c)
	least := func(inv *Invoke) {
		price := func(b *Bound, amount int64, price *big.Int) { b.Amount, b.Price = number(amount), Quantity{price} }
		price(inv.Bounds.L1, 0, c.prices.L1)
		price(inv.Bounds.L2, 100_000, c.prices.L2)
		price(inv.Bounds.L1Data, 128, c.prices.L1Data)
	}
	less := func(q *Quantity) { *q = Quantity{new(big.Int).Sub(q.Int, big.NewInt(1))} }
	for name, lower := range map[string]func(*Bounds){
		"L1 price": func(b *Bounds) { less(&b.L1.Price) }, "L2 price": func(b *Bounds) { less(&b.L2.Price) },
		"data price": func(b *Bounds) { less(&b.L1Data.Price) },
		"L2 amount":  func(b *Bounds) { less(&b.L2.Amount) }, "data amount": func(b *Bounds) { less(&b.L1Data.Amount) },
	} {
		inv := signed(t, c, from, func(inv *Invoke) { least(inv); lower(inv.Bounds) }, nil)
		want := CodeValidationFailure
		if name == "L2 price" {
			want = CodeUnexpected
		}
		if _, failure := c.Add(inv); failure == nil || failure.Code != want {
			t.Errorf("%s: %v, want code %d", name, failure, want)
		}
	}
	if _, failure := c.Add(signed(t, c, from, least, nil)); failure != nil {
		t.Errorf("what is just enough: %v", failure)
	}
}

// TestSignatureCoversEverything changes each field of a signed transaction.
func TestSignatureCoversEverything(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from, other := newAccount(t, c), newAccount(t, c)
	more := func(b *Bound) *Bound {
		return &Bound{Quantity{new(big.Int).Add(b.Amount.Int, big.NewInt(1))}, b.Price}
	}
	dearer := func(b *Bound) *Bound {
		return &Bound{b.Amount, Quantity{new(big.Int).Add(b.Price.Int, big.NewInt(1))}}
	}
	for name, spoil := range map[string]func(*Invoke){
		"sender":    func(inv *Invoke) { inv.Sender = &other.Address },
		"calldata":  func(inv *Invoke) { inv.Calldata[2] = stark.Felt{} },
		"tip":       func(inv *Invoke) { inv.Tip = number(1) },
		"l1":        func(inv *Invoke) { inv.Bounds.L1 = more(inv.Bounds.L1) },
		"l2":        func(inv *Invoke) { inv.Bounds.L2 = more(inv.Bounds.L2) },
		"l1 data":   func(inv *Invoke) { inv.Bounds.L1Data = more(inv.Bounds.L1Data) },
		"l1 price":  func(inv *Invoke) { inv.Bounds.L1 = dearer(inv.Bounds.L1) },
		"l2 price":  func(inv *Invoke) { inv.Bounds.L2 = dearer(inv.Bounds.L2) },
		"l1d price": func(inv *Invoke) { inv.Bounds.L1Data = dearer(inv.Bounds.L1Data) },
		"signature": func(inv *Invoke) { inv.Signature = append(inv.Signature, stark.Felt{}) },
		"key":       func(inv *Invoke) { inv.Signature[0], inv.Signature[1] = inv.Signature[1], inv.Signature[0] },
	} {
		inv := signed(t, c, from, nil, spoil, pay(other.Address, 5))
		if _, failure := c.Add(inv); failure == nil || failure.Code != CodeValidationFailure ||
			!strings.Contains(failure.Error(), "invalid signature") {
			t.Errorf("%s: %v, want an invalid signature", name, failure)
		}
	}
}

// eachVersion runs a test as nodes of each version see the network.
func eachVersion(t *testing.T, test func(t *testing.T, version Version)) {
	t.Parallel()
	for version, spec := range specs() {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			test(t, Version(version))
		})
	}
}

// tag is the block that is being made, in the words of a version.
func tag(version Version) BlockID { return BlockID{tag: version.PreConfirmed()} }

func blockID(t *testing.T, text string) BlockID {
	t.Helper()
	var id BlockID
	if err := json.Unmarshal([]byte(text), &id); err != nil {
		t.Fatal(err)
	}
	return id
}

func balance(t *testing.T, c *Chain, of stark.Felt) *big.Int {
	t.Helper()
	words, failure := c.View(Version10, 0).Call(tag(Version10),
		Call{FeeToken(), aggregator.Selector("balance_of"), []stark.Felt{of}})
	if failure != nil {
		t.Fatal(failure)
	}
	return new(big.Int).Add(words[0].Big(), new(big.Int).Lsh(words[1].Big(), 128))
}

// TestExecution follows good and reverted transactions to their receipts.
func TestExecution(t *testing.T) { eachVersion(t, testExecution) }

func testExecution(t *testing.T, version Version) {
	to := stark.FromUint64(0xbeef)
	for name, test := range map[string]struct {
		change func(*Invoke)
		calls  []Call
		paid   int64
		reason string
	}{
		"nothing at all":      {},
		"two calls":           {calls: []Call{pay(to, 5), pay(to, 6)}, paid: 11},
		"no such contract":    {calls: []Call{pay(to, 5), {To: to}}, reason: "is not deployed"},
		"no such entry point": {calls: []Call{{To: FeeToken()}}, reason: "ENTRYPOINT_NOT_FOUND"},
		"more than there is": {calls: []Call{pay(to, 5), {FeeToken(), transfer, []stark.Felt{to, {}, stark.FromUint64(1)}}},
			reason: "ERC20: insufficient balance"},
		"all but the fee": {calls: []Call{{FeeToken(), transfer, []stark.Felt{to, element(strk(1000)), {}}}},
			reason: "Insufficient fee token balance"},
		"too little L2 gas": {change: func(inv *Invoke) { inv.Bounds.L2.Amount = number(1_000_000) },
			calls: []Call{pay(to, 5)}, reason: "Insufficient max L2Gas: max amount: 1000000, actual used: 1"},
		"too little L1 data": {change: func(inv *Invoke) {
			inv.Bounds.L1Data.Amount = number(128)
		}, calls: []Call{pay(to, 5)}, reason: "Insufficient max L1DataGas"},
		"an argument too many": {calls: []Call{{FeeToken(), transfer, make([]stark.Felt, 4)}},
			reason: "Input too long for arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t)
			from := newAccount(t, c)
			c.MakeBlock()
			before := balance(t, c, from.Address)
			hash, failure := c.Add(signed(t, c, from, test.change, nil, test.calls...))
			if failure != nil {
				t.Fatal(failure)
			}
			r, failure := c.View(version, 0).Receipt(hash)
			if failure != nil {
				t.Fatal(failure)
			}
			want := "SUCCEEDED"
			if test.reason != "" {
				want = "REVERTED"
			}
			finality, numbered := "PRE_CONFIRMED", true
			if version == Version8 {
				finality, numbered = "ACCEPTED_ON_L2", false
			}
			if r.Execution != want || !strings.Contains(r.Reason, test.reason) || r.Finality != finality || r.BlockHash != nil ||
				(r.BlockNumber != nil) != numbered {
				t.Errorf("receipt %+v, want it %s, %s and in no complete block with the reason %q", r, want, finality, test.reason)
			}
			status, failure := c.View(version, 0).Status(hash)
			if failure != nil || status != (Status{finality, want, r.Reason}) {
				t.Errorf("status %+v, %v", status, failure)
			}
			spent := new(big.Int).Sub(before, balance(t, c, from.Address))
			if spent.Sub(spent, r.Fee.Amount.Int).Cmp(big.NewInt(test.paid)) != 0 ||
				balance(t, c, to).Cmp(big.NewInt(test.paid)) != 0 {
				t.Errorf("paid %s and %s of fees, want %d", spent, r.Fee.Amount, test.paid)
			}
			if nonce, _ := c.View(version, 0).Nonce(tag(version), from.Address); nonce != stark.FromUint64(1) {
				t.Errorf("nonce %s, want 1", nonce)
			}
			if nonce, failure := c.View(version, 0).Nonce(blockID(t, `"latest"`), from.Address); failure != nil ||
				nonce != (stark.Felt{}) {
				t.Errorf("nonce %s, %v before the block, want 0", nonce, failure)
			}
			block := c.MakeBlock()
			if r, _ := c.View(version, 0).Receipt(hash); r.BlockHash == nil || r.BlockNumber == nil || *r.BlockNumber != block ||
				r.Finality != "ACCEPTED_ON_L2" {
				t.Errorf("receipt %+v, want it in block %d", r, block)
			}
			if _, failure := c.View(version, 1).Receipt(hash); failure == nil || failure.Code != CodeHashNotFound {
				t.Errorf("a node that is behind: %v, want code %d", failure, CodeHashNotFound)
			}
		})
	}
}

func TestHold(t *testing.T) { eachVersion(t, testHold) }

func testHold(t *testing.T, version Version) {
	c := newChain(t)
	from := newAccount(t, c)
	c.Hold(true)
	var hashes []stark.Felt
	for i := range 2 {
		hash, failure := c.Add(signed(t, c, from, nil, nil))
		if failure != nil {
			t.Fatal(failure)
		}
		hashes = append(hashes, hash)
		want := Status{Finality: "RECEIVED"}
		if i == 0 && version != Version8 { // the next in line
			want.Finality = "CANDIDATE"
		}
		if status, failure := c.View(version, 0).Status(hash); failure != nil || status != want {
			t.Errorf("status %+v, %v, want %+v", status, failure, want)
		}
		if _, failure := c.View(version, 0).Receipt(hash); failure == nil || failure.Code != CodeHashNotFound {
			t.Errorf("receipt: %v, want code %d", failure, CodeHashNotFound)
		}
	}
	if err := c.PushNonce(from.Address, 1); err != nil {
		t.Fatal(err)
	}
	c.Hold(false)
	first, forgotten := c.View(version, 0).Status(hashes[0])
	second, failure := c.View(version, 0).Status(hashes[1])
	if failure != nil || second.Execution != "SUCCEEDED" {
		t.Errorf("after somebody else took the first nonce the second is %+v, %v", second, failure)
	}
	switch {
	case version == Version8 &&
		(first.Finality != "REJECTED" || !strings.Contains(first.Reason, "Invalid transaction nonce")):
		t.Errorf("after somebody else took its nonce the first is %+v, want it REJECTED", first)
	case version != Version8 && (forgotten == nil || forgotten.Code != CodeHashNotFound):
		t.Errorf("after somebody else took its nonce the first is %+v, %v, want code %d", first, forgotten, CodeHashNotFound)
	}
	if err := c.PushNonce(stark.FromUint64(1), 1); err == nil {
		t.Error("the nonce of nobody was pushed")
	}
}

func TestEstimates(t *testing.T) { eachVersion(t, testEstimates) }

func testEstimates(t *testing.T, version Version) {
	c := newChain(t)
	from := newAccount(t, c)
	to := stark.FromUint64(0xbeef)
	now := tag(version)
	first := signed(t, c, from, nil, nil, pay(to, 5))
	second := signed(t, c, from, func(inv *Invoke) { n := stark.FromUint64(1); inv.Nonce = &n }, nil, pay(to, 5),
		pay(to, 5))
	estimates, failure := c.View(version, 0).Estimates(now, []Invoke{first, second}, true)
	if failure != nil {
		t.Fatal(failure)
	}
	if c.state.accounts[from.Address].nonce != 0 || balance(t, c, to).Sign() != 0 {
		t.Error("an estimate changed the network")
	}
	hash, failure := c.Add(first)
	if failure != nil {
		t.Fatal(failure)
	}
	r, _ := c.View(version, 0).Receipt(hash)
	e := estimates[0]
	if e.Unit != "FRI" || e.Overall.Cmp(r.Fee.Amount.Int) != 0 || e.L2Gas.Uint64() != r.Resources.L2 ||
		e.L1DataGas.Uint64() != r.Resources.L1Data || e.L1Gas.Sign() != 0 {
		t.Errorf("estimate %+v, and it took %+v for %s", e, r.Resources, r.Fee.Amount)
	}
	if estimates[1].Overall.Cmp(e.Overall.Int) <= 0 {
		t.Error("two calls cost no more than one")
	}
	for name, test := range map[string]struct {
		inv      Invoke
		validate bool
		want     string
	}{
		"an old nonce": {first, true, "Invalid transaction nonce"},
		"a nonce ahead": {signed(t, c, from, func(inv *Invoke) { n := stark.FromUint64(5); inv.Nonce = &n }, nil),
			true, "Invalid transaction nonce"},
		"that is skipped, too": {signed(t, c, from, func(inv *Invoke) { n := stark.FromUint64(5); inv.Nonce = &n }, nil),
			false, ""},
		"a revert":        {signed(t, c, from, nil, nil, Call{To: to}), false, "is not deployed"},
		"a bad signature": {signed(t, c, from, nil, func(inv *Invoke) { inv.Signature = nil }), true, "invalid signature"},
		"that is skipped": {signed(t, c, from, nil, func(inv *Invoke) { inv.Signature = nil }), false, ""},
	} {
		_, failure := c.View(version, 0).Estimates(now, []Invoke{test.inv}, test.validate)
		switch {
		case test.want == "" && failure != nil:
			t.Errorf("%s: %v", name, failure)
		case test.want != "" &&
			(failure == nil || failure.Code != CodeExecutionError || !strings.Contains(failure.Error(), test.want)):
			t.Errorf("%s: %v, want code %d and %q", name, failure, CodeExecutionError, test.want)
		}
	}
	nobody := signed(t, c, from, func(inv *Invoke) { inv.Sender = &to }, nil)
	want := CodeExecutionError
	if version == Version10 {
		want = CodeContractNotFound
	}
	if _, failure := c.View(version, 0).Estimates(now, []Invoke{nobody}, false); failure == nil || failure.Code != want {
		t.Errorf("of nobody: %v, want code %d", failure, want)
	}
}

func TestEventsInPages(t *testing.T) { eachVersion(t, testEventsInPages) }

func testEventsInPages(t *testing.T, version Version) {
	c := newChain(t)
	from := newAccount(t, c)
	for i := range uint64(7) {
		if _, err := c.Send(from, pay(stark.FromUint64(100+i%2), i)); err != nil {
			t.Fatal(err)
		}
		if i%3 == 2 {
			c.MakeBlock()
		}
	}
	id := func(text string) *BlockID { id := blockID(t, text); return &id }
	made := &BlockID{tag: version.PreConfirmed()}
	token := FeeToken()
	amounts := func(f Filter) (got []uint64, pages int) {
		for {
			page, failure := c.View(version, 0).Events(f)
			if failure != nil {
				t.Fatal(failure)
			}
			pages++
			for _, e := range page.Events {
				n, _ := e.Data[0].Uint64()
				got = append(got, n)
				made := e.BlockHash == nil // that is, the block is being made
				if (e.BlockNumber == nil) != (made && version == Version8) || made != (n == 6) || e.Transaction == nil ||
					e.From != token {
					t.Errorf("event %+v", e)
				}
				if (e.Place == nil || e.Index == nil) != (version != Version10) ||
					e.Place != nil && (*e.Place != int(n%3) || *e.Index != 0) {
					t.Errorf("event %d is at %v, %v", n, e.Place, e.Index)
				}
			}
			if page.Token == "" {
				return got, pages
			}
			f.Token = &page.Token
		}
	}
	keys := func(to ...stark.Felt) [][]stark.Felt {
		return [][]stark.Felt{{aggregator.Selector("Transfer")}, {from.Address}, to}
	}
	for name, test := range map[string]struct {
		filter Filter
		want   []uint64
		pages  int
	}{
		"all of either": {Filter{From: id(`{"block_number":0}`), To: made, Chunk: 3,
			Keys: keys(stark.FromUint64(100), stark.FromUint64(101))}, []uint64{0, 1, 2, 3, 4, 5, 6}, 3},
		"of one": {Filter{From: id(`{"block_number":0}`), To: made, Address: Addresses{token}, Chunk: 1,
			Keys: keys(stark.FromUint64(101))}, []uint64{1, 3, 5}, 3},
		"of the latest": {Filter{From: id(`"latest"`), To: id(`"latest"`), Chunk: 1000,
			Keys: keys(stark.FromUint64(100), stark.FromUint64(101))}, []uint64{3, 4, 5}, 1},
		"being made": {Filter{From: made, To: made, Chunk: 10,
			Keys: keys(stark.FromUint64(100), stark.FromUint64(101))}, []uint64{6}, 1},
		"without an end":    {Filter{Chunk: 10, Keys: keys(stark.FromUint64(100))}, []uint64{0, 2, 4}, 1},
		"of nobody":         {Filter{Chunk: 10, Keys: keys(stark.FromUint64(1))}, nil, 1},
		"of other keys":     {Filter{Chunk: 10, Keys: append(keys(), nil, []stark.Felt{{}})}, nil, 1},
		"of others":         {Filter{Chunk: 10, Address: Addresses{from.Address}}, nil, 1},
		"from end to start": {Filter{From: id(`"latest"`), To: id(`{"block_number":0}`), Chunk: 10}, nil, 1},
	} {
		got, pages := amounts(test.filter)
		if diff := cmp.Diff(test.want, got); diff != "" || pages != test.pages {
			t.Errorf("%s: %d pages, want %d (-want +got):\n%s", name, pages, test.pages, diff)
		}
	}
	both := Filter{Chunk: 10, Keys: keys(stark.FromUint64(101)), Address: Addresses{from.Address, token}}
	if version == Version10 {
		if got, _ := amounts(both); len(got) != 3 {
			t.Errorf("of two contracts: %v", got)
		}
	} else if _, failure := c.View(version, 0).Events(both); failure == nil || failure.Code != CodeInvalidParams {
		t.Errorf("of two contracts: %v, want code %d", failure, CodeInvalidParams)
	}
	text := func(s string) *string { return &s }
	for name, test := range map[string]struct {
		filter Filter
		want   int
	}{
		"no chunk":          {Filter{}, CodeInvalidParams},
		"a chunk too large": {Filter{Chunk: 1025}, CodePageTooBig},
		"too many keys":     {Filter{Chunk: 1, Keys: make([][]stark.Felt, 257)}, CodeTooManyKeys},
		"a block to come":   {Filter{Chunk: 1, From: id(`{"block_number":99}`)}, CodeBlockNotFound},
		"no block":          {Filter{Chunk: 1, To: id(`{"block_hash":"0x1"}`)}, CodeBlockNotFound},
		"a token of words":  {Filter{Chunk: 1, Token: text("x")}, CodeInvalidToken},
		"a token too long":  {Filter{Chunk: 1, Token: text("1-1 ")}, CodeInvalidToken},
		"a token beyond":    {Filter{Chunk: 1, Token: text("99-0")}, CodeInvalidToken},
		"a token before":    {Filter{Chunk: 1, From: id(`"latest"`), Token: text("0-0")}, CodeInvalidToken},
		"a negative token":  {Filter{Chunk: 1, Token: text("1--1")}, CodeInvalidToken},
	} {
		if _, failure := c.View(version, 0).Events(test.filter); failure == nil || failure.Code != test.want {
			t.Errorf("%s: %v, want code %d", name, failure, test.want)
		}
	}
}

func TestBlocks(t *testing.T) { eachVersion(t, testBlocks) }

func testBlocks(t *testing.T, version Version) {
	c, err := New(Settings{BlockTime: -1, L1After: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		c.MakeBlock()
	}
	var last BlockHeader
	for i, want := range []string{"ACCEPTED_ON_L1", "ACCEPTED_ON_L1", "ACCEPTED_ON_L2", "ACCEPTED_ON_L2"} {
		n := uint64(i)
		b, failure := c.View(version, 0).Block(BlockID{number: &n})
		if failure != nil {
			t.Fatal(failure)
		}
		if *b.Number != n || b.Status != want || n > 0 && (*b.Parent != *last.Hash || b.Time < last.Time) ||
			(b.Commitments != nil) != (version == Version10) {
			t.Errorf("block %d: %+v after %+v, want it %s", i, b, last, want)
		}
		if found, failure := c.View(version, 0).Block(BlockID{hash: b.Hash}); failure != nil || *found.Number != n {
			t.Errorf("block %d by its hash: %+v, %v", i, found, failure)
		}
		last = b
	}
	for lag, want := range map[uint64]uint64{0: 3, 1: 2, 3: 0, 99: 0} {
		if n, _ := c.View(version, lag).Latest(); n != want {
			t.Errorf("a node %d blocks behind is at %d, want %d", lag, n, want)
		}
		made, failure := c.View(version, lag).Block(tag(version))
		_, hash := c.View(version, lag).Latest()
		if failure != nil || made.Hash != nil || made.Status != "" || made.Root != nil || made.Commitments != nil {
			t.Errorf("the block that is being made is %+v, %v", made, failure)
		}
		switch version {
		case Version8:
			if made.Number != nil || made.Parent == nil || *made.Parent != hash {
				t.Errorf("the block that is being made is %+v, want it after %s and without a number", made, hash)
			}
		default:
			if made.Number == nil || *made.Number != want+1 || made.Parent != nil {
				t.Errorf("the block that is being made is %+v, want it number %d and without a parent", made, want+1)
			}
		}
	}
	for tag, served := range map[string]bool{"latest": true, "pending": version == Version8,
		"pre_confirmed": version != Version8, "l1_accepted": version != Version8, "newest": false} {
		b, failure := c.View(version, 0).Block(BlockID{tag: tag})
		if served != (failure == nil) || failure != nil && failure.Code != CodeInvalidParams {
			t.Errorf("the tag %s: %v", tag, failure)
		}
		if tag == "l1_accepted" && served && *b.Number != 1 {
			t.Errorf("the newest block on L1 is %d, want 1", *b.Number)
		}
	}
	for _, text := range []string{`""`, `{}`, `{"block_number":1,"block_hash":"0x1"}`, `{"block_number":-1}`, `1`, `null`,
		`[]`} {
		var id BlockID
		if err := id.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s is taken as a block", text)
		}
	}
}

func TestRevertTransmissions(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from := newAccount(t, c)
	feed, err := c.DeployAggregator(aggregator.Settings{Min: big.NewInt(1), Max: big.NewInt(2)})
	if err != nil {
		t.Fatal(err)
	}
	c.RevertTransmissions(1, "on demand")
	for _, want := range []string{"('on demand')", "Failed to deserialize param #1"} {
		if _, err := c.Send(from, Call{To: feed, Selector: aggregator.Selector("transmit")}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
