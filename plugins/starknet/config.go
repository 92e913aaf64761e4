package starknet

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// Config is the configuration of one chain: its section of the node's configuration. A missing key has the default that
// DefaultConfig gives.
type Config struct {
	ChainID                  string            `comment:"SN_MAIN, SN_SEPOLIA, or another network's name as its RPC nodes give it. Required."`
	Enabled                  bool              `comment:"false keeps the table but starts nothing for it."`
	OCR2CachePollPeriod      document.Duration `comment:"How often RPC nodes are asked for the newest block and contracts are read, 50ms to 5m." bounds:"50ms 5m"`
	OCR2CacheTTL             document.Duration `comment:"How old may be what was read, OCR2CachePollPeriod to 1h."`
	RequestTimeout           document.Duration `comment:"Longest wait for one answer of an RPC node, 100ms to 5m." bounds:"100ms 5m"`
	TxTimeout                document.Duration `comment:"How long a transaction may stay out of blocks before it is signed again with a higher fee, 100ms to 1h." bounds:"100ms 1h"`
	ConfirmationPoll         document.Duration `comment:"How often the state of pending transactions is read, besides at each new block, 50ms to 5m." bounds:"50ms 5m"`
	FeeMultiplier            float64           `comment:"Factor by which a transaction's limits are above its estimate, in amounts and in prices, 1 to 10." bounds:"1 10"`
	FeeMax                   float64           `comment:"Most that a transaction may cost, in STRK, which is 10^18 FRI, 0.001 to 100000. A transaction costs what it uses at the block's prices, and bounds are estimates with room." bounds:"0.001 100000"`
	FeeEstimationMaxAttempts uint32            `comment:"How often the estimate of a fee is tried while something else takes its nonce, 1 to 100." bounds:"1 100"`
	FeeToken                 Felt              `comment:"Contract of the token that fees are paid in. Default: STRK."`
	Accounts                 []string          `comment:"Keys that the relayer may sign with on this chain, as loop keys list shows them. Empty: every Starknet key of the node."`

	Nodes []NodeConfig `toml:",omitempty" comment:"The chain's RPC nodes, in the order of preference: the next is used when one fails."`
}

// NodeConfig is one RPC node. The address may also contain a key.
type NodeConfig struct {
	Name   string          `comment:"Name in logs and metrics, unique within the chain."`
	URL    document.Secret `comment:"http:// or https:// address of the RPC node, for JSON-RPC 0.10, 0.9 or 0.8. Required."`
	APIKey document.Secret `comment:"Key that is sent with each call in the header x-apikey. Empty: none."`
}

// idle are the keys of the established node's Starknet chains that this relayer does not heed.
var idle = []document.Idle{{
	Keys: []string{"FeederURL"},
	Why:  "what became of a transaction is asked of the chain's own nodes, and no feeder gateway",
}}

// strk is the contract of the token STRK, at the same address on every public network and in starknet-devnet.
const strk = "0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d"

// DefaultConfig returns the configuration of a chain of which only its id and nodes are given.
func DefaultConfig() Config {
	token, err := stark.ParseFelt(strk)
	if err != nil {
		panic(err) // a broken build, found by every test
	}
	return Config{
		Enabled: true, OCR2CachePollPeriod: document.Lasting(5 * time.Second), OCR2CacheTTL: document.Lasting(time.Minute),
		RequestTimeout: document.Lasting(10 * time.Second), TxTimeout: document.Lasting(time.Minute),
		ConfirmationPoll: document.Lasting(5 * time.Second), FeeMultiplier: 1.5, FeeMax: 100,
		FeeEstimationMaxAttempts: 5,
		FeeToken:                 Felt{Felt: token},
		Accounts:                 []string{},
	}
}

// ParseConfig reads and checks a chain's section with the name that operators write in its header.
func ParseConfig(name string, text []byte) (Config, *document.Problems) {
	c := DefaultConfig()
	problems := section.Read(text, &c, idle, func(p *document.Problems) { c.check(p, name) })
	return c, problems
}

// reference is a section with every key, for operators.
func reference() Config {
	c := DefaultConfig()
	c.ChainID = "SN_SEPOLIA"
	c.Nodes = []NodeConfig{{Name: "primary", URL: document.Example("http://127.0.0.1:5050")}}
	return c
}

func (c Config) check(p *document.Problems, name string) {
	nodes := make([]section.Node, len(c.Nodes))
	for at, node := range c.Nodes {
		nodes[at].Name = node.Name
	}
	chain := section.Check(p, name, c.ChainID, c.Enabled, nodes)
	if len(c.ChainID) > 31 {
		p.Add("ChainID", "%q has more than the 31 characters of a network's name", c.ChainID)
	} else if _, err := stark.ShortString(c.ChainID); err != nil {
		p.Add("ChainID", "%q is not a network's name, which has ASCII characters alone", c.ChainID)
	}
	document.Lasts(p, "OCR2CacheTTL", c.OCR2CacheTTL, c.OCR2CachePollPeriod.Duration, time.Hour)
	for at, account := range c.Accounts {
		if !written.MatchString(account) {
			p.Add(fmt.Sprintf("Accounts[%d]", at),
				"%s is not a public key, which is 0x and hexadecimal digits in lower case, without leading zeros",
				document.Shown(account))
		}
	}
	for at, node := range c.Nodes {
		path := fmt.Sprintf("Nodes[%d]", at)
		if node.URL.IsEmpty() {
			p.Add(path+".URL", "%s has no URL", chain.Node(node.Name))
		}
		chain.Address(path+".URL", node.Name, node.URL, "http", "https")
		if strings.ContainsFunc(node.APIKey.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }) {
			p.Add(path+".APIKey", "the key of %s has characters that are not printable ASCII, and cannot be sent in a header",
				chain.Node(node.Name))
		}
	}
}

// written is a field element as loop keys list shows it.
var written = regexp.MustCompile(`^0x[1-9a-f][0-9a-f]{0,63}$`)

// Felt is the address of a contract. An invalid text is kept for Fault.
type Felt struct {
	stark.Felt
	bad string
}

// Fault implements document.Faulty.
func (f Felt) Fault() string { return f.bad }

// UnmarshalText reads an address.
func (f *Felt) UnmarshalText(text []byte) error {
	felt, err := stark.ParseFelt(string(text))
	*f = Felt{Felt: felt}
	if err != nil || felt.IsZero() || !written.Match(text) {
		f.bad = document.Shown(string(text)) +
			" is not a contract's address, which is 0x and hexadecimal digits in lower case, without leading zeros"
	}
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (f Felt) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// feeMax is FeeMax in FRI; 0 if it is out of bounds, which lets nothing through.
func (c Config) feeMax() *big.Int {
	if !(c.FeeMax <= 100_000) { // or is not a number
		return new(big.Int)
	}
	fri, _ := new(big.Float).Mul(big.NewFloat(c.FeeMax), big.NewFloat(1e18)).Int(nil)
	return fri
}

// ID implements service.Config.
func (c Config) ID() string { return c.ChainID }

// Serves implements service.Config.
func (c Config) Serves() bool { return c.Enabled }

// Redacted returns the configuration as TOML without addresses and keys of nodes, for operators.
func (c Config) Redacted() (string, error) { return document.Write(c) }
