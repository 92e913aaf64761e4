package looptest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/simulation"
	"github.com/loop-plugins/loop/sdk/go/reporting"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// productCases are about products.
func productCases() []check {
	return []check{
		{
			"product/description",
			"the description names versions of OCR, types of providers and what OCR2 needs, and is the same each time",
			false,
			productDescription,
		},
		{
			"product/job",
			"the suite's job has no problem; a job with an unknown type of provider has one, and is INVALID_ARGUMENT",
			false,
			productJob,
		},
		{
			"product/other-version",
			"the reporting plugins of a version that the product does not have are UNIMPLEMENTED",
			false,
			productOtherVersion,
		},
		{
			"product/limits",
			"the limits of an instance fit messages, in networks of 1 to 31 oracles",
			false,
			productLimits,
		},
		{
			"product/pipeline-failure",
			"an observation whose pipeline fails is an answer, since an error would cost the oracle its votes",
			false,
			productPipelineFailure,
		},
		{"product/noise", "an observation of any bytes is accepted or refused, and never causes an error", false,
			productNoise},
		{"product/network", "four oracles come to the same outcomes and reports", false, productNetwork},
		{
			"product/disturbed-network",
			"four oracles agree although messages are lost and doubled, one oracle sends nonsense, and plugins are restarted",
			false,
			productDisturbed,
		},
	}
}

// describeProduct asks a product for its description, on which the suite's other calls depend.
func (l *generation) describeProduct(ctx context.Context) error {
	if l.bench.settings.Kind != "product" || l.bench.product != nil {
		return nil
	}
	var description productv1.DescribeProductResponse
	if err := l.call(ctx, "", productv1.ProductService_DescribeProduct_FullMethodName, &productv1.DescribeProductRequest{},
		&description); err != nil {
		return err
	}
	l.bench.product = &description
	return nil
}

// ocr3 reports whether children are OCR3's reporting plugins, as with every product that supports OCR3.
func (b *bench) ocr3() bool {
	return b.settings.Kind == "product" && b.version() == productv1.OcrVersion_OCR_VERSION_3
}

// version is the version of OCR with which a product is tested.
func (b *bench) version() productv1.OcrVersion {
	versions := b.product.GetOcrVersions()
	if len(versions) == 0 || slices.Contains(versions, productv1.OcrVersion_OCR_VERSION_3) {
		return productv1.OcrVersion_OCR_VERSION_3
	}
	return versions[0]
}

func (b *bench) providerType() string {
	if types := b.product.GetProviderTypes(); len(types) > 0 {
		return types[0]
	}
	return "median"
}

func (b *bench) pluginConfig() []byte {
	return []byte(cmp.Or(b.settings.Product.PluginConfigJSON, "{}"))
}

// pipeline answers every run.
func (b *bench) pipeline(*hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) {
	return loan.Value(cmp.Or(b.settings.Product.Value, "100")), nil
}

func (l *generation) productFactory(name string, another bool) *productv1.CreateProductFactoryRequest {
	w := l.world
	r := &productv1.CreateProductFactoryRequest{
		Name: name, Provider: w.providerName, Pipelines: w.pipelinesName, ErrorLog: w.errorsName,
		OcrVersion: l.bench.version(), ProviderType: l.bench.providerType(), PluginConfigJson: l.bench.pluginConfig(),
	}
	if another {
		r.PluginConfigJson = append(r.PluginConfigJson, ' ')
	}
	return r
}

func (l *generation) ocr3Plugin(name string) *reportingv1.CreateOcr3PluginRequest {
	p := l.bench.settings.Product
	return &reportingv1.CreateOcr3PluginRequest{
		Name: name, ConfigDigest: digest(1), OracleId: 2, N: 4, F: 1, OnchainConfig: p.OnchainConfig,
		OffchainConfig: p.OffchainConfig,
	}
}

func firstRound() *reportingv1.OutcomeContext { return &reportingv1.OutcomeContext{SeqNr: 1} }

