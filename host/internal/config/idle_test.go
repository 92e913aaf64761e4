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
	loaded, err := config.Load("testdata/idle/established.toml", environment(variables))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, w := range loaded.Warnings {
		text.WriteString(w.String() + "\n")
	}
	checkHidden(t, text.String())
	for _, chain := range loaded.EVM {
		document, err := chain.TOML()
		if err != nil {
			t.Fatal(err)
		}
		text.Write(document)
	}
	golden(t, "testdata/idle/established.golden", text.String())
}
