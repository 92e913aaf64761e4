package frames

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const echo = "/test.Echo/Echo"

// echoService is a fake of a service: it answers with what serve makes of the request.
func echoService(serve func(ctx context.Context, request []byte) ([]byte, error)) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: "test.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := &wrapperspb.BytesValue{}
			if err := dec(in); err != nil {
				return nil, err
			}
			b, err := serve(ctx, in.GetValue())
			if err != nil {
				return nil, err
			}
			return wrapperspb.Bytes(b), nil
		},
	}}}
}

func same(_ context.Context, b []byte) ([]byte, error) { return b, nil }

func newServer(serve func(ctx context.Context, request []byte) ([]byte, error)) *Server {
	s := NewServer(slog.New(slog.DiscardHandler))
	s.RegisterService(echoService(serve), nil)
	return s
}

// overPipe connects the two ends within this process. Nothing of either is left when the test ends.
func overPipe(t testing.TB, s *Server) *Conn {
	caller, server := net.Pipe()
	s.Serve(server)
	c := NewConn(caller)
	t.Cleanup(func() {
		_ = c.Close()
		s.Stop()
		leftovers(t, c)
	})
	return c
}

func leftovers(t testing.TB, c *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls) > 0 || c.bytes != 0 || len(c.slots.waiting) > 0 || len(c.room.waiting) > 0 {
		t.Errorf("%d calls of %d bytes are open, and %d and %d wait, at the end", len(c.calls), c.bytes, len(c.slots.waiting), len(c.room.waiting))
	}
}

func ask(ctx context.Context, cc grpc.ClientConnInterface, request []byte, options ...grpc.CallOption) ([]byte, error) {
	out := &wrapperspb.BytesValue{}
	err := cc.Invoke(ctx, echo, wrapperspb.Bytes(request), out, options...)
	return out.GetValue(), err
}

func expect(t testing.TB, what string, err error, code codes.Code, text string) {
	t.Helper()
	if s := status.Convert(err); s.Code() != code || !strings.Contains(s.Message(), text) {
		t.Errorf("%s: %.200v; want %s and %q", what, err, code, text)
	}
}

// inTime fails if something does not come: events are awaited, and a minute is for the busiest machine.
func inTime[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not come", what)
	}
	return v
}

func TestSizes(t *testing.T) {
	t.Parallel()
	c := overPipe(t, newServer(same))
	// A message has a field of five bytes more than these.
	for _, n := range []int{0, 1, maxChunk - 8, maxChunk - 4, maxChunk - 3, maxChunk, maxChunk + 1, 2*maxChunk - 4, 1 << 20, wire.MaxMessageBytes - 5} {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(i * 7)
		}
		got, err := ask(t.Context(), c, want)
		if err != nil || string(got) != string(want) {
			t.Errorf("%d bytes came back as %d, %v", n, len(got), err)
		}
	}
	_, err := ask(t.Context(), c, make([]byte, wire.MaxMessageBytes))
	expect(t, "a request above the limit", err, codes.ResourceExhausted, "16777216")
}

func TestAnswersAreLimited(t *testing.T) {
	t.Parallel()
	c := overPipe(t, newServer(func(context.Context, []byte) ([]byte, error) { return make([]byte, wire.MaxMessageBytes), nil }))
	_, err := ask(t.Context(), c, nil)
	expect(t, "an answer above the limit", err, codes.ResourceExhausted, "16777216")
}

func TestUnknownMethod(t *testing.T) {
	t.Parallel()
	c := overPipe(t, newServer(same))
	err := c.Invoke(t.Context(), "/test.Echo/Other", &wrapperspb.BytesValue{}, &wrapperspb.BytesValue{})
	expect(t, "an unknown method", err, codes.Unimplemented, "/test.Echo/Other")
	if _, err := c.NewStream(t.Context(), &grpc.StreamDesc{}, echo); status.Code(err) != codes.Unimplemented {
		t.Errorf("a stream: %v", err)
	}
}

