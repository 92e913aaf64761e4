package evm

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/sdk/go/document"
)

// GasEstimatorConfig holds prices and gas limits under the names that operators of OCR2 nodes know. A missing key has
// the chain's value.
type GasEstimatorConfig struct {
	Mode               string      `comment:"Where prices come from: FixedPrice (the defaults only), BlockHistory or FeeHistory (tips of past blocks), or SuggestedPrice,\nL2Suggested or Arbitrum (what an RPC node proposes)."`
	EIP1559DynamicFees *bool       `comment:"Whether to offer a fee cap and a tip on chains with a base fee. false offers a gas price there too."`
	PriceDefault       *Wei        `comment:"Gas price of a first attempt without a base fee, in mode FixedPrice. Left out: FeeCapDefault."`
	PriceMin           *Wei        `comment:"Lowest gas price of any attempt."`
	PriceMax           *Wei        `comment:"Another name of FeeCapMax, which takes precedence over it."`
	FeeCapDefault      *Wei        `comment:"Takes precedence over FeeCapDefault of the chain."`
	TipCapDefault      *Wei        `comment:"Takes precedence over TipCapDefault of the chain."`
	TipCapMin          *Wei        `comment:"Lowest tip of any attempt."`
	BumpMin            *Wei        `comment:"Least amount by which a fee is raised."`
	BumpPercent        *uint16     `comment:"Another name of FeeBumpPercent, which takes precedence over it." bounds:"10 1000"`
	BumpThreshold      *uint32     `comment:"Another name of FeeBumpThreshold, which takes precedence over it."`
	LimitDefault       *uint64     `comment:"Another name of GasLimitDefault, which takes precedence over it."`
	LimitMax           *uint64     `comment:"Highest gas limit, at least 21000. Left out: none."`
	LimitMultiplier    *Multiplier `comment:"Factor by which every gas limit is multiplied, 0.1 to 100."`
	EstimateLimit      *bool       `comment:"Whether an RPC node estimates the gas of each transaction. One that would revert is then not sent."`

	LimitJobType *LimitJobTypeConfig
	BlockHistory *BlockHistoryConfig
}

// LimitJobTypeConfig holds gas limits of kinds of jobs.
type LimitJobTypeConfig struct {
	OCR2 *uint64 `comment:"Gas limit of a transmission whose job names none, at least 21000. Left out: GasLimitDefault."`
}

// BlockHistoryConfig configures the modes BlockHistory and FeeHistory.
type BlockHistoryConfig struct {
	BlockHistorySize      *uint16 `comment:"How many of the newest blocks the tips are read of, 1 to 1024." bounds:"1 1024"`
	TransactionPercentile *uint16 `comment:"Which percentile of a block's tips is used, 1 to 100." bounds:"1 100"`
}

// TransactionsConfig configures the transactions of each account.
type TransactionsConfig struct {
	MaxInFlight          *uint32            `comment:"Most transactions of an account that may be sent and not in a block yet; 0: 16."`
	ResendAfterThreshold *document.Duration `comment:"How long a transaction may stay out of blocks before it is sent again, 1s to 1h." bounds:"1s 1h"`
}

// KeySpecificConfig configures one account.
type KeySpecificConfig struct {
	Key          string                `comment:"The account."`
	GasEstimator KeyGasEstimatorConfig `comment:"Prices of its own."`
}

// KeyGasEstimatorConfig holds prices of one account.
type KeyGasEstimatorConfig struct {
	PriceMax *Wei `comment:"The account's own FeeCapMax."`
}

var modes = []string{"FixedPrice", "BlockHistory", "FeeHistory", "SuggestedPrice", "L2Suggested", "Arbitrum"}

// peculiar is what some chains need. The operator's keys take precedence over it.
type peculiar struct {
	name string
	ids  []string // ChainID
	kind string   // ChainType
	keys string   // of Config, as TOML
}

