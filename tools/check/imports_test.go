package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// whole is a graph in which every rule guards a package and none is broken.
func whole() graph {
	own := func(folder string) string { return module + "/" + folder }
	return graph{
		own("gen/go/loop/median/v1"):              {"google.golang.org/grpc"},
		own("gen/go/loop/median/v1/medianv1loop"): {own("sdk/go/loop"), own("sdk/go/wire"), own("gen/go/loop/median/v1")},
		own("sdk/go/loop"):                        {own("gen/go/loop/plugin/v1"), own("sdk/go/wire")},
		own("plugins/median"): {own("gen/go/loop/median/v1/medianv1loop"),
			"github.com/smartcontractkit/libocr/commontypes"},
		own("plugins/median/cmd/loop-median"): {own("plugins/median")},
		own("plugins/evm"):                    {own("sdk/go/relayer"), "github.com/ethereum/go-ethereum/ethclient"},
		own("host/internal/fallback"):         {own("plugins/median"), own("plugins/evm")},
		own("host/internal/supervisor"):       {own("sdk/go/loophost"), own("host/internal/fallback")},
		own("tools/devnet"): {own("gen/go/loop/node/v1"),
			"github.com/smartcontractkit/libocr/offchainreporting2plus"},
		own("tools/protoc-gen-go-loop"):              {"google.golang.org/protobuf/compiler/protogen"},
		own("gen/go/loop/median/v1/medianv1connect"): {"connectrpc.com/connect"},
	}
}

func TestWholeGraphBreaksNoRule(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string(nil), against(whole(), importRules())); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestForbiddenImports(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		from, to string
		why      string // words of the reason that must be printed
	}{
		"messages import the SDK":      {"gen/go/loop/median/v1", "sdk/go/wire", "the contract itself"},
		"Connect stubs import the SDK": {"gen/go/loop/node/v1/nodev1connect", "sdk/go/loop", "the contract itself"},
		"glue imports more of the SDK": {"gen/go/loop/evm/v1/evmv1loop", "sdk/go/relayer", "three packages"},
		"glue imports beneath the SDK": {"gen/go/loop/evm/v1/evmv1loophost", "sdk/go/loophost/internal",
			"three packages"},
		"glue imports a plugin":             {"gen/go/loop/evm/v1/evmv1loop", "plugins/evm", "three packages"},
		"SDK imports a plugin":              {"sdk/go/loophost", "plugins/median", "beneath every plugin"},
		"SDK imports the host":              {"sdk/go/loop", "host/internal/store", "beneath every plugin"},
		"SDK imports a chain client":        {"sdk/go/relayer", "github.com/ethereum/go-ethereum/common", "for every chain"},
		"plugin imports the host":           {"plugins/evm", "host/internal/keystore", "any host"},
		"plugin's command imports the host": {"plugins/evm/cmd/loop-evm", "host/internal/keystore", "any host"},
		"plugin imports another":            {"plugins/median", "plugins/evm", "one by one"},
		"plugin imports beneath another":    {"plugins/median/codec", "plugins/evm/internal/abi", "one by one"},
		"plugin with another's prefix":      {"plugins/evm2", "plugins/evm", "one by one"},
		"plugin imports a tool":             {"plugins/evm", "tools/devnet/chain/evm", "made or tested"},
		"host imports a plugin": {"host/internal/supervisor", "plugins/median",
			"host/internal/fallback is the one place"},
		"host's command imports a plugin": {"host/cmd/loop", "plugins/evm", "host/internal/fallback is the one place"},
		"host imports a tool":             {"host/cmd/loop", "tools/devnet", "made or tested"},
		"devnet imports the host":         {"tools/devnet", "host/internal/job", "from outside"},
		"devnet imports a plugin":         {"tools/devnet/chain/evm", "plugins/evm", "from outside"},
		"anything imports GPL code":       {"host/internal/keystore", "github.com/ethereum/go-ethereum/cmd/utils", "GPL"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := c.to
			if !strings.HasPrefix(to, "github.com/") {
				to = module + "/" + to
			}
			imports := whole()
			from := module + "/" + c.from
			imports[from] = append(imports[from], to)
			findings := against(imports, importRules())
			if len(findings) == 0 {
				t.Fatalf("%s imports %s: no finding", c.from, c.to)
			}
			said := strings.Join(findings, "\n")
			if !strings.Contains(said, c.from+" imports "+c.to+": ") || !strings.Contains(said, c.why) {
				t.Errorf("findings do not name the import and say %q:\n%s", c.why, said)
			}
		})
	}
}

func TestRuleThatGuardsNothingIsFound(t *testing.T) {
	t.Parallel()
	got := against(whole(), []rule{{from: "renamed/...", never: []string{"host/..."}, reason: "a reason"}})
	want := []string{"no package matches renamed/...: fix or remove the rule that guards it"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	type result struct {
		Star    string
		Matched bool
	}
	cases := map[string]struct {
		pattern, path string
		want          result
	}{
		"folder itself":         {"sdk/...", "sdk", result{Matched: true}},
		"beneath":               {"sdk/...", "sdk/go/loop", result{Matched: true}},
		"longer name":           {"sdk/...", "sdks/go", result{}},
		"star is one element":   {"plugins/*/...", "plugins/evm/cmd/loop-evm", result{"evm", true}},
		"star needs an element": {"plugins/*/...", "plugins", result{}},
		"end of a name":         {"gen/go/.../*loop", "gen/go/a/v1/av1loop", result{"av1", true}},
		"not the end":           {"gen/go/.../*loop", "gen/go/a/v1/av1loophost", result{}},
		"dots are not wild":     {"buf.build/x", "bufxbuild/x", result{}},
		"everything":            {"...", "gen/go", result{Matched: true}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			star, matched := match(c.pattern, c.path)
			if diff := cmp.Diff(c.want, result{star, matched}); diff != "" {
				t.Errorf("match(%q, %q) (-want +got):\n%s", c.pattern, c.path, diff)
			}
		})
	}
}
