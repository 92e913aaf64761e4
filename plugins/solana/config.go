package solana

import (
	"cmp"
	"slices"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// Config is what a user sets of one chain: its section of the node's configuration. A key that is left out has the default
// that DefaultConfig gives.
type Config struct {
	// ChainID is mainnet, testnet, devnet, or any other name for a chain that is none of these.
	ChainID string
	// Enabled false keeps the section but connects to nothing.
	Enabled bool
	// OCR2CachePollPeriod is how often the accounts of all contracts are read while nothing is pushed, and nodes without
	// WebSocket are asked for the newest slot.
	OCR2CachePollPeriod section.Duration
	// OCR2CacheTTL is how old an answer of the cache may be.
	OCR2CacheTTL section.Duration
	// BalancePollPeriod is how often the balances of transmitting accounts are read.
	BalancePollPeriod section.Duration
	// ConfirmPollPeriod is how often transactions under way are asked after.
	ConfirmPollPeriod section.Duration
	// TxTimeout is the longest wait for one answer of a node.
	TxTimeout section.Duration
	// TxRetryPeriod is how often a transaction that is in no block is sent again, until its blockhash expires.
	TxRetryPeriod section.Duration
	// Commitment of what is read, and from which a transaction counts as there for good: confirmed or finalized.
	Commitment string
	// SkipPreflight keeps nodes from trying a transaction before they take it.
	SkipPreflight bool
	// MaxRetries is how often a node sends a transaction again by itself; -1: as it likes.
	MaxRetries int16
	// FeeEstimatorMode is fixed; or blockhistory, for at least the median price of the newest blocks; or recentfees, for
	// at least the price that was enough, in three of four recent blocks, to write to the accounts that a transaction
	// writes to.
	FeeEstimatorMode string
	// ComputeUnitPriceDefault is what a first attempt offers, in millionths of a lamport per compute unit; every attempt offers
	// ComputeUnitPriceMin to ComputeUnitPriceMax.
	ComputeUnitPriceDefault, ComputeUnitPriceMin, ComputeUnitPriceMax uint64
	// FeeBumpPeriod is how long an attempt may be in no block before one of twice the price replaces it; 0: never.
	FeeBumpPeriod section.Duration
	// BlockHistoryPollPeriod is how often blocks are read for their prices, BlockHistorySize of how many newest blocks the
	// medians are averaged, and BlockHistoryBatchLoadSize how many are read at once.
	BlockHistoryPollPeriod                      section.Duration
	BlockHistorySize, BlockHistoryBatchLoadSize uint16
	// RecentFeesPercentile, in hundredths of a percent, asks for that percentile of a block's prices in place of the
	// least: nodes of Triton's kind alone know it. 0: the least.
	RecentFeesPercentile uint16
	// BlockTime is how long a slot takes.
	BlockTime section.Duration
	MultiNode MultiNodeConfig
	// ComputeUnitLimitDefault is the compute units of a transmission whose job names no gasLimit.
	ComputeUnitLimitDefault uint32
	// EstimateComputeUnitLimit asks a node for that number instead, and adds a fifth.
	EstimateComputeUnitLimit bool
	// Nodes in the order of preference.
	Nodes []NodeConfig
}

// MultiNodeConfig is how the nodes are chosen from.
type MultiNodeConfig struct {
	// SelectionMode is which of the nodes that serve equally well is asked first: that of the lowest Order
	// (PriorityLevel), that with the newest slot (HighestHead, and TotalDifficulty, which no chain here has), or each in
	// its turn (RoundRobin).
	SelectionMode string
	// SyncThreshold is how many slots a node may be behind the newest before the others are asked first; 0: as many as
	// 12 s have.
	SyncThreshold uint32
	// NodeNoNewHeadsThreshold is how long a node may tell of no new slot before the others are asked first; 0: for ever.
	NodeNoNewHeadsThreshold section.Duration
}

// NodeConfig is one RPC node. Over WSURL, if it is given, slots and accounts are pushed.
type NodeConfig struct {
	Name  string
	URL   section.Secret
	WSURL section.Secret
	// SendOnly nodes are given transactions and asked for nothing but their chain.
	SendOnly bool
	// Order is 0 to 100, and nodes with a lower one are asked first; nil: 100.
	Order *uint8
}

// Values of Config.
const (
	commitmentConfirmed = "confirmed"
	commitmentFinalized = "finalized"
	estimatorFixed      = "fixed"
	estimatorBlocks     = "blockhistory"
	estimatorRecent     = "recentfees"
	selectByOrder       = "PriorityLevel"
)

// DefaultConfig is the configuration of a chain of which nothing but its id and nodes is given. The figures are those
// of the established relayer (chainlink-solana's pkg/solana/config), but for the waits, of which this one has fewer,
// and the time of a slot, which it took for 500 ms.
func DefaultConfig() Config {
	return Config{
		Enabled: true, OCR2CachePollPeriod: section.Duration(time.Second), OCR2CacheTTL: section.Duration(time.Minute), BalancePollPeriod: section.Duration(5 * time.Second),
		ConfirmPollPeriod: section.Duration(500 * time.Millisecond), TxTimeout: section.Duration(10 * time.Second), TxRetryPeriod: section.Duration(2 * time.Second),
		Commitment: commitmentConfirmed, SkipPreflight: true, FeeEstimatorMode: estimatorFixed, ComputeUnitPriceMax: 1000,
		FeeBumpPeriod: section.Duration(3 * time.Second), BlockHistoryPollPeriod: section.Duration(5 * time.Second), BlockHistorySize: 1,
		BlockHistoryBatchLoadSize: 20, BlockTime: section.Duration(200 * time.Millisecond), ComputeUnitLimitDefault: 200_000,
		MultiNode: MultiNodeConfig{SelectionMode: selectByOrder},
	}
}

// ParseConfig reads and checks a chain's section. Its errors name keys and lines, never values: addresses hold keys.
func ParseConfig(document []byte) (Config, error) {
	c := DefaultConfig()
	if err := section.Parse(document, &c); err != nil {
		return Config{}, err
	}
	return c, c.check()
}

func (c Config) check() error {
	var problems section.Problems
	refuse := problems.Refuse
	refuse(c.ChainID == "", "ChainID must not be empty")
	for _, d := range []struct {
		name  string
		value section.Duration
	}{
		{"OCR2CachePollPeriod", c.OCR2CachePollPeriod}, {"OCR2CacheTTL", c.OCR2CacheTTL}, {"BalancePollPeriod", c.BalancePollPeriod},
		{"ConfirmPollPeriod", c.ConfirmPollPeriod}, {"TxTimeout", c.TxTimeout}, {"TxRetryPeriod", c.TxRetryPeriod},
		{"BlockHistoryPollPeriod", c.BlockHistoryPollPeriod}, {"BlockTime", c.BlockTime},
	} {
		problems.Period(d.name, d.value)
	}
	refuse(c.FeeBumpPeriod < 0, "FeeBumpPeriod must not be negative")
	refuse(c.OCR2CacheTTL < c.OCR2CachePollPeriod, "OCR2CacheTTL must be at least OCR2CachePollPeriod")
	refuse(c.Commitment != commitmentConfirmed && c.Commitment != commitmentFinalized, "Commitment must be confirmed or finalized")
	modes := []string{estimatorFixed, estimatorBlocks, estimatorRecent}
	refuse(!slices.Contains(modes, c.FeeEstimatorMode), "FeeEstimatorMode must be fixed, blockhistory or recentfees")
	refuse(c.MaxRetries < -1, "MaxRetries must be at least -1, which leaves it to the node")
	for _, n := range []struct {
		name  string
		value uint16
	}{{"BlockHistorySize", c.BlockHistorySize}, {"BlockHistoryBatchLoadSize", c.BlockHistoryBatchLoadSize}} {
		refuse(n.value == 0 || n.value > maxHistory, "%s must be from 1 to %d", n.name, maxHistory)
	}
	refuse(c.RecentFeesPercentile > 10_000, "RecentFeesPercentile must be at most 10000, which is 100 %%")
	refuse(c.ComputeUnitPriceMin > c.ComputeUnitPriceMax, "ComputeUnitPriceMin must not be above ComputeUnitPriceMax")
	refuse(c.ComputeUnitPriceDefault < c.ComputeUnitPriceMin || c.ComputeUnitPriceDefault > c.ComputeUnitPriceMax, "ComputeUnitPriceDefault must be from ComputeUnitPriceMin to ComputeUnitPriceMax")
	refuse(c.ComputeUnitPriceMax > maxPrice, "ComputeUnitPriceMax must be at most %d", uint64(maxPrice))
	refuse(c.ComputeUnitLimitDefault == 0 || c.ComputeUnitLimitDefault > maxUnits, "ComputeUnitLimitDefault must be from 1 to %d, which is the most that the chain gives a transaction", maxUnits)
	problems.Selection("MultiNode.SelectionMode", c.MultiNode.SelectionMode)
	refuse(c.MultiNode.NodeNoNewHeadsThreshold < 0, "MultiNode.NodeNoNewHeadsThreshold must not be negative")
	answers := slices.ContainsFunc(c.Nodes, func(node NodeConfig) bool { return !node.SendOnly })
	refuse(c.Enabled && !answers, "Nodes must hold at least one node that is not SendOnly")
	for i, node := range c.Nodes {
		problems.Node(i, node.Name)
		refuse(node.Order != nil && *node.Order > section.LastOrder, "Nodes[%d].Order must be from 0 to %d", i, section.LastOrder)
		refuse(!node.URL.Is("http", "https"), "Nodes[%d].URL must be an http:// or https:// address", i)
		refuse(node.WSURL != "" && !node.WSURL.Is("ws", "wss"), "Nodes[%d].WSURL must be a ws:// or wss:// address", i)
	}
	return problems.Err()
}

const (
	// maxUnits is agave's MAX_COMPUTE_UNIT_LIMIT.
	maxUnits = 1_400_000
	// maxHistory is a minute of blocks.
	maxHistory = 300
	// maxPrice makes a transmission of 200,000 units cost 200 SOL in fees: more is a slip of the hand.
	maxPrice = 1e12
)

// ordered are the nodes as they are asked.
func (c Config) ordered() []NodeConfig {
	return section.InOrder(c.Nodes, func(n NodeConfig) *uint8 { return n.Order })
}

// maxLag is how many slots a node may be behind the newest.
func (c Config) maxLag() uint64 {
	const lag = 12 * time.Second
	return cmp.Or(uint64(c.MultiNode.SyncThreshold), max(uint64(lag/time.Duration(c.BlockTime)), 1))
}

// ID implements service.Config.
func (c Config) ID() string { return c.ChainID }

// Serves implements service.Config.
func (c Config) Serves() bool { return c.Enabled }

// Redacted is the configuration as TOML without addresses, for operators.
func (c Config) Redacted() (string, error) { return section.Redacted(c) }
