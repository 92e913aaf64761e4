package relay

import (
	"maps"
	"slices"
	"strings"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/keystore"
)

// AccountAlgorithm returns how the relayer's accounts sign.
func (r *Relayer) AccountAlgorithm() keystore.Algorithm {
	return accountAlgorithms[r.description.GetAccountAlgorithm()]
}

// ReportAlgorithm returns how the on-chain key of a new bundle signs: by the algorithm of the first scheme.
func (r *Relayer) ReportAlgorithm() keystore.Algorithm {
	return reportAlgorithms[r.description.GetReportSchemes()[0].GetAlgorithm()]
}

// Schemes returns how reports are signed, by the names of their schemes.
func (r *Relayer) Schemes() map[string]keystore.Algorithm {
	all := map[string]keystore.Algorithm{}
	for _, s := range r.description.GetReportSchemes() {
		all[s.GetName()] = reportAlgorithms[s.GetAlgorithm()]
	}
	return all
}

// The keystore's algorithms by the contract's. check refuses a description with others.
var (
	accountAlgorithms = map[relayerv1.AccountAlgorithm]keystore.Algorithm{
		relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1: keystore.Secp256k1,
		relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519:   keystore.Ed25519,
		relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_STARK:     keystore.Stark,
	}
	reportAlgorithms = map[relayerv1.ReportAlgorithm]keystore.Algorithm{
		relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS: keystore.Secp256k1,
		relayerv1.ReportAlgorithm_REPORT_ALGORITHM_ED25519:           keystore.Ed25519,
		relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK:             keystore.Stark,
	}
)

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
