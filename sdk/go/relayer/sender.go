package relayer

import (
	"context"
	"errors"
	"math/big"
	"time"
)

// Item is one accepted report: what Transmit takes over. Contract, Digest, Epoch and Round name it for ever.
type Item struct {
	// Contract as the chain writes it. It must not hold a slash.
	Contract string
	Digest   [32]byte
	Epoch    uint32
	Round    uint8
	// Payload is all that the Sender needs to make the transaction, in the Sender's own encoding. It is nil once the item
	// is done.
	Payload []byte
}

// Attempt is one signed transaction.
type Attempt struct {
	// Hash as the chain writes it.
	Hash string `json:"hash"`
	// Raw is the transaction as it is sent. The queue keeps that of the newest attempt alone.
	Raw []byte `json:"raw,omitempty"`
	// Terms is what the Sender wants to know of an attempt later, such as its fees; in its own encoding.
	Terms []byte `json:"terms,omitempty"`
	// Fill tells that the transaction has no effect but to take its sequence number.
	Fill bool `json:"fill,omitempty"`
	// Signed is when the queue asked for it.
	Signed time.Time `json:"signed"`
}

// Flight is a sequence number in use with all attempts made at it, oldest first.
type Flight struct {
	Sequence uint64
	Attempts []Attempt
	// Item is the flight's report among the items of the Survey; nil: it is none of them.
	Item *Item
}

// Draft asks for a transaction.
type Draft struct {
	// Sequence is the account's sequence number: the nonce on chains that have one.
	Sequence uint64
	// Payload is what to send; nil asks for a filler, a transaction without effect (a transfer of nothing to oneself).
	// Never nil in a queue that is Unordered.
	Payload []byte
	// Attempts are the earlier ones at this sequence number, oldest first. The new one must replace them all.
	Attempts []Attempt
}

// Outcome is what the chain says of a Flight.
type Outcome struct {
	State State
	// Hash is the attempt that the chain took, when it took one.
	Hash string
	// Fee is what that attempt cost, in the smallest unit of the coin that the account pays with; nil: it is not known. It
	// counts once the outcome is for good.
	Fee *big.Int
	// Stuck asks for a new attempt on better terms: a node has one and blocks pass it by, or nodes want a higher price.
	// Only for Pending.
	Stuck bool
}

// State is where a flight stands.
type State int

// The states of a flight.
const (
	// Pending: no attempt is in a block, and one still may be.
	Pending State = iota
	// Succeeded and Reverted: an attempt is in a block, and a reorganisation may still take it out.
	Succeeded
	Reverted
	// SucceededForGood and RevertedForGood: as above, under as many blocks as the chain asks for.
	SucceededForGood
	RevertedForGood
	// Lost: no attempt is in a block and none ever will be, since something else took the number or its time is over.
	Lost
)

// Mined tells whether an attempt is in a block.
func (s State) Mined() bool { return s >= Succeeded && s <= RevertedForGood }

// Survey is the chain's view of an account at one moment.
type Survey struct {
	// Next is the lowest sequence number that no block has used; 0 on chains that have none.
	Next uint64
	// Outcomes answers the flights in their order.
	Outcomes []Outcome
	// Verdicts answers the items in their order.
	Verdicts []Verdict
}

// Verdict says whether a report can still have an effect.
type Verdict struct {
	// Stale tells why it cannot, as one clause for a log; empty if it can.
	Stale string
	// Wait tells that the chain's view does not suffice to say; the report is neither sent nor dropped until it does.
	Wait bool
}

// Sender is what a Queue asks of one account of one chain. Each method bounds its own calls and keeps to its context.
type Sender interface {
	// Survey reads the chain once for all flights and items, from one node, so that its parts agree. Of an item whose
	// flight is in a block that is not final, nobody wants to know more than that: its verdict may be Wait.
	Survey(ctx context.Context, flights []Flight, items []Item) (Survey, error)
	// Sign makes a transaction without sending it. ErrCeiling: no better terms are allowed.
	Sign(ctx context.Context, draft Draft) (Attempt, error)
	// Send hands a transaction to the chain. Nil also if the chain has it already, or has used its number. ErrRefused:
	// every node that answered refused it and none may have kept it. ErrUnfunded, beside ErrRefused where that holds too:
	// the account cannot pay.
	Send(ctx context.Context, attempt Attempt) error
}

var (
	// ErrCeiling is a Sender's answer when earlier attempts already offer the most that the configuration allows.
	ErrCeiling = errors.New("the transaction already offers the highest fee allowed")
	// ErrRefused is a Sender's answer when the chain refused a transaction and did not keep it.
	ErrRefused = errors.New("the chain refused the transaction")
	// ErrUnfunded is a Sender's answer when the account lacks the funds for a transaction: all others of the account wait
	// with it, until it is funded.
	ErrUnfunded = errors.New("the account cannot pay for the transaction")
)
