package solana_test

import (
	"bytes"
	"fmt"
	"testing"

	sol "github.com/gagliardetto/solana-go"
	"github.com/google/go-cmp/cmp"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// The key is that of test 2 of RFC 8032, 7.1.
func TestAccountsAreNamed(t *testing.T) {
	t.Parallel()
	r := newFixture(t).Relayer
	const name = "586Z7H2vpX9qNhN2T4e9Utugie3ogjbxzGaMtM3E6HR5"
	relayertest.Names(t, r, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", name)

	const form = "is not a public key, which is 32 bytes in base58"
	got := relayertest.Normal(t, r, name, "11111111111111111111111111111111", "0OIl1111111111111111111111111111",
		"", name[2:], name+"1")
	if diff := cmp.Diff([]string{name, "11111111111111111111111111111111", form, form, form, form}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The hash was computed in Python.
func TestReportDigest(t *testing.T) {
	t.Parallel()
	x := newFixture(t)
	chain, _ := x.chain(settings("", devnode{RPC: "http://127.0.0.1:1"}))
	key := sol.PublicKey{1, 2, 3}.String()
	p, _ := x.Provider(chain,
		&relayerv1.CreateProviderRequest{ProviderType: "median", Name: "p", TransmitterId: key,
			Config: &relayerv1.ProviderConfig{
				ContractId:      key,
				RelayConfigJson: fmt.Appendf(nil, `{"ocr2ProgramID":%q,"storeProgramID":%[1]q,"transmissionsID":%[1]q}`, key),
			}})
	at := &reportingv1.ReportContext{
		Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: append([]byte{0, 3}, bytes.Repeat([]byte{0xaa}, 30)...),
			Epoch: 0x01020304, Round: 5},
		ExtraHash: relayertest.Counted(32, 32),
	}
	got := relayertest.Digests(t, p, at, relayertest.Counted(0, 61), make([]byte, 256))
	want := []string{"97bc65aaf77ef48848b4dba6718cd9e9c7e18276a1004596de25415a2abc75b2",
		"the report is longer than its length's byte can say"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValidateJob(t *testing.T) {
	t.Parallel()
	key, other := sol.PublicKey{1, 2, 3}.String(), sol.PublicKey{4}.String()
	good := fmt.Sprintf(`{"chainID":"localnet","ocr2ProgramID":%q,"storeProgramID":%[1]q,"transmissionsID":%[1]q}`, key)
	job := func(config string) *relayerv1.ValidateJobRequest {
		return &relayerv1.ValidateJobRequest{ChainId: "localnet", ContractId: key, TransmitterId: other,
			RelayConfigJson: []byte(config)}
	}
	relayertest.Jobs(t, newFixture(t).Relayer, map[string]relayertest.JobCase{
		"good": {Job: job(good), RelayConfig: good, Names: [3]string{key, other, other}},
		"old keys": {
			Job: job(good[:len(good)-1] + `,"nodeEndpointHTTP":"http://old","junk":1}`), Names: [3]string{key, other, other},
			Want: []string{"warning: relayConfig.nodeEndpointHTTP: this key has no effect in this type of job",
				"warning: relayConfig.junk: unknown key"},
			RelayConfig: fmt.Sprintf(
				`{"chainID":"localnet","junk":1,"nodeEndpointHTTP":"http://old","ocr2ProgramID":%q,"storeProgramID":%[1]q,"transmissionsID":%[1]q}`, key),
		},
		"everything wrong": {
			Job: &relayerv1.ValidateJobRequest{ContractId: "0OIl1111111111111111111111111111",
				RelayConfigJson: []byte(
					`{"chainid":"x","ocr2ProgramID":"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz","storeProgramID":7}`)},
			Want: []string{
				`contractID: "0OIl1111111111111111111111111111" is not a public key, which is 32 bytes in base58`,
				"transmitterID: expected a transmitterID to be specified: the account that sends reports",
				`relayConfig.ocr2ProgramID: "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz" is not a public key, which is 32 bytes in base58`,
				"relayConfig.transmissionsID: the key is missing or empty",
				"relayConfig.storeProgramID: want a string in quotes, have a whole number",
				"warning: relayConfig.chainid: unknown key; did you mean chainID?",
			},
		},
	})
}
