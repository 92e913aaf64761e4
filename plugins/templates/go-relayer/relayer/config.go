package relayer

import (
	"fmt"
	"math/big"
	"time"

	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// Config is the configuration of one chain: its section of the node's configuration. Operators read the comments in the
// output of loop node config.
type Config struct {
	ChainID        string            `comment:"The chain's number, in decimal. Required."`
	Enabled        bool              `comment:"false keeps the table but starts nothing for it."`
	PollInterval   document.Duration `comment:"How often RPC nodes are asked for the newest block, 50ms to 5m." bounds:"50ms 5m"`
	RequestTimeout document.Duration `comment:"Longest wait for one answer of an RPC node, 100ms to 5m." bounds:"100ms 5m"`
	FinalityDepth  uint64            `comment:"Blocks on top of a transaction after which it is final, 1 to 100." bounds:"1 100"`
	GasLimit       uint64            `comment:"Gas limit of a transmission whose job names none, from 21000." bounds:"21000 100000000"`
	FeeCap         uint64            `comment:"Highest fee per gas of a first attempt in gwei, 1 to 1000000." bounds:"1 1000000"`
	TipCap         uint64            `comment:"Tip per gas of a first attempt in gwei, at most FeeCap."`
	FeeCapMax      uint64            `comment:"Highest fee per gas in gwei of any attempt, at least FeeCap."`
	BumpAfter      document.Duration `comment:"How long a transaction may stay out of blocks before its fee is raised, 1s to 1h." bounds:"1s 1h"`
	Accounts       []string          `comment:"Accounts that the relayer may sign with on this chain. Empty: all that the node has for it."`

	Nodes []Node `toml:",omitempty" comment:"The chain's RPC nodes: the next is used when one fails."`
}

// Node is one RPC node.
type Node struct {
	Name    string          `comment:"Name in logs and metrics, unique within the chain."`
	HTTPURL document.Secret `comment:"http:// or https:// address of its JSON-RPC. Required."`
}

// idle are keys that other relayers have for such chains, and why they have no effect here.
var idle = []document.Idle{{Keys: []string{"Nodes.WSURL"}, Why: "nodes are polled at their HTTPURL"}}

// defaults has the values of the keys that a section leaves out.
func defaults() Config {
	return Config{
		Enabled: true, PollInterval: document.Lasting(time.Second), RequestTimeout: document.Lasting(10 * time.Second),
		FinalityDepth: 50, GasLimit: 500_000,
		FeeCap: 100, TipCap: 1, FeeCapMax: 500, BumpAfter: document.Lasting(30 * time.Second),
		Accounts: []string{},
	}
}

// reference is a section with every key.
func reference() Config {
	c := defaults()
	c.ChainID = "1337"
	c.Nodes = []Node{{Name: "primary", HTTPURL: document.Example("http://127.0.0.1:8545")}}
	return c
}

// parseConfig reads a section of the name that operators write in its header, and finds all that is wrong with it.
func parseConfig(name string, text []byte) (Config, *document.Problems) {
	c := defaults()
	return c, section.Read(text, &c, idle, func(p *document.Problems) { c.check(p, name) })
}

func (c Config) check(p *document.Problems, name string) {
	nodes := make([]section.Node, len(c.Nodes))
	for at, node := range c.Nodes {
		nodes[at].Name = node.Name
	}
	chain := section.Check(p, name, c.ChainID, c.Enabled, nodes)
	if id, ok := new(big.Int).SetString(c.ChainID, 10); !ok || !id.IsUint64() || id.String() != c.ChainID {
		p.Add("ChainID", "%s is not a chain's number in decimal", document.Shown(c.ChainID))
	}
	document.Within(p, "TipCap", c.TipCap, 0, c.FeeCap)
	document.Within(p, "FeeCapMax", c.FeeCapMax, c.FeeCap, 1_000_000)
	for at, node := range c.Nodes {
		path := fmt.Sprintf("Nodes[%d].HTTPURL", at)
		if node.HTTPURL.IsEmpty() {
			p.Add(path, "%s has no HTTPURL", chain.Node(node.Name))
		}
		chain.Address(path, node.Name, node.HTTPURL, "http", "https")
	}
}

// ID implements service.Config.
func (c Config) ID() string { return c.ChainID }

// Serves implements service.Config.
func (c Config) Serves() bool { return c.Enabled }

// Redacted implements service.Config.
func (c Config) Redacted() (string, error) { return document.Write(c) }
