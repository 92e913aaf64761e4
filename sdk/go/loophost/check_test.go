package loophost

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// deaf is a connection to a process that does not answer, until it has been asked some number of times.
type deaf struct {
	grpc.ClientConnInterface
	asked, answers int
}

func (d *deaf) Invoke(ctx context.Context, _ string, _, _ any, _ ...grpc.CallOption) error {
	if d.asked++; d.asked == d.answers {
		return nil
	}
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

// TestStarvedProcess checks that a process which waits for a processor is not killed for the first health check that it
// does not answer, and one that hangs is, on a busy machine too.
func TestStarvedProcess(t *testing.T) {
	for name, test := range map[string]struct {
		waits   float64       // which part of the time the process waits for a processor
		late    time.Duration // how long the host's first look takes
		answers int           // at which check it answers
		asked   int
		killed  bool
	}{
		"answers":                      {answers: 1, asked: 1},
		"hangs":                        {asked: 1, killed: true},
		"hangs on a busy machine":      {waits: 0.4, asked: 1, killed: true},
		"is starved for a moment":      {waits: 0.9, answers: 3, asked: 3},
		"hangs and waits all the same": {waits: 1, asked: starvedChecks, killed: true},
		"waits in many threads":        {waits: 7, answers: 2, asked: 2},
		"has a host that is starved":   {late: 600 * time.Millisecond, answers: 2, asked: 2},
		"hangs, and the host is slow":  {late: 100 * time.Millisecond, asked: 1, killed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				conn := &deaf{answers: test.answers}
				late := test.late
				a := check(t.Context(), conn, time.Second, func() time.Duration {
					time.Sleep(late)
					late = 0
					return time.Duration(test.waits * float64(time.Since(begin)))
				})
				if conn.asked != test.asked || (a.verdict != "") != test.killed {
					t.Errorf("verdict %q after %d checks; want %d checks, killed: %t", a.verdict, conn.asked, test.asked, test.killed)
				}
			})
		})
	}
}
