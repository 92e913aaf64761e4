package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// reservedNames cannot be task names: they are, or once were, the roots of variables that the run sets.
var reservedNames = map[string]bool{"input": true, "jb": true, "jobRun": true}

// variablePattern finds the references that order tasks and that JSON values hold.
var variablePattern = regexp.MustCompile(`\$\(\s*([a-zA-Z0-9_.]+)\s*\)`)

// outcome is the result of a task.
type outcome struct {
	task  string // its name
	value any
	err   error
}

// scope is what a task may see while it is evaluated. What it holds is shared between tasks and must not be changed.
type scope struct {
	inputs   []outcome
	outcomes []outcome      // by position; a task reads only those that it awaits
	run      map[string]any // jb and jobRun
	chainID  string         // of the job, for reading contracts
	relay    string         // of the job
	spec     specKey
}

// failedInput returns the error of the first input that failed.
func (s scope) failedInput() error {
	for _, in := range s.inputs {
		if in.err != nil {
			return &upstreamError{cause: in.err}
		}
	}
	return nil
}

// upstreamError says that a task could not run because one before it failed. Its text has only the first failure of the
// chain; otherwise texts would grow with each task behind it.
type upstreamError struct{ cause error }

func (e *upstreamError) Error() string { return "not run, since " + rootCause(e.cause).Error() }

func (e *upstreamError) Unwrap() error { return e.cause }

func rootCause(err error) error {
	for {
		var upstream *upstreamError
		if !errors.As(err, &upstream) {
			return err
		}
		err = upstream.cause
	}
}

// reference is a $(name.part.part).
type reference struct {
	text  string
	task  *task // whose result it is, or nil
	root  string
	parts []string
}

// newReference resolves a name as far as the text alone allows.
func newReference(text string, tasks map[string]*task) (*reference, error) {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if part == "" {
			return nil, fmt.Errorf("$(%s) has an empty part; write names joined by single points", shorten(text, 64))
		}
	}
	ref := &reference{text: text, task: tasks[parts[0]], root: parts[0], parts: parts[1:]}
	if ref.task != nil || isSet(parts) {
		return ref, nil
	}
	const set = "a run sets jb.databaseID, jb.externalJobID, jb.name, jobRun.meta.latestAnswer and " +
		"jobRun.meta.updatedAt only"
	today := append([]string{"jb"}, ref.parts...)
	switch {
	case ref.root == "jobSpec" && len(ref.parts) == 1 && isSet(today):
		return nil, fmt.Errorf("$(%s) is called $(%s) today; write that", text, strings.Join(today, "."))
	case reservedNames[ref.root]:
		return nil, fmt.Errorf("$(%s) refers to nothing: %s", shorten(text, 64), set)
	default:
		return nil, fmt.Errorf("$(%s) refers to nothing: there is no task %s, and %s", shorten(text, 64),
			shorten(ref.root, 64), set)
	}
}

// isSet reports whether each run sets a variable.
func isSet(parts []string) bool {
	current := any(Input{}.variables())
	for _, part := range parts {
		within, _ := current.(map[string]any)
		next, ok := within[part]
		if !ok {
			return false
		}
		current = next
	}
	return true
}

// resolve returns the value, or in the outcome the error of the task that should have made it. Its own error says that
// the value has no such part, or that the task has failed if only a part of its value is wanted: an error has no parts.
// So a failed task is one fault among values, and a part of what it should have made is no value at all.
func (r *reference) resolve(s scope) (outcome, error) {
	current := s.run[r.root]
	if r.task != nil {
		result := s.outcomes[r.task.position]
		if result.err != nil {
			failed := &upstreamError{cause: result.err}
			if len(r.parts) > 0 {
				return outcome{}, failed
			}
			return outcome{err: failed}, nil
		}
		current = result.value
	}
	for _, part := range r.parts {
		switch container := current.(type) {
		case map[string]any:
			next, ok := container[part]
			if !ok {
				return outcome{}, fmt.Errorf("$(%s): there is no key %s", shorten(r.text, 64), shorten(part, 64))
			}
			current = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(container) {
				return outcome{}, fmt.Errorf("$(%s): a list of %d has no element %s", shorten(r.text, 64), len(container),
					shorten(part, 64))
			}
			current = container[i]
		default:
			return outcome{}, fmt.Errorf("$(%s): %s has no part %s", shorten(r.text, 64), describe(current), shorten(part, 64))
		}
	}
	return outcome{value: current}, nil
}

