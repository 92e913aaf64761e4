package account

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	sol "github.com/gagliardetto/solana-go"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// fresh is how long a blockhash is used for new transactions: a small part of its life, 150 blocks, which is 30 s where
// they come every 200 ms.
const fresh = 1500 * time.Millisecond

// Sign implements relayer.Sender. An attempt that replaces others has their blockhash, so that all of them expire
// together, and a higher price.
func (a *Account) Sign(ctx context.Context, draft relayer.Draft) (relayer.Attempt, error) {
	call, err := decodeCall(draft.Payload)
	if err != nil {
		return relayer.Attempt{}, err
	}
	t, err := a.terms(ctx, call, draft.Attempts)
	if err != nil {
		return relayer.Attempt{}, err
	}
	tx, err := a.transaction(call, t)
	if err != nil {
		return relayer.Attempt{}, err
	}
	message, err := tx.Message.MarshalBinary()
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a transaction: %w", err)
	}
	key := a.settings.Key
	response, err := a.settings.Keystore.Sign(ctx, &hostservicev1.SignRequest{Account: key.String(), Data: message})
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("sign with the key of %s: %w", key, err)
	}
	signature := response.GetSignature()
	if len(signature) != ed25519.SignatureSize || !ed25519.Verify(key[:], message, signature) {
		return relayer.Attempt{}, fmt.Errorf(
			"sign with the key of %s: the keystore's signature of %d bytes is not that key's", key, len(signature))
	}
	tx.Signatures = []sol.Signature{sol.Signature(signature)}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a signed transaction: %w", err)
	}
	if len(raw) > maxTransaction {
		return relayer.Attempt{}, fmt.Errorf("the transaction has %d bytes, and the chain takes %d", len(raw), maxTransaction)
	}
	kept, err := json.Marshal(t)
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a transaction's terms: %w", err)
	}
	return relayer.Attempt{Hash: tx.Signatures[0].String(), Raw: raw, Terms: kept}, nil
}

// maxTransaction is the longest transaction that fits into a packet (agave's PACKET_DATA_SIZE).
const maxTransaction = 1232

// Tags of the compute budget program's instructions.
const (
	tagUnitLimit = 2
	tagUnitPrice = 3
)

// transaction is the call between its price, first, and its limit, last: the OCR2 program reimburses the price that it
// finds in the instruction right before it.
func (a *Account) transaction(call Call, t terms) (*sol.Transaction, error) {
	var metas sol.AccountMetaSlice
	for _, m := range call.Accounts {
		metas = append(metas, sol.NewAccountMeta(m.Key, m.Writable, m.Signer))
	}
	tx, err := sol.NewTransaction([]sol.Instruction{
		sol.NewInstruction(sol.ComputeBudget, nil, binary.LittleEndian.AppendUint64([]byte{tagUnitPrice}, t.Price)),
		sol.NewInstruction(call.Program, metas, call.Data),
		sol.NewInstruction(sol.ComputeBudget, nil, binary.LittleEndian.AppendUint32([]byte{tagUnitLimit}, t.Limit)),
	}, t.Blockhash.Hash, sol.TransactionPayer(a.settings.Key))
	if err != nil {
		return nil, fmt.Errorf("put a transaction together: %w", err)
	}
	return tx, nil
}

// terms chooses what the next attempt offers.
func (a *Account) terms(ctx context.Context, call Call, attempts []relayer.Attempt) (terms, error) {
	if len(attempts) > 0 {
		t, err := decodeTerms(attempts[len(attempts)-1])
		if err != nil {
			return terms{}, err
		}
		if call.Once {
			return terms{}, relayer.ErrCeiling // the earlier one may land
		}
		t.Price, err = a.settings.Fees.bumped(ctx, a.written(call), t.Price)
		return t, err
	}
	blockhash, err := a.blockhash(ctx)
	if err != nil {
		return terms{}, fmt.Errorf("ask for a blockhash: %w", err)
	}
	t := terms{Price: a.settings.Fees.base(ctx, a.written(call)), Limit: call.Limit, Blockhash: blockhash, Once: call.Once}
	if t.Limit == 0 {
		t.Limit = a.settings.UnitLimit
		if a.settings.EstimateUnits {
			t.Limit = a.estimate(ctx, call, t)
		}
	}
	return t, nil
}

// written are the accounts, other than the one that pays, that a transaction of the call locks for writing. Whoever
// competes for the call competes for these. The one that pays is written by nobody else, so that what was paid to write
// it is what this relayer itself has offered.
func (a *Account) written(call Call) []sol.PublicKey {
	keys := []sol.PublicKey{} // not nil, which would be sent as null
	for _, m := range call.Accounts {
		if m.Writable && m.Key != a.settings.Key {
			keys = append(keys, m.Key)
		}
	}
	return keys
}

// blockhash returns a fresh one.
func (a *Account) blockhash(ctx context.Context) (endpoint.Blockhash, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.asked) < fresh {
		return a.hash, nil
	}
	asked := time.Now()
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) (err error) {
		a.hash, err = client.LatestBlockhash(ctx, a.settings.Commitment)
		return err
	})
	if err == nil {
		a.asked = asked
	}
	return a.hash, err
}

// estimate asks a node how many units the call takes. A call that cannot be tried has the default.
func (a *Account) estimate(ctx context.Context, call Call, t terms) uint32 {
	var units uint64
	err := func() error {
		tx, err := a.transaction(call, t)
		if err != nil {
			return err
		}
		tx.Signatures = make([]sol.Signature, 1) // nodes do not look at it
		raw, err := tx.MarshalBinary()
		if err != nil {
			return err
		}
		return a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) (err error) {
			units, err = client.Units(ctx, raw)
			return err
		})
	}()
	const most = 1_400_000 // of a transaction: agave's MAX_COMPUTE_UNIT_LIMIT
	if err != nil || units == 0 || units > most {
		a.settings.Logger.Warn("the compute units of a transaction could not be estimated; the default limit is used",
			"account", a.settings.Key, "limit", t.Limit, "error", err)
		return t.Limit
	}
	return uint32(min(units+units/5, most))
}
