package relayer

import (
	"context"
	"errors"
	"math/big"
	"time"
)

// Item is one accepted report of a Transmit call. Contract, Digest, Epoch and Round identify it for ever.
type Item struct {
	// Contract as the chain writes it. It must not hold a slash.
	Contract string
	Digest   [32]byte
	Epoch    uint32
	Round    uint8
	// Payload is everything that the Sender needs to make the transaction, in the Sender's own encoding. It is nil once
	// the item is done.
	Payload []byte
}

// Attempt is one signed transaction.
type Attempt struct {
	// Hash is in the chain's spelling.
	Hash string `json:"hash"`
	// Raw is the transaction as it is sent. The queue keeps only that of the newest attempt.
	Raw []byte `json:"raw,omitempty"`
	// Terms is what the Sender needs to know about an attempt later, such as its fees, in its own encoding.
	Terms []byte `json:"terms,omitempty"`
	// Fill reports that the transaction has no effect except that it uses its sequence number.
	Fill bool `json:"fill,omitempty"`
	// Signed is when the queue got it.
	Signed time.Time `json:"signed"`
}

// Flight is a sequence number in use with all attempts made at it, oldest first.
type Flight struct {
	Sequence uint64
	Attempts []Attempt
	// Item is the flight's report among the items of the Survey; nil if it is not among them.
	Item *Item
}

// Draft asks for a transaction.
type Draft struct {
	// Sequence is the account's sequence number: the nonce on chains that have one.
	Sequence uint64
	// Payload is what to send; nil asks for a filler, a transaction without effect (a transfer of nothing to the
	// account itself). It is never nil in a queue that is Unordered.
	Payload []byte
	// Attempts are the earlier ones at this sequence number, oldest first. The new one must replace them all.
	Attempts []Attempt
}

// Outcome is the chain's answer about a Flight.
type Outcome struct {
	State State
	// Hash is the attempt that the chain included, if it included one.
	Hash string
	// Fee is the cost of that attempt, in the smallest unit of the coin that the account pays with; nil if it is not
	// known. It counts once the outcome is final.
	Fee *big.Int
	// Stuck asks for a new attempt on better terms: a node has the transaction but blocks do not include it, or nodes
	// want a higher price. It is only for Pending.
	Stuck bool
}

// State is the state of a flight.
type State int

// The states of a flight.
const (
	// Pending means that no attempt is in a block, and one still may be.
	Pending State = iota
	// Succeeded and Reverted mean that an attempt is in a block, and a reorganisation may still remove it.
	Succeeded
	Reverted
	// SucceededForGood and RevertedForGood mean the same, under as many blocks as the chain requires.
	SucceededForGood
	RevertedForGood
	// Lost means that no attempt is in a block and none ever will be, since another transaction used the number or its
	// time is over. A Queue with numbers believes it once surveys have said so for some seconds.
	Lost
)

// Mined reports whether an attempt is in a block.
func (s State) Mined() bool { return s >= Succeeded && s <= RevertedForGood }

// Survey is the chain's view of an account at one moment.
type Survey struct {
	// Next is the lowest sequence number that no block has used; 0 on chains that have none.
	Next uint64
	// Outcomes has the answers for the flights, in their order.
	Outcomes []Outcome
	// Verdicts has the answers for the items, in their order.
	Verdicts []Verdict
	// Unfunded says why the account cannot pay for its transactions, as one clause for a log; empty if it can. It is for
	// chains whose nodes take what the account cannot pay for; on others ErrUnfunded says it. As long as it is not empty
	// the queue sends nothing, since no block would include it.
	Unfunded string
}

// Verdict says whether a report can still have an effect.
type Verdict struct {
	// Stale says why it cannot, as one clause for a log; empty if it can.
	Stale string
	// Wait reports that the chain's view is not enough to decide. The report is neither sent nor dropped until it is.
	Wait bool
}

// Sender is what a Queue needs from one account of one chain. Each method bounds its own calls and obeys its context.
type Sender interface {
	// Survey reads the chain once for all flights and items, from one node, so that its parts agree. The verdict of an
	// item whose flight is in a block that is not final may be Wait, since it is not used.
	Survey(ctx context.Context, flights []Flight, items []Item) (Survey, error)
	// Sign makes a transaction without sending it. It returns ErrCeiling if no better terms are allowed, ErrRefused if the
	// chain says beforehand that it would refuse it, and ErrUnfunded if it says that the account cannot pay. A Sender
	// should make sure that the account can pay for what has Attempts: they are sent no more once there is another.
	Sign(ctx context.Context, draft Draft) (Attempt, error)
	// Send sends a transaction to the chain. It also returns nil if the chain has it already, or has used its number.
	// ErrRefused means that every node that answered refused it and none may have kept it. ErrUnfunded, joined with
	// ErrRefused if that holds too, means that the account cannot pay.
	Send(ctx context.Context, attempt Attempt) error
}

// Solvent is what a Sender implements whose Survey does not tell of all lack of funds: a Queue whose account lacked
// them learns by it that the account has been funded, while there is nothing to send that would show it.
type Solvent interface {
	// Solvent reports whether the account can pay the fee for which ErrUnfunded was returned last; false if that is not
	// known.
	Solvent(ctx context.Context) (bool, error)
}

var (
	// ErrCeiling is returned by a Sender when earlier attempts already offer the most that the configuration allows.
	ErrCeiling = errors.New("the transaction already offers the highest fee allowed")
	// ErrRefused is returned by a Sender when the chain refused a transaction and did not keep it.
	ErrRefused = errors.New("the chain refused the transaction")
	// ErrUnfunded is returned by a Sender when the account lacks the funds for a transaction. All others of the account
	// wait with it, until it is funded.
	ErrUnfunded = errors.New("the account cannot pay for the transaction")
)
