package account

import (
	"math/big"
	"testing"
)

// answersOfClients are what nodes say to eth_sendRawTransaction, whole, as their code writes it.
var answersOfClients = []struct {
	client, answer string
	want           meaning
}{
	// go-ethereum, and what shares its words: Erigon, Bor, BSC, op-geth.
	{"geth", "already known", known},
	{"geth", "known transaction: 0x0e3f", known},
	{"geth", "nonce too low: next nonce 5, tx nonce 4", nonceLow},
	{"geth", "nonce too low: address 0x2C7536E3605D9C16a7a3D7b1898e529396a65c23, tx: 4 state: 5", nonceLow},
	{"geth", "nonce too high: next nonce 5, tx nonce 9", nonceHigh},
	{"geth", "gapped-nonce tx from delegated accounts", nonceHigh},
	{"geth", "replacement transaction underpriced", replacement},
	{"geth", "replacement transaction underpriced: new tx gas fee cap 1 <= 2 queued", replacement},
	{"geth",
		"insufficient funds for gas * price + value: balance 0, tx cost 50000000000000000, overshot 50000000000000000",
		unfunded},
	{"geth", "insufficient funds for transfer", unfunded},
	{"geth", "transaction would cause overdraft", unfunded},
	{"geth", "transaction underpriced: tip needed 1, tip permitted 0", cheap},
	{"Bor", "transaction gas price below minimum: gas tip cap 1, minimum needed 25000000000", cheap},
	{"geth", "txpool is full", full},
	{"geth", "exceeds block gas limit", refused},
	{"geth", "intrinsic gas too low: gas 20000, minimum needed 21000", refused},
	{"geth", "transaction gas limit too high (cap: 16777216, tx: 20000000)", refused},
	{"geth", "tx fee (2.50 ether) exceeds the configured cap (1.00 ether)", refused},
	{"geth", "oversized data: transaction size 140000, limit 131072", refused},
	{"geth", "insufficient gas for floor data gas cost: gas 21000, minimum needed 30000", refused},
	{"geth", "invalid sender", refused},
	{"geth", "invalid chain id for signer: have 1 want 5", refused},
	{"geth", "transaction type not supported", refused},
	{"geth", "negative value", refused},
	{"geth", "gas uint64 overflow", refused},
	{"geth", "max priority fee per gas higher than max fee per gas: address 0x1, maxPriorityFeePerGas: 2, maxFeePerGas: 1",
		refused},
	{"Erigon", "existing tx with same hash", known},
	{"Erigon", "underlying error: nonce too low", nonceLow},

	{"Reth", "already known", known},
	{"Reth", "nonce too low: next nonce 5, tx nonce 4", nonceLow},
	{"Reth", "replacement transaction underpriced", replacement},
	{"Reth", "insufficient funds for gas * price + value: have 0 want 5", unfunded},
	{"Reth", "lack of funds (0) for max fee (50000000000000000)", unfunded},
	{"Reth", "max fee per gas less than block base fee", cheap},
	{"Reth", "priority fee below minimum: 0 < 1", cheap},
	{"Reth", "exceeds max transaction gas limit", refused},
	{"Reth", "intrinsic gas too high", refused},

	{"Nethermind", "AlreadyKnown", known},
	{"Nethermind", "OwnNonceAlreadyUsed", known},
	{"Nethermind", "OldNonce, Current nonce: 5, nonce of rejected tx: 4", nonceLow},
	{"Nethermind", "NonceGap, Future nonce. Expected nonce: 5", nonceHigh},
	{"Nethermind", "ReplacementNotAllowed", replacement},
	{"Nethermind", "InsufficientFunds, Account balance: 0, cumulative cost: 50", unfunded},
	{"Nethermind", "InsufficientFunds, Balance is 0 less than sending value + gas 50", unfunded},
	{"Nethermind", "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 7, MaxPriorityFeePerGas:1, Block number: 9",
		cheap},
	{"Nethermind", "FeeTooLow, EffectivePriorityFeePerGas too low 1 < 2, BaseFee: 7", cheap},
	{"Nethermind", "FeeTooLowToCompete", cheap},
	{"Nethermind", "GasLimitExceeded, Gas limit: 100, gas limit of rejected tx: 200", refused},
	{"Nethermind", "Invalid", refused},
	{"Nethermind", "Invalid, transaction Hash is null", refused},
	{"Nethermind", "SenderIsContract", refused},
	{"Nethermind", "FailedToResolveSender", refused},
	{"Nethermind", "Int256Overflow", refused},
	{"Nethermind", "NotSupportedTxType", refused},
	{"Nethermind", "node is syncing", full},

	{"Besu", "Known transaction", known},
	{"Besu", "Nonce too low", nonceLow},
	{"Besu", "Replacement transaction underpriced", replacement},
	{"Besu", "Upfront cost exceeds account balance", unfunded},
	{"Besu", "transaction up-front cost 0x1 exceeds transaction sender account balance 0x0", unfunded},
	{"Besu", "Gas price below configured minimum gas price", cheap},
	{"Besu", "Intrinsic gas exceeds gas limit", refused},
	{"Besu", "Transaction gas limit exceeds block gas limit", refused},
	{"Besu", "Transaction fee cap exceeded", refused},
	{"Besu", "Invalid signature", refused},

	{"OpenEthereum", "Transaction with the same hash was already imported.", known},
	{"OpenEthereum", "Transaction nonce is too low. Try incrementing the nonce.", nonceLow},
	{"OpenEthereum",
		"Transaction gas price 1wei is too low. There is another transaction with same nonce in the queue with gas price " +
			"2wei.", replacement},
	{"OpenEthereum", "Insufficient funds. The account you tried to send transaction from does not have enough funds.",
		unfunded},
	{"OpenEthereum", "Insufficient balance for transaction. Balance=0, Cost=50", unfunded},
	{"OpenEthereum",
		"Transaction gas price is too low. It does not satisfy your node's minimal gas price (minimal: 2, got: 1).", cheap},
	{"OpenEthereum",
		"There are too many transactions in the queue. Your transaction was dropped due to limit. Try increasing the fee.",
		full},
	{"OpenEthereum",
		"Transaction gas is too low. There is not enough gas to cover minimal cost of the transaction (minimal: 2, got: 1).",
		refused},
	{"OpenEthereum", "Transaction cost exceeds current gas limit. Limit: 100, got: 200. Try decreasing supplied gas.",
		refused},
	{"OpenEthereum", "Supplied gas is beyond limit.", refused},
	{"OpenEthereum", "Sender is banned in local queue.", refused},
	{"OpenEthereum", "Transaction is not permitted.", refused},
	{"OpenEthereum", "Transaction is too big, see chain specification for the limit.", refused},
	{"OpenEthereum", "Invalid RLP data: Custom(\"x\")", refused},

	{"Nitro", "invalid transaction nonce", nonceLow},
	{"Nitro", "nonce too low: address 0x1, tx: 4 state: 5", nonceLow},
	{"Nitro", "nonce too high: address 0x1, tx: 9 state: 5", nonceHigh},
	{"Nitro", "not enough funds for gas", unfunded},
	{"Nitro", "gas price too low", cheap},
	{"Nitro", "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 7", cheap},
	{"Nitro", "queue full", full},
	{"Nitro", "sequencer pending tx pool full, please try again", full},
	{"Nitro", "forbidden sender address", refused},
	{"Nitro", "execution reverted: stale report", refused},
	{"Nitro", "execution reverted: insufficient balance", refused}, // the contract's words
	{"Hardhat", "VM Exception while processing transaction: reverted with reason string 'not enough funds'", refused},

	{"ZKsync", "known transaction. transaction with hash 0x1 is already in the system", known},
	{"ZKsync", "nonce too low. allowed nonce range: 5 - 25, actual: 4", nonceLow},
	{"ZKsync", "nonce too high. allowed nonce range: 5 - 25, actual: 40", nonceHigh},
	{"ZKsync", "insufficient balance for transfer", unfunded},
	{"ZKsync", "insufficient funds for gas + value. balance: 0, fee: 5, value: 0", unfunded},
	{"ZKsync", "max fee per gas less than block base fee", cheap},
	{"ZKsync", "max fee per gas less than base fee", cheap},
	{"ZKsync", "Error description: The operator included transaction with an unacceptable gas price", cheap},
	{"ZKsync", "Error description: Assertion error: Fair pubdata price too high", cheap},
	{"ZKsync", "Not enough gas for transaction validation", refused},
	{"ZKsync", "failed to validate the transaction. reason: Validation revert: Failed to pay the fee to the operator",
		refused},

	{"Frontier", "already known", known},
	{"Frontier", "submit transaction to pool failed: Pool(AlreadyImported)", known},
	{"Frontier", "nonce too low", nonceLow},
	{"Frontier", "submit transaction to pool failed: Pool(Stale)", nonceLow},
	{"Frontier", "replacement transaction underpriced", replacement},
	{"Frontier", "insufficient funds for gas * price + value", unfunded},
	{"Frontier", "gas price less than block base fee", cheap},

	{"Hedera", "[Request ID: 4f] Nonce too low. Provided nonce: 4, current nonce: 5", nonceLow},
	{"Hedera", "[Request ID: 4f] Error invoking RPC: INSUFFICIENT_PAYER_BALANCE", unfunded},
	{"Hedera", "[Request ID: 4f] Gas price '1' is below configured minimum gas price '2'", cheap},
	{"Hedera", "[Request ID: 4f] INVALID_SIGNATURE", refused},
	{"Hedera", "[Request ID: 4f] Transaction gas limit provided '1' is insufficient of intrinsic gas required '21000'",
		refused},
	{"Hedera", "Transaction gas limit '20000000' exceeds block gas limit '15000000'", refused},
	{"Hedera", "Transaction gas too high", refused},

	{"Rootstock", "pending transaction with same hash already exists", known},
	{"Rootstock", "queued transaction with same hash already exists", known},
	{"Rootstock", "transaction nonce too low", nonceLow},
	{"Rootstock", "gas price not enough to bump transaction", replacement},
	{"Rootstock", "insufficient funds to pay for pending and new transaction", unfunded},
	{"Rootstock", "account exceeds quota", full},

	{"Cosmos", "tx already in mempool", known},
	{"Sei", "tx already exists in cache", known},
	{"Cosmos", "invalid nonce; got 4, expected 5: invalid sequence: invalid sequence", nonceLow},
	{"Cosmos", "sender balance < tx cost (0 < 5): insufficient funds", unfunded},
	{"Cosmos", "gas prices lower than base fee: insufficient fee", cheap},
	{"Cosmos", "mempool is full", full},
	{"Cosmos", "mempool full", full},

	{"Lotus", "message nonce too low", nonceLow},
	{"Lotus",
		"message from f1 with nonce 4 already in mpool, increase GasPremium to 5 from 4 to trigger replace by fee: replace " +
			"by fee has too low GasPremium", replacement},
	{"Lotus", "message with nonce already exists!", replacement},
	{"Lotus", "not enough funds to execute transaction", unfunded},
	{"Lotus", "gas fee cap too low", cheap},
	{"Lotus", "too many pending messages for actor", full},

	{"SKALE", "Transaction with same nonce already exists in the queue (skale: we ignore gas price)", replacement},
	{"SKALE", "Account balance is too low (balance < value + gas * gas price)", unfunded},
	{"SKALE", "Transaction gasPrice lower than current eth_gasPrice.", cheap},
	{"SKALE", "Transaction queue is full", full},

	{"Gnosis", "alreadyknown", known},
	{"Kaia", "there is another tx which has the same nonce in the tx pool", replacement},
	{"Avalanche", "nonce too low: address 0x2C7536E3605D9C16a7a3D7b1898e529396a65c23 current nonce (5) > tx nonce (4)",
		nonceLow},
	{"Monad", "Signer had insufficient balance", unfunded},
	{"Monad", "Gas limit too low", refused},
	{"Metis", "Cannot send raw transaction in verifier mode", closed},
	{"Nitro", "publishing transactions not supported by this endpoint", closed},
	{"Metis", "gas price too low: 1 wei, use at least tx.gasPrice = 20 wei", cheap},
	{"Polygon zkEVM", "failed to add tx to the pool: out of counters at node level (CUMULATIVE_GAS_USED)", refused},
	{"Celo", "gasprice is less than gas price minimum floor", cheap},
	{"Anvil", "transaction already imported", known},
	{"Anvil", "Insufficient funds for gas * price + value", unfunded},
	{"Hardhat", "Sender doesn't have enough funds to send tx. The max upfront cost is: 5 and the sender's balance is: 0.",
		unfunded},

	{"anybody", "internal error", unclear},
	{"a proxy", "your IP address is banned", unclear},
	{"a proxy", "the method is not permitted for this key", closed},
	{"a proxy", "the method eth_sendRawTransaction does not exist/is not available", closed},
	{"a proxy", "eth_sendRawTransaction is not whitelisted", closed},
	{"a proxy", "Method not permitted", closed},
	{"a proxy", "rpc method is not allowed", closed},
	{"a proxy", "Method not allowed", closed},
	{"anybody", "the node is read-only", closed},
	{"anybody", "database is in read only mode", closed},
	{"anybody", "unknown transaction type: 9", refused},
	{"anybody", "invalid params", unclear},
}

func TestWords(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, c := range answersOfClients {
		if got := meant(c.answer); got != c.want {
			t.Errorf("%s: %q means %d, want %d", c.client, c.answer, got, c.want)
		}
		for _, w := range words {
			if w.in(c.answer) {
				said[w.text] = true
				break
			}
		}
	}
	for _, w := range words {
		if !said[w.text] {
			t.Errorf("no client of the table says %q", w.text)
		}
	}
}

func TestFloors(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]*big.Int{
		"transaction gas price below minimum: gas tip cap 1, minimum needed 25000000000": big.NewInt(25_000_000_000),
		"gas price too low: 1 wei, use at least tx.gasPrice = 20 wei":                    big.NewInt(20),
		"transaction underpriced": nil,
	} {
		if got := floorOf(answer); got == nil != (want == nil) || want != nil && got.Cmp(want) != 0 {
			t.Errorf("%q: %v, want %v", answer, got, want)
		}
	}
}
