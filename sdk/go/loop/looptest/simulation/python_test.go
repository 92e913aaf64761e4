package simulation_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/simulation"
)

// sample is a median value from a time on.
type sample struct {
	at    uint32
	value *big.Int
}

// TestPythonTWAP runs networks of the product in Python, with its processes killed, and computes its answers once more,
// over the whole history of the observations that were recorded.
func TestPythonTWAP(t *testing.T) {
	t.Parallel()
	python := os.Getenv("LOOP_TEST_PYTHON")
	if python == "" {
		t.Skip("LOOP_TEST_PYTHON names no Python that has the plugins: run make test-python")
	}
	const window = 3 // seconds, so that values leave it while the test runs
	calls := 0
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	result, err := simulation.Run(ctx, simulation.Settings{
		Command: []string{python, "-m", "loop_twap"}, OffchainConfig: fmt.Appendf(nil, `{"window": %d}`, window),
		Outcomes: 200, Lose: 0.05, Double: 0.1, Garble: 0.2, Restart: 0.003, Seed: 5,
		Pipeline: func(oracle int, _ *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) {
			calls++
			return simulation.Value(fmt.Sprint(calls*calls - 1000*oracle)), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var history []sample
	reports := 0
	for _, o := range result.Outcomes {
		var times []uint32
		var values []*big.Int
		for _, observation := range o.Observations {
			if b := observation.GetObservation(); len(b) == 28 {
				times, values = append(times, binary.BigEndian.Uint32(b)), append(values, signed(b[4:]))
			}
		}
		if len(values) < 3 {
			if len(o.Reports) > 0 {
				t.Errorf("seq_nr %d: a report of %d values", o.SeqNr, len(values))
			}
			continue
		}
		slices.Sort(times)
		slices.SortFunc(values, (*big.Int).Cmp)
		now := sample{times[len(times)/2], values[len(values)/2]}
		if len(history) > 0 {
			now.at = max(now.at, history[len(history)-1].at)
		}
		history = append(history, now)
		if len(o.Reports) != 1 {
			t.Fatalf("seq_nr %d: %d reports", o.SeqNr, len(o.Reports))
		}
		reports++
		report := o.Reports[0].GetReport().GetReport() // entries of 77 bytes in the suite's codec
		if got, want := signed(report[5:29]), average(window, history); got.Cmp(want) != 0 {
			t.Errorf("seq_nr %d reports %s; the observations so far come to %s", o.SeqNr, got, want)
		}
	}
	if reports < 150 || result.Restarts == 0 || history[len(history)-1].at == history[0].at {
		t.Errorf("%d reports, %d restarts, from %d to %d: the run tries too little", reports, result.Restarts, history[0].at,
			history[len(history)-1].at)
	}
}

// signed reads 24 bytes.
func signed(b []byte) *big.Int {
	v := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 192))
	}
	return v
}

// average adds up the value of each second before the last sample.
func average(window uint32, history []sample) *big.Int {
	end := history[len(history)-1].at
	total, seconds := new(big.Int), int64(0)
	for second := end - window; second < end; second++ {
		for i := len(history) - 1; i >= 0; i-- {
			if history[i].at <= second {
				total.Add(total, history[i].value)
				seconds++
				break
			}
		}
	}
	if seconds == 0 {
		return history[len(history)-1].value
	}
	return total.Div(total, big.NewInt(seconds)) // Euclidean, which rounds down
}
