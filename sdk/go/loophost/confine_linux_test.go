package loophost_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// The level in force is in a plugin's status, and a lower one than there could be is logged once, with its reason.
func TestConfinementIsTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var log bytes.Buffer
	r, err := loophost.New(loophost.Settings{Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	usual := confine.Limits
	if confine.ABI() > 0 {
		usual = confine.Landlock
	}
	for _, test := range []struct {
		name string
		want confine.Level
	}{{"wrapper", usual}, {"sudo", confine.None}} {
		program := filepath.Join(t.TempDir(), test.name)
		write(t, program, "exec "+os.Args[0])
		s := loophost.PluginSettings{Name: test.name, Command: []string{program}}
		p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := p.Status(); st.Confinement != test.want {
			t.Errorf("%s is confined to %q and not %q", test.name, st.Confinement, test.want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	const told = `msg="a plugin is confined less than configured" plugin=sudo level=none reason="its command runs sudo, which changes users or confines by itself"`
	if n := strings.Count(log.String(), told); n != 1 {
		t.Errorf("it is told %d times in\n%s", n, log.String())
	}
}

// The error about a plugin that is refused a file before it shakes hands says that it is confined.
func TestConfinedPluginThatDoesNotStart(t *testing.T) {
	t.Parallel()
	if confine.ABI() == 0 {
		t.Skip("this kernel has no Landlock")
	}
	r := newRuntime(t)
	denied := filepath.Join(t.TempDir(), "denied")
	if err := os.WriteFile(denied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "plugin")
	write(t, program, "cat "+denied)
	s := loophost.PluginSettings{Name: "fake", Command: []string{program}}
	_, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
	const hint = `it is confined at the level "landlock": what it needs besides its own can be allowed (Read, Write, Connect)`
	if err == nil || !strings.Contains(err.Error(), hint) {
		t.Errorf("it starts, or says %v", err)
	}
}
