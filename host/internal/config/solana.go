package config

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// SolanaChain is one chain of the Solana relayer. Its TOML form, one table without a name, is what the relayer plugin is given.
type SolanaChain struct {
	ChainID                   string   `comment:"mainnet, testnet or devnet, or any other name for a network that is none of them. Required."`
	Enabled                   bool     `comment:"false keeps the entry but starts nothing for it."`
	OCR2CachePollPeriod       Duration `comment:"How often contracts are read and nodes without WSURL asked for the newest slot, 50ms to 5m."`
	OCR2CacheTTL              Duration `comment:"How old what was read may be, OCR2CachePollPeriod to 1h."`
	BalancePollPeriod         Duration `comment:"How often the balances of transmitting accounts are read, 1s to 1h."`
	ConfirmPollPeriod         Duration `comment:"How often transactions under way are asked after, 50ms to 1m."`
	TxTimeout                 Duration `comment:"Longest wait for one answer of a node, 100ms to 5m."`
	TxRetryPeriod             Duration `comment:"How often a transaction that is in no block is sent again until its blockhash expires, 100ms to 1m."`
	Commitment                string   `comment:"From when on a block counts: confirmed or finalized."`
	SkipPreflight             bool     `comment:"true sends transactions without having a node try them first."`
	MaxRetries                int16    `comment:"How often a node sends a transaction again by itself; -1 leaves it to the node."`
	FeeEstimatorMode          string   `comment:"fixed; or at least what others pay: blockhistory, the median price of the newest blocks; recentfees, what a node tells of the accounts that are written to."`
	ComputeUnitPriceDefault   uint64   `comment:"Price of a first attempt, in micro-lamports per compute unit."`
	ComputeUnitPriceMin       uint64   `comment:"Lowest price of any attempt."`
	ComputeUnitPriceMax       uint64   `comment:"Highest price of any attempt, at most 1000000000000."`
	FeeBumpPeriod             Duration `comment:"Time without inclusion after which a price is doubled, 0s to 1m; 0s never raises it."`
	BlockHistoryPollPeriod    Duration `comment:"How often blocks are read for their prices with FeeEstimatorMode blockhistory, 1s to 5m."`
	BlockHistorySize          uint16   `comment:"Of how many newest blocks the medians are averaged, 1 to 300."`
	BlockHistoryBatchLoadSize uint16   `comment:"How many blocks are read at once, 1 to 300."`
	RecentFeesPercentile      uint16   `comment:"Percentile of a block's prices that recentfees asks for, in hundredths of a percent, of nodes of Triton's kind; 0: the least price, which all nodes tell."`
	BlockTime                 Duration `comment:"How long a slot takes, 50ms to 1m: it tells how many slots a node may be behind."`
	ComputeUnitLimitDefault   uint32   `comment:"Compute units of a transmission when the job names no gasLimit, 1 to 1400000."`
	EstimateComputeUnitLimit  bool     `comment:"true asks a node for the compute units instead, and adds a fifth."`
	Accounts                  []string `comment:"Accounts that the relayer may sign with on this chain, as loop keys list shows them. Empty: every Solana account of the node."`

	MultiNode SolanaMultiNode `comment:"How the nodes are chosen from."`
	Nodes     []SolanaNode    `toml:",omitempty" comment:"The chain's nodes, in the order of preference: the next is used when one fails."`
}

// SolanaMultiNode is [Solana.MultiNode].
type SolanaMultiNode struct {
	SelectionMode           string   `comment:"Which of the nodes that serve equally well is asked first: PriorityLevel, that of the lowest Order; HighestHead, that with the newest slot; or RoundRobin, each in its turn."`
	SyncThreshold           uint32   `comment:"How many slots a node may be behind the newest before the others are asked first; 0: 12 s of them, by BlockTime."`
	NodeNoNewHeadsThreshold Duration `comment:"How long a node may tell of no new slot before the others are asked first, 0s to 1h; 0s: for ever."`
}

// SolanaNode is one RPC node. The addresses may hold keys.
type SolanaNode struct {
	Name  string `comment:"Name in logs and metrics, unique within the chain."`
	URL   Secret `comment:"http:// or https:// address. Required."`
	WSURL Secret `comment:"ws:// or wss:// address, over which the node pushes slots and accounts. Without it they are polled."`

	SendOnly bool   `comment:"true sends transactions to the node and asks it for nothing but its chain."`
	Order    *uint8 `comment:"Nodes with a lower one are asked first, 0 to 100. Left out: 100."`
}

func defaultSolanaChain() SolanaChain {
	milliseconds := func(n int) Duration { return Duration{Duration: time.Duration(n) * time.Millisecond} }
	return SolanaChain{
		Enabled: true, OCR2CachePollPeriod: seconds(1), OCR2CacheTTL: minutes(1), BalancePollPeriod: seconds(5), ConfirmPollPeriod: milliseconds(500),
		TxTimeout: seconds(10), TxRetryPeriod: seconds(2), Commitment: "confirmed", SkipPreflight: true, FeeEstimatorMode: "fixed", ComputeUnitPriceMax: 1000,
		FeeBumpPeriod: seconds(3), BlockHistoryPollPeriod: seconds(5), BlockHistorySize: 1, BlockHistoryBatchLoadSize: 20, BlockTime: milliseconds(200),
		ComputeUnitLimitDefault: 200_000, Accounts: []string{},
		MultiNode: SolanaMultiNode{SelectionMode: "PriorityLevel"},
	}
}

