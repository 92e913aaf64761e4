package oracle

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/oracle/deadline"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
)

// The names of these tests are the ways in which a feed stops without an obvious error, as libocr is built.

// parts are the adapters of one job, without libocr above them.
type parts struct {
	*testNode
	provider *relayerv1loophost.Provider
	factory  *factory
	errors   *hostservice.ErrorLog
	failed   chan string
}

func newParts(t *testing.T, s nodeSettings) *parts {
	t.Helper()
	s.noPeer = true
	if s.contract == nil {
		s.contract = newAggregator()
	}
	n := newNode(t, s)
	settings := n.job(n.spec())
	p := &parts{testNode: n, errors: hostservice.NewErrorLog(), failed: make(chan string, 10)}
	p.provider = n.chain.CreateProvider(&relayerv1.CreateProviderRequest{
		ProviderType: "median", TransmitterId: n.account(),
		Config: &relayerv1.ProviderConfig{ExternalJobId: "x", ContractId: contractAddress},
	})
	source := hostservice.NewDataSource(nil, nil, n.logger)
	t.Cleanup(source.Close)
	lent := hostservicev1loophost.ExportDataSource(n.runtime, source)
	median := n.median.CreateMedianFactory(&medianv1.CreateMedianFactoryRequest{},
		medianv1loophost.CreateMedianFactoryLoans{
			Provider: p.provider, ValueSource: lent, JuelsPerFeeCoinSource: lent, GasPriceSubunitsSource: lent,
			ErrorLog: hostservicev1loophost.ExportErrorLog(n.runtime, p.errors),
		})
	p.factory = &factory{
		name: "the median", maker: median, created: (&reporter{Object: median.Object}).created, bounds: medianBounds(),
		database: n.database, jobID: settings.JobID, minQuery: minQueryDuration,
		logger:  &logger{slog: n.logger, record: p.errors.Record},
		running: func(types.ConfigDigest, time.Duration) {}, fail: func(reason string) { p.failed <- reason },
		refuse: func(reason string) { p.failed <- reason },
		feed:   feed.New(false), history: newHistory(t),
	}
	return p
}

// slack is what a busy machine may add to a call that ends by its deadline. A call that ignores its deadline takes a
// minute, or never ends.
const slack = 20 * time.Second

var testDigest = types.ConfigDigest{0, 1, 2, 3}

func pluginConfig() types.ReportingPluginConfig {
	return types.ReportingPluginConfig{
		ConfigDigest: testDigest, N: 4, F: 1,
		MaxDurationObservation: 300 * time.Millisecond, MaxDurationReport: 300 * time.Millisecond,
		MaxDurationShouldAcceptFinalizedReport:  300 * time.Millisecond,
		MaxDurationShouldTransmitAcceptedReport: 300 * time.Millisecond,
	}
}

// patient is a context that goes on past its deadline: a busy machine may be late without an effect on a test.
type patient struct {
	context.Context
	deadline time.Time
}

// Deadline implements context.Context.
func (p patient) Deadline() (time.Time, bool) { return p.deadline, true }

// new makes an instance as libocr does.
func (p *parts) new(limit time.Duration) (types.ReportingPlugin, types.ReportingPluginInfo, error) {
	p.t.Helper()
	made, info, err := p.factory.NewReportingPlugin(patient{p.t.Context(), time.Now().Add(limit)}, pluginConfig())
	if err == nil {
		p.t.Cleanup(func() { _ = made.Close() })
	}
	return made, info, err
}

func (p *parts) instance() types.ReportingPlugin {
	p.t.Helper()
	made, _, err := p.new(time.Minute)
	if err != nil {
		p.t.Fatal(err)
	}
	return made
}

// fakeInfo is what the fake median declares.
func fakeInfo() types.ReportingPluginInfo {
	return types.ReportingPluginInfo{Name: "fake",
		Limits: types.ReportingPluginLimits{MaxObservationLength: 92, MaxReportLength: 288}}
}

func at(epoch uint32) types.ReportTimestamp {
	return types.ReportTimestamp{ConfigDigest: testDigest, Epoch: epoch, Round: 1}
}

