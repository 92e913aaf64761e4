package frames

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// vectors are proto/testdata/frames.json, which those who write another implementation read too.
type vectors struct {
	Conversations []struct {
		Name, About string
		Caller      bool
		Frames      []struct {
			From  string
			Bytes octets
		}
	}
	Malformed []struct {
		Name  string
		Bytes octets
	}
}

// octets are bytes as the vectors write them: in hexadecimal digits, where xx*n is a byte n times.
type octets []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *octets) UnmarshalText(text []byte) error {
	for _, word := range strings.Fields(string(text)) {
		digits, times, repeated := strings.Cut(word, "*")
		b, err := hex.DecodeString(digits)
		if err != nil {
			return err
		}
		n := 1
		if repeated {
			if n, err = strconv.Atoi(times); err != nil {
				return err
			}
		}
		*o = append(*o, bytes.Repeat(b, n)...)
	}
	return nil
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	content, err := os.ReadFile("../../../../proto/testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// vectorServer is a fake of the service that the vectors speak of.
func vectorServer() *Server {
	s := NewServer(slog.New(slog.DiscardHandler))
	serve := func(name string, serve func(ctx context.Context, request []byte) ([]byte, error)) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name,
			Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := &wire.Frame{}
				if err := dec(in); err != nil {
					return nil, err
				}
				if err := grpc.SetTrailer(ctx, metadata.Pairs(wire.GenerationKey, "7")); err != nil {
					return nil, err
				}
				b, err := serve(ctx, in.Data.Materialize())
				return &wire.Frame{Data: mem.BufferSlice{mem.SliceBuffer(b)}}, err
			}}
	}
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "loop.test.Echo", Methods: []grpc.MethodDesc{
		serve("Echo", func(ctx context.Context, b []byte) ([]byte, error) {
			if v := metadata.ValueFromIncomingContext(ctx, "traceparent"); len(v) == 1 {
				return b, grpc.SetTrailer(ctx, metadata.Pairs("echoed", v[0]))
			}
			return b, nil
		}),
		serve("Fail", func(context.Context, []byte) ([]byte, error) {
			return nil, status.Error(codes.NotFound, "there is none")
		}),
		serve("Wait", func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			if ctx.Err() == context.DeadlineExceeded {
				return nil, status.Error(codes.DeadlineExceeded, "late")
			}
			return nil, status.Error(codes.Canceled, "cancelled")
		}),
		serve("Drain", func(ctx context.Context, _ []byte) ([]byte, error) {
			if err := grpc.SetTrailer(ctx, metadata.Pairs(wire.DrainingKey, "7")); err != nil {
				return nil, err
			}
			return nil, status.Error(codes.Unavailable, "the plugin is ending")
		}),
	}}, nil)
	return s
}

// A server answers each conversation of the vectors byte for byte.
func TestServerKeepsTheVectors(t *testing.T) {
	t.Parallel()
	for _, conversation := range readVectors(t).Conversations {
		t.Run(conversation.Name, func(t *testing.T) {
			t.Parallel()
			s := vectorServer()
			caller, server := net.Pipe()
			s.Serve(server)
			defer s.Stop()
			defer func() { _ = caller.Close() }()
			_ = caller.SetDeadline(time.Now().Add(time.Minute))
			for i, f := range conversation.Frames {
				if f.From == "caller" {
					if _, err := caller.Write(f.Bytes); err != nil {
						t.Fatalf("frame %d is not taken: %v", i, err)
					}
					continue
				}
				got := make([]byte, len(f.Bytes))
				if n, err := io.ReadFull(caller, got); err != nil || !bytes.Equal(got, f.Bytes) {
					t.Fatalf("frame %d is, %v\n%.200x\nwant\n%.200x", i, err, got[:n], f.Bytes)
				}
			}
		})
	}
}

