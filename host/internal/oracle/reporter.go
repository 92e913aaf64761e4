package oracle

import (
	"context"
	"fmt"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/oracle/source"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// reporter is the job's object in the plugin of its product: it makes the job's reporting plugins.
type reporter struct {
	*loophost.Object
	name   string // of the product, in errors, with its article
	maker  maker  // of reporting plugins of OCR2
	bounds types.ReportingPluginInfo
	ocr3   *productv1loophost.ProductFactory // of reporting plugins of OCR3; nil: the job runs on OCR2
}

// created waits until the object was made for the first time, or cannot be.
func (r *reporter) created(ctx context.Context) error {
	_, err := loophost.Created[proto.Message](ctx, r.Object)
	return err
}

// lend makes the job's reporter, and what it is lent.
func (o *Oracle) lend(provider *relayerv1loophost.Provider) error {
	s := o.settings
	o.observing = hostservice.NewRounds()
	pipelines := source.Settings{
		JobID: s.JobID, ExternalJobID: s.ExternalJobID, Spec: s.Spec, Pipelines: s.Pipelines, Database: s.Database,
		History: s.History, Rounds: o.observing, Logger: s.Logger,
	}
	if product := s.Spec.Product; product != nil {
		o.pipelines = source.NewPipelines(pipelines, o.feed.Ran)
		factory := s.Product.CreateProductFactory(&productv1.CreateProductFactoryRequest{
			OcrVersion:       productv1.OcrVersion(product.OCRVersion),
			ProviderType:     product.ProviderType,
			PluginConfigJson: product.ConfigJSON,
		}, productv1loophost.CreateProductFactoryLoans{
			Provider:  provider,
			Pipelines: hostservicev1loophost.ExportPipeline(s.Runtime, o.pipelines),
			ErrorLog:  hostservicev1loophost.ExportErrorLog(s.Runtime, s.History.Errors),
		})
		o.reporter = &reporter{Object: factory.Object, name: fmt.Sprintf("the product %s", product.Name), maker: factory,
			bounds: s.ProductBounds}
		if product.OCRVersion == ocr3Version {
			o.reporter.ocr3 = factory
		}
		return nil
	}
	var err error
	if o.sources, err = source.New(pipelines); err != nil {
		return err
	}
	factory := s.Median.CreateMedianFactory(&medianv1.CreateMedianFactoryRequest{
		IncludeGasPriceSubunits: s.Spec.PluginConfig.GasPriceSubunits != nil,
		DeviationFunction:       deviationTo(s.Spec.PluginConfig.DeviationFunc),
	}, medianv1loophost.CreateMedianFactoryLoans{
		Provider:               provider,
		ValueSource:            hostservicev1loophost.ExportDataSource(s.Runtime, o.sources.Value),
		JuelsPerFeeCoinSource:  hostservicev1loophost.ExportDataSource(s.Runtime, o.sources.JuelsPerFeeCoin),
		GasPriceSubunitsSource: hostservicev1loophost.ExportDataSource(s.Runtime, o.sources.GasPriceSubunits),
		ErrorLog:               hostservicev1loophost.ExportErrorLog(s.Runtime, s.History.Errors),
	})
	o.reporter = &reporter{Object: factory.Object, name: "the median", maker: factory, bounds: medianBounds()}
	return nil
}
