package starknet_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
)

const fakeChainID = "SN_FAKE"

// versions are those of the JSON-RPC that the relayer speaks, as nodes give them, by what they call the block that is
// being made.
var versions = map[string]string{"0.8.1": "pending", "0.9.0": "pre_confirmed", newest: "pre_confirmed"}

// newest is what pathfinder says of its version 0.10.
const newest = "0.10.3-rc.0"

// eachVersion runs a test on each.
func eachVersion(t *testing.T, test func(t *testing.T, version string)) {
	t.Parallel()
	for version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// fakeChain is a fake of a Starknet node: it serves the methods of the JSON-RPC that the relayer calls, keeps nonces
// and blocks, checks hashes and signatures of transactions, and keeps the aggregator's rules in Go. What it hashes with
// is the package under test, whose hashes are compared with starknet.js elsewhere.
type fakeChain struct {
	t   *testing.T
	url string
	id  stark.Felt
	// version of the JSON-RPC that it serves.
	version string

	mu       sync.Mutex
	number   uint64 // of the latest block
	accounts map[stark.Felt]*fakeAccount
	feeds    map[stark.Felt]*feed
	txs      map[stark.Felt]*fakeTx
	order    []*fakeTx // of all that were added
	pool     []*fakeTx // that are in no block
	pending  []*fakeTx
	balance  *big.Int // of everybody
	// hold keeps transactions out of blocks, and rejects says that those held are rejected.
	hold bool
	// revert, if set, is why the next transaction reverts although its estimate says otherwise.
	revert string
	// price of all resources in estimates, and the least that is taken.
	price, least uint64
	// picky refuses replacements of what is in the pool.
	picky bool
	calls map[string]int // by method
	// batches counts the requests of several calls, and batched their calls.
	batches, batched int
}

type fakeAccount struct {
	key             stark.Felt
	nonce, complete uint64
}

type fakeTx struct {
	hash     stark.Felt
	sender   stark.Felt
	nonce    uint64
	calldata []stark.Felt
	price    *big.Int // of L2 gas
	status   string
	revert   string
	block    uint64 // 0: none
}

// What has become of a transaction that is in no block. For all but forgotten ones a node has a word of its version.
const (
	waits     = "RECEIVED"
	rejected  = "REJECTED"
	accepted  = "ACCEPTED_ON_L2"
	forgotten = ""
)

// fakeEvent is an event with its block.
type fakeEvent struct {
	block      uint64
	keys, data []stark.Felt
}

// feed is an aggregator.
type feed struct {
	chain   *fakeChain
	oracles *oracles
	address stark.Felt

	feedState                // after the block that is being made
	complete       feedState // after the newest complete block
	events         []fakeEvent
	maxObservation *big.Int
}

type feedState struct {
	digest        [32]byte
	count, block  uint64
	epochAndRound uint64
	answer        stark.Felt
	answered      uint64
	transmissions int
}

func newFakeChain(t *testing.T, o *oracles, version string) *fakeChain {
	t.Helper()
	id, err := stark.ShortString(fakeChainID)
	must(t, err)
	d := &fakeChain{
		t: t, id: id, version: version, number: 1, price: 100, accounts: map[stark.Felt]*fakeAccount{},
		feeds: map[stark.Felt]*feed{}, txs: map[stark.Felt]*fakeTx{}, calls: map[string]int{}, balance: big.NewInt(1e18),
	}
	for i, a := range o.accounts {
		d.accounts[a] = &fakeAccount{key: o.transmitters[i].Public()}
	}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func newFeed(d *fakeChain, o *oracles) *feed {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &feed{chain: d, oracles: o, address: stark.FromUint64(0xfeed00 + uint64(len(d.feeds))),
		maxObservation: big.NewInt(1_000_000)}
	d.feeds[f.address] = f
	return f
}

// configure sets configurations in one block and returns the digest of the last.
func (f *feed) configure(offchain ...string) (digest [32]byte) {
	for _, each := range offchain {
		digest = f.set(each)
	}
	f.chain.mine()
	return digest
}

func (f *feed) set(offchain string) [32]byte {
	d := f.chain
	d.mu.Lock()
	defer d.mu.Unlock()
	f.count++
	c := aggregator.Config{
		Count: f.count, F: 1, Onchain: aggregator.Onchain{Min: new(big.Int), Max: f.maxObservation}, OffchainVersion: 2,
		Offchain:     []byte(offchain),
		Transmitters: f.oracles.accounts,
	}
	for _, key := range f.oracles.signers {
		c.Signers = append(c.Signers, key.Public())
	}
	digest, err := c.ComputeDigest(d.id, f.address)
	must(d.t, err)
	felt := func(b []byte) stark.Felt {
		e, err := stark.FromBytes(b)
		must(d.t, err)
		return e
	}
	data := []stark.Felt{stark.FromUint64(c.Count), stark.FromUint64(uint64(len(c.Signers)))}
	for i := range c.Signers {
		data = append(data, c.Signers[i], c.Transmitters[i])
	}
	packed := aggregator.Pack(c.Offchain)
	data = append(data, stark.FromUint64(1), stark.FromUint64(3), stark.FromUint64(1), stark.Felt{},
		felt(f.maxObservation.Bytes()), stark.FromUint64(2), stark.FromUint64(uint64(len(packed))))
	f.events = append(f.events, fakeEvent{
		block: d.number + 1, keys: []stark.Felt{aggregator.Selector("ConfigSet"), stark.FromUint64(f.block), felt(digest[:])},
		data: append(data, packed...),
	})
	f.digest, f.block, f.epochAndRound = digest, d.number+1, 0
	return digest
}

// overtake has another oracle's report land.
func (f *feed) overtake() {
	f.epochAndRound, f.answer = 1<<8|7, stark.FromUint64(99)
	f.complete = f.feedState
	f.emit(f.chain.number, f.oracles.accounts[1])
}

// emit emits the event of the newest report.
func (f *feed) emit(block uint64, transmitter stark.Felt) {
	digest, err := stark.FromBytes(f.digest[:])
	must(f.chain.t, err)
	f.events = append(f.events, fakeEvent{
		block: block,
		keys:  []stark.Felt{aggregator.Selector("NewTransmission"), stark.FromUint64(1), transmitter},
		data: []stark.Felt{f.answer, {}, {}, stark.FromUint64(2), f.answer, f.answer, {}, {}, digest,
			stark.FromUint64(f.epochAndRound), {}},
	})
}

func (f *feed) latest() (epoch uint32, round uint8, answer uint64) {
	f.chain.mu.Lock()
	defer f.chain.mu.Unlock()
	n, _ := f.answer.Uint64()
	return uint32(f.epochAndRound >> 8), uint8(f.epochAndRound), n
}

func (f *feed) accepted() int {
	f.chain.mu.Lock()
	defer f.chain.mu.Unlock()
	return f.transmissions
}

// mine completes the block that is being made and takes transactions from the pool into the next.
func (d *fakeChain) mine() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number++
	for _, tx := range d.pending {
		tx.block = d.number
		d.accounts[tx.sender].complete = tx.nonce + 1
	}
	d.pending = nil
	for _, f := range d.feeds {
		f.complete = f.feedState
	}
	d.include()
}

// vanish undoes the block that is being made, and the sequencer forgets what was in it.
func (d *fakeChain) vanish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tx := range d.pending {
		tx.status = forgotten
		d.accounts[tx.sender].nonce = d.accounts[tx.sender].complete
	}
	d.pending = nil
	for _, f := range d.feeds {
		f.feedState = f.complete
		f.events = slices.DeleteFunc(f.events, func(e fakeEvent) bool { return e.block > d.number })
	}
}

