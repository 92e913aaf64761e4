package account

import (
	"math/big"
	"regexp"
	"strings"
)

// meaning is what a node's answer to a transaction says of it.
type meaning int

// The meanings. Where several nodes answer and none takes the transaction, the first of them in this order counts: as
// long as one may take it later, it is neither made dearer nor given up.
const (
	// unclear: an answer that no word of the table is in. The transaction is sent again.
	unclear meaning = iota
	// full: the node takes none now. The transaction is sent again as it is.
	full
	// nonceHigh: the node lacks a transaction before this one.
	nonceHigh
	// cheap: the node wants a higher price.
	cheap
	// replacement: the node has another transaction with the nonce, and wants a higher price to give it up.
	replacement
	// unfunded: the account cannot pay.
	unfunded
	// refused: the node never takes this transaction.
	refused
	// known: the node has this very transaction.
	known
	// nonceLow: a block has used the nonce, by this transaction or by another: the next survey tells.
	nonceLow
	// closed: the node takes no transactions at all. It says nothing of this one.
	closed
	// silent: no node that takes transactions answered.
	silent
)

// word is a text in the answers of one or more clients.
type word struct {
	text  string // in lower case
	means meaning
	whole bool // nothing comes after the text, and before it at most another's words and a colon
}

// words are the clients' own, looked for in this order, because some contain others. They are parts of what a client
// says, since newer ones add details. The sources are the clients' code and the patterns of the established node
// (chainlink-evm's pkg/client/errors.go).
var words = []word{
	// Sequencers that try it first, and estimates. A contract's own words come after these, and may be any of those below.
	{text: "execution reverted", means: refused},
	{text: "vm exception while processing transaction", means: refused}, // Hardhat

	{text: "verifier mode", means: closed},                         // Metis, of a replica
	{text: "publishing transactions not supported", means: closed}, // Nitro without a sequencer, Blockscout
	{text: "eth_sendrawtransaction does not exist", means: closed}, // go-ethereum, by a code of a proxy's own
	{text: "eth_sendrawtransaction is not", means: closed},         // several: allowed, available, supported, whitelisted
	{text: "method is not permitted", means: closed},               // several, of a restricted key
	{text: "method not permitted", means: closed},                  // several
	{text: "method is not allowed", means: closed},                 // several
	{text: "method not allowed", means: closed},                    // several
	{text: "read-only", means: closed},                             // several
	{text: "read only", means: closed},                             // several

	// An unknown type of transaction must not be taken for a known transaction.
	{text: "unknown transaction type", means: refused},
	{text: "transaction type not supported", means: refused}, // go-ethereum
	{text: "notsupportedtxtype", means: refused},             // Nethermind

	{text: "replacement transaction underpriced", means: replacement}, // go-ethereum, Erigon, Reth, Besu
	{text: "replacementnotallowed", means: replacement},               // Nethermind
	{text: "another transaction with same nonce", means: replacement}, // OpenEthereum
	{text: "another tx which has the same nonce", means: replacement}, // Kaia
	{text: "same nonce already exists", means: replacement},           // SKALE, which never replaces
	{text: "gas price not enough to bump", means: replacement},        // Rootstock
	{text: "too low gaspremium", means: replacement},                  // Lotus
	{text: "with nonce already exists", means: replacement},           // Lotus

	{text: "already known", means: known},           // go-ethereum, Erigon, Reth, Frontier
	{text: "alreadyknown", means: known},            // Nethermind, Gnosis
	{text: "known transaction", means: known},       // Besu, ZKsync, Kaia, older go-ethereum
	{text: "ownnoncealreadyused", means: known},     // Nethermind, which signed it
	{text: "same hash", means: known},               // OpenEthereum, Erigon, Rootstock
	{text: "pool(alreadyimported)", means: known},   // Frontier
	{text: "already imported", means: known},        // Anvil
	{text: "already in mempool", means: known},      // Cosmos
	{text: "already exists in cache", means: known}, // Sei

	{text: "nonce too low", means: nonceLow},
	{text: "nonce is too low", means: nonceLow},          // OpenEthereum
	{text: "oldnonce", means: nonceLow},                  // Nethermind
	{text: "invalid transaction nonce", means: nonceLow}, // Nitro, of a nonce too high too: the survey tells
	{text: "invalid nonce; got", means: nonceLow},        // Cosmos, likewise
	{text: "pool(stale)", means: nonceLow},               // Frontier
	{text: "nonce too high", means: nonceHigh},
	{text: "noncegap", means: nonceHigh}, // Nethermind
	{text: "gapped", means: nonceHigh},   // go-ethereum

	{text: "insufficient funds", means: unfunded}, // go-ethereum and its kin, OpenEthereum, Rootstock, Cosmos
	{text: "insufficientfunds", means: unfunded},  // Nethermind
	{text: "would cause overdraft", means: unfunded},
	{text: "upfront cost exceeds account balance", means: unfunded},       // Besu
	{text: "exceeds transaction sender account balance", means: unfunded}, // Besu
	{text: "not enough funds", means: unfunded},                           // Nitro, Lotus
	{text: "insufficient balance", means: unfunded},                       // ZKsync, Monad, OpenEthereum
	{text: "insufficient_payer_balance", means: unfunded},                 // Hedera
	{text: "account balance is too low", means: unfunded},                 // SKALE
	{text: "lack of funds", means: unfunded},                              // Reth
	{text: "doesn't have enough funds", means: unfunded},                  // Hardhat

	{text: "transaction underpriced", means: cheap},
	{text: "gas price below minimum", means: cheap},            // go-ethereum, Bor
	{text: "priority fee below minimum", means: cheap},         // Reth
	{text: "below configured minimum gas price", means: cheap}, // Besu, Hedera
	{text: "minimal gas price", means: cheap},                  // OpenEthereum
	{text: "feetoolow", means: cheap},                          // Nethermind
	{text: "gas price too low", means: cheap},                  // Nitro, Metis
	{text: "less than block base fee", means: cheap},           // Reth, Nitro, ZKsync, Frontier
	{text: "less than base fee", means: cheap},                 // ZKsync
	{text: "unacceptable gas price", means: cheap},             // ZKsync
	{text: "fair pubdata price too high", means: cheap},        // ZKsync
	{text: "gas price minimum floor", means: cheap},            // Celo
	{text: "insufficient fee", means: cheap},                   // Cosmos
	{text: "gas fee cap too low", means: cheap},                // Lotus
	{text: "lower than current eth_gasprice", means: cheap},    // SKALE

	{text: "pool is full", means: full}, // go-ethereum
	{text: "pool full", means: full},    // Nitro
	{text: "queue full", means: full},   // Nitro
	{text: "queue is full", means: full},
	{text: "too many transactions in the queue", means: full}, // OpenEthereum
	{text: "too many pending messages", means: full},          // Lotus
	{text: "exceeds quota", means: full},                      // Rootstock
	{text: "syncing", means: full},                            // Nethermind

	{text: "exceeds block gas limit", means: refused},
	{text: "intrinsic gas too low", means: refused},
	{text: "intrinsic gas too high", means: refused},                    // Reth
	{text: "intrinsic gas exceeds gas limit", means: refused},           // Besu
	{text: "insufficient of intrinsic gas", means: refused},             // Hedera
	{text: "floor data gas", means: refused},                            // go-ethereum, by EIP-7623
	{text: "gas limit too high", means: refused},                        // go-ethereum, by EIP-7825
	{text: "gas limit too low", means: refused},                         // Monad
	{text: "gas too high", means: refused},                              // Hedera
	{text: "exceeds max transaction gas limit", means: refused},         // Reth
	{text: "gaslimitexceeded", means: refused},                          // Nethermind
	{text: "gas is too low", means: refused},                            // OpenEthereum
	{text: "exceeds current gas limit", means: refused},                 // OpenEthereum
	{text: "gas is beyond limit", means: refused},                       // OpenEthereum
	{text: "gas uint64 overflow", means: refused},                       // go-ethereum
	{text: "not enough gas for transaction validation", means: refused}, // ZKsync
	{text: "failed to pay the fee to the operator", means: refused},     // ZKsync: its gas limit is below its fee
	{text: "exceeds the configured cap", means: refused},                // go-ethereum
	{text: "fee cap exceeded", means: refused},                          // Besu
	{text: "higher than max fee per gas", means: refused},               // go-ethereum
	{text: "out of counters", means: refused},                           // Polygon zkEVM
	{text: "oversized data", means: refused},                            // go-ethereum
	{text: "transaction is too big", means: refused},                    // OpenEthereum
	{text: "invalid sender", means: refused},
	{text: "senderiscontract", means: refused},             // Nethermind
	{text: "failedtoresolvesender", means: refused},        // Nethermind
	{text: "int256overflow", means: refused},               // Nethermind
	{text: "forbidden sender", means: refused},             // Nitro
	{text: "is banned in local queue", means: refused},     // OpenEthereum
	{text: "transaction is not permitted", means: refused}, // OpenEthereum
	{text: "invalid chain id", means: refused},
	{text: "invalid signature", means: refused},
	{text: "invalid_signature", means: refused}, // Hedera
	{text: "invalid rlp", means: refused},
	{text: "negative value", means: refused},
	{text: "invalid, transaction hash is null", means: refused}, // Nethermind
	{text: "invalid", means: refused, whole: true},              // Nethermind
}

// in reports whether an answer has the word.
func (w word) in(answer string) bool {
	answer = strings.ToLower(strings.TrimSpace(answer))
	if w.whole {
		return answer == w.text || strings.HasSuffix(answer, ": "+w.text)
	}
	return strings.Contains(answer, w.text)
}

// meant finds what a node's answer says of a transaction.
func meant(answer string) meaning {
	for _, w := range words {
		if w.in(answer) {
			return w.means
		}
	}
	return unclear
}

// floors are how clients name the least that they take: go-ethereum, Bor and BSC the tip, Metis the price.
var floors = regexp.MustCompile(`(?i)(?:minimum needed|use at least tx\.gasprice =) *(\d{1,30})`)

// floorOf is the least tip or price, in wei per gas, that a node's answer asks for; nil if it names none.
func floorOf(answer string) *big.Int {
	found := floors.FindStringSubmatch(answer)
	if found == nil {
		return nil
	}
	least, _ := new(big.Int).SetString(found[1], 10)
	return least
}
