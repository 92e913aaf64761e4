// Package signing is what a node and a relayer's library have in common where transactions are signed: what a relayer
// asks for, what the node knows of its jobs, and the check that a library makes of the two for its chain.
//
// A check is a pure function. It calls nobody, and of what a relayer says it believes nothing but the bytes that are
// to be signed: the facts are the operator's.
package signing

import "math/big"

// Request is what a relayer asks to have signed.
type Request struct {
	// Account is the key that signs, as the keystore names it.
	Account string
	// Data is what is signed. Transaction is what Data is the hash of, on chains whose accounts sign hashes.
	Data, Transaction []byte
}

// Contract is the contract of a job as its operator wrote the job. No relayer has touched it, so that its texts may
// be in any spelling that the relayer takes.
type Contract struct {
	// Job is the job's number in the node.
	Job int64
	// ID is contractID and Transmitter transmitterID.
	ID, Transmitter string
	// RelayConfigJSON is relayConfig.
	RelayConfigJSON []byte
	// GasLimit is gasLimit; 0: the job has none.
	GasLimit uint32
}

// Transfer is a transfer of coins that an operator has asked for.
type Transfer struct {
	// From and To are accounts as the operator wrote them.
	From, To string
	// Amount is in the coin's smallest unit.
	Amount *big.Int
	// Slot is the Verdict's of the first transaction that was signed for it; empty: there is none. Another slot would be
	// another transfer.
	Slot string
}

// Facts are what the node knows.
type Facts struct {
	// Contracts are those of all jobs on the chain.
	Contracts []Contract
	Transfers []Transfer
}

// Kind is what a transaction is for.
type Kind string

// The kinds of transactions that are signed.
const (
	// Transmission hands a report to the contract of a job.
	Transmission Kind = "transmission"
	// Filler has no effect but to take a sequence number.
	Filler Kind = "filler"
	// Coins is a transfer that an operator asked for.
	Coins Kind = "transfer"
)

// Verdict says what a transaction is that may be signed.
type Verdict struct {
	Kind Kind
	// Job is that of a transmission, and Transfer the index of a transfer in the facts.
	Job      int64
	Transfer int
	// Slot names what the chain lets happen once: the sequence number, or on chains without one the transaction itself.
	Slot string
	// To is the contract or the account that is meant, as the chain writes it.
	To string
}

// Check decides on one request. Its error is why it is not signed: a clause that begins with "it", for the transaction.
type Check func(Request, Facts) (Verdict, error)

// New makes the check of a chain from its table of the node's configuration, which has been checked.
type New func(section []byte) (Check, error)
