package relay

import (
	"maps"
	"slices"
	"strings"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/keystore"
)

// AccountAlgorithm is how the relayer's accounts sign.
func (r *Relayer) AccountAlgorithm() keystore.Algorithm {
	algorithm, _ := accountAlgorithm(r.description.GetAccountAlgorithm()) // check knows it
	return algorithm
}

// ReportAlgorithm is how the on-chain key of a new bundle signs: as reports of the first scheme are signed.
func (r *Relayer) ReportAlgorithm() keystore.Algorithm {
	algorithm, _ := reportAlgorithm(r.description.GetReportSchemes()[0].GetAlgorithm())
	return algorithm
}

// Schemes are how reports are signed, by the names of their schemes.
func (r *Relayer) Schemes() map[string]keystore.Algorithm {
	all := map[string]keystore.Algorithm{}
	for _, s := range r.description.GetReportSchemes() {
		all[s.GetName()], _ = reportAlgorithm(s.GetAlgorithm())
	}
	return all
}

func accountAlgorithm(a relayerv1.AccountAlgorithm) (keystore.Algorithm, bool) {
	algorithm, ok := map[relayerv1.AccountAlgorithm]keystore.Algorithm{
		relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1: keystore.Secp256k1,
		relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519:   keystore.Ed25519,
		relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_STARK:     keystore.Stark,
	}[a]
	return algorithm, ok
}

func reportAlgorithm(a relayerv1.ReportAlgorithm) (keystore.Algorithm, bool) {
	algorithm, ok := map[relayerv1.ReportAlgorithm]keystore.Algorithm{
		relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS: keystore.Secp256k1,
		relayerv1.ReportAlgorithm_REPORT_ALGORITHM_ED25519:           keystore.Ed25519,
		relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK:             keystore.Stark,
	}[a]
	return algorithm, ok
}

const (
	accountPrefix = "ACCOUNT_ALGORITHM_"
	reportPrefix  = "REPORT_ALGORITHM_"
)

// known lists the values of an enum but the one that is not set.
func known(names map[int32]string, prefix string) string {
	var all []string
	for _, value := range slices.Sorted(maps.Keys(names)) {
		if value != 0 {
			all = append(all, strings.TrimPrefix(names[value], prefix))
		}
	}
	return strings.Join(all, ", ")
}
