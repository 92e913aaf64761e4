package relayertest

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

// Normal is the canonical spelling of a text, or what is wrong with the text.
func Normal(t *testing.T, r relayerv1loop.RelayerService, texts ...string) []string {
	t.Helper()
	request := &relayerv1.NormalizeIdsRequest{}
	for _, text := range texts {
		request.Ids = append(request.Ids, &relayerv1.Id{Kind: relayerv1.IdKind_ID_KIND_ACCOUNT, Text: text})
	}
	response, err := r.NormalizeIds(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	var normal []string
	for _, id := range response.GetIds() {
		normal = append(normal, id.GetText()+id.GetProblem())
	}
	return normal
}

// Names checks that a relayer names the account of a public key in hexadecimal, and refuses a key that lacks a byte.
func Names(t *testing.T, r relayerv1loop.RelayerService, publicKey, want string) {
	t.Helper()
	key := Unhex(t, publicKey)
	response, err := r.DescribeAccounts(t.Context(), &relayerv1.DescribeAccountsRequest{PublicKeys: [][]byte{key}})
	if diff := cmp.Diff([]string{want}, response.GetNames()); err != nil || diff != "" {
		t.Errorf("names (-want +got): %v\n%s", err, diff)
	}
	if response, err := r.DescribeAccounts(t.Context(),
		&relayerv1.DescribeAccountsRequest{PublicKeys: [][]byte{key[1:]}}); err == nil {
		t.Errorf("a key without its first byte is named %v", response.GetNames())
	}
}

// JobCase is a job and the relayer's answer about it.
type JobCase struct {
	// Job is checked with the ProviderType median unless it has one.
	Job *relayerv1.ValidateJobRequest
	// Want is each problem and, after "warning: ", each warning.
	Want []string
	// RelayConfig is the expected argument of CreateProvider, if Want has no problem.
	RelayConfig string
	// Names are the contract, the transmitter and the account that sends the job's transactions.
	Names [3]string
}

// Jobs makes a relayer check jobs.
func Jobs(t *testing.T, r relayerv1loop.RelayerService, cases map[string]JobCase) {
	t.Helper()
	for name, c := range cases {
		if c.Job.GetProviderType() == "" {
			c.Job.ProviderType = "median"
		}
		got, err := r.ValidateJob(t.Context(), c.Job)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var said []string
		for _, p := range got.GetProblems() {
			said = append(said, p.GetPath()+": "+p.GetMessage())
		}
		for _, w := range got.GetWarnings() {
			said = append(said, "warning: "+w.GetPath()+": "+w.GetMessage())
		}
		if diff := cmp.Diff(c.Want, said); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(got.GetProblems()) > 0 {
			continue
		}
		if diff := cmp.Diff(c.RelayConfig, string(got.GetRelayConfigJson())); diff != "" {
			t.Errorf("%s: relayConfig (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.Names,
			[3]string{got.GetContractKey(), got.GetTransmitterKey(), got.GetFromAccount()}); diff != "" {
			t.Errorf("%s: names (-want +got):\n%s", name, diff)
		}
	}
}

// Digests checks what a provider returns to be signed for each report at a time, in hexadecimal, or why it returns
// nothing.
func Digests(t *testing.T, p relayerv1loop.Provider, at *reportingv1.ReportContext, reports ...[]byte) []string {
	t.Helper()
	request := &relayerv1.DigestReportsRequest{}
	for _, report := range reports {
		request.Reports = append(request.Reports, &relayerv1.ReportToDigest{ReportContext: at, Report: report})
	}
	response, err := p.DigestReports(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	var digests []string
	for _, d := range response.GetDigests() {
		if (d.GetScheme() == "default") == (d.GetProblem() != "") {
			t.Errorf("the scheme %q and the problem %q", d.GetScheme(), d.GetProblem())
		}
		digests = append(digests, hex.EncodeToString(d.GetMessage())+d.GetProblem())
	}
	return digests
}

// Unhex reads hexadecimal digits, with or without blanks between them.
func Unhex(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Counted returns n bytes, each one larger than the one before.
func Counted(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}