// What a message cannot be is the caller's or the server's error, and hurts no other call.
func TestMessagesThatDoNotEncode(t *testing.T) {
	t.Parallel()
	s := newServer(same)
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Bad", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Bad",
		Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
			return wrapperspb.String("\xff"), nil
		},
	}}}, nil)
	c := overPipe(t, s)
	expect(t, "a request", c.Invoke(t.Context(), echo, wrapperspb.String("\xff"), &wrapperspb.BytesValue{}), codes.Internal, "does not encode")
	expect(t, "no message", c.Invoke(t.Context(), echo, "text", &wrapperspb.BytesValue{}), codes.Internal, "no message")
	expect(t, "an answer", c.Invoke(t.Context(), "/test.Bad/Bad", &wrapperspb.BytesValue{}, &wrapperspb.BytesValue{}), codes.Internal, "does not encode")
	err := c.Invoke(t.Context(), echo, wrapperspb.Bytes([]byte("\xff")), &wrapperspb.StringValue{})
	expect(t, "an answer that is another message", err, codes.Internal, "/test.Echo/Echo does not decode")
	if _, err := ask(t.Context(), c, []byte("x")); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// Metadata and trailers of both sides arrive, and those that gRPC sets for itself do not.
func TestMetadata(t *testing.T) {
	t.Parallel()
	var seen metadata.MD
	var object string
	c := overPipe(t, newServer(func(ctx context.Context, _ []byte) ([]byte, error) {
		seen, _ = metadata.FromIncomingContext(ctx)
		object = wire.ObjectOf(ctx)
		if err := grpc.SetHeader(ctx, metadata.Pairs("a", "b")); status.Code(err) != codes.Unimplemented {
			t.Errorf("a header: %v", err)
		}
		return nil, errors.Join(
			grpc.SetTrailer(ctx, metadata.Pairs(wire.GenerationKey, "7", "one", "1")),
			grpc.SetTrailer(ctx, metadata.Pairs("two-bin", "\x00\xff", wire.DrainingKey, "7")))
	}))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-1", "many", "a", "many", "b", "grpc-timeout", "1S")
	var trailer metadata.MD
	if err := wire.Bind(c, "Chain/X").Invoke(ctx, echo, wrapperspb.Bytes(nil), &wrapperspb.BytesValue{}, grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(metadata.MD{"loop-object": {"Chain/X"}, "many": {"a", "b"}, "traceparent": {"00-1"}}); fmt.Sprint(seen) != want || object != "Chain/X" {
		t.Errorf("the server saw %v and the object %q; want %s", seen, object, want)
	}
	if want := fmt.Sprint(metadata.MD{"loop-generation": {"7"}, "loop-draining": {"7"}, "one": {"1"}, "two-bin": {"\x00\xff"}}); fmt.Sprint(trailer) != want {
		t.Errorf("the caller saw %v; want %s", trailer, want)
	}
	ctx = metadata.AppendToOutgoingContext(t.Context(), wire.ObjectKey, "Chain/Y")
	if _, err := ask(ctx, c, nil); err != nil || object != "Chain/Y" {
		t.Errorf("an object in the metadata arrived as %q, %v", object, err)
	}
	_, err := ask(metadata.AppendToOutgoingContext(t.Context(), "k", strings.Repeat("v", maxHead)), c, nil)
	expect(t, "metadata above the limit", err, codes.ResourceExhausted, "8188")
}

func TestLargeErrorsLoseTheirEnd(t *testing.T) {
	t.Parallel()
	c := overPipe(t, newServer(func(context.Context, []byte) ([]byte, error) {
		return nil, status.Error(codes.NotFound, "there is none"+strings.Repeat("\xff", maxChunk))
	}))
	_, err := ask(t.Context(), c, nil)
	expect(t, "a large error", err, codes.NotFound, "there is none")
}

// The context of a handler is one in every respect, also for contexts that are made of it.
func TestContextOfAHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		results := make(chan error, 3)
		c := overPipe(t, newServer(func(ctx context.Context, request []byte) ([]byte, error) {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			if string(request) == "wait" {
				<-child.Done()
			} else {
				time.Sleep(2 * time.Second) // and does not look
			}
			results <- errors.Join(ctx.Err(), child.Err())
			at, ok := ctx.Deadline()
			if request != nil && (!ok || time.Until(at) > 0) {
				t.Errorf("the deadline is in %s, %t", time.Until(at), ok)
			}
			return nil, ctx.Err()
		}))
		for _, how := range []string{"wait", "look"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			begin := time.Now()
			_, err := ask(ctx, c, []byte(how))
			cancel()
			expect(t, how, err, codes.DeadlineExceeded, "")
			if took := time.Since(begin); took != time.Second {
				t.Errorf("%s: the caller waited %s", how, took)
			}
			if err := <-results; err == nil { // by the deadline, or by the caller, whose deadline it is
				t.Errorf("%s: the handler's context has not ended", how)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := ask(ctx, c, nil)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		expect(t, "a call that was cancelled", <-ended, codes.Canceled, "")
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("the handler's context ended with %v", err)
		}
	})
}

