package pipeline

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// jsonParse picks one value out of a JSON text.
type jsonParse struct {
	data, path, separator parameter
	lax                   bool
}

func buildJSONParse(b *builder) behaviour {
	return &jsonParse{
		data: b.needInput(b.reference("data")), path: b.verbatim("path"), separator: b.verbatim("separator"), lax: b.boolean("lax", false),
	}
}

func (j *jsonParse) evaluate(s scope) (any, error) {
	data, err := j.data.operand(s)
	if err != nil {
		return nil, err
	}
	var text []byte
	switch v := data.(type) {
	case string:
		text = []byte(v)
		if strings.HasPrefix(v, "0x") {
			if text, err = unhex(v); err != nil {
				return nil, fmt.Errorf("the data is not JSON: %w", err)
			}
		}
	case []byte:
		text = v
	default:
		return nil, fmt.Errorf("the data is %s, and only text can be parsed as JSON", describe(data))
	}
	path, err := j.segments(s)
	if err != nil {
		return nil, err
	}
	document, _, err := decodeJSON(text)
	if err != nil {
		return nil, fmt.Errorf("the data is not JSON: %w", err)
	}
	picked, err := walk(document, path, j.lax)
	if err != nil {
		return nil, err
	}
	picked = settle(picked)
	if n, ok := picked.(json.Number); ok && !isInteger(n) { // a fault of this task, so that a median can do without it
		_, err := number(n)
		return nil, err
	}
	return picked, nil
}

// segments returns the steps of the path; no path is the whole document.
func (j *jsonParse) segments(s scope) ([]string, error) {
	if !j.path.present {
		return nil, nil
	}
	path, err := j.path.resolve(s, false)
	if err != nil {
		return nil, err
	}
	separator := any(",")
	if j.separator.present {
		if separator, err = j.separator.resolve(s, false); err != nil {
			return nil, err
		}
	}
	cut, ok := separator.(string)
	if !ok || cut == "" {
		return nil, j.separator.wrap(fmt.Errorf("the separator must be a text, not %s", describe(separator)))
	}
	switch v := path.(type) {
	case string:
		if v == "" {
			return nil, nil
		}
		return strings.Split(v, cut), nil
	case []any:
		segments := make([]string, len(v))
		for i, element := range v {
			if segments[i], ok = element.(string); !ok {
				return nil, j.path.wrap(fmt.Errorf("element %d of the path is %s, not a string", i, describe(element)))
			}
		}
		return segments, nil
	default:
		return nil, j.path.wrap(fmt.Errorf("the path must be a text or a list of texts, not %s", describe(path)))
	}
}

// walk follows a path into a JSON document. With lax, a last segment that is not there gives nil.
func walk(document any, path []string, lax bool) (any, error) {
	for i, segment := range path {
		last := i == len(path)-1
		switch v := document.(type) {
		case map[string]any:
			next, ok := v[segment]
			if !ok {
				if lax && last {
					return nil, nil
				}
				return nil, missing(path, i, "there is no such key")
			}
			document = next
		case []any:
			at, err := strconv.Atoi(segment)
			switch {
			case errors.Is(err, strconv.ErrRange):
				at = len(v) // as much outside as any
			case err != nil:
				return nil, missing(path, i, "a list wants a number here")
			case at < 0:
				at += len(v)
			}
			if at < 0 || at >= len(v) {
				if lax && last {
					return nil, nil
				}
				return nil, missing(path, i, fmt.Sprintf("the list has only %d elements", len(v)))
			}
			document = v[at]
		default:
			return nil, missing(path, i, fmt.Sprintf("%s has no parts", describe(document)))
		}
	}
	return document, nil
}

func missing(path []string, i int, why string) error {
	return fmt.Errorf("could not follow the path to %q, segment %d: %s", shorten(path[i], 64), i+1, why)
}

// product multiplies its input.
type product struct{ input, times parameter }

func buildMultiply(b *builder) behaviour {
	return &product{input: b.needInput(b.decimal("input")), times: b.need(b.decimal("times"))}
}

