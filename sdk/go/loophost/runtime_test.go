package loophost_test

import (
	"context"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// accounts is a keystore without keys.
type accounts struct{ names []string }

func (a accounts) ListAccounts(context.Context,
	*hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	return &hostservicev1.ListAccountsResponse{Accounts: a.names}, nil
}
func (accounts) Sign(context.Context, *hostservicev1.SignRequest) (*hostservicev1.SignResponse, error) {
	return nil, status.Error(codes.NotFound, "no keys here")
}

type noStore struct {
	hostservicev1.StoreServiceServer
}

type source struct{ value int64 }

func (s source) Observe(context.Context, *hostservicev1.ObserveRequest) (*hostservicev1.ObserveResponse, error) {
	return &hostservicev1.ObserveResponse{Value: wire.BigInt(big.NewInt(s.value))}, nil
}

type errorLog struct{}

func (errorLog) RecordError(context.Context,
	*hostservicev1.RecordErrorRequest) (*hostservicev1.RecordErrorResponse, error) {
	return &hostservicev1.RecordErrorResponse{}, nil
}

// mode is how a plugin runs: every test of objects holds for all of them.
type mode string

const (
	outOfProcess mode = "process" // over frames, as Go plugins are called
	overGRPC     mode = "grpc"
	inProcess    mode = "in-process"
)

func everyMode(t *testing.T, test func(t *testing.T, m mode)) {
	t.Helper()
	processes(t, test)
	t.Run(string(inProcess), func(t *testing.T) { t.Parallel(); test(t, inProcess) })
}

// processes tests what plugins in processes do, over each transport.
func processes(t *testing.T, test func(t *testing.T, m mode)) {
	t.Helper()
	for _, m := range []mode{outOfProcess, overGRPC} {
		t.Run(string(m), func(t *testing.T) { t.Parallel(); test(t, m) })
	}
}

// newRuntime makes a runtime for plugins that never hang: on a busy machine a good one may answer, and end, seconds
// late.
func newRuntime(t *testing.T) *loophost.Runtime {
	t.Helper()
	return newRuntimeOf(t, loophost.Settings{HealthTimeout: time.Minute, StopTimeout: 20 * time.Second})
}

func newRuntimeOf(t *testing.T, s loophost.Settings) *loophost.Runtime {
	t.Helper()
	s.Logger = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.StartTimeout = time.Minute
	r, err := loophost.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func settings(m mode, name string) loophost.PluginSettings {
	s := loophost.PluginSettings{Name: name, Hint: "check CL_TEST_CMD"}
	if m != inProcess {
		s.Command, s.GRPC = []string{os.Args[0]}, m == overGRPC
		return s
	}
	p := relayerv1loop.RelayerPlugin(newFakeRelayer)
	if name == "median" {
		p = medianv1loop.MedianPlugin(newFakeMedian)
	}
	s.InProcess = &p
	return s
}

func launchRelayer(t *testing.T, r *loophost.Runtime, m mode) *relayerv1loophost.Relayer {
	t.Helper()
	p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, settings(m, "fake"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newChain(r *loophost.Runtime, p *relayerv1loophost.Relayer, config string) *relayerv1loophost.Chain {
	return p.CreateChain(&relayerv1.CreateChainRequest{ChainId: "1", ConfigToml: []byte(config)},
		relayerv1loophost.CreateChainLoans{
			Keystore: hostservicev1loophost.ExportKeystore(r, accounts{[]string{"alice", "bob"}}),
			Store:    hostservicev1loophost.ExportStore(r, noStore{}),
		})
}

// head calls with a minute where the caller sets no deadline: what a busy machine takes to start a process is not
// measured.
func head(ctx context.Context, c *relayerv1loophost.Chain) (uint64, error) {
	if _, ok := ctx.Deadline(); !ok {
		patient, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		ctx = patient
	}
	h, err := c.LatestHead(ctx, &relayerv1.LatestHeadRequest{})
	return h.GetNumber(), err
}

// patiently makes a call with a minute, where the contract's own deadline may be over before a busy machine has started
// the processes that the call waits for.
func patiently[Q, A any](ctx context.Context, call func(context.Context, Q, ...grpc.CallOption) (A, error),
	request Q) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return call(ctx, request)
}

func TestObject(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "")
		if _, err := c.Created(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := head(t.Context(), c); err != nil || n != 1 {
			t.Fatalf("head %d, %v", n, err)
		}
		s, err := c.ChainStatus(t.Context(), &relayerv1.ChainStatusRequest{})
		if err != nil || s.GetChainId() != "alice,bob" {
			t.Fatalf("the keystore's accounts did not come through: %v, %v", s, err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := head(t.Context(), c); status.Code(err) != codes.NotFound {
			t.Fatalf("use after release: %v", err)
		}
	})
}

// TestReleaseEndsWholeTrees releases a parent of several children: all of them end, on both sides, and nothing else
// does.
func TestReleaseEndsWholeTrees(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		tree, other := newChain(r, p, ""), newChain(r, p, "")
		var providers []*relayerv1loophost.Provider
		for _, parent := range []*relayerv1loophost.Chain{tree, tree, tree, other} {
			provider := providerOf(parent)
			if _, err := provider.Created(t.Context()); err != nil {
				t.Fatal(err)
			}
			providers = append(providers, provider)
		}
		if err := tree.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, provider := range providers {
			want := codes.NotFound
			if i == 3 {
				want = codes.OK
			}
			if _, err := provider.LatestBlockHeight(t.Context(),
				&relayerv1.LatestBlockHeightRequest{}); status.Code(err) != want {
				t.Errorf("provider %d: %v", i, err)
			}
		}
		if n := len(p.Status().Objects); n != 2 {
			t.Errorf("%d objects are left, 2 are wanted", n)
		}
	})
}

func TestConstructorErrors(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		for config, want := range map[string]codes.Code{"invalid": codes.InvalidArgument, "callback": codes.OK} {
			c := newChain(r, p, config)
			if _, err := c.Created(t.Context()); status.Code(err) != want {
				t.Errorf("%s: %v", config, err)
			}
		}
		untilTold(t, newChain(r, p, "panic"), "panicked: as configured")
	})
}

