package looptest_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/breakage"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// broken is a plugin's process written by hand, without go-plugin and with a part of the SDK only, so that every
// promise of it can be broken. With nothing broken it keeps them all.
type broken struct {
	// what is broken; empty: nothing.
	what string
	kind wire.Kind

	server  *grpc.Server
	up      upward
	refused bool // an Init

	watchers sync.WaitGroup // streams that are open

	mu       sync.Mutex
	turn     sync.Mutex                 // of one-at-a-time
	seen     map[string]bool            // names that constructors were given
	made     map[string]bool            // names whose constructors have ended
	released map[string]bool            // names that Release was given
	parents  map[string]string          // by child
	renamed  map[string]string          // names that objects have behind the breakage
	failed   map[string]error           // constructions
	cancels  map[int]context.CancelFunc // of calls in flight
	calls    int
}

// pluginOf is a fake in which something is broken; raw is its connection to the host.
func pluginOf(kind, what string, raw grpc.ClientConnInterface) loop.Plugin {
	switch kind {
	case "product":
		return productv1loop.ProductPlugin(func(*loop.Host) productv1loop.ProductService { return &fakeProduct{what: what} })
	case "relayer":
		return relayerv1loop.RelayerPlugin(newFakeRelayer)
	}
	return medianv1loop.MedianPlugin(func(*loop.Host) medianv1loop.MedianService { return fakeMedian{what, raw} })
}

// serve is the process's main.
func serve(kind, what string) {
	b := &broken{what: what, seen: map[string]bool{}, made: map[string]bool{}, released: map[string]bool{},
		parents: map[string]string{}, renamed: map[string]string{}, failed: map[string]error{},
		cancels: map[int]context.CancelFunc{}}
	p := pluginOf(kind, what, &b.up)
	b.kind = p.Kind
	b.checkCookie()
	if what == "sigterm-ignored" {
		signal.Ignore(syscall.SIGTERM)
	}
	if what == "dies-talking" {
		lament()
	}
	logger := b.logger()
	logger.Debug("starting", "broken", what)
	own := b.keyPair()
	go b.exitWithHost()
	size := wire.MaxMessageBytes
	switch what {
	case "small":
		size = 4 << 20
	case "unlimited":
		size = 64 << 20
	}
	b.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(b.tls(own))), grpc.ForceServerCodecV2(wire.Codec()),
		grpc.MaxRecvMsgSize(size), grpc.MaxSendMsgSize(wire.MaxMessageBytes),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			switch what {
			case "unknown-internal":
				return status.Error(codes.Internal, "what is this")
			case "unknown-dies":
				os.Exit(4)
			}
			return status.Error(codes.Unimplemented, "there is no such method")
		}))
	b.up.what = what
	loop.InProcess(p, logger, b, &b.up)
	b.serveHealth()
	b.listen(own)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "the fake plugin cannot serve:", err)
		os.Exit(9)
	}
}

func (b *broken) checkCookie() {
	if os.Getenv(wire.CookieKey) == b.kind.Cookie || b.what == "cookie-ignored" {
		return
	}
	if b.what != "cookie-silent" {
		fmt.Fprintln(os.Stderr, "This is a fake plugin: a node starts it.")
	}
	if b.what == "cookie-zero" {
		os.Exit(0)
	}
	os.Exit(1)
}

// lament is the end of a process whose last line tells nothing.
func lament() {
	for i := range 30 {
		fmt.Fprintln(os.Stderr, "line", i)
	}
	fmt.Fprintln(os.Stderr, "\x1b[31mError: the key is "+os.Getenv("API_KEY")+
		" at https://user:pass@rpc.example.org/v2/abcdef?k=1 in /srv/plugin.mjs:3")
	fmt.Fprintln(os.Stderr, "begin "+strings.Repeat("x", 5000)+" end")
	fmt.Fprintln(os.Stderr, "Node.js v20.20.2")
	os.Exit(7)
}

