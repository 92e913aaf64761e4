// Package boundary breaks plugins under the runtime alone, without a node. It is the host of the programs that
// operators run and of this tool's own faulty plugin.
//
// It knows the runtime. It must not know nodes, networks or chains.
package boundary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/tools/chaos/internal/faulty"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// Bench is where the trials are held.
type Bench struct {
	// Self is this tool's own program, which is a faulty plugin when a host starts it.
	Self string
	// Bin holds the programs loop-evm and loop-median.
	Bin string
}

// Trials lists them.
func (b Bench) Trials() []trial.Trial {
	return []trial.Trial{
		{Name: "kill", Fault: "SIGKILL of the process; the time until the same object answers again",
			Established: "3.1 s, 6.3 s; a reporting plugin in use 0 of 11", Run: b.kill},
		{Name: "stop", Fault: "SIGSTOP, health interval 1 s, deadline 1 s", Established: "never in 40 s", Run: b.stop},
		{Name: "close", Fault: "the end of the host, whatever the plugin does", Established: "over 30 s when it hangs",
			Run: b.close},
		{Name: "leak", Fault: "1,000 objects made and released, 20 restarts",
			Established: "1,000s of goroutines and descriptors", Run: b.leak},
		{Name: "cost", Fault: "a job more in shared processes: out-of-process minus in-process",
			Established: "44 goroutines, 112 descriptors, 9 MiB", Run: b.cost},
		{Name: "wait", Fault: "a caller with a deadline of 500 ms while another waits 25 s", Established: "24.5 s",
			Run: b.wait},
		{Name: "orphan", Fault: "SIGKILL of the host; the plugin was started by a shell script that does not exec",
			Established: "runs for ever", Run: b.orphan},
		{Name: "noise", Fault: "random bytes on stderr, one endless line on stdout, `{\"@message\":1}`",
			Established: "the host dies", Run: b.noise},
		{Name: "broken", Fault: "a plugin that is broken for good, beside one that works",
			Established: "retried every 5 s for ever, without a word", Run: b.broken},
	}
}

// host is a runtime in a trial, with the folder of its sockets.
type host struct {
	*loophost.Runtime
	sockets string
}

// open starts a host. Its log goes nowhere: what a plugin writes is parsed and dropped.
func open(s loophost.Settings) (*host, func(), error) {
	sockets, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return nil, nil, fmt.Errorf("making a folder for sockets: %w", err)
	}
	s.SocketDir = sockets
	if s.Logger == nil {
		s.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	r, err := loophost.New(s)
	if err != nil {
		_ = os.RemoveAll(sockets)
		return nil, nil, err
	}
	h := &host{Runtime: r, sockets: sockets}
	return h, func() {
		r.Close(context.Background())
		_ = os.RemoveAll(sockets)
	}, nil
}

// socketFiles counts what lies in the host's folder for sockets.
func (h *host) socketFiles() (int, error) {
	n := 0
	err := filepath.WalkDir(h.sockets, func(_ string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // it ended meanwhile
		}
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	return n, err
}

// account is the one that the keystore lends; nothing is ever signed.
const account = "0x00000000000000000000000000000000000000A1"

// services are the host's, for every trial: no keys, no values that matter.
type services struct {
	hostservicev1.UnimplementedKeystoreServiceServer
	hostservicev1.UnimplementedStoreServiceServer
	hostservicev1.UnimplementedErrorLogServiceServer
}

func (services) ListAccounts(context.Context,
	*hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	return &hostservicev1.ListAccountsResponse{Accounts: []string{account}}, nil
}

func (services) List(context.Context, *hostservicev1.ListRequest) (*hostservicev1.ListResponse, error) {
	return &hostservicev1.ListResponse{}, nil
}

func (services) Observe(context.Context, *hostservicev1.ObserveRequest) (*hostservicev1.ObserveResponse, error) {
	return &hostservicev1.ObserveResponse{Value: wire.BigInt(big.NewInt(42))}, nil
}

// deadChain is the configuration of a chain whose only node does not answer: nothing measured here needs one.
const deadChain = "ChainID = '1337'\n[[Nodes]]\nName = 'none'\nHTTPURL = 'http://127.0.0.1:9'\n"

// chain makes a chain's object in a relayer.
func (h *host) chain(p *relayerv1loophost.Relayer, config string) *relayerv1loophost.Chain {
	return p.CreateChain(&relayerv1.CreateChainRequest{ChainId: "1337", ConfigToml: []byte(config)},
		relayerv1loophost.CreateChainLoans{
			Keystore: hostservicev1loophost.ExportKeystore(h.Runtime, services{}),
			Store:    hostservicev1loophost.ExportStore(h.Runtime, services{}),
		})
}

// provider makes the provider of a median job in a relayer.
func provider(c *relayerv1loophost.Chain) *relayerv1loophost.Provider {
	return c.CreateProvider(&relayerv1.CreateProviderRequest{
		ProviderType: "median", TransmitterId: account,
		Config: &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: account},
	})
}

