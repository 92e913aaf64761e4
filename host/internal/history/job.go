package history

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/host/internal/pipeline/trace"
)

const (
	// longestResult is how many bytes of a task's result or error are shown. Replies of adapters have some hundred.
	longestResult = 2 << 10
	// sizeOfTask is about what a task takes beside its result, in bytes.
	sizeOfTask = 300
	// largestRun is the size of runs that are kept as they are. Larger ones are cut at once.
	largestRun = 16 << 10
	// roomOfRun is what a run may take on average, in bytes: one of three adapters takes about 2000.
	roomOfRun = 2 << 10
	// keptInAMinute is how many of a job's runs go to the database in a minute: a failure with another text each time does
	// not count as repeated.
	keptInAMinute = 10
)

// Run is a run of one of a job's pipelines.
type Run struct {
	JobID int64 `json:"-"`
	// ID grows by one within a job, over all its pipelines.
	ID int64 `json:"-"`
	// Digest, Epoch and Round are the round that the run observed for. There is no digest if there was no round, as for
	// a refresh of the fee coin's price.
	Digest    []byte        `json:"digest,omitempty"`
	Epoch     uint32        `json:"epoch,omitempty"`
	Round     uint8         `json:"round,omitempty"`
	StartedAt time.Time     `json:"started"`
	Took      time.Duration `json:"took"`
	// Source is value, juels or gas, or the product's name for the pipeline.
	Source string `json:"source"`
	// Failed reports whether the run has no value, and Faults is how many tasks failed by themselves. A run with some
	// may still have a value.
	Failed bool `json:"failed"`
	Faults int  `json:"faults"`
	// Trace has the results of the tasks.
	Trace *trace.Source `json:"trace"`
}

// Faulty reports whether the run, or a task of it, failed.
func (r *Run) Faulty() bool { return r.Failed || r.Faults > 0 }

// kept is a run in memory. The results of its tasks are written as text only when somebody asks for them, which is
// rare: this takes longer than everything else here.
type kept struct {
	run  Run   // without a trace until that is made from of
	of   Ended // without a run once there is a trace
	size int   // in rough bytes
}

// told is the run with its trace.
func (k *kept) told() *Run {
	r := k.run
	if k.of.Run != nil {
		r.Trace = trace.Of(r.Source, k.of.Pipeline, k.of.Run, k.of.Median, longestResult)
	}
	return &r
}

// read is a run of the database.
func read(stored database.JobRun) (*Run, error) {
	r := &Run{JobID: stored.JobID, ID: stored.ID}
	if err := json.Unmarshal(stored.Content, r); err != nil {
		return nil, fmt.Errorf("run %d of job %d is kept in a form that this version does not read: %w", r.ID, r.JobID, err)
	}
	return r, nil
}

// Job is the history of one job.
type Job struct {
	// Errors are the errors of the job: of its tasks, its plugins and libocr.
	Errors *hostservice.ErrorLog

	history *History
	id      int64
	rounds  recorder

	mu     sync.Mutex
	last   int64   // the last run's
	newest []*kept // oldest first
	size   int     // of newest
	minute time.Time
	sent   int // to the database since minute
}

// Ended is a run of a pipeline that has ended.
type Ended struct {
	// Source is the pipeline's name among those of its job: value, juels or gas, or the product's name for it.
	Source string
	// Round is the round that it observed for; nil if there was none.
	Round     *hostservice.Round
	StartedAt time.Time
	Pipeline  *pipeline.Pipeline
	Run       *pipeline.Run
	// Failure is why there was no result.
	Failure error
	// Median is set for a median's pipeline, whose result is observed as an integer.
	Median bool
}

// Ran is called with each run of one of the job's pipelines.
func (j *Job) Ran(e Ended) {
	ran := e.Run
	k := &kept{
		run: Run{JobID: j.id, StartedAt: e.StartedAt.UTC(), Took: ran.Duration, Source: e.Source, Failed: e.Failure != nil},
		of:  e, size: ran.Size(),
	}
	if e.Round != nil {
		k.run.Digest, k.run.Epoch, k.run.Round = e.Round.ConfigDigest[:], e.Round.Epoch, e.Round.Round
	}
	seldom := false
	count := func(err error) {
		if n := j.Errors.Count(e.Source + ": " + err.Error()); bits.OnesCount64(n) == 1 {
			seldom = true
		}
	}
	for _, result := range ran.Results {
		if result.Err != nil && !pipeline.NotRun(result.Err) {
			k.run.Faults++
			count(result.Err)
		}
	}
	if e.Failure != nil && k.run.Faults == 0 {
		count(e.Failure)
	}
	if k.size > largestRun {
		k.run = *k.told()
		k.of, k.size = Ended{}, 0
		for _, t := range k.run.Trace.Tasks { // inputs are the same texts
			k.size += sizeOfTask + len(t.Result) + len(t.Error)
		}
	}
	j.keep(k, seldom)
	j.history.runs.tell(j.id, k.told)
}

// keep gives a run its number and a place.
func (j *Job) keep(k *kept, seldom bool) {
	most := int(j.history.settings.Limits.MaxSuccessfulRuns)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	k.run.ID = j.last
	j.newest = append(j.newest, k)
	j.size += k.size
	for len(j.newest) > most || j.size > most*roomOfRun && len(j.newest) > 1 {
		j.size -= j.newest[0].size
		j.newest = slices.Delete(j.newest, 0, 1)
	}
	if !seldom || j.history.settings.Limits.MaxFailedRuns == 0 {
		return
	}
	if now := time.Now(); now.Sub(j.minute) >= time.Minute {
		j.minute, j.sent = now, 0
	}
	if j.sent++; j.sent > keptInAMinute {
		return
	}
	if content, err := json.Marshal(k.told()); err == nil { // texts and numbers always can be
		j.history.put(database.JobRun{JobID: j.id, ID: k.run.ID, StartedAt: k.run.StartedAt, Content: content})
	}
}

// Runs returns at most limit runs with numbers below before, newest first, and whether there are more. If before is 0,
// it begins with the newest.
func (j *Job) Runs(ctx context.Context, before int64, limit int, faulty bool) (runs []*Run, more bool, err error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	all := map[int64]*Run{}
	j.history.flush(ctx)
	if d := j.history.settings.Database; d != nil {
		written, err := d.JobRuns(ctx, j.id, before, limit+1)
		if err != nil {
			return nil, false, err
		}
		for _, stored := range written {
			if all[stored.ID], err = read(stored); err != nil {
				return nil, false, err
			}
		}
	}
	j.mu.Lock()
	newest := slices.Clone(j.newest)
	j.mu.Unlock()
	for at, found := len(newest)-1, 0; at >= 0 && found <= limit; at-- {
		if k := newest[at]; k.run.ID < before && (k.run.Faulty() || !faulty) {
			all[k.run.ID] = k.told()
			found++
		}
	}
	runs = slices.SortedFunc(maps.Values(all), func(a, b *Run) int { return cmp.Compare(b.ID, a.ID) })
	return runs[:min(limit, len(runs))], len(runs) > limit, nil
}

// Run returns one run. If it is not kept, the error is database.ErrNotFound.
func (j *Job) Run(ctx context.Context, id int64) (*Run, error) {
	runs, _, err := j.Runs(ctx, id+1, 1, false)
	if err == nil && (len(runs) == 0 || runs[0].ID != id) {
		err = fmt.Errorf("run %d of job %d is not kept: %w", id, j.id, database.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return runs[0], nil
}
