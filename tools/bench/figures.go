package main

import "fmt"

// leastPairs is how many measurements beside plain go-plugin a published median is of.
const leastPairs = 10

// bound is the limit of a figure: the most that it may be, or the least.
type bound struct {
	most, least float64 // 0: none
}

func (b bound) met(v float64) bool {
	return (b.most == 0 || v <= b.most) && (b.least == 0 || v >= b.least)
}

func (b bound) String() string {
	switch {
	case b.most > 0:
		return fmt.Sprintf("≤ %g", b.most)
	case b.least > 0:
		return fmt.Sprintf("≥ %g", b.least)
	}
	return ""
}

// figure is a row of the page: one metric of a benchmark.
type figure struct {
	what      string
	benchmark string // its name without Benchmark and the processors
	metric    string
	unit      string // after the value; empty: a ratio
	bound     bound
	// gated says whether a change that worsens the figure fails the gate.
	gated bool
}

// figures are the rows of the page in their order. Ratios are to plain go-plugin without TLS, metrics, rules and
// healing, in the same benchmark; what crosses twice is compared with one direct call.
func figures() []figure {
	atMost := func(v float64) bound { return bound{most: v} }
	atLeast := func(v float64) bound { return bound{least: v} }
	const p50, rate, cpu = "process-p50/plain", "process-rate/plain", "process-cpu/plain"
	return []figure{
		{"a call, one caller: p50", "Boundary/call/c=1", p50, "", atMost(0.45), true},
		{"a call, 64 callers: rate", "Boundary/call/c=64", rate, "", atLeast(3), true},
		{"a call, 64 callers: processor time of both processes", "Boundary/call/c=64", cpu, "", atMost(0.35), true},
		{"a call: allocations at both ends", "Allocations", "process-allocs/plain", "", atMost(0.3), false},
		{"a call of a plugin on another's object, through the node, one caller: p50", "Boundary/forward/c=1", p50, "",
			atMost(0.9), true},
		{"a call of a plugin on another's object, through the node, 64 callers: rate", "Boundary/forward/c=64", rate, "",
			atLeast(2.5), true},
		{"a call within which the plugin calls the node, one caller: p50", "Boundary/callback/c=1", p50, "", atMost(0.9),
			true},
		{"a call within which the plugin calls the node, 64 callers: rate", "Boundary/callback/c=64", rate, "", bound{},
			true},
		{"a small call beside calls of 1 MiB: p50", "Beside", "beside-p50/plain", "", atMost(1), false},
		{"a small call beside calls of 1 MiB: p99, to that of one alone", "Beside", "beside-p99/alone", "", atMost(2), false},
		{"a call of a plugin in Python, one caller: p50", "UnaryPython", "python-p50/plain", "", atMost(1), false},
		{"launch to first call", "Launch", "launch/plain", "", atMost(1.8), false},
		{"SIGKILL until the same object answers, with a standby, Go: median", "Standby/go", "median-ms", " ms", atMost(10),
			false},
		{"SIGKILL until the same object answers, with a standby, Go: longest", "Standby/go", "longest-ms", " ms", atMost(50),
			false},
		{"SIGKILL until the same object answers, with a standby, Python: median", "Standby/python", "median-ms", " ms",
			atMost(10), false},
		{"SIGKILL until the same object answers, with a standby, Python: longest", "Standby/python", "longest-ms", " ms",
			atMost(50), false},
		{"1,000 feeds, a round of each in a second: rounds that end within their second", nameOfFeeds(1000), "on-time", "",
			atLeast(1), false},
		{"1,000 feeds, a round of each in a second: processors that node and plugins take", nameOfFeeds(1000), "processors",
			"", atMost(0.35), false},
	}
}
