package making_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loop-plugins/loop/host/internal/oracle/making"
)

func TestOnce(t *testing.T) {
	t.Parallel()
	lostAnswer := errors.New("the answer was lost")
	for name, c := range map[string]struct {
		lost         bool
		under, after bool // the object is made again under the first call, after it
		asked        int
		fails, waits bool
	}{
		"an answer":                          {false, false, false, 1, false, false},
		"a lost one of the same instance":    {true, false, false, 1, true, true},
		"a lost one, and a new instance":     {true, false, true, 2, false, false},
		"a lost one, made again under it":    {true, true, false, 1, true, false},
		"an answer, and made again after":    {false, false, true, 1, false, false},
		"an answer, and made again under it": {false, true, false, 1, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var counter making.Counter
				counter.Made()
				asked := 0
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin := time.Now()
				answer, err := making.Once(ctx, &counter, func(context.Context) (int, bool, error) {
					if asked++; asked > 1 || !c.lost {
						if asked == 1 && c.under {
							counter.Made()
						}
						return asked, false, nil
					}
					if c.under {
						counter.Made()
					}
					if c.after {
						time.AfterFunc(time.Second, counter.Made)
					}
					return 0, true, lostAnswer
				})
				if asked != c.asked || errors.Is(err, lostAnswer) != c.fails || !c.fails && answer != c.asked {
					t.Errorf("asked %d times, answer %d, error %v", asked, answer, err)
				}
				if waited := time.Since(begin) == time.Minute; waited != c.waits {
					t.Errorf("it took %s", time.Since(begin))
				}
			})
		})
	}
}
