package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
)

// ReadInvoke reads an untrusted transaction in the form that nodes accept, signed or not. It ignores what Invoke has no
// field for: Hash has the values that this relayer sends, so a transaction with another tip, paymaster or version has
// another hash. Its error is a clause that begins with "it".
func ReadInvoke(text []byte) (Invoke, error) {
	type bound struct {
		Amount stark.Felt `json:"max_amount"`
		Price  stark.Felt `json:"max_price_per_unit"`
	}
	var t struct {
		Sender   *stark.Felt  `json:"sender_address"`
		Calldata []stark.Felt `json:"calldata"`
		Nonce    stark.Felt   `json:"nonce"`
		Bounds   struct {
			L1     bound `json:"l1_gas"`
			L2     bound `json:"l2_gas"`
			L1Data bound `json:"l1_data_gas"`
		} `json:"resource_bounds"`
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return Invoke{}, fmt.Errorf("it is not a transaction as nodes take it: %w", err)
	}
	if t.Sender == nil {
		return Invoke{}, errors.New("it has no sender_address")
	}
	nonce, ok := t.Nonce.Uint64()
	if !ok {
		return Invoke{}, errors.New("its nonce is wider than 64 bits")
	}
	invoke := Invoke{Sender: *t.Sender, Calldata: t.Calldata, Nonce: nonce}
	for _, b := range []struct {
		name string
		from bound
		to   *Bound
	}{
		{"l1_gas", t.Bounds.L1, &invoke.Bounds.L1}, {"l2_gas", t.Bounds.L2, &invoke.Bounds.L2},
		{"l1_data_gas", t.Bounds.L1Data, &invoke.Bounds.L1Data},
	} {
		amount, ok := b.from.Amount.Uint64()
		price := b.from.Price.Big()
		if !ok || price.BitLen() > priceBits {
			return Invoke{}, fmt.Errorf("its bound of %s is wider than a transaction's", b.name)
		}
		*b.to = Bound{Amount: amount, Price: price}
	}
	return invoke, nil
}

// Call returns the one call that the account makes, without its key; nil if it makes none. Its error is a clause that
// begins with "it".
func (t Invoke) Call() (*Call, error) {
	const head = 4 // number of calls, contract, function, number of arguments
	calls := new(big.Int)
	if len(t.Calldata) > 0 {
		calls = t.Calldata[0].Big()
	}
	switch {
	case len(t.Calldata) == 1 && calls.Sign() == 0:
		return nil, nil
	case len(t.Calldata) == 0 || calls.Cmp(big.NewInt(1)) != 0:
		return nil, fmt.Errorf("it makes %s calls, and relayers make one or none", calls)
	case len(t.Calldata) < head || t.Calldata[head-1] != stark.FromUint64(uint64(len(t.Calldata)-head)):
		return nil, errors.New("its call has more or fewer arguments than it says")
	}
	return &Call{To: t.Calldata[1], Selector: t.Calldata[2], Calldata: t.Calldata[head:]}, nil
}
