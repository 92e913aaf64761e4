package node

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

// A plugin is a process of the node's own user, and is refused all the same.
func TestPluginAtTheDoor(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("whose a process is is told by Linux alone")
	}
	f := newFiles(t)
	f.Config += "[Plugins.Median]\nConfine = \"none\"\n" // the door holds by itself
	socket := f.Load(t).WebServer.Socket
	f.plugin(t, "MEDIAN", "ASK="+socket)
	f.start(t)
	said, err := os.ReadFile(socket + ".said")
	if err != nil || !strings.HasPrefix(string(said), "permission_denied: process ") ||
		!strings.Contains(string(said), "comes of the node") {
		t.Errorf("the plugin was told %q, %v", said, err)
	}
}
