package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// adapter answers with what it is told, and keeps what it was told.
type adapter struct {
	mu     sync.Mutex
	answer string // empty: an error
	metas  []string
}

func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var request struct {
		Meta json.RawMessage `json:"meta"`
	}
	_ = json.Unmarshal(body, &request)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.metas = append(a.metas, string(request.Meta))
	if a.answer == "" {
		http.Error(w, "the adapter is down", http.StatusBadGateway)
		return
	}
	fmt.Fprintf(w, `{"result": %s}`, a.answer)
}

func (a *adapter) set(answer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

type bridges map[string]string

// Bridge implements pipeline.Bridges.
func (b bridges) Bridge(_ context.Context, name string) (string, error) {
	if url, ok := b[name]; ok {
		return url, nil
	}
	return "", errors.New("no such bridge")
}

func parse(t *testing.T, source string) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func bridge(t *testing.T, name string) *pipeline.Pipeline {
	return parse(t, fmt.Sprintf(`ds [type=bridge name=%q]; parse [type=jsonparse path="result"]; ds -> parse`, name))
}

type setup struct {
	*Sources
	value, juels, gas *adapter
	database          *database.Database
	settings          Settings
}

func newSetup(t *testing.T, change func(*job.Spec)) *setup {
	t.Helper()
	s := &setup{value: &adapter{answer: "100"}, juels: &adapter{answer: "7"}, gas: &adapter{answer: "3"}}
	all := bridges{}
	for name, a := range map[string]*adapter{"value": s.value, "juels": s.juels, "gas": s.gas} {
		server := httptest.NewServer(a)
		t.Cleanup(server.Close)
		all[name] = server.URL
	}
	runner, err := pipeline.NewRunner(pipeline.Settings{Bridges: all})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Close)
	s.database, err = database.Open(t.Context(), database.Settings{Path: filepath.Join(t.TempDir(), "loop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.database.Close() })
	stored, err := s.database.AddJob(t.Context(), database.Job{ExternalID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	spec := &job.Spec{Observation: bridge(t, "value"), PluginConfig: job.PluginConfig{
		JuelsPerFeeCoin:      bridge(t, "juels"),
		JuelsPerFeeCoinCache: job.Cache{UpdateInterval: 5 * time.Minute, StalenessAlertThreshold: 24 * time.Hour},
	}}
	change(spec)
	s.settings = Settings{JobID: stored.ID, ExternalJobID: "x", Spec: spec, Pipelines: runner, Database: s.database,
		Logger: slog.New(slog.DiscardHandler)}
	if s.settings.History, err = history.New(history.Settings{Limits: config.Default().JobPipeline}).Job(t.Context(),
		stored.ID); err != nil {
		t.Fatal(err)
	}
	if s.Sources, err = New(s.settings); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func observe(t *testing.T, s *hostservice.DataSource, epoch uint32) (int64, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := s.Observe(ctx,
		&hostservicev1.ObserveRequest{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32), Epoch: epoch,
			Round: 1}})
	if err != nil {
		return 0, err
	}
	return wire.Int(r.GetValue()).Int64(), nil
}

func want(t *testing.T, s *hostservice.DataSource, epoch uint32, value int64) {
	t.Helper()
	if got, err := observe(t, s, epoch); got != value || err != nil {
		t.Errorf("observed %d in epoch %d, error %v; want %d", got, epoch, err, value)
	}
}

func TestSourcesTellBridgesTheirPreviousObservation(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(spec *job.Spec) {
		spec.PluginConfig.JuelsPerFeeCoinCache.Disable = true
		spec.PluginConfig.GasPriceSubunits = bridge(t, "gas")
	})
	before := time.Now().Unix()
	want(t, s.Value, 1, 100)
	want(t, s.GasPriceSubunits, 1, 3)
	s.value.set("200.9")
	want(t, s.Value, 2, 200)
	s.value.set("")
	if _, err := observe(t, s.Value, 3); err == nil || !strings.Contains(err.Error(), "ds") {
		t.Errorf("error %v does not name the task", err)
	}
	s.value.set("300")
	want(t, s.Value, 3, 300) // an error was not an observation
	want(t, s.Value, 3, 300) // and a repeat asks nobody
	want(t, s.GasPriceSubunits, 2, 3)

	var answers []any
	for i, meta := range s.value.metas {
		var m map[string]any
		if err := json.Unmarshal([]byte(meta), &m); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, m["latestAnswer"])
		if at, ok := m["updatedAt"].(float64); ok != (i > 0) || ok && int64(at) < before {
			t.Errorf("updatedAt of meta %d is %v", i, m["updatedAt"])
		}
	}
	// Its own answers, cut to integers; the failed run changed nothing.
	if d := cmp.Diff([]any{nil, 100., 200., 200.}, answers); d != "" {
		t.Errorf("latestAnswer of the value's runs (-want +got):\n%s", d)
	}
	if len(s.gas.metas) != 2 || !strings.Contains(s.gas.metas[1], `"latestAnswer":3`) {
		t.Errorf("metas of the gas price: %v", s.gas.metas)
	}
}

// The largest answer of a chain comes out as its adapter wrote it, and goes back to the adapter so.
func TestObservationsKeepTheirDigits(t *testing.T) {
	t.Parallel()
	const largest = "3138550867693340381917894711603833208051177722232017256447" // 2^191-1
	s := newSetup(t, func(*job.Spec) {})
	s.value.set(largest)
	for epoch := range uint32(2) {
		r, err := s.Value.Observe(t.Context(), &hostservicev1.ObserveRequest{
			Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32), Epoch: epoch + 1, Round: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := wire.Int(r.GetValue()).String(); got != largest {
			t.Errorf("observed %s, want %s", got, largest)
		}
	}
	if last := s.value.metas[1]; !strings.Contains(last, `"latestAnswer":`+largest) {
		t.Errorf("the adapter is told %s", last)
	}
	s.value.set("3138550867693340381917894711603833208051177722232017256448")
	if _, err := observe(t, s.Value, 3); err == nil || !strings.Contains(err.Error(), "does not fit the 192 bits") {
		t.Errorf("one more gives %v", err)
	}
}

func TestSourcesWithoutGasPriceAndCache(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(spec *job.Spec) { spec.PluginConfig.JuelsPerFeeCoinCache.Disable = true })
	want(t, s.GasPriceSubunits, 1, 0)
	want(t, s.JuelsPerFeeCoin, 1, 7)
	s.juels.set("8")
	want(t, s.JuelsPerFeeCoin, 2, 8)
	s.juels.set("")
	if _, err := observe(t, s.JuelsPerFeeCoin, 3); err == nil {
		t.Error("without a cache a failed source must fail the observation")
	}
}

func TestSourcesCacheTheFeeCoinsPrice(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(*job.Spec) {})
	want(t, s.JuelsPerFeeCoin, 1, 7)
	s.juels.set("8")
	want(t, s.JuelsPerFeeCoin, 2, 7)
	s.Close()
	if kept, err := s.database.JuelsPerFeeCoin(t.Context(), s.settings.JobID); err != nil || kept.Amount.Int64() != 7 {
		t.Errorf("kept %v, error %v", kept, err)
	}
	// The node starts again while the adapter is down.
	s.juels.set("")
	again, err := New(s.settings)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	want(t, again.JuelsPerFeeCoin, 3, 7)
	s.juels.set("9")
	want(t, again.JuelsPerFeeCoin, 4, 9)
}

func TestNewRefusesAJobWithoutPipelines(t *testing.T) {
	t.Parallel()
	if _, err := New(Settings{Spec: &job.Spec{}}); err == nil {
		t.Error("no error")
	}
}

func TestObservationsAreShownByRound(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(*job.Spec) {})
	want(t, s.Value, 1, 100)
	want(t, s.JuelsPerFeeCoin, 1, 7)
	want(t, s.GasPriceSubunits, 1, 0)
	s.value.set("")
	if _, err := observe(t, s.Value, 2); err == nil {
		t.Fatal("no error")
	}
	want(t, s.JuelsPerFeeCoin, 2, 7)
	if got := s.settings.History.Observations(10); len(got) != 1 {
		t.Errorf("%d rounds are shown while the second is under way; want 1", len(got))
	}
	want(t, s.GasPriceSubunits, 2, 0)
	latest := s.settings.History.Observations(10)
	if len(latest) != 2 {
		t.Fatalf("%d rounds; want 2", len(latest))
	}
	second, first := latest[0], latest[1]
	if second.GetTimestamp().GetEpoch() != 2 || second.GetValue() != nil || second.GetGasPriceSubunits() == nil ||
		wire.Int(second.GetJuelsPerFeeCoin()).Int64() != 7 ||
		len(second.GetErrors()) != 1 || !strings.HasPrefix(second.GetErrors()[0], "value: ") {
		t.Errorf("second round: %v", second)
	}
	if first.GetTimestamp().GetEpoch() != 1 || wire.Int(first.GetValue()).Int64() != 100 ||
		first.GetGasPriceSubunits() == nil || len(first.GetErrors()) != 0 ||
		time.Since(first.GetObservedAt().AsTime()) > time.Minute || first.GetTook().AsDuration() <= 0 {
		t.Errorf("first round: %v", first)
	}
	if got := s.settings.History.Observations(1); len(got) != 1 || got[0].GetTimestamp().GetEpoch() != 2 {
		t.Errorf("the newest round: %v", got)
	}
}

