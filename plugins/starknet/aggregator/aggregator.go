// Package aggregator is the OCR2 aggregator for Starknet in field elements and bytes: its views, its events of a
// configuration and of a report, its reports and its transmit call.
//
// It makes no calls, and must not know nodes, jobs or transactions. What it parses is untrusted, and its errors name
// what is wrong.
package aggregator

import (
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/sha3"

	"github.com/loop-plugins/loop/plugins/stark"
)

const (
	// MaxOracles is how many oracles the contract accepts, and so the largest number of observations and signatures: it
	// names the observers of a report in 31 bytes.
	MaxOracles = 31
	// numberBits is the width of the contract's answers and prices: Cairo's u128.
	numberBits = 128
)

// Selector returns the name of a function or an event of a contract on the chain: Keccak-256 of its name, cut to 250
// bits.
func Selector(name string) stark.Felt {
	hash := sha3.NewLegacyKeccak256()
	hash.Write([]byte(name))
	sum := hash.Sum(nil)
	sum[0] &= 3
	selector, err := stark.FromBytes(sum)
	if err != nil {
		panic(fmt.Sprintf("250 bits are not a field element: %v", err)) // they always are
	}
	return selector
}

// Names of the contract's functions and of its events.
const (
	ConfigDetailsView       = "latest_config_details"
	TransmissionDetailsView = "latest_transmission_details"
	TransmitFunction        = "transmit"
	ConfigSetEvent          = "ConfigSet"
	NewTransmissionEvent    = "NewTransmission"
)

// ConfigDetails is the answer of latest_config_details.
type ConfigDetails struct {
	// Block is where the latest configuration was set; 0 before the first.
	Block  uint64
	Digest [32]byte
}

// TransmissionDetails is the answer of latest_transmission_details. Before the first transmission it is zero except for
// the digest.
type TransmissionDetails struct {
	Digest [32]byte
	Epoch  uint32
	Round  uint8
	Answer *big.Int
	Time   time.Time
}

// ParseConfigDetails reads the answer of latest_config_details.
func ParseConfigDetails(answer []stark.Felt) (ConfigDetails, error) {
	r := reader{what: "the contract's answer to " + ConfigDetailsView, felts: answer}
	r.uint64("config_count")
	block := r.uint64("block_number")
	digest := r.felt("config_digest")
	return ConfigDetails{Block: block, Digest: digest.Bytes()}, r.end()
}

// ParseTransmissionDetails reads the answer of latest_transmission_details.
func ParseTransmissionDetails(answer []stark.Felt) (TransmissionDetails, error) {
	r := reader{what: "the contract's answer to " + TransmissionDetailsView, felts: answer}
	digest := r.felt("config_digest")
	epochAndRound := r.limited("epoch_and_round", 40)
	number := r.limited("latest_answer", numberBits)
	at := r.uint64("latest_timestamp")
	if err := r.end(); err != nil {
		return TransmissionDetails{}, err
	}
	const latest = 253402300799 // the end of the year 9999, which is as far as a Timestamp goes
	return TransmissionDetails{
		Digest: digest.Bytes(), Epoch: uint32(epochAndRound.Uint64() >> 8), Round: uint8(epochAndRound.Uint64()),
		Answer: number, Time: time.Unix(int64(min(at, latest)), 0).UTC(),
	}, nil
}

// reader takes field elements one by one and keeps the first error.
type reader struct {
	what  string
	felts []stark.Felt
	at    int
	err   error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s cannot be read: %s; check that it is an OCR2 aggregator", r.what, fmt.Sprintf(format, args...))
	}
}

func (r *reader) felt(name string) stark.Felt {
	if r.at >= len(r.felts) {
		r.fail("it ends after %d elements, before %s", len(r.felts), name)
		return stark.Felt{}
	}
	r.at++
	return r.felts[r.at-1]
}

func (r *reader) limited(name string, bits int) *big.Int {
	f := r.felt(name).Big()
	if f.BitLen() > bits {
		r.fail("%s has %d bits, and the contract's have at most %d", name, f.BitLen(), bits)
		return new(big.Int)
	}
	return f
}

func (r *reader) uint64(name string) uint64 { return r.limited(name, 64).Uint64() }

// count reads the length of a list, each of whose entries takes size elements.
func (r *reader) count(name string, size int) int {
	n := r.uint64(name)
	if left := uint64(len(r.felts)-r.at) / uint64(size); n > left {
		r.fail("%s is %d, and there is room for %d", name, n, left)
		return 0
	}
	return int(n)
}

func (r *reader) end() error {
	if r.at < len(r.felts) {
		r.fail("it has %d elements, and %d are expected", len(r.felts), r.at)
	}
	return r.err
}
