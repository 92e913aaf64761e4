// Package relayer gives a LOOP node access to a chain: one process of it serves every chain of its kind and every job
// on them. As it stands it is a small relayer of EVM chains.
//
// Package service of the SDK serves LOOP's contract. This package supplies what differs from chain to chain:
//
//   - the client of an RPC node, in endpoint.go;
//   - an account and its transactions, in account.go;
//   - what the contract holds and how it writes reports, in contract.go and codec.go;
//   - the configuration of a chain, in config.go.
//
// This file says which keys the chain uses and how things are named. chain.go puts everything together. Keys stay in
// the node.
package relayer

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// New makes a relayer without chains.
func New(settings service.Settings) *service.Relayer[Config] {
	return service.New(settings, service.Kind[Config]{
		Parse: parseConfig, Reference: reference(), Open: open,
		AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1, AccountName: accountName,
		ReportAlgorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS,
		Spell:           spell,
	})
}

// accountName is how operators call the account of a public key.
func accountName(publicKey []byte) (string, error) {
	key, err := crypto.UnmarshalPubkey(publicKey)
	if err != nil {
		return "", fmt.Errorf("want a point of secp256k1 in 65 bytes, got %d that are none", len(publicKey))
	}
	return crypto.PubkeyToAddress(*key).Hex(), nil
}

// spell gives an account or a contract its one spelling.
func spell(_ relayerv1.IdKind, text string) (string, error) {
	if len(text) != 42 || !common.IsHexAddress(text) {
		return "", errors.New("is not an address, which is 0x and 40 hexadecimal digits")
	}
	return common.HexToAddress(text).Hex(), nil
}

// digest is what an oracle signs of a report, as the contract computes it.
func digest(report service.Report) ([]byte, error) {
	words := report.Context()
	return crypto.Keccak256(crypto.Keccak256(report.Report), words[0][:], words[1][:], words[2][:]), nil
}
