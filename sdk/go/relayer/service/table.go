package service

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// Table is a job's relayConfig, whose keys are asked for one by one. A key matches regardless of letter case, as on
// established nodes. A value of a wrong type is a problem and reads as if the key were absent. A key that nobody asks
// for gives a warning.
type Table struct {
	job    *Job
	path   string
	given  []string // keys that the job has
	values map[string]any
	asked  []string        // keys that have a meaning
	read   map[string]bool // keys, as spelled, that were found
}

// newTable reads a JSON object; nothing is an empty one.
func newTable(job *Job, path string, text []byte) *Table {
	t := &Table{job: job, path: path, values: map[string]any{}, read: map[string]bool{}}
	if len(text) == 0 {
		return t
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var values map[string]any
	if err := decoder.Decode(&values); err != nil || values == nil || decoder.Decode(new(any)) != io.EOF {
		job.Problem(path, "it is not a JSON object")
		return t
	}
	t.given, t.values = slices.Sorted(maps.Keys(values)), values
	return t
}

// Text returns a string.
func (t *Table) Text(key string) string {
	text, _ := valueOf[string](t, key, "a string in quotes")
	return text
}

// Flag returns a boolean.
func (t *Table) Flag(key string) bool {
	flag, _ := valueOf[bool](t, key, "true or false")
	return flag
}

// Table checks that a value is a table.
func (t *Table) Table(key string) { _, _ = valueOf[map[string]any](t, key, "a table") }

// Whole returns an integer from 0 to a maximum.
func (t *Table) Whole(key string, maximum int64) int64 {
	want := fmt.Sprintf("a whole number from 0 to %d", maximum)
	number, ok := valueOf[json.Number](t, key, want)
	if !ok {
		return 0
	}
	whole, err := number.Int64()
	switch {
	case !isWhole(number):
		t.mismatch(key, want, number)
	case err != nil || whole < 0 || whole > maximum:
		t.job.Problem(t.pathOf(key), "%s does not fit: want %s", number, want)
	default:
		return whole
	}
	return 0
}

// Texts returns a list of strings.
func (t *Table) Texts(key string) []string {
	list, _ := valueOf[[]any](t, key, "a list of strings")
	texts := make([]string, len(list))
	for i, element := range list {
		text, ok := element.(string)
		if !ok {
			t.mismatch(fmt.Sprintf("%s[%d]", key, i), "a string in quotes", element)
			return nil
		}
		texts[i] = text
	}
	return texts
}

// ID returns the canonical spelling of the name of an account or a contract. The key is required.
func (t *Table) ID(kind relayerv1.IdKind, key string) string {
	if text, ok := valueOf[string](t, key, "a string in quotes"); ok || !t.has(key) {
		return t.job.ID(kind, t.pathOf(key), text)
	}
	return ""
}

// Ignored accepts a key that real jobs have and nothing reads.
func (t *Table) Ignored(key string) {
	if spelled, ok := keys.Spelled(t.values, key); ok {
		t.read[spelled] = true
		t.job.Warning(t.pathOf(spelled), "this key has no effect in this type of job")
	}
}

// Set gives a key a value, and removes its other spellings, which a reader that ignores letter case could mistake for
// it.
func (t *Table) Set(key string, value any) {
	maps.DeleteFunc(t.values, func(other string, _ any) bool { return strings.EqualFold(other, key) })
	t.values[key] = value
}

// Problem reports what is wrong with a key.
func (t *Table) Problem(key, format string, arguments ...any) {
	t.job.Problem(t.pathOf(key), format, arguments...)
}

func (t *Table) pathOf(key string) string { return t.path + "." + key }

func (t *Table) has(key string) bool {
	_, ok := keys.Spelled(t.values, key)
	return ok
}

// lookup is the value of a key, which has a meaning from now on.
func (t *Table) lookup(key string) (any, bool) {
	if !slices.Contains(t.asked, key) {
		t.asked = append(t.asked, key)
	}
	spelled, ok := keys.Spelled(t.values, key)
	if ok {
		t.read[spelled] = true
	}
	return t.values[spelled], ok
}

// valueOf is the value of a key if it is there and of the type.
func valueOf[T any](t *Table, key, want string) (value T, ok bool) {
	given, found := t.lookup(key)
	if !found {
		return value, false
	}
	if value, ok = given.(T); !ok {
		t.mismatch(key, want, given)
	}
	return value, ok
}

func (t *Table) mismatch(key, want string, value any) {
	t.Problem(key, "want %s, have %s", want, kindOf(value))
}

// leftovers warns of every key that nothing has read, with the known key that was likely meant.
func (t *Table) leftovers() {
	for _, key := range t.given {
		if t.read[key] {
			continue
		}
		text := "unknown key" + document.DidYouMean(key, t.asked)
		for read := range t.read {
			if strings.EqualFold(read, key) {
				text = "this key is given in another spelling too, and that one is used"
			}
		}
		t.job.Warning(t.pathOf(key), "%s", text)
	}
}

// json is the table as it is handed on.
func (t *Table) json() []byte {
	text, err := json.Marshal(t.values)
	if err != nil {
		panic(fmt.Sprint("a table that came out of JSON does not go in again: ", err))
	}
	return text
}

func kindOf(value any) string {
	switch value := value.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case json.Number:
		if isWhole(value) {
			return "a whole number"
		}
		return "a number with a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return "nothing"
	}
}

func isWhole(number json.Number) bool { return !strings.ContainsAny(number.String(), ".eE") }
