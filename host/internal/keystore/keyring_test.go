package keystore

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
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

// The X25519 secret is the bytes 65 to 96, the EVM secret the bytes 1 to 32. What
// belongs to them, and every hash and signature below, was computed by a program
// that shares nothing with this one.
func testBundle(t testing.TB) *OCR2Bundle {
	t.Helper()
	bundle, err := parseOCR2(ChainEVM, slices.Concat(unhex(t, rfc8032Seed), counted(65, 32), counted(1, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestOnchainKeyringVector(t *testing.T) {
	t.Parallel()
	onchain := testBundle(t).Onchain()
	if got := hex.EncodeToString(onchain.PublicKey()); got != "6370ef2f4db3611d657b90667de398a2cc2a370c" {
		t.Errorf("public key %s", got)
	}
	at := types.ReportContext{ReportTimestamp: types.ReportTimestamp{Epoch: 0x01020304, Round: 5}, ExtraHash: [32]byte(counted(32, 32))}
	copy(at.ConfigDigest[:], append([]byte{0, 1}, bytes.Repeat([]byte{0xaa}, 30)...))
	report := types.Report(counted(0, 256))
	if got := hex.EncodeToString(hashed(t, evmReportHash, at, report)); got != "efdbe9c748901550924b0f5bea889a5c7077f44291a461631814f05533b385af" {
		t.Errorf("hash %s", got)
	}
	signature, err := onchain.Sign(at, report)
	if err != nil {
		t.Fatal(err)
	}
	want := "53238aa2bc56805848ab80cd874c0a88a00aa29b91062eebed8e663f5ebb5bbb" +
		"1a52a3ca1e40986c0c95050d2d516c359070797f65a285c56d4d181159c37775" + "00"
	if got := hex.EncodeToString(signature); got != want {
		t.Errorf("signature %s", got)
	}
	if onchain.MaxSignatureLength() != len(signature) {
		t.Errorf("MaxSignatureLength is %d", onchain.MaxSignatureLength())
	}
}

// libocr verifies with the keyring of one oracle what that of another signed.
func TestOnchainKeyringVerifies(t *testing.T) {
	t.Parallel()
	k := testOpen(t, &memory{})
	var keyrings []types.OnchainKeyring
	for range 2 {
		bundle, err := k.CreateOCR2(t.Context(), ChainEVM)
		if err != nil {
			t.Fatal(err)
		}
		keyrings = append(keyrings, bundle.Onchain())
	}
	signer, verifier := keyrings[0], keyrings[1]
	at := types.ReportContext{ReportTimestamp: types.ReportTimestamp{ConfigDigest: types.ConfigDigest{1: 1}, Epoch: 7, Round: 2}, ExtraHash: [32]byte{9}}
	report := types.Report("report")
	signature, err := signer.Sign(at, report)
	if err != nil {
		t.Fatal(err)
	}
	for _, keyring := range keyrings {
		if !keyring.Verify(signer.PublicKey(), at, report, signature) {
			t.Error("a good signature is refused")
		}
	}
	changedAt := func(change func(*types.ReportContext)) types.ReportContext {
		changed := at
		change(&changed)
		return changed
	}
	changedSignature := func(at int, to byte) []byte {
		changed := slices.Clone(signature)
		changed[at] = to
		return changed
	}
	tests := map[string]struct {
		public    types.OnchainPublicKey
		at        types.ReportContext
		report    types.Report
		signature []byte
	}{
		"other signer":     {verifier.PublicKey(), at, report, signature},
		"no signer":        {nil, at, report, signature},
		"long signer":      {append(signer.PublicKey(), 0), at, report, signature},
		"other report":     {signer.PublicKey(), at, types.Report("Report"), signature},
		"no report":        {signer.PublicKey(), at, nil, signature},
		"other digest":     {signer.PublicKey(), changedAt(func(c *types.ReportContext) { c.ConfigDigest[31]++ }), report, signature},
		"other epoch":      {signer.PublicKey(), changedAt(func(c *types.ReportContext) { c.Epoch += 1 << 24 }), report, signature},
		"other round":      {signer.PublicKey(), changedAt(func(c *types.ReportContext) { c.Round++ }), report, signature},
		"other extra hash": {signer.PublicKey(), changedAt(func(c *types.ReportContext) { c.ExtraHash[31]++ }), report, signature},
		"no signature":     {signer.PublicKey(), at, report, nil},
		"short signature":  {signer.PublicKey(), at, report, signature[:64]},
		"long signature":   {signer.PublicKey(), at, report, append(slices.Clone(signature), 0)},
		"other v":          {signer.PublicKey(), at, report, changedSignature(64, signature[64]^1)},
		"v as contract":    {signer.PublicKey(), at, report, changedSignature(64, signature[64]+27)},
		"v above":          {signer.PublicKey(), at, report, changedSignature(64, signature[64]+2)},
		"other r":          {signer.PublicKey(), at, report, changedSignature(3, signature[3]^1)},
		"other s":          {signer.PublicKey(), at, report, changedSignature(40, signature[40]^1)},
		"all zero":         {signer.PublicKey(), at, report, make([]byte, 65)},
		"all ones":         {signer.PublicKey(), at, report, bytes.Repeat([]byte{0xff}, 65)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if verifier.Verify(test.public, test.at, test.report, test.signature) {
				t.Error("accepted")
			}
		})
	}
}

// A point whose x exceeds the curve's order is recovered with v 2 or 3. The
// library knows them, the contract does not: such a signature would pass here and
// revert there.
func TestOnchainKeyringRefusesWhatTheContractRefuses(t *testing.T) {
	t.Parallel()
	onchain := testBundle(t).Onchain()
	report := types.Report("report")
	found := 0
	for r := byte(1); r < 50; r++ {
		signature := make([]byte, 65)
		signature[31], signature[63], signature[64] = r, 1, 2
		public, err := crypto.SigToPub(hashed(t, evmReportHash, types.ReportContext{}, report), signature)
		if err != nil {
			continue // r + n is no point's x
		}
		found++
		if onchain.Verify(crypto.PubkeyToAddress(*public).Bytes(), types.ReportContext{}, report, signature) {
			t.Errorf("accepted %x", signature)
		}
	}
	if found == 0 {
		t.Fatal("no such signature found")
	}
}

func FuzzVerify(f *testing.F) {
	onchain := testBundle(f).Onchain()
	signature, err := onchain.Sign(types.ReportContext{}, types.Report("r"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(onchain.PublicKey()), []byte("r"), signature)
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, public, report, signed []byte) {
		accepted := onchain.Verify(public, types.ReportContext{}, report, signed)
		if accepted && bytes.Equal(public, onchain.PublicKey()) && string(report) != "r" {
			t.Errorf("accepted a forged signature %x over %x", signed, report)
		}
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
	shared, err := vector.ConfigDiffieHellman([32]byte(unhex(t, "883186b800b41d5cf0429695da9b3cc4f328ebcd184a6e482fa578c103f06c77")))
	if err != nil || hex.EncodeToString(shared[:]) != "988acb3701da55f5018f2eafcaac667a32a1c1c06f7fb11ead040d671686cd3c" {
		t.Errorf("shared secret %x, %v", shared, err)
	}

	k := testOpen(t, &memory{})
	var keyrings []*OffchainKeyring
	for range 2 {
		bundle, err := k.CreateOCR2(t.Context(), ChainEVM)
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
		ID:        "2da95fe7906aa824791d0d195743fabeee862c2cf3edc09ec50e60df0508316f",
		ChainKind: "evm", OffchainPublicKey: "ocr2off_evm_" + rfc8032Public, ConfigPublicKey: "ocr2cfg_evm_" + config,
		OnchainPublicKey: "ocr2on_evm_" + onchain, OffchainPublicKeyHex: rfc8032Public, ConfigPublicKeyHex: config, OnchainPublicKeyHex: onchain,
	}
	if diff := cmp.Diff(want, bundle.Description()); diff != "" {
		t.Error(diff)
	}
}

func TestAccountSigns(t *testing.T) {
	t.Parallel()
	account, err := parseAccount(ChainEVM, counted(1, 32))
	if err != nil {
		t.Fatal(err)
	}
	if account.ID() != "0x6370eF2f4Db3611D657b90667De398a2Cc2a370C" || account.ChainKind() != ChainEVM {
		t.Errorf("account %s on %s", account.ID(), account.ChainKind())
	}
	signature, err := account.Sign(t.Context(), bytes.Repeat([]byte{0x11}, 32))
	if err != nil {
		t.Fatal(err)
	}
	want := "920c80c8df95c07d1ce9e54c2becf42ab336d9fa2dcd65aee36ae54d070a8f3d" +
		"623feb374a51d23826672924439da852bddbdb13be24e173bbdf614594308ca0" + "01"
	if got := hex.EncodeToString(signature); got != want {
		t.Errorf("signature %s", got)
	}
	public, err := crypto.SigToPub(bytes.Repeat([]byte{0x11}, 32), signature)
	if err != nil || crypto.PubkeyToAddress(*public).Hex() != account.ID() {
		t.Errorf("recovers %v, %v", public, err)
	}
	for _, length := range []int{0, 31, 33, 64} {
		_, err := account.Sign(t.Context(), make([]byte, length))
		wantError(t, err, ErrInvalid, "data has", "32", account.ID())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = account.Sign(ctx, make([]byte, 32))
	wantError(t, err, context.Canceled)
}

func BenchmarkVerify(b *testing.B) {
	onchain := testBundle(b).Onchain()
	report := types.Report(make([]byte, 289))
	signature, err := onchain.Sign(types.ReportContext{}, report)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !onchain.Verify(onchain.PublicKey(), types.ReportContext{}, report, signature) {
			b.Fatal("refused")
		}
	}
}
