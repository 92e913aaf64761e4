package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/loop-plugins/loop/host/internal/database"
)

// Relays is what Import and Export need to know about relays.
type Relays struct {
	// Wallet is the relay for an account from a wallet's file, which does not name one.
	Wallet string
	// Of returns what a relay's keys are, by its name. ok is false if the node does not have the relay.
	Of func(relay string) (w Wanted, ok bool)
}

// Import adds the key of a key file: an account from a wallet's file in version 3 of the Web3 Secret Storage format; an
// account, an OCR2 key bundle or the key of a peer from an established node's file. The password may be empty or weak,
// since such files exist. Import returns ErrInvalid for a malformed file or a wrong password, and database.ErrExists if
// the key exists already.
func (k *Keystore) Import(ctx context.Context, file []byte, password Password, relays Relays) (Description, error) {
	// some editors mark UTF-8 so
	imported, sealed, err := k.read(ctx, bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")), password, relays)
	defer clear(sealed)
	if err != nil {
		return Description{}, fmt.Errorf("import a key: %w", err)
	}
	who, public := imported.describe()
	if k.has(who) {
		// a short sentence for the usual case
		return Description{}, fmt.Errorf("import a key: %s %w", imported.ID(), database.ErrExists)
	}
	if err := k.add(ctx, imported, sealed); err != nil {
		return Description{}, fmt.Errorf("import %s: %w", imported.ID(), err)
	}
	return Description{Kind: who.kind, ID: who.id, Relay: who.relay, Public: public}, nil
}

// read makes a key from a file, and the secret to be sealed.
func (k *Keystore) read(ctx context.Context, file []byte, password Password, relays Relays) (key, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	keyType, what := foreign(file)
	switch {
	case what != "":
		return nil, nil, fmt.Errorf("%s: %w", what, ErrInvalid)
	case keyType != "":
		return readEstablished(ctx, keyType, file, password, relays)
	}
	relay, ok := relays.Of(relays.Wallet)
	if !ok {
		return nil, nil, fmt.Errorf("this node has no relay %q, which is to have the account: %w", relays.Wallet, ErrInvalid)
	}
	return wallet(ctx, relay, file, password)
}

func (k *Keystore) has(who identity) bool {
	return len(pick(k, func(other key) bool { found, _ := other.describe(); return found == who })) > 0
}

// Export returns a key as a key file, sealed under a password of its own, which may not be weak: an account with a
// secp256k1 key in the format of wallets, all others in that of established nodes. It returns ErrNotFound if there is
// no such key.
func (k *Keystore) Export(kind, id string, password Password, relays Relays) ([]byte, error) {
	file, err := k.export(kind, id, password, relays)
	if err != nil {
		return nil, fmt.Errorf("export %s key %.128q: %w", kind, id, err)
	}
	return file, nil
}

func (k *Keystore) export(kind, id string, password Password, relays Relays) ([]byte, error) {
	if err := password.weakness(); err != nil {
		return nil, err
	}
	found, err := first(pick(k, func(other key) bool {
		who, _ := other.describe()
		return who.kind == kind && who.id == id
	}), kind, id)
	if err != nil {
		return nil, err
	}
	switch found := found.(type) {
	case *P2PKey:
		return k.sealP2P(found, password)
	case *OCR2Bundle:
		return k.sealOCR2(found, password)
	case *Account:
		if signer, ok := found.private.(*secp256k1); ok {
			return k.web3(signer, password)
		}
		relay, _ := relays.Of(found.relay)
		return k.sealAccount(found, relay, password)
	default:
		return nil, errors.New("keys of its kind have no files")
	}
}
