package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// handler answers requests in memory, so that synctest can hold the clock.
type handler func(request *http.Request) (status int, body string, err error)

func (h handler) RoundTrip(request *http.Request) (*http.Response, error) {
	status, body, err := h(request)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Request: request, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body))}, nil
}

// stall answers never, until the request is given up.
func stall(request *http.Request) (int, string, error) {
	<-request.Context().Done()
	return 0, "", request.Context().Err()
}

var everywhere = registry{"b": "http://b.example", "slow": "http://slow.example", "good": "http://good.example"}

func newTimedRunner(t *testing.T, h handler, settings Settings) *Runner {
	t.Helper()
	settings.Bridges, settings.HTTP = everywhere, &http.Client{Transport: h}
	r, err := NewRunner(settings)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attributes string
		good       int // the attempt that is answered well
		attempts   int
		took       time.Duration
	}{
		"none":                      {"", 2, 1, 0},
		"one is none":               {"retries=1", 2, 1, 0},
		"two":                       {"retries=2", 2, 2, 5 * time.Second},
		"doubling from five":        {"retries=6", 9, 6, (5 + 10 + 20 + 40 + 60) * time.Second},
		"first alone caps at 10s":   {`retries=5 minBackoff="4s"`, 9, 5, (4 + 8 + 10 + 10) * time.Second},
		"first above the cap":       {`retries=3 minBackoff="30s"`, 9, 3, (10 + 10) * time.Second},
		"cap alone is ignored":      {`retries=3 maxBackoff="6s"`, 9, 3, (5 + 10) * time.Second},
		"both":                      {`retries=5 minBackoff="1s" maxBackoff="3s"`, 9, 5, (1 + 2 + 3 + 3) * time.Second},
		"until it succeeds":         {`retries=5 minBackoff="1s" maxBackoff="3s"`, 3, 3, (1 + 2) * time.Second},
		"each with its own timeout": {`retries=3 timeout="7s" minBackoff="1s"`, -1, 3, (7 + 1 + 7 + 2 + 7) * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempt := 0
				r := newTimedRunner(t, func(request *http.Request) (int, string, error) {
					if attempt++; test.good < 0 {
						return stall(request)
					}
					if attempt < test.good {
						return 400, "", nil
					}
					return 200, "good", nil
				}, Settings{})
				run := r.Run(t.Context(), mustParse(t, `a [type=http url="http://x" `+test.attributes+`]`), Input{})
				_, err := run.Final()
				if good := test.good == test.attempts; good != (err == nil) {
					t.Errorf("Final = %v", err)
				}
				got := run.Results[0]
				if got.Attempts != test.attempts || attempt != test.attempts || got.Duration != test.took {
					t.Errorf("%d attempts (%d seen) took %s, want %d in %s", got.Attempts, attempt, got.Duration, test.attempts,
						test.took)
				}
			})
		})
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attributes string
		settings   Settings
		in         Input
		deadline   time.Duration // of the caller
		took       time.Duration
		want       string
	}{
		"default": {"", Settings{}, Input{}, 0, 15 * time.Second,
			"task a (http): GET http://x got no answer: the time for one attempt is over (timeout is 15s)"},
		"default of the node": {"", Settings{DefaultHTTPTimeout: 3 * time.Second}, Input{}, 0, 3 * time.Second,
			"(timeout is 3s)"},
		"of the task": {`timeout="20s"`, Settings{}, Input{}, 0, 20 * time.Second, "(timeout is 20s)"},
		"none: until the run ends": {`timeout="0s"`, Settings{}, Input{}, 0, 10 * time.Minute,
			"the run took longer than 10m0s"},
		"none: until a shorter run": {`timeout="0s"`, Settings{MaxRunDuration: time.Minute}, Input{}, 0, time.Minute,
			"the run took longer than 1m0s"},
		"of the job": {`timeout="20s"`, Settings{}, Input{MaxTaskDuration: 2 * time.Second}, 0, 2 * time.Second,
			"(maxTaskDuration is 2s)"},
		"of the job, with none": {`timeout="0s"`, Settings{}, Input{MaxTaskDuration: 2 * time.Second}, 0, 2 * time.Second,
			"(maxTaskDuration is 2s)"},
		"of the observation": {`timeout="20s" retries=5`, Settings{}, Input{MaxTaskDuration: 9 * time.Second}, time.Second,
			time.Second, "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.deadline > 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, test.deadline)
					defer stop()
				}
				r := newTimedRunner(t, stall, test.settings)
				run := r.Run(ctx, mustParse(t, `a [type=http url="http://x" `+test.attributes+`]`), test.in)
				_, err := run.Final()
				if err == nil || !strings.Contains(err.Error(), test.want) || run.Duration != test.took ||
					run.Results[0].Attempts != 1 {
					t.Errorf("got %v after %s and %d attempts, want %s after %s", err, run.Duration, run.Results[0].Attempts,
						test.want, test.took)
				}
			})
		})
	}
}

