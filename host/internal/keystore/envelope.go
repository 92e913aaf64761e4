package keystore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/sha3"
)

const (
	// maxKeyFile is far above any real file, of 500 to 2,000 bytes.
	maxKeyFile = 64 << 10
	// envelopeKeyLength is what both derivations must yield: half for the cipher, half for the code that authenticates.
	envelopeKeyLength = 32
	// maxPBKDF2 is the greatest count of rounds taken, some ten seconds' work; files in use have 262,144.
	maxPBKDF2 = 10_000_000

	cipherCTR = "aes-128-ctr"
	kdfScrypt = "scrypt"
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
		N     int    `json:"n,omitempty"`
		R     int    `json:"r,omitempty"`
		P     int    `json:"p,omitempty"`
		C     int    `json:"c,omitempty"`
		PRF   string `json:"prf,omitempty"`
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

func digitsOf(raw []byte) digits { return digits(hex.EncodeToString(raw)) }

// bytes are the bytes of digits that check has accepted.
func (d digits) bytes() []byte {
	raw, _ := hex.DecodeString(string(d))
	return raw
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

// check checks everything that open assumes, and the cost of deriving the key. A secret has length bytes, or any number
// if length is 0.
func (e *envelope) check(length int) error {
	if e.Cipher != cipherCTR {
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
	case kdfScrypt:
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

// derive makes the key for the envelope's parameters from a password: half for the cipher, half for the code that
// authenticates. Check has accepted the parameters.
func (e *envelope) derive(password Password) []byte {
	params := &e.KDFParams
	if e.KDF == kdfScrypt {
		cost := Scrypt{N: params.N, R: params.R, P: params.P}
		return cost.key(password.bytes(), params.Salt.bytes(), envelopeKeyLength)
	}
	return pbkdf2(password.bytes(), params.Salt.bytes(), params.C, envelopeKeyLength)
}

// encipher turns a secret into the envelope's ciphertext, and back.
func (e *envelope) encipher(key, text []byte) ([]byte, error) {
	block, err := aes.NewCipher(key[:aes.BlockSize])
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(text))
	cipher.NewCTR(block, e.CipherParams.IV.bytes()).XORKeyStream(out, text)
	return out, nil
}

// authenticates is the code by which a wrong password shows.
func authenticates(key, ciphertext []byte) []byte {
	hash := sha3.NewLegacyKeccak256()
	hash.Write(key[aes.BlockSize:])
	hash.Write(ciphertext)
	return hash.Sum(nil)
}

// open decrypts an envelope that check has accepted.
func (e *envelope) open(password Password) ([]byte, error) {
	key := e.derive(password)
	defer clear(key)
	ciphertext := e.CipherText.bytes()
	if subtle.ConstantTimeCompare(authenticates(key, ciphertext), e.MAC.bytes()) != 1 {
		return nil, fmt.Errorf("the password does not open the file, or the file was altered: %w", ErrInvalid)
	}
	return e.encipher(key, ciphertext)
}

// sealEnvelope encrypts a secret for a password. R is 8 whatever the cost's is, as in all files of other programs.
func sealEnvelope(secret []byte, password Password, cost Scrypt) (*envelope, error) {
	e := &envelope{Cipher: cipherCTR, KDF: kdfScrypt}
	e.CipherParams.IV = digitsOf(randomBytes(aes.BlockSize))
	e.KDFParams.DKLen, e.KDFParams.Salt = envelopeKeyLength, digitsOf(randomBytes(saltLength))
	e.KDFParams.N, e.KDFParams.R, e.KDFParams.P = cost.N, 8, cost.P
	key := e.derive(password)
	defer clear(key)
	ciphertext, err := e.encipher(key, secret)
	if err != nil {
		return nil, fmt.Errorf("encrypt the secret: %w", err)
	}
	e.CipherText, e.MAC = digitsOf(ciphertext), digitsOf(authenticates(key, ciphertext))
	return e, nil
}
