package api

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/node"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a log that a test reads while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// bearer sends a token with every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Close = true
	if b != "" {
		r.Header.Set("Authorization", string(b))
	}
	return http.DefaultTransport.RoundTrip(r)
}

// begun is a node under test whose plugins run inside it.
type begun struct {
	*node.Node
	service *service
	admin   nodev1connect.NodeServiceClient // by the socket
	log     *journal
}

// start starts a node that ends with the test.
func start(t *testing.T, f *nodetest.Files) *begun {
	t.Helper()
	b := &begun{log: &journal{}}
	n, err := node.Start(t.Context(), node.Settings{
		Config: f.Load(t), Logger: slog.New(slog.NewTextHandler(b.log, nil)), Version: "v1", Builtin: f.Builtin,
		Scrypt: nodetest.Scrypt(),
		API: func(n *node.Node, options connect.HandlerOption) (string, http.Handler) {
			b.service = newService(n)
			return nodev1connect.NewNodeServiceHandler(b.service, options)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close(context.Background())
		if t.Failed() {
			t.Logf("the log:\n%.8000s", b.log)
		}
	})
	b.Node, b.admin = n, nodetest.Operator(n.Socket())
	return b
}

// onEVM is a node with an EVM chain.
func onEVM(t *testing.T) *nodetest.Files {
	t.Helper()
	f := nodetest.New(t)
	f.Section = "EVM"
	f.Chain("1337", "")
	return f
}

// onAcme is a node with chain 1 of a relay that does not exist.
func onAcme(t *testing.T) *nodetest.Files {
	t.Helper()
	f := nodetest.New(t)
	f.Builtin["acme"] = nodetest.Inside(nodetest.Acme())
	f.Chain("1", "")
	return f
}

func (b *begun) token(t *testing.T, name string, role nodev1.Role) (secret string) {
	t.Helper()
	made, err := b.admin.CreateToken(t.Context(), &nodev1.CreateTokenRequest{Name: name, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return made.GetSecret()
}

func (b *begun) logged(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(b.log.String(), line) {
			t.Errorf("the audit lacks %s", line)
		}
	}
}

func (b *begun) neverLogged(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(b.log.String(), secret) {
			t.Errorf("the log has the secret %q", secret)
		}
	}
}

func wantCode(t *testing.T, what string, err error, want connect.Code) {
	t.Helper()
	if want == 0 && err != nil || want != 0 && connect.CodeOf(err) != want {
		t.Errorf("%s: %v, want the code %v", what, err, want)
	}
}
