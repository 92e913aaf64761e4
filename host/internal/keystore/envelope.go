package keystore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	web3 "github.com/ethereum/go-ethereum/accounts/keystore"
)

const (
	// maxKeyFile is far above any real file, of 500 to 2,000 bytes.
	maxKeyFile = 64 << 10
	// envelopeKeyLength is what both derivations must yield: half for the cipher, half for the code that authenticates.
	envelopeKeyLength = 32
	// maxPBKDF2 is the greatest count of rounds taken, some ten seconds' work; files in use have 262,144.
	maxPBKDF2 = 10_000_000
)

// envelope is the block of a key file that holds the secret, as version 3 of the Web3 Secret Storage format has it.
type envelope struct {
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

// decodeFile reads a key file's JSON.
func decodeFile(text []byte, file any) error {
	if len(text) > maxKeyFile {
		return fmt.Errorf("the file has %d bytes, more than %d", len(text), maxKeyFile)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // some editors mark UTF-8 so
	var shape *json.UnmarshalTypeError
	switch err := json.Unmarshal(text, file); {
	case errors.As(err, &shape) && shape.Field == "":
		return fmt.Errorf("the file is not a key file: it holds a JSON %s, not an object", shape.Value)
	case errors.As(err, &shape): // whose text has Go's names
		return fmt.Errorf("%s holds a JSON %s, which key files do not have there", shape.Field, shape.Value)
	case err != nil:
		return fmt.Errorf("the file is not a key file in JSON: %w", err)
	}
	return nil
}

// check checks everything that go-ethereum's decoder takes for granted: it panics where a parameter is missing or of a wrong length,
// and spends whatever memory the file asks for. A secret has length bytes, or with 0 any number.
func (e *envelope) check(length int) error {
	if e.Cipher != "aes-128-ctr" {
		return fmt.Errorf("crypto.cipher is %.32q, and only aes-128-ctr is known", e.Cipher)
	}
	for _, field := range []struct {
		name   string
		value  digits
		length int
	}{
		{"crypto.ciphertext", e.CipherText, length},
		{"crypto.cipherparams.iv", e.CipherParams.IV, 16},
		{"crypto.mac", e.MAC, 32},
		{"crypto.kdfparams.salt", e.KDFParams.Salt, 0},
	} {
		value, err := hex.DecodeString(string(field.value))
		if err != nil {
			return fmt.Errorf("%s is not hexadecimal", field.name)
		}
		if field.length > 0 && len(value) != field.length {
			return fmt.Errorf("%s has %d bytes, not %d", field.name, len(value), field.length)
		}
	}
	return e.checkKDF()
}

func (e *envelope) checkKDF() error {
	params := &e.KDFParams
	if params.DKLen != envelopeKeyLength {
		return fmt.Errorf("crypto.kdfparams.dklen is %d, not %d", params.DKLen, envelopeKeyLength)
	}
	switch e.KDF {
	case "scrypt":
		if err := (Scrypt{N: params.N, R: params.R, P: params.P}).check(); err != nil {
			return fmt.Errorf("crypto.kdfparams: %w", err)
		}
	case "pbkdf2":
		if params.C < 1 || params.C > maxPBKDF2 {
			return fmt.Errorf("crypto.kdfparams.c is %d, not 1 to %d", params.C, maxPBKDF2)
		}
		if params.PRF != "hmac-sha256" {
			return fmt.Errorf("crypto.kdfparams.prf is %.32q, and only hmac-sha256 is known", params.PRF)
		}
	default:
		return fmt.Errorf("crypto.kdf is %.32q, and only scrypt and pbkdf2 are known", e.KDF)
	}
	return nil
}

// open decrypts what check has passed.
func (e *envelope) open(password string) ([]byte, error) {
	params := e.KDFParams
	sealed := web3.CryptoJSON{
		Cipher:     e.Cipher,
		CipherText: string(e.CipherText),
		KDF:        e.KDF,
		KDFParams: map[string]any{ // no parameter that check has not seen
			"dklen": params.DKLen, "salt": string(params.Salt),
			"n": params.N, "r": params.R, "p": params.P,
			"c": params.C, "prf": params.PRF,
		},
		MAC: string(e.MAC),
	}
	sealed.CipherParams.IV = string(e.CipherParams.IV)
	secret, err := web3.DecryptDataV3(sealed, password)
	if errors.Is(err, web3.ErrDecrypt) {
		err = errors.New("the password does not open the file, or the file was altered")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return secret, nil
}
