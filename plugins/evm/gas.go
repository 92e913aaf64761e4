package evm

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// GasEstimatorConfig holds prices and gas limits by the names that operators of OCR2 nodes know. Each of them goes before the key
// of the same meaning of Config, which is named beside it.
type GasEstimatorConfig struct {
	// Mode is where prices come from. FixedPrice: from FeeCapDefault, TipCapDefault and PriceDefault alone. BlockHistory and
	// FeeHistory: tips from eth_feeHistory. All others, and none: what a node proposes.
	Mode string `toml:",omitempty"`
	// EIP1559DynamicFees false has transactions offer a gas price on chains with a base fee too.
	EIP1559DynamicFees *bool
	// PriceDefault is the gas price of a first attempt without a base fee, in mode FixedPrice; FeeCapDefault otherwise.
	PriceDefault *Wei
	// PriceMin and TipCapMin are the gas price and the tip that no attempt goes below.
	PriceMin, TipCapMin *Wei
	PriceMax            *Wei // FeeCapMax
	FeeCapDefault       *Wei
	TipCapDefault       *Wei
	// BumpMin is the least by which fee and tip grow with each attempt.
	BumpMin       *Wei
	BumpPercent   *uint16 // FeeBumpPercent
	BumpThreshold *uint32 // FeeBumpThreshold
	LimitDefault  *uint64 // GasLimitDefault
	// LimitMax bounds every gas limit, and LimitMultiplier multiplies every one before.
	LimitMax        *uint64
	LimitMultiplier *Multiplier
	// EstimateLimit asks a node for the gas of each transaction instead.
	EstimateLimit *bool
	LimitJobType  *LimitJobTypeConfig
	BlockHistory  *BlockHistoryConfig
}

// LimitJobTypeConfig holds gas limits of kinds of jobs.
type LimitJobTypeConfig struct {
	// OCR2 is the gas limit of a transmission whose job names none; nil: GasLimitDefault.
	OCR2 *uint64
}

// BlockHistoryConfig is of the modes BlockHistory and FeeHistory.
type BlockHistoryConfig struct {
	// BlockHistorySize is of how many blocks tips are read; nil: 8. TransactionPercentile is which of a block's is taken; nil: 60.
	BlockHistorySize, TransactionPercentile *uint16
}

// Multiplier is a decimal number, with quotes or without.
type Multiplier float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Multiplier) UnmarshalText(text []byte) error {
	parsed, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return errors.New("a multiplier cannot be read; write it as in 1.5")
	}
	*m = Multiplier(parsed)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (m Multiplier) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(m), 'f', -1, 64), nil
}

// TransactionsConfig is of the transactions of each account.
type TransactionsConfig struct {
	// MaxInFlight is the most that are sent and not in a block; nil or 0: 16.
	MaxInFlight *uint32
	// ResendAfterThreshold is how long one that a node took may stay out of blocks before it is sent again; nil: 30s.
	ResendAfterThreshold *section.Duration
}

// KeySpecificConfig is of one account.
type KeySpecificConfig struct {
	Key          string
	GasEstimator struct {
		PriceMax *Wei // FeeCapMax
	}
}

var modes = []string{"", "FixedPrice", "BlockHistory", "FeeHistory", "SuggestedPrice", "L2Suggested", "Arbitrum"}

// peculiar is what some chains need. What the operator says goes before it.
type peculiar struct {
	name string
	ids  []string // ChainID
	kind string   // ChainType
	keys string   // of Config, as TOML
}

