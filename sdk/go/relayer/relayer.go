// Package relayer is what relayers of every chain share: a pool of RPC nodes that are left for one another when they
// fail, a poller whose cache answers while the chain does not, the durable queue by which accepted reports become
// transactions, and the hub that tells the host of configurations.
//
// Above it, package section reads a chain's configuration, package service serves LOOP's contract, and package
// relayertest tries a relayer against what goes wrong.
//
// It must not know any chain: no addresses, no fees, no encodings. What it needs of a chain stands in the interfaces
// Driver and Sender.
package relayer
