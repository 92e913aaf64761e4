package looptest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/chain"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/subject"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// bench is what cases work on: a plugin that is shared by those that leave it as it was, and new ones for the others.
type bench struct {
	settings Settings
	chain    *chain.Server // nil for kinds without chains
	// what the product says of itself; nil before its first generation, and for other kinds
	product     *productv1.DescribeProductResponse
	shared      *generation
	generations []*generation      // of the case at hand
	launched    []*subject.Process // in the case at hand
}

// ordinal is the number of the generation that Init gives to plugins. No default is 7.
const ordinal = 7

func newBench(s Settings) (*bench, error) {
	s.StartTimeout = cmp.Or(s.StartTimeout, 30*time.Second)
	if s.Relayer.ChainID == "" {
		s.Relayer = DefaultRelayer()
	}
	s.Patience = max(s.Patience, 1)
	b := &bench{settings: s}
	if s.Kind == "relayer" {
		id, err := strconv.ParseUint(s.Relayer.ChainID, 10, 64)
		if err != nil && s.Relayer.NodeURL == "" {
			id = 0 // a chain whose ids are words is not an EVM chain: the fake's answers mean nothing to it anyhow
		}
		if b.chain, err = chain.Start(id, s.Relayer.NodeURL); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) close() {
	if b.shared != nil {
		b.shared.Close()
	}
	if b.chain != nil {
		b.chain.Close()
	}
}

func (b *bench) subjectSettings() subject.Settings {
	return subject.Settings{
		Kind: kindOf(b.settings.Kind), Command: b.settings.Command, Env: b.settings.Env, InProcess: b.settings.InProcess,
		GRPC:         b.settings.GRPC,
		StartTimeout: b.settings.StartTimeout, LogLevel: slog.LevelInfo,
		Launched: func(p *subject.Process) { b.launched = append(b.launched, p) },
	}
}

// generation is one generation of the plugin with what is lent to it.
type generation struct {
	*subject.Subject
	bench *bench
	world *world
}

// world is what the host lends, and outlives generations.
type world struct {
	host      *loan.Host
	provider  *loan.Provider
	value     *loan.Source
	pipelines *loan.Pipelines
	keystore  *loan.Keystore
	store     *loan.Store

	epoch atomic.Uint32 // of the latest report that was made

	providerName, valueName, juelsName, gasName, pipelinesName, errorsName, keystoreName, storeName string
}

func (b *bench) newWorld() *world {
	w := &world{host: loan.NewHost(), provider: loan.NewProvider(), value: loan.NewSource(big.NewInt(100)),
		store:     loan.NewStore(),
		keystore:  loan.NewKeystore(b.settings.Relayer.TransmitterID),
		pipelines: loan.NewPipelines(b.pipeline)}
	const source = "loop.hostservice.v1.DataSourceService"
	w.providerName = w.host.Lend("MedianProvider", w.provider,
		"loop.median.v1.MedianContractService", "loop.median.v1.ReportCodecService",
		"loop.median.v1.OnchainConfigCodecService")
	w.valueName = w.host.Lend("DataSource", w.value, source)
	w.juelsName = w.host.Lend("DataSource", loan.NewSource(big.NewInt(7)), source)
	w.gasName = w.host.Lend("DataSource", loan.NewSource(big.NewInt(3)), source)
	w.pipelinesName = w.host.Lend("Pipelines", w.pipelines, "loop.hostservice.v1.PipelineService")
	w.errorsName = w.host.Lend("ErrorLog", loan.Sink{}, "loop.hostservice.v1.ErrorLogService")
	w.keystoreName = w.host.Lend("Keystore", w.keystore, "loop.hostservice.v1.KeystoreService")
	w.storeName = w.host.Lend("Store", w.store, "loop.hostservice.v1.StoreService")
	return w
}

// start begins a generation in a world, without Init. It ends with the case.
func (b *bench) start(ctx context.Context, w *world, s subject.Settings) (*generation, error) {
	x, err := subject.Start(ctx, s, w.host, ordinal)
	if err != nil {
		return nil, err
	}
	l := &generation{Subject: x, bench: b, world: w}
	b.generations = append(b.generations, l)
	return l, nil
}

// fresh starts and initialises a generation for this case alone.
func (b *bench) fresh(ctx context.Context, w *world) (*generation, error) {
	l, err := b.start(ctx, w, b.subjectSettings())
	if err != nil {
		return nil, err
	}
	return l, l.initialise(ctx)
}

func (l *generation) initialise(ctx context.Context) error {
	if err := l.Initialise(ctx); err != nil {
		return fmt.Errorf("LifecycleService.Init as every host makes it: %w", err)
	}
	return l.describeProduct(ctx)
}

// plugin returns the generation that cases share, and starts one if there is none.
func (b *bench) plugin(ctx context.Context) (*generation, error) {
	if b.shared != nil {
		return b.shared, nil
	}
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return nil, err
	}
	b.generations = nil // it outlives the case
	b.shared = l
	return l, nil
}

