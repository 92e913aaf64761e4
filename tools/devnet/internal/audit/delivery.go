package audit

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Position names a report: a round of the protocol under one configuration of the contract.
type Position struct {
	ConfigDigest [32]byte
	Epoch        uint32
	Round        uint8
}

// After says whether a report is newer than another of the same configuration. A contract takes none that is not newer
// than all it has.
func (p Position) After(other Position) bool {
	return cmp.Or(cmp.Compare(p.Epoch, other.Epoch), cmp.Compare(p.Round, other.Round)) > 0
}

func (p Position) String() string { return fmt.Sprintf("epoch %d, round %d", p.Epoch, p.Round) }

// Books are the records of both sides about the reports of a network: which reports the nodes accepted, and what became
// of them on the chain.
type Books struct {
	// Accepted are the reports that nodes accepted and handed to their relayers, with the names of these nodes.
	Accepted map[Position][]string
	// Unexplained are those of Accepted that a relayer took without ever saying what became of them.
	Unexplained map[Position]bool
	// Landed are the transmissions that had an effect, in the order of the chain.
	Landed []Position
	// Sent are all reports that transactions brought to the contract, with or without effect, if the chain tells.
	Sent []Position
	// Accounts are the accounts that transmit. Chains that do not number transactions have none.
	Accounts []Account
}

// Account is one that transmits, when everything should be settled.
type Account struct {
	// Node is the one that it belongs to.
	Node string
	// Next is the number of its next transaction, by the chain, and Mined how many of its transactions are in blocks.
	Next, Mined uint64
	// Pooled are the numbers of its transactions that wait in the chain's pool, and Flying those that its node's relayer
	// has not finished.
	Pooled, Flying []uint64
}

// gaps are the numbers that nothing will use, below one in use: what waits above them waits for ever.
func (a Account) gaps() []uint64 {
	used := slices.Concat(a.Pooled, a.Flying)
	if len(used) == 0 {
		return nil
	}
	var missing []uint64
	for number := a.Next; number < slices.Max(used); number++ {
		if !slices.Contains(used, number) {
			missing = append(missing, number)
		}
	}
	return missing
}

// Delivery is what became of the reports that nodes accepted.
type Delivery struct {
	// Accepted counts the reports that some node accepted and handed to its relayer. Each of them is one of Landed, Stale
	// and Lost.
	Accepted int `json:"accepted"`
	// Landed counts those that are on the chain with effect.
	Landed int `json:"landed"`
	// Stale counts those that are not, and that a newer one on the chain has made worthless: no contract takes them any
	// more.
	Stale int `json:"stale"`
	// Unsent counts those of Stale without a transaction on the chain, if it tells: their relayers found them stale
	// before they sent them.
	Unsent int `json:"unsent"`
	// Unexplained counts those of Unsent that a relayer took and never said what became of. A kill between the deed and
	// the word explains one at times; many are reports that relayers lose, and that are stale only because the feed goes
	// on.
	Unexplained int `json:"unexplained"`
	// Lost counts those that are not on the chain although it would still take them.
	Lost int `json:"lost"`
	// LandedTwice counts the transmissions with effect beyond the first of their report.
	LandedTwice int `json:"landed_twice"`
	// InFlight counts the transactions of transmitting accounts that are not finished.
	InFlight int `json:"in_flight"`
	// NonceGaps counts the transaction numbers that nothing uses although a greater one is in use, and those by which an
	// account and the blocks differ.
	NonceGaps int `json:"nonce_gaps"`
}

// Deliver compares the books of a network that has come to rest. The error says in a sentence what is wrong with them
// first, and how much more is.
func Deliver(books Books) (Delivery, error) {
	d := Delivery{Accepted: len(books.Accepted)}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }

	times := map[Position]int{}
	newest := map[[32]byte]Position{}
	for _, p := range books.Landed {
		times[p]++
		if latest, ok := newest[p.ConfigDigest]; !ok || p.After(latest) {
			newest[p.ConfigDigest] = p
		}
		if times[p] > 1 {
			d.LandedTwice++
			fault("the report of %s (config digest %s) is on the chain %d times with effect", p,
				hex.EncodeToString(p.ConfigDigest[:]), times[p])
		}
	}
	for _, p := range inOrder(books.Accepted) {
		latest, some := newest[p.ConfigDigest]
		switch {
		case times[p] > 0:
			d.Landed++
		case some && latest.After(p):
			d.Stale++
			if books.Sent != nil && !slices.Contains(books.Sent, p) {
				d.Unsent++
				if books.Unexplained[p] {
					d.Unexplained++
				}
			}
		default:
			d.Lost++
			has := "it has none"
			if some {
				has = "its latest is of " + latest.String()
			}
			fault("the report of %s (config digest %s), which %s accepted, is lost: the contract has not taken it, and would "+
				"still, for %s",
				p, hex.EncodeToString(p.ConfigDigest[:]), strings.Join(books.Accepted[p], " and "), has)
		}
	}
	for _, a := range books.Accounts {
		d.InFlight += len(slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Pooled, a.Flying)))))
		if missing := a.gaps(); len(missing) > 0 {
			d.NonceGaps += len(missing)
			fault("the account of %s has no transaction of the number %d, and those above it wait for ever", a.Node, missing[0])
		}
		if a.Next != a.Mined {
			d.NonceGaps += int(max(a.Next, a.Mined) - min(a.Next, a.Mined))
			fault("the account of %s has used %d numbers, and %d of its transactions are in blocks", a.Node, a.Next, a.Mined)
		}
		if len(a.Pooled) > 0 {
			fault("a transaction of %s, of the number %d, still waits in the chain's pool", a.Node, slices.Min(a.Pooled))
		}
		if len(a.Flying) > 0 {
			fault("the relayer of %s has not finished the transaction of the number %d", a.Node, slices.Min(a.Flying))
		}
	}
	switch {
	case len(faults) == 1:
		return d, fmt.Errorf("%s", faults[0])
	case len(faults) > 1:
		return d, fmt.Errorf("%s; and %d more of such", faults[0], len(faults)-1)
	}
	return d, nil
}

// inOrder are reports, oldest first within a configuration.
func inOrder(reports map[Position][]string) []Position {
	var all []Position
	for p := range reports {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Position) int {
		return cmp.Or(slices.Compare(a.ConfigDigest[:], b.ConfigDigest[:]), cmp.Compare(a.Epoch, b.Epoch),
			cmp.Compare(a.Round, b.Round))
	})
	return all
}
