package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/host/internal/config"
)

// TestChanged holds that each key that differs is named, by tables and plugins, and none that stands elsewhere.
func TestChanged(t *testing.T) {
	t.Parallel()
	read := func(text string) *config.Config {
		path := filepath.Join(t.TempDir(), "node.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Read(path, []string{"CL_ACME_CMD=acme"}, "evm")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := read(`RootDir = "/a"
[Database]
URL = "one"
[Plugins.Acme]
MemoryLimit = "1GiB"
[[EVM]]
ChainID = "1"
`)
	now := read(`RootDir = "/a"
[Log]
Level = "debug"
[Database]
URL = "two"
[WebServer]
AllowedHosts = ["a"]
[WebServer.TLS]
ListenIP = "::1"
[P2P.V2]
DeltaDial = "4s"
[Plugins]
StopTimeout = "9s"
[Plugins.Acme]
MemoryLimit = "1GiB"
Connect = [1]
[Plugins.EVM]
Transport = "grpc"
`)
	if diff := cmp.Diff([]string{
		"Log.Level", "Database.URL", "WebServer.AllowedHosts", "WebServer.TLS.ListenIP", "P2P.V2.DeltaDial",
		"Plugins.StopTimeout", "Plugins.Acme.Connect", "Plugins.Evm.Transport",
	}, config.Changed(before, now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if same := config.Changed(before, before); same != nil {
		t.Errorf("of one configuration: %v", same)
	}
}
