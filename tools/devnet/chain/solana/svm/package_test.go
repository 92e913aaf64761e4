package svm

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/programs/system"
	"github.com/gagliardetto/solana-go/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline is far longer than any test takes.
const deadline = time.Minute

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// still is a chain without slots of its own and with an account that has money; or the test is skipped where none was
// built.
type still struct {
	*Chain
	client *rpc.Client
	rich   solana.PrivateKey
}

func startStill(t *testing.T, settings Settings) (context.Context, still) {
	t.Helper()
	settings.Dir = os.Getenv("LOOP_SOLANA_DIR")
	if settings.Dir == "" {
		t.Skip("needs the Solana chain: run make test-solana")
	}
	settings.SlotTime = -1
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	chain, err := Start(ctx, settings)
	check(t, err)
	t.Cleanup(func() {
		chain.Close()
		if text := chain.Tail(); text != "" {
			t.Errorf("the chain printed:\n%s", text)
		}
	})
	s := still{Chain: chain, client: rpc.New(chain.Nodes()[0].RPCURL), rich: solana.NewWallet().PrivateKey}
	t.Cleanup(func() { _ = s.client.Close() })
	check(t, chain.Airdrop(ctx, s.rich.PublicKey(), 10*solana.LAMPORTS_PER_SOL))
	return ctx, s
}

// warp makes slots.
func (s still) warp(ctx context.Context, t *testing.T, slots int) uint64 {
	t.Helper()
	slot, err := s.Warp(ctx, slots)
	check(t, err)
	return slot
}

// hash is the newest blockhash.
func (s still) hash(ctx context.Context, t *testing.T) solana.Hash {
	t.Helper()
	latest, err := s.client.GetLatestBlockhash(ctx, rpc.CommitmentProcessed)
	check(t, err)
	return latest.Value.Blockhash
}

// signed is a transaction of the rich account's.
func (s still) signed(t *testing.T, hash solana.Hash, instructions ...solana.Instruction) *solana.Transaction {
	t.Helper()
	tx, err := solana.NewTransaction(instructions, hash, solana.TransactionPayer(s.rich.PublicKey()))
	check(t, err)
	_, err = tx.Sign(func(solana.PublicKey) *solana.PrivateKey { return &s.rich })
	check(t, err)
	return tx
}

// pay is a transfer to somebody new, and who that is.
func (s still) pay(lamports uint64) (solana.Instruction, solana.PublicKey) {
	to := solana.NewWallet().PublicKey()
	return system.NewTransferInstruction(lamports, s.rich.PublicKey(), to).Build(), to
}

var processed = rpc.TransactionOpts{PreflightCommitment: rpc.CommitmentProcessed}

// status is that of a transaction: "" when nothing is known of it.
func (s still) status(ctx context.Context, t *testing.T, signature solana.Signature) rpc.ConfirmationStatusType {
	t.Helper()
	statuses, err := s.client.GetSignatureStatuses(ctx, false, signature)
	check(t, err)
	if statuses.Value[0] == nil {
		return ""
	}
	return statuses.Value[0].ConfirmationStatus
}
