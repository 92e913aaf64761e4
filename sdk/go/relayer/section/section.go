// Package section is the common part of all chains' sections in the node's configuration: how a chain and its nodes are
// named, and how nodes are selected. Package document reads the sections. This package must not know any chain.
package section

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Chain is a section that is being checked.
type Chain struct {
	*document.Problems
	name  string          // of the chain, in problems
	names map[string]bool // of nodes
}

// Node is the common part of all nodes.
type Node struct {
	Name     string
	SendOnly bool
}

// Read reads a section into a configuration that holds the defaults, and checks it if it could be read whole.
func Read[C any](text []byte, into *C, idle []document.Idle, check func(p *document.Problems)) *document.Problems {
	problems, whole := document.Read(text, into, document.Settings{Idle: idle})
	if whole {
		check(problems)
	}
	return problems
}

// Check checks the common part of all sections: the chain's id, and that there are enough nodes to read it. kind is
// what operators write in the header of a section, such as EVM.
func Check(p *document.Problems, kind, id string, enabled bool, nodes []Node) *Chain {
	c := &Chain{Problems: p, name: fmt.Sprintf("%s chain %q", kind, id), names: map[string]bool{}}
	if id == "" {
		p.Add("ChainID", "every chain needs a ChainID")
	}
	switch {
	case !enabled:
	case len(nodes) == 0:
		p.Add("Nodes", "%s has no node; add a [[%s.Nodes]] or set Enabled = false", c.name, kind)
	case !slices.ContainsFunc(nodes, func(n Node) bool { return !n.SendOnly }):
		p.Add("Nodes", "every node of the chain is SendOnly; one must be for reading too")
	}
	for at, node := range nodes {
		path := fmt.Sprintf("Nodes[%d].Name", at)
		if node.Name == "" {
			p.Add(path, "a node of %s has no Name", c.name)
		} else if c.names[node.Name] {
			p.Add(path, "%s has the name of an earlier one", c.Node(node.Name))
		}
		c.names[node.Name] = true
	}
	return c
}

// Node returns the name of a node in problems.
func (c *Chain) Node(name string) string { return fmt.Sprintf("node %q of %s", name, c.name) }

// Address refuses a node's address that has another scheme.
func (c *Chain) Address(path, node string, address document.Secret, schemes ...string) {
	document.URL(c.Problems, path, c.Node(node), address, schemes...)
}

// selections are the established names of the ways to choose among the nodes of a chain. TotalDifficulty is
// HighestHead: chains without mining have no other.
var selections = []struct {
	name string
	mode relayer.Selection
}{
	{"PriorityLevel", relayer.InOrder}, {"HighestHead", relayer.HighestHead}, {"TotalDifficulty", relayer.HighestHead},
	{"RoundRobin", relayer.RoundRobin},
}

// Selection returns the mode of a name, and InOrder for a name that Selects refuses.
func Selection(name string) relayer.Selection {
	for _, known := range selections {
		if known.name == name {
			return known.mode
		}
	}
	return relayer.InOrder
}

// Selects refuses an unknown name of a mode.
func (c *Chain) Selects(path, name string) {
	var names []string
	for _, known := range selections {
		names = append(names, known.name)
	}
	document.OneOf(c.Problems, path, name, names...)
}

// lastOrder is the order of nodes that have none, the established node's default.
const lastOrder = 100

// InOrder sorts nodes by their order, and keeps the sequence of those with the same order.
func InOrder[N any](nodes []N, order func(N) *uint8) []N {
	of := func(n N) uint8 {
		if given := order(n); given != nil {
			return *given
		}
		return lastOrder
	}
	return slices.SortedStableFunc(slices.Values(nodes), func(a, b N) int { return cmp.Compare(of(a), of(b)) })
}
