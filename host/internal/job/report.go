package job

import (
	"errors"
	"fmt"
	"strings"
)

// Stage is the time at which an established node would find a problem. Operators know the four: the spec is refused at
// once (the first two), the job cannot be created, or the job exists and does not run.
type Stage string

// The stages in their order.
const (
	StageCommon Stage = "common" // the file, and what every type of job has
	StageOCR2   Stage = "ocr2"   // the keys of the job's own type
	StageCreate Stage = "create" // what must exist on the node
	StageStart  Stage = "start"  // what the job needs to run
)

// Finding is one problem or warning.
type Finding struct {
	Line  int    // of the file, from 1; 0 if it is about something that the file lacks
	Key   string // as in pluginConfig.juelsPerFeeCoinSource; empty if it is about the file
	Stage Stage
	Text  string
}

// String formats a finding as one line.
func (f Finding) String() string {
	var out strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&out, "line %d: ", f.Line)
	}
	if f.Key != "" {
		out.WriteString(f.Key + ": ")
	}
	out.WriteString(f.Text)
	return out.String()
}

// Report is everything that Parse found, in the order of the checks. An established node would name the problems of the
// first stage that has one, though in its own words. The rest is for people who prefer to fix a file once.
type Report struct {
	Problems []Finding
	Warnings []Finding
	// Unchecked are checks that only a node can make, if Settings are Offline: each says what is not known.
	Unchecked []Finding
}

// Err returns why the job is refused, or nil. It joins the problems of the first stage that has one. It leaves out
// those of later stages, which an established node would not have reached.
func (r *Report) Err() error {
	var errs []error
	for _, problem := range r.Problems {
		if problem.Stage == r.FailedAt() {
			errs = append(errs, fmt.Errorf("%s check: %w", problem.Stage, errors.New(problem.String())))
		}
	}
	return errors.Join(errs...)
}

// FailedAt returns the first stage that has a problem, or an empty one.
func (r *Report) FailedAt() Stage {
	if len(r.Problems) == 0 {
		return ""
	}
	return r.Problems[0].Stage
}
