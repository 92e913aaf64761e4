package session

import (
	"context"
	"fmt"
	"math/big"
	"sync"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/feed"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/rpc"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
)

const starknetOracles = feed.MaxOracles

// starknetLedger is a model of a Starknet network, with a feed and one node of its own.
type starknetLedger struct {
	version chain.Version
	chain   *chain.Chain
	network *rpc.Network
	feed    *feed.Feed

	mu sync.Mutex
	// keys are the members' public keys by the addresses of their accounts, which are all that the chain tells.
	keys map[stark.Felt]string
}

func newStarknet(config Config, _ string) (ledger, error) {
	s := &starknetLedger{keys: map[stark.Felt]string{}}
	if config.StarknetRPC == "" {
		return s, nil
	}
	var err error
	if s.version, err = chain.ParseVersion(config.StarknetRPC); err != nil {
		return nil, fmt.Errorf("--starknet-rpc: %w", err)
	}
	return s, nil
}

func (s *starknetLedger) open(context.Context) (err error) {
	if s.chain, err = chain.New(chain.Settings{}); err != nil {
		return err
	}
	if s.network, err = rpc.Start(s.chain, rpc.Settings{Versions: []chain.Version{s.version}}); err != nil {
		return err
	}
	s.feed, err = feed.Deploy(s.chain, feed.Settings{})
	return err
}

func (s *starknetLedger) close() error {
	if s.chain != nil {
		s.chain.Close()
	}
	if s.network == nil {
		return nil
	}
	return s.network.Close()
}

func (s *starknetLedger) describe() node.Chain {
	return node.Chain{Kind: chainStarknet, ID: s.chain.Name(), HTTPURL: s.network.URLs()[0]}
}

func (s *starknetLedger) contract() string { return s.feed.Address().String() }

func (s *starknetLedger) fields(fields *job.Fields, prices *price.Server) {
	fields.JuelsURL, fields.GasPriceURL = prices.FRIURL(), prices.GasPriceURL()
	if public, err := stark.ParseFelt(fields.TransmitterID); err == nil { // configure has seen to it
		fields.AccountAddress = chain.AccountAddress(public).String()
	}
}

// memberFunds are 1000 STRK in FRI, which pay for some 100,000 transmissions.
func memberFunds() *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(21), nil) }

func (s *starknetLedger) configure(ctx context.Context, members []*member, terms terms) error {
	var oracles []feed.Oracle
	for _, m := range members {
		account, accountErr := stark.ParseFelt(m.keys.Account)
		signer, signerErr := stark.FromBytes(m.keys.OnchainPublicKey)
		if accountErr != nil || signerErr != nil || signer.IsZero() {
			return fmt.Errorf("list the keys of %s: account %q with the on-chain key %x are not two public keys of the Stark "+
				"curve",
				m.Name(), m.keys.Account, m.keys.OnchainPublicKey)
		}
		address := s.chain.DeployAccount(account, memberFunds())
		s.mu.Lock()
		s.keys[address] = m.keys.Account
		s.mu.Unlock()
		oracles = append(oracles, feed.Oracle{
			PeerID: m.keys.PeerID, OffchainPublicKey: m.keys.OffchainPublicKey,
			ConfigEncryptionPublicKey: m.keys.ConfigEncryptionPublicKey,
			Signer:                    signer, Transmitter: address,
		})
	}
	_, err := s.feed.Configure(ctx, oracles, feed.Timing{MaxDurationQuery: terms.query, DeltaProgress: terms.progress})
	return err
}

func (s *starknetLedger) watch(ctx context.Context, take func(transmission) error) error {
	return s.feed.Watch(ctx, s.network.URLs()[0], func(t feed.Transmission) error {
		return take(transmission{
			RoundID: t.RoundID, ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round, Answer: t.Answer,
			Observers: t.Observers, Observations: t.Observations, ObservationsTimestamp: t.ObservationsTimestamp,
			Transmitter: s.keyOf(t.Transmitter), Fee: t.Fee.Uint64(),
		})
	})
}

// keyOf is the public key of a member's account. An account of nobody's is shown by its address.
func (s *starknetLedger) keyOf(address stark.Felt) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.keys[address]; ok {
		return key
	}
	return address.String()
}
