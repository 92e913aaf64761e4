package account

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// memory is how many blocks back full nodes answer for an account's state: they keep 128, and lag a little.
const memory = 64

// receipt is a transaction's receipt as far as a queue looks at it. A missing one is JSON's null.
type receipt struct {
	Block  *hexutil.Big    `json:"blockNumber"`
	Status *hexutil.Uint64 `json:"status"`
	Gas    *hexutil.Big    `json:"gasUsed"`
	Price  *hexutil.Big    `json:"effectiveGasPrice"`
	// Data is what rollups of the OP stack charge besides, for the data on the chain below.
	Data *hexutil.Big `json:"l1Fee"`
}

// fee is what the transaction cost, in wei; nil: the node does not tell.
func (r *receipt) fee() *big.Int {
	if r.Gas == nil || r.Price == nil {
		return nil
	}
	fee := new(big.Int).Mul(r.Gas.ToInt(), r.Price.ToInt())
	if r.Data != nil {
		fee.Add(fee, r.Data.ToInt())
	}
	return fee
}

// mined is where a flight was found in a block. While the account's nonce is above the flight's, that block or another
// of its kind stands, so that the receipt is not read again before it may be final.
type mined struct {
	hash  string
	block *big.Int
	ok    bool
}

// Survey implements relayer.Sender. It makes all calls to one node, those that depend on an earlier answer after it.
func (a *Account) Survey(ctx context.Context, flights []relayer.Flight, items []relayer.Item) (relayer.Survey, error) {
	known := a.settings.Pool.Height()
	var survey relayer.Survey
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		l := &look{
			account: a, client: client, flights: flights, items: items,
			standing: map[int]mined{}, receipts: map[string]**receipt{}, untold: map[string]bool{},
			contracts: map[string]*view{},
		}
		var err error
		survey, err = l.all(ctx, known)
		return err
	})
	return survey, err
}

// look is one survey at one node.
type look struct {
	account *Account
	client  *endpoint.Client
	flights []relayer.Flight
	items   []relayer.Item

	head        endpoint.Head
	next, final hexutil.Uint64 // the account's nonce now, and at a block that is final or as old as nodes know
	settled     uint64         // blocks up to here are final but the first, which holds no transactions
	standing    map[int]mined  // flights that are in blocks which are not final, by their index
	receipts    map[string]**receipt
	untold      map[string]bool // attempts of which the node answers with an error
	contracts   map[string]*view
}

// view is one contract's newest transmission.
type view struct {
	output hexutil.Bytes
	failed bool
}

// all asks first for the nonce, and about the reports that are in no transaction; then about the transactions that
// blocks may have and, for the others, whether their reports are stale; and in the end about the reports of the
// transactions that are final.
//
// Receipts come after nonces: a transaction that is mined in between is then seen by its receipt, never taken for lost.
func (l *look) all(ctx context.Context, known uint64) (relayer.Survey, error) {
	if err := l.state(ctx); err != nil {
		return relayer.Survey{}, err
	}
	if err := l.found(ctx); err != nil {
		return relayer.Survey{}, err
	}
	survey := relayer.Survey{Next: uint64(l.next)}
	var ended []relayer.Item
	for i, f := range l.flights {
		outcome := l.outcome(i, f)
		survey.Outcomes = append(survey.Outcomes, outcome)
		if f.Item != nil && (outcome.State == relayer.SucceededForGood || outcome.State == relayer.RevertedForGood) {
			ended = append(ended, *f.Item)
		}
	}
	if err := l.ask(ctx, nil, ended); err != nil {
		return relayer.Survey{}, err
	}
	var err error
	if survey.Unfunded, err = l.unfunded(ctx, survey.Outcomes); err != nil {
		return relayer.Survey{}, err
	}
	l.account.forget(l.flights)
	survey.Verdicts = l.account.doubts.Verdicts(l.items, func(contract string) *relayer.Standing {
		v := l.contracts[contract]
		if v == nil || v.failed { // nobody wants to know it yet
			return nil
		}
		return v.standing()
	}, l.head.Time, l.head.Number < known)
	return survey, nil
}

// state asks for the account's nonce and the newest block, and about the reports that no flight has.
func (l *look) state(ctx context.Context) error {
	flying := map[*relayer.Item]bool{}
	for _, f := range l.flights {
		flying[f.Item] = true
	}
	var waiting []relayer.Item
	for i := range l.items {
		if item := &l.items[i]; !flying[item] {
			waiting = append(waiting, *item)
		}
	}
	calls := []rpc.BatchElem{
		endpoint.LatestBlock(&l.head),
		{Method: "eth_getTransactionCount", Args: []any{l.account.settings.Address, "latest"}, Result: &l.next},
	}
	if err := l.ask(ctx, calls, waiting); err != nil {
		return err
	}
	for _, call := range calls {
		if call.Error != nil {
			return fmt.Errorf("%s: %w", call.Method, call.Error)
		}
	}
	return l.settle(ctx)
}

