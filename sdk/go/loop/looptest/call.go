package looptest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// callCases are about calls, whatever they are for.
func callCases() []check {
	return []check{
		{"calls/generation", "answers and errors carry the trailer loop-generation with the number that Init gave", false,
			callGeneration},
		{"calls/deadline", "when a caller's deadline ends, the plugin's call at the host ends too", false, callDeadline},
		{"calls/cancellation", "when a call is cancelled, the plugin's call at the host is cancelled too", false,
			callCancellation},
		{"calls/own-deadline", "the plugin's call at the host has a deadline even if its caller had none", false,
			callOwnDeadline},
		{"calls/concurrency", "64 concurrent calls on eight objects are answered, and one that waits delays no other", false,
			callConcurrency},
		{"calls/largest", "a message of 16 MiB is accepted", false, callLargest},
		{"calls/too-large", "a larger message is RESOURCE_EXHAUSTED with the limit in the text, and the plugin goes on", true,
			callTooLarge},
		{"calls/unknown-method",
			"a method or service that the contract does not have is UNIMPLEMENTED, and the plugin goes on", false, callUnknown},
		{"calls/broken-host", "errors and nonsense in the host's answers fail the call and not the plugin", false,
			callBrokenHost},
	}
}

func callGeneration(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	method, good, _ := l.parentRequest(loan.Name("Conformance"), false)
	_, bad, _ := l.parentRequest("", false)
	probe, request, _ := b.probeRequest()
	for _, c := range []struct {
		what, object, method string
		request              proto.Message
	}{
		{"the answer to a construction", "", method, good},
		{"the answer to a call", child, probe, request},
		{"INVALID_ARGUMENT", "", method, bad},
		{"NOT_FOUND", loan.Name("Conformance"), probe, request},
	} {
		var trailer metadata.MD
		_ = l.invoke(ctx, c.object, c.method, c.request, grpc.Trailer(&trailer)) // other cases are about the error
		if got := trailer.Get(wire.GenerationKey); len(got) != 1 || got[0] != fmt.Sprint(ordinal) {
			return fmt.Errorf("%s carries the trailer %s %q; want %q", c.what, wire.GenerationKey, got,
				[]string{fmt.Sprint(ordinal)})
		}
	}
	return nil
}

// patience is how soon after the end of a caller the plugin's own call for it must end.
const patience = 2 * time.Second

// rounding is by how much a deadline may grow from hop to hop: clocks are read twice, and gRPC's units are rounded up.
const rounding = 50 * time.Millisecond

// arrival waits for a call that a hold holds.
func (l *generation) arrival(ctx context.Context, h *loan.Hold, answered <-chan error) (context.Context, error) {
	select {
	case held := <-h.Arrived:
		return held, nil
	case err := <-answered:
		if err == nil {
			return nil, errors.New("the call succeeded before it asked the host")
		}
		return nil, fmt.Errorf("the call was answered (%w) before it asked the host", err)
	case <-ctx.Done():
		return nil, errors.New("the call did not ask the host")
	case <-time.After(l.bench.hang()):
		return nil, fmt.Errorf("the call did not ask the host within %s", l.bench.hang())
	}
}

// endOfCaller makes the slow call and ends it, by a deadline or, if limit is 0, by cancelling it. The plugin's own call
// must end too.
func (l *generation) endOfCaller(ctx context.Context, limit time.Duration, code codes.Code, how string) error {
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	s, err := l.slow(ctx, child)
	if err != nil {
		return err
	}
	s.hold.Close()
	defer s.hold.Open()
	caller, cancel := context.WithCancel(ctx)
	defer cancel()
	if limit > 0 {
		caller, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	answered := make(chan error, 1)
	go func() { answered <- s.call(caller) }()
	held, err := l.arrival(ctx, s.hold, answered)
	if err != nil {
		return err
	}
	if limit == 0 {
		cancel()
	}
	name, asks := l.slowName()
	switch at, ok := held.Deadline(); {
	case limit > 0 && !ok:
		return fmt.Errorf("%s had a deadline and called %s without one: deadlines travel along", name, asks)
	case limit > 0 && time.Until(at) > limit+rounding:
		return fmt.Errorf("%s had a deadline of %s and called %s with one of %s: deadlines travel along", name, limit, asks,
			time.Until(at).Round(time.Millisecond))
	}
	if !settled(held.Done(), limit+l.bench.within(patience), true) {
		return fmt.Errorf("%s after the %s of %s its call of %s goes on; want it cancelled", l.bench.within(patience), how,
			name, asks)
	}
	if err := want(name+" after its "+how, <-answered, code); err != nil {
		return err
	}
	s.hold.Open()
	if err := s.call(ctx); err != nil {
		return wrap(name+" once more after a "+how, err)
	}
	return nil
}

func callDeadline(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	return b.growing(500*time.Millisecond, func(limit time.Duration) error {
		return l.endOfCaller(ctx, limit, codes.DeadlineExceeded, "deadline")
	})
}

func callCancellation(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	return l.endOfCaller(ctx, 0, codes.Canceled, "cancellation")
}

func callOwnDeadline(_ context.Context, b *bench) error {
	// The cases' own context has a deadline, and this case is about a caller without one.
	ctx := context.Background()
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	late, err := l.slow(ctx, child)
	if err != nil {
		return err
	}
	before := len(l.world.host.Calls())
	// Not through the SDK, whose callers always have a deadline.
	if err := l.Conn.Invoke(metadata.AppendToOutgoingContext(ctx, wire.ObjectKey, child), late.method, late.request,
		late.reply); err != nil {
		return err
	}
	for _, c := range l.world.host.Calls()[before:] {
		limit, ok := wire.MethodOf(c.Method)
		if !ok {
			continue
		}
		if c.Timeout <= 0 || c.Timeout > limit.Timeout {
			return fmt.Errorf("the plugin called %s with a timeout of %s; want at most the contract's %s", short(c.Method),
				c.Timeout.Round(time.Millisecond), limit.Timeout)
		}
	}
	return nil
}

func callConcurrency(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	var children []string
	for range 8 {
		_, child, err := l.pair(ctx)
		if err != nil {
			return err
		}
		children = append(children, child)
	}
	s, err := l.slow(ctx, children[0])
	if err != nil {
		return err
	}
	s.hold.Close()
	defer s.hold.Open()
	answered := make(chan error, 1)
	go func() { answered <- s.call(ctx) }()
	if _, err := l.arrival(ctx, s.hold, answered); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.hang())
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, 64)
	for i := range errs {
		all.Go(func() { errs[i] = l.probe(ctx, children[i%len(children)]) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return wrap("one of 64 calls at once, while another waited for the host", err)
		}
	}
	s.hold.Open()
	if err := <-answered; err != nil {
		return wrap("the call that had waited for the host", err)
	}
	return nil
}

