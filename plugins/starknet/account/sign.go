package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// terms are what an attempt offers, and who signed it: Attempt.Terms.
type terms struct {
	Key    stark.Felt `json:"key"`
	Bounds Bounds     `json:"bounds"`
}

func decodeTerms(attempt relayer.Attempt) (terms, error) {
	var t terms
	err := json.Unmarshal(attempt.Terms, &t)
	for _, bound := range t.Bounds.all() {
		if bound.Price == nil {
			err = errors.New("a price is missing")
		}
	}
	if err != nil {
		return terms{}, fmt.Errorf("the terms of transaction %s cannot be read back: %w", attempt.Hash, err)
	}
	return t, nil
}

// Sign implements relayer.Sender. Without a payload it makes a transaction that calls nothing.
func (a *Account) Sign(ctx context.Context, draft relayer.Draft) (relayer.Attempt, error) {
	t := terms{Key: a.Key()}
	earlier := make([]terms, len(draft.Attempts))
	for i, attempt := range draft.Attempts {
		var err error
		if earlier[i], err = decodeTerms(attempt); err != nil {
			return relayer.Attempt{}, err
		}
	}
	calldata := noCalls()
	if draft.Payload != nil {
		var call Call
		if err := json.Unmarshal(draft.Payload, &call); err != nil {
			return relayer.Attempt{}, fmt.Errorf("decode a transaction's payload: %w", err)
		}
		t.Key, calldata = call.Key, call.calldata()
	}
	if t.Key.IsZero() {
		return relayer.Attempt{}, fmt.Errorf("no key is known that signs for %s: a job that transmits from it names one",
			a.settings.Address)
	}
	estimate, err := a.estimate(ctx, calldata)
	if err != nil {
		return relayer.Attempt{}, err
	}
	if t.Bounds, err = a.bounds(estimate, earlier); err != nil {
		return relayer.Attempt{}, err
	}
	if len(earlier) > 0 {
		if err := a.affords(ctx, t.Bounds.Cost()); err != nil {
			return relayer.Attempt{}, err
		}
	}
	tx := Invoke{Sender: a.settings.Address, Calldata: calldata, Nonce: draft.Sequence, Bounds: t.Bounds}
	hash, err := tx.Hash(a.settings.ChainID)
	if err != nil {
		return relayer.Attempt{}, err
	}
	unsigned, err := json.Marshal(tx)
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a transaction: %w", err)
	}
	signature, err := a.signature(ctx, t.Key, hash, unsigned)
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("sign with the key %s: %w", t.Key, err)
	}
	tx.signature = []stark.Felt{signature.R, signature.S}
	raw, err := json.Marshal(tx)
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a signed transaction: %w", err)
	}
	kept, err := json.Marshal(t)
	if err != nil {
		return relayer.Attempt{}, fmt.Errorf("encode a transaction's terms: %w", err)
	}
	return relayer.Attempt{Hash: hash.String(), Raw: raw, Terms: kept}, nil
}

// affords makes sure that the account can pay for a replacement: every node would refuse one that is too dear, and the
// earlier attempt, which the account could pay for, would be sent no more.
func (a *Account) affords(ctx context.Context, cost *big.Int) error {
	balance, err := a.Balance(ctx)
	if err != nil || balance.Cmp(cost) >= 0 { // where no node tells it, nodes judge the transaction
		return nil
	}
	return fmt.Errorf("%w: %s holds %s FRI, and it may cost %s", relayer.ErrUnfunded, a.settings.Address, balance, cost)
}

// signature asks the keystore, and checks what it gives.
func (a *Account) signature(ctx context.Context, key, hash stark.Felt, unsigned []byte) (stark.Signature, error) {
	data := hash.Bytes()
	response, err := a.settings.Keystore.Sign(ctx,
		&hostservicev1.SignRequest{Account: key.String(), Data: data[:], Transaction: unsigned})
	if err != nil {
		return stark.Signature{}, err
	}
	signed := response.GetSignature()
	if len(signed) != 64 {
		return stark.Signature{}, fmt.Errorf("the keystore's signature of %d bytes is not usable, want r and s in 64",
			len(signed))
	}
	var s stark.Signature
	if s.R, err = stark.FromBytes(signed[:32]); err == nil {
		s.S, err = stark.FromBytes(signed[32:])
	}
	if err != nil || !stark.Verify(key, hash, s) {
		return stark.Signature{}, errors.New("the keystore signed with another key")
	}
	return s, nil
}
