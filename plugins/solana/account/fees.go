package account

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	sol "github.com/gagliardetto/solana-go"

	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Fees bounds what transactions offer. Prices are millionths of a lamport per compute unit.
type Fees struct {
	// Default is the offer of a first attempt while Market has no price; Min and Max bound every attempt.
	Default, Min, Max uint64
	// BumpPeriod is how long an attempt may be in no block before one with twice the price replaces it; 0 means that
	// none is replaced.
	BumpPeriod time.Duration
	// Market, if set, returns what was paid recently to write to these accounts, which do not include the one that pays;
	// 0 if it is not known.
	Market func(ctx context.Context, written []sol.PublicKey) uint64
}

// terms is what an attempt offers, and how long it lives: Attempt.Terms.
type terms struct {
	Price     uint64             `json:"price"`
	Limit     uint32             `json:"limit"`
	Blockhash endpoint.Blockhash `json:"blockhash"`
	Once      bool               `json:"once,omitempty"`
}

func decodeTerms(attempt relayer.Attempt) (terms, error) {
	var t terms
	if err := json.Unmarshal(attempt.Terms, &t); err != nil || t.Blockhash.LastValid == 0 {
		return terms{}, fmt.Errorf("the terms of transaction %s cannot be read back", attempt.Hash)
	}
	return t, nil
}

// fee is what an attempt that is in a block costs, in lamports: its one signature, and its price in millionths of a
// lamport for each unit of its limit, rounded up. It is nil if its terms are not known.
func (t terms) fee() *big.Int {
	if t.Blockhash.LastValid == 0 {
		return nil
	}
	fee := new(big.Int).Mul(new(big.Int).SetUint64(t.Price), big.NewInt(int64(t.Limit)))
	fee.Add(fee, big.NewInt(1e6-1)).Div(fee, big.NewInt(1e6))
	return fee.Add(fee, big.NewInt(signatureFee))
}

// base is what an attempt that replaces none and writes to these accounts offers.
func (f Fees) base(ctx context.Context, written []sol.PublicKey) uint64 {
	price := f.Default
	if f.Market != nil {
		price = max(price, f.Market(ctx, written))
	}
	return f.clamp(price)
}

func (f Fees) clamp(price uint64) uint64 { return min(max(price, f.Min), f.Max) }

// bumped is the price after another: 1 after 0, and twice as much after any other, within the bounds.
//
// Error: relayer.ErrCeiling.
func (f Fees) bumped(ctx context.Context, written []sol.PublicKey, price uint64) (uint64, error) {
	next := uint64(1)
	if price > 0 {
		next = 2 * min(price, f.Max)
	}
	next = max(f.clamp(next), f.base(ctx, written))
	if next <= price {
		return 0, relayer.ErrCeiling
	}
	return next, nil
}
