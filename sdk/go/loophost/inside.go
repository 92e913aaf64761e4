package loophost

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/inprocess"
)

// Inside makes a plugin inside the host for calls that need no object. Nothing supervises it, and it cannot call the
// host. It needs no Close.
func Inside(ctx context.Context, p loop.Plugin) (grpc.ClientConnInterface, error) {
	up, down := inprocess.New(), inprocess.New()
	loop.InProcess(p, slog.New(slog.DiscardHandler), down, up)
	request := insideRequest()
	request.Generation, request.MaxMessageBytes = 1, wire.MaxMessageBytes
	if _, err := pluginv1.NewLifecycleServiceClient(wire.Bind(down, "")).Init(ctx, request); err != nil {
		return nil, err
	}
	return wire.Bind(down, ""), nil
}

// insideRequest is the Init request for a plugin that has no socket to dial.
func insideRequest() *pluginv1.InitRequest {
	return &pluginv1.InitRequest{
		HostAddress: "in-process", HostCertificatePem: "none", ClientCertificatePem: "none", ClientKeyPem: "none",
	}
}
