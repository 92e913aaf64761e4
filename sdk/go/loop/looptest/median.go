package looptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/breakage"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/vector"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// medianCases are about what vectors cannot express.
func medianCases() []check {
	return []check{
		{"median/retry", "a construction that failed because the codec was away succeeds when it is back", false,
			medianRetry},
		{"median/refused-config", "a configuration that cannot be run is INVALID_ARGUMENT", false, medianRefused},
		{"median/deviation-function", "an unknown deviation function is INVALID_ARGUMENT", false,
			medianDeviationFunction},
		{"median/source-failure", "an observation whose source fails is an error, and the next one is not", false,
			medianSourceFailure},
		{"median/broken-answers",
			"an answer of a lent object that breaks any rule of the contract is INTERNAL and is not used", false,
			medianBrokenAnswers},
		{"median/large-answer", "an answer of nearly 16 MiB passes from a lent object through the plugin to the host", false,
			medianLarge},
	}
}

func medianRetry(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	child := loan.Name("Conformance")
	l.world.provider.Script(func() (any, error) { return nil, status.Error(codes.Unavailable, "the relayer restarts") })
	_, err = l.makeChild(ctx, parent, child, false)
	if err := want("a construction while the lent codec is UNAVAILABLE", err, codes.Unavailable); err != nil {
		return err
	}
	l.world.provider.Script(nil)
	if _, err := l.makeChild(ctx, parent, child, false); err != nil {
		return fmt.Errorf("the same construction again, with the lent codec back: %w", err)
	}
	return l.probe(ctx, child)
}

func medianRefused(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	for what, change := range map[string]func(*reportingv1.CreateReportingPluginRequest){
		"an on-chain configuration that the codec refuses": func(r *reportingv1.CreateReportingPluginRequest) {
			r.OnchainConfig = []byte{1}
		},
		"an off-chain configuration that does not decode": func(r *reportingv1.CreateReportingPluginRequest) {
			r.OffchainConfig = []byte{0xff}
		},
		"an off-chain configuration whose DeltaC is below zero": func(r *reportingv1.CreateReportingPluginRequest) {
			r.OffchainConfig = negativeDeltaC()
		},
		"an off-chain configuration that is cut off in the middle": func(r *reportingv1.CreateReportingPluginRequest) {
			r.OffchainConfig = []byte{0x10}
		},
	} {
		method, request, reply := l.childRequest(loan.Name("Conformance"), false)
		change(request.(*reportingv1.CreateReportingPluginRequest))
		if err := want(short(method)+" with "+what, l.call(ctx, parent, method, request, reply),
			codes.InvalidArgument); err != nil {
			return err
		}
	}
	return nil
}

// negativeDeltaC is an off-chain configuration whose field 5, delta_c_nanoseconds, is -1 in 64 bits.
func negativeDeltaC() []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.VarintType), 1<<64-1)
}

func medianDeviationFunction(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	method, request, reply := l.parentRequest(loan.Name("Conformance"), false)
	request.(*medianv1.CreateMedianFactoryRequest).DeviationFunction = &medianv1.DeviationFunction{Type: "conformance"}
	return want(short(method)+" with a deviation function that nobody knows", l.call(ctx, "", method, request, reply),
		codes.InvalidArgument)
}

func (l *generation) observe(ctx context.Context, instance string) ([]byte, error) {
	var r reportingv1.ObservationResponse
	err := l.call(ctx, instance, reportingv1.ReportingPluginService_Observation_FullMethodName,
		&reportingv1.ObservationRequest{Timestamp: round(1)}, &r)
	return r.GetObservation(), err
}

func medianSourceFailure(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	l.world.value.Script(func() (any, error) { return nil, status.Error(codes.FailedPrecondition, "the task ds1 failed") })
	_, err = l.observe(ctx, child)
	if err := want("an observation whose source failed with FAILED_PRECONDITION", err,
		codes.FailedPrecondition); err != nil {
		return err
	}
	if said := status.Convert(err).Message(); !strings.Contains(said, "ds1") {
		return fmt.Errorf("an observation whose source failed is refused as %q; want the source's own words in it, for "+
			"operators", cut(said))
	}
	l.world.value.Script(nil)
	if _, err := l.observe(ctx, child); err != nil {
		return wrap("the observation after one whose source failed", err)
	}
	return nil
}