// wholeVariable reports whether an attribute is one variable and nothing else, and returns the name inside.
func wholeVariable(raw string) (name string, ok bool) {
	raw = strings.TrimSpace(raw)
	if strings.Count(raw, "$") != 1 || !strings.HasPrefix(raw, "$(") || !strings.HasSuffix(raw, ")") {
		return "", false
	}
	return strings.TrimSpace(raw[2 : len(raw)-1]), true
}

// parameter is one attribute, compiled: absent, a variable, or a literal, which may be JSON with variables inside.
type parameter struct {
	name    string
	present bool
	ref     *reference
	literal any
	open    bool // the literal holds references, as *reference where a JSON value stands
}

// resolve returns the parameter's value; it must be present. With faults allowed, a reference to a failed task inside
// JSON becomes an error among the values instead of failing the whole.
func (p parameter) resolve(s scope, allowFaults bool) (any, error) {
	if p.ref != nil {
		got, err := p.ref.resolve(s)
		if err == nil {
			err = got.err
		}
		if err != nil {
			return nil, p.wrap(err)
		}
		return got.value, nil
	}
	if !p.open {
		return p.literal, nil
	}
	value, err := fill(p.literal, s, allowFaults)
	if err != nil {
		return nil, p.wrap(err)
	}
	return value, nil
}

func (p parameter) wrap(err error) error { return fmt.Errorf("attribute %s: %w", p.name, err) }

// operand returns the parameter's value or, if it is absent, that of the first input.
func (p parameter) operand(s scope) (any, error) {
	if p.present {
		return p.resolve(s, false)
	}
	return s.inputs[0].value, nil // the builder has seen to it that there is one
}

// blame says where operand's value came from, before what is wrong with it.
func (p parameter) blame(s scope, err error) error {
	if p.present {
		return p.wrap(err)
	}
	return fmt.Errorf("the input from task %s: %w", shorten(s.inputs[0].task, 64), err)
}

// fill puts values in place of the references of a JSON literal.
func fill(literal any, s scope, allowFaults bool) (any, error) {
	switch v := literal.(type) {
	case *reference:
		got, err := v.resolve(s)
		switch {
		case err != nil:
			return nil, err
		case got.err != nil && allowFaults:
			return got.err, nil
		}
		return got.value, got.err
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, element := range v {
			value, err := fill(element, s, allowFaults)
			if err != nil {
				return nil, err
			}
			out[key] = value
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			value, err := fill(element, s, allowFaults)
			if err != nil {
				return nil, err
			}
			out[i] = value
		}
		return out, nil
	default:
		return literal, nil
	}
}

// compiled is a JSON literal of an attribute.
type compiled struct {
	literal any  // with a *reference where a variable stands
	open    bool // it has such
	more    bool // text follows the first JSON value, without effect
}

