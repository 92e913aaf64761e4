package boundary

import (
	"context"
	"os"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// The deadlines of the two callers, and the bound for the impatient one.
const (
	patience   = 25 * time.Second
	impatience = 500 * time.Millisecond
	returnsBy  = 600 * time.Millisecond
)

// wait has a caller wait beside another with a far deadline: on a call that hangs, and for a plugin that is down.
func (b Bench) wait(ctx context.Context, r *trial.Report) error {
	n := 10
	if r.Short {
		n = 3
	}
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	script, err := newProgram(dir, "exec "+b.Self)
	if err != nil {
		return err
	}
	h, end, err := open(loophost.Settings{})
	if err != nil {
		return err
	}
	defer end()
	p, err := relayerv1loophost.LaunchRelayer(ctx, h.Runtime,
		loophost.PluginSettings{Name: "faulty", Command: []string{script.path}, Hint: "it is this tool's own"})
	if err != nil {
		return err
	}
	c := h.chain(p, "")
	if err := head(ctx, c); err != nil {
		return err
	}
	hang := func(ctx context.Context, deadline time.Duration) (time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		begin := time.Now()
		_, err := c.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
		return time.Since(begin), err
	}
	measure := func(what string) error {
		patient, cancel := context.WithCancel(ctx)
		waiting := make(chan struct{})
		go func() {
			defer close(waiting)
			_, _ = hang(patient, patience) // only so that the other caller is not alone
		}()
		defer func() { cancel(); <-waiting }()
		var samples []time.Duration
		for range n {
			took, err := hang(ctx, impatience)
			if status.Code(err) == codes.DeadlineExceeded {
				samples = append(samples, took)
			}
		}
		r.Times(what, samples, n, 0, returnsBy)
		return nil
	}
	if err := measure("both in a call that hangs"); err != nil {
		return err
	}
	// Down for longer than anybody waits: its program does not shake hands any more.
	if err := script.become("exec sleep 60"); err != nil {
		return err
	}
	if err := grownUp(ctx, p.Plugin); err != nil {
		return err
	}
	if err := signal(p.Plugin, syscall.SIGKILL); err != nil {
		return err
	}
	return measure("both waiting for a plugin that is down")
}
