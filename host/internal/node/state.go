package node

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/health"
)

// lookInterval is how often the states of the node's parts are looked at for changes, which are logged and counted
// from.
const lookInterval = 2 * time.Second

// partID names a part of the node.
type partID struct {
	kind health.Kind
	id   string
}

func pluginPart(name string) partID      { return partID{health.KindPlugin, name} }
func chainPart(plugin, id string) partID { return partID{health.KindChain, plugin + " " + id} }
func bridgePart(name string) partID      { return partID{health.KindBridge, name} }
func jobPart(id int64) partID            { return partID{health.KindJob, strconv.FormatInt(id, 10)} }
func databasePart() partID               { return partID{kind: health.KindDatabase} }
func configurationPart() partID          { return partID{kind: health.KindConfiguration} }

// seen is a part of the node as it was just found.
type seen struct {
	partID
	name  string // as people call it
	state health.State
	// attributes name the part in the log.
	attributes []slog.Attr
}

// states keeps the states of the node's parts.
type states struct {
	node   *Node
	logger *slog.Logger

	cancel context.CancelFunc
	work   sync.WaitGroup

	looking sync.Mutex // one looks at a time
	memory  memory     // guarded by looking

	mu    sync.Mutex
	parts map[partID]health.Part
	found *survey // by which they are
}

func newStates(n *Node) *states {
	return &states{
		node: n, logger: n.logger, cancel: func() {}, memory: newMemory(), parts: map[partID]health.Part{},
		found: newSurvey(),
	}
}

// watch begins to look at all parts again and again, until close. Start has looked once.
func (s *states) watch() {
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(func() {
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		for {
			s.land(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			s.look(ctx)
		}
	})
}

func (s *states) close() {
	s.cancel()
	s.work.Wait()
}

// look finds the state of every part, and logs those that have changed. It goes on when its caller has gone: a question
// that was cut short would count as a part's failure.
func (s *states) look(ctx context.Context) []health.Part {
	ctx = context.WithoutCancel(ctx)
	s.looking.Lock()
	defer s.looking.Unlock()
	found := s.survey(ctx)
	all := make([]health.Part, 0, len(found.all))
	parts := make(map[partID]health.Part, len(found.all))
	for _, f := range found.all {
		before, known := s.of(f.partID)
		now := health.Part{Kind: f.kind, Name: f.name, State: f.state, Since: before.Since}
		if !known || before.Level != now.Level || before.Cause != now.Cause {
			now.Since = time.Now()
			if known || now.Level != health.Running {
				s.tell(ctx, f, before, now)
			}
		}
		parts[f.partID] = now
		all = append(all, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts, s.found = parts, found
	return all
}

// Look looks at every part of the node now, and returns them with their states.
func (n *Node) Look(ctx context.Context) []health.Part { return n.states.look(ctx) }

// LastHealth returns the health that a part had at the last look, by its kind and its own name; known is false if there
// was no look at it. It asks nobody, so that it does not wait for a part that hangs.
func (n *Node) LastHealth(kind health.Kind, name string) (part health.Part, known bool) {
	return n.states.of(partID{kind, name})
}

// of is a part with its state when it was looked at last.
func (s *states) of(id partID) (part health.Part, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part, known = s.parts[id]
	return part, known
}

// last is what was found when all parts were looked at last. It does not change any more.
func (s *states) last() *survey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found
}

// job is a job's state now, by what was found last of the parts that it needs.
func (s *states) job(r *running) health.Part {
	now := health.Part{Kind: health.KindJob, Name: r.title(), State: r.state(s.last(), time.Now()), Since: time.Now()}
	if before, known := s.of(jobPart(r.stored.ID)); known && before.Level == now.Level && before.Cause == now.Cause {
		now.Since = before.Since
	}
	return now
}

// severity is the log's level for a state. A part that waits for something that comes by itself is in order.
func severity(s health.State) slog.Level {
	switch {
	case s.Level == health.Failed:
		return slog.LevelError
	case s.Level == health.Degraded, s.Level == health.Waiting && s.Remedy != "":
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func (s *states) tell(ctx context.Context, f seen, before, now health.Part) {
	attributes := append(f.attributes, slog.String("state", now.Level.String()))
	if !before.Since.IsZero() {
		attributes = append(attributes, slog.String("was", before.Level.String()),
			slog.Duration("for", now.Since.Sub(before.Since).Round(time.Second)))
	}
	if now.Reason != "" {
		attributes = append(attributes, slog.String("reason", now.Reason))
	}
	if now.Remedy != "" {
		attributes = append(attributes, slog.String("remedy", now.Remedy))
	}
	what := "a " + string(f.kind)
	if f.id == "" { // there is one
		what = "the " + string(f.kind)
	}
	s.logger.LogAttrs(ctx, severity(now.State), what+"'s state changed", attributes...)
}
