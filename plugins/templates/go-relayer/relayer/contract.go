package relayer

import (
	"context"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// aggregator is the contract's interface, parsed when it is first needed.
var aggregator = sync.OnceValue(func() *abi.ABI {
	parsed, err := ocr2aggregator.OCR2AggregatorMetaData.GetAbi()
	if err != nil {
		panic(fmt.Sprintf("the ABI that libocr ships does not parse: %v", err)) // a broken build
	}
	return parsed
})

// follow reads a contract at each new block for all jobs that share it.
func (c *chain) follow(id *big.Int, address common.Address) *contract {
	interval, timeout := c.config.PollInterval.Duration, c.config.RequestTimeout.Duration
	digester := evmutil.EVMOffchainConfigDigester{ChainID: id.Uint64(), ContractAddress: address}
	return service.NewPolled(service.PolledSettings[*client]{
		Address: address.Hex(), Pool: c.Pool(), Hub: c.Hub(), Steady: 10 * time.Second,
		Poller: relayer.PollerSettings[service.View]{Retry: interval, Gap: interval / 2, Timeout: 2 * timeout},
		Read: func(ctx context.Context, client *client) (service.View, error) {
			return read(ctx, client, address)
		},
		Config: func(ctx context.Context, client *client, block uint64) (*relayerv1.ContractConfig, error) {
			return configSet(ctx, client, address, block)
		},
		Digest: func(config *relayerv1.ContractConfig) ([32]byte, error) {
			of, err := ocr2.ContractConfigOf(config)
			if err != nil {
				return [32]byte{}, err
			}
			return digester.ConfigDigest(context.Background(), of)
		},
		DigestPrefix: uint32(types.ConfigDigestPrefixEVMSimple),
	})
}

// read reads all that a contract shows.
func read(ctx context.Context, c *client, address common.Address) (service.View, error) {
	head, err := c.latest(ctx)
	if err != nil {
		return service.View{}, err
	}
	var config struct {
		ConfigCount, BlockNumber uint32
		ConfigDigest             [32]byte
	}
	if err := view(ctx, c, address, "latestConfigDetails", &config); err != nil {
		return service.View{}, err
	}
	var latest struct {
		ConfigDigest    [32]byte
		Epoch           uint32
		Round           uint8
		LatestAnswer    *big.Int
		LatestTimestamp uint64
	}
	if err := view(ctx, c, address, "latestTransmissionDetails", &latest); err != nil {
		return service.View{}, err
	}
	return service.View{
		State: service.State{
			ConfigBlock: uint64(config.BlockNumber), ConfigDigest: config.ConfigDigest,
			Epoch: latest.Epoch, EpochDigest: latest.ConfigDigest,
		},
		Transmission: service.Transmission{
			Round:  service.Round{Digest: latest.ConfigDigest, Epoch: latest.Epoch, Round: latest.Round},
			Answer: latest.LatestAnswer, Time: time.Unix(int64(latest.LatestTimestamp), 0).UTC(),
		},
		Block: head.Number, Time: head.Time,
	}, nil
}

// view calls a method without arguments that changes nothing.
func view(ctx context.Context, c *client, address common.Address, name string, into any) error {
	var output hexutil.Bytes
	call := map[string]any{"to": address, "data": hexutil.Bytes(aggregator().Methods[name].ID)}
	if err := c.call(ctx, &output, "eth_call", call, "latest"); err != nil {
		return err
	}
	if err := aggregator().UnpackIntoInterface(into, name, output); err != nil {
		err = fmt.Errorf("the answer to %s cannot be read; check that it is an OCR2 aggregator: %w", name, err)
		return relayer.Answered(err)
	}
	return nil
}

// configSet reads the configuration that was set in a block; nil if none was.
func configSet(
	ctx context.Context, c *client, address common.Address, block uint64,
) (*relayerv1.ContractConfig, error) {
	var events []struct{ Data hexutil.Bytes }
	at := hexutil.Uint64(block)
	filter := map[string]any{
		"address": address, "topics": []any{aggregator().Events["ConfigSet"].ID}, "fromBlock": at, "toBlock": at,
	}
	if err := c.call(ctx, &events, "eth_getLogs", filter); err != nil || len(events) == 0 {
		return nil, err
	}
	var event ocr2aggregator.OCR2AggregatorConfigSet
	if err := aggregator().UnpackIntoInterface(&event, "ConfigSet", events[len(events)-1].Data); err != nil {
		return nil, relayer.Said(fmt.Sprintf("answers with an event ConfigSet of block %d that cannot be read", block))
	}
	return ocr2.ContractConfigTo(evmutil.ContractConfigFromConfigSetEvent(event)), nil
}

// payload is the call that transmits a report. Each signature is r, s and v (0 or 1) in 65 bytes.
func payload(address common.Address, gas uint64, report service.Report) ([]byte, error) {
	if _, err := (codec{}).Median(context.Background(), report.Report); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if n := len(report.Signatures); n == 0 || n > mostOracles {
		return nil, fmt.Errorf("signatures: the contract takes 1 to %d, got %d", mostOracles, n)
	}
	var (
		rs, ss [][32]byte
		vs     [32]byte
	)
	for i, signature := range report.Signatures {
		if len(signature) != 65 {
			return nil, fmt.Errorf("signatures[%d]: want r, s and v in 65 bytes, got %d", i, len(signature))
		}
		rs, ss = append(rs, [32]byte(signature[:32])), append(ss, [32]byte(signature[32:64]))
		vs[i] = signature[64]
	}
	input, err := aggregator().Pack("transmit", report.Context(), report.Report, rs, ss, vs)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return call{To: address, Data: input, Gas: gas}.encode()
}