func (p *product) evaluate(s scope) (any, error) {
	a, b, err := operands(s, p.input, p.times)
	if err != nil {
		return nil, err
	}
	return result(multiply(a, b))
}

// quotient divides its input.
type quotient struct{ input, divisor, places parameter }

func buildDivide(b *builder) behaviour {
	q := &quotient{input: b.needInput(b.decimal("input")), divisor: b.need(b.decimal("divisor")), places: b.places()}
	if d, ok := q.divisor.literal.(decimal.Decimal); ok && d.IsZero() {
		b.problem("divisor", "divide by zero")
	}
	if !q.input.present && len(b.task.inputs) > 1 {
		b.report.warning(b.node.line, b.node.name, "", "%d arrows lead to the task, and only the first is divided: the one of "+
			"the least index, then of the first task in order; set the attribute input", len(b.task.inputs))
	}
	return q
}

func (q *quotient) evaluate(s scope) (any, error) {
	a, b, err := operands(s, q.input, q.divisor)
	if err != nil {
		return nil, err
	}
	places, err := precision(s, q.places)
	if err != nil {
		return nil, err
	}
	return result(divide(a, b, places))
}

func result(d decimal.Decimal, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// operands returns the two numbers of an arithmetic task; the first may come from the input.
func operands(s scope, first, second parameter) (a, b decimal.Decimal, err error) {
	value, err := first.operand(s)
	if err != nil {
		return a, b, err
	}
	if a, err = number(value); err != nil {
		return a, b, first.blame(s, err)
	}
	if value, err = second.resolve(s, false); err != nil {
		return a, b, err
	}
	if b, err = number(value); err != nil {
		return a, b, second.wrap(err)
	}
	return a, b, nil
}

// precision returns the number of decimal places, or what a division keeps by default.
func precision(s scope, p parameter) (int32, error) {
	if !p.present {
		return quotientPlaces, nil
	}
	value, err := p.resolve(s, false)
	if err != nil {
		return 0, err
	}
	if literal, ok := value.(int64); ok && literal >= -maxScale && literal <= maxScale {
		return int32(literal), nil
	}
	d, err := number(value)
	if err != nil {
		return 0, p.wrap(err)
	}
	if !d.IsInteger() || d.Abs().GreaterThan(decimal.NewFromInt(maxScale)) {
		return 0, p.wrap(fmt.Errorf("the precision must be an integer from %d to %d", -maxScale, maxScale))
	}
	return int32(d.IntPart()), nil
}

// series is what the tasks that reduce many values to one have in common: where the values come from, and how many of them
// may be missing.
type series struct {
	values      parameter
	faults      *int64 // allowed; nil for all but one
	lax         bool   // drops nils first
	nilsAsFault bool
}

func newSeries(b *builder) series {
	s := series{values: b.json("values", "a list")}
	if b.written("allowedFaults") != nil {
		n := b.integer("allowedFaults", 10, 0, 1<<31, 0)
		s.faults = &n
	}
	if list, ok := s.values.literal.([]any); ok && len(list) == 0 {
		b.problem("values", "the list is empty; give it at least one value")
	}
	b.needInput(s.values)
	return s
}

// member is one of the values of a series.
type member struct {
	value     any // or an error
	place, of int // from 1
	from      string
}

// String says which value it is and where it came from, if that is known.
func (m member) String() string {
	text := fmt.Sprintf("value %d of %d", m.place, m.of)
	if m.from != "" {
		text += ", from " + m.from
	}
	return text
}

// members returns all the values.
func (s series) members(sc scope) ([]member, error) {
	if !s.values.present {
		all := make([]member, len(sc.inputs))
		for i, in := range sc.inputs {
			all[i] = member{value: in.value, place: i + 1, of: len(all), from: "task " + shorten(in.task, 64)}
			if in.err != nil {
				all[i].value = &upstreamError{cause: in.err}
			}
		}
		return all, nil
	}
	value, err := s.values.resolve(sc, true)
	if err != nil {
		return nil, err
	}
	list, err := asList(value)
	if err != nil {
		return nil, s.values.wrap(err)
	}
	all := make([]member, len(list))
	literal, _ := s.values.literal.([]any)
	for i, value := range list {
		all[i] = member{value: value, place: i + 1, of: len(list)}
		ref := s.values.ref
		if literal != nil {
			ref, _ = literal[i].(*reference)
		}
		if ref != nil {
			all[i].from = "$(" + shorten(ref.text, 64) + ")"
		}
	}
	return all, nil
}

// good returns the values that are no faults. Its second result is false if lax left none.
func (s series) good(sc scope) ([]member, bool, error) {
	all, err := s.members(sc)
	if err != nil {
		return nil, false, err
	}
	if s.lax {
		all = slices.DeleteFunc(all, func(m member) bool { return m.value == nil })
		if len(all) == 0 {
			return nil, false, nil
		}
	}
	good := make([]member, 0, len(all))
	var faults []error
	for _, m := range all {
		err, failed := m.value.(error)
		switch {
		case failed:
			faults = append(faults, err)
		case m.value == nil && s.nilsAsFault:
			faults = append(faults, fmt.Errorf("%s: nothing (null)", m))
		default:
			good = append(good, m)
		}
	}
	allowed := int64(max(0, len(all)-1))
	if s.faults != nil {
		allowed = *s.faults
	}
	if int64(len(faults)) > allowed {
		return nil, false, tooManyErrors(faults, len(all), allowed)
	}
	if len(good) == 0 {
		return nil, false, errors.New("there are no values")
	}
	return good, true, nil
}

// tooManyErrors quotes a few of the causes, so that the end of a pipeline tells what went wrong at its start.
func tooManyErrors(faults []error, values int, allowed int64) error {
	causes := make([]string, 0, 4)
	for _, fault := range faults[:min(len(faults), 3)] {
		causes = append(causes, shorten(rootCause(fault).Error(), 300))
	}
	if len(faults) > 3 {
		causes = append(causes, "…")
	}
	return fmt.Errorf("too many errors: %d of %d values failed, and %d may: %s", len(faults), values, allowed, strings.Join(causes, "; "))
}

// decimals returns the good values as numbers. A good value that is no number is an error, and not a fault.
func (s series) decimals(sc scope) ([]decimal.Decimal, bool, error) {
	good, ok, err := s.good(sc)
	if err != nil || !ok {
		return nil, false, err
	}
	numbers := make([]decimal.Decimal, len(good))
	for i, m := range good {
		if numbers[i], err = number(m.value); err != nil {
			return nil, false, fmt.Errorf("%s: %w", m, err)
		}
	}
	return numbers, true, nil
}

type median struct{ series }

func buildMedian(b *builder) behaviour {
	m := &median{series: newSeries(b)}
	m.lax = b.boolean("lax", false)
	if m.nilsAsFault = b.boolean("countNilsAsFaults", false); m.nilsAsFault && m.lax {
		b.problem("countNilsAsFaults", "lax and countNilsAsFaults exclude each other; remove one")
	}
	return m
}

func (m *median) evaluate(s scope) (any, error) {
	numbers, ok, err := m.decimals(s)
	if err != nil || !ok {
		return nil, err
	}
	slices.SortStableFunc(numbers, decimal.Decimal.Cmp)
	middle := len(numbers) / 2
	if len(numbers)%2 == 1 {
		return numbers[middle], nil
	}
	return result(divide(numbers[middle-1].Add(numbers[middle]), decimal.NewFromInt(2), quotientPlaces))
}

type mean struct {
	series
	places parameter
}

func buildMean(b *builder) behaviour { return &mean{series: newSeries(b), places: b.places()} }

func (m *mean) evaluate(s scope) (any, error) {
	numbers, _, err := m.decimals(s)
	if err != nil {
		return nil, err
	}
	places, err := precision(s, m.places)
	if err != nil {
		return nil, err
	}
	return result(divide(total(numbers), decimal.NewFromInt(int64(len(numbers))), places))
}

type sum struct{ series }

func buildSum(b *builder) behaviour { return &sum{newSeries(b)} }

func (m *sum) evaluate(s scope) (any, error) {
	numbers, _, err := m.decimals(s)
	if err != nil {
		return nil, err
	}
	return result(bounded(total(numbers)))
}

// total adds exactly. Its terms are within bounds, so it has at most a few digits more than twice the bound.
func total(numbers []decimal.Decimal) decimal.Decimal {
	out := decimal.Zero
	for _, n := range numbers {
		out = out.Add(n)
	}
	return out
}

type mode struct{ series }

func buildMode(b *builder) behaviour { return &mode{newSeries(b)} }

// evaluate finds the most frequent values, in the order in which they reached that count, as the established node does.
func (m *mode) evaluate(s scope) (any, error) {
	good, _, err := m.good(s)
	if err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	var most uint64
	var results []any
	for _, member := range good {
		form, err := printed(member.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", member, err)
		}
		counts[form]++
		switch count := counts[form]; {
		case count > most:
			most, results = count, []any{member.value}
		case count == most:
			results = append(results, member.value)
		}
	}
	return map[string]any{"results": results, "occurrences": most}, nil
}

// printed is the form in which mode compares values: texts and bytes as they are, numbers of every type by their decimal
// digits, and the rest as JSON.
func printed(value any) (string, error) {
	if text, err := asText(value); err == nil {
		return text, nil
	}
	if d, err := number(value); err == nil {
		return d.String(), nil
	}
	encoded, err := marshal(value)
	if err != nil {
		return "", fmt.Errorf("%s cannot be compared: %w", describe(value), err)
	}
	return string(encoded), nil
}

// anyOf picks one of the inputs that have not failed.
type anyOf struct{ pick func(n int) int }

func buildAny(*builder) behaviour { return &anyOf{pick: rand.IntN} }

func (a *anyOf) evaluate(s scope) (any, error) {
	var good []any
	var faults []error
	for _, in := range s.inputs {
		if in.err != nil {
			faults = append(faults, &upstreamError{cause: in.err})
		} else {
			good = append(good, in.value)
		}
	}
	if len(good) == 0 {
		return nil, tooManyErrors(faults, len(s.inputs), int64(len(s.inputs)-1))
	}
	return good[a.pick(len(good))], nil
}

// memo gives a value a name.
type memo struct{ value parameter }

func buildMemo(b *builder) behaviour { return &memo{b.needInput(b.json("value", ""))} }

func (m *memo) evaluate(s scope) (any, error) { return m.value.operand(s) }

// lookup takes one element of a map.
type lookup struct{ key parameter }

func buildLookup(b *builder) behaviour { return &lookup{b.need(b.text("key"))} }

func (l *lookup) evaluate(s scope) (any, error) {
	key, err := l.key.resolve(s, false)
	if err != nil {
		return nil, err
	}
	name, ok := key.(string)
	if !ok {
		return nil, l.key.wrap(fmt.Errorf("the key must be a text, not %s", describe(key)))
	}
	m, ok := s.inputs[0].value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the input is %s, not a map", describe(s.inputs[0].value))
	}
	return m[name], nil
}