// peculiars are facts of chains, from the established node's defaults (chainlink-evm's pkg/config/toml/defaults) and the chains' own
// documentation.
var peculiars = []peculiar{
	// A replacement is refused below so much.
	{name: "Linea", ids: []string{"59144", "59141"}, kind: "linea", keys: "FeeBumpPercent = 40\n" + quiet},
	{name: "Polygon zkEVM", ids: []string{"1101", "2442"}, kind: "zkevm", keys: "FeeBumpPercent = 40\nFinalityDepth = 500"},
	{name: "Rootstock", ids: []string{"30", "31"}, kind: "rootstock",
		keys: "FeeBumpPercent = 40\nFinalityDepth = 20\nGasEstimator.EIP1559DynamicFees = false"},
	// A sequencer that takes transactions in their order has no use for a replacement.
	{name: "Scroll", ids: []string{"534352", "534351"}, kind: "scroll", keys: "FeeBumpThreshold = 0\n" + quiet},
	// There is no mempool, and most of the gas limit is charged, used or not.
	{name: "Hedera", ids: []string{"295", "296"}, kind: "hedera", keys: "FeeBumpThreshold = 0\nGasEstimator.EstimateLimit = true"},
	// The gas of a call holds the price of its bytes on Ethereum, which no fixed limit foresees.
	{name: "Arbitrum", ids: []string{"42161", "42170", "421614"}, kind: "arbitrum", keys: "GasEstimator.EstimateLimit = true\n" + quiet},
	{name: "ZKsync", ids: []string{"324", "300"}, kind: "zksync", keys: "GasEstimator.EstimateLimit = true\nFinalityDepth = 10"},
	{name: "Mantle", ids: []string{"5000", "5003"}, kind: "mantle", keys: "GasEstimator.EstimateLimit = true\nTipCapDefault = '0'"},
	// The least that nodes take. Blocks were undone that "finalized" had.
	{name: "Polygon", ids: []string{"137"},
		keys: "GasEstimator.PriceMin = '30 gwei'\nGasEstimator.TipCapMin = '30 gwei'\nFinalityDepth = 500"},
	{name: "Amoy", ids: []string{"80002"},
		keys: "GasEstimator.PriceMin = '25 gwei'\nGasEstimator.TipCapMin = '25 gwei'\nFinalityDepth = 500"},
	// Blocks have a base fee, and nodes take a gas price alone, or no tip.
	{name: "Kaia", ids: []string{"8217", "1001"}, kind: "kaia", keys: "GasEstimator.EIP1559DynamicFees = false\nFinalityDepth = 1"},
	{name: "Kava", ids: []string{"2222", "2221"}, keys: "GasEstimator.EIP1559DynamicFees = false\nFinalityDepth = 1"},
	{name: "Metis", ids: []string{"1088", "59902"}, kind: "metis",
		keys: "GasEstimator.EIP1559DynamicFees = false\nFinalityDepth = 1\n" + quiet},
	// A block is final at once.
	{name: "Avalanche", ids: []string{"43114", "43113"}, keys: "FinalityDepth = 1"},
}

// quiet chains make no empty blocks: that one is silent tells nothing of its nodes.
const quiet = "NoNewHeadsThreshold = '0s'"

// peculiarTo finds what is peculiar to a chain: by its id, or else by its ChainType.
func peculiarTo(id, kind string) (peculiar, bool) {
	at := slices.IndexFunc(peculiars, func(p peculiar) bool { return slices.Contains(p.ids, id) })
	if at < 0 && kind != "" {
		at = slices.IndexFunc(peculiars, func(p peculiar) bool { return strings.EqualFold(p.kind, kind) })
	}
	if at < 0 {
		return peculiar{}, false
	}
	return peculiars[at], true
}

// withPeculiarities is the configuration of a chain of which a section says no more than which it is.
func withPeculiarities(document []byte) Config {
	c := DefaultConfig()
	var which struct{ ChainID, ChainType string }
	_ = toml.Unmarshal(document, &which) // what is wrong with it is told when all of it is read
	if p, ok := peculiarTo(which.ChainID, which.ChainType); ok {
		if err := toml.Unmarshal([]byte(p.keys), &c); err != nil {
			panic(fmt.Sprintf("the table of peculiarities: %s: %v", p.name, err)) // a test reads all of it
		}
	}
	return c
}

// fold puts what GasEstimator says in the place of the keys of the same meaning. A FeeCapDefault or TipCapDefault that the section
// leaves out is no reason to refuse a lower ceiling.
func (c *Config) fold(document []byte) {
	gas := c.GasEstimator
	set(&c.FeeCapMax, gas.PriceMax)
	set(&c.FeeCapDefault, gas.FeeCapDefault)
	set(&c.TipCapDefault, gas.TipCapDefault)
	set(&c.FeeBumpPercent, gas.BumpPercent)
	set(&c.FeeBumpThreshold, gas.BumpThreshold)
	set(&c.GasLimitDefault, gas.LimitDefault)
	var given struct {
		FeeCapDefault, TipCapDefault any
		GasEstimator                 struct{ FeeCapDefault, TipCapDefault any }
	}
	_ = toml.Unmarshal(document, &given)
	if given.FeeCapDefault == nil && given.GasEstimator.FeeCapDefault == nil && c.FeeCapDefault.Cmp(&c.FeeCapMax.Int) > 0 {
		c.FeeCapDefault = c.FeeCapMax
	}
	if given.TipCapDefault == nil && given.GasEstimator.TipCapDefault == nil && c.TipCapDefault.Cmp(&c.FeeCapDefault.Int) > 0 {
		c.TipCapDefault = c.FeeCapDefault
	}
}

func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

func value[T any](given *T, otherwise T) T {
	set(&otherwise, given)
	return otherwise
}

func (w *Wei) int() *big.Int {
	if w == nil {
		return nil
	}
	return &w.Int
}

