package config_test

import (
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/config"
)

// Of a section with keys of the established node, those that this one heeds reach the relayer, and the others are named with
// their line and the reason.
func TestIdleKeys(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}
	for _, file := range []string{"testdata/idle/established", "testdata/idle/solana"} {
		loaded, err := config.Load(file+".toml", environment(variables))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, w := range loaded.Warnings {
			text.WriteString(w.String() + "\n")
		}
		checkHidden(t, text.String())
		var chains []interface{ TOML() ([]byte, error) }
		for _, chain := range loaded.EVM {
			chains = append(chains, chain)
		}
		for _, chain := range loaded.Solana {
			chains = append(chains, chain)
		}
		for _, chain := range chains {
			document, err := chain.TOML()
			if err != nil {
				t.Fatal(err)
			}
			text.Write(document)
		}
		golden(t, file+".golden", text.String())
	}
}