// lose has the sequencer forget what is in no block, while the node goes on to say that it was received.
func (d *fakeChain) lose() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pool = nil
}

// mineUntil makes blocks until a condition holds.
func (d *fakeChain) mineUntil(what string, holds func() bool) {
	d.t.Helper()
	eventually(d.t, what, func() bool {
		if holds() {
			return true
		}
		d.mine()
		time.Sleep(10 * time.Millisecond) // a real chain is no faster
		return false
	})
}

// include puts what is next in its account's line into the block that is being made.
func (d *fakeChain) include() {
	for again := !d.hold; again; {
		again = false
		for i, tx := range d.pool {
			a := d.accounts[tx.sender]
			if tx.nonce < a.nonce {
				tx.status = forgotten
			}
			if tx.nonce != a.nonce || tx.price.Cmp(new(big.Int).SetUint64(d.price)) < 0 {
				continue
			}
			d.pool = slices.Delete(d.pool, i, i+1)
			a.nonce++
			tx.status, tx.revert = accepted, d.revert
			d.revert = ""
			if tx.revert == "" {
				tx.revert = d.execute(tx.sender, tx.calldata, true)
			}
			d.pending = append(d.pending, tx)
			again = true
			break
		}
	}
}

// push takes an account's next nonce as somebody else who has its key would.
func (d *fakeChain) push(account stark.Felt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.accounts[account]
	d.pending = append(d.pending, &fakeTx{sender: account, nonce: a.nonce})
	a.nonce++
}

