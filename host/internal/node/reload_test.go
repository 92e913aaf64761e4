package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/health"
)

// TestReload holds that the accounts of a chain change while a node runs, that its jobs go on with what they have
// accepted, one that is isolated too, and that a configuration that is wrong changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	a, b := f.account(), f.account()
	shared, own := f.runs("aa", a, false), f.runs("bb", b, true)
	alone := ownName("acme", own.GetId())
	f.held(a, "acme", 0)
	f.held(b, alone, 0)
	pid, original := f.pid("acme"), f.files.Config
	f.node.settings.Reread = func() (*config.Config, error) { return f.files.Load(t), nil }
	reload := func(accounts ...string) (failed string) {
		t.Helper()
		f.files.Config = strings.Replace(original, `ChainID = "1"`, fmt.Sprintf("ChainID = \"1\"\nAccounts = [\"%s\"]",
			strings.Join(accounts, `", "`)), 1)
		got, err := f.node.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := &Reloaded{Applied: []string{`Acme, ChainID = "1"`}, Failed: got.Failed}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		return strings.Join(got.Failed, "; ")
	}
	state := func(id int64) health.Part { return f.node.states.job(f.node.jobs.get(id)) }
	if got, err := f.node.Reload(t.Context()); err != nil || len(got.Applied)+len(got.AtRestart) > 0 {
		t.Errorf("of the same configuration: %v, %v", got, err)
	}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.node.Reload(gone)
	if fault := f.node.reread.configuration().Fault; err == nil || fault != "" {
		t.Errorf("of somebody who has gone: %v, and the configuration's fault is %q", err, fault)
	}

	if failed := reload(a, b); failed != "" {
		t.Errorf("jobs that do not run: %s", failed)
	}
	for plugin, want := range map[string][]string{"acme": {a}, alone: {b}} {
		if lent := f.lent(plugin); !slices.Equal(lent, want) {
			t.Errorf("%s is lent %v, want %v", plugin, lent, want)
		}
	}
	for _, j := range []*nodev1.Job{shared, own} {
		if now := state(j.GetId()); f.node.jobs.get(j.GetId()).oracle == nil {
			t.Errorf("job %d is %s: %s", j.GetId(), now.Level, now.Reason)
		}
	}
	f.held(b, alone, 1) // in another process, which has found what the one before had accepted
	if now := f.pid("acme"); now != pid {
		t.Errorf("the shared relayer was replaced: it is process %d and was %d", now, pid)
	}

	if failed := reload(b); !strings.HasPrefix(failed, fmt.Sprintf("job %d: its spec is not valid", shared.GetId())) ||
		strings.Contains(failed, triedAgain) {
		t.Errorf("jobs that do not run: %s", failed)
	}
	if now := state(shared.GetId()); now.Level != health.Failed ||
		!strings.Contains(now.Reason, "transmitterID") {
		t.Errorf("a job whose account is not the chain's any more is %s: %s", now.Level, now.Reason)
	}
	f.node.settings.Reread = func() (*config.Config, error) { return nil, errors.New("line 1: unknown key") }
	if _, err := f.node.Reload(t.Context()); !IsConfig(err) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a configuration that is wrong: %v", err)
	}
	part := func() health.Part {
		t.Helper()
		f.node.states.look(t.Context())
		now, _ := f.node.states.of(configurationPart())
		return now
	}
	if now := part(); now.Level != health.Degraded || !strings.Contains(now.Reason, "line 1: unknown key") {
		t.Errorf("the configuration is %s: %s", now.Level, now.Reason)
	}
	f.node.settings.Reread = func() (*config.Config, error) { return f.files.Load(t), nil }
	f.files.Config = strings.Replace(original, `ChainID = "1"`, "ChainID = \"1\"\nRefused = true", 1) +
		"[Log]\nLevel = 'warn'\n"
	if _, err := f.node.Reload(t.Context()); !IsConfig(err) || !strings.Contains(err.Error(), "Refused: a key") ||
		!strings.HasSuffix(err.Error(), "; applied before that: Log.Level") {
		t.Errorf("of a chain that its relayer refuses: %v", err)
	}
	f.node.states.look(t.Context())
	if now, _ := f.node.states.of(pluginPart("acme")); now.Level != health.Running {
		t.Errorf("after that its relayer is %s: %s", now.Level, now.Reason)
	}
	f.files.Config = original
	if _, err := f.node.Reload(t.Context()); err != nil {
		t.Errorf("of the first configuration: %v", err)
	}
	reload(a, b)
	if now := part(); now.Level != health.Running {
		t.Errorf("the configuration that was taken is %s: %s", now.Level, now.Reason)
	}
	if now := state(shared.GetId()); f.node.jobs.get(shared.GetId()).oracle == nil {
		t.Errorf("the job is %s: %s", now.Level, now.Reason)
	}
}

// TestReloadOfASlowRelayer holds that a chain is made anew, and its jobs go on, though its relayer does not let go of
// the one before in time.
func TestReloadOfASlowRelayer(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	a := f.account()
	j := f.runs("aa", a, false)
	f.held(a, "acme", 0)
	lock, err := os.Create(filepath.Join(f.dir, closing))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() }) // before the node's end, which waits for the chain's
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	f.files.Config = strings.Replace(f.files.Config, `ChainID = "1"`,
		fmt.Sprintf("ChainID = \"1\"\nAccounts = [%q]", a), 1)
	f.node.settings.Reread = func() (*config.Config, error) { return f.files.Load(t), nil }
	got, err := f.node.Reload(t.Context())
	want := &Reloaded{Applied: []string{`Acme, ChainID = "1"`}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if lent := f.lent("acme"); !slices.Equal(lent, []string{a}) {
		t.Errorf("acme is lent %v", lent)
	}
	if r := f.node.jobs.get(j.GetId()); r.oracle == nil {
		now := f.node.states.job(r)
		t.Errorf("the job is %s: %s", now.Level, now.Reason)
	}
	f.held(a, "acme", 1)
}
