// Package signing is what a node and a relayer's library share for signing transactions: a relayer's request, the
// node's knowledge of its jobs, and the check of the one against the other, which a library makes for its chain.
//
// A check is a pure function. It calls nothing, and of a relayer's request it trusts only the bytes to be signed. The
// facts come from the operator.
package signing

import "math/big"

// Request is a relayer's request for a signature.
type Request struct {
	// Account is the key that signs, as the keystore names it.
	Account string
	// Data is what is signed. Transaction is the preimage of Data, on chains whose accounts sign hashes.
	Data, Transaction []byte
}

// Contract is the contract of a job as its operator wrote the job. No relayer has changed it, so its texts may be in
// any spelling that the relayer accepts.
type Contract struct {
	// Job is the job's number in the node.
	Job int64
	// ID is contractID and Transmitter is transmitterID.
	ID, Transmitter string
	// RelayConfigJSON is relayConfig.
	RelayConfigJSON []byte
	// GasLimit is gasLimit; 0 if the job has none.
	GasLimit uint32
}

// Transfer is a transfer of coins that an operator has asked for.
type Transfer struct {
	// From and To are accounts as the operator wrote them.
	From, To string
	// Amount is in the coin's smallest unit.
	Amount *big.Int
	// Slot is the Verdict's Slot of the first transaction that was signed for it; empty if there is none. Another slot
	// would be another transfer.
	Slot string
}

// Facts are what the node knows.
type Facts struct {
	// Contracts are the contracts of all jobs on the chain.
	Contracts []Contract
	Transfers []Transfer
}

// Kind is the purpose of a transaction.
type Kind string

// The kinds of transactions that are signed.
const (
	// Transmission sends a report to the contract of a job.
	Transmission Kind = "transmission"
	// Filler has no effect except that it uses a sequence number.
	Filler Kind = "filler"
	// Coins is a transfer that an operator asked for.
	Coins Kind = "transfer"
)

// Verdict describes a transaction that may be signed.
type Verdict struct {
	Kind Kind
	// Job is the job of a transmission, and Transfer the index of a transfer in the facts.
	Job      int64
	Transfer int
	// Slot names what the chain allows only once: the sequence number or, on chains without one, the transaction
	// itself.
	Slot string
	// To is the contract or the receiving account, in the chain's spelling.
	To string
}

// Check decides on one request. Its error says why the transaction is not signed: a clause that begins with "it".
type Check func(Request, Facts) (Verdict, error)

// New makes the check of a chain from its table of the node's configuration, which has been checked.
type New func(section []byte) (Check, error)
