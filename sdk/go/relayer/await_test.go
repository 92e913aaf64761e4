package relayer

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAwaitLeavesTimeToAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deadline time.Duration // 0: none
		cancel   time.Duration // 0: never
		ready    []bool
		want     time.Duration
	}{
		"all is ready":      {ready: []bool{true, true}},
		"a long deadline":   {deadline: 20 * time.Second, ready: []bool{false}, want: 20*time.Second - notice},
		"a short deadline":  {deadline: 100 * time.Millisecond, ready: []bool{false}, want: 80 * time.Millisecond},
		"one is not ready":  {deadline: time.Second, ready: []bool{true, false, true}, want: 800 * time.Millisecond},
		"two are not ready": {deadline: time.Second, ready: []bool{false, false}, want: 800 * time.Millisecond},
		"no deadline":       {cancel: time.Hour, ready: []bool{false}, want: time.Hour},
		"the caller leaves": {deadline: time.Minute, cancel: time.Second, ready: []bool{false}, want: time.Second},
		"it is over":        {deadline: -time.Second, ready: []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.deadline != 0 {
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				if c.cancel != 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				var ready []<-chan struct{}
				for _, is := range c.ready {
					one := make(chan struct{})
					if is {
						close(one)
					}
					ready = append(ready, one)
				}
				began := time.Now()
				Await(ctx, ready...)
				if took := time.Since(began); took != c.want {
					t.Errorf("it took %s, want %s", took, c.want)
				}
			})
		})
	}
}

// TestPollerAwaitsTheFirstAnswer checks that callers who come while nothing was read yet get the value as soon as there
// is one.
func TestPollerAwaitsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		p := NewPoller(PollerSettings[int32]{
			Subject: "the thing", Retry: time.Second,
			Fetch: func(context.Context) (int32, error) {
				if n := fetches.Add(1); n > 3 {
					return n, nil
				}
				return 0, status.Error(codes.Unavailable, "no RPC node serves: primary lags")
			},
		})
		defer p.Close()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if got, err := p.Await(ctx); got != 4 || err != nil {
			t.Errorf("Await = %d, %v, want the fourth reading", got, err)
		}
		// 50, 100 and 200 ms, give or take a tenth
		if took := time.Since(began); took < 300*time.Millisecond || took > 400*time.Millisecond {
			t.Errorf("the first answer came after %s", took)
		}
	})
}

func TestPollerSaysWhyThereIsNoFirstAnswer(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	for name, c := range map[string]struct {
		fetch func(ctx context.Context) (int, error)
		want  string
		after time.Duration
	}{
		"the first reading hangs": {hangs,
			"the thing has not been read yet: no RPC node serves: primary has not answered yet", 4750 * time.Millisecond},
		"each reading fails": {
			func(context.Context) (int, error) {
				return 0, status.Error(codes.Unavailable, "no RPC node serves: primary refuses connections")
			},
			"the thing has not been read yet: no RPC node serves: primary refuses connections", 4750 * time.Millisecond,
		},
		"the chain answers that there is no such thing": {
			func(context.Context) (int, error) { return 0, errors.New("there is no contract at this address") },
			"the thing has not been read yet: there is no contract at this address", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := NewPoller(PollerSettings[int]{
					Subject: "the thing", Fetch: c.fetch, Timeout: 20 * time.Second, Why: func() string {
						return "no RPC node serves: primary has not answered yet"
					},
				})
				defer p.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				began := time.Now()
				_, err := p.Await(ctx)
				if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != c.want ||
					time.Since(began) != c.after {
					t.Errorf("after %s: %v, want UNAVAILABLE after %s: %s", time.Since(began), err, c.after, c.want)
				}
			})
		})
	}
}

// TestPollerAwaitEndsWithThePoller checks that a job which ends keeps no caller.
func TestPollerAwaitEndsWithThePoller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPoller(PollerSettings[int]{Subject: "the thing", Fetch: func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}})
		ended := make(chan error)
		go func() {
			_, err := p.Await(t.Context())
			ended <- err
		}()
		synctest.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; status.Code(err) != codes.Unavailable {
			t.Errorf("Await ended with %v", err)
		}
	})
}

// madeDriver is a driver whose node the test plays.
type madeDriver struct {
	connect func(ctx context.Context) (int, error)
	watch   func(ctx context.Context, report func(uint64)) error
}

func (d madeDriver) Connect(ctx context.Context) (int, error) { return d.connect(ctx) }