func productDescription(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	d := b.product
	for _, v := range d.GetOcrVersions() {
		if v != productv1.OcrVersion_OCR_VERSION_2 && v != productv1.OcrVersion_OCR_VERSION_3 {
			return fmt.Errorf("DescribeProduct names the version %d; want 2 or 3", v)
		}
	}
	if slices.Contains(d.GetOcrVersions(), productv1.OcrVersion_OCR_VERSION_2) != (d.GetOcr2Bounds() != nil) {
		return fmt.Errorf(
			"DescribeProduct names the versions %v and has the ocr2_bounds {%v}; want them with version 2, and only then",
			d.GetOcrVersions(),
			d.GetOcr2Bounds(),
		)
	}
	var again productv1.DescribeProductResponse
	if err := l.call(ctx, "", productv1.ProductService_DescribeProduct_FullMethodName, &productv1.DescribeProductRequest{},
		&again); err != nil {
		return err
	}
	if !proto.Equal(d, &again) {
		return fmt.Errorf("DescribeProduct answered {%v}, and then {%v}; want the same", d, &again)
	}
	return nil
}

func productJob(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	root := productv1.NewProductServiceClient(wire.Bind(l.Conn, ""))
	job := &productv1.ValidateProductJobRequest{
		OcrVersion: b.version(), ProviderType: b.providerType(), PluginConfigJson: b.pluginConfig(), Pipelines: []string{""},
	}
	answer, err := root.ValidateProductJob(ctx, job)
	if err != nil {
		return wrap("ValidateProductJob", err)
	}
	for _, p := range answer.GetProblems() {
		return fmt.Errorf(
			"the suite's job has the problem %q at %q; give the suite a pluginConfig that the product takes",
			p.GetMessage(),
			p.GetPath(),
		)
	}
	job.ProviderType = "conformance"
	if answer, err = root.ValidateProductJob(ctx, job); err != nil {
		return wrap("ValidateProductJob of a type of provider that nobody has", err)
	}
	if len(answer.GetProblems()) == 0 {
		return fmt.Errorf(
			"ValidateProductJob finds no problem in the type of provider %q, which is not one of %q",
			job.GetProviderType(),
			b.product.GetProviderTypes(),
		)
	}
	factory := l.productFactory(loan.Name("Conformance"), false)
	factory.ProviderType = job.GetProviderType()
	err = l.call(
		ctx,
		"",
		productv1.ProductService_CreateProductFactory_FullMethodName,
		factory,
		&productv1.CreateProductFactoryResponse{},
	)
	return want("CreateProductFactory of a job in which ValidateProductJob finds a problem", err, codes.InvalidArgument)
}

