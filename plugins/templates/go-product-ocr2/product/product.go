// Package product is a median over OCR2 as a plugin, from which to begin your own product. Each oracle observes the
// job's observationSource, and a report has the median of the observations.
//
// This file is the root and the factory, instance.go has the calls of a round, observation.go the bytes that oracles
// exchange.
package product

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

// nodeKeys are the keys of pluginConfig that the node reads. The product has none of its own.
var nodeKeys = []string{"OCRVersion", "pipelines", "pluginName", "providerType", "telemetryType"}

// longestReport is the limit of every report, in bytes: five words of 32 and one for each of at most 31 oracles.
const longestReport = 32 * (5 + 31)

// Product is the root of the plugin. It implements productv1loop.ProductService.
type Product struct {
	name   string
	logger *slog.Logger
}

// New returns the root for a host. name is the product's name on nodes.
func New(h *loop.Host, name string) *Product { return &Product{name, h.Logger()} }

// DescribeProduct implements productv1loop.ProductService.
func (p *Product) DescribeProduct(
	context.Context, *productv1.DescribeProductRequest,
) (*productv1.DescribeProductResponse, error) {
	return &productv1.DescribeProductResponse{
		Product:       p.name,
		OcrVersions:   []productv1.OcrVersion{productv1.OcrVersion_OCR_VERSION_2},
		ProviderTypes: []string{"median"},
		Ocr2Bounds: &productv1.Ocr2Bounds{Limits: &reportingv1.ReportingPluginLimits{
			MaxObservationLength: longestObservation, MaxReportLength: longestReport,
		}},
	}, nil
}

// ValidateProductJob implements productv1loop.ProductService.
func (p *Product) ValidateProductJob(
	_ context.Context, request *productv1.ValidateProductJobRequest,
) (*productv1.ValidateProductJobResponse, error) {
	response := &productv1.ValidateProductJobResponse{}
	problem := func(path, format string, args ...any) {
		found := &pluginv1.Problem{Path: path, Message: fmt.Sprintf(format, args...)}
		response.Problems = append(response.Problems, found)
	}
	if !slices.Contains(request.GetPipelines(), "") {
		problem("observationSource", "is missing: the product observes what it comes to")
	}
	if v := request.GetOcrVersion(); v != productv1.OcrVersion_OCR_VERSION_2 {
		problem("pluginConfig.OCRVersion", "is %d; this product runs on OCR2 alone, so write 2", v)
	}
	if t := request.GetProviderType(); t != "median" {
		problem("pluginConfig.providerType", "is %q; this product reports to contracts of type median", t)
	}
	keys := map[string]json.RawMessage{}
	if encoded := request.GetPluginConfigJson(); len(encoded) > 0 {
		if err := json.Unmarshal(encoded, &keys); err != nil {
			problem("pluginConfig", "is not a JSON object: %v", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(nodeKeys, key) {
			response.Warnings = append(response.Warnings, &pluginv1.Problem{
				Path: "pluginConfig." + key, Message: "has no effect: this product has no keys of its own",
			})
		}
	}
	return response, nil
}

// CreateProductFactory implements productv1loop.ProductService. loans has what the host lends: the relayer's provider
// with the contract's codecs, the job's pipelines and its error log.
func (p *Product) CreateProductFactory(
	ctx context.Context, request *productv1.CreateProductFactoryRequest, loans productv1loop.CreateProductFactoryLoans,
) (productv1loop.ProductFactory, *productv1.CreateProductFactoryResponse, error) {
	// Only the node knows the pipelines; whether there is an observationSource shows at the first observation.
	checked, err := p.ValidateProductJob(ctx, &productv1.ValidateProductJobRequest{
		OcrVersion: request.GetOcrVersion(), ProviderType: request.GetProviderType(),
		PluginConfigJson: request.GetPluginConfigJson(), Pipelines: []string{""},
	})
	if err != nil {
		return nil, nil, err
	}
	for _, problem := range checked.GetProblems() {
		return nil, nil, status.Errorf(codes.InvalidArgument, "%s: %s", problem.GetPath(), problem.GetMessage())
	}
	return &factory{product: p, loans: loans}, &productv1.CreateProductFactoryResponse{}, nil
}

// factory makes one job's instances. It implements productv1loop.ProductFactory.
type factory struct {
	reportingv1loop.UnimplementedOcr3PluginFactoryService // this product runs on OCR2
	product                                               *Product
	loans                                                 productv1loop.CreateProductFactoryLoans
}

// CreateReportingPlugin implements reportingv1loop.ReportingPluginFactoryService. Settings that all oracles must share
// are in the contract: offchain_config is the product's own, and onchain_config has the bounds of answers.
func (f *factory) CreateReportingPlugin(
	ctx context.Context, request *reportingv1.CreateReportingPluginRequest,
) (reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	if len(request.GetOffchainConfig()) > 0 {
		return nil, nil, status.Error(codes.InvalidArgument,
			"offchain_config: is not empty, and this product has no keys there")
	}
	made := &instance{
		logger: f.product.logger, loans: f.loans, digest: request.GetConfigDigest(), f: int(request.GetF()),
	}
	if encoded := request.GetOnchainConfig(); len(encoded) > 0 {
		decoded, err := f.loans.Provider.DecodeOnchainConfig(ctx, &medianv1.DecodeOnchainConfigRequest{Encoded: encoded})
		if err != nil {
			return nil, nil, failed("reading the contract's bounds", err)
		}
		made.bounds = decoded.GetConfig()
	}
	longest, err := f.loans.Provider.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: request.GetN()})
	if err != nil {
		return nil, nil, failed("asking for the length of a report", err)
	}
	return made, &reportingv1.CreateReportingPluginResponse{
		Product: f.product.name,
		Limits: &reportingv1.ReportingPluginLimits{
			MaxObservationLength: longestObservation, MaxReportLength: longest.GetMaxReportLength(),
		},
	}, nil
}

// failed adds to a lent call's error what was tried, and keeps its code.
func failed(what string, err error) error {
	s := status.Convert(err)
	return status.Errorf(s.Code(), "%s: %s", what, s.Message())
}