// conditional stops what follows unless its input is true.
type conditional struct{ data parameter }

func buildConditional(b *builder) behaviour {
	return &conditional{b.needInput(b.reference("data"))}
}

func (c *conditional) evaluate(s scope) (any, error) {
	data, err := c.data.operand(s)
	if err != nil {
		return nil, err
	}
	var satisfied bool
	switch v := data.(type) {
	case bool:
		satisfied = v
	case string:
		if satisfied, err = strconv.ParseBool(v); err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", shorten(v, 64))
		}
	default:
		return nil, fmt.Errorf("%s is neither true nor false", describe(data))
	}
	if !satisfied {
		return nil, errors.New("conditional was not satisfied")
	}
	return true, nil
}

// lessThan compares two numbers. Source and documentation of the established node disagree on the names, so both work.
type lessThan struct{ left, right parameter }

func buildLessThan(b *builder) behaviour {
	l := &lessThan{left: b.decimal("left"), right: b.decimal("right")}
	if input := b.decimal("input"); !l.left.present {
		l.left = input
	}
	if limit := b.decimal("limit"); !l.right.present {
		l.right = limit
	}
	b.needInput(l.left)
	b.need(l.right)
	return l
}

func (l *lessThan) evaluate(s scope) (any, error) {
	a, b, err := operands(s, l.left, l.right)
	if err != nil {
		return nil, err
	}
	return a.LessThan(b), nil
}