func (b *broken) logger() *slog.Logger {
	var level slog.Level
	must(level.UnmarshalText([]byte(os.Getenv(wire.LogLevelKey))))
	switch b.what {
	case "log-plain":
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	case "log-silent":
		return slog.New(slog.DiscardHandler)
	case "log-everything":
		level = slog.LevelDebug
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// keyPair makes the process's own. Two of three certificates need padding in base64.
func (b *broken) keyPair() *wire.KeyPair {
	for {
		own, err := wire.NewKeyPair()
		must(err)
		if block, _ := pem.Decode(own.CertificatePEM); b.what != "padding" || len(block.Bytes)%3 != 0 {
			return own
		}
	}
}

func (b *broken) tls(own *wire.KeyPair) *tls.Config {
	host := os.Getenv("PLUGIN_CLIENT_CERT")
	if b.what == "any-host-starts" && host == "" {
		host = string(own.CertificatePEM)
	}
	config, err := wire.ServerTLS(own.TLS, []byte(host))
	must(err)
	switch b.what {
	case "any-caller":
		config.ClientAuth, config.VerifyConnection = tls.NoClientCert, nil
	case "any-certificate":
		config.VerifyConnection = nil
	}
	return config
}

func (b *broken) exitWithHost() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	switch b.what {
	case "stdin-ignored":
		return
	case "orphan":
		child := exec.Command("sleep", "30")
		child.Stderr = os.Stderr
		must(child.Start())
	}
	os.Exit(0)
}

func (b *broken) serveHealth() {
	h := health.NewServer()
	if b.what != "health-missing" {
		h.SetServingStatus(wire.HealthService, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	switch b.what {
	case "health-none":
		h.SetServingStatus(wire.HealthService, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	case "health-anything":
		h.SetServingStatus("conformance", grpc_health_v1.HealthCheckResponse_SERVING)
	}
	grpc_health_v1.RegisterHealthServer(b.server, h)
}

func (b *broken) listen(own *wire.KeyPair) {
	network, address := "unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "plugin")
	if b.what == "tcp" {
		network, address = "tcp", "127.0.0.1:0"
	}
	l, err := net.Listen(network, address)
	must(err)
	shown := own
	if b.what == "another-certificate" {
		shown, err = wire.NewKeyPair()
		must(err)
	}
	block, _ := pem.Decode(shown.CertificatePEM)
	certificate := base64.RawStdEncoding.EncodeToString(block.Bytes)
	if b.what == "padding" {
		certificate = base64.StdEncoding.EncodeToString(block.Bytes)
	}
	version := "1"
	if offered := os.Getenv("PLUGIN_PROTOCOL_VERSIONS"); b.what == "highest-version" {
		version = offered[strings.LastIndexByte(offered, ',')+1:]
	}
	switch b.what {
	case "greeting":
		fmt.Println("Hello, I am a plugin.")
	case "no-tls":
		certificate = ""
	case "mute":
		must(os.WriteFile(filepath.Join(os.Getenv("STATE"), "mute"), nil, 0o600))
		time.Sleep(time.Hour)
	}
	fmt.Printf("1|%s|%s|%s|grpc|%s\n", version, network, l.Addr(), certificate)
	if b.what == "stdout" {
		fmt.Println("serving")
	}
	_ = b.server.Serve(l)
	select {} // who stopped the server ends the process
}

// upward is the connection to the host, once Init has made it.
type upward struct {
	what   string
	mu     sync.Mutex
	conn   *grpc.ClientConn
	caller context.Context // whose end ends calls; nil: nobody's
}

// follow ends all calls when a caller goes.
func (u *upward) follow(caller context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.caller = caller
}

// Invoke implements grpc.ClientConnInterface.
func (u *upward) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	u.mu.Lock()
	conn, caller := u.conn, u.caller
	u.mu.Unlock()
	if caller != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer context.AfterFunc(caller, cancel)()
	}
	if u.what == "no-deadlines" {
		ctx = context.WithoutCancel(ctx)
	}
	if r, ok := args.(*hostservicev1.SignRequest); ok {
		switch u.what {
		case "signs-otherwise":
			r.Data[0] ^= 1
		case "signs-unseen":
			r.Transaction = nil
		}
	}
	return conn.Invoke(ctx, method, args, reply, options...)
}

// NewStream implements grpc.ClientConnInterface.
func (*upward) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "no host service streams")
}

