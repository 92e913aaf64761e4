package looptest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// lifecycleCases are about a process's lifetime and end, and what it reports about itself.
func lifecycleCases() []check {
	return []check{
		{"health/serving",
			"grpc.health.v1 answers SERVING for the service plugin before and after Init and while calls wait, and NOT_FOUND " +
				"for others", true, healthServing},
		{"metrics/text",
			"CollectMetrics answers the Prometheus text format with its content type, also without an Accept header", false,
			metricsText},
		{"metrics/openmetrics", "CollectMetrics answers OpenMetrics with its content type if the scraper accepts it", false,
			metricsOpen},
		{"logs/json", "lines on stderr are JSON objects with a level and a message, and Init writes one at level debug", true,
			logsJSON},
		{"logs/level", "no line is below the level in LOOP_LOG_LEVEL", true, logsLevel},
		{"logs/stdout", "stdout has nothing but the handshake line", true, logsStdout},
		{"lifecycle/stdin", "the end of stdin ends the process, and whatever it started, within 1 s, also while a call waits",
			true, lifecycleStdin},
		{"lifecycle/host-gone", "a host that dies with all its pipes and connections ends the process within 1 s", true,
			lifecycleHostGone},
		{"lifecycle/recreate", "after SIGKILL a new process makes the same objects by the same names", true,
			lifecycleRecreate},
		{"lifecycle/drain",
			"Drain refuses new calls as UNAVAILABLE with the trailer loop-draining and finishes those in flight", false,
			lifecycleDrain},
		{"lifecycle/drain-exit", "after Drain the process ends with status 0", true, lifecycleDrainExit},
		{"lifecycle/drain-grace", "a call that does not end delays Drain for its grace and no longer", true,
			lifecycleDrainGrace},
		{"lifecycle/sigterm", "SIGTERM ends the process within 3 s", true, lifecycleSIGTERM},
	}
}

// wait begins a call that waits for the host.
func (l *generation) wait(ctx context.Context) (*loan.Hold, <-chan error, error) {
	_, child, err := l.pair(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.slow(ctx, child)
	if err != nil {
		return nil, nil, err
	}
	s.hold.Close()
	answered := make(chan error, 1)
	go func() { answered <- s.call(ctx) }()
	if _, err := l.arrival(ctx, s.hold, answered); err != nil {
		s.hold.Open()
		return nil, nil, err
	}
	return s.hold, answered, nil
}

func healthServing(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	if err := l.health(ctx); err != nil {
		return fmt.Errorf("before Init: %w", err)
	}
	if err := l.initialise(ctx); err != nil {
		return err
	}
	hold, _, err := l.wait(ctx)
	if err != nil {
		return err
	}
	defer hold.Open()
	if err := l.health(ctx); err != nil {
		return fmt.Errorf("while a call waits: %w", err)
	}
	got, err := l.healthOf(ctx, "conformance")
	if err == nil && got == grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil
	}
	return want("the health of a service that is not there", err, codes.NotFound)
}

func (l *generation) metrics(ctx context.Context, accept string) (*pluginv1.CollectMetricsResponse, error) {
	if _, _, err := l.pair(ctx); err != nil { // so that there is something to count
		return nil, err
	}
	r := &pluginv1.CollectMetricsResponse{}
	err := l.call(ctx, "", pluginv1.LifecycleService_CollectMetrics_FullMethodName,
		&pluginv1.CollectMetricsRequest{Accept: accept}, r)
	return r, err
}

func metricsText(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	for _, accept := range []string{"", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"} {
		r, err := l.metrics(ctx, accept)
		if err != nil {
			return err
		}
		kind, parameters, err := mime.ParseMediaType(r.GetContentType())
		if err != nil || kind != "text/plain" || parameters["version"] != "0.0.4" {
			if accept == "" && kind == "application/openmetrics-text" {
				continue // the plugin's choice
			}
			return fmt.Errorf("the exposition for Accept %q has the content type %q; want text/plain; version=0.0.4", accept,
				r.GetContentType())
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(r.GetExposition()))
		if err != nil {
			return fmt.Errorf("the exposition for Accept %q is not Prometheus text: %w", accept, err)
		}
		samples := 0
		for _, f := range families {
			samples += len(f.GetMetric())
		}
		if samples == 0 {
			return fmt.Errorf("the exposition for Accept %q has no sample", accept)
		}
	}
	return nil
}

