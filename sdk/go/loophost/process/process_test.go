package process_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc/health/grpc_health_v1"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// TestMain is also the main of the fake plugin and of a host that is to be killed.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("FAKE_RELATIVE") != "":
		beRelative(os.Getenv("FAKE_RELATIVE"))
	case os.Getenv("FAKE_TLS") != "":
		serveTLS(os.Getenv("FAKE_TLS"))
	case os.Getenv(wire.CookieKey) != "":
		serve()
	case os.Getenv("FAKE_HOST") != "":
		beHost(os.Getenv("FAKE_HOST"))
	default:
		goleak.VerifyTestMain(m)
	}
}

// ownStdout and ownStderr are what a plugin in C would write to: go-plugin swaps os.Stdout and os.Stderr for pipes of
// its own until Init.
var ownStdout, ownStderr = os.Stdout, os.Stderr

// serve is the fake. FAKE_FIFO is a pipe that it holds open while it lives; FAKE_NOISE is what it writes whenever its
// metrics are read.
func serve() {
	if path := os.Getenv("FAKE_FIFO"); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer f.Close()
	}
	if os.Getenv("FAKE_TELL") != "" {
		for _, v := range os.Environ() {
			name, _, _ := strings.Cut(v, "=")
			fmt.Fprintln(os.Stderr, "variable", name)
		}
		if open, err := os.ReadDir("/proc/self/fd"); err == nil {
			for _, d := range open {
				if to, err := os.Readlink("/proc/self/fd/" + d.Name()); err == nil {
					fmt.Fprintln(os.Stderr, "descriptor", d.Name(), to)
				}
			}
		}
		fmt.Fprintln(os.Stderr, "told")
	}
	if os.Getenv("FAKE_WAITS") != "" {
		awaitLicence()
	}
	if err := multiply(os.Getenv("FAKE_MULTIPLY")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	relayerv1loop.ServeRelayer(func(h *loop.Host) relayerv1loop.RelayerService {
		noise := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "noise", Help: "Writes."}, func() float64 {
			makeNoise()
			return 1
		})
		h.Registry().MustRegister(noise)
		return nil
	})
}

// awaitLicence waits until the host is gone.
func awaitLicence() {
	fmt.Fprintln(os.Stderr, "waiting for a licence")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

const (
	flood  = 8 << 20
	poison = "{\"@message\":1}\n{\"@level\":\"info\",\"@message\":5}\n{\"@level\":7,\"@message\":\"x\"}\n{\"msg\":null}\n{\"@message\":\"x\",\"@level\":\n{}\n[]\n\x00\n"
)

func makeNoise() {
	switch os.Getenv("FAKE_NOISE") {
	case "stderr":
		random, b := rand.New(rand.NewPCG(1, 2)), make([]byte, flood)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		_, _ = ownStderr.Write(b)
	case "one line":
		_, _ = ownStderr.Write(append(bytes.Repeat([]byte("e"), flood), '\n'))
		_, _ = ownStdout.Write(append(bytes.Repeat([]byte("o"), flood), '\n'))
	case "many lines":
		_, _ = ownStderr.Write(bytes.Repeat([]byte("again\n"), flood/6))
		_, _ = ownStdout.Write(bytes.Repeat([]byte("again\n"), flood/6))
	case "poison":
		for _, f := range []*os.File{ownStderr, ownStdout, os.Stderr, os.Stdout} {
			_, _ = f.WriteString(poison)
		}
	}
	_, _ = ownStderr.WriteString("\nenough\n")
}

// records keeps what is logged.
type records struct {
	mu  sync.Mutex
	all []slog.Record
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }

func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, record)
	return nil
}

func (r *records) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, record := range r.all {
		all = append(all, record.Message)
	}
	return all
}

// shortDir is a folder of its own: a test's is too long for sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	base, err := os.MkdirTemp("", "l")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	return base
}

