package audit

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Outcome is an outcome of a time-weighted average with a report that landed.
type Outcome struct {
	// Number counts the outcomes of the network, including those without a report that landed.
	Number uint64
	// At is the second of its sample in Unix time, and Observers are the oracles that observed it.
	At        int64
	Observers []int
	// Answer is the average up to its sample.
	Answer *big.Int
}

// Average computes time-weighted averages once more, from what the oracles' sources told them.
//
// A sample is the median of what the observers of an outcome saw, and lasts from its second to that of the next sample.
// Answers do not tell their samples, and outcomes of which nothing landed tell nothing at all: all samples that there
// could have been are tried, and kept if the answer is their average. Prices have so many digits that hardly ever two
// remain.
type Average struct {
	window          int64 // seconds
	oracles, faulty int
	told            func(oracle int, from, to int64) []*big.Int

	latest *Outcome  // whose own sample counts from the next one on; nil: there was none
	known  []*sample // the newest of those before it, one for each history that there may have been
	blind  bool
}

// NewAverage makes an Average over that many seconds by oracles of which some may be faulty. told returns what an
// oracle's source told it from one second to another, in Unix time, both of them included.
func NewAverage(window int64, oracles, faulty int, told func(oracle int, from, to int64) []*big.Int) *Average {
	return &Average{window: window, oracles: oracles, faulty: faulty, told: told, known: []*sample{nil}}
}

// sample is a value from a second on, and the one before it.
type sample struct {
	at     int64
	value  *big.Int
	before *sample
}

// put adds a sample. One of the same second or a later one gives way.
func (s *sample) put(at int64, value *big.Int) *sample {
	for s != nil && s.at >= at {
		s = s.before
	}
	return &sample{at, value, s}
}

// sum adds up the values of the seconds from begin to end that the samples down to another, which is left out, cover,
// and says from when on they do.
func (s *sample) sum(down *sample, begin, end int64) (total *big.Int, from int64) {
	total, from = new(big.Int), end
	for ; s != down && from > begin; s = s.before {
		since := max(s.at, begin)
		total.Add(total, new(big.Int).Mul(s.value, big.NewInt(from-since)))
		from = since
	}
	return total, from
}

// slacks are by how many seconds an oracle may have been told a price earlier or later than the second of its outcome's
// sample: the usual, and the most that is left to an observation under devnet's configurations.
var slacks = []int64{1, 4}

// effort bounds what is tried for one answer.
const effort = 300_000

// Check computes the answer of the next outcome that landed. An answer that comes out is verified. When too many
// outcomes did not land to try all that they may have been, neither it nor any later one is.
func (a *Average) Check(next Outcome) (verified bool, err error) {
	for _, slack := range slacks {
		s := search{Average: a, next: next, slack: slack, effort: effort, seen: map[string]bool{}}
		if a.blind = a.blind || !s.run(); a.blind {
			return false, nil
		}
		if len(s.fitting) > 0 {
			a.known, a.latest = s.fitting, &next
			return true, nil
		}
	}
	return false, fmt.Errorf("the answer %s of outcome %d is not an average over the %d s up to %d of medians of what "+
		"its nodes were told", next.Answer, next.Number, a.window, next.At)
}

// search tries what the samples before an outcome may have been.
type search struct {
	*Average
	next   Outcome
	slack  int64
	effort int // that is left

	root     *sample  // the newest of those that are known
	rest     *big.Int // of the samples below root
	restFrom int64
	fitting  []*sample
	seen     map[string]bool
}

// run says whether everything was tried.
func (s *search) run() bool {
	missing := s.next.Number - 1
	if s.latest != nil {
		missing = s.next.Number - s.latest.Number - 1
	}
	for _, root := range s.known {
		s.root = root
		if root != nil {
			s.rest, s.restFrom = root.before.sum(nil, s.next.At-s.window, root.at)
		}
		if s.latest == nil || s.latest.At >= s.next.At { // the next sample takes the place of the latest
			s.place(missing, root)
			continue
		}
		for _, value := range s.medians(s.latest.Observers, len(s.latest.Observers), s.latest.At) {
			s.place(missing, root.put(s.latest.At, value))
		}
	}
	return s.effort > 0
}

