package aggregator

import (
	"fmt"

	"github.com/loop-plugins/loop/plugins/stark"
)

// NewTransmission is what the event of that name says of a report that the contract took.
type NewTransmission struct {
	Digest      [32]byte
	Epoch       uint32
	Round       uint8
	Transmitter stark.Felt // the account that sent it
}

// ParseNewTransmission reads the event by which the contract takes a report.
func ParseNewTransmission(keys, data []stark.Felt) (NewTransmission, error) {
	k := reader{what: "the event NewTransmission, in its keys,", felts: keys}
	if selector := k.felt("selector"); selector != Selector(NewTransmissionEvent) {
		k.fail("%s is the selector of another event", selector)
	}
	k.felt("round_id")
	n := NewTransmission{Transmitter: k.felt("transmitter")}
	if err := k.end(); err != nil {
		return NewTransmission{}, err
	}
	r := reader{what: "the event NewTransmission", felts: data}
	for _, name := range []string{"answer", "observation_timestamp", "observers"} {
		r.felt(name)
	}
	for i := range r.count("observations_len", 1) {
		r.felt(fmt.Sprintf("observation %d", i))
	}
	r.felt("juels_per_fee_coin")
	r.felt("gas_price")
	n.Digest = r.felt("config_digest").Bytes()
	at := r.limited("epoch_and_round", 40).Uint64()
	n.Epoch, n.Round = uint32(at>>8), uint8(at)
	r.felt("reimbursement")
	return n, r.end()
}