// minQueryDuration is the least time for a query in these tests: the node's default.
const minQueryDuration = 100 * time.Millisecond

func TestTrap1NoTimeForQueries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ set, want time.Duration }{
		"nobody has set a least time":   {config.Default().Environment.MinOCR2MaxDurationQuery, 100 * time.Millisecond},
		"the operator means zero":       {0, 0},
		"the environment has set one":   {250 * time.Millisecond, 250 * time.Millisecond},
		"a short one is the node's own": {time.Millisecond, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := config.Default()
			node.Environment.MinOCR2MaxDurationQuery = c.set
			if got := localConfigTo(node, &job.Spec{}).MinOCR2MaxDurationQuery; got != c.want {
				t.Errorf("queries get %s at least; want %s", got, c.want)
			}
		})
	}
	// Where libocr passes no deadline, the adapter's is not zero either. It is long, for the median to answer within.
	p := newParts(t, nodeSettings{inProcess: inProcess(&fakeMedian{})})
	p.factory.minQuery = time.Minute
	instance := p.instance()
	instance.(*plugin).given.Limits.MaxQueryLength = 100 // for the fake's, which says how long it had
	query, err := instance.Query(context.Background(), at(1))
	if err != nil {
		t.Fatal(err)
	}
	if left, err := time.ParseDuration(string(query)); err != nil || left <= 0 || left > p.factory.minQuery {
		t.Errorf("the median had %q for the query; want up to %s", query, p.factory.minQuery)
	}
}

func TestTrap2FactoryErrorIsFinal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode   string
		stored bool
		want   types.ReportingPluginInfo // of what libocr is told
		errs   codes.Code
	}{
		"the median is there":              {"", false, fakeInfo(), codes.OK},
		"the median does not answer":       {"hang-init", false, medianBounds(), codes.OK},
		"it does not answer, and is known": {"hang-init", true, fakeInfo(), codes.OK},
		"its chain is away":                {"away-init", false, medianBounds(), codes.OK},
		"its constructor panics":           {"init-panic", false, medianBounds(), codes.OK},
		"it cannot run the configuration": {"refuse-config", false, types.ReportingPluginInfo{},
			codes.InvalidArgument},
		"it cannot run the configuration, though known": {"refuse-config", true, types.ReportingPluginInfo{},
			codes.InvalidArgument},
		"it cannot run the job": {"refuse-factory", false, types.ReportingPluginInfo{}, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := &fakeMedian{mode: c.mode}
			p := newParts(t, nodeSettings{inProcess: inProcess(fake)})
			if c.stored {
				if err := p.database.PutReportingInfo(t.Context(), p.factory.jobID, testDigest, fakeInfo()); err != nil {
					t.Fatal(err)
				}
			}
			waits, limit := strings.HasSuffix(c.mode, "-init") || c.mode == "init-panic", time.Minute
			if waits {
				limit = time.Second
			}
			begin := time.Now()
			_, info, err := p.new(limit)
			took := time.Since(begin)
			if status.Code(err) != c.errs {
				t.Fatalf("error %v; want code %s", err, c.errs)
			}
			if d := cmp.Diff(c.want, info); d != "" {
				t.Errorf("info (-want +got):\n%s", d)
			}
			if waits && (took < limit*4/5 || took > limit+slack) {
				t.Errorf("took %s; want four fifths of %s", took, limit)
			}
			if c.errs != codes.OK {
				select {
				case reason := <-p.failed:
					if !strings.Contains(reason, "fake") {
						t.Errorf("the job failed with %q", reason)
					}
				default:
					t.Error("the job did not fail visibly")
				}
				return
			}
			if c.mode != "" {
				// What was handed out works as soon as the median does, and its own limits raise no alarm.
				fake.become("")
				eventually(t, "storing the limits of the healed median", func() bool {
					stored, err := p.database.ReportingInfo(t.Context(), p.factory.jobID, testDigest)
					return err == nil && stored == fakeInfo()
				})
				if len(p.failed) > 0 {
					t.Errorf("the job failed: %s", <-p.failed)
				}
			}
		})
	}
}

