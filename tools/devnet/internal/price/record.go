package price

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"sync"
	"time"
)

// kept is how many of the latest prices of each node are remembered: those of minutes.
const kept = 1024

// record is what nodes were told. Prices are in units.
type record struct {
	now func() time.Time

	mu     sync.Mutex
	byNode map[string][]told
	// least and most are the lowest and the highest of all; nil: nobody was told any.
	least, most *big.Int
}

type told struct {
	at    time.Time
	value *big.Int
}

func newRecord(now func() time.Time) *record { return &record{now: now, byNode: map[string][]told{}} }

// add remembers a price that a node is told now.
func (r *record) add(node string, value *big.Int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(r.byNode[node], told{r.now(), value})
	r.byNode[node] = all[max(0, len(all)-kept):]
	if r.least == nil || value.Cmp(r.least) < 0 {
		r.least = value
	}
	if r.most == nil || value.Cmp(r.most) > 0 {
		r.most = value
	}
}

// Told returns the prices that a node was told between two times, oldest first, in units of 10^-8. The latest 1024 of
// each node are known.
func (s *Server) Told(node string, from, to time.Time) []*big.Int {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	var all []*big.Int
	for _, t := range s.record.byNode[node] {
		if !t.at.Before(from) && !t.at.After(to) {
			all = append(all, t.value)
		}
	}
	return all
}

// Range returns the lowest and the highest price that any node was ever told, in units of 10^-8; nil if there was none.
func (s *Server) Range() (least, most *big.Int) {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	return s.record.least, s.record.most
}

// decimals are those of a unit.
const decimals = 8

// jsonNumber is a JSON number above or at zero without an exponent, with decimals that units hold.
var jsonNumber = regexp.MustCompile(`^(0|[1-9][0-9]*)([.][0-9]{1,8})?$`)

// Units reads a price, a decimal number above or at zero as JSON has it, in units of 10^-8.
func Units(price string) (*big.Int, error) {
	if !jsonNumber.MatchString(price) {
		return nil, fmt.Errorf("give a decimal number with at most %d decimals, as in 1565616210741547008", decimals)
	}
	whole, fraction, _ := strings.Cut(price, ".")
	units, _ := new(big.Int).SetString(whole+fraction+strings.Repeat("0", decimals-len(fraction)), 10)
	return units, nil
}
