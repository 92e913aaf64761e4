package feed

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/host/internal/health"
)

// TestRecorder holds that what happens to a feed becomes the facts that its state is made of.
func TestRecorder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(false)
		state := func(want health.State) {
			t.Helper()
			if diff := cmp.Diff(want, r.Facts().State(time.Now())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		r.Waits("the relayer has not taken the job", "it is away")
		r.Waits("the median has not taken the job", "it restarts")
		state(health.State{Level: health.Waiting, Cause: "absent", Reason: "the median has not taken the job: it restarts"})
		r.Waits("the median has not taken the job", "")
		state(health.State{Level: health.Waiting, Cause: "absent", Reason: "the relayer has not taken the job: it is away"})
		r.Waits("the relayer has not taken the job", "")
		r.ConfigRead("0001", nil)
		r.Configured(health.Members{Oracles: 4, Faulty: 1, Signer: true, Account: "a", Own: "a"})
		r.Confirmed("0002") // another
		state(health.State{Level: health.Waiting, Cause: "starting",
			Reason: "the contract's configuration has not yet been confirmed by as many blocks as libocr waits for"})
		r.Confirmed("0001")
		state(health.State{Level: health.Waiting, Cause: "starting", Reason: "OCR starts for the contract's configuration"})
		time.Sleep(5 * time.Minute)
		r.Confirmed("0001") // again, at each reading
		state(health.State{Level: health.Failed, Cause: "not begun",
			Reason: "libocr has not begun the contract's configuration 0001 for 5m0s", Remedy: "see loop jobs errors ID"})
		r.Runs("0001", time.Second)
		r.Meets(4, 2)
		for range 20 {
			time.Sleep(time.Second)
			r.Hears(0)
			r.Hears(2) // itself
			r.Hears(3)
			r.Hears(9) // nobody
			r.Asked()
			r.Observed(nil)
		}
		r.Handed(nil)
		state(health.State{})
		if f := r.Facts(); len(f.Heard) != 3 || !f.Heard[1].IsZero() {
			t.Errorf("facts %+v", f)
		}
		for range 3 {
			r.Observed(errors.New("the adapter is down"))
		}
		if s := r.Facts().State(time.Now()); s.Level != health.Degraded {
			t.Errorf("state %+v", s)
		}
		r.Observed(nil)
		state(health.State{})
		for range 3 { // a product that keeps its part in the votes
			r.Asked()
			r.Ran(errors.New("the adapter is down"))
			r.Observed(nil)
		}
		if s := r.Facts().State(time.Now()); s.Level != health.Degraded || !strings.Contains(s.Reason, "the adapter is "+
			"down") {
			t.Errorf("state %+v", s)
		}
		r.Asked()
		r.Ran(errors.New("the adapter is down"))
		r.Ran(nil) // of another pipeline
		r.Observed(nil)
		state(health.State{})
		r.ConfigRead("0002", nil) // another configuration, of which nothing is known yet
		if f := r.Facts(); f.Members != nil || f.Digest != "0002" || !f.Ready.IsZero() {
			t.Errorf("facts %+v", f)
		}
		r.ConfigRead("", errors.New("timeout"))
		time.Sleep(20 * time.Second)
		if s := r.Facts().State(time.Now()); s.Level != health.Failed {
			t.Errorf("state %+v", s)
		}
		r.Failed("the median refuses it")
		state(health.State{Level: health.Failed, Cause: "failed", Reason: "the median refuses it"})
		r.Failed("")
	})
}

// TestStepsToAReport holds that what fails on the way to a report is known until it goes well, or until another
// configuration runs, and that nothing is known to fail for a feed whose reports are not asked for.
func TestStepsToAReport(t *testing.T) {
	t.Parallel()
	r := New(false)
	r.ConfigRead("0001", nil)
	r.Runs("0001", time.Second)
	cause := func(when, want string) {
		t.Helper()
		if s := r.Facts().State(time.Now()); s.Cause != want {
			t.Errorf("%s: %+v", when, s)
		}
	}
	cause("never asked", "")
	for name, note := range map[string]func(error){"outcome": r.Voted, "report": r.Made, "signature": r.Signed} {
		fail := func() {
			for range 3 {
				note(errors.New("the codec fails"))
			}
		}
		fail()
		cause(name+" fails", "makes no reports")
		note(nil)
		cause(name+" is made again", "")
		fail()
		r.Runs("0001", time.Second)
		cause(name+" failed under the configuration before", "")
	}
}

