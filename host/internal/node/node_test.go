package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// TestMain is also the main of the nodes' plugins: nodes under test start this binary again. A plugin is the real one
// unless its environment says otherwise.
func TestMain(m *testing.M) {
	cookie := os.Getenv(wire.CookieKey)
	if file := os.Getenv("FAIL_WHILE"); cookie != "" && file != "" {
		if _, err := os.Stat(file); err == nil {
			fmt.Fprintln(os.Stderr, "not today")
			os.Exit(3)
		}
	}
	if file := os.Getenv("FAIL_TURNS"); cookie != "" && file != "" { // a letter for each start: f fails, others do not
		if turns, _ := os.ReadFile(file); len(turns) > 0 {
			if err := os.WriteFile(file, turns[1:], 0o600); err != nil {
				panic(err)
			}
			if turns[0] == 'f' {
				fmt.Fprintln(os.Stderr, "not yet")
				os.Exit(3)
			}
		}
	}
	if file := os.Getenv("WAIT_WHILE"); cookie != "" && file != "" {
		for _, err := os.Stat(file); err == nil; _, err = os.Stat(file) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if socket := os.Getenv("ASK"); cookie != "" && socket != "" { // before the handshake, when the host knows least of it
		_, err := nodetest.Operator(socket).ExportKey(context.Background(),
			&nodev1.ExportKeyRequest{Id: "0x00", Password: "x"})
		if err := os.WriteFile(socket+".said", fmt.Append(nil, err), 0o600); err != nil {
			panic(err)
		}
	}
	switch {
	case cookie == relayerv1loop.RelayerKind().Cookie && os.Getenv("RELAYER") == "fake":
		relayerv1loop.ServeRelayer(func(*loop.Host) relayerv1loop.RelayerService { return nodetest.Acme() })
	case cookie == relayerv1loop.RelayerKind().Cookie && os.Getenv("RELAYER") == "queueing":
		relayerv1loop.ServeRelayer(func(*loop.Host) relayerv1loop.RelayerService {
			return queueing{nodetest.Acme(), os.Getenv("QUEUE_DIR")}
		})
	case cookie == relayerv1loop.RelayerKind().Cookie && os.Getenv("RELAYER") == "nonsense":
		nonsense := nodetest.Acme()
		nonsense.Description.AccountAlgorithm = 9
		relayerv1loop.ServeRelayer(func(*loop.Host) relayerv1loop.RelayerService { return nonsense })
	case cookie == relayerv1loop.RelayerKind().Cookie && (os.Getenv("RELAYER") == "none" || os.Getenv("PRODUCT") != ""):
		fmt.Fprintln(os.Stderr, "this is not a relayer")
		os.Exit(4)
	case cookie == relayerv1loop.RelayerKind().Cookie:
		loop.Serve(fallback.Plugins()["evm"].New())
	case cookie == productv1loop.ProductKind().Cookie && os.Getenv("PRODUCT") == "fake":
		productv1loop.ServeProduct(func(*loop.Host) productv1loop.ProductService { return fakeProduct{} })
	case cookie == productv1loop.ProductKind().Cookie:
		fmt.Fprintln(os.Stderr, "this is not a product")
		os.Exit(4)
	case cookie == medianv1loop.MedianKind().Cookie:
		loop.Serve(fallback.Plugins()["median"].New())
	default:
		goleak.VerifyTestMain(m)
	}
}

// files are a nodetest.Files whose plugins run in processes of their own, which are this binary again.
type files struct{ *nodetest.Files }

// newFiles is a node with plugins in processes of their own, without a chain.
func newFiles(t testing.TB) *files {
	t.Helper()
	f := &files{nodetest.New(t)}
	f.Section = "EVM"
	f.Environment["CL_PROMETHEUS_DISCOVERY_HOSTNAME"] = "oracle.example"
	f.Environment["CL_MEDIAN_CMD"], f.Environment["CL_EVM_CMD"] = os.Args[0], os.Args[0]
	return f
}

// acme replaces the built-in relayer of a chain by a fake relayer of a chain that the node does not know.
func (f *files) acme(t *testing.T, environment string) {
	t.Helper()
	f.Section = "Acme"
	f.Environment["CL_ACME_CMD"] = os.Args[0]
	delete(f.Environment, "CL_EVM_CMD")
	f.plugin(t, "ACME", environment)
}

// plugin writes a plugin's environment.
func (f *files) plugin(t *testing.T, name, environment string) {
	t.Helper()
	file := filepath.Join(f.Dir, name+".env")
	if err := os.WriteFile(file, []byte(environment), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Environment["CL_"+name+"_ENV"] = file
}

func (f *files) settings(t testing.TB) Settings {
	t.Helper()
	return Settings{Config: f.Load(t), Logger: discard(), Version: "v1", Builtin: f.Builtin, Scrypt: nodetest.Scrypt(),
		API: mounted}
}

// start starts a node that ends with the test.
func (f *files) start(t *testing.T) *Node {
	t.Helper()
	n, err := Start(t.Context(), f.settings(t))
	for range 5 {
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			break
		}
		// Somebody took the port before the node did, or while it was down for a restart.
		address := ports.Address(t)
		f.Config = strings.Replace(f.Config, f.Address, address, 1)
		f.Address = address
		n, err = Start(t.Context(), f.settings(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(context.Background()) })
	return n
}

// mounted is the API of nodes under test.
var mounted func(*Node, connect.HandlerOption) (string, http.Handler)

// Mount has package api answer the operators of nodes under test.
func Mount(api func(*Node, connect.HandlerOption) (string, http.Handler)) { mounted = api }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// answer is what an HTTP server said.
type answer struct {
	code        int
	contentType string
	body        string
}

// ask asks an HTTP server. header is a name and a value, or nothing.
func ask(t testing.TB, url string, header ...string) answer {
	t.Helper()
	a, err := try(t, url, header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(t testing.TB, url string, header ...string) (answer, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		request.Header.Set(header[0], header[1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, response.Header.Get("Content-Type"), string(body)}, nil
}

// eventually polls what has no event to await: processes and the runtime's view of them.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	// On a busy machine a job's next try comes longestPause after the one that was too early.
	for end := time.Now().Add(3 * longestPause); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s has not come about", what)
		}
	}
}

func signal(t *testing.T, n *Node, plugin string, s syscall.Signal) {
	t.Helper()
	pid := n.runtime.Plugin(plugin).Status().PID
	if pid <= 0 { // which the kernel takes for the test's own group
		t.Fatalf("plugin %s has no process to send %s to", plugin, s)
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}
