package feed

import (
	"math/big"
	"testing"
)

// TestAgreement holds that an observation is far from the contract's answer by its part of that, and what is said then.
func TestAgreement(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		own, answer int64
		want        string
	}{
		{105, 100, ""}, {95, 100, ""}, {106, 100, "106 is 6.0 % above 100"}, {90, 100, "90 is 10.0 % below 100"},
		{-106, -100, "-106 is 6.0 % below -100"}, {5, 0, ""}, {0, 100, "0 is 100.0 % below 100"},
	} {
		r := New(false)
		r.Compared(big.NewInt(c.own), big.NewInt(c.answer))
		if got := r.Facts().Agreement.Fault; got != c.want {
			t.Errorf("%d for %d: %q, want %q", c.own, c.answer, got, c.want)
		}
	}
}
