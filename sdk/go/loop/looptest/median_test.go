package looptest_test

import (
	"context"
	"math"
	"math/big"
	"sort"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// fakeMedian is a median written from the contract and the vectors alone. It keeps all that the suite asks but for what
// is broken, so that what fails is what a test broke.
type fakeMedian struct {
	what string
	// raw is the connection to the host without the SDK.
	raw grpc.ClientConnInterface
}

func (m fakeMedian) CreateMedianFactory(_ context.Context, r *medianv1.CreateMedianFactoryRequest,
	loans medianv1loop.CreateMedianFactoryLoans) (
	medianv1loop.MedianFactory, *medianv1.CreateMedianFactoryResponse, error) {
	if r.GetDeviationFunction() != nil {
		return nil, nil, status.Error(codes.InvalidArgument, "the deviation function is not known")
	}
	if m.what == "replies-unchecked" {
		loans = m.unchecked(r)
	}
	return &fakeFactory{m.what, r.GetIncludeGasPriceSubunits(), loans}, &medianv1.CreateMedianFactoryResponse{}, nil
}

// named addresses calls to an object and gives them the contract's deadlines, and does nothing else.
type named struct {
	grpc.ClientConnInterface
	name string
}

// Invoke implements grpc.ClientConnInterface.
func (n named) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	ctx, cancel := wire.Deadline(ctx, method)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, wire.ObjectKey, n.name)
	return n.ClientConnInterface.Invoke(ctx, method, args, reply, options...)
}

// unchecked are the loans without the SDK, which would check their answers.
func (m fakeMedian) unchecked(r *medianv1.CreateMedianFactoryRequest) medianv1loop.CreateMedianFactoryLoans {
	provider := named{m.raw, r.GetProvider()}
	return medianv1loop.CreateMedianFactoryLoans{
		Provider: medianv1loop.MedianFactoryProvider{
			MedianContractServiceClient:     medianv1.NewMedianContractServiceClient(provider),
			ReportCodecServiceClient:        medianv1.NewReportCodecServiceClient(provider),
			OnchainConfigCodecServiceClient: medianv1.NewOnchainConfigCodecServiceClient(provider),
		},
		ValueSource:            hostservicev1.NewDataSourceServiceClient(named{m.raw, r.GetValueSource()}),
		JuelsPerFeeCoinSource:  hostservicev1.NewDataSourceServiceClient(named{m.raw, r.GetJuelsPerFeeCoinSource()}),
		GasPriceSubunitsSource: hostservicev1.NewDataSourceServiceClient(named{m.raw, r.GetGasPriceSubunitsSource()}),
	}
}

type fakeFactory struct {
	what  string
	gas   bool
	loans medianv1loop.CreateMedianFactoryLoans
}

func (f *fakeFactory) CreateReportingPlugin(ctx context.Context,
	r *reportingv1.CreateReportingPluginRequest) (
	reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	i := &fakeInstance{factory: f, request: r, accepted: new(big.Int)}
	ok := fields(r.GetOffchainConfig(), func(n protowire.Number, v uint64, _ []byte) {
		switch n {
		case 1:
			i.reportNever = v != 0
		case 2:
			i.alphaReport = v
		case 3:
			i.acceptNever = v != 0
		case 4:
			i.alphaAccept = v
		case 5:
			i.deltaC = time.Duration(v)
		}
	})
	if !ok || i.deltaC < 0 {
		return nil, nil, status.Error(codes.InvalidArgument, "the off-chain configuration does not decode")
	}
	onchain, err := f.loans.Provider.DecodeOnchainConfig(ctx,
		&medianv1.DecodeOnchainConfigRequest{Encoded: r.GetOnchainConfig()})
	if err != nil {
		return nil, nil, err
	}
	i.least, i.most = wire.Int(onchain.GetConfig().GetMin()), wire.Int(onchain.GetConfig().GetMax())
	longest, err := f.loans.Provider.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: r.GetN()})
	if err != nil {
		return nil, nil, err
	}
	i.longest = int(longest.GetMaxReportLength())
	return i, &reportingv1.CreateReportingPluginResponse{Product: "fake",
		Limits: &reportingv1.ReportingPluginLimits{MaxReportLength: longest.GetMaxReportLength()}}, nil
}

