package chain

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
)

// Status of a transaction in the words of the JSON-RPC.
const (
	statusReceived = "RECEIVED"
	statusRejected = "REJECTED"
	statusAccepted = "ACCEPTED_ON_L2" // in a block; one that is being made has another word from 0.9 on
)

// transaction is a transaction that was taken.
type transaction struct {
	Invoke
	hash   stark.Felt
	status string
	taken  time.Time
	block  *block // that it is in
	receipt
}

// number is the nonce, which the check of a transaction has seen to be small.
func (t *transaction) number() uint64 {
	n, _ := t.Nonce.Uint64()
	return n
}

// receipt is what came of a transaction.
type receipt struct {
	reverted bool
	reason   string // why it was reverted or rejected
	fee      *big.Int
	gas      Gas
	events   []emitted
}

// Gas is an amount of each resource.
type Gas struct{ L1, L2, L1Data uint64 }

func (g Gas) all() [3]uint64 { return [3]uint64{g.L1, g.L2, g.L1Data} }

// emitted is an event with the contract that emitted it.
type emitted struct {
	from stark.Felt
	aggregator.Event
}

// gasToValidate is what the check of a signature takes. Without so much no transaction is taken.
var gasToValidate = Gas{L1: 0, L2: 100_000, L1Data: 128}

// gasOf is what a transaction takes: made up, so that it grows with what is sent, and that nothing is paid on L1.
func gasOf(inv Invoke, events []emitted) Gas {
	g := gasToValidate
	g.L2 += 900_000 + 5_000*uint64(len(inv.Calldata)+len(inv.Signature))
	for _, e := range events {
		g.L2 += 10_000 * uint64(len(e.Keys)+len(e.Data))
		g.L1Data += 64
	}
	return g
}

func (p Prices) all() [3]*big.Int { return [3]*big.Int{p.L1, p.L2, p.L1Data} }

func (p Prices) cost(g Gas, tip *big.Int) *big.Int {
	sum := new(big.Int).Mul(tip, new(big.Int).SetUint64(g.L2))
	for i, amount := range g.all() {
		sum.Add(sum, new(big.Int).Mul(new(big.Int).SetUint64(amount), p.all()[i]))
	}
	return sum
}

// resources are the names of the three in reasons.
func resources() [3]string { return [3]string{"L1Gas", "L2Gas", "L1DataGas"} }

// check is what a sequencer checks before it takes a transaction, in its order.
func (c *Chain) check(inv Invoke, hash stark.Felt) *Failure {
	switch {
	case c.has(hash):
		return Fail(CodeDuplicate)
	case inv.NonceMode != "L1" || inv.FeeMode != "L1":
		return failWith(CodeUnexpected, "the network keeps data on L1 alone")
	case len(inv.Paymaster) > 0 || len(inv.AccountDeployment) > 0:
		return failWith(CodeUnexpected, "the network has no paymasters, and deploys no accounts with an invoke")
	case inv.Bounds.L2.Amount.Cmp(big.NewInt(maxL2Amount)) > 0:
		return failWith(CodeUnexpected, fmt.Sprintf(
			"StarknetErrorCode.MAX_GAS_AMOUNT_TOO_HIGH: max_amount %s of L2 gas is above %d", inv.Bounds.L2.Amount, maxL2Amount))
	case inv.Bounds.L2.Price.Cmp(big.NewInt(minL2Price)) < 0:
		return Fail(CodeInsufficientResource) // as pathfinder does; juno has 63 for it
	}
	sender := *inv.Sender
	a, ok := c.state.accounts[sender]
	if _, exists := c.state.class(sender); !ok && exists {
		return Fail(CodeNonAccount)
	} else if !ok {
		return failWith(CodeValidationFailure, fmt.Sprintf("Requested contract address %s is not deployed.", sender))
	}
	if n, ok := inv.Nonce.Uint64(); !ok || n < a.nonce || n > a.nonce+maxNonceGap {
		return failWith(CodeInvalidNonce, fmt.Sprintf("Account nonce: 0x%x, got: %s", a.nonce, inv.Nonce))
	}
	if least := c.blocks[len(c.blocks)-1].prices.L2; inv.Bounds.L2.Price.Cmp(least) < 0 {
		return failWith(CodeUnexpected, fmt.Sprintf("StarknetErrorCode.GAS_PRICE_TOO_LOW: Transaction L2 gas price "+
			"%s is below the required threshold %s.", inv.Bounds.L2.Price, least))
	}
	if failure := c.covers(inv); failure != nil {
		return failure
	}
	if balance := c.state.balance(sender); balance.Cmp(inv.limit()) < 0 {
		return exceeds(inv.Bounds, balance)
	}
	if failure := c.validate(a, inv, hash); failure != nil {
		return failure
	}
	r := c.rival(inv)
	if r == nil || escalates(r.Bounds.L2.Price.Int, inv.Bounds.L2.Price.Int) && escalates(r.Tip.Int, inv.Tip.Int) {
		return nil
	}
	return Fail(CodeUnderpriced)
}

