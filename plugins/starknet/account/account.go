// Package account makes and sends the transactions of one account of a Starknet network: it implements the Sender of
// relayer's queue.
//
// It knows fees, nonces, statuses of transactions and the aggregator's view that shows whether a report is stale. It
// must not know jobs, nor keep anything that must survive the process: that is in the queue's Store.
package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"sync"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Pool is the nodes of the account's chain.
type Pool = relayer.Pool[*endpoint.Client]

// Settings configure an Account. All are required.
type Settings struct {
	// Address of the account's contract.
	Address  stark.Felt
	ChainID  stark.Felt
	Keystore hostservicev1.KeystoreServiceClient
	Pool     *Pool
	Logger   *slog.Logger
	// FeeToken is the contract of the token that fees are paid in.
	FeeToken stark.Felt
	// FeeMultiplier is the factor between an estimate and the bounds, for amounts and prices.
	FeeMultiplier float64
	// FeeMax is the most FRI that a transaction may cost; nil means no limit.
	FeeMax *big.Int
	// Estimates is how often a fee is estimated again because another transaction takes the nonce meanwhile.
	Estimates int
	// Timeout is how long a transaction may be out of blocks before another attempt is made on better terms. It doubles
	// with each attempt.
	Timeout time.Duration
}

// Account is the Sender of one account.
type Account struct {
	settings Settings
	doubts   relayer.Doubts

	mu       sync.Mutex
	key      stark.Felt          // public key that signs what has no payload; zero: none is known yet
	reverted map[string]struct{} // hashes of the transactions that were logged
	trouble  string              // see Trouble
	missing  string              // that no contract is at the account's address; empty: there is one
	lacked   *big.Int            // the cost for lack of which a transaction was last refused; nil: it is not known
	poor     string              // the trouble that was told of it
	said     map[string]answer   // by hashes of what is under way
}

var (
	_ relayer.Sender  = (*Account)(nil)
	_ relayer.Solvent = (*Account)(nil)
)

// New makes an account. It makes no call yet.
func New(settings Settings) *Account {
	return &Account{settings: settings, reverted: map[string]struct{}{}, said: map[string]answer{}}
}

// Use says which key signs for the account from now on, for transactions that no job asked for.
func (a *Account) Use(key stark.Felt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.key = key
}

// Key returns the key that Use named last, or that signed the account's unfinished transactions; zero if none is known.
func (a *Account) Key() stark.Felt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.key
}

// Trouble says what went wrong with the account's latest transaction, or why it is refused, or that there is no
// account, in a sentence; empty if nothing is wrong.
func (a *Account) Trouble() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return cmp.Or(a.missing, a.trouble)
}

// Call is the payload of a transaction, as the queue keeps it: one call of a contract, and the key that signs for the
// account. An account's contract does not tell in a common way which keys it takes.
type Call struct {
	Key      stark.Felt   `json:"key"`
	To       stark.Felt   `json:"to"`
	Selector stark.Felt   `json:"selector"`
	Calldata []stark.Felt `json:"calldata"`
}

// Encode makes the queue's payload.
func (c Call) Encode() ([]byte, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a transaction's payload: %w", err)
	}
	return payload, nil
}

// refusals are a node's answers by which it does not keep a transaction that no other node would take, and that no
// other terms fix.
var refusals = []endpoint.Code{
	endpoint.CodeValidationFailure, endpoint.CodeNonAccount, endpoint.CodeUnsupportedVersion,
}

// answer is what nodes said when a transaction was last sent.
type answer int

const (
	taken answer = iota + 1 // one has it
	cheap                   // none has it, as far as is known, and one wants more for it
)

// Send implements relayer.Sender. It sends the transaction to every node, since any one may keep it to itself.
func (a *Account) Send(ctx context.Context, attempt relayer.Attempt) error {
	sure, err := a.settings.Pool.Broadcast(ctx, func(ctx context.Context, client *endpoint.Client) error {
		hash, err := client.AddInvoke(ctx, attempt.Raw)
		switch {
		case endpoint.IsCode(err, endpoint.CodeDuplicate):
			return nil
		case endpoint.IsCode(err, endpoint.CodeUnderpriced): // it keeps an earlier attempt, which does as well
			return nil
		case endpoint.IsCode(err, endpoint.CodeInvalidNonce): // the number is used, or nodes say so of an earlier attempt
			return nil
		case err == nil && hash.String() != attempt.Hash:
			return relayer.Said("knows a transaction by another hash than was signed: it computes hashes in another way")
		}
		return err
	})
	said := answer(0)
	switch {
	case err == nil:
		said = taken
	case endpoint.IsCode(err, endpoint.CodeInsufficientResource), endpoint.IsCode(err, endpoint.CodeFeeBelowMinimum):
		said = cheap // also if a node may have kept it: the next attempt has the same nonce, and outbids it
	case endpoint.IsCode(err, endpoint.CodeInsufficientBalance):
		err = fmt.Errorf("%w: %w", relayer.ErrUnfunded, a.refused(err, "; send it STRK"))
		a.lacks(attempt)
		if sure {
			err = fmt.Errorf("%w: %w", relayer.ErrRefused, err)
		}
	case sure && slices.ContainsFunc(refusals, func(code endpoint.Code) bool { return endpoint.IsCode(err, code) }):
		err = fmt.Errorf("%w: %w", relayer.ErrRefused, a.refused(err, ""))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said[attempt.Hash] = said
	return err
}

// refused records why nodes refuse the account's transactions, with what to do, and returns the error.
func (a *Account) refused(err error, advice string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trouble = fmt.Sprintf("account %s: its transactions are refused: %v%s", a.settings.Address, err, advice)
	return err
}

// lacks records that the account cannot pay for an attempt, of which its trouble tells.
func (a *Account) lacks(attempt relayer.Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lacked, a.poor = nil, a.trouble
	if t, err := decodeTerms(attempt); err == nil {
		a.lacked = t.Bounds.Cost()
	}
}

// Solvent implements relayer.Solvent.
func (a *Account) Solvent(ctx context.Context) (bool, error) {
	a.mu.Lock()
	lacked := a.lacked
	a.mu.Unlock()
	if lacked == nil {
		return false, nil
	}
	balance, err := a.Balance(ctx)
	if err != nil || balance.Cmp(lacked) < 0 {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trouble == a.poor {
		a.trouble = ""
	}
	a.lacked, a.poor = nil, ""
	return true, nil
}

// Balance returns what the account holds of the token that fees are paid in, in its smallest unit.
func (a *Account) Balance(ctx context.Context) (*big.Int, error) {
	var balance *big.Int
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		answer, err := client.View(ctx, a.settings.FeeToken, aggregator.Selector("balanceOf"), a.settings.Address)
		if err != nil {
			return err
		}
		if len(answer) != 2 || answer[0].Big().BitLen() > 128 || answer[1].Big().BitLen() > 128 {
			return relayer.Answered(
				errors.New("the fee token's answer to balanceOf is not a number of 256 bits; check FeeToken in the chain's " +
					"configuration"))
		}
		balance = new(big.Int).Lsh(answer[1].Big(), 128)
		balance.Or(balance, answer[0].Big())
		return nil
	})
	return balance, err
}

// Cost returns the most that a call may cost in fees, in FRI.
func (a *Account) Cost(ctx context.Context, call Call) (*big.Int, error) {
	estimate, err := a.estimate(ctx, call.calldata())
	if err != nil {
		return nil, err
	}
	bounds, err := a.bounds(estimate, nil)
	return bounds.Cost(), err
}