// merge joins two maps, or JSON texts of such; where both have a key, the right one wins.
type merge struct{ left, right parameter }

func buildMerge(b *builder) behaviour {
	return &merge{left: b.needInput(b.json("left", "a map")), right: b.need(b.json("right", "a map"))}
}

func (m *merge) evaluate(s scope) (any, error) {
	left, err := m.left.operand(s)
	if err != nil {
		return nil, err
	}
	right, err := m.right.resolve(s, false)
	if err != nil {
		return nil, err
	}
	into, err := asMap(left)
	if err != nil {
		return nil, m.left.blame(s, err)
	}
	from, err := asMap(right)
	if err != nil {
		return nil, m.right.wrap(err)
	}
	out := make(map[string]any, len(into)+len(from))
	maps.Copy(out, into)
	maps.Copy(out, from)
	return out, nil
}

// fail always fails, for tests of specs.
type fail struct{ message string }

func buildFail(b *builder) behaviour {
	f := &fail{message: "the task is of type fail"}
	if attr := b.written("msg"); attr != nil {
		f.message = attr.value
	}
	return f
}

func (f *fail) evaluate(scope) (any, error) { return nil, errors.New(shorten(f.message, 1024)) }

// textTask applies one function to a text.
type textTask struct {
	input parameter
	apply func(value any) (any, error)
}