// An adapter that fails is in the job's errors, and in a run with every task, and a source that is asked between rounds
// has runs too.
func TestRunsAreKept(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(*job.Spec) {})
	want(t, s.Value, 1, 100)
	want(t, s.JuelsPerFeeCoin, 1, 7)
	s.value.set("")
	for epoch := range uint32(3) {
		if _, err := observe(t, s.Value, 2+epoch); err == nil {
			t.Fatal("no error")
		}
	}
	const down = "bridge value answered with status 502"
	errors := s.settings.History.Errors.Latest()
	if len(errors) != 1 || errors[0].Message != "value: task ds (bridge): "+down || errors[0].Count != 3 {
		t.Errorf("errors %+v", errors)
	}
	runs, more, err := s.settings.History.Runs(t.Context(), 0, 10, false)
	if err != nil || more {
		t.Fatal(err, more)
	}
	var got []string
	for _, r := range runs {
		got = append(got, fmt.Sprintf("%s of epoch %d: %s%s", r.Source, r.Epoch, r.Trace.Value, r.Trace.Error))
	}
	slices.Sort(got) // the fee coin's price is refreshed beside the value's runs
	failed := "task parse (jsonparse): not run, since task ds (bridge): " + down
	if d := cmp.Diff([]string{
		"juels of epoch 0: 7", "value of epoch 1: 100", "value of epoch 2: " + failed, "value of epoch 3: " + failed,
		"value of epoch 4: " + failed,
	}, got); d != "" {
		t.Error(d)
	}
	newest := runs[0]
	if newest.Faults != 1 || len(newest.Trace.Tasks) != 2 || newest.Trace.Tasks[0].Error != down ||
		newest.Trace.Tasks[1].Input[0].Error != down {
		t.Errorf("the newest run is %+v", newest.Trace)
	}
}

