package node

import (
	"slices"
	"strings"
	"sync"

	"github.com/loop-plugins/loop/host/internal/config"
)

// tables are those of the chains by which the node runs now, and the accounts that they name in their one spelling.
type tables struct {
	mu      sync.Mutex
	chains  []config.Chain
	spelled map[chainKey][]string // nil: the chains were not checked yet
}

func (t *tables) all() []config.Chain {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.chains)
}

func (t *tables) checked() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.spelled != nil
}

func (t *tables) spell(spelled map[chainKey][]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spelled = spelled
}

// accounts are those that a relayer may sign with on a chain; none: all of its relay.
func (t *tables) accounts(of chainKey) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.spelled[of]
}

// replace puts a chain in place of the one with its id, and returns that.
func (t *tables) replace(c changedChain) (before changedChain) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before = changedChain{key: c.key, section: c.section, accounts: t.spelled[c.key]}
	for at, old := range t.chains {
		if old.Enabled && old.ID == c.key.chain && strings.EqualFold(old.Section, c.section) {
			before.table, t.chains[at] = old, c.table
		}
	}
	t.spelled[c.key] = c.accounts
	return before
}
