package oracle

import (
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/oracle/deadline"
)

// minQueryVariable is what sets the least time for a query, see config.Environment.
const minQueryVariable = "CL_MIN_OCR2_MAX_DURATION_QUERY"

// budgetsOf are the times that a contract's configuration gives the parts of a round, and what comes before; nil for
// one that libocr cannot read, as its own errors say. In OCR3 only the times of decisions end a call, and the node
// gives these at least some seconds.
func budgetsOf(config types.ContractConfig, version int, minQuery time.Duration) []health.Budget {
	if version == ocr3Version {
		public, err := ocr3confighelper.PublicConfigFromContractConfig(true, config)
		if err != nil {
			return nil
		}
		return append(initialization(public.MaxDurationInitialization),
			health.Budget{Name: "MaxDurationObservation", Time: public.MaxDurationObservation, Observes: true, Advice: true})
	}
	public, err := confighelper.PublicConfigFromContractConfig(true, config)
	if err != nil {
		return nil
	}
	return append(initialization(public.MaxDurationInitialization), []health.Budget{
		{Name: "MaxDurationQuery", Time: public.MaxDurationQuery, Least: minQuery, Variable: minQueryVariable},
		{Name: "MaxDurationObservation", Time: public.MaxDurationObservation, Observes: true},
		{Name: "MaxDurationReport", Time: public.MaxDurationReport},
		{Name: "MaxDurationShouldAcceptFinalizedReport", Time: public.MaxDurationShouldAcceptFinalizedReport},
		{Name: "MaxDurationShouldTransmitAcceptedReport", Time: public.MaxDurationShouldTransmitAcceptedReport},
	}...)
}

// initialization is the time for making a reporting plugin, if the configuration sets one and not the node.
func initialization(set *time.Duration) []health.Budget {
	if set == nil {
		return nil
	}
	return []health.Budget{{Name: "MaxDurationInitialization", Time: *set, Least: deadline.Floor}}
}
