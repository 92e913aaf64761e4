package endpoint

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Limits of a node's methods (agave's rpc/src/rpc.rs: MAX_MULTIPLE_ACCOUNTS and
// MAX_GET_SIGNATURE_STATUSES_QUERY_ITEMS).
const (
	MaxAccounts   = 100
	MaxSignatures = 256
	// MaxFeeAccounts is MAX_TX_ACCOUNT_LOCKS, the limit of getRecentPrioritizationFees in the same file.
	MaxFeeAccounts = 128
)

// newestVersion is the newest version of transactions that Block reads (SIMD-0385).
const newestVersion = 1

// call makes one call. Its error is a fault of the node, or marked relayer.Answered.
func (c *Client) call(ctx context.Context, result any, method string, params ...any) error {
	return failure(method, c.rpc.RPCCallForInto(ctx, result, method, params))
}

func failure(method string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", method, classify(method, err))
}

// dispensable makes it no fault of a node that it lacks a method on which little depends: another may have it.
func dispensable(err error) error {
	if errors.Is(err, errNoMethod) {
		return relayer.Unserved(err)
	}
	return err
}

// odd is an answer that cannot be used.
func odd(method, reason string) error { return fmt.Errorf("%s: %w", method, relayer.Said(reason)) }

// Slot returns the newest slot of a commitment.
func (c *Client) Slot(ctx context.Context, commitment rpc.CommitmentType) (slot uint64, err error) {
	err = c.under(commitment, func(commitment rpc.CommitmentType) error {
		slot, err = c.rpc.GetSlot(ctx, commitment)
		return failure("getSlot", err)
	})
	return slot, err
}

// Newest returns the newest slot that the node has reported.
func (c *Client) Newest() uint64 { return c.slot.Load() }

// BlockHeight returns the number of blocks under the commitment of reads. Because of skipped slots it is smaller than
// the slot.
func (c *Client) BlockHeight(ctx context.Context) (height uint64, err error) {
	err = c.under(c.commitment, func(commitment rpc.CommitmentType) error {
		height, err = c.rpc.GetBlockHeight(ctx, commitment)
		return failure("getBlockHeight", err)
	})
	return height, err
}

// LeastBalance returns what an account that holds no data must keep if it keeps anything, in lamports: a transaction
// that would leave its payer less is in no block.
func (c *Client) LeastBalance(ctx context.Context) (lamports uint64, err error) {
	err = c.call(ctx, &lamports, "getMinimumBalanceForRentExemption", 0)
	return lamports, err
}

// Blockhash names a block that transactions can refer to.
type Blockhash struct {
	Hash sol.Hash
	// LastValid is the block height up to which they may land.
	LastValid uint64
	// Slot of the block.
	Slot uint64
}

// LatestBlockhash returns the newest blockhash of a commitment.
func (c *Client) LatestBlockhash(ctx context.Context, commitment rpc.CommitmentType) (Blockhash, error) {
	const method = "getLatestBlockhash"
	var answer *rpc.GetLatestBlockhashResult
	err := c.under(commitment, func(commitment rpc.CommitmentType) (err error) {
		answer, err = c.rpc.GetLatestBlockhash(ctx, commitment)
		return failure(method, err)
	})
	if err != nil {
		return Blockhash{}, err
	}
	if answer == nil || answer.Value == nil {
		return Blockhash{}, odd(method, "answers without a blockhash")
	}
	newest := Blockhash{
		Hash: answer.Value.Blockhash, LastValid: answer.Value.LastValidBlockHeight, Slot: answer.Context.Slot,
	}
	if newest.LastValid == 0 || newest.Hash == (sol.Hash{}) {
		return Blockhash{}, odd(method, "answers without a blockhash")
	}
	return newest, nil
}

// slotted is the slot of an answer.
type slotted struct {
	Slot uint64 `json:"slot"`
}

// held is an account as a node shows it.
type held struct {
	Data []string `json:"data"`
}

// content decodes what an account holds; nil if there is no account, and empty if it holds nothing.
func (h *held) content() ([]byte, error) {
	if h == nil {
		return nil, nil
	}
	if len(h.Data) != 2 || h.Data[1] != "base64" {
		return nil, relayer.Said("answers with an account in another encoding than asked for")
	}
	data, err := base64.StdEncoding.DecodeString(h.Data[0])
	if err != nil {
		return nil, relayer.Said("answers with an account that is not the base64 it claims to be")
	}
	return data, nil
}

// Slice is a part of an account: Length bytes from Offset on. The zero value means all of it.
type Slice struct{ Offset, Length uint64 }