// finish ends the generations of a case. A plugin that died under it, or broke the contract as a caller, fails the
// case.
func (b *bench) finish(err error) error {
	generations := b.generations
	b.generations = nil
	if s := b.shared; s != nil {
		generations = append(generations, s)
		patience := 100 * time.Millisecond
		if err != nil && strings.Contains(err.Error(), codeName(codes.Unavailable)) { // its process has probably died
			patience = noticed
		}
		if s.Process != nil && settled(s.Process.Exited(), patience, err != nil) {
			if err == nil {
				err = errors.New("the case was answered")
			}
			err = fmt.Errorf("the plugin's process ended in the middle (%s): %w", s.Process.Exit(), err)
		}
		if err != nil { // a failed case may have left anything behind
			b.shared.Close()
			b.shared = nil
		}
	}
	for _, l := range generations {
		if l != b.shared {
			l.Close()
		}
		for _, f := range l.world.host.TakeFaults() {
			err = errors.Join(err, errors.New(f))
		}
	}
	return err
}

// call makes a call through the SDK, which checks the request and the answer against the contract.
func (l *generation) call(ctx context.Context, object, method string, request, reply proto.Message) error {
	if err := wire.Bind(l.Conn, object).Invoke(ctx, method, request, reply); err != nil {
		return wrap(short(method), err)
	}
	return nil
}

// release ends objects.
func (l *generation) release(ctx context.Context, names ...string) error {
	return l.call(ctx, "", pluginv1.LifecycleService_Release_FullMethodName, &pluginv1.ReleaseRequest{Objects: names},
		&pluginv1.ReleaseResponse{})
}

// alive fails if the plugin no longer answers its health check or a new construction.
func (l *generation) alive(ctx context.Context, after string) error {
	if err := l.health(ctx); err != nil {
		return fmt.Errorf("after %s the plugin is not healthy: %w", after, err)
	}
	if _, err := l.parent(ctx); err != nil {
		return fmt.Errorf("after %s the plugin makes no objects: %w", after, err)
	}
	return nil
}

// parent makes a new object of the root: a chain or a factory.
func (l *generation) parent(ctx context.Context) (string, error) {
	name := loan.Name("Conformance")
	_, err := l.makeParent(ctx, name, false)
	return name, err
}

// pair makes a new object and a child of it: a median provider or a reporting plugin.
func (l *generation) pair(ctx context.Context) (parent, child string, err error) {
	if parent, err = l.parent(ctx); err != nil {
		return "", "", err
	}
	child = loan.Name("Conformance")
	_, err = l.makeChild(ctx, parent, child, false)
	return parent, child, err
}

// makeParent constructs an object by name; another makes the request differ in one field.
func (l *generation) makeParent(ctx context.Context, name string, another bool) (proto.Message, error) {
	method, request, reply := l.parentRequest(name, another)
	if err := l.call(ctx, "", method, request, reply); err != nil {
		return nil, wrap("constructing with "+short(method), err)
	}
	return reply, nil
}

// makeChild constructs an object on a parent by name.
func (l *generation) makeChild(ctx context.Context, parent, name string, another bool) (proto.Message, error) {
	method, request, reply := l.childRequest(name, another)
	if err := l.call(ctx, parent, method, request, reply); err != nil {
		return nil, wrap("constructing with "+short(method), err)
	}
	return reply, nil
}

