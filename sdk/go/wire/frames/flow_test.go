package frames

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Whatever callers do, each gets the answer to its own call or the error that is due, and nothing is left.
func TestCallsOfManyCallers(t *testing.T) {
	t.Parallel()
	type step struct {
		Size, Answer  int
		Begin, Take   time.Duration
		Deadline, End time.Duration // 0: none
		Fail          bool
	}
	small := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 5*maxChunk))
	moment := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.IntRange(0, 50).Draw(t, "ms")) * time.Millisecond
	})
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{small.Draw(t, "size"), small.Draw(t, "answer"), moment.Draw(t, "begin"), moment.Draw(t, "take"),
			moment.Draw(t, "deadline"), moment.Draw(t, "end"), rapid.Bool().Draw(t, "fail")}
	}), 1, 40)
	rapid.Check(t, func(rt *rapid.T) {
		script := steps.Draw(rt, "script")
		synctest.Test(t, func(t *testing.T) {
			c := overPipe(t, newServer(func(ctx context.Context, request []byte) ([]byte, error) {
				s := script[int(request[0])]
				for _, b := range request {
					if b != request[0] {
						return nil, status.Error(codes.DataLoss, "requests were mixed")
					}
				}
				select {
				case <-time.After(s.Take):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				if s.Fail {
					return nil, status.Errorf(codes.NotFound, "of call %d", request[0])
				}
				answer := make([]byte, s.Answer+1)
				for i := range answer {
					answer[i] = request[0]
				}
				return answer, nil
			}))
			var all sync.WaitGroup
			for i, s := range script {
				all.Go(func() {
					time.Sleep(s.Begin)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if s.Deadline > 0 {
						ctx, cancel = context.WithTimeout(ctx, s.Deadline)
						defer cancel()
					}
					if s.End > 0 {
						defer time.AfterFunc(s.End, cancel).Stop()
					}
					request := make([]byte, s.Size+1)
					for k := range request {
						request[k] = byte(i)
					}
					got, err := ask(ctx, c, request)
					deadline := cmp.Or(s.Deadline, time.Hour)
					first := min(s.Take, deadline, cmp.Or(s.End, time.Hour))
					last := first
					if s.End == first && s.Size < maxChunk { // a caller that leads sees later that it is cancelled
						last += 2 * leadEvery
					}
					answered := s.Take <= min(last, deadline)
					switch code := status.Code(err); {
					case code == codes.OK && !s.Fail && answered:
						if len(got) != s.Answer+1 || got[0] != byte(i) {
							t.Errorf("call %d of %v got %d bytes of call %d", i, s, len(got), got[0])
						}
					case code == codes.NotFound && s.Fail && answered &&
						strings.HasSuffix(err.Error(), fmt.Sprint(" of call ", i)):
					case code == codes.DeadlineExceeded && deadline <= min(last, s.Take):
					case code == codes.Canceled && s.End == first:
					default:
						t.Errorf("call %d of %+v got %d bytes, %v", i, s, len(got), err)
					}
				})
			}
			all.Wait()
			synctest.Wait() // for the answers that nobody waits for
			leftovers(t, c)
		})
	})
}

// A caller that comes when as many calls are open as may be waits for its turn, and for no longer than it wants.
func TestOpenCallsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Int64
		order := make(chan byte, 3)
		leave := make(chan struct{})
		c := overPipe(t, newServer(func(_ context.Context, b []byte) ([]byte, error) {
			if len(b) > 0 {
				order <- b[0]
				return nil, nil
			}
			served.Add(1)
			<-leave
			return nil, nil
		}))
		var all sync.WaitGroup
		for range maxOpen - reserved {
			all.Go(func() { _, _ = ask(t.Context(), c, nil) })
		}
		synctest.Wait()
		if served.Load() != maxOpen-reserved {
			t.Fatalf("%d calls are served", served.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := ask(ctx, c, nil)
		expect(t, "a call too many", err, codes.DeadlineExceeded, "")
		if served.Load() != maxOpen-reserved {
			t.Error("a call too many is served")
		}
		for i := range 3 {
			all.Go(func() { _, _ = ask(t.Context(), c, []byte{byte(i)}) })
			synctest.Wait()
		}
		healthy, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		err = c.Invoke(healthy, healthCheck, &wrapperspb.BytesValue{}, &wrapperspb.BytesValue{})
		expect(t, "a health check, which passes those that wait", err, codes.Unimplemented, "")
		for i := range 3 {
			leave <- struct{}{}
			if got := <-order; got != byte(i) {
				t.Errorf("caller %d had the turn of caller %d", got, i)
			}
			synctest.Wait()
		}
		close(leave)
		all.Wait()
	})
}

