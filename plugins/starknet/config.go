package starknet

import (
	"strings"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer/section"
	"github.com/loop-plugins/loop/sdk/go/stark"
)

// Config is what a user sets of one chain: its section of the node's configuration. A key that is left out has the default
// that DefaultConfig gives.
type Config struct {
	// ChainID is the network's name, such as SN_MAIN.
	ChainID string
	// Enabled false keeps the section but connects to nothing.
	Enabled bool
	// OCR2CachePollPeriod is how often nodes are asked for the newest block, and contracts for what they hold.
	OCR2CachePollPeriod section.Duration
	// OCR2CacheTTL is how old an answer about a contract may be.
	OCR2CacheTTL section.Duration
	// RequestTimeout is the longest wait for one answer of a node.
	RequestTimeout section.Duration
	// TxTimeout is how long a transaction may be out of blocks before it is signed anew on better terms.
	TxTimeout section.Duration
	// ConfirmationPoll is how often unfinished transactions are looked at, besides at each new block.
	ConfirmationPoll section.Duration
	// FeeMultiplier is by how much a transaction's bounds are above what its estimate says, in amounts and in prices.
	FeeMultiplier float64
	// FeeEstimationMaxAttempts is how often a fee is estimated whose nonce something else takes meanwhile.
	FeeEstimationMaxAttempts uint32
	// FeeToken is the contract of the token that fees are paid in.
	FeeToken stark.Felt
	// Nodes in the order of preference.
	Nodes []NodeConfig
}

// NodeConfig is one RPC node.
type NodeConfig struct {
	Name string
	URL  section.Secret
	// APIKey, if there is one, is sent with each call in the header x-apikey.
	APIKey section.Secret `toml:",omitempty"`
}

// strk is the contract of the token STRK, at the same address on every public network and in starknet-devnet.
const strk = "0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d"

// DefaultConfig is the configuration of a chain of which nothing but its id and nodes is given. The figures are those of the node's
// own reference configuration.
func DefaultConfig() Config {
	token, err := stark.ParseFelt(strk)
	if err != nil {
		panic(err) // a broken build, found by every test
	}
	return Config{
		Enabled: true, OCR2CachePollPeriod: section.Duration(5 * time.Second), OCR2CacheTTL: section.Duration(time.Minute), RequestTimeout: section.Duration(10 * time.Second),
		TxTimeout: section.Duration(time.Minute), ConfirmationPoll: section.Duration(5 * time.Second), FeeMultiplier: 1.5, FeeToken: token,
		FeeEstimationMaxAttempts: 5,
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
	_, err := stark.ShortString(c.ChainID)
	refuse(err != nil || c.ChainID == "", "ChainID must be a network's name of 1 to 31 ASCII characters")
	for _, setting := range []struct {
		name  string
		value section.Duration
	}{
		{"OCR2CachePollPeriod", c.OCR2CachePollPeriod}, {"OCR2CacheTTL", c.OCR2CacheTTL}, {"RequestTimeout", c.RequestTimeout}, {"TxTimeout", c.TxTimeout}, {"ConfirmationPoll", c.ConfirmationPoll},
	} {
		problems.Period(setting.name, setting.value)
	}
	refuse(c.OCR2CacheTTL < c.OCR2CachePollPeriod, "OCR2CacheTTL must be at least OCR2CachePollPeriod")
	refuse(!(c.FeeMultiplier >= 1 && c.FeeMultiplier <= 10), "FeeMultiplier must be from 1 to 10")
	refuse(c.FeeEstimationMaxAttempts < 1 || c.FeeEstimationMaxAttempts > 100,
		"FeeEstimationMaxAttempts must be from 1 to 100")
	refuse(c.FeeToken.IsZero(), "FeeToken must be a contract's address")
	refuse(c.Enabled && len(c.Nodes) == 0, "Nodes must hold at least one node")
	for i, node := range c.Nodes {
		problems.Node(i, node.Name)
		refuse(!node.URL.Is("http", "https"), "Nodes[%d].URL must be an http:// or https:// address", i)
		refuse(!isHeader(string(node.APIKey)),
			"Nodes[%d].APIKey must be a text of printable ASCII characters, since it is sent in a header", i)
	}
	return problems.Err()
}

// ID implements service.Config.
func (c Config) ID() string { return c.ChainID }

// Serves implements service.Config.
func (c Config) Serves() bool { return c.Enabled }

// Redacted is the configuration as TOML without addresses and keys of nodes, for operators.
func (c Config) Redacted() (string, error) { return section.Redacted(c) }

// isHeader tells whether a text can stand in a header.
func isHeader(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
