package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"

	"github.com/loop-plugins/loop/plugins/stark"
)

// Quantity is a number as the JSON-RPC writes numbers: in hexadecimal.
type Quantity struct{ *big.Int }

var quantity = regexp.MustCompile(`^0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})$`)

// MarshalJSON implements json.Marshaler.
func (q Quantity) MarshalJSON() ([]byte, error) {
	if q.Int == nil {
		return []byte(`"0x0"`), nil
	}
	return []byte(`"0x` + q.Text(16) + `"`), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (q *Quantity) UnmarshalJSON(text []byte) error {
	var digits string
	if err := json.Unmarshal(text, &digits); err != nil || !quantity.MatchString(digits) {
		return fmt.Errorf("%.80s is not a number in hexadecimal without leading zeros", text)
	}
	q.Int, _ = new(big.Int).SetString(digits[2:], 16)
	return nil
}

// Bound is the most of a resource that a transaction pays for, and the highest price of a unit, in FRI.
type Bound struct {
	Amount Quantity `json:"max_amount"`
	Price  Quantity `json:"max_price_per_unit"`
}

// Bounds are the bounds of the three resources. All are required.
type Bounds struct {
	L1     *Bound `json:"l1_gas"`
	L2     *Bound `json:"l2_gas"`
	L1Data *Bound `json:"l1_data_gas"`
}

// Invoke is an invoke transaction of version 3 as the JSON-RPC has it.
type Invoke struct {
	Type              string       `json:"type"`
	Version           Quantity     `json:"version"`
	Sender            *stark.Felt  `json:"sender_address"`
	Calldata          []stark.Felt `json:"calldata"`
	Signature         []stark.Felt `json:"signature"`
	Nonce             *stark.Felt  `json:"nonce"`
	Bounds            *Bounds      `json:"resource_bounds"`
	Tip               Quantity     `json:"tip"`
	Paymaster         []stark.Felt `json:"paymaster_data"`
	AccountDeployment []stark.Felt `json:"account_deployment_data"`
	NonceMode         string       `json:"nonce_data_availability_mode"`
	FeeMode           string       `json:"fee_data_availability_mode"`
}

// Limits of what a sequencer takes.
const (
	maxCalldata  = 5000
	maxSignature = 4000
)

// queryVersion marks transactions that are made for estimates alone.
var queryVersion = new(big.Int).Lsh(big.NewInt(1), 128)

// ParseInvoke reads a transaction and says what is wrong with its form. asked says that it comes to be estimated, for
// which it may be of the version for that.
func ParseInvoke(text []byte, asked bool) (Invoke, *Failure) {
	var kind struct {
		Type    string   `json:"type"`
		Version Quantity `json:"version"`
	}
	if err := json.Unmarshal(text, &kind); err != nil {
		return Invoke{}, invalid("the transaction: %s", err)
	}
	if kind.Type != "INVOKE" {
		return Invoke{}, invalid("the transaction is of the type %.30q, and this network takes INVOKE alone", kind.Type)
	}
	if kind.Version.Int == nil {
		return Invoke{}, invalid("the transaction has no version")
	}
	version := kind.Version.Int
	if asked && version.Cmp(queryVersion) > 0 {
		version = new(big.Int).Sub(version, queryVersion)
	}
	if version.Cmp(big.NewInt(3)) != 0 {
		return Invoke{}, Fail(CodeUnsupportedVersion)
	}
	var inv Invoke
	if err := json.Unmarshal(text, &inv); err != nil {
		return Invoke{}, invalid("the transaction: %s", err)
	}
	if err := inv.complete(); err != nil {
		return Invoke{}, invalid("the transaction: %s", err)
	}
	return inv, nil
}

func (inv Invoke) complete() error {
	switch {
	case inv.Sender == nil:
		return errors.New("sender_address is missing")
	case inv.Calldata == nil:
		return errors.New("calldata is missing")
	case inv.Signature == nil:
		return errors.New("signature is missing")
	case inv.Nonce == nil:
		return errors.New("nonce is missing")
	case inv.Tip.Int == nil:
		return errors.New("tip is missing")
	case inv.Tip.BitLen() > 64:
		return errors.New("tip has more than 64 bits")
	case inv.Paymaster == nil:
		return errors.New("paymaster_data is missing")
	case inv.AccountDeployment == nil:
		return errors.New("account_deployment_data is missing")
	case inv.Bounds == nil || inv.Bounds.L1 == nil || inv.Bounds.L2 == nil || inv.Bounds.L1Data == nil:
		return errors.New("resource_bounds must hold l1_gas, l2_gas and l1_data_gas")
	case len(inv.Calldata) > maxCalldata || len(inv.Signature) > maxSignature:
		return fmt.Errorf("%d felts of calldata and %d of signature are more than %d and %d", len(inv.Calldata),
			len(inv.Signature), maxCalldata, maxSignature)
	}
	for _, mode := range []string{inv.NonceMode, inv.FeeMode} {
		if mode != "L1" && mode != "L2" {
			return fmt.Errorf("the data availability mode %.30q is not L1 or L2", mode)
		}
	}
	for _, bound := range inv.bounds() {
		if bound.Amount.Int == nil || bound.Price.Int == nil || bound.Amount.BitLen() > 64 || bound.Price.BitLen() > 128 {
			return errors.New("each of resource_bounds must hold a max_amount of 64 bits and a max_price_per_unit of 128")
		}
	}
	return nil
}

// bounds are in the order in which they are hashed.
func (inv Invoke) bounds() [3]Bound {
	return [3]Bound{*inv.Bounds.L1, *inv.Bounds.L2, *inv.Bounds.L1Data}
}

// limit is the most that the transaction allows to take, in FRI.
func (inv Invoke) limit() *big.Int {
	sum := new(big.Int)
	for _, bound := range inv.bounds() {
		sum.Add(sum, new(big.Int).Mul(bound.Amount.Int, bound.Price.Int))
	}
	return sum.Add(sum, new(big.Int).Mul(inv.Tip.Int, inv.Bounds.L2.Amount.Int))
}

// Hash is the transaction's hash on a network.
func (inv Invoke) Hash(chain stark.Felt) stark.Felt {
	fees := []stark.Felt{element(inv.Tip.Int)}
	for i, name := range []string{"L1_GAS", "L2_GAS", "L1_DATA"} {
		bound := inv.bounds()[i]
		packed := new(big.Int).Lsh(short(name).Big(), 64+128)
		packed.Add(packed, new(big.Int).Lsh(bound.Amount.Int, 128))
		fees = append(fees, element(packed.Add(packed, bound.Price.Int)))
	}
	var modes uint64
	for _, mode := range []string{inv.NonceMode, inv.FeeMode} {
		modes <<= 32
		if mode == "L2" {
			modes |= 1
		}
	}
	return stark.Poseidon(
		short("invoke"), element(inv.Version.Int), *inv.Sender, stark.Poseidon(fees...), stark.Poseidon(inv.Paymaster...),
		chain, *inv.Nonce,
		stark.FromUint64(modes), stark.Poseidon(inv.AccountDeployment...), stark.Poseidon(inv.Calldata...),
	)
}

// element makes an element of a number that was checked to be below the field's.
func element(number *big.Int) stark.Felt {
	f, err := stark.FromBig(number)
	if err != nil {
		panic(fmt.Sprintf("%s was thought to be an element of the field: %v", number, err))
	}
	return f
}

// Call is a call that a transaction has its account make.
type Call struct {
	To, Selector stark.Felt
	Calldata     []stark.Felt
}

// Calldata returns the input of an account for calls.
func Calldata(calls ...Call) []stark.Felt {
	data := []stark.Felt{stark.FromUint64(uint64(len(calls)))}
	for _, call := range calls {
		data = append(data, call.To, call.Selector, stark.FromUint64(uint64(len(call.Calldata))))
		data = append(data, call.Calldata...)
	}
	return data
}

// calls reads what Calldata writes.
func calls(data []stark.Felt) ([]Call, bool) {
	take := func(n uint64) ([]stark.Felt, bool) {
		if n > uint64(len(data)) {
			return nil, false
		}
		taken := data[:n]
		data = data[n:]
		return taken, true
	}
	number := func() (uint64, bool) {
		taken, ok := take(1)
		if !ok {
			return 0, false
		}
		return taken[0].Uint64()
	}
	n, ok := number()
	if !ok || n > maxCalldata {
		return nil, false
	}
	var all []Call
	for range n {
		head, ok := take(2)
		if !ok {
			return nil, false
		}
		size, ok := number()
		if !ok {
			return nil, false
		}
		arguments, ok := take(size)
		if !ok {
			return nil, false
		}
		all = append(all, Call{head[0], head[1], slices.Clone(arguments)})
	}
	return all, len(data) == 0
}
