package keystore

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	web3 "github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/uuid"

	"github.com/loop-plugins/loop/host/internal/database"
)

const (
	// maxWeb3File is far above any real file, of about 500 bytes.
	maxWeb3File = 64 << 10
	// web3KeyLength is what both derivations must yield: half for the cipher, half
	// for the code that authenticates.
	web3KeyLength = 32
	// maxPBKDF2 is the greatest count of rounds taken, some ten seconds' work; files
	// in use have 262,144.
	maxPBKDF2 = 10_000_000
)

// web3File is a key file in version 3 of the Web3 Secret Storage format. Wallets
// write Crypto with a capital too, which encoding/json takes as well.
type web3File struct {
	Version version `json:"version"`
	Address digits  `json:"address"`
	Crypto  struct {
		Cipher       string `json:"cipher"`
		CipherText   digits `json:"ciphertext"`
		CipherParams struct {
			IV digits `json:"iv"`
		} `json:"cipherparams"`
		KDF       string `json:"kdf"`
		KDFParams struct {
			DKLen int    `json:"dklen"`
			Salt  digits `json:"salt"`
			N     int    `json:"n"`
			R     int    `json:"r"`
			P     int    `json:"p"`
			C     int    `json:"c"`
			PRF   string `json:"prf"`
		} `json:"kdfparams"`
		MAC digits `json:"mac"`
	} `json:"crypto"`
}

// version is a file's version, which some wallets write as text.
type version string

// UnmarshalJSON implements json.Unmarshaler.
func (v *version) UnmarshalJSON(text []byte) error {
	var number json.Number // takes a text too, if it is a number's
	if err := json.Unmarshal(text, &number); err != nil {
		return errors.New("version is not a number")
	}
	*v = version(number)
	return nil
}

// digits are hexadecimal ones, before which some wallets write 0x.
type digits string

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *digits) UnmarshalText(text []byte) error {
	if len(text) > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') {
		text = text[2:]
	}
	*d = digits(text)
	return nil
}

// ImportWeb3 adds an account with a secp256k1 key to a relay from a key file in version 3 of the Web3 Secret Storage
// format, as wallets and go-ethereum write it; the password may be empty, as files have it that were made without one.
// A file out of form and a wrong password are ErrInvalid; an account that is here already is database.ErrExists.
func (k *Keystore) ImportWeb3(ctx context.Context, relay string, name Namer, file []byte, password Password) (*Account, error) {
	account, err := k.importWeb3(ctx, relay, name, file, password)
	if err != nil {
		return nil, fmt.Errorf("import an account of relay %s: %w", relay, err)
	}
	return account, nil
}

