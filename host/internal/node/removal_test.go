package node

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/database"
)

// TestRemovalThatIsCutShort holds that a job is removed whole although its caller has gone, and that one which the
// database does not let go is still among the jobs, says why, and can be removed later.
func TestRemovalThatIsCutShort(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.Chain("1337", "")
	n := f.start(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	first := addJob(t, n, false).GetId()
	if err := n.RemoveJob(gone, first); err != nil {
		t.Errorf("a removal whose caller has gone: %v", err)
	}
	if stored, err := n.database.Job(t.Context(), first); err == nil || n.Job(first) != nil {
		t.Errorf("the job is among the stored ones: %v, and those of the node: %v", stored, n.Job(first))
	}

	second := addJob(t, n, false).GetId()
	db, err := sql.Open("sqlite", n.settings.Config.Database.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 10000; "+statement); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TRIGGER full BEFORE DELETE ON jobs BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
	if err := n.RemoveJob(t.Context(), second); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a removal on a full disk: %v", err)
	}
	left := n.Job(second)
	if left == nil {
		t.Fatal("the job is not among the node's, and would run again at its next start")
	}
	if state := left.State(); !strings.Contains(state.Reason, "could not be removed") ||
		!strings.HasSuffix(state.Reason, "remove it again") {
		t.Errorf("the state of the job is %+v", state)
	}
	if again := n.jobs.stopOn(t.Context(), chainKey{relay: "evm", chain: "1337"}); len(again) != 0 {
		t.Error("a reload of its chain would start the job again")
	}
	run("DROP TRIGGER full")
	if err := n.RemoveJob(t.Context(), second); err != nil || n.Job(second) != nil {
		t.Errorf("removed again: %v, %v", err, n.Job(second))
	}
	if err := n.RemoveJob(t.Context(), second); !strings.Contains(err.Error(), database.ErrNotFound.Error()) {
		t.Errorf("a job that was removed: %v", err)
	}
}
