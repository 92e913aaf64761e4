package signing

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// lastingTransfer is how long a transfer may be signed again after its first signature, only in the same slot: on a
// full chain it may need higher fees for hours.
const lastingTransfer = 24 * time.Hour

// Transfers are those that operators have asked for. They do not survive the node: what was signed before may still
// land.
type Transfers struct {
	mu  sync.Mutex
	all map[chainKey][]*transfer
}

type transfer struct {
	signing.Transfer
	until time.Time // zero: until it was signed or is forgotten
}

// NewTransfers returns Transfers without any.
func NewTransfers() *Transfers { return &Transfers{all: map[chainKey][]*transfer{}} }

// Ask allows one transfer to be signed, once. The caller calls end when the relayer has answered: what was not signed
// by then is no longer signed.
func (t *Transfers) Ask(relay, chain, from, to string, amount *big.Int) (end func()) {
	key, asked := chainKey{relay, chain}, &transfer{Transfer: signing.Transfer{From: from, To: to, Amount: amount}}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[key] = append(t.all[key], asked)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if asked.Slot == "" {
			t.all[key] = slices.DeleteFunc(t.all[key], func(of *transfer) bool { return of == asked })
		}
	}
}

// of are the transfers on a chain that are signed at that time.
func (t *Transfers) of(key chainKey, now time.Time) (asked []*transfer, facts []signing.Transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[key] = slices.DeleteFunc(t.all[key], func(of *transfer) bool {
		return !of.until.IsZero() && now.After(of.until)
	})
	for _, of := range t.all[key] {
		facts = append(facts, of.Transfer)
	}
	return slices.Clone(t.all[key]), facts
}

// sign binds a transfer to the slot of its first transaction.
func (t *Transfers) sign(key chainKey, of *transfer, slot string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case of.Slot == slot:
	case of.Slot != "":
		return fmt.Errorf("it transfers once more what was signed as the transaction %s", of.Slot)
	case !slices.Contains(t.all[key], of):
		return errors.New("it transfers what an operator asked for, who was told that it failed")
	default:
		of.Slot, of.until = slot, now.Add(lastingTransfer)
	}
	return nil
}
