package keystore

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-cmp/cmp"
	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func counted(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// Test 2 of RFC 8032, 7.1.
const (
	rfc8032Seed      = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
	rfc8032Public    = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
	rfc8032Signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)

func TestP2PKey(t *testing.T) {
	t.Parallel()
	key, err := parseP2P(unhex(t, rfc8032Seed))
	if err != nil {
		t.Fatal(err)
	}
	private := ed25519.NewKeyFromSeed(unhex(t, rfc8032Seed))
	want, err := ragetypes.PeerIDFromPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if key.PeerID() != want || ragetypes.PeerIDFromKeyring(key) != want || key.ID() != want.String() {
		t.Errorf("peer id %s, want %s", key.PeerID(), want)
	}
	if !strings.HasPrefix(key.ID(), "12D3KooW") {
		t.Errorf("id %s", key.ID())
	}
	public := key.PublicKey()
	if got := hex.EncodeToString(public[:]); got != rfc8032Public {
		t.Errorf("public key %s", got)
	}
	signature, err := key.Sign([]byte{0x72})
	if err != nil || hex.EncodeToString(signature) != rfc8032Signature {
		t.Errorf("signature %x, %v", signature, err)
	}
}

// bundleOf is a bundle's secret as it is sealed. The X25519 secret is the bytes 65 to 96.
func bundleOf(t testing.TB, algorithm Algorithm, onchain []byte) []byte {
	t.Helper()
	return slices.Concat(unhex(t, rfc8032Seed), counted(65, 32), algorithm.tagged(onchain))
}

// The on-chain secret is the bytes 1 to 32. What belongs to it, and every signature below, was computed by a program
// that shares nothing with this one.
func testBundle(t testing.TB) *OCR2Bundle {
	t.Helper()
	bundle, err := parseOCR2(relaySecp256k1, bundleOf(t, Secp256k1, counted(1, 32)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// reportVectors have a message for each algorithm, signed by programs that share nothing with this one: in Python; by
// RFC 8032 itself; with starknet.js 10.8.0.
var reportVectors = map[string]struct {
	algorithm                          Algorithm
	secret, public, message, signature string
}{
	"secp256k1": {
		algorithm: Secp256k1,
		secret:    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
		public:    "6370ef2f4db3611d657b90667de398a2cc2a370c",
		message:   "efdbe9c748901550924b0f5bea889a5c7077f44291a461631814f05533b385af",
		signature: "53238aa2bc56805848ab80cd874c0a88a00aa29b91062eebed8e663f5ebb5bbb" +
			"1a52a3ca1e40986c0c95050d2d516c359070797f65a285c56d4d181159c37775" + "00",
	},
	"secp256k1, v of 1": {
		algorithm: Secp256k1,
		secret:    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
		public:    "6370ef2f4db3611d657b90667de398a2cc2a370c",
		message:   "97bc65aaf77ef48848b4dba6718cd9e9c7e18276a1004596de25415a2abc75b2",
		signature: "734888d0f2afbb7aaa78d8b2870d52836610303ee21a5f445f3efd0b172b4362" +
			"4abd2353f93b488c4a1a9037bbe4ac7821987b32db6141b7f2262cac0c92633e" + "01",
	},
	"Ed25519": {
		algorithm: Ed25519, secret: rfc8032Seed, public: rfc8032Public, message: "72",
		signature: rfc8032Public + rfc8032Signature,
	},
	"STARK curve": {
		algorithm: Stark, secret: starkSecret, public: starkPublic, message: starkHash,
		signature: starkPublic + starkR + starkS,
	},
}

// A signature of a report that four oracles observed, by starknet.js (plugins/starknet/testdata/vectors.mjs).
const (
	starkSecret = "04b5ce08cafa401003468fb3f0548bf9175d83916fe4c972bb1d891c0378cf84"
	starkPublic = "04d075569fef3588a21f99dbf9bf45a2c5b6c9ee69ae4d10a90183303d092cd1"
	starkHash   = "01543697c30796a11e2cb8ed473b018de6458f253befa82916f8c0a83a1ddaf1"
	starkR      = "0088540f91d37c62fb7745f0c804c6a0d8090a660a7578f3b3cc032a00c6b2ac"
	starkS      = "00387f580577593bf9543e5378ddb25af238b96ca169e2cb0cc493fe8ace3215"
)

func reportKey(t testing.TB, algorithm Algorithm, secret string) *ReportKey {
	t.Helper()
	bundle, err := parseOCR2("a", bundleOf(t, algorithm, unhex(t, secret)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Report()
}

func TestReportVectors(t *testing.T) {
	t.Parallel()
	for name, v := range reportVectors {
		key := reportKey(t, v.algorithm, v.secret)
		if got := hex.EncodeToString(key.Public()); got != v.public || key.Algorithm() != v.algorithm {
			t.Errorf("%s: public key %s of %s", name, got, key.Algorithm())
		}
		signature, err := key.Sign(unhex(t, v.message))
		if err != nil || hex.EncodeToString(signature) != v.signature {
			t.Errorf("%s: signature %x, %v", name, signature, err)
		}
		if v.algorithm.MaxSignatureLength() != len(signature) {
			t.Errorf("%s: MaxSignatureLength is %d", name, v.algorithm.MaxSignatureLength())
		}
	}
}

// libocr verifies with the keyring of one oracle what that of another signed.
func TestReportKeysVerify(t *testing.T) {
	t.Parallel()
	for name, v := range reportVectors {
		public, message, good := unhex(t, v.public), unhex(t, v.message), unhex(t, v.signature)
		if !v.algorithm.VerifyReport(public, message, good) {
			t.Errorf("%s: a good signature is refused", name)
		}
		changed := func(of []byte, at int, by byte) []byte {
			c := slices.Clone(of)
			c[at] ^= by
			return c
		}
		bad := map[string][3][]byte{
			"other signer":    {changed(public, 3, 1), message, good},
			"no signer":       {nil, message, good},
			"long signer":     {append(slices.Clone(public), 0), message, good},
			"other message":   {public, changed(message, 0, 1), good},
			"no message":      {public, nil, good},
			"no signature":    {public, message, nil},
			"short signature": {public, message, good[:len(good)-1]},
			"long signature":  {public, message, append(slices.Clone(good), 0)},
			"all zero":        {public, message, make([]byte, len(good))},
			"all ones":        {public, message, bytes.Repeat([]byte{0xff}, len(good))},
		}
		for i := range good {
			bad["changed at "+strconv.Itoa(i)] = [3][]byte{public, message, changed(good, i, 1)}
		}
		for what, b := range bad {
			if v.algorithm.VerifyReport(b[0], b[1], b[2]) {
				t.Errorf("%s: %s is accepted", name, what)
			}
		}
		for _, other := range []Algorithm{0, Secp256k1, Ed25519, Stark, 4} {
			if other != v.algorithm && other.VerifyReport(public, message, good) {
				t.Errorf("%s: passes for %s", name, other)
			}
		}
	}
}

// TestReportsContractsRefuse holds that no signature passes here which a contract refuses.
func TestReportsContractsRefuse(t *testing.T) {
	t.Parallel()
	v := reportVectors["secp256k1"]
	public, message, signature := unhex(t, v.public), unhex(t, v.message), unhex(t, v.signature)
	for _, recovery := range []byte{2, 27, 28} { // 27 and 28 are for the contract to add
		signature[64] = recovery
		if v.algorithm.VerifyReport(public, message, signature) {
			t.Errorf("v of %d is accepted", recovery)
		}
	}
	// A point whose x exceeds the curve's order is recovered with v 2 or 3, which the library knows and contracts do not.
	found := 0
	for r := byte(1); r < 50; r++ {
		signature := make([]byte, 65)
		signature[31], signature[63], signature[64] = r, 1, 2
		recovered, err := crypto.SigToPub(message, signature)
		if err != nil {
			continue // r + n is no point's x
		}
		found++
		if v.algorithm.VerifyReport(crypto.PubkeyToAddress(*recovered).Bytes(), message, signature) {
			t.Errorf("accepted %x", signature)
		}
	}
	if found == 0 {
		t.Fatal("no such signature found")
	}

	v = reportVectors["STARK curve"]
	high := unhex(t, v.signature)
	order := new(big.Int).SetBytes(unhex(t, "0800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2f"))
	order.Sub(order, new(big.Int).SetBytes(high[64:])).FillBytes(high[64:])
	if v.algorithm.VerifyReport(unhex(t, v.public), unhex(t, v.message), high) {
		t.Error("s in the upper half is accepted")
	}
}

func TestReportKeysRefuse(t *testing.T) {
	t.Parallel()
	for name, v := range reportVectors {
		key := reportKey(t, v.algorithm, v.secret)
		bad := map[string][]byte{"nothing": nil}
		if v.algorithm != Ed25519 {
			bad["short"], bad["long"] = make([]byte, 31), make([]byte, 33)
		}
		if v.algorithm == Stark {
			bad["beyond the field"] = bytes.Repeat([]byte{0xff}, 32)
		}
		for what, message := range bad {
			_, err := key.Sign(message)
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%s signs %s: %v", name, what, err)
			}
		}
	}
}

func FuzzVerifyReport(f *testing.F) {
	for _, v := range reportVectors {
		f.Add(byte(v.algorithm), unhex(f, v.public), unhex(f, v.message), unhex(f, v.signature))
	}
	f.Add(byte(0), []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, algorithm byte, public, message, signature []byte) {
		if !Algorithm(algorithm).VerifyReport(public, message, signature) {
			return
		}
		for _, v := range reportVectors {
			if byte(v.algorithm) == algorithm && hex.EncodeToString(public) == v.public && len(message) == len(v.message)/2 {
				return // what the vector's key may have signed
			}
		}
		t.Skip("of another key")
	})
}

func TestOffchainKeyring(t *testing.T) {
	t.Parallel()
	offchain := testBundle(t).Offchain()
	public := offchain.OffchainPublicKey()
	if got := hex.EncodeToString(public[:]); got != rfc8032Public {
		t.Errorf("public key %s", got)
	}
	signature, err := offchain.OffchainSign([]byte{0x72})
	if err != nil || hex.EncodeToString(signature) != rfc8032Signature {
		t.Errorf("signature %x, %v", signature, err)
	}
	if !ed25519.Verify(public[:], []byte{0x72}, signature) {
		t.Error("libocr would refuse the signature")
	}
}

func TestConfigDiffieHellman(t *testing.T) {
	t.Parallel()
	vector := testBundle(t).Offchain()
	public := vector.ConfigEncryptionPublicKey()
	if got := hex.EncodeToString(public[:]); got != "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466" {
		t.Errorf("public key %s", got)
	}
	shared, err := vector.ConfigDiffieHellman(
		[32]byte(unhex(t, "883186b800b41d5cf0429695da9b3cc4f328ebcd184a6e482fa578c103f06c77")))
	if err != nil || hex.EncodeToString(shared[:]) != "988acb3701da55f5018f2eafcaac667a32a1c1c06f7fb11ead040d671686cd3c" {
		t.Errorf("shared secret %x, %v", shared, err)
	}

	k := testOpen(t, &memory{})
	var keyrings []*OffchainKeyring
	for range 2 {
		bundle, err := k.CreateOCR2(t.Context(), relaySecp256k1, Secp256k1)
		if err != nil {
			t.Fatal(err)
		}
		keyrings = append(keyrings, bundle.Offchain())
	}
	first, err := keyrings[0].ConfigDiffieHellman(keyrings[1].ConfigEncryptionPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	second, err := keyrings[1].ConfigDiffieHellman(keyrings[0].ConfigEncryptionPublicKey())
	if err != nil || first != second {
		t.Errorf("%x and %x, %v", first, second, err)
	}
	_, err = keyrings[0].ConfigDiffieHellman([32]byte{})
	wantError(t, err, nil, "share a secret with point 0000")
}

func TestBundleDescription(t *testing.T) {
	t.Parallel()
	bundle := testBundle(t)
	encryption := bundle.Offchain().ConfigEncryptionPublicKey()
	config := hex.EncodeToString(encryption[:])
	const onchain = "6370ef2f4db3611d657b90667de398a2cc2a370c"
	want := OCR2Description{
		ID:    "2da95fe7906aa824791d0d195743fabeee862c2cf3edc09ec50e60df0508316f",
		Relay: "evm", OffchainPublicKey: "ocr2off_evm_" + rfc8032Public, ConfigPublicKey: "ocr2cfg_evm_" + config,
		OnchainPublicKey: "ocr2on_evm_" + onchain, OffchainPublicKeyHex: rfc8032Public, ConfigPublicKeyHex: config,
		OnchainPublicKeyHex: onchain,
	}
	if diff := cmp.Diff(want, bundle.Description()); diff != "" {
		t.Error(diff)
	}
}

func testAccount(t testing.TB, w Wanted, secret string) *Account {
	t.Helper()
	account, err := newAccount(t.Context(), w.Relay, w.Account, unhex(t, secret), w.Name)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func TestAccountsSign(t *testing.T) {
	t.Parallel()
	hash := unhex(t, starkHash)
	for name, c := range map[string]struct {
		wanted                        Wanted
		secret, id, public, signature string
		data                          []byte
		bad                           map[string][]byte
	}{
		"secp256k1": {
			wanted: wantedSecp256k1(), secret: hex.EncodeToString(counted(1, 32)),
			id: "0x6370eF2f4Db3611D657b90667De398a2Cc2a370C",
			public: "0484bf7562262bbd6940085748f3be6afa52ae317155181ece31b66351ccffa4b0" +
				"8cc43d63b2859d469fee15f31c9edb5324266e6fd0407e87382d60fc4511acd8",
			data: bytes.Repeat([]byte{0x11}, 32),
			signature: "920c80c8df95c07d1ce9e54c2becf42ab336d9fa2dcd65aee36ae54d070a8f3d" +
				"623feb374a51d23826672924439da852bddbdb13be24e173bbdf614594308ca0" + "01",
			bad: map[string][]byte{"nothing": nil, "short": make([]byte, 31), "long": make([]byte, 33), "two": make([]byte, 64)},
		},
		"Ed25519": {
			wanted: wantedEd25519(), secret: rfc8032Seed, id: "586Z7H2vpX9qNhN2T4e9Utugie3ogjbxzGaMtM3E6HR5",
			public: rfc8032Public, data: []byte{0x72}, signature: rfc8032Signature,
			bad: map[string][]byte{"nothing": nil},
		},
		"STARK curve": {
			wanted: wantedStark(), secret: starkSecret, id: "0x" + strings.TrimLeft(starkPublic, "0"),
			public: starkPublic, data: hash, signature: starkR + starkS,
			bad: map[string][]byte{
				"nothing": nil, "short": hash[1:], "long": append(hash[:32:32], 0),
				"beyond the field": bytes.Repeat([]byte{0xff}, 32),
			},
		},
	} {
		account := testAccount(t, c.wanted, c.secret)
		if account.ID() != c.id || account.Relay() != c.wanted.Relay || account.Algorithm().String() != name {
			t.Errorf("%s: account %s of %s by %s", name, account.ID(), account.Relay(), account.Algorithm())
		}
		if got := hex.EncodeToString(account.PublicKey()); got != c.public {
			t.Errorf("%s: public key %s", name, got)
		}
		signature, err := account.Sign(t.Context(), c.data)
		if err != nil || hex.EncodeToString(signature) != c.signature {
			t.Errorf("%s: signature %x, %v", name, signature, err)
		}
		for what, data := range c.bad {
			if _, err := account.Sign(t.Context(), data); !errors.Is(err, ErrInvalid) ||
				!strings.Contains(err.Error(), account.ID()) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = account.Sign(ctx, c.data)
		wantError(t, err, context.Canceled)
	}
}

// TestKeysOfAllRelaysAreKept holds that keys of each algorithm come back as they were, and that none passes for another
// relay's.
func TestKeysOfAllRelaysAreKept(t *testing.T) {
	t.Parallel()
	store := &memory{}
	k := testOpen(t, store)
	relays := []Wanted{wantedSecp256k1(), wantedEd25519(), wantedStark()}
	if err := k.EnsureDefaults(t.Context(), relays...); err != nil {
		t.Fatal(err)
	}
	settings := testSettings(store)
	settings.Before = nil // each key says what it is
	again, err := Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(k.List(), again.List()); diff != "" {
		t.Error(diff)
	}
	for i, w := range relays {
		name := again.Accounts(w.Relay)[0]
		account, err := again.Signer(w.Relay, name)
		if err != nil || account.Algorithm() != w.Account || again.Bundles(w.Relay)[0].Report().Algorithm() != w.Report {
			t.Errorf("%s: %v", w.Relay, err)
		}
		_, err = again.Signer(relays[(i+1)%len(relays)].Relay, name)
		wantError(t, err, ErrNotFound)
	}
}

func BenchmarkVerifyReport(b *testing.B) {
	for name, v := range reportVectors {
		public, message, signature := unhex(b, v.public), unhex(b, v.message), unhex(b, v.signature)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if !v.algorithm.VerifyReport(public, message, signature) {
					b.Fatal("refused")
				}
			}
		})
	}
}
