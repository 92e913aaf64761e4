package pipeline

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// series is the common part of the tasks that reduce many values to one: where the values come from, and how many of
// them may be missing.
type series struct {
	values      parameter
	faults      *int64 // allowed; nil for all but one
	lax         bool   // drops nils first
	nilsAsFault bool
}

func newSeries(b *builder) series {
	s := series{values: b.json("values", "a list")}
	if b.written("allowedFaults") != nil {
		n := b.integer("allowedFaults", 10, 0, 1<<31)
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

// String says which value it is and, if that is known, where it came from.
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
	switch {
	case len(good) == 0 && (s.lax || s.nilsAsFault):
		return nil, false, nil
	case len(good) == 0:
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
	return fmt.Errorf("too many errors: %d of %d values failed, and %d may: %s", len(faults), values, allowed,
		strings.Join(causes, "; "))
}

// decimals returns the good values as numbers. A good value that is not a number is an error, and not a fault.
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

// printed is the form in which mode compares values: texts and bytes as they are, numbers of every type by their
// decimal digits, and the rest as JSON.
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
