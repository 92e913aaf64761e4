package doctor

import (
	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/health"
)

// OfPart reports the health of a part of the node, so that the doctor and the health agree. OfJob reports more about
// jobs.
func OfPart(p health.Part) []*nodev1.Finding {
	checks := map[health.Kind]string{
		health.KindPlugin: Plugin, health.KindChain: Chain, health.KindBridge: Bridge, health.KindDatabase: Database,
		health.KindConfiguration: Configuration,
	}
	check, known := checks[p.Kind]
	switch {
	case !known || p.Level == health.Running:
		return nil
	case p.Level == health.Failed:
		return []*nodev1.Finding{Failed(check, p.Name, p.Reason, p.Remedy)}
	}
	return []*nodev1.Finding{Warning(check, p.Name, p.Reason, p.Remedy)}
}
