package solana

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	sol "github.com/gagliardetto/solana-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
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
	provider, _, err := c.configProvider(request.GetName(), request.GetConfig())
	return provider, err
}

func (c *Chain) medianProvider(request *relayerv1.CreateProviderRequest) (*service.MedianProvider, error) {
	transmitter, err := account.Parse(request.GetTransmitterId())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "transmitter_id: %v", err)
	}
	if request.GetGasLimit() > maxUnits {
		return nil, status.Errorf(codes.InvalidArgument, "gas_limit: the chain gives a transaction %d compute units at most, got %d", maxUnits, request.GetGasLimit())
	}
	base, accounts, err := c.configProvider(request.GetName(), request.GetConfig())
	if err != nil {
		return nil, err
	}
	limit := request.GetGasLimit()
	return c.MedianProvider(base, transmitter.String(), accounts.State.String(), codec{}, func(_ context.Context, report service.Report) ([]byte, error) {
		return payload(accounts, transmitter, limit, report)
	})
}

func (c *Chain) configProvider(name string, config *relayerv1.ProviderConfig) (*service.ConfigProvider, ocr2.Contract, error) {
	accounts, err := c.accounts(config.GetRelayConfigJson())
	if err != nil {
		return nil, accounts, status.Errorf(codes.InvalidArgument, "config.relay_config_json: %v", err)
	}
	if accounts.State, err = account.Parse(config.GetContractId()); err != nil {
		return nil, accounts, status.Errorf(codes.InvalidArgument, "config.contract_id: %v", err)
	}
	followed, err := c.ledger.acquire(accounts)
	if err != nil {
		return nil, accounts, err
	}
	return service.NewConfigProvider(name, followed, func() error { return c.ledger.release(accounts) }), accounts, nil
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

// payload is the instruction that hands a report in.
func payload(accounts ocr2.Contract, transmitter sol.PublicKey, limit uint32, report service.Report) ([]byte, error) {
	if _, err := ocr2.ParseReport(report.Report); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	raw := [3][32]byte{report.Digest, {}, report.ExtraHash}
	binary.BigEndian.PutUint32(raw[1][27:], report.Epoch)
	raw[1][31] = report.Round.Round
	instruction, err := accounts.Transmit(transmitter, raw, report.Report, report.Signatures)
	if err != nil {
		return nil, fmt.Errorf("signatures: %w", err)
	}
	call := account.NewCall(instruction)
	call.Limit = limit
	return call.Encode()
}