// peculiars are facts of chains, from the established node's defaults (chainlink-evm's pkg/config/toml/defaults) and
// the chains' own documentation.
var peculiars = []peculiar{
	// Nodes refuse a replacement that raises the fee by less.
	{name: "Linea", ids: []string{"59144", "59141"}, kind: "linea", keys: "FeeBumpPercent = 40\n" + quiet},
	{name: "Polygon zkEVM", ids: []string{"1101", "2442"}, kind: "zkevm",
		keys: "FeeBumpPercent = 40\nFinalityDepth = 500"},
	{name: "Rootstock", ids: []string{"30", "31"}, kind: "rootstock",
		keys: "FeeBumpPercent = 40\nFinalityDepth = 20\nGasEstimator.EIP1559DynamicFees = false"},
	// A sequencer that takes transactions in their order has no use for a replacement.
	{name: "Scroll", ids: []string{"534352", "534351"}, kind: "scroll", keys: "FeeBumpThreshold = 0\n" + quiet},
	// There is no mempool, and most of the gas limit is charged, used or not. One price holds for all. eth_gasPrice tells
	// it, but blocks may not (hiero-json-rpc-relay#5023). It was 1,320 gwei in July 2024 (#2680 there) and follows the
	// coin's price in dollars.
	{name: "Hedera", ids: []string{"295", "296"}, kind: "hedera",
		keys: "FeeBumpThreshold = 0\nFeeCapMax = '10000 gwei'\nGasEstimator.EstimateLimit = true\n" +
			"GasEstimator.EIP1559DynamicFees = false"},
	// All of the gas limit is charged, used or not: blocks are made before they are executed.
	{name: "Monad", ids: []string{"143", "10143"}, keys: "GasEstimator.EstimateLimit = true"},
	// The gas of a call holds the price of its bytes on Ethereum, which no fixed limit foresees.
	{name: "Arbitrum", ids: []string{"42161", "42170", "421614"}, kind: "arbitrum",
		keys: "GasEstimator.EstimateLimit = true\n" + quiet},
	{name: "ZKsync", ids: []string{"324", "300"}, kind: "zksync",
		keys: "GasEstimator.EstimateLimit = true\nFinalityDepth = 10"},
	// The sequencer has no use for a tip, also not for that of a replacement.
	{name: "Mantle", ids: []string{"5000", "5003"}, kind: "mantle",
		keys: "GasEstimator.EstimateLimit = true\nTipCapDefault = '0'"},
	// The least that nodes take. Blocks that "finalized" had were undone.
	{name: "Polygon", ids: []string{"137"},
		keys: "GasEstimator.PriceMin = '30 gwei'\nGasEstimator.TipCapMin = '30 gwei'\nFinalityDepth = 500"},
	{name: "Amoy", ids: []string{"80002"},
		keys: "GasEstimator.PriceMin = '25 gwei'\nGasEstimator.TipCapMin = '25 gwei'\nFinalityDepth = 500"},
	// Blocks have a base fee, and nodes take only a gas price, or no tip.
	{name: "Kaia", ids: []string{"8217", "1001"}, kind: "kaia",
		keys: "GasEstimator.EIP1559DynamicFees = false\nFinalityDepth = 1"},
	{name: "Kava", ids: []string{"2222", "2221"}, keys: "GasEstimator.EIP1559DynamicFees = false\nFinalityDepth = 1"},
	{name: "Metis", ids: []string{"1088", "59902"}, kind: "metis",
		keys: "GasEstimator.EIP1559DynamicFees = false\nFinalityDepth = 1\n" + quiet},
	// A block is final at once.
	{name: "Avalanche", ids: []string{"43114", "43113"}, keys: "FinalityDepth = 1"},
}

// quiet chains make no empty blocks: their silence says nothing of their nodes.
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

// withPeculiarities is the configuration of a chain if its section says no more than which chain it is.
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

