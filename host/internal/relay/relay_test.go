package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/relay"
)

// fake is not a relayer: it answers with what a test has put into it.
type fake struct {
	description *relayerv1.DescribeRelayerResponse
	accounts    *relayerv1.DescribeAccountsResponse
	ids         *relayerv1.NormalizeIdsResponse
	chain       *relayerv1.ValidateChainResponse
	job         *relayerv1.ValidateJobResponse
	err         error
}

func (f *fake) DescribeRelayer(context.Context, *relayerv1.DescribeRelayerRequest,
	...grpc.CallOption) (*relayerv1.DescribeRelayerResponse, error) {
	return f.description, f.err
}

func (f *fake) DescribeAccounts(context.Context, *relayerv1.DescribeAccountsRequest,
	...grpc.CallOption) (*relayerv1.DescribeAccountsResponse, error) {
	return f.accounts, f.err
}

func (f *fake) NormalizeIds(context.Context, *relayerv1.NormalizeIdsRequest,
	...grpc.CallOption) (*relayerv1.NormalizeIdsResponse, error) {
	return f.ids, f.err
}

func (f *fake) ValidateChain(context.Context, *relayerv1.ValidateChainRequest,
	...grpc.CallOption) (*relayerv1.ValidateChainResponse, error) {
	return f.chain, f.err
}

func (f *fake) ValidateJob(context.Context, *relayerv1.ValidateJobRequest,
	...grpc.CallOption) (*relayerv1.ValidateJobResponse, error) {
	return f.job, f.err
}

// described is a fake whose description holds.
func described() *fake {
	return &fake{
		description: &relayerv1.DescribeRelayerResponse{
			Relay: "acme", Section: "Acme",
			AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519,
			ReportSchemes: []*relayerv1.ReportScheme{
				{Name: "default", Algorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK},
				{Name: "old", Algorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS},
			},
			ReferenceToml: "# All of it.\nChainID = '1'\n[[Nodes]]\nURL = 'http://127.0.0.1:1'\n",
			Features:      []relayerv1.Feature{relayerv1.Feature_FEATURE_READ_CONTRACT, 99},
			ProviderTypes: []string{"median", "config"},
		},
		chain: &relayerv1.ValidateChainResponse{},
	}
}

