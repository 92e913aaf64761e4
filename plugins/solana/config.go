package solana

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/sdk/go/relayer"
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
	OCR2CachePollPeriod Duration
	// OCR2CacheTTL is how old an answer of the cache may be.
	OCR2CacheTTL Duration
	// BalancePollPeriod is how often the balances of transmitting accounts are read.
	BalancePollPeriod Duration
	// ConfirmPollPeriod is how often transactions under way are asked after.
	ConfirmPollPeriod Duration
	// TxTimeout is the longest wait for one answer of a node.
	TxTimeout Duration
	// TxRetryPeriod is how often a transaction that is in no block is sent again, until its blockhash expires.
	TxRetryPeriod Duration
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
	FeeBumpPeriod Duration
	// BlockHistoryPollPeriod is how often blocks are read for their prices, BlockHistorySize of how many newest blocks the
	// medians are averaged, and BlockHistoryBatchLoadSize how many are read at once.
	BlockHistoryPollPeriod                      Duration
	BlockHistorySize, BlockHistoryBatchLoadSize uint16
	// RecentFeesPercentile, in hundredths of a percent, asks for that percentile of a block's prices in place of the
	// least: nodes of Triton's kind alone know it. 0: the least.
	RecentFeesPercentile uint16
	// BlockTime is how long a slot takes.
	BlockTime Duration
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
	NodeNoNewHeadsThreshold Duration
}

// NodeConfig is one RPC node. Over WSURL, if it is given, slots and accounts are pushed.
type NodeConfig struct {
	Name  string
	URL   Address
	WSURL Address
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
		Enabled: true, OCR2CachePollPeriod: Duration(time.Second), OCR2CacheTTL: Duration(time.Minute), BalancePollPeriod: Duration(5 * time.Second),
		ConfirmPollPeriod: Duration(500 * time.Millisecond), TxTimeout: Duration(10 * time.Second), TxRetryPeriod: Duration(2 * time.Second),
		Commitment: commitmentConfirmed, SkipPreflight: true, FeeEstimatorMode: estimatorFixed, ComputeUnitPriceMax: 1000,
		FeeBumpPeriod: Duration(3 * time.Second), BlockHistoryPollPeriod: Duration(5 * time.Second), BlockHistorySize: 1,
		BlockHistoryBatchLoadSize: 20, BlockTime: Duration(200 * time.Millisecond), ComputeUnitLimitDefault: 200_000,
		MultiNode: MultiNodeConfig{SelectionMode: selectByOrder},
	}
}

// ParseConfig reads and checks a chain's section. Its errors name keys and lines, never values: addresses hold keys.
func ParseConfig(document []byte) (Config, error) {
	c := DefaultConfig()
	decoder := toml.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		var (
			unknown *toml.StrictMissingError
			wrong   *toml.DecodeError
		)
		switch {
		case errors.As(err, &unknown) && len(unknown.Errors) > 0:
			first := unknown.Errors[0]
			line, _ := first.Position()
			return Config{}, fmt.Errorf("line %d: the key %s is not known; remove it or correct its spelling", line, strings.Join(first.Key(), "."))
		case errors.As(err, &wrong):
			line, _ := wrong.Position()
			if strings.Contains(wrong.Error(), "already") { // go-toml's word for it; its text may repeat values
				return Config{}, fmt.Errorf("line %d: the key %s is given twice; remove one", line, strings.Join(wrong.Key(), "."))
			}
			return Config{}, fmt.Errorf("line %d: the value of %s cannot be read; check its type, its unit and its quotes", line, strings.Join(wrong.Key(), "."))
		default:
			return Config{}, errors.New("the section is no TOML that can be read; check its syntax")
		}
	}
	return c, c.check()
}

