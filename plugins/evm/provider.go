package evm

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
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

	transmitter common.Address
	queue       *relayer.Queue
	gasLimit    uint64
}

var (
	_ relayerv1loop.ConfigProvider = (*ConfigProvider)(nil)
	_ relayerv1loop.MedianProvider = (*MedianProvider)(nil)
)

// CreateConfigProvider implements relayerv1loop.Chain.
func (c *Chain) CreateConfigProvider(_ context.Context, request *relayerv1.CreateConfigProviderRequest) (relayerv1loop.ConfigProvider, *relayerv1.CreateConfigProviderResponse, error) {
	provider, err := c.configProvider(request.GetName(), request.GetConfig(), "")
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
	gasLimit := uint64(request.GetGasLimit())
	if gasLimit == 0 {
		gasLimit = c.config.transmissionGas()
	}
	if gasLimit < leastGas {
		return nil, nil, status.Errorf(codes.InvalidArgument, "gas_limit: a transaction takes at least 21000, got %d", gasLimit)
	}
	base, err := c.configProvider(request.GetName(), request.GetConfig(), transmitter.Hex())
	if err != nil {
		return nil, nil, err
	}
	q, err := c.Queue(transmitter.Hex())
	if err != nil {
		return nil, nil, err
	}
	return &MedianProvider{ConfigProvider: base, transmitter: transmitter, queue: q.Queue, gasLimit: gasLimit}, &relayerv1.CreateMedianProviderResponse{}, nil
}

func (c *Chain) configProvider(name string, config *relayerv1.ProviderConfig, transmitter string) (*ConfigProvider, error) {
	address, err := account.Parse(config.GetContractId())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config.contract_id: %v", err)
	}
	if err := c.checkRelayConfig(config.GetRelayConfigJson(), address, transmitter); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config.relay_config_json: %v", err)
	}
	followed, err := c.Acquire(address)
	if err != nil {
		return nil, err
	}
	c.events.Add(address)
	followed.attach(name)
	return &ConfigProvider{name: name, chain: c, contract: followed}, nil
}