// TestDelay holds that a report's delay is told from when its own round began, and of no round that began before memory
// does.
func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(false)
		want := func(delay time.Duration) {
			t.Helper()
			if got := r.Facts().Delay; got != delay {
				t.Errorf("the delay is %s, want %s", got, delay)
			}
		}
		r.Ends(0, 0) // of a round that another generation of the node observed
		want(0)
		r.Begins(1, 1)
		time.Sleep(time.Second)
		r.Begins(1, 2)
		time.Sleep(time.Second)
		r.Ends(1, 2)
		want(time.Second)
		r.Ends(1, 1)
		want(2 * time.Second)
		for range rememberedRounds {
			r.Begins(2, 1)
		}
		time.Sleep(time.Minute)
		r.Ends(1, 2)
		want(2 * time.Second)
		r.Begins(2, 1) // of another configuration
		for range rememberedRounds - 2 {
			r.Begins(2, 2)
		}
		time.Sleep(time.Second)
		r.Ends(2, 1)
		want(time.Second)
	})
}

// TestLanding holds that a report is known to wait until the contract has taken it or a newer one.
func TestLanding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, begin := New(false), time.Now()
		want := func(seconds int) {
			t.Helper()
			got := r.Facts().Unlanded
			if seconds < 0 && !got.IsZero() || seconds >= 0 && !got.Equal(begin.Add(time.Duration(seconds)*time.Second)) {
				t.Errorf("it has waited since %s, want second %d", got, seconds)
			}
		}
		hand := func(epoch uint32, round uint8) {
			r.Ends(epoch, round)
			time.Sleep(time.Second)
		}
		hand(1, 3)
		want(-1) // what the contract has is not known
		r.Landed(0, 0)
		want(0)
		hand(1, 5)
		hand(2, 1)
		want(0)
		r.Landed(1, 3)
		want(2)
		r.Landed(2, 4) // another node's
		want(-1)
		hand(3, 1)
		want(3)
		r.Runs("0002", time.Second)
		r.Landed(0, 0)
		want(-1)
	})
}

// TestAwaits holds that a contract is asked what it has taken while a report is under way, whoever hands it over, and
// else now and then.
func TestAwaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(false)
		want := func(when string, want bool) {
			t.Helper()
			if got := r.Awaits(); got != want {
				t.Errorf("%s the contract is asked: %t, want %t", when, got, want)
			}
		}
		want("at the start", true)
		r.Landed(0, 0)
		want("before the first report", false)
		r.Reports(1, 3)
		want("with a report", true)
		r.Landed(1, 2)
		want("with a report that has not landed", true)
		r.Landed(1, 3)
		want("when the report has landed", false)
		r.Ends(1, 4)
		want("with a report of this node", true)
		r.Reports(2, 1)
		r.Landed(1, 4)
		want("with one more, in the next epoch", true)
		r.Landed(2, 2)
		want("when a newer report has landed", false)
		time.Sleep(askAgain - 1)
		want("soon after", false)
		time.Sleep(time.Nanosecond)
		want("long after", true)
		r.Landed(2, 2)
		want("just asked", false)
		r.Runs("0002", time.Second)
		want("under another configuration", true)
	})
}

// TestTotals holds that outcomes are counted over all that goes well or fails between.
func TestTotals(t *testing.T) {
	t.Parallel()
	r := New(false)
	for _, err := range []error{nil, errors.New("down"), errors.New("down"), nil, nil} {
		r.Observed(err)
	}
	if a := r.Facts().Observation; a.Well != 3 || a.Ill != 2 || a.Failures != 0 {
		t.Errorf("%+v", a)
	}
}

// TestRecorderAtOnce is for the race detector: libocr and the boundary call from goroutines of their own.
func TestRecorderAtOnce(t *testing.T) {
	t.Parallel()
	r := New(false)
	r.Meets(4, 0)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				r.Hears(1)
				r.Observed(nil)
				f := r.Facts()
				f.Heard[1] = time.Time{} // the caller's own
			}
		})
	}
	all.Wait()
	if r.Facts().Heard[1].IsZero() {
		t.Error("facts that were given out are the recorder's own")
	}
}

func BenchmarkHears(b *testing.B) {
	r := New(false)
	r.Meets(31, 0)
	for b.Loop() {
		r.Hears(30)
	}
}
