// Package aggregator is a model in Go of the OCR2 aggregator that is deployed on Starknet in Cairo. It takes and
// returns the same felts as the contract, with the contract's checks in the contract's order and with the contract's
// messages.
//
// It is not Cairo. Two things compare it with Cairo: the test in package cairo (make test-starknet-cairo), which gives
// the same felts to both and compares the results, and golden numbers from starknet.js, which shares no code with it.
// It does not model what Starknet itself adds, such as gas, nor LINK, payees and access lists.
//
// It must not know transactions, fees, blocks as nodes serve them, or callers.
package aggregator

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"golang.org/x/crypto/sha3"

	"github.com/loop-plugins/loop/plugins/stark"
)

// MaxOracles is how many oracles the contract has room for, and how many observations a report.
const MaxOracles = 31

// Settings are the arguments of the contract's constructor, and the billing that its owner would set next.
type Settings struct {
	// ChainID is the network's name as a short string.
	ChainID stark.Felt
	// Address is the contract's own, Owner the account that may configure it.
	Address, Owner stark.Felt
	// Min and Max bound the answers: numbers of 128 bits, Min the smaller.
	Min, Max *big.Int
	Decimals uint8
	// Description is a short string.
	Description stark.Felt
	Billing     Billing
	// LinkBalance is how much LINK the contract has, in juels; nil: none. The token itself is not modelled.
	LinkBalance *big.Int
}

// oracle is an oracle with what it is owed.
type oracle struct {
	signer, transmitter stark.Felt
	payment             *big.Int // in juels, for its transmissions
	from                uint64   // the round from which on it is owed its observations
}

// transmission is what the contract keeps of a report.
type transmission struct {
	answer         *big.Int
	block          uint64
	observed, sent uint64 // Unix seconds
}

// Aggregator is the state of a contract. It is not safe for use by several goroutines at once.
type Aggregator struct {
	settings Settings

	faulty        uint8
	oracles       []oracle
	signers       map[stark.Felt]int // the place in oracles, from 1; 0: not there
	transmitters  map[stark.Felt]int
	configCount   uint64
	configBlock   uint64
	digest        stark.Felt
	epochAndRound uint64
	rounds        []transmission // that of round n at n-1
}

// New makes a contract without a configuration.
func New(settings Settings) (*Aggregator, error) {
	for _, bound := range []*big.Int{settings.Min, settings.Max} {
		if bound == nil || bound.Sign() < 0 || bound.BitLen() > 128 {
			return nil, errors.New("the bounds of the answers must be numbers of 128 bits")
		}
	}
	if settings.Min.Cmp(settings.Max) >= 0 {
		return nil, errors.New("min >= max")
	}
	if settings.LinkBalance == nil {
		settings.LinkBalance = new(big.Int)
	}
	return &Aggregator{settings: settings, signers: map[stark.Felt]int{}, transmitters: map[stark.Felt]int{}}, nil
}

// Clone is a copy that changes by itself.
func (a *Aggregator) Clone() *Aggregator {
	c := *a
	c.oracles = slices.Clone(a.oracles)
	c.signers, c.transmitters = maps.Clone(a.signers), maps.Clone(a.transmitters)
	c.rounds = slices.Clip(a.rounds) // what is there never changes
	return &c
}

// Environment is what a contract can ask for during a call.
type Environment struct {
	// Caller is zero when a node is asked without a transaction.
	Caller stark.Felt
	// Block and Time are those of the block that is being made; Time is in Unix seconds.
	Block, Time uint64
}

// Event is an event that the contract emits.
type Event struct{ Keys, Data []stark.Felt }

// Panic is a failed call of the contract: a short string, which may be empty.
type Panic string

// Error implements error.
func (p Panic) Error() string { return string(p) }

// ErrEntryPoint says that the contract has no function with that selector.
var ErrEntryPoint = errors.New("the contract has no such entry point")

// Result is the result of a call.
type Result struct {
	Returned []stark.Felt
	Events   []Event
}

// function is an entry point. It changes nothing when it fails.
type function func(*Aggregator, Environment, *reader) (Result, error)

// functions are the entry points by their names.
func functions() map[string]function {
	return map[string]function{
		"set_config":                  (*Aggregator).setConfig,
		"transmit":                    (*Aggregator).transmit,
		"latest_config_details":       (*Aggregator).latestConfigDetails,
		"latest_transmission_details": (*Aggregator).latestTransmissionDetails,
		"latest_round_data":           (*Aggregator).latestRoundData,
		"round_data":                  (*Aggregator).roundData,
		"link_available_for_payment":  (*Aggregator).linkAvailableForPayment,
		"billing":                     (*Aggregator).billing,
		"transmitters":                (*Aggregator).listTransmitters,
		"type_and_version":            (*Aggregator).typeAndVersion,
		"description":                 (*Aggregator).description,
		"decimals":                    (*Aggregator).decimals,
		"owner":                       (*Aggregator).owner,
	}
}

// Name is the name of the entry point with a selector, if there is one.
func Name(selector stark.Felt) (string, bool) {
	for name := range functions() {
		if Selector(name) == selector {
			return name, true
		}
	}
	return "", false
}

// Call calls an entry point. When it fails, with a Panic or ErrEntryPoint, nothing has changed.
func (a *Aggregator) Call(env Environment, selector stark.Felt, calldata []stark.Felt) (Result, error) {
	name, ok := Name(selector)
	if !ok {
		return Result{}, ErrEntryPoint
	}
	return functions()[name](a, env, &reader{felts: calldata})
}

// Selector is how a function or an event is named: Keccak-256 of its name, cut to 250 bits.
func Selector(name string) stark.Felt {
	h := sha3.NewLegacyKeccak256()
	h.Write([]byte(name))
	sum := h.Sum(nil)
	sum[0] &= 3
	return mustFelt(new(big.Int).SetBytes(sum))
}

// mustFelt makes an element of a number that cannot but be one.
func mustFelt(number *big.Int) stark.Felt {
	f, err := stark.FromBig(number)
	if err != nil {
		panic(fmt.Sprintf("%s was thought to be an element of the field: %v", number, err))
	}
	return f
}

func felts(numbers ...uint64) []stark.Felt {
	var all []stark.Felt
	for _, n := range numbers {
		all = append(all, stark.FromUint64(n))
	}
	return all
}

func shortString(text string) stark.Felt { return mustFelt(new(big.Int).SetBytes([]byte(text))) }
