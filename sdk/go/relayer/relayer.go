// Package relayer is the common part of the relayers of all chains: a pool of RPC nodes that passes calls on when a
// node fails, a poller whose cache answers while the chain does not, the durable queue that turns accepted reports into
// transactions, and the hub that sends configurations to the host.
//
// Above it, package section reads a chain's configuration, package service serves LOOP's contract, and package
// relayertest tests a relayer against faults.
//
// It must not know any chain: no addresses, no fees, no encodings. The interfaces Driver and Sender have what it needs
// from a chain.
package relayer
