package session

import (
	"strings"
	"testing"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
)

// TestFeedsCountFromWhenAllObserve holds that rounds count for each feed, from when every node has observed in every
// one.
func TestFeedsCountFromWhenAllObserve(t *testing.T) {
	t.Parallel()
	f := &feeds{begun: make(chan struct{}), fares: []fare{{observers: map[int]bool{}}, {observers: map[int]bool{}}}}
	take := func(feed int, observers ...int) bool {
		return f.take(feed, evm.Transmission{Observers: observers}, 3, 2)
	}
	if take(0, 0, 1, 2) || take(1, 0, 1) || take(1, 1) {
		t.Error("it is done before every node has observed")
	}
	select {
	case <-f.begun:
		t.Error("the time has begun before every node has observed")
	default:
	}
	says := func(want string) {
		t.Helper()
		if got := f.progress(2); got != want {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
	says("an answer in 2 of 2 feeds, but not yet an observation of every node in every feed")
	if take(1, 2) {
		t.Error("it is done before there was a round that counts")
	}
	<-f.begun
	f.started.at = f.all
	for _, round := range [][]int{{0, 0, 1, 2}, {0, 0, 1, 2}, {1, 0, 1}} {
		if take(round[0], round[1:]...) {
			t.Error("it is done before each feed has its rounds")
		}
	}
	says("all 2 rounds in 1 of 2 feeds")
	if !take(1, 0, 1) {
		t.Error("each feed has its rounds, and it goes on")
	}
}

// TestFeedsAreMeasuredAlone checks which options --feeds excludes.
func TestFeedsAreMeasuredAlone(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"too many": {Feeds: mostFeeds + 1}, "fewer than none": {Feeds: -1}, "a product": {Feeds: 1, Product: "a=b"},
		"in process": {Feeds: 1, InProcess: true}, "a pace of nothing": {Pace: time.Minute},
	} {
		if err := checkFeeds(config, chainEVM); err == nil || !strings.Contains(err.Error(), "--feeds") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, config := range []Config{{Feeds: 1, Pace: leastPace - 1}, {Feeds: 1, Pace: mostPace + 1}} {
		if err := checkFeeds(config, chainEVM); err == nil || !strings.Contains(err.Error(), "--pace") {
			t.Errorf("a pace of %s: %v", config.Pace, err)
		}
	}
	for config, want := range map[*Config]time.Duration{
		{Feeds: 10}: 10 * time.Second, {Feeds: 1000}: 100 * time.Second, {Feeds: 1000, Pace: leastPace}: leastPace,
	} {
		if err := checkFeeds(*config, chainEVM); err != nil {
			t.Error(err)
		}
		if got := pace(*config); got != want {
			t.Errorf("%d feeds with --pace %s have a round each in %s, want %s", config.Feeds, config.Pace, got, want)
		}
	}
	if err := checkFeeds(Config{Feeds: 1}, chainSolana); err == nil {
		t.Error("feeds on Solana are measured")
	}
}
