// Package ocr3median is a median over OCR3 as a plugin. Each oracle observes the job's observationSource. An outcome is
// the median of the observations. It is reported when it deviates from the last reported one, or when that is old. The
// outcome also holds what was reported last, so that no restart forgets it and all oracles agree on it.
//
// It is an example from which to begin your own product, and as small as it can be while it serves real contracts: any
// that accept the relayer's median reports. product.go is the root and the factory, instance.go the calls of a round,
// outcome.go their decisions and the bytes that oracles exchange.
package ocr3median

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
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

// nodeKeys are the keys of pluginConfig that the node reads. The product has none of its own: what oracles must agree
// on stands in the contract's off-chain configuration.
var nodeKeys = []string{"OCRVersion", "pipelines", "pluginName", "providerType", "telemetryType"}

// Product is the root of the plugin. It implements productv1loop.ProductService.
type Product struct{ logger *slog.Logger }

// New returns the root for a host.
func New(h *loop.Host) *Product { return &Product{h.Logger()} }

// DescribeProduct implements productv1loop.ProductService.
func (p *Product) DescribeProduct(
	context.Context,
	*productv1.DescribeProductRequest,
) (*productv1.DescribeProductResponse, error) {
	return &productv1.DescribeProductResponse{
		Product:       "ocr3-median",
		OcrVersions:   []productv1.OcrVersion{productv1.OcrVersion_OCR_VERSION_3},
		ProviderTypes: []string{"median"},
	}, nil
}

// ValidateProductJob implements productv1loop.ProductService.
func (p *Product) ValidateProductJob(
	_ context.Context,
	request *productv1.ValidateProductJobRequest,
) (*productv1.ValidateProductJobResponse, error) {
	response := &productv1.ValidateProductJobResponse{}
	problem := func(path, format string, args ...any) {
		found := &pluginv1.Problem{Path: path, Message: fmt.Sprintf(format, args...)}
		response.Problems = append(response.Problems, found)
	}
	if !slices.Contains(request.GetPipelines(), "") {
		problem("observationSource", "is missing: the median observes what it comes to")
	}
	if v := request.GetOcrVersion(); v != productv1.OcrVersion_OCR_VERSION_3 {
		problem("pluginConfig.OCRVersion", "is %d; this median runs on OCR3 alone, so write 3", v)
	}
	if t := request.GetProviderType(); t != "median" {
		problem("pluginConfig.providerType", "is %q; this median reports to contracts of type median", t)
	}
	keys := map[string]json.RawMessage{}
	if encoded := request.GetPluginConfigJson(); len(encoded) > 0 {
		if err := json.Unmarshal(encoded, &keys); err != nil {
			problem("pluginConfig", "is not a JSON object: %v", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(nodeKeys, key) {
			warning := &pluginv1.Problem{
				Path: "pluginConfig." + key, Message: "has no effect: this median has no keys of its own",
			}
			response.Warnings = append(response.Warnings, warning)
		}
	}
	return response, nil
}

// CreateProductFactory implements productv1loop.ProductService.
func (p *Product) CreateProductFactory(
	ctx context.Context,
	request *productv1.CreateProductFactoryRequest,
	loans productv1loop.CreateProductFactoryLoans,
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
	return &factory{
		logger: p.logger.With("factory", request.GetName()),
		loans:  loans,
	}, &productv1.CreateProductFactoryResponse{}, nil
}

// Config is the product's part of the contract's off-chain configuration, as JSON. Its zero value reports every
// outcome.
type Config struct {
	// DeviationPPB is by how many parts per billion an answer must differ from the last reported one to be reported.
	DeviationPPB uint64 `json:"deviationPPB"`
	// HeartbeatSeconds is after how many seconds an answer is reported all the same.
	HeartbeatSeconds uint32 `json:"heartbeatSeconds"`
	// bounds are the least and the largest answer that the contract accepts, from its on-chain configuration; nil: any.
	bounds *medianv1.OnchainConfig
}

// factory makes one job's instances. It implements productv1loop.ProductFactory.
type factory struct {
	reportingv1loop.UnimplementedReportingPluginFactoryService // OCR2
	logger                                                     *slog.Logger
	loans                                                      productv1loop.CreateProductFactoryLoans
}

// CreateOcr3Plugin implements reportingv1loop.Ocr3PluginFactoryService. It asks the lent codec for the length of a
// report.
func (f *factory) CreateOcr3Plugin(
	ctx context.Context,
	request *reportingv1.CreateOcr3PluginRequest,
) (reportingv1loop.Ocr3Plugin, *reportingv1.CreateOcr3PluginResponse, error) {
	var config Config
	if encoded := request.GetOffchainConfig(); len(encoded) > 0 {
		d := json.NewDecoder(bytes.NewReader(encoded))
		d.DisallowUnknownFields() // an oracle that leaves out a key disagrees with those that know it
		if err := d.Decode(&config); err != nil {
			return nil, nil, status.Errorf(
				codes.InvalidArgument,
				"offchain_config: is not the median's JSON, such as {\"deviationPPB\": 5000000, \"heartbeatSeconds\": 3600}: %v",
				err,
			)
		}
	}
	if encoded := request.GetOnchainConfig(); len(encoded) > 0 {
		decoded, err := f.loans.Provider.DecodeOnchainConfig(ctx, &medianv1.DecodeOnchainConfigRequest{Encoded: encoded})
		if err != nil {
			return nil, nil, failed("reading the contract's bounds", err)
		}
		config.bounds = decoded.GetConfig()
	}
	longest, err := f.loans.Provider.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: request.GetN()})
	if err != nil {
		return nil, nil, failed("asking for the length of a report", err)
	}
	if have := longest.GetMaxReportLength(); have > maxReportLength {
		return nil, nil, status.Errorf(
			codes.FailedPrecondition,
			"reports of this contract have up to %d bytes, and OCR3 takes %d",
			have,
			maxReportLength,
		)
	}
	return &instance{
			logger: f.logger, loans: f.loans, config: config, digest: request.GetConfigDigest(), f: int(request.GetF()),
		}, &reportingv1.CreateOcr3PluginResponse{
			Product: "ocr3-median",
			Limits: &reportingv1.Ocr3PluginLimits{
				MaxObservationLength: observationLength,
				MaxOutcomeLength:     maxOutcomeLength(request.GetN()),
				MaxReportLength:      longest.GetMaxReportLength(),
				MaxReportCount:       1,
			},
			ObservationQuorum: reportingv1.ObservationQuorum_OBSERVATION_QUORUM_TWO_F_PLUS_ONE,
		}, nil
}

// maxReportLength is the contract's largest limit of a report, in bytes.
const maxReportLength = 5 << 20

// failed adds what was tried to a lent call's error, and keeps its code: after UNAVAILABLE the node asks anew.
func failed(what string, err error) error {
	s := status.Convert(err)
	return status.Errorf(s.Code(), "%s: %s", what, s.Message())
}

// seconds is a unix time that the contract's 32 bits can hold.
func seconds(unix int64) uint32 { return uint32(max(0, min(unix, math.MaxUint32))) }