// untilTold waits until callers whose time is over are told why there is no object yet.
func untilTold(t *testing.T, c *relayerv1loophost.Chain, why string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := c.Created(ctx)
		cancel()
		if status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("got %v", err)
		}
		if strings.Contains(err.Error(), why) {
			return
		}
		if time.Now().After(deadline) { // the constructor has had time to fail
			t.Fatalf("got %v; it does not say %q", err, why)
		}
	}
}

func TestConstructionIsTriedAgain(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		flag := filepath.Join(t.TempDir(), "flag")
		c := newChain(r, p, "fail-until "+flag)
		untilTold(t, c, "not yet")
		if err := os.WriteFile(flag, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Created(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPanicsAndBrokenAnswers(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "")
		if _, err := c.Replay(t.Context(), &relayerv1.ReplayRequest{}); status.Code(err) != codes.Internal {
			t.Errorf("a panic: %v", err)
		}
		provider := providerOf(c)
		_, err := provider.LatestConfigDetails(t.Context(), &relayerv1.LatestConfigDetailsRequest{})
		if status.Code(err) != codes.Internal ||
			!strings.Contains(err.Error(), "config_digest: has 31 bytes; it must have 32") {
			t.Errorf("a digest of 31 bytes in an answer: %v", err)
		}
	})
}

func TestKill(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "")
		for i := range 10 {
			if _, err := head(t.Context(), c); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			// A generation this short counts against the budget; what is measured here is healing, so let each one grow up.
			ready(t, p.Plugin, uint64(i+1))
			time.Sleep(supervise.ShortUptime)
			begin := time.Now()
			kill(t, p.Plugin)
			n, err := head(t.Context(), c)
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			t.Logf("round %d: head %d after %s", i, n, time.Since(begin))
		}
	})
}

// kill ends a plugin's process as the kernel does when memory is short.
func kill(t *testing.T, p *loophost.Plugin) {
	t.Helper()
	signal(t, p.Status().PID, syscall.SIGKILL)
}

// signal sends a signal to a plugin's process. A plugin without a process has the process id 0, which the kernel takes
// for all of the test's own process group.
func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if pid <= 0 {
		t.Fatalf("there is no process to send %s to", s)
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// ready waits for a generation.
func ready(t *testing.T, p *loophost.Plugin, generation uint64) {
	t.Helper()
	for {
		s := p.Status()
		if s.State == supervise.Ready && s.Generation >= generation {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the plugin does not become ready")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntimeOf(t, loophost.Settings{}) // it is seen soon that a process stands still
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "")
		if _, err := head(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		signal(t, p.Status().PID, syscall.SIGSTOP)
		if _, err := head(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		t.Logf("answers again after %s", time.Since(begin))
	})
}

func TestForward(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		relayer := launchRelayer(t, r, m)
		median, err := medianv1loophost.LaunchMedian(t.Context(), r, settings(m, "median"))
		if err != nil {
			t.Fatal(err)
		}
		plugin := reportingOf(r, median, providerOf(newChain(r, relayer, "")))
		made, err := plugin.Created(t.Context())
		if err != nil || made.GetLimits().GetMaxReportLength() != 128 {
			t.Fatalf("%v, %v", made, err)
		}
		check := func() {
			t.Helper()
			o, err := patiently(t.Context(), plugin.Observation, &reportingv1.ObservationRequest{Timestamp: firstRound})
			if err != nil || len(o.GetObservation()) != 1 || o.GetObservation()[0] != 42 {
				t.Fatalf("%v, %v", o, err)
			}
			if _, err := patiently(t.Context(), plugin.Report,
				&reportingv1.ReportRequest{Timestamp: firstRound}); err != nil {
				t.Fatal(err)
			}
		}
		check()
		if m == inProcess {
			return
		}
		for _, victim := range []*loophost.Plugin{relayer.Plugin, median.Plugin} {
			kill(t, victim)
			check()
		}
		// Both at once.
		kill(t, relayer.Plugin)
		kill(t, median.Plugin)
		check()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		// without a deadline it takes five
		if _, err := plugin.ShouldTransmitAcceptedReport(ctx,
			&reportingv1.ShouldTransmitAcceptedReportRequest{Timestamp: firstRound}); status.Code(
			err) != codes.DeadlineExceeded || time.Since(begin) > 4*time.Second {
			t.Fatalf("a hanging call: %v after %s", err, time.Since(begin))
		}
	})
}