// factory makes the median factory of a job, with the host services that the node lends it.
func (h *host) factory(m *medianv1loophost.Median, p *relayerv1loophost.Provider) *medianv1loophost.MedianFactory {
	return m.CreateMedianFactory(&medianv1.CreateMedianFactoryRequest{}, medianv1loophost.CreateMedianFactoryLoans{
		Provider:               p,
		ValueSource:            hostservicev1loophost.ExportDataSource(h.Runtime, services{}),
		JuelsPerFeeCoinSource:  hostservicev1loophost.ExportDataSource(h.Runtime, services{}),
		GasPriceSubunitsSource: hostservicev1loophost.ExportDataSource(h.Runtime, services{}),
		ErrorLog:               hostservicev1loophost.ExportErrorLog(h.Runtime, services{}),
	})
}

// round is the round about which reporting plugins are asked.
var round = &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32), Epoch: 1, Round: 1}

// instanceRequest asks for a reporting plugin of four oracles.
func instanceRequest() *reportingv1.CreateReportingPluginRequest {
	return &reportingv1.CreateReportingPluginRequest{ConfigDigest: make([]byte, 32), N: 4, F: 1}
}

// faultyRelayer launches this tool's own relayer as a process. environment makes it faulty.
func (b Bench) faultyRelayer(ctx context.Context, h *host, name string,
	environment ...string) (*relayerv1loophost.Relayer, error) {
	return relayerv1loophost.LaunchRelayer(ctx, h.Runtime,
		loophost.PluginSettings{Name: name, Command: []string{b.Self}, Env: environment, Hint: "it is this tool's own"})
}

// insideRelayer launches the same relayer inside this process.
func insideRelayer(ctx context.Context, h *host, name string) (*relayerv1loophost.Relayer, error) {
	p := faulty.Relayer()
	return relayerv1loophost.LaunchRelayer(ctx, h.Runtime, loophost.PluginSettings{Name: name, InProcess: &p})
}

// evm and median launch the operators' programs.
func (b Bench) evm(ctx context.Context, h *host) (*relayerv1loophost.Relayer, error) {
	return relayerv1loophost.LaunchRelayer(ctx, h.Runtime,
		loophost.PluginSettings{Name: "evm", Command: []string{filepath.Join(b.Bin, "loop-evm")}, Hint: "run make build"})
}

func (b Bench) median(ctx context.Context, h *host) (*medianv1loophost.Median, error) {
	return medianv1loophost.LaunchMedian(ctx, h.Runtime,
		loophost.PluginSettings{Name: "median", Command: []string{filepath.Join(b.Bin, "loop-median")},
			Hint: "run make build"})
}

// signal sends a signal to a plugin's process.
func signal(p *loophost.Plugin, s syscall.Signal) error {
	pid := p.Status().PID
	if pid == 0 {
		return fmt.Errorf("plugin %s has no process to signal: %s", p.Name(), p.Status().LastExit)
	}
	if err := syscall.Kill(pid, s); err != nil {
		return fmt.Errorf("sending %s to plugin %s, process %d: %w", s, p.Name(), pid, err)
	}
	return nil
}

// grownUp waits until the plugin's generation has been ready long enough that its end does not count as a failed start:
// operators' plugins die once in a while, not twice a second.
func grownUp(ctx context.Context, p *loophost.Plugin) error {
	return until(ctx, 30*time.Second, "plugin "+p.Name()+" to have lived for a while", func() bool {
		s := p.Status()
		return s.State == supervise.Ready && time.Since(s.ReadyAt) > supervise.ShortUptime+50*time.Millisecond
	})
}

// until waits until holds returns true, and fails after limit.
func until(ctx context.Context, limit time.Duration, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s", limit, what)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// program is a plugin's program that can be replaced, as an upgrade does: by a rename, since a running one cannot be
// written to.
type program struct{ path string }

func newProgram(dir, script string) (program, error) {
	p := program{filepath.Join(dir, "plugin")}
	return p, p.become(script)
}

func (p program) become(script string) error {
	next := p.path + ".new"
	if err := executable.Write(next, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		return fmt.Errorf("replacing a program: %w", err)
	}
	return os.Rename(next, p.path)
}

// side makes calls beside a trial, and records how long each took and the errors of those that failed.
type side struct {
	mu      sync.Mutex
	took    []time.Duration
	failure []error
	stop    context.CancelFunc
	wait    sync.WaitGroup
}

// beside makes a call after each pause until done is called.
func beside(ctx context.Context, pause time.Duration, call func(context.Context) error) *side {
	ctx, cancel := context.WithCancel(ctx)
	s := &side{stop: cancel}
	s.wait.Go(func() {
		for ctx.Err() == nil {
			begin := time.Now()
			err := call(context.WithoutCancel(ctx))
			took := time.Since(begin)
			s.mu.Lock()
			if err != nil {
				s.failure = append(s.failure, err)
			} else {
				s.took = append(s.took, took)
			}
			s.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	})
	return s
}

// atLeast waits until so many calls have ended.
func (s *side) atLeast(n int) {
	for {
		s.mu.Lock()
		enough := len(s.took)+len(s.failure) >= n
		s.mu.Unlock()
		if enough {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// done ends the calls and returns them.
func (s *side) done() (took []time.Duration, failures []error) {
	s.stop()
	s.wait.Wait()
	return s.took, s.failure
}

// head is a call that needs nothing but the plugin.
func head(ctx context.Context, c *relayerv1loophost.Chain) error {
	_, err := c.LatestHead(ctx, &relayerv1.LatestHeadRequest{})
	return err
}
