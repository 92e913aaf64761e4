package solana

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	sol "github.com/gagliardetto/solana-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// ConfigProvider follows one contract's configuration for one job.
type ConfigProvider struct {
	relayerv1.UnimplementedContractConfigServiceServer

	name     string
	chain    *Chain
	contract *contract
}

// MedianProvider is all that a median job asks of its contract.
type MedianProvider struct {
	relayerv1.UnimplementedContractTransmitterServiceServer
	medianv1.UnimplementedMedianContractServiceServer
	codec
	*ConfigProvider

	transmitter sol.PublicKey
	queue       *relayer.Queue
	unitLimit   uint32
}

var (
	_ relayerv1loop.ConfigProvider = (*ConfigProvider)(nil)
	_ relayerv1loop.MedianProvider = (*MedianProvider)(nil)
)

// CreateConfigProvider implements relayerv1loop.Chain.
func (c *Chain) CreateConfigProvider(_ context.Context, request *relayerv1.CreateConfigProviderRequest) (relayerv1loop.ConfigProvider, *relayerv1.CreateConfigProviderResponse, error) {
	provider, err := c.configProvider(request.GetName(), request.GetConfig())
	if err != nil {
		return nil, nil, err
	}
	return provider, &relayerv1.CreateConfigProviderResponse{}, nil
}

// CreateMedianProvider implements relayerv1loop.Chain.
func (c *Chain) CreateMedianProvider(_ context.Context, request *relayerv1.CreateMedianProviderRequest) (relayerv1loop.MedianProvider, *relayerv1.CreateMedianProviderResponse, error) {
	transmitter, err := account.Parse(request.GetTransmitterId())
	if err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "transmitter_id: %v", err)
	}
	if request.GetGasLimit() > maxUnits {
		return nil, nil, status.Errorf(codes.InvalidArgument, "gas_limit: the chain gives a transaction %d compute units at most, got %d", maxUnits, request.GetGasLimit())
	}
	base, err := c.configProvider(request.GetName(), request.GetConfig())
	if err != nil {
		return nil, nil, err
	}
	q, err := c.Queue(transmitter.String())
	if err != nil {
		return nil, nil, errors.Join(err, base.Close())
	}
	return &MedianProvider{ConfigProvider: base, transmitter: transmitter, queue: q.Queue, unitLimit: request.GetGasLimit()}, &relayerv1.CreateMedianProviderResponse{}, nil
}

func (c *Chain) configProvider(name string, config *relayerv1.ProviderConfig) (*ConfigProvider, error) {
	accounts, err := c.accounts(config.GetRelayConfigJson())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config.relay_config_json: %v", err)
	}
	if accounts.State, err = account.Parse(config.GetContractId()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config.contract_id: %v", err)
	}
	followed, err := c.ledger.acquire(accounts)
	if err != nil {
		return nil, err
	}
	followed.attach(name)
	return &ConfigProvider{name: name, chain: c, contract: followed}, nil
}

