// Package nodetest has what the tests of a node and of its API share: the files of a node, a relayer of chains that do
// not exist, and a client of a node's socket.
//
// It must not know package node, whose own tests import it, nor a chain.
package nodetest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// Files are what a node under test finds on its disk and in its environment.
type Files struct {
	// Dir is the node's own folder.
	Dir string
	// Config is the configuration.
	Config string
	// Section is the table of chains.
	Section string
	// Builtin are the plugins that are built in.
	Builtin map[string]fallback.Plugin
	// Address is where the node listens for peers.
	Address string
	// Environment is the node's.
	Environment map[string]string
}

// New returns the files of a node on free ports, whose plugins are the built-in ones. It has no chain.
func New(t testing.TB) *Files {
	t.Helper()
	f := &Files{Dir: t.TempDir(), Address: ports.Address(t), Section: "Acme", Builtin: fallback.Plugins(),
		Environment: map[string]string{"CL_PASSWORD_KEYSTORE": "correct horse battery staple"}}
	sockets, err := os.MkdirTemp("", "loop") // the test's own folder is too deep for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	f.Config = fmt.Sprintf(`
RootDir = %q
[WebServer]
HTTPPort = 0
Socket = %q
[P2P.V2]
ListenAddresses = [%q]
[Plugins]
SocketDir = %q
`, f.Dir, filepath.Join(sockets, "loop.sock"), f.Address, sockets)
	return f
}

// Chain adds a chain to the configuration. Nothing listens at the address of its RPC node.
func (f *Files) Chain(id, more string) {
	f.Config += fmt.Sprintf("[[%[1]s]]\nChainID = %[2]q\n%[3]s\n[[%[1]s.Nodes]]\nName = \"nobody\"\nHTTPURL = "+
		"\"http://127.0.0.1:9\"\n", f.Section, id, more)
}

// Load writes the configuration and reads it as a node does.
func (f *Files) Load(t testing.TB) *config.Config {
	t.Helper()
	file := filepath.Join(f.Dir, "node.toml")
	if err := os.WriteFile(file, []byte(f.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	var environ []string
	for name, value := range f.Environment {
		environ = append(environ, name+"="+value)
	}
	c, err := config.Load(file, environ, []byte(f.Environment["CL_PASSWORD_KEYSTORE"]),
		slices.Collect(maps.Keys(f.Builtin))...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Scrypt is a password's cost for nodes that guard nothing: the default would take most of the tests' time.
func Scrypt() keystore.Scrypt { return keystore.Scrypt{N: 2, R: 1, P: 1} }

// Operator returns a client that speaks to a node by its socket.
func Operator(socket string) nodev1connect.NodeServiceClient {
	return nodev1connect.NewNodeServiceClient(OverSocket(socket), "http://node")
}

// OverSocket returns a client of HTTP for a socket. It keeps no connection, which would outlast a test.
func OverSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}