// A handler whose caller has a long way to go or no deadline has none either, and still hears of a caller that goes.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := overPipe(t, newServer(func(ctx context.Context, _ []byte) ([]byte, error) {
			at, ok := ctx.Deadline()
			return fmt.Append(nil, ok, " ", time.Until(at).Round(time.Millisecond)), nil
		}))
		for after, want := range map[time.Duration]string{
			time.Hour: "true 1h0m0s", 3 * time.Millisecond: "true 3ms", 100 * time.Hour: "false",
		} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			got, err := ask(ctx, c, nil)
			cancel()
			if err != nil || !strings.HasPrefix(string(got), want) {
				t.Errorf("with %s the handler has %s, %v", after, got, err)
			}
		}
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		_, err := ask(ctx, c, nil)
		expect(t, "a deadline that has passed", err, codes.DeadlineExceeded, "")
	})
}

// Calls of different deadlines end each at its own, by one timer.
func TestDeadlinesOfManyCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := overPipe(t, newServer(func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		var calls sync.WaitGroup
		for i := range 50 {
			after := time.Duration(rand.IntN(100)+1) * 100 * time.Millisecond
			calls.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				_, err := ask(ctx, c, nil)
				expect(t, "a call", err, codes.DeadlineExceeded, "")
				if took := time.Since(begin); took != after {
					t.Errorf("a call of %s took %s", after, took)
				}
			})
		}
		calls.Wait()
	})
}

// Whatever callers do, each gets the answer to his own call or the error that he is due, and nothing is left.
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
					first := min(s.Take, cmp.Or(s.Deadline, time.Hour), cmp.Or(s.End, time.Hour))
					switch code := status.Code(err); {
					case code == codes.OK && !s.Fail && s.Take == first:
						if len(got) != s.Answer+1 || got[0] != byte(i) {
							t.Errorf("call %d of %v got %d bytes of call %d", i, s, len(got), got[0])
						}
					case code == codes.NotFound && s.Fail && s.Take == first && strings.HasSuffix(err.Error(), fmt.Sprint(" of call ", i)):
					case code == codes.DeadlineExceeded && s.Deadline == first:
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

// Who comes when as many calls are open as may be waits, in his turn, for no longer than he wants.
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
		for range maxOpen {
			all.Go(func() { _, _ = ask(t.Context(), c, nil) })
		}
		synctest.Wait()
		if served.Load() != maxOpen {
			t.Fatalf("%d calls are served", served.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := ask(ctx, c, nil)
		expect(t, "a call too many", err, codes.DeadlineExceeded, "")
		if served.Load() != maxOpen {
			t.Error("a call too many is served")
		}
		for i := range 3 {
			all.Go(func() { _, _ = ask(t.Context(), c, []byte{byte(i)}) })
			synctest.Wait()
		}
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
		request := make([]byte, 15<<20)
		for range 5 {
			all.Go(func() {
				if _, err := ask(t.Context(), c, request); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if served.Load() != 4 {
			t.Errorf("%d calls of 15 MiB are served at once; 64 MiB may be", served.Load())
		}
		leave <- struct{}{}
		synctest.Wait()
		if served.Load() != 5 {
			t.Error("the last call is not served when there is room")
		}
		close(leave)
		all.Wait()
	})
}

// A line is one: turns are taken in the order of coming, by whoever has not left.
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
					if l.wait(&mu, dones[i], func() bool { return room > 0 }) {
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
			l.wake()
			mu.Unlock()
			all.Wait()
			if fmt.Sprint(got) != fmt.Sprint(want) || len(l.waiting) != 0 {
				t.Errorf("turns were taken by %v; want %v; %d wait", got, want, len(l.waiting))
			}
		})
	})
}

