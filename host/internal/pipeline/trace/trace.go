// Package trace presents one run of a pipeline to people and programs: the inputs and the result of each task.
//
// It knows pipelines. It must not know jobs, rounds, or where a run is kept or shown.
package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// Source is one part of an observation: a median job's value, its fee coin's price or its gas price, or a pipeline that
// a product may run. It has a result or an error. Programs read the JSON of all types here, so their names must not
// change.
type Source struct {
	Name string `json:"-"` // as the spec's Sources have it
	// Value is the integer that a median would observe, in decimal digits: the result cut toward zero. It is empty for
	// a product.
	Value string `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
	// Result is the result of the pipeline before it was cut; nil if that is an error, or if there is no pipeline.
	Result   json.RawMessage `json:"result,omitempty"`
	Duration string          `json:"duration"` // in milliseconds, as all durations here: 12.5ms
	Tasks    []Task          `json:"tasks"`    // in an order in which they can run
}

// Task is one task of a pipeline, with its result.
type Task struct {
	ID       string  `json:"id"`
	Type     string  `json:"type"`
	Input    []Given `json:"input"` // by arrows, in their order, then by $(…); empty if the task did not run
	Outcome          // of the task
	Attempts int     `json:"attempts"` // 0 if the task did not run
	Duration string  `json:"duration"` // of all attempts and the waits between them
}

// Given is an input from another task.
type Given struct {
	ID      string `json:"id"`
	Outcome        // of the other task
}

// Outcome is the result of a task, which may be null, or its error.
type Outcome struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// None returns a source without a pipeline, which is observed as 0.
func None(name string) *Source {
	return &Source{Name: name, Value: "0", Duration: Milliseconds(0), Tasks: []Task{}}
}

// Of presents a run of a source's pipeline, without the secrets of its requests. An integer is observed for a median;
// only a product knows what it makes of a result. A result with more than longest bytes of JSON is cut; 0 means that
// none is.
func Of(name string, p *pipeline.Pipeline, ran *pipeline.Run, median bool, longest int) *Source {
	w := writer{secrets: ran.Secrets(), longest: longest}
	s := &Source{Name: name, Duration: Milliseconds(ran.Duration), Tasks: w.tasks(p, ran.Results)}
	final, err := ran.Final()
	if err != nil {
		s.Error = w.fault(err.Error())
		return s
	}
	s.Result = w.encode(final)
	if !median {
		return s
	}
	integer, err := ran.Integer()
	if err != nil {
		s.Error = w.fault(err.Error())
		return s
	}
	s.Value = integer.String()
	return s
}

// writer writes the results of tasks.
type writer struct {
	secrets []string
	longest int
}

// outcome is the result of a task. Its error does not name the task, whose ID is beside it.
func (w writer) outcome(r pipeline.Result) Outcome {
	if r.Err != nil {
		return Outcome{Error: w.fault(r.Reason())}
	}
	return Outcome{Result: w.encode(r.Value)}
}

// fault is an error's text, which has no secrets.
func (w writer) fault(text string) string {
	if w.longest > 0 && len(text) > w.longest {
		text = strings.ToValidUTF8(text[:w.longest], "") + "…"
	}
	return text
}

// tasks writes the results of a run. The result of a task and the inputs of others that it becomes are one text.
func (w writer) tasks(p *pipeline.Pipeline, results []pipeline.Result) []Task {
	all := make([]Task, len(results))
	for at, r := range results {
		all[at] = Task{
			ID: r.Task.ID, Type: r.Task.Type, Input: []Given{}, Outcome: w.outcome(r),
			Attempts: r.Attempts, Duration: Milliseconds(r.Duration),
		}
	}
	for at, awaited := range p.Awaits() {
		if all[at].Attempts == 0 {
			continue
		}
		for _, position := range awaited {
			all[at].Input = append(all[at].Input, Given{all[position].ID, all[position].Outcome})
		}
	}
	return all
}

// Milliseconds writes a duration in one unit, so that times are easy to compare. Tasks that only compute take some
// microseconds.
func Milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Round(time.Microsecond).Microseconds())/1e3, 'f', -1, 64) + "ms"
}

// encode writes a task's result as JSON.
func (w writer) encode(value any) json.RawMessage {
	text := pipeline.JSON(w.scrub(value))
	if w.longest <= 0 || len(text) <= w.longest {
		return text
	}
	// A part of a document is not a document: what is left of it stands in a text.
	shown := text[:w.longest]
	if whole, ok := value.(string); ok { // whose quotes need not be quoted once more
		whole = pipeline.Scrub(whole, w.secrets)
		shown = []byte(whole[:min(len(whole), w.longest)])
	}
	return pipeline.JSON(fmt.Sprintf("%s… (of %d bytes)", bytes.ToValidUTF8(shown, nil), len(text)))
}

// scrub cuts secrets out of the texts of a value.
func (w writer) scrub(value any) any {
	if len(w.secrets) == 0 {
		return value
	}
	switch v := value.(type) {
	case string:
		return pipeline.Scrub(v, w.secrets)
	case error: // among the values of a memo
		return pipeline.Scrub(v.Error(), w.secrets)
	case []any:
		list := make([]any, len(v))
		for at, element := range v {
			list[at] = w.scrub(element)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, element := range v {
			object[pipeline.Scrub(key, w.secrets)] = w.scrub(element)
		}
		return object
	}
	return value
}