func ask(t *testing.T, f *fake) *relay.Relayer {
	t.Helper()
	r, err := relay.Ask(t.Context(), "plug", f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDescription(t *testing.T) {
	t.Parallel()
	r := ask(t, described())
	stored, err := r.Stored()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := relay.Restore("plug", described(), stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*relay.Relayer{r, kept} {
		got := []any{r.Plugin(), r.Relay(), r.Section(), r.AccountAlgorithm(), r.ReportAlgorithm(), r.Schemes(),
			r.ReadsContracts(), r.Provides("config"), r.Provides("ccip")}
		want := []any{"plug", "acme", "Acme", keystore.Ed25519, keystore.Stark,
			map[string]keystore.Algorithm{"default": keystore.Stark, "old": keystore.Secp256k1}, true, true, false}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := relay.Restore("plug", described(), []byte{1}); err == nil {
		t.Error("bytes that are not a description are one")
	}
}

// Each description that cannot be used is refused in one sentence, which says what is wrong with it.
func TestNonsense(t *testing.T) {
	t.Parallel()
	const before = "plugin plug describes a relayer that this node cannot use: "
	const after = "; upgrade the plugin or the node"
	for want, spoil := range map[string]func(*fake){
		`relay is "Acme", which must be a lower-case letter and then at most 31 lower-case letters and digits`: func(
			f *fake) {
			f.description.Relay = "Acme"
		},
		`relay is "ocr2", which is the node's own word`: func(f *fake) {
			f.description.Relay, f.description.Section = "ocr2", "OCR2"
		},
		`relay is "plugins", which is the node's own word`: func(f *fake) {
			f.description.Relay, f.description.Section = "plugins", "Plugins"
		},
		`section is "Other", which must be relay ("acme") but for the case of its letters`: func(f *fake) {
			f.description.Section = "Other"
		},
		`account_algorithm is 7, which this node does not have; it has SECP256K1, ED25519, STARK`: func(f *fake) {
			f.description.AccountAlgorithm = 7
		},
		`report_schemes[1].algorithm is 7, which this node does not have; it has SECP256K1_ADDRESS, ED25519, STARK`: func(
			f *fake) {
			f.description.ReportSchemes[1].Algorithm = 7
		},
		`report_schemes[1].name is "default", which must be given and of this scheme alone`: func(f *fake) {
			f.description.ReportSchemes[1].Name = "default"
		},
		`report_schemes is empty, and a relayer has at least one`: func(f *fake) { f.description.ReportSchemes = nil },
		`provider_types[1] is "median", which must be given and once`: func(f *fake) {
			f.description.ProviderTypes[1] = "median"
		},
		`reference_toml could not be checked: the table is not TOML: toml: expected '=' after key`: func(f *fake) {
			f.description.ReferenceToml = "ChainID"
		},
		`reference_toml does not pass its own check, which finds Nodes[0].WSURL: is missing`: func(f *fake) {
			f.chain.Problems = []*pluginv1.Problem{{Path: "Nodes[0].WSURL", Message: "is missing"}}
		},
		`reference_toml could not be checked: plugin plug: its answer to ValidateChain names a problem at "Nodes[1].URL", ` +
			`where there is nothing (is wrong); upgrade the plugin`: func(f *fake) {
			f.chain.Problems = []*pluginv1.Problem{{Path: "Nodes[1].URL", Message: "is wrong"}}
		},
	} {
		f := described()
		spoil(f)
		_, err := relay.Ask(t.Context(), "plug", f)
		if err == nil {
			t.Errorf("nothing is wrong; want %s", want)
			continue
		}
		if diff := cmp.Diff(before+want+after, err.Error()); diff != "" {
			t.Error(diff)
		}
	}
	_, err := relay.Ask(t.Context(), "plug", &fake{err: status.Error(codes.Unavailable, "it is away")})
	if diff := cmp.Diff("plugin plug did not describe its relayer: it is away", err.Error()); diff != "" {
		t.Error(diff)
	}
}

// A problem lies where there is something, or where a key could be.
func TestPlacesOfProblems(t *testing.T) {
	t.Parallel()
	const table = "FeeCapMax = 100_000_000_000_000_000_000_000\nMasks = [0xffffffffffffffffff, " +
		"-99999999999999999999]\nChainID = '1'\n'odd.key' = 1\n'a[0]' = 1\nAccounts = ['a', 'b']\n[Gas]\nMode = " +
		"'x'\n[[Nodes]]\nURL = 'u'\n"
	for path, there := range map[string]bool{
		"":                      true,
		"ChainID":               true,
		"chainid":               true,
		`"odd.key"`:             true,
		"odd.key":               true,
		"a[0]":                  true,
		"Accounts[1]":           true,
		"Gas.Limit":             true,
		"Missing.Deeper":        true,
		"Nodes[0]":              true,
		"Nodes[0].WSURL":        true,
		"a key":                 true,
		"FeeCapMax":             true,
		"Masks[1]":              true,
		"Masks[2]":              false,
		"Nodes[1]":              false,
		"Nodes.URL":             false,
		"ChainID[0]":            false,
		"ChainID.Deeper":        false,
		"Gas[0]":                false,
		"Missing[0].URL":        false,
		"a[1]":                  false,
		"Nodes[-1]":             false,
		"Nodes[0":               false,
		"Nodes[0]URL":           false,
		"Nodes[0].":             false,
		"Gas.":                  false,
		"Gas..Mode":             false,
		"Nodes[99999999999999]": false,
	} {
		f := described()
		r := ask(t, f)
		f.chain = &relayerv1.ValidateChainResponse{Warnings: []*pluginv1.Problem{{Path: path, Message: "m"}}}
		_, warnings, err := r.ValidateChain(t.Context(), []byte(table))
		if there != (err == nil) || there != (len(warnings) == 1) {
			t.Errorf("%q: %v; want one that is there: %v", path, err, there)
		}
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	f := described()
	r := ask(t, f)
	request := &relayerv1.ValidateJobRequest{ChainId: "1", ContractId: "c", TransmitterId: "t",
		RelayConfigJson: []byte(`{"keys":[1]}`), ProviderType: "median"}
	good := &relayerv1.ValidateJobResponse{RelayConfigJson: []byte("{}"), ContractKey: "C", TransmitterKey: "T",
		FromAccount: "F"}
	f.job = good
	got, err := r.ValidateJob(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(good, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	problem := func(path string) *relayerv1.ValidateJobResponse {
		return &relayerv1.ValidateJobResponse{Problems: []*pluginv1.Problem{{Path: path, Message: "m"}}}
	}
	for _, path := range []string{"", "contractID", "transmitterID", "relayConfig.keys[0]", "relayConfig.chainID"} {
		f.job = problem(path)
		if got, err := r.ValidateJob(t.Context(), request); err != nil || len(got.GetProblems()) != 1 {
			t.Errorf("%q: %v", path, err)
		}
	}
	spoiled := func(spoil func(*relayerv1.ValidateJobResponse)) *relayerv1.ValidateJobResponse {
		r := proto.CloneOf(good)
		spoil(r)
		return r
	}
	for want, answer := range map[string]*relayerv1.ValidateJobResponse{
		`names a problem at "relayConfig.keys[1]", where there is nothing (m)`: problem(
			"relayConfig.keys[1]"),
		`names a problem at "pluginConfig.x", and a relayer checks contractID, transmitterID and relayConfig (m)`: problem(
			"pluginConfig.x"),
		`has no JSON in relay_config_json`: spoiled(func(r *relayerv1.ValidateJobResponse) {
			r.RelayConfigJson = nil
		}),
		`has no contract_key for the contract "c"`: spoiled(func(r *relayerv1.ValidateJobResponse) {
			r.ContractKey = ""
		}),
		`has no transmitter_key for the account "t"`: spoiled(func(r *relayerv1.ValidateJobResponse) {
			r.TransmitterKey = ""
		}),
		`has no from_account for the account "t", and the contract's configuration names one`: spoiled(
			func(r *relayerv1.ValidateJobResponse) {
				r.FromAccount = ""
			}),
	} {
		f.job = answer
		_, err := r.ValidateJob(t.Context(), request)
		if err == nil || status.Convert(err).Message() != "plugin plug: its answer to ValidateJob "+want+
			"; upgrade the plugin" {
			t.Errorf("%v; want %s", err, want)
		}
	}

	// What the relayer does not have, it is not asked for.
	f.job = nil
	request.ProviderType = "ccip"
	got, err = r.ValidateJob(t.Context(), request)
	if err != nil || len(got.GetProblems()) != 1 || got.GetProblems()[0].GetPath() != "relay" {
		t.Errorf("%v, %v", got, err)
	}
	request.ProviderType = "median"
	f.err = status.Error(codes.Unavailable, "it is away")
	if _, err = r.ValidateJob(t.Context(), request); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	f := described()
	r := ask(t, f)
	f.accounts = &relayerv1.DescribeAccountsResponse{Names: []string{"a"}}
	f.ids = &relayerv1.NormalizeIdsResponse{Ids: []*relayerv1.NormalizedId{{Text: "a"}, {Problem: "is not an account"}}}
	if name, err := r.AccountName(t.Context(), []byte{1}); err != nil || name != "a" {
		t.Error(name, err)
	}
	spelled, err := r.Accounts(t.Context(), []string{"A", "?"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]relay.Spelling{{Text: "a"}, {Problem: "is not an account"}}, spelled); diff != "" {
		t.Error(diff)
	}
	for _, spoil := range []func(){
		func() { f.accounts.Names = nil },
		func() { f.accounts.Names = []string{" "} },
	} {
		spoil()
		if _, err := r.AccountName(t.Context(), []byte{1}); status.Code(err) != codes.Internal {
			t.Error(err)
		}
	}
	for _, ids := range [][]*relayerv1.NormalizedId{nil, {{}}, {{Text: "a", Problem: "b"}}} {
		f.ids.Ids = ids
		if _, err := r.Accounts(t.Context(), []string{"A"}); status.Code(err) != codes.Internal {
			t.Error(err)
		}
	}
}

func FuzzPlaces(f *testing.F) {
	f.Add("Nodes[0].URL", `{"Nodes":[{"URL":1}]}`)
	f.Fuzz(func(t *testing.T, path, values string) {
		if !json.Valid([]byte(values)) || values == "" || values[0] != '{' {
			t.Skip()
		}
		fk := described()
		r := ask(t, fk)
		fk.job = &relayerv1.ValidateJobResponse{Problems: []*pluginv1.Problem{{Path: path, Message: "m"}}}
		_, err := r.ValidateJob(t.Context(),
			&relayerv1.ValidateJobRequest{RelayConfigJson: []byte(values), ProviderType: "median"})
		if err != nil && status.Code(err) != codes.Internal {
			t.Error(errors.Unwrap(err), err)
		}
	})
}