func TestNotRetryable(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "")
		_, err := c.Transact(t.Context(), &relayerv1.TransactRequest{From: "a", To: "b", Amount: wire.BigInt(big.NewInt(1))})
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "outcome is unknown") {
			t.Fatalf("got %v", err)
		}
		if _, err := head(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPoison(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		poison, other := newChain(r, p, "poison"), newChain(r, p, "")
		// A death counts for whatever is being made: two of them while the other one is would have it rest too.
		if _, err := other.Created(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := head(t.Context(), poison)
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "two generations in a row") {
			t.Fatalf("got %v", err)
		}
		// At once, for it rests no longer than journal.Rest.
		if _, err := head(t.Context(), poison); status.Code(err) != codes.Unavailable ||
			!strings.Contains(err.Error(), "rests") {
			t.Fatalf("the poisoned object is not parked: %v", err)
		}
		if _, err := head(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if s := p.Status(); s.Restarts != 2 || !strings.Contains(s.LastExit, "exit status 9") {
			t.Fatalf("%+v", s)
		}
	})
}

func TestLaunchErrors(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	for name, test := range map[string]struct {
		command []string
		env     []string
		want    []string
	}{
		"missing": {[]string{"/no/such/plugin"}, nil,
			[]string{`starting "/no/such/plugin" failed`, "no such file or directory"}},
		"no plugin": {[]string{"echo", "hello"}, nil, []string{`printed "hello" where a plugin prints its handshake`}},
		"silent":    {[]string{"true"}, nil, []string{"ended before its handshake", "exit status 0"}},
		"exits": {[]string{os.Args[0]}, []string{"FAKE_EXIT=1"},
			[]string{"ended before its handshake (exit status 3; it said: the fake has had enough)"}},
		"version": {[]string{os.Args[0]}, []string{"FAKE_GARBAGE=1|9|unix|/x|grpc|"},
			[]string{"speaks version 9 of the relayer protocol and this host speaks version 1"}},
		"no TLS": {[]string{os.Args[0]}, []string{"FAKE_GARBAGE=1|1|unix|/x|grpc|"}, []string{"offers no TLS"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := relayerv1loophost.LaunchRelayer(t.Context(),
				r, loophost.PluginSettings{Name: name, Command: test.command, Env: test.env, Hint: "check CL_TEST_CMD"})
			if err == nil {
				t.Fatal("it launched")
			}
			t.Log(err)
			for _, w := range append(test.want, "check CL_TEST_CMD") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q", w)
				}
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "")
		if _, err := head(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		got, err := p.CollectMetrics(t.Context(), "application/openmetrics-text;version=1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got.GetContentType(), "application/openmetrics-text") ||
			!strings.Contains(string(got.GetExposition()),
				`loop_plugin_call_duration_seconds_count{code="OK",method="/loop.relayer.v1.ChainService/LatestHead"} 1`) {
			t.Fatalf("%s\n%s", got.GetContentType(), got.GetExposition())
		}
	})
}

func TestWatchEndsWithItsGeneration(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		s, err := p.WatchContractConfigs(t.Context(), &relayerv1.WatchContractConfigsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		kill(t, p.Plugin)
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Fatalf("got %v", err)
		}
	})
}

// A Go plugin is called by frames, unless its host wants gRPC, and its status says so.
func TestTransport(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		want := map[mode]string{outOfProcess: "loop/1", overGRPC: "grpc", inProcess: ""}[m]
		if got := p.Status().Transport; got != want {
			t.Errorf("the transport is %q; want %q", got, want)
		}
	})
}
