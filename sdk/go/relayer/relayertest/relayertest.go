// Package relayertest is the kit that tests relayers against faults: a Store in memory that fails on demand, and a
// JSON-RPC server that is down, hangs, lags, lies, limits or answers pages of HTML.
//
// It must not know any chain, and only tests may import it.
package relayertest