func metricsOpen(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	r, err := l.metrics(ctx,
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5")
	if err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(r.GetContentType()); err != nil || kind != "application/openmetrics-text" {
		return fmt.Errorf("the exposition for who accepts OpenMetrics has the content type %q; want "+
			"application/openmetrics-text", r.GetContentType())
	}
	if !bytes.HasSuffix(r.GetExposition(), []byte("# EOF\n")) {
		return errors.New("the OpenMetrics exposition does not end with # EOF: a scraper takes it for cut off")
	}
	return nil
}

// line is a log line as a host reads it.
type line struct {
	level   slog.Level
	message string
}

// parseLine reads slog's, hclog's and structlog's JSON.
func parseLine(text string) (line, error) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return line{}, fmt.Errorf("the line %q on stderr is not a JSON object", cut(text))
	}
	first := func(keys ...string) string {
		for _, k := range keys {
			if v, ok := fields[k].(string); ok {
				return v
			}
		}
		return ""
	}
	out := line{message: first("msg", "@message", "message")}
	level := first("level", "@level")
	if strings.EqualFold(level, "trace") {
		level = "debug"
	}
	if err := out.level.UnmarshalText([]byte(level)); err != nil {
		return line{}, fmt.Errorf("the line %q on stderr has no level that a host knows: want debug, info, warn or error",
			cut(text))
	}
	if out.message == "" {
		return line{}, fmt.Errorf("the line %q on stderr has no message: want it as msg, message or @message", cut(text))
	}
	return out, nil
}

// talk has a plugin write log lines at a level, and ends it.
func (b *bench) talk(ctx context.Context, level slog.Level) (*generation, error) {
	s := b.subjectSettings()
	s.LogLevel = level
	l, err := b.start(ctx, b.newWorld(), s)
	if err != nil {
		return nil, err
	}
	if err := l.initialise(ctx); err != nil {
		return nil, err
	}
	if _, _, err := l.pair(ctx); err != nil {
		return nil, err
	}
	_ = l.probe(ctx, loan.Name("Conformance"))
	if err := l.drain(ctx, time.Second); err != nil {
		return nil, err
	}
	if bound := b.within(5 * time.Second); !settled(l.Process.Silent(), bound, true) {
		return nil, fmt.Errorf("%s after Drain the process holds its stderr", bound)
	}
	return l, nil
}

func logsJSON(ctx context.Context, b *bench) error {
	l, err := b.talk(ctx, slog.LevelDebug)
	if err != nil {
		return err
	}
	debug := 0
	for _, text := range l.Process.Stderr() {
		parsed, err := parseLine(text)
		if err != nil {
			return err
		}
		if parsed.level <= slog.LevelDebug {
			debug++
		}
	}
	if debug == 0 {
		return fmt.Errorf("none of %d lines on stderr has the level debug, which was asked for; want at least one, by Init",
			len(l.Process.Stderr()))
	}
	return nil
}

func logsLevel(ctx context.Context, b *bench) error {
	l, err := b.talk(ctx, slog.LevelError)
	if err != nil {
		return err
	}
	for _, text := range l.Process.Stderr() {
		parsed, err := parseLine(text)
		if err != nil {
			return err
		}
		if parsed.level < slog.LevelError {
			return fmt.Errorf("the line %q has the level %s; want none below %s, for which %s asks", cut(text), parsed.level,
				slog.LevelError, wire.LogLevelKey)
		}
	}
	return nil
}

func logsStdout(ctx context.Context, b *bench) error {
	l, err := b.talk(ctx, slog.LevelDebug)
	if err != nil {
		return err
	}
	if lines := l.Process.Stdout(); len(lines) > 1 {
		return fmt.Errorf(
			"the plugin printed %q on stdout after its handshake; want lines on stderr, where hosts read levels", cut(lines[1]))
	}
	return nil
}

// gone is how long a process may live without its host.
const gone = time.Second

func lifecycleStdin(ctx context.Context, b *bench) error {
	for _, waiting := range []bool{false, true} {
		l, err := b.fresh(ctx, b.newWorld())
		if err != nil {
			return err
		}
		when := "the end of stdin"
		if waiting {
			when += " while a call waits for the host"
			hold, _, err := l.wait(ctx)
			if err != nil {
				return err
			}
			defer hold.Open()
		}
		l.Process.CloseStdin()
		if bound := b.within(gone); !settled(l.Process.Exited(), bound, true) {
			return fmt.Errorf("%s after %s the process goes on; want it to end, for its host is gone", bound, when)
		}
		if !settled(l.Process.Silent(), b.within(200*time.Millisecond), true) {
			return fmt.Errorf("the process ended with %s and left another behind that holds its output", when)
		}
	}
	return nil
}

func lifecycleHostGone(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	hold, answered, err := l.wait(ctx)
	if err != nil {
		return err
	}
	defer hold.Open()
	l.Abandon()
	if bound := b.within(gone); !settled(l.Process.Exited(), bound, true) {
		return fmt.Errorf("%s after its host died the process goes on; want it to end", bound)
	}
	<-answered
	return nil
}

func lifecycleRecreate(ctx context.Context, b *bench) error {
	w := b.newWorld()
	parent, child := loan.Name("Conformance"), loan.Name("Conformance")
	for number := range 2 {
		l, err := b.fresh(ctx, w)
		if err != nil {
			return err
		}
		if _, err := l.makeParent(ctx, parent, false); err != nil {
			return fmt.Errorf("in generation %d: %w", number+1, err)
		}
		if _, err := l.makeChild(ctx, parent, child, false); err != nil {
			return fmt.Errorf("in generation %d: %w", number+1, err)
		}
		if err := l.probe(ctx, child); err != nil {
			return fmt.Errorf("a call in generation %d: %w", number+1, err)
		}
		l.Process.Signal(syscall.SIGKILL)
		<-l.Process.Exited()
	}
	return nil
}

