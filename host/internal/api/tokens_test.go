package api

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func TestTokensOfANode(t *testing.T) {
	t.Parallel()
	d := start(t, onEVM(t))
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
