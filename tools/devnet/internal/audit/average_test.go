package audit

import (
	"cmp"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// price is what an oracle was told in a second.
type price struct{ at, value int64 }

// twap is a network of four oracles that average over a window, written as the product is and not as the audit.
type twap struct {
	random  *rand.Rand
	window  int64
	told    [4][]price
	samples []price // all that there ever were
	number  uint64
	now     int64
}

// round makes an outcome, up to some seconds after the one before.
func (n *twap) round(seconds int64) Outcome {
	n.number++
	n.now += n.random.Int64N(seconds + 1)
	observers := n.random.Perm(4)[:3+n.random.IntN(2)]
	var times, values []int64
	for oracle := range 4 {
		p := price{n.now - n.random.Int64N(2), 200_000_000_000 + n.random.Int64N(1_000_000_000)}
		n.told[oracle] = append(n.told[oracle], p)
		if slices.Contains(observers, oracle) {
			times, values = append(times, p.at), append(values, p.value)
		}
	}
	slices.Sort(times)
	slices.Sort(values)
	at := times[len(times)/2]
	if len(n.samples) > 0 {
		at = max(at, n.samples[len(n.samples)-1].at)
	}
	n.samples = append(n.samples, price{at, values[len(values)/2]})
	return Outcome{Number: n.number, At: at, Observers: observers, Answer: big.NewInt(n.average(at))}
}

// average adds up the seconds of the window one by one.
func (n *twap) average(end int64) int64 {
	var total, seconds int64
	for second := end - n.window; second < end; second++ {
		for _, s := range slices.Backward(n.samples) {
			if s.at <= second {
				total += s.value
				seconds++
				break
			}
		}
	}
	if seconds == 0 {
		return n.samples[len(n.samples)-1].value
	}
	return total / seconds
}

func (n *twap) tell(oracle int, from, to int64) []*big.Int {
	var all []*big.Int
	for _, p := range n.told[oracle] {
		if p.at >= from && p.at <= to {
			all = append(all, big.NewInt(p.value))
		}
	}
	return all
}

func newTWAP(seed uint64, window int64) *twap {
	return &twap{random: rand.New(rand.NewPCG(seed, 0)), window: window, now: 1_700_000_000}
}

// TestAverage proves that the answers of a network come out, also when outcomes between them do not land, and that no
// other does.
func TestAverage(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		n := newTWAP(seed, cmp.Or(int64(seed%4)*20, 3))
		a := NewAverage(n.window, 4, 1, n.tell)
		for range 60 {
			outcome := n.round(2)
			if n.random.IntN(8) == 0 {
				continue // it does not land
			}
			wrong := outcome
			wrong.Answer = new(big.Int).Add(outcome.Answer, big.NewInt(1-2*n.random.Int64N(2)))
			missing := outcome.Number - 1
			if a.latest != nil {
				missing -= a.latest.Number
			}
			trial := *a
			// Behind several that did not land a wrong answer would take too long to be told from a right one.
			if verified, err := trial.Check(wrong); verified || err == nil && missing < 2 ||
				err != nil && !strings.Contains(err.Error(), "is not an average over the") {
				t.Fatalf("seed %d: outcome %d with the answer %s in place of %s: verified %v, error %v",
					seed, outcome.Number, wrong.Answer, outcome.Answer, verified, err)
			}
			if verified, err := a.Check(outcome); err != nil || !verified {
				t.Fatalf("seed %d: verified %v, error %v", seed, verified, err)
			}
			if len(a.known) > 3 {
				t.Errorf("seed %d: after outcome %d there are %d histories that may have been", seed, outcome.Number, len(a.known))
			}
		}
	}
}

// TestAverageOfTheUnknown proves that answers are left alone behind outcomes that can have been anything.
func TestAverageOfTheUnknown(t *testing.T) {
	t.Parallel()
	n := newTWAP(1, 60)
	a := NewAverage(n.window, 4, 1, n.tell)
	if verified, err := a.Check(n.round(1)); err != nil || !verified {
		t.Fatalf("the first answer: verified %v, error %v", verified, err)
	}
	for range 10 {
		n.round(2)
	}
	for range 3 {
		if verified, err := a.Check(n.round(2)); err != nil || verified {
			t.Fatalf("verified %v, error %v", verified, err)
		}
	}
}

// TestMedians compares medians with those of all possible choices.
func TestMedians(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2, 0))
	for range 500 {
		told := make([][]*big.Int, 1+random.IntN(4))
		var everybody []int
		for i := range told {
			everybody = append(everybody, i)
			for range 1 + random.IntN(3) {
				told[i] = append(told[i], big.NewInt(random.Int64N(12)))
			}
		}
		least := 1 + random.IntN(len(told))
		s := search{Average: &Average{told: func(oracle int, _, _ int64) []*big.Int { return told[oracle] }}}
		if got, want := fmt.Sprint(s.medians(everybody, least, 0)), fmt.Sprint(everyMedian(told, nil, least)); got != want {
			t.Fatalf("the medians of at least %d of %s are %s, want %s", least, told, got, want)
		}
	}
}

func everyMedian(told [][]*big.Int, chosen []*big.Int, least int) []*big.Int {
	var all []*big.Int
	if len(told) == 0 {
		if len(chosen) >= least {
			sorted := slices.SortedFunc(slices.Values(chosen), (*big.Int).Cmp)
			all = append(all, sorted[len(sorted)/2])
		}
		return all
	}
	all = everyMedian(told[1:], chosen, least)
	for _, value := range told[0] {
		all = append(all, everyMedian(told[1:], append(slices.Clone(chosen), value), least)...)
	}
	slices.SortFunc(all, (*big.Int).Cmp)
	return slices.CompactFunc(all, func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
}