// A key that an adapter repeats is in nothing that is told of an observation's failure: to libocr, in the rounds and in
// the job's errors.
func TestFailedObservationsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(spec *job.Spec) {
		spec.Observation = parse(t, `ds [type=bridge name=value headers=<["X-Key", "sesame-open"]>]
			parse [type=jsonparse path=result]; ds -> parse`)
	})
	s.value.set(`"no sesame-open here"`)
	_, err := observe(t, s.Value, 1)
	if err == nil || !strings.Contains(err.Error(), `"no … here" is not a decimal number`) {
		t.Errorf("the observation failed with %v", err)
	}
	for source, d := range map[string]*hostservice.DataSource{"juels": s.JuelsPerFeeCoin, "gas": s.GasPriceSubunits} {
		if _, err := observe(t, d, 1); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
	told := fmt.Sprint(err, s.settings.History.Observations(1), s.settings.History.Errors.Latest())
	if strings.Contains(told, "sesame-open") || strings.Count(told, "no … here") < 3 {
		t.Errorf("told: %s", told)
	}
}

// BenchmarkObserve is an observation of three adapters on this machine, with its run kept and with none kept.
func BenchmarkObserve(b *testing.B) {
	server := httptest.NewServer(&adapter{answer: "100"})
	b.Cleanup(server.Close)
	runner, err := pipeline.NewRunner(pipeline.Settings{Bridges: bridges{"value": server.URL}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(runner.Close)
	p, err := pipeline.Parse(`a [type=bridge name=value]; b [type=bridge name=value]; c [type=bridge name=value]
		pa [type=jsonparse path=result]; pb [type=jsonparse path=result]; pc [type=jsonparse path=result]
		a -> pa -> m; b -> pb -> m; c -> pc -> m; m [type=median]; m -> x; x [type=multiply times=100]`)
	if err != nil {
		b.Fatal(err)
	}
	past, err := history.New(history.Settings{Limits: config.Default().JobPipeline}).Job(b.Context(), 1)
	if err != nil {
		b.Fatal(err)
	}
	s := &source{name: "value", history: past, runner: runner, pipeline: p}
	b.Run("run", func(b *testing.B) {
		for b.Loop() {
			if _, err := runner.Run(b.Context(), p, pipeline.Input{}).Final(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("run and keep", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.observe(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("keep", func(b *testing.B) {
		ran := runner.Run(b.Context(), p, pipeline.Input{})
		for b.Loop() {
			past.Ran(history.Ended{Source: "value", Round: &hostservice.Round{}, Pipeline: p, Run: ran, Median: true})
		}
	})
}
