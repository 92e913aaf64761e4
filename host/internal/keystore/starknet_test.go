package keystore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// What the contract verifies, computed with starknet.js 10.8.0 (plugins/starknet/testdata/vectors.mjs): a report of four observations.
const (
	starknetSecret = "04b5ce08cafa401003468fb3f0548bf9175d83916fe4c972bb1d891c0378cf84"
	starknetPublic = "04d075569fef3588a21f99dbf9bf45a2c5b6c9ee69ae4d10a90183303d092cd1"
	starknetHash   = "0x1543697c30796a11e2cb8ed473b018de6458f253befa82916f8c0a83a1ddaf1"
	starknetR      = "0088540f91d37c62fb7745f0c804c6a0d8090a660a7578f3b3cc032a00c6b2ac"
	starknetS      = "00387f580577593bf9543e5378ddb25af238b96ca169e2cb0cc493fe8ace3215"
)

func starknetReport(t *testing.T) (types.ReportContext, types.Report) {
	t.Helper()
	at := types.ReportContext{ReportTimestamp: types.ReportTimestamp{Epoch: 0x01020304, Round: 5}}
	copy(at.ConfigDigest[:], unhex(t, "0004945af252060c130e2faa738ecaca0e40b458d805dd3ca1e6cb4ac51ff4d2"))
	copy(at.ExtraHash[:], unhex(t, "ff864b7250f50e1a7f7666e630b33be27201e8144c6242682149e75759716e79"))
	var report types.Report
	for _, word := range []string{
		"6553f100", "011e1d1c1b" + strings.Repeat("00", 27), "04", "03e8", "056bc75e2d631003e8", "0ad78ebc5ac62003e8", "1043561a88293003e8", "03", strings.Repeat("ff", 16),
	} {
		report = append(report, unhex(t, strings.Repeat("0", 64-len(word))+word)...)
	}
	return at, report
}