// accounts reads a job's relayConfig. Keys that it does not know are ignored: real jobs carry old ones.
func (c *Chain) accounts(text []byte) (ocr2.Contract, error) {
	var config struct {
		ChainID         any    `json:"chainID"`
		OCR2ProgramID   string `json:"ocr2ProgramID"`
		StoreProgramID  string `json:"storeProgramID"`
		TransmissionsID string `json:"transmissionsID"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return ocr2.Contract{}, fmt.Errorf("it is no JSON object of the kind expected: %w", err)
	}
	if config.ChainID != nil && fmt.Sprint(config.ChainID) != c.config.ChainID {
		return ocr2.Contract{}, fmt.Errorf("chainID is %v, but the job is on chain %s", config.ChainID, c.config.ChainID)
	}
	var accounts ocr2.Contract
	for _, id := range []struct {
		name, text string
		key        *sol.PublicKey
	}{
		{"ocr2ProgramID", config.OCR2ProgramID, &accounts.Program}, {"storeProgramID", config.StoreProgramID, &accounts.Store},
		{"transmissionsID", config.TransmissionsID, &accounts.Feed},
	} {
		var err error
		if *id.key, err = account.Parse(id.text); err != nil {
			return ocr2.Contract{}, fmt.Errorf("%s: %w", id.name, err)
		}
	}
	return accounts, nil
}

// Close ends the job's part in following the contract. What it transmitted goes on.
func (p *ConfigProvider) Close() error {
	p.contract.detach(p.name)
	return p.chain.ledger.release(p.contract.accounts)
}

// LatestConfigDetails implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestConfigDetails(ctx context.Context, _ *relayerv1.LatestConfigDetailsRequest) (*relayerv1.LatestConfigDetailsResponse, error) {
	ctx, cancel := wire.Deadline(ctx, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName)
	defer cancel()
	head, err := p.contract.latestHead(ctx)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigDetailsResponse{ChangedInBlock: head.ConfigSlot, ConfigDigest: head.ConfigDigest[:]}, nil
}

// LatestConfig implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestConfig(ctx context.Context, request *relayerv1.LatestConfigRequest) (*relayerv1.LatestConfigResponse, error) {
	state, err := p.contract.latestConfig(ctx, request.GetChangedInBlock())
	if err != nil {
		return nil, asUnavailable(err)
	}
	config, err := state.Config()
	if err != nil {
		return nil, asUnavailable(err)
	}
	message := &relayerv1.ContractConfig{
		ConfigDigest: state.ConfigDigest[:], ConfigCount: uint64(config.Count), F: uint32(config.F), OnchainConfig: config.Onchain,
		OffchainConfigVersion: config.OffchainVersion, OffchainConfig: config.Offchain,
	}
	for _, signer := range config.Signers {
		message.Signers = append(message.Signers, signer[:])
	}
	for _, transmitter := range config.Transmitters {
		message.Transmitters = append(message.Transmitters, transmitter.String())
	}
	return &relayerv1.LatestConfigResponse{Config: message}, nil
}

// LatestBlockHeight implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestBlockHeight(ctx context.Context, _ *relayerv1.LatestBlockHeightRequest) (*relayerv1.LatestBlockHeightResponse, error) {
	ctx, cancel := wire.Deadline(ctx, relayerv1.ContractConfigService_LatestBlockHeight_FullMethodName)
	defer cancel()
	if err := p.chain.Pool().Await(ctx); err != nil {
		return nil, err
	}
	if _, err := p.chain.Pool().Best(); err != nil {
		return nil, err
	}
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: p.chain.Pool().Height()}, nil
}

// ConfigDigest implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) ConfigDigest(_ context.Context, request *relayerv1.ConfigDigestRequest) (*relayerv1.ConfigDigestResponse, error) {
	in := request.GetConfig()
	switch {
	case in.GetF() > math.MaxUint8:
		return nil, status.Errorf(codes.InvalidArgument, "config.f: the program holds 8 bits, got %d", in.GetF())
	case in.GetConfigCount() > math.MaxUint32:
		return nil, status.Errorf(codes.InvalidArgument, "config.config_count: the program holds 32 bits, got %d", in.GetConfigCount())
	case len(in.GetSigners()) != len(in.GetTransmitters()) || len(in.GetSigners()) > ocr2.MaxOracles:
		return nil, status.Errorf(codes.InvalidArgument, "config: the program holds as many signers as transmitters, and at most %d, got %d and %d", ocr2.MaxOracles, len(in.GetSigners()), len(in.GetTransmitters()))
	case len(in.GetOffchainConfig()) > ocr2.MaxOffchainConfig:
		return nil, status.Errorf(codes.InvalidArgument, "config.offchain_config: the program holds %d bytes, got %d", ocr2.MaxOffchainConfig, len(in.GetOffchainConfig()))
	}
	config := ocr2.Config{
		Count: uint32(in.GetConfigCount()), F: uint8(in.GetF()), Onchain: in.GetOnchainConfig(),
		OffchainVersion: in.GetOffchainConfigVersion(), Offchain: in.GetOffchainConfig(),
	}
	for i, signer := range in.GetSigners() {
		if len(signer) != ocr2.SignerLength {
			return nil, status.Errorf(codes.InvalidArgument, "config.signers[%d]: the program holds %d bytes, got %d", i, ocr2.SignerLength, len(signer))
		}
		config.Signers = append(config.Signers, [ocr2.SignerLength]byte(signer))
	}
	for i, text := range in.GetTransmitters() {
		transmitter, err := account.Parse(text)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "config.transmitters[%d]: %v", i, err)
		}
		config.Transmitters = append(config.Transmitters, transmitter)
	}
	digest := config.Digest(p.contract.accounts.Program, p.contract.accounts.State)
	return &relayerv1.ConfigDigestResponse{ConfigDigest: digest[:]}, nil
}

// ConfigDigestPrefix implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) ConfigDigestPrefix(context.Context, *relayerv1.ConfigDigestPrefixRequest) (*relayerv1.ConfigDigestPrefixResponse, error) {
	return &relayerv1.ConfigDigestPrefixResponse{Prefix: ocr2.DigestPrefix}, nil
}

// Transmit implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) Transmit(ctx context.Context, request *relayerv1.TransmitRequest) (*relayerv1.TransmitResponse, error) {
	timestamp, extra := request.GetReportContext().GetTimestamp(), request.GetReportContext().GetExtraHash()
	if len(timestamp.GetConfigDigest()) != 32 || len(extra) != 32 || timestamp.GetRound() > math.MaxUint8 {
		return nil, status.Error(codes.InvalidArgument, "report_context: the digest and the extra hash must have 32 bytes, and the round 8 bits")
	}
	if _, err := ocr2.ParseReport(request.GetReport()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "report: %v", err)
	}
	signatures := make([][]byte, len(request.GetSignatures()))
	for i, signature := range request.GetSignatures() {
		signatures[i] = signature.GetSignature()
	}
	raw := [3][32]byte{[32]byte(timestamp.GetConfigDigest()), {}, [32]byte(extra)}
	binary.BigEndian.PutUint32(raw[1][27:], timestamp.GetEpoch())
	raw[1][31] = byte(timestamp.GetRound())
	instruction, err := p.contract.accounts.Transmit(p.transmitter, raw, request.GetReport(), signatures)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "signatures: %v", err)
	}
	call := account.NewCall(instruction)
	call.Limit = p.unitLimit
	payload, err := call.Encode()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	err = p.queue.Add(ctx, relayer.Item{
		Contract: p.contract.accounts.State.String(), Digest: raw[0], Epoch: timestamp.GetEpoch(), Round: uint8(timestamp.GetRound()), Payload: payload,
	})
	if err != nil {
		return nil, err
	}
	return &relayerv1.TransmitResponse{}, nil
}

// LatestConfigDigestAndEpoch implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) LatestConfigDigestAndEpoch(ctx context.Context, _ *relayerv1.LatestConfigDigestAndEpochRequest) (*relayerv1.LatestConfigDigestAndEpochResponse, error) {
	ctx, cancel := wire.Deadline(ctx, relayerv1.ContractTransmitterService_LatestConfigDigestAndEpoch_FullMethodName)
	defer cancel()
	head, err := p.contract.latestHead(ctx)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigDigestAndEpochResponse{ConfigDigest: head.ConfigDigest[:], Epoch: head.Epoch}, nil
}

// FromAccount implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) FromAccount(context.Context, *relayerv1.FromAccountRequest) (*relayerv1.FromAccountResponse, error) {
	return &relayerv1.FromAccountResponse{Account: p.transmitter.String()}, nil
}

// LatestTransmissionDetails implements medianv1.MedianContractServiceServer. The time is that of the observations.
func (p *MedianProvider) LatestTransmissionDetails(ctx context.Context, _ *medianv1.LatestTransmissionDetailsRequest) (*medianv1.LatestTransmissionDetailsResponse, error) {
	ctx, cancel := wire.Deadline(ctx, medianv1.MedianContractService_LatestTransmissionDetails_FullMethodName)
	defer cancel()
	v, err := p.contract.latest(ctx)
	if err != nil {
		return nil, err
	}
	return &medianv1.LatestTransmissionDetailsResponse{
		Timestamp:       &reportingv1.ReportTimestamp{ConfigDigest: v.ConfigDigest[:], Epoch: v.Epoch, Round: uint32(v.Round)},
		LatestAnswer:    wire.BigInt(v.Answer),
		LatestTimestamp: timestamppb.New(v.Time),
	}, nil
}

// LatestRoundRequested implements medianv1.MedianContractServiceServer. Whoever asks for a round leaves no trace in the
// contract's accounts, so that none is ever known.
func (p *MedianProvider) LatestRoundRequested(ctx context.Context, _ *medianv1.LatestRoundRequestedRequest) (*medianv1.LatestRoundRequestedResponse, error) {
	ctx, cancel := wire.Deadline(ctx, medianv1.MedianContractService_LatestRoundRequested_FullMethodName)
	defer cancel()
	head, err := p.contract.latestHead(ctx)
	if err != nil {
		return nil, err
	}
	return &medianv1.LatestRoundRequestedResponse{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: head.ConfigDigest[:]}}, nil
}

// asUnavailable makes a status of what the chain answered.
func asUnavailable(err error) error {
	if code := status.Code(err); code != codes.Unknown {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}
