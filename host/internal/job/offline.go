package job

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// unchecked notes a check that is left out.
func (d *document) unchecked(key, format string, arguments ...any) {
	d.report.Unchecked = append(d.report.Unchecked,
		Finding{Line: d.index.Line(key), Key: key, Stage: d.stage, Text: fmt.Sprintf(format, arguments...)})
}

// offline notes the checks that only the node that is to run the job can make, in the order of the file.
func (d *document) offline(spec *Spec, own ocr2Keys, s Settings) {
	chain := spec.Relay + " chain " + spec.ChainID
	leave := func(key, format string, arguments ...any) {
		// What is wrong in itself needs no node.
		if !slices.ContainsFunc(d.report.Problems, func(p Finding) bool { return p.Key == key }) {
			d.unchecked(key, format, arguments...)
		}
	}
	leave("contractID", "whether the node has a job for this contract already")
	if spec.Name != "" {
		leave("name", "whether another job of the node has this name")
	}
	if spec.ExternalJobID != uuid.Nil {
		leave("externalJobID", "whether the node has a job with this ID already")
	}
	if spec.ChainID != "" {
		leave("relayConfig.chainID", "whether the node has an enabled %s", chain)
	}
	if s.Relayers == nil || spec.Product != nil && spec.Product.ProviderType == "" {
		leave("relayConfig", "what the relayer of %s finds in it, and in the contract and the account", spec.Relay)
	}
	if spec.Product != nil && !found(s.Products, spec.Product.Name) {
		leave("pluginConfig.pluginName",
			"whether the node has the product %s, and what that finds in pluginConfig (CL_%s_CMD names its plugin)",
			spec.Product.Name, strings.ToUpper(spec.Product.Name))
	}
	if spec.Type == TypeOCR2 {
		if spec.KeyBundleID != "" {
			leave("ocrKeyBundleID", "whether the node has this key bundle, for %s", spec.Relay)
		} else {
			leave("ocrKeyBundleID", "whether the node names a key bundle for jobs that name none ([OCR2] KeyBundleID)")
		}
		if spec.TransmitterID != "" {
			leave("transmitterID", "whether the node has this account for %s, and which jobs send from it", chain)
		} else {
			leave("transmitterID", "which account of the node sends reports: the spec names none, and no node runs it so")
		}
		if len(spec.Bootstrappers) == 0 && !own.allowNoBootstrappers {
			leave("p2pv2Bootstrappers",
				"whether the node names bootstrappers for jobs that name none ([P2P.V2] DefaultBootstrappers)")
		}
		if spec.Isolated {
			leave("isolated", "whether the plugins of the job run as processes on the node")
		}
	}
	for _, source := range spec.Sources() {
		if source.Pipeline == nil {
			continue
		}
		for _, name := range source.Pipeline.Bridges() {
			d.unchecked(source.Key, "whether the node has the bridge %s", name)
		}
		for _, contract := range source.Pipeline.Chains() {
			if contract.ID != "" {
				d.unchecked(source.Key, "whether the node has chain %s, of which task %s reads a contract",
					contract.ID, contract.Task.ID)
			}
		}
	}
	slices.SortStableFunc(d.report.Unchecked, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
}