// fields reads protobuf; it is false for what is none.
func fields(b []byte, take func(protowire.Number, uint64, []byte)) bool {
	for len(b) > 0 {
		n, typ, k := protowire.ConsumeTag(b)
		if k < 0 {
			return false
		}
		b = b[k:]
		switch m := protowire.ConsumeFieldValue(n, typ, b); {
		case m < 0:
			return false
		case typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(b)
			take(n, v, nil)
			b = b[m:]
		case typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(b)
			take(n, 0, v)
			b = b[m:]
		default:
			b = b[m:]
		}
	}
	return true
}

type fakeInstance struct {
	factory                  *fakeFactory
	request                  *reportingv1.CreateReportingPluginRequest
	reportNever, acceptNever bool
	alphaReport, alphaAccept uint64
	deltaC                   time.Duration
	least, most              *big.Int
	longest                  int

	mu           sync.Mutex
	accepted     *big.Int
	epoch, round uint32
}

func (*fakeInstance) Query(context.Context, *reportingv1.QueryRequest) (*reportingv1.QueryResponse, error) {
	return &reportingv1.QueryResponse{}, nil
}

var errQuery = status.Error(codes.FailedPrecondition, "the query is not empty")

func (i *fakeInstance) Observation(ctx context.Context,
	r *reportingv1.ObservationRequest) (*reportingv1.ObservationResponse, error) {
	if len(r.GetQuery()) > 0 {
		return nil, errQuery
	}
	l := i.factory.loans
	o := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(time.Now().Unix()))
	for n, source := range []hostservicev1.DataSourceServiceClient{l.ValueSource, l.JuelsPerFeeCoinSource,
		l.GasPriceSubunitsSource} {
		v, err := source.Observe(ctx, &hostservicev1.ObserveRequest{Timestamp: r.GetTimestamp()})
		if err != nil {
			return nil, err
		}
		if n < 2 || i.factory.gas {
			o = protowire.AppendBytes(protowire.AppendTag(o, protowire.Number(n+2), protowire.BytesType),
				encode(wire.Int(v.GetValue())))
		}
	}
	return &reportingv1.ObservationResponse{Observation: o}, nil
}

func encode(i *big.Int) []byte {
	if i.Sign() < 0 {
		i.Add(i, new(big.Int).Lsh(big.NewInt(1), 192))
	}
	return i.FillBytes(make([]byte, 24))
}

func decode(b []byte) *big.Int {
	i := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		i.Sub(i, new(big.Int).Lsh(big.NewInt(1), 192))
	}
	return i
}

func (i *fakeInstance) Report(ctx context.Context, r *reportingv1.ReportRequest) (*reportingv1.ReportResponse, error) {
	if len(r.GetQuery()) > 0 {
		return nil, errQuery
	}
	var all []*medianv1.ParsedAttributedObservation
	for _, o := range r.GetObservations() {
		values := [3]*big.Int{2: new(big.Int)}
		at, good := uint64(0), true
		ok := fields(o.GetObservation(), func(n protowire.Number, v uint64, b []byte) {
			switch {
			case n == 1:
				at = v
			case n >= 2 && n <= 4 && len(b) == 24:
				values[n-2] = decode(b)
			default:
				good = false
			}
		})
		if ok && good && values[0] != nil && values[1] != nil {
			all = append(all,
				&medianv1.ParsedAttributedObservation{Timestamp: &timestamppb.Timestamp{Seconds: int64(at)},
					Observer: o.GetObserver(),
					Value:    wire.BigInt(values[0]), JuelsPerFeeCoin: wire.BigInt(values[1]),
					GasPriceSubunits: wire.BigInt(values[2])})
		}
	}
	if len(all) <= int(i.request.GetF()) {
		return nil, status.Error(codes.FailedPrecondition, "too few observations decode")
	}
	byValue := sort.Slice
	if i.factory.what == "stable-sort" {
		byValue = sort.SliceStable
	}
	byValue(all, func(a, b int) bool { return wire.Int(all[a].GetValue()).Cmp(wire.Int(all[b].GetValue())) < 0 })
	answer := wire.Int(all[len(all)/2].GetValue())
	if should, err := i.should(ctx, r.GetTimestamp(), answer); err != nil || !should {
		return &reportingv1.ReportResponse{}, err
	}
	built, err := i.factory.loans.Provider.BuildReport(ctx, &medianv1.BuildReportRequest{Observations: all})
	if err != nil {
		return nil, err
	}
	if len(built.GetReport()) > i.longest {
		return nil, status.Error(codes.FailedPrecondition, "the report is too long")
	}
	return &reportingv1.ReportResponse{ShouldReport: true, Report: built.GetReport()}, nil
}