// fold puts what GasEstimator says in the place of the keys of the same meaning. A FeeCapDefault or TipCapDefault that
// the section leaves out is no reason to refuse a lower ceiling.
func (c *Config) fold(p *document.Problems) {
	gas := c.GasEstimator
	set(&c.FeeCapMax, gas.PriceMax)
	set(&c.FeeCapDefault, gas.FeeCapDefault)
	set(&c.TipCapDefault, gas.TipCapDefault)
	set(&c.FeeBumpPercent, gas.BumpPercent)
	set(&c.FeeBumpThreshold, gas.BumpThreshold)
	set(&c.GasLimitDefault, gas.LimitDefault)
	if !p.Has("FeeCapDefault") && gas.FeeCapDefault == nil && c.FeeCapDefault.above(c.FeeCapMax) {
		c.FeeCapDefault = c.FeeCapMax
	}
	if !p.Has("TipCapDefault") && gas.TipCapDefault == nil && c.TipCapDefault.above(c.FeeCapDefault) {
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

// checkGas finds what is wrong with the mode, with gas limits and with accounts.
func (c Config) checkGas(p *document.Problems) {
	gas := c.GasEstimator
	if gas.Mode != "" {
		document.OneOf(p, "GasEstimator.Mode", gas.Mode, modes...)
	}
	for _, limit := range []struct {
		path string
		gas  *uint64
	}{
		{"GasLimitDefault", &c.GasLimitDefault}, {"GasEstimator.LimitDefault", gas.LimitDefault},
		{"GasEstimator.LimitMax", gas.LimitMax},
		{"GasEstimator.LimitJobType.OCR2", value(gas.LimitJobType, LimitJobTypeConfig{}).OCR2},
	} {
		if limit.gas != nil && *limit.gas < leastGas {
			p.Add(limit.path, "%d is below %d, which is what a bare transfer takes", *limit.gas, leastGas)
		}
	}
	named := map[common.Address]bool{}
	for at, key := range c.KeySpecific {
		path := fmt.Sprintf("KeySpecific[%d].Key", at)
		address, err := account.Parse(key.Key)
		if err != nil {
			p.Add(path, "%s"+notAccount, document.Shown(key.Key))
		} else if named[address] {
			p.Add(path, "account %s has an earlier entry; merge the two", key.Key)
		}
		named[address] = err == nil
	}
}

// checkPrices compares prices with one another, once they are folded.
func (c Config) checkPrices(p *document.Problems) {
	gas := c.GasEstimator
	given := func(other, path string) string {
		if p.Has(other) {
			return other
		}
		return path
	}
	if c.TipCapDefault.above(c.FeeCapDefault) {
		p.Add(given("GasEstimator.TipCapDefault", "TipCapDefault"), "%s is more than FeeCapDefault, %s", c.TipCapDefault,
			c.FeeCapDefault)
	}
	if c.FeeCapDefault.above(c.FeeCapMax) {
		p.Add(given("GasEstimator.PriceMax", "FeeCapMax"), "%s is less than FeeCapDefault, %s", c.FeeCapMax, c.FeeCapDefault)
	}
	for _, price := range []struct {
		key    string
		amount *Wei
	}{{"PriceDefault", gas.PriceDefault}, {"PriceMin", gas.PriceMin}, {"TipCapMin", gas.TipCapMin}} {
		path, whence := "GasEstimator."+price.key, ""
		if peculiar, ok := peculiarTo(c.ChainID, c.ChainType); ok && !p.Has(path) {
			whence = fmt.Sprintf(", which is what nodes of %s want unless it is set,", peculiar.name)
		}
		if price.amount != nil && price.amount.above(c.FeeCapMax) {
			p.Add(path, "%s%s is more than FeeCapMax, %s", *price.amount, whence, c.FeeCapMax)
		}
	}
}

// leastGas is what a transaction that does nothing takes.
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
		Multiplier: value(gas.LimitMultiplier, Multiplier{number: 1}).number, Max: value(gas.LimitMax, 0),
	}
}

// transmissionGas is the gas limit of a transmission whose job names none.
func (c Config) transmissionGas() uint64 {
	return value(value(c.GasEstimator.LimitJobType, LimitJobTypeConfig{}).OCR2, c.GasLimitDefault)
}