// unseen is how far before the first answer there may have been samples, in seconds.
const unseen = 10

// place tries the samples of so many outcomes of which nothing landed, above a newest one.
func (s *search) place(missing uint64, newest *sample) {
	if s.effort--; s.effort <= 0 {
		return
	}
	if missing == 0 {
		s.compare(newest)
		return
	}
	s.place(missing-1, newest) // too few had seen anything
	from := s.next.At - unseen
	if s.latest != nil {
		from = s.latest.At
	}
	if newest != nil {
		from = max(from, newest.at)
	}
	everybody := make([]int, s.oracles)
	for i := range everybody {
		everybody[i] = i
	}
	for at := from; at < s.next.At; at++ {
		for _, value := range s.medians(everybody, 2*s.faulty+1, at) {
			s.place(missing-1, newest.put(at, value))
		}
	}
}

// compare keeps samples with which the answer comes out.
func (s *search) compare(newest *sample) {
	begin, down := s.next.At-s.window, (*sample)(nil)
	if s.root != nil {
		down = s.root.before
	}
	total, from := newest.sum(down, begin, s.next.At)
	if down != nil && from > begin {
		total.Add(total, s.rest)
		from = s.restFrom
	}
	if from == s.next.At { // nothing was before: the average is the sample
		own := s.medians(s.next.Observers, len(s.next.Observers), s.next.At)
		if slices.ContainsFunc(own, func(value *big.Int) bool { return value.Cmp(s.next.Answer) == 0 }) {
			s.keep(newest)
		}
		return
	}
	// Euclidean, which rounds down.
	if total.Div(total, big.NewInt(s.next.At-from)).Cmp(s.next.Answer) == 0 {
		s.keep(newest)
	}
}

// keep keeps samples as far as the window of the next outcome reaches, since what lies before never counts again. One
// with the value of the one before it adds nothing.
func (s *search) keep(newest *sample) {
	var all []*sample
	for p := newest; p != nil; p = p.before {
		all = append(all, p)
		if p.at <= s.next.At-s.window {
			break
		}
	}
	var kept *sample
	var key strings.Builder
	for _, p := range slices.Backward(all) {
		if kept == nil || kept.value.Cmp(p.value) != 0 {
			kept = kept.put(p.at, p.value)
			fmt.Fprintf(&key, "%d:%s ", p.at, p.value)
		}
	}
	if !s.seen[key.String()] {
		s.seen[key.String()] = true
		s.fitting = append(s.fitting, kept)
	}
}

// medians are the medians that there may have been in a second of at least so many of some oracles.
func (s *search) medians(oracles []int, least int, at int64) []*big.Int {
	var told [][]*big.Int
	for _, oracle := range oracles {
		if values := s.told(oracle, at-s.slack, at+s.slack); len(values) > 0 {
			told = append(told, values)
		}
	}
	var found []*big.Int
	for i, values := range told {
		for _, value := range values {
			if isMedian(value, slices.Delete(slices.Clone(told), i, i+1), least) {
				found = append(found, value)
			}
		}
	}
	slices.SortFunc(found, (*big.Int).Cmp)
	return slices.CompactFunc(found, func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
}

// isMedian says whether a value can be the median, the upper of two in the middle, of one oracle and of so many others
// that they are at least least together, each with one of its values.
func isMedian(value *big.Int, others [][]*big.Int, least int) bool {
	var below, above, either int
	for _, values := range others {
		low := slices.ContainsFunc(values, func(v *big.Int) bool { return v.Cmp(value) <= 0 })
		high := slices.ContainsFunc(values, func(v *big.Int) bool { return v.Cmp(value) >= 0 })
		switch {
		case low && high:
			either++
		case low:
			below++
		default:
			above++
		}
	}
	for size := least; size <= len(others)+1; size++ {
		if under := size / 2; under <= below+either && size-1-under <= above+either {
			return true
		}
	}
	return false
}
