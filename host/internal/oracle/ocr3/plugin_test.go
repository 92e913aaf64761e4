package ocr3

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"github.com/smartcontractkit/libocr/quorumhelper"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

var (
	first  = ocr3types.OutcomeContext{SeqNr: 1}
	eight  = types.AttributedObservation{Observation: types.Observation{0, 0, 0, 0, 0, 0, 0, 5}, Observer: 2}
	report = ocr3types.ReportWithInfo[Info]{Report: types.Report("report")}
)

// roundCalls are the calls of a round, each with an answer that the tests' median always gives.
func roundCalls(p ocr3types.ReportingPlugin[Info]) map[string]func(context.Context) error {
	all := []types.AttributedObservation{eight, eight, eight}
	return map[string]func(context.Context) error{
		"Query":               func(ctx context.Context) error { _, err := p.Query(ctx, first); return err },
		"Observation":         func(ctx context.Context) error { _, err := p.Observation(ctx, first, nil); return err },
		"ValidateObservation": func(ctx context.Context) error { return p.ValidateObservation(ctx, first, nil, eight) },
		"ObservationQuorum": func(ctx context.Context) error {
			reached, err := p.ObservationQuorum(ctx, first, nil, all)
			if err == nil && !reached {
				return errors.New("three of four are no quorum")
			}
			return err
		},
		"Outcome": func(ctx context.Context) error { _, err := p.Outcome(ctx, first, nil, all); return err },
		"Reports": func(ctx context.Context) error { _, err := p.Reports(ctx, 1, make([]byte, 8)); return err },
	}
}

// decisionCalls are those on reports, each with the answer yes.
func decisionCalls(p ocr3types.ReportingPlugin[Info]) map[string]func(context.Context) error {
	yes := func(answer bool, err error) error {
		if err == nil && !answer {
			return errors.New("the answer is no")
		}
		return err
	}
	return map[string]func(context.Context) error{
		"ShouldAcceptAttestedReport": func(ctx context.Context) error {
			return yes(p.ShouldAcceptAttestedReport(ctx, 1, report))
		},
		"ShouldTransmitAcceptedReport": func(ctx context.Context) error {
			return yes(p.ShouldTransmitAcceptedReport(ctx, 1, report))
		},
	}
}

func TestTrap1DeathCostsNoVote(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(roundCalls(nil)))
	names = slices.AppendSeq(names, maps.Keys(decisionCalls(nil)))
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParts(t, "process die:"+name+":"+filepath.Join(t.TempDir(), "died"))
			instance, _, err := p.new(ocr3types.ReportingPluginConfig{ // a busy machine starts processes slowly
				MaxDurationShouldAcceptAttestedReport: time.Minute, MaxDurationShouldTransmitAcceptedReport: time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			calls := roundCalls(instance)
			maps.Copy(calls, decisionCalls(instance))
			// libocr gives the calls of a round no deadline.
			if err := calls[name](t.Context()); err != nil {
				t.Errorf("the process died under the call: %v", err)
			}
			if got := p.product.Status().Generation; got != 2 {
				t.Errorf("the product is in generation %d; want 2", got)
			}
			if len(p.failed) > 0 {
				t.Errorf("the job failed: %s", <-p.failed)
			}
		})
	}
}

func TestTrap1ProductThatAsksForTime(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	instance := p.instance()
	p.fake.become("away:*")
	for name, call := range roundCalls(instance) {
		if err := call(t.Context()); err != nil || p.fake.questions(name) != 4 {
			t.Errorf("%s, which is UNAVAILABLE three times: error %v after %d calls", name, err, p.fake.questions(name))
		}
	}
	// What else it answers is its answer: it is not asked again.
	p.fake.become("fail:*")
	for name, call := range roundCalls(instance) {
		if err := call(t.Context()); !strings.Contains(fmt.Sprint(err), "the fake fails") || p.fake.questions(name) != 5 {
			t.Errorf("%s, which fails: error %v after %d calls", name, err, p.fake.questions(name))
		}
	}
}

