package loan

import (
	"cmp"
	"context"
	"math"
	"math/big"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Contract is the state that a median's contract shows.
type Contract struct {
	Digest       []byte
	Epoch, Round uint32
	Answer       *big.Int
	// Age is how long ago the latest transmission was.
	Age time.Duration
	// Requested is the round that somebody asked for; nil if there is none.
	Requested *reportingv1.ReportTimestamp
	// RequestedAge is how long ago that was.
	RequestedAge time.Duration
	// MaxReportLength overrides the bound of reports, in bytes; 0 means the codec's own.
	MaxReportLength uint32
}

// Provider is a relayer's median provider without a chain. Its codec is the one of the vectors, see package vector.
type Provider struct {
	Hold
	script

	mu       sync.Mutex
	contract Contract
	// report replaces what BuildReport makes; nil: nothing does.
	report []byte
}

// NewProvider returns a provider whose contract has no transmission yet.
func NewProvider() *Provider {
	return &Provider{Hold: newHold(), contract: Contract{Digest: make([]byte, 32), Answer: new(big.Int)}}
}

// Show sets the state that the contract shows.
func (p *Provider) Show(c Contract) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contract = c
}

// Build makes these bytes every report.
func (p *Provider) Build(report []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report = report
}

// entryLength is the codec's length of one observation: observer, unix time in 4 bytes, and three integers of 24.
const entryLength = 1 + 4 + 3*valueLength

const valueLength = 24

// Answer implements Object.
func (p *Provider) Answer(ctx context.Context, method string, request proto.Message) (any, error) {
	if err := p.pass(ctx); err != nil {
		return nil, err
	}
	if next := p.scripted(); next != nil {
		return next()
	}
	p.mu.Lock()
	c, built := p.contract, p.report
	p.mu.Unlock()
	switch r := request.(type) {
	case *medianv1.LatestTransmissionDetailsRequest:
		return &medianv1.LatestTransmissionDetailsResponse{
			Timestamp:    &reportingv1.ReportTimestamp{ConfigDigest: c.Digest, Epoch: c.Epoch, Round: c.Round},
			LatestAnswer: wire.BigInt(c.Answer), LatestTimestamp: timestamppb.New(time.Now().Add(-c.Age)),
		}, nil
	case *medianv1.LatestRoundRequestedRequest:
		if c.Requested == nil || c.RequestedAge > r.GetLookback().AsDuration() {
			return &medianv1.LatestRoundRequestedResponse{
				Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}}, nil
		}
		return &medianv1.LatestRoundRequestedResponse{Timestamp: c.Requested}, nil
	case *medianv1.BuildReportRequest:
		if built != nil {
			return &medianv1.BuildReportResponse{Report: built}, nil
		}
		return buildReport(r)
	case *medianv1.MedianFromReportRequest:
		return medianFromReport(r.GetReport())
	case *medianv1.MaxReportLengthRequest:
		return &medianv1.MaxReportLengthResponse{MaxReportLength: cmp.Or(c.MaxReportLength, r.GetN()*entryLength)}, nil
	case *medianv1.EncodeOnchainConfigRequest:
		encoded := encodeValue(encodeValue([]byte{1}, r.GetConfig().GetMin()), r.GetConfig().GetMax())
		return &medianv1.EncodeOnchainConfigResponse{Encoded: encoded}, nil
	case *medianv1.DecodeOnchainConfigRequest:
		b := r.GetEncoded()
		if len(b) != 1+2*valueLength || b[0] != 1 {
			return nil, status.Errorf(codes.InvalidArgument, "%d bytes are no on-chain configuration", len(b))
		}
		return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{
			Min: decodeValue(b[1 : 1+valueLength]), Max: decodeValue(b[1+valueLength:])}}, nil
	}
	return nil, status.Errorf(codes.Unimplemented, "the provider has no %s", method)
}

// buildReport writes the observations in the order in which they come.
func buildReport(r *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	var report []byte
	for _, o := range r.GetObservations() {
		at := o.GetTimestamp().GetSeconds()
		if at > math.MaxUint32 {
			return nil, status.Errorf(codes.InvalidArgument, "the time %d does not fit 32 bits", at)
		}
		report = append(report, byte(o.GetObserver()), byte(at>>24), byte(at>>16), byte(at>>8), byte(at))
		for _, v := range []*pluginv1.BigInt{o.GetValue(), o.GetJuelsPerFeeCoin(), o.GetGasPriceSubunits()} {
			report = encodeValue(report, v)
		}
	}
	return &medianv1.BuildReportResponse{Report: report}, nil
}

func medianFromReport(report []byte) (*medianv1.MedianFromReportResponse, error) {
	if len(report) == 0 || len(report)%entryLength != 0 {
		return nil, status.Errorf(codes.InvalidArgument, "%d bytes are not a report", len(report))
	}
	middle := report[len(report)/entryLength/2*entryLength:]
	return &medianv1.MedianFromReportResponse{Median: decodeValue(middle[5 : 5+valueLength])}, nil
}

// encodeValue appends the two's complement of v, which by its field's rules has at most 192 bits.
func encodeValue(b []byte, v *pluginv1.BigInt) []byte {
	i := wire.Int(v)
	if i.Sign() < 0 {
		i.Add(i, new(big.Int).Lsh(big.NewInt(1), 8*valueLength))
	}
	return append(b, i.FillBytes(make([]byte, valueLength))...)
}

func decodeValue(b []byte) *pluginv1.BigInt {
	i := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		i.Sub(i, new(big.Int).Lsh(big.NewInt(1), 8*valueLength))
	}
	return wire.BigInt(i)
}