func textKind(apply func(any) (any, error)) func(*builder) behaviour {
	return func(b *builder) behaviour {
		return &textTask{input: b.needInput(b.text("input")), apply: apply}
	}
}

func (t *textTask) evaluate(s scope) (any, error) {
	value, err := t.input.operand(s)
	if err != nil {
		return nil, err
	}
	return t.apply(value)
}

func uppercase(value any) (any, error) {
	text, err := asText(value)
	return strings.ToUpper(text), err
}

func lowercase(value any) (any, error) {
	text, err := asText(value)
	return strings.ToLower(text), err
}

// length counts bytes: of a text that begins with 0x, those that it stands for.
func length(value any) (any, error) {
	if text, ok := value.(string); ok && strings.HasPrefix(text, "0x") {
		decoded, err := unhex(text)
		return int64(len(decoded)), err
	}
	text, err := asText(value)
	return int64(len(text)), err
}

// hexEncode writes the bytes of a text in hexadecimal digits, or a whole number.
func hexEncode(value any) (any, error) {
	if text, err := asText(value); err == nil {
		return hexText([]byte(text)), nil
	}
	d, err := number(value)
	if err != nil {
		return nil, fmt.Errorf("the input is %s, and neither a text nor a number", describe(value))
	}
	if !d.IsInteger() || d.IsNegative() {
		return nil, fmt.Errorf("%s is not a whole number from 0 on", shorten(d.String(), 64))
	}
	return fmt.Sprintf("%#x", d.BigInt()), nil
}

func hexDecode(value any) (any, error) {
	text, err := asText(value)
	if err != nil {
		return nil, err
	}
	return unhex(text)
}

// unhex reads a text of 0x and hexadecimal digits.
func unhex(text string) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok {
		return nil, errors.New("the text does not start with 0x")
	}
	decoded, err := hex.DecodeString(digits)
	if err != nil {
		return nil, errors.New("the text after 0x is not pairs of hexadecimal digits")
	}
	return decoded, nil
}

func base64Encode(value any) (any, error) {
	text, err := asText(value)
	return base64.StdEncoding.EncodeToString([]byte(text)), err
}

func base64Decode(value any) (any, error) {
	text, err := asText(value)
	if err != nil {
		return nil, err
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("the text is not standard base64 with padding")
	}
	return decoded, nil
}

func asText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	default:
		return "", fmt.Errorf("the input is %s, not a text", describe(value))
	}
}
