package keystore

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"

	"golang.org/x/crypto/chacha20poly1305"
)

// Scrypt is the cost of deriving a key from the password. Memory is 128*N*R bytes, and time grows with N*R*P. The zero
// value means DefaultScrypt.
type Scrypt struct {
	// N is a power of two above 1.
	N int
	// R is the block size, P the number of passes; at least 1.
	R, P int
}

// DefaultScrypt takes 128 MiB and about a second, once at each start: the
// first choice of the OWASP Password Storage Cheat Sheet.
func DefaultScrypt() Scrypt { return Scrypt{N: 1 << 17, R: 8, P: 1} }

const (
	// A row that was tampered with must not make the node ask for any amount of
	// memory or time: 1 GiB, and sixteen times DefaultScrypt's work.
	maxScryptMemory = 1 << 30
	maxScryptPasses = 16

	sealVersion = 1
	saltLength  = 32
	// masterHeader is version, log2 of N, R, P, salt.
	masterHeader = 4 + saltLength
)

func (s Scrypt) check() error {
	switch {
	case s.N < 2 || bits.OnesCount(uint(s.N)) != 1:
		return fmt.Errorf("scrypt N is %d, not a power of two above 1", s.N)
	case s.R < 1 || s.R > 255:
		return fmt.Errorf("scrypt R is %d, not 1 to 255", s.R)
	case s.P < 1 || s.P > maxScryptPasses:
		return fmt.Errorf("scrypt P is %d, not 1 to %d", s.P, maxScryptPasses)
	case s.N > maxScryptMemory/(128*s.R):
		return fmt.Errorf("scrypt N %d with R %d takes more than %d MiB", s.N, s.R, maxScryptMemory>>20)
	}
	return nil
}

// generous is the size in bytes from which on the memory of a derivation is returned at once.
const generous = 8 << 20

// key stretches a password, and returns the memory for that to the system at once: the collector would keep it for
// minutes, and let the heap grow by as much before it collects again.
func (s Scrypt) key(password, salt []byte, length int) []byte {
	key := s.derive(password, salt, length)
	if 128*s.N*s.R >= generous {
		debug.FreeOSMemory()
	}
	return key
}

// errSealed says that a sealed value could not be opened. The cipher cannot tell
// a wrong key from an altered value.
var errSealed = errors.New("the sealed value was altered, or belongs to another key")

// identity is what a sealed value is bound to: moved to another row, or to a row
// of another chain, it does not open.
type identity struct {
	kind, relay, id string
}

func (i identity) authenticated() []byte {
	var data []byte
	for _, part := range []string{"loop keystore", i.kind, i.relay, i.id} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(part)))
		data = append(data, part...)
	}
	return data
}

// seal encrypts a secret: version, 24 bytes of nonce, XChaCha20-Poly1305 with the
// identity as authenticated data. The nonce is long enough to be drawn at random.
func seal(aead cipher.AEAD, who identity, secret []byte) []byte {
	nonce := randomBytes(aead.NonceSize())
	return aead.Seal(append([]byte{sealVersion}, nonce...), nonce, secret, who.authenticated())
}

func unseal(aead cipher.AEAD, who identity, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+aead.NonceSize() || sealed[0] != sealVersion {
		return nil, errSealed
	}
	nonce, text := sealed[1:1+aead.NonceSize()], sealed[1+aead.NonceSize():]
	secret, err := aead.Open(nil, nonce, text, who.authenticated())
	if err != nil {
		return nil, errSealed
	}
	return secret, nil
}

// The master row holds a random key, under which all others are sealed, sealed
// under the password: so the password is stretched once at a start, not once per
// key, and is not needed to add a key later.
func masterIdentity() identity { return identity{kind: kindMaster, id: "1"} }

// sealMaster seals a new random key and returns both: version, log2(N), R, P,
// salt, then the sealed key. The header is authenticated by the derivation.
func sealMaster(password []byte, cost Scrypt) (sealed []byte, master cipher.AEAD, err error) {
	header := []byte{sealVersion, byte(bits.TrailingZeros(uint(cost.N))), byte(cost.R), byte(cost.P)}
	header = append(header, randomBytes(saltLength)...)
	outer, err := deriveMaster(password, header)
	if err != nil {
		return nil, nil, err
	}
	secret := randomBytes(chacha20poly1305.KeySize)
	defer clear(secret)
	if master, err = chacha20poly1305.NewX(secret); err != nil {
		return nil, nil, err
	}
	return append(header, seal(outer, masterIdentity(), secret)...), master, nil
}

func unsealMaster(password, sealed []byte) (cipher.AEAD, error) {
	if len(sealed) < masterHeader || sealed[0] != sealVersion {
		return nil, errSealed
	}
	outer, err := deriveMaster(password, sealed[:masterHeader])
	if err != nil {
		return nil, err
	}
	secret, err := unseal(outer, masterIdentity(), sealed[masterHeader:])
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return chacha20poly1305.NewX(secret)
}

func deriveMaster(password, header []byte) (cipher.AEAD, error) {
	if header[1] > 30 {
		return nil, fmt.Errorf("scrypt N is 2^%d, too much for any node", header[1])
	}
	cost := Scrypt{N: 1 << header[1], R: int(header[2]), P: int(header[3])}
	if err := cost.check(); err != nil {
		return nil, err
	}
	secret := cost.key(password, header[4:], chacha20poly1305.KeySize)
	defer clear(secret)
	return chacha20poly1305.NewX(secret)
}

func randomBytes(length int) []byte {
	b := make([]byte, length)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	return b
}