// checkGas finds what is wrong with prices and limits.
func (c Config) checkGas(refuse func(bad bool, format string, args ...any)) {
	refuse(c.GasLimitDefault < leastGas, "GasLimitDefault must be at least 21000")
	refuse(c.TipCapDefault.Cmp(&c.FeeCapDefault.Int) > 0, "TipCapDefault must not be above FeeCapDefault")
	refuse(c.FeeCapDefault.Cmp(&c.FeeCapMax.Int) > 0, "FeeCapMax must be at least FeeCapDefault")
	refuse(c.FeeBumpPercent < 10, "FeeBumpPercent must be at least 10: nodes refuse smaller steps")
	gas := c.GasEstimator
	refuse(!slices.Contains(modes, gas.Mode), "GasEstimator.Mode must be one of %s", strings.Join(modes[1:], ", "))
	above := func(amount *Wei) bool { return amount != nil && amount.Cmp(&c.FeeCapMax.Int) > 0 }
	refuse(above(gas.PriceDefault), "GasEstimator.PriceDefault must not be above FeeCapMax")
	for _, least := range []struct {
		key    string
		amount *Wei
	}{{"GasEstimator.PriceMin", gas.PriceMin}, {"GasEstimator.TipCapMin", gas.TipCapMin}} {
		whence := ""
		if p, ok := peculiarTo(c.ChainID, c.ChainType); ok && strings.Contains(p.keys, least.key) {
			whence = fmt.Sprintf(", which is what nodes of %s want unless it is set,", p.name)
		}
		refuse(above(least.amount), "%s%s must not be above FeeCapMax", least.key, whence)
	}
	multiplier := value(gas.LimitMultiplier, 1)
	refuse(!(multiplier >= 0.1 && multiplier <= 100), "GasEstimator.LimitMultiplier must be from 0.1 to 100") // NaN is a number too
	refuse(value(gas.LimitMax, leastGas) < leastGas, "GasEstimator.LimitMax must be at least 21000")
	if gas.LimitJobType != nil {
		refuse(value(gas.LimitJobType.OCR2, leastGas) < leastGas, "GasEstimator.LimitJobType.OCR2 must be at least 21000")
	}
	if history := gas.BlockHistory; history != nil {
		size := value(history.BlockHistorySize, 1)
		refuse(size == 0 || size > 1024, "GasEstimator.BlockHistory.BlockHistorySize must be from 1 to 1024")
		percentile := value(history.TransactionPercentile, 1)
		refuse(percentile == 0 || percentile > 100, "GasEstimator.BlockHistory.TransactionPercentile must be from 1 to 100")
	}
	named := map[common.Address]bool{}
	for i, key := range c.KeySpecific {
		address, err := account.Parse(key.Key)
		refuse(err != nil, "KeySpecific[%d].Key must be an account", i)
		refuse(err == nil && named[address], "KeySpecific[%d].Key is the account of an earlier entry", i)
		named[address] = true
	}
}

// leastGas is what a transaction takes that does nothing.
const leastGas = 21_000

// fees are the bounds of one account.
func (c Config) fees(of common.Address) account.Fees {
	gas := c.GasEstimator
	fees := account.Fees{
		Fixed: gas.Mode == "FixedPrice", Legacy: !value(gas.EIP1559DynamicFees, true),
		CapDefault: &c.FeeCapDefault.Int, TipDefault: &c.TipCapDefault.Int, CapMax: &c.FeeCapMax.Int,
		PriceDefault: gas.PriceDefault.int(), PriceMin: gas.PriceMin.int(), TipMin: gas.TipCapMin.int(),
		BumpThreshold: uint64(c.FeeBumpThreshold), BumpPercent: uint64(c.FeeBumpPercent), BumpMin: gas.BumpMin.int(),
	}
	if gas.Mode == "BlockHistory" || gas.Mode == "FeeHistory" {
		history := value(gas.BlockHistory, BlockHistoryConfig{})
		fees.History, fees.Percentile = uint64(value(history.BlockHistorySize, 8)), value(history.TransactionPercentile, 60)
	}
	for _, key := range c.KeySpecific {
		if address, err := account.Parse(key.Key); err == nil && address == of && key.GasEstimator.PriceMax != nil {
			fees.CapMax = key.GasEstimator.PriceMax.int()
		}
	}
	return fees
}

// limits says how gas limits are made.
func (c Config) limits() account.Limit {
	gas := c.GasEstimator
	return account.Limit{
		Estimate:   value(gas.EstimateLimit, gas.Mode == "Arbitrum"),
		Multiplier: float64(value(gas.LimitMultiplier, 1)), Max: value(gas.LimitMax, 0),
	}
}

// transmissionGas is the gas limit of a transmission whose job names none.
func (c Config) transmissionGas() uint64 {
	return value(value(c.GasEstimator.LimitJobType, LimitJobTypeConfig{}).OCR2, c.GasLimitDefault)
}
