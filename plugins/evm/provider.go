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

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// CreateProvider implements relayerv1loop.Chain.
func (c *Chain) CreateProvider(_ context.Context, request *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	var (
		provider relayerv1loop.Provider
		err      error
	)
	switch request.GetProviderType() {
	case relayer.ProviderConfig:
		provider, err = c.bootstrapProvider(request)
	case relayer.ProviderMedian:
		provider, err = c.medianProvider(request)
	default:
		err = service.UnknownProvider(request.GetProviderType(), relayer.ProviderMedian, relayer.ProviderConfig)
	}
	if err != nil {
		return nil, nil, err
	}
	return provider, &relayerv1.CreateProviderResponse{}, nil
}

func (c *Chain) bootstrapProvider(request *relayerv1.CreateProviderRequest) (*service.ConfigProvider, error) {
	provider, _, err := c.configProvider(request.GetName(), request.GetConfig(), "")
	return provider, err
}

func (c *Chain) medianProvider(request *relayerv1.CreateProviderRequest) (*service.MedianProvider, error) {
	transmitter, err := account.Parse(request.GetTransmitterId())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "transmitter_id: %v", err)
	}
	gasLimit := uint64(request.GetGasLimit())
	if gasLimit == 0 {
		gasLimit = c.config.transmissionGas()
	}
	if gasLimit < leastGas {
		return nil, status.Errorf(codes.InvalidArgument, "gas_limit: a transaction takes at least 21000, got %d", gasLimit)
	}
	base, contract, err := c.configProvider(request.GetName(), request.GetConfig(), transmitter.Hex())
	if err != nil {
		return nil, err
	}
	return c.MedianProvider(base, transmitter.Hex(), contract.Hex(), codec{}, func(ctx context.Context, report service.Report) ([]byte, error) {
		return payload(ctx, contract, gasLimit, report)
	})
}

func (c *Chain) configProvider(name string, config *relayerv1.ProviderConfig, transmitter string) (*service.ConfigProvider, common.Address, error) {
	address, err := account.Parse(config.GetContractId())
	if err != nil {
		return nil, address, status.Errorf(codes.InvalidArgument, "config.contract_id: %v", err)
	}
	if err := c.checkRelayConfig(config.GetRelayConfigJson(), address, transmitter); err != nil {
		return nil, address, status.Errorf(codes.InvalidArgument, "config.relay_config_json: %v", err)
	}
	followed, err := c.Acquire(address)
	if err != nil {
		return nil, address, err
	}
	c.events.Add(address)
	return service.NewConfigProvider(name, followed, func() error {
		c.events.Remove(address)
		return c.Release(address)
	}), address, nil
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

// payload is the call that hands a report in.
func payload(ctx context.Context, contract common.Address, gas uint64, report service.Report) ([]byte, error) {
	if _, err := (codec{}).Median(ctx, report.Report); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	raw := evmutil.RawReportContext(types.ReportContext{
		ReportTimestamp: types.ReportTimestamp{ConfigDigest: report.Digest, Epoch: report.Epoch, Round: report.Round.Round}, ExtraHash: report.ExtraHash,
	})
	input, err := aggregator.Transmit(raw, report.Report, report.Signatures)
	if err != nil {
		return nil, fmt.Errorf("signatures: %w", err)
	}
	return account.Call{To: contract, Data: input, Gas: gas}.Encode()
}
