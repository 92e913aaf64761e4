package solana

import (
	"cmp"
	"fmt"
	"time"

	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// Config is the configuration of one chain: its section of the node's configuration. A missing key has the default that
// DefaultConfig gives.
type Config struct {
	ChainID                   string            `comment:"mainnet, testnet or devnet, or another name for any other network. Required."`
	Enabled                   bool              `comment:"false keeps the table but starts nothing for it."`
	OCR2CachePollPeriod       document.Duration `comment:"How often contracts are read, and RPC nodes without WSURL are asked for the newest slot, 50ms to 5m." bounds:"50ms 5m"`
	OCR2CacheTTL              document.Duration `comment:"How old may be what was read, OCR2CachePollPeriod to 1h."`
	BalancePollPeriod         document.Duration `comment:"How often the balances of transmitting accounts are read, 100ms to 1h." bounds:"100ms 1h"`
	ConfirmPollPeriod         document.Duration `comment:"How often the state of pending transactions is read, 50ms to 1m." bounds:"50ms 1m"`
	TxTimeout                 document.Duration `comment:"Longest wait for one answer of an RPC node, 100ms to 5m." bounds:"100ms 5m"`
	TxRetryPeriod             document.Duration `comment:"How often a transaction that is in no block is sent again until its blockhash expires, 100ms to 1m." bounds:"100ms 1m"`
	Commitment                string            `comment:"When a block counts: confirmed or finalized."`
	SkipPreflight             bool              `comment:"Whether transactions are sent without a trial run by the RPC node."`
	MaxRetries                int16             `comment:"How often an RPC node sends a transaction again by itself; -1: as it likes." bounds:"-1 32767"`
	FeeEstimatorMode          string            `comment:"fixed, or what others pay: blockhistory (the median price of the newest blocks) or recentfees (what an RPC node reports for the accounts that are written to)."`
	ComputeUnitPriceDefault   uint64            `comment:"Price of a first attempt, in micro-lamports per compute unit."`
	ComputeUnitPriceMin       uint64            `comment:"Lowest price of any attempt."`
	ComputeUnitPriceMax       uint64            `comment:"Highest price of any attempt, at most 1000000000000."`
	FeeBumpPeriod             document.Duration `comment:"How long a transaction may stay out of blocks before its price is doubled, 0s to 1m; 0s: never." bounds:"0s 1m"`
	BlockHistoryPollPeriod    document.Duration `comment:"How often blocks are read for their prices with FeeEstimatorMode blockhistory, 100ms to 5m." bounds:"100ms 5m"`
	BlockHistorySize          uint16            `comment:"How many of the newest blocks' medians are averaged, 1 to 300." bounds:"1 300"`
	BlockHistoryBatchLoadSize uint16            `comment:"How many blocks are read at once, 1 to 300." bounds:"1 300"`
	RecentFeesPercentile      uint16            `comment:"Percentile of a block's prices that recentfees asks for, in hundredths of a percent, 0 to 10000. Only some RPC nodes (Triton's) support it; 0: the lowest price, which all report." bounds:"0 10000"`
	BlockTime                 document.Duration `comment:"How long a slot takes, 50ms to 1m. It decides how many slots an RPC node may be behind." bounds:"50ms 1m"`
	ComputeUnitLimitDefault   uint32            `comment:"Compute units of a transmission whose job names no gasLimit, 1 to 1400000." bounds:"1 1400000"`
	EstimateComputeUnitLimit  bool              `comment:"Whether an RPC node estimates the compute units instead. A fifth is added."`
	Accounts                  []string          `comment:"Accounts that the relayer may sign with on this chain, as loop keys list shows them. Empty: every Solana account of the node."`

	MultiNode MultiNodeConfig `comment:"How an RPC node is chosen."`
	Nodes     []NodeConfig    `toml:",omitempty" comment:"The chain's RPC nodes, in the order of preference: the next is used when one fails."`
}

// MultiNodeConfig configures the selection of nodes.
type MultiNodeConfig struct {
	SelectionMode           string            `comment:"Which of the RPC nodes that serve equally well is used first: PriorityLevel (by Order), HighestHead (the newest slot) or RoundRobin (each in its turn)."`
	SyncThreshold           uint32            `comment:"How many slots an RPC node may be behind the newest before it is used last; 0: as many as take 12 s by BlockTime."`
	NodeNoNewHeadsThreshold document.Duration `comment:"How long an RPC node may report no new slot before it is used last, 0s to 1h; 0s: no limit." bounds:"0s 1h"`
}

// NodeConfig is one RPC node. The addresses may contain keys.
type NodeConfig struct {
	Name  string          `comment:"Name in logs and metrics, unique within the chain."`
	URL   document.Secret `comment:"http:// or https:// address. Required."`
	WSURL document.Secret `comment:"ws:// or wss:// address, at which the RPC node pushes slots and accounts. Without it they are polled."`

	SendOnly bool   `comment:"Whether the RPC node only gets transactions. It is then asked for nothing but its chain."`
	Order    *uint8 `comment:"RPC nodes with a lower order are used first, 0 to 100. Left out: 100." bounds:"0 100"`
}

// Values of Config.
const (
	commitmentConfirmed = "confirmed"
	commitmentFinalized = "finalized"
	estimatorFixed      = "fixed"
	estimatorBlocks     = "blockhistory"
	estimatorRecent     = "recentfees"
)

// DefaultConfig is the configuration of a chain of which nothing but its id and nodes is given. The figures are those
// of the established relayer (chainlink-solana's pkg/solana/config), but for the waits, of which this one has fewer,
// and the time of a slot, which it took for 500 ms.
func DefaultConfig() Config {
	return Config{
		Enabled: true, OCR2CachePollPeriod: document.Lasting(time.Second), OCR2CacheTTL: document.Lasting(time.Minute),
		BalancePollPeriod: document.Lasting(5 * time.Second), ConfirmPollPeriod: document.Lasting(500 * time.Millisecond),
		TxTimeout: document.Lasting(10 * time.Second), TxRetryPeriod: document.Lasting(2 * time.Second),
		Commitment: commitmentConfirmed, SkipPreflight: true, FeeEstimatorMode: estimatorFixed, ComputeUnitPriceMax: 1000,
		FeeBumpPeriod: document.Lasting(3 * time.Second), BlockHistoryPollPeriod: document.Lasting(5 * time.Second),
		BlockHistorySize: 1, BlockHistoryBatchLoadSize: 20, BlockTime: document.Lasting(200 * time.Millisecond),
		ComputeUnitLimitDefault: 200_000, Accounts: []string{}, MultiNode: MultiNodeConfig{SelectionMode: "PriorityLevel"},
	}
}

// reference is a section with every key, for operators.
func reference() Config {
	c := DefaultConfig()
	c.ChainID = "localnet"
	c.Nodes = []NodeConfig{{
		Name: "primary", URL: document.Example("http://127.0.0.1:8899"), WSURL: document.Example("ws://127.0.0.1:8900"),
		Order: new(uint8(100)),
	}}
	return c
}

// ParseConfig reads and checks a chain's section with the name that operators write in its header.
func ParseConfig(name string, text []byte) (Config, *document.Problems) {
	c := DefaultConfig()
	problems := section.Read(text, &c, idle, func(p *document.Problems) { c.check(p, name) })
	return c, problems
}

func (c Config) check(p *document.Problems, name string) {
	nodes := make([]section.Node, len(c.Nodes))
	for at, node := range c.Nodes {
		nodes[at] = section.Node{Name: node.Name, SendOnly: node.SendOnly}
	}
	chain := section.Check(p, name, c.ChainID, c.Enabled, nodes)
	document.Lasts(p, "OCR2CacheTTL", c.OCR2CacheTTL, c.OCR2CachePollPeriod.Duration, time.Hour)
	document.OneOf(p, "Commitment", c.Commitment, commitmentConfirmed, commitmentFinalized)
	document.OneOf(p, "FeeEstimatorMode", c.FeeEstimatorMode, estimatorFixed, estimatorBlocks, estimatorRecent)
	document.Within(p, "ComputeUnitPriceMax", c.ComputeUnitPriceMax, 0, maxPrice)
	if c.ComputeUnitPriceMin > c.ComputeUnitPriceMax {
		p.Add("ComputeUnitPriceMin", "%d is more than ComputeUnitPriceMax, %d", c.ComputeUnitPriceMin, c.ComputeUnitPriceMax)
	} else {
		document.Within(p, "ComputeUnitPriceDefault", c.ComputeUnitPriceDefault, c.ComputeUnitPriceMin, c.ComputeUnitPriceMax)
	}
	chain.Selects("MultiNode.SelectionMode", c.MultiNode.SelectionMode)
	for at, text := range c.Accounts {
		if _, err := account.Parse(text); err != nil {
			p.Add(fmt.Sprintf("Accounts[%d]", at), "%s is not an account, which is 32 bytes in base58", document.Shown(text))
		}
	}
	for at, node := range c.Nodes {
		path := fmt.Sprintf("Nodes[%d]", at)
		if node.URL.IsEmpty() {
			p.Add(path+".URL", "%s has no URL", chain.Node(node.Name))
		}
		chain.Address(path+".URL", node.Name, node.URL, "http", "https")
		chain.Address(path+".WSURL", node.Name, node.WSURL, "ws", "wss")
	}
}

const (
	// maxUnits is agave's MAX_COMPUTE_UNIT_LIMIT.
	maxUnits = 1_400_000
	// maxPrice makes a transmission of 200,000 units cost 200 SOL in fees: more is a mistake.
	maxPrice = 1e12
)

// ordered are the nodes in the order in which they are asked.
func (c Config) ordered() []NodeConfig {
	return section.InOrder(c.Nodes, func(n NodeConfig) *uint8 { return n.Order })
}

// maxLag is how many slots a node may be behind the newest.
func (c Config) maxLag() uint64 {
	const lag = 12 * time.Second
	return cmp.Or(uint64(c.MultiNode.SyncThreshold), max(uint64(lag/c.BlockTime.Duration), 1))
}

// ID implements service.Config.
func (c Config) ID() string { return c.ChainID }

// Serves implements service.Config.
func (c Config) Serves() bool { return c.Enabled }

// Redacted returns the configuration as TOML without addresses, for operators.
func (c Config) Redacted() (string, error) { return document.Write(c) }
