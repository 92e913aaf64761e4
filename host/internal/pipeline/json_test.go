package pipeline

import (
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

// Results are shown with every digit, and as JSON that programs can read.
func TestJSON(t *testing.T) {
	t.Parallel()
	wide, _ := new(big.Int).SetString("1565616210741547008000000000000000001", 10)
	for want, given := range map[string]any{
		"null":         nil,
		`"0x00ff"`:     []byte{0, 255},
		`"a <b> \"c"`:  `a <b> "c`,
		"0.1":          0.1,
		"100.50":       json.Number("100.50"),
		"12.34":        decimal.RequireFromString("12.3400"),
		wide.String():  wide,
		"[1,\"0x01\"]": []any{int64(1), []byte{1}},
		`{"a":[15656162107415470080],"b":"task x: down"}`: map[string]any{
			"a": []any{decimal.RequireFromString("15656162107415470080")}, "b": errors.New("task x: down"),
		},
	} {
		if diff := cmp.Diff(want, string(JSON(given))); diff != "" {
			t.Error(diff)
		}
	}
}
