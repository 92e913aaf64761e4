// Package door decides who may call which method of the operator's API and how many calls at once, and writes the
// audit: one line in the log for every change and every refusal.
//
// It must not know what the methods do. Package web tells it who calls by a socket.
package door

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/web"
)

// roles has the role that each method of the operator's API requires of its caller. Nobody may call a method that is
// not here.
var roles = map[string]nodev1.Role{
	nodev1connect.NodeServiceNodeStatusProcedure:       nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceDiagnoseProcedure:         nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceReloadProcedure:           nodev1.Role_ROLE_OPERATE,
	nodev1connect.NodeServiceGetLogLevelProcedure:      nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceSetLogLevelProcedure:      nodev1.Role_ROLE_OPERATE,
	nodev1connect.NodeServiceWatchPluginLogProcedure:   nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceListPluginsProcedure:      nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceListChainsProcedure:       nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceRestartPluginProcedure:    nodev1.Role_ROLE_OPERATE,
	nodev1connect.NodeServiceAddJobProcedure:           nodev1.Role_ROLE_OPERATE,
	nodev1connect.NodeServiceValidateJobProcedure:      nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceListJobsProcedure:         nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceRevealJobProcedure:        nodev1.Role_ROLE_ADMIN,
	nodev1connect.NodeServiceRemoveJobProcedure:        nodev1.Role_ROLE_OPERATE,
	nodev1connect.NodeServiceListObservationsProcedure: nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceWatchRoundsProcedure:      nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceShowJobProcedure:          nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceListRunsProcedure:         nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceGetRunProcedure:           nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceWatchRunsProcedure:        nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceListJobErrorsProcedure:    nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceListKeysProcedure:         nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceListSignaturesProcedure:   nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceCreateKeyProcedure:        nodev1.Role_ROLE_ADMIN,
	nodev1connect.NodeServiceImportKeyProcedure:        nodev1.Role_ROLE_ADMIN,
	nodev1connect.NodeServiceExportKeyProcedure:        nodev1.Role_ROLE_ADMIN,
	nodev1connect.NodeServiceTransferCoinsProcedure:    nodev1.Role_ROLE_ADMIN,
	nodev1connect.NodeServiceAddBridgeProcedure:        nodev1.Role_ROLE_OPERATE,
	nodev1connect.NodeServiceUpdateBridgeProcedure:     nodev1.Role_ROLE_OPERATE,
	nodev1connect.NodeServiceListBridgesProcedure:      nodev1.Role_ROLE_VIEW,
	nodev1connect.NodeServiceRevealBridgeProcedure:     nodev1.Role_ROLE_ADMIN,
	nodev1connect.NodeServiceRemoveBridgeProcedure:     nodev1.Role_ROLE_OPERATE,
	nodev1connect.NodeServiceCreateTokenProcedure:      nodev1.Role_ROLE_ADMIN,
	nodev1connect.NodeServiceListTokensProcedure:       nodev1.Role_ROLE_ADMIN,
	nodev1connect.NodeServiceRevokeTokenProcedure:      nodev1.Role_ROLE_ADMIN,
}

// RoleName returns a role as people and the database write it: view, operate or admin.
func RoleName(r nodev1.Role) string { return strings.ToLower(strings.TrimPrefix(r.String(), "ROLE_")) }

// RoleOf returns the role of a name, and false if there is none.
func RoleOf(name string) (nodev1.Role, bool) {
	for _, r := range []nodev1.Role{nodev1.Role_ROLE_VIEW, nodev1.Role_ROLE_OPERATE, nodev1.Role_ROLE_ADMIN} {
		if RoleName(r) == name {
			return r, true
		}
	}
	return nodev1.Role_ROLE_UNSPECIFIED, false
}

// prefix begins every token, so that people and scanners of leaked secrets know one.
const prefix = "loop_"

// secretSize is the number of random bytes in a token.
const secretSize = 32

// NewSecret makes a token's secret and the hash that is kept of it.
func NewSecret() (secret string, hash []byte) {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // it never fails: see crypto/rand
	secret = prefix + hex.EncodeToString(b)
	return secret, hashOf(secret)
}