// asking are the calls of a median that call lent objects. Each succeeds any number of times.
func (l *generation) asking(ctx context.Context, parent, child string) (map[string]func() error, error) {
	observation, err := l.observe(ctx, child)
	if err != nil {
		return nil, err
	}
	three := &reportingv1.ReportRequest{Timestamp: round(1)}
	for i := range uint32(3) {
		three.Observations = append(three.Observations,
			&reportingv1.AttributedObservation{Observation: observation, Observer: i})
	}
	report := make([]byte, 1+4+3*24) // of one observation in the vectors' codec
	accept := &reportingv1.ShouldAcceptFinalizedReportRequest{Timestamp: round(1), Report: report}
	made := func(method string, request, reply proto.Message) func() error {
		return func() error { return l.call(ctx, child, method, request, proto.Clone(reply)) }
	}
	return map[string]func() error{
		"ReportingPluginFactoryService.CreateReportingPlugin": func() error {
			_, err := l.makeChild(ctx, parent, loan.Name("Conformance"), false)
			return err
		},
		"ReportingPluginService.Observation": made(reportingv1.ReportingPluginService_Observation_FullMethodName,
			&reportingv1.ObservationRequest{Timestamp: round(1)}, &reportingv1.ObservationResponse{}),
		"ReportingPluginService.Report": made(reportingv1.ReportingPluginService_Report_FullMethodName,
			three, &reportingv1.ReportResponse{}),
		"ReportingPluginService.ShouldAcceptFinalizedReport": func() error {
			accept.Timestamp.Epoch++ // a round that was accepted is refused without a call of lent objects
			return l.call(ctx, child, reportingv1.ReportingPluginService_ShouldAcceptFinalizedReport_FullMethodName,
				accept, &reportingv1.ShouldAcceptFinalizedReportResponse{})
		},
		"ReportingPluginService.ShouldTransmitAcceptedReport": made(
			reportingv1.ReportingPluginService_ShouldTransmitAcceptedReport_FullMethodName,
			&reportingv1.ShouldTransmitAcceptedReportRequest{Timestamp: round(1), Report: report},
			&reportingv1.ShouldTransmitAcceptedReportResponse{}),
	}, nil
}

// medianBrokenAnswers breaks every rule of every field of every answer that a median's calls ask for, one by one.
func medianBrokenAnswers(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	parent, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	calls, err := l.asking(ctx, parent, child)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		answers := map[string]proto.Message{} // what the call asks for
		var mu sync.Mutex
		l.world.host.Spoil(func(method string, answer proto.Message) {
			mu.Lock()
			defer mu.Unlock()
			answers[method] = proto.Clone(answer)
		})
		if err := calls[name](); err != nil {
			return err
		}
		l.world.host.Spoil(nil)
		for _, asked := range slices.Sorted(maps.Keys(answers)) {
			for _, breaking := range breakage.Of(answers[asked]) {
				if breaking.Unsendable {
					continue
				}
				l.world.host.Spoil(func(method string, answer proto.Message) {
					if method == asked {
						breaking.Apply(answer.ProtoReflect())
					}
				})
				err := calls[name]()
				l.world.host.Spoil(nil)
				what := fmt.Sprintf("%s, whose %s was answered with a field %s that is %s,",
					name, short(asked), breaking.Field, breaking.How)
				if err := want(what, err, codes.Internal); err != nil {
					return err
				}
			}
		}
		if err := calls[name](); err != nil {
			return wrap(name+" after answers that broke the contract", err)
		}
	}
	return l.alive(ctx, "answers that broke the contract")
}