// Requests of more bytes than may be unanswered wait for answers.
func TestOpenBytesAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Int64
		leave := make(chan struct{})
		c := overPipe(t, newServer(func(context.Context, []byte) ([]byte, error) {
			served.Add(1)
			<-leave
			return nil, nil
		}))
		var all sync.WaitGroup
		request := make([]byte, 5<<20)
		for range 4 {
			all.Go(func() {
				if _, err := ask(t.Context(), c, request); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if served.Load() != 3 {
			t.Errorf("%d calls of 5 MiB are served at once; 18 MiB may be", served.Load())
		}
		leave <- struct{}{}
		synctest.Wait()
		if served.Load() != 4 {
			t.Error("the last call is not served when there is room")
		}
		close(leave)
		all.Wait()
	})
}

// A small call passes long ones that wait for bytes, so that no health check waits for them, and takes no room from
// them: what passes is bounded too, and waits in its turn.
func TestSmallCallsPassLongOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		served := map[int]int{} // calls by their size
		leave := make(chan struct{})
		c := overPipe(t, newServer(func(_ context.Context, b []byte) ([]byte, error) {
			mu.Lock()
			served[len(b)]++
			mu.Unlock()
			if len(b) > 1 {
				<-leave
			}
			return nil, nil
		}))
		var all sync.WaitGroup
		ctx, giveUp := context.WithCancel(t.Context())
		defer giveUp()
		hold := func(ctx context.Context, size int, code codes.Code) {
			t.Helper()
			all.Go(func() {
				_, err := ask(ctx, c, make([]byte, size))
				expect(t, fmt.Sprintf("a call of %d bytes", size), err, code, "")
			})
			synctest.Wait()
		}
		are := func(when string, size, want int) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if served[size] != want {
				t.Errorf("%s: %d calls of %d bytes are served; want %d", when, served[size], size, want)
			}
		}
		check := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := ask(ctx, c, []byte{1})
			return err
		}
		const one = maxChunk - 4 // and its field's tag and length
		hold(t.Context(), 16<<20-5, codes.OK)
		hold(ctx, 4<<20, codes.Canceled)
		are("with 16 MiB of 18", 4<<20, 0)
		expect(t, "a small call beside long ones", check(), codes.OK, "")
		for range maxPassed/maxChunk - 1 {
			hold(t.Context(), one, codes.OK)
		}
		expect(t, "a small call while there is room to pass", check(), codes.OK, "")
		hold(t.Context(), one, codes.OK)
		are("with as many small calls as may pass", one, maxPassed/maxChunk)
		expect(t, "a small call too many", check(), codes.DeadlineExceeded, "")
		hold(t.Context(), one, codes.OK)
		are("with more small calls than may pass", one, maxPassed/maxChunk)
		giveUp()
		synctest.Wait()
		are("when no long call waits any more", one, maxPassed/maxChunk+1)
		close(leave)
		all.Wait()
		synctest.Wait()
		leftovers(t, c)
	})
}

