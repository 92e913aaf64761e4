package frames

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Requests that are too many beside others are refused, on whichever connections, and end none of these.
func TestRequestsOfAllConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		s := newServer(func(_ context.Context, b []byte) ([]byte, error) {
			if len(b) > 1 {
				<-leave
			}
			return nil, nil
		})
		first, second := overPipe(t, s), overPipe(t, s)
		var all sync.WaitGroup
		all.Go(func() {
			_, err := ask(t.Context(), first, make([]byte, 16<<20-5))
			expect(t, "a request of 16 MiB", err, codes.OK, "")
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := ask(ctx, second, make([]byte, 9<<20))
		expect(t, "one of 9 MiB beside it", err, codes.ResourceExhausted, "at most 25165824 bytes")
		for _, c := range []*Conn{first, second} {
			_, err := ask(t.Context(), c, []byte{1})
			expect(t, "a small one on the same connection", err, codes.OK, "")
		}
		close(leave)
		all.Wait()
		_, err = ask(t.Context(), second, make([]byte, 9<<20))
		expect(t, "the same when the first is answered", err, codes.OK, "")
		if n := s.served.requests.Load(); n != 0 {
			t.Errorf("%d bytes of requests are counted when all are answered", n)
		}
	})
}

// What an open call takes besides its request counts where callers are not trusted: its head, and that it is open, on
// all connections together.
func TestHeadsAndOpenCallsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Int64
		leave := make(chan struct{})
		s := newServer(func(context.Context, []byte) ([]byte, error) {
			served.Add(1)
			<-leave
			return nil, nil
		})
		s.Within(&wire.Memory{})
		first, second := overPipe(t, s), overPipe(t, s)
		var all sync.WaitGroup
		var refused atomic.Int64
		call := func(ctx context.Context, c *Conn, n int) {
			for range n {
				all.Go(func() {
					if _, err := ask(ctx, c, nil); status.Code(err) == codes.ResourceExhausted {
						refused.Add(1)
					}
				})
			}
			time.Sleep(3 * longTurn) // a reader may serve the first call itself for so long
			synctest.Wait()
		}
		long := metadata.AppendToOutgoingContext(t.Context(), "long", strings.Repeat("x", 7<<10))
		call(long, first, 500)
		call(long, second, 500)
		fit := int64(maxServed / costOf(7<<10))
		if n := served.Load(); n < fit/2 || n > fit || n+refused.Load() != 1000 {
			t.Errorf("%d calls with long heads are served and %d refused, want at most %d served", n, refused.Load(), fit)
		}
		close(leave)
		all.Wait()
		leave = make(chan struct{})
		served.Store(0)
		call(t.Context(), first, maxOpen-reserved)
		call(t.Context(), second, reserved)
		if n := served.Load(); n != maxOpen {
			t.Errorf("%d calls are served, want %d", n, maxOpen)
		}
		call(t.Context(), second, 1) // which ends the connection
		if n := served.Load(); n != maxOpen || !ended(second) {
			t.Errorf("%d calls are served, and the connection of one too many has ended: %v", n, ended(second))
		}
		close(leave)
		all.Wait()
		if calls, bytes := s.served.calls.Load(), s.served.requests.Load(); calls != 0 || bytes != 0 {
			t.Errorf("%d calls of %d bytes are counted when all are answered", calls, bytes)
		}
	})
}

// Nothing is kept of a request that nobody will serve.
func TestRequestsThatNobodyServesAreDropped(t *testing.T) {
	t.Parallel()
	s := newServer(same)
	caller, server := net.Pipe()
	s.Serve(server)
	t.Cleanup(s.Stop)
	r := request{method: "/test.Echo/Other", message: make([]byte, 2*maxChunk)}
	r.head = 4 + len(r.method)
	go func() {
		_, _ = caller.Write(r.append(nil, 1, 0)) // and the rest does not come
		_, _ = caller.Write(r.append(nil, 1, 0)) // which ends the connection
	}()
	if _, err := newReader(caller).next(); err == nil {
		t.Error("a request that is begun twice is answered")
	}
	if n := s.served.requests.Load(); n != 0 {
		t.Errorf("%d bytes are kept of a request of an unknown method", n)
	}
}

// A server holds only so many bytes of answers that a caller who is not trusted does not read.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(context.Context, []byte) ([]byte, error) { return make([]byte, 1<<20), nil })
		s.Within(&wire.Memory{})
		caller, server := net.Pipe()
		s.Serve(server)
		defer s.Stop()
		const calls = 40
		for id := range uint32(calls) {
			r := request{method: echo, head: 4 + len(echo)}
			if _, err := caller.Write(r.append(nil, id, 0)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if held := s.served.answers.Load(); held == 0 || held > maxAnswers {
			t.Errorf("the server holds %d bytes of answers that nobody reads; %d are the most", held, maxAnswers)
		}
		in, answers := newReader(caller), map[byte]int{}
		for ended := 0; ended < calls; {
			f, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			if f.kind != kindChunk {
				answers[f.kind]++
			}
			if f.flags&flagMore == 0 {
				ended++
			}
		}
		if n := answers[kindResponse]; n < 20 || n+answers[kindError] != calls {
			t.Errorf("of %d calls %d were answered and %d refused", calls, n, answers[kindError])
		}
		synctest.Wait()
		if held := s.served.answers.Load(); held != 0 {
			t.Errorf("%d bytes of answers are held when all are read", held)
		}
	})
}

// Long answers of a server that is not trusted end their calls if they are too many at a time, and hurt no others.
func TestLongAnswersAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		caller, server := net.Pipe()
		c := newConn(caller, &wire.Memory{})
		defer func() { _ = c.Close() }()
		answer, err := proto.Marshal(wrapperspb.Bytes(make([]byte, 13<<20)))
		if err != nil {
			t.Fatal(err)
		}
		results := [2]chan error{make(chan error, 1), make(chan error, 1)}
		in := newReader(server)
		var begun [2]uint32
		for i, result := range results {
			go func() {
				got, err := ask(t.Context(), c, nil)
				if err == nil && len(got) != 13<<20 {
					t.Errorf("the answer has %d bytes", len(got))
				}
				result <- err
			}()
			f, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			begun[i] = f.id
		}
		for _, id := range begun {
			b := appendHeader(nil, header{id: id, kind: kindResponse, flags: flagMore}, 4, maxChunk)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(answer)))
			if _, err := server.Write(append(b, answer[:maxChunk]...)); err != nil {
				t.Fatal(err)
			}
		}
		expect(t, "the second long answer", <-results[1], codes.ResourceExhausted, "at most 25165824 bytes")
		for _, id := range begun {
			for part := range slices.Chunk(answer[maxChunk:], maxChunk) {
				h := header{id: id, kind: kindChunk, flags: flagMore}
				if &part[len(part)-1] == &answer[len(answer)-1] {
					h.flags = 0
				}
				if _, err := server.Write(append(appendHeader(nil, h, 0, len(part)), part...)); err != nil {
					t.Fatal(err)
				}
			}
		}
		expect(t, "the first", <-results[0], codes.OK, "")
		synctest.Wait()
		leftovers(t, c)
	})
}

func ended(c *Conn) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}
