package starknet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// The key and the hash below were computed with starknet.js 10.8.0 (testdata/vectors.mjs).
func TestAccountsAreNamed(t *testing.T) {
	t.Parallel()
	r := newFixture(t).Relayer
	const key = "04d075569fef3588a21f99dbf9bf45a2c5b6c9ee69ae4d10a90183303d092cd1"
	relayertest.Names(t, r, key, "0x"+key[1:])

	const form = "is not a field element, which is 0x and a hexadecimal number below 2^251 + 17*2^192 + 1"
	got := relayertest.Normal(t, r, "0x"+key, "0x"+strings.ToUpper(key[1:]), "0x0", key, "", "0x",
		"0x0800000000000011000000000000000000000000000000000000000000000001")
	if diff := cmp.Diff([]string{"0x" + key[1:], "0x" + key[1:], "0x0", form, form, form, form}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, bytes := range map[string][]byte{"zero": make([]byte, 32),
		"beyond the field": slices.Repeat([]byte{0xff}, 32)} {
		if names, err := r.DescribeAccounts(t.Context(),
			&relayerv1.DescribeAccountsRequest{PublicKeys: [][]byte{bytes}}); err == nil {
			t.Errorf("%s is named %v", name, names)
		}
	}
}

func TestReportDigest(t *testing.T) {
	t.Parallel()
	x := newFixture(t)
	chain, _ := x.chain(settings("", "http://127.0.0.1:1"))
	p, _ := x.provider(chain, "p", stark.FromUint64(1), stark.FromUint64(2), newKey(t))
	at := &reportingv1.ReportContext{
		Timestamp: &reportingv1.ReportTimestamp{
			ConfigDigest: relayertest.Unhex(t, "0004945af252060c130e2faa738ecaca0e40b458d805dd3ca1e6cb4ac51ff4d2"),
			Epoch:        0x01020304, Round: 5,
		},
		ExtraHash: relayertest.Unhex(t, "ff864b7250f50e1a7f7666e630b33be27201e8144c6242682149e75759716e79"),
	}
	var report []byte
	for _, word := range []string{
		"6553f100", "011e1d1c1b" + strings.Repeat("00", 27), "04", "03e8", "056bc75e2d631003e8", "0ad78ebc5ac62003e8",
		"1043561a88293003e8", "03", strings.Repeat("ff", 16),
	} {
		report = append(report, relayertest.Unhex(t, strings.Repeat("0", 64-len(word))+word)...)
	}
	beyond := slices.Clone(report)
	beyond[0] = 0xff
	const hash = "01543697c30796a11e2cb8ed473b018de6458f253befa82916f8c0a83a1ddaf1"
	got := relayertest.Digests(t, p, at, report, nil, report[:16], beyond)
	if diff := cmp.Diff([]string{
		hash, "a report of 0 bytes has no words of 32", "a report of 16 bytes has no words of 32",
		"word 0 of the report: the number is not below 2^251 + 17*2^192 + 1, as field elements are",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The first byte of the extra hash is neither signed nor sent.
	at.ExtraHash[0]++
	if got := relayertest.Digests(t, p, at, report); got[0] != hash {
		t.Error("the first byte of the extra hash counts")
	}
	at.Timestamp.ConfigDigest[0] = 0xff
	if got := relayertest.Digests(t, p, at, report); got[0] != "the config digest: the number is not below 2^251 + "+
		"17*2^192 + 1, as field elements are" {
		t.Errorf("a digest beyond the field: %s", got[0])
	}
}

func TestValidateJob(t *testing.T) {
	t.Parallel()
	job := func(config string) *relayerv1.ValidateJobRequest {
		return &relayerv1.ValidateJobRequest{ChainId: "SN_MAIN", ContractId: "0x00aB", TransmitterId: "0x012",
			RelayConfigJson: []byte(config)}
	}
	relayertest.Jobs(t, newFixture(t).Relayer, map[string]relayertest.JobCase{
		"good": {
			Job:         job(`{"accountAddress":"0x00Cd","nodeName":"any","chainID":"SN_MAIN"}`),
			Names:       [3]string{"0xab", "0x12", "0xcd"},
			RelayConfig: `{"accountAddress":"0x00Cd","chainID":"SN_MAIN","nodeName":"any"}`,
		},
		"bootstrap": {
			Job:         &relayerv1.ValidateJobRequest{ChainId: "SN_MAIN", ContractId: "0xab", ProviderType: "config"},
			Names:       [3]string{"0xab"},
			RelayConfig: `{"chainID":"SN_MAIN"}`,
		},
		"no account": {Job: job(``),
			Want: []string{
				"relayConfig.accountAddress: no account address in relay config: name the account that sends reports"}},
		"everything wrong": {
			Job: &relayerv1.ValidateJobRequest{
				ContractId: "0x0800000000000011000000000000000000000000000000000000000000000001", TransmitterId: "12",
				RelayConfigJson: []byte(`{"accountAddress":"me","nodename":5,"acountAddress":"0x1"}`),
			},
			Want: []string{
				`contractID: "0x0800000000000011000000000000000000000000000000000000000000000001" is not a field element, which is 0x and a hexadecimal number below 2^251 + 17*2^192 + 1`,
				`transmitterID: "12" is not a field element, which is 0x and a hexadecimal number below 2^251 + 17*2^192 + 1`,
				"relayConfig.nodeName: want a string in quotes, have a whole number",
				`relayConfig.accountAddress: "me" is not a field element, which is 0x and a hexadecimal number below 2^251 + 17*2^192 + 1`,
				"warning: relayConfig.acountAddress: unknown key; did you mean accountAddress?",
			},
		},
	})
}
