package job

import (
	"context"
	"slices"
)

// start checks what the job needs to run, and fills in the values that the node chooses. It reports whether the
// relayer, if there is one, has answered.
func (d *document) start(ctx context.Context, spec *Spec, relayConfig table, own ocr2Keys, s Settings) (answered bool) {
	t := d.top
	if spec.Type == TypeOCR2 && spec.TransmitterID == "" && !s.Offline {
		d.problem(t.line("transmitterID"), "transmitterID",
			"expected a transmitterID to be specified: the account that sends reports")
	}
	if spec.Type == TypeBootstrap {
		if !known(s.Relayers, spec.Relay) {
			d.noRelay(spec.Relay, s.Relayers)
			return false
		}
		d.timing(spec)
	}
	answered = d.relay(ctx, spec, relayConfig, s)

	if spec.BlockchainTimeout == 0 {
		spec.BlockchainTimeout = s.OCR2.BlockchainTimeout.Duration
	}
	if spec.ContractConfigTrackerPollInterval == 0 {
		spec.ContractConfigTrackerPollInterval = s.OCR2.ContractPollInterval.Duration
	}
	if spec.ContractConfigConfirmations == 0 {
		spec.ContractConfigConfirmations = s.OCR2.ContractConfirmations
	}
	if spec.Type == TypeOCR2 {
		if len(spec.Bootstrappers) == 0 {
			spec.Bootstrappers = slices.Clone(s.DefaultBootstrappers)
		}
		if len(spec.Bootstrappers) == 0 && !own.allowNoBootstrappers && !s.Offline {
			d.problem(t.line("p2pv2Bootstrappers"), "p2pv2Bootstrappers",
				"no bootstrappers: name some here or in [P2P.V2] DefaultBootstrappers, or set allowNoBootstrappers = true")
		}
		if spec.KeyBundleID == "" {
			spec.KeyBundleID = s.OCR2.KeyBundleID
		}
		if spec.KeyBundleID == "" && !s.Offline {
			d.problem(t.line("ocrKeyBundleID"), "ocrKeyBundleID", "no key bundle: name one here or in [OCR2] KeyBundleID")
		}
		if spec.Product != nil {
			d.askProduct(ctx, spec, s)
		} else {
			spec.PluginConfig = d.pluginConfig(t.sub("pluginConfig"))
		}
	}
	return answered
}
