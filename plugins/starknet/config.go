package starknet

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

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
	OCR2CachePollPeriod Duration
	// OCR2CacheTTL is how old an answer about a contract may be.
	OCR2CacheTTL Duration
	// RequestTimeout is the longest wait for one answer of a node.
	RequestTimeout Duration
	// TxTimeout is how long a transaction may be out of blocks before it is signed anew on better terms.
	TxTimeout Duration
	// ConfirmationPoll is how often unfinished transactions are looked at, besides at each new block.
	ConfirmationPoll Duration
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
	URL  Secret
	// APIKey, if there is one, is sent with each call in the header x-apikey.
	APIKey Secret `toml:",omitempty"`
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
		Enabled: true, OCR2CachePollPeriod: Duration(5 * time.Second), OCR2CacheTTL: Duration(time.Minute), RequestTimeout: Duration(10 * time.Second),
		TxTimeout: Duration(time.Minute), ConfirmationPoll: Duration(5 * time.Second), FeeMultiplier: 1.5, FeeToken: token,
		FeeEstimationMaxAttempts: 5,
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
	_, err := stark.ShortString(c.ChainID)
	refuse(err != nil || c.ChainID == "", "ChainID must be a network's name of 1 to 31 ASCII characters")
	for _, setting := range []struct {
		name  string
		value Duration
	}{
		{"OCR2CachePollPeriod", c.OCR2CachePollPeriod}, {"OCR2CacheTTL", c.OCR2CacheTTL}, {"RequestTimeout", c.RequestTimeout}, {"TxTimeout", c.TxTimeout}, {"ConfirmationPoll", c.ConfirmationPoll},
	} {
		refuse(setting.value < Duration(10*time.Millisecond), "%s must be at least 10ms", setting.name)
	}
	refuse(c.OCR2CacheTTL < c.OCR2CachePollPeriod, "OCR2CacheTTL must be at least OCR2CachePollPeriod")
	refuse(!(c.FeeMultiplier >= 1 && c.FeeMultiplier <= 10), "FeeMultiplier must be from 1 to 10")
	refuse(c.FeeEstimationMaxAttempts < 1 || c.FeeEstimationMaxAttempts > 100,
		"FeeEstimationMaxAttempts must be from 1 to 100")
	refuse(c.FeeToken.IsZero(), "FeeToken must be a contract's address")
	refuse(c.Enabled && len(c.Nodes) == 0, "Nodes must hold at least one node")
	names := map[string]bool{}
	for i, node := range c.Nodes {
		refuse(node.Name == "", "Nodes[%d].Name must not be empty", i)
		refuse(names[node.Name], "Nodes[%d].Name is that of another node", i)
		names[node.Name] = true
		refuse(!isHTTP(string(node.URL)), "Nodes[%d].URL must be an http:// or https:// address", i)
		refuse(!isHeader(string(node.APIKey)),
			"Nodes[%d].APIKey must be a text of printable ASCII characters, since it is sent in a header", i)
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// Redacted is the configuration as TOML without addresses and keys of nodes, for operators.
func (c Config) Redacted() (string, error) {
	c.Nodes = append([]NodeConfig(nil), c.Nodes...)
	for i := range c.Nodes {
		c.Nodes[i].URL, c.Nodes[i].APIKey = c.Nodes[i].URL.redacted(), c.Nodes[i].APIKey.redacted()
	}
	document, err := toml.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write the configuration as TOML: %w", err)
	}
	return string(document), nil
}

// Secret is a node's key, or its address, which may hold one. It prints as a placeholder.
type Secret string

func (s Secret) redacted() Secret {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// String implements fmt.Stringer.
func (s Secret) String() string { return string(s.redacted()) }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return string(s.redacted()) }

func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// isHeader tells whether a text can stand in a header.
func isHeader(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

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