// A line is first come, first served, among those who have not left.
func TestLine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		leaves := rapid.SliceOfN(rapid.Bool(), 1, 20).Draw(rt, "who leaves")
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var l line
			room, got := 0, []int{}
			var all sync.WaitGroup
			dones := make([]chan struct{}, len(leaves))
			var want []int
			for i, leave := range leaves {
				dones[i] = make(chan struct{})
				if !leave {
					want = append(want, i)
				}
				all.Go(func() {
					mu.Lock()
					defer mu.Unlock()
					if l.waitLocked(&mu, dones[i], func() bool { return room > 0 }) {
						room--
						got = append(got, i)
					}
				})
				synctest.Wait()
			}
			for i, leave := range leaves {
				if leave {
					close(dones[i])
				}
			}
			synctest.Wait()
			mu.Lock()
			room = len(want)
			l.wakeLocked()
			mu.Unlock()
			all.Wait()
			if fmt.Sprint(got) != fmt.Sprint(want) || len(l.waiting) != 0 {
				t.Errorf("turns were taken by %v; want %v; %d wait", got, want, len(l.waiting))
			}
		})
	})
}

// A call whose caller has set no deadline ends at its method's own, whatever the server does, each at its time.
func TestDeadlinesOfMethods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		s := newServer(same)
		s.RegisterService(&grpc.ServiceDesc{ServiceName: "loop.median.v1.ReportCodecService", Methods: []grpc.MethodDesc{{
			MethodName: "MaxReportLength",
			Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
				<-leave
				return &wrapperspb.BytesValue{}, nil
			},
		}}}, nil)
		cc := wire.Bind(overPipe(t, s), "object")
		method, ok := wire.MethodOf(medianv1.ReportCodecService_MaxReportLength_FullMethodName)
		if !ok || method.Timeout == 0 {
			t.Fatalf("the method is %+v", method)
		}
		var calls sync.WaitGroup
		for i := range 20 {
			calls.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				begin := time.Now()
				err := cc.Invoke(t.Context(), method.FullName, &wrapperspb.BytesValue{}, &wrapperspb.BytesValue{})
				expect(t, "a call", err, codes.DeadlineExceeded, "")
				if took := time.Since(begin); took != method.Timeout {
					t.Errorf("a call took %s; its method's timeout is %s", took, method.Timeout)
				}
			})
		}
		calls.Wait()
		close(leave)
		synctest.Wait()
	})
}

// A burst of calls leaves no goroutine behind that waits for another.
func TestWorkersAreLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		s := newServer(func(context.Context, []byte) ([]byte, error) {
			<-leave
			return nil, nil
		})
		c := overPipe(t, s)
		for conn := range s.conns {
			workers := func() (all int, idle int32) {
				conn.mu.Lock()
				defer conn.mu.Unlock()
				return conn.workers, conn.idle.Load()
			}
			var calls sync.WaitGroup
			for range 2 * idleWorkers {
				calls.Go(func() { _, _ = ask(t.Context(), c, nil) })
			}
			synctest.Wait()
			if all, idle := workers(); all != 2*idleWorkers || idle != 0 {
				t.Errorf("%d workers serve, and %d wait", all, idle)
			}
			close(leave)
			calls.Wait()
			synctest.Wait()
			if all, idle := workers(); all != idleWorkers || idle != idleWorkers {
				t.Errorf("%d workers are left, and %d wait", all, idle)
			}
			time.Sleep(2 * retireEvery)
			synctest.Wait()
			if all, idle := workers(); all != 0 || idle != 0 {
				t.Errorf("%d workers are left after a while, and %d wait", all, idle)
			}
		}
	})
}

// What a long message leaves unwritten is little, however slowly its receiver reads: whoever writes after it waits for
// that.
func TestLongMessagesWaitWithLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w := newWriter(near, always)
		var all sync.WaitGroup
		all.Go(w.run)
		for id := range uint32(3) {
			all.Go(func() { w.chunks(nil, id, make([]byte, 1<<20), func(bool) bool { return true }) })
		}
		received := 0
		for b := make([]byte, maxFrame); received < 3<<20; {
			synctest.Wait()
			w.mu.Lock()
			if n, most := len(w.out), 128<<10; n > most {
				t.Errorf("%d bytes wait to be written; at most %d are to", n, most)
			}
			w.mu.Unlock()
			n, err := far.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			received += n
		}
		w.mu.Lock()
		w.failLocked(errClosed)
		w.mu.Unlock()
		all.Wait()
		_ = far.Close()
	})
}
