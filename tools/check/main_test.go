package main

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForbiddenLinks(t *testing.T) {
	t.Parallel()
	geth := []*debug.Module{{Path: "google.golang.org/grpc"}, {Path: "github.com/ethereum/go-ethereum"}}
	cases := map[string]struct {
		binary string
		linked []*debug.Module
		want   int
	}{
		"median with go-ethereum":      {"loop-median", geth, 1},
		"median without it":            {"loop-median", geth[:1], 0},
		"relayer with go-ethereum":     {"loop-evm", geth, 0},
		"node with a database":         {"loop", []*debug.Module{{Path: "modernc.org/sqlite"}}, 0},
		"any plugin with a database":   {"loop-solana", []*debug.Module{{Path: "modernc.org/sqlite"}}, 1},
		"module that only begins like": {"loop-median", []*debug.Module{{Path: "github.com/ethereum/go-ethereum-x"}}, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := forbidden(c.binary, c.linked, linkRules()); len(got) != c.want {
				t.Errorf("findings: %q, want %d", got, c.want)
			}
		})
	}
}

func TestForeignModules(t *testing.T) {
	t.Parallel()
	fork := &debug.Module{Path: "example.org/fork", Version: "v1.2.3"}
	grpc := &debug.Module{Path: "google.golang.org/grpc", Version: "v1.85.0"}
	deps := []*debug.Module{
		{Path: module, Replace: &debug.Module{Path: "../.."}},
		{Path: module + "/plugins/evm", Version: "(devel)"},
		{Path: "example.org/original", Version: "v1.0.0", Replace: fork},
		grpc,
	}
	if diff := cmp.Diff([]*debug.Module{fork, grpc}, foreign(deps)); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
}

func TestRunExplainsWrongUsage(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args []string
		code int
		want string
	}{
		"no check":          {nil, 2, "check imports"},
		"unknown check":     {[]string{"import"}, 2, `There is no check named "import"; choose one of these:`},
		"binary missing":    {[]string{"links"}, 2, "call it as: check links BINARY..."},
		"argument too many": {[]string{"paths", "x"}, 2, "call it as: check paths"},
		"binary does not exist": {[]string{"links", "no-such-binary"}, 1,
			`The check "links" could not be made: read which modules no-such-binary links (make build builds it): `},
		"file is not a binary": {[]string{"licences", "main_test.go"}, 1, "read which modules main_test.go links"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			if code := run(t.Context(), &stdout, &stderr, c.args); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(stderr.String(), c.want) {
				t.Errorf("said %q, want %q in it", stderr.String(), c.want)
			}
		})
	}
}