func medianLarge(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	const size = wire.MaxMessageBytes - 64 // the message around it takes a few bytes
	report := bytes.Repeat([]byte{7}, size)
	l.world.provider.Show(loan.Contract{Digest: digest(1), Answer: new(big.Int), MaxReportLength: wire.MaxMessageBytes})
	l.world.provider.Build(report)
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	observation, err := l.observe(ctx, child)
	if err != nil {
		return err
	}
	r := &reportingv1.ReportRequest{Timestamp: round(1)}
	for i := range 4 {
		r.Observations = append(r.Observations,
			&reportingv1.AttributedObservation{Observation: observation, Observer: uint32(i)})
	}
	var answer reportingv1.ReportResponse
	if err := l.call(ctx, child, reportingv1.ReportingPluginService_Report_FullMethodName, r, &answer); err != nil {
		return wrap(fmt.Sprintf("a report of %d bytes, within the limit of a message,", size), err)
	}
	if !bytes.Equal(answer.GetReport(), report) {
		return fmt.Errorf("a report of %d bytes came back with %d", size, len(answer.GetReport()))
	}
	return nil
}

// vectorCases are one case for each vector.
func vectorCases() ([]check, error) {
	vectors, err := vector.Median()
	if err != nil {
		return nil, err
	}
	var all []check
	for _, v := range vectors {
		all = append(all,
			check{name: "answers/" + v.Name, about: v.About, run: func(ctx context.Context, b *bench) error {
				return runVector(ctx, b, v)
			}})
	}
	return all, nil
}

func runVector(ctx context.Context, b *bench, v vector.Vector) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	w := l.world
	contract, err := contractOf(v.Contract)
	if err != nil {
		return err
	}
	w.provider.Show(contract)
	factory := &medianv1.CreateMedianFactoryRequest{Name: loan.Name("Conformance"), Provider: w.providerName,
		ErrorLog: w.errorsName, IncludeGasPriceSubunits: v.Config.IncludeGas}
	for field, text := range map[*string]string{&factory.ValueSource: v.Sources.Value,
		&factory.JuelsPerFeeCoinSource: v.Sources.Juels, &factory.GasPriceSubunitsSource: v.Sources.Gas} {
		value, ok := new(big.Int).SetString(text, 10)
		if !ok {
			return fmt.Errorf("the vector's source %q is not an integer", text)
		}
		*field = w.host.Lend("DataSource", loan.NewSource(value), "loop.hostservice.v1.DataSourceService")
	}
	if err := l.call(ctx, "", medianv1.MedianService_CreateMedianFactory_FullMethodName, factory,
		&medianv1.CreateMedianFactoryResponse{}); err != nil {
		return wrap("CreateMedianFactory", err)
	}
	instance := &reportingv1.CreateReportingPluginRequest{Name: loan.Name("Conformance"), ConfigDigest: digest(1),
		OracleId: v.Config.OracleID,
		N:        v.Config.N, F: v.Config.F, OnchainConfig: v.Config.Onchain, OffchainConfig: v.Config.Offchain}
	if err := l.call(ctx, factory.GetName(),
		reportingv1.ReportingPluginFactoryService_CreateReportingPlugin_FullMethodName, instance,
		&reportingv1.CreateReportingPluginResponse{}); err != nil {
		return wrap("CreateReportingPlugin", err)
	}
	for i, step := range v.Steps {
		if step.Contract != nil {
			if contract, err = contractOf(*step.Contract); err != nil {
				return err
			}
			w.provider.Show(contract)
		}
		if err := l.step(ctx, instance.GetName(), step); err != nil {
			return fmt.Errorf("step %d, %s of epoch %d round %d: %w", i+1, step.Call, step.Epoch, step.Round, err)
		}
	}
	return l.release(ctx, instance.GetName(), factory.GetName())
}

func contractOf(c vector.Contract) (loan.Contract, error) {
	answer, ok := new(big.Int).SetString(c.Answer, 10)
	if !ok {
		return loan.Contract{}, fmt.Errorf("the vector's answer %q is not an integer", c.Answer)
	}
	out := loan.Contract{Digest: digest(c.Digest), Epoch: c.Epoch, Round: c.Round, Answer: answer,
		Age: time.Duration(c.AgeSeconds) * time.Second, MaxReportLength: c.MaxReportLength}
	if r := c.Requested; r != nil {
		out.Requested = &reportingv1.ReportTimestamp{ConfigDigest: digest(r.Digest), Epoch: r.Epoch, Round: r.Round}
		out.RequestedAge = time.Duration(r.AgeSeconds) * time.Second
	}
	return out, nil
}

