package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/gagliardetto/solana-go/rpc/jsonrpc"
)

// pollPeriod is how often a transaction that was sent is looked for.
const pollPeriod = 10 * time.Millisecond

// send sends a transaction that the owner pays for, signed by signers too, and waits until it is processed.
func (f *Feed) send(ctx context.Context, signers []solana.PrivateKey,
	instructions ...solana.Instruction) error {
	latest, err := f.client.GetLatestBlockhash(ctx, rpc.CommitmentProcessed)
	if err != nil {
		return fmt.Errorf("ask for a blockhash: %w", err)
	}
	tx, err := solana.NewTransaction(instructions, latest.Value.Blockhash, solana.TransactionPayer(f.owner.PublicKey()))
	if err != nil {
		return fmt.Errorf("make the transaction: %w", err)
	}
	_, err = tx.Sign(func(key solana.PublicKey) *solana.PrivateKey {
		for _, signer := range append(signers, f.owner) {
			if signer.PublicKey().Equals(key) {
				return &signer
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sign the transaction: %w", err)
	}
	signature, err := f.client.SendTransactionWithOpts(ctx,
		tx, rpc.TransactionOpts{PreflightCommitment: rpc.CommitmentProcessed})
	if err != nil {
		return fmt.Errorf("send the transaction: %w", reason(err))
	}
	return f.wait(ctx, signature)
}

func (f *Feed) wait(ctx context.Context, signature solana.Signature) error {
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for {
		statuses, err := f.client.GetSignatureStatuses(ctx, false, signature)
		if err != nil {
			return fmt.Errorf("wait for transaction %s: %w", signature, err)
		}
		if status := statuses.Value[0]; status != nil {
			if status.Err != nil {
				return fmt.Errorf("transaction %s failed: %v", signature, status.Err)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for transaction %s: %w", signature, ctx.Err())
		case <-ticker.C:
		}
	}
}

// reason adds what the programs logged, without which the error of a simulation is a number.
func reason(err error) error {
	var failed *jsonrpc.RPCError
	if !errors.As(err, &failed) {
		return err
	}
	data, _ := failed.Data.(map[string]any)
	return fmt.Errorf("%s %v", failed.Message, data["logs"])
}
