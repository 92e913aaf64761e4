package account

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Fees bounds what transactions offer. Amounts are wei per gas.
type Fees struct {
	// CapDefault is the fee, at most, of a first attempt, and TipDefault its tip.
	CapDefault, TipDefault *big.Int
	// CapMax is the fee that no attempt goes beyond.
	CapMax *big.Int
	// BumpThreshold is how many blocks an attempt may miss before it is replaced; 0: it never is.
	BumpThreshold uint64
	// BumpPercent is by how much both fee and tip grow with each attempt, at least 10.
	BumpPercent uint64
}

// terms is what an attempt offers: Attempt.Terms.
type terms struct {
	Cap *big.Int `json:"cap"`
	// Tip is nil before EIP-1559, where Cap is the gas price.
	Tip *big.Int `json:"tip,omitempty"`
	// Height is the newest block when it was signed.
	Height uint64 `json:"height"`
}

func decodeTerms(attempt relayer.Attempt) (terms, error) {
	var t terms
	if err := json.Unmarshal(attempt.Terms, &t); err != nil || t.Cap == nil {
		return terms{}, fmt.Errorf("the terms of transaction %s cannot be read back", attempt.Hash)
	}
	return t, nil
}

// first are the terms of a first attempt. price is what the node proposes on chains before EIP-1559, where base is nil.
func (f Fees) first(base, price *big.Int) terms {
	if base == nil {
		return terms{Cap: lesser(price, f.CapDefault)}
	}
	return terms{Cap: f.CapDefault, Tip: lesser(f.TipDefault, f.CapDefault)}
}

// replacement are terms that take the place of all earlier ones: above them by BumpPercent, and by 10 % at least, which is what
// nodes ask; with twice the base fee and at least the tip that the node proposes, so that one replacement suffices after a
// sudden rise. base and proposed may be nil.
//
// Error: relayer.ErrCeiling.
func (f Fees) replacement(earlier []terms, base, proposed *big.Int) (terms, error) {
	var highest terms
	for _, t := range earlier {
		highest.Cap = greater(highest.Cap, t.Cap)
		highest.Tip = greater(highest.Tip, t.Tip)
	}
	least := grown(highest.Cap, 10)
	next := terms{Cap: grown(highest.Cap, f.BumpPercent)}
	if highest.Tip != nil {
		next.Tip = greater(grown(greater(highest.Tip, big.NewInt(1)), f.BumpPercent), proposed)
		if base != nil {
			next.Cap = greater(next.Cap, new(big.Int).Add(new(big.Int).Lsh(base, 1), next.Tip))
		}
	}
	next.Cap = lesser(next.Cap, f.CapMax)
	if next.Tip != nil {
		next.Tip = lesser(next.Tip, next.Cap)
	}
	if next.Cap.Cmp(least) < 0 || next.Tip != nil && next.Tip.Cmp(grown(highest.Tip, 10)) < 0 {
		return terms{}, relayer.ErrCeiling
	}
	return next, nil
}

// grown is amount and so many per cent of it, rounded up so that small amounts grow too.
func grown(amount *big.Int, percent uint64) *big.Int {
	product := new(big.Int).Mul(amount, new(big.Int).SetUint64(100+percent))
	return product.Add(product, big.NewInt(99)).Div(product, big.NewInt(100))
}

func lesser(a, b *big.Int) *big.Int {
	if a.Cmp(b) <= 0 {
		return a
	}
	return b
}

// greater prefers any amount to nil.
func greater(a, b *big.Int) *big.Int {
	if a == nil || b != nil && b.Cmp(a) > 0 {
		return b
	}
	return a
}