// ---- Over sockets ----

type ends struct {
	server, caller *tls.Config
	address        string
}

// listen serves frames and gRPC on one socket with mutual TLS.
func listen(t testing.TB, s *Server, serve func(context.Context, []byte) ([]byte, error)) ends {
	t.Helper()
	var e ends
	own, other := keyPair(t), keyPair(t)
	var err error
	if e.server, err = wire.ServerTLS(own.TLS, other.CertificatePEM); err != nil {
		t.Fatal(err)
	}
	if e.caller, err = wire.ClientTLS(other.TLS, own.CertificatePEM); err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "frames") // a test's own folder has a longer name than a socket may have
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	e.address = filepath.Join(folder, "s")
	l, err := net.Listen("unix", e.address)
	if err != nil {
		t.Fatal(err)
	}
	creds := credentials.NewTLS(e.server)
	if s != nil {
		creds = Credentials(e.server, s)
		t.Cleanup(s.Stop)
	}
	g := grpc.NewServer(grpc.Creds(creds), grpc.ForceServerCodecV2(wire.Codec()))
	g.RegisterService(echoService(serve), nil)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		<-served
	})
	return e
}

func keyPair(t testing.TB) *wire.KeyPair {
	t.Helper()
	p, err := wire.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (e ends) dial(ctx context.Context) (net.Conn, error) {
	return Dial(ctx, "unix", e.address, e.caller)
}

// channel is a Channel whose rest is gRPC on the same socket.
func (e ends) channel(t testing.TB) *Channel {
	t.Helper()
	g, err := grpc.NewClient("unix:"+e.address, grpc.WithTransportCredentials(credentials.NewTLS(e.caller)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec())))
	if err != nil {
		t.Fatal(err)
	}
	ch := NewChannel(g, e.dial)
	t.Cleanup(func() { _ = ch.Close() })
	return ch
}

func says(word string) func(context.Context, []byte) ([]byte, error) {
	return func(context.Context, []byte) ([]byte, error) { return []byte(word), nil }
}

func answers(t testing.TB, cc grpc.ClientConnInterface, want string, options ...grpc.CallOption) {
	t.Helper()
	if got, err := ask(t.Context(), cc, nil, options...); err != nil || string(got) != want {
		t.Errorf("%s answered, %v; want %s", got, err, want)
	}
}

// One socket serves both. Callers of frames get frames, and what these have no place for goes over gRPC.
func TestChannel(t *testing.T) {
	t.Parallel()
	s := newServer(says("frames"))
	ch := listen(t, s, says("grpc")).channel(t)
	answers(t, ch, "frames")
	answers(t, ch, "grpc", grpc.WaitForReady(true))
	if _, err := ch.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, echo); err != nil {
		t.Errorf("a stream: %v", err)
	}
	if err := ch.Connect(t.Context()); err != nil || !ch.Framed() {
		t.Errorf("%v, framed: %t", err, ch.Framed())
	}
}

