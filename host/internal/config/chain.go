package config

import (
	"bytes"
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

// EVMChain is one chain of the EVM relayer. Its TOML form, one table without a name, is what the relayer plugin is given.
type EVMChain struct {
	ChainID          string   `comment:"The chain's number, in decimal. Required."`
	Enabled          bool     `comment:"false keeps the entry but starts nothing for it."`
	PollInterval     Duration `comment:"How often the relayer asks for the newest block and reads contracts, 50ms to 5m."`
	RequestTimeout   Duration `comment:"Longest wait for one answer of a node, 100ms to 5m."`
	FinalityDepth    uint32   `comment:"Blocks on top of a transaction after which it is taken as final, 1 to 10000."`
	LogBackfillDepth uint32   `comment:"How many blocks back contract events are read at start, 1 to 10000000."`
	GasLimitDefault  uint64   `comment:"Gas limit of a transmission when the job names none, at least 21000."`
	ChainType        string   `toml:",omitempty" comment:"A family of chains whose fees are peculiar, such as scroll or arbitrum, if ChainID does not tell."`
	FeeCapDefault    Wei      `comment:"Highest fee per gas of a first attempt, unless the base fee makes that too low."`
	TipCapDefault    Wei      `comment:"Tip per gas of a first attempt, unless a node proposes more; at most FeeCapDefault."`
	FeeCapMax        Wei      `comment:"Fee per gas that no attempt goes beyond, at least FeeCapDefault."`
	FeeBumpThreshold uint32   `comment:"Blocks that may leave out a transaction that a node has until its fee is raised; 0 never raises it."`
	FeeBumpPercent   uint16   `comment:"By how many per cent a fee is raised, 10 to 1000: nodes refuse replacements below 10."`
	Accounts         []string `comment:"Accounts that the relayer may sign with on this chain, as loop keys list shows them. Empty: every EVM account of the node."`

	GasEstimator *EVMGasEstimator `toml:",omitempty" comment:"Further prices and gas limits. PriceMax, FeeCapDefault, TipCapDefault, BumpThreshold, BumpPercent and LimitDefault may stand here\ntoo: they go before FeeCapMax and the chain's other keys of the same meaning."`
	Transactions *EVMTransactions `toml:",omitempty" comment:"The transactions of each account."`
	KeySpecific  []EVMKeySpecific `toml:",omitempty" comment:"What holds for single accounts."`

	Nodes []EVMNode `toml:",omitempty" comment:"The chain's nodes, in the order of preference: the next is used when one fails."`

	// given are those of the keys with defaults that the file has: the relayer has defaults of its own for some chains.
	given map[string]bool
}

// EVMNode is one RPC node. The addresses may hold keys.
type EVMNode struct {
	Name    string `comment:"Name in logs and metrics, unique within the chain."`
	WSURL   Secret `comment:"ws:// or wss:// address. One of WSURL and HTTPURL is required."`
	HTTPURL Secret `comment:"http:// or https:// address."`
}

func defaultEVMChain() EVMChain {
	return EVMChain{
		Enabled: true, PollInterval: seconds(1), RequestTimeout: seconds(10), FinalityDepth: 50, LogBackfillDepth: 1000,
		GasLimitDefault: 500_000, FeeCapDefault: gwei(100), TipCapDefault: gwei(1), FeeCapMax: gwei(500), FeeBumpThreshold: 3, FeeBumpPercent: 20,
		Accounts: []string{},
	}
}

// TOML returns the chain as the relayer plugin reads it, addresses in full: never log it. Which accounts it may use is no
// business of the relayer's: it is lent them and no others.
func (c EVMChain) TOML() ([]byte, error) {
	nodes := make([]EVMNode, len(c.Nodes))
	for at, node := range c.Nodes {
		nodes[at] = EVMNode{Name: node.Name, WSURL: node.WSURL.bared(), HTTPURL: node.HTTPURL.bared()}
	}
	c.Nodes = nodes
	without := struct {
		EVMChain
		Accounts         []string `toml:",omitempty"`
		FeeCapDefault    *Wei
		TipCapDefault    *Wei
		FeeCapMax        *Wei
		FeeBumpThreshold *uint32
		FeeBumpPercent   *uint16
	}{EVMChain: c}
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
