package inprocess_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire/inprocess"
)

// leaves serves a method that answers once its caller has left.
type leaves struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (leaves) Check(ctx context.Context,
	_ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	<-ctx.Done()
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

// TestCallerLeaves has callers leave as their answers come, often enough that these meet in every order.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	c := inprocess.New()
	grpc_health_v1.RegisterHealthServer(c, leaves{})
	for name, want := range map[string]codes.Code{"cancels": codes.Canceled, "its deadline ends": codes.DeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			for range 1000 {
				ctx, cancel := context.WithCancel(t.Context())
				if want == codes.DeadlineExceeded {
					ctx, cancel = context.WithTimeout(t.Context(), 0)
				}
				cancel()
				_, err := grpc_health_v1.NewHealthClient(c).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
				if status.Code(err) != want && status.Code(err) != codes.OK { // it may have had its answer before
					t.Fatalf("got %v, want %s", err, want)
				}
			}
		})
	}
}
