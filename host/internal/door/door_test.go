package door

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/database"
)

// Every method has a role, so that a new one is for nobody until somebody decides; and what changes something is for no
// viewer.
func TestEveryMethodHasARole(t *testing.T) {
	t.Parallel()
	service := nodev1.File_loop_node_v1_node_proto.Services().ByName("NodeService")
	methods := service.Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		procedure := "/" + string(service.FullName()) + "/" + string(m.Name())
		role, ok := roles[procedure]
		if !ok {
			t.Errorf("%s has no role", procedure)
		}
		options := m.Options().(*descriptorpb.MethodOptions)
		reads := options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
		if !reads && role < nodev1.Role_ROLE_OPERATE {
			t.Errorf("%s changes something and is for viewers", procedure)
		}
		if strings.Contains(string(m.Name()), "Token") && role != nodev1.Role_ROLE_ADMIN {
			t.Errorf("%s is not for admins alone", procedure)
		}
		// The audit knows calls with one answer, and streams have limits of their own.
		if m.IsStreamingClient() || m.IsStreamingServer() && !reads {
			t.Errorf("%s is a stream that changes something, which the audit does not see", procedure)
		}
		if m.IsStreamingServer() != streams[procedure] {
			t.Errorf("%s is a stream: %t, and has the limits of one: %t", procedure, m.IsStreamingServer(), streams[procedure])
		}
	}
	if len(roles) != methods.Len() {
		t.Errorf("%d methods have a role, and there are %d", len(roles), methods.Len())
	}
}

// The comments of the proto file, which docs/api.md is made of, give each method the role that it needs.
func TestRolesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	rows := regexp.MustCompile(`(?m)^\| \[(\w+)\]\(#\w+\) \| (\w+) \|`)
	for _, row := range rows.FindAllStringSubmatch(string(page), -1) {
		documented["/"+nodev1connect.NodeServiceName+"/"+row[1]] = row[2]
	}
	needed := map[string]string{}
	for procedure, role := range roles {
		needed[procedure] = RoleName(role)
	}
	if diff := cmp.Diff(needed, documented); diff != "" {
		t.Errorf("docs/api.md has other roles (-code +page); correct node.proto and run make generate:\n%s", diff)
	}
}

// tokens stands in for the database.
type tokens map[string]database.Token

func (s tokens) Token(_ context.Context, hash []byte) (database.Token, error) {
	if s == nil {
		return database.Token{}, errors.New("disk on fire")
	}
	if token, ok := s[hex.EncodeToString(hash)]; ok {
		return token, nil
	}
	return database.Token{}, database.ErrNotFound
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	secret, hash := NewSecret()
	if other, _ := NewSecret(); other == secret || len(secret) != len("loop_")+64 {
		t.Fatalf("the secrets are %s and %s", secret, other)
	}
	known := tokens{hex.EncodeToString(hash): {Name: "x", Role: "emperor"}}
	reached := func(http.ResponseWriter, *http.Request) { t.Error("the API was reached") }
	const status = nodev1connect.NodeServiceNodeStatusProcedure
	for name, c := range map[string]struct {
		tokens    tokens
		procedure string
		code      connect.Code
		says      string
	}{
		"a role that nobody knows":   {known, status, connect.CodePermissionDenied, "wants a token of the role view"},
		"a method that is not there": {known, status + "es", connect.CodeUnimplemented, "no such method"},
		"a database that fails":      {nil, status, connect.CodeUnavailable, "its log says why"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(New(c.tokens, nil, slog.New(slog.DiscardHandler)).Guard(http.HandlerFunc(reached)))
			defer server.Close()
			err := knock(t, server, c.procedure, "Bearer "+secret)
			if connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v: %s", err, c.code, c.says)
			}
		})
	}
}

// knock calls a method with a header Authorization.
func knock(t *testing.T, server *httptest.Server, procedure, authorization string) error {
	t.Helper()
	type reply = nodev1.NodeStatusResponse
	client := connect.NewClient[nodev1.NodeStatusRequest, reply](server.Client(), server.URL+procedure)
	request := connect.NewRequest(&nodev1.NodeStatusRequest{})
	request.Header().Set("Authorization", authorization)
	_, err := client.CallUnary(t.Context(), request)
	return err
}

// A caller on this machine without a token learns where the socket is. A caller by TLS does not, nor does one with a
// wrong token.
func TestWhoLearnsOfTheSocket(t *testing.T) {
	t.Parallel()
	socket := &nodev1.TokenWanted{Socket: "/var/lib/loop/loop.sock"}
	guard := New(tokens{}, socket, slog.New(slog.DiscardHandler)).Guard(http.NotFoundHandler())
	plain, private := httptest.NewServer(guard), httptest.NewTLSServer(guard)
	defer plain.Close()
	defer private.Close()
	secret, _ := NewSecret()
	for name, c := range map[string]struct {
		server        *httptest.Server
		authorization string
		told          bool
	}{
		"without a token":         {plain, "", true},
		"with a false token":      {plain, "Bearer " + secret, false},
		"by TLS, without a token": {private, "", false},
	} {
		err := knock(t, c.server, nodev1connect.NodeServiceNodeStatusProcedure, c.authorization)
		var refused *connect.Error
		if connect.CodeOf(err) != connect.CodeUnauthenticated || !errors.As(err, &refused) {
			t.Fatalf("%s: %v", name, err)
		}
		var told []proto.Message
		for _, d := range refused.Details() {
			v, err := d.Value()
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, v)
		}
		var want []proto.Message
		if c.told {
			want = []proto.Message{socket}
		}
		if diff := cmp.Diff(want, told, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What is refused is not read: a caller without a token has an answer before it has sent its body.
func TestRefusedBodiesAreNotRead(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(New(tokens{}, nil, slog.New(slog.DiscardHandler)).Guard(http.NotFoundHandler()))
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	head := "POST " + nodev1connect.NodeServiceAddJobProcedure + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
		"Content-Type: application/proto\r\nContent-Length: 900000000\r\n\r\n"
	if _, err := c.Write([]byte(head)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	k, err := c.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:k]), "HTTP/1.1 401 ") {
		t.Errorf("the answer is %q, %v", b[:k], err)
	}
}