// TestShareOfTheInitialization checks how long of libocr's time a median is waited for, and that of a time that is over
// before it begins nothing fails: libocr would not ask again.
func TestShareOfTheInitialization(t *testing.T) {
	t.Parallel()
	d, _ := newKeys(t)
	log, _ := newLogger(t)
	for given, want := range map[time.Duration]time.Duration{
		10 * time.Second: 8 * time.Second, time.Second: deadline.Floor, 0: deadline.Floor, -time.Minute: deadline.Floor,
	} {
		synctest.Test(t, func(t *testing.T) {
			away := func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}
			f := &factory{database: d, created: away, bounds: medianBounds(), logger: &logger{slog: log}}
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), given)
			defer cancel()
			info, err := f.info(ctx, &plugin{factory: f})
			if took := time.Since(begin); took != want || info != medianBounds() || err != nil {
				t.Errorf("after %s of %s: %+v, %v", took, given, info, err)
			}
		})
	}
	f := &factory{database: d, bounds: medianBounds(), logger: &logger{slog: log}}
	ctx, cancel := context.WithCancel(t.Context())
	f.created = func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}
	if _, err := f.info(ctx, &plugin{factory: f}); !errors.Is(err, context.Canceled) {
		t.Errorf("of a job that has ended libocr is told %v", err)
	}
}