func (i *fakeInstance) should(ctx context.Context, at *reportingv1.ReportTimestamp, answer *big.Int) (bool, error) {
	c, err := i.factory.loans.Provider.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
	if err != nil {
		return false, err
	}
	asked, err := i.factory.loans.Provider.LatestRoundRequested(ctx,
		&medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(i.deltaC)})
	if err != nil {
		return false, err
	}
	if answer.Cmp(i.least) < 0 || answer.Cmp(i.most) > 0 {
		return false, nil
	}
	latest := c.GetTimestamp()
	same := string(latest.GetConfigDigest()) == string(at.GetConfigDigest())
	switch {
	case same && latest.GetEpoch() == 0 && latest.GetRound() == 0,
		!i.reportNever && i.deviates("float-report", i.alphaReport, wire.Int(c.GetLatestAnswer()), answer),
		c.GetLatestTimestamp().AsTime().Add(i.deltaC).Before(time.Now()):
		return true, nil
	}
	t := asked.GetTimestamp()
	return string(t.GetConfigDigest()) == string(at.GetConfigDigest()) &&
		!before(t.GetEpoch(), t.GetRound(), latest.GetEpoch(), latest.GetRound()), nil
}

func before(e1, r1, e2, r2 uint32) bool { return e1 < e2 || e1 == e2 && r1 < r2 }

// deviates is exact unless inexact is what is broken.
func (i *fakeInstance) deviates(inexact string, ppb uint64, from, to *big.Int) bool {
	if from.Sign() == 0 {
		return to.Sign() != 0
	}
	if i.factory.what == inexact {
		f, _ := new(big.Float).SetInt(from).Float64()
		t, _ := new(big.Float).SetInt(to).Float64()
		return math.Abs((t-f)/f) >= float64(ppb)/1e9
	}
	change := new(big.Rat).SetFrac(new(big.Int).Sub(to, from), from)
	return change.Abs(change).Cmp(new(big.Rat).SetFrac(new(big.Int).SetUint64(ppb), big.NewInt(1e9))) >= 0
}

func (i *fakeInstance) ShouldAcceptFinalizedReport(ctx context.Context,
	r *reportingv1.ShouldAcceptFinalizedReportRequest) (*reportingv1.ShouldAcceptFinalizedReportResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	no := &reportingv1.ShouldAcceptFinalizedReportResponse{}
	at := r.GetTimestamp()
	if !before(i.epoch, i.round, at.GetEpoch(), at.GetRound()) {
		return no, nil
	}
	c, fresh, err := i.newer(ctx, at)
	if err != nil || !fresh || len(r.GetReport()) > i.longest {
		return no, err
	}
	m, err := i.factory.loans.Provider.MedianFromReport(ctx, &medianv1.MedianFromReportRequest{Report: r.GetReport()})
	if err != nil {
		return nil, err
	}
	answer := wire.Int(m.GetMedian())
	pending := before(c.GetEpoch(), c.GetRound(), i.epoch, i.round)
	if pending && (i.acceptNever || !i.deviates("float-accept", i.alphaAccept, i.accepted, answer)) {
		return no, nil
	}
	i.epoch, i.round, i.accepted = at.GetEpoch(), at.GetRound(), answer
	return &reportingv1.ShouldAcceptFinalizedReportResponse{ShouldAccept: true}, nil
}

// newer returns the contract's latest timestamp, and whether at is after it in the instance's configuration.
func (i *fakeInstance) newer(ctx context.Context,
	at *reportingv1.ReportTimestamp) (*reportingv1.ReportTimestamp, bool, error) {
	c, err := i.factory.loans.Provider.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
	if err != nil {
		return nil, false, err
	}
	t := c.GetTimestamp()
	return t, string(t.GetConfigDigest()) == string(i.request.GetConfigDigest()) &&
		before(t.GetEpoch(), t.GetRound(), at.GetEpoch(), at.GetRound()), nil
}

func (i *fakeInstance) ShouldTransmitAcceptedReport(ctx context.Context,
	r *reportingv1.ShouldTransmitAcceptedReportRequest) (*reportingv1.ShouldTransmitAcceptedReportResponse, error) {
	_, newer, err := i.newer(ctx, r.GetTimestamp())
	if err != nil {
		return nil, err
	}
	return &reportingv1.ShouldTransmitAcceptedReportResponse{ShouldTransmit: newer}, nil
}
