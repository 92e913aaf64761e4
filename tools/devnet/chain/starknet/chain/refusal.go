package chain

import (
	"fmt"
	"math/big"
)

// exceeds is what a sequencer says of bounds that the account cannot pay. Its gateway makes this check a part of the
// account's validation, so that nodes answer with the code of that and not with the specification's for a balance.
func exceeds(b *Bounds, balance *big.Int) *Failure {
	bound := func(of *Bound) string {
		return fmt.Sprintf("{ max_amount: %s, max_price_per_unit: %s }", of.Amount, of.Price)
	}
	return failWith(CodeValidationFailure, fmt.Sprintf(
		"Resources bounds ({ l1_gas: %s, l2_gas: %s, l1_data_gas: %s }) exceed balance (%s).",
		bound(b.L1), bound(b.L2), bound(b.L1Data), balance))
}