// A peer that has gRPC alone is called by gRPC.
func TestChannelToAPeerWithoutFrames(t *testing.T) {
	t.Parallel()
	ch := listen(t, nil, says("grpc")).channel(t)
	if err := ch.Connect(t.Context()); !errors.Is(err, ErrNone) || ch.Framed() {
		t.Errorf("connecting: %v, framed: %t", err, ch.Framed())
	}
	answers(t, ch, "grpc")
}

// A connection that breaks takes the calls on it along, and the next call makes another.
func TestChannelAfterALoss(t *testing.T) {
	t.Parallel()
	entered, ended := make(chan struct{}), make(chan error, 1)
	s := newServer(func(ctx context.Context, b []byte) ([]byte, error) {
		if len(b) == 0 {
			return []byte("frames"), nil
		}
		close(entered)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	ch := listen(t, s, says("grpc")).channel(t)
	var trailer metadata.MD
	result := make(chan error, 1)
	go func() {
		_, err := ask(t.Context(), ch, []byte("wait"), grpc.Trailer(&trailer))
		result <- err
	}()
	inTime(t, "the call", entered)
	hangUp(ch.conn.Load().nc)
	expect(t, "a call on a connection that breaks", inTime(t, "the end of the call", result), codes.Unavailable, "broke")
	if len(trailer) > 0 {
		t.Errorf("the loss of a connection came with the trailer %v of an application", trailer)
	}
	if err := inTime(t, "the end of the handler's context", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context ended with %v", err)
	}
	answers(t, ch, "frames")
	_ = ch.Close()
	_, err := ask(t.Context(), ch, nil)
	expect(t, "a call after the end", err, codes.Canceled, "closing")
}

// A server that stops ends its connections and waits for its handlers.
func TestStop(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := newServer(func(ctx context.Context, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		<-leave
		return nil, nil
	})
	c := overPipe(t, s)
	result := make(chan error, 1)
	go func() {
		_, err := ask(t.Context(), c, nil)
		result <- err
	}()
	<-entered
	stopped := make(chan struct{})
	go func() {
		s.Stop()
		close(stopped)
	}()
	expect(t, "a call of a server that stops", inTime(t, "the end of the call", result), codes.Unavailable, "")
	select {
	case <-stopped:
		t.Error("the server has stopped while a handler runs")
	default:
	}
	close(leave)
	inTime(t, "the server's end", stopped)
	late, other := net.Pipe()
	s.Serve(late)
	if _, err := other.Read(make([]byte, 1)); err == nil {
		t.Error("a server that has stopped serves")
	}
}

// A server that is to end writes the answers to open calls first, and waits for no longer than it may.
func TestFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		s := newServer(func(context.Context, []byte) ([]byte, error) {
			<-leave
			return make([]byte, 3*maxChunk), nil
		})
		caller, server := net.Pipe()
		s.Serve(server)
		head := appendText(appendText(nil, echo), "")
		if _, err := caller.Write(append(appendHeader(nil, header{id: 1, kind: kindRequest}, len(head), 0), head...)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begin := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.Finish(short)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("with an open call it took %s", took)
		}
		finished := make(chan struct{})
		go func() {
			s.Finish(t.Context())
			close(finished)
		}()
		close(leave)
		synctest.Wait()
		select {
		case <-finished:
			t.Error("it has finished while nobody reads the answer")
		default:
		}
		in := newReader(caller)
		for more := true; more; {
			f, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			more = f.flags&flagMore != 0
		}
		<-finished
		_ = caller.Close()
		s.Stop()
	})
}