// TestContextEndKeepsWhatIsThere: the observation's time is over, and the source that answered still counts.
func TestContextEndKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newTimedRunner(t, func(request *http.Request) (int, string, error) {
			if request.URL.Host == "slow.example" {
				return stall(request)
			}
			return 200, `{"v":5}`, nil
		}, Settings{})
		p := mustParse(t,
			`a [type=bridge name=slow retries=3]; ap [type=jsonparse path=v]; b [type=bridge name=good]; bp [type=jsonparse path=v]
			a -> ap -> m; b -> bp -> m; m [type=median]; late [type=bridge name=good]; ap -> late -> end; m -> end; end [type=any]`)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		run := r.Run(ctx, p, Input{})
		value, err := run.Final()
		if answer, convErr := Integer(value); err != nil || convErr != nil || answer.Int64() != 5 ||
			run.Duration != time.Second {
			t.Errorf("got %v, %v after %s", value, err, run.Duration)
		}
	})
}

func TestNoCallStartsAfterTheContextEnded(t *testing.T) {
	t.Parallel()
	called := false
	r := newTimedRunner(t, func(*http.Request) (int, string, error) { called = true; return 200, "1", nil }, Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Run(ctx, mustParse(t, "a [type=bridge name=b]"), Input{}).Final()
	if !errors.Is(err, context.Canceled) || called {
		t.Errorf("%v, called: %v", err, called)
	}
	// An answer that is there already needs no call.
	cached := mustParse(t, `a [type=bridge name=b cacheTTL="60s"]`)
	if _, err := r.Run(t.Context(), cached, Input{}).Final(); err != nil {
		t.Fatal(err)
	}
	called = false
	if got, err := r.Run(ctx, cached, Input{}).Final(); got != "1" || called {
		t.Errorf("with an earlier answer: %v, %v, called: %v", got, err, called)
	}
}

func TestFailEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newTimedRunner(t, func(request *http.Request) (int, string, error) {
			switch request.URL.Host {
			case "slow.example":
				return stall(request)
			case "b.example":
				time.Sleep(time.Second)
			}
			return 500, "", nil
		}, Settings{})
		// b waits between attempts and c waits for an answer when a fails, whose first failure is the last of the run; e
		// never starts, f was done before.
		p := mustParse(t,
			`a [type=bridge name=b failEarly=true retries=2 minBackoff="1s"]; b [type=bridge name=good retries=9 minBackoff="9s"]
			c [type=bridge name=slow]; f [type=memo value=1]; e [type=memo]; a -> e; e -> m; b -> m; c -> m; f -> m; m [type=median]`)
		run := r.Run(t.Context(), p, Input{})
		_, err := run.Final()
		if !errors.Is(err, ErrCancelled) || run.Duration != time.Second {
			t.Errorf("got %v after %s", err, run.Duration)
		}
		cancelled := map[string]bool{}
		for _, result := range run.Results {
			cancelled[result.Task.ID] = errors.Is(result.Err, ErrCancelled)
			if result.Task.ID == "a" && (result.Err == nil || result.Attempts != 1) {
				t.Errorf("the task that failed: %v after %d attempts", result.Err, result.Attempts)
			}
		}
		if diff := cmp.Diff(map[string]bool{"a": false, "b": true, "c": true, "e": true, "f": false, "m": true},
			cancelled); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFailEarlyAtTheEnd(t *testing.T) {
	t.Parallel()
	r := newTimedRunner(t, stall, Settings{})
	_, err := r.Run(t.Context(), mustParse(t, "x [type=memo value=false] a [type=conditional failEarly=true]; x -> a"),
		Input{}).Final()
	if err == nil || err.Error() != "task a (conditional): conditional was not satisfied" {
		t.Error(err)
	}
}

func TestBridgeCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up, answers := true, 0
		var log strings.Builder
		r := newTimedRunner(t, func(*http.Request) (int, string, error) {
			if !up {
				return 500, "", nil
			}
			answers++
			return 200, fmt.Sprint(answers), nil
		}, Settings{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		cached := mustParse(t, `a [type=bridge name=b cacheTTL="60s"]`)
		plain := mustParse(t, `a [type=bridge name=b]`)
		subsecond := mustParse(t, `a [type=bridge name=b cacheTTL="900ms"]`)
		expect := func(p *Pipeline, spec, want string) {
			t.Helper()
			got, err := r.Run(t.Context(), p, Input{SpecID: spec}).Final()
			if want == "" && err == nil || want != "" && got != want {
				t.Errorf("got %v, %v, want %q", got, err, want)
			}
		}
		expect(cached, "1", "1")
		expect(plain, "1", "2")
		expect(subsecond, "1", "3")
		expect(cached, "1", "4") // a good answer is never taken from the cache
		up = false
		expect(plain, "1", "")
		expect(subsecond, "1", "") // whole seconds, so none
		expect(cached, "1", "4")
		expect(cached, "2", "") // another job's
		expect(mustParse(t, `a [type=bridge name=b cacheTTL="60s"] `), "1", "")
		time.Sleep(59 * time.Second)
		expect(cached, "1", "4")
		time.Sleep(time.Second)
		expect(cached, "1", "")
		up = true
		expect(cached, "1", "5")
		if !strings.Contains(log.String(), "bridge failed, using its last good answer") {
			t.Error("nothing was logged")
		}

		byDefault := newTimedRunner(t, func(*http.Request) (int, string, error) { return 200, "x", nil },
			Settings{BridgeCacheTTL: time.Minute})
		if _, err := byDefault.Run(t.Context(), plain, Input{}).Final(); err != nil || len(byDefault.cache.entries) != 1 {
			t.Errorf("%v with %d cached", err, len(byDefault.cache.entries))
		}
	})
}

