package chain

import (
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
)

// numbered changes a transaction's nonce.
func numbered(n uint64) func(*Invoke) {
	return func(inv *Invoke) { nonce := stark.FromUint64(n); inv.Nonce = &nonce }
}

// TestMempoolWaitsForTheNext sends what is ahead of its account before what is next.
func TestMempoolWaitsForTheNext(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from := newAccount(t, c)
	var hashes []stark.Felt
	for _, nonce := range []uint64{200, 2, 1, 0} {
		hash, failure := c.Add(signed(t, c, from, numbered(nonce), nil))
		if failure != nil {
			t.Fatalf("nonce %d: %v", nonce, failure)
		}
		hashes = append(hashes, hash)
		if nonce > 0 {
			if status, failure := c.View(Version10, 0).Status(hash); failure != nil || status.Finality != "RECEIVED" {
				t.Errorf("nonce %d before those below it: %+v, %v", nonce, status, failure)
			}
		}
	}
	for i, want := range []string{"RECEIVED", "PRE_CONFIRMED", "PRE_CONFIRMED", "PRE_CONFIRMED"} {
		if status, failure := c.View(Version10, 0).Status(hashes[i]); failure != nil || status.Finality != want {
			t.Errorf("in the end: %+v, %v, want %s", status, failure, want)
		}
	}
	if err := c.PushNonce(from.Address, 197); err != nil {
		t.Fatal(err)
	}
	if status, failure := c.View(Version10, 0).Status(hashes[0]); failure != nil || status.Finality != "PRE_CONFIRMED" {
		t.Errorf("after others took what was between: %+v, %v", status, failure)
	}
}

// TestReplacement checks what a replacement must offer, and that the replaced transaction is forgotten.
func TestReplacement(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from := newAccount(t, c)
	c.Hold(true)
	offer := func(price, tip int64) Invoke {
		return signed(t, c, from, func(inv *Invoke) {
			numbered(0)(inv)
			inv.Bounds.L2.Price, inv.Tip = number(price), number(tip)
		}, nil)
	}
	first, failure := c.Add(offer(10_000_000_000, 10))
	if failure != nil {
		t.Fatal(failure)
	}
	for name, inv := range map[string]Invoke{
		"a price too low": offer(10_999_999_999, 11), "a tip too low": offer(11_000_000_000, 10),
		"less": offer(9_500_000_000, 9),
	} {
		if _, failure := c.Add(inv); failure == nil || failure.Code != CodeUnderpriced {
			t.Errorf("%s: %v, want code %d", name, failure, CodeUnderpriced)
		}
	}
	second, failure := c.Add(offer(11_000_000_000, 11))
	if failure != nil {
		t.Fatal(failure)
	}
	c.Hold(false)
	if _, failure := c.View(Version8, 0).Status(first); failure == nil || failure.Code != CodeHashNotFound {
		t.Errorf("what was replaced: %v, want code %d", failure, CodeHashNotFound)
	}
	if status, failure := c.View(Version8, 0).Status(second); failure != nil || status.Execution != "SUCCEEDED" {
		t.Errorf("what replaced it: %+v, %v", status, failure)
	}
}

// TestMempoolExpires holds that the sequencer drops what is out of blocks for a minute, and takes it again.
func TestMempoolExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t)
		from := newAccount(t, c)
		c.Hold(true)
		inv := signed(t, c, from, nil, nil)
		hash, failure := c.Add(inv)
		if failure != nil {
			t.Fatal(failure)
		}
		time.Sleep(time.Minute)
		c.MakeBlock()
		if _, failure := c.View(Version10, 0).Status(hash); failure != nil {
			t.Errorf("after a minute: %v", failure)
		}
		if _, failure := c.Add(inv); failure == nil || failure.Code != CodeDuplicate {
			t.Errorf("again after a minute: %v, want code %d", failure, CodeDuplicate)
		}
		time.Sleep(time.Nanosecond)
		c.MakeBlock()
		if _, failure := c.View(Version10, 0).Status(hash); failure == nil || failure.Code != CodeHashNotFound {
			t.Errorf("after more than a minute: %v, want code %d", failure, CodeHashNotFound)
		}
		if _, failure := c.Add(inv); failure != nil {
			t.Errorf("again after more than a minute: %v", failure)
		}
	})
}

// TestLost checks that nodes call a lost transaction received, although the sequencer does not know it.
func TestLost(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	from := newAccount(t, c)
	inv := signed(t, c, from, nil, nil)
	hash, failure := c.Lose(inv)
	if failure != nil {
		t.Fatal(failure)
	}
	if status, failure := c.View(Version9, 0).Status(hash); failure != nil || status != (Status{Finality: "RECEIVED"}) {
		t.Errorf("status %+v, %v", status, failure)
	}
	if _, failure := c.Add(inv); failure != nil {
		t.Errorf("sent again: %v", failure)
	}
}

func TestVersionsOfFailures(t *testing.T) {
	t.Parallel()
	data := failWith(CodeInvalidNonce, "Account nonce: 0x1, got: 0x0")
	for name, test := range map[string]struct {
		failure   *Failure
		old, data any
	}{
		"underpriced":   {Fail(CodeUnderpriced), CodeInvalidNonce, nil},
		"below minimum": {Fail(CodeFeeBelowMinimum), CodeInsufficientResource, nil},
		"nonce":         {data, CodeInvalidNonce, nil},
		"another":       {failWith(CodeValidationFailure, "x"), CodeValidationFailure, "x"},
	} {
		for _, version := range []Version{Version10, Version9} {
			if got := version.Failure(test.failure); got != test.failure {
				t.Errorf("%s in %s: %v", name, version.Spec(), got)
			}
		}
		if got := Version8.Failure(test.failure); got.Code != test.old || got.Data != test.data {
			t.Errorf("%s in 0.8: %v", name, got)
		}
	}
	if got := Version8.Failure(nil); got != nil {
		t.Errorf("none is %v", got)
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Version{"0.8": Version8, "0.8.1": Version8, "0.9": Version9, "0.10": Version10,
		"0.10.3-rc.0": Version10} {
		if got, err := ParseVersion(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "0.7", "0.1", "0.11.0", "10", "latest"} {
		if got, err := ParseVersion(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestEscalation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		before, after int64
		want          bool
	}{{0, 0, true}, {9, 9, true}, {10, 10, false}, {10, 11, true}, {19, 20, true}, {20, 21, false}, {20, 22, true}} {
		if got := escalates(big.NewInt(test.before), big.NewInt(test.after)); got != test.want {
			t.Errorf("from %d to %d: %t", test.before, test.after, got)
		}
	}
}