// compileJSON reads JSON in which each $(…) stands for a whole value.
func compileJSON(raw string, tasks map[string]*task) (compiled, error) {
	var refs []*reference
	var starts []int // of the references, in the text that is read
	matches := variablePattern.FindAllStringSubmatchIndex(raw, -1)
	// A variable is replaced by a one-element object while the JSON is read. The key is one that the text does not have,
	// and the count below catches a key that the text hides behind escapes.
	marker := "loop variable"
	for strings.Contains(raw, marker) {
		marker += " "
	}
	var text strings.Builder
	last := 0
	for _, match := range matches {
		ref, err := newReference(raw[match[2]:match[3]], tasks)
		if err != nil {
			return compiled{}, err
		}
		text.WriteString(raw[last:match[0]])
		starts = append(starts, text.Len())
		fmt.Fprintf(&text, `{%q:%d}`, marker, len(refs))
		refs = append(refs, ref)
		last = match[1]
	}
	text.WriteString(raw[last:])
	value, end, err := decodeJSON([]byte(text.String()))
	if err != nil {
		if len(refs) > 0 {
			return compiled{}, errors.New("the value is not JSON; mind that each $(…) stands for a whole JSON value and must " +
				"not be put in quotes")
		}
		return compiled{}, fmt.Errorf("the value is not JSON: %w", err)
	}
	read := sort.SearchInts(starts, end) // references before the end of the value
	found := 0
	literal := settle(link(value, marker, refs[:read], &found))
	if found < read {
		return compiled{}, errors.New("an object has the same key twice; remove one")
	}
	if found > read {
		return compiled{}, fmt.Errorf("the value uses the key %q, which is reserved; choose another", marker)
	}
	return compiled{literal: literal, open: read > 0, more: strings.TrimSpace(text.String()[end:]) != ""}, nil
}

func link(value any, marker string, refs []*reference, found *int) any {
	switch v := value.(type) {
	case map[string]any:
		if id, ok := v[marker].(json.Number); ok && len(v) == 1 {
			*found++
			if i, err := strconv.Atoi(id.String()); err == nil && i >= 0 && i < len(refs) {
				return refs[i]
			}
			return nil
		}
		for key, element := range v {
			v[key] = link(element, marker, refs, found)
		}
	case []any:
		for i, element := range v {
			v[i] = link(element, marker, refs, found)
		}
	}
	return value
}

// decodeJSON reads the first JSON value of a text and returns where it ends. What follows is not looked at, as on
// established nodes. Numbers are as they are written; settle is for those that go on.
func decodeJSON(data []byte) (value any, end int, err error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, 0, errors.New("it ends too early")
		}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, 0, fmt.Errorf("%w (at byte %d)", err, syntax.Offset)
		}
		return nil, 0, err
	}
	return value, int(decoder.InputOffset()), nil
}

// asMap returns a map, or reads one from a JSON text.
func asMap(value any) (map[string]any, error) { return container[map[string]any](value, "a map") }

// asList returns a list, or reads one from a JSON text.
func asList(value any) ([]any, error) { return container[[]any](value, "a list") }

func container[T any](value any, want string) (T, error) {
	var none T
	if text, err := asText(value); err == nil {
		read, _, err := decodeJSON([]byte(text))
		if err != nil {
			return none, fmt.Errorf("the text is not JSON: %w", err)
		}
		value = settle(read)
	}
	if found, ok := value.(T); ok {
		return found, nil
	}
	return none, fmt.Errorf("the value must be %s, not %s", want, describe(value))
}

// weigh measures what a value costs in memory, in rough bytes, and stops at the limit. Results of tasks may share
// parts, so that a few nested lists can stand for more than any memory holds once they are printed.
func weigh(value any, limit int) (weight int, within bool) {
	weight = 8
	switch v := value.(type) {
	case string:
		weight += len(v)
	case []byte:
		weight += len(v)
	case json.Number:
		weight += len(v)
	case decimal.Decimal:
		weight += v.Coefficient().BitLen() / 3 // bits of a digit
	case *big.Int:
		weight += v.BitLen() / 3
	case map[string]any:
		for key, element := range v {
			inner, ok := weigh(element, limit-weight)
			if weight += inner + len(key); !ok || weight > limit {
				return weight, false
			}
		}
	case []any:
		for _, element := range v {
			inner, ok := weigh(element, limit-weight)
			if weight += inner; !ok || weight > limit {
				return weight, false
			}
		}
	}
	return weight, weight <= limit
}
