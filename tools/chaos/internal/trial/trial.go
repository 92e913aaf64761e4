// Package trial describes a trial of a fault: what is done, what must hold, what was measured, and how that is written
// down.
//
// It must not know how any fault is made.
package trial

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Trial is one fault.
type Trial struct {
	// Name is one word, for --only and the table.
	Name string
	// Fault says what is done.
	Fault string
	// Established is the measured behaviour of the established runtime.
	Established string
	// Run does it. An error is a trial that could not be held; a bound that is missed is none.
	Run func(context.Context, *Report) error
}

// Report takes what a trial finds.
type Report struct {
	// Short asks for a size that a busy machine can bear.
	Short   bool
	Figures []Figure
}

// Figure is one thing that was measured.
type Figure struct {
	// What was measured.
	What string `json:"what"`
	// Must is the bound as people read it.
	Must string `json:"must"`
	// Got is the measurement as people read it.
	Got string `json:"got"`
	// Met reports whether the bound was met.
	Met bool `json:"met"`
	// N is the number of samples, Median and Max are theirs, in Unit; absent where there is nothing to sample.
	N      int     `json:"n,omitempty"`
	Median float64 `json:"median,omitempty"`
	Max    float64 `json:"max,omitempty"`
	Unit   string  `json:"unit,omitempty"`
}

// Times adds samples whose median and maximum may not exceed their bounds; 0 means no bound. want is how many samples
// there must be.
func (r *Report) Times(what string, samples []time.Duration, want int, median, most time.Duration) {
	f := Figure{What: what, N: len(samples), Unit: "ms", Met: len(samples) == want}
	var must []string
	if median > 0 {
		must = append(must, "median ≤ "+text(median))
	}
	if most > 0 {
		must = append(must, "max ≤ "+text(most))
	}
	f.Must = join(append(must, fmt.Sprintf("%d of %d", want, want)))
	if len(samples) == 0 {
		f.Got = fmt.Sprintf("0 of %d", want)
		r.Figures = append(r.Figures, f)
		return
	}
	sorted := slices.Sorted(slices.Values(samples))
	middle, greatest := sorted[len(sorted)/2], sorted[len(sorted)-1]
	f.Median, f.Max = milliseconds(middle), milliseconds(greatest)
	f.Met = f.Met && (median == 0 || middle <= median) && (most == 0 || greatest <= most)
	f.Got = fmt.Sprintf("median %s, max %s, %d of %d", text(middle), text(greatest), len(samples), want)
	r.Figures = append(r.Figures, f)
}

// AtMost adds one number and its bound.
func (r *Report) AtMost(what, unit string, got, most float64) {
	if unit != "" {
		unit = " " + unit
	}
	r.Figures = append(r.Figures,
		Figure{What: what, Must: fmt.Sprintf("≤ %s%s", number(most), unit), Got: number(got) + unit, Met: got <= most})
}

// Holds adds what holds or does not; got says what was found.
func (r *Report) Holds(what, must, got string, met bool) {
	r.Figures = append(r.Figures, Figure{What: what, Must: must, Got: got, Met: met})
}

// Tell adds what has no bound.
func (r *Report) Tell(what, got string) {
	r.Figures = append(r.Figures, Figure{What: what, Got: got, Met: true})
}

// Span adds samples that have no bound.
func (r *Report) Span(what string, samples []time.Duration) {
	r.Times(what, samples, len(samples), 0, 0)
	r.Figures[len(r.Figures)-1].Must = ""
}

// Result is a trial that was held.
type Result struct {
	Name        string   `json:"name"`
	Fault       string   `json:"fault"`
	Established string   `json:"established"`
	Figures     []Figure `json:"figures"`
	// Load is the machine's load average over a minute before and after.
	Load [2]float64 `json:"load"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	// Error says why it could not be held; absent when it was.
	Error string `json:"error,omitempty"`
}

// Met reports whether every bound was met.
func (r Result) Met() bool {
	return r.Error == "" && !slices.ContainsFunc(r.Figures, func(f Figure) bool { return !f.Met })
}

// Hold holds a trial. load reads the machine's load.
func Hold(ctx context.Context, t Trial, short bool, load func() float64) Result {
	result := Result{Name: t.Name, Fault: t.Fault, Established: t.Established}
	report := &Report{Short: short}
	begin := time.Now()
	result.Load[0] = load()
	if err := t.Run(ctx, report); err != nil {
		result.Error = err.Error()
	}
	result.Load[1] = load()
	result.Seconds = time.Since(begin).Seconds()
	result.Figures = report.Figures
	return result
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// text is a time with the figures that count.
func text(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", milliseconds(d))
	}
	return fmt.Sprintf("%.1f ms", milliseconds(d))
}

func number(n float64) string {
	if n == float64(int64(n)) {
		return fmt.Sprint(int64(n))
	}
	return fmt.Sprintf("%.1f", n)
}

func join(parts []string) string {
	all := ""
	for _, p := range parts {
		if all != "" {
			all += ", "
		}
		all += p
	}
	return cmp.Or(all, "-")
}
