package pipeline

import (
	"bytes"
	"encoding/json"
	"math/big"

	"github.com/shopspring/decimal"
)

// JSON writes a task's result as JSON, for people and for programs that read decimals of any length: numbers keep every
// digit, and bytes are a text of 0x and hexadecimal digits.
func JSON(value any) json.RawMessage {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // adapters' replies are for people to read
	if err := encoder.Encode(exact(value)); err != nil {
		return json.RawMessage("null") // a pipeline has no value that JSON has not
	}
	return bytes.TrimSpace(out.Bytes())
}

// exact puts values that JSON writes as it should in place of those that it does not.
func exact(value any) any {
	switch v := value.(type) {
	case decimal.Decimal:
		return json.Number(v.String())
	case *big.Int:
		return json.Number(v.String())
	case []byte:
		return hexText(v)
	case error: // among the values of a memo
		return v.Error()
	case []any:
		list := make([]any, len(v))
		for at, element := range v {
			list[at] = exact(element)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, element := range v {
			object[key] = exact(element)
		}
		return object
	}
	return value
}
