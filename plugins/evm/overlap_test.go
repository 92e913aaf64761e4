package evm

import (
	"testing"
	"time"

	"github.com/loop-plugins/loop/plugins/evm/endpoint"
)

// TestOverlap checks that blocks are read again for some 30 seconds, whatever one lasts, but as few as a call reads,
// and never less than a reorganisation takes.
func TestOverlap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		block time.Duration
		span  uint64 // of the server; 0: any
		want  uint64
	}{
		"of 12 s":                       {12 * time.Second, 0, 10},
		"of 2 s":                        {2 * time.Second, 0, 16},
		"of 250 ms":                     {250 * time.Millisecond, 0, 121},
		"of 10 ms":                      {10 * time.Millisecond, 0, 200},
		"of 250 ms and 100 in one call": {250 * time.Millisecond, 100, 99},
		"of 250 ms and 5 in one call":   {250 * time.Millisecond, 5, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o overlap
			if got := o.blocks(); got != 10 {
				t.Errorf("at first %d blocks", got)
			}
			begin := time.Unix(1_700_000_000, 0)
			for n := range uint64(10_000) {
				at := begin.Add(time.Duration(n) * c.block).Truncate(time.Second)
				o.measure(endpoint.Head{Number: 1000 + n, Time: at})
				asked := o.blocks() + 1
				if c.span > 0 {
					o.answered(asked, min(asked, c.span))
				}
			}
			// Blocks have whole seconds, of which ten are measured.
			if got := o.blocks(); got+got/8 < c.want || got > c.want+c.want/8 {
				t.Errorf("%d blocks, want some %d", got, c.want)
			}
			o.measure(endpoint.Head{Number: 5, Time: begin})
			o.measure(endpoint.Head{Number: 6, Time: begin.Add(time.Minute)})
			if got := o.blocks(); got != 10 {
				t.Errorf("of a chain that went back %d blocks", got)
			}
			o.answered(500, 500)
			if o.span != 0 {
				t.Errorf("a call of 500 blocks leaves the bound at %d", o.span)
			}
		})
	}
}

// TestWholeOverlap checks that a fast chain's overlap is read whole now and then, and in between as much of it as a
// reorganisation takes.
func TestWholeOverlap(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1_700_000_000, 0)
	o := overlap{wanted: 121}
	want := func(after time.Duration, blocks uint64, whole bool) {
		t.Helper()
		if got, all := o.again(begin.Add(after)); got != blocks || all != whole {
			t.Errorf("after %s %d blocks are read again, all: %t; want %d, %t", after, got, all, blocks, whole)
		}
	}
	want(0, 121, true)
	want(time.Second, 121, true) // they could not be read
	o.whole = begin.Add(time.Second)
	want(time.Second, 10, false)
	want(6*time.Second-1, 10, false)
	want(6*time.Second, 121, true)
	o.wanted = 3 // which a slow chain has
	want(2*time.Second, 10, true)
}
