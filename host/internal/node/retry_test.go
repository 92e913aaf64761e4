package node

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/health"
)

func (f *feeding) write(file, text string) {
	f.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

func (f *feeding) without(file string) {
	f.Helper()
	if err := os.Remove(filepath.Join(f.dir, file)); err != nil {
		f.Fatal(err)
	}
}

// execute does something to the node's database past the node.
func (f *feeding) execute(statement string) {
	f.Helper()
	// The node may hold SQLite's lock just then.
	database, err := sql.Open("sqlite", "file:"+f.node.settings.Config.Database.Path+"?_pragma=busy_timeout(60000)")
	if err == nil {
		_, err = database.ExecContext(f.Context(), statement)
		err = errors.Join(err, database.Close())
	}
	if err != nil {
		f.Fatal(err)
	}
}

// state is a job's state, as operators see it.
func (f *feeding) state(j *nodev1.Job) health.Part {
	return f.node.states.job(f.node.jobs.get(j.GetId()))
}

// An isolated job that was accepted runs as soon as its processes start, though they did not when the node began or its
// chain was reloaded. A reload says which jobs do not run.
func TestIsolatedJobRunsWhenItsProcessesStart(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	own := f.account()
	median, relayer, ill := filepath.Join(f.dir, "median"), filepath.Join(f.dir, "relayer"), filepath.Join(f.dir, "ill")
	f.files.Config += fmt.Sprintf("[Plugins.Median]\nWrite = [%q]\n", f.dir)
	f.files.plugin(t, "MEDIAN", "FAIL_WHILE="+ill+"\nFAIL_TURNS="+median)
	f.files.plugin(t, "ACME", "RELAYER=queueing\nQUEUE_DIR="+f.dir+"\nFAIL_TURNS="+relayer)
	f.node.Close(t.Context())
	f.start()
	j := f.runs("a1", own, true)
	alone, reports := ownName("acme", j.GetId()), ownName("median", j.GetId())
	f.held(own, alone, 0)
	recovers := func(when string, entries int) {
		t.Helper()
		f.held(own, alone, entries)
		eventually(t, "the job's median "+when, func() bool { return f.pid(reports) != 0 })
		eventually(t, "the job "+when, func() bool {
			f.node.states.look(t.Context())
			return f.state(j).Level != health.Failed
		})
		for _, file := range []string{median, relayer} {
			if left, _ := os.ReadFile(file); len(left) > 0 {
				t.Errorf("%s, %s has not failed so often: %q", when, filepath.Base(file), left)
			}
		}
		if lent := f.lent("acme"); slices.Contains(lent, own) {
			t.Errorf("%s, the shared relayer may sign with %v", when, lent)
		}
	}

	f.node.Close(t.Context())
	f.write(median, "-fff") // the shared one starts, and the job's own does not
	f.write(relayer, "-ff")
	f.start()
	recovers("after the start", 1)

	original := f.files.Config
	f.node.settings.Reread = func() (*config.Config, error) { return f.files.Load(t), nil }
	reload := func(accounts string) *nodev1.ReloadResponse {
		t.Helper()
		f.files.Config = strings.Replace(original, `ChainID = "1"`, "ChainID = \"1\"\nAccounts = ["+accounts+"]", 1)
		r, err := f.client.Reload(t.Context(), &nodev1.ReloadRequest{})
		if err != nil || len(r.GetApplied()) != 1 {
			t.Fatalf("reload: %v, %v", r, err)
		}
		return r
	}
	f.write(median, "fff")
	f.write(relayer, "ff")
	reload(fmt.Sprintf("%q", own))
	recovers("after a reload", 1)

	f.write(ill, "")
	failed := reload(fmt.Sprintf("%q, %q", own, f.account())).GetFailedJobs()
	if len(failed) != 1 || !strings.Contains(failed[0], fmt.Sprintf("job %d: its plugin %s does not serve", j.GetId(),
		reports)) || !strings.HasSuffix(failed[0], triedAgain) {
		t.Errorf("the reload names %q", failed)
	}
	f.remove(j)
	if p := f.node.runtime.Plugin(reports); p != nil {
		t.Errorf("of the job that was removed, %s is left", p.Name())
	}
}

// A job that was accepted, and fails for a reason that passes, is tried again. One that is being added is not, nor is
// one that was removed. An isolated one keeps its account meanwhile, so that no try disturbs the shared relayer.
func TestJobThatFailsForAReasonThatPasses(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	own, given := f.account(), f.account()
	shared, isolated, gone := f.runs("a1", f.account(), false), f.runs("b1", own, true), f.runs("c1", given, true)
	f.held(own, ownName("acme", isolated.GetId()), 0)
	f.node.Close(t.Context())
	f.execute("ALTER TABLE job_errors RENAME TO elsewhere")
	f.start()
	for _, j := range []*nodev1.Job{shared, isolated, gone} {
		if s := f.state(j); s.Level != health.Failed || !strings.Contains(s.Reason, "job_errors") ||
			!strings.HasSuffix(s.Reason, triedAgain) {
			t.Errorf("job %d is %s: %s", j.GetId(), s.Level, s.Reason)
		}
	}
	relayer := f.pid("acme")
	if lent := f.lent("acme"); slices.Contains(lent, own) || slices.Contains(lent, given) {
		t.Errorf("while isolated jobs wait, the shared relayer may sign with %v", lent)
	}
	added, err := f.add("d1", f.account(), false)
	if err != nil || added.GetState() != nodev1.JobState_JOB_STATE_FAILED ||
		strings.Contains(added.GetReason(), triedAgain) {
		t.Errorf("the job that is added: %v, %v", added, err)
	}
	f.execute("ALTER TABLE elsewhere RENAME TO job_errors")
	f.remove(gone)
	if !slices.Contains(f.lent("acme"), given) {
		t.Error("the account of the job that was removed was not given back")
	}

	f.held(own, ownName("acme", isolated.GetId()), 1)
	if f.pid("acme") != relayer {
		t.Error("the shared relayer was replaced for a job that was tried again")
	}
	eventually(t, "the next try", func() bool { return f.state(shared).Level != health.Failed })
	if s := f.state(added); s.Level != health.Failed {
		t.Errorf("the job that was added is %s", s.Level)
	}
	if r := f.node.jobs.get(gone.GetId()); r != nil {
		t.Error("the job that was removed is back")
	}
}

// A job whose spec is not valid any more keeps its contract, its account and its bridges: nobody may add it a second
// time while it waits for the next start. That the database cannot tell whether a bridge is there makes none invalid.
func TestJobThatIsNotValidAnyMore(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	if _, err := f.client.AddBridge(t.Context(), &nodev1.AddBridgeRequest{Bridge: &nodev1.Bridge{Name: "prices",
		Url: "http://127.0.0.1:1"}}); err != nil {
		t.Fatal(err)
	}
	source := f.source
	f.source = `price [type=bridge name=prices]`
	account := f.account()
	j := f.runs("a1", account, true)

	f.node.Close(t.Context())
	f.execute("ALTER TABLE bridges RENAME TO elsewhere")
	f.start()
	if s := f.state(j); s.Level == health.Failed {
		t.Errorf("while bridges cannot be read the job is failed: %s", s.Reason)
	}
	f.node.Close(t.Context())
	f.execute("ALTER TABLE elsewhere RENAME TO bridges")
	f.execute("UPDATE bridges SET name = 'others'")
	f.start()
	if s := f.state(j); s.Level != health.Failed || !strings.Contains(s.Reason, "could not find bridge") {
		t.Errorf("without its bridge the job is %s: %s", s.Level, s.Reason)
	}
	f.source = source
	f.refused("A1", f.account(), false, fmt.Sprintf("contractID: job %d serves this contract already", j.GetId()))
	f.refused("a2", account, false, fmt.Sprintf("transmitterID: job %d is isolated", j.GetId()))
	if _, err := (bridges{f.node.database}).Bridge(t.Context(), "prices"); err == nil ||
		err.Error() != "this node has none of that name; add it with: loop bridges add" {
		t.Errorf("of a bridge that is gone a run is told: %v", err)
	}
	if title, used := f.node.UsesBridge("prices"); !used {
		t.Errorf("its bridge may be removed: %q", title)
	}
	shown, err := f.client.ListJobs(t.Context(), &nodev1.ListJobsRequest{})
	if err != nil || len(shown.GetJobs()) != 1 || shown.GetJobs()[0].GetRelay() != "acme" {
		t.Errorf("the node lists %v, %v", shown, err)
	}
}

// A job that a plugin refuses, when it starts, when it is checked or later, runs once the plugin is replaced by one
// that takes it.
func TestReplacedPluginIsAskedAgain(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	jobs := []*nodev1.Job{f.runs("a1", f.account(), false), f.runs("b1", f.account(), true)}
	for name, c := range map[string]struct{ first, then, says string }{
		"refused at the start":     {refusing, refusing, "refuses the job"},
		"not valid for its plugin": {objecting, objecting, "not valid"},
		"refused later":            {away, refusing, "refuses the job"},
	} {
		f.node.Close(t.Context())
		f.write(filepath.Join(f.dir, c.first), "")
		f.start()
		f.write(filepath.Join(f.dir, c.then), "")
		if c.then != c.first {
			f.without(c.first)
		}
		for _, j := range jobs {
			eventually(t, name+": the refusal", func() bool {
				s := f.state(j)
				return s.Level == health.Failed && strings.Contains(s.Reason, c.says)
			})
		}
		f.without(c.then)
		for _, plugin := range []string{"acme", ownName("acme", jobs[1].GetId())} {
			if f.node.runtime.Plugin(plugin) == nil {
				continue // of a job that was refused at its start nothing is left
			}
			if _, err := f.client.RestartPlugin(t.Context(), &nodev1.RestartPluginRequest{Name: plugin}); err != nil {
				t.Fatal(err)
			}
		}
		for _, j := range jobs {
			if s := f.state(j); s.Level == health.Failed {
				t.Errorf("%s: job %d is %s: %s", name, j.GetId(), s.Level, s.Reason)
			}
		}
	}
}
