package main

import (
	"strings"
	"testing"
)

func TestNamesOfChains(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, line, finds string }{
		"a chain":                {"host/internal/job/job.go", `if relay == "evm" {`, "names evm: "},
		"in a comment":           {"host/internal/node/node.go", "// as on Starknet", "names Starknet: "},
		"in a word":              {"host/internal/node/node.go", "var solanaChains int", "names solana: "},
		"beside an allowed word": {"host/internal/job/job.go", `evmChainID, ChainEVM`, "names EVM: "},
		"an allowed word":        {"host/internal/job/job.go", `"attribute evmChainID"`, ""},
		"a library":              {"host/internal/keystore/secp256k1.go", `"github.com/ethereum/go-ethereum/crypto"`, ""},
		"the library, elsewhere": {"host/internal/keystore/web3.go", `"github.com/ethereum/go-ethereum/crypto"`,
			"names ethereum: "},
		"the fallback":              {"host/internal/fallback/builtin.go", "evm.New()", ""},
		"a template":                {"host/internal/scaffold/templates/main.go.tmpl", "evm.New()", "names evm: "},
		"a file's name":             {"host/internal/config/evmgas.go", "package config", "is named after a chain: "},
		"a relay that nobody knows": {"host/internal/node/node.go", `"acme"`, ""},
	} {
		got := strings.Join(namesIn(c.file, []byte("package x\n"+c.line+"\n")), "\n")
		if c.finds == "" && got != "" || !strings.Contains(got, c.finds) {
			t.Errorf("%s: found %q; want %q", name, got, c.finds)
		}
	}
}

// Every exception has a reason.
func TestNamesAllowedHaveReasons(t *testing.T) {
	t.Parallel()
	for _, allowed := range namesAllowed {
		if allowed.reason == "" || allowed.place == "" && allowed.pattern == nil {
			t.Errorf("%q %v: %q", allowed.place, allowed.pattern, allowed.reason)
		}
	}
}
