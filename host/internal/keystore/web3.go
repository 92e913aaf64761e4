package keystore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// web3File is a key file in version 3 of the Web3 Secret Storage format. Wallets write Crypto with a capital too, which
// encoding/json takes as well.
type web3File struct {
	Version version  `json:"version"`
	Address digits   `json:"address"`
	Crypto  envelope `json:"crypto"`
}

// version is a file's version, which some wallets write as text.
type version string

// MarshalJSON implements json.Marshaler.
func (v version) MarshalJSON() ([]byte, error) { return []byte(v), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (v *version) UnmarshalJSON(text []byte) error {
	var number json.Number // takes a text too, if it is a number's
	if err := json.Unmarshal(text, &number); err != nil {
		return errors.New("version is not a number")
	}
	*v = version(number)
	return nil
}

// wallet makes an account of a wallet's file.
func wallet(ctx context.Context, relay Wanted, file []byte, password Password) (key, []byte, error) {
	parsed, err := parseWeb3(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if relay.Account != Secp256k1 {
		return nil, nil, fmt.Errorf("wallets' files hold keys for %s, and accounts of relay %s have keys for %s: %w",
			Secp256k1, relay.Relay, relay.Account, ErrInvalid)
	}
	secret, err := parsed.Crypto.open(password)
	if err != nil {
		return nil, nil, err
	}
	defer clear(secret)
	private, err := parseSecp256k1(secret)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	address := hex.EncodeToString(private.reportPublic())
	if parsed.Address != "" && !strings.EqualFold(string(parsed.Address), address) {
		return nil, nil, fmt.Errorf("address says %.42q, but the key is that of 0x%s: %w", "0x"+parsed.Address, address,
			ErrInvalid)
	}
	account, err := newAccount(ctx, relay.Relay, Secp256k1, secret, relay.Name)
	return account, Secp256k1.tagged(secret), err
}

// parseWeb3 reads a wallet's file.
func parseWeb3(text []byte) (*web3File, error) {
	var file web3File
	if err := decodeFile(text, &file); err != nil {
		return nil, err
	}
	switch file.Version {
	case "3":
	case "":
		return nil, errors.New("the file has no version and no keyType: " + importable)
	default:
		return nil, fmt.Errorf("version is %.32s, and only 3 is known", file.Version)
	}
	if err := file.Crypto.check(secretLength); err != nil {
		return nil, err
	}
	return &file, nil
}

// web3 is a wallet's file of the account.
func (k *Keystore) web3(signer *secp256k1, password Password) ([]byte, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	secret := signer.secret()
	defer clear(secret)
	sealed, err := sealEnvelope(secret, password, k.cost)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ID uuid.UUID `json:"id"` // which no reader asks for
		web3File
	}{id, web3File{Version: "3", Address: digitsOf(signer.reportPublic()), Crypto: *sealed}})
}
