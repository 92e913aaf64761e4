package chain

import (
	"fmt"
	"math/big"
	"strings"
)

// covers says which bounds do not cover the account's validation at the prices of the block that is being made. This,
// too, is a part of validation, and all bounds are looked at.
func (c *Chain) covers(inv Invoke) *Failure {
	var short []string
	for i, bound := range inv.bounds() {
		name, price := resources()[i], c.prices.all()[i]
		if least := new(big.Int).SetUint64(gasToValidate.all()[i]); bound.Amount.Cmp(least) < 0 {
			short = append(short, fmt.Sprintf("Max %s amount (%s) is lower than the minimal gas amount: %s.", name, bound.Amount,
				least))
		}
		if bound.Price.Cmp(price) < 0 {
			short = append(short, fmt.Sprintf("Max %s price (%s) is lower than the actual gas price: %s.", name, bound.Price,
				price))
		}
	}
	if len(short) == 0 {
		return nil
	}
	return failWith(CodeValidationFailure, "Resource bounds were not satisfied: "+strings.Join(short, "\n"))
}

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
