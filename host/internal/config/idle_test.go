package config_test

import (
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/config"
)

// Each key that the established node has and this one does not heed is named with its line and the reason, and nothing
// is refused for it.
func TestIdleKeys(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}
	loaded, err := config.Load("testdata/idle/established.toml", environment(variables))
	if err != nil {
		t.Fatal(err)
	}
	var warnings strings.Builder
	for _, w := range loaded.Warnings {
		warnings.WriteString(w.String() + "\n")
	}
	checkHidden(t, warnings.String())
	golden(t, "testdata/idle/established.golden", warnings.String())
	if len(loaded.EVM) != 1 || len(loaded.EVM[0].Nodes) != 2 {
		t.Errorf("the chain is %+v", loaded.EVM)
	}
}
