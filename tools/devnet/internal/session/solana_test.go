package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNumbered gives oracles the numbers of their members, and leaves those that are none to the check.
func TestNumbered(t *testing.T) {
	t.Parallel()
	s := &solanaLedger{members: []int{2, 0, 3, 1}}
	if diff := cmp.Diff([]int{1, 2, 0, 9}, s.numbered([]int{3, 0, 1, 9})); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}
