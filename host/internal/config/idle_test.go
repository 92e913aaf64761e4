package config_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// Of a section with keys of the established node, those that have no effect are named with their line and the reason,
// and nothing is wrong.
func TestIdleKeys(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/idle/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files with idle keys")
	}
	all := relayers(t)
	for _, file := range files {
		loaded, err := load(file, map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"})
		if err != nil {
			t.Fatal(err)
		}
		if err := loaded.CheckChains(t.Context(), all); err != nil {
			t.Error(err)
		}
		var text strings.Builder
		for _, w := range loaded.Warnings {
			text.WriteString(w.String() + "\n")
		}
		checkHidden(t, text.String())
		golden(t, strings.TrimSuffix(file, ".toml")+".golden", text.String())
	}
}
