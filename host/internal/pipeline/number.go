package pipeline

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strings"

	"github.com/shopspring/decimal"
)

const (
	// maxScale bounds a decimal's power of ten and the precision of a rounding. Answers on a chain have 58 digits and a
	// float64 has exponents to ±324, so nothing real comes near; and without a bound "1e999999999" would fill the memory.
	maxScale = 1000
	// maxDigits bounds the digits of a number that is computed with: a product of two integers of 10,000 digits, which is
	// far more than any source sends, fits. Numbers that are only passed on have no bound of their own.
	maxDigits = 20_000
	// maxBits is what maxDigits take of a decimal's coefficient.
	maxBits = 66_439
	// quotientPlaces are the decimals that a division without precision keeps, as operators know it.
	quotientPlaces = 16
	// answerBits is the width of an answer on the chain: OCR2 aggregators hold an int192, which is 24 bytes.
	answerBits = 192
)

var errOverflow = fmt.Errorf("the number has more than %d digits, or an exponent outside ±%d", maxDigits, maxScale)

// bounded refuses a decimal that would cost too much to print or to add.
func bounded(d decimal.Decimal) (decimal.Decimal, error) {
	if d.Exponent() > maxScale || d.Exponent() < -maxScale || d.Coefficient().BitLen() > maxBits {
		return decimal.Decimal{}, errOverflow
	}
	return d, nil
}

var decimalPattern = regexp.MustCompile(`^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$`)

func parseDecimal(text string) (decimal.Decimal, error) {
	if len(text) > maxDigits+maxScale {
		return decimal.Decimal{}, errOverflow
	}
	if !decimalPattern.MatchString(text) { // stricter than the library, which takes a Unicode minus too
		return decimal.Decimal{}, fmt.Errorf("%s is not a decimal number", quote(text))
	}
	d, err := decimal.NewFromString(text)
	if err != nil { // the pattern leaves only a scale that the library refuses
		return decimal.Decimal{}, errOverflow
	}
	return bounded(d)
}

// number converts a value to a decimal. Strings and numbers of every type are numbers; true, maps, lists and nil are
// not.
func number(value any) (decimal.Decimal, error) {
	switch v := value.(type) {
	case decimal.Decimal:
		return bounded(v)
	case string:
		return parseDecimal(v)
	case json.Number:
		if isInteger(v) {
			return parseDecimal(v.String())
		}
		f, err := v.Float64()
		if err != nil {
			return decimal.Decimal{}, fmt.Errorf("%s is beyond the numbers of 64-bit floating point", quoteNumber(v.String()))
		}
		return decimal.NewFromFloat(f), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return decimal.Decimal{}, fmt.Errorf("%v is not a number", v)
		}
		return decimal.NewFromFloat(v), nil
	case int:
		return decimal.NewFromInt(int64(v)), nil
	case int64:
		return decimal.NewFromInt(v), nil
	case uint64:
		return decimal.NewFromUint64(v), nil
	case *big.Int:
		if v == nil {
			return decimal.Decimal{}, errors.New("nothing (null) is not a number")
		}
		if v.BitLen() > maxBits {
			return decimal.Decimal{}, errOverflow
		}
		return decimal.NewFromBigInt(v, 0), nil
	default:
		return decimal.Decimal{}, fmt.Errorf("%s is not a number", describe(value))
	}
}

// isInteger tells whether a number of a JSON text is written as an integer.
func isInteger(n json.Number) bool { return !strings.ContainsAny(n.String(), ".eE") }

// settle gives the numbers of a JSON value the form in which they go on, in place: integers keep their digits, however
// many, and others become float64. One that no float64 holds stays as it is, and is an error only where it is computed
// with.
func settle(value any) any {
	switch v := value.(type) {
	case json.Number:
		if v == "-0" {
			return json.Number("0")
		}
		if f, err := v.Float64(); err == nil && !isInteger(v) {
			return f
		}
	case map[string]any:
		for key, element := range v {
			v[key] = settle(element)
		}
	case []any:
		for i, element := range v {
			v[i] = settle(element)
		}
	}
	return value
}

// marshal writes the value of a task as requests have it: integers with all their digits, numbers that tasks have
// computed as texts, and bytes as texts of 0x and hexadecimal digits.
func marshal(value any) ([]byte, error) { return json.Marshal(writable(value)) }

// writable returns the value with its bytes as texts. It copies what it changes, since values are shared.
func writable(value any) any {
	switch v := value.(type) {
	case []byte:
		return hexText(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, element := range v {
			out[key] = writable(element)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = writable(element)
		}
		return out
	default:
		return value
	}
}

func hexText(data []byte) string { return "0x" + hex.EncodeToString(data) }

// describe names the type of a value in the words of JSON.
func describe(value any) string {
	switch value.(type) {
	case nil:
		return "nothing (null)"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []byte:
		return "a byte string"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	case error:
		return "an error"
	default:
		return "a number"
	}
}

func multiply(a, b decimal.Decimal) (decimal.Decimal, error) {
	product, err := bounded(a.Mul(b))
	if err != nil {
		return product, fmt.Errorf("multiplication overflow: %w", err)
	}
	return product, nil
}

// divide rounds half away from zero to so many places; negative places round to tens, hundreds and so on.
func divide(a, b decimal.Decimal, places int32) (decimal.Decimal, error) {
	if b.IsZero() {
		return decimal.Decimal{}, errors.New("divide by zero")
	}
	quotient, err := bounded(a.DivRound(b, places))
	if err != nil {
		return quotient, fmt.Errorf("division overflow: %w", err)
	}
	return quotient, nil
}

// Integer converts the result of a pipeline into an answer for a chain: a decimal cut toward zero, without rounding or
// scaling. The answer must fit a signed integer of 24 bytes.
func Integer(value any) (*big.Int, error) {
	d, err := number(value)
	if err != nil {
		return nil, fmt.Errorf("cannot make an integer of the pipeline's result: %w; end the pipeline in a number", err)
	}
	answer := d.Truncate(0).BigInt()
	// Two's complement: -2^191 fits and 2^191 does not.
	magnitude := answer
	if answer.Sign() < 0 {
		magnitude = new(big.Int).Not(answer)
	}
	if magnitude.BitLen() > answerBits-1 {
		return nil, fmt.Errorf("the pipeline's result %s does not fit the %d bits of an answer; scale it down",
			shorten(answer.String(), 80), answerBits)
	}
	return answer, nil
}