// A caller sends each call of the vectors byte for byte, and understands what is answered.
func TestCallerKeepsTheVectors(t *testing.T) {
	t.Parallel()
	for _, conversation := range readVectors(t).Conversations {
		if !conversation.Caller {
			continue
		}
		t.Run(conversation.Name, func(t *testing.T) {
			t.Parallel()
			caller, server := net.Pipe()
			c := NewConn(caller)
			defer func() { _ = c.Close() }()
			_ = server.SetDeadline(time.Now().Add(time.Minute))
			var request, answer []byte
			for _, f := range conversation.Frames {
				if f.From == "caller" {
					request = append(request, f.Bytes...)
				} else {
					answer = append(answer, f.Bytes...)
				}
			}
			played := make(chan error, 1)
			go func() {
				got := make([]byte, len(request))
				_, err := io.ReadFull(server, got)
				if err == nil && !bytes.Equal(got, request) {
					err = fmt.Errorf("the caller sent\n%.200x\nwant\n%.200x", got, request)
				}
				if err == nil {
					_, err = server.Write(answer)
				}
				played <- err
			}()
			sent, ctx := parts(t, request)
			reply := &wire.Frame{}
			var trailer metadata.MD
			err := c.Invoke(ctx, sent.method, &wire.Frame{Data: mem.BufferSlice{mem.SliceBuffer(sent.payload)}}, reply,
				grpc.Trailer(&trailer))
			if err := <-played; err != nil {
				t.Fatal(err)
			}
			if trailer.Get(wire.GenerationKey)[0] != "7" {
				t.Errorf("the trailer is %v", trailer)
			}
			got := fmt.Sprint(status.Code(err), " ", len(trailer.Get(wire.DrainingKey)), " ", trailer.Get("echoed"))
			want := map[string]string{"error": "NotFound 0 []", "draining": "Unavailable 1 []",
				"metadata": "OK 0 [00-1-2-3]"}[conversation.Name]
			if want == "" {
				want = "OK 0 []"
			}
			if got != want {
				t.Errorf("the call ended as %s, %v; want %s", got, err, want)
			}
			if err == nil && !bytes.Equal(reply.Data.Materialize(), sent.payload) {
				t.Errorf("the answer is %.100x", reply.Data.Materialize())
			}
		})
	}
}

type sentCall struct {
	method  string
	payload []byte
}

// parts takes a request of the vectors apart, by hand.
func parts(t *testing.T, b []byte) (sentCall, context.Context) {
	t.Helper()
	var s sentCall
	ctx := t.Context()
	for len(b) > 0 {
		end := 4 + binary.LittleEndian.Uint32(b)
		f, err := cut(b[:end])
		if err != nil {
			t.Fatal(err)
		}
		if f.kind == kindRequest {
			if f.flags&flagMore != 0 {
				f.head = f.head[4:]
			}
			method, rest, _ := cutText(f.head)
			object, rest, _ := cutText(rest)
			s.method = string(method)
			if len(object) > 0 {
				ctx = metadata.AppendToOutgoingContext(ctx, wire.ObjectKey, string(object))
			}
			pairs, err := addPairs(nil, rest)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range pairs {
				ctx = metadata.AppendToOutgoingContext(ctx, k, v[0])
			}
		}
		s.payload = append(s.payload, f.payload...)
		b = b[end:]
	}
	return s, ctx
}

// A server ends a connection on which the protocol is broken, and no other.
func TestMalformedFrames(t *testing.T) {
	t.Parallel()
	s := vectorServer()
	defer s.Stop()
	innocent, server := net.Pipe()
	s.Serve(server)
	c := NewConn(innocent)
	defer func() { _ = c.Close() }()
	for _, m := range readVectors(t).Malformed {
		caller, server := net.Pipe()
		s.Serve(server)
		_ = caller.SetDeadline(time.Now().Add(time.Minute))
		go func() { _, _ = caller.Write(m.Bytes) }() // the server may hang up within
		if got, err := io.ReadAll(caller); len(got) > 0 || err != nil {
			t.Errorf("%s: the server answered %.100x, %v", m.Name, got, err)
		}
	}
	err := c.Invoke(t.Context(), "/loop.test.Echo/Fail", &wire.Frame{}, &wire.Frame{})
	expect(t, "another caller", err, codes.NotFound, "there is none")
}