func starknetBundle(t *testing.T) *OCR2Bundle {
	t.Helper()
	bundle, err := parseOCR2(ChainStarknet, slices.Concat(unhex(t, rfc8032Seed), counted(65, 32), unhex(t, starknetSecret)))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestStarknetOnchainKeyringVector(t *testing.T) {
	t.Parallel()
	bundle := starknetBundle(t)
	onchain := bundle.Onchain()
	if got := hex.EncodeToString(onchain.PublicKey()); got != starknetPublic {
		t.Errorf("public key %s", got)
	}
	at, report := starknetReport(t)
	if hash, err := starknetReportHash(at, report); err != nil || hash.String() != starknetHash {
		t.Errorf("hash %s, %v", hash, err)
	}
	signature, err := onchain.Sign(at, report)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(signature); got != starknetPublic+starknetR+starknetS || onchain.MaxSignatureLength() != len(signature) {
		t.Errorf("signature %s", got)
	}
	if !strings.HasPrefix(bundle.Description().OnchainPublicKey, "ocr2on_starknet_04d07556") {
		t.Errorf("described as %s", bundle.Description().OnchainPublicKey)
	}
}

func TestStarknetOnchainKeyringRefuses(t *testing.T) {
	t.Parallel()
	onchain := starknetBundle(t).Onchain()
	at, report := starknetReport(t)
	good, err := onchain.Sign(at, report)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(at int, by byte) []byte {
		c := slices.Clone(good)
		c[at] ^= by
		return c
	}
	high := slices.Clone(good)
	order := new(big.Int).SetBytes(unhex(t, "0800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2f"))
	order.Sub(order, new(big.Int).SetBytes(good[64:])).FillBytes(high[64:])
	otherAt, otherExtra := at, at
	otherAt.Round++
	otherExtra.ExtraHash[31]++
	otherReport := slices.Clone(report)
	otherReport[len(otherReport)-1]--
	other := onchain.PublicKey()
	other[31]++
	beyond := slices.Clone(report)
	beyond[0] = 0xff
	digest := at
	digest.ConfigDigest[0] = 0xff
	for name, c := range map[string]struct {
		signer    types.OnchainPublicKey
		at        types.ReportContext
		report    types.Report
		signature []byte
	}{
		"s in the upper half":   {onchain.PublicKey(), at, report, high},
		"other signer":          {other, at, report, good},
		"no signer":             {nil, at, report, good},
		"other key in it":       {other, at, report, slices.Concat(other, good[32:])},
		"other round":           {onchain.PublicKey(), otherAt, report, good},
		"other extra hash":      {onchain.PublicKey(), otherExtra, report, good},
		"other gas price":       {onchain.PublicKey(), at, otherReport, good},
		"other r":               {onchain.PublicKey(), at, report, changed(63, 1)},
		"other s":               {onchain.PublicKey(), at, report, changed(95, 1)},
		"r beyond the field":    {onchain.PublicKey(), at, report, changed(32, 0xff)},
		"short":                 {onchain.PublicKey(), at, report, good[:95]},
		"long":                  {onchain.PublicKey(), at, report, append(slices.Clone(good), 0)},
		"nothing":               {onchain.PublicKey(), at, report, nil},
		"half a word":           {onchain.PublicKey(), at, report[:16], good},
		"no report":             {onchain.PublicKey(), at, nil, good},
		"word beyond the field": {onchain.PublicKey(), at, beyond, good},
		"other digest":          {onchain.PublicKey(), digest, report, good},
	} {
		for range 2 { // with another report's hash in memory, and with its own
			if onchain.Verify(c.signer, c.at, c.report, c.signature) {
				t.Errorf("%s: verified", name)
			}
		}
		if !onchain.Verify(onchain.PublicKey(), at, report, good) {
			t.Fatalf("after %s the good one is not verified", name)
		}
	}
	// The first byte of the extra hash is neither signed nor sent.
	first := at
	first.ExtraHash[0]++
	if !onchain.Verify(onchain.PublicKey(), first, report, good) {
		t.Error("the first byte of the extra hash counts")
	}
	for name, bad := range map[string]types.Report{"no report": nil, "half a word": report[:16], "beyond the field": beyond} {
		if _, err := onchain.Sign(at, bad); err == nil {
			t.Errorf("%s is signed", name)
		}
	}
	if testBundle(t).Onchain().Verify(onchain.PublicKey(), at, report, good) {
		t.Error("a signature for Starknet passes for one of an EVM chain")
	}
}

func TestStarknetAccount(t *testing.T) {
	t.Parallel()
	account, err := parseAccount(ChainStarknet, unhex(t, starknetSecret))
	if err != nil {
		t.Fatal(err)
	}
	if want := "0x" + strings.TrimLeft(starknetPublic, "0"); account.ID() != want || account.ChainKind() != ChainStarknet {
		t.Errorf("account %s of %s, want %s", account.ID(), account.ChainKind(), want)
	}
	hash := unhex(t, "0"+strings.TrimPrefix(starknetHash, "0x"))
	signature, err := account.Sign(t.Context(), hash)
	if err != nil || hex.EncodeToString(signature) != starknetR+starknetS {
		t.Errorf("signature %x, %v", signature, err)
	}
	for name, data := range map[string][]byte{"nothing": nil, "short": hash[1:], "long": append(hash, 0), "beyond the field": bytes.Repeat([]byte{0xff}, 32)} {
		if _, err := account.Sign(t.Context(), data); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSameAccount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, a, b string
		want       bool
	}{
		{ChainEVM, "0xAb", "0xaB", true}, {ChainEVM, "0xab", "0x0ab", false},
		{ChainSolana, "Ab", "Ab", true}, {ChainSolana, "Ab", "ab", false},
		{ChainStarknet, "0xab", "0x00AB", true}, {ChainStarknet, "0xab", "0xac", false}, {ChainStarknet, "ab", "ab", false}, {ChainStarknet, "0xab", "", false},
	} {
		if got := SameAccount(c.kind, c.a, c.b); got != c.want {
			t.Errorf("%s: %s and %s are the same: %t", c.kind, c.a, c.b, got)
		}
	}
}
