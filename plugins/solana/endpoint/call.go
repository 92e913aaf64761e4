package endpoint

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Limits of a node's methods (agave's rpc/src/rpc.rs: MAX_MULTIPLE_ACCOUNTS and MAX_GET_SIGNATURE_STATUSES_QUERY_ITEMS).
const (
	MaxAccounts   = 100
	MaxSignatures = 256
)

// call makes one call. Its error is a fault of the node, or marked relayer.Answered.
func (c *Client) call(ctx context.Context, result any, method string, params ...any) error {
	return failure(method, c.rpc.RPCCallForInto(ctx, result, method, params))
}

func failure(method string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", method, classify(err))
}

// odd is an answer that cannot be used.
func odd(method, reason string) error { return fmt.Errorf("%s: %w", method, relayer.Said(reason)) }

// Slot is the newest slot of a commitment.
func (c *Client) Slot(ctx context.Context, commitment rpc.CommitmentType) (uint64, error) {
	slot, err := c.rpc.GetSlot(ctx, commitment)
	return slot, failure("getSlot", err)
}

// Newest is the newest slot that the node has told of.
func (c *Client) Newest() uint64 { return c.slot.Load() }

// BlockHeight is the number of blocks under the commitment of reads. Slots that were skipped make it smaller than the slot.
func (c *Client) BlockHeight(ctx context.Context) (uint64, error) {
	height, err := c.rpc.GetBlockHeight(ctx, c.commitment)
	return height, failure("getBlockHeight", err)
}

// Blockhash names a block that transactions can refer to.
type Blockhash struct {
	Hash sol.Hash
	// LastValid is the block height up to which they may land.
	LastValid uint64
	// Slot of the block.
	Slot uint64
}

// LatestBlockhash is the newest one of a commitment.
func (c *Client) LatestBlockhash(ctx context.Context, commitment rpc.CommitmentType) (Blockhash, error) {
	answer, err := c.rpc.GetLatestBlockhash(ctx, commitment)
	if err == nil && (answer == nil || answer.Value == nil || answer.Value.LastValidBlockHeight == 0 || answer.Value.Blockhash == sol.Hash{}) {
		return Blockhash{}, odd("getLatestBlockhash", "answers without a blockhash")
	}
	if err != nil {
		return Blockhash{}, failure("getLatestBlockhash", err)
	}
	return Blockhash{Hash: answer.Value.Blockhash, LastValid: answer.Value.LastValidBlockHeight, Slot: answer.Context.Slot}, nil
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

// Slice is a part of an account: Length bytes from Offset on. The zero value is all of it.
type Slice struct{ Offset, Length uint64 }

// Accounts reads a part of several accounts in one call, MaxAccounts at most, under the commitment of reads. What does not
// exist is nil.
func (c *Client) Accounts(ctx context.Context, keys []sol.PublicKey, part Slice) (slot uint64, contents [][]byte, err error) {
	options := rpc.M{"encoding": "base64", "commitment": c.commitment}
	if part != (Slice{}) {
		options["dataSlice"] = rpc.M{"offset": part.Offset, "length": part.Length}
	}
	var answer struct {
		Context slotted `json:"context"`
		Value   []*held `json:"value"`
	}
	const method = "getMultipleAccounts"
	if err := c.call(ctx, &answer, method, keys, options); err != nil {
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

// Status is what a node knows of a transaction that is in a block.
type Status struct {
	Slot uint64
	// Commitment that its block has reached.
	Commitment rpc.CommitmentType
	// Failure is the transaction's error as JSON; nil: it succeeded.
	Failure json.RawMessage
}

// Custom is the number of a program's own error in a Failure.
func (s Status) Custom() (code uint64, ok bool) {
	var failed struct {
		InstructionError []json.RawMessage
	}
	var custom struct{ Custom *uint64 }
	if json.Unmarshal(s.Failure, &failed) != nil || len(failed.InstructionError) != 2 || json.Unmarshal(failed.InstructionError[1], &custom) != nil || custom.Custom == nil {
		return 0, false
	}
	return *custom.Custom, true
}

// Statuses asks for transactions by their signatures. What is in no block the node knows of is nil. Without history it looks at
// the last 150 s or so only.
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

// Send hands a signed transaction to the node. It is not repeated by the node, unless retries says so.
func (c *Client) Send(ctx context.Context, transaction []byte, skipPreflight bool, retries uint) error {
	var signature string
	return c.call(ctx, &signature, "sendTransaction", base64.StdEncoding.EncodeToString(transaction), rpc.M{
		"encoding": "base64", "skipPreflight": skipPreflight, "preflightCommitment": c.commitment, "maxRetries": retries,
	})
}

// Units is how many compute units a transaction would take now; its signatures are not looked at. An error of the transaction
// itself is marked relayer.Answered.
func (c *Client) Units(ctx context.Context, transaction []byte) (uint64, error) {
	var answer struct {
		Value *struct {
			Err           json.RawMessage `json:"err"`
			UnitsConsumed uint64          `json:"unitsConsumed"`
		} `json:"value"`
	}
	err := c.call(ctx, &answer, "simulateTransaction", base64.StdEncoding.EncodeToString(transaction), rpc.M{
		"encoding": "base64", "sigVerify": false, "replaceRecentBlockhash": true, "commitment": c.commitment,
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

// Balance is what an account holds, in lamports.
func (c *Client) Balance(ctx context.Context, account sol.PublicKey) (uint64, error) {
	answer, err := c.rpc.GetBalance(ctx, account, c.commitment)
	if err == nil && answer == nil {
		return 0, odd("getBalance", "answers without a balance")
	}
	if err != nil {
		return 0, failure("getBalance", err)
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
			} `json:"message"`
		} `json:"transaction"`
	} `json:"transactions"`
}

// Block reads the block of a slot. What cannot be had, such as that of a slot that was skipped, is an error marked
// relayer.Answered.
func (c *Client) Block(ctx context.Context, slot uint64) (Block, error) {
	commitment := c.commitment
	if commitment == rpc.CommitmentProcessed {
		commitment = rpc.CommitmentConfirmed // blocks cannot be read below it
	}
	var block *Block
	err := c.call(ctx, &block, "getBlock", slot, rpc.M{
		"encoding": "json", "transactionDetails": "full", "rewards": false, "maxSupportedTransactionVersion": 0, "commitment": commitment,
	})
	if err == nil && block == nil {
		err = relayer.Answered(relayer.Said("the node has no block of that slot"))
	}
	if err != nil {
		return Block{}, err
	}
	return *block, nil
}