// hashOf needs no salt and no slow function: 256 random bits are not guessed.
func hashOf(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// Tokens finds the token whose secret has a hash. If there is none, the error is database.ErrNotFound.
type Tokens interface {
	Token(ctx context.Context, hash []byte) (database.Token, error)
}

// Door lets callers in.
type Door struct {
	tokens Tokens
	socket *nodev1.TokenWanted
	logger *slog.Logger
	// calls and streams are those in progress.
	calls, streams calls

	strangers *Sparing
}

// New returns a door for callers with a token and for callers by the socket. It tells callers without a token the path
// of the socket.
func New(tokens Tokens, socket *nodev1.TokenWanted, logger *slog.Logger) *Door {
	return &Door{
		tokens: tokens, socket: socket, logger: logger, strangers: NewSparing(maxRefusals),
		calls:   calls{what: "calls", most: maxCalls, remote: maxRemoteCalls, of: map[string]int{}},
		streams: calls{what: "streams", most: maxStreams, remote: maxRemoteStreams, of: map[string]int{}},
	}
}

// caller is who calls.
type caller struct {
	name   slog.Attr // of the audit
	key    string    // whose calls are counted together; empty: nobody who is known
	remote bool      // by TCP
	role   nodev1.Role
}

type callerKey struct{}

// Guard lets only permitted callers call an API. It refuses others before it reads more of their request than the
// header.
func (d *Door) Guard(api http.Handler) http.Handler {
	refusals := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := d.caller(r)
		if err == nil {
			err = who.may(r.URL.Path)
		}
		var end func()
		if err == nil {
			end, err = d.inProgress(r.URL.Path).begin(who)
		}
		if err != nil {
			d.refused(r, who, err)
			_ = refusals.Write(w, r, err) // a caller that went away needs no answer
			return
		}
		defer end()
		r.Body = limitBody(w, r.Body)
		if streams[r.URL.Path] {
			lasting(w)
		}
		api.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}

// inProgress are the calls with which those of a method are counted.
func (d *Door) inProgress(procedure string) *calls {
	if streams[procedure] {
		return &d.streams
	}
	return &d.calls
}

// caller finds out who calls. With an error, its name says what is known.
func (d *Door) caller(r *http.Request) (caller, *connect.Error) {
	if peer, ok := web.PeerOf(r.Context()); ok {
		who := caller{name: slog.Group("who", "uid", peer.UID, "pid", peer.PID)}
		if peer.Refusal != "" {
			return who, connect.NewError(connect.CodePermissionDenied, errors.New(peer.Refusal))
		}
		who.key, who.role = fmt.Sprintf("user %d", peer.UID), nodev1.Role_ROLE_ADMIN
		return who, nil
	}
	nobody := caller{name: slog.Group("who", "address", r.RemoteAddr)}
	secret, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return nobody, d.tokenWanted(r)
	}
	unknown := connect.NewError(connect.CodeUnauthenticated,
		errors.New("the node does not know this token; it may have been revoked, see loop tokens list"))
	if len(secret) != len(prefix)+hex.EncodedLen(secretSize) || !strings.HasPrefix(secret, prefix) {
		return nobody, unknown
	}
	token, err := d.tokens.Token(r.Context(), hashOf(secret))
	if errors.Is(err, database.ErrNotFound) {
		return nobody, unknown
	}
	if err != nil {
		d.logger.Error("a token could not be looked up", "error", err)
		return nobody, connect.NewError(connect.CodeUnavailable,
			errors.New("the node cannot look for the token now; its log says why"))
	}
	role, _ := RoleOf(token.Role)
	return caller{
		name: slog.Group("who", "token", token.Name, "address", r.RemoteAddr), key: "token " + token.Name,
		remote: true, role: role,
	}, nil
}

// tokenWanted refuses a caller without a token. It names the socket only to callers on this machine; those over TLS are
// on others.
func (d *Door) tokenWanted(r *http.Request) *connect.Error {
	err := connect.NewError(connect.CodeUnauthenticated,
		errors.New("the API wants a token; an admin makes one by loop tokens create"))
	if r.TLS != nil {
		return err
	}
	if detail, failed := connect.NewErrorDetail(d.socket); failed == nil { // a path that is not text cannot be told
		err.AddDetail(detail)
	}
	return err
}

// may refuses a call for which the caller's role does not suffice.
func (c caller) may(procedure string) *connect.Error {
	want, known := roles[procedure]
	switch {
	case !known:
		return connect.NewError(connect.CodeUnimplemented, errors.New("the operator's API has no such method"))
	case c.role < want:
		return connect.NewError(connect.CodePermissionDenied,
			fmt.Errorf("%s wants a token of the role %s, and this one's is %s",
				method(procedure), RoleName(want), RoleName(c.role)))
	}
	return nil
}
