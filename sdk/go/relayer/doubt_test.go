package relayer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDoubts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d Doubts
		items := []Item{{Contract: "a", Digest: [32]byte{1}}, {Contract: "a", Digest: [32]byte{1}, Round: 2},
			{Contract: "a", Digest: [32]byte{2}}, {Contract: "b", Digest: [32]byte{1}}}
		weigh := func(when string, foreign []bool, block time.Time, want ...bool) {
			t.Helper()
			if diff := cmp.Diff(want, d.weigh(items, foreign, block)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		all := []bool{true, true, false, true}
		began := time.Now()
		weigh("at first", all, began, true, true, false, true)
		time.Sleep(time.Second)
		weigh("at the same block", all, began, true, true, false, true)
		weigh("while b is not doubted", []bool{true, true, false, false}, began, true, true, false, false)
		weigh("at a newer block, b doubted anew", all, began.Add(time.Second), false, false, false, true)
		time.Sleep(time.Second)
		weigh("at a block that is newer for b", all, began.Add(1500*time.Millisecond), false, false, false, false)

		d = Doubts{}
		weigh("again at first", all, began, true, true, false, true)
		time.Sleep(doubtful - time.Nanosecond)
		weigh("on a chain at rest", all, began, true, true, false, true)
		time.Sleep(time.Nanosecond)
		weigh("for so long", all, began, false, false, false, false)
	})
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	old, config := [32]byte{1}, [32]byte{2}
	held := Standing{Config: config, Digest: config, Epoch: 5, Round: 3}
	fresh := Standing{Config: config, Digest: old, Epoch: 9, Round: 9} // nothing was transmitted under the configuration
	later := time.Now().Add(time.Hour)
	const passed = "the contract has a transmission of epoch 5 round 3"
	for name, test := range map[string]struct {
		item   Item
		held   *Standing
		block  time.Time
		behind bool
		want   Verdict
	}{
		"newer epoch": {Item{Digest: config, Epoch: 6}, &held, later, false, Verdict{}},
		"newer round": {Item{Digest: config, Epoch: 5, Round: 4}, &held, later, false, Verdict{}},
		"same round": {Item{Digest: config, Epoch: 5, Round: 3}, &held, later, false,
			Verdict{Stale: passed}},
		"older epoch, later round": {Item{Digest: config, Epoch: 4, Round: 9}, &held, later, false,
			Verdict{Stale: passed}},
		"first under a configuration": {Item{Digest: config, Epoch: 1}, &fresh, later, false, Verdict{}},
		"stale at an older block":     {Item{Digest: config}, &held, later, true, Verdict{Stale: passed}},
		"foreign": {Item{Digest: old}, &held, later, false,
			Verdict{Stale: "the contract has another configuration"}},
		"foreign at an older block":     {Item{Digest: old}, &held, later, true, Verdict{Wait: true}},
		"foreign before the next block": {Item{Digest: old}, &held, time.Time{}, false, Verdict{Wait: true}},
		"no answer":                     {Item{Digest: config}, nil, later, false, Verdict{Wait: true}},
	} {
		var d Doubts
		got := d.Verdicts([]Item{test.item}, func(string) *Standing { return test.held }, test.block, test.behind)
		if diff := cmp.Diff([]Verdict{test.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
