package starknet

import (
	"errors"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// zero is neither a key nor an account.
const zero = "0x0"

// accountName is the public key that signs for an account, without leading zeros. Which account that is, its contract
// decides.
func accountName(publicKey []byte) (string, error) {
	key, err := stark.FromBytes(publicKey)
	if err == nil && (len(publicKey) != len(key.Bytes()) || key.IsZero()) {
		err = errors.New("want the x of a point of the STARK curve in 32 bytes")
	}
	return key.String(), err
}

// spell writes a field element without leading zeros.
func spell(_ relayerv1.IdKind, text string) (string, error) {
	felt, err := stark.ParseFelt(text)
	if err != nil {
		return "", errors.New("is not a field element, which is 0x and a hexadecimal number below 2^251 + 17*2^192 + 1")
	}
	return felt.String(), nil
}

// readJob reads a job's relayConfig. The job's transactions are those of the account whose key is the transmitter.
func readJob(j *service.Job) {
	t := j.RelayConfig
	t.Text("nodeName")
	j.From = ""
	if t.Text("accountAddress") != "" {
		j.From = t.ID(relayerv1.IdKind_ID_KIND_CONTRACT, "accountAddress")
	} else if j.ProviderType == relayer.ProviderMedian {
		t.Problem("accountAddress", "no account address in relay config: name the account that sends reports")
	}
	if j.Transmitter == zero {
		j.Problem("transmitterID", "it must be the public key that signs for the account, which is not zero")
	}
	if j.From == zero {
		t.Problem("accountAddress", "the account that sends reports is not zero")
	}
}

// reportDigest is what the contract verifies signatures over.
func reportDigest(report service.Report) ([]byte, error) {
	hash, err := contextOf(report).ReportHash(report.Report)
	bytes := hash.Bytes()
	return bytes[:], err
}

func contextOf(report service.Report) aggregator.Context {
	return aggregator.Context{Digest: report.Digest, Epoch: report.Epoch, Round: report.Round.Round,
		ExtraHash: report.ExtraHash}
}
