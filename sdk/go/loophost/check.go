package loophost

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// answer is the result of a health check, with the reason to kill the process, if there is one.
type answer struct {
	err     error
	verdict string
}

// starvedChecks is how many health checks in a row may go unanswered by a process that waits for a processor.
const starvedChecks = 10

// check makes a health check, and repeats one that a starved process did not answer, which waited for a processor for
// half of the time or more, and one whose answer a starved host may not have seen. delay is process.Process.Delay.
func check(
	ctx context.Context,
	conn grpc.ClientConnInterface,
	patience time.Duration,
	delay func() time.Duration,
) (a answer) {
	for range starvedChecks {
		type look struct{ at, delay time.Duration }
		begin, looked := time.Now(), make(chan look, 1)
		half := time.AfterFunc(patience/2, func() {
			delayed := delay()
			looked <- look{time.Since(begin), delayed}
		})
		a = checkOnce(ctx, conn, patience)
		if half.Stop() || a.verdict == "" {
			return a
		}
		// Only the second half is measured, so that a process which answers at once costs no look at /proc. A host that comes
		// late to its own look was starved itself, and the answer may have been there since.
		if l := <-looked; l.at < patience*3/4 && delay()-l.delay < patience/4 {
			return a
		}
	}
	return a
}

// checkOnce makes one health check.
func checkOnce(ctx context.Context, conn grpc.ClientConnInterface, patience time.Duration) (a answer) {
	begin := time.Now()
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, a.err = grpc_health_v1.NewHealthClient(conn).Check(bounded,
		&grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	switch {
	case a.err == nil || ctx.Err() != nil:
	case time.Since(begin) > patience+patience/4:
		// The host itself was late: a starved machine must not kill a healthy plugin.
	case status.Code(a.err) == codes.DeadlineExceeded:
		a.verdict = fmt.Sprintf("killed because it did not answer its health check within %s", patience)
	case status.Code(a.err) == codes.Unavailable:
		// Its connection broke: most often the process is ending, and how it ends says more than we could.
		select {
		case <-ctx.Done():
		case <-time.After(patience):
			a.verdict = "killed because its connection broke while it ran on"
		}
	}
	return a
}