// TestSharedRequests holds requests open until every run has come to wait, then counts them.
func TestSharedRequests(t *testing.T) {
	t.Parallel()
	const same = `a [type=bridge name=b cacheTTL="60s"]`
	for name, test := range map[string]struct {
		sources []string
		want    int64
	}{
		"the same request with a cache": {[]string{same, same, same + " "}, 1},
		"without a cache":               {[]string{`a [type=bridge name=b]`, `a [type=bridge name=b]`}, 2},
		"http is never shared":          {[]string{`a [type=http url="http://x"]`, `a [type=http url="http://x"]`}, 2},
		"other data": {[]string{same, `a [type=bridge name=b cacheTTL="60s" requestData=<{"x":1}>]`},
			2},
		"other headers": {[]string{same, `a [type=bridge name=b cacheTTL="60s" headers=<["X-Key","k"]>]`},
			2},
		"one with a cache and one without": {[]string{same, `a [type=bridge name=b]`}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int64
				open := make(chan struct{})
				r := newTimedRunner(t, func(*http.Request) (int, string, error) {
					requests.Add(1)
					<-open
					return 200, "answer", nil
				}, Settings{})
				results := make(chan any, len(test.sources))
				for _, source := range test.sources {
					p := mustParse(t, source)
					go func() {
						value, _ := r.Run(t.Context(), p, Input{}).Final()
						results <- value
					}()
				}
				synctest.Wait()
				close(open)
				for range test.sources {
					if value := <-results; value != "answer" {
						t.Errorf("got %v", value)
					}
				}
				if got := requests.Load(); got != test.want {
					t.Errorf("%d requests, want %d", got, test.want)
				}
			})
		})
	}
}