func (l *generation) parentRequest(name string, another bool) (method string, request, reply proto.Message) {
	w := l.world
	if l.bench.settings.Kind == "median" {
		return medianv1.MedianService_CreateMedianFactory_FullMethodName, &medianv1.CreateMedianFactoryRequest{
			Name: name, Provider: w.providerName, ValueSource: w.valueName, JuelsPerFeeCoinSource: w.juelsName,
			GasPriceSubunitsSource: w.gasName, ErrorLog: w.errorsName, IncludeGasPriceSubunits: another,
		}, &medianv1.CreateMedianFactoryResponse{}
	}
	if l.bench.settings.Kind == "product" {
		return productv1.ProductService_CreateProductFactory_FullMethodName, l.productFactory(name,
			another), &productv1.CreateProductFactoryResponse{}
	}
	config := l.bench.configTOML()
	if another {
		config += "\n# another\n"
	}
	return relayerv1.RelayerService_CreateChain_FullMethodName, &relayerv1.CreateChainRequest{
		Name: name, ChainId: l.bench.settings.Relayer.ChainID, ConfigToml: []byte(config), Keystore: w.keystoreName,
		Store: w.storeName,
	}, &relayerv1.CreateChainResponse{}
}

func (b *bench) configTOML() string {
	return strings.ReplaceAll(b.settings.Relayer.ConfigTOML, "$RPC_URL", b.chain.URL)
}

// onchainConfig is the range from -1000 to 1000, as the codec of the vectors encodes it.
func onchainConfig() []byte {
	b := append([]byte{1}, bytes.Repeat([]byte{0xff}, 24)...)
	b[23], b[24] = 0xfc, 0x18
	b = append(b, make([]byte, 24)...)
	b[47], b[48] = 0x03, 0xe8
	return b
}

