// Package faults makes the faults of the field on nodes that run, one after another, and checks what the nodes say
// about each. docs/troubleshooting.md is made from their table.
package faults

import (
	"net/http"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// chapters is the table.
func chapters() []chapter {
	return []chapter{
		starting(), refusing(), contracts(), sources(), chains(), reloading(), plugins(), machines(),
	}
}

// TestFaults makes every fault. Those that end a start have nodes of their own, those of contracts are jobs of one
// node, and of the others each chapter has a node, with a feed that goes on by three nodes that are well.
func TestFaults(t *testing.T) {
	n := newNetwork(t)
	alone := newScene(t, n, "")
	alone.environ(noQuery)
	ofSources, ofChains := newScene(t, n, "sources"), newScene(t, n, "chain")
	ofPlugins, ofMachines := newScene(t, n, "plugins"), newScene(t, n, "machine")
	ofPlugins.outOfProcess()
	ofPlugins.node.config += "\n[Plugins.Median]\nMemoryLimit = \"128MiB\"\n"
	ofMachines.outOfProcess()
	ofMachines.more = "isolated = true"
	ofMachines.small()
	scenes := []*scene{alone, ofSources, ofChains, ofPlugins, ofMachines}
	nodes := n.company
	for _, s := range scenes {
		nodes = append(nodes, s.node)
	}
	startAll(t, nodes...)
	p := newPrometheus(t, nodes...)
	var accounts []common.Address
	for _, node := range nodes {
		if node != ofChains.node { // which begins without
			accounts = append(accounts, common.HexToAddress(node.keys.account))
		}
	}
	n.fund(t, accounts...)
	for _, s := range scenes {
		s.prometheus = p
		s.node.bridge(t, "prices", s.adapter.url())
	}
	well := newGate(t, func(w http.ResponseWriter, _ *http.Request) { n.answer(w, "company") })
	for _, c := range n.company {
		c.bridge(t, "prices", well.url())
	}
	t.Run("all", func(t *testing.T) {
		for _, part := range []struct {
			name string
			run  func(*testing.T)
		}{
			{"starting", func(t *testing.T) { runStarting(t, n) }},
			{"jobs", func(t *testing.T) { runRefusing(t, n, alone.node); runContracts(t, n, p, alone.node) }},
			{"sources", func(t *testing.T) { runSources(t, ofSources) }},
			{"chains", func(t *testing.T) { runChains(t, ofChains); runReloading(t, ofChains) }},
			{"plugins", func(t *testing.T) { runPlugins(t, ofPlugins) }},
			{"machines", func(t *testing.T) { runMachines(t, ofMachines) }},
		} {
			t.Run(part.name, func(t *testing.T) {
				t.Parallel()
				part.run(t)
			})
		}
	})
}
