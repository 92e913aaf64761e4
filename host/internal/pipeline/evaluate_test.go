package pipeline

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// show writes a value so that its type shows: decimals as numbers, texts in quotes, bytes as such.
func show(value any) string {
	switch v := value.(type) {
	case decimal.Decimal:
		return "decimal " + v.String()
	case []byte:
		return fmt.Sprintf("bytes %x", v)
	case float64:
		return "float " + fmt.Sprint(v)
	default:
		out, err := marshal(v)
		if err != nil {
			return err.Error()
		}
		return string(out)
	}
}

// TestExpressions runs the golden table: pipelines without I/O, and what their last task comes to.
func TestExpressions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, Settings{Bridges: registry{}})
	in := Input{
		JobID: 7, ExternalJobID: "c7a0f5b6-4a0b-4a0e-8f36-1c7d1e0a9b22", Name: "ETH / USD",
		Meta: Meta{LatestAnswer: big.NewInt(42)},
	}
	count := 0
	var source strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		want, isWant := strings.CutPrefix(line, "= ")
		wantErr, isErr := strings.CutPrefix(line, "! ")
		switch {
		case strings.HasPrefix(line, "%"):
		case isWant, isErr:
			count++
			p, err := Parse(source.String())
			if err != nil {
				t.Errorf("%s\n%v", source.String(), err)
			} else {
				value, err := r.Run(t.Context(), p, in).Final()
				switch {
				case isWant && (err != nil || show(value) != want):
					t.Errorf("%s\ngot  %s, %v\nwant %s", source.String(), show(value), err, want)
				case isErr && (err == nil || !strings.Contains(err.Error(), wantErr)):
					t.Errorf("%s\ngot  %s, %v\nwant an error with %s", source.String(), show(value), err, wantErr)
				}
			}
			source.Reset()
		default:
			source.WriteString(line + "\n")
		}
	}
	if count < 100 {
		t.Errorf("only %d expressions were found", count)
	}
}

