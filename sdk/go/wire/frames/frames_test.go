package frames

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

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
	waiting := len(c.slots.waiting) + len(c.small.waiting)
	if len(c.calls) > 0 || c.bytes != 0 || c.passed != 0 || c.long != 0 || waiting > 0 || len(c.room.waiting) > 0 {
		t.Errorf("%d calls of %d bytes are open, of which %d passed others, %d bytes of long answers come, and %d and %d "+
			"wait, at the end", len(c.calls), c.bytes, c.passed, c.long, waiting, len(c.room.waiting))
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
	for _, n := range []int{0, 1, maxChunk - 8, maxChunk - 4, maxChunk - 3, maxChunk, maxChunk + 1, 2*maxChunk - 4,
		1 << 20, wire.MaxMessageBytes - 5} {
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
	c := overPipe(t,
		newServer(func(context.Context, []byte) ([]byte, error) { return make([]byte, wire.MaxMessageBytes), nil }))
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
	expect(t, "a request", c.Invoke(t.Context(), echo, wrapperspb.String("\xff"), &wrapperspb.BytesValue{}),
		codes.Internal, "does not encode")
	expect(t, "no message", c.Invoke(t.Context(), echo, "text", &wrapperspb.BytesValue{}), codes.Internal, "not a message")
	expect(t, "an answer", c.Invoke(t.Context(), "/test.Bad/Bad", &wrapperspb.BytesValue{}, &wrapperspb.BytesValue{}),
		codes.Internal, "does not encode")
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
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-1", "many", "a", "many", "b", "grpc-timeout",
		"1S")
	var trailer metadata.MD
	if err := wire.Bind(c, "Chain/X").Invoke(ctx, echo, wrapperspb.Bytes(nil), &wrapperspb.BytesValue{},
		grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(metadata.MD{"loop-object": {"Chain/X"}, "many": {"a", "b"},
		"traceparent": {"00-1"}}); fmt.Sprint(seen) != want || object != "Chain/X" {
		t.Errorf("the server saw %v and the object %q; want %s", seen, object, want)
	}
	if want := fmt.Sprint(metadata.MD{"loop-generation": {"7"}, "loop-draining": {"7"}, "one": {"1"},
		"two-bin": {"\x00\xff"}}); fmt.Sprint(trailer) != want {
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

// A method that was always short and then takes its time holds up nobody for long, and neither does the next call of
// it.
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
