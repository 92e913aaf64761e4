package node

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/web"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// health is the node's health as /health has it.
func (n *Node) health(ctx context.Context) web.Health {
	parts := n.states.look(ctx)
	verdict := health.Overall(parts)
	shown := web.Health{Status: verdict.String(), Failing: verdict == health.Failing, Components: []web.Component{}}
	for _, p := range parts {
		shown.Components = append(shown.Components, web.Component{
			Kind: string(
				p.Kind,
			), Name: p.Name, State: p.Level.String(), Reason: p.Reason, Remedy: p.Remedy, Since: p.Since.UTC(),
		})
	}
	return shown
}

// scrape is the runtime as the HTTP server sees it.
type scrape struct{ runtime *loophost.Runtime }

// List implements web.Plugins. It leaves out a plugin that starts for the first time, which may still be refused, or be
// of another kind than expected.
func (s scrape) List() []web.Plugin {
	var all []web.Plugin
	for _, p := range s.runtime.Plugins() {
		if st := p.Status(); st.State != supervise.Starting {
			all = append(all, web.Plugin{Name: st.Name, Kind: st.Kind, Job: ownerOf(st.Name)})
		}
	}
	return all
}

// Collect implements web.Plugins.
func (s scrape) Collect(ctx context.Context, name, accept string) (string, []byte, error) {
	p := s.runtime.Plugin(name)
	if p == nil {
		return "", nil, status.Errorf(codes.NotFound, "there is no plugin %q", name)
	}
	r, err := p.CollectMetrics(ctx, accept)
	if err != nil {
		return "", nil, err
	}
	return r.GetContentType(), r.GetExposition(), nil
}
