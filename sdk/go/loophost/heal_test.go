package loophost_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loop/fault"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// programmed launches a relayer whose program can be replaced.
func programmed(t *testing.T, r *loophost.Runtime) (p *relayerv1loophost.Relayer, become func(script string)) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "plugin")
	become = func(script string) { write(t, program, script) }
	become("exec " + os.Args[0])
	p, err := relayerv1loophost.LaunchRelayer(t.Context(),
		r, loophost.PluginSettings{Name: "relayer", Command: []string{program}, Hint: "check it"})
	if err != nil {
		t.Fatal(err)
	}
	return p, become
}

// down is a program that lives and never shakes hands.
const down = "exec sleep 60"

func providerOf(c *relayerv1loophost.Chain) *relayerv1loophost.Provider {
	return c.CreateProvider(&relayerv1.CreateProviderRequest{ProviderType: "median", TransmitterId: "t",
		Config: &relayerv1.ProviderConfig{ExternalJobId: "j", ContractId: "c"}})
}

// instance makes a reporting plugin over a provider.
func instance(t testing.TB, r *loophost.Runtime, m *medianv1loophost.Median,
	provider loophost.Lendable) *reportingv1loophost.ReportingPlugin {
	t.Helper()
	i := reportingOf(r, m, provider)
	if _, err := i.Created(t.Context()); err != nil {
		t.Fatal(err)
	}
	return i
}

// reportingOf makes one and does not wait for it.
func reportingOf(r *loophost.Runtime, m *medianv1loophost.Median,
	provider loophost.Lendable) *reportingv1loophost.ReportingPlugin {
	factory := m.CreateMedianFactory(&medianv1.CreateMedianFactoryRequest{}, medianv1loophost.CreateMedianFactoryLoans{
		Provider:               provider,
		ValueSource:            hostservicev1loophost.ExportDataSource(r, source{42}),
		JuelsPerFeeCoinSource:  hostservicev1loophost.ExportDataSource(r, source{1}),
		GasPriceSubunitsSource: hostservicev1loophost.ExportDataSource(r, source{1}),
		ErrorLog:               hostservicev1loophost.ExportErrorLog(r, errorLog{}),
	})
	return factory.CreateReportingPlugin(&reportingv1.CreateReportingPluginRequest{ConfigDigest: make([]byte, 32), N: 4,
		F: 1})
}

var firstRound = &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32), Epoch: 1, Round: 1}

// TestMedianRestartsWhileItsRelayerIsDown kills a median while the relayer whose provider it borrows does not come up:
// callers wait, each for as long as it wants, and are served when the relayer is back.
func TestMedianRestartsWhileItsRelayerIsDown(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		relayer, become := programmed(t, r)
		median, err := medianv1loophost.LaunchMedian(t.Context(), r, settings(m, "median"))
		if err != nil {
			t.Fatal(err)
		}
		plugin := instance(t, r, median, providerOf(newChain(r, relayer, "")))
		become(down)
		kill(t, relayer.Plugin)
		kill(t, median.Plugin)
		ready(t, median.Plugin, 2)
		report := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := plugin.Report(ctx, &reportingv1.ReportRequest{Timestamp: firstRound})
			return err
		}
		if err := report(100 * time.Millisecond); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("with the relayer down: %v", err)
		}
		waiting := make(chan error, 1)
		go func() { waiting <- report(time.Minute) }()
		become("exec " + os.Args[0])
		if err := relayer.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; err != nil {
			t.Errorf("a caller that waited: %v", err)
		}
		if n := median.Status().Restarts; n != 1 {
			t.Errorf("the median was restarted %d times for its relayer", n)
		}
	})
}

// TestOwnerDiesInMidForward ends a relayer at the very call that a median forwards to it: the call is made again in the
// relayer's next generation, and the median does not notice.
func TestOwnerDiesInMidForward(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		s := settings(m, "fake")
		s.Env = []string{fault.Key + "=method=MedianFromReport,call=2,do=exit"}
		relayer, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
		if err != nil {
			t.Fatal(err)
		}
		median, err := medianv1loophost.LaunchMedian(t.Context(), r, settings(m, "median"))
		if err != nil {
			t.Fatal(err)
		}
		plugin := instance(t, r, median, providerOf(newChain(r, relayer, "")))
		for i := range 5 {
			if _, err := patiently(t.Context(), plugin.Report,
				&reportingv1.ReportRequest{Timestamp: firstRound}); err != nil {
				t.Fatalf("report %d: %v", i, err)
			}
		}
		if n := relayer.Status().Restarts; n != 4 {
			t.Errorf("the relayer was restarted %d times, 4 were wanted", n)
		}
		if n := median.Status().Restarts; n != 0 {
			t.Errorf("the median was restarted %d times for its relayer", n)
		}
	})
}