// Accounts reads a part of several accounts in one call, MaxAccounts at most, under the commitment of reads. An account
// that does not exist is nil.
func (c *Client) Accounts(ctx context.Context, keys []sol.PublicKey,
	part Slice) (slot uint64, contents [][]byte, err error) {
	options := rpc.M{"encoding": "base64"}
	if part != (Slice{}) {
		options["dataSlice"] = rpc.M{"offset": part.Offset, "length": part.Length}
	}
	var answer struct {
		Context slotted `json:"context"`
		Value   []*held `json:"value"`
	}
	const method = "getMultipleAccounts"
	err = c.under(c.commitment, func(commitment rpc.CommitmentType) error {
		options["commitment"] = commitment
		return c.call(ctx, &answer, method, keys, options)
	})
	if err != nil {
		return 0, nil, err
	}
	if len(answer.Value) != len(keys) {
		return 0, nil, odd(method, fmt.Sprintf("answers with %d accounts of %d", len(answer.Value), len(keys)))
	}
	contents = make([][]byte, len(keys))
	for i, account := range answer.Value {
		if contents[i], err = account.content(); err != nil {
			return 0, nil, fmt.Errorf("%s: %w", method, err)
		}
	}
	return answer.Context.Slot, contents, nil
}

// Status is what a node knows about a transaction that is in a block.
type Status struct {
	Slot uint64
	// Commitment that its block has reached.
	Commitment rpc.CommitmentType
	// Failure is the transaction's error as JSON; nil if it succeeded.
	Failure json.RawMessage
}

// Custom returns the number of a program's own error in a Failure.
func (s Status) Custom() (code uint64, ok bool) {
	var failed struct {
		InstructionError []json.RawMessage
	}
	var custom struct{ Custom *uint64 }
	if json.Unmarshal(s.Failure, &failed) != nil || len(failed.InstructionError) != 2 ||
		json.Unmarshal(failed.InstructionError[1], &custom) != nil || custom.Custom == nil {
		return 0, false
	}
	return *custom.Custom, true
}

