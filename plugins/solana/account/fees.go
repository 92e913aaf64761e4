package account

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Fees bounds what transactions offer. Prices are millionths of a lamport per compute unit.
type Fees struct {
	// Default is what a first attempt offers while Market has no price; Min and Max bound every attempt.
	Default, Min, Max uint64
	// BumpPeriod is how long an attempt may be in no block before it is replaced by one of twice the price; 0: none is.
	BumpPeriod time.Duration
	// Market, if set, is what others paid of late; 0: it is not known.
	Market func() uint64
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

// base is what an attempt offers that replaces none.
func (f Fees) base() uint64 {
	price := f.Default
	if f.Market != nil {
		price = max(price, f.Market())
	}
	return f.clamp(price)
}

func (f Fees) clamp(price uint64) uint64 { return min(max(price, f.Min), f.Max) }

// bumped is the price after another: 1 after 0, and twice as much after any other, within the bounds.
//
// Error: relayer.ErrCeiling.
func (f Fees) bumped(price uint64) (uint64, error) {
	next := uint64(1)
	if price > 0 {
		next = 2 * min(price, f.Max)
	}
	next = max(f.clamp(next), f.base())
	if next <= price {
		return 0, relayer.ErrCeiling
	}
	return next, nil
}