// TestRoundsAreCounted checks what is counted of a round that goes well, and of calls that come to nothing.
func TestRoundsAreCounted(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	instance := p.instance()
	calls := roundCalls(instance)
	maps.Copy(calls, decisionCalls(instance))
	for name, call := range calls {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := instance.ValidateObservation(t.Context(), first, nil, types.AttributedObservation{Observer: 2}); err == nil {
		t.Error("an observation of no bytes is valid")
	}
	r := &p.rounds
	if r.asked != 1 || r.observed != 1 || r.voted != 1 || r.reported == 0 || r.lost != nil {
		t.Errorf("after a round: %d asked, %d observed, %d voted, %d reported, lost %q", r.asked, r.observed, r.voted,
			r.reported, r.lost)
	}
	p.fake.become("fail:*")
	for name, call := range calls {
		err := call(t.Context())
		if want := fmt.Sprintf("%s: %v", name, err); name != "ShouldAcceptAttestedReport" &&
			(err == nil || !slices.Contains(r.lost, want)) {
			t.Errorf("lost %q; want %q among it", r.lost, want)
		}
	}
	if len(r.lost) != len(calls)-1 || r.voted != 1 { // an answer to ShouldAcceptAttestedReport is kept
		t.Errorf("lost %q after %d votes", r.lost, r.voted)
	}
	// Nor does what outgrows its declared length reach libocr.
	p.fake.become("long")
	for name, want := range map[string]string{
		"Query": "query: has 101 bytes", "Observation": "observation: has 101 bytes", "Outcome": "outcome: has 1001 bytes",
	} {
		r.lost = nil
		if err := calls[name](t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) || len(r.lost) != 1 {
			t.Errorf("%s: error %v, lost %q; want %q", name, err, r.lost, want)
		}
	}
}

func TestEpochsThatEndUnderCalls(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		took time.Duration
		err  error
		lost bool
	}{
		"at once":                         {over, 0, context.Canceled, false},
		"when the call was overdue":       {over, overdue, context.Canceled, true},
		"after an answer":                 {over, overdue, nil, false},
		"after an answer that is no":      {over, overdue, &invalidError{}, false},
		"not at all":                      {t.Context(), 0, errors.New("the fake fails"), true},
		"not, but the time of a decision": {late, 0, errors.New("the fake fails"), true},
	} {
		r := &rounds{}
		p := &plugin{factory: &Factory{Settings{Rounds: r}}}
		p.end(c.ctx, "Outcome", time.Now().Add(-c.took), &c.err)
		if lost := len(r.lost) == 1; lost != c.lost {
			t.Errorf("the epoch ends %s: lost %q", name, r.lost)
		}
	}
}

func TestTrap1AbsenceIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			until := time.Now().Add(time.Hour)
			call := func(context.Context) (int, error) {
				if time.Now().Before(until) {
					return 0, status.Error(code, "waiting for the plugin to come back")
				}
				return 7, nil
			}
			begin := time.Now()
			if got, err := heal(t.Context(), spares(always), call); got != 7 || err != nil || time.Since(begin) < time.Hour ||
				time.Since(begin) > time.Hour+lastPause {
				t.Errorf("%s for an hour: answer %d, error %v after %s", code, got, err, time.Since(begin))
			}
			// The end of the epoch ends it.
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			until = time.Now().Add(time.Hour)
			begin = time.Now()
			if _, err := heal(ctx, spares(always), call); status.Code(err) != code || time.Since(begin) != time.Minute {
				t.Errorf("an epoch of a minute: error %v after %s", err, time.Since(begin))
			}
		})
	}
}

// TestRoundsThatAreOver holds that what is asked for a round is not asked again once libocr asks for a later one.
// Reports are due all the same.
func TestRoundsThatAreOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &plugin{}
		lasts := p.round(7)
		if p.round(6); !lasts(nil) {
			t.Error("a round is over after an earlier one")
		}
		asked := 0
		_, err := heal(t.Context(), lasts, func(context.Context) (int, error) {
			if asked++; asked == 3 {
				p.round(8)
			}
			return 0, status.Error(codes.Unavailable, "the fake is not ready")
		})
		if status.Code(err) != codes.Unavailable || asked != 3 {
			t.Errorf("error %v after %d calls; want 3", err, asked)
		}
	})
	p := newParts(t, "")
	instance := p.instance()
	if _, err := instance.Observation(t.Context(), ocr3types.OutcomeContext{SeqNr: 2}, nil); err != nil {
		t.Fatal(err)
	}
	p.fake.become("away:*")
	for name, call := range roundCalls(instance) {
		want := map[string]int{"Reports": 4, "Observation": 2}[name] // with the one before
		if _ = call(t.Context()); p.fake.questions(name) != max(want, 1) {
			t.Errorf("%s, of a round that is over: %d calls; want %d", name, p.fake.questions(name), max(want, 1))
		}
	}
}

