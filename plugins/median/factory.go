package median

import (
	"context"

	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// factory makes one job's instances. It implements medianv1loop.MedianFactory.
type factory struct {
	libocr  libocr.NumericalMedianFactory
	errors  *errorLog
	metrics *metrics
}

// CreateReportingPlugin implements reportingv1loop.ReportingPluginFactoryService. It asks the lent codecs to decode the
// on-chain configuration and for the length of a report.
func (f *factory) CreateReportingPlugin(ctx context.Context,
	request *reportingv1.CreateReportingPluginRequest) (
	reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	refuse := func(field, problem string) error {
		v := &wire.Violation{Field: field, Problem: problem}
		return v.Status(request.ProtoReflect().Descriptor().FullName()).Err()
	}
	// libocr decodes this one itself: only here can the refusal name the field.
	if _, err := libocr.DecodeOffchainConfig(request.GetOffchainConfig()); err != nil {
		return nil, nil, refuse("offchain_config", "does not decode as the numerical median's configuration: "+err.Error())
	}
	config, err := ocr2.PluginConfigOf(request)
	if err != nil {
		return nil, nil, failure(ctx, err, codes.InvalidArgument)
	}
	plugin, info, err := f.libocr.NewReportingPlugin(ctx, config)
	if err != nil {
		return nil, nil, failure(ctx, err, codes.InvalidArgument)
	}
	made, err := ocr2.PluginInfoTo(info)
	if err != nil {
		return nil, nil, status.Errorf(codes.Internal, "libocr's median: %v", err)
	}
	return newInstance(plugin, f.metrics), made, nil
}

// Close implements io.Closer: it ends the records of errors that are under way.
func (f *factory) Close() error {
	f.errors.close()
	return nil
}
