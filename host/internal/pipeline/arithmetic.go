package pipeline

import (
	"fmt"

	"github.com/shopspring/decimal"
)

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
		b.report.warning(b.node.line, b.node.name,
			"", "%d arrows lead to the task, and only the first is divided: the one of "+
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
