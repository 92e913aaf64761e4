package boundary

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loop/fault"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/tools/chaos/internal/faulty"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// startTimeout is how long a plugin has to shake hands here.
const startTimeout = time.Second

// broken breaks plugins for good, each beside one that works.
func (b Bench) broken(ctx context.Context, r *trial.Report) error {
	self := "exec " + b.Self
	withFault := func(text string) string { return fmt.Sprintf("%s='%s' exec %s", fault.Key, text, b.Self) }
	for _, v := range []struct {
		what string
		// becomes is the program in every generation after the first; empty: no other.
		becomes string
		config  string // of the chain that is called
		state   supervise.State
		says    string // the status
		limit   uint64 // of memory
	}{
		{what: "exits at once", becomes: "echo 'no such file' >&2; exit 3", state: supervise.Quarantined,
			says: "exit status 3; it said: no such file"},
		{what: "never shakes hands", becomes: "exec sleep 60", state: supervise.Quarantined,
			says: "printed no handshake within 1s"},
		{what: "panics outside its third call", becomes: withFault("method=LatestHead,call=3,do=crash"),
			state: supervise.Quarantined, says: "panic: fault: crash"},
		{what: "answers frames that are none", becomes: faulty.RawKey + "=1 " + self, state: supervise.Quarantined,
			says: "shook hands but does not answer"},
		{what: "eats memory to its limit of 128 MiB", config: faulty.Glutton, limit: 128 << 20, state: supervise.Ready,
			says: "its limit is 128 MiB"},
	} {
		if err := b.breakFor(ctx, r, v.what, self, v.becomes, v.config, v.says, v.state, v.limit); err != nil {
			return fmt.Errorf("a plugin that %s: %w", v.what, err)
		}
	}
	return b.garbage(ctx, r)
}

func (b Bench) breakFor(ctx context.Context, r *trial.Report, what, self, becomes, config, says string,
	state supervise.State, limit uint64) error {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	script, err := newProgram(dir, self)
	if err != nil {
		return err
	}
	h, end, err := open(loophost.Settings{StartTimeout: startTimeout})
	if err != nil {
		return err
	}
	defer end()
	well, err := b.faultyRelayer(ctx, h, "well")
	if err != nil {
		return err
	}
	ill, err := relayerv1loophost.LaunchRelayer(ctx, h.Runtime,
		loophost.PluginSettings{Name: "ill", Command: []string{script.path}, MemoryLimit: limit,
			Hint: "it is this tool's own"})
	if err != nil {
		return err
	}
	used, other := h.chain(ill, config), h.chain(well, "")
	for _, c := range []*relayerv1loophost.Chain{used, other} {
		if err := head(ctx, c); err != nil {
			return err
		}
	}
	if err := grownUp(ctx, ill.Plugin); err != nil {
		return err
	}
	others := beside(ctx, 5*time.Millisecond, func(ctx context.Context) error { return head(ctx, other) })
	// The faulty plugin is called as well, and goes on being called when calls fail.
	own := beside(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return head(ctx, used)
	})
	begin := time.Now()
	if becomes != "" {
		if err := script.become(becomes); err != nil {
			return err
		}
		if err := signal(ill.Plugin, syscall.SIGKILL); err != nil {
			return err
		}
	}
	wait := until(ctx, 30*time.Second, "the status to say so", func() bool {
		s := ill.Status()
		return s.State == state && s.Restarts > 0 && strings.Contains(s.LastExit, says)
	})
	took := time.Since(begin)
	own.done()
	calls, failures := others.done()
	s := ill.Status()
	why := says // a text of a status holds paths, and some a stack
	if !strings.Contains(s.LastExit, says) {
		why = s.LastExit
	}
	got := fmt.Sprintf("%s after %.1f s and %d generations: %q", s.State, took.Seconds(), s.Generation, why)
	r.Holds("it "+what, state.String()+", and the status says why", got, wait == nil)
	r.Holds("it "+what+": calls to another plugin meanwhile", "none fails",
		fmt.Sprintf("%d answered, %d failed", len(calls), len(failures)), len(failures) == 0 && len(calls) > 0)
	return nil
}

// garbage has a plugin answer one call with bytes that are not a message, and another with a panic: these calls fail,
// and nothing else does.
func (b Bench) garbage(ctx context.Context, r *trial.Report) error {
	h, end, err := open(loophost.Settings{})
	if err != nil {
		return err
	}
	defer end()
	p, err := b.faultyRelayer(ctx, h, "ill",
		fault.Key+"=method=LatestHead,call=2,do=garbage;method=LatestHead,call=3,do=panic")
	if err != nil {
		return err
	}
	c := h.chain(p, "")
	for i, want := range []codes.Code{codes.OK, codes.Internal, codes.Internal, codes.OK} {
		err := head(ctx, c)
		if status.Code(err) != want {
			r.Holds("it answers bytes that are not a message, then panics inside a call", "INTERNAL for these two calls",
				fmt.Sprintf("call %d: %v", i+1, err), false)
			return nil
		}
	}
	r.Holds("it answers bytes that are not a message, then panics inside a call",
		"INTERNAL for these two calls, and it goes on",
		fmt.Sprintf("INTERNAL twice, then an answer; %d restarts", p.Status().Restarts), p.Status().Restarts == 0)
	return nil
}
