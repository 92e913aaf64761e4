// Package account makes and sends the transactions of one account of an EVM chain: it implements the Sender of
// relayer's queue.
//
// It knows fees, nonces, receipts and the aggregator's views that show whether a report is stale. It must not know
// jobs, nor keep anything: what must survive is in the queue's Store.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Pool is the nodes of the account's chain.
type Pool = relayer.Pool[*endpoint.Client]

// Settings configure an Account. All are required.
type Settings struct {
	Address  common.Address
	ChainID  *big.Int
	Keystore hostservicev1.KeystoreServiceClient
	Pool     *Pool
	// FinalityDepth is how many blocks on top of a transaction make it final.
	FinalityDepth uint64
	// FinalityTag makes the chain's block "finalized" decide instead, and FinalityOffset makes it that many blocks
	// less.
	FinalityTag    bool
	FinalityOffset uint64
	// GasLimit of fillers.
	GasLimit uint64
	Limit    Limit
	Fees     Fees
}

// Limit configures gas limits. The zero value takes each from its job, or from the configuration.
type Limit struct {
	// Estimate asks a node for each transaction's gas instead. A transaction that it refuses to estimate is not sent.
	Estimate bool
	// Multiplier of each limit; 0 means 1.
	Multiplier float64
	// Max bounds each limit; 0 means no bound.
	Max uint64
}

// Account is the Sender of one account.
type Account struct {
	settings Settings
	doubts   relayer.Doubts

	mu       sync.Mutex
	standing map[string]standing // by hash, of the flights under way
	mined    map[uint64]mined    // by nonce, of the same
	trouble  string
	owed     *big.Int    // the fee that the account could not pay at the last survey; nil: there is none
	lacked   *big.Int    // the fee for lack of which a transaction was last refused; nil: it is not known
	poor     string      // the trouble that was told of it
	asked    common.Hash // the newest block when the node proposed
	proposed *big.Int
}

// standing is what nodes have said of an attempt in this generation.
type standing struct {
	// held tells that a node has the attempt. passed tells that a survey has found it in no block since, and height is the
	// newest block of the first that did.
	held, passed bool
	height       uint64
	// spared tells that every sending of it was refused by all nodes: none has it.
	spared bool
	// cheap tells that no node takes it for its price, and floor is the least price that one asked for, if it named any.
	cheap bool
	floor *big.Int
	// unclear is since when no node takes it and none says why in a word that is known; zero if that is not so.
	unclear time.Time
}

// stubborn is for how long nodes may refuse a transaction in words that are not known until it counts as refused for
// good: other transactions of the account wait behind it.
const stubborn = time.Minute

var (
	_ relayer.Sender  = (*Account)(nil)
	_ relayer.Solvent = (*Account)(nil)
)

// New makes an account. It makes no call yet.
func New(settings Settings) *Account {
	return &Account{settings: settings, standing: map[string]standing{}, mined: map[uint64]mined{}}
}

// Call is the payload of a transaction, as the queue keeps it.
type Call struct {
	To    common.Address `json:"to"`
	Data  hexutil.Bytes  `json:"data,omitempty"`
	Value *hexutil.Big   `json:"value,omitempty"`
	Gas   uint64         `json:"gas"`
}

// Encode makes the queue's payload.
func (c Call) Encode() ([]byte, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a transaction's payload: %w", err)
	}
	return payload, nil
}

// Send implements relayer.Sender. It sends the transaction to every node, since any one may keep it to itself.
func (a *Account) Send(ctx context.Context, attempt relayer.Attempt) error {
	heard := &answers{least: silent}
	sure, err := a.settings.Pool.Broadcast(ctx, func(ctx context.Context, client *endpoint.Client) error {
		var hash common.Hash
		err := client.Call(ctx, &hash, "eth_sendRawTransaction", hexutil.Bytes(attempt.Raw))
		if err != nil {
			err = heard.hear(err)
		}
		if err == nil {
			a.holds(attempt.Hash)
		}
		if errors.Is(err, errUsed) {
			return nil
		}
		return err
	})
	if err == nil {
		a.tell("")
		return nil
	}
	least, floor := heard.all()
	now := a.missed(attempt.Hash, sure, least, floor)
	if !now.unclear.IsZero() && time.Since(now.unclear) >= stubborn {
		least = refused
	}
	if least == unfunded {
		err = fmt.Errorf("%w: %w", relayer.ErrUnfunded, err)
	}
	if sure && (least == unfunded || least == refused) {
		err = fmt.Errorf("%w: %w", relayer.ErrRefused, err)
	}
	if least == unfunded || least == refused {
		trouble := fmt.Sprintf("%s: %s", a.settings.Address, err)
		a.tell(trouble)
		if least == unfunded {
			a.lacks(fee(attempt), trouble)
		}
	}
	return err
}

