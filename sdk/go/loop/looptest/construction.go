package looptest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
)

// construction is a child under construction.
type construction struct {
	name     string
	answered chan error
	// held is the constructor's call at the host, which waits until the world's provider is opened. It is nil if the
	// constructor asks nothing that a case could wait for: it may have ended.
	held context.Context
}

// construct begins to make a child, and waits until the constructor asks the host, as those of medians do.
func (l *generation) construct(ctx context.Context, parent string) (*construction, error) {
	c := &construction{name: loan.Name("Conformance"), answered: make(chan error, 1)}
	l.world.provider.Close()
	go func() {
		_, err := l.makeChild(ctx, parent, c.name, false)
		c.answered <- err
	}()
	if l.bench.settings.Kind != "median" {
		return c, nil
	}
	select {
	case c.held = <-l.world.provider.Arrived:
	case err := <-c.answered: // a plugin that is not finished may ask nothing yet
		c.answered <- err
	case <-time.After(l.bench.hang()):
		return nil, fmt.Errorf("a construction neither ended nor asked the host within %s", l.bench.hang())
	}
	return c, nil
}

func objectCallerGone(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	defer l.world.provider.Open()
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	// Where constructors end when they like, callers go at several moments.
	for i := range 8 {
		caller, cancel := context.WithCancel(ctx)
		c, err := l.construct(caller, parent)
		if err != nil {
			cancel()
			return err
		}
		stop := time.AfterFunc(time.Duration(i)*200*time.Microsecond, cancel)
		<-c.answered
		stop.Stop()
		cancel()
		if c.held != nil && settled(c.held.Done(), noticed, true) {
			return errors.New("when the caller of a constructor went away, the constructor's call at the host was ended; want " +
				"it to go on, for the node asks for the object again")
		}
		l.world.provider.Open()
		if _, err := l.makeChild(ctx, parent, c.name, false); err != nil {
			return fmt.Errorf("the same construction again, whose first caller went away: %w", err)
		}
		if err := l.probe(ctx, c.name); err != nil {
			return wrap("a call on an object whose first caller went away during its construction", err)
		}
		if c.held != nil {
			break
		}
	}
	return nil
}

func objectReleaseEarly(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	defer l.world.provider.Open()
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	c, err := l.construct(ctx, parent)
	if err != nil {
		return err
	}
	if err := l.release(ctx, c.name); err != nil {
		return wrap("the release of an object under construction", err)
	}
	l.world.provider.Open()
	answers := []codes.Code{codes.FailedPrecondition}
	if c.held == nil {
		answers = append(answers, codes.OK) // it was quicker than the release
	}
	if err := want("a construction during which the object was released", <-c.answered, answers...); err != nil {
		return err
	}
	if err := want("a call on an object that was released under construction", l.probe(ctx, c.name),
		codes.NotFound); err != nil {
		return err
	}
	_, err = l.makeChild(ctx, parent, c.name, false)
	return want("the same construction again, after the release", err, codes.FailedPrecondition)
}
