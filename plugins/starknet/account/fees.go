package account

import (
	"context"
	"fmt"
	"math"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

const (
	// step is by how many per cent the prices of each further attempt are above the last's: the sequencer refuses smaller
	// steps.
	step = 10
	// highest bounds further attempts: none offers more than so many times what a first one would offer now.
	highest = 4
	// mostL2 is the largest bound of L2 gas that the sequencer takes by default (max_l2_gas_amount of its gateway).
	mostL2 = 1_200_000_000
	// priceBits is the width of a price in a transaction.
	priceBits = 128
)

// estimate asks what a transaction with that calldata takes. It is simulated at the account's next nonce, whatever
// number the transaction will have: nodes refuse to simulate others, and the fee does not depend on it.
//
// Error: relayer.ErrRefused (the transaction would revert).
func (a *Account) estimate(ctx context.Context, calldata []stark.Felt) (endpoint.Estimate, error) {
	var estimate endpoint.Estimate
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		zero := Bound{Price: new(big.Int)}
		for try := 1; ; try++ {
			nonce, err := client.Nonce(ctx, endpoint.PreConfirmed, a.settings.Address)
			if err := a.explain(err); err != nil {
				return err
			}
			estimate, err = client.EstimateFee(ctx,
				Invoke{Sender: a.settings.Address, Calldata: calldata, Nonce: nonce, Bounds: Bounds{zero, zero, zero}})
			if err == nil || try >= a.settings.Estimates || !endpoint.IsNonce(err) {
				return a.explain(err)
			}
		}
	})
	reverts := endpoint.IsCode(err, endpoint.CodeExecutionError) || endpoint.IsCode(err, endpoint.CodeContractError)
	if reverts && !endpoint.IsNonce(err) {
		return estimate, &revert{err}
	}
	return estimate, err
}

// revert says that a transaction would revert, which is relayer.ErrRefused in plainer words.
type revert struct{ reason error }

func (r *revert) Error() string { return "the transaction would revert: " + r.reason.Error() }

func (r *revert) Unwrap() []error { return []error{relayer.ErrRefused, r.reason} }

// explain says what to do if the account's address has no contract, also as the account's trouble until a node answers
// a call about the account.
func (a *Account) explain(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.missing = ""
	case endpoint.IsCode(err, endpoint.CodeContractNotFound):
		a.missing = fmt.Sprintf("there is no account at %s: deploy its contract and fund it", a.settings.Address)
		return relayer.Answered(fmt.Errorf("%s (%w)", a.missing, err))
	}
	return err
}

// bounds are the terms of an attempt: the estimate with some room, and above the terms of all earlier attempts.
//
// Error: relayer.ErrCeiling.
func (a *Account) bounds(estimate endpoint.Estimate, earlier []terms) (Bounds, error) {
	make := func(r endpoint.Resource) (Bound, error) {
		amount, price := a.grown(r.Amount.Big()), a.grown(r.Price.Big())
		if !amount.IsUint64() || price.BitLen() > priceBits {
			return Bound{}, fmt.Errorf("the estimate of %s units at %s FRI each does not fit a transaction", r.Amount, r.Price)
		}
		return Bound{Amount: amount.Uint64(), Price: price}, nil
	}
	var b Bounds
	for _, part := range []struct {
		to *Bound
		of endpoint.Resource
	}{{&b.L1, estimate.L1}, {&b.L2, estimate.L2}, {&b.L1Data, estimate.L1Data}} {
		var err error
		if *part.to, err = make(part.of); err != nil {
			return Bounds{}, err
		}
	}
	if estimated, _ := estimate.L2.Amount.Uint64(); estimated <= mostL2 {
		b.L2.Amount = min(b.L2.Amount, mostL2) // more room would only have it refused
	}
	for _, t := range earlier {
		for i, to := range []*Bound{&b.L1, &b.L2, &b.L1Data} {
			least := new(big.Int).Mul(t.Bounds.all()[i].Price, big.NewInt(100+step))
			least.Add(least, big.NewInt(99)).Div(least, big.NewInt(100))
			if to.Price.Cmp(least) >= 0 {
				continue
			}
			if most := new(big.Int).Mul(to.Price, big.NewInt(highest)); least.Cmp(most) > 0 || least.BitLen() > priceBits {
				return Bounds{}, relayer.ErrCeiling
			}
			to.Price = least
		}
	}
	if cost := b.Cost(); a.settings.FeeMax != nil && cost.Cmp(a.settings.FeeMax) > 0 {
		if len(earlier) > 0 {
			return Bounds{}, fmt.Errorf("%w: FeeMax is %s FRI; raise it if nodes want more", relayer.ErrCeiling,
				a.settings.FeeMax)
		}
		return Bounds{}, fmt.Errorf("the fee may come to %s FRI, and FeeMax is %s", cost, a.settings.FeeMax)
	}
	return b, nil
}

// grown is a number times the multiplier, rounded up.
func (a *Account) grown(number *big.Int) *big.Int {
	const exact = 1 << 20
	product := new(big.Int).Mul(number, big.NewInt(int64(math.Ceil(a.settings.FeeMultiplier*exact))))
	return product.Add(product, big.NewInt(exact-1)).Rsh(product, 20)
}