// checkRelayConfig refuses what this relayer would do otherwise than the job says. Keys that it does not know are ignored: real
// jobs carry old ones.
func (c *Chain) checkRelayConfig(text []byte, contract common.Address, transmitter string) error {
	if len(text) == 0 {
		return nil
	}
	var config struct {
		ChainID                any    `json:"chainID"`
		ConfigContractAddress  string `json:"configContractAddress"`
		EffectiveTransmitterID string `json:"effectiveTransmitterID"`
		EnableDualTransmission bool   `json:"enableDualTransmission"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	if err := decoder.Decode(&config); err != nil {
		return fmt.Errorf("it is no JSON object of the kind expected: %w", err)
	}
	if config.ChainID != nil {
		id := fmt.Sprint(config.ChainID)
		if float, err := strconv.ParseFloat(id, 64); err == nil && float == float64(c.id.Uint64()) && strings.ContainsAny(id, ".eE") {
			id = c.config.ChainID // a number that passed through a float
		}
		if id != c.config.ChainID {
			return fmt.Errorf("chainID is %s, but the job is on chain %s", id, c.config.ChainID)
		}
	}
	if other := config.ConfigContractAddress; other != "" && !strings.EqualFold(other, contract.Hex()) {
		return fmt.Errorf("configContractAddress: this relayer reads the configuration from the aggregator itself; remove the key")
	}
	if other := config.EffectiveTransmitterID; other != "" && transmitter != "" && !strings.EqualFold(other, transmitter) {
		return fmt.Errorf("effectiveTransmitterID: this relayer does not send through forwarders; remove the key")
	}
	if config.EnableDualTransmission {
		return fmt.Errorf("enableDualTransmission: this relayer sends each report once; remove the key")
	}
	return nil
}

// Close stops following the contract. Reports that were accepted are sent all the same.
func (p *ConfigProvider) Close() error {
	p.contract.detach(p.name)
	p.chain.events.Remove(p.contract.address)
	return p.chain.Release(p.contract.address)
}

// view is what the contract last answered. The first answer is awaited, as long as the caller lets it, or the method that it calls.
func (p *ConfigProvider) view(ctx context.Context, method string) (view, error) {
	ctx, cancel := wire.Deadline(ctx, method)
	defer cancel()
	return p.contract.poller.Await(ctx)
}

// LatestConfigDetails implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestConfigDetails(ctx context.Context, _ *relayerv1.LatestConfigDetailsRequest) (*relayerv1.LatestConfigDetailsResponse, error) {
	v, err := p.view(ctx, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigDetailsResponse{ChangedInBlock: v.config.Block, ConfigDigest: v.config.Digest[:]}, nil
}

// LatestConfig implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestConfig(ctx context.Context, request *relayerv1.LatestConfigRequest) (*relayerv1.LatestConfigResponse, error) {
	config, err := p.contract.latestConfig(ctx, request.GetChangedInBlock())
	if err != nil {
		return nil, asUnavailable(err)
	}
	message := &relayerv1.ContractConfig{
		ConfigDigest: config.ConfigDigest[:], ConfigCount: config.ConfigCount, F: uint32(config.F), OnchainConfig: config.OnchainConfig,
		OffchainConfigVersion: config.OffchainConfigVersion, OffchainConfig: config.OffchainConfig,
	}
	for _, signer := range config.Signers {
		message.Signers = append(message.Signers, signer)
	}
	for _, transmitter := range config.Transmitters {
		message.Transmitters = append(message.Transmitters, string(transmitter))
	}
	return &relayerv1.LatestConfigResponse{Config: message}, nil
}

// LatestBlockHeight implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestBlockHeight(ctx context.Context, _ *relayerv1.LatestBlockHeightRequest) (*relayerv1.LatestBlockHeightResponse, error) {
	v, err := p.view(ctx, relayerv1.ContractConfigService_LatestBlockHeight_FullMethodName)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: v.head.Number}, nil
}

// ConfigDigest implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) ConfigDigest(ctx context.Context, request *relayerv1.ConfigDigestRequest) (*relayerv1.ConfigDigestResponse, error) {
	in := request.GetConfig()
	if in.GetF() > 255 {
		return nil, status.Errorf(codes.InvalidArgument, "config.f: the contract holds 8 bits, got %d", in.GetF())
	}
	config := types.ContractConfig{
		ConfigCount: in.GetConfigCount(), F: uint8(in.GetF()), OnchainConfig: in.GetOnchainConfig(),
		OffchainConfigVersion: in.GetOffchainConfigVersion(), OffchainConfig: in.GetOffchainConfig(),
	}
	for _, signer := range in.GetSigners() {
		config.Signers = append(config.Signers, signer)
	}
	for _, transmitter := range in.GetTransmitters() {
		config.Transmitters = append(config.Transmitters, types.Account(transmitter))
	}
	digest, err := p.contract.digester.ConfigDigest(ctx, config)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config: %v", err)
	}
	return &relayerv1.ConfigDigestResponse{ConfigDigest: digest[:]}, nil
}

// ConfigDigestPrefix implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) ConfigDigestPrefix(ctx context.Context, _ *relayerv1.ConfigDigestPrefixRequest) (*relayerv1.ConfigDigestPrefixResponse, error) {
	prefix, err := p.contract.digester.ConfigDigestPrefix(ctx)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &relayerv1.ConfigDigestPrefixResponse{Prefix: uint32(prefix)}, nil
}

// Transmit implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) Transmit(ctx context.Context, request *relayerv1.TransmitRequest) (*relayerv1.TransmitResponse, error) {
	timestamp := request.GetReportContext().GetTimestamp()
	if len(timestamp.GetConfigDigest()) != 32 || len(request.GetReportContext().GetExtraHash()) != 32 || timestamp.GetRound() > 255 {
		return nil, status.Error(codes.InvalidArgument, "report_context: the digest and the extra hash must have 32 bytes, and the round 8 bits")
	}
	if _, err := medianOf(ctx, request.GetReport()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "report: %v", err)
	}
	signatures := make([][]byte, len(request.GetSignatures()))
	for i, signature := range request.GetSignatures() {
		signatures[i] = signature.GetSignature()
	}
	raw := evmutil.RawReportContext(types.ReportContext{
		ReportTimestamp: types.ReportTimestamp{
			ConfigDigest: types.ConfigDigest(timestamp.GetConfigDigest()), Epoch: timestamp.GetEpoch(), Round: uint8(timestamp.GetRound()),
		},
		ExtraHash: [32]byte(request.GetReportContext().GetExtraHash()),
	})
	input, err := aggregator.Transmit(raw, request.GetReport(), signatures)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "signatures: %v", err)
	}
	payload, err := account.Call{To: p.contract.address, Data: input, Gas: p.gasLimit}.Encode()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	err = p.queue.Add(ctx, relayer.Item{
		Contract: p.contract.address.Hex(), Digest: [32]byte(timestamp.GetConfigDigest()), Epoch: timestamp.GetEpoch(), Round: uint8(timestamp.GetRound()),
		Payload: payload,
	})
	if err != nil {
		return nil, err
	}
	return &relayerv1.TransmitResponse{}, nil
}

// LatestConfigDigestAndEpoch implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) LatestConfigDigestAndEpoch(ctx context.Context, _ *relayerv1.LatestConfigDigestAndEpochRequest) (*relayerv1.LatestConfigDigestAndEpochResponse, error) {
	v, err := p.view(ctx, relayerv1.ContractTransmitterService_LatestConfigDigestAndEpoch_FullMethodName)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigDigestAndEpochResponse{ConfigDigest: v.epoch.Digest[:], Epoch: v.epoch.Epoch}, nil
}

// FromAccount implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) FromAccount(context.Context, *relayerv1.FromAccountRequest) (*relayerv1.FromAccountResponse, error) {
	return &relayerv1.FromAccountResponse{Account: p.transmitter.Hex()}, nil
}

// LatestTransmissionDetails implements medianv1.MedianContractServiceServer.
func (p *MedianProvider) LatestTransmissionDetails(ctx context.Context, _ *medianv1.LatestTransmissionDetailsRequest) (*medianv1.LatestTransmissionDetailsResponse, error) {
	v, err := p.view(ctx, medianv1.MedianContractService_LatestTransmissionDetails_FullMethodName)
	if err != nil {
		return nil, err
	}
	t := v.transmission
	return &medianv1.LatestTransmissionDetailsResponse{
		Timestamp:       &reportingv1.ReportTimestamp{ConfigDigest: t.Digest[:], Epoch: t.Epoch, Round: uint32(t.Round)},
		LatestAnswer:    wire.BigInt(t.Answer),
		LatestTimestamp: timestamppb.New(t.Time),
	}, nil
}

// LatestRoundRequested implements medianv1.MedianContractServiceServer.
func (p *MedianProvider) LatestRoundRequested(ctx context.Context, request *medianv1.LatestRoundRequestedRequest) (*medianv1.LatestRoundRequestedResponse, error) {
	ctx, cancel := wire.Deadline(ctx, medianv1.MedianContractService_LatestRoundRequested_FullMethodName)
	defer cancel()
	v, err := p.view(ctx, medianv1.MedianContractService_LatestRoundRequested_FullMethodName)
	if err != nil {
		return nil, err
	}
	response := &medianv1.LatestRoundRequestedResponse{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}}
	if r := p.contract.requested(ctx); r != nil && v.head.Time.Sub(r.at) <= request.GetLookback().AsDuration() {
		response.Timestamp = &reportingv1.ReportTimestamp{ConfigDigest: r.Digest[:], Epoch: r.Epoch, Round: uint32(r.Round)}
	}
	return response, nil
}

// asUnavailable makes a status of what the chain answered.
func asUnavailable(err error) error {
	if code := status.Code(err); code != codes.Unknown {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}