// TestObservationThatKills holds that another oracle's observation does not end the product's process again and again,
// and that a call which merely waits for its process is not given up.
func TestObservationThatKills(t *testing.T) {
	t.Parallel()
	for _, begun := range []error{
		status.Error(codes.Unavailable, "plugin x ended during y; the call's outcome is unknown"),
		status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			_, err := heal(t.Context(), spares(always), func(context.Context) (int, error) {
				if asked++; asked%2 == 0 {
					return 0, status.Error(codes.DeadlineExceeded, "waiting for x to come back: context deadline exceeded")
				}
				return 0, begun
			})
			if !errors.Is(err, begun) || asked != 3 {
				t.Errorf("error %v after %d calls; want %v after 3", err, asked, begun)
			}
		})
	}
	p := newParts(t, "process kill:ValidateObservation")
	instance := p.instance()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := instance.ValidateObservation(ctx, first, nil, eight); err == nil || ctx.Err() != nil {
		t.Errorf("of an observation that kills libocr is told %v", err)
	}
}

func TestTrap2EmptyAndAbsentAreOne(t *testing.T) {
	t.Parallel()
	instance := newParts(t, "").instance()
	zero := types.AttributedObservation{Observation: make([]byte, 8)}
	for name, previous := range map[string]ocr3types.Outcome{"nil": nil, "empty": {}} {
		outcome, err := instance.Outcome(t.Context(), ocr3types.OutcomeContext{SeqNr: 2, PreviousOutcome: previous}, nil,
			[]types.AttributedObservation{zero, zero, zero})
		if len(outcome) > 0 || err != nil {
			t.Errorf("after an outcome that is %s: outcome %x, error %v", name, outcome, err)
		}
	}
	if reports, err := instance.Reports(t.Context(), 2, nil); len(reports) > 0 || err != nil {
		t.Errorf("reports of an empty outcome: %v, error %v", reports, err)
	}
}

func TestTrap3CallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	instance := p.instance()
	p.fake.become("hang:*")
	calls := roundCalls(instance)
	maps.Copy(calls, decisionCalls(instance))
	for name, call := range calls {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- call(ctx) }()
		for p.fake.questions(name) == 0 && len(ended) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-ended; err == nil || p.fake.questions(name) != 1 {
			t.Errorf("%s, which hangs: error %v after %d calls", name, err, p.fake.questions(name))
		}
	}
}

func TestTrap4DecisionsHaveTimeAndTurns(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	instance := p.instance()
	// What libocr passes under a configuration whose time for decisions is 0.
	over, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for name, call := range decisionCalls(instance) {
		if err := call(over); err != nil {
			t.Errorf("%s in no time: %v", name, err)
		}
	}
	// Up to 2000 reports of one round, with time for a busy machine.
	instance, _, err := p.new(ocr3types.ReportingPluginConfig{MaxDurationShouldAcceptAttestedReport: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 2000 {
		all.Go(func() {
			other := ocr3types.ReportWithInfo[Info]{Report: fmt.Appendf(nil, "%d", i)}
			accept, err := instance.ShouldAcceptAttestedReport(t.Context(), 1, other)
			if !accept || err != nil {
				t.Errorf("report %d of 2000: %t, error %v", i, accept, err)
			}
		})
	}
	all.Wait()
}

func TestTrap4DecisionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &plugin{decisions: make(chan struct{}, maxDecisions)}
		var ends []func()
		for i := range maxDecisions {
			_, end, err := p.decide(t.Context(), time.Hour)
			if err != nil {
				t.Fatalf("decision %d at a time: %v", i+1, err)
			}
			ends = append(ends, end)
		}
		begin := time.Now()
		_, _, err := p.decide(t.Context(), 0)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != turnLimit {
			t.Errorf("one more than %d: error %v after %s; want the deadline's after %s", maxDecisions, err, time.Since(begin),
				turnLimit)
		}
		// The end of the configuration is not waited for.
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		begin = time.Now()
		if _, _, err = p.decide(ctx, time.Hour); !errors.Is(err, context.Canceled) || time.Since(begin) != time.Millisecond {
			t.Errorf("one more, and the configuration ends: error %v after %s", err, time.Since(begin))
		}
		// The wait for a turn is not taken from the decision's own time.
		time.AfterFunc(2*decisionFloor, ends[0])
		own, end, err := p.decide(t.Context(), 0)
		if err != nil {
			t.Fatalf("one more after the end of one: %v", err)
		}
		if until, _ := own.Deadline(); time.Until(until) != decisionFloor {
			t.Errorf("after its wait a decision has %s; want %s", time.Until(until), decisionFloor)
		}
		end()
		for _, end := range ends[1:] {
			end()
		}
	})
}