func (c Config) check() error {
	var problems []string
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	refuse(c.ChainID == "", "ChainID must not be empty")
	for _, d := range []struct {
		name  string
		value Duration
	}{
		{"OCR2CachePollPeriod", c.OCR2CachePollPeriod}, {"OCR2CacheTTL", c.OCR2CacheTTL}, {"BalancePollPeriod", c.BalancePollPeriod},
		{"ConfirmPollPeriod", c.ConfirmPollPeriod}, {"TxTimeout", c.TxTimeout}, {"TxRetryPeriod", c.TxRetryPeriod},
		{"BlockHistoryPollPeriod", c.BlockHistoryPollPeriod}, {"BlockTime", c.BlockTime},
	} {
		refuse(d.value < Duration(10*time.Millisecond), "%s must be at least 10ms", d.name)
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
	_, known := selections[c.MultiNode.SelectionMode]
	refuse(!known, "MultiNode.SelectionMode must be PriorityLevel, HighestHead, TotalDifficulty or RoundRobin")
	refuse(c.MultiNode.NodeNoNewHeadsThreshold < 0, "MultiNode.NodeNoNewHeadsThreshold must not be negative")
	answers := slices.ContainsFunc(c.Nodes, func(node NodeConfig) bool { return !node.SendOnly })
	refuse(c.Enabled && !answers, "Nodes must hold at least one node that is not SendOnly")
	names := map[string]bool{}
	for i, node := range c.Nodes {
		refuse(node.Name == "", "Nodes[%d].Name must not be empty", i)
		refuse(names[node.Name], "Nodes[%d].Name is that of another node", i)
		names[node.Name] = true
		refuse(node.order() > lastOrder, "Nodes[%d].Order must be from 0 to %d", i, lastOrder)
		refuse(!node.URL.is("http", "https"), "Nodes[%d].URL must be an http:// or https:// address", i)
		refuse(node.WSURL != "" && !node.WSURL.is("ws", "wss"), "Nodes[%d].WSURL must be a ws:// or wss:// address", i)
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

const (
	// maxUnits is agave's MAX_COMPUTE_UNIT_LIMIT.
	maxUnits = 1_400_000
	// maxHistory is a minute of blocks.
	maxHistory = 300
	// maxPrice makes a transmission of 200,000 units cost 200 SOL in fees: more is a slip of the hand.
	maxPrice = 1e12
)

var selections = map[string]relayer.Selection{
	selectByOrder: relayer.InOrder, "HighestHead": relayer.HighestHead, "TotalDifficulty": relayer.HighestHead,
	"RoundRobin": relayer.RoundRobin,
}

// lastOrder is the order of nodes that have none, the established node's default.
const lastOrder = 100

func (n NodeConfig) order() uint8 {
	if n.Order == nil {
		return lastOrder
	}
	return *n.Order
}

// ordered are the nodes as they are asked.
func (c Config) ordered() []NodeConfig {
	return slices.SortedStableFunc(slices.Values(c.Nodes), func(a, b NodeConfig) int {
		return cmp.Compare(a.order(), b.order())
	})
}

// maxLag is how many slots a node may be behind the newest.
func (c Config) maxLag() uint64 {
	const lag = 12 * time.Second
	return cmp.Or(uint64(c.MultiNode.SyncThreshold), max(uint64(lag/time.Duration(c.BlockTime)), 1))
}

// Redacted is the configuration as TOML without addresses, for operators.
func (c Config) Redacted() (string, error) {
	c.Nodes = slices.Clone(c.Nodes)
	for i := range c.Nodes {
		c.Nodes[i].URL, c.Nodes[i].WSURL = c.Nodes[i].URL.redacted(), c.Nodes[i].WSURL.redacted()
	}
	document, err := toml.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write the configuration as TOML: %w", err)
	}
	return string(document), nil
}

// Address is an RPC address. It may hold a key and prints as a placeholder.
type Address string

func (a Address) is(schemes ...string) bool {
	u, err := url.Parse(string(a))
	return err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
}

func (a Address) redacted() Address {
	if a == "" {
		return ""
	}
	return "[redacted]"
}

// String implements fmt.Stringer.
func (a Address) String() string { return string(a.redacted()) }

// GoString implements fmt.GoStringer.
func (a Address) GoString() string { return string(a.redacted()) }

// Duration is a length of time in Go's syntax, such as "1m30s".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("a duration cannot be read; write it as in 500ms or 1m30s") // without the value: a misplaced key could stand there
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