// fee is the most that an attempt costs without what it transfers; nil if it cannot be read.
func fee(attempt relayer.Attempt) *big.Int {
	var tx types.Transaction
	if err := tx.UnmarshalBinary(attempt.Raw); err != nil {
		return nil
	}
	return new(big.Int).Sub(tx.Cost(), tx.Value())
}

// lacks records for which fee the account was found to lack funds, with the trouble that was told of it, if it was.
func (a *Account) lacks(fee *big.Int, trouble string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lacked, a.poor = fee, trouble
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

// errUsed marks the answer that a block has used the nonce.
var errUsed = errors.New("the nonce is used")

// answers are the answers of several nodes to one transaction that none of them has.
type answers struct {
	mu    sync.Mutex
	least meaning
	floor *big.Int
}

// hear reads an answer: nil if the node has the transaction, errUsed if a block used its nonce. Clients give one error
// several codes, some of which are those of a node that fails: so words of the table are an answer whatever the code.
// With an HTTP status they are not, since a server then speaks of itself: one that wants money says "insufficient
// balance" too. A node that takes no transactions, at all or with this key, is not heard: otherwise no refusal of the
// others would count.
func (s *answers) hear(err error) error {
	text := relayer.Reason(err) // without addresses
	means := unclear
	var status relayer.StatusCode
	switch {
	case relayer.IsUnserved(err):
		means = closed
	case !errors.As(err, &status):
		means = meant(text)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		means = closed
	}
	switch means {
	case known:
		return nil
	case nonceLow:
		return errUsed
	case closed:
		if relayer.IsAnswered(err) {
			err = relayer.Said("answers with the error: " + text)
		}
		return relayer.Unserved(err)
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.least = min(s.least, means)
	if means == cheap {
		s.floor = greater(s.floor, floorOf(text))
	}
	if means != unclear && !relayer.IsAnswered(err) {
		return relayer.Answered(err)
	}
	return err
}

func (s *answers) all() (least meaning, floor *big.Int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.least, s.floor
}

// holds records that a node has an attempt.
func (a *Account) holds(hash string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.standing[hash].held {
		a.standing[hash] = standing{held: true}
	}
}

// missed records that no node is known to have taken an attempt, and returns what is known of the attempt now.
func (a *Account) missed(hash string, sure bool, least meaning, floor *big.Int) standing {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, before := a.standing[hash]
	spared := now.spared || !before
	switch {
	case sure && least == silent: // no node serves, and none was asked
		now.spared = spared
		a.standing[hash] = now
		return now
	case sure && least != unclear: // a node that has it would have said so
		now.held, now.passed, now.spared = false, false, spared && least != replacement
	default:
		now.spared = false
	}
	now.cheap, now.floor = least == cheap || least == replacement, floor
	switch {
	case !sure || least != unclear || now.held:
		now.unclear = time.Time{}
	case now.unclear.IsZero():
		now.unclear = time.Now()
	}
	a.standing[hash] = now
	return now
}

// Trouble says why the account's latest transaction was not accepted, in a sentence for people; empty once one is.
func (a *Account) Trouble() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trouble
}

func (a *Account) tell(trouble string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trouble = trouble
}

// Balance returns what the account holds, in wei.
func (a *Account) Balance(ctx context.Context) (*big.Int, error) {
	var balance hexutil.Big
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		return client.Call(ctx, &balance, "eth_getBalance", a.settings.Address, "latest")
	})
	return balance.ToInt(), err
}

// TransferGas is the gas that a transfer of value takes.
func (a *Account) TransferGas(ctx context.Context, to common.Address, value *big.Int) (uint64, error) {
	return a.estimate(ctx, to, nil, value)
}

// Cost returns the most that a first attempt with that gas costs in fees, in wei.
func (a *Account) Cost(ctx context.Context, gas uint64) (*big.Int, error) {
	t, err := a.terms(ctx, nil)
	if err != nil {
		return nil, err
	}
	return new(big.Int).Mul(new(big.Int).SetUint64(gas), t.Cap), nil
}

// ShortOfFunds reports whether a node's answer says that the account cannot pay.
func ShortOfFunds(err error) bool {
	return err != nil && (errors.Is(err, relayer.ErrUnfunded) || meant(relayer.Reason(err)) == unfunded)
}
