package service

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// TestDoubt checks that what is known of a contract confirms its view, but none that is in doubt: callers have that
// until its time is over, or the contract is read again.
func TestDoubt(t *testing.T) {
	t.Parallel()
	for name, doubt := range map[string]func(*Polled[int]){
		"told":        func(p *Polled[int]) { p.Doubt() },
		"by a change": func(p *Polled[int]) { p.Amend(func(*View) bool { return false }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPolled(PolledSettings[int]{Hub: &relayer.Hub{}, Steady: 10 * time.Second}, nil, time.Minute)
				next := func(v *View) bool { v.Block++; return true }
				read := func(block uint64) { p.take(Reading{View: View{Block: block}}, time.Now()) }
				wants := func(block uint64, code codes.Code) {
					t.Helper()
					v, err := p.cache.Latest()
					if v.Block != block || status.Code(err) != code {
						t.Errorf("the view of block %d: %v; want %d and %s", v.Block, err, block, code)
					}
				}
				read(1)
				time.Sleep(50 * time.Second)
				p.Amend(next)
				time.Sleep(50 * time.Second)
				wants(2, codes.OK)
				p.Amend(next)
				doubt(p)
				began := time.Now()
				p.Amend(next)
				time.Sleep(9 * time.Second)
				read(1) // of a node that lags
				time.Sleep(52 * time.Second)
				p.Amend(next)
				p.fail(errors.New("no node serves"))
				wants(0, codes.Unavailable)
				p.take(Reading{View: View{Block: 5}}, began) // as of when the doubt came
				wants(5, codes.OK)
				time.Sleep(61 * time.Second)
				p.Amend(next)
				wants(0, codes.Unavailable)
				read(7)
				p.Amend(next)
				wants(8, codes.OK)
				if doubted := p.Doubted(); !doubted.IsZero() {
					t.Errorf("it is in doubt since %s", doubted)
				}
			})
		})
	}
}

// TestFollowedAnew holds that a contract goes on being read when a provider follows it while that of the last one is
// being closed.
func TestFollowedAnew(t *testing.T) {
	t.Parallel()
	r := NewReader(ReaderSettings[int, string]{})
	if err := r.Close(); err != nil { // nothing has to be read for this
		t.Fatal(err)
	}
	settings := PolledSettings[int]{Hub: &relayer.Hub{}}
	left, next := r.Follow("a", settings), r.Follow("a", settings)
	for _, step := range []struct {
		close, want *Polled[int]
	}{{left, next}, {next, nil}} {
		if err := step.close.Close(); err != nil {
			t.Fatal(err)
		}
		if got := r.Contracts()["a"]; got != step.want {
			t.Errorf("%p is read, want %p", got, step.want)
		}
	}
}
