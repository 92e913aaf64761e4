package aggregator

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reportVector is a report of oracles of which many agree in some figures.
type reportVector struct {
	Ties         []string
	Observations []observed
	Observers    []int
	SHA256       bytesOf
}

// observed is an observation as time, value, juels, gas price and observer.
type observed Observation

func (o *observed) UnmarshalJSON(text []byte) error {
	o.Value, o.JuelsPerFeeCoin, o.GasPrice = new(big.Int), new(big.Int), new(big.Int)
	return json.Unmarshal(text, &[]any{&o.Seconds, o.Value, o.JuelsPerFeeCoin, o.GasPrice, &o.Observer})
}

// TestReportsOfTies compares the reports of 4 to 31 observations, of which many are equal in two figures or in all,
// with those that testdata/reports.py makes without this code.
func TestReportsOfTies(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/reports.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []reportVector
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	numbers := map[int]int{}
	for _, v := range all {
		n := len(v.Observations)
		numbers[n]++
		observations := make([]Observation, n)
		for i, o := range v.Observations {
			observations[i] = Observation(o)
		}
		report, err := BuildReport(observations)
		if err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("%d observations with equal %v", n, v.Ties)
		var observers []int
		for _, b := range report[word+1 : word+1+n] {
			observers = append(observers, int(b))
		}
		if diff := cmp.Diff(v.Observers, observers); diff != "" {
			t.Errorf("%s: observers (-want +got):\n%s", what, diff)
		} else if sum := sha256.Sum256(report); string(sum[:]) != string(v.SHA256) {
			t.Errorf("%s: the observers are those expected, and the report is not:\n%x", what, report)
		}
	}
	const each = 7 // six pairs of figures, and all four
	for n := 4; n <= MaxOracles; n++ {
		if numbers[n] != each {
			t.Errorf("there are %d vectors of %d observations, want %d", numbers[n], n, each)
		}
	}
}
