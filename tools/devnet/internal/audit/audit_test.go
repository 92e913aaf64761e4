package audit

import (
	"fmt"
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

func TestObservations(t *testing.T) {
	t.Parallel()
	// What the nodes recorded; the third and the fourth asked their sources more than once, the fifth never.
	recorded := [][]*big.Int{ints(10), ints(20), ints(31, 30), ints(25, -40, 20), nil}
	tests := map[string]struct {
		answer    int64
		observers []int
		want      []*big.Int
		err       string
	}{
		"one value each":           {20, []int{0, 1, 2}, ints(10, 20, 30), ""},
		"the smallest that fits":   {20, []int{3, 1, 2}, ints(-40, 20, 30), ""},
		"another than the first":   {20, []int{0, 1, 3}, ints(10, 20, 20), ""},
		"the answer of several":    {25, []int{1, 3, 2}, ints(20, 25, 30), ""},
		"the larger as the answer": {31, []int{0, 1, 2}, nil, "the observer 1 in place 2 of 3, whose node recorded [20]"},
		"two: the upper one":       {31, []int{0, 2}, ints(10, 31), ""},
		"not in order":             {20, []int{2, 1, 0}, nil, "the observer 1 in place 2 of 3"},
		"nothing left above":       {31, []int{0, 2, 3}, nil, "the observer 3 in place 3 of 3"},
		"nothing recorded":         {20, []int{0, 1, 4}, nil, "the observer 4 in place 3 of 3, whose node recorded []"},
		"nobody":                   {20, nil, nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Observations(big.NewInt(test.answer), test.observers, func(oracle int) []*big.Int {
				return recorded[oracle]
			})
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got error %v, want one with %q", err, test.err)
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
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
		"three":                       {20, ints(10, 20, 30), []int{0, 1, 2}, ""},
		"two: the upper one":          {20, ints(10, 20), []int{0, 1}, ""},
		"four, one below zero":        {20, ints(-40, 10, 20, 31), []int{3, 0, 1, 2}, ""},
		"the lower median of an even": {10, ints(10, 20), []int{0, 1}, "answer 10 is not the median 20"},
		"a mean":                      {15, ints(10, 20), []int{0, 1}, "answer 15 is not the median 20"},
		"a median of nothing":         {0, nil, nil, "0 observations, which 1 faulty"},
		"too few":                     {10, ints(10), []int{0}, "1 observations, which 1 faulty"},
		"not in order":                {10, ints(20, 10, 30), []int{1, 0, 2}, "do not ascend"},
		"an observer too few":         {20, ints(10, 20, 30), []int{0, 1}, "3 observations of 2 observers"},
		"an observer twice":           {10, ints(10, 10, 30), []int{0, 0, 2}, "two observations of observer 0"},
		"an observer from elsewhere":  {20, ints(10, 20, 30), []int{0, 1, 5}, "names observer 5, but there are 5"},
		"an observer below zero":      {20, ints(10, 20, 30), []int{-1, 1, 2}, "names observer -1"},
		"what the node did not record": {20, ints(10, 20, 32), []int{0, 1, 2},
			"32 of observer 2, whose node recorded [30 31]"},
		"the observations swapped": {20, ints(10, 20, 30), []int{1, 0, 2}, "10 of observer 1, whose node recorded [20]"},
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