func (d madeDriver) Watch(ctx context.Context, _ int, report func(uint64)) error {
	return d.watch(ctx, report)
}

func (d madeDriver) Disconnect(int) {}

// TestPoolAwaitsTheFirstNode checks that the first node that serves ends the wait, whatever the others do, and that
// each beginning is told.
func TestPoolAwaitsTheFirstNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		broken := make(chan struct{})
		var serves atomic.Int32
		pool := NewPool(PoolSettings{Timeout: 30 * time.Second, Serves: func(node string) {
			if node == "good" {
				serves.Add(1)
			}
		}}, []Node[int]{
			{Name: "bad", Driver: madeDriver{connect: hangs}},
			{Name: "good", Driver: madeDriver{
				connect: func(context.Context) (int, error) { time.Sleep(3 * time.Second); return 7, nil },
				watch: func(ctx context.Context, report func(uint64)) error {
					for range 3 {
						report(5)
					}
					select {
					case <-broken:
						return errors.New("lost")
					case <-ctx.Done():
						return ctx.Err()
					}
				},
			}},
		})
		defer pool.Close()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := pool.Await(short)
		if status.Code(err) != codes.Unavailable ||
			status.Convert(err).Message() != "no RPC node serves: bad has not answered yet; good has not answered yet" ||
			short.Err() != nil {
			t.Errorf("before any serves: %v, and the caller's time is over: %v", err, short.Err())
		}
		began := time.Now()
		if err := pool.Await(t.Context()); err != nil || time.Since(began) != 3*time.Second-800*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		broken <- struct{}{}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := serves.Load(); n != 2 {
			t.Errorf("the node began to serve %d times, want 2", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool[int](PoolSettings{}, nil)
		defer pool.Close()
		if err := pool.Await(t.Context()); status.Convert(err).Message() != "no RPC node is configured; name at least one" {
			t.Errorf("without nodes: %v", err)
		}
	})
}

// TestPoolConnectsAgainWithinItsBound checks the bound that lets feeds resume within 3 s of a node's return.
func TestPoolConnectsAgainWithinItsBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		attempts := 0
		pool := NewPool(PoolSettings{},
			[]Node[int]{{Name: "down", Driver: madeDriver{connect: func(context.Context) (int, error) {
				if pause := time.Since(last); attempts > 0 && pause > 1500*time.Millisecond {
					t.Errorf("attempt %d came after %s", attempts, pause)
				}
				attempts, last = attempts+1, time.Now()
				return 0, errors.New("refused")
			}}}})
		time.Sleep(time.Minute)
		if err := pool.Close(); err != nil || attempts < 40 {
			t.Errorf("%d attempts in a minute, %v", attempts, err)
		}
	})
}

// TestPoolAsksAHangingNodeOnce checks that a node whose calls hang costs one call its wait, and is asked again when it
// tells of a block.
func TestPoolAsksAHangingNodeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		blocks := make(chan uint64)
		connects := func(client int) func(context.Context) (int, error) {
			return func(context.Context) (int, error) { return client, nil }
		}
		pool := NewPool(PoolSettings{Timeout: 8 * time.Second}, []Node[int]{
			{Name: "first", Driver: madeDriver{connects(1), func(ctx context.Context, report func(uint64)) error {
				report(5)
				for {
					select {
					case height := <-blocks:
						report(height)
					case <-ctx.Done():
						return ctx.Err()
					}
				}
			}}},
			{Name: "second", Driver: madeDriver{connects(2), func(ctx context.Context, report func(uint64)) error {
				report(5)
				<-ctx.Done()
				return ctx.Err()
			}}},
		})
		defer pool.Close()
		synctest.Wait()
		hangs := true
		who := func() (client int, took time.Duration) {
			t.Helper()
			began := time.Now()
			if err := pool.Do(t.Context(), func(ctx context.Context, c int) error {
				client = c
				if hangs && c == 1 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			return client, time.Since(began)
		}
		if client, took := who(); client != 2 || took != 2*time.Second {
			t.Errorf("the first call is served by %d after %s, want the second after 2 s", client, took)
		}
		time.Sleep(time.Hour)
		if client, took := who(); client != 2 || took != 0 {
			t.Errorf("an hour later a call is served by %d after %s, want the second at once", client, took)
		}
		hangs = false
		blocks <- 6
		synctest.Wait()
		if client, took := who(); client != 1 || took != 0 {
			t.Errorf("after a block of the first's a call is served by %d after %s", client, took)
		}
	})
}
