package faults

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/troubleshooting.md")

const pageFile = "../../../docs/troubleshooting.md"

const pageIntroduction = `# Troubleshooting

This page is generated from the table of faults in ”tools/devnet/faults”. ”make test-faults” causes each fault on running
nodes and checks that the node says what this page quotes. A … stands for text that differs from one time to the next.

Look first at the node's ”/health”, which names every part with a problem; at ”loop jobs show ID” for a job; and at the
log, where each change of a state is one line.

`

// texts are those that a person may look up.
func (f fault) texts() []string {
	var all []string
	if f.says.stderr != "" {
		all = append(all, strings.TrimPrefix(f.says.stderr, "loop: "))
	}
	for _, c := range f.says.parts {
		if !slices.Contains(all, c.Reason) { // a plugin and its chain may have the same
			all = append(all, c.Reason)
		}
	}
	if j := f.says.job; j != nil && !slices.Contains(all, j.reason) {
		all = append(all, j.reason)
	}
	return append(all, f.says.log...)
}

// page is docs/troubleshooting.md.
func page() string {
	var text strings.Builder
	text.WriteString(strings.ReplaceAll(pageIntroduction, "”", "`"))
	index, alerts := map[string][]string{}, map[string][]string{}
	for _, c := range chapters() {
		for _, f := range c.faults {
			for _, t := range f.texts() {
				index[t] = append(index[t], f.name)
			}
			for _, a := range f.says.alerts {
				alerts[a] = append(alerts[a], f.name)
			}
		}
	}
	text.WriteString("## By what is said\n\nIn alphabetical order, not counting … .\n\n")
	text.WriteString("| it says | fault |\n| --- | --- |\n")
	byLetters := func(a, b string) int { return cmp.Or(strings.Compare(key(a), key(b)), strings.Compare(a, b)) }
	for _, t := range slices.SortedFunc(maps.Keys(index), byLetters) {
		fmt.Fprintf(&text, "| %s | %s |\n", code(t), links(index[t]))
	}
	text.WriteString("\n## By alert\n\n| alert | faults |\n| --- | --- |\n")
	for _, a := range slices.Sorted(maps.Keys(alerts)) {
		fmt.Fprintf(&text, "| `%s` | %s |\n", a, links(alerts[a]))
	}
	for _, c := range chapters() {
		fmt.Fprintf(&text, "\n## %s\n\n%s\n", c.title, c.about)
		for _, f := range c.faults {
			f.write(&text)
		}
	}
	return text.String()
}

// links are to faults.
func links(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, fmt.Sprintf("[%s](#%s)", name, anchor(name)))
	}
	return strings.Join(all, ", ")
}

// write writes what a node says of a fault, with a line for each place.
func (f fault) write(w *strings.Builder) {
	fmt.Fprintf(w, "\n### %s\n\n| where | what |\n| --- | --- |\n", capital(f.name))
	line := func(where, what string) { fmt.Fprintf(w, "| %s | %s |\n", where, what) }
	s := f.says
	if s.stderr != "" {
		line(fmt.Sprintf("stderr, exit code %d", s.exit), code(s.stderr))
	}
	if s.status != "" {
		line("`/health`", "`"+s.status+"`")
	}
	for _, c := range s.parts {
		line(fmt.Sprintf("`%s` is", c.Name), "`"+c.State+"`: "+code(c.Reason))
	}
	if j := s.job; j != nil {
		line("the job is", "`"+j.state+"`: "+code(j.reason))
	}
	for _, show := range s.show {
		line("`loop jobs show` has", code(show))
	}
	for _, l := range s.log {
		line("the log has", code(l))
	}
	if len(s.alerts) > 0 {
		line("alerts", "`"+strings.Join(s.alerts, "`, `")+"`")
	}
	within := f.within
	if within == 0 {
		within = patience
	}
	if s.status != "" {
		line("within", within.String()+"; alerts follow after the time in their rule")
	}
	line("what to do", strings.Join(f.remedies(), "; "))
}

// remedies are what the node says to do, and what the page adds.
func (f fault) remedies() []string {
	var all []string
	add := func(remedy string) {
		if remedy != "" && !slices.Contains(all, remedy) {
			all = append(all, remedy)
		}
	}
	if j := f.says.job; j != nil {
		add(j.remedy)
	}
	for _, c := range f.says.parts {
		add(c.Remedy)
	}
	add(f.todo)
	return all
}

// code writes a text of the node into a cell of a table.
func code(text string) string { return "`" + strings.ReplaceAll(text, "|", "\\|") + "`" }

// key is the text by which the page orders a text: its letters.
func key(text string) string {
	return strings.ToLower(strings.TrimLeft(strings.ReplaceAll(text, "…", ""), `- :"'`))
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// TestPage holds that docs/troubleshooting.md is what the table says. -update writes it.
func TestPage(t *testing.T) {
	t.Parallel()
	want := page()
	if *update {
		if err := os.WriteFile(pageFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	if changes := diff.Diff(want, string(got)); changes != "" {
		t.Errorf("docs/troubleshooting.md is out of date: run go test ./tools/devnet/faults -run TestPage -update "+
			"(-want +got):\n%s", changes)
	}
}
