package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// EVMNodePool is of the choice of a chain's nodes.
type EVMNodePool struct {
	SelectionMode        string   `comment:"Which node is asked first: PriorityLevel (by Order), HighestHead (the newest block) or RoundRobin (each in its turn)."`
	SyncThreshold        uint32   `comment:"Blocks that a node may be behind the newest of all before it is asked last, 0 to 10000; 0: any."`
	NewHeadsPollInterval Duration `comment:"How often a node is asked for its newest block while it pushes none, 50ms to 5m; 0s: PollInterval."`
}

// chainTypes are the families of chains that OCR2 nodes know by ChainType. Most need nothing of a relayer.
var chainTypes = []string{
	"arbitrum", "astar", "celo", "gnosis", "hedera", "jovay", "kaia", "kroma", "linea", "mantle", "metis",
	"optimismBedrock", "pharos", "rootstock", "scroll", "sei", "tron", "wemix", "xlayer", "zircuit", "zkevm", "zksync",
}

// evmSelections are the modes by which a node is chosen. The difficulty of chains without mining is their height.
var evmSelections = []string{"PriorityLevel", "HighestHead", "TotalDifficulty", "RoundRobin"}

// checkNetwork reports what is wrong with how the chain is read.
func (c EVMChain) checkNetwork(p *problems, path string) {
	known := func(kind string) bool { return strings.EqualFold(kind, c.ChainType) }
	if c.ChainType != "" && !slices.ContainsFunc(chainTypes, known) {
		p.add(path+".ChainType", "%q is not one of %s", c.ChainType, strings.Join(chainTypes, ", "))
	}
	lasts(p, path+".PollInterval", c.PollInterval, 50*time.Millisecond, 5*time.Minute)
	lasts(p, path+".RequestTimeout", c.RequestTimeout, 100*time.Millisecond, 5*time.Minute)
	lasts(p, path+".NoNewHeadsThreshold", c.NoNewHeadsThreshold, 0, 24*time.Hour)
	lasts(p, path+".LogPollInterval", c.LogPollInterval, 0, time.Hour)
	within(p, path+".LogBackfillDepth", c.LogBackfillDepth, 1, 10_000_000)
	within(p, path+".LogBackfillBatchSize", c.LogBackfillBatchSize, 1, 1_000_000)
	within(p, path+".RPCDefaultBatchSize", c.RPCDefaultBatchSize, 1, 1000)
	within(p, path+".FinalityDepth", c.FinalityDepth, 1, 10_000)
	within(p, path+".FinalizedBlockOffset", c.FinalizedBlockOffset, 0, 10_000)
	if mode := c.NodePool.SelectionMode; !slices.Contains(evmSelections, mode) {
		p.add(path+".NodePool.SelectionMode", "%q is not one of %s", mode, strings.Join(evmSelections, ", "))
	}
	within(p, path+".NodePool.SyncThreshold", c.NodePool.SyncThreshold, 0, 10_000)
	if poll := c.NodePool.NewHeadsPollInterval; poll.bad != "" || poll.Duration != 0 {
		lasts(p, path+".NodePool.NewHeadsPollInterval", poll, 50*time.Millisecond, 5*time.Minute)
	}
	for at, node := range c.Nodes {
		if node.Order != nil {
			within(p, fmt.Sprintf("%s.Nodes[%d].Order", path, at), *node.Order, 0, 100)
		}
	}
	if c.Enabled && len(c.Nodes) > 0 && !slices.ContainsFunc(c.Nodes, func(n EVMNode) bool { return !n.SendOnly }) {
		p.add(path+".Nodes", "every node of the chain is SendOnly; one must be for reading too")
	}
}