// TestSharedRequestOutlivesTheRunThatAsked: a run with less time must not take down one with more.
func TestSharedRequestOutlivesTheRunThatAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		r := newTimedRunner(t, func(request *http.Request) (int, string, error) {
			if requests++; requests == 1 {
				return stall(request)
			}
			return 200, "answer", nil
		}, Settings{})
		p := mustParse(t, `a [type=bridge name=b cacheTTL="60s"]`)
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		first := make(chan error)
		go func() {
			_, err := r.Run(short, p, Input{}).Final()
			first <- err
		}()
		synctest.Wait()
		second := make(chan any)
		go func() {
			// Of another job: the last good answer of one's own would stand in for the first run's failure, if it came first.
			value, err := r.Run(t.Context(), p, Input{SpecID: "another"}).Final()
			second <- []any{value, err}
		}()
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first run: %v", err)
		}
		if diff := cmp.Diff([]any{"answer", nil}, <-second); diff != "" || requests != 2 {
			t.Errorf("%d requests, %s", requests, diff)
		}
	})
}

// panicking is a behaviour, a call and a registry of bridges, all broken.
type panicking struct{}

func (panicking) evaluate(scope) (any, error)                    { panic("evaluate") }
func (panicking) Bridge(context.Context, string) (string, error) { panic("bridge") }

func TestPanicsBecomeErrors(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	r := newRunner(t, Settings{Bridges: panicking{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for name, source := range map[string]string{
		"evaluate": `a [type=memo value=1]; b [type=memo value=2]; m [type=median allowedFaults=0]; a -> m; b -> m`,
		"bridge":   `a [type=bridge name=b]`,
		"shared":   `a [type=bridge name=b cacheTTL="60s"]`,
	} {
		p := mustParse(t, source)
		if name == "evaluate" {
			p.tasks[1].behaviour = panicking{}
		}
		_, err := r.Run(t.Context(), p, Input{}).Final()
		if err == nil || !strings.Contains(err.Error(), "the task panicked: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(log.String(), "pipeline task panicked") || !strings.Contains(log.String(), "goroutine") {
		t.Errorf("the log has no stack: %s", log.String())
	}
}

// TestErrorsStaySmall: a thousand tasks that each reduce the failures of those before them.
func TestErrorsStaySmall(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	source.WriteString("t0 [type=fail msg=\"" + strings.Repeat("long ", 1000) + "\"]\nt1 [type=fail]\n")
	for i := 2; i < maxTasks; i++ {
		fmt.Fprintf(&source, "t%d [type=median]\nt%d -> t%d; t%d -> t%d\n", i, i-1, i, i-2, i)
	}
	run := newRunner(t, Settings{Bridges: registry{}}).Run(t.Context(), mustParse(t, source.String()), Input{})
	for _, result := range run.Results {
		if result.Err == nil || len(result.Err.Error()) > 1200 {
			t.Fatalf("task %s: %d bytes", result.Task.ID, len(result.Err.Error()))
		}
	}
}

func TestNewRunnerRefuses(t *testing.T) {
	t.Parallel()
	for want, settings := range map[string]Settings{
		"no Bridges":  {},
		"negative":    {Bridges: everywhere, MaxRunDuration: -1},
		"MaxResponse": {Bridges: everywhere, MaxResponse: -1},
	} {
		if _, err := NewRunner(settings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