// reject rejects all that is in no block.
func (d *fakeChain) reject() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tx := range d.pool {
		tx.status = rejected
	}
	d.pool = nil
}

// old reports whether it serves 0.8.
func (d *fakeChain) old() bool { return versions[d.version] == "pending" }

// finality is what the node calls a transaction's status.
func (d *fakeChain) finality(tx *fakeTx) string {
	switch {
	case tx == nil || tx.status == rejected && !d.old():
		return forgotten
	case tx.status == waits && !d.old() && slices.Contains(d.pool, tx) && tx.nonce == d.accounts[tx.sender].nonce:
		return "CANDIDATE"
	case tx.status == accepted && tx.block == 0 && !d.old():
		return "PRE_CONFIRMED"
	}
	return tx.status
}

func (d *fakeChain) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *fakeChain) nonce(account stark.Felt) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.accounts[account].nonce
}

// execute runs an account's calls and tells why they revert, if they do.
func (d *fakeChain) execute(sender stark.Felt, calldata []stark.Felt, commit bool) string {
	n, _ := calldata[0].Uint64()
	if n == 0 {
		return ""
	}
	to, selector, args := calldata[1], calldata[2], calldata[4:]
	if f := d.feeds[to]; f != nil && selector == aggregator.Selector("transmit") {
		return f.transmit(sender, args, commit)
	}
	if selector == aggregator.Selector("transfer") {
		return ""
	}
	return "ENTRYPOINT_NOT_FOUND"
}

// transmit keeps the contract's rules.
func (f *feed) transmit(sender stark.Felt, args []stark.Felt, commit bool) string {
	number := func(i int) int { n, _ := args[i].Uint64(); return int(n) }
	n := number(5)
	end := 6 + n + 2
	digest := args[0].Bytes()
	er, _ := args[1].Uint64()
	switch {
	case er <= f.epochAndRound:
		return "stale report"
	case !slices.Contains(f.oracles.accounts, sender):
		return "unknown sender"
	case digest != f.digest:
		return "config digest mismatch"
	case number(end) != 2:
		return "wrong number of signatures"
	case n <= 1 || n > 31:
		return "invalid number of observations"
	}
	message := stark.PedersenArray(args[:end]...)
	seen := map[stark.Felt]bool{}
	for s := args[end+1:]; len(s) > 0; s = s[3:] {
		known := slices.ContainsFunc(f.oracles.signers, func(k *stark.Key) bool { return k.Public() == s[2] })
		switch {
		case !known:
			return "invalid signer"
		case seen[s[2]]:
			return "duplicate signer"
		case !stark.Verify(s[2], message, stark.Signature{R: s[0], S: s[1]}):
			return "bad signature"
		}
		seen[s[2]] = true
	}
	median := args[6+n/2]
	if median.Big().Cmp(f.maxObservation) > 0 {
		return "median is out of min-max range"
	}
	if commit {
		f.epochAndRound, f.answer, f.answered = er, median, 1_700_000_000+f.chain.number
		f.transmissions++
		f.emit(f.chain.number+1, sender)
	}
	return ""
}

// rpcError is an answer that is an error.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *rpcError) Error() string { return e.Message }

