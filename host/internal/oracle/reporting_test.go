package oracle

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loophost"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
)

func (m *fakeMedian) questions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func TestAcceptanceOfARepeatIsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	fake := &fakeMedian{}
	p := newParts(t, nodeSettings{inProcess: inProcess(fake)})
	instance := p.instance()
	accept := func(instance types.ReportingPlugin, epoch uint32) bool {
		t.Helper()
		yes, err := instance.ShouldAcceptFinalizedReport(t.Context(), at(epoch), types.Report{1})
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if !accept(instance, 1) {
		t.Error("the first answer is no")
	}
	fake.become("no") // as a median that remembers what it accepted
	if !accept(instance, 1) {
		t.Error("the repeat's answer is no")
	}
	if accept(instance, 2) {
		t.Error("the answer for another report is yes")
	}
	// After a restart of the node, too, and whatever a new median would say.
	if err := instance.Close(); err != nil {
		t.Fatal(err)
	}
	fake.become("")
	again := p.instance()
	if !accept(again, 1) || accept(again, 2) {
		t.Error("a new instance answers repeats differently")
	}
	if got := fake.questions(); got != 2 {
		t.Errorf("the median was asked %d times; want 2", got)
	}
	if stored, err := p.database.Accepted(t.Context(), p.factory.jobID, at(2)); stored || err != nil {
		t.Errorf("stored %t, error %v", stored, err)
	}
}

func TestAcceptanceAsksANewInstanceOnce(t *testing.T) {
	t.Parallel()
	p := newParts(t, nodeSettings{medianMode: "die:" + filepath.Join(t.TempDir(), "accept")})
	instance := p.instance()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	yes, err := instance.ShouldAcceptFinalizedReport(ctx, at(1), types.Report{1})
	if !yes || err != nil {
		t.Errorf("answer %t, error %v; the instance made again has accepted nothing and says yes", yes, err)
	}
	if got := p.median.Status().Generation; got != 2 {
		t.Errorf("the median is in generation %d; want 2", got)
	}
	if stored, err := p.database.Accepted(t.Context(), p.factory.jobID, at(1)); !stored || err != nil {
		t.Errorf("stored %t, error %v", stored, err)
	}
}

func TestAcceptanceDoesNotWaitForAMediansOwnTrouble(t *testing.T) {
	t.Parallel()
	fake := &fakeMedian{mode: "away"}
	p := newParts(t, nodeSettings{inProcess: inProcess(fake)})
	instance := p.instance()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begin := time.Now()
	_, err := instance.ShouldAcceptFinalizedReport(ctx, at(1), types.Report{1})
	if status.Code(err) != codes.Unavailable || time.Since(begin) > 30*time.Second {
		t.Errorf("error %v after %s", err, time.Since(begin))
	}
	if _, err := p.database.Accepted(t.Context(), p.factory.jobID, at(1)); !errors.Is(err, database.ErrNotFound) {
		t.Errorf("an answer was kept that nobody gave: %v", err)
	}
	if got := fake.questions(); got != 1 {
		t.Errorf("the median was asked %d times; want 1", got)
	}
}

// lossy is a median whose answers are lost on the way, until it is told otherwise.
type lossy struct {
	reportingv1.ReportingPluginServiceClient
	during func() // runs under a call
	asked  int
	answer bool
}

func (l *lossy) ShouldAcceptFinalizedReport(_ context.Context, _ *reportingv1.ShouldAcceptFinalizedReportRequest,
	_ ...grpc.CallOption) (*reportingv1.ShouldAcceptFinalizedReportResponse, error) {
	l.asked++
	if l.answer {
		return &reportingv1.ShouldAcceptFinalizedReportResponse{ShouldAccept: true}, nil
	}
	if l.during != nil {
		l.during()
	}
	return nil, status.Error(codes.Unavailable, "the connection broke")
}

func TestAcceptanceAfterALostAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		under, after bool // the instance is made again under the first call, after it
		asked        int
		want         bool
		waits        bool // until its time is over, for the instance to be made again
	}{
		// It may have accepted, and would say no to a repeat.
		"the same instance is not asked again": {false, false, 1, false, true},
		"a new one is":                         {false, true, 2, true, false},
		// The call may have gone to the one that is there now.
		"one that was made under the call is not": {true, false, 1, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _ := newKeys(t)
			log, _ := newLogger(t)
			l := &lossy{}
			p := &plugin{
				factory: &factory{database: d, logger: &logger{slog: log}, fail: func(string) {}, feed: feed.New(false),
					history: newHistory(t)},
				remote: &reportingv1loophost.ReportingPlugin{ReportingPluginServiceClient: l},
			}
			made := func() { p.made(&reportingv1.CreateReportingPluginResponse{}) }
			made()
			if c.under {
				l.during = made
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if c.waits {
				l.during = func() { time.AfterFunc(50*time.Millisecond, cancel) }
			}
			if c.after {
				l.during = func() {
					l.answer = true
					time.AfterFunc(50*time.Millisecond, made)
				}
			}
			yes, err := p.ShouldAcceptFinalizedReport(ctx, at(1), nil)
			if waited := ctx.Err() != nil; waited != c.waits {
				t.Errorf("it waited until its time was over: %t; want %t", waited, c.waits)
			}
			if yes != c.want || (err == nil) != c.want || l.asked != c.asked {
				t.Errorf("answer %t, error %v, asked %d times; want %t, %d times", yes, err, l.asked, c.want, c.asked)
			}
		})
	}
}

func TestLimitsThatGrowFailTheJob(t *testing.T) {
	t.Parallel()
	p := newParts(t, nodeSettings{medianMode: "grows:" + filepath.Join(t.TempDir(), "made")})
	p.instance()
	if err := syscall.Kill(p.median.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case reason := <-p.failed:
		if !strings.Contains(reason, "100000") || !strings.Contains(reason, "288") {
			t.Errorf("the job failed with %q", reason)
		}
	case <-time.After(time.Minute):
		t.Fatal("the job did not fail")
	}
	if latest := p.errors.Latest(); len(latest) == 0 || !strings.Contains(latest[0].Message, "limits") {
		t.Errorf("the job's errors: %v", latest)
	}
	// A restart of the job takes what is there now.
	eventually(t, "storing the new limits", func() bool {
		stored, err := p.database.ReportingInfo(t.Context(), p.factory.jobID, testDigest)
		return err == nil && stored.Limits.MaxReportLength == 100_000
	})
}

func TestProblemOfLimits(t *testing.T) {
	t.Parallel()
	info := func(query, observation, report int, unique bool) types.ReportingPluginInfo {
		return types.ReportingPluginInfo{UniqueReports: unique,
			Limits: types.ReportingPluginLimits{MaxQueryLength: query, MaxObservationLength: observation,
				MaxReportLength: report}}
	}
	for name, c := range map[string]struct {
		given, latest types.ReportingPluginInfo
		exact, fails  bool
	}{
		"the same": {info(0, 92, 288, false), info(0, 92, 288, false), true, false},
		"another name": {types.ReportingPluginInfo{Name: "a"}, types.ReportingPluginInfo{Name: "b"},
			true, false},
		"smaller than declared":                {info(0, 92, 288, false), info(0, 92, 256, false), true, true},
		"smaller than the bounds":              {medianBounds(), info(0, 92, 256, false), false, false},
		"at the bounds":                        {medianBounds(), medianBounds(), false, false},
		"a query, where the bounds have none":  {medianBounds(), info(1, 92, 256, false), false, true},
		"an observation beyond the bounds":     {medianBounds(), info(0, 93, 256, false), false, true},
		"a report beyond the bounds":           {medianBounds(), info(0, 92, 1153, false), false, true},
		"unique reports, which change quorums": {medianBounds(), info(0, 92, 256, true), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, _ := newLogger(t)
			var told []string
			p := &plugin{given: &c.given, latest: &c.latest, exact: c.exact,
				factory: &factory{logger: &logger{slog: log}, fail: func(reason string) { told = append(told, reason) }}}
			p.problem()()
			if (len(told) == 1) != c.fails {
				t.Errorf("told %q", told)
			}
			// The plugin that was there before comes back.
			p.latest = &c.given
			p.problem()()
			if c.fails && (len(told) != 2 || told[1] != "") {
				t.Errorf("told %q; want the end of the failure", told)
			}
		})
	}
}

