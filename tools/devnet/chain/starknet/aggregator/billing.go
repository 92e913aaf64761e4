package aggregator

import (
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
)

// Billing is the payment of oracles, in LINK.
type Billing struct {
	// ObservationPayment and TransmissionPayment are in gjuels: 10^9 juels.
	ObservationPayment, TransmissionPayment uint32
	// GasBase and GasPerSignature are the assumed cost of a transmission.
	GasBase, GasPerSignature uint32
}

// margin is the gas for which a transmission is paid, in percent of the gas that it is assumed to take.
const margin = 115

var giga = big.NewInt(1_000_000_000)

// owed is what a transmission is reimbursed with, and what its sender is owed with it, in juels. Numbers beyond 128
// bits fail, as they do in Cairo.
func (b Billing) owed(juels, gasPrice *big.Int, signatures int,
	before *big.Int) (reimbursement, payment *big.Int, err error) {
	gas := (uint64(b.GasBase) + uint64(signatures)*uint64(b.GasPerSignature)) * margin / 100
	amount := new(big.Int).Mul(new(big.Int).SetUint64(gas), gasPrice)
	if amount.BitLen() > 128 {
		return nil, nil, Panic("u128_mul Overflow")
	}
	reimbursement = new(big.Int).Mul(amount, juels)
	if reimbursement.BitLen() > 128 {
		return nil, nil, Panic("u128_mul Overflow")
	}
	payment = new(big.Int).Mul(big.NewInt(int64(b.TransmissionPayment)), giga)
	for _, part := range []*big.Int{reimbursement, before} {
		if payment.Add(payment, part).BitLen() > 128 {
			return nil, nil, Panic("u128_add Overflow")
		}
	}
	return reimbursement, payment, nil
}

func (a *Aggregator) billing(_ Environment, r *reader) (Result, error) {
	b := a.settings.Billing
	return Result{Returned: felts(uint64(b.ObservationPayment), uint64(b.TransmissionPayment), uint64(b.GasBase),
		uint64(b.GasPerSignature))}, r.end()
}

func (a *Aggregator) linkAvailableForPayment(_ Environment, r *reader) (Result, error) {
	due := new(big.Int)
	for _, o := range a.oracles {
		rounds := new(big.Int).SetUint64(uint64(len(a.rounds)) - o.from)
		due.Add(due, rounds.Mul(rounds, big.NewInt(int64(a.settings.Billing.ObservationPayment))).Mul(rounds, giga)).Add(due,
			o.payment)
	}
	left := new(big.Int).Sub(a.settings.LinkBalance, due)
	negative := uint64(0)
	if left.Sign() <= 0 { // the contract calls zero negative, too
		negative = 1
	}
	if left.Abs(left).BitLen() > 128 {
		return Result{}, Panic("u128_add Overflow")
	}
	return Result{Returned: []stark.Felt{stark.FromUint64(negative), mustFelt(left)}}, r.end()
}
