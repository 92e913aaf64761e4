package api

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
)

// Whoever reaches the node's port gets nowhere without a token, and with one as far as its role.
func TestDoor(t *testing.T) {
	t.Parallel()
	d := start(t, onEVM(t))
	account := d.Keys().Accounts("evm")[0]
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
		_, err = api.ExportKey(t.Context(), &nodev1.ExportKeyRequest{Id: account, Password: "of the file, and long"})
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
		`audit.method=ExportKey audit.object="key `+account+`" audit.outcome=done`,
		`audit.method=ExportKey audit.object="" audit.outcome="refused: ExportKey wants a token of the role admin, and`,
		`audit.method=ListKeys audit.object="" audit.outcome="refused: the API wants a token`,
	)
	d.neverLogged(t, "hunter2", "of the file, and long", viewer, operate, owner, former)
}
