package aggregator

import (
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
)

func (a *Aggregator) latestConfigDetails(_ Environment, r *reader) (Result, error) {
	return Result{Returned: append(felts(a.configCount, a.configBlock), a.digest)}, r.end()
}

func (a *Aggregator) latestTransmissionDetails(_ Environment, r *reader) (Result, error) {
	t := a.round(uint64(len(a.rounds)))
	return Result{Returned: []stark.Felt{a.digest, stark.FromUint64(a.epochAndRound), mustFelt(t.answer),
		stark.FromUint64(t.sent)}}, r.end()
}

func (a *Aggregator) latestRoundData(_ Environment, r *reader) (Result, error) {
	id := uint64(len(a.rounds))
	return a.roundOf(stark.FromUint64(id), a.round(id)), r.end()
}

func (a *Aggregator) roundData(_ Environment, r *reader) (Result, error) {
	id := r.next().u128()
	found := a.round(0)
	if id.IsUint64() {
		found = a.round(id.Uint64())
	}
	return a.roundOf(mustFelt(id), found), r.end()
}

// round is that of a number; one that never was is all zeros.
func (a *Aggregator) round(id uint64) transmission {
	if id == 0 || id > uint64(len(a.rounds)) {
		return transmission{answer: new(big.Int)}
	}
	return a.rounds[id-1]
}

func (a *Aggregator) roundOf(id stark.Felt, t transmission) Result {
	return Result{Returned: append([]stark.Felt{id, mustFelt(t.answer)}, felts(t.block, t.observed, t.sent)...)}
}

func (a *Aggregator) listTransmitters(_ Environment, r *reader) (Result, error) {
	returned := felts(uint64(len(a.oracles)))
	for _, o := range a.oracles {
		returned = append(returned, o.transmitter)
	}
	return Result{Returned: returned}, r.end()
}

func (a *Aggregator) typeAndVersion(_ Environment, r *reader) (Result, error) {
	return Result{Returned: []stark.Felt{shortString("ocr2/aggregator.cairo 1.0.0")}}, r.end()
}

func (a *Aggregator) description(_ Environment, r *reader) (Result, error) {
	return Result{Returned: []stark.Felt{a.settings.Description}}, r.end()
}

func (a *Aggregator) decimals(_ Environment, r *reader) (Result, error) {
	return Result{Returned: felts(uint64(a.settings.Decimals))}, r.end()
}

func (a *Aggregator) owner(_ Environment, r *reader) (Result, error) {
	return Result{Returned: []stark.Felt{a.settings.Owner}}, r.end()
}
