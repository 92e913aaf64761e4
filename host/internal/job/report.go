package job

import (
	"errors"
	"fmt"
	"strings"
)

// Stage is the moment at which an established node would find a problem. Operators know the four as: the spec is
// refused at once (the first two), the job cannot be created, or the job exists and does not run.
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

// String puts a finding into one line.
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

// Report is all that Parse found, in the order of the checks: the problems of the first stage that has one are those
// that an established node would name, though in words of its own. What follows is for those who would rather fix a
// file once.
type Report struct {
	Problems []Finding
	Warnings []Finding
	// Unchecked is what was left to a node, if Settings are Offline: each says what is not known.
	Unchecked []Finding
}

// Err is why the job is refused, or nil: it joins the problems of the first stage that has one. Those of later stages,
// which an established node would not have reached, are not part of it.
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
