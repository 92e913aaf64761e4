package ocr3median

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// The bytes that oracles exchange. All integers are big-endian; values have 24 bytes in two's complement, as contracts
// hold them. They are written out by hand, because oracles of all versions and machines must come to the same bytes;
// protobuf and JSON promise that to nobody.
const (
	valueLength       = 24
	observationLength = 4 + valueLength // unix time, value
	entryLength       = 1 + valueLength // observer, value

	outcomeVersion = 1
	hasLast        = 1 // flags of an outcome
	toReport       = 2
)

var billion = big.NewInt(1_000_000_000)

// maxOutcomeLength is the length of an outcome with everything in it: version and flags, what was reported last, a
// time, and an entry of each oracle.
func maxOutcomeLength(n uint32) uint32 { return 2 + observationLength + 4 + n*entryLength }

// observation is what one oracle saw.
type observation struct {
	at    uint32 // unix time in seconds
	value *big.Int
}

// entry is a value and who saw it.
type entry struct {
	observer uint32
	value    *big.Int
}

// outcome is what oracles agree on.
type outcome struct {
	last *observation // what was reported last, this outcome's included; nil before the first
	// at and entries are this outcome's, in the order of their values, if it is to be reported; nil: it is not.
	at      uint32
	entries []entry
}

// encodeValue appends a value. fits must hold.
func encodeValue(b []byte, v *big.Int) []byte {
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), 8*valueLength))
	}
	return append(b, v.FillBytes(make([]byte, valueLength))...)
}

// fits reports whether a value fits 24 bytes.
func fits(v *big.Int) bool {
	if v.Sign() < 0 {
		v = new(big.Int).Not(v)
	}
	return v.BitLen() < 8*valueLength
}

func decodeValue(b []byte) *big.Int {
	v := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 8*valueLength))
	}
	return v
}

func (o observation) encode() []byte {
	return encodeValue(binary.BigEndian.AppendUint32(nil, o.at), o.value)
}

// decodeObservation reads an observation, which any oracle may have written. An empty one says that its oracle saw
// nothing: nil.
func decodeObservation(b []byte) (*observation, error) {
	switch len(b) {
	case 0:
		return nil, nil
	case observationLength:
		return &observation{at: binary.BigEndian.Uint32(b), value: decodeValue(b[4:])}, nil
	}
	return nil, fmt.Errorf("has %d bytes; an observation has %d, or none", len(b), observationLength)
}

func (o outcome) encode() []byte {
	b := []byte{outcomeVersion, 0}
	if o.last != nil {
		b[1] |= hasLast
		b = append(b, o.last.encode()...)
	}
	if o.entries != nil {
		b[1] |= toReport
		b = binary.BigEndian.AppendUint32(b, o.at)
		for _, e := range o.entries {
			b = encodeValue(append(b, byte(e.observer)), e.value)
		}
	}
	return b
}

// decodeOutcome reads an outcome. The empty one is that before the first.
func decodeOutcome(b []byte) (outcome, error) {
	var o outcome
	if len(b) == 0 {
		return o, nil
	}
	if len(b) < 2 || b[0] != outcomeVersion || b[1]&^(hasLast|toReport) != 0 {
		return o, errors.New("the outcome is of another version of this product; all oracles must run the same")
	}
	flags, b := b[1], b[2:]
	if flags&hasLast != 0 {
		if len(b) < observationLength {
			return o, errors.New("the outcome is cut off")
		}
		o.last, _ = decodeObservation(b[:observationLength])
		b = b[observationLength:]
	}
	if flags&toReport == 0 {
		if len(b) > 0 {
			return o, errors.New("the outcome goes on after its end")
		}
		return o, nil
	}
	if len(b) < 4+entryLength || (len(b)-4)%entryLength != 0 {
		return o, errors.New("the outcome is cut off")
	}
	o.at = binary.BigEndian.Uint32(b)
	for e := range slices.Chunk(b[4:], entryLength) {
		o.entries = append(o.entries, entry{observer: uint32(e[0]), value: decodeValue(e[1:])})
	}
	return o, nil
}

// decide makes an outcome of the previous one and of observations. It is pure. If fewer than 2f+1 oracles saw
// something, the median could be a faulty one's, and there is none: what was reported last stays. So it does if the
// median is outside the contract's bounds, since the contract would refuse its report.
func decide(config Config, f int, previous outcome, observations []*reportingv1.AttributedObservation) outcome {
	next := outcome{last: previous.last}
	var entries []entry
	var times []uint32
	for _, o := range observations {
		if seen, err := decodeObservation(o.GetObservation()); seen != nil && err == nil {
			entries = append(entries, entry{o.GetObserver(), seen.value})
			times = append(times, seen.at)
		}
	}
	if len(entries) <= 2*f {
		return next
	}
	slices.SortFunc(
		entries,
		func(a, b entry) int { return cmp.Or(a.value.Cmp(b.value), cmp.Compare(a.observer, b.observer)) },
	)
	slices.Sort(times)
	now := observation{at: times[len(times)/2], value: entries[len(entries)/2].value}
	if !config.holds(now.value) {
		return next
	}
	if last := previous.last; last != nil {
		now.at = max(now.at, last.at) // oracles' clocks differ, and time must not go back
		if !deviates(config.DeviationPPB, last.value, now.value) && now.at-last.at < config.HeartbeatSeconds {
			return next
		}
	}
	next.last, next.at, next.entries = &now, now.at, entries
	return next
}

// holds reports whether the contract takes an answer.
func (c Config) holds(answer *big.Int) bool {
	return c.bounds == nil ||
		wire.Int(c.bounds.GetMin()).Cmp(answer) <= 0 && answer.Cmp(wire.Int(c.bounds.GetMax())) <= 0
}

// deviates reports whether a value differs from another by at least so many parts per billion of that.
func deviates(ppb uint64, from, to *big.Int) bool {
	distance := new(big.Int).Sub(to, from)
	distance.Mul(distance.Abs(distance), billion)
	allowed := new(big.Int).Abs(from)
	return distance.Cmp(allowed.Mul(allowed, new(big.Int).SetUint64(ppb))) >= 0
}
