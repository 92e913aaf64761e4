package hostservice

import (
	"context"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func round(epoch uint32) *hostservicev1.ObserveRequest {
	return &hostservicev1.ObserveRequest{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32),
		Epoch: epoch, Round: 3}}
}

func newSource(t *testing.T, observe Observe) *DataSource {
	s := NewDataSource(observe, nil, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s
}

func value(t *testing.T, s *DataSource, ctx context.Context, epoch uint32) (int64, error) {
	t.Helper()
	r, err := s.Observe(ctx, round(epoch))
	if err != nil {
		return 0, err
	}
	return wire.Int(r.GetValue()).Int64(), nil
}

func TestDataSourceObservesOncePerRound(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	s := newSource(t, func(_ context.Context, r Round) (*big.Int, error) {
		if r.Round != 3 {
			return nil, errors.New("another round")
		}
		return big.NewInt(100*int64(r.Epoch) + runs.Add(1)), nil
	})
	for _, want := range []int64{101, 101, 101} {
		if got, err := value(t, s, t.Context(), 1); got != want || err != nil {
			t.Errorf("observed %d, error %v; want %d", got, err, want)
		}
	}
	if got, err := value(t, s, t.Context(), 2); got != 202 || err != nil {
		t.Errorf("observed %d, error %v; want 202", got, err)
	}
	for i := range uint32(answersKept + 10) {
		if _, err := value(t, s, t.Context(), 10+i); err != nil {
			t.Fatal(err)
		}
	}
	s.first.mu.Lock()
	defer s.first.mu.Unlock()
	if len(s.first.answers) != answersKept || len(s.first.order) != answersKept {
		t.Errorf("%d rounds are kept in an order of %d; want %d", len(s.first.answers), len(s.first.order), answersKept)
	}
}

func TestDataSourceRepeatJoins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		s := NewDataSource(func(ctx context.Context, _ Round) (*big.Int, error) {
			runs.Add(1)
			select {
			case <-time.After(time.Second):
				return big.NewInt(5), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}, nil, slog.New(slog.DiscardHandler))
		// The first caller is a plugin that dies half way; the repeat comes from its next generation.
		first, die := context.WithTimeout(t.Context(), 10*time.Second)
		go func() {
			time.Sleep(500 * time.Millisecond)
			die()
		}()
		_, err := value(t, s, first, 1)
		wantCode(t, err, codes.Canceled)
		begin := time.Now()
		got, err := value(t, s, t.Context(), 1)
		if got != 5 || err != nil || runs.Load() != 1 || time.Since(begin) != 500*time.Millisecond {
			t.Errorf("observed %d in %d runs, after %s, error %v", got, runs.Load(), time.Since(begin), err)
		}
		s.Close()
	})
}

func TestDataSourceLeavesTimeForTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := NewDataSource(func(ctx context.Context, _ Round) (*big.Int, error) {
			<-ctx.Done()
			return big.NewInt(9), nil // what it has
		}, nil, slog.New(slog.DiscardHandler))
		for limit, want := range map[time.Duration]time.Duration{time.Second: 900 * time.Millisecond,
			400 * time.Millisecond: 350 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			begin := time.Now()
			got, err := value(t, s, ctx, uint32(limit))
			if got != 9 || err != nil || time.Since(begin) != want {
				t.Errorf("of %s: observed %d after %s, error %v; want %s", limit, got, time.Since(begin), err, want)
			}
			cancel()
		}
		s.Close()
	})
}

func TestDataSourceFailures(t *testing.T) {
	t.Parallel()
	large := new(big.Int).Lsh(big.NewInt(1), 191)
	for name, c := range map[string]struct {
		observe Observe
		want    codes.Code
		says    string
	}{
		"an error": {func(context.Context, Round) (*big.Int, error) { return nil, errors.New("task ds failed") },
			codes.FailedPrecondition, "task ds failed"},
		"a panic": {func(context.Context, Round) (*big.Int, error) { panic("oops") }, codes.FailedPrecondition,
			"oops"},
		"nothing": {func(context.Context, Round) (*big.Int, error) { return nil, nil }, codes.FailedPrecondition,
			"neither"},
		"too large": {func(context.Context, Round) (*big.Int, error) {
			return large, nil
		}, codes.FailedPrecondition, "24 bytes"},
		"the end of its time": {func(context.Context, Round) (*big.Int, error) { return nil, context.DeadlineExceeded },
			codes.DeadlineExceeded, ""},
		"the least that fits": {func(context.Context, Round) (*big.Int, error) { return new(big.Int).Neg(large), nil },
			codes.OK, ""},
		"one that is too low": {func(context.Context, Round) (*big.Int, error) {
			return new(big.Int).Sub(new(big.Int).Neg(large), big.NewInt(1)), nil
		}, codes.FailedPrecondition, "24 bytes"},
		"the largest that fits": {func(context.Context, Round) (*big.Int, error) {
			return new(big.Int).Sub(large, big.NewInt(1)), nil
		}, codes.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var runs atomic.Int64
			s := newSource(t, func(ctx context.Context, r Round) (*big.Int, error) {
				runs.Add(1)
				return c.observe(ctx, r)
			})
			for range 2 {
				_, err := s.Observe(t.Context(), round(1))
				wantCode(t, err, c.want)
				if err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v does not say %q", err, c.says)
				}
			}
			if want := int64(2); c.want != codes.OK && runs.Load() != want {
				t.Errorf("%d runs; an error is not an observation, and a repeat makes one", runs.Load())
			}
		})
	}
	s := newSource(t, nil)
	_, err := s.Observe(t.Context(), &hostservicev1.ObserveRequest{})
	wantCode(t, err, codes.InvalidArgument)
	s.Close()
	_, err = s.Observe(t.Context(), round(1))
	wantCode(t, err, codes.Unavailable)
}

func TestDataSourceObservesInRoundsThatRun(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	rounds := NewRounds()
	s := NewDataSource(func(context.Context, Round) (*big.Int, error) { return big.NewInt(runs.Add(1)), nil }, rounds,
		slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	refused := func(when string, epoch uint32) {
		t.Helper()
		_, err := value(t, s, t.Context(), epoch)
		wantCode(t, err, codes.FailedPrecondition)
		if n := runs.Load(); err == nil || n > 1 {
			t.Errorf("%s the source is asked %d times", when, n)
		}
	}
	refused("before its round", 7)
	running := Round{Epoch: 7, Round: 3}
	first, second := rounds.Begin(running), rounds.Begin(running)
	for range 2 {
		if got, err := value(t, s, t.Context(), 7); got != 1 || err != nil {
			t.Errorf("in its round: %d, %v", got, err)
		}
		first()
		first = func() {}
	}
	refused("in another round", 8)
	second()
	refused("after its round", 7)
	if len(rounds.running) != 0 {
		t.Errorf("%v stays", rounds.running)
	}
}
