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
		items := []Item{{Contract: "a", Digest: [32]byte{1}}, {Contract: "a", Digest: [32]byte{1}, Round: 2}, {Contract: "a", Digest: [32]byte{2}}, {Contract: "b", Digest: [32]byte{1}}}
		weigh := func(when string, foreign []bool, block time.Time, want ...bool) {
			t.Helper()
			if diff := cmp.Diff(want, d.Weigh(items, foreign, block)); diff != "" {
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
