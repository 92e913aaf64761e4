package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a history with all that it needs.
type world struct {
	*testing.T
	*History
	database *database.Database
	limits   config.JobPipeline
	runner   *pipeline.Runner
}

func newWorld(t *testing.T, change func(*config.JobPipeline)) *world {
	t.Helper()
	w := &world{T: t, limits: config.Default().JobPipeline}
	change(&w.limits)
	var err error
	if w.database, err = database.Open(t.Context(),
		database.Settings{Path: filepath.Join(t.TempDir(), "loop.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.database.Close() })
	if w.runner, err = pipeline.NewRunner(pipeline.Settings{Bridges: nowhere{}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.runner.Close)
	w.start()
	return w
}

// start is the beginning of a node.
func (w *world) start() {
	w.History = New(Settings{Database: w.database, Limits: w.limits, Logger: slog.New(slog.DiscardHandler)})
	w.Cleanup(w.History.Close)
}

func (w *world) job(id int64) *Job {
	w.Helper()
	if id == 0 {
		stored, err := w.database.AddJob(w.Context(), database.Job{ExternalID: fmt.Sprint(time.Now().UnixNano())})
		if err != nil {
			w.Fatal(err)
		}
		id = stored.ID
	}
	j, err := w.Job(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return j
}

// nowhere has no bridge.
type nowhere struct{}

func (nowhere) Bridge(context.Context, string) (string, error) { return "", errors.New("it fell off") }

// run has a job run a pipeline.
func (w *world) run(j *Job, source string) {
	w.Helper()
	p, err := pipeline.Parse(source)
	if err != nil {
		w.Fatal(err)
	}
	ran := w.runner.Run(w.Context(), p, pipeline.Input{})
	_, failure := ran.Final()
	j.Ran(Ended{
		Source: "value", Round: &hostservice.Round{Epoch: 7, Round: 3}, StartedAt: time.Now(), Pipeline: p, Run: ran,
		Failure: failure, Median: true,
	})
}

const (
	good   = "one [type=sum values=<[1]>]"
	partly = "a [type=bridge name=b]; c [type=sum values=<[1]>]; a -> m; c -> m; m [type=median]"
	bad    = "a [type=bridge name=b]; p [type=jsonparse path=x]; a -> p"
)

// kept are the numbers of the runs that a job has, and which of them failed.
func (w *world) kept(j *Job, failed bool) (all []string) {
	w.Helper()
	for before := int64(0); ; {
		runs, more, err := j.Runs(w.Context(), before, 3, failed)
		if err != nil {
			w.Fatal(err)
		}
		for _, r := range runs {
			text := fmt.Sprint(r.ID)
			if r.Failed {
				text += " failed"
			} else if r.Faulty() {
				text += " partly"
			}
			all = append(all, text)
			before = r.ID
		}
		if !more {
			return all
		}
	}
}

func (w *world) want(j *Job, failed bool, want ...string) {
	w.Helper()
	if d := cmp.Diff(want, w.kept(j, failed)); d != "" {
		w.Errorf("runs (-want +got):\n%s", d)
	}
}

// The newest runs are in memory; of failures that repeat the 1st, 2nd, 4th and so on outlast the node, with their
// number, round and tasks, and with the count of the error.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(l *config.JobPipeline) { l.MaxSuccessfulRuns = 3 })
	j := w.job(0)
	w.run(j, good)
	for range 9 {
		w.run(j, bad)
	}
	w.run(j, partly)
	w.run(j, good)
	w.want(j, false, "12", "11 partly", "10 failed", "9 failed", "5 failed", "3 failed", "2 failed")
	w.want(j, true, "11 partly", "10 failed", "9 failed", "5 failed", "3 failed", "2 failed")
	w.Close()
	w.start()
	j = w.job(j.id)
	w.want(j, false, "9 failed", "5 failed", "3 failed", "2 failed")
	r, err := j.Run(t.Context(), 9)
	if err != nil || r.Epoch != 7 || r.Round != 3 || len(r.Digest) != 32 || r.Source != "value" || r.JobID != j.id ||
		len(r.Trace.Tasks) != 2 || r.Trace.Tasks[0].Error != "could not find bridge b: it fell off" {
		t.Errorf("run %+v, %v", r, err)
	}
	for _, absent := range []int64{1, 4, 100, -1} {
		if _, err := j.Run(t.Context(), absent); !errors.Is(err, database.ErrNotFound) {
			t.Errorf("run %d: %v", absent, err)
		}
	}
	const down = "value: task a (bridge): could not find bridge b: it fell off"
	if all := j.Errors.Latest(); len(all) != 1 || all[0].Message != down || all[0].Count != 10 ||
		!all[0].FirstAt.Before(all[0].LastAt) {
		t.Errorf("errors %+v", all)
	}
	w.run(j, good)
	w.want(j, false, "10", "9 failed", "5 failed", "3 failed", "2 failed")
}

// What is kept is bounded in number, in bytes and in age, whatever a job does.
func TestBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(l *config.JobPipeline) { l.MaxSuccessfulRuns, l.MaxFailedRuns = 8, 5 })
	j := w.job(0)
	for range 100 {
		w.run(j, good)
	}
	w.want(j, false, "100", "99", "98", "97", "96", "95", "94", "93")
	for range 20 {
		w.run(j, `a [type=memo value=<["`+strings.Repeat("0", 6000)+
			`"]>]; b [type=memo value="$(a)"]; c [type=sum values=<[1]>]; b -> c`)
	}
	j.mu.Lock()
	size, number := j.size, len(j.newest)
	j.mu.Unlock()
	if size > 8*roomOfRun || number == 0 || number == 8 {
		t.Errorf("%d runs in %d bytes", number, size)
	}
	// A failure that never says the same is not one that repeats, and a minute has room for few.
	j = w.job(0)
	for at := range 50 {
		w.run(j, fmt.Sprintf("a [type=bridge name=b%d]", at))
	}
	w.run(j, good)
	if got := len(w.kept(j, true)); got != 5+7 { // 10 were written, of which the 5 newest are left; 7 others are in memory
		t.Errorf("%d failed runs are kept", got)
	}
	if got := len(j.Errors.Latest()); got != hostservice.ErrorsKept {
		t.Errorf("%d errors are kept", got)
	}
}

// Runs and errors that are older than the threshold are forgotten.
func TestReaper(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(l *config.JobPipeline) {
		l.MaxSuccessfulRuns, l.ReaperThreshold = 0, document.Lasting(50*time.Millisecond)
	})
	j := w.job(0)
	w.run(j, bad)
	w.want(j, false, "1 failed")
	for len(w.kept(j, false)) > 0 || len(j.Errors.Latest()) > 0 {
		w.reap(t.Context())
	}
	w.Forget(j.id)
	if err := w.database.RemoveJob(t.Context(), j.id); err != nil {
		t.Fatal(err)
	}
	w.run(j, bad) // it ended late
	w.flush(t.Context())
	if _, ok := w.Of(j.id); ok || w.failing {
		t.Error("a job that was removed has a history, or disturbs that of others")
	}
}

// A listener hears of one job or of all. One that does not take what it hears holds up nobody.
func TestListeners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*config.JobPipeline) {})
	a, err := w.Job(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Job(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	one, all := w.ListenRuns(2), w.ListenRuns(0)
	w.run(a, good)
	w.run(b, good)
	if r := (<-one.C)(); r.JobID != 2 || r.ID != 1 {
		t.Errorf("heard %+v", r)
	}
	if r, s := (<-all.C)(), (<-all.C)(); r.JobID != 1 || s.JobID != 2 {
		t.Errorf("heard %+v and %+v", r, s)
	}
	for range roomy + 5 {
		w.run(b, good)
	}
	if missed := one.Missed(); missed != 5 || one.Missed() != 0 {
		t.Errorf("missed %d", missed)
	}
	one.Close()
	w.Close()
	for range all.C { // which closes
	}
	if _, ok := <-w.ListenRounds(0).C; ok {
		t.Error("a node that has ended is heard")
	}
}

// A round is told as it goes on: what was observed, what the network made of it, and that this node sent it.
func TestRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := New(Settings{Limits: config.Default().JobPipeline})
		defer h.Close()
		j, err := h.Job(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		heard := h.ListenRounds(1)
		round := hostservice.Round{ConfigDigest: [32]byte{1}, Epoch: 4, Round: 2}
		for s, value := range map[Source]int64{Value: 100, Juels: 7, Gas: 0} {
			_, _ = j.Observing(s, func(context.Context, hostservice.Round) (*big.Int, error) {
				return big.NewInt(value), nil
			})(t.Context(), round)
		}
		j.Reported(round, []byte("report"))
		j.Sent(round, errors.New("the relayer is away"))
		j.Sent(round, nil)
		var events []nodev1.RoundEvent
		for range 4 {
			events = append(events, (<-heard.C).Event)
		}
		if d := cmp.Diff([]nodev1.RoundEvent{
			nodev1.RoundEvent_ROUND_EVENT_OBSERVED, nodev1.RoundEvent_ROUND_EVENT_REPORTED,
			nodev1.RoundEvent_ROUND_EVENT_SENT, nodev1.RoundEvent_ROUND_EVENT_SENT,
		}, events); d != "" {
			t.Error(d)
		}
		if reports := j.Reports(); string(reports[round]) != "report" {
			t.Errorf("reports %v", reports)
		}
		j.Answered(round, big.NewInt(99))
		if reports := j.Reports(); len(reports) != 0 {
			t.Errorf("reports %v", reports)
		}
		j.Landed(round, "0xaa")
		j.Landed(round, "") // by a relayer that has started again
		got := j.Observations(10)
		if len(got) != 1 || got[0].GetSentAt() == nil || !got[0].GetLanded() || got[0].GetTransmitter() != "0xaa" ||
			got[0].GetSendError() != "" ||
			got[0].GetAnswer().GetMagnitude()[0] != 99 {
			t.Errorf("observations %v", got)
		}
	})
}

