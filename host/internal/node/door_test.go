package node

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
)

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

// doored is a node whose door tests knock at, with its log.
type doored struct {
	*Node
	log     *journal
	admin   nodev1connect.NodeServiceClient // by the socket
	account string                          // one to export
}

func newDoored(t *testing.T) *doored {
	t.Helper()
	log := &journal{}
	f := newFiles(t)
	f.chain("1337", "")
	settings := f.settings(t)
	settings.Logger = slog.New(slog.NewTextHandler(log, nil))
	n, err := Start(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close(context.Background())
		if t.Failed() {
			t.Logf("the log:\n%.8000s", log)
		}
	})
	return &doored{n, log, operator(n.Socket()), n.keys.Accounts("evm")[0]}
}

func (d *doored) token(t *testing.T, name string, role nodev1.Role) (secret string) {
	t.Helper()
	made, err := d.admin.CreateToken(t.Context(), &nodev1.CreateTokenRequest{Name: name, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return made.GetSecret()
}

func (d *doored) logged(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(d.log.String(), line) {
			t.Errorf("the audit lacks %s", line)
		}
	}
}

func (d *doored) neverLogged(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("the log has the secret %q", secret)
		}
	}
}

// Whoever reaches the node's port gets nowhere without a token, and with one as far as its role.
func TestDoor(t *testing.T) {
	t.Parallel()
	d := newDoored(t)
	viewer, operate := d.token(t, "viewer", nodev1.Role_ROLE_VIEW), d.token(t, "operator", nodev1.Role_ROLE_OPERATE)
	owner, former := d.token(t, "owner", nodev1.Role_ROLE_ADMIN), d.token(t, "former", nodev1.Role_ROLE_ADMIN)
	if _, err := d.admin.RevokeToken(t.Context(), &nodev1.RevokeTokenRequest{Name: "former"}); err != nil {
		t.Fatal(err)
	}
	const no, small, in = connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.Code(0)
	for name, c := range map[string]struct {
		header                string
		list, change, exports connect.Code
	}{
		"nobody":              {"", no, no, no},
		"a made-up token":     {"Bearer loop_" + strings.Repeat("0", 64), no, no, no},
		"half a token":        {"Bearer " + owner[:40], no, no, no},
		"a token and more":    {"Bearer " + owner + "0", no, no, no},
		"a token in capitals": {"Bearer " + strings.ToUpper(owner), no, no, no},
		"a name":              {"Bearer owner", no, no, no},
		"another scheme":      {"Basic " + owner, no, no, no},
		"a revoked token":     {"Bearer " + former, no, no, no},
		"a viewer":            {"Bearer " + viewer, in, small, small},
		"an operator":         {"Bearer " + operate, in, in, small},
		"an admin":            {"Bearer " + owner, in, in, in},
	} {
		api := nodev1connect.NewNodeServiceClient(&http.Client{Transport: bearer(c.header)}, "http://"+d.Address())
		_, err := api.ListKeys(t.Context(), &nodev1.ListKeysRequest{})
		wantCode(t, name+" lists keys", err, c.list)
		bridge := &nodev1.Bridge{Name: "prices", Url: "http://user:hunter2@localhost"}
		_, err = api.AddBridge(t.Context(), &nodev1.AddBridgeRequest{Bridge: bridge})
		wantCode(t, name+" adds a bridge", err, c.change)
		if err == nil {
			if _, err := api.RemoveBridge(t.Context(), &nodev1.RemoveBridgeRequest{Name: "prices"}); err != nil {
				t.Fatal(err)
			}
		}
		_, err = api.ExportKey(t.Context(), &nodev1.ExportKeyRequest{Id: d.account, Password: "of the file, and long"})
		wantCode(t, name+" exports a key", err, c.exports)
		if _, err = api.TransferCoins(t.Context(), &nodev1.TransferCoinsRequest{}); c.exports == in {
			wantCode(t, name+" moves coins", err, connect.CodeInvalidArgument)
		} else {
			wantCode(t, name+" moves coins", err, c.exports)
		}
		_, err = api.ListTokens(t.Context(), &nodev1.ListTokensRequest{})
		wantCode(t, name+" lists tokens", err, c.exports)
	}
	d.logged(t,
		`audit.method=CreateToken audit.object="token viewer of role view" audit.outcome=done`,
		`audit.who.token=operator`,
		`audit.method=AddBridge audit.object="bridge prices" audit.outcome=done`,
		`audit.method=ExportKey audit.object="key `+d.account+`" audit.outcome=done`,
		`audit.method=ExportKey audit.object="" audit.outcome="refused: ExportKey wants a token of the role admin, and`,
		`audit.method=ListKeys audit.object="" audit.outcome="refused: the API wants a token`,
	)
	d.neverLogged(t, "hunter2", "of the file, and long", viewer, operate, owner, former)
}