// validate is what the account's __validate__ does: it reads its calldata and checks the signature.
func (c *Chain) validate(a account, inv Invoke, hash stark.Felt) *Failure {
	if _, ok := calls(inv.Calldata); !ok {
		return failWith(CodeValidationFailure,
			c.trace(*inv.Sender, aggregator.Selector("__validate__"), "Failed to deserialize param #1"))
	}
	if len(inv.Signature) != 2 || !aggregator.Verify(hash, a.public, inv.Signature[0], inv.Signature[1]) {
		return failWith(CodeValidationFailure,
			c.trace(*inv.Sender, aggregator.Selector("__validate__"), "Account: invalid signature"))
	}
	return nil
}

// include executes a transaction in the block that is being made, or rejects it if what held when it was taken no
// longer holds.
func (c *Chain) include(t *transaction) {
	a := c.state.accounts[*t.Sender]
	if *t.Nonce != stark.FromUint64(a.nonce) {
		t.status = statusRejected
		t.reason = fmt.Sprintf("Invalid transaction nonce of contract at address %s. Account nonce: 0x%x; got: %s.", t.Sender,
			a.nonce, t.Nonce)
		return
	}
	t.block, t.status = c.pending, statusAccepted
	c.pending.transactions = append(c.pending.transactions, t)
	after, result := c.run(c.state, t.Invoke, true)
	c.state, t.receipt = after, result
}

// run executes a transaction on a state and returns that after it. real says that it is no estimate.
func (c *Chain) run(before *state, inv Invoke, real bool) (*state, receipt) {
	sender := *inv.Sender
	trial := before.clone()
	events, reason := c.execute(trial, inv, real)
	result := receipt{events: events, gas: gasOf(inv, events)}
	if reason == "" && real {
		for i, bound := range inv.bounds() {
			if used := new(big.Int).SetUint64(result.gas.all()[i]); used.Cmp(bound.Amount.Int) > 0 {
				reason = fmt.Sprintf("Insufficient max %s: max amount: %s, actual used: %s.", resources()[i], bound.Amount.Int,
					used)
				break
			}
		}
	}
	result.fee = c.pending.prices.cost(result.gas, inv.Tip.Int)
	if balance := trial.balance(sender); reason == "" && real && balance.Cmp(result.fee) < 0 {
		reason = fmt.Sprintf("Insufficient fee token balance. Fee: %s, balance: low/high %s/0.", result.fee, balance)
	}
	if reason != "" {
		trial = before.clone()
		result = receipt{reverted: true, reason: reason, gas: gasOf(inv, nil)}
		if real { // nobody pays more than allowed
			for i, amount := range []*uint64{&result.gas.L1, &result.gas.L2, &result.gas.L1Data} {
				if bound := inv.bounds()[i].Amount; bound.IsUint64() {
					*amount = min(*amount, bound.Uint64())
				}
			}
		}
		result.fee = c.pending.prices.cost(result.gas, inv.Tip.Int)
	}
	a := trial.accounts[sender]
	a.nonce++
	trial.accounts[sender] = a
	trial.add(sender, new(big.Int).Neg(result.fee))
	trial.add(sequencer(), result.fee)
	result.events = append(result.events, transferred(sender, sequencer(), result.fee))
	return trial, result
}

