package frames

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

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
		if _, err := caller.Write(append(appendHeader(nil, header{id: 1, kind: kindRequest}, len(head), 0),
			head...)); err != nil {
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

// Only the one caller that the server knows by its certificate is served, and it takes no other server.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := newServer(says("frames"))
	e := listen(t, s, says("grpc"))
	stranger, none, deceived := e, e, e
	stranger.caller, none.caller, deceived.caller = e.caller.Clone(), e.caller.Clone(), e.caller.Clone()
	stranger.caller.Certificates = []tls.Certificate{keyPair(t).TLS}
	none.caller.Certificates = nil
	deceived.caller.VerifyConnection = wire.Exactly([]byte("another"))
	for who, e := range map[string]ends{"a stranger": stranger, "a caller without a certificate": none,
		"a caller of another server": deceived} {
		_, err := ask(t.Context(), e.channel(t), nil)
		expect(t, who, err, codes.Unavailable, "")
	}
	answers(t, e.channel(t), "frames")
}

// A peer that does not read holds no caller beyond its deadline, however much is to be sent.
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
