package account

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Fees bounds what transactions offer. Amounts are wei per gas.
type Fees struct {
	// Fixed makes first attempts offer the defaults, whatever the node proposes.
	Fixed bool
	// History is the number of blocks from which tips are read, and Percentile the percentile of each block that is
	// used; 0 blocks means the node's own proposal.
	History    uint64
	Percentile uint16
	// Legacy makes all transactions offer a gas price, as before EIP-1559, also on chains with a base fee.
	Legacy bool
	// CapDefault is the largest fee of a first attempt if Fixed, unless the base fee makes it too low, and else its
	// largest tip. TipDefault is its tip if Fixed or if none is proposed, and bounds the least tip of a replacement.
	CapDefault, TipDefault *big.Int
	// PriceDefault is the gas price of an attempt without a base fee if Fixed; nil means CapDefault.
	PriceDefault *big.Int
	// PriceMin is the least gas price of an attempt, and TipMin the least tip; nil means 0.
	PriceMin, TipMin *big.Int
	// CapMax is the largest fee of any attempt.
	CapMax *big.Int
	// BumpThreshold is how many blocks an attempt that a node holds may miss before it is replaced; 0 means that it
	// never is.
	BumpThreshold uint64
	// BumpPercent is by how much both fee and tip grow with each attempt, at least 10, and BumpMin the least step; nil
	// means 0.
	BumpPercent uint64
	BumpMin     *big.Int
}

// terms is what an attempt offers: Attempt.Terms.
type terms struct {
	Cap *big.Int `json:"cap"`
	// Tip is nil before EIP-1559, where Cap is the gas price.
	Tip *big.Int `json:"tip,omitempty"`
	// Gas is the transaction's gas limit, where it was estimated.
	Gas uint64 `json:"gas,omitempty"`
}

func decodeTerms(attempt relayer.Attempt) (terms, error) {
	var t terms
	if err := json.Unmarshal(attempt.Terms, &t); err != nil || t.Cap == nil {
		return terms{}, fmt.Errorf("the terms of transaction %s cannot be read back", attempt.Hash)
	}
	return t, nil
}

// first are the terms of a first attempt: what the node proposes and what the base fee needs, as far as the bounds
// allow, so that it can land. base is nil on chains before EIP-1559. proposed is the node's tip, or there its price;
// nil if it proposes none.
func (f Fees) first(base, proposed *big.Int) terms {
	if base == nil {
		price := f.CapDefault
		if f.PriceDefault != nil {
			price = f.PriceDefault
		}
		if !f.Fixed && proposed != nil {
			price = proposed
		}
		return terms{Cap: lesser(greater(price, f.PriceMin), f.CapMax)}
	}
	tip := f.TipDefault
	if !f.Fixed && proposed != nil { // also 0: where blocks are not full, the going tip is far below TipDefault
		tip = lesser(proposed, f.CapDefault) // a node that errs must not cost a fortune
	}
	tip = lesser(greater(tip, f.TipMin), f.CapMax)
	most := needed(base, tip)
	if f.Fixed {
		most = greater(most, f.CapDefault)
	}
	return terms{Cap: lesser(most, f.CapMax), Tip: tip}
}

// needed is the fee with which a transaction can land for five blocks, though the base fee rises by an eighth with
// each. It is no higher, since nodes take only transactions that the account could pay for at this fee, all together.
func needed(base, tip *big.Int) *big.Int { return new(big.Int).Add(new(big.Int).Lsh(base, 1), tip) }

// replacement are terms that take the place of all earlier ones: above them by BumpPercent, and by 10 % at least, which
// is what nodes ask; with what the base fee needs and at least what the node proposes, so that one replacement suffices
// after a sudden rise. base and proposed may be nil.
//
// Error: relayer.ErrCeiling, also on a chain without fees, where nothing is dearer than nothing: where no gas price is
// asked, or where neither base fee nor tip is and TipDefault is 0.
func (f Fees) replacement(earlier []terms, base, proposed *big.Int) (terms, error) {
	var highest terms
	for _, t := range earlier {
		highest.Cap = greater(highest.Cap, t.Cap)
		highest.Tip = greater(highest.Tip, t.Tip)
	}
	next := terms{Cap: f.grown(highest.Cap)}
	if highest.Tip == nil {
		next.Cap = greater(next.Cap, proposed)
	} else {
		next.Tip = greater(f.grown(greater(highest.Tip, big.NewInt(1))), greater(f.raised(base, proposed), proposed))
		if base != nil {
			next.Cap = greater(next.Cap, needed(base, next.Tip))
		}
	}
	next.Cap = lesser(next.Cap, f.CapMax)
	if next.Tip != nil {
		next.Tip = lesser(next.Tip, next.Cap)
	}
	asked := greater(base, greater(proposed, new(big.Int)))
	if next.Tip != nil {
		asked = greater(asked, f.TipDefault)
	}
	if free := highest.Cap.Sign() == 0 && asked.Sign() == 0; free || !next.above(highest) {
		return terms{}, relayer.ErrCeiling
	}
	return next, nil
}

// leastTold is the least price that tells anything of a chain: by default, go-ethereum mines nothing for a lower tip
// (miner.DefaultConfig), and op-geth proposes none (gasprice.DefaultMinSuggestedPriorityFee).
const leastTold = 1e6

// raised is the least tip of a replacement. Blocks have passed by what the node proposed, or nodes refused it, and the
// node may propose the same again, from which BumpPercent alone would take up to a hundred attempts to a tip that
// blocks take. So it is TipDefault, or less where the chain is cheap: a tip as high as the base fee no more than
// doubles what a transaction pays, and ten times what the node proposes is ample where it proposes well.
func (f Fees) raised(base, proposed *big.Int) *big.Int {
	going := base
	if proposed != nil {
		going = greater(going, new(big.Int).Mul(proposed, big.NewInt(10)))
	}
	if going == nil || going.Cmp(big.NewInt(leastTold)) < 0 {
		return f.TipDefault
	}
	return lesser(f.TipDefault, going)
}

// above reports whether nodes accept terms in place of others.
func (t terms) above(other terms) bool {
	larger := func(a, b *big.Int) bool { return a.Cmp(b) > 0 && a.Cmp(grown(b, 10)) >= 0 }
	return larger(t.Cap, other.Cap) && (t.Tip == nil || other.Tip == nil || larger(t.Tip, other.Tip))
}

func (f Fees) grown(amount *big.Int) *big.Int {
	next := grown(amount, f.BumpPercent)
	if f.BumpMin != nil {
		next = greater(next, new(big.Int).Add(amount, f.BumpMin))
	}
	return next
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