func (u *upward) dial(r *pluginv1.InitRequest) error {
	pair, err := tls.X509KeyPair([]byte(r.GetClientCertificatePem()), []byte(r.GetClientKeyPem()))
	if err != nil {
		return err
	}
	config, err := wire.ClientTLS(pair, []byte(r.GetHostCertificatePem()))
	if err != nil {
		return err
	}
	if u.what == "any-host" {
		config.VerifyConnection = nil
	}
	size := wire.MaxMessageBytes
	if u.what == "small-callbacks" {
		size = 4 << 20
	}
	conn, err := grpc.NewClient(r.GetHostAddress(), grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec()), grpc.MaxCallRecvMsgSize(size),
			grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)))
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn == nil {
		u.conn = conn
	}
	return nil
}

// RegisterService implements grpc.ServiceRegistrar: what the SDK registers is served with the breakage in front.
func (b *broken) RegisterService(desc *grpc.ServiceDesc, impl any) {
	d := *desc
	d.Methods, d.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i, m := range desc.Methods {
		full := "/" + desc.ServiceName + "/" + m.MethodName
		d.Methods[i].Handler = func(_ any, ctx context.Context, dec func(any) error,
			_ grpc.UnaryServerInterceptor) (any, error) {
			return b.unary(ctx, full, dec, func(ctx context.Context, dec func(any) error) (any, error) {
				return m.Handler(impl, ctx, dec, nil)
			})
		}
	}
	for i, s := range desc.Streams {
		d.Streams[i].Handler = func(_ any, stream grpc.ServerStream) error {
			return b.stream("/"+desc.ServiceName+"/"+s.StreamName, stream, func(stream grpc.ServerStream) error {
				return s.Handler(impl, stream)
			})
		}
	}
	b.server.RegisterService(&d, impl)
}

func methodOf(full string) protoreflect.MethodDescriptor {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(full[1:], "/", ".")))
	must(err)
	return d.(protoreflect.MethodDescriptor)
}

type inner = func(context.Context, func(any) error) (any, error)

func (b *broken) unary(ctx context.Context, full string, dec func(any) error, next inner) (any, error) {
	request := breakage.New(methodOf(full).Input())
	frame := &wire.Frame{} // gRPC itself ends a call whose request it cannot decode
	decoded := dec(frame)
	if decoded == nil && proto.Unmarshal(frame.Data.Materialize(), request) != nil {
		decoded = status.Error(codes.Internal, "the request does not decode")
	}
	pass := func(v any) error {
		if decoded == nil {
			proto.Merge(v.(proto.Message), request)
		}
		return decoded
	}
	empty := breakage.New(methodOf(full).Output())
	if full == pluginv1.LifecycleService_Init_FullMethodName {
		if answer, err, done := b.init(request.(*pluginv1.InitRequest), decoded); done {
			if b.what == "unchecked "+full && err != nil {
				return empty, nil
			}
			return answer, err
		}
	}
	if strings.Contains(full, "Lifecycle") {
		return b.lifecycle(ctx, full, request, empty, func() (any, error) { return next(ctx, pass) })
	}
	ctx = b.context(ctx)
	if b.what == "one-at-a-time" {
		b.turn.Lock()
		defer b.turn.Unlock()
	}
	b.mu.Lock()
	b.calls++
	id := b.calls
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.cancels[id] = cancel
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.cancels, id)
	}()
	if answer, err, done := b.construction(ctx, full, request, empty, pass, next); done {
		return answer, err
	}
	if b.what == "store-late" && strings.HasSuffix(full, "/Transmit") {
		go func() {
			time.Sleep(time.Minute) // by then the suite has looked into the Store and ended this process
			_, _ = next(context.WithoutCancel(ctx), pass)
		}()
		return empty, nil
	}
	ctx = b.rename(ctx)
	answer, err := next(ctx, pass)
	return b.after(ctx, full, request, empty, answer, err)
}

