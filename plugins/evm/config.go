package evm

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// Config is what a user sets of one chain: its section of the node's configuration. A key that is left out has the default
// that DefaultConfig gives.
type Config struct {
	// ChainID is the chain's number in decimal.
	ChainID string
	// Enabled false keeps the section but connects to nothing.
	Enabled bool
	// PollInterval is how often a node without WebSocket is asked for the newest block, and the longest time between two reads of a
	// contract.
	PollInterval section.Duration
	// RequestTimeout is the longest wait for one answer of a node.
	RequestTimeout section.Duration
	// NoNewHeadsThreshold is how long a node may tell of no new block before others are asked first; 0: for ever.
	NoNewHeadsThreshold section.Duration
	// FinalityDepth is how many blocks on top of a transaction make it final.
	FinalityDepth uint32
	// FinalityTagEnabled true takes as final what the chain's block "finalized" has instead.
	FinalityTagEnabled bool
	// FinalizedBlockOffset is by how many blocks what is final is taken to be less.
	FinalizedBlockOffset uint32
	// LogBackfillDepth is how many blocks back events are read when a contract is first followed.
	LogBackfillDepth uint32
	// LogBackfillBatchSize is of how many blocks one call reads events, at most.
	LogBackfillBatchSize uint32
	// LogPollInterval is the shortest time between two reads of a contract's events while none is pushed.
	LogPollInterval section.Duration
	// RPCDefaultBatchSize is the most calls in one request.
	RPCDefaultBatchSize uint32
	// GasLimitDefault is the gas limit of a transmission whose job names none.
	GasLimitDefault uint64
	// FeeCapDefault is the fee per gas, at most, of a first attempt, unless the base fee makes that too low.
	FeeCapDefault Wei
	// TipCapDefault is the tip per gas of a first attempt, unless a node proposes more.
	TipCapDefault Wei
	// FeeCapMax is the fee per gas that no attempt goes beyond.
	FeeCapMax Wei
	// FeeBumpThreshold is how many blocks an attempt that a node has may miss before a dearer one replaces it; 0: no
	// attempt is replaced for its fee.
	FeeBumpThreshold uint32
	// FeeBumpPercent is by how much. Nodes refuse replacements below 10.
	FeeBumpPercent uint16
	// ChainType names a family of chains whose peculiarities this one shares; those of chains that are known go by
	// ChainID.
	ChainType string `toml:",omitempty"`
	NodePool  NodePoolConfig
	// GasEstimator holds further prices and gas limits.
	GasEstimator GasEstimatorConfig
	Transactions TransactionsConfig
	// KeySpecific in any order.
	KeySpecific []KeySpecificConfig `toml:",omitempty"`
	// Nodes in the order of preference, among those of the same Order.
	Nodes []NodeConfig
}

// NodePoolConfig is of the choice of nodes.
type NodePoolConfig struct {
	// SelectionMode is PriorityLevel (by Order), HighestHead or RoundRobin. TotalDifficulty is HighestHead: chains
	// without mining have no other.
	SelectionMode string
	// SyncThreshold is how many blocks a node may be behind the newest of all before others are asked first; 0: any.
	SyncThreshold uint32
	// NewHeadsPollInterval goes before PollInterval as how often a node is asked for its newest block, unless it is 0.
	NewHeadsPollInterval section.Duration
}

// NodeConfig is one RPC node. At least one of its addresses is needed; with both, blocks and events are pushed over WSURL
// and calls made over HTTPURL.
type NodeConfig struct {
	Name    string
	WSURL   section.Secret
	HTTPURL section.Secret
	// SendOnly nodes get transactions and are asked for nothing but their chain.
	SendOnly bool `toml:",omitempty"`
	// Order is 0 to 100, and nodes with a lower one are asked first; nil: 100.
	Order *uint8
}

// DefaultConfig is the configuration of a chain of which nothing but its id and nodes is given. The figures are those of
// the node's own reference configuration.
func DefaultConfig() Config {
	gwei := big.NewInt(1e9)
	wei := func(n int64) Wei { return Wei{*new(big.Int).Mul(big.NewInt(n), gwei)} }
	return Config{
		Enabled: true, PollInterval: section.Duration(time.Second), RequestTimeout: section.Duration(10 * time.Second),
		NoNewHeadsThreshold: section.Duration(3 * time.Minute), FinalityDepth: 50,
		LogBackfillDepth: 1000, LogBackfillBatchSize: 1000, RPCDefaultBatchSize: 100,
		NodePool:        NodePoolConfig{SelectionMode: "PriorityLevel", SyncThreshold: 5},
		GasLimitDefault: 500_000,
		FeeCapDefault:   wei(100), TipCapDefault: wei(1), FeeCapMax: wei(500), FeeBumpThreshold: 3, FeeBumpPercent: 20,
	}
}

