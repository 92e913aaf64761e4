// Package rpc serves a network of package chain as nodes of Starknet do, by JSON-RPC 0.8, 0.9 or 0.10 over HTTP, and
// makes the nodes fail on demand.
//
// It must not know what is deployed on the network.
package rpc

import (
	"errors"
	"fmt"

	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// Settings say what to serve.
type Settings struct {
	// Nodes is how many nodes serve the network; 0: one.
	Nodes int
	// Versions of the JSON-RPC that the nodes serve, which take them in turn; none: the newest.
	Versions []chain.Version
}

// Network is a chain with nodes that serve it on free ports of 127.0.0.1. Close ends the nodes, and not the chain.
type Network struct {
	chain   *chain.Chain
	version chain.Version // of the first node, and of the admin's
	nodes   []*Node
	admin   *listener
}

// Start serves a chain.
func Start(c *chain.Chain, settings Settings) (*Network, error) {
	if len(settings.Versions) == 0 {
		settings.Versions = []chain.Version{chain.Version10}
	}
	n := &Network{chain: c, version: settings.Versions[0]}
	for i := range max(settings.Nodes, 1) {
		node := &Node{chain: c, version: settings.Versions[i%len(settings.Versions)]}
		n.nodes = append(n.nodes, node)
		if err := node.start(); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	n.admin = &listener{handler: handler{methods: n.adminMethods()}}
	if err := n.admin.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// URLs are where the nodes serve.
func (n *Network) URLs() []string {
	var urls []string
	for _, node := range n.nodes {
		urls = append(urls, node.listener.url())
	}
	return urls
}

// AdminURL serves what the first node serves, without faults, and the methods that begin with loop_.
func (n *Network) AdminURL() string { return n.admin.url() }

// Fail gives a node a fault in the place of the one that it had. The zero Fault heals it.
func (n *Network) Fail(node int, fault Fault) error {
	if node < 0 || node >= len(n.nodes) {
		return fmt.Errorf("there is no node %d, they are 0 to %d", node, len(n.nodes)-1)
	}
	return n.nodes[node].fail(fault)
}

// Close ends the nodes and frees their ports.
func (n *Network) Close() error {
	var errs []error
	for _, node := range n.nodes {
		errs = append(errs, node.close())
	}
	if n.admin != nil {
		errs = append(errs, n.admin.close())
	}
	return errors.Join(errs...)
}