func object(ctx context.Context) string {
	return strings.Join(metadata.ValueFromIncomingContext(ctx, wire.ObjectKey), "")
}

func withObject(ctx context.Context, name string) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()
	md.Set(wire.ObjectKey, name)
	return metadata.NewIncomingContext(ctx, md)
}

func (b *broken) rename(ctx context.Context) context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if to := b.renamed[object(ctx)]; to != "" {
		return withObject(ctx, to)
	}
	return ctx
}

// quietStream drops a trailer.
type quietStream struct {
	grpc.ServerTransportStream
	key string
}

// SetTrailer implements grpc.ServerTransportStream.
func (s quietStream) SetTrailer(md metadata.MD) error {
	md = md.Copy()
	md.Delete(s.key)
	return s.ServerTransportStream.SetTrailer(md)
}

func without(ctx context.Context, key string) context.Context {
	return grpc.NewContextWithServerTransportStream(ctx, quietStream{grpc.ServerTransportStreamFromContext(ctx), key})
}

// context breaks what travels with a call.
func (b *broken) context(ctx context.Context) context.Context {
	switch b.what {
	case "no-generation":
		return without(ctx, wire.GenerationKey)
	case "drain-untold":
		return without(ctx, wire.DrainingKey)
	case "deadline-lost":
		return context.WithoutCancel(ctx)
	case "cancel-lost":
		lost := context.WithoutCancel(ctx)
		if at, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			lost, cancel = context.WithDeadline(lost, at)
			_ = cancel // it ends with its deadline
		}
		return lost
	}
	return ctx
}

func (b *broken) init(r *pluginv1.InitRequest, decoded error) (any, error, bool) {
	if decoded != nil {
		return nil, status.Error(codes.InvalidArgument, "the request does not decode"), true
	}
	if v := wire.Check(r); v != nil {
		return nil, v.Status(r.ProtoReflect().Descriptor().FullName()).Err(), true
	}
	if b.what == "telemetry-required" && r.GetTelemetry() == "" {
		v := wire.Violation{Field: "telemetry", Problem: "is empty; it is required"}
		return nil, v.Status(r.ProtoReflect().Descriptor().FullName()).Err(), true
	}
	if err := b.up.dial(r); err != nil || b.what == "init-once" && b.refused {
		b.refused = true
		if err == nil {
			return nil, status.Error(codes.FailedPrecondition, "Init was called before"), true
		}
		if b.what == "init-anything" {
			return &pluginv1.InitResponse{}, nil, true
		}
		return nil, status.Error(codes.InvalidArgument, err.Error()), true
	}
	return nil, nil, false
}

func (b *broken) lifecycle(ctx context.Context, full string, request, empty proto.Message,
	next func() (any, error)) (any, error) {
	switch full {
	case pluginv1.LifecycleService_Drain_FullMethodName:
		return b.drain(ctx, request.(*pluginv1.DrainRequest), next)
	case pluginv1.LifecycleService_Release_FullMethodName:
		r := request.(*pluginv1.ReleaseRequest)
		b.mu.Lock()
		for _, n := range r.GetObjects() {
			switch b.what {
			case "release-ignored":
				b.mu.Unlock()
				return empty, nil
			case "release-unknown":
				if !b.seen[n] {
					b.mu.Unlock()
					return nil, status.Errorf(codes.NotFound, "there is no %s", n)
				}
			case "release-later":
				if !b.made[n] {
					b.mu.Unlock()
					return empty, nil
				}
			case "release-upward":
				r.Objects = append(r.Objects, b.parents[n])
				r.Objects = slices.DeleteFunc(r.Objects, func(s string) bool { return s == "" })
			}
			b.released[n] = true
		}
		b.mu.Unlock()
	}
	answer, err := next()
	switch {
	case full == pluginv1.LifecycleService_Init_FullMethodName && b.what == "init-again" &&
		status.Code(err) == codes.FailedPrecondition:
		return &pluginv1.InitResponse{}, nil
	case full == pluginv1.LifecycleService_Init_FullMethodName && b.what == "unasked" && err == nil:
		_, _ = hostservicev1.NewKeystoreServiceClient(wire.Bind(&b.up, "Keystore/guessed")).ListAccounts(ctx,
			&hostservicev1.ListAccountsRequest{})
	}
	if m, ok := answer.(*pluginv1.CollectMetricsResponse); ok && err == nil {
		switch b.what {
		case "metrics-type":
			m.ContentType = "application/json"
		case "metrics-empty":
			m.Exposition = nil
		case "metrics-unended":
			m.Exposition = []byte(strings.TrimSuffix(string(m.GetExposition()), "# EOF\n"))
		}
	}
	return b.unchecked(full, empty, answer, err)
}