// TOML returns the chain as the relayer plugin reads it, addresses in full: never log it. Which accounts it may use is no
// business of the relayer's: it is lent them and no others.
func (c SolanaChain) TOML() ([]byte, error) {
	nodes := make([]SolanaNode, len(c.Nodes))
	for at, node := range c.Nodes {
		node.URL, node.WSURL = node.URL.bared(), node.WSURL.bared()
		nodes[at] = node
	}
	c.Nodes = nodes
	without := struct {
		SolanaChain
		Accounts []string `toml:",omitempty"`
	}{SolanaChain: c}
	var document bytes.Buffer
	if err := toml.NewEncoder(&document).Encode(without); err != nil {
		return nil, fmt.Errorf("writing the configuration of Solana chain %s as TOML: %w", c.ChainID, err)
	}
	return document.Bytes(), nil
}

var solanaAccount = regexp.MustCompile(`^[1-9A-HJ-NP-Za-km-z]{32,44}$`)

func (c SolanaChain) check(chains *chainCheck, path string) {
	const maxPrice, maxUnits, maxBlocks = 1_000_000_000_000, 1_400_000, 300
	p := chains.problems
	chains.identity("Solana", path, c.ChainID)
	lasts(p, path+".OCR2CachePollPeriod", c.OCR2CachePollPeriod, 50*time.Millisecond, 5*time.Minute)
	lasts(p, path+".OCR2CacheTTL", c.OCR2CacheTTL, c.OCR2CachePollPeriod.Duration, time.Hour)
	lasts(p, path+".BalancePollPeriod", c.BalancePollPeriod, time.Second, time.Hour)
	lasts(p, path+".ConfirmPollPeriod", c.ConfirmPollPeriod, 50*time.Millisecond, time.Minute)
	lasts(p, path+".TxTimeout", c.TxTimeout, 100*time.Millisecond, 5*time.Minute)
	lasts(p, path+".TxRetryPeriod", c.TxRetryPeriod, 100*time.Millisecond, time.Minute)
	oneOf(p, path+".Commitment", c.Commitment, "confirmed", "finalized")
	oneOf(p, path+".FeeEstimatorMode", c.FeeEstimatorMode, "fixed", "blockhistory", "recentfees")
	within(p, path+".MaxRetries", c.MaxRetries, -1, math.MaxInt16)
	lasts(p, path+".FeeBumpPeriod", c.FeeBumpPeriod, 0, time.Minute)
	lasts(p, path+".BlockHistoryPollPeriod", c.BlockHistoryPollPeriod, time.Second, 5*time.Minute)
	within(p, path+".BlockHistorySize", c.BlockHistorySize, 1, maxBlocks)
	within(p, path+".BlockHistoryBatchLoadSize", c.BlockHistoryBatchLoadSize, 1, maxBlocks)
	within(p, path+".RecentFeesPercentile", c.RecentFeesPercentile, 0, 10_000)
	lasts(p, path+".BlockTime", c.BlockTime, 50*time.Millisecond, time.Minute)
	within(p, path+".ComputeUnitLimitDefault", c.ComputeUnitLimitDefault, 1, maxUnits)
	within(p, path+".ComputeUnitPriceMax", c.ComputeUnitPriceMax, 0, maxPrice)
	if c.ComputeUnitPriceMin > c.ComputeUnitPriceMax {
		p.add(path+".ComputeUnitPriceMin", "%d is more than ComputeUnitPriceMax, %d", c.ComputeUnitPriceMin, c.ComputeUnitPriceMax)
	} else {
		within(p, path+".ComputeUnitPriceDefault", c.ComputeUnitPriceDefault, c.ComputeUnitPriceMin, c.ComputeUnitPriceMax)
	}
	modes := []string{"PriorityLevel", "HighestHead", "TotalDifficulty", "RoundRobin"}
	if !slices.Contains(modes, c.MultiNode.SelectionMode) {
		p.add(path+".MultiNode.SelectionMode", "%q is not one of %s", c.MultiNode.SelectionMode, strings.Join(modes, ", "))
	}
	lasts(p, path+".MultiNode.NodeNoNewHeadsThreshold", c.MultiNode.NodeNoNewHeadsThreshold, 0, time.Hour)
	for at, account := range c.Accounts {
		if !solanaAccount.MatchString(account) {
			p.add(fmt.Sprintf("%s.Accounts[%d]", path, at), "%q is not an account, which is 32 bytes in base58", account)
		}
	}
	names := chains.nodes("Solana", path, c.ChainID, c.Enabled, len(c.Nodes))
	for at, node := range c.Nodes {
		nodePath := fmt.Sprintf("%s.Nodes[%d]", path, at)
		who := names.node(nodePath, node.Name)
		if node.Order != nil {
			within(p, nodePath+".Order", *node.Order, 0, 100)
		}
		if node.URL.IsEmpty() {
			p.add(nodePath+".URL", "%s has no URL", who)
		}
		checkURL(p, nodePath+".URL", who, node.URL, "http", "https")
		checkURL(p, nodePath+".WSURL", who, node.WSURL, "ws", "wss")
	}
}
