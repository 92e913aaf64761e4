package starknet

import (
	"context"
	"fmt"
	"time"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// steady is how long answers from blocks that are a little older may go on: load balancers put nodes behind one address
// that are not quite level.
const steady = 30 * time.Second

// contract follows one aggregator for all providers that share it.
type contract struct {
	*service.Polled[*endpoint.Client]
	chain *Chain
}

// follow begins to read a contract.
func (c *Chain) follow(address stark.Felt) *contract {
	return &contract{chain: c, Polled: c.reader.Follow(address, service.PolledSettings[*endpoint.Client]{
		Address: address.String(), Hub: c.Hub(), Steady: steady,
		Config: func(ctx context.Context, client *endpoint.Client, block uint64) (*relayerv1.ContractConfig, error) {
			return configSet(ctx, client, address, block)
		},
		Digest:       func(config *relayerv1.ContractConfig) ([32]byte, error) { return digest(c.id, address, config) },
		DigestPrefix: aggregator.DigestPrefix,
	})}
}

// Height implements service.Contract.
func (c *contract) Height(ctx context.Context) (uint64, error) {
	if err := c.chain.Pool().Await(ctx); err != nil {
		return 0, err
	}
	client, err := c.chain.Pool().Best()
	if err != nil {
		return 0, err
	}
	return client.Head().Number, nil
}

// read reads both views of contracts at one node, in as few requests as it takes. A block may come between two of them:
// what is read belongs to the block that the node reported before or to a later one.
func read(ctx context.Context, client *endpoint.Client, contracts []stark.Felt) ([]service.Reading, error) {
	head := client.Head()
	var asked []endpoint.Asked
	for _, address := range contracts {
		for _, name := range []string{aggregator.ConfigDetailsView, aggregator.TransmissionDetailsView} {
			asked = append(asked, endpoint.Asked{Contract: address, Selector: aggregator.Selector(name)})
		}
	}
	if err := client.Views(ctx, asked); err != nil {
		return nil, err
	}
	readings := make([]service.Reading, len(contracts))
	for i := range contracts {
		readings[i].View, readings[i].Err = view(asked[2*i], asked[2*i+1], head)
	}
	return readings, nil
}

// view is what a contract answered to both questions.
func view(details, transmission endpoint.Asked, head endpoint.Head) (service.View, error) {
	if err := unanswered(aggregator.ConfigDetailsView, details.Err); err != nil {
		return service.View{}, err
	}
	config, err := aggregator.ParseConfigDetails(details.Answer)
	if err != nil {
		return service.View{}, relayer.Answered(err)
	}
	if err := unanswered(aggregator.TransmissionDetailsView, transmission.Err); err != nil {
		return service.View{}, err
	}
	latest, err := aggregator.ParseTransmissionDetails(transmission.Answer)
	if err != nil {
		return service.View{}, relayer.Answered(err)
	}
	return service.View{
		State: service.State{ConfigBlock: config.Block, ConfigDigest: config.Digest, Epoch: latest.Epoch,
			EpochDigest: latest.Digest},
		Transmission: service.Transmission{
			Round: service.Round{Digest: latest.Digest, Epoch: latest.Epoch, Round: latest.Round}, Answer: latest.Answer,
			Time: latest.Time,
		},
		Block: head.Number, Time: head.Time,
	}, nil
}

// unanswered says for people why a view was not answered.
func unanswered(name string, err error) error {
	switch {
	case endpoint.IsCode(err, endpoint.CodeContractNotFound):
		return relayer.Answered(
			fmt.Errorf("there is no contract at this address; check the contract's address and the chain"))
	case endpoint.IsCode(err, endpoint.CodeEntrypointNotFound), endpoint.IsCode(err, endpoint.CodeContractError):
		return relayer.Answered(fmt.Errorf("the contract does not answer %s (%w); check that it is an OCR2 aggregator",
			name, err))
	}
	return err
}

// configSet reads the configuration that was set in a block.
func configSet(ctx context.Context, client *endpoint.Client, address stark.Felt,
	block uint64) (*relayerv1.ContractConfig, error) {
	events, err := client.Events(ctx, address, aggregator.Selector(aggregator.ConfigSetEvent), block)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	last := events[len(events)-1]
	config, err := aggregator.ParseConfigSet(last.Keys, last.Data)
	if err != nil {
		return nil, relayer.Said(err.Error())
	}
	onchain, err := config.Onchain.Encode()
	if err != nil {
		return nil, relayer.Said(err.Error())
	}
	message := &relayerv1.ContractConfig{
		ConfigDigest: config.Digest[:], ConfigCount: config.Count, F: uint32(config.F), OnchainConfig: onchain,
		OffchainConfigVersion: config.OffchainVersion, OffchainConfig: config.Offchain,
	}
	for i, signer := range config.Signers {
		bytes := signer.Bytes()
		message.Signers = append(message.Signers, bytes[:])
		message.Transmitters = append(message.Transmitters, config.Transmitters[i].String())
	}
	return message, nil
}

// digest computes a configuration's digest as the contract does.
func digest(chain, address stark.Felt, in *relayerv1.ContractConfig) (digest [32]byte, err error) {
	f, err := service.NarrowF(in)
	if err != nil {
		return digest, err
	}
	onchain, err := aggregator.DecodeOnchain(in.GetOnchainConfig())
	if err != nil {
		return digest, fmt.Errorf("config.onchain_config: %w", err)
	}
	config := aggregator.Config{
		Count: in.GetConfigCount(), F: f, Onchain: onchain, OffchainVersion: in.GetOffchainConfigVersion(),
		Offchain: in.GetOffchainConfig(),
	}
	for i, bytes := range in.GetSigners() {
		signer, err := stark.FromBytes(bytes)
		if err != nil || len(bytes) != 32 {
			return digest, fmt.Errorf("config.signers[%d]: a public key is a field element in 32 bytes", i)
		}
		config.Signers = append(config.Signers, signer)
	}
	for i, text := range in.GetTransmitters() {
		transmitter, err := stark.ParseFelt(text)
		if err != nil {
			return digest, fmt.Errorf("config.transmitters[%d]: %w", i, err)
		}
		config.Transmitters = append(config.Transmitters, transmitter)
	}
	if digest, err = config.ComputeDigest(chain, address); err != nil {
		return digest, fmt.Errorf("config: %w", err)
	}
	return digest, nil
}