func newSockets(t testing.TB, base string) *process.Sockets {
	t.Helper()
	s, err := process.NewSockets(base, "name another")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// settings are those of the fake.
func settings(t testing.TB, log slog.Handler, env ...string) process.Settings {
	t.Helper()
	pair, err := wire.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	starter := process.NewStarter()
	t.Cleanup(starter.Close)
	return process.Settings{
		Name: "fake", Kind: relayerv1loop.RelayerKind(), Command: []string{os.Args[0]}, Env: env, Hint: "check it",
		Logger: slog.New(log), Sockets: newSockets(t, shortDir(t)), StartTimeout: time.Minute, Host: pair, Starter: starter,
	}
}

func start(t *testing.T, env ...string) (*process.Process, *records, error) {
	t.Helper()
	log := &records{}
	p, err := process.Start(t.Context(), settings(t, log, env...))
	if err == nil {
		t.Cleanup(p.Kill)
	}
	return p, log, err
}

// eventually waits for what another goroutine logs.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// TestNoise has a plugin write what hosts have died of. It goes on, answers, and the log stays small.
func TestNoise(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"stderr":     "enough",
		"one line":   strings.Repeat("e", 32<<10),
		"many lines": "again",
		"poison":     `{"@message":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, log, err := start(t, "FAKE_NOISE="+name)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			for range 2 {
				if _, err := pluginv1.NewLifecycleServiceClient(p.Conn).CollectMetrics(t.Context(),
					&pluginv1.CollectMetricsRequest{}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := grpc_health_v1.NewHealthClient(p.Conn).Check(t.Context(),
				&grpc_health_v1.HealthCheckRequest{Service: wire.HealthService}); err != nil {
				t.Fatal(err)
			}
			p.Kill() // its pipes are read to their ends
			messages := log.messages()
			if name != "stderr" && !slices.Contains(messages, want) {
				t.Errorf("the log does not hold %.60q", want)
			}
			for _, m := range messages {
				if len(m) > 32<<10 {
					t.Errorf("a record of %d bytes", len(m))
				}
			}
			// 500 lines a second of each of two streams, and a second that has begun counts.
			if most := 1010 * (2 + int(time.Since(begin)/time.Second)); len(messages) > most {
				t.Errorf("%d records, at most %d were wanted", len(messages), most)
			}
		})
	}
}

// TestNothingIsInherited starts a plugin from a host with a secret in its environment and an open file.
func TestNothingIsInherited(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "s3cret")
	f, err := os.CreateTemp(t.TempDir(), "open")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, log, err := start(t, "FAKE_TELL=1", "ONE=1")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what the plugin has", func() bool { return slices.Contains(log.messages(), "told") })
	var variables []string
	for _, m := range log.messages() {
		if v, ok := strings.CutPrefix(m, "variable "); ok {
			variables = append(variables, v)
		}
		if strings.HasPrefix(m, "descriptor ") && strings.Contains(m, f.Name()) {
			t.Errorf("the plugin has the host's open file: %s", m)
		}
	}
	slices.Sort(variables)
	want := []string{
		"FAKE_TELL", "LOOP_MARK", "LOOP_PLUGIN", "ONE", "PATH", "PLUGIN_CLIENT_CERT", "PLUGIN_MAX_PORT", "PLUGIN_MIN_PORT",
		"PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_UNIX_SOCKET_DIR", "TMPDIR",
	}
	if d := cmp.Diff(want, variables); d != "" {
		t.Error(d)
	}
	// Authors without an SDK read them from the page. Package loophost adds the level to ONE and its like.
	want = slices.DeleteFunc(append(want, wire.LogLevelKey), func(v string) bool { return v == "FAKE_TELL" || v == "ONE" })
	slices.Sort(want)
	if d := cmp.Diff(want, documented(t)); d != "" {
		t.Errorf("the table of docs/contract.md has other variables: %s", d)
	}
}

// documented are the variables of the environment's table in docs/contract.md.
func documented(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Environment\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var names []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, quoted := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				names = append(names, quoted[1])
			}
		}
	}
	if !found || len(names) == 0 {
		t.Fatal("docs/contract.md has lost its table of the environment")
	}
	slices.Sort(names)
	return names
}

// TestVariablesAreDocumented looks through both SDKs for variables that a process is given or asks for.
func TestVariablesAreDocumented(t *testing.T) {
	t.Parallel()
	known := documented(t)
	quoted := regexp.MustCompile(`["']((?:LOOP|PLUGIN)_[A-Z_]*[A-Z])["'=]`)
	found := 0
	for _, folder := range []string{"../../loop", "../../wire", "..", "../../../python/loop_plugin"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "fault": // breaks plugins in Go, in tests
				return fs.SkipDir
			case d.IsDir() && d.Name() == "stage": // what it is told the plugin does not see
				return fs.SkipDir
			case d.IsDir(), strings.HasSuffix(path, "_test.go"), filepath.Ext(path) != ".go" && filepath.Ext(path) != ".py":
				return nil
			}
			source, err := os.ReadFile(path)
			for _, m := range quoted.FindAllSubmatch(source, -1) {
				found++
				if name := string(m[1]); !slices.Contains(known, name) {
					t.Errorf("%s uses %s, and the table of docs/contract.md does not have it", path, name)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 5 {
		t.Errorf("found %d variables in the SDKs: they are written otherwise than this test expects", found)
	}
}

// The error about a program that is not executed says what is missing, whether the program is pinned or not: a pinned
// one's path in the command is the child's.
func TestStartNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	program, content := filepath.Join(t.TempDir(), "plugin"), []byte("#!/opt/none/python3\n")
	if err := executable.Write(program, content, 0o700); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	for name, pin := range map[string][]string{"any": nil, "pinned": {hex.EncodeToString(sum[:])}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settings(t, &records{})
			s.Command, s.SHA256 = []string{program}, pin
			_, err := process.Start(t.Context(), s)
			if want := "its interpreter /opt/none/python3 is not there"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v; want %q", err, want)
			}
		})
	}
}

// A process of which no group can be made runs without one, and the log says why.
func TestStartWithoutGroup(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has control groups")
	}
	log := &records{}
	s := settings(t, log)
	s.Name = strings.Repeat("n", 300) // no folder is called so
	s.Starter.Divide()
	p, err := process.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	<-p.Exited()
	if said := log.messages(); !slices.Contains(said, "the process has no control group of its own") {
		t.Errorf("the log says %q", said)
	}
}