// doorkeeper is a keystore that lets its callers in one by one.
type doorkeeper struct {
	accounts
	knocks chan struct{}
	opens  chan struct{}
}

func (d doorkeeper) ListAccounts(ctx context.Context,
	r *hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	select {
	case d.knocks <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-d.opens:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return d.accounts.ListAccounts(ctx, r)
}

// TestReleaseOvertakesConstruction releases an object whose constructor is waiting for a service of the host: nothing
// else waits for it, and nobody finds the object afterwards, in the plugin's process or in its next.
func TestReleaseOvertakesConstruction(t *testing.T) {
	t.Parallel()
	everyMode(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		p := launchRelayer(t, r, m)
		door := doorkeeper{knocks: make(chan struct{}), opens: make(chan struct{})}
		slow := p.CreateChain(&relayerv1.CreateChainRequest{ChainId: "1", ConfigToml: []byte("callback")},
			relayerv1loophost.CreateChainLoans{
				Keystore: hostservicev1loophost.ExportKeystore(r, door), Store: hostservicev1loophost.ExportStore(r, noStore{}),
			})
		<-door.knocks
		other := newChain(r, p, "")
		if _, err := head(t.Context(), other); err != nil {
			t.Fatalf("another object, while a constructor waits: %v", err)
		}
		if err := slow.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := slow.Release(t.Context()); err != nil {
			t.Errorf("a second release: %v", err)
		}
		if m != inProcess {
			select {
			case door.opens <- struct{}{}:
			case <-time.After(5 * time.Second): // the release may have ended the constructor's call
			}
		} else {
			close(door.opens)
		}
		gone := func() {
			t.Helper()
			if _, err := head(t.Context(), slow); status.Code(err) != codes.NotFound {
				t.Errorf("use after release: %v", err)
			}
			// Past the handle, as the plugin sees it.
			ctx := metadata.AppendToOutgoingContext(t.Context(), wire.ObjectKey, slow.Name())
			if _, err := relayerv1.NewChainServiceClient(p.Plugin).LatestHead(ctx,
				&relayerv1.LatestHeadRequest{}); status.Code(err) != codes.NotFound {
				t.Errorf("the plugin still has the object: %v", err)
			}
		}
		gone()
		if m != inProcess {
			kill(t, p.Plugin)
			ready(t, p.Plugin, 2)
			gone()
		}
		if _, err := head(t.Context(), other); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReleaseWhileDown releases an object while there is no process to hear of it.
func TestReleaseWhileDown(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	p, become := programmed(t, r)
	c, other := newChain(r, p, ""), newChain(r, p, "")
	for _, c := range []*relayerv1loophost.Chain{c, other} {
		if _, err := head(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	child := providerOf(c)
	become(down)
	kill(t, p.Plugin)
	for p.Status().State == supervise.Ready { // a process that has yet to end is asked
		time.Sleep(time.Millisecond)
	}
	begin := time.Now()
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 4*time.Second { // a plugin that does not answer is given five
		t.Errorf("the release took %s", took)
	}
	become("exec " + os.Args[0])
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := head(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := head(t.Context(), c); status.Code(err) != codes.NotFound {
		t.Errorf("the released object: %v", err)
	}
	if _, err := child.LatestBlockHeight(t.Context(),
		&relayerv1.LatestBlockHeightRequest{}); status.Code(err) != codes.NotFound {
		t.Errorf("its child: %v", err)
	}
	if n := len(p.Status().Objects); n != 1 {
		t.Errorf("%d objects are in the journal, 1 was wanted", n)
	}
}

// TestReleaseWhileStarting releases an object while the next process has been started and has not shaken hands yet.
func TestReleaseWhileStarting(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	p, become := programmed(t, r)
	c := newChain(r, p, "")
	if _, err := head(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	become(down)
	kill(t, p.Plugin)
	for p.Status().Generation < 2 {
		time.Sleep(time.Millisecond)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := head(t.Context(), c); status.Code(err) != codes.NotFound {
		t.Errorf("the released object: %v", err)
	}
	if n := len(p.Status().Objects); n != 0 {
		t.Errorf("%d objects are in the journal, none was wanted", n)
	}
}

// TestCallersKeepTheirOwnDeadlines has an impatient caller wait beside a patient one, in a call that hangs and for a
// plugin that is down.
func TestCallersKeepTheirOwnDeadlines(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	p, become := programmed(t, r)
	c := newChain(r, p, "")
	if _, err := head(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	call := func(ctx context.Context) error {
		_, err := c.ListNodeStatuses(ctx, &relayerv1.ListNodeStatusesRequest{})
		return err
	}
	beside := func(what string) {
		patient, cancel := context.WithTimeout(t.Context(), time.Minute)
		var wait sync.WaitGroup
		wait.Go(func() { _ = call(patient) })
		begin := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := call(ctx)
		stop()
		// A busy machine is given twenty seconds; a caller that stands behind the other takes a minute.
		if took := time.Since(begin); status.Code(err) != codes.DeadlineExceeded || took > 20*time.Second {
			t.Errorf("%s: %v after %s", what, err, took)
		}
		cancel()
		wait.Wait()
	}
	beside("a call that hangs")
	become(down)
	kill(t, p.Plugin)
	for p.Status().State == supervise.Ready { // a call that meets the death itself may end with an unknown outcome
		time.Sleep(time.Millisecond)
	}
	beside("a plugin that is down")
}

// TestCloseIsBounded ends hosts whose plugin serves, hangs, does not start or is given up.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 4 * time.Second // a busy machine may add as much
	for name, bring := range map[string]func(t *testing.T, p *relayerv1loophost.Relayer, become func(string)){
		"ready": func(*testing.T, *relayerv1loophost.Relayer, func(string)) {},
		"hung": func(t *testing.T, p *relayerv1loophost.Relayer, _ func(string)) {
			signal(t, p.Status().PID, syscall.SIGSTOP)
		},
		"starting again": func(t *testing.T, p *relayerv1loophost.Relayer, become func(string)) {
			become(down)
			kill(t, p.Plugin)
			for p.Status().State != supervise.Restarting {
				time.Sleep(time.Millisecond)
			}
		},
		"quarantined": func(t *testing.T, p *relayerv1loophost.Relayer, become func(string)) {
			become("exit 1")
			kill(t, p.Plugin)
			for p.Status().State != supervise.Quarantined {
				time.Sleep(time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Health checks come too late to help.
			r, err := loophost.New(loophost.Settings{StopTimeout: bound, HealthInterval: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			p, become := programmed(t, r)
			bring(t, p, become)
			begin := time.Now()
			r.Close(context.Background())
			if took := time.Since(begin); took > 2*bound {
				t.Errorf("the end took %s and may take %s", took, bound)
			}
		})
	}
}

// TestErrorsHoldNoConfiguration fails in every way in which an object can fail, with a secret in its configuration.
func TestErrorsHoldNoConfiguration(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		const secret = "https://user:s3cret@rpc"
		var mu sync.Mutex
		var log bytes.Buffer
		r, err := loophost.New(loophost.Settings{PluginLogLevel: slog.LevelDebug,
			Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(context.Background()) })
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "fail-until "+secret)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, made := c.Created(ctx)
		late, end := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer end()
		_, called := head(late, c)
		if made == nil || called == nil {
			t.Fatal("the object was made")
		}
		signal(t, p.Status().PID, syscall.SIGSTOP)
		down, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer stop()
		_, waited := p.WatchContractConfigs(down, &relayerv1.WatchContractConfigsRequest{})
		texts := fmt.Sprintln(made, called, waited, p.Status())
		r.Close(t.Context())
		mu.Lock()
		defer mu.Unlock()
		if texts += log.String(); strings.Contains(texts, "s3cret") {
			t.Errorf("the configuration is told:\n%s", texts)
		}
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}