func digest(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// providerConfig is what a job says about its contract.
func (b *bench) providerConfig() *relayerv1.ProviderConfig {
	r := b.settings.Relayer
	return &relayerv1.ProviderConfig{ExternalJobId: "6f0b0b5e-0000-4000-8000-000000000001", ContractId: r.ContractID,
		RelayConfigJson: []byte(r.RelayConfigJSON)}
}

func (l *generation) childRequest(name string, another bool) (method string, request, reply proto.Message) {
	if l.bench.ocr3() {
		r := l.ocr3Plugin(name)
		if another {
			r.OracleId = 3
		}
		return reportingv1.Ocr3PluginFactoryService_CreateOcr3Plugin_FullMethodName, r,
			&reportingv1.CreateOcr3PluginResponse{}
	}
	if l.bench.settings.Kind != "relayer" {
		r := &reportingv1.CreateReportingPluginRequest{
			Name: name, ConfigDigest: digest(1), OracleId: 2, N: 4, F: 1, OnchainConfig: onchainConfig(),
			OffchainConfig: []byte{0x10, 0x01},
		}
		if l.bench.settings.Kind == "product" {
			r.OnchainConfig, r.OffchainConfig = l.bench.settings.Product.OnchainConfig, l.bench.settings.Product.OffchainConfig
		}
		if another {
			r.OracleId = 3
		}
		return reportingv1.ReportingPluginFactoryService_CreateReportingPlugin_FullMethodName, r,
			&reportingv1.CreateReportingPluginResponse{}
	}
	r := &relayerv1.CreateProviderRequest{ProviderType: "median", Name: name,
		TransmitterId: l.bench.settings.Relayer.TransmitterID, Config: l.bench.providerConfig()}
	if another {
		r.GasLimit = 1_000_000
	}
	return relayerv1.ChainService_CreateProvider_FullMethodName, r, &relayerv1.CreateProviderResponse{}
}

// probe calls a child in a way that always succeeds.
func (l *generation) probe(ctx context.Context, child string) error {
	method, request, reply := l.bench.probeRequest()
	return l.call(ctx, child, method, request, reply)
}

// probeRequest is a call on a child that always succeeds.
func (b *bench) probeRequest() (method string, request, reply proto.Message) {
	switch {
	case b.settings.Kind == "relayer":
		return relayerv1.ContractTransmitterService_FromAccount_FullMethodName, &relayerv1.FromAccountRequest{},
			&relayerv1.FromAccountResponse{}
	case b.ocr3():
		return reportingv1.Ocr3PluginService_Query_FullMethodName, &reportingv1.Ocr3PluginServiceQueryRequest{
			Context: firstRound()}, &reportingv1.Ocr3PluginServiceQueryResponse{}
	}
	return reportingv1.ReportingPluginService_Query_FullMethodName, &reportingv1.QueryRequest{
		Timestamp: round(1)}, &reportingv1.QueryResponse{}
}

// probeParent calls a parent: it makes another child.
func (l *generation) probeParent(ctx context.Context, parent string) error {
	_, err := l.makeChild(ctx, parent, loan.Name("Conformance"), false)
	return err
}

func round(epoch uint32) *reportingv1.ReportTimestamp {
	return &reportingv1.ReportTimestamp{ConfigDigest: digest(1), Epoch: epoch, Round: 1}
}

// slow is a call on a child that asks the host for something.
type slow struct {
	generation     *generation
	object, method string
	request, reply proto.Message
	// hold keeps the host's answer back.
	hold *loan.Hold
}

// call makes the call.
func (s *slow) call(ctx context.Context) error {
	return s.generation.call(ctx, s.object, s.method, s.request, proto.Clone(s.reply))
}

// slow prepares the call.
func (l *generation) slow(ctx context.Context, child string) (*slow, error) {
	hold := &l.world.value.Hold
	if l.bench.settings.Kind == "product" {
		hold = &l.world.pipelines.Hold
	}
	if l.bench.ocr3() {
		return &slow{l, child, reportingv1.Ocr3PluginService_Observation_FullMethodName,
			&reportingv1.Ocr3PluginServiceObservationRequest{Context: firstRound()},
			&reportingv1.Ocr3PluginServiceObservationResponse{}, hold}, nil
	}
	if l.bench.settings.Kind != "relayer" {
		return &slow{l, child, reportingv1.ReportingPluginService_Observation_FullMethodName,
			&reportingv1.ObservationRequest{Timestamp: round(1)}, &reportingv1.ObservationResponse{}, hold}, nil
	}
	report, err := l.report(ctx, child, 42)
	if err != nil {
		return nil, err
	}
	return &slow{l, child, relayerv1.ContractTransmitterService_Transmit_FullMethodName,
		l.transmission(report, l.world.epoch.Add(1)), &relayerv1.TransmitResponse{}, &l.world.store.Hold}, nil
}

// ask makes the slow call.
func (l *generation) ask(ctx context.Context, child string) error {
	s, err := l.slow(ctx, child)
	if err != nil {
		return err
	}
	return s.call(ctx)
}

// slowName is what slow's call asks of the host.
func (l *generation) slowName() (call, asks string) {
	switch {
	case l.bench.ocr3():
		return "Ocr3PluginService.Observation", "PipelineService.Run"
	case l.bench.settings.Kind == "product":
		return "ReportingPluginService.Observation", "PipelineService.Run"
	case l.bench.settings.Kind == "median":
		return "ReportingPluginService.Observation", "DataSourceService.Observe"
	}
	return "ContractTransmitterService.Transmit", "StoreService.Put"
}

// want checks that a call's error has one of the codes; what names the call.
func want(what string, err error, wanted ...codes.Code) error {
	got := status.Code(err)
	for _, c := range wanted {
		if got == c {
			return nil
		}
	}
	names := make([]string, len(wanted))
	for i, c := range wanted {
		names[i] = codeName(c)
	}
	if err == nil {
		return fmt.Errorf("%s was answered with success; want %s", what, strings.Join(names, " or "))
	}
	return fmt.Errorf("%s was answered with %s (%s); want %s", what, codeName(got), cut(status.Convert(err).Message()),
		strings.Join(names, " or "))
}

// answered is the status that a call was answered with.
type answered struct {
	what   string
	status *status.Status
}

// Error implements error.
func (a *answered) Error() string {
	return fmt.Sprintf("%s was answered with %s (%s)", a.what, codeName(a.status.Code()), cut(a.status.Message()))
}

// GRPCStatus implements the interface that package status looks for.
func (a *answered) GRPCStatus() *status.Status { return a.status }

// wrap adds to an error what was called, and keeps its status.
func wrap(what string, err error) error {
	var a *answered
	if errors.As(err, &a) {
		return &answered{what, a.status}
	}
	return &answered{what, status.Convert(err)}
}

func cut(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

// codeName is a code as the contract writes it.
func codeName(c codes.Code) string {
	return rpccode.Code(c).String()
}

// short is a method without its package: MedianService.CreateMedianFactory.
func short(method string) string {
	method = strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	parts := strings.Split(method, ".")
	return strings.Join(parts[max(0, len(parts)-2):], ".")
}
