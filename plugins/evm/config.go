package evm

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// Config is the configuration of one chain: its section of the node's configuration. A missing key has the default that
// DefaultConfig gives, or its own default for chains that need one.
type Config struct {
	ChainID              string            `comment:"The chain's number, in decimal. Required."`
	Enabled              bool              `comment:"false keeps the table but starts nothing for it."`
	PollInterval         document.Duration `comment:"How often the relayer asks for the newest block and reads contracts, 50ms to 5m." bounds:"50ms 5m"`
	RequestTimeout       document.Duration `comment:"Longest wait for one answer of an RPC node, 100ms to 5m." bounds:"100ms 5m"`
	NoNewHeadsThreshold  document.Duration `comment:"How long an RPC node may report no new block before it is used last, 0s to 24h; 0s: no limit, the default of chains that\nmake no empty blocks." bounds:"0s 24h"`
	FinalityDepth        uint32            `comment:"Blocks on top of a transaction after which it counts as final, 1 to 10000. Some chains have another default." bounds:"1 10000"`
	FinalityTagEnabled   bool              `comment:"Whether the chain's block \"finalized\" says what is final, in place of FinalityDepth."`
	FinalizedBlockOffset uint32            `comment:"How many of the newest final blocks do not count as final yet, 0 to 10000." bounds:"0 10000"`
	LogBackfillDepth     uint32            `comment:"How many blocks back contract events are read at start, 1 to 10000000." bounds:"1 10000000"`
	LogBackfillBatchSize uint32            `comment:"How many blocks one call reads events of, 1 to 1000000. If an RPC node allows fewer, the relayer finds out." bounds:"1 1000000"`
	LogPollInterval      document.Duration `comment:"Shortest time between two reads of a contract's events while none is pushed, 0s to 1h; 0s: at each new block." bounds:"0s 1h"`
	RPCDefaultBatchSize  uint32            `comment:"Most calls in one request, 1 to 1000. If an RPC node takes fewer, the relayer finds out." bounds:"1 1000"`
	GasLimitDefault      uint64            `comment:"Gas limit of a transmission whose job names none, at least 21000."`
	ChainType            string            `comment:"The family of a chain with rules of its own, such as scroll or arbitrum, if ChainID does not tell."`
	FeeCapDefault        Wei               `comment:"Highest fee per gas of a first attempt in mode FixedPrice, unless the base fee makes it too low, and highest tip of a first attempt\nin other modes."`
	TipCapDefault        Wei               `comment:"Tip per gas of a first attempt in mode FixedPrice or if no RPC node proposes one, and the least tip of a replacement where the\nchain is not cheap; at most FeeCapDefault."`
	FeeCapMax            Wei               `comment:"Highest fee per gas of any attempt, at least FeeCapDefault."`
	FeeBumpThreshold     uint32            `comment:"After how many blocks without a transaction its fee is raised; 0: never."`
	FeeBumpPercent       uint16            `comment:"By how many percent a fee is raised, 10 to 1000. RPC nodes refuse replacements below 10." bounds:"10 1000"`
	Accounts             []string          `comment:"Accounts that the relayer may sign with on this chain, as loop keys list shows them. Empty: every EVM account of the node."`

	NodePool     NodePoolConfig
	GasEstimator GasEstimatorConfig  `comment:"Further prices and gas limits. PriceMax, FeeCapDefault, TipCapDefault, BumpThreshold, BumpPercent and LimitDefault may be set here\ntoo. They take precedence over FeeCapMax and the chain's other keys of the same meaning."`
	Transactions TransactionsConfig  `comment:"The transactions of each account."`
	KeySpecific  []KeySpecificConfig `toml:",omitempty" comment:"Settings of single accounts."`

	Nodes []NodeConfig `toml:",omitempty" comment:"The chain's RPC nodes, in the order of preference: the next is used when one fails."`
}

// NodePoolConfig configures the selection of nodes.
type NodePoolConfig struct {
	SelectionMode        string            `comment:"Which RPC node is used first: PriorityLevel (by Order), HighestHead (the newest block) or RoundRobin (each in its turn)."`
	SyncThreshold        uint32            `comment:"How many blocks an RPC node may be behind the newest of all before it is used last, 0 to 10000; 0: no limit." bounds:"0 10000"`
	NewHeadsPollInterval document.Duration `comment:"How often an RPC node is asked for its newest block while it pushes none, 50ms to 5m; 0s: PollInterval."`
}

// NodeConfig is one RPC node. With both addresses, blocks and events are pushed over WSURL and calls are made over
// HTTPURL. The addresses may contain keys.
type NodeConfig struct {
	Name     string          `comment:"Name in logs and metrics, unique within the chain."`
	WSURL    document.Secret `comment:"ws:// or wss:// address, at which the RPC node pushes blocks and events. One of WSURL and HTTPURL is required."`
	HTTPURL  document.Secret `comment:"http:// or https:// address."`
	SendOnly bool            `comment:"Whether the RPC node only gets transactions. It is then asked for nothing but its chain."`
	Order    *uint8          `comment:"RPC nodes with a lower order are used first, 0 to 100. Left out: 100." bounds:"0 100"`
}

