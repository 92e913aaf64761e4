package trial

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// Source is one part of an observation: a median job's value, its fee coin's price or its gas price, or a pipeline that a
// product may run. It has a result or an error. Programs read the JSON of all types here, so that its names stay as they are.
type Source struct {
	Name string `json:"-"` // as the spec's Sources have it
	// Value is the integer that a median would observe, in decimal digits: the result cut toward zero. Empty for a product.
	Value string `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
	// Result is what the pipeline ended in, before it was cut; nil if that is an error, or if there is no pipeline.
	Result   json.RawMessage `json:"result,omitempty"`
	Duration string          `json:"duration"` // in milliseconds, as all durations here: 12.5ms
	Tasks    []Task          `json:"tasks"`    // in an order in which they can run
}

// Task is one task of a pipeline, and what it came to.
type Task struct {
	ID       string  `json:"id"`
	Type     string  `json:"type"`
	Input    []Given `json:"input"` // by arrows, in their order, then by $(…); empty if the task did not run
	Outcome          // of the task
	Attempts int     `json:"attempts"` // 0 if the task did not run
	Duration string  `json:"duration"` // of all attempts and the waits between them
}

// Given is what a task is given by another one.
type Given struct {
	ID      string `json:"id"`
	Outcome        // of the other task
}

// Outcome is the result of a task, which may be null, or its error.
type Outcome struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// outcome is what a task came to. Its error does not name the task, whose ID stands beside it.
func outcome(r pipeline.Result) Outcome {
	if r.Err != nil {
		return Outcome{Error: r.Reason()}
	}
	return Outcome{Result: pipeline.JSON(r.Value)}
}

// tasks tells the results of a run.
func tasks(p *pipeline.Pipeline, results []pipeline.Result) []Task {
	all := make([]Task, len(results))
	for at, awaited := range p.Awaits() {
		r := results[at]
		all[at] = Task{
			ID: r.Task.ID, Type: r.Task.Type, Input: []Given{}, Outcome: outcome(r),
			Attempts: r.Attempts, Duration: milliseconds(r.Duration),
		}
		if r.Attempts == 0 {
			continue
		}
		for _, position := range awaited {
			all[at].Input = append(all[at].Input, Given{results[position].Task.ID, outcome(results[position])})
		}
	}
	return all
}

// milliseconds writes a duration in one unit, so that times can be compared at sight. Tasks that only compute take some
// microseconds.
func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Round(time.Microsecond).Microseconds())/1e3, 'f', -1, 64) + "ms"
}