// TestNoTimeForTheInitialization holds that what a median has declared before is found when libocr's time is over.
func TestNoTimeForTheInitialization(t *testing.T) {
	t.Parallel()
	p := newParts(t, nodeSettings{inProcess: inProcess(&fakeMedian{mode: "away-init"})})
	if err := p.database.PutReportingInfo(t.Context(), p.factory.jobID, testDigest, fakeInfo()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	made, info, err := p.factory.NewReportingPlugin(ctx, pluginConfig())
	if err != nil || info != fakeInfo() {
		t.Fatalf("libocr is told %+v, %v", info, err)
	}
	if err := made.Close(); err != nil {
		t.Error(err)
	}
}

// TestLimitsThatLibocrCannotRun holds that they fail the job: libocr ends for good with a line in its log.
func TestLimitsThatLibocrCannotRun(t *testing.T) {
	t.Parallel()
	p := newParts(t, nodeSettings{inProcess: inProcess(&fakeMedian{mode: "large"})})
	if _, _, err := p.new(time.Minute); err == nil {
		t.Fatal("libocr is given limits that it cannot run")
	}
	if reason := <-p.failed; !strings.Contains(reason, "max_report_length is 268435457 bytes, and OCR2 has at most") {
		t.Errorf("the job failed with %q", reason)
	}
	if stored, err := p.database.ReportingInfo(t.Context(), p.factory.jobID, testDigest); err == nil {
		t.Errorf("the next start would run with %+v", stored)
	}
}

// TestLimitsAreThoseOfLibocr holds checkLimits to what libocr itself can run.
func TestLimitsAreThoseOfLibocr(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits types.ReportingPluginLimits
		n      int
		fault  string
	}{
		"a median's":         {medianBounds().Limits, types.MaxOracles, ""},
		"the largest query":  {types.ReportingPluginLimits{MaxQueryLength: types.MaxMaxQueryLength}, 4, ""},
		"the largest report": {types.ReportingPluginLimits{MaxReportLength: types.MaxMaxReportLength}, 31, ""},
		"a larger query": {types.ReportingPluginLimits{MaxQueryLength: types.MaxMaxQueryLength + 1}, 4,
			"max_query_length is"},
		"a larger observation": {types.ReportingPluginLimits{MaxObservationLength: types.MaxMaxObservationLength + 1}, 1,
			"max_observation_length is"},
		"observations of too many": {types.ReportingPluginLimits{MaxObservationLength: types.MaxMaxObservationLength}, 4,
			"max_query_length + 5 * max_observation_length + 3 * max_report_length is 1342177280 bytes"},
	} {
		if err := checkLimits(c.limits, c.n); (err != nil) != (c.fault != "") ||
			err != nil && !strings.HasPrefix(err.Error(), c.fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTrap3InstanceIsKeptAcrossRestarts(t *testing.T) {
	t.Parallel()
	p := newParts(t, nodeSettings{medianMode: "plain"})
	instance := p.instance()
	observe := func() string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o, err := instance.Observation(ctx, at(1), nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(o)
	}
	before := observe()
	if err := syscall.Kill(p.median.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if after := observe(); after == before {
		t.Errorf("process %s answered after it was killed", after)
	}
	if len(p.failed) > 0 {
		t.Errorf("the job failed: %s", <-p.failed)
	}
}

func TestTrap4TransmissionIsNeverRepeated(t *testing.T) {
	t.Parallel()
	// The relayer's process dies under the first call, its store does not answer the second: libocr is told of success all
	// the same, once the report is taken.
	mark := filepath.Join(t.TempDir(), "transmit")
	p := newParts(t, nodeSettings{relayerMode: "die:" + mark, inProcess: inProcess(&fakeMedian{})})
	transmit := &transmitter{provider: p.provider, account: "a", transmitLimit: time.Minute, readLimit: time.Minute,
		logger: p.factory.logger, handovers: NewHandovers(p.logger), feed: feed.New(false), history: newHistory(t),
		answer: (&Oracle{}).Answer}
	signatures := []types.AttributedOnchainSignature{{Signature: []byte{1}, Signer: 2}}
	if err := transmit.Transmit(t.Context(), types.ReportContext{ReportTimestamp: at(1)}, types.Report{1},
		signatures); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".1", ".2", ".taken"} {
		if _, err := os.Stat(mark + suffix); err != nil {
			t.Errorf("the relayer was not asked often enough: %v", err)
		}
	}
	if got := p.relayer.Status().Generation; got != 2 {
		t.Errorf("the relayer is in generation %d; want 2", got)
	}

	// What the relayer refuses is not asked again.
	refusing := newParts(t, nodeSettings{inProcess: inProcess(&fakeMedian{})})
	refusing.fake.become("refuse-transmit")
	refused := refusing.chain.CreateProvider(&relayerv1.CreateProviderRequest{ProviderType: "median", TransmitterId: "a",
		Config: &relayerv1.ProviderConfig{ExternalJobId: "y", ContractId: "c"}})
	transmit = &transmitter{provider: refused, transmitLimit: time.Minute, logger: refusing.factory.logger,
		feed: feed.New(false), history: newHistory(t), answer: (&Oracle{}).Answer}
	begin := time.Now()
	err := transmit.Transmit(t.Context(), types.ReportContext{ReportTimestamp: at(1)}, types.Report{1}, signatures)
	if status.Code(err) != codes.InvalidArgument || time.Since(begin) > 30*time.Second {
		t.Errorf("error %v after %s", err, time.Since(begin))
	}
}

func TestTrap5SlowCallsStallTheProtocol(t *testing.T) {
	t.Parallel()
	p := newParts(t, nodeSettings{inProcess: inProcess(&fakeMedian{})})
	p.fake.become("hang")
	slow := p.chain.CreateProvider(&relayerv1.CreateProviderRequest{ProviderType: "median", TransmitterId: "a",
		Config: &relayerv1.ProviderConfig{ExternalJobId: "y", ContractId: "c"}})
	const limit = time.Second
	transmit := &transmitter{provider: slow, account: "0xA", transmitLimit: limit, readLimit: limit,
		logger: p.factory.logger, feed: feed.New(false), history: newHistory(t), answer: (&Oracle{}).Answer}
	track := &tracker{provider: slow, limit: limit, logger: p.factory.logger, feed: feed.New(false)}
	var wait sync.WaitGroup
	for name, call := range map[string]func(context.Context) error{
		"LatestConfigDigestAndEpoch": func(ctx context.Context) error {
			_, _, err := transmit.LatestConfigDigestAndEpoch(ctx)
			return err
		},
		"LatestConfigDetails": func(ctx context.Context) error {
			_, _, err := track.LatestConfigDetails(ctx)
			return err
		},
	} {
		for _, bound := range []time.Duration{0, time.Minute} {
			wait.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				if bound > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), bound)
				}
				defer cancel()
				begin := time.Now()
				err := call(ctx)
				if took := time.Since(begin); ctx.Err() != nil || status.Code(errors.Unwrap(err)) != codes.DeadlineExceeded ||
					took < limit-10*time.Millisecond || took > limit+slack {
					t.Errorf("%s with %s: error %v after %s, libocr's context %v; want the call's own deadline after %s", name, bound,
						err, took, ctx.Err(), limit)
				}
			})
		}
	}
	wait.Wait()
	// Where libocr's deadline comes first, the call's own is before it.
	synctest.Test(t, func(t *testing.T) {
		libocr, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer stop()
		ctx, cancel := within(libocr, limit)
		defer cancel()
		if deadline, _ := ctx.Deadline(); time.Until(deadline) != 450*time.Millisecond {
			t.Errorf("of 500 ms that libocr has left a call gets %s; want 450 ms", time.Until(deadline))
		}
	})
	// The account comes from the job: no provider is there to be asked.
	if account, err := (&transmitter{account: "0xA"}).FromAccount(t.Context()); account != "0xA" || err != nil {
		t.Errorf("account %q, error %v", account, err)
	}
}

