package looptest

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
)

// objectCases are about objects by the names that the host chose.
func objectCases() []check {
	return []check{
		{"objects/repeat", "the same name with the same request answers as the first time and makes no second object", false,
			objectRepeat},
		{"objects/at-once", "eight concurrent constructions with one name and one request make one object", false,
			objectAtOnce},
		{"objects/caller-gone",
			"a construction outlives its caller, and the same construction again gets its answer", false, objectCallerGone},
		{"objects/another-request", "the same name with another request is ALREADY_EXISTS and leaves the object as it was",
			false, objectAnother},
		{"objects/unknown", "a call on a name that was never given is NOT_FOUND", false, objectUnknown},
		{"objects/no-name", "a call that names no object is INVALID_ARGUMENT or NOT_FOUND", false, objectNoName},
		{"objects/other-service", "a call of a service that the object does not serve is NOT_FOUND", false,
			objectOtherService},
		{"objects/release", "a call on a released object is NOT_FOUND, and a second release is not an error", false,
			objectRelease},
		{"objects/release-unknown", "the release of names that are not known is not an error", false, objectReleaseUnknown},
		{"objects/late-create", "a construction that arrives after the release of its name is FAILED_PRECONDITION", false,
			objectLateCreate},
		{"objects/release-early", "an object that is released while it is under construction never comes to life", false,
			objectReleaseEarly},
		{"objects/children", "children are released with their parent", false, objectChildren},
		{"objects/siblings", "the release of a child leaves its parent and its siblings", false, objectSiblings},
	}
}

func objectRepeat(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child := loan.Name("Conformance"), loan.Name("Conformance")
	for turn := range 2 {
		var answers [2]proto.Message
		for i := range answers {
			if answers[i], err = l.makeParent(ctx, parent, false); err != nil {
				return err
			}
		}
		if !proto.Equal(answers[0], answers[1]) {
			return fmt.Errorf("a repeated construction answered {%v}, the first one {%v}; want the same", answers[1], answers[0])
		}
		for i := range answers {
			if answers[i], err = l.makeChild(ctx, parent, child, false); err != nil {
				return err
			}
		}
		if !proto.Equal(answers[0], answers[1]) {
			return fmt.Errorf("a repeated construction answered {%v}, the first one {%v}; want the same", answers[1], answers[0])
		}
		if b.settings.Kind != "median" {
			continue
		}
		accepted, err := l.accept(ctx, child) // an instance remembers what it accepted, and another one would not
		switch {
		case err != nil:
			return err
		case accepted && turn > 0:
			return errors.New(
				"a repeated construction made a second object: it accepts a report that the first one had accepted")
		case !accepted && turn == 0:
			return errors.New("a new instance does not accept the first report")
		}
	}
	if err := l.release(ctx, child, parent); err != nil {
		return err
	}
	if err := want("a call after one release of an object that was constructed four times", l.probe(ctx, child),
		codes.NotFound); err != nil {
		return fmt.Errorf("a repeated construction made a second object: %w", err)
	}
	return nil
}

// accept asks an instance whether it accepts the report of epoch 1, which its contract does not show yet.
func (l *generation) accept(ctx context.Context, instance string) (bool, error) {
	l.world.provider.Show(loan.Contract{Digest: digest(1), Answer: new(big.Int)})
	report := make([]byte, 1+4+3*24) // one observation in the vectors' codec
	report[5+23] = 5
	var r reportingv1.ShouldAcceptFinalizedReportResponse
	err := l.call(ctx, instance, reportingv1.ReportingPluginService_ShouldAcceptFinalizedReport_FullMethodName,
		&reportingv1.ShouldAcceptFinalizedReportRequest{Timestamp: round(1), Report: report}, &r)
	return r.GetShouldAccept(), err
}