// TestMedianBoundsAreThoseOfLibocr holds the constants to their source.
func TestMedianBoundsAreThoseOfLibocr(t *testing.T) {
	t.Parallel()
	onchain, err := libocr.StandardOnchainConfigCodec{}.Encode(t.Context(),
		libocr.OnchainConfig{Min: new(big.Int), Max: new(big.Int)})
	if err != nil {
		t.Fatal(err)
	}
	log, _ := newLogger(t)
	factory := libocr.NumericalMedianFactory{
		OnchainConfigCodec: libocr.StandardOnchainConfigCodec{}, ReportCodec: evmreportcodec.ReportCodec{},
		Logger: &logger{slog: log},
	}
	_, info, err := factory.NewReportingPlugin(t.Context(),
		types.ReportingPluginConfig{N: types.MaxOracles, OnchainConfig: onchain,
			OffchainConfig: libocr.OffchainConfig{}.Encode()})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(info, medianBounds()); d != "" {
		t.Errorf("libocr's median of %d oracles and the bounds (-libocr +bounds):\n%s", types.MaxOracles, d)
	}
}

func TestReportCarriesObservations(t *testing.T) {
	t.Parallel()
	p := newParts(t, nodeSettings{inProcess: inProcess(&fakeMedian{})})
	instance := p.instance()
	p.factory.feed.Landed(0, 0)
	if p.factory.feed.Awaits() {
		t.Error("the contract is asked for a landing before there is a report")
	}
	should, report, err := instance.Report(t.Context(), at(1), types.Query("query "),
		[]types.AttributedObservation{{Observation: types.Observation("first"), Observer: 3}, {}})
	if !should || string(report) != "query first" || err != nil {
		t.Errorf("report %t %q, error %v", should, report, err)
	}
	if !p.factory.feed.Awaits() {
		t.Error("a report is made, and the contract is not asked whether it has landed")
	}
	transmit, err := instance.ShouldTransmitAcceptedReport(t.Context(), at(1), report)
	if !transmit || err != nil {
		t.Errorf("transmit %t, error %v", transmit, err)
	}
}

// reports is a product whose calls for a report do as a test says.
type reports struct {
	reportingv1.ReportingPluginServiceClient
	answer func(ctx context.Context) (*reportingv1.ReportResponse, error)
}

func (r *reports) Report(ctx context.Context, _ *reportingv1.ReportRequest,
	_ ...grpc.CallOption) (*reportingv1.ReportResponse, error) {
	return r.answer(ctx)
}

