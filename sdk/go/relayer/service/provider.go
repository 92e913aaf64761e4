package service

import (
	"context"
	"encoding/binary"
	"errors"
	"math"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// ConfigProvider follows one contract's configuration for one job. It answers UNIMPLEMENTED to all other calls of
// providers.
type ConfigProvider struct {
	relayerv1.UnimplementedContractTransmitterServiceServer
	relayerv1.UnimplementedReportDigestServiceServer
	medianv1.UnimplementedMedianContractServiceServer
	medianv1.UnimplementedReportCodecServiceServer
	medianv1.UnimplementedOnchainConfigCodecServiceServer

	name     string
	contract Contract
	release  func() error
}

// NewConfigProvider makes the object of a job by its name. It calls release once, when the job no longer needs the
// contract.
func NewConfigProvider(name string, contract Contract, release func() error) *ConfigProvider {
	contract.Attach(name)
	return &ConfigProvider{name: name, contract: contract, release: release}
}

// Report is the report that a job transmits.
type Report struct {
	Round
	ExtraHash  [32]byte
	Report     []byte
	Signatures [][]byte
}

// Context is the report's logical time in OCR2's three words: the config digest; 27 zero bytes, the epoch and the
// round; the extra hash.
func (r Report) Context() [3][32]byte {
	words := [3][32]byte{r.Digest, {}, r.ExtraHash}
	binary.BigEndian.PutUint32(words[1][27:], r.Epoch)
	words[1][31] = r.Round.Round
	return words
}

// Payload turns a report into what its account can send. Its errors become the plugin's answer, INVALID_ARGUMENT, and
// begin with the field of the TransmitRequest.
type Payload func(ctx context.Context, report Report) ([]byte, error)

// Digest returns what an oracle's on-chain key signs for a report, in the form of the relayer's ReportAlgorithm. Its
// error says why the report cannot be signed. The report has no Signatures, and may hold anything, since another oracle
// may have made it.
type Digest func(report Report) ([]byte, error)

// Served configures the provider of a job, except for its contract.
type Served struct {
	Codec   Codec
	Payload Payload
	Digest  Digest
}

// MedianProvider is everything that a median job needs from its contract.
type MedianProvider struct {
	CodecServer
	*ConfigProvider

	account string // as the contract's configuration has it
	in      string // the contract's name in the queue
	queue   *relayer.Queue
	payload Payload
	digest  Digest
}

var (
	_ relayerv1loop.Provider = (*ConfigProvider)(nil)
	_ relayerv1loop.Provider = (*MedianProvider)(nil)
)

// Job reads the job of a request for a provider. Its error becomes the plugin's answer.
func (c *Chain[C, K, A, F]) Job(request *relayerv1.CreateProviderRequest) (*Job, error) {
	return c.settings.job(request)
}

// Provider makes the provider of a job, of the type that the job asks for, and follows the job's contract. A provider
// that sends has the queue of the job's account. The result is that of CreateProvider.
func (c *Chain[C, K, A, F]) Provider(name string, job *Job, key K,
	served Served) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	contract, err := c.Acquire(key)
	if err != nil {
		return nil, nil, err
	}
	c.list(name, provided{job.Contract, contract})
	base := NewConfigProvider(name, contract, func() error {
		c.unlist(name)
		return c.Release(key)
	})
	if job.ProviderType == relayer.ProviderConfig {
		return base, &relayerv1.CreateProviderResponse{}, nil
	}
	q, err := c.Queue(job.From)
	if err != nil {
		return nil, nil, errors.Join(err, base.Close())
	}
	return &MedianProvider{
		ConfigProvider: base, CodecServer: CodecServer{Codec: served.Codec}, account: job.From, in: job.Contract,
		queue:   q.Queue,
		payload: served.Payload, digest: served.Digest,
	}, &relayerv1.CreateProviderResponse{}, nil
}

// Close stops following the contract. Accepted reports are sent nevertheless.
func (p *ConfigProvider) Close() error {
	p.contract.Detach(p.name)
	return p.release()
}

// LatestConfigDetails implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestConfigDetails(ctx context.Context,
	_ *relayerv1.LatestConfigDetailsRequest) (*relayerv1.LatestConfigDetailsResponse, error) {
	ctx, cancel := wire.Deadline(ctx, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName)
	defer cancel()
	state, err := p.contract.State(ctx)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigDetailsResponse{ChangedInBlock: state.ConfigBlock,
		ConfigDigest: state.ConfigDigest[:]}, nil
}

// LatestConfig implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestConfig(ctx context.Context,
	request *relayerv1.LatestConfigRequest) (*relayerv1.LatestConfigResponse, error) {
	config, err := p.contract.Config(ctx, request.GetChangedInBlock())
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigResponse{Config: config}, nil
}

// LatestBlockHeight implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestBlockHeight(ctx context.Context,
	_ *relayerv1.LatestBlockHeightRequest) (*relayerv1.LatestBlockHeightResponse, error) {
	ctx, cancel := wire.Deadline(ctx, relayerv1.ContractConfigService_LatestBlockHeight_FullMethodName)
	defer cancel()
	height, err := p.contract.Height(ctx)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: height}, nil
}

