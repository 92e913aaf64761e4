package loophost_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// debugged starts the fake relayer as a person does, and returns it with the file that it names.
func debugged(t *testing.T, folder string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "--debug")
	cmd.Env = []string{"XDG_RUNTIME_DIR=" + folder, wire.CookieKey + "=" + relayerv1loop.RelayerKind().Cookie}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	words := bufio.NewReader(stderr)
	said, err := words.ReadString('\n')
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, words)
		_ = cmd.Wait()
	}()
	_, file, found := strings.Cut(said, "LOOP_REATTACH=")
	_, file, named := strings.Cut(strings.TrimSpace(file), "=")
	if err != nil || !found || !named {
		t.Fatalf("it said %q, %v", said, err)
	}
	return cmd, file
}

// A plugin in a debugger may stand still for as long as it likes, outlives the host, serves the next one, and is taken
// up again when its author has started it anew.
func TestAttach(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "l")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	cmd, file := debugged(t, folder)
	attach := func() (*loophost.Runtime, *relayerv1loophost.Relayer) {
		r, err := loophost.New(loophost.Settings{Logger: slog.New(slog.DiscardHandler), HealthInterval: 20 * time.Millisecond,
			HealthTimeout: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(context.Background()) })
		p, err := relayerv1loophost.LaunchRelayer(t.Context(),
			r, loophost.PluginSettings{Name: "fake", Attach: file, Hint: "check it"})
		if err != nil {
			t.Fatal(err)
		}
		return r, p
	}
	first, p := attach()
	c := newChain(first, p, "")
	if _, err := head(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if st := p.Status(); st.PID != cmd.Process.Pid || st.InProcess {
		t.Errorf("status: %+v", st)
	}
	// A breakpoint: longer than ten health checks may take.
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	still, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	_, _ = head(still, c) // it cannot answer
	<-still.Done()
	cancel()
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if _, err := head(t.Context(), c); err != nil {
		t.Errorf("after a breakpoint: %v", err)
	}
	if st := p.Status(); st.State != supervise.Ready || st.Generation != 1 {
		t.Errorf("after a breakpoint: %+v", st)
	}

	first.Close(t.Context())
	second, p := attach()
	c = newChain(second, p, "")
	if _, err := head(t.Context(), c); err != nil {
		t.Fatalf("the next host: %v", err)
	}
	if st := p.Status(); st.PID != cmd.Process.Pid {
		t.Errorf("the next host has process %d and not %d", st.PID, cmd.Process.Pid)
	}

	// The same host comes anew, and makes the same objects.
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := head(t.Context(), c); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if st := p.Status(); st.PID != cmd.Process.Pid || st.Generation != 2 {
		t.Errorf("after a restart: %+v", st)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	next, same := debugged(t, folder)
	if same != file {
		t.Fatalf("the next process names %s and not %s", same, file)
	}
	if err := p.Restart(t.Context()); err != nil { // it may have been looked for in vain five times by now
		t.Fatal(err)
	}
	if _, err := head(t.Context(), c); err != nil {
		t.Errorf("its next process: %v", err)
	}
	if st := p.Status(); st.PID != next.Process.Pid {
		t.Errorf("attached to process %d and not %d", st.PID, next.Process.Pid)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "plugin fake: attaching to the process of "+file+" failed: ") ||
		!strings.HasSuffix(err.Error(), "; start the plugin with --debug, and check it") {
		t.Errorf("without a process: %v", err)
	}
	if _, err := head(t.Context(), c); err != nil {
		t.Errorf("a restart that failed: %v", err)
	}
}
