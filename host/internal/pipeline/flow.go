package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
)

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
			return nil, fmt.Errorf("%s is neither true nor false", quote(v))
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

//nolint:unparam // a task has a result
func (f *fail) evaluate(scope) (any, error) { return nil, errors.New(shorten(f.message, 1024)) }