// step makes one call of a vector and compares its answer.
func (l *generation) step(ctx context.Context, instance string, s vector.Step) error {
	at := &reportingv1.ReportTimestamp{ConfigDigest: digest(1), Epoch: s.Epoch, Round: s.Round}
	client := reportingv1.NewReportingPluginServiceClient(wire.Bind(l.Conn, instance))
	var got vector.Answer
	var err error
	switch s.Call {
	case "query":
		var r *reportingv1.QueryResponse
		r, err = client.Query(ctx, &reportingv1.QueryRequest{Timestamp: at})
		got.Bytes = r.GetQuery()
	case "observation":
		var r *reportingv1.ObservationResponse
		if r, err = client.Observation(ctx, &reportingv1.ObservationRequest{Timestamp: at, Query: s.Query}); err == nil {
			var bad error
			if got.Bytes, bad = timeless(r.GetObservation(), time.Now()); bad != nil {
				return bad
			}
		}
	case "report":
		request := &reportingv1.ReportRequest{Timestamp: at, Query: s.Query}
		for _, o := range s.Observations {
			request.Observations = append(request.Observations,
				&reportingv1.AttributedObservation{Observation: o.Observation, Observer: o.Observer})
		}
		var r *reportingv1.ReportResponse
		r, err = client.Report(ctx, request)
		got.Yes, got.Bytes = r.GetShouldReport(), r.GetReport()
	case "accept":
		var r *reportingv1.ShouldAcceptFinalizedReportResponse
		r, err = client.ShouldAcceptFinalizedReport(ctx,
			&reportingv1.ShouldAcceptFinalizedReportRequest{Timestamp: at, Report: s.Report})
		got.Yes = r.GetShouldAccept()
	case "transmit":
		var r *reportingv1.ShouldTransmitAcceptedReportResponse
		r, err = client.ShouldTransmitAcceptedReport(ctx,
			&reportingv1.ShouldTransmitAcceptedReportRequest{Timestamp: at, Report: s.Report})
		got.Yes = r.GetShouldTransmit()
	default:
		return fmt.Errorf("the vector's call %q is not known", s.Call)
	}
	switch {
	case s.Want.Error:
		return want("the call", err, codes.FailedPrecondition, codes.InvalidArgument)
	case err != nil:
		return fmt.Errorf("answered with %s (%s); want %s", codeName(status.Code(err)), cut(status.Convert(err).Message()),
			describe(s.Want))
	case got.Yes != s.Want.Yes || !bytes.Equal(got.Bytes, s.Want.Bytes):
		return fmt.Errorf("answered %s; want %s", describe(got), describe(s.Want))
	}
	return nil
}

func describe(a vector.Answer) string {
	if len(a.Bytes) == 0 {
		return fmt.Sprintf("%t and no bytes", a.Yes)
	}
	return fmt.Sprintf("%t and the bytes %x", a.Yes, []byte(a.Bytes))
}

// timeless takes the time out of an observation, which is protobuf: the unix time in field 1, which must be now.
func timeless(observation []byte, now time.Time) ([]byte, error) {
	var rest []byte
	var at uint64
	for b := observation; len(b) > 0; {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errors.New("the observation is not protobuf")
		}
		m := protowire.ConsumeFieldValue(number, typ, b[n:])
		if m < 0 {
			return nil, errors.New("the observation is not protobuf")
		}
		if number == 1 && typ == protowire.VarintType {
			at, _ = protowire.ConsumeVarint(b[n:])
		} else {
			rest = append(rest, b[:n+m]...)
		}
		b = b[n+m:]
	}
	if age := now.Sub(time.Unix(int64(at), 0)); age > time.Minute || age < -time.Minute {
		return nil, fmt.Errorf("the observation says that it was made at the unix time %d; want now, %d", at, now.Unix())
	}
	return rest, nil
}