func (b *broken) drain(ctx context.Context, r *pluginv1.DrainRequest, next func() (any, error)) (any, error) {
	if v := wire.Check(r); v != nil {
		return b.unchecked(pluginv1.LifecycleService_Drain_FullMethodName, &pluginv1.DrainResponse{}, nil,
			v.Status(r.ProtoReflect().Descriptor().FullName()).Err())
	}
	code := 0
	switch b.what {
	case "drain-serves":
		select {
		case <-ctx.Done():
		case <-time.After(r.GetGrace().AsDuration()):
		}
	case "drain-hurries":
		r.Grace = durationpb.New(0)
	case "drain-cuts":
		b.mu.Lock()
		for _, cancel := range b.cancels {
			cancel()
		}
		b.mu.Unlock()
	case "drain-watches":
		b.watchers.Wait()
	case "drain-forever":
		r.Grace = durationpb.New(time.Hour)
	case "drain-stays":
		return next()
	case "drain-fails":
		code = 3
	}
	answer, err := next()
	if err == nil {
		go func() {
			timer := time.AfterFunc(time.Second, b.server.Stop)
			defer timer.Stop()
			b.server.GracefulStop()
			os.Exit(code)
		}()
	}
	return answer, err
}

// unchecked has a method answer what it should refuse.
func (b *broken) unchecked(full string, empty proto.Message, answer any, err error) (any, error) {
	if b.what == "unchecked "+full && (status.Code(err) == codes.InvalidArgument || status.Code(err) == codes.Internal) {
		return empty, nil
	}
	if b.what == "unnamed "+full && status.Code(err) == codes.InvalidArgument {
		return nil, status.Error(codes.InvalidArgument, "this is wrong")
	}
	return answer, err
}

