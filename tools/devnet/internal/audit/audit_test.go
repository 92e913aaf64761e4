package audit

import (
	"math/big"
	"strings"
	"testing"
)

func ints(values ...int64) []*big.Int {
	all := make([]*big.Int, 0, len(values))
	for _, value := range values {
		all = append(all, big.NewInt(value))
	}
	return all
}

func TestCheck(t *testing.T) {
	t.Parallel()
	// What the nodes recorded; the third asked its source twice, the fifth never.
	recorded := [][]*big.Int{ints(10), ints(20), ints(30, 31), ints(-40), nil}
	tests := map[string]struct {
		answer       int64
		observations []*big.Int
		observers    []int
		want         string // in the error; empty: none
	}{
		"three":                        {20, ints(10, 20, 30), []int{0, 1, 2}, ""},
		"two: the upper one":           {20, ints(10, 20), []int{0, 1}, ""},
		"four, one below zero":         {20, ints(-40, 10, 20, 31), []int{3, 0, 1, 2}, ""},
		"the lower median of an even":  {10, ints(10, 20), []int{0, 1}, "answer 10 is not the median 20"},
		"a mean":                       {15, ints(10, 20), []int{0, 1}, "answer 15 is not the median 20"},
		"a median of nothing":          {0, nil, nil, "0 observations, which 1 faulty"},
		"too few":                      {10, ints(10), []int{0}, "1 observations, which 1 faulty"},
		"not in order":                 {10, ints(20, 10, 30), []int{1, 0, 2}, "do not ascend"},
		"an observer too few":          {20, ints(10, 20, 30), []int{0, 1}, "3 observations of 2 observers"},
		"an observer twice":            {10, ints(10, 10, 30), []int{0, 0, 2}, "two observations of observer 0"},
		"an observer from elsewhere":   {20, ints(10, 20, 30), []int{0, 1, 5}, "names observer 5, but there are 5"},
		"an observer below zero":       {20, ints(10, 20, 30), []int{-1, 1, 2}, "names observer -1"},
		"what the node did not record": {20, ints(10, 20, 32), []int{0, 1, 2}, "32 of observer 2, whose node recorded [30 31]"},
		"the observations swapped":     {20, ints(10, 20, 30), []int{1, 0, 2}, "10 of observer 1, whose node recorded [20]"},
		"a round the node does not know": {
			20, ints(10, 20, 30), []int{0, 1, 4}, "30 of observer 4, whose node recorded none"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := Report{big.NewInt(test.answer), test.observations, test.observers}
			err := Check(report, len(recorded), 1, func(oracle int) []*big.Int { return recorded[oracle] })
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}
