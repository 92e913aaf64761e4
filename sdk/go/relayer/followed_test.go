package relayer_test

import (
	"testing"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

func TestFollowedTellsOfChangesAndOfNoOthers(t *testing.T) {
	t.Parallel()
	var f relayer.Followed[string]
	hasChanged := func(changed <-chan struct{}) bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	none, changed := f.All()
	if len(none) != 0 || hasChanged(changed) {
		t.Errorf("the zero value follows %v", none)
	}
	steps := []struct {
		by   func(string)
		want int
		news bool
	}{{f.Add, 1, true}, {f.Add, 1, false}, {f.Remove, 1, false}, {f.Remove, 0, true}, {f.Remove, 0, false},
		{f.Add, 1, true}}
	for i, step := range steps {
		_, changed := f.All()
		step.by("a")
		keys, _ := f.All()
		if len(keys) != step.want || hasChanged(changed) != step.news {
			t.Errorf("step %d: %d keys, news %t; want %d, %t", i, len(keys), hasChanged(changed), step.want, step.news)
		}
	}
}
