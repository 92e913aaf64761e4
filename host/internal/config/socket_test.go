package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/config"
)

// TestSocket holds that commands find a node that runs though its file has become wrong, unless what is wrong may be
// where the node serves.
func TestSocket(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want, fault string }{
		"of the folder":        {"RootDir = '/a'\n", "/a/loop.sock", ""},
		"of the configuration": {"[WebServer]\nSocket = '/b/s'\n", "/b/s", ""},
		"another table is wrong": {"RootDir = '/a'\n[JobPipeline]\nMaxRunDuratoin = '1m'\n[P2P.V2]\nDeltaDial = 3\n",
			"/a/loop.sock", ""},
		"a chain is wrong":          {"RootDir = '/a'\n[[EVM]]\nChainID = 7\nEnabled = 'no'\n", "/a/loop.sock", ""},
		"the socket is misspelled":  {"RootDir = '/a'\n[WebServer]\nSokcet = '/b/s'\n", "", "WebServer.Sokcet"},
		"the folder is misspelled":  {"RotDir = '/a'\n", "", "RotDir"},
		"the folder is not text":    {"RootDir = 7\n", "", "RootDir"},
		"the file cannot be read":   {"RootDir = \n", "", "node.toml:1"},
		"the socket is another key": {"[webserver]\nsocket = 7\n", "", "Socket"},
	} {
		path := filepath.Join(t.TempDir(), "node.toml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := config.Socket([]string{"CL_CONFIG=" + path, "HOME=/home/a"}, "evm")
		switch {
		case got != c.want, (err == nil) != (c.fault == ""):
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		case err != nil && !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.fault)):
			t.Errorf("%s: %v; want %q", name, err, c.fault)
		}
	}
}