func TestInteger(t *testing.T) {
	t.Parallel()
	limit := new(big.Int).Lsh(big.NewInt(1), 191)
	below := new(big.Int).Sub(limit, big.NewInt(1))
	for name, test := range map[string]struct {
		value any
		want  string // or a part of the error
	}{
		"cut toward zero":            {1.9, "1"},
		"cut toward zero from below": {-1.9, "-1"},
		"half":                       {"0.5", "0"},
		"string with exponent":       {"1e5", "100000"},
		"whole float":                {float64(1 << 62), "4611686018427388000"},
		"largest":                    {below, below.String()},
		"largest and a fraction":     {below.String() + ".9", below.String()},
		"too large":                  {limit, "does not fit the 192 bits"},
		"smallest":                   {new(big.Int).Neg(limit), "-" + limit.String()},
		"smallest and a fraction":    {"-" + limit.String() + ".9", "-" + limit.String()},
		"too small": {new(big.Int).Sub(new(big.Int).Neg(limit), big.NewInt(1)),
			"does not fit the 192 bits"},
		"decimal":                       {decimal.New(12345, -2), "123"},
		"absurd decimal":                {decimal.New(1, math.MaxInt32), "an exponent outside ±1000"},
		"absurd small decimal":          {decimal.New(1, math.MinInt32), "an exponent outside ±1000"},
		"absurd string":                 {"1e2147483647", "an exponent outside ±1000"},
		"a string of very many digits":  {strings.Repeat("9", 1<<20), "more than 20000 digits"},
		"too many digits":               {json.Number(strings.Repeat("9", maxDigits+1)), "more than 20000 digits"},
		"many digits":                   {json.Number(strings.Repeat("9", maxDigits)), "does not fit the 192 bits"},
		"many places":                   {"1." + strings.Repeat("9", maxScale), "1"},
		"an exponent of a milliard":     {"1e1000000000", "an exponent outside ±1000"},
		"an exponent of many digits":    {"1e" + strings.Repeat("9", 1<<20), "an exponent outside ±1000"},
		"integers":                      {int64(-5), "-5"},
		"unsigned":                      {uint64(math.MaxUint64), "18446744073709551615"},
		"JSON number":                   {json.Number("12.9"), "12"},
		"JSON integer":                  {json.Number("1565616210741547008"), "1565616210741547008"},
		"JSON float":                    {json.Number("1565616210741547008.0"), "1565616210741547000"},
		"JSON number of no float":       {json.Number("1e400"), "1e400 is beyond the numbers of 64-bit floating point"},
		"largest in JSON":               {json.Number(below.String()), below.String()},
		"too large in JSON":             {json.Number(limit.String()), "does not fit the 192 bits"},
		"smallest in JSON":              {json.Number("-" + limit.String()), "-" + limit.String()},
		"nil":                           {nil, "nothing (null) is not a number"},
		"nil integer":                   {(*big.Int)(nil), "nothing (null) is not a number"},
		"boolean":                       {true, "a boolean is not a number"},
		"list":                          {[]any{1}, "a list is not a number"},
		"map":                           {map[string]any{}, "a map is not a number"},
		"empty text":                    {"", `"" is not a decimal number`},
		"NaN":                           {math.NaN(), "NaN is not a number"},
		"infinite":                      {math.Inf(-1), "-Inf is not a number"},
		"text NaN":                      {"NaN", "not a decimal number"},
		"blank":                         {" 1", "not a decimal number"},
		"hexadecimal":                   {"0x10", "not a decimal number"},
		"comma":                         {"1,5", "not a decimal number"},
		"underscore":                    {"1_000_000_000_000_000_000_000", "not a decimal number"},
		"point, then a sign":            {".-5", "not a decimal number"},
		"a minus from a text processor": {"−5", "not a decimal number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Integer(test.value)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
				return
			}
			if got.String() != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// reduce runs a task over values, with so many failed inputs among them.
func reduce(t *rapid.T, kind string, values []decimal.Decimal, faults int) (any, error) {
	b := &builder{node: &node{name: "x"}, task: &task{name: "x", inputs: make([]*task, len(values)+faults)},
		report: &report{}}
	k, ok := kinds[kind]
	if !ok {
		t.Fatalf("no kind %s", kind)
	}
	inputs := make([]outcome, 0, len(values)+faults)
	for i, value := range values {
		switch i % 3 { // the same number in the forms that tasks produce
		case 0:
			inputs = append(inputs, outcome{value: value})
		case 1:
			inputs = append(inputs, outcome{value: value.String()})
		default:
			inputs = append(inputs, outcome{value: value})
			if value.IsInteger() { // others would be rounded to float64
				inputs[i].value = json.Number(value.String())
			}
		}
	}
	for range faults {
		inputs = append(inputs, outcome{err: fmt.Errorf("failed")})
	}
	slices.SortStableFunc(inputs, func(outcome, outcome) int { return rapid.IntRange(-1, 1).Draw(t, "shuffle") })
	return k.build(b).(evaluator).evaluate(scope{inputs: inputs})
}

func TestReductionsAgainstRationals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) decimal.Decimal {
			return decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-30, 30).Draw(t, "exponent"))
		}), 1, 12).Draw(t, "values")
		faults := rapid.IntRange(0, 3).Draw(t, "faults")

		rationals := make([]*big.Rat, len(values))
		total := new(big.Rat)
		for i, v := range values {
			rationals[i] = v.Rat()
			total.Add(total, rationals[i])
		}
		slices.SortFunc(rationals, (*big.Rat).Cmp)
		middle := rationals[len(values)/2]
		exact := len(values)%2 == 1
		if !exact {
			middle = new(big.Rat).Add(middle, rationals[len(values)/2-1])
			middle.Mul(middle, big.NewRat(1, 2))
		}
		want := map[string]*big.Rat{"sum": total, "median": middle,
			"mean": new(big.Rat).Mul(total, big.NewRat(1, int64(len(values))))}
		for kind, rational := range want {
			got, err := reduce(t, kind, values, faults)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			// What is not exact may be off by half of the last of the 16 decimals that a division keeps.
			off := new(big.Rat).Sub(got.(decimal.Decimal).Rat(), rational)
			slack := new(big.Rat).SetFrac(big.NewInt(5), new(big.Int).Exp(big.NewInt(10), big.NewInt(17), nil))
			if kind == "sum" || kind == "median" && exact {
				slack = new(big.Rat)
			}
			if off.Abs(off).Cmp(slack) > 0 {
				t.Errorf("%s of %v = %s, off by %s", kind, values, got, off.FloatString(20))
			}
		}
	})
}

