// Package report shows what a conformance run found: to people as it goes, and to programs as JSON and as JUnit's XML.
//
// It must not know how cases are run.
package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// Show writes one result for people.
func Show(out io.Writer, r looptest.Result) {
	fmt.Fprintf(out, "%-8s%-52s %6d ms", r.State, r.Name, r.Took.Milliseconds())
	if why := r.Explanation(); why != "" {
		fmt.Fprintf(out, "\n        %s", strings.ReplaceAll(why, "\n", "\n        "))
	}
	fmt.Fprintln(out)
}

// Total is the form for programs.
type Total struct {
	Kind       string   `json:"kind"`
	Command    []string `json:"command"`
	Passed     int      `json:"passed"`
	Failed     int      `json:"failed"`
	Known      int      `json:"known"`
	Fixed      int      `json:"fixed"`
	Skipped    int      `json:"skipped"`
	DurationMS int64    `json:"duration_ms"`
	Cases      []Entry  `json:"cases"`
}

// Entry is one case.
type Entry struct {
	Name       string         `json:"name"`
	About      string         `json:"about"`
	State      looptest.State `json:"state"`
	Reason     string         `json:"reason,omitempty"`
	Stderr     []string       `json:"stderr,omitempty"`
	DurationMS int64          `json:"duration_ms"`
}

// Count makes the totals.
func Count(s looptest.Settings, results []looptest.Result, took time.Duration) Total {
	t := Total{Kind: s.Kind, Command: s.Command, DurationMS: took.Milliseconds(), Cases: []Entry{}}
	for _, r := range results {
		t.Cases = append(t.Cases, Entry{r.Name, r.About, r.State, r.Reason, r.Stderr, r.Took.Milliseconds()})
		switch r.State {
		case looptest.Passed:
			t.Passed++
		case looptest.Failed:
			t.Failed++
		case looptest.Known:
			t.Known++
		case looptest.Fixed:
			t.Fixed++
		case looptest.Skipped:
			t.Skipped++
		}
	}
	return t
}

// Summarise writes the end for people. It repeats the cases that failed, for those who see only the end of a long log.
func Summarise(out io.Writer, t Total) {
	fmt.Fprintf(out, "\n%d passed, %d failed, %d known to fail, %d skipped in %.1f s\n", t.Passed+t.Fixed, t.Failed,
		t.Known, t.Skipped, float64(t.DurationMS)/1000)
	if t.Fixed > 0 {
		fmt.Fprintf(out, "%d of those that passed are listed as known failures: remove them from the list.\n", t.Fixed)
	}
	for _, c := range t.Cases {
		if c.State == looptest.Failed {
			fmt.Fprintf(out, "failed: %s: %s\n", c.Name, strings.ReplaceAll(c.Reason, "\n", " "))
		}
	}
}

// JSON writes the totals as one line.
func JSON(out io.Writer, t Total) error {
	if err := json.NewEncoder(out).Encode(t); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// suite is JUnit's XML as the common readers take it.
type suite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Time     string     `xml:"time,attr"`
	Cases    []testcase `xml:"testcase"`
}

type testcase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    string   `xml:"time,attr"`
	Failure *message `xml:"failure"`
	Skipped *message `xml:"skipped"`
	Out     string   `xml:"system-out,omitempty"`
	Err     string   `xml:"system-err,omitempty"`
}

type message struct {
	Message string `xml:"message,attr"`
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// JUnit writes the report. Known failures are skipped tests there, since no reader knows a third kind.
func JUnit(path string, t Total, results []looptest.Result) error {
	s := suite{Name: "conformance." + t.Kind, Tests: len(results), Failures: t.Failed, Skipped: t.Skipped + t.Known,
		Time: seconds(time.Duration(t.DurationMS) * time.Millisecond)}
	for _, r := range results {
		c := testcase{Class: s.Name, Name: r.Name, Time: seconds(r.Took), Err: strings.Join(r.Stderr, "\n")}
		switch r.State {
		case looptest.Failed:
			c.Failure = &message{r.Reason}
		case looptest.Known, looptest.Skipped:
			c.Skipped = &message{r.Reason}
		case looptest.Fixed:
			c.Out = r.Reason
		case looptest.Passed:
		}
		s.Cases = append(s.Cases, c)
	}
	document, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the JUnit report: %w", err)
	}
	if err := os.WriteFile(path, append([]byte(xml.Header), append(document, '\n')...), 0o644); err != nil {
		return fmt.Errorf("writing the JUnit report: %w", err)
	}
	return nil
}