// execute makes the calls of a transaction, and says why it is to be reverted.
func (c *Chain) execute(s *state, inv Invoke, real bool) ([]emitted, string) {
	all, ok := calls(inv.Calldata)
	if !ok {
		return nil, c.trace(*inv.Sender, aggregator.Selector("__execute__"), "Failed to deserialize param #1")
	}
	var events []emitted
	for _, call := range all {
		var err error
		if real && c.reverting > 0 && call.Selector == aggregator.Selector("transmit") {
			c.reverting--
			err = aggregator.Panic(c.reason)
		} else {
			var result aggregator.Result
			result, err = c.dispatch(s, call, *inv.Sender)
			for _, e := range result.Events {
				events = append(events, emitted{call.To, e})
			}
		}
		if err != nil {
			return nil, c.trace(*inv.Sender, aggregator.Selector("__execute__"), "") + c.explain(call, err)
		}
	}
	return events, ""
}

// errNoContract says that nothing stands at an address.
var errNoContract = errors.New("there is no such contract")

// dispatch calls a contract.
func (c *Chain) dispatch(s *state, call Call, caller stark.Felt) (aggregator.Result, error) {
	if a := s.aggregators[call.To]; a != nil {
		return a.Call(aggregator.Environment{Caller: caller, Block: c.pending.number, Time: c.pending.time}, call.Selector,
			call.Calldata)
	}
	if call.To == FeeToken() {
		return s.token(call, caller)
	}
	if a, ok := s.accounts[call.To]; ok {
		if call.Selector == aggregator.Selector("get_public_key") {
			return aggregator.Result{Returned: []stark.Felt{a.public}}, nil
		}
		return aggregator.Result{}, aggregator.ErrEntryPoint
	}
	return aggregator.Result{}, errNoContract
}

// token is the contract of STRK as far as relayers call it.
func (s *state) token(call Call, caller stark.Felt) (aggregator.Result, error) {
	word := new(big.Int).Lsh(big.NewInt(1), 128)
	arguments := func(n int) error {
		switch {
		case len(call.Calldata) < n:
			return aggregator.Panic("Failed to deserialize param #1")
		case len(call.Calldata) > n:
			return aggregator.Panic("Input too long for arguments")
		}
		return nil
	}
	switch call.Selector {
	case aggregator.Selector("balance_of"), aggregator.Selector("balanceOf"):
		if err := arguments(1); err != nil {
			return aggregator.Result{}, err
		}
		high, low := new(big.Int).DivMod(s.balance(call.Calldata[0]), word, new(big.Int))
		return aggregator.Result{Returned: []stark.Felt{element(low), element(high)}}, nil
	case aggregator.Selector("transfer"):
		if err := arguments(3); err != nil {
			return aggregator.Result{}, err
		}
		to, low, high := call.Calldata[0], call.Calldata[1].Big(), call.Calldata[2].Big()
		if low.BitLen() > 128 || high.BitLen() > 128 {
			return aggregator.Result{}, aggregator.Panic("Failed to deserialize param #2")
		}
		amount := high.Lsh(high, 128)
		amount.Add(amount, low)
		switch {
		case to.IsZero():
			return aggregator.Result{}, aggregator.Panic("ERC20: transfer to 0")
		case s.balance(caller).Cmp(amount) < 0:
			return aggregator.Result{}, aggregator.Panic("ERC20: insufficient balance")
		}
		s.add(caller, new(big.Int).Neg(amount))
		s.add(to, amount)
		return aggregator.Result{Returned: []stark.Felt{stark.FromUint64(1)},
			Events: []aggregator.Event{transferred(caller, to, amount).Event}}, nil
	}
	return aggregator.Result{}, aggregator.ErrEntryPoint
}

// transferred is the token's event of a transfer.
func transferred(from, to stark.Felt, amount *big.Int) emitted {
	high, low := new(big.Int).DivMod(amount, new(big.Int).Lsh(big.NewInt(1), 128), new(big.Int))
	return emitted{FeeToken(), aggregator.Event{
		Keys: []stark.Felt{aggregator.Selector("Transfer"), from, to}, Data: []stark.Felt{element(low), element(high)},
	}}
}

