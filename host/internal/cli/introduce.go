package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/peer"
)

// introduced finds the socket of a node for a user who has no token for its address on this machine: the node names the
// socket when it refuses an empty request. Anybody may listen on a port. So the user's request goes to the address only
// if that needs no token. It goes to a socket only if this user or root listens on it, and if the node that answers
// there is the one that named it.
func introduced(ctx context.Context, name string, address api) (api, error) {
	_, err := address.NodeStatus(ctx, &nodev1.NodeStatusRequest{})
	if err == nil {
		return address, nil // something on the way has a token
	}
	wanted := tokenWanted(err)
	if wanted == nil {
		return nil, err
	}
	socket, failed := sameNode(ctx, wanted)
	if failed != nil {
		return nil, exit(ExitFailed, fmt.Errorf("%w; the node's socket %.128q is not used instead: %w",
			explain(name, err), wanted.GetSocket(), failed))
	}
	return socket, nil
}

// tokenWanted is what a node adds to its refusal; nil if it does not.
func tokenWanted(err error) *nodev1.TokenWanted {
	var refused *connect.Error
	if connect.CodeOf(err) != connect.CodeUnauthenticated || !errors.As(err, &refused) {
		return nil
	}
	for _, d := range refused.Details() {
		if v, err := d.Value(); err == nil {
			if wanted, ok := v.(*nodev1.TokenWanted); ok {
				return wanted
			}
		}
	}
	return nil
}

// sameNode reaches the node that an address has introduced by the socket that it named.
func sameNode(ctx context.Context, wanted *nodev1.TokenWanted) (api, error) {
	if !filepath.IsAbs(wanted.GetSocket()) {
		return nil, errors.New("it is not an absolute path")
	}
	socket := overSocket(wanted.GetSocket(), ours)
	r, err := socket.NodeStatus(ctx, &nodev1.NodeStatusRequest{})
	if err != nil {
		return nil, reason(err)
	}
	if !r.GetStartedAt().AsTime().Equal(wanted.GetStartedAt().AsTime()) {
		return nil, errors.New("another node answers there")
	}
	return socket, nil
}

// ours refuses a socket on which somebody else listens.
func ours(c net.Conn) error {
	listener, err := peer.Of(c)
	if err != nil {
		return fmt.Errorf("the system does not say who listens on it: %w", err)
	}
	if listener.UID != 0 && listener.UID != os.Geteuid() {
		return fmt.Errorf("user %d listens on it, who is neither this user nor root", listener.UID)
	}
	return nil
}