func TestTokensOfANode(t *testing.T) {
	t.Parallel()
	d := newDoored(t)
	d.token(t, "viewer", nodev1.Role_ROLE_VIEW)
	d.token(t, "owner", nodev1.Role_ROLE_ADMIN)
	list, err := d.admin.ListTokens(t.Context(), &nodev1.ListTokensRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, token := range list.GetTokens() {
		names = append(names, token.GetName()+" "+token.GetRole().String())
	}
	if got := strings.Join(names, ", "); got != "owner ROLE_ADMIN, viewer ROLE_VIEW" {
		t.Errorf("the tokens are %s", got)
	}
	for name, r := range map[string]*nodev1.CreateTokenRequest{
		"no role":      {Name: "x"},
		"another role": {Name: "x", Role: 9},
		"no name":      {Role: nodev1.Role_ROLE_VIEW},
		"a long name":  {Name: strings.Repeat("x", 65), Role: nodev1.Role_ROLE_VIEW},
		"a blank":      {Name: "a b", Role: nodev1.Role_ROLE_VIEW},
	} {
		_, err := d.admin.CreateToken(t.Context(), r)
		wantCode(t, name, err, connect.CodeInvalidArgument)
	}
	_, err = d.admin.CreateToken(t.Context(), &nodev1.CreateTokenRequest{Name: "owner", Role: nodev1.Role_ROLE_VIEW})
	wantCode(t, "a name that is taken", err, connect.CodeAlreadyExists)
	_, err = d.admin.RevokeToken(t.Context(), &nodev1.RevokeTokenRequest{Name: "nobody"})
	wantCode(t, "revoking nobody's", err, connect.CodeNotFound)
	d.logged(t, `audit.method=CreateToken audit.object="token owner of role view" audit.outcome="failed: already_exists"`)
}

func wantCode(t *testing.T, what string, err error, want connect.Code) {
	t.Helper()
	if want == 0 && err != nil || want != 0 && connect.CodeOf(err) != want {
		t.Errorf("%s: %v, want the code %v", what, err, want)
	}
}

// Keys are imported and exported one at a time: each takes hundreds of MiB.
func TestOnePasswordAtATime(t *testing.T) {
	t.Parallel()
	d := newDoored(t)
	client := connect.NewClient[nodev1.ExportKeyRequest, nodev1.ExportKeyResponse](
		overSocket(d.Socket()), "http://node"+nodev1connect.NodeServiceExportKeyProcedure)
	export := func(header ...string) error {
		request := connect.NewRequest(&nodev1.ExportKeyRequest{Id: d.account, Password: "of the file, and long"})
		for i := 0; i < len(header); i += 2 {
			request.Header().Set(header[i], header[i+1])
		}
		_, err := client.CallUnary(t.Context(), request)
		return err
	}
	d.stretching <- struct{}{}
	err := export("Connect-Timeout-Ms", "50")
	if connect.CodeOf(err) != connect.CodeDeadlineExceeded ||
		!strings.Contains(err.Error(), "another key was being imported or exported") {
		t.Errorf("while another is: %v", err)
	}
	<-d.stretching
	if err := export(); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// A plugin is a process of the node's own user, and is refused all the same.
func TestPluginAtTheDoor(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("whose a process is is told by Linux alone")
	}
	f := newFiles(t)
	f.config += "[Plugins.Median]\nConfine = \"none\"\n" // the door holds by itself
	socket := f.load(t).WebServer.Socket
	f.plugin(t, "MEDIAN", "ASK="+socket)
	f.start(t)
	said, err := os.ReadFile(socket + ".said")
	if err != nil || !strings.HasPrefix(string(said), "permission_denied: process ") ||
		!strings.Contains(string(said), "comes of the node") {
		t.Errorf("the plugin was told %q, %v", said, err)
	}
}

func TestExportThatIsOff(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.config += "[Keystore]\nAllowExport = false\n"
	n := f.start(t)
	account := n.keys.Accounts("evm")[0]
	_, err := operator(n.Socket()).ExportKey(t.Context(), &nodev1.ExportKeyRequest{Id: account, Password: "x"})
	wantCode(t, "an export", err, connect.CodeFailedPrecondition)
	if err == nil || !strings.Contains(err.Error(), "[Keystore] AllowExport is false") {
		t.Errorf("the export says %v", err)
	}
}