// ParseConfig reads and checks a chain's section. Its errors name keys and lines, never values: addresses hold keys.
func ParseConfig(document []byte) (Config, error) {
	c := withPeculiarities(document)
	if err := section.Parse(document, &c); err != nil {
		return Config{}, err
	}
	c.fold(document)
	return c, c.check()
}

func (c Config) check() error {
	var problems section.Problems
	refuse := problems.Refuse
	id, ok := new(big.Int).SetString(c.ChainID, 10)
	refuse(!ok || id.Sign() <= 0 || !id.IsUint64(), "ChainID must be a decimal number from 1 to 2^64-1")
	problems.Period("PollInterval", c.PollInterval)
	problems.Period("RequestTimeout", c.RequestTimeout)
	refuse(c.FinalityDepth == 0, "FinalityDepth must be at least 1")
	refuse(c.NoNewHeadsThreshold < 0, "NoNewHeadsThreshold must not be negative")
	refuse(c.LogPollInterval < 0, "LogPollInterval must not be negative")
	refuse(c.LogBackfillBatchSize == 0, "LogBackfillBatchSize must be at least 1")
	refuse(c.RPCDefaultBatchSize == 0, "RPCDefaultBatchSize must be at least 1")
	problems.Selection("NodePool.SelectionMode", c.NodePool.SelectionMode)
	refuse(c.NodePool.NewHeadsPollInterval < 0, "NodePool.NewHeadsPollInterval must not be negative")
	reads := slices.ContainsFunc(c.Nodes, func(n NodeConfig) bool { return !n.SendOnly })
	refuse(c.Enabled && len(c.Nodes) > 0 && !reads, "Nodes must hold one that is not SendOnly")
	c.checkGas(refuse)
	refuse(c.Enabled && len(c.Nodes) == 0, "Nodes must hold at least one node")
	for i, node := range c.Nodes {
		problems.Node(i, node.Name)
		refuse(node.WSURL == "" && node.HTTPURL == "", "Nodes[%d] needs a WSURL or an HTTPURL", i)
		refuse(node.WSURL != "" && !node.WSURL.Is("ws", "wss"), "Nodes[%d].WSURL must be a ws:// or wss:// address", i)
		refuse(node.HTTPURL != "" && !node.HTTPURL.Is("http", "https"), "Nodes[%d].HTTPURL must be an http:// or https:// address", i)
	}
	return problems.Err()
}

// inOrder are the nodes by their Order.
func (c Config) inOrder() []NodeConfig {
	return section.InOrder(c.Nodes, func(n NodeConfig) *uint8 { return n.Order })
}

// ID implements service.Config.
func (c Config) ID() string { return c.ChainID }

// Serves implements service.Config.
func (c Config) Serves() bool { return c.Enabled }

// Redacted is the configuration as TOML without addresses, for operators.
func (c Config) Redacted() (string, error) { return section.Redacted(c) }

// Wei is an amount of the chain's coin: a whole number of wei, or a number with a unit from wei to tether.
type Wei struct{ big.Int }

var weiUnits = []struct {
	name   string
	digits int
}{
	{"tether", 30}, {"gether", 27}, {"mether", 24}, {"kether", 21}, {"ether", 18}, {"milli", 15}, {"micro", 12}, {"gwei", 9}, {"mwei", 6},
	{"kwei", 3}, {"wei", 0}, {"", 0},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (w *Wei) UnmarshalText(text []byte) error {
	number := strings.ToLower(strings.TrimSpace(string(text)))
	for _, unit := range weiUnits {
		if rest, ok := strings.CutSuffix(number, unit.name); ok {
			whole, fraction, _ := strings.Cut(strings.TrimSpace(rest), ".")
			if len(fraction) > unit.digits || len(whole) > 78 {
				break
			}
			digits := strings.ReplaceAll(whole, "_", "") + fraction + strings.Repeat("0", unit.digits-len(fraction))
			if strings.Trim(digits, "0123456789") != "" || whole+fraction == "" {
				break
			}
			if _, ok := w.SetString(digits, 10); ok && w.BitLen() <= 256 {
				return nil
			}
			break
		}
	}
	return errors.New("an amount of coins cannot be read; write it as in 100 gwei or 1000000000")
}

// MarshalText implements encoding.TextMarshaler.
func (w Wei) MarshalText() ([]byte, error) {
	if gwei, rest := new(big.Int).QuoRem(&w.Int, big.NewInt(1e9), new(big.Int)); rest.Sign() == 0 && gwei.Sign() > 0 {
		return []byte(gwei.String() + " gwei"), nil
	}
	return []byte(w.Int.String() + " wei"), nil
}
