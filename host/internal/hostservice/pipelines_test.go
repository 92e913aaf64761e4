package hostservice

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

// counting is a pipeline whose runs are numbered.
func counting(runs *int, mu *sync.Mutex, run RunPipeline) RunPipeline {
	return func(ctx context.Context) []*hostservicev1.TaskResult {
		mu.Lock()
		*runs++
		mu.Unlock()
		return run(ctx)
	}
}

func one(value string) []*hostservicev1.TaskResult {
	return []*hostservicev1.TaskResult{{Task: "a", Terminal: true, ValueJson: []byte(value)}}
}

func TestRunIDStandsForOneRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		runs := 0
		p := NewPipelines(map[string]RunPipeline{
			"": counting(&runs, &mu, func(ctx context.Context) []*hostservicev1.TaskResult {
				select {
				case <-time.After(time.Second):
					return one("5")
				case <-ctx.Done():
					return []*hostservicev1.TaskResult{{Task: "a", Terminal: true, Error: ctx.Err().Error()}}
				}
			}),
			"other": func(context.Context) []*hostservicev1.TaskResult { return one("6") },
		}, slog.New(slog.DiscardHandler))
		// The first caller is a plugin that dies half way: its next generation is told the same, as long as the first would
		// have waited.
		first, die := context.WithTimeout(t.Context(), 10*time.Second)
		time.AfterFunc(500*time.Millisecond, die)
		_, err := p.Run(first, &hostservicev1.RunRequest{RunId: "1"})
		wantCode(t, err, codes.Canceled)
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err = p.Run(impatient, &hostservicev1.RunRequest{RunId: "1"})
		cancel()
		wantCode(t, err, codes.DeadlineExceeded)
		for range 2 {
			answer, err := p.Run(t.Context(), &hostservicev1.RunRequest{RunId: "1"})
			if err != nil || string(answer.GetResults()[0].GetValueJson()) != "5" || runs != 1 {
				t.Errorf("answer %v after %d runs, error %v", answer, runs, err)
			}
		}
		_, err = p.Run(t.Context(), &hostservicev1.RunRequest{RunId: "1", Pipeline: "other"})
		wantCode(t, err, codes.AlreadyExists)
		_, err = p.Run(t.Context(), &hostservicev1.RunRequest{RunId: "2", Pipeline: "another"})
		wantCode(t, err, codes.NotFound)
		if answer, err := p.Run(t.Context(), &hostservicev1.RunRequest{RunId: "2"}); err != nil || runs != 2 {
			t.Errorf("answer %v after %d runs, error %v", answer, runs, err)
		}

		// A run whose time comes near answers with what it has, in time.
		short, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		answer, err := p.Run(short, &hostservicev1.RunRequest{RunId: "3"})
		if err != nil || answer.GetResults()[0].GetError() == "" {
			t.Errorf("answer %v, error %v", answer, err)
		}

		// The end of the job is no answer.
		time.AfterFunc(500*time.Millisecond, p.Close)
		_, err = p.Run(t.Context(), &hostservicev1.RunRequest{RunId: "4"})
		wantCode(t, err, codes.Unavailable)
		_, err = p.Run(t.Context(), &hostservicev1.RunRequest{RunId: "5"})
		wantCode(t, err, codes.Unavailable)
	})
}

func TestRunsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		under, most := 0, 0
		p := NewPipelines(map[string]RunPipeline{"": func(context.Context) []*hostservicev1.TaskResult {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			under--
			mu.Unlock()
			return one("1")
		}}, slog.New(slog.DiscardHandler))
		defer p.Close()
		var all sync.WaitGroup
		late := 0
		for i := range 3 * maxRuns {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // two turns, not three
				defer cancel()
				if _, err := p.Run(ctx, &hostservicev1.RunRequest{RunId: fmt.Sprint(i)}); err != nil {
					wantCode(t, err, codes.DeadlineExceeded)
					mu.Lock()
					late++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if most != maxRuns || late != maxRuns {
			t.Errorf("%d runs at a time, %d came too late", most, late)
		}
	})
}

func TestAnswersFitAMessage(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("a", maxValues*2/5) + `"`
	p := NewPipelines(map[string]RunPipeline{"": func(context.Context) []*hostservicev1.TaskResult {
		return []*hostservicev1.TaskResult{
			{Task: "a", ValueJson: []byte(long)}, {Task: "b", ValueJson: []byte(long)}, {Task: "c", ValueJson: []byte("1")},
			{Task: "d", Error: strings.Repeat("\xff", 10_000)}, {Task: "e", Terminal: true, ValueJson: []byte(long)},
		}
	}, "panics": func(context.Context) []*hostservicev1.TaskResult { panic("oops") }}, slog.New(slog.DiscardHandler))
	t.Cleanup(p.Close)
	answer, err := p.Run(t.Context(), &hostservicev1.RunRequest{RunId: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for i, fails := range []bool{false, true, false, true, false} {
		r := answer.GetResults()[i]
		if (r.GetError() != "") != fails || (r.GetValueJson() == nil) != fails || len(r.GetError()) > maxErrorLength {
			t.Errorf("task %s: a value of %d bytes, error %.100q", r.GetTask(), len(r.GetValueJson()), r.GetError())
		}
	}
	if _, err := proto.Marshal(answer); err != nil {
		t.Error(err)
	}
	_, err = p.Run(t.Context(), &hostservicev1.RunRequest{RunId: "2", Pipeline: "panics"})
	wantCode(t, err, codes.FailedPrecondition)
}

// TestAnswersAreForgottenBySize holds that what a job's answers take has a bound however large they are, and that the
// newest are remembered all the same, as is one in progress.
func TestAnswersAreForgottenBySize(t *testing.T) {
	t.Parallel()
	large := `"` + strings.Repeat("x", 1<<20-2) + `"`
	hold := make(chan struct{})
	var mu sync.Mutex
	runs := 0
	p := NewPipelines(map[string]RunPipeline{
		"":     counting(&runs, &mu, func(context.Context) []*hostservicev1.TaskResult { return one(large) }),
		"held": func(context.Context) []*hostservicev1.TaskResult { <-hold; return one("7") },
	}, slog.New(slog.DiscardHandler))
	defer p.Close()
	ask := func(id, pipeline string) {
		t.Helper()
		if _, err := p.Run(t.Context(), &hostservicev1.RunRequest{RunId: id, Pipeline: pipeline}); err != nil {
			t.Error(err)
		}
	}
	var held sync.WaitGroup
	held.Go(func() { ask("held", "held") })
	const rounds = 100
	for i := range rounds {
		ask(fmt.Sprint(i), "")
	}
	close(hold)
	held.Wait()
	kept := 0
	for _, a := range p.runs.answers {
		kept += proto.Size(a.value)
	}
	if kept > keptSize || kept < keptSize/2 || kept != p.runs.held || len(p.runs.answers) != len(p.runs.order) {
		t.Errorf("%d bytes of %d answers (%d in order) are kept, and counted as %d; want at most %d", kept,
			len(p.runs.answers), len(p.runs.order), p.runs.held, keptSize)
	}
	ask(fmt.Sprint(rounds-1), "")
	ask("held", "held")
	if runs != rounds {
		t.Errorf("%d runs, want %d: the newest answer is remembered", runs, rounds)
	}
}
