package job

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// document is a spec while it is read: its decoded form, the lines of its keys, and the problems so far.
type document struct {
	text   string
	index  *keys.Index
	report *Report
	stage  Stage // of the problems that are found now
	top    table
}

func (d *document) problem(line int, key, format string, arguments ...any) {
	d.report.Problems = append(d.report.Problems,
		Finding{Line: line, Key: key, Stage: d.stage, Text: fmt.Sprintf(format, arguments...)})
}

func (d *document) warning(line int, key, format string, arguments ...any) {
	d.report.Warnings = append(d.report.Warnings,
		Finding{Line: line, Key: key, Stage: d.stage, Text: fmt.Sprintf(format, arguments...)})
}

// table reads the keys of one table of the spec. Values bind to keys whatever their letter case, as on established
// nodes; a wrong type is a problem and reads as the key's absence.
type table struct {
	*document
	path   string // empty for the top level
	values map[string]any
	read   map[string]bool // keys, as spelled in the file, that were asked for
}

func newTable(d *document, path string, values map[string]any) table {
	return table{document: d, path: path, values: values, read: map[string]bool{}}
}

func (t table) pathOf(key string) string { return keys.Join(t.path, key) }

// line returns the line of a key, or that of its table if the key is absent.
func (t table) line(key string) int { return t.index.Line(t.pathOf(key)) }

// has reports whether the key is there in its exact spelling.
func (t table) has(key string) bool {
	_, ok := t.values[key]
	return ok
}

func (t table) spelled(key string) (string, bool) { return keys.Spelled(t.values, key) }

// lookup returns a key's value.
func (t table) lookup(key string) (any, bool) {
	spelled, ok := t.spelled(key)
	if !ok {
		return nil, false
	}
	t.read[spelled] = true
	return t.values[spelled], true
}

func (t table) mismatch(key, want string, value any) { t.mismatchAt(t.pathOf(key), want, value) }

func (t table) mismatchAt(path, want string, value any) {
	t.problem(t.index.Line(path), path, "want %s, have %s", want, kindOf(value))
}

// text reads a string.
func (t table) text(key string) string {
	value, ok := t.lookup(key)
	if !ok {
		return ""
	}
	text, ok := value.(string)
	if !ok {
		t.mismatch(key, "a string in quotes", value)
	}
	return text
}

// flag reads a boolean.
func (t table) flag(key string) bool {
	value, ok := t.lookup(key)
	if !ok {
		return false
	}
	flag, ok := value.(bool)
	if !ok {
		t.mismatch(key, "true or false", value)
	}
	return flag
}

// whole reads an integer from 0 to a maximum.
func (t table) whole(key string, maximum int64) int64 {
	value, ok := t.lookup(key)
	if !ok {
		return 0
	}
	number, ok := value.(int64)
	switch {
	case !ok:
		t.mismatch(key, fmt.Sprintf("a whole number from 0 to %d", maximum), value)
		return 0
	case number < 0 || number > maximum:
		t.problem(t.line(key), t.pathOf(key), "%d does not fit: want a whole number from 0 to %d", number, maximum)
		return 0
	}
	return number
}

// duration reads a duration in Go's syntax; 0 means unset.
func (t table) duration(key string) time.Duration {
	const want = `a duration in quotes, such as "10s" or "1m30s"`
	value, ok := t.lookup(key)
	if !ok {
		return 0
	}
	text, ok := value.(string)
	if !ok {
		t.mismatch(key, want, value)
		return 0
	}
	duration, err := time.ParseDuration(text)
	if err != nil {
		t.problem(t.line(key), t.pathOf(key), "%q is not %s", text, want)
	}
	return duration
}

// texts reads a list of strings. One that holds anything else reads as the key's absence.
func (t table) texts(key string) []string {
	value, ok := t.lookup(key)
	if !ok {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		t.mismatch(key, "a list of strings", value)
		return nil
	}
	texts := make([]string, len(list))
	for at, element := range list {
		if texts[at], ok = element.(string); !ok {
			t.mismatchAt(fmt.Sprintf("%s[%d]", t.pathOf(key), at), "a string in quotes", element)
			texts = nil
			break
		}
	}
	return texts
}

// sub reads a table; one that is absent has no keys.
func (t table) sub(key string) table {
	value, ok := t.lookup(key)
	values, isTable := value.(map[string]any)
	if ok && !isTable {
		t.mismatch(key, "a table", value)
	}
	return newTable(t.document, t.pathOf(key), values)
}

// leftovers warns of every key that nothing has read, in the order of the file, with the known key that was likely
// meant.
func (t table) leftovers(known, ignored []string) {
	var left []string
	for key := range t.values {
		if !t.read[key] {
			left = append(left, key)
		}
	}
	slices.SortFunc(left, func(a, b string) int {
		if byLine := t.line(a) - t.line(b); byLine != 0 {
			return byLine
		}
		return strings.Compare(a, b)
	})
	for _, key := range left {
		line, path := t.line(key), t.pathOf(key)
		switch {
		case slices.ContainsFunc(slices.Collect(maps.Keys(t.read)), func(read string) bool {
			return t.read[read] && strings.EqualFold(read, key)
		}):
			t.warning(line, path, "this key is given in another spelling too, and that one is used")
		case slices.Contains(ignored, key):
			t.warning(line, path, "this key has no effect in this type of job")
		case t.path != "" && slices.Contains(topKeys, key):
			t.warning(line, path, "unknown key; %s belongs above the first [table] of the file", key)
		default:
			text := "unknown key"
			if closest := keys.Closest(key, known); closest != "" {
				text += fmt.Sprintf("; did you mean %s?", closest)
			}
			t.warning(line, path, "%s", text)
		}
	}
}

func kindOf(value any) string {
	switch value := value.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case int64:
		return "a whole number"
	case float64:
		if math.IsInf(value, 0) || math.IsNaN(value) {
			return "no finite number"
		}
		return "a number with a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return "a date or a time"
	}
}
