// Package stark is Starknet's arithmetic: field elements, the Pedersen and Poseidon hashes, and signatures on the Stark
// curve.
//
// It is a separate module, because the node signs with these keys and the relayer hashes with these functions, and
// neither may import the other. Curve and fields are gnark-crypto's. The hashes are our own: those of gnark-crypto, and
// so those of juno and starknet.go, compute tables for 150 ms when a process starts, even if it never uses Starknet.
// Those here are computed when first needed, in a few milliseconds.
//
// It must not know transactions, contracts, accounts or nodes.
package stark
