package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/subject"
	"github.com/loop-plugins/loop/sdk/go/reporting"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// oracle is one oracle: what its node lends and remembers, and the generation of its plugin.
type oracle struct {
	id       int
	settings *Settings

	host     *loan.Host
	provider *loan.Provider
	factory  *productv1.CreateProductFactoryRequest
	config   *reportingv1.CreateOcr3PluginRequest
	accepted map[string]bool // answers, as a node keeps them

	generation  *subject.Subject
	generations uint64
	plugin      reportingv1.Ocr3PluginServiceClient
	info        *reportingv1.CreateOcr3PluginResponse // of the first generation
}

func digest() []byte { return bytes.Repeat([]byte{3}, 32) }

func newOracle(s *Settings, id int) *oracle {
	o := &oracle{id: id, settings: s, host: loan.NewHost(), provider: loan.NewProvider(), accepted: map[string]bool{}}
	pipelines := loan.NewPipelines(
		func(r *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) { return s.Pipeline(id, r) },
	)
	o.factory = &productv1.CreateProductFactoryRequest{
		Name: loan.Name(
			"ProductFactory",
		), OcrVersion: productv1.OcrVersion_OCR_VERSION_3, PluginConfigJson: s.PluginConfigJSON,
		Provider: o.host.Lend(
			"MedianProvider",
			o.provider,
			"loop.median.v1.MedianContractService",
			"loop.median.v1.ReportCodecService",
			"loop.median.v1.OnchainConfigCodecService",
		),
		Pipelines: o.host.Lend("Pipelines", pipelines, "loop.hostservice.v1.PipelineService"),
		ErrorLog:  o.host.Lend("ErrorLog", loan.Sink{}, "loop.hostservice.v1.ErrorLogService"),
	}
	o.config = &reportingv1.CreateOcr3PluginRequest{
		Name: loan.Name("Ocr3Plugin"), ConfigDigest: digest(), OracleId: uint32(id), N: uint32(s.N), F: uint32(s.F),
		OnchainConfig: s.OnchainConfig, OffchainConfig: s.OffchainConfig,
	}
	return o
}

// begin starts a generation and makes its objects again by their names.
func (o *oracle) begin(ctx context.Context) error {
	o.generations++
	var err error
	if o.generation, err = subject.Start(ctx, subject.Settings{
		Kind: productv1loop.ProductKind(), Command: o.settings.Command, Env: o.settings.Env, InProcess: o.settings.InProcess,
		StartTimeout: o.settings.StartTimeout, LogLevel: slog.LevelInfo,
	}, o.host, o.generations); err != nil {
		return err
	}
	if err := o.generation.Initialise(ctx); err != nil {
		return fmt.Errorf("LifecycleService.Init: %w", err)
	}
	root := productv1.NewProductServiceClient(wire.Bind(o.generation.Conn, ""))
	if o.factory.GetProviderType() == "" {
		description, err := root.DescribeProduct(ctx, &productv1.DescribeProductRequest{})
		if err != nil {
			return fmt.Errorf("DescribeProduct: %w", err)
		}
		if o.factory.ProviderType = o.settings.ProviderType; o.factory.ProviderType == "" {
			o.factory.ProviderType = description.GetProviderTypes()[0]
		}
	}
	if _, err := root.CreateProductFactory(ctx, o.factory); err != nil {
		return fmt.Errorf("CreateProductFactory: %w", err)
	}
	info, err := reportingv1.NewOcr3PluginFactoryServiceClient(wire.Bind(o.generation.Conn, o.factory.GetName())).
		CreateOcr3Plugin(ctx, o.config)
	if err != nil {
		return fmt.Errorf("CreateOcr3Plugin: %w", err)
	}
	if o.info == nil {
		o.info = info
	}
	if err := reporting.CheckLimits(info.GetLimits(), o.config.GetN()); err != nil {
		return err
	}
	if !proto.Equal(o.info, info) {
		return fmt.Errorf(
			"CreateOcr3Plugin answers {%v}, and before {%v}: a network counts on the first answer",
			info,
			o.info,
		)
	}
	o.plugin = reportingv1.NewOcr3PluginServiceClient(wire.Bind(o.generation.Conn, o.config.GetName()))
	return nil
}

func (o *oracle) restart(ctx context.Context) error {
	o.close()
	return o.begin(ctx)
}

func (o *oracle) close() {
	if o.generation != nil {
		o.generation.Close()
		o.generation = nil
	}
}

// again is for how long a call is repeated after UNAVAILABLE. A node repeats it for as long as its epoch lasts.
const again = 5 * time.Second

// ask makes a call, and fails if the plugin's own calls have broken the contract.
func ask[T any](ctx context.Context, o *oracle, method string, call func(context.Context) (T, error)) (T, error) {
	var answer T
	var err error
	for until := time.Now().Add(again); ; {
		answer, err = call(ctx)
		if status.Code(err) != codes.Unavailable || time.Now().After(until) || ctx.Err() != nil {
			break
		}
		pause := time.NewTimer(20 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
	if faults := o.host.TakeFaults(); len(faults) > 0 {
		return answer, fmt.Errorf("%s of oracle %d: %w: %s", method, o.id, errFault, strings.Join(faults, "; "))
	}
	if err != nil {
		return answer, fmt.Errorf("%s of oracle %d: %w", method, o.id, err)
	}
	return answer, nil
}

// errFault is a plugin's breach of the contract as a caller.
var errFault = errors.New("the plugin broke the contract")

// quorum reports whether observations suffice, as a node decides it.
func (o *oracle) quorum(ctx context.Context, r *reportingv1.Ocr3PluginServiceObservationQuorumRequest) (bool, error) {
	if size, ok := reporting.QuorumSize(o.info.GetObservationQuorum(), o.settings.N, o.settings.F); ok {
		return len(r.GetObservations()) >= size, nil
	}
	answer, err := ask(
		ctx,
		o,
		"ObservationQuorum",
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceObservationQuorumResponse, error) {
			return o.plugin.ObservationQuorum(ctx, r)
		},
	)
	return answer.GetQuorumReached(), err
}

// accept asks the plugin once whether to accept a report. Like a node, it keeps the answer when the plugin is
// restarted.
func (o *oracle) accept(ctx context.Context, seqNr uint64, report *reportingv1.ReportWithInfo) (bool, error) {
	key := fmt.Sprintf("%d %x", seqNr, reporting.ReportID(report))
	if answer, known := o.accepted[key]; known {
		return answer, nil
	}
	answer, err := ask(
		ctx,
		o,
		"ShouldAcceptAttestedReport",
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse, error) {
			return o.plugin.ShouldAcceptAttestedReport(
				ctx,
				&reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportRequest{SeqNr: seqNr, Report: report},
			)
		},
	)
	if err == nil {
		o.accepted[key] = answer.GetShouldAccept()
	}
	return answer.GetShouldAccept(), err
}

// show has the oracle's contract show a report as its latest transmission.
func (o *oracle) show(ctx context.Context, seqNr uint64, report []byte) {
	contract := loan.Contract{Digest: digest(), Epoch: uint32(seqNr), Answer: new(big.Int)}
	answer, err := o.provider.Answer(ctx, "MedianFromReport", &medianv1.MedianFromReportRequest{Report: report})
	if m, ok := answer.(*medianv1.MedianFromReportResponse); ok && err == nil {
		contract.Answer = wire.Int(m.GetMedian())
	}
	o.provider.Show(contract)
}
