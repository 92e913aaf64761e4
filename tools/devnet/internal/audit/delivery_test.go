package audit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDeliver(t *testing.T) {
	t.Parallel()
	at := func(epoch uint32, round uint8) Position {
		return Position{ConfigDigest: [32]byte{7}, Epoch: epoch, Round: round}
	}
	elsewhere := func(epoch uint32, round uint8) Position {
		return Position{ConfigDigest: [32]byte{8}, Epoch: epoch, Round: round}
	}
	accepted := func(all ...Position) map[Position][]string {
		books := map[Position][]string{}
		for _, p := range all {
			books[p] = []string{"node-1", "node-2"}
		}
		return books
	}
	tests := map[string]struct {
		books Books
		want  Delivery
		err   string // in the error; empty: none
	}{
		"nothing": {Books{}, Delivery{}, ""},
		"landed and stale": {
			Books{Accepted: accepted(at(1, 1), at(1, 2), at(2, 1)), Landed: []Position{at(1, 1), at(2, 1)}},
			Delivery{Accepted: 3, Landed: 2, Stale: 1}, "",
		},
		"stale before and after it was sent": {
			Books{
				Accepted: accepted(at(1, 1), at(1, 2), at(1, 3)), Landed: []Position{at(1, 3)},
				Sent: []Position{at(1, 3), at(1, 1)},
			},
			Delivery{Accepted: 3, Landed: 1, Stale: 2, Unsent: 1}, "",
		},
		"stale, and no relayer says why": {
			Books{
				Accepted: accepted(at(1, 1), at(1, 2), at(1, 3), at(1, 4)), Landed: []Position{at(1, 4)},
				Sent:        []Position{at(1, 4), at(1, 1)},
				Unexplained: map[Position]bool{at(1, 1): true, at(1, 2): true, at(1, 4): true},
			},
			Delivery{Accepted: 4, Landed: 1, Stale: 3, Unsent: 2, Unexplained: 1}, "",
		},
		"on the chain and accepted by nobody who can tell": {Books{Landed: []Position{at(1, 1)}}, Delivery{}, ""},
		"lost: the contract has nothing": {
			Books{Accepted: accepted(at(1, 1))}, Delivery{Accepted: 1, Lost: 1},
			"the report of epoch 1, round 1 (config digest 0700000000000000000000000000000000000000000000000000000000000000), " +
				"which node-1 and node-2 accepted, is lost: the contract has not taken it, and would still, for it has none",
		},
		"lost: newer than the latest": {
			Books{Accepted: accepted(at(1, 1), at(1, 9)), Landed: []Position{at(1, 1), at(1, 8)}},
			Delivery{Accepted: 2, Landed: 1, Lost: 1}, "for its latest is of epoch 1, round 8",
		},
		"lost: newer by the epoch": {
			Books{Accepted: accepted(at(2, 1)), Landed: []Position{at(1, 9)}},
			Delivery{Accepted: 1, Lost: 1}, "the report of epoch 2, round 1",
		},
		"lost: what passed it has another configuration": {
			Books{Accepted: accepted(at(1, 1)), Landed: []Position{elsewhere(9, 9)}},
			Delivery{Accepted: 1, Lost: 1}, "epoch 1, round 1",
		},
		"several lost": {
			Books{Accepted: accepted(at(1, 2), at(1, 3), at(1, 1))},
			Delivery{Accepted: 3, Lost: 3}, "the report of epoch 1, round 1 (config digest 07",
		},
		"several lost are counted": {
			Books{Accepted: accepted(at(1, 2), at(1, 3), at(1, 1))}, Delivery{Accepted: 3, Lost: 3}, "; and 2 more of such",
		},
		"twice": {
			Books{Accepted: accepted(at(1, 1)), Landed: []Position{at(1, 1), at(1, 1)}},
			Delivery{Accepted: 1, Landed: 1, LandedTwice: 1}, "the report of epoch 1, round 1 (config digest 0700",
		},
		"twice, with another in between": {
			Books{Landed: []Position{at(1, 1), at(1, 2), at(1, 1)}}, Delivery{LandedTwice: 1},
			"is on the chain 2 times with effect",
		},
		"accounts at rest": {
			Books{Accounts: []Account{{Node: "node-0"}, {Node: "node-1", Next: 7, Mined: 7}}}, Delivery{}, "",
		},
		"a gap in the pool": {
			Books{Accounts: []Account{{Node: "node-3", Next: 7, Mined: 7, Pooled: []uint64{9}}}},
			Delivery{InFlight: 1, NonceGaps: 2},
			"the account of node-3 has no transaction of the number 7, and those above it wait for ever; and 1 more of such",
		},
		"a gap below a flight": {
			Books{Accounts: []Account{{Node: "node-3", Next: 7, Mined: 7, Flying: []uint64{7, 9}}}},
			Delivery{InFlight: 2, NonceGaps: 1}, "no transaction of the number 8",
		},
		"a flight that is in the pool too": {
			Books{Accounts: []Account{{Node: "node-3", Next: 7, Mined: 7, Pooled: []uint64{7}, Flying: []uint64{7}}}},
			Delivery{InFlight: 1},
			"a transaction of node-3, of the number 7, still waits in the chain's pool; and 1 more of such",
		},
		"a flight that is mined and not finished": {
			Books{Accounts: []Account{{Node: "node-3", Next: 7, Mined: 7, Flying: []uint64{6}}}},
			Delivery{InFlight: 1}, "the relayer of node-3 has not finished the transaction of the number 6",
		},
		"numbers that blocks do not show": {
			Books{Accounts: []Account{{Node: "node-3", Next: 7, Mined: 5}}},
			Delivery{NonceGaps: 2}, "the account of node-3 has used 7 numbers, and 5 of its transactions are in blocks",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Deliver(test.books)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got error %v, want one with %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("delivery (-want +got):\n%s", diff)
			}
		})
	}
}