func (d *fakeChain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	type call struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	answer := func(in call) any {
		d.calls[in.Method]++
		result, failed := d.call(in.Method, in.Params)
		if failed != nil {
			return map[string]any{"jsonrpc": "2.0", "id": in.ID, "error": failed}
		}
		return map[string]any{"jsonrpc": "2.0", "id": in.ID, "result": result}
	}
	var one call
	var batch []call
	var out any = map[string]any{"jsonrpc": "2.0", "error": &rpcError{Code: -32700, Message: "Parse error"}}
	switch {
	case json.Unmarshal(body, &one) == nil:
		out = answer(one)
	case json.Unmarshal(body, &batch) == nil:
		d.batches++
		d.batched += len(batch)
		var answers []any
		for _, in := range batch {
			answers = append(answers, answer(in))
		}
		out = answers
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (d *fakeChain) call(method string, params []json.RawMessage) (any, *rpcError) {
	bad := &rpcError{Code: -32602, Message: "Invalid params", Data: map[string]any{"reason": "Invalid block id"}}
	at := func(i int, into any) bool { return i < len(params) && json.Unmarshal(params[i], into) == nil }
	switch method {
	case "starknet_specVersion":
		return d.version, nil
	case "starknet_chainId":
		return d.id, nil
	case "starknet_getBlockWithTxHashes":
		return map[string]any{"block_number": d.number, "block_hash": stark.FromUint64(0xb10c0000 + d.number),
			"timestamp": 1_700_000_000 + d.number}, nil
	case "starknet_getNonce":
		var block string
		var account stark.Felt
		if !at(0, &block) || !at(1, &account) {
			return nil, bad
		}
		a := d.accounts[account]
		switch {
		case a == nil:
			return nil, &rpcError{Code: 20, Message: "Contract not found"}
		case block == "latest":
			return stark.FromUint64(a.complete), nil
		case block == versions[d.version]:
			return stark.FromUint64(a.nonce), nil
		default:
			return nil, bad
		}
	case "starknet_call":
		var call struct {
			Contract stark.Felt `json:"contract_address"`
			Selector stark.Felt `json:"entry_point_selector"`
		}
		var block string
		if !at(0, &call) || !at(1, &block) || block != "latest" {
			return nil, bad
		}
		return d.view(call.Contract, call.Selector)
	case "starknet_getEvents":
		return d.getEvents(params)
	case "starknet_estimateFee":
		var txs []wireTx
		var flags []string
		var block string
		if !at(0, &txs) || len(txs) != 1 || !at(1, &flags) || !slices.Contains(flags, "SKIP_VALIDATE") || !at(2, &block) ||
			block != versions[d.version] {
			return nil, bad
		}
		tx := txs[0]
		a := d.accounts[tx.Sender]
		if a == nil {
			return nil, &rpcError{Code: 20, Message: "Contract not found"}
		}
		fails := func(text string) *rpcError {
			return &rpcError{Code: 41, Message: "Transaction execution error",
				Data: map[string]any{"transaction_index": 0, "execution_error": text}}
		}
		if n, _ := tx.Nonce.Uint64(); n != a.nonce {
			return nil, fails(fmt.Sprintf("Invalid transaction nonce of contract at address %s. Account nonce: 0x%x; got: %s.",
				tx.Sender, a.nonce, tx.Nonce))
		}
		if why := d.execute(tx.Sender, tx.Calldata, false); why != "" {
			return nil, fails(nested(why))
		}
		price := fmt.Sprintf("0x%x", d.price)
		return []any{map[string]any{
			"l1_gas_consumed": "0x0", "l1_gas_price": price, "l2_gas_consumed": "0xf4240", "l2_gas_price": price,
			"l1_data_gas_consumed": "0x80", "l1_data_gas_price": price,
			"overall_fee": "0x5f5e100", "unit": "FRI",
		}}, nil
	case "starknet_addInvokeTransaction":
		var tx wireTx
		if !at(0, &tx) {
			return nil, bad
		}
		return d.add(tx)
	case "starknet_getTransactionStatus":
		var hash stark.Felt
		if !at(0, &hash) {
			return nil, bad
		}
		tx := d.txs[hash]
		finality := d.finality(tx)
		if finality == forgotten {
			return nil, &rpcError{Code: 29, Message: "Transaction hash not found"}
		}
		status := map[string]any{"finality_status": finality}
		if tx.status == accepted {
			status["execution_status"] = "SUCCEEDED"
			if tx.revert != "" {
				status["execution_status"], status["failure_reason"] = "REVERTED", nested(tx.revert)
			}
		}
		return status, nil
	default:
		return nil, &rpcError{Code: -32601, Message: "Method Not Found"}
	}
}

// nested is a reason for a revert as nodes word it: the way up from the contract to the account.
func nested(why string) string {
	return fmt.Sprintf("Transaction execution has failed:\n0: Error in the called contract (contract address: 0x1, "+
		"class hash: 0x2, selector: 0x3):\nExecution failed. Failure "+
		"reason:\n(0x617267656e742f6d756c746963616c6c2d6661696c6564 ('argent/multicall-failed'), 0x0 (''), 0x1 ('%s'), "+
		"0x454e545259504f494e545f4641494c4544 ('ENTRYPOINT_FAILED')).\n", why)
}

func (d *fakeChain) view(contract, selector stark.Felt) (any, *rpcError) {
	if contract == stark.FromUint64(0x70c3) { // a token
		return []stark.Felt{mustFelt(d.t, d.balance), {}}, nil
	}
	f := d.feeds[contract]
	if f == nil {
		return nil, &rpcError{Code: 20, Message: "Contract not found"}
	}
	shown := f.complete
	digest, err := stark.FromBytes(shown.digest[:])
	must(d.t, err)
	switch selector {
	case aggregator.Selector("latest_config_details"):
		return []stark.Felt{stark.FromUint64(shown.count), stark.FromUint64(shown.block), digest}, nil
	case aggregator.Selector("latest_transmission_details"):
		return []stark.Felt{digest, stark.FromUint64(shown.epochAndRound), shown.answer,
			stark.FromUint64(shown.answered)}, nil
	default:
		return nil, &rpcError{Code: 21, Message: "Requested entrypoint does not exist in the contract"}
	}
}

// getEvents answers pages of one event each, so that following the token is tested.
func (d *fakeChain) getEvents(params []json.RawMessage) (any, *rpcError) {
	type block struct {
		Number *uint64 `json:"block_number"`
	}
	var filter struct {
		From    block          `json:"from_block"`
		To      block          `json:"to_block"`
		Address *stark.Felt    `json:"address"`
		Keys    [][]stark.Felt `json:"keys"`
		Chunk   int            `json:"chunk_size"`
		Token   string         `json:"continuation_token"`
	}
	if len(params) != 1 || json.Unmarshal(params[0], &filter) != nil || filter.From.Number == nil ||
		filter.To.Number == nil || filter.Chunk != 100 {
		return nil, &rpcError{Code: -32602, Message: "Invalid params"}
	}
	if *filter.From.Number > d.number || *filter.To.Number > d.number {
		return nil, &rpcError{Code: 24, Message: "Block not found"}
	}
	var found []map[string]any
	for address, f := range d.feeds {
		for _, e := range f.events {
			if (filter.Address == nil || *filter.Address == address) && e.block >= *filter.From.Number &&
				e.block <= *filter.To.Number {
				found = append(found, map[string]any{"from_address": address, "keys": e.keys, "data": e.data,
					"transaction_hash": "0x1"})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b map[string]any) int { // pages have one order
		return a["from_address"].(stark.Felt).Big().Cmp(b["from_address"].(stark.Felt).Big())
	})
	start := 0
	_, _ = fmt.Sscanf(filter.Token, "from %d", &start)
	page := map[string]any{"events": []any{}}
	if start < len(found) {
		// the second is of another contract
		page["events"] = []any{found[start], map[string]any{"from_address": "0x1", "keys": found[start]["keys"],
			"data": []any{}, "transaction_hash": "0x1"}}
	}
	if start+1 < len(found) {
		page["continuation_token"] = fmt.Sprintf("from %d", start+1)
	}
	return page, nil
}

// wireTx is a transaction as it comes over the wire.
type wireTx struct {
	Type, Version string
	Sender        stark.Felt   `json:"sender_address"`
	Calldata      []stark.Felt `json:"calldata"`
	Signature     []stark.Felt `json:"signature"`
	Nonce         stark.Felt   `json:"nonce"`
	Bounds        map[string]struct {
		Amount stark.Felt `json:"max_amount"`
		Price  stark.Felt `json:"max_price_per_unit"`
	} `json:"resource_bounds"`
}

func (d *fakeChain) add(in wireTx) (any, *rpcError) {
	short := func(text string) stark.Felt {
		f, err := stark.ShortString(text)
		must(d.t, err)
		return f
	}
	fees := []stark.Felt{{}}
	for _, resource := range [][2]string{{"l1_gas", "L1_GAS"}, {"l2_gas", "L2_GAS"}, {"l1_data_gas", "L1_DATA"}} {
		bound := in.Bounds[resource[0]]
		packed := new(big.Int).Lsh(short(resource[1]).Big(), 64)
		packed.Add(packed, bound.Amount.Big()).Lsh(packed, 128).Add(packed, bound.Price.Big())
		fees = append(fees, mustFelt(d.t, packed))
	}
	hash := stark.Poseidon(short("invoke"), stark.FromUint64(3), in.Sender, stark.Poseidon(fees...), stark.Poseidon(),
		d.id, in.Nonce, stark.Felt{}, stark.Poseidon(), stark.Poseidon(in.Calldata...))
	a := d.accounts[in.Sender]
	nonce, _ := in.Nonce.Uint64()
	numbered := func() *rpcError {
		failed := &rpcError{Code: 52, Message: "Invalid transaction nonce"}
		if !d.old() {
			failed.Data = fmt.Sprintf("Account nonce: 0x%x, got: 0x%x", a.nonce, nonce)
		}
		return failed
	}
	switch {
	case in.Type != "INVOKE" || in.Version != "0x3" || len(in.Bounds) != 3:
		return nil, &rpcError{Code: -32602, Message: "Invalid params"}
	case a == nil:
		return nil, &rpcError{Code: 58, Message: "Sender address is not an account contract"}
	case d.txs[hash] != nil && d.finality(d.txs[hash]) != forgotten:
		return nil, &rpcError{Code: 59, Message: "A transaction with the same hash already exists in the mempool"}
	case nonce < a.nonce:
		return nil, numbered()
	case len(in.Signature) != 2 || !stark.Verify(a.key, hash, stark.Signature{R: in.Signature[0], S: in.Signature[1]}):
		return nil, &rpcError{Code: 55, Message: "Account validation failed", Data: nested("is invalid")}
	}
	bound := in.Bounds["l2_gas"]
	cost := new(big.Int)
	for _, bound := range in.Bounds {
		cost.Add(cost, new(big.Int).Mul(bound.Amount.Big(), bound.Price.Big()))
	}
	if cost.Cmp(d.balance) > 0 {
		return nil, d.unfunded(in, cost)
	}
	if bound.Price.Big().Cmp(new(big.Int).SetUint64(d.least)) < 0 {
		return nil, d.cheap(bound.Price.Big())
	}
	tx := &fakeTx{hash: hash, sender: in.Sender, nonce: nonce, calldata: in.Calldata, price: bound.Price.Big(),
		status: waits}
	for i, other := range d.pool {
		if other.sender != tx.sender || other.nonce != tx.nonce {
			continue
		}
		if least := new(big.Int).Div(new(big.Int).Mul(other.price, big.NewInt(11)),
			big.NewInt(10)); tx.price.Cmp(least) < 0 || d.picky {
			if d.old() || d.version == newest { // pathfinder has no other code for it
				return nil, numbered()
			}
			return nil, &rpcError{Code: 64, Message: "Replacement transaction is underpriced"}
		}
		other.status = forgotten
		d.pool = slices.Delete(d.pool, i, i+1)
		break
	}
	d.txs[hash], d.order, d.pool = tx, append(d.order, tx), append(d.pool, tx)
	d.include()
	return map[string]any{"transaction_hash": hash}, nil
}

// unfunded is how a node of each version says that the account cannot pay: in the words of a sequencer or of an older
// one, under the code of a failed validation, or as the specification has it.
func (d *fakeChain) unfunded(in wireTx, cost *big.Int) *rpcError {
	failed := &rpcError{Code: 55, Message: "Account validation failed"}
	switch d.version {
	case newest:
		bound := func(name string) string {
			b := in.Bounds[name]
			return fmt.Sprintf("%s: { max_amount: %s, max_price_per_unit: %s }", name, b.Amount.Big(), b.Price.Big())
		}
		failed.Data = fmt.Sprintf("Resources bounds ({ %s, %s, %s }) exceed balance (%s).", bound("l1_gas"), bound("l2_gas"),
			bound("l1_data_gas"), d.balance)
	case "0.9.0":
		failed.Data = fmt.Sprintf("Max fee (%s) exceeds balance (%s).", cost, d.balance)
	default:
		return &rpcError{Code: 54, Message: "Account balance is smaller than the transaction's maximal fee"}
	}
	return failed
}

// cheap is how a node of each version says that a price is too low, in one of the ways in which real nodes do.
func (d *fakeChain) cheap(price *big.Int) *rpcError {
	switch d.version {
	case newest:
		return &rpcError{Code: 63, Message: "An unexpected error occurred",
			Data: fmt.Sprintf("StarknetErrorCode.GAS_PRICE_TOO_LOW: Transaction L2 gas price %s is below the required "+
				"threshold %d.", price, d.least)}
	case "0.9.0":
		return &rpcError{Code: 55, Message: "Account validation failed",
			Data: fmt.Sprintf("Resource bounds were not satisfied: Max L1DataGas price (%s) is lower than the actual gas "+
				"price: %d.", price, d.least)}
	}
	return &rpcError{Code: 53, Message: "The transaction's resources don't cover validation"}
}

func mustFelt(t *testing.T, n *big.Int) stark.Felt {
	t.Helper()
	f, err := stark.FromBig(n)
	must(t, err)
	return f
}