// DefaultConfig returns the configuration of a chain of which only its id and nodes are given.
func DefaultConfig() Config {
	return Config{
		Enabled: true, PollInterval: document.Lasting(time.Second), RequestTimeout: document.Lasting(10 * time.Second),
		NoNewHeadsThreshold: document.Lasting(3 * time.Minute), FinalityDepth: 50,
		LogBackfillDepth: 1000, LogBackfillBatchSize: 1000, RPCDefaultBatchSize: 100,
		NodePool:        NodePoolConfig{SelectionMode: "PriorityLevel", SyncThreshold: 5},
		GasLimitDefault: 500_000,
		FeeCapDefault:   gwei(100), TipCapDefault: gwei(1), FeeCapMax: gwei(500), FeeBumpThreshold: 3, FeeBumpPercent: 20,
		Accounts: []string{},
	}
}

// reference is a section with every key, for operators. Of keys with two names it has only one: an operator who changed
// the other would wonder that nothing happens.
func reference() Config {
	c := DefaultConfig()
	c.ChainID = "1337"
	c.GasEstimator = GasEstimatorConfig{
		Mode: "SuggestedPrice", EIP1559DynamicFees: new(true), PriceDefault: new(c.FeeCapDefault), PriceMin: new(Wei{}),
		TipCapMin: new(Wei{}), BumpMin: new(Wei{}), LimitMax: new(uint64(30_000_000)),
		LimitMultiplier: new(Multiplier{number: 1}),
		EstimateLimit:   new(false), LimitJobType: &LimitJobTypeConfig{OCR2: new(c.GasLimitDefault)},
		BlockHistory: &BlockHistoryConfig{BlockHistorySize: new(uint16(8)), TransactionPercentile: new(uint16(60))},
	}
	c.Transactions = TransactionsConfig{MaxInFlight: new(uint32(16)),
		ResendAfterThreshold: new(document.Lasting(30 * time.Second))}
	c.KeySpecific = []KeySpecificConfig{{
		Key: "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", GasEstimator: KeyGasEstimatorConfig{PriceMax: new(c.FeeCapMax)},
	}}
	c.Nodes = []NodeConfig{{
		Name: "primary", WSURL: document.Example("ws://127.0.0.1:8546"), HTTPURL: document.Example("http://127.0.0.1:8545"),
		Order: new(uint8(100)),
	}}
	return c
}

// ParseConfig reads and checks a chain's section with the name that operators write in its header.
func ParseConfig(name string, text []byte) (Config, *document.Problems) {
	c := withPeculiarities(text)
	problems := section.Read(text, &c, idle, func(p *document.Problems) {
		c.check(p, name)
		c.checkGas(p)
		c.fold(p)
		c.checkPrices(p)
	})
	return c, problems
}

// chainTypes are the families of chains that OCR2 nodes know by ChainType. Most need nothing of a relayer.
var chainTypes = []string{
	"arbitrum", "astar", "celo", "gnosis", "hedera", "jovay", "kaia", "kroma", "linea", "mantle", "metis",
	"optimismBedrock", "pharos", "rootstock", "scroll", "sei", "tron", "wemix", "xlayer", "zircuit", "zkevm", "zksync",
}

func (c Config) check(p *document.Problems, name string) {
	nodes := make([]section.Node, len(c.Nodes))
	for at, node := range c.Nodes {
		nodes[at] = section.Node{Name: node.Name, SendOnly: node.SendOnly}
	}
	chain := section.Check(p, name, c.ChainID, c.Enabled, nodes)
	if id, ok := new(big.Int).SetString(c.ChainID, 10); !ok || id.Sign() <= 0 || !id.IsUint64() ||
		id.String() != c.ChainID {
		p.Add("ChainID", "%s is not a chain's number in decimal, which is 1 to 2^64-1", document.Shown(c.ChainID))
	}
	known := func(kind string) bool { return strings.EqualFold(kind, c.ChainType) }
	if c.ChainType != "" && !slices.ContainsFunc(chainTypes, known) {
		document.OneOf(p, "ChainType", c.ChainType, chainTypes...)
	}
	chain.Selects("NodePool.SelectionMode", c.NodePool.SelectionMode)
	if poll := c.NodePool.NewHeadsPollInterval; poll.Duration != 0 {
		document.Lasts(p, "NodePool.NewHeadsPollInterval", poll, 50*time.Millisecond, 5*time.Minute)
	}
	for at, text := range c.Accounts {
		if _, err := account.Parse(text); err != nil {
			p.Add(fmt.Sprintf("Accounts[%d]", at), "%s"+notAccount, document.Shown(text))
		}
	}
	for at, node := range c.Nodes {
		path := fmt.Sprintf("Nodes[%d]", at)
		if node.WSURL.IsEmpty() && node.HTTPURL.IsEmpty() {
			p.Add(path, "%s has neither WSURL nor HTTPURL; give one of them", chain.Node(node.Name))
		}
		chain.Address(path+".WSURL", node.Name, node.WSURL, "ws", "wss")
		chain.Address(path+".HTTPURL", node.Name, node.HTTPURL, "http", "https")
	}
}

const notAccount = " is not an account, which is 0x and 40 hexadecimal digits"

// inOrder are the nodes by their Order.
func (c Config) inOrder() []NodeConfig {
	return section.InOrder(c.Nodes, func(n NodeConfig) *uint8 { return n.Order })
}

// ID implements service.Config.
func (c Config) ID() string { return c.ChainID }

// Serves implements service.Config.
func (c Config) Serves() bool { return c.Enabled }

// Redacted returns the configuration as TOML without addresses, for operators.
func (c Config) Redacted() (string, error) { return document.Write(c) }
