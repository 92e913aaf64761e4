package wire_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

type counter struct{ calls int }

func (c *counter) Observe(float64) { c.calls++ }

// A plugin that answers with codes of its own making has no more series than any other.
func TestCodesOfMeters(t *testing.T) {
	t.Parallel()
	made := map[string]*counter{}
	meters := wire.Meters{Make: func(_, code string) wire.Meter {
		c := &counter{}
		made[code] = c
		return c
	}}
	for code := range codes.Code(1000) {
		meters.Observe("/service/method", code, time.Second)
	}
	meters.Observe("/service/method", 1<<31, time.Second)
	if len(made) != 17 || made["Unknown"].calls != 1+1000-17+1 || made["Unauthenticated"].calls != 1 {
		t.Errorf("the series are of %v", slices.Sorted(maps.Keys(made)))
	}
}
