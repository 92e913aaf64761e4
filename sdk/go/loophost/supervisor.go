package loophost

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

type event struct {
	what       supervise.Event
	generation *generation
}

func (p *Plugin) send(e supervise.Event, l *generation) {
	select {
	case p.events <- event{e, l}:
	case <-p.ended:
	}
}

// fail settles the first launch, and reports whether it was open until now.
func (p *Plugin) fail(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.first:
		return false
	default:
		p.firstErr = err
		close(p.first)
		return true
	}
}

// supervise is the thin shell around the state machine, which nothing else steps.
func (p *Plugin) supervise() {
	defer func() {
		p.confinement.Close()
		close(p.ended)
	}()
	var timer *time.Timer
	var due <-chan time.Time
	var generations sync.WaitGroup
	defer generations.Wait()
	if p.settings.Standby {
		ctx, cancel := context.WithCancel(p.runtime.ctx)
		defer cancel()
		generations.Go(func() { p.keepStandby(ctx) })
	}
	for {
		var e event
		select {
		case e = <-p.events:
		case <-due:
			e = event{what: supervise.Due}
		}
		p.mu.Lock()
		if e.generation != nil && e.generation != p.generation {
			p.mu.Unlock()
			continue // of a generation that is over
		}
		if e.what == supervise.Died {
			p.endedLocked(e.generation)
		}
		do := p.machine.Step(time.Now(), e.what)
		if e.what == supervise.BecameReady && p.machine.State() == supervise.Ready {
			p.becameReadyLocked(e.generation)
		}
		state := p.machine.State()
		if state == supervise.Quarantined || state == supervise.Stopped {
			p.unreachableLocked(state)
		}
		if do.Launch {
			p.generation = newGeneration(p, p.machine.Generation())
			l := p.generation
			generations.Go(func() { l.run() })
		}
		if do.Kill && e.what == supervise.Restart {
			// Callers wait for the new process while the old one finishes what it has.
			p.stepLocked(journal.Event{What: journal.Replaced, Generation: p.machine.Generation()})
		}
		l := p.generation
		p.mu.Unlock()
		if timer != nil && (do.Launch || do.Pause > 0) {
			timer.Stop()
			due = nil
		}
		if do.Pause > 0 {
			p.logger.Warn("the plugin pauses before its next generation", "state", state.String(), "pause", do.Pause)
			timer = time.NewTimer(do.Pause)
			due = timer.C
		}
		if do.Kill {
			generations.Go(func() { l.end(p.runtime.settings.StopTimeout) })
		}
		if state == supervise.Stopped && e.what != supervise.Begin {
			p.fail(errors.New("plugin " + p.name + " was stopped"))
			return
		}
	}
}

// becameReadyLocked lets a generation serve.
func (p *Plugin) becameReadyLocked(l *generation) {
	l.ready = true
	p.readyAt, p.info, p.trace = time.Now(), l.info, l.trace.Steps()
	p.logger.Info("the plugin is ready", "generation", l.number, "pid", l.pid(), "version", l.info.GetVersion(),
		"runtime", l.info.GetRuntime())
	for _, s := range p.trace {
		p.logger.Debug("a step of the plugin's start", "generation", l.number, "step", s.What, "took", s.Took)
	}
	p.stepLocked(journal.Event{What: journal.Ready, Generation: l.number})
	select {
	case <-p.first:
	default:
		close(p.first)
	}
}

// endedLocked notes the end of a generation.
func (p *Plugin) endedLocked(l *generation) {
	p.lastErr = l.err
	if l.err == nil {
		p.lastExit = l.exit
		p.lastErr = errors.New(l.exit.String())
	}
	if l.wasAsked() && l.err == nil {
		p.lastErr = errors.New("it was asked to end")
		if l.proc != nil && l.exit.Reason != "exit status 0" { // it did not do so by itself
			p.lastErr = errors.New("it was asked to end: " + l.exit.Reason)
		}
	} else {
		p.deaths++
	}
	level := slog.LevelWarn
	switch {
	case l.wasAsked():
		level = slog.LevelInfo
	case p.readyAt.IsZero() && !p.settings.Patient:
		level = slog.LevelDebug // Launch returns the reason to a caller who knows whether it matters
	}
	p.logger.Log(context.Background(), level, "the plugin's process ended", "generation", l.number, "pid", l.pid(),
		"reason", p.lastExitLocked())
	p.generation = nil
	p.stepLocked(journal.Event{What: journal.Ended, Generation: l.number})
}

// unreachableLocked fails callers at once while nobody can say when the plugin comes back.
func (p *Plugin) unreachableLocked(s supervise.State) {
	err := status.Errorf(codes.Unavailable, "plugin %s is %s", p.name, s)
	if p.lastErr != nil {
		err = status.Errorf(codes.Unavailable, "plugin %s is %s: %v", p.name, s, p.lastExitLocked())
	}
	p.stepLocked(journal.Event{What: journal.Unreachable, Reason: err})
}

// confirmDeath asks, after a connection broke under a call, whether its generation is over: a broken connection of a
// living process is told apart by a health check.
func (p *Plugin) confirmDeath(ctx context.Context, l *generation) bool {
	l.probe()
	select {
	case <-l.ended():
		return true
	case <-ctx.Done():
		return l.dying()
	case <-time.After(p.runtime.settings.HealthTimeout):
		return l.dying()
	}
}