func objectAtOnce(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child := loan.Name("Conformance"), loan.Name("Conformance")
	if _, err := l.makeParent(ctx, parent, false); err != nil {
		return err
	}
	var all sync.WaitGroup
	answers, errs := make([]proto.Message, 8), make([]error, 8)
	for i := range answers {
		all.Go(func() { answers[i], errs[i] = l.makeChild(ctx, parent, child, false) })
	}
	all.Wait()
	for i := range answers {
		if errs[i] != nil {
			return fmt.Errorf("of eight constructions at once by one name one failed: %w", errs[i])
		}
		if !proto.Equal(answers[0], answers[i]) {
			return fmt.Errorf("eight constructions at once by one name were answered {%v} and {%v}; want one answer", answers[0],
				answers[i])
		}
	}
	if err := l.probe(ctx, child); err != nil {
		return wrap("a call on an object that was constructed eight times at once", err)
	}
	return nil
}

func objectAnother(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	_, err = l.makeParent(ctx, parent, true)
	if err := want("another request by the name of a parent", err, codes.AlreadyExists); err != nil {
		return err
	}
	_, err = l.makeChild(ctx, parent, child, true)
	if err := want("another request by the name of a child", err, codes.AlreadyExists); err != nil {
		return err
	}
	if err := l.probe(ctx, child); err != nil {
		return wrap("a call on the object after ALREADY_EXISTS", err)
	}
	return l.probeParent(ctx, parent)
}

func objectUnknown(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	if err := want("a call on a name that was never given", l.probe(ctx, loan.Name("Conformance")),
		codes.NotFound); err != nil {
		return err
	}
	return want("a construction on a parent that was never made", l.probeParent(ctx, loan.Name("Conformance")),
		codes.NotFound)
}

func objectNoName(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	return want("a call that names no object", l.probe(ctx, ""), codes.InvalidArgument, codes.NotFound)
}

func objectOtherService(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	if err := want("a child's method called on its parent", l.probe(ctx, parent), codes.NotFound); err != nil {
		return err
	}
	return want("a parent's method called on its child", l.probeParent(ctx, child), codes.NotFound)
}

func objectRelease(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		if err := l.release(ctx, child, parent); err != nil {
			return wrap("LifecycleService.Release", err)
		}
		if err := want("a call on a released child", l.probe(ctx, child), codes.NotFound); err != nil {
			return err
		}
		if err := want("a call on a released parent", l.probeParent(ctx, parent), codes.NotFound); err != nil {
			return err
		}
	}
	return nil
}

func objectReleaseUnknown(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	if err := l.release(ctx, loan.Name("Conformance"), loan.Name("Conformance")); err != nil {
		return wrap("the release of names that are not known", err)
	}
	return nil
}

func objectLateCreate(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	never := loan.Name("Conformance")
	if err := l.release(ctx, child, never); err != nil {
		return err
	}
	for what, name := range map[string]string{"a name that was released": child,
		"a name that was released before it was ever made": never} {
		_, err := l.makeChild(ctx, parent, name, false)
		if err := want("a construction by "+what, err, codes.FailedPrecondition); err != nil {
			return err
		}
		if err := want("a call on "+what, l.probe(ctx, name), codes.NotFound); err != nil {
			return err
		}
	}
	return nil
}

func objectChildren(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	if err := l.release(ctx, parent); err != nil {
		return err
	}
	if err := want("a call on a child whose parent was released", l.probe(ctx, child), codes.NotFound); err != nil {
		return err
	}
	_, err = l.makeChild(ctx, parent, child, false)
	return want("a construction on a parent that was released", err, codes.NotFound, codes.FailedPrecondition)
}

func objectSiblings(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	sibling := loan.Name("Conformance")
	if _, err := l.makeChild(ctx, parent, sibling, false); err != nil {
		return err
	}
	if err := l.release(ctx, child); err != nil {
		return err
	}
	if err := l.probe(ctx, sibling); err != nil {
		return wrap("a call on the sibling of a released object", err)
	}
	if err := l.probeParent(ctx, parent); err != nil {
		return wrap("a call on the parent of a released object", err)
	}
	return nil
}