// trace is the beginning of a sequencer's text about a failed account, with what the account said if it was itself that
// failed.
func (c *Chain) trace(sender, selector stark.Felt, said string) string {
	var b strings.Builder
	fmt.Fprintf(&b,
		"Transaction execution has failed:\n0: Error in the called contract (contract address: %s, class hash: %s, "+
			"selector: %s):\n",
		padded(sender), padded(AccountClass()), padded(selector))
	if said != "" {
		fmt.Fprintf(&b, "Execution failed. Failure reason:\n%s.\n", quoted(said))
	}
	return b.String()
}

// explain says why a call failed that an account made, as a sequencer does.
func (c *Chain) explain(call Call, err error) string {
	class, _ := c.state.class(call.To)
	var said aggregator.Panic
	switch {
	case errors.Is(err, errNoContract):
		return fmt.Sprintf("Requested contract address %s is not deployed.\n", padded(call.To))
	case errors.Is(err, aggregator.ErrEntryPoint):
		return fmt.Sprintf("Execution failed. Failure reason:\nError in contract (contract address: %s, class hash: %s, "+
			"selector: %s):\n%s.\n",
			padded(call.To), padded(class), padded(call.Selector), quoted("ENTRYPOINT_NOT_FOUND"))
	case errors.As(err, &said):
		return fmt.Sprintf("Execution failed. Failure reason:\nError in contract (contract address: %s, class hash: %s, "+
			"selector: %s):\n(%s, %s).\n",
			padded(call.To), padded(class), padded(call.Selector), quoted(string(said)), quoted("ENTRYPOINT_FAILED"))
	}
	return err.Error()
}

// quoted is a short string as a sequencer shows it: the felt, and the text.
func quoted(text string) string {
	return fmt.Sprintf("0x%s ('%s')", new(big.Int).SetBytes([]byte(text)).Text(16), text)
}

// padded is an address with all its digits, as sequencers write them in texts.
func padded(f stark.Felt) string { return fmt.Sprintf("0x%x", f.Bytes()) }

// Send has an account make calls, whatever they cost, and returns the transaction's hash. It fails when they are
// reverted.
func (c *Chain) Send(from Account, made ...Call) (stark.Felt, error) {
	c.sending.Lock()
	defer c.sending.Unlock()
	inv := c.unsigned(from, made)
	hash := inv.Hash(c.id)
	signature, err := from.Key.Sign(hash)
	if err != nil {
		return stark.Felt{}, fmt.Errorf("sign a transaction of %s: %w", from.Address, err)
	}
	inv.Signature = []stark.Felt{signature.R, signature.S}
	if _, failure := c.Add(inv); failure != nil {
		return stark.Felt{}, fmt.Errorf("send a transaction of %s: %w", from.Address, failure)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.transactions[hash]; t.reverted {
		return stark.Felt{}, fmt.Errorf("the transaction %s was reverted: %s", hash, t.reason)
	}
	return hash, nil
}

func (c *Chain) unsigned(from Account, made []Call) Invoke {
	c.mu.Lock()
	defer c.mu.Unlock()
	bound := func(amount int64, price *big.Int) *Bound {
		return &Bound{Quantity{big.NewInt(amount)}, Quantity{new(big.Int).Mul(price, big.NewInt(10))}}
	}
	nonce := stark.FromUint64(c.next(from.Address))
	return Invoke{
		Type: "INVOKE", Version: Quantity{big.NewInt(3)}, Sender: &from.Address, Calldata: Calldata(made...), Nonce: &nonce,
		Tip:       Quantity{new(big.Int)},
		Paymaster: []stark.Felt{}, AccountDeployment: []stark.Felt{}, NonceMode: "L1", FeeMode: "L1",
		Bounds: &Bounds{L1: bound(0, c.prices.L1), L2: bound(1_000_000_000, c.prices.L2),
			L1Data: bound(100_000, c.prices.L1Data)},
	}
}