func TestDecisionsThatHangEndInTheirTime(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	instance, _, err := p.new(ocr3types.ReportingPluginConfig{MaxDurationShouldAcceptAttestedReport: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	p.fake.become("hang:*")
	for name, want := range map[string]time.Duration{"ShouldAcceptAttestedReport": 2 * time.Second,
		"ShouldTransmitAcceptedReport": decisionFloor} {
		begin := time.Now()
		err := decisionCalls(instance)[name](t.Context())
		if took := time.Since(begin); status.Code(err) != codes.DeadlineExceeded || took < want-10*time.Millisecond ||
			took > want+20*time.Second {
			t.Errorf("%s: error %v after %s; want the deadline's after %s", name, err, took, want)
		}
	}
}

func TestAcceptanceOfARepeatIsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	instance := p.instance()
	accept := func(seqNr uint64, r ocr3types.ReportWithInfo[Info]) bool {
		t.Helper()
		yes, err := instance.ShouldAcceptAttestedReport(t.Context(), seqNr, r)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if !accept(1, report) {
		t.Error("the first answer is no")
	}
	p.fake.become("no") // as a product that remembers what it accepted
	if !accept(1, report) {
		t.Error("the repeat's answer is no")
	}
	if accept(2, report) || accept(1, ocr3types.ReportWithInfo[Info]{Report: report.Report, Info: Info{1}}) {
		t.Error("the answer for another report is yes")
	}
	if got := p.fake.questions("ShouldAcceptAttestedReport"); got != 3 {
		t.Errorf("the product was asked %d times; want 3", got)
	}
	// Without memory the product is asked each time, and its answer stands.
	p.factory.settings.Answers = noMemory{}
	p.fake.become("")
	if !accept(1, report) {
		t.Error("the answer is no where none can be kept")
	}
}

func TestTrap6CloseTwiceAndPanics(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	instance := p.instance()
	for range 2 {
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	}
	p.fake.mu.Lock()
	closed := p.fake.closed
	p.fake.mu.Unlock()
	if closed != 1 {
		t.Errorf("%d instances were closed; want 1", closed)
	}
	if _, err := instance.Query(t.Context(), first); status.Code(err) != codes.NotFound {
		t.Errorf("a call after the end: %v", err)
	}
	p.fake.become("panic:Query")
	if _, err := p.instance().Query(t.Context(), first); status.Code(err) != codes.Internal {
		t.Errorf("a product in the node's process panicked: error %v", err)
	}
	// Nothing is behind this one: each call panics inside the node.
	broken := &plugin{factory: &Factory{p.factory.settings}, decisions: make(chan struct{}, 1),
		given: &reportingv1.CreateOcr3PluginResponse{}}
	broken.factory.settings.Answers = nil
	calls := roundCalls(broken)
	maps.Copy(calls, decisionCalls(broken))
	calls["Close"] = func(context.Context) error { return broken.Close() }
	for name, call := range calls {
		if err := call(t.Context()); err == nil || !strings.Contains(err.Error(), name+" panicked") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestFactory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode  string
		wants []string // in the refusal and in the job's failure; none: there is none
	}{
		"a product that runs":          {"", nil},
		"it refuses the configuration": {"fail:plugin", []string{"cannot run this configuration", "rests until"}},
		"it refuses the job":           {"fail:factory", []string{"has no such window"}},
		"a quorum of a later node":     {"later", []string{"observation_quorum is 77, which this node does not have"}},
		"its limits fit no message":    {"large", []string{"22068000", "15728640", "max_report_count 2000", "10000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParts(t, c.mode)
			_, info, err := p.new(ocr3types.ReportingPluginConfig{})
			if (err != nil) != (len(c.wants) > 0) {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				want := ocr3types.ReportingPluginInfo{Name: "fake",
					Limits: ocr3types.ReportingPluginLimits{MaxQueryLength: 100, MaxObservationLength: 100, MaxOutcomeLength: 1000,
						MaxReportLength: 1000, MaxReportCount: 3}}
				if info != want {
					t.Errorf("info %+v", info)
				}
				return
			}
			failure := <-p.failed
			for _, want := range c.wants {
				if !strings.Contains(err.Error(), want) || !strings.Contains(failure, want) {
					t.Errorf("error %q and failure %q do not say %q", err, failure, want)
				}
			}
		})
	}
}

// TestNoTimeForTheInitialization holds that a configuration that gives it none can be run: libocr would try for ever.
func TestNoTimeForTheInitialization(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	config := ocr3types.ReportingPluginConfig{ConfigDigest: testDigest, N: 4, F: 1}
	made, _, err := p.factory.NewReportingPlugin(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Error(err)
	}
}

func TestLimitsThatGrowFailTheJob(t *testing.T) {
	t.Parallel()
	p := newParts(t, "process grows::"+filepath.Join(t.TempDir(), "made"))
	p.instance()
	if err := syscall.Kill(p.product.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case reason := <-p.failed:
		if !strings.Contains(reason, "77777") || !strings.Contains(reason, "1000") {
			t.Errorf("the job failed with %q", reason)
		}
	case <-time.After(time.Minute):
		t.Fatal("the job did not fail")
	}
}

// TestLimitsOfAClosedInstance holds that an instance that was made while it was closed does not fail the job.
func TestLimitsOfAClosedInstance(t *testing.T) {
	t.Parallel()
	p := newParts(t, "")
	instance := p.instance().(*plugin)
	if err := instance.Close(); err != nil {
		t.Fatal(err)
	}
	instance.made(&reportingv1.CreateOcr3PluginResponse{})
	if len(p.failed) > 0 {
		t.Errorf("the job failed: %s", <-p.failed)
	}
}

func TestFailureEndsWithItsReason(t *testing.T) {
	t.Parallel()
	var told []string
	p := &plugin{factory: NewFactory(newParts(t, "").factory.settings)}
	p.factory.settings.Fail = func(reason string) { told = append(told, reason) }
	with := func(outcome uint32, quorum reportingv1.ObservationQuorum) *reportingv1.CreateOcr3PluginResponse {
		return &reportingv1.CreateOcr3PluginResponse{Limits: &reportingv1.Ocr3PluginLimits{MaxOutcomeLength: outcome},
			ObservationQuorum: quorum}
	}
	p.made(with(1, 1))
	p.give(with(1, 1))
	p.made(with(1, 1))
	if len(told) > 0 {
		t.Errorf("an instance that is as it was fails the job: %q", told)
	}
	p.made(with(1, 2))
	p.made(with(1, 1))
	if len(told) != 2 || told[0] == "" || told[1] != "" {
		t.Errorf("told %q; want a failure and its end", told)
	}
}

func TestQuorumsAreThoseOfLibocr(t *testing.T) {
	t.Parallel()
	for ours, theirs := range map[reportingv1.ObservationQuorum]quorumhelper.Quorum{
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_F_PLUS_ONE:     quorumhelper.QuorumFPlusOne,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_TWO_F_PLUS_ONE: quorumhelper.QuorumTwoFPlusOne,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_BYZ_QUORUM:     quorumhelper.QuorumByzQuorum,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_N_MINUS_F:      quorumhelper.QuorumNMinusF,
	} {
		for n := 1; n <= types.MaxOracles; n++ {
			for f := 0; 3*f < n; f++ {
				p := &plugin{config: ocr3types.ReportingPluginConfig{N: n, F: f},
					given: &reportingv1.CreateOcr3PluginResponse{ObservationQuorum: ours}, factory: &Factory{}}
				for have := range n + 1 {
					all := make([]types.AttributedObservation, have)
					got, err := p.ObservationQuorum(t.Context(), first, nil, all)
					if want := quorumhelper.ObservationCountReachesObservationQuorum(theirs, n, f, all); got != want || err != nil {
						t.Errorf("%s, %d observations of n = %d, f = %d: %t, error %v; libocr says %t", ours, have, n, f, got, err, want)
					}
				}
			}
		}
	}
}

func TestReportsThatNobodyCanSend(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]*reportingv1.ReportPlus{
		"reports[0].schedule.transmitters[0]: is 4": {Report: &reportingv1.ReportWithInfo{},
			Schedule: &reportingv1.TransmissionSchedule{Transmitters: []uint32{4}, Delays: nil}},
		"reports[0].report.info: has 11 bytes":     {Report: &reportingv1.ReportWithInfo{Info: make([]byte, 11)}},
		"reports[0].report.report: has 1001 bytes": {Report: &reportingv1.ReportWithInfo{Report: make([]byte, 1001)}},
	} {
		if s := r.GetSchedule(); s != nil {
			s.Delays = append(s.Delays, nil)
		}
		_, err := reportsOf(&reportingv1.Ocr3PluginServiceReportsResponse{Reports: []*reportingv1.ReportPlus{r}}, 4, limits())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v; want %q", err, want)
		}
	}
}
