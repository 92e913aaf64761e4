package session

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gagliardetto/solana-go"

	"github.com/loop-plugins/loop/tools/devnet/chain/solana/feed"
	"github.com/loop-plugins/loop/tools/devnet/chain/solana/svm"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
)

const (
	solanaOracles = feed.MaxOracles
	// solanaID is what relayers call a chain whose genesis they do not know.
	solanaID = "localnet"
)

// solanaLedger is a Solana chain with a feed of the ocr_2 program.
type solanaLedger struct {
	dir   string
	chain *svm.Chain
	feed  *feed.Feed

	mu sync.Mutex
	// members are the members by the numbers of their oracles, which the program gives in the order of their signers.
	members []int
}

func newSolana(_ Config, bin string) (ledger, error) {
	return &solanaLedger{dir: filepath.Join(bin, "solana")}, nil
}

func (s *solanaLedger) open(ctx context.Context) (err error) {
	if s.chain, err = svm.Start(ctx, svm.Settings{Dir: s.dir}); err != nil {
		return err
	}
	if err := feed.Load(ctx, s.chain, s.dir); err != nil {
		return err
	}
	s.feed, err = feed.Deploy(ctx, s.chain, feed.Settings{})
	return err
}

func (s *solanaLedger) close() error {
	if s.chain != nil {
		s.chain.Close()
	}
	return nil
}

func (s *solanaLedger) describe() node.Chain {
	served := s.chain.Nodes()[0]
	return node.Chain{Kind: chainSolana, ID: solanaID, WSURL: served.WSURL, HTTPURL: served.RPCURL}
}

func (s *solanaLedger) contract() string { return s.feed.State.String() }

func (s *solanaLedger) fields(fields *job.Fields, prices *price.Server) {
	fields.JuelsURL = prices.LamportURL()
	fields.OCR2Program, fields.StoreProgram = feed.OCR2Program.String(), feed.StoreProgram.String()
	fields.Transmissions = s.feed.Transmissions.String()
}

func (s *solanaLedger) configure(ctx context.Context, members []*member, terms terms) error {
	var oracles []feed.Oracle
	for _, m := range members {
		transmitter, err := solana.PublicKeyFromBase58(m.keys.Account)
		if err != nil || len(m.keys.OnchainPublicKey) != len(feed.Oracle{}.Signer) {
			return fmt.Errorf("list the keys of %s: account %q with the on-chain key %x are not a public key and no address",
				m.Name(), m.keys.Account, m.keys.OnchainPublicKey)
		}
		oracles = append(oracles, feed.Oracle{
			PeerID: m.keys.PeerID, OffchainPublicKey: m.keys.OffchainPublicKey,
			ConfigEncryptionPublicKey: m.keys.ConfigEncryptionPublicKey,
			Signer:                    [20]byte(m.keys.OnchainPublicKey), Transmitter: transmitter,
		})
	}
	var numbers []int
	for _, oracle := range feed.Sort(oracles) {
		numbers = append(numbers, slices.IndexFunc(oracles, func(o feed.Oracle) bool { return o.Signer == oracle.Signer }))
	}
	s.mu.Lock()
	s.members = numbers
	s.mu.Unlock()
	_, err := s.feed.Configure(ctx, oracles, feed.Timing{MaxDurationQuery: terms.query, DeltaProgress: terms.progress})
	return err
}

func (s *solanaLedger) watch(ctx context.Context, take func(transmission) error) error {
	return s.feed.Watch(ctx, func(t feed.Transmission) error {
		return take(transmission{
			RoundID: t.RoundID, ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round, Answer: t.Answer,
			Observers: s.numbered(t.Observers), ObservationsTimestamp: t.ObservationsTimestamp,
			Transmitter: t.Transmitter.String(), Fee: t.Fee,
		})
	})
}

// numbered gives members for oracles. Numbers of no oracle stay wrong: the check has a sentence for them.
func (s *solanaLedger) numbered(oracles []int) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var members []int
	for _, oracle := range oracles {
		if oracle < len(s.members) {
			oracle = s.members[oracle]
		}
		members = append(members, oracle)
	}
	return members
}
