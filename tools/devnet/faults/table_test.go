package faults

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fault is a fault of the field: how to make it, and what the node says of it.
type fault struct {
	// name says what is wrong, in the words of somebody who knows it.
	name string
	// make causes the fault, and leaves its repair to the scene's undo.
	make func(s *scene)
	// within is how long the node may take to say it; 0: patience.
	within time.Duration
	// says is what the node says, and where.
	says says
	// todo is what to do, if the node does not say all of it.
	todo string
}

// patience is how long a node may take to name a fault. It leaves a person most of the first minute.
const patience = 15 * time.Second

// says is what a node says of a fault. Texts have … for what differs from one time to the next, within a line.
type says struct {
	// exit and stderr are those of a command that is refused, or that warns with exit code 0.
	exit   int
	stderr string
	// status is that of /health, and parts are the parts of the node, other than the job, that do not run.
	status string
	parts  []component
	// may are further parts that may stop because of the fault.
	may []component
	// job is the state of the job that loop jobs show, /health and, when the state begins, the log give.
	job *job
	// show are further lines of loop jobs show, with one blank in place of several.
	show []string
	// log are parts of further lines of the log.
	log []string
	// alerts are those of deploy/prometheus that fire.
	alerts []string
}

// job is a job's state.
type job struct{ state, reason, remedy string }

// chapter has the faults of one kind.
type chapter struct {
	title  string
	about  string
	faults []fault
}

// pattern reads a text with … in it.
func pattern(text string) *regexp.Regexp {
	var parts []string
	for part := range strings.SplitSeq(text, "…") {
		parts = append(parts, regexp.QuoteMeta(part))
	}
	return regexp.MustCompile(strings.Join(parts, `[^\n]*?`))
}

// whole reports whether all of a text is as expected.
func whole(want, text string) bool {
	return regexp.MustCompile(`^(?:` + pattern(want).String() + `)$`).MatchString(text)
}

// TestTable checks what must be true of each row.
func TestTable(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	count := 0
	for _, c := range chapters() {
		for _, f := range c.faults {
			count++
			if names[f.name] {
				t.Errorf("two faults are called %q", f.name)
			}
			names[f.name] = true
			s := f.says
			told, runs := s.stderr != "", s.status == "degraded" || s.status == "failing"
			if told == runs {
				t.Errorf("%s: a command is to tell of it, or the node to be degraded or failing, and one of both", f.name)
			}
			if runs && s.job == nil && len(s.parts) == 0 {
				t.Errorf("%s: /health is to name nothing", f.name)
			}
			remedied := func(c component) bool { return c.Remedy != "" }
			if f.todo == "" && (s.job == nil || s.job.remedy == "") && !slices.ContainsFunc(s.parts, remedied) {
				t.Errorf("%s: nobody says what to do", f.name)
			}
			for _, alert := range s.alerts {
				if !slices.Contains(alertNames(t), alert) {
					t.Errorf("%s: there is no alert %s in deploy/prometheus/alerts.yml", f.name, alert)
				}
			}
		}
	}
	if count < 30 {
		t.Errorf("%d faults are too few", count)
	}
}

// TestPattern holds that … stands for anything within a line.
func TestPattern(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"no round for 40s; hears 1 of 3": true, "no round for ; hears 1 of 3": true, "no round for 4\n0s; hears 1 of " +
			"3": false,
		"x no round for 40s; hears 1 of 3": false, "no round for 40s; hears 1 of 33": false,
	} {
		if whole("no round for …; hears 1 of 3", text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}
