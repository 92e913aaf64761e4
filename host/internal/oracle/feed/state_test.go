package feed

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// begin is when the feeds of these tests began.
var begin = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }

// healthy is a feed of four oracles that does all that it should at second 100.
func healthy() Facts {
	return Facts{
		Config: Attempts{Good: at(95)}, Digest: "0001ab", Running: "0001ab", Begun: at(2), Interval: time.Second,
		Members: &Members{Oracles: 4, Faulty: 1, Signer: true, Account: "0xA", Own: "0xA"},
		Heard:   map[int]time.Time{1: at(99), 2: at(99), 3: at(98)},
		Round:   at(99), Observation: Attempts{Good: at(99)}, Transmission: Attempts{Good: at(60)},
	}
}

func failing(since, failures int, fault string) Attempts {
	return Attempts{Fault: fault, Since: at(since), Failures: failures}
}

// TestStates has the faults of a feed, and what is said of each 100 s after its start.
func TestStates(t *testing.T) {
	t.Parallel()
	const (
		configure = "its owner sets one with the public keys of the network's nodes, see loop keys list"
		nodes     = "see that the chain's RPC nodes answer and that contractID names the feed's contract"
		peers     = "see that the other nodes run, that this one reaches a bootstrapper (p2pv2Bootstrappers), and that the " +
			"others reach its " +
			"[P2P.V2] AnnounceAddresses"
		sources = "see the job's sources: loop jobs runs shows what each task came to"
	)
	for name, c := range map[string]struct {
		change func(*Facts)
		want   State
	}{
		"healthy":     {func(*Facts) {}, State{}},
		"quiet price": {func(f *Facts) { f.Transmission = Attempts{} }, State{}},
		"refused": {func(f *Facts) { f.Failure = "the median refuses the configuration" },
			State{Level: Failed, Cause: "failed", Reason: "the median refuses the configuration"}},
		"median quarantined": {func(f *Facts) { f.Plugin = "plugin median is quarantined: exit status 2" },
			State{Failed, "plugin", "plugin median is quarantined: exit status 2",
				"mend what ends it, then start it by loop plugins restart"}},
		"relayer away at start": {func(f *Facts) {
			*f = Facts{Absent: map[string]string{"the relayer has not taken the job": "it is quarantined"}}
		},
			State{Level: Waiting, Cause: "absent", Reason: "the relayer has not taken the job: it is quarantined"}},
		"no contract at the address": {func(f *Facts) {
			*f = Facts{Config: failing(1, 60, "there is no contract at this address")}
		},
			State{Failed, "config unread",
				"the contract's configuration has not been read for 1m39s: there is no contract at this address", nodes}},
		"RPC nodes down while it runs": {func(f *Facts) {
			f.Config = Attempts{Good: at(60), Fault: "no RPC node serves", Since: at(61), Failures: 3}
		},
			State{Failed, "config unread", "the contract's configuration has not been read for 39s: no RPC node serves", nodes}},
		"one reading that failed": {func(f *Facts) {
			f.Config = Attempts{Good: at(90), Fault: "timeout", Since: at(91), Failures: 1}
		}, State{}},
		"not configured": {func(f *Facts) { f.Digest, f.Running, f.Members = "", "", nil },
			State{Waiting, "not configured", "the contract has no configuration", configure}},
		"not configured, bootstrap": {func(f *Facts) { f.Bootstrap, f.Digest, f.Running, f.Members = true, "", "", nil },
			State{Waiting, "not configured", "the contract has no configuration", configure}},
		"not among the oracles": {func(f *Facts) { f.Members.Signer, f.Members.Account, f.Running = false, "", "" },
			State{Failed, "not an oracle",
				"this node is not among the 4 oracles of the contract's configuration 0001ab: none has the on-chain key of the " +
					"job's " +
					"key bundle",
				"name the bundle that the configuration has by ocrKeyBundleID, or have the contract's owner set this node's " +
					"keys, see loop keys list"}},
		"another transmitter": {func(f *Facts) { f.Members.Account, f.Running = "0xB", "" },
			State{Failed, "other transmitter",
				"the contract's configuration 0001ab has 0xB for this node's transmitter, and the job transmits from 0xA",
				"name that account by transmitterID, or have the contract's owner set this one"}},
		"between reading and running": {func(f *Facts) {
			f.Running = ""
		}, State{Waiting, "starting", "OCR starts for the contract's configuration", ""}},
		"just added": {func(f *Facts) {
			*f = Facts{}
		}, State{Waiting, "starting", "the contract's configuration is being read", ""}},
		"bootstrap job": {func(f *Facts) { f.Bootstrap, f.Round, f.Members, f.Heard = true, time.Time{}, nil, nil }, State{}},
		"peers not heard": {func(f *Facts) { f.Round, f.Heard = at(60), map[int]time.Time{1: at(99), 2: at(59), 3: {}} },
			State{Failed, "peers not heard", "no round for 40s; hears 1 of 3 peers, needs 2", peers}},
		"never a peer": {func(f *Facts) { f.Round, f.Heard = time.Time{}, map[int]time.Time{1: {}, 2: {}, 3: {}} },
			State{Failed, "peers not heard", "no round for 1m38s; hears 0 of 3 peers, needs 2", peers}},
		"peers not heard after a restart": {func(f *Facts) {
			f.Members, f.Round, f.Heard = nil, at(60), map[int]time.Time{1: at(99), 2: {}, 3: {}}
		},
			State{Failed, "peers not heard", "no round for 40s; hears 1 of 3 peers, needs 2", peers}},
		"no round, peers heard": {func(f *Facts) { f.Round = at(60) },
			State{Failed, "no rounds", "no round for 40s though enough peers are heard",
				"see loop jobs errors, and the state of the other nodes"}},
		"a slow feed": {func(f *Facts) { f.Interval, f.Round = 30*time.Second, at(0) }, State{}},
		"just begun": {func(f *Facts) { f.Begun, f.Round, f.Heard = at(90), time.Time{}, map[int]time.Time{1: {}} },
			State{}},
		"adapter down": {func(f *Facts) { f.Observation = failing(60, 40, "task ds1: bridge a: connection refused") },
			State{Degraded, "observations fail",
				"this node has observed nothing for 40s (failures: 40): task ds1: bridge a: connection refused", sources}},
		"adapter failed once": {func(f *Facts) { f.Observation = failing(99, 1, "timeout") }, State{}},
		"adapter failed thrice": {func(f *Facts) {
			f.Observation = failing(97, 3, "timeout")
		}, State{Degraded, "observations fail", "this node has observed nothing for 3s (failures: 3): timeout", sources}},
		"relayer down": {func(f *Facts) { f.Transmission = failing(70, 2, "plugin evm is quarantined") },
			State{Degraded, "relayer takes no reports",
				"no report has reached the relayer for 30s (failures: 2): plugin evm is quarantined",
				"see the state of the job's relayer: loop plugins list"}},
		"no funds": {func(f *Facts) { f.Trouble = "account 0xA has no funds: send it some" },
			State{Level: Degraded, Cause: "chain", Reason: "account 0xA has no funds: send it some"}},
		"the cause before what follows": {func(f *Facts) {
			f.Failure, f.Round, f.Trouble, f.Observation = "the plugin came back with other limits", at(0), "no funds", failing(
				0, 9, "x")
		}, State{Level: Failed, Cause: "failed", Reason: "the plugin came back with other limits"}},
	} {
		f := healthy()
		c.change(&f)
		if diff := cmp.Diff(c.want, Of(f, at(100))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestRecorder holds that what happens to a feed becomes the facts that its state is made of.
func TestRecorder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(false)
		state := func(want State) {
			t.Helper()
			if diff := cmp.Diff(want, Of(r.Facts(), time.Now())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		r.Waits("the relayer has not taken the job", "it is away")
		r.Waits("the median has not taken the job", "it restarts")
		state(State{Level: Waiting, Cause: "absent", Reason: "the median has not taken the job: it restarts"})
		r.Waits("the median has not taken the job", "")
		state(State{Level: Waiting, Cause: "absent", Reason: "the relayer has not taken the job: it is away"})
		r.Waits("the relayer has not taken the job", "")
		r.ConfigRead("0001", nil)
		r.Configured(Members{Oracles: 4, Faulty: 1, Signer: true, Account: "a", Own: "a"})
		state(State{Level: Waiting, Cause: "starting", Reason: "OCR starts for the contract's configuration"})
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
		state(State{})
		if f := r.Facts(); len(f.Heard) != 3 || !f.Heard[1].IsZero() {
			t.Errorf("facts %+v", f)
		}
		for range 3 {
			r.Observed(errors.New("the adapter is down"))
		}
		if s := Of(r.Facts(), time.Now()); s.Level != Degraded {
			t.Errorf("state %+v", s)
		}
		r.Observed(nil)
		state(State{})
		for range 3 { // a product that keeps its part in the votes
			r.Asked()
			r.Ran(errors.New("the adapter is down"))
			r.Observed(nil)
		}
		if s := Of(r.Facts(), time.Now()); s.Level != Degraded || !strings.Contains(s.Reason, "the adapter is down") {
			t.Errorf("state %+v", s)
		}
		r.Asked()
		r.Ran(errors.New("the adapter is down"))
		r.Ran(nil) // of another pipeline
		r.Observed(nil)
		state(State{})
		r.ConfigRead("0002", nil) // another configuration, of which nothing is known yet
		if f := r.Facts(); f.Members != nil || f.Digest != "0002" {
			t.Errorf("facts %+v", f)
		}
		r.ConfigRead("", errors.New("timeout"))
		time.Sleep(20 * time.Second)
		if s := Of(r.Facts(), time.Now()); s.Level != Failed {
			t.Errorf("state %+v", s)
		}
		r.Failed("the median refuses it")
		state(State{Level: Failed, Cause: "failed", Reason: "the median refuses it"})
		r.Failed("")
	})
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
		r.Ends(0, 0) // of a round that another life of the node observed
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
