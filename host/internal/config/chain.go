package config

import (
	"bytes"
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

// EVMChain is one chain of the EVM relayer. Its TOML form, one table without a name, is what the relayer plugin is given.
type EVMChain struct {
	ChainID              string   `comment:"The chain's number, in decimal. Required."`
	Enabled              bool     `comment:"false keeps the entry but starts nothing for it."`
	PollInterval         Duration `comment:"How often the relayer asks for the newest block and reads contracts, 50ms to 5m."`
	RequestTimeout       Duration `comment:"Longest wait for one answer of a node, 100ms to 5m."`
	NoNewHeadsThreshold  Duration `comment:"How long a node may tell of no new block before it is asked last, 0s to 24h; 0s: for ever. The default of chains that make\nno empty blocks."`
	FinalityDepth        uint32   `comment:"Blocks on top of a transaction after which it is taken as final, 1 to 10000. Some chains have another default."`
	FinalityTagEnabled   bool     `comment:"true takes as final what the chain's block \"finalized\" has, whatever FinalityDepth is."`
	FinalizedBlockOffset uint32   `comment:"Blocks by which final ones are taken to be fewer, 0 to 10000."`
	LogBackfillDepth     uint32   `comment:"How many blocks back contract events are read at start, 1 to 10000000."`
	LogBackfillBatchSize uint32   `comment:"Of how many blocks one call reads events, 1 to 1000000. Nodes that allow fewer are found out."`
	LogPollInterval      Duration `comment:"Shortest time between two reads of a contract's events while none is pushed, 0s to 1h; 0s: at each new block."`
	RPCDefaultBatchSize  uint32   `comment:"Most calls in one request, 1 to 1000. Nodes that take fewer, or one, are found out."`
	GasLimitDefault      uint64   `comment:"Gas limit of a transmission when the job names none, at least 21000."`
	ChainType            string   `toml:",omitempty" comment:"The family of a chain that is peculiar, such as scroll or arbitrum, if ChainID does not tell."`
	FeeCapDefault        Wei      `comment:"Highest fee per gas of a first attempt, unless the base fee makes that too low."`
	TipCapDefault        Wei      `comment:"Tip per gas of a first attempt, unless a node proposes more; at most FeeCapDefault."`
	FeeCapMax            Wei      `comment:"Fee per gas that no attempt goes beyond, at least FeeCapDefault."`
	FeeBumpThreshold     uint32   `comment:"Blocks that may leave out a transaction that a node has until its fee is raised; 0 never raises it."`
	FeeBumpPercent       uint16   `comment:"By how many per cent a fee is raised, 10 to 1000: nodes refuse replacements below 10."`
	Accounts             []string `comment:"Accounts that the relayer may sign with on this chain, as loop keys list shows them. Empty: every EVM account of the node."`

	NodePool     EVMNodePool
	GasEstimator *EVMGasEstimator `toml:",omitempty" comment:"Further prices and gas limits. PriceMax, FeeCapDefault, TipCapDefault, BumpThreshold, BumpPercent and LimitDefault may stand here\ntoo: they go before FeeCapMax and the chain's other keys of the same meaning."`
	Transactions *EVMTransactions `toml:",omitempty" comment:"The transactions of each account."`
	KeySpecific  []EVMKeySpecific `toml:",omitempty" comment:"What holds for single accounts."`

	Nodes []EVMNode `toml:",omitempty" comment:"The chain's nodes, in the order of preference: the next is used when one fails."`

	// given are those of the keys with defaults that the file has: the relayer has defaults of its own for some chains.
	given map[string]bool
}

// EVMNode is one RPC node. The addresses may hold keys.
type EVMNode struct {
	Name     string `comment:"Name in logs and metrics, unique within the chain."`
	WSURL    Secret `comment:"ws:// or wss:// address, over which the node pushes blocks and events. One of WSURL and HTTPURL is required."`
	HTTPURL  Secret `comment:"http:// or https:// address."`
	SendOnly bool   `toml:",omitempty" comment:"true sends transactions to the node and asks it for nothing but its chain."`
	Order    *uint8 `comment:"Nodes with a lower one are asked first, 0 to 100. Left out: 100."`
}

func defaultEVMChain() EVMChain {
	return EVMChain{
		Enabled: true, PollInterval: seconds(1), RequestTimeout: seconds(10), NoNewHeadsThreshold: minutes(3),
		FinalityDepth:    50,
		LogBackfillDepth: 1000, LogBackfillBatchSize: 1000, RPCDefaultBatchSize: 100,
		NodePool:        EVMNodePool{SelectionMode: "PriorityLevel", SyncThreshold: 5},
		GasLimitDefault: 500_000, FeeCapDefault: gwei(100), TipCapDefault: gwei(1), FeeCapMax: gwei(500), FeeBumpThreshold: 3, FeeBumpPercent: 20,
		Accounts: []string{},
	}
}

// TOML returns the chain as the relayer plugin reads it, addresses in full: never log it. Which accounts it may use is no
// business of the relayer's: it is lent them and no others.
func (c EVMChain) TOML() ([]byte, error) {
	nodes := make([]EVMNode, len(c.Nodes))
	for at, node := range c.Nodes {
		node.WSURL, node.HTTPURL = node.WSURL.bared(), node.HTTPURL.bared()
		nodes[at] = node
	}
	c.Nodes = nodes
	without := struct {
		EVMChain
		Accounts            []string `toml:",omitempty"`
		NoNewHeadsThreshold *Duration
		FinalityDepth       *uint32
		FeeCapDefault       *Wei
		TipCapDefault       *Wei
		FeeCapMax           *Wei
		FeeBumpThreshold    *uint32
		FeeBumpPercent      *uint16
	}{EVMChain: c}
	keep(c.given, "NoNewHeadsThreshold", &without.NoNewHeadsThreshold, c.NoNewHeadsThreshold)
	keep(c.given, "FinalityDepth", &without.FinalityDepth, c.FinalityDepth)
	keep(c.given, "FeeCapDefault", &without.FeeCapDefault, c.FeeCapDefault)
	keep(c.given, "TipCapDefault", &without.TipCapDefault, c.TipCapDefault)
	keep(c.given, "FeeCapMax", &without.FeeCapMax, c.FeeCapMax)
	keep(c.given, "FeeBumpThreshold", &without.FeeBumpThreshold, c.FeeBumpThreshold)
	keep(c.given, "FeeBumpPercent", &without.FeeBumpPercent, c.FeeBumpPercent)
	var document bytes.Buffer
	if err := toml.NewEncoder(&document).Encode(without); err != nil {
		return nil, fmt.Errorf("writing the configuration of EVM chain %s as TOML: %w", c.ChainID, err)
	}
	return document.Bytes(), nil
}

// keep sets what the file gives.
func keep[T any](given map[string]bool, key string, to **T, value T) {
	if given[key] {
		*to = &value
	}
}