// Statuses asks for transactions by their signatures. A transaction that is in no block known to the node is nil.
// Without history it looks only at the last 300 slots or so (agave's MAX_RECENT_BLOCKHASHES), a minute if they take 200
// ms.
func (c *Client) Statuses(ctx context.Context, signatures []string, history bool) ([]*Status, error) {
	const method = "getSignatureStatuses"
	var all []*Status
	for start := 0; start < len(signatures); start += MaxSignatures {
		part := signatures[start:min(start+MaxSignatures, len(signatures))]
		var answer struct {
			Value []*struct {
				Slot               uint64          `json:"slot"`
				Err                json.RawMessage `json:"err"`
				ConfirmationStatus string          `json:"confirmationStatus"`
			} `json:"value"`
		}
		params := []any{part}
		if history {
			params = append(params, rpc.M{"searchTransactionHistory": true})
		}
		if err := c.call(ctx, &answer, method, params...); err != nil {
			return nil, err
		}
		if len(answer.Value) != len(part) {
			return nil, odd(method, fmt.Sprintf("answers with %d statuses of %d", len(answer.Value), len(part)))
		}
		for _, v := range answer.Value {
			if v == nil {
				all = append(all, nil)
				continue
			}
			s := &Status{Slot: v.Slot, Commitment: rpc.CommitmentType(v.ConfirmationStatus)}
			if len(v.Err) > 0 && !bytes.Equal(v.Err, []byte("null")) {
				s.Failure = v.Err
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// Send sends a signed transaction to the node, which sends it again as often as retries says, or as it likes if that is
// negative. If the node takes no transactions, the error is marked relayer.Unserved.
func (c *Client) Send(ctx context.Context, transaction []byte, skipPreflight bool, retries int) error {
	options := rpc.M{"encoding": "base64", "skipPreflight": skipPreflight}
	if retries >= 0 {
		options["maxRetries"] = retries
	}
	var signature string
	return dispensable(c.under(c.commitment, func(commitment rpc.CommitmentType) error {
		options["preflightCommitment"] = commitment
		return c.call(ctx, &signature, "sendTransaction", base64.StdEncoding.EncodeToString(transaction), options)
	}))
}

// Units returns how many compute units a transaction would take now, without checking its signatures. An error of the
// transaction itself is marked relayer.Answered.
func (c *Client) Units(ctx context.Context, transaction []byte) (uint64, error) {
	var answer struct {
		Value *struct {
			Err           json.RawMessage `json:"err"`
			UnitsConsumed uint64          `json:"unitsConsumed"`
		} `json:"value"`
	}
	err := c.under(c.commitment, func(commitment rpc.CommitmentType) error {
		return c.call(ctx, &answer, "simulateTransaction", base64.StdEncoding.EncodeToString(transaction), rpc.M{
			"encoding": "base64", "sigVerify": false, "replaceRecentBlockhash": true, "commitment": commitment,
		})
	})
	switch {
	case err != nil:
		return 0, err
	case answer.Value == nil:
		return 0, odd("simulateTransaction", "answers without a result")
	case len(answer.Value.Err) > 0 && !bytes.Equal(answer.Value.Err, []byte("null")):
		return 0, relayer.Answered(relayer.Said("the simulation fails with " + string(answer.Value.Err)))
	}
	return answer.Value.UnitsConsumed, nil
}

// Balance returns what an account holds, in lamports. If the node lacks the method, the error is marked
// relayer.Unserved.
func (c *Client) Balance(ctx context.Context, account sol.PublicKey) (uint64, error) {
	const method = "getBalance"
	var answer *rpc.GetBalanceResult
	err := c.under(c.commitment, func(commitment rpc.CommitmentType) (err error) {
		answer, err = c.rpc.GetBalance(ctx, account, commitment)
		return failure(method, err)
	})
	if err != nil {
		return 0, dispensable(err)
	}
	if answer == nil {
		return 0, odd(method, "answers without a balance")
	}
	return answer.Value, nil
}

// Block is the transactions of a block, as far as their fees go.
type Block struct {
	Transactions []struct {
		Transaction struct {
			Message struct {
				AccountKeys  []string `json:"accountKeys"`
				Instructions []struct {
					ProgramIDIndex int    `json:"programIdIndex"`
					Data           string `json:"data"` // base58
				} `json:"instructions"`
				// Config is what a transaction of version 1 has in place of instructions to the compute budget program; nil:
				// it is of another version.
				Config *struct {
					// PriorityFee is lamports for the whole transaction.
					PriorityFee      uint64 `json:"priorityFee"`
					ComputeUnitLimit uint32 `json:"computeUnitLimit"`
				} `json:"transactionConfig"`
			} `json:"message"`
		} `json:"transaction"`
	} `json:"transactions"`
}

// ErrNoBlock means that the node has no block for a slot: it was skipped, or the node does not have it yet, or no
// longer.
var ErrNoBlock = errors.New("the node has no block of that slot")

// Block reads the block of a slot. If the node answers that there is none, the error is marked relayer.Answered:
// ErrNoBlock, or a Refusal with CodeVersion if a transaction of the block has a version above newestVersion. If the
// node lacks the method, the error is marked relayer.Unserved.
func (c *Client) Block(ctx context.Context, slot uint64) (Block, error) {
	const method = "getBlock"
	var block *Block
	err := c.under(c.commitment, func(commitment rpc.CommitmentType) error {
		return c.call(ctx, &block, method, slot, rpc.M{
			"encoding": "json", "transactionDetails": "full", "rewards": false, "maxSupportedTransactionVersion": newestVersion,
			"commitment": commitment,
		})
	})
	none := err == nil && block == nil
	if refusal := (&Refusal{}); errors.As(err, &refusal) {
		none = slices.Contains(noBlock, refusal.Code)
	}
	switch {
	case none:
		return Block{}, fmt.Errorf("%s: %w", method, relayer.Answered(ErrNoBlock))
	case err != nil:
		return Block{}, dispensable(err)
	}
	return *block, nil
}

// RecentFees returns what it took, in each of the last 150 blocks, to write to these accounts (MaxFeeAccounts at most),
// in millionths of a lamport per compute unit: the largest of the lowest offer of all of the block's transactions and,
// for each account, the lowest offer of those that wrote to it (agave's runtime/src/prioritization_fee_cache.rs). With
// a percentile, in hundredths of a percent, it returns that percentile in place of the lowest; only nodes of Triton's
// kind know it (0 means the lowest). If the node lacks the method, the error is marked relayer.Unserved.
func (c *Client) RecentFees(ctx context.Context, accounts []sol.PublicKey, percentile uint16) ([]uint64, error) {
	params := []any{accounts[:min(len(accounts), MaxFeeAccounts)]}
	if percentile > 0 {
		params = append(params, rpc.M{"percentile": percentile})
	}
	var answer []struct {
		Fee uint64 `json:"prioritizationFee"`
	}
	if err := c.call(ctx, &answer, "getRecentPrioritizationFees", params...); err != nil {
		return nil, dispensable(err)
	}
	fees := make([]uint64, len(answer))
	for i, sample := range answer {
		fees[i] = sample.Fee
	}
	return fees, nil
}
