package loophost

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// MaxExposition is the largest exposition that a plugin may have: 4 MiB, some 30,000 series.
const MaxExposition = 4 << 20

// tooLongFor is how long a plugin that had more is not asked again: reading what is then refused takes memory.
const tooLongFor = time.Minute

// scraped is how a plugin is asked for its metrics.
type scraped struct {
	turn  chan struct{} // held by the caller that asks: one at a time
	until atomic.Int64  // Unix nanoseconds before which it is not asked
}

// CollectMetrics returns the plugin's exposition for a scraper's Accept header. It does not wait for a plugin that is
// down.
func (p *Plugin) CollectMetrics(ctx context.Context, accept string) (*pluginv1.CollectMetricsResponse, error) {
	select {
	case p.metrics.turn <- struct{}{}:
		defer func() { <-p.metrics.turn }()
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	l := p.current()
	if l == nil || !l.isReady() || l.dying() {
		return nil, status.Errorf(codes.Unavailable, "plugin %s is down", p.name)
	}
	if time.Now().UnixNano() < p.metrics.until.Load() {
		return nil, p.tooLong()
	}
	r, err := pluginv1.NewLifecycleServiceClient(wire.Bind(l.conn, "")).CollectMetrics(ctx,
		&pluginv1.CollectMetricsRequest{Accept: accept})
	if len(r.GetExposition()) > MaxExposition {
		p.metrics.until.Store(time.Now().Add(tooLongFor).UnixNano())
		return nil, p.tooLong()
	}
	return r, err
}

func (p *Plugin) tooLong() error {
	return status.Errorf(codes.ResourceExhausted, "plugin %s has more than %d MiB of metrics, which are not read; it is "+
		"asked again a minute later", p.name, MaxExposition>>20)
}