func (k *Keystore) importWeb3(ctx context.Context, relay string, name Namer, file []byte, password Password) (*Account, error) {
	parsed, err := k.parseWeb3(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	secret, err := web3.DecryptDataV3(parsed.sealed(), string(password.bytes()))
	if errors.Is(err, web3.ErrDecrypt) {
		err = errors.New("the password does not open the file, or the file was altered")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	defer clear(secret)
	private, err := parseSecp256k1(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	address := crypto.PubkeyToAddress(private.key().PublicKey).Hex()
	if named := "0x" + string(parsed.Address); named != "0x" && !strings.EqualFold(named, address) {
		return nil, fmt.Errorf("address says %.42q, but the key is that of %s: %w", named, address, ErrInvalid)
	}
	account, err := newAccount(ctx, relay, Secp256k1, secret, name)
	if err != nil {
		return nil, err
	}
	if _, err := k.Signer(relay, account.ID()); err == nil {
		return nil, fmt.Errorf("account %s %w", account.ID(), database.ErrExists) // a short sentence for the usual case
	}
	sealed := Secp256k1.tagged(secret)
	defer clear(sealed)
	if err := k.add(ctx, account, sealed); err != nil {
		return nil, fmt.Errorf("account %s: %w", account.ID(), err)
	}
	return account, nil
}

// ExportWeb3 returns an account with a secp256k1 key as a key file in version 3 of the Web3 Secret Storage format,
// sealed under a password of its own. An account that is not here is ErrNotFound, one with another key ErrInvalid.
func (k *Keystore) ExportWeb3(relay, account string, password Password) ([]byte, error) {
	file, err := k.exportWeb3(relay, account, password)
	if err != nil {
		return nil, fmt.Errorf("export an account of relay %s: %w", relay, err)
	}
	return file, nil
}

func (k *Keystore) exportWeb3(relay, account string, password Password) ([]byte, error) {
	if len(password.bytes()) == 0 {
		return nil, fmt.Errorf("the password is empty: choose one for the file: %w", ErrInvalid)
	}
	found, err := k.Signer(relay, account)
	if err != nil {
		return nil, err
	}
	signer, ok := found.private.(*secp256k1)
	if !ok {
		return nil, fmt.Errorf("account %s has a key for %s, and wallets' files are for %s: %w", found.ID(), found.Algorithm(), Secp256k1, ErrInvalid)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	private := signer.key()
	exported := web3.Key{Id: id, Address: crypto.PubkeyToAddress(private.PublicKey), PrivateKey: private}
	return web3.EncryptKey(&exported, string(password.bytes()), k.cost.N, k.cost.P)
}

// parseWeb3 checks everything that go-ethereum's decoder takes for granted: it
// panics where a parameter is missing or of a wrong length, and spends whatever
// memory the file asks for.
func (k *Keystore) parseWeb3(text []byte) (*web3File, error) {
	if len(text) > maxWeb3File {
		return nil, fmt.Errorf("the file has %d bytes, more than %d", len(text), maxWeb3File)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // some editors mark UTF-8 so
	if what := k.foreign(text); what != "" {
		return nil, errors.New(what)
	}
	var file web3File
	var shape *json.UnmarshalTypeError
	switch err := json.Unmarshal(text, &file); {
	case errors.As(err, &shape) && shape.Field == "":
		return nil, fmt.Errorf("the file is not a key file: it holds a JSON %s, not an object", shape.Value)
	case errors.As(err, &shape): // whose text has Go's names
		return nil, fmt.Errorf("%s holds a JSON %s, which key files do not have there", shape.Field, shape.Value)
	case err != nil:
		return nil, fmt.Errorf("the file is not a key file in JSON: %w", err)
	}
	switch file.Version {
	case "3":
	case "":
		return nil, errors.New("the file has no version: " + importable)
	default:
		return nil, fmt.Errorf("version is %.32s, and only 3 is known", file.Version)
	}
	sealed, params := &file.Crypto, &file.Crypto.KDFParams
	if sealed.Cipher != "aes-128-ctr" {
		return nil, fmt.Errorf("crypto.cipher is %.32q, and only aes-128-ctr is known", sealed.Cipher)
	}
	for _, field := range []struct {
		name   string
		value  digits
		length int
	}{
		{"crypto.ciphertext", sealed.CipherText, 32},
		{"crypto.cipherparams.iv", sealed.CipherParams.IV, 16},
		{"crypto.mac", sealed.MAC, 32},
		{"crypto.kdfparams.salt", params.Salt, -1},
	} {
		value, err := hex.DecodeString(string(field.value))
		if err != nil {
			return nil, fmt.Errorf("%s is not hexadecimal", field.name)
		}
		if field.length >= 0 && len(value) != field.length {
			return nil, fmt.Errorf("%s has %d bytes, not %d", field.name, len(value), field.length)
		}
	}
	if params.DKLen != web3KeyLength {
		return nil, fmt.Errorf("crypto.kdfparams.dklen is %d, not %d", params.DKLen, web3KeyLength)
	}
	switch sealed.KDF {
	case "scrypt":
		if err := (Scrypt{N: params.N, R: params.R, P: params.P}).check(); err != nil {
			return nil, fmt.Errorf("crypto.kdfparams: %w", err)
		}
	case "pbkdf2":
		if params.C < 1 || params.C > maxPBKDF2 {
			return nil, fmt.Errorf("crypto.kdfparams.c is %d, not 1 to %d", params.C, maxPBKDF2)
		}
		if params.PRF != "hmac-sha256" {
			return nil, fmt.Errorf("crypto.kdfparams.prf is %.32q, and only hmac-sha256 is known", params.PRF)
		}
	default:
		return nil, fmt.Errorf("crypto.kdf is %.32q, and only scrypt and pbkdf2 are known", sealed.KDF)
	}
	return &file, nil
}

// sealed is the file in go-ethereum's form, with no parameter that parseWeb3 has
// not seen.
func (f *web3File) sealed() web3.CryptoJSON {
	params := f.Crypto.KDFParams
	sealed := web3.CryptoJSON{
		Cipher:     f.Crypto.Cipher,
		CipherText: string(f.Crypto.CipherText),
		KDF:        f.Crypto.KDF,
		KDFParams: map[string]any{
			"dklen": params.DKLen, "salt": string(params.Salt),
			"n": params.N, "r": params.R, "p": params.P,
			"c": params.C, "prf": params.PRF,
		},
		MAC: string(f.Crypto.MAC),
	}
	sealed.CipherParams.IV = string(f.Crypto.CipherParams.IV)
	return sealed
}
