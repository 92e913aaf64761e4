package keystore

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"
)

// Account is a key that pays for transactions.
type Account struct {
	redacted
	chainKind, id string
	signer        accountSigner
}

// accountSigner is what differs among kinds of chains.
type accountSigner interface {
	// name is the account as its chain writes it.
	name() string
	// sign signs data of the form that the chain signs.
	sign(data []byte) ([]byte, error)
}

func generateAccount(chainKind string) ([]byte, error) {
	switch chainKind {
	case ChainEVM:
		return generateEVM()
	case ChainSolana:
		return randomBytes(ed25519.SeedSize), nil
	case ChainStarknet:
		return generateStarknet()
	default:
		return nil, unknownChain(chainKind)
	}
}

func parseAccount(chainKind string, secret []byte) (*Account, error) {
	switch chainKind {
	case ChainEVM:
		private, err := parseEVM(secret)
		if err != nil {
			return nil, err
		}
		signer := &evmAccount{private: hide(private)}
		return &Account{chainKind: chainKind, id: signer.name(), signer: signer}, nil
	case ChainSolana:
		signer, err := parseSolana(secret)
		if err != nil {
			return nil, err
		}
		return &Account{chainKind: chainKind, id: signer.name(), signer: signer}, nil
	case ChainStarknet:
		signer, err := parseStarknet(secret)
		if err != nil {
			return nil, err
		}
		return &Account{chainKind: chainKind, id: signer.name(), signer: signer}, nil
	default:
		return nil, unknownChain(chainKind)
	}
}

// SameAccount tells whether two texts name one account on a kind of chain: the letters
// of an EVM address may have any case, as job specs do, and a Starknet key leading
// zeros too; base58's cases differ.
func SameAccount(chainKind, a, b string) bool {
	switch chainKind {
	case ChainEVM:
		return strings.EqualFold(a, b)
	case ChainStarknet:
		return sameStarknet(a, b)
	default:
		return a == b
	}
}

// ID is the account as its chain writes it: for EVM, the address with the
// checksum of EIP-55; for Solana, the public key in base58; for Starknet, where an
// account is a contract with an address of its own, the public key that signs for it.
func (a *Account) ID() string { return a.id }

// ChainKind is the kind of chain that the account lives on.
func (a *Account) ChainKind() string { return a.chainKind }

// Sign signs data as the account's chain does. For EVM, data is a hash of 32 bytes
// and the signature is r, s and v in 65 bytes, with v 0 or 1 and s in the lower
// half. Data of another length is ErrInvalid. For Solana, data is a transaction's
// message and the signature is Ed25519's, of 64 bytes. For Starknet, data is a hash
// of 32 bytes and the signature is r and s in 64 bytes, with s in the lower half.
func (a *Account) Sign(ctx context.Context, data []byte) ([]byte, error) {
	err := ctx.Err()
	var signature []byte
	if err == nil {
		signature, err = a.signer.sign(data)
	}
	if err != nil {
		return nil, fmt.Errorf("sign with account %s: %w", a.id, err)
	}
	return signature, nil
}

// AccountDescription describes an account to people.
type AccountDescription struct {
	ChainKind string `json:"chainKind"`
	// Address is the account as its chain writes it.
	Address string `json:"address"`
}

func (a *Account) describe() (identity, any) {
	return identity{kind: KindAccount, chainKind: a.chainKind, id: a.id},
		AccountDescription{ChainKind: a.chainKind, Address: a.id}
}