// construction breaks constructors; the last result is whether the call is answered.
func (b *broken) construction(ctx context.Context, full string, request, empty proto.Message, pass func(any) error,
	next inner) (any, error, bool) {
	r, ok := request.(interface{ GetName() string })
	if !ok || r.GetName() == "" {
		return nil, nil, false
	}
	name, parent := r.GetName(), object(ctx)
	b.mu.Lock()
	again := b.seen[name]
	b.seen[name] = true
	if parent != "" {
		b.parents[name] = parent
	}
	released, failed := b.released[name], b.failed[name]
	b.mu.Unlock()
	field := request.ProtoReflect().Descriptor().Fields().ByName("name")
	behind := func() (any, error, bool) { // under another name, which calls are redirected to
		b.mu.Lock()
		other := fmt.Sprintf("%s-%d", name, b.calls)
		b.mu.Unlock()
		request.ProtoReflect().Set(field, protoreflect.ValueOfString(other))
		b.mu.Lock()
		b.renamed[name] = other
		b.mu.Unlock()
		answer, err := next(ctx, pass)
		return answer, err, true
	}
	switch {
	case b.what == "second-object" && again && parent != "":
		return behind()
	case b.what == "busy" && again:
		return nil, status.Error(codes.Aborted, "the object is being made"), true
	case b.what == "late-create" && released:
		return behind()
	case failed != nil:
		return nil, failed, true
	case b.what == "names-remembered":
		path := os.Getenv("STATE") + "/" + strings.ReplaceAll(name, "/", "-")
		if _, err := os.Stat(path); err == nil && !again {
			return nil, status.Error(codes.AlreadyExists, "an earlier process had this object"), true
		}
		must(os.WriteFile(path, nil, 0o600))
	case b.what == "waits-for-chain" && parent == "":
		time.Sleep(2500 * time.Millisecond)
	}
	if c, ok := request.(*relayerv1.CreateChainRequest); ok {
		switch b.what {
		case "writes":
			_, _ = hostservicev1.NewStoreServiceClient(wire.Bind(&b.up, c.GetStore())).Put(ctx,
				&hostservicev1.PutRequest{Key: "made"})
		case "signs":
			_, _ = hostservicev1.NewKeystoreServiceClient(wire.Bind(&b.up, c.GetKeystore())).Sign(ctx,
				&hostservicev1.SignRequest{Account: "0x0000000000000000000000000000000000000011", Data: []byte{1}})
		case "logs-secrets":
			fmt.Fprintf(os.Stderr, `{"level":"INFO","msg":"connecting","config":%q}`+"\n", c.GetConfigToml())
		}
	}
	if f, ok := request.(*medianv1.CreateMedianFactoryRequest); ok && b.what == "any-deviation" {
		f.DeviationFunction = nil
	}
	if b.what == "constructors-cut" {
		b.up.follow(ctx)
	}
	answer, err := next(b.rename(ctx), pass)
	b.mu.Lock()
	b.made[name] = true
	if b.what == "failure-remembered" && status.Code(err) == codes.Unavailable ||
		b.what == "half-made" && status.Code(err) == codes.Canceled {
		b.failed[name] = err
	}
	b.mu.Unlock()
	answer, err = b.after(ctx, full, request, empty, answer, err)
	return answer, err, true
}

// after breaks answers.
func (b *broken) after(ctx context.Context, full string, request, empty proto.Message, answer any,
	err error) (any, error) {
	code := status.Code(err)
	b.mu.Lock()
	child, gone := b.parents[object(ctx)] != "", b.released[object(ctx)]
	b.mu.Unlock()
	switch {
	case b.what == "early" && code == codes.FailedPrecondition && strings.Contains(err.Error(), "not initialised"),
		b.what == "another-request" && code == codes.AlreadyExists,
		b.what == "nameless" && object(ctx) == "" && code == codes.InvalidArgument,
		b.what == "childless" && code == codes.NotFound && child && !gone,
		b.what == "errors-swallowed" && strings.HasSuffix(full, "/Observation") && err != nil,
		b.what == "any-report" && strings.HasSuffix(full, "/Transmit") && code == codes.InvalidArgument,
		b.what == "any-report" && strings.HasSuffix(full, "/MedianFromReport") && code == codes.InvalidArgument,
		b.what == "reads-anything" && strings.HasSuffix(full, "/ReadContract") && code == codes.InvalidArgument,
		b.what == "any-type" && strings.HasSuffix(full, "/CreateProvider") && code == codes.InvalidArgument,
		b.what == "store-ignored" && strings.HasSuffix(full, "/Transmit") && code == codes.Unavailable,
		b.what == "all-services" && strings.HasSuffix(full, "/FromAccount") && code == codes.Unimplemented:
		return empty, nil
	case b.what == "vague" && code == codes.NotFound, b.what == "vague-config" &&
		code == codes.InvalidArgument, b.what == "vague-source" && code == codes.FailedPrecondition:
		return nil, status.Error(codes.Unknown, "something went wrong")
	case b.what == "no-contract" && code != codes.InvalidArgument &&
		(strings.HasSuffix(full, "/LatestTransmissionDetails") || strings.HasSuffix(full, "/ReadContract")):
		return nil, status.Error(codes.Unavailable, "the contract has not answered")
	case b.what == "reads-nothing" && strings.HasSuffix(full, "/ReadContract"):
		return nil, status.Error(codes.Unimplemented, "")
	case b.what == "wrong-service" && code == codes.NotFound && strings.Contains(err.Error(), "does not serve"):
		return nil, status.Error(codes.Unimplemented, "this object does not serve that")
	case b.what == "errors-die" && strings.HasSuffix(full, "/Observation") && err != nil:
		fmt.Fprintln(os.Stderr, `{"level":"ERROR","msg":"this is too much"}`)
		os.Exit(5)
	case b.what == "config-leaks" && code == codes.InvalidArgument:
		return nil, status.Errorf(code, "the configuration cannot be read: %s",
			request.(*relayerv1.CreateChainRequest).GetConfigToml())
	case b.what == "wrong-answers":
		return wrongly(empty, answer, err)
	}
	if err == nil {
		b.spoil(answer)
		b.spoilDescription(answer)
	}
	return b.unchecked(full, empty, answer, err)
}