// settle finds out which blocks are final. The block that the chain itself calls final is only asked for if a block may
// have a flight.
func (l *look) settle(ctx context.Context) error {
	s := l.account.settings
	newest, behind := l.head.Number, s.FinalityDepth+s.FinalityOffset
	if s.FinalityTag {
		newest, behind = 0, s.FinalityOffset
		if slices.ContainsFunc(l.flights, l.used) {
			var err error
			if newest, err = l.client.Finalized(ctx); err != nil {
				return err
			}
		}
	}
	l.settled = newest - min(behind, newest)
	return nil
}

// used reports whether a block has used a flight's nonce, for its transaction or for another.
func (l *look) used(f relayer.Flight) bool { return f.Sequence < uint64(l.next) }

// found asks for the receipts of flights that blocks may have, but not again of those that are known to be in one
// before that is final; and whether the reports of all others are stale by now.
func (l *look) found(ctx context.Context) error {
	var (
		historical, calls []rpc.BatchElem
		waiting           []relayer.Item
	)
	for i, f := range l.flights {
		if !l.used(f) {
			l.account.lose(f.Sequence)
			if f.Item != nil {
				waiting = append(waiting, *f.Item)
			}
			continue
		}
		at, known := l.account.in(f.Sequence)
		if known && !l.isFinal(at.block) {
			l.standing[i] = at
			continue
		}
		if !known && historical == nil {
			historical = l.historical()
		}
		for _, attempt := range f.Attempts {
			r := new(*receipt)
			l.receipts[attempt.Hash] = r
			calls = append(calls, rpc.BatchElem{Method: "eth_getTransactionReceipt", Args: []any{attempt.Hash}, Result: r})
		}
	}
	receipts := len(calls)
	calls = append(historical, calls...)
	if err := l.ask(ctx, calls, waiting); err != nil {
		return err
	}
	// A node that keeps no older state cannot say of any flight that it is lost. A node that answers with an error for a
	// transaction that its chain refused (Hedera's relay) cannot say it of that flight. The others go on.
	if len(historical) == 0 || calls[0].Error != nil {
		l.final = 0
	}
	for _, call := range calls[len(calls)-receipts:] {
		if call.Error != nil {
			l.untold[fmt.Sprint(call.Args...)] = true
		}
	}
	return nil
}

// historical asks for the nonce at a block that is final, or as old as nodes have state of.
func (l *look) historical() []rpc.BatchElem {
	s := l.account.settings
	depth := min(s.FinalityDepth+s.FinalityOffset, memory)
	if s.FinalityTag {
		depth = memory // wherever the final block is, nodes keep no state that is older
	}
	now := l.client.Head().Number
	if now <= depth {
		return nil
	}
	return []rpc.BatchElem{{
		Method: "eth_getTransactionCount", Args: []any{s.Address, hexutil.Uint64(now - depth)}, Result: &l.final,
	}}
}

// ask makes calls, and asks the contracts of some reports that were not asked yet. A contract of which the node gives
// no answer is asked again by itself, so that it keeps only its own reports waiting.
func (l *look) ask(ctx context.Context, calls []rpc.BatchElem, about []relayer.Item) error {
	all := slices.Clone(calls)
	var asked []*view
	for _, item := range about {
		if l.contracts[item.Contract] == nil {
			v := &view{}
			l.contracts[item.Contract] = v
			asked = append(asked, v)
			all = append(all, aggregator.TransmissionDetailsCall(common.HexToAddress(item.Contract), &v.output))
		}
	}
	if len(all) == 0 {
		return nil
	}
	if err := l.client.Every(ctx, all); err != nil {
		return err
	}
	copy(calls, all)
	for _, call := range calls {
		if call.Error != nil && !relayer.IsAnswered(call.Error) {
			return call.Error
		}
	}
	for i, v := range asked {
		call := all[len(calls)+i]
		if call.Error != nil && !relayer.IsAnswered(call.Error) {
			call.Error = l.account.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
				return client.Batch(ctx, []rpc.BatchElem{call})
			})
		}
		v.failed = call.Error != nil
	}
	return nil
}

// isFinal reports whether a block is final.
func (l *look) isFinal(block *big.Int) bool {
	return l.settled > 0 && block.Cmp(new(big.Int).SetUint64(l.settled)) <= 0
}