// A caller whose server breaks the protocol ends the connection, and its calls with it.
func TestMalformedAnswers(t *testing.T) {
	t.Parallel()
	answer := func(id uint32, kind, flags byte, head, payload string) string {
		return string(
			append(append(appendHeader(nil, header{id: id, kind: kind, flags: flags}, len(head), len(payload)), head...),
				payload...))
	}
	for name, bytes := range map[string]string{
		"a call that is not open":       answer(9, kindResponse, 0, "", ""),
		"a request":                     answer(1, kindRequest, 0, "", ""),
		"a cancel":                      answer(1, kindCancel, 0, "", ""),
		"an unknown kind":               answer(1, 9, 0, "", ""),
		"a chunk before a first frame":  answer(1, kindChunk, 0, "", "x"),
		"an error in chunks":            answer(1, kindError, flagMore, "\x09\x00\x00\x00", "x"),
		"an error that does not decode": answer(1, kindError, 0, "", "\xff"),
		"an error of the code OK":       answer(1, kindError, 0, "", ""),
		"a trailer that is cut off":     answer(1, kindResponse, 0, "\x05\x00x", ""),
		"a second answer in chunks": answer(1, kindResponse, flagMore, "\x09\x00\x00\x00", "x") +
			answer(1, kindResponse, 0, "", ""),
		"a message without a length": answer(1, kindResponse, flagMore, "", "x"),
		"a message above the limit":  answer(1, kindResponse, flagMore, "\x01\x00\x00\x01", "x"),
		"a chunk too long": answer(1, kindResponse, flagMore, "\x03\x00\x00\x00", "x") +
			answer(1, kindChunk, 0, "", "yzz"),
		"a frame too long": "\xff\xff\xff\x7f",
	} {
		caller, server := net.Pipe()
		c := NewConn(caller)
		go func() {
			_, _ = server.Read(make([]byte, 1<<10))
			_, _ = io.WriteString(server, bytes)
			_, _ = io.Copy(io.Discard, server)
		}()
		var trailer metadata.MD
		err := c.Invoke(t.Context(), echo, &wire.Frame{}, &wire.Frame{}, grpc.Trailer(&trailer))
		expect(t, name, err, codes.Unavailable, "broke the protocol")
		_, err = ask(t.Context(), c, nil)
		expect(t, name+", and then", err, codes.Unavailable, "broke the protocol")
		_ = c.Close()
	}
}

// seeds are what the vectors have caller or server send, whole and cut.
func seeds(f *testing.F, from string) {
	v := readVectors(f)
	for _, conversation := range v.Conversations {
		var all []byte
		for _, frame := range conversation.Frames {
			if frame.From == from {
				all = append(all, frame.Bytes...)
			}
		}
		f.Add(all)
		f.Add(all[:len(all)/2])
	}
	for _, m := range v.Malformed {
		f.Add([]byte(m.Bytes))
	}
}

// Bytes of any kind never panic or hang a server: it ends the connection, or goes on.
func FuzzServer(f *testing.F) {
	seeds(f, "caller")
	s := vectorServer()
	f.Cleanup(s.Stop)
	f.Fuzz(func(t *testing.T, b []byte) {
		caller, server := net.Pipe()
		s.Serve(server)
		_ = caller.SetDeadline(time.Now().Add(time.Minute))
		read := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, caller)
			read <- err
		}()
		_, _ = caller.Write(b) // the server may hang up within
		_ = caller.Close()
		if err := <-read; err != nil && !strings.Contains(err.Error(), "closed") {
			t.Error(err)
		}
	})
}

// Bytes of any kind as answers never panic or hang a caller.
func FuzzCaller(f *testing.F) {
	seeds(f, "server")
	f.Fuzz(func(t *testing.T, b []byte) {
		caller, server := net.Pipe()
		c := NewConn(caller)
		_ = server.SetDeadline(time.Now().Add(time.Minute))
		ended := make(chan error, 2)
		for range cap(ended) {
			go func() { ended <- c.Invoke(t.Context(), echo, &wire.Frame{}, &wire.Frame{}) }()
		}
		go func() { _, _ = io.Copy(io.Discard, server) }()
		for { // until both are open, so that an answer can be for either
			c.mu.Lock()
			n := len(c.calls)
			c.mu.Unlock()
			if n == cap(ended) {
				break
			}
		}
		_, _ = server.Write(b) // the caller may hang up within
		_ = server.Close()
		for range cap(ended) {
			if _, ok := status.FromError(<-ended); !ok {
				t.Error("a call ended without a status")
			}
		}
		_ = c.Close()
	})
}
