package keystore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	xpbkdf2 "golang.org/x/crypto/pbkdf2"
	"golang.org/x/crypto/scrypt"
	"pgregory.net/rapid"
)

// TestScryptVectors are those of RFC 7914, of which the last takes too long.
func TestScryptVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		password, salt string
		cost           Scrypt
		key            string
	}{
		{"", "", Scrypt{N: 16, R: 1, P: 1}, "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442" +
			"fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
		{"password", "NaCl", Scrypt{N: 1024, R: 8, P: 16},
			"fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162" +
				"2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
		{"pleaseletmein", "SodiumChloride", Scrypt{N: 16384, R: 8, P: 1},
			"7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2" +
				"d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"},
	} {
		if got := c.cost.derive([]byte(c.password), []byte(c.salt), 64); hex.EncodeToString(got) != c.key {
			t.Errorf("%q gives %x", c.password, got)
		}
	}
}

// TestDerivationsOfAnother holds that any password gives what golang.org/x/crypto makes of it.
func TestDerivationsOfAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "password")
		salt := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "salt")
		length := rapid.IntRange(1, 100).Draw(t, "length")
		rounds := rapid.IntRange(1, 5).Draw(t, "rounds")
		if got, want := pbkdf2(password, salt, rounds, length), xpbkdf2.Key(password, salt, rounds, length,
			sha256.New); !bytes.Equal(got, want) {
			t.Fatalf("PBKDF2 gives %x, want %x", got, want)
		}
		cost := Scrypt{N: 1 << rapid.IntRange(1, 6).Draw(t, "log N"), R: rapid.IntRange(1, 9).Draw(t, "R"),
			P: rapid.IntRange(1, 3).Draw(t, "P")}
		want, err := scrypt.Key(password, salt, cost.N, cost.R, cost.P, length)
		if err != nil {
			t.Fatal(err)
		}
		if got := cost.derive(password, salt, length); !bytes.Equal(got, want) {
			t.Fatalf("scrypt gives %x, want %x", got, want)
		}
	})
}

func BenchmarkScrypt(b *testing.B) {
	cost, salt := DefaultScrypt(), make([]byte, saltLength)
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			cost.derive([]byte(testPassword), salt, 32)
		}
	})
	b.Run("golang.org-x-crypto", func(b *testing.B) {
		for b.Loop() {
			_, _ = scrypt.Key([]byte(testPassword), salt, cost.N, cost.R, cost.P, 32) // a cost that it takes
		}
	})
}
