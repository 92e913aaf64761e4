package frames

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// A connection may end by a failed write before its goroutine has read anything: a call that waits is told all the
// same.
func TestACallIsToldOfAnEndThatNobodyRead(t *testing.T) {
	t.Parallel()
	for range 100 {
		near, far := net.Pipe()
		_ = far.Close()
		c := NewConn(near)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err := ask(ctx, c, nil)
		cancel()
		expect(t, "a call on it", err, codes.Unavailable, "")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