func TestTrap6FeedsOfOneAccountRaceForNonces(t *testing.T) {
	t.Parallel()
	// One queue per chain and account is the relayer's; it can be one because the jobs of a chain share one chain object.
	n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{})})
	for range 2 {
		n.start(n.job(n.spec("12D3KooWQzePGqHw66cV1Qsm71eGZKiPEgALYYM3inPtFYibZ67e@127.0.0.1:1")))
	}
	n.fake.mu.Lock()
	defer n.fake.mu.Unlock()
	if len(n.fake.made) != 2 || n.fake.made[0].GetTransmitterId() != n.fake.made[1].GetTransmitterId() {
		t.Errorf("providers: %v", n.fake.made)
	}
	chains := 0
	for _, o := range n.relayer.Status().Objects {
		if o.Type == "Chain" {
			chains++
		}
	}
	if chains != 1 {
		t.Errorf("the relayer has %d chains; want 1", chains)
	}
}

func TestTrap7PanicsEndTheProcess(t *testing.T) {
	t.Parallel()
	p := newParts(t, nodeSettings{inProcess: inProcess(&fakeMedian{mode: "panic"})})
	if _, err := p.instance().Observation(t.Context(), at(1), nil); status.Code(err) != codes.Internal {
		t.Errorf("a median in the node's process panicked: error %v", err)
	}
	// Nothing is behind these: each call panics inside the node.
	log := &logger{slog: p.logger}
	track, digest, transmit, broken := &tracker{logger: log}, &digester{logger: log}, &transmitter{logger: log}, &plugin{
		factory: &factory{logger: log}}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"LatestConfigDetails":        func() error { _, _, err := track.LatestConfigDetails(ctx); return err },
		"LatestConfig":               func() error { _, err := track.LatestConfig(ctx, 1); return err },
		"LatestBlockHeight":          func() error { _, err := track.LatestBlockHeight(ctx); return err },
		"ConfigDigest":               func() error { _, err := digest.ConfigDigest(ctx, types.ContractConfig{}); return err },
		"ConfigDigestPrefix":         func() error { _, err := digest.ConfigDigestPrefix(ctx); return err },
		"Transmit":                   func() error { return transmit.Transmit(ctx, types.ReportContext{}, nil, nil) },
		"LatestConfigDigestAndEpoch": func() error { _, _, err := transmit.LatestConfigDigestAndEpoch(ctx); return err },
		"NewReportingPlugin": func() error {
			_, _, err := broken.factory.NewReportingPlugin(ctx, types.ReportingPluginConfig{})
			return err
		},
		"Query":       func() error { _, err := broken.Query(ctx, at(1)); return err },
		"Observation": func() error { _, err := broken.Observation(ctx, at(1), nil); return err },
		"Report":      func() error { _, _, err := broken.Report(ctx, at(1), nil, nil); return err },
		"ShouldAcceptFinalizedReport": func() error {
			_, err := broken.ShouldAcceptFinalizedReport(ctx, at(1), nil)
			return err
		},
		"ShouldTransmitAcceptedReport": func() error {
			_, err := broken.ShouldTransmitAcceptedReport(ctx, at(1), nil)
			return err
		},
		"Close": broken.Close,
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), name+" panicked") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestTrap8DeadlinesAreNotEnforced(t *testing.T) {
	t.Parallel()
	fake := &fakeMedian{}
	p := newParts(t, nodeSettings{inProcess: inProcess(fake)})
	instance := p.instance()
	fake.become("hang")
	for name, call := range map[string]func(context.Context) error{
		"Query":       func(ctx context.Context) error { _, err := instance.Query(ctx, at(1)); return err },
		"Observation": func(ctx context.Context) error { _, err := instance.Observation(ctx, at(1), nil); return err },
		"ShouldAcceptFinalizedReport": func(ctx context.Context) error {
			_, err := instance.ShouldAcceptFinalizedReport(ctx, at(1), nil)
			return err
		},
		"ShouldTransmitAcceptedReport": func(ctx context.Context) error {
			_, err := instance.ShouldTransmitAcceptedReport(ctx, at(1), nil)
			return err
		},
	} {
		for bound, want := range map[time.Duration]time.Duration{100 * time.Millisecond: 100 * time.Millisecond,
			0: 300 * time.Millisecond} {
			begin := time.Now() // the deadline's own time begins after it
			ctx, cancel := context.WithCancel(t.Context())
			if bound > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), bound)
			} else if name == "Query" {
				want = minQueryDuration
			}
			err := call(ctx)
			if took := time.Since(begin); status.Code(err) != codes.DeadlineExceeded || took < want-10*time.Millisecond ||
				took > want+slack {
				t.Errorf("%s with %s: error %v after %s; want the deadline's after %s", name, bound, err, took, want)
			}
			cancel()
		}
	}
}