// drain asks the plugin to end.
func (l *generation) drain(ctx context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+l.bench.within(5*time.Second))
	defer cancel()
	err := l.call(ctx, "", pluginv1.LifecycleService_Drain_FullMethodName,
		&pluginv1.DrainRequest{Grace: durationpb.New(grace)}, &pluginv1.DrainResponse{})
	if err != nil {
		return wrap("LifecycleService.Drain", err)
	}
	return nil
}

// refusal waits until new calls are refused, for Drain is another call that comes when it comes. It returns the
// refusal's trailer.
func (l *generation) refusal(ctx context.Context, child string) (metadata.MD, error) {
	method, request, _ := l.bench.probeRequest()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		var trailer metadata.MD
		err := l.invoke(ctx, child, method, request, grpc.Trailer(&trailer))
		if err != nil {
			return trailer, want("a new call while the plugin drains", err, codes.Unavailable)
		}
		if took := time.Since(begin); took > l.bench.within(2*time.Second) {
			return nil, fmt.Errorf("a new call is served %s after Drain began; want UNAVAILABLE",
				took.Round(time.Millisecond))
		}
	}
}

func lifecycleDrain(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, child, err := l.pair(ctx)
	if err != nil {
		return err
	}
	hold, answered, err := l.wait(ctx)
	if err != nil {
		return err
	}
	defer hold.Open()
	drained := make(chan error, 1)
	go func() { drained <- l.drain(ctx, b.within(10*time.Second)) }()
	trailer, err := l.refusal(ctx, child)
	if err != nil {
		return err
	}
	ended := func(cut error) error {
		return fmt.Errorf("the call in flight was ended by Drain (%v); want it to be finished", cut)
	}
	early := func(err error) error {
		return fmt.Errorf("LifecycleService.Drain was answered (%v) while a call was in flight; want it to wait for that "+
			"call", err)
	}
	// A call that Drain cut off ends at about the same time as Drain, and any other, as UNAVAILABLE, with the process,
	// which ends after Drain. Both may have ended before either is looked at here, so that their order tells nothing.
	select {
	case cut := <-answered:
		if status.Code(cut) == codes.Unavailable {
			select {
			case err := <-drained:
				return early(err)
			case <-time.After(noticed):
			}
		}
		return ended(cut)
	case err := <-drained:
		select {
		case cut := <-answered:
			if status.Code(cut) != codes.Unavailable {
				return ended(cut)
			}
		case <-time.After(noticed):
		}
		return early(err)
	case <-time.After(noticed):
	}
	// The plugin lives, so that the refusal came from it and not from a connection that broke.
	if got := trailer.Get(wire.DrainingKey); !slices.Equal(got, []string{fmt.Sprint(ordinal)}) {
		return fmt.Errorf("a new call while the plugin drains is refused with the trailer %s %q; want %q, without which "+
			"nobody makes the call again", wire.DrainingKey, got, []string{fmt.Sprint(ordinal)})
	}
	hold.Open()
	if err := <-answered; err != nil {
		return wrap("the call in flight when the plugin drained", err)
	}
	return <-drained
}

func (l *generation) exitsWith0(bound time.Duration, after string) error {
	if bound = l.bench.within(bound); !settled(l.Process.Exited(), bound, true) {
		return fmt.Errorf("%s after %s the process goes on; want it to end", bound, after)
	}
	if c := l.Process.ExitCode(); c != 0 {
		return fmt.Errorf("after %s the process ended with %s; want status 0", after, l.Process.Exit())
	}
	return nil
}

func lifecycleDrainExit(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	if _, _, err := l.pair(ctx); err != nil {
		return err
	}
	if err := l.drain(ctx, time.Second); err != nil {
		return err
	}
	return l.exitsWith0(3*time.Second, "Drain")
}

func lifecycleDrainGrace(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	hold, _, err := l.wait(ctx)
	if err != nil {
		return err
	}
	defer hold.Open()
	begin := time.Now()
	if err := l.drain(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if took := time.Since(begin); took > b.within(2*time.Second) {
		return fmt.Errorf("LifecycleService.Drain with a grace of 500ms took %s while a call did not end; want it to leave "+
			"the call", took.Round(time.Millisecond))
	}
	return l.exitsWith0(3*time.Second, "Drain, whose grace a call outlasted,")
}

func lifecycleSIGTERM(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	l.Process.Signal(syscall.SIGTERM)
	if bound := b.within(3 * time.Second); !settled(l.Process.Exited(), bound, true) {
		return fmt.Errorf("%s after SIGTERM the process goes on; want it to end", bound)
	}
	return nil
}