// Only the one caller that the server knows by his certificate is served, and he takes no other server.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := newServer(says("frames"))
	e := listen(t, s, says("grpc"))
	stranger, none, deceived := e, e, e
	stranger.caller, none.caller, deceived.caller = e.caller.Clone(), e.caller.Clone(), e.caller.Clone()
	stranger.caller.Certificates = []tls.Certificate{keyPair(t).TLS}
	none.caller.Certificates = nil
	deceived.caller.VerifyConnection = wire.Exactly([]byte("another"))
	for who, e := range map[string]ends{"a stranger": stranger, "a caller without a certificate": none, "a caller of another server": deceived} {
		_, err := ask(t.Context(), e.channel(t), nil)
		expect(t, who, err, codes.Unavailable, "")
	}
	answers(t, e.channel(t), "frames")
}

// A peer that does not read holds nobody beyond his deadline, however much is to be sent.
func TestAPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s := newServer(same)
	defer s.Stop()
	e := listen(t, s, same)
	l, err := net.Listen("unix", e.address+"2")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		_ = tls.Server(raw, agreed(e.server)).Handshake()
		accepted <- raw
	}()
	e.address += "2"
	nc, err := e.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(nc)
	defer func() { _ = c.Close() }()
	defer func() { _ = inTime(t, "the connection", accepted).Close() }()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := ask(ctx, c, make([]byte, i*2000))
			expect(t, "a call", err, codes.DeadlineExceeded, "")
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	inTime(t, "the end of the calls", done)
}

// An answer that its caller does not take leaves room for others' calls on other connections, and ends with its own.
func TestACallerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s := newServer(func(context.Context, []byte) ([]byte, error) { return make([]byte, 4<<20), nil })
	e := listen(t, s, same)
	nc, err := e.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint32(20) {
		head := appendText(appendText(nil, echo), "")
		b := append(appendHeader(nil, header{id: id, kind: kindRequest}, len(head), 0), head...)
		if _, err := nc.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ask(t.Context(), e.channel(t), nil); err != nil {
		t.Errorf("another caller: %v", err)
	}
	hangUp(nc) // Stop, at the end, waits for all that served it
}

// A method that was always short and then takes its time holds up nobody for long, and neither does the next call of it.
func TestReaderIsRelieved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		ended := make(chan error, 1)
		c := overPipe(t, newServer(func(ctx context.Context, b []byte) ([]byte, error) {
			switch string(b) {
			case "wait":
				<-leave
			case "cancel":
				<-ctx.Done()
				ended <- ctx.Err()
			}
			return b, nil
		}))
		learn := func() {
			for range distrusted + 2*trusted {
				if _, err := ask(t.Context(), c, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		learn()
		var slow sync.WaitGroup
		slow.Go(func() { _, _ = ask(t.Context(), c, []byte("wait")) })
		synctest.Wait()
		begin := time.Now()
		if _, err := ask(t.Context(), c, nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took <= 0 || took > 2*longTurn {
			t.Errorf("a call beside one that was served by the reader took %s", took)
		}
		close(leave)
		slow.Wait()
		learn()
		ctx, cancel := context.WithCancel(t.Context())
		slow.Go(func() { _, _ = ask(ctx, c, []byte("cancel")) })
		synctest.Wait()
		cancel()
		begin = time.Now()
		<-ended
		if took := time.Since(begin); took > 2*longTurn {
			t.Errorf("the cancel of a call that was served by the reader took %s", took)
		}
		slow.Wait()
	})
}

// A connection that ends while its reader serves a call ends that call's context.
func TestLossWhileTheReaderServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		c := overPipe(t, newServer(func(ctx context.Context, b []byte) ([]byte, error) {
			if len(b) > 0 {
				<-ctx.Done()
				ended <- ctx.Err()
			}
			return b, nil
		}))
		for range trusted {
			if _, err := ask(t.Context(), c, nil); err != nil {
				t.Fatal(err)
			}
		}
		result := make(chan error, 1)
		go func() {
			_, err := ask(t.Context(), c, []byte("wait"))
			result <- err
		}()
		synctest.Wait()
		_ = c.Close()
		expect(t, "the call", <-result, codes.Unavailable, "closed")
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the handler's context ended with %v", err)
		}
	})
}
