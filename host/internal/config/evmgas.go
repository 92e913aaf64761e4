package config

import (
	"slices"
	"strconv"
	"strings"
)

// EVMGasEstimator holds prices and gas limits of an EVM chain by the names that operators of OCR2 nodes know. What is left out,
// the relayer decides: some chains need values of their own.
type EVMGasEstimator struct {
	Mode               string     `toml:",omitempty" comment:"Where prices come from: FixedPrice (the defaults alone), BlockHistory or FeeHistory (tips of past blocks), SuggestedPrice,\nL2Suggested or Arbitrum (what a node proposes)."`
	EIP1559DynamicFees *bool      `comment:"false offers a gas price on chains with a base fee too."`
	PriceDefault       *Wei       `comment:"Gas price of a first attempt without a base fee, in mode FixedPrice. Left out: FeeCapDefault."`
	PriceMin           *Wei       `comment:"Gas price that no attempt goes below."`
	PriceMax           *Wei       `comment:"FeeCapMax by another name, before which it goes."`
	FeeCapDefault      *Wei       `comment:"Goes before FeeCapDefault of the chain."`
	TipCapDefault      *Wei       `comment:"Goes before TipCapDefault of the chain."`
	TipCapMin          *Wei       `comment:"Tip that no attempt goes below."`
	BumpMin            *Wei       `comment:"The least by which a fee is raised."`
	BumpPercent        *uint16    `comment:"FeeBumpPercent by another name, before which it goes."`
	BumpThreshold      *uint32    `comment:"FeeBumpThreshold by another name, before which it goes."`
	LimitDefault       *uint64    `comment:"GasLimitDefault by another name, before which it goes."`
	LimitMax           *uint64    `comment:"Highest gas limit, at least 21000. Left out: none."`
	LimitMultiplier    *EVMFactor `comment:"By what every gas limit is multiplied, 0.1 to 100."`
	EstimateLimit      *bool      `comment:"true asks a node for the gas of each transaction; one that it finds to revert is not sent."`

	LimitJobType *EVMLimitJobType `toml:",omitempty"`
	BlockHistory *EVMBlockHistory `toml:",omitempty"`
}

// EVMLimitJobType holds gas limits of kinds of jobs.
type EVMLimitJobType struct {
	OCR2 *uint64 `comment:"Gas limit of a transmission whose job names none, at least 21000. Left out: GasLimitDefault."`
}

// EVMBlockHistory is of the modes BlockHistory and FeeHistory.
type EVMBlockHistory struct {
	BlockHistorySize      *uint16 `comment:"Of how many blocks tips are read, 1 to 1024."`
	TransactionPercentile *uint16 `comment:"Which tip of a block is taken, 1 to 100."`
}

// EVMTransactions is of the transactions of each account.
type EVMTransactions struct {
	MaxInFlight          *uint32   `comment:"Most transactions of an account that are sent and not in a block; 0: 16."`
	ResendAfterThreshold *Duration `comment:"How long a transaction may stay out of blocks before it is sent again, 1s to 1h."`
}

// EVMKeySpecific is of one account.
type EVMKeySpecific struct {
	Key          string             `comment:"The account."`
	GasEstimator EVMKeyGasEstimator `comment:"Prices of its own."`
}

// EVMKeyGasEstimator holds prices of one account.
type EVMKeyGasEstimator struct {
	PriceMax *Wei `comment:"The account's own FeeCapMax."`
}

// EVMFactor is a decimal number, with quotes or without. Like a Duration it keeps a bad text for the check.
type EVMFactor struct {
	text string
}

// UnmarshalText reads a factor.
func (f *EVMFactor) UnmarshalText(text []byte) error {
	f.text = string(text)
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (f EVMFactor) MarshalText() ([]byte, error) { return []byte(f.text), nil }

var evmModes = []string{"FixedPrice", "BlockHistory", "FeeHistory", "SuggestedPrice", "L2Suggested", "Arbitrum"}

func (g EVMGasEstimator) check(p *problems, path string) {
	if g.Mode != "" && !slices.Contains(evmModes, g.Mode) {
		p.add(path+".Mode", "%q is not one of %s", g.Mode, strings.Join(evmModes, ", "))
	}
	for _, fee := range []struct {
		name   string
		amount *Wei
	}{
		{"PriceDefault", g.PriceDefault}, {"PriceMin", g.PriceMin}, {"PriceMax", g.PriceMax}, {"FeeCapDefault", g.FeeCapDefault},
		{"TipCapDefault", g.TipCapDefault}, {"TipCapMin", g.TipCapMin}, {"BumpMin", g.BumpMin},
	} {
		if fee.amount != nil {
			fee.amount.check(p, path+"."+fee.name)
		}
	}
	if g.BumpPercent != nil {
		within(p, path+".BumpPercent", *g.BumpPercent, 10, 1000)
	}
	limits := map[string]*uint64{"LimitDefault": g.LimitDefault, "LimitMax": g.LimitMax}
	if g.LimitJobType != nil {
		limits["LimitJobType.OCR2"] = g.LimitJobType.OCR2
	}
	for name, limit := range limits {
		if limit != nil && *limit < leastGas {
			p.add(path+"."+name, "%d is below %d, which is what a bare transfer takes", *limit, leastGas)
		}
	}
	if g.LimitMultiplier != nil {
		factor, err := strconv.ParseFloat(g.LimitMultiplier.text, 64)
		if err != nil || !(factor >= 0.1 && factor <= 100) { // NaN is a number too
			p.add(path+".LimitMultiplier", "%q is not a number from 0.1 to 100", g.LimitMultiplier.text)
		}
	}
	if history := g.BlockHistory; history != nil {
		if history.BlockHistorySize != nil {
			within(p, path+".BlockHistory.BlockHistorySize", *history.BlockHistorySize, 1, 1024)
		}
		if history.TransactionPercentile != nil {
			within(p, path+".BlockHistory.TransactionPercentile", *history.TransactionPercentile, 1, 100)
		}
	}
}

// leastGas is what a transaction takes that does nothing.
const leastGas = 21_000

// check reports whether the text is an amount.
func (w Wei) check(p *problems, path string) bool {
	if w.bad != "" {
		p.add(path, `%q is not an amount; write a whole number of wei or an amount with a unit, such as "100 gwei"`, w.bad)
	}
	return w.bad == ""
}

// exampleGasEstimator has what the relayer takes on a chain without peculiarities.
func exampleGasEstimator() (*EVMGasEstimator, *EVMTransactions) {
	return &EVMGasEstimator{
			Mode: "SuggestedPrice", EIP1559DynamicFees: new(true), PriceDefault: new(gwei(100)),
			PriceMin: new(Wei{}), TipCapMin: new(Wei{}), BumpMin: new(Wei{}),
			LimitMultiplier: &EVMFactor{"1"}, EstimateLimit: new(false), LimitJobType: &EVMLimitJobType{OCR2: new(uint64(500_000))},
			BlockHistory: &EVMBlockHistory{BlockHistorySize: new(uint16(8)), TransactionPercentile: new(uint16(60))},
		}, &EVMTransactions{
			MaxInFlight: new(uint32(16)), ResendAfterThreshold: new(seconds(30)),
		}
}
