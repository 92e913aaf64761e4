package stark

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/stark-curve/fp"
	"github.com/consensys/gnark-crypto/ecc/stark-curve/fr"
	"pgregory.net/rapid"
)

// vectors are made by testdata/vectors.mjs.
type vectors struct {
	Pedersen      []struct{ A, B, Hash Felt }
	PedersenArray []struct {
		Elements []Felt
		Hash     Felt
	}
	Poseidon []struct {
		Elements []Felt
		Hash     Felt
	}
	Signatures []struct {
		Secret, Public, Hash, R, S Felt
		Flipped                    bool
	}
}

func read(t *testing.T) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Pedersen) < 30 || len(v.PedersenArray) < 5 || len(v.Poseidon) < 6 || len(v.Signatures) < 40 {
		t.Fatalf("the file of vectors is cut short")
	}
	return v
}

func TestVectors(t *testing.T) {
	t.Parallel()
	v := read(t)
	for i, c := range v.Pedersen {
		if got := Pedersen(c.A, c.B); got != c.Hash {
			t.Errorf("pair %d: Pedersen(%s, %s) = %s, want %s", i, c.A, c.B, got, c.Hash)
		}
	}
	for i, c := range v.PedersenArray {
		if got := PedersenArray(c.Elements...); got != c.Hash {
			t.Errorf("array %d: PedersenArray = %s, want %s", i, got, c.Hash)
		}
	}
	for i, c := range v.Poseidon {
		if got := Poseidon(c.Elements...); got != c.Hash {
			t.Errorf("array %d: Poseidon = %s, want %s", i, got, c.Hash)
		}
	}
	flipped := 0
	for i, c := range v.Signatures {
		secret := c.Secret.Bytes()
		key, err := NewKey(secret[:])
		if err != nil {
			t.Fatalf("signature %d: %v", i, err)
		}
		if key.Public() != c.Public {
			t.Errorf("signature %d: the public key is %s, want %s", i, key.Public(), c.Public)
		}
		want := Signature{c.R, c.S}
		if got, err := key.Sign(c.Hash); err != nil || got != want {
			t.Errorf("signature %d: Sign = %s, %v, want %s", i, got, err, want)
		}
		if !Verify(c.Public, c.Hash, want) {
			t.Errorf("signature %d is not verified", i)
		}
		if c.Flipped {
			flipped++
		}
	}
	if flipped == 0 {
		t.Error("no vector has an s that had to be made low")
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	key, err := NewKey(append(make([]byte, 31), 7))
	if err != nil {
		t.Fatal(err)
	}
	hash := FromUint64(1234)
	good, err := key.Sign(hash)
	if err != nil {
		t.Fatal(err)
	}
	high, err := FromBig(new(big.Int).Sub(fr.Modulus(), good.S.Big()))
	if err != nil {
		t.Fatal(err)
	}
	order, err := FromBig(fr.Modulus())
	if err != nil {
		t.Fatal(err)
	}
	one := FromUint64(1)
	for name, c := range map[string]struct {
		public, hash Felt
		signature    Signature
	}{
		"other hash":       {key.Public(), one, good},
		"other key":        {FromUint64(2), hash, good},
		"no point":         {FromUint64(5), hash, good},
		"s in upper half":  {key.Public(), hash, Signature{good.R, high}},
		"other r":          {key.Public(), hash, Signature{one, good.S}},
		"r is zero":        {key.Public(), hash, Signature{Felt{}, good.S}},
		"s is zero":        {key.Public(), hash, Signature{good.R, Felt{}}},
		"r is the order":   {key.Public(), hash, Signature{order, good.S}},
		"s is the order":   {key.Public(), hash, Signature{good.R, order}},
		"all zero":         {},
		"zero public key":  {Felt{}, hash, good},
		"r and s exchange": {key.Public(), hash, Signature{good.S, good.R}},
	} {
		if Verify(c.public, c.hash, c.signature) {
			t.Errorf("%s: verified", name)
		}
	}
	if !Verify(key.Public(), hash, good) {
		t.Error("the good one is not verified")
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	order := fr.Modulus().FillBytes(make([]byte, 32))
	for name, secret := range map[string][]byte{"zero": make([]byte, 32), "the order": order, "short": {1},
		"long": append(make([]byte, 32), 1), "all ones": bytes.Repeat([]byte{255}, 32)} {
		if _, err := NewKey(secret); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	// Above the order at first, then good.
	stream := append(bytes.Repeat([]byte{255}, 32), bytes.Repeat([]byte{0xf1}, 32)...)
	key, err := GenerateKey(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	want := append([]byte{1}, bytes.Repeat([]byte{0xf1}, 31)...)
	if !bytes.Equal(key.Secret(), want) {
		t.Error("the key is not of the first bytes that serve")
	}
	if _, err := GenerateKey(bytes.NewReader(nil)); err == nil {
		t.Error("a key of nothing")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, key); text != "[private key]" {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

func TestFeltText(t *testing.T) {
	t.Parallel()
	prime := fp.Modulus()
	last := "0x" + new(big.Int).Sub(prime, big.NewInt(1)).Text(16)
	for text, want := range map[string]string{
		"0x0": "0x0", "0x00": "0x0", "0xAb": "0xab",
		"0x0000000000000000000000000000000000000000000000000000000000000001": "0x1", last: last,
	} {
		if f, err := ParseFelt(text); err != nil || f.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, f, err, want)
		}
	}
	for _, text := range []string{"", "0x", "1", "0X1", "0x-1", "0x+1", "0x1_0", "0xg", " 0x1", "0x1 ",
		"0x" + prime.Text(16), "0x" + strings.Repeat("0", 65)} {
		var f Felt
		if err := f.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %s", text, f)
		}
	}
	if f, err := ShortString("SN_SEPOLIA"); err != nil || f.String() != "0x534e5f5345504f4c4941" {
		t.Errorf("SN_SEPOLIA is %s, %v", f, err)
	}
	for _, text := range []string{strings.Repeat("a", 32), "é"} {
		if _, err := ShortString(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if _, err := FromBig(big.NewInt(-1)); err == nil {
		t.Error("-1 is taken")
	}
	if _, err := FromBytes(make([]byte, 33)); err == nil {
		t.Error("33 bytes are taken")
	}
	if n, ok := FromUint64(1 << 63).Uint64(); n != 1<<63 || !ok {
		t.Error("2^63 is not read back")
	}
	big64, _ := FromBig(new(big.Int).Lsh(big.NewInt(1), 64))
	if _, ok := big64.Uint64(); ok {
		t.Error("2^64 has 64 bits")
	}
}

func TestFeltRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		number := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "number"))
		f, err := FromBig(number)
		if inside := number.Cmp(fp.Modulus()) < 0; inside != (err == nil) {
			t.Fatalf("%s: %v", number, err)
		}
		if err != nil {
			return
		}
		full := f.Bytes()
		again, err := FromBytes(full[:])
		if err != nil || again != f {
			t.Fatalf("of bytes: %s, %v", again, err)
		}
		parsed, err := ParseFelt(f.String())
		if err != nil || parsed != f || f.Big().Cmp(number) != 0 {
			t.Fatalf("of text: %s, %v", parsed, err)
		}
	})
}

func TestSignaturesVerify(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := sha256.Sum256(rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "seed"))
		secret[0] &= 7
		key, err := NewKey(secret[:])
		if err != nil {
			t.Fatal(err)
		}
		number := rapid.SliceOfN(rapid.Byte(), 0, 31).Draw(t, "hash")
		hash, err := FromBytes(number)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := key.Sign(hash)
		if err != nil || !Verify(key.Public(), hash, signature) {
			t.Fatalf("not verified: %v", err)
		}
	})
}

func BenchmarkPedersenTables(b *testing.B) {
	for b.Loop() {
		computeTables()
	}
}

func BenchmarkPedersen(b *testing.B) {
	a, c := FromUint64(1<<63), Poseidon(FromUint64(2))
	Pedersen(a, c)
	for b.Loop() {
		a = Pedersen(a, c)
	}
}

func BenchmarkVerify(b *testing.B) {
	key, _ := NewKey(append(make([]byte, 31), 7))
	hash := Poseidon()
	signature, _ := key.Sign(hash)
	for b.Loop() {
		Verify(key.Public(), hash, signature)
	}
}
