package account

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
)

// calldata is what the account's contract is called with: the number of calls, and each with its arguments' number
// before them.
func (c Call) calldata() []stark.Felt {
	return append([]stark.Felt{stark.FromUint64(1), c.To, c.Selector, stark.FromUint64(uint64(len(c.Calldata)))},
		c.Calldata...)
}

// noCalls is the calldata of a filler: a transaction without calls has no effect except that it uses a nonce.
func noCalls() []stark.Felt { return []stark.Felt{{}} }

// Bound is the most of one resource that a transaction pays for, and the highest price, in FRI.
type Bound struct {
	Amount uint64   `json:"amount"`
	Price  *big.Int `json:"price"`
}

// Bounds are the bounds of all three resources.
type Bounds struct {
	L1     Bound `json:"l1"`
	L2     Bound `json:"l2"`
	L1Data Bound `json:"l1Data"`
}

func (b Bounds) all() []Bound { return []Bound{b.L1, b.L2, b.L1Data} }

// Cost returns the most that they allow, in FRI.
func (b Bounds) Cost() *big.Int {
	sum := new(big.Int)
	for _, bound := range b.all() {
		if bound.Price != nil {
			sum.Add(sum, new(big.Int).Mul(new(big.Int).SetUint64(bound.Amount), bound.Price))
		}
	}
	return sum
}

// Invoke is a transaction of version 3 from an account that is deployed: without a tip, a paymaster, or data kept
// elsewhere than on L1.
type Invoke struct {
	Sender stark.Felt
	// Calldata is the input of the account's contract: its calls.
	Calldata []stark.Felt
	Nonce    uint64
	Bounds   Bounds

	signature []stark.Felt // empty: it is not signed yet
}

// Hash returns what the account signs.
func (t Invoke) Hash(chain stark.Felt) (stark.Felt, error) {
	name := func(text string) stark.Felt {
		f, _ := stark.ShortString(text) // these are short
		return f
	}
	fees := []stark.Felt{{}} // the tip
	for i, resource := range []string{"L1_GAS", "L2_GAS", "L1_DATA"} {
		bound := t.Bounds.all()[i]
		packed := new(big.Int).Lsh(name(resource).Big(), 192)
		packed.Or(packed, new(big.Int).Lsh(new(big.Int).SetUint64(bound.Amount), 128)).Or(packed, bound.Price)
		f, err := stark.FromBig(packed)
		if err != nil {
			return stark.Felt{}, fmt.Errorf("hash a transaction: the bound of %s: %w", resource, err)
		}
		fees = append(fees, f)
	}
	return stark.Poseidon(
		name("invoke"), stark.FromUint64(3), t.Sender, stark.Poseidon(fees...), stark.Poseidon(), chain,
		stark.FromUint64(t.Nonce),
		stark.Felt{}, stark.Poseidon(), stark.Poseidon(t.Calldata...),
	), nil
}

// MarshalJSON writes the transaction in the form that nodes accept.
func (t Invoke) MarshalJSON() ([]byte, error) {
	type bound struct {
		Amount string `json:"max_amount"`
		Price  string `json:"max_price_per_unit"`
	}
	hex := func(b Bound) bound {
		return bound{fmt.Sprintf("0x%x", b.Amount), "0x" + b.Price.Text(16)}
	}
	signature := t.signature
	if signature == nil {
		signature = []stark.Felt{}
	}
	return json.Marshal(map[string]any{
		"type": "INVOKE", "version": "0x3", "sender_address": t.Sender, "calldata": t.Calldata,
		"nonce": fmt.Sprintf("0x%x", t.Nonce), "signature": signature,
		"resource_bounds": map[string]bound{"l1_gas": hex(t.Bounds.L1), "l2_gas": hex(t.Bounds.L2),
			"l1_data_gas": hex(t.Bounds.L1Data)},
		"tip": "0x0", "paymaster_data": []string{}, "account_deployment_data": []string{},
		"nonce_data_availability_mode": "L1", "fee_data_availability_mode": "L1",
	})
}
