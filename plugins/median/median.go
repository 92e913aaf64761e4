// Package median is the median product as a plugin: libocr's own numerical median behind LOOP's contract, so that
// reports are byte for byte the same as on a node that links libocr's.
//
// A root makes one factory per job, and a factory makes one instance per on-chain configuration. An instance reaches
// the chain and the job's sources by calls to lent objects; only lent.go adapts them to libocr. An instance that is
// made again after a restart is new: it has forgotten which reports it accepted.
//
// Deviation is libocr's relative test in parts per billion. A job's deviationFunc is refused whatever its type. Job
// specs know one, "pendle", but its formula is not published, and an oracle that guessed would disagree with its
// network.
//
// The package must not know any chain, how reports are encoded, or whether it runs in a process of its own. It never
// imports libocr's evmreportcodec, which would link go-ethereum.
package median

import (
	"context"
	"fmt"
	"log/slog"

	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Plugin is the root of a median plugin. It implements medianv1loop.MedianService.
type Plugin struct {
	logger  *slog.Logger
	metrics *metrics
}

// New returns the root for a host. It registers the plugin's metrics, and so is called once per host.
func New(h *loop.Host) *Plugin {
	return &Plugin{logger: h.Logger(), metrics: newMetrics(h.Registry())}
}

// CreateMedianFactory implements medianv1loop.MedianService. It makes no call to lent objects. It returns
// INVALID_ARGUMENT for a request with a deviation function.
func (p *Plugin) CreateMedianFactory(_ context.Context, request *medianv1.CreateMedianFactoryRequest,
	loans medianv1loop.CreateMedianFactoryLoans) (
	medianv1loop.MedianFactory, *medianv1.CreateMedianFactoryResponse, error) {
	if f := request.GetDeviationFunction(); f != nil {
		v := &wire.Violation{Field: "deviation_function.type", Problem: fmt.Sprintf(
			"the deviation function %q is not known to this plugin, which has libocr's relative deviation alone: remove "+
				"deviationFunc from the job's pluginConfig or run the job on a plugin that has it", f.GetType())}
		return nil, nil, v.Status(request.ProtoReflect().Descriptor().FullName()).Err()
	}
	records := newErrorLog(loans.ErrorLog)
	return &factory{
		libocr: libocr.NumericalMedianFactory{
			ContractTransmitter:                  contract{loans.Provider},
			DataSource:                           source{"the value source", loans.ValueSource},
			JuelsPerFeeCoinDataSource:            source{"the source of juels per fee coin", loans.JuelsPerFeeCoinSource},
			GasPriceSubunitsDataSource:           source{"the source of gas price subunits", loans.GasPriceSubunitsSource},
			IncludeGasPriceSubunitsInObservation: request.GetIncludeGasPriceSubunits(),
			// The name tells the lines of one job from those of another.
			Logger:             logger{slog: p.logger.With("factory", request.GetName()), errors: records},
			OnchainConfigCodec: onchainConfigCodec{loans.Provider},
			ReportCodec:        reportCodec{loans.Provider},
		},
		errors:  records,
		metrics: p.metrics,
	}, &medianv1.CreateMedianFactoryResponse{}, nil
}