func TestDivisionAgainstRationals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) decimal.Decimal {
			return decimal.New(rapid.Int64().Draw(t, name), rapid.Int32Range(-20, 20).Draw(t, name+" exponent"))
		}
		a, b := draw("dividend"), draw("divisor")
		places := rapid.Int32Range(-5, 40).Draw(t, "places")
		got, err := divide(a, b, places)
		if b.IsZero() {
			if err == nil {
				t.Fatal("divided by zero")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		// Half away from zero: scale, add a half, cut.
		scaled := new(big.Rat).Quo(a.Rat(), b.Rat())
		power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(places, -places))), nil))
		if places < 0 {
			power.Inv(power)
		}
		scaled.Mul(scaled, power)
		half := big.NewRat(int64(scaled.Sign()), 2)
		scaled.Add(scaled, half)
		whole := new(big.Rat).SetInt(new(big.Int).Quo(scaled.Num(), scaled.Denom()))
		if want := whole.Quo(whole, power); got.Rat().Cmp(want) != 0 {
			t.Errorf("%s / %s to %d places = %s, want %s", a, b, places, got, want.FloatString(45))
		}
	})
}

func TestNumbersAreBounded(t *testing.T) {
	t.Parallel()
	largest := json.Number(strings.Repeat("9", maxDigits))
	for name, test := range map[string]struct {
		of   func(a, b decimal.Decimal) (decimal.Decimal, error)
		a, b any
		want string // a part of the error, or empty
	}{
		"the largest times one": {multiply, largest, "1", ""},
		"the largest times ten": {multiply, largest, json.Number("10"),
			"multiplication overflow: the number has more than 20000 digits"},
		"halves of the digits": {multiply, json.Number(strings.Repeat("9", maxDigits/2)),
			json.Number(strings.Repeat("9", maxDigits/2)), ""},
		"the largest exponents": {multiply, "1e600", "1e600",
			"multiplication overflow: the number has more than 20000 digits, or an exponent outside ±1000"},
		"the largest by the smallest": {quotients, largest, "1e-1000",
			"division overflow: the number has more than 20000 digits"},
		"the largest by itself":        {quotients, largest, largest, ""},
		"the exponents of one another": {quotients, "1e1000", "1e-1000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := number(test.a)
			if err != nil {
				t.Fatal(err)
			}
			b, err := number(test.b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := test.of(a, b); (err == nil) != (test.want == "") ||
				err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func quotients(a, b decimal.Decimal) (decimal.Decimal, error) { return divide(a, b, quotientPlaces) }

func TestAnyPicksAmongTheGood(t *testing.T) {
	t.Parallel()
	var asked []int
	a := &anyOf{pick: func(n int) int { asked = append(asked, n); return n - 1 }}
	got, err := a.evaluate(scope{inputs: []outcome{{value: "a"}, {err: fmt.Errorf("x")}, {value: "b"}}})
	if err != nil || got != "b" || !slices.Equal(asked, []int{2}) {
		t.Errorf("got %v, %v after asking for %v", got, err, asked)
	}
}
