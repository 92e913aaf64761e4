package solana

import (
	"errors"
	"fmt"

	sol "github.com/gagliardetto/solana-go"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// accountName is a public key in base58.
func accountName(publicKey []byte) (string, error) {
	if len(publicKey) != sol.PublicKeyLength {
		return "", fmt.Errorf("want a key of Ed25519 in %d bytes, got %d", sol.PublicKeyLength, len(publicKey))
	}
	return sol.PublicKeyFromBytes(publicKey).String(), nil
}

// spell takes a public key as it is: base58 has one form of it.
func spell(_ relayerv1.IdKind, text string) (string, error) {
	if _, err := account.Parse(text); err != nil {
		return "", errors.New("is not a public key, which is 32 bytes in base58")
	}
	return text, nil
}

// readJob reads a job's relayConfig.
func readJob(j *service.Job) { accountsOf(j) }

// accountsOf are the accounts that make up a job's contract; zero where the job names none.
func accountsOf(j *service.Job) ocr2.Contract {
	key := func(text string) sol.PublicKey {
		key, _ := account.Parse(text) // whose form is known, unless it is empty
		return key
	}
	t := j.RelayConfig
	t.Ignored("nodeEndpointHTTP")
	const kind = relayerv1.IdKind_ID_KIND_CONTRACT
	return ocr2.Contract{
		Program: key(t.ID(kind, "ocr2ProgramID")), Feed: key(t.ID(kind, "transmissionsID")),
		Store: key(t.ID(kind, "storeProgramID")),
		State: key(j.Contract),
	}
}

// reportDigest is what the program verifies signatures over.
func reportDigest(report service.Report) ([]byte, error) {
	return ocr2.ReportHash(report.Context(), report.Report)
}