// TestReportsThatFail holds that a product that makes no report is known to make none: libocr only logs it, and asks
// for observations as before.
func TestReportsThatFail(t *testing.T) {
	t.Parallel()
	log, _ := newLogger(t)
	product, known := &reports{}, feed.New(false)
	p := &plugin{
		factory: &factory{name: "the median", logger: &logger{slog: log}, feed: known, history: newHistory(t)},
		config:  types.ReportingPluginConfig{MaxDurationReport: time.Millisecond},
		remote:  &reportingv1loophost.ReportingPlugin{ReportingPluginServiceClient: product},
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name     string
		ctx      context.Context
		answer   func(ctx context.Context) (*reportingv1.ReportResponse, error)
		failures int
		fault    string
	}{
		{"an error", t.Context(), func(context.Context) (*reportingv1.ReportResponse, error) {
			return nil, status.Error(codes.Internal, "the codec knows no such type")
		}, 1, "the codec knows no such type"},
		{"one that is too slow", t.Context(), func(ctx context.Context) (*reportingv1.ReportResponse, error) {
			<-ctx.Done()
			return nil, status.FromContextError(ctx.Err()).Err()
		}, 2, "the median has not answered within MaxDurationReport, 1ms: context deadline exceeded"},
		{"one that libocr has given up", over, func(ctx context.Context) (*reportingv1.ReportResponse, error) {
			return nil, status.FromContextError(ctx.Err()).Err()
		}, 2, "the median has not answered within MaxDurationReport, 1ms: context deadline exceeded"},
		{"none that is due", context.WithoutCancel(over), func(context.Context) (*reportingv1.ReportResponse, error) {
			return &reportingv1.ReportResponse{}, nil
		}, 0, ""},
	} {
		product.answer = c.answer
		_, _, _ = p.Report(c.ctx, at(1), nil, nil)
		if got := known.Facts().Report; got.Failures != c.failures || got.Fault != c.fault {
			t.Errorf("%s: noted %+v", c.name, got)
		}
	}
}

// long answers with a byte more than an instance declared.
type long struct {
	reportingv1.ReportingPluginServiceClient
}

func (long) Query(context.Context, *reportingv1.QueryRequest, ...grpc.CallOption) (*reportingv1.QueryResponse, error) {
	return &reportingv1.QueryResponse{Query: make([]byte, 2)}, nil
}

func (long) Observation(context.Context, *reportingv1.ObservationRequest,
	...grpc.CallOption) (*reportingv1.ObservationResponse, error) {
	return &reportingv1.ObservationResponse{Observation: make([]byte, 93)}, nil
}

func (long) Report(context.Context, *reportingv1.ReportRequest,
	...grpc.CallOption) (*reportingv1.ReportResponse, error) {
	return &reportingv1.ReportResponse{ShouldReport: true, Report: make([]byte, 289)}, nil
}

// TestAnswersAboveTheirLimits holds that they count as failures: libocr drops them with a line in its log.
func TestAnswersAboveTheirLimits(t *testing.T) {
	t.Parallel()
	log, _ := newLogger(t)
	known, given := feed.New(false), fakeInfo()
	given.Limits.MaxQueryLength = 1
	p := &plugin{
		factory: &factory{name: "the median", logger: &logger{slog: log}, feed: known, history: newHistory(t),
			observing: hostservice.NewRounds()},
		remote: &reportingv1loophost.ReportingPlugin{ReportingPluginServiceClient: long{}}, given: &given,
	}
	known.Landed(0, 0)
	_, query := p.Query(t.Context(), at(1))
	_, observation := p.Observation(t.Context(), at(1), nil)
	_, _, report := p.Report(t.Context(), at(1), nil, nil)
	facts := known.Facts()
	for want, got := range map[string][]string{
		"query: has 2 bytes; the product declared 1":         {fmt.Sprint(query)},
		"observation: has 93 bytes; the product declared 92": {fmt.Sprint(observation), facts.Observation.Fault},
		"report: has 289 bytes; the product declared 288":    {fmt.Sprint(report), facts.Report.Fault},
	} {
		for _, text := range got {
			if text != want {
				t.Errorf("got %q; want %q", text, want)
			}
		}
	}
	if known.Awaits() || len(p.factory.history.Reports()) > 0 {
		t.Error("a report that libocr drops is said to have been made")
	}
}

func TestInstanceIsReleasedAtClose(t *testing.T) {
	t.Parallel()
	fake := &fakeMedian{}
	p := newParts(t, nodeSettings{inProcess: inProcess(fake)})
	instance := p.instance()
	for range 2 {
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	}
	fake.mu.Lock()
	released := fake.released
	fake.mu.Unlock()
	if released != 1 {
		t.Errorf("%d instances were closed; want 1", released)
	}
	if _, err := instance.Query(t.Context(), at(1)); status.Code(err) != codes.NotFound {
		t.Errorf("a call after the end: %v", err)
	}
}
