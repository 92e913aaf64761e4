// Package relayertest is the kit by which relayers are tried against what goes wrong: a Store in memory that fails on
// demand, and a JSON-RPC server that is down, hangs, lags, lies, limits or answers pages of HTML.
//
// It must not know any chain, and nothing but tests may import it.
package relayertest
