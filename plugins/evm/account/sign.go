package account

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Sign implements relayer.Sender. Without a payload it makes a transfer of nothing to the account itself.
func (a *Account) Sign(ctx context.Context, draft relayer.Draft) (relayer.Attempt, error) {
	call := Call{To: a.settings.Address, Gas: a.settings.GasLimit}
	if draft.Payload != nil {
		if err := json.Unmarshal(draft.Payload, &call); err != nil {
			return relayer.Attempt{}, fmt.Errorf("decode a transaction's payload: %w", err)
		}
	}
	t, err := a.terms(ctx, draft.Attempts)
	if err != nil {
		return relayer.Attempt{}, err
	}
	tx := a.transaction(draft.Sequence, call, t)
	signer := types.LatestSignerForChainID(a.settings.ChainID)
	hash := signer.Hash(tx)
	response, err := a.settings.Keystore.Sign(ctx, &hostservicev1.SignRequest{Account: a.settings.Address.Hex(), Data: hash[:]})
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("sign with the key of %s: %w", a.settings.Address, err)
	}
	signed, err := tx.WithSignature(signer, response.GetSignature())
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("sign with the key of %s: the keystore's signature of %d bytes is not usable, want r, s and v in 65: %w", a.settings.Address, len(response.GetSignature()), err)
	}
	if from, err := types.Sender(signer, signed); err != nil || from != a.settings.Address {
		return relayer.Attempt{}, fmt.Errorf("sign with the key of %s: the keystore signed with another key", a.settings.Address)
	}
	raw, err := signed.MarshalBinary()
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a signed transaction: %w", err)
	}
	kept, err := json.Marshal(t)
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a transaction's terms: %w", err)
	}
	return relayer.Attempt{Hash: signed.Hash().Hex(), Raw: raw, Terms: kept}, nil
}

func (a *Account) transaction(nonce uint64, call Call, t terms) *types.Transaction {
	value := (*big.Int)(call.Value)
	if t.Tip == nil {
		return types.NewTx(&types.LegacyTx{Nonce: nonce, To: &call.To, Data: call.Data, Value: value, Gas: call.Gas, GasPrice: t.Cap})
	}
	return types.NewTx(&types.DynamicFeeTx{
		ChainID: a.settings.ChainID, Nonce: nonce, To: &call.To, Data: call.Data, Value: value, Gas: call.Gas, GasFeeCap: t.Cap, GasTipCap: t.Tip,
	})
}

// terms chooses what the next attempt offers.
func (a *Account) terms(ctx context.Context, attempts []relayer.Attempt) (t terms, err error) {
	client, err := a.settings.Pool.Best()
	if err != nil {
		return terms{}, err
	}
	head := client.Head()
	if len(attempts) > 0 {
		earlier := make([]terms, len(attempts))
		for i, attempt := range attempts {
			if earlier[i], err = decodeTerms(attempt); err != nil {
				return terms{}, err
			}
		}
		t, err = a.settings.Fees.replacement(earlier, head.BaseFee, a.proposedTip(ctx, head))
	} else {
		var price hexutil.Big
		if head.BaseFee == nil {
			err = a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
				return client.Call(ctx, &price, "eth_gasPrice")
			})
		}
		t = a.settings.Fees.first(head.BaseFee, price.ToInt())
	}
	t.Height = max(head.Number, a.settings.Pool.Height())
	return t, err
}

// proposedTip is what the node proposes; nil if it does not, or on chains before EIP-1559.
func (a *Account) proposedTip(ctx context.Context, head endpoint.Head) *big.Int {
	var tip hexutil.Big
	if head.BaseFee == nil || a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		err := client.Call(ctx, &tip, "eth_maxPriorityFeePerGas")
		if err != nil && !relayer.IsAnswered(err) && ctx.Err() == nil {
			return relayer.Answered(err) // a node without the method is a good node
		}
		return err
	}) != nil {
		return nil
	}
	return tip.ToInt()
}

// Parse reads an account as people write it.
func Parse(text string) (common.Address, error) {
	if len(text) != 42 || text[:2] != "0x" || !common.IsHexAddress(text) {
		return common.Address{}, fmt.Errorf("%q is no address; write 0x and 40 hexadecimal digits", text)
	}
	return common.HexToAddress(text), nil
}