func TestRoundsAreBounded(t *testing.T) {
	t.Parallel()
	j, err := New(Settings{Limits: config.Default().JobPipeline}).Job(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	r := &j.rounds
	constant := func(context.Context, hostservice.Round) (*big.Int, error) { return big.NewInt(1), nil }
	for epoch := range uint32(roundsKept + 7) {
		for _, k := range []Source{Juels, Gas, Value} {
			if _, err := j.Observing(k, constant)(t.Context(), hostservice.Round{Epoch: epoch}); err != nil {
				t.Fatal(err)
			}
		}
	}
	latest := j.Observations(10_000)
	if len(latest) != roundsKept || len(r.rounds) != roundsKept || latest[0].GetTimestamp().GetEpoch() != roundsKept+6 ||
		latest[roundsKept-1].GetTimestamp().GetEpoch() != 7 {
		t.Errorf("%d rounds from %v to %v", len(latest), latest[0], latest[len(latest)-1])
	}
	panics := j.Observing(Gas, func(context.Context, hostservice.Round) (*big.Int, error) { panic("oops") })
	for _, k := range []Source{Value, Juels} {
		if _, err := j.Observing(k, constant)(t.Context(), hostservice.Round{Epoch: 9999}); err != nil {
			t.Fatal(err)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = panics(t.Context(), hostservice.Round{Epoch: 9999})
		t.Error("the recorder swallowed a panic")
	}()
	if got := j.Observations(1)[0].GetErrors(); len(got) != 1 || got[0] != "gas price: the source panicked" {
		t.Errorf("errors %v", got)
	}
}