func TestTrap9NoBootstrapper(t *testing.T) {
	t.Parallel()
	n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{})})
	o := n.start(n.job(n.spec()))
	latest := o.Errors()
	if len(latest) == 0 || !strings.Contains(latest[len(latest)-1].Message, "p2pv2Bootstrappers") {
		t.Errorf("the job's errors do not say that it has no bootstrapper: %v", latest)
	}
	// The node's own serve a job that names none.
	locator := n.locator()
	parsed, err := config.ParseBootstrapper(locator)
	if err != nil {
		t.Fatal(err)
	}
	n.config.P2P.V2.DefaultBootstrappers = []config.Bootstrapper{parsed}
	o = n.start(n.job(n.spec()))
	for _, e := range o.Errors() {
		if strings.Contains(e.Message, "p2pv2Bootstrappers") {
			t.Errorf("an error of a job with the node's bootstrappers: %s", e.Message)
		}
	}
}

func TestTrap10TwoOraclesForOneConfiguration(t *testing.T) {
	t.Parallel()
	contract := newAggregator()
	n := newNode(t, nodeSettings{contract: contract, inProcess: inProcess(&fakeMedian{})})
	_, second := newKeys(t)
	_, third := newKeys(t)
	_, fourth := newKeys(t)
	digest := contract.setConfig(contractConfig(t, n.keys, second, third, fourth))
	spec := n.spec(n.locator())
	runs := func(o *Oracle) bool {
		got, ok := o.ConfigDigest()
		return ok && got == digest
	}
	refused := func(o *Oracle) bool {
		for _, e := range o.Errors() {
			if strings.Contains(e.Message, "NewEndpoint") {
				return true
			}
		}
		return false
	}
	first := n.start(n.job(spec))
	eventually(t, "the first oracle's configuration", func() bool { return runs(first) })
	settings := n.job(spec)
	other := n.start(settings)
	eventually(t, "the refusal of the second oracle", func() bool { return refused(other) })
	// Once the first has closed there is no trace of it: the job is started again, and not held up by libocr's backoff.
	first.Close()
	other.Close()
	again := n.start(settings)
	eventually(t, "the configuration of the restarted oracle", func() bool { return runs(again) })
	eventually(t, "the start of the protocol", func() bool {
		return strings.Contains(n.logs.String(), "Running Pacemaker")
	})
	if refused(again) {
		t.Errorf("the restarted oracle was refused: %v", again.Errors())
	}
}
