package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/fallback"
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
	if file := os.Getenv("WAIT_WHILE"); cookie != "" && file != "" {
		for _, err := os.Stat(file); err == nil; _, err = os.Stat(file) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if socket := os.Getenv("ASK"); cookie != "" && socket != "" { // before the handshake, when the host knows least of it
		_, err := operator(socket).ExportKey(context.Background(), &nodev1.ExportKeyRequest{Id: "0x00", Password: "x"})
		if err := os.WriteFile(socket+".said", fmt.Append(nil, err), 0o600); err != nil {
			panic(err)
		}
	}
	switch {
	case cookie == relayerv1loop.RelayerKind().Cookie && os.Getenv("RELAYER") == "fake":
		relayerv1loop.ServeRelayer(func(*loop.Host) relayerv1loop.RelayerService { return fakeRelayer{acme()} })
	case cookie == relayerv1loop.RelayerKind().Cookie && os.Getenv("RELAYER") == "queueing":
		relayerv1loop.ServeRelayer(func(*loop.Host) relayerv1loop.RelayerService {
			return queueing{acme(), os.Getenv("QUEUE_DIR")}
		})
	case cookie == relayerv1loop.RelayerKind().Cookie && os.Getenv("RELAYER") == "nonsense":
		nonsense := acme()
		nonsense.description.AccountAlgorithm = 9
		relayerv1loop.ServeRelayer(func(*loop.Host) relayerv1loop.RelayerService { return fakeRelayer{nonsense} })
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

// files are what a node under test finds on its disk and in its environment.
type files struct {
	// dir is the node's own.
	dir string
	// config is the configuration after its first lines.
	config string
	// section is the table of chains.
	section string
	// builtin are the plugins that are built in.
	builtin map[string]fallback.Plugin
	// address is where the node listens for peers.
	address string
	// environment is the node's. newFiles begins it, and tests change it.
	environment map[string]string
}

// newFiles is a node with plugins in processes of their own, on free ports, without a chain.
func newFiles(t testing.TB) *files {
	t.Helper()
	f := &files{dir: t.TempDir(), address: ports.Address(t), section: "EVM", builtin: fallback.Plugins(),
		environment: map[string]string{
			"CL_PASSWORD_KEYSTORE": "correct horse battery staple", "CL_PROMETHEUS_DISCOVERY_HOSTNAME": "oracle.example",
			"CL_MEDIAN_CMD": os.Args[0], "CL_EVM_CMD": os.Args[0],
		}}
	sockets, err := os.MkdirTemp("", "loop") // the test's own folder is too deep for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	f.config = fmt.Sprintf(`
RootDir = %q
[WebServer]
HTTPPort = 0
Socket = %q
[P2P.V2]
ListenAddresses = [%q]
[Plugins]
SocketDir = %q
`, f.dir, filepath.Join(sockets, "loop.sock"), f.address, sockets)
	return f
}

// chain adds a chain to the configuration.
func (f *files) chain(id, more string) {
	f.config += fmt.Sprintf("[[%[1]s]]\nChainID = %[2]q\n%[3]s\n[[%[1]s.Nodes]]\nName = \"nobody\"\nHTTPURL = "+
		"\"http://127.0.0.1:9\"\n", f.section, id, more)
}

// acme replaces the built-in relayer of a chain by a fake relayer of a chain that the node does not know.
func (f *files) acme(t *testing.T, environment string) {
	t.Helper()
	f.section = "Acme"
	f.environment["CL_ACME_CMD"] = os.Args[0]
	delete(f.environment, "CL_EVM_CMD")
	f.plugin(t, "ACME", environment)
}

// plugin writes a plugin's environment.
func (f *files) plugin(t *testing.T, name, environment string) {
	t.Helper()
	file := filepath.Join(f.dir, name+".env")
	if err := os.WriteFile(file, []byte(environment), 0o600); err != nil {
		t.Fatal(err)
	}
	f.environment["CL_"+name+"_ENV"] = file
}

// load reads the node's configuration.
func (f *files) load(t testing.TB) *config.Config {
	t.Helper()
	file := filepath.Join(f.dir, "node.toml")
	if err := os.WriteFile(file, []byte(f.config), 0o600); err != nil {
		t.Fatal(err)
	}
	var environ []string
	for name, value := range f.environment {
		environ = append(environ, name+"="+value)
	}
	c, err := config.Load(file, environ, []byte(f.environment["CL_PASSWORD_KEYSTORE"]),
		slices.Collect(maps.Keys(f.builtin))...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *files) settings(t testing.TB) Settings {
	t.Helper()
	return Settings{Config: f.load(t), Logger: discard(), Version: "v1", Builtin: f.builtin}
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
		f.config = strings.Replace(f.config, f.address, address, 1)
		f.address = address
		n, err = Start(t.Context(), f.settings(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(context.Background()) })
	return n
}

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
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s has not come about", what)
		}
	}
}

func signal(t *testing.T, n *Node, plugin string, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(n.runtime.Plugin(plugin).Status().PID, s); err != nil {
		t.Fatal(err)
	}
}

// described is what a fake says of itself and of what it is asked: every answer is a good one. Names of accounts have
// small letters.
type described struct {
	description *relayerv1.DescribeRelayerResponse
}

// acme is a relayer of chains that do not exist.
func acme() described {
	return described{&relayerv1.DescribeRelayerResponse{
		Relay: "acme", Section: "Acme", AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1,
		ReportSchemes: []*relayerv1.ReportScheme{{Name: "default",
			Algorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_ED25519}},
		ReferenceToml: "# The chain's id.\nChainID = '1'\n", ProviderTypes: []string{"median", "config"},
		Features: []relayerv1.Feature{relayerv1.Feature_FEATURE_READ_CONTRACT},
	}}
}

func (d described) DescribeRelayer(context.Context,
	*relayerv1.DescribeRelayerRequest) (*relayerv1.DescribeRelayerResponse, error) {
	return d.description, nil
}

func (described) DescribeAccounts(_ context.Context,
	r *relayerv1.DescribeAccountsRequest) (*relayerv1.DescribeAccountsResponse, error) {
	response := &relayerv1.DescribeAccountsResponse{}
	for _, key := range r.GetPublicKeys() {
		response.Names = append(response.Names, fmt.Sprintf("account-%x", key[1:9]))
	}
	return response, nil
}

func (described) NormalizeIds(_ context.Context,
	r *relayerv1.NormalizeIdsRequest) (*relayerv1.NormalizeIdsResponse, error) {
	response := &relayerv1.NormalizeIdsResponse{}
	for _, id := range r.GetIds() {
		response.Ids = append(response.Ids, &relayerv1.NormalizedId{Text: strings.ToLower(id.GetText())})
	}
	return response, nil
}

func (described) ValidateChain(context.Context,
	*relayerv1.ValidateChainRequest) (*relayerv1.ValidateChainResponse, error) {
	return &relayerv1.ValidateChainResponse{}, nil
}

func (described) ValidateJob(_ context.Context,
	r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	account := strings.ToLower(r.GetTransmitterId())
	return &relayerv1.ValidateJobResponse{
		RelayConfigJson: r.GetRelayConfigJson(), ContractKey: strings.ToLower(r.GetContractId()), TransmitterKey: account,
		FromAccount: account,
	}, nil
}

// fakeRelayer is a relayer whose chain says which accounts it was lent, and signs with whichever it is asked to.
type fakeRelayer struct{ described }

func (fakeRelayer) CreateChain(_ context.Context, _ *relayerv1.CreateChainRequest,
	loans relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return &fakeChain{loans: loans}, &relayerv1.CreateChainResponse{}, nil
}

func (fakeRelayer) WatchContractConfigs(*relayerv1.WatchContractConfigsRequest,
	grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	return status.Error(codes.Unimplemented, "the fake follows no contract")
}

type fakeChain struct {
	relayerv1loop.Chain // for what no test calls
	loans               relayerv1loop.CreateChainLoans
	eaten               [][]byte
}

// LatestHead takes 16 MiB for good.
func (c *fakeChain) LatestHead(context.Context, *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	b := make([]byte, 16<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1 // so that it is resident
	}
	c.eaten = append(c.eaten, b)
	return &relayerv1.LatestHeadResponse{Timestamp: timestamppb.Now()}, nil
}

func (c *fakeChain) ListNodeStatuses(ctx context.Context,
	_ *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	lent, err := c.loans.Keystore.ListAccounts(ctx, &hostservicev1.ListAccountsRequest{})
	if err != nil {
		return nil, err
	}
	r := &relayerv1.ListNodeStatusesResponse{}
	for _, account := range lent.GetAccounts() {
		r.Nodes = append(r.Nodes, &relayerv1.NodeStatus{Name: account, State: relayerv1.NodeState_NODE_STATE_ALIVE})
	}
	return r, nil
}

func (*fakeChain) ChainStatus(context.Context, *relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	return &relayerv1.ChainStatusResponse{ChainId: "1"}, nil
}

func (c *fakeChain) Transact(ctx context.Context, r *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	signed, err := c.loans.Keystore.Sign(ctx, &hostservicev1.SignRequest{Account: r.GetFrom(), Data: make([]byte, 32)})
	if err != nil {
		return nil, err
	}
	return &relayerv1.TransactResponse{TransactionHash: strings.Repeat("0", len(signed.GetSignature()))}, nil
}

// operator speaks to a node by its socket.
func operator(socket string) nodev1connect.NodeServiceClient {
	return nodev1connect.NewNodeServiceClient(overSocket(socket), "http://node")
}

func overSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}
