// Package inprocess connects a host and a plugin in one process: what one registers on a [Channel], the other calls
// there. Messages are copied, so that neither side sees later changes by the other.
package inprocess

import (
	"context"
	"errors"
	"io"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Channel implements grpc.ServiceRegistrar and grpc.ClientConnInterface.
type Channel struct{ *inprocgrpc.Channel }

// New returns a channel on which nothing is registered.
func New() *Channel { return &Channel{(&inprocgrpc.Channel{}).WithCloner(wire.Cloner{})} }

// Invoke implements grpc.ClientConnInterface. A call whose caller has left ends with CANCELLED or DEADLINE_EXCEEDED, as
// between processes. The library drops the answer then, and half of the time returns it as an empty one.
func (c *Channel) Invoke(ctx context.Context, method string, request, reply any, opts ...grpc.CallOption) error {
	err := c.Channel.Invoke(ctx, method, request, reply, opts...)
	if errors.Is(err, io.EOF) && ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return err
}