// bulk returns a method whose request can have any size, and a request of size bytes.
func (l *generation) bulk(size int) (method string, request proto.Message) {
	if l.bench.ocr3() {
		r := &reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportRequest{SeqNr: 1,
			Report: &reportingv1.ReportWithInfo{}}
		r.Report.Report = make([]byte, size-64) // so that the lengths around it already take as many bytes as in the end
		r.Report.Report = make([]byte, len(r.Report.Report)+size-proto.Size(r))
		return reportingv1.Ocr3PluginService_ShouldTransmitAcceptedReport_FullMethodName, r
	}
	if l.bench.settings.Kind != "relayer" {
		r := &reportingv1.ShouldTransmitAcceptedReportRequest{Timestamp: round(1)}
		r.Report = make([]byte, size-proto.Size(r)-5) // its tag and its length
		return reportingv1.ReportingPluginService_ShouldTransmitAcceptedReport_FullMethodName, r
	}
	return medianv1.ReportCodecService_MedianFromReport_FullMethodName, &medianv1.MedianFromReportRequest{
		Report: make([]byte, size-5)}
}

func callLargest(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	method, request := l.bulk(wire.MaxMessageBytes)
	if n := proto.Size(request); n != wire.MaxMessageBytes {
		return fmt.Errorf("the suite made a message of %d bytes", n)
	}
	err = l.invoke(ctx, child, method, request)
	switch status.Code(err) {
	case codes.ResourceExhausted, codes.Unimplemented, codes.Unavailable, codes.Unknown:
		return wrap(fmt.Sprintf("%s with a message of %d bytes, which is the limit", short(method), wire.MaxMessageBytes),
			err)
	}
	return nil // what zeros mean to the codec is not the point
}

func callTooLarge(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	method, request := l.bulk(wire.MaxMessageBytes + 1)
	err = l.invoke(ctx, child, method, request)
	what := fmt.Sprintf("%s with a message of %d bytes, one above the limit", short(method), wire.MaxMessageBytes+1)
	if err := want(what, err, codes.ResourceExhausted); err != nil {
		return err
	}
	if limit := fmt.Sprint(wire.MaxMessageBytes); !strings.Contains(status.Convert(err).Message(), limit) {
		return fmt.Errorf("%s is refused as %q; want the limit %s in the text", what, cut(status.Convert(err).Message()),
			limit)
	}
	return l.alive(ctx, "a message that was too large")
}

func callUnknown(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	method, request, _ := l.parentRequest(loan.Name("Conformance"), false)
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	for _, m := range []string{"/" + service + "/Conformance", "/loop.conformance.v1.ConformanceService/Conformance"} {
		if err := want("the method "+m+", which the contract does not have,", l.invoke(ctx, "", m, request),
			codes.Unimplemented); err != nil {
			return err
		}
	}
	return l.alive(ctx, "a method that it does not have")
}

func callBrokenHost(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	s, err := l.slow(ctx, child)
	if err != nil {
		return err
	}
	name, asks := l.slowName()
	script := l.world.value.Script
	if b.settings.Kind == "product" {
		script = l.world.pipelines.Script
	}
	answers := map[string]func() (any, error){
		"bytes that do not decode": func() (any, error) {
			return &wire.Frame{Data: mem.BufferSlice{mem.SliceBuffer("\xff\xff\xff")}}, nil
		},
	}
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		answers[codeName(c)] = func() (any, error) { return nil, status.Error(c, "as the conformance suite asked") }
	}
	if b.settings.Kind == "relayer" {
		script = l.world.store.Script
		delete(answers, codeName(codes.Aborted)) // the key is there already, which may be just what the plugin wants
	}
	for _, what := range slices.Sorted(maps.Keys(answers)) {
		script(answers[what])
		limited, cancel := context.WithTimeout(ctx, b.hang())
		err := s.call(limited)
		late := limited.Err() != nil
		cancel()
		if err == nil && !b.ocr3() { // products on OCR3 answer instead that they observe nothing
			return fmt.Errorf("%s succeeded although %s was answered with %s; want an error", name, asks, what)
		}
		if l.Process != nil && settled(l.Process.Exited(), noticed, status.Code(err) == codes.Unavailable) {
			return fmt.Errorf("the process ended after %s was answered with %s (%s)", asks, what, l.Process.Exit())
		}
		if late {
			return fmt.Errorf("%s did not end within %s after %s was answered with %s", name, b.hang(), asks, what)
		}
	}
	script(nil)
	if err := s.call(ctx); err != nil {
		return wrap(name+" after errors of the host", err)
	}
	return l.alive(ctx, "errors of the host")
}