// overdue is a context whose deadline passes when a record is logged.
type overdue struct {
	context.Context
	records
	message string
	passed  chan struct{}
}

func (o *overdue) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == o.message {
		close(o.passed)
	}
	return o.records.Handle(ctx, record)
}

func (o *overdue) Done() <-chan struct{} { return o.passed }

func (o *overdue) Err() error {
	select {
	case <-o.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// The error about a program that prints no handshake says what it does instead, and the log has the stacks of its
// goroutines.
func TestStartTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	ctx := &overdue{Context: t.Context(), message: "waiting for a licence", passed: make(chan struct{})}
	s := settings(t, &ctx.records, "FAKE_WAITS=yes")
	s.Logger = slog.New(ctx)
	_, err := process.Start(ctx, s)
	does := "runs"
	if runtime.GOOS == "linux" {
		does = `(runs|sleeps), after \S+ on a processor and \S+ of waiting for one`
	}
	want := `" printed no handshake within 1m0s: it is not a LOOP plugin, or too slow \(it ` + does +
		`; it said: waiting for a licence\); check it$`
	if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) {
		t.Errorf("got %v; want %s", err, want)
	}
	if said := ctx.messages(); !slices.ContainsFunc(said, func(line string) bool {
		return strings.Contains(line, "awaitLicence")
	}) {
		t.Errorf("the log has no stack: %q", said)
	}
}

// TestEnd says how a process ended, and what it said last.
func TestEnd(t *testing.T) {
	t.Parallel()
	p, log, err := start(t, "FAKE_NOISE=none")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pluginv1.NewLifecycleServiceClient(p.Conn).CollectMetrics(t.Context(),
		&pluginv1.CollectMetricsRequest{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its words", func() bool { return slices.Contains(log.messages(), "enough") })
	p.Kill()
	<-p.Exited()
	if got := p.Exit().String(); got != "signal: killed; it said: enough" {
		t.Errorf("got %q", got)
	}
	p.Kill() // again, as whoever comes late does
}

// beHost starts a plugin by a shell script that stays, as wrappers do, says so and waits to be killed.
func beHost(script string) {
	pair, err := wire.NewKeyPair()
	var sockets *process.Sockets
	if err == nil {
		sockets, err = process.NewSockets(os.Getenv("FAKE_SOCKETS"), "name another")
	}
	if err == nil {
		starter := process.NewStarter()
		var environment []string
		for _, name := range []string{"FAKE_FIFO", "FAKE_MULTIPLY", "FAKE_HOG"} {
			environment = append(environment, name+"="+os.Getenv(name))
		}
		adopts := os.Getenv("FAKE_MULTIPLY") != ""
		if adopts {
			err = starter.Adopt()
		}
		p, serr := process.Start(context.Background(), process.Settings{
			Name: "fake", Kind: relayerv1loop.RelayerKind(), Command: []string{script}, Env: environment,
			Logger: slog.New(slog.DiscardHandler), Sockets: sockets, StartTimeout: time.Minute, Host: pair, Starter: starter,
		})
		if err = errors.Join(err, serr); err == nil {
			fmt.Println("ready")
			if adopts {
				_, _ = io.Copy(io.Discard, os.Stdin)
				p.Kill()
				lists, _ := filepath.Glob("/proc/self/task/*/children")
				var children []byte
				for _, list := range lists {
					of, _ := os.ReadFile(list)
					children = append(children, of...)
				}
				fmt.Println("children:", string(children))
			}
			<-p.Exited()
		}
	}
	fmt.Println("not ready:", err)
}

// TestPluginsDieWithTheirHost kills hosts as the kernel does when memory is short. The plugin is a grandchild: a signal
// of its parent's death does not reach it, and the end of its stdin does.
func TestPluginsDieWithTheirHost(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"a program":           "exec " + os.Args[0],
		"a script that stays": os.Args[0] + "\nexit $?",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fifo, program := filepath.Join(dir, "alive"), filepath.Join(dir, "plugin")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := executable.Write(program, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			host := exec.CommandContext(t.Context(), os.Args[0])
			host.Env = append(os.Environ(), "FAKE_HOST="+program, "FAKE_FIFO="+fifo, "FAKE_SOCKETS="+shortDir(t))
			out, err := host.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := host.Start(); err != nil {
				t.Fatal(err)
			}
			alive, err := os.Open(fifo) // returns when the plugin has opened it too
			if err != nil {
				t.Fatal(err)
			}
			defer alive.Close()
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
				t.Fatalf("the host said %q, %v", line, err)
			}
			begin := time.Now()
			if err := host.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = host.Wait() // it was killed
			ended := make(chan error, 1)
			go func() {
				_, err := alive.Read(make([]byte, 1)) // ends with the last process that holds the other end
				ended <- err
			}()
			select {
			case <-ended:
				t.Logf("the plugin lived %s longer than its host", time.Since(begin))
			case <-time.After(time.Minute):
				t.Error("the plugin lives on without its host")
			}
		})
	}
}
