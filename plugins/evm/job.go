package evm

import (
	"errors"
	"fmt"
	"math"
	"regexp"

	"github.com/ethereum/go-ethereum/crypto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

var (
	digits = regexp.MustCompile(`^(?:0X)?([0-9a-fA-F]{40})$`)
	feedID = regexp.MustCompile(`^0x[0-9a-fA-F]{64}$`)
	whole  = regexp.MustCompile(`^(0|[1-9][0-9]{0,77})$`)
)

// accountName is the address of a public key with the checksum of EIP-55.
func accountName(publicKey []byte) (string, error) {
	key, err := crypto.UnmarshalPubkey(publicKey)
	if err != nil {
		return "", fmt.Errorf("want a point of secp256k1 in 65 bytes, got %d that are none", len(publicKey))
	}
	return crypto.PubkeyToAddress(*key).Hex(), nil
}

// spell puts 0x before an address that lacks it, as established nodes take it, and gives it the checksum of EIP-55.
func spell(_ relayerv1.IdKind, text string) (string, error) {
	address, err := account.Parse(digits.ReplaceAllString(text, "0x$1"))
	if err != nil {
		return "", errors.New("is not an address, which is 0x and 40 hexadecimal digits")
	}
	return address.Hex(), nil
}

// readJob reads a job's relayConfig, and refuses what this relayer would do otherwise than the job says.
func readJob(j *service.Job) {
	t := j.RelayConfig
	if j.ChainID != "" && !whole.MatchString(j.ChainID) {
		t.Problem("chainID", "%q is not a whole number, as the chains of evm have", j.ChainID)
	}
	t.Whole("fromBlock", math.MaxInt64)
	t.Whole("defaultTransactionQueueDepth", math.MaxUint32)
	for _, key := range []string{"simulateTransactions", "enableTriggerCapability"} {
		t.Flag(key)
	}
	for _, key := range []string{"chainReader", "codec", "dualTransmission"} {
		t.Table(key)
	}
	if id := t.Text("feedID"); id != "" && !feedID.MatchString(id) {
		t.Problem("feedID", "%q is not 0x and 64 hexadecimal digits", id)
	}
	if t.Flag("enableDualTransmission") {
		t.Problem("enableDualTransmission", "this relayer sends each report once; remove the key")
	}
	if t.Text("configContractAddress") != "" {
		address := t.ID(relayerv1.IdKind_ID_KIND_CONTRACT, "configContractAddress")
		t.Set("configContractAddress", address)
		if address != "" && address != j.Contract {
			t.Problem("configContractAddress", "this relayer reads the configuration from the aggregator itself; remove the key")
		}
	}
	// The established node fills both in before the relayer sees them.
	senders := t.Texts("sendingKeys")
	for i, sender := range senders {
		senders[i] = digits.ReplaceAllString(sender, "0x$1")
	}
	if len(senders) == 0 && j.Transmitter != "" {
		senders = []string{j.Transmitter}
	}
	if len(senders) > 0 {
		t.Set("sendingKeys", senders)
	}
	effective := j.Transmitter
	if given := t.Text("effectiveTransmitterID"); given != "" {
		effective = t.ID(relayerv1.IdKind_ID_KIND_ACCOUNT, "effectiveTransmitterID")
		if effective != "" && j.Transmitter != "" && effective != j.Transmitter {
			t.Problem("effectiveTransmitterID", "this relayer does not send through forwarders; remove the key")
		}
	}
	if effective != "" {
		t.Set("effectiveTransmitterID", effective)
	}
}

// reportDigest is keccak256(keccak256(report) || context), as the contract computes it.
func reportDigest(report service.Report) ([]byte, error) {
	words := report.Context()
	return crypto.Keccak256(crypto.Keccak256(report.Report), words[0][:], words[1][:], words[2][:]), nil
}
