package doctor

import (
	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/health"
)

// OfPart says of a part of the node what its health says, so that both say the same. Of jobs OfJob has more to say.
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