// ConfigDigest implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) ConfigDigest(_ context.Context,
	request *relayerv1.ConfigDigestRequest) (*relayerv1.ConfigDigestResponse, error) {
	digest, err := p.contract.Digest(request.GetConfig())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &relayerv1.ConfigDigestResponse{ConfigDigest: digest[:]}, nil
}

// ConfigDigestPrefix implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) ConfigDigestPrefix(context.Context,
	*relayerv1.ConfigDigestPrefixRequest) (*relayerv1.ConfigDigestPrefixResponse, error) {
	return &relayerv1.ConfigDigestPrefixResponse{Prefix: p.contract.DigestPrefix()}, nil
}

// Transmit implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) Transmit(ctx context.Context,
	request *relayerv1.TransmitRequest) (*relayerv1.TransmitResponse, error) {
	report, err := reportAt(request.GetReportContext(), request.GetReport())
	if err != nil {
		return nil, err
	}
	for _, signature := range request.GetSignatures() {
		report.Signatures = append(report.Signatures, signature.GetSignature())
	}
	payload, err := p.payload(ctx, report)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	err = p.queue.Add(ctx, relayer.Item{
		Contract: p.in, Digest: report.Digest, Epoch: report.Epoch, Round: report.Round.Round, Payload: payload,
	})
	if err != nil {
		return nil, err
	}
	return &relayerv1.TransmitResponse{}, nil
}

// reportAt is a report at its logical time.
func reportAt(at *reportingv1.ReportContext, report []byte) (Report, error) {
	timestamp, extra := at.GetTimestamp(), at.GetExtraHash()
	if len(timestamp.GetConfigDigest()) != 32 || len(extra) != 32 || timestamp.GetRound() > math.MaxUint8 {
		return Report{}, status.Error(codes.InvalidArgument,
			"report_context: the digest and the extra hash must have 32 bytes, and the round 8 bits")
	}
	return Report{
		Round: Round{Digest: [32]byte(timestamp.GetConfigDigest()), Epoch: timestamp.GetEpoch(),
			Round: uint8(timestamp.GetRound())},
		ExtraHash: [32]byte(extra), Report: report,
	}, nil
}

// DigestReports implements relayerv1.ReportDigestServiceServer.
func (p *MedianProvider) DigestReports(_ context.Context,
	request *relayerv1.DigestReportsRequest) (*relayerv1.DigestReportsResponse, error) {
	response := &relayerv1.DigestReportsResponse{}
	for _, given := range request.GetReports() {
		report, err := reportAt(given.GetReportContext(), given.GetReport())
		if err != nil {
			return nil, err
		}
		digest := &relayerv1.ReportDigest{}
		if message, err := p.digest(report); err != nil {
			digest.Problem = shortened(err.Error())
		} else {
			digest.Message, digest.Scheme = message, scheme
		}
		response.Digests = append(response.Digests, digest)
	}
	return response, nil
}

// LatestConfigDigestAndEpoch implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) LatestConfigDigestAndEpoch(ctx context.Context,
	_ *relayerv1.LatestConfigDigestAndEpochRequest) (*relayerv1.LatestConfigDigestAndEpochResponse, error) {
	ctx, cancel := wire.Deadline(ctx, relayerv1.ContractTransmitterService_LatestConfigDigestAndEpoch_FullMethodName)
	defer cancel()
	state, err := p.contract.State(ctx)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigDigestAndEpochResponse{ConfigDigest: state.EpochDigest[:], Epoch: state.Epoch}, nil
}

// FromAccount implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) FromAccount(context.Context,
	*relayerv1.FromAccountRequest) (*relayerv1.FromAccountResponse, error) {
	return &relayerv1.FromAccountResponse{Account: p.account}, nil
}

// LatestTransmissionDetails implements medianv1.MedianContractServiceServer.
func (p *MedianProvider) LatestTransmissionDetails(ctx context.Context,
	_ *medianv1.LatestTransmissionDetailsRequest) (*medianv1.LatestTransmissionDetailsResponse, error) {
	ctx, cancel := wire.Deadline(ctx, medianv1.MedianContractService_LatestTransmissionDetails_FullMethodName)
	defer cancel()
	latest, err := p.contract.Latest(ctx)
	if err != nil {
		return nil, err
	}
	return &medianv1.LatestTransmissionDetailsResponse{
		Timestamp: latest.message(), LatestAnswer: wire.BigInt(latest.Answer), LatestTimestamp: timestamppb.New(latest.Time),
		Transmitter: latest.Transmitter,
	}, nil
}

// LatestRoundRequested implements medianv1.MedianContractServiceServer.
func (p *MedianProvider) LatestRoundRequested(ctx context.Context,
	request *medianv1.LatestRoundRequestedRequest) (*medianv1.LatestRoundRequestedResponse, error) {
	ctx, cancel := wire.Deadline(ctx, medianv1.MedianContractService_LatestRoundRequested_FullMethodName)
	defer cancel()
	round, err := p.contract.Requested(ctx, request.GetLookback().AsDuration())
	if err != nil {
		return nil, err
	}
	return &medianv1.LatestRoundRequestedResponse{Timestamp: round.message()}, nil
}

// message is the round as the contract has it.
func (r Round) message() *reportingv1.ReportTimestamp {
	return &reportingv1.ReportTimestamp{ConfigDigest: r.Digest[:], Epoch: r.Epoch, Round: uint32(r.Round)}
}
