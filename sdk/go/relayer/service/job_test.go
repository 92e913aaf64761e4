package service_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// described is a relayer whose ids are letters, and whose jobs have a key of every type.
func described(relay string) *service.Relayer[config] {
	settings := service.Settings{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Relay: relay}
	return service.New(settings, service.Kind[config]{
		Name: "Toy", Reference: "1",
		AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519,
		AccountName: func(key []byte) (string, error) {
			if len(key) != 2 {
				return "", fmt.Errorf("want 2 bytes, got %d", len(key))
			}
			return hex.EncodeToString(key), nil
		},
		ReportAlgorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK,
		Features:        []relayerv1.Feature{relayerv1.Feature_FEATURE_REPLAY},
		Spell: func(_ relayerv1.IdKind, text string) (string, error) {
			if strings.Trim(text, "abcABC/") != "" {
				return "", errors.New("is not made of a, b and c")
			}
			return strings.ToLower(text), nil
		},
		Job: func(j *service.Job) {
			t := j.RelayConfig
			t.Whole("whole", 9)
			t.Flag("flag")
			t.Text("text")
			t.Table("table")
			t.Ignored("old")
			if list := t.Texts("list"); len(list) > 0 {
				t.Set("list", append(list, "more"))
			}
			if t.Text("from") != "" {
				j.From = t.ID(relayerv1.IdKind_ID_KIND_ACCOUNT, "from")
			}
		},
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	r := described("")
	description, err := r.DescribeRelayer(t.Context(), &relayerv1.DescribeRelayerRequest{})
	want := &relayerv1.DescribeRelayerResponse{
		Relay: "toy", Section: "Toy", AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519,
		ReportSchemes: []*relayerv1.ReportScheme{{Name: "default",
			Algorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK}},
		ReferenceToml: "ChainID = '1'\n", Features: []relayerv1.Feature{relayerv1.Feature_FEATURE_REPLAY},
		ProviderTypes: []string{"median", "config"},
	}
	if diff := cmp.Diff(want, description, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("(-want +got): %v\n%s", err, diff)
	}

	other, err := described("acme").DescribeRelayer(t.Context(), &relayerv1.DescribeRelayerRequest{})
	if err != nil || other.GetRelay() != "acme" || other.GetSection() != "Acme" {
		t.Errorf("under another name: %v, %v", other, err)
	}

	accounts, err := r.DescribeAccounts(t.Context(),
		&relayerv1.DescribeAccountsRequest{PublicKeys: [][]byte{{1, 2}, {3, 4}}})
	if diff := cmp.Diff([]string{"0102", "0304"}, accounts.GetNames()); diff != "" || err != nil {
		t.Errorf("names (-want +got): %v\n%s", err, diff)
	}
	_, err = r.DescribeAccounts(t.Context(), &relayerv1.DescribeAccountsRequest{PublicKeys: [][]byte{{1, 2}, {3}}})
	if said := status.Convert(err); said.Code() != codes.InvalidArgument ||
		said.Message() != "public_keys[1]: want 2 bytes, got 1" {
		t.Errorf("a short key: %v", err)
	}

	ids, err := r.NormalizeIds(t.Context(),
		&relayerv1.NormalizeIdsRequest{Ids: []*relayerv1.Id{{Text: "aB"}, {Text: "x"}, {Text: "C"}}})
	normal := &relayerv1.NormalizeIdsResponse{Ids: []*relayerv1.NormalizedId{{Text: "ab"},
		{Problem: "is not made of a, b and c"}, {Text: "c"}}}
	if diff := cmp.Diff(normal, ids, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("ids (-want +got): %v\n%s", err, diff)
	}
}

// said are the problems and warnings of an answer, a line each.
func said(r *relayerv1.ValidateJobResponse) []string {
	var lines []string
	for _, p := range r.GetProblems() {
		lines = append(lines, p.GetPath()+": "+p.GetMessage())
	}
	for _, w := range r.GetWarnings() {
		lines = append(lines, "warning: "+w.GetPath()+": "+w.GetMessage())
	}
	return lines
}

func TestValidateJob(t *testing.T) {
	t.Parallel()
	good := func(change func(*relayerv1.ValidateJobRequest)) *relayerv1.ValidateJobRequest {
		r := &relayerv1.ValidateJobRequest{ChainId: "7", ContractId: "Aa", TransmitterId: "Bb", ProviderType: "median"}
		change(r)
		return r
	}
	config := func(json string) *relayerv1.ValidateJobRequest {
		return good(func(r *relayerv1.ValidateJobRequest) { r.RelayConfigJson = []byte(json) })
	}
	for name, c := range map[string]struct {
		request *relayerv1.ValidateJobRequest
		want    []string
		json    string
	}{
		"good": {request: config(`{"whole": 9, "flag": true, "text": "x", "table": {"any": 1}, "chainID": 7}`),
			json: `{"chainID":"7","flag":true,"table":{"any":1},"text":"x","whole":9}`},
		"nothing":   {request: config(``), json: `{"chainID":"7"}`},
		"no chain":  {request: good(func(r *relayerv1.ValidateJobRequest) { r.ChainId = "" }), json: `{}`},
		"filled in": {request: config(`{"List": ["a"]}`), json: `{"chainID":"7","list":["a","more"]}`},
		"letter case": {request: config(`{"WHOLE": 3, "whole": 4}`),
			want: []string{"warning: relayConfig.WHOLE: this key is given in another spelling too, and that one is used"},
			json: `{"WHOLE":3,"chainID":"7","whole":4}`},
		"misspelled": {request: config(`{"tabel": {}, "zebra": 1, "old": 2}`),
			want: []string{"warning: relayConfig.old: this key has no effect in this type of job",
				"warning: relayConfig.tabel: unknown key; did you mean table?",
				"warning: relayConfig.zebra: unknown key"}, json: `{"chainID":"7","old":2,"tabel":{},"zebra":1}`},
		"other's id": {request: config(`{"chainid": "8"}`),
			want: []string{"warning: relayConfig.chainid: unknown key; did you mean chainID?"},
			json: `{"chainID":"7","chainid":"8"}`},
		"too large": {request: config(`{"whole": 10}`),
			want: []string{"relayConfig.whole: 10 does not fit: want a whole number from 0 to 9"}},
		"negative": {request: config(`{"whole": -1}`),
			want: []string{"relayConfig.whole: -1 does not fit: want a whole number from 0 to 9"}},
		"huge": {request: config(`{"whole": 99999999999999999999}`),
			want: []string{"relayConfig.whole: 99999999999999999999 does not fit: want a whole number from 0 to 9"}},
		"fraction": {request: config(`{"whole": 1.5}`),
			want: []string{"relayConfig.whole: want a whole number from 0 to 9, have a number with a fraction"}},
		"types": {request: config(`{"whole": "1", "flag": 1, "text": [], "table": null, "list": {}}`),
			want: []string{"relayConfig.whole: want a whole number from 0 to 9, have a string",
				"relayConfig.flag: want true or false, have a whole number",
				"relayConfig.text: want a string in quotes, have a list", "relayConfig.table: want a table, have nothing",
				"relayConfig.list: want a list of strings, have a table"}},
		"element": {request: config(`{"list": ["a", true]}`),
			want: []string{"relayConfig.list[1]: want a string in quotes, have true or false"}},
		"id":          {request: config(`{"from": "x"}`), want: []string{`relayConfig.from: "x" is not made of a, b and c`}},
		"no object":   {request: config(`[]`), want: []string{"relayConfig: it is not a JSON object"}},
		"null":        {request: config(`null`), want: []string{"relayConfig: it is not a JSON object"}},
		"two objects": {request: config(`{}{}`), want: []string{"relayConfig: it is not a JSON object"}},
		"no contract": {request: good(func(r *relayerv1.ValidateJobRequest) { r.ContractId = "" }),
			want: []string{"contractID: the key is missing or empty"}},
		"bad contract": {request: good(func(r *relayerv1.ValidateJobRequest) { r.ContractId = "x" }),
			want: []string{`contractID: "x" is not made of a, b and c`}},
		"slashes": {request: good(func(r *relayerv1.ValidateJobRequest) { r.ContractId, r.TransmitterId = "A/b", "b/C" }),
			want: []string{`contractID: the relayer spells it "a/b", and reports of a name with a slash cannot be kept; ` +
				`the relayer's author must spell it without one`,
				`transmitterID: the relayer spells it "b/c", and reports of a name with a slash cannot be kept; ` +
					`the relayer's author must spell it without one`}},
		"slash of a bootstrap job": {request: good(func(r *relayerv1.ValidateJobRequest) {
			r.ContractId, r.ProviderType = "A/b", "config"
		})},
		"no sender": {request: good(func(r *relayerv1.ValidateJobRequest) { r.TransmitterId = "" }),
			want: []string{"transmitterID: expected a transmitterID to be specified: the account that sends reports"}},
		"other type": {request: good(func(r *relayerv1.ValidateJobRequest) { r.ProviderType = "lottery" }),
			want: []string{`: this relayer makes no provider of type "lottery"; it has median and config`}},
	} {
		got, err := described("").ValidateJob(t.Context(), c.request)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, said(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if c.json != "" && string(got.GetRelayConfigJson()) != c.json {
			t.Errorf("%s: the relayer is given %s, want %s", name, got.GetRelayConfigJson(), c.json)
		}
	}

	got, err := described("").ValidateJob(t.Context(), config(`{"from": "CC"}`))
	if err != nil || got.GetContractKey() != "aa" || got.GetTransmitterKey() != "bb" || got.GetFromAccount() != "cc" {
		t.Errorf("names: %v, %v", got, err)
	}
	got, err = described("").ValidateJob(t.Context(),
		&relayerv1.ValidateJobRequest{ContractId: "A", ProviderType: "config"})
	if err != nil || got.GetContractKey() != "a" || got.GetTransmitterKey() != "" || got.GetFromAccount() != "" ||
		len(got.GetProblems()) > 0 {
		t.Errorf("a bootstrap job: %v, %v", got, err)
	}
}

// Whatever a job says, the answer is one that the contract takes.
func TestValidateJobAnswersWithinBounds(t *testing.T) {
	t.Parallel()
	many := "{"
	for i := range 300 {
		many += fmt.Sprintf("%q: 1, ", fmt.Sprint("key", i))
	}
	check := func(json string, contract string) error {
		got, err := described("").ValidateJob(t.Context(),
			&relayerv1.ValidateJobRequest{ContractId: contract, ProviderType: "median", RelayConfigJson: []byte(json)})
		if err != nil {
			return err
		}
		if broken := wire.Check(got); broken != nil {
			return broken
		}
		return nil
	}
	for name, c := range map[string][2]string{
		"many keys": {many + `"x": 1}`, "a"}, "a long key": {`{"` + strings.Repeat("k", 5000) + `": 1}`, "a"},
		"a long value": {"{}", strings.Repeat("x", 1024)},
	} {
		if err := check(c[0], c[1]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if err := check(rapid.String().Draw(t, "json"), rapid.StringN(-1, -1, 1024).Draw(t, "contract")); err != nil {
			t.Error(err)
		}
	})
}
