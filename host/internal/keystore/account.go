package keystore

import (
	"context"
	"fmt"
)

// Account is a key that pays for transactions.
type Account struct {
	redacted
	relay, id string
	algorithm Algorithm
	private   private
}

// Namer names an account by its public key, as its relayer and the relayer's chain write it: in the canonical spelling
// by which it is found here.
type Namer func(ctx context.Context, publicKey []byte) (string, error)

func parseAccount(relay, id string, sealed []byte, before func() (Algorithm, error)) (*Account, error) {
	algorithm, secret, err := untag(sealed, before)
	if err != nil {
		return nil, err
	}
	key, err := algorithm.parse(secret)
	if err != nil {
		return nil, err
	}
	return &Account{relay: relay, id: id, algorithm: algorithm, private: key}, nil
}

// newAccount makes an account of a secret, and names it.
func newAccount(ctx context.Context, relay string, algorithm Algorithm, secret []byte, name Namer) (*Account, error) {
	key, err := algorithm.parse(secret)
	if err != nil {
		return nil, err
	}
	id, err := name(ctx, key.public())
	if err != nil {
		return nil, fmt.Errorf("name the account: %w", err)
	}
	return &Account{relay: relay, id: id, algorithm: algorithm, private: key}, nil
}

// ID returns the account's name, as its relayer gave it when it was made.
func (a *Account) ID() string { return a.id }

// Relay returns the relay of the account.
func (a *Account) Relay() string { return a.relay }

// Algorithm returns how the account signs.
func (a *Account) Algorithm() Algorithm { return a.algorithm }

// PublicKey returns, for Secp256k1, the uncompressed point in 65 bytes (0x04, x, y); for Ed25519 the 32 bytes of RFC
// 8032; for Stark the point's x coordinate in 32 bytes, big-endian.
func (a *Account) PublicKey() []byte { return a.private.public() }

// Sign signs data as the account's algorithm does. For Secp256k1, data is a hash of 32 bytes and the signature is r, s
// and v in 65 bytes, with v 0 or 1 and s in the lower half. For Ed25519, data is a message and the signature has 64
// bytes. For Stark, data is a field element in 32 bytes and the signature is r and s in 64 bytes, with s in the lower
// half. Other data is ErrInvalid.
func (a *Account) Sign(ctx context.Context, data []byte) ([]byte, error) {
	err := ctx.Err()
	var signature []byte
	if err == nil {
		signature, err = a.private.signData(data)
	}
	if err != nil {
		return nil, fmt.Errorf("sign with account %s: %w", a.id, err)
	}
	return signature, nil
}

// AccountDescription describes an account to people.
type AccountDescription struct {
	Relay string `json:"relay"`
	// Address is the account as its relayer writes it.
	Address string `json:"address"`
	// Algorithm is the name of its signature algorithm.
	Algorithm string `json:"algorithm"`
}

func (a *Account) describe() (identity, any) {
	return identity{kind: KindAccount, relay: a.relay, id: a.id},
		AccountDescription{Relay: a.relay, Address: a.id, Algorithm: a.algorithm.String()}
}
