package keystore

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// hashed is a report's hash.
func hashed(t testing.TB, hash reportHash, at types.ReportContext, report types.Report) []byte {
	t.Helper()
	sum, err := hash(at, report)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// The hash and the signature were computed in Python, with the key of the vector for EVM chains.
func TestSolanaOnchainKeyringVector(t *testing.T) {
	t.Parallel()
	bundle, err := parseOCR2(ChainSolana, slices.Concat(unhex(t, rfc8032Seed), counted(65, 32), counted(1, 32)))
	if err != nil {
		t.Fatal(err)
	}
	onchain := bundle.Onchain()
	if got := hex.EncodeToString(onchain.PublicKey()); got != "6370ef2f4db3611d657b90667de398a2cc2a370c" {
		t.Errorf("public key %s", got)
	}
	at := types.ReportContext{ReportTimestamp: types.ReportTimestamp{Epoch: 0x01020304, Round: 5}, ExtraHash: [32]byte(counted(32, 32))}
	copy(at.ConfigDigest[:], append([]byte{0, 3}, bytes.Repeat([]byte{0xaa}, 30)...))
	report := types.Report(counted(0, 61))
	if got := hex.EncodeToString(hashed(t, solanaReportHash, at, report)); got != "97bc65aaf77ef48848b4dba6718cd9e9c7e18276a1004596de25415a2abc75b2" {
		t.Errorf("hash %s", got)
	}
	signature, err := onchain.Sign(at, report)
	if err != nil {
		t.Fatal(err)
	}
	want := "734888d0f2afbb7aaa78d8b2870d52836610303ee21a5f445f3efd0b172b4362" + "4abd2353f93b488c4a1a9037bbe4ac7821987b32db6141b7f2262cac0c92633e" + "01"
	if got := hex.EncodeToString(signature); got != want {
		t.Errorf("signature %s", got)
	}
	if !onchain.Verify(onchain.PublicKey(), at, report, signature) || onchain.Verify(onchain.PublicKey(), at, report[:60], signature) {
		t.Error("Verify does not tell the report from another")
	}
	// A key of one kind of chain signs nothing for another.
	if testBundle(t).Onchain().Verify(onchain.PublicKey(), at, report, signature) {
		t.Error("a signature for Solana passes for one of an EVM chain")
	}
	long := make(types.Report, 256)
	if _, err := onchain.Sign(at, long); err == nil {
		t.Error("a report is signed whose length does not fit into the byte that is hashed")
	}
	if onchain.Verify(onchain.PublicKey(), at, long, signature) {
		t.Error("a report is verified whose length does not fit into the byte that is hashed")
	}
	if !strings.HasPrefix(bundle.Description().OnchainPublicKey, "ocr2on_solana_6370ef2f") {
		t.Errorf("described as %s", bundle.Description().OnchainPublicKey)
	}
}

func TestSolanaAccount(t *testing.T) {
	t.Parallel()
	account, err := parseAccount(ChainSolana, unhex(t, rfc8032Seed))
	if err != nil {
		t.Fatal(err)
	}
	if account.ID() != "586Z7H2vpX9qNhN2T4e9Utugie3ogjbxzGaMtM3E6HR5" || account.ChainKind() != ChainSolana {
		t.Errorf("account %s of %s", account.ID(), account.ChainKind())
	}
	signature, err := account.Sign(t.Context(), []byte{0x72})
	if err != nil || hex.EncodeToString(signature) != rfc8032Signature {
		t.Errorf("signature %x, %v", signature, err)
	}
	_, err = account.Sign(t.Context(), nil)
	wantError(t, err, ErrInvalid, account.ID())
	_, err = parseAccount(ChainSolana, counted(0, 31))
	wantError(t, err, nil, "31 bytes")
}

func TestSolanaKeysAreKept(t *testing.T) {
	t.Parallel()
	store := &memory{}
	k := testOpen(t, store)
	if err := k.EnsureDefaults(t.Context(), ChainKinds()); err != nil {
		t.Fatal(err)
	}
	again := testOpen(t, store)
	if diff := cmp.Diff(k.List(), again.List()); diff != "" {
		t.Error(diff)
	}
	name := again.Accounts(ChainSolana)[0]
	if _, err := again.Signer(ChainSolana, name); err != nil {
		t.Error(err)
	}
	_, err := again.Signer(ChainSolana, strings.ToLower(name)) // another key in base58
	wantError(t, err, ErrNotFound)
	_, err = again.Signer(ChainEVM, name)
	wantError(t, err, ErrNotFound)
	_, err = again.ExportEVM(name, NewPassword("x"))
	wantError(t, err, ErrNotFound)
}