// outcome is what became of a flight.
func (l *look) outcome(i int, f relayer.Flight) relayer.Outcome {
	a := l.account
	if at, stands := l.standing[i]; stands {
		return at.outcome(false)
	}
	for _, attempt := range f.Attempts {
		known := l.receipts[attempt.Hash]
		if known == nil || *known == nil || (*known).Block == nil || (*known).Status == nil {
			continue
		}
		r := **known
		at := mined{hash: attempt.Hash, block: r.Block.ToInt(), ok: uint64(*r.Status) == types.ReceiptStatusSuccessful}
		a.find(f.Sequence, at)
		outcome := at.outcome(l.isFinal(at.block))
		outcome.Fee = r.fee()
		return outcome
	}
	a.lose(f.Sequence)
	switch {
	case uint64(l.final) > f.Sequence:
		if slices.ContainsFunc(f.Attempts, func(attempt relayer.Attempt) bool { return l.untold[attempt.Hash] }) {
			return relayer.Outcome{}
		}
		return relayer.Outcome{State: relayer.Lost}
	case uint64(l.next) != f.Sequence: // only the next in line can be held up by its fee
		return relayer.Outcome{}
	}
	return relayer.Outcome{Stuck: a.stuck(f.Attempts[len(f.Attempts)-1].Hash, l.head.Number)}
}

// unfunded says that the account cannot pay the fee of the transaction that blocks pass by, or of the one that it could
// not pay at the last survey: nodes of some chains (Monad) take it all the same, and the account could pay for a dearer
// one even less. When it can pay again, the transaction is not stuck: blocks are counted anew.
func (l *look) unfunded(ctx context.Context, outcomes []relayer.Outcome) (string, error) {
	a, address := l.account, l.account.settings.Address
	a.mu.Lock()
	owed := a.owed
	a.mu.Unlock()
	var newest string
	at := slices.IndexFunc(outcomes, func(o relayer.Outcome) bool { return o.Stuck })
	if at >= 0 {
		attempts := l.flights[at].Attempts
		newest = attempts[len(attempts)-1].Hash
		if cost := fee(attempts[len(attempts)-1]); cost != nil { // else Sign says what is wrong with it
			owed = cost // and not the value: a transfer of too much says nothing of reports
		}
	}
	if owed == nil {
		return "", nil
	}
	var balance hexutil.Big
	switch err := l.client.Call(ctx, &balance, "eth_getBalance", address, "latest"); {
	case relayer.IsAnswered(err): // a node that does not tell is a good node
		return "", nil
	case err != nil:
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if balance.ToInt().Cmp(owed) < 0 {
		a.owed = owed
		return fmt.Sprintf("it holds %s wei, and a transaction may cost %s", balance.ToInt(), owed), nil
	}
	if said := a.standing[newest]; a.owed != nil && at >= 0 && !said.cheap {
		said.passed = false
		a.standing[newest] = said
		outcomes[at].Stuck = false
	}
	a.owed = nil
	return "", nil
}

func (m mined) outcome(forGood bool) relayer.Outcome {
	outcome := relayer.Outcome{State: relayer.Succeeded, Hash: m.hash}
	switch {
	case m.ok && forGood:
		outcome.State = relayer.SucceededForGood
	case forGood:
		outcome.State = relayer.RevertedForGood
	case !m.ok:
		outcome.State = relayer.Reverted
	}
	return outcome
}

// stuck reports whether an attempt has to be replaced by a dearer one.
func (a *Account) stuck(hash string, head uint64) bool {
	patience := a.settings.Fees.BumpThreshold
	a.mu.Lock()
	defer a.mu.Unlock()
	said := a.standing[hash]
	switch {
	case said.cheap: // blocks change nothing. Where nothing is replaced, only what nobody has is signed anew
		return patience > 0 || said.spared
	case said.held && !said.passed:
		said.passed, said.height = true, head
		a.standing[hash] = said
		return false
	default:
		return patience > 0 && said.held && head >= said.height+patience
	}
}

// in is the block that a flight was found in, if it was.
func (a *Account) in(sequence uint64) (at mined, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, known = a.mined[sequence]
	return at, known
}

func (a *Account) find(sequence uint64, at mined) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mined[sequence] = at
}

// lose forgets that a flight was in a block: none has it any more.
func (a *Account) lose(sequence uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.mined, sequence)
}

// forget drops what nodes said of flights that are under way no more.
func (a *Account) forget(flights []relayer.Flight) {
	sequences, hashes := map[uint64]bool{}, map[string]bool{}
	for _, f := range flights {
		sequences[f.Sequence] = true
		for _, attempt := range f.Attempts {
			hashes[attempt.Hash] = true
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.standing, func(hash string, _ standing) bool { return !hashes[hash] })
	maps.DeleteFunc(a.mined, func(sequence uint64, _ mined) bool { return !sequences[sequence] })
}

// standing is what the answer says; nil if it cannot be read. Its digest is that of the contract's configuration, also
// before the first transmission.
func (v *view) standing() *relayer.Standing {
	latest, err := aggregator.ParseTransmissionDetails(v.output)
	if err != nil {
		return nil
	}
	return &relayer.Standing{Config: latest.Digest, Digest: latest.Digest, Epoch: latest.Epoch, Round: latest.Round}
}
