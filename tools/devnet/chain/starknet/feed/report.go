package feed

import (
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
)

// Report is a report with its context, made by tests that stand in for nodes.
type Report struct {
	ConfigDigest stark.Felt
	Epoch        uint32
	Round        uint8
	// ExtraHash is below 2^248.
	ExtraHash stark.Felt
	Timestamp uint32
	// Observers are the oracles of the observations, by their place in the configuration; Observations should ascend.
	Observers                 []uint8
	Observations              []*big.Int
	JuelsPerFeeCoin, GasPrice *big.Int
}

// words are what is hashed: three words of context, and those of the report.
func (r Report) words() ([]stark.Felt, error) {
	observers := make([]byte, 32)
	observers[0] = 1 // a mark that keeps the number of bytes from varying
	if len(r.Observers) > 31 {
		return nil, fmt.Errorf("%d observers are more than 31", len(r.Observers))
	}
	copy(observers[1:], r.Observers)
	mask, err := stark.FromBytes(observers)
	if err != nil {
		return nil, fmt.Errorf("the observers: %w", err)
	}
	words := []stark.Felt{
		r.ConfigDigest, stark.FromUint64(uint64(r.Epoch)<<8 | uint64(r.Round)), r.ExtraHash,
		stark.FromUint64(uint64(r.Timestamp)), mask,
		stark.FromUint64(uint64(len(r.Observations))),
	}
	for _, number := range append(append([]*big.Int(nil), r.Observations...), r.JuelsPerFeeCoin, r.GasPrice) {
		f, err := stark.FromBig(number)
		if err != nil {
			return nil, fmt.Errorf("the report's number %s: %w", number, err)
		}
		words = append(words, f)
	}
	return words, nil
}

// Hash returns what oracles sign.
func (r Report) Hash() (stark.Felt, error) {
	words, err := r.words()
	if err != nil {
		return stark.Felt{}, err
	}
	return stark.PedersenArray(words...), nil
}

// Calldata returns the input of transmit, with signatures by these keys.
func (r Report) Calldata(signers ...*stark.Key) ([]stark.Felt, error) {
	words, err := r.words()
	if err != nil {
		return nil, err
	}
	calldata := append(words, stark.FromUint64(uint64(len(signers))))
	for _, key := range signers {
		signature, err := key.Sign(stark.PedersenArray(words...))
		if err != nil {
			return nil, err
		}
		calldata = append(calldata, signature.R, signature.S, key.Public())
	}
	return calldata, nil
}