// spoil makes single answers of a relayer wrong.
func (b *broken) spoil(answer any) {
	switch r := answer.(type) {
	case *medianv1.LatestTransmissionDetailsResponse:
		if b.what == "short-digest" {
			r.Timestamp.ConfigDigest = make([]byte, 31)
		}
	case *relayerv1.ListNodeStatusesResponse:
		if b.what == "miscounted" {
			r.Total++
		}
	case *relayerv1.ConfigDigestResponse:
		if b.what == "constant-digest" {
			r.ConfigDigest = append([]byte{0, 0x77}, make([]byte, 30)...)
		}
	case *medianv1.MedianFromReportResponse:
		if b.what == "off-by-one" {
			r.Median = wire.BigInt(wire.Int(r.GetMedian()).Add(wire.Int(r.GetMedian()),
				wire.Int(&pluginv1.BigInt{Magnitude: []byte{1}})))
		}
	case *medianv1.DecodeOnchainConfigResponse:
		if b.what == "bounds-swapped" {
			r.Config.Min, r.Config.Max = r.Config.Max, r.Config.Min
		}
	}
}

// wrongly answers something else: the opposite, other bytes, or success.
func wrongly(empty proto.Message, answer any, err error) (any, error) {
	if err != nil {
		return empty, nil
	}
	switch r := answer.(type) {
	case *reportingv1.ObservationResponse:
		r.Observation = append(r.GetObservation(), 0x28, 1)
	case *reportingv1.ReportResponse:
		r.ShouldReport = !r.GetShouldReport()
	case *reportingv1.ShouldAcceptFinalizedReportResponse:
		r.ShouldAccept = !r.GetShouldAccept()
	case *reportingv1.ShouldTransmitAcceptedReportResponse:
		r.ShouldTransmit = !r.GetShouldTransmit()
	}
	return answer, nil
}

// namingStream tells of providers that nobody made.
type namingStream struct{ grpc.ServerStream }

// SendMsg implements grpc.ServerStream.
func (s namingStream) SendMsg(m any) error {
	if r, ok := m.(*relayerv1.WatchContractConfigsResponse); ok {
		r = proto.CloneOf(r)
		r.Provider = "the contract"
		m = r
	}
	return s.ServerStream.SendMsg(m)
}

func (b *broken) stream(full string, stream grpc.ServerStream, next func(grpc.ServerStream) error) error {
	b.watchers.Add(1)
	defer b.watchers.Done()
	if b.what == "watch-unnamed" {
		stream = namingStream{stream}
	}
	if b.what == "unchecked "+full {
		if err := stream.RecvMsg(&wire.Frame{}); err != nil {
			return err
		}
		return stream.SendMsg(&relayerv1.WatchContractConfigsResponse{Provider: "x", ConfigDigest: make([]byte, 32)})
	}
	return next(stream)
}