func productOtherVersion(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	if len(b.product.GetOcrVersions()) > 1 {
		return skip{"the product has both versions"}
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	if !b.ocr3() {
		err = l.call(
			ctx,
			parent,
			reportingv1.Ocr3PluginFactoryService_CreateOcr3Plugin_FullMethodName,
			l.ocr3Plugin(loan.Name("Conformance")),
			&reportingv1.CreateOcr3PluginResponse{},
		)
		return want("CreateOcr3Plugin of a product without OCR3", err, codes.Unimplemented)
	}
	request := &reportingv1.CreateReportingPluginRequest{
		Name:         loan.Name("Conformance"),
		ConfigDigest: digest(1),
		OracleId:     2,
		N:            4,
		F:            1,
	}
	err = l.call(
		ctx,
		parent,
		reportingv1.ReportingPluginFactoryService_CreateReportingPlugin_FullMethodName,
		request,
		&reportingv1.CreateReportingPluginResponse{},
	)
	return want("CreateReportingPlugin of a product without OCR2", err, codes.Unimplemented)
}

var errNoOCR3 = skip{"the product does not run on OCR3"}

// onOCR3 returns the shared generation and a new factory, and skips products without OCR3.
func (b *bench) onOCR3(ctx context.Context) (*generation, string, error) {
	l, err := b.plugin(ctx)
	if err != nil {
		return nil, "", err
	}
	if !b.ocr3() {
		return nil, "", errNoOCR3
	}
	parent, err := l.parent(ctx)
	return l, parent, err
}

func productLimits(ctx context.Context, b *bench) error {
	l, parent, err := b.onOCR3(ctx)
	if err != nil {
		return err
	}
	for _, n := range []uint32{1, 4, 31} {
		request := l.ocr3Plugin(loan.Name("Conformance"))
		request.OracleId, request.N, request.F = 0, n, (n-1)/3
		var response reportingv1.CreateOcr3PluginResponse
		if err := l.call(ctx, parent, reportingv1.Ocr3PluginFactoryService_CreateOcr3Plugin_FullMethodName, request,
			&response); err != nil {
			return fmt.Errorf("a network of %d oracles: %w", n, err)
		}
		if err := reporting.CheckLimits(response.GetLimits(), n); err != nil {
			return err
		}
	}
	return nil
}

func productPipelineFailure(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	if !b.ocr3() {
		return errNoOCR3
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	failed := &hostservicev1.RunResponse{
		Results: []*hostservicev1.TaskResult{{Task: "value", Terminal: true, Error: "the adapter answered 500"}},
	}
	l.world.pipelines.Script(func() (any, error) { return failed, nil })
	if err := l.ask(ctx, child); err != nil {
		return wrap("an observation whose pipeline failed", err)
	}
	l.world.pipelines.Script(nil)
	if err := l.ask(ctx, child); err != nil {
		return wrap("the observation after one whose pipeline failed", err)
	}
	return nil
}

func productNoise(ctx context.Context, b *bench) error {
	l, parent, err := b.onOCR3(ctx)
	if err != nil {
		return err
	}
	child := loan.Name("Conformance")
	made, err := l.makeChild(ctx, parent, child, false)
	if err != nil {
		return err
	}
	limit := int(made.(*reportingv1.CreateOcr3PluginResponse).GetLimits().GetMaxObservationLength())
	for _, size := range []int{0, 1, 2, 3, limit / 2, limit - 1, limit} {
		for _, filled := range []byte{0, 1, 0x7b, 0xff} {
			noise := make([]byte, max(0, size))
			for i := range noise {
				noise[i] = filled
			}
			request := &reportingv1.Ocr3PluginServiceValidateObservationRequest{
				Context:     firstRound(),
				Observation: &reportingv1.AttributedObservation{Observation: noise, Observer: 1},
			}
			err := l.call(
				ctx,
				child,
				reportingv1.Ocr3PluginService_ValidateObservation_FullMethodName,
				request,
				&reportingv1.Ocr3PluginServiceValidateObservationResponse{},
			)
			if err != nil {
				return wrap(fmt.Sprintf("ValidateObservation of %d bytes of 0x%02x", len(noise), filled), err)
			}
		}
	}
	return nil
}

// simulate runs a network of the product.
func (b *bench) simulate(ctx context.Context, s simulation.Settings) error {
	if _, _, err := b.onOCR3(ctx); err != nil {
		return err
	}
	p := b.settings.Product
	s.Command, s.Env, s.InProcess, s.StartTimeout = b.settings.Command, b.settings.Env, b.settings.InProcess,
		b.settings.StartTimeout
	s.PluginConfigJSON, s.OnchainConfig, s.OffchainConfig, s.Seed = b.pluginConfig(), p.OnchainConfig, p.OffchainConfig, 1
	s.Pipeline = func(_ int, r *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) { return b.pipeline(r) }
	_, err := simulation.Run(ctx, s)
	return err
}

func productNetwork(ctx context.Context, b *bench) error {
	return b.simulate(ctx, simulation.Settings{Outcomes: 20})
}

func productDisturbed(ctx context.Context, b *bench) error {
	return b.simulate(ctx, simulation.Settings{Outcomes: 20, Lose: 0.05, Double: 0.2, Garble: 0.3, Restart: 0.01})
}
