package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	telemetryv1 "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
)

// flooder is a median without an SDK that sends its host more than any plugin has to say. Orders for that come over the
// socket "flood" in its folder.
type flooder struct {
	pluginv1.UnimplementedLifecycleServiceServer
	init  chan *pluginv1.InitRequest // the only one
	codes atomic.Uint32
	large atomic.Bool
}

func floodHost() {
	if err := new(flooder).serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (f *flooder) serve() error {
	f.init = make(chan *pluginv1.InitRequest, 1)
	orders, err := net.Listen("unix", filepath.Join(own(), "flood"))
	if err != nil {
		return err
	}
	go f.obey(orders)
	pair, err := wire.NewKeyPair()
	if err != nil {
		return err
	}
	config, err := wire.ServerTLS(pair.TLS, []byte(os.Getenv("PLUGIN_CLIENT_CERT")))
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", filepath.Join(own(), "p"))
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.ForceServerCodecV2(wire.Codec()),
		grpc.MaxSendMsgSize(wire.MaxMessageBytes))
	pluginv1.RegisterLifecycleServiceServer(s, f)
	healthy := health.NewServer()
	healthy.SetServingStatus(wire.HealthService, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s, healthy)
	fmt.Printf("1|%d|unix|%s|grpc|%s\n", medianv1loop.MedianKind().ProtocolVersion, l.Addr(),
		base64.RawStdEncoding.EncodeToString(pair.TLS.Certificate[0]))
	return s.Serve(l)
}

// Init implements pluginv1.LifecycleServiceServer.
func (f *flooder) Init(_ context.Context, r *pluginv1.InitRequest) (*pluginv1.InitResponse, error) {
	f.init <- r
	return &pluginv1.InitResponse{Version: "v1", Runtime: "flooder"}, nil
}

// CollectMetrics implements pluginv1.LifecycleServiceServer: it fails with another code each time, or has a lot to say.
func (f *flooder) CollectMetrics(context.Context,
	*pluginv1.CollectMetricsRequest) (*pluginv1.CollectMetricsResponse, error) {
	if f.large.Load() {
		return &pluginv1.CollectMetricsResponse{ContentType: "text/plain",
			Exposition: bytes.Repeat([]byte("# \n"), (wire.MaxMessageBytes-1024)/3)}, nil
	}
	return nil, status.Error(codes.Code(1000+f.codes.Add(1)), strings.Repeat("x", 1024))
}

// obey does what each line says, answers when it is done, and lets go of what it holds with the next.
func (f *flooder) obey(l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	r := <-f.init
	release := func() {}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		release()
		var err error
		release, err = f.carryOut(lines.Text(), r)
		said := "done"
		if err != nil {
			said = err.Error()
		}
		_, _ = fmt.Fprintln(c, said) // if the other end has gone, it needs no answer
	}
}

func (f *flooder) carryOut(order string, r *pluginv1.InitRequest) (release func(), err error) {
	switch order {
	case "connections":
		return connectionsTo(strings.TrimPrefix(r.GetHostAddress(), "unix:"), 3000)
	case "streams":
		return streamsTo(r, 50, 2000)
	case "bodies by gRPC":
		return func() {}, bodiesTo(r, payloads(), overGRPC)
	case "bodies by frames":
		return func() {}, bodiesTo(r, payloads(), overFrames)
	case "elements by gRPC":
		return func() {}, bodiesTo(r, elements(), overGRPC)
	case "elements by frames":
		return func() {}, bodiesTo(r, elements(), overFrames)
	case "large metrics":
		f.large.Store(true)
	case "codes":
		f.large.Store(false)
	default:
		return func() {}, errors.New("an unknown order")
	}
	return func() {}, nil
}

// connectionsTo connects and says nothing.
func connectionsTo(path string, number int) (release func(), err error) {
	var all []net.Conn
	for range number {
		c, err := net.DialTimeout("unix", path, time.Second)
		if err != nil {
			break // the host's queue is full
		}
		all = append(all, c)
	}
	return func() {
		for _, c := range all {
			_ = c.Close()
		}
	}, nil
}

func dialled(r *pluginv1.InitRequest) (*grpc.ClientConn, *tls.Config, error) {
	pair, err := tls.X509KeyPair([]byte(r.GetClientCertificatePem()), []byte(r.GetClientKeyPem()))
	if err != nil {
		return nil, nil, err
	}
	config, err := wire.ClientTLS(pair, []byte(r.GetHostCertificatePem()))
	if err != nil {
		return nil, nil, err
	}
	c, err := grpc.NewClient(r.GetHostAddress(), grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec()), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)))
	return c, config, err
}

const sendTelemetry = telemetryv1.TelemetryService_SendTelemetry_FullMethodName

// streamsTo begins calls whose requests do not come.
func streamsTo(r *pluginv1.InitRequest, connections, each int) (release func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var all []*grpc.ClientConn
	var begun sync.WaitGroup
	for range connections {
		c, _, err := dialled(r)
		if err != nil {
			cancel()
			return func() {}, err
		}
		all = append(all, c)
		begun.Go(func() {
			waiting, stop := context.WithTimeout(ctx, 3*time.Second)
			context.AfterFunc(ctx, stop)
			for range each {
				if _, err := c.NewStream(waiting, &grpc.StreamDesc{ClientStreams: true}, sendTelemetry); err != nil {
					return
				}
			}
		})
	}
	begun.Wait()
	return func() {
		cancel()
		for _, c := range all {
			_ = c.Close()
		}
	}, nil
}

// way is how calls go to the host.
type way func(c *grpc.ClientConn, config *tls.Config) grpc.ClientConnInterface

func overGRPC(c *grpc.ClientConn, _ *tls.Config) grpc.ClientConnInterface { return c }

func overFrames(c *grpc.ClientConn, config *tls.Config) grpc.ClientConnInterface {
	return frames.Over(c, c.Target(), config)
}

// payloads are a large request.
func payloads() any {
	entry := &telemetryv1.Telemetry{Type: "x", Payload: make([]byte, 1<<20)}
	request := &telemetryv1.SendTelemetryRequest{}
	for range 15 {
		request.Entries = append(request.Entries, entry)
	}
	return request
}

// elements are a request of empty entries, of which each takes two bytes and some fifty when it is decoded.
func elements() any {
	return &wire.Frame{Data: mem.BufferSlice{mem.SliceBuffer(bytes.Repeat([]byte{1<<3 | 2, 0}, 7<<20))}}
}

// bodiesTo sends a request, many times at once, by many connections.
func bodiesTo(r *pluginv1.InitRequest, request any, over way) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var sent sync.WaitGroup
	for range 20 {
		c, config, err := dialled(r)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		to := over(c, config)
		for range 10 {
			sent.Go(func() {
				_ = to.Invoke(ctx, sendTelemetry, request, &telemetryv1.SendTelemetryResponse{}) // refused, or not
			})
		}
	}
	sent.Wait()
	return nil
}
