package wire

import (
	"math/big"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
)

// BigInt returns the contract's form of i. Nil stays nil.
func BigInt(i *big.Int) *pluginv1.BigInt {
	if i == nil {
		return nil
	}
	return &pluginv1.BigInt{Negative: i.Sign() < 0, Magnitude: i.Bytes()}
}

// Int is the inverse of BigInt. Nil stays nil.
func Int(b *pluginv1.BigInt) *big.Int {
	if b == nil {
		return nil
	}
	i := new(big.Int).SetBytes(b.GetMagnitude())
	if b.GetNegative() {
		i.Neg(i)
	}
	return i
}

var one = big.NewInt(1)
