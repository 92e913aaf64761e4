package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// StarknetChain is one chain of the Starknet relayer. Its TOML form, one table without a name, is what the relayer plugin is given.
type StarknetChain struct {
	ChainID                  string   `comment:"SN_MAIN, SN_SEPOLIA, or another network's name as its nodes give it. Required."`
	Enabled                  bool     `comment:"false keeps the entry but starts nothing for it."`
	OCR2CachePollPeriod      Duration `comment:"How often nodes are asked for the newest block and contracts are read, 50ms to 5m."`
	OCR2CacheTTL             Duration `comment:"How old what was read may be, OCR2CachePollPeriod to 1h."`
	RequestTimeout           Duration `comment:"Longest wait for one answer of a node, 100ms to 5m."`
	TxTimeout                Duration `comment:"Time out of blocks after which a transaction is signed anew on better terms, 1s to 1h."`
	ConfirmationPoll         Duration `comment:"How often transactions under way are asked after, besides at each new block, 50ms to 5m."`
	FeeMultiplier            float64  `comment:"By how much the bounds of a transaction are above its estimate, in amounts and in prices, 1 to 10."`
	FeeEstimationMaxAttempts uint32   `comment:"How often a fee is estimated whose nonce something else takes meanwhile, 1 to 100."`
	FeeToken                 string   `comment:"Contract of the token that fees are paid in. Default: STRK."`
	Accounts                 []string `comment:"Keys that the relayer may sign with on this chain, as loop keys list shows them. Empty: every Starknet key of the node."`

	Nodes []StarknetNode `toml:",omitempty" comment:"The chain's nodes, in the order of preference: the next is used when one fails."`
}

// StarknetNode is one RPC node. The address may hold a key, too.
type StarknetNode struct {
	Name   string `comment:"Name in logs and metrics, unique within the chain."`
	URL    Secret `comment:"http:// or https:// address of the node's JSON-RPC 0.10, 0.9 or 0.8. Required."`
	APIKey Secret `comment:"Key that is sent with each call in the header x-apikey. Empty: none."`
}

// starknetIdle are the keys of the established node's Starknet chains that this relayer does not heed.
var starknetIdle = []idle{{
	keys: []string{"FeederURL"},
	why:  "what became of a transaction is asked of the chain's own nodes, and no feeder gateway",
}}

func defaultStarknetChain() StarknetChain {
	return StarknetChain{
		Enabled: true, OCR2CachePollPeriod: seconds(5), OCR2CacheTTL: minutes(1), RequestTimeout: seconds(10), TxTimeout: minutes(1), ConfirmationPoll: seconds(5),
		FeeMultiplier: 1.5, FeeEstimationMaxAttempts: 5, FeeToken: "0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d", Accounts: []string{},
	}
}

// TOML returns the chain as the relayer plugin reads it, addresses and keys in full: never log it. Which keys it may
// use is no business of the relayer's: it is lent them and no others.
func (c StarknetChain) TOML() ([]byte, error) {
	nodes := make([]StarknetNode, len(c.Nodes))
	for at, node := range c.Nodes {
		nodes[at] = StarknetNode{Name: node.Name, URL: node.URL.bared(), APIKey: node.APIKey.bared()}
	}
	c.Nodes = nodes
	without := struct {
		StarknetChain
		Accounts []string `toml:",omitempty"`
	}{StarknetChain: c}
	var document bytes.Buffer
	if err := toml.NewEncoder(&document).Encode(without); err != nil {
		return nil, fmt.Errorf("writing the configuration of Starknet chain %s as TOML: %w", c.ChainID, err)
	}
	return document.Bytes(), nil
}

// starknetFelt is a field element as loop keys list shows it; whether it is within the field, the relayer tells.
var starknetFelt = regexp.MustCompile(`^0x[1-9a-f][0-9a-f]{0,63}$`)

func (c StarknetChain) check(chains *chainCheck, path string) {
	p := chains.problems
	if chains.identity("Starknet", path, c.ChainID) && len(c.ChainID) > 31 {
		p.add(path+".ChainID", "%q has more than the 31 characters of a network's name", c.ChainID)
	}
	lasts(p, path+".OCR2CachePollPeriod", c.OCR2CachePollPeriod, 50*time.Millisecond, 5*time.Minute)
	lasts(p, path+".OCR2CacheTTL", c.OCR2CacheTTL, c.OCR2CachePollPeriod.Duration, time.Hour)
	lasts(p, path+".RequestTimeout", c.RequestTimeout, 100*time.Millisecond, 5*time.Minute)
	lasts(p, path+".TxTimeout", c.TxTimeout, time.Second, time.Hour)
	lasts(p, path+".ConfirmationPoll", c.ConfirmationPoll, 50*time.Millisecond, 5*time.Minute)
	within(p, path+".FeeMultiplier", c.FeeMultiplier, 1, 10)
	within(p, path+".FeeEstimationMaxAttempts", c.FeeEstimationMaxAttempts, 1, 100)
	if !starknetFelt.MatchString(c.FeeToken) {
		p.add(path+".FeeToken", "%q is not a contract's address, which is 0x and hexadecimal digits in lower case, without leading zeros", c.FeeToken)
	}
	for at, account := range c.Accounts {
		if !starknetFelt.MatchString(account) {
			p.add(fmt.Sprintf("%s.Accounts[%d]", path, at), "%q is not a public key, which is 0x and hexadecimal digits in lower case, without leading zeros", account)
		}
	}
	names := chains.nodes("Starknet", path, c.ChainID, c.Enabled, len(c.Nodes))
	for at, node := range c.Nodes {
		nodePath := fmt.Sprintf("%s.Nodes[%d]", path, at)
		who := names.node(nodePath, node.Name)
		if node.URL.IsEmpty() {
			p.add(nodePath+".URL", "%s has no URL", who)
		}
		checkURL(p, nodePath+".URL", who, node.URL, "http", "https")
		if strings.ContainsFunc(node.APIKey.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }) {
			p.add(nodePath+".APIKey",
				"the key of %s has characters that are not printable ASCII, and cannot be sent in a header", who)
		}
	}
}
