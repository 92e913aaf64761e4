package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
)

// Product is the record of a product's rounds.
type Product struct {
	// Name is the name of its plugin, OCR the version of the protocol, and Check how its answers were checked.
	Name  string `json:"name"`
	OCR   int    `json:"ocr"`
	Check string `json:"check"`
	// Votes counts the outcomes that the nodes computed and voted for, Reports those that they made of outcomes, and
	// Epochs those that the node entered which entered the most; all of OCR3.
	Votes   uint64 `json:"votes"`
	Reports uint64 `json:"reports"`
	Epochs  uint64 `json:"epochs"`
	// Lost counts the calls of the product by which a node lost its vote or a report, by their names.
	Lost map[string]uint64 `json:"lost"`
	// Failures are the errors of the nodes' jobs, the most frequent first.
	Failures []Failure `json:"failures"`
	// Resumed are the times when all nodes were killed at once; absent when they never were.
	Resumed []*Resumption `json:"resumed,omitempty"`
}

// Failure is an error of jobs.
type Failure struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Resumption is how a network over OCR3 went on after all of its nodes were killed at once.
type Resumption struct {
	// Landed is the number of the newest outcome on the chain when they were, Restored that of the newest outcome which a
	// node found in its database, and Next that of the first on the chain after Landed; 0: there is none.
	Landed   uint64 `json:"landed"`
	Restored uint64 `json:"restored"`
	Next     uint64 `json:"next"`

	told map[*member]int // how often members had told before of what they found
}

// objectName is how the nodes' errors name an object. What follows the name of its service is a node's own.
var objectName = regexp.MustCompile(`\b([A-Z][A-Za-z0-9]*)/[A-Z2-7]{26}\b`)

// countProduct counts what the nodes say of the product's rounds, if there is one, as far as they answer.
func (n *network) countProduct(ctx context.Context) error {
	if n.product == nil {
		return nil
	}
	counted := &Product{
		Name: n.product.name, OCR: n.product.ocr, Check: n.product.check,
		Lost: map[string]uint64{}, Failures: []Failure{}, Resumed: n.resumed,
	}
	reasons := map[string]uint64{}
	var errs []error
	for _, m := range n.members {
		votes, failures, err := m.counts(ctx)
		errs = append(errs, err)
		counted.Votes += votes.Outcomes
		counted.Reports += votes.Reports
		counted.Epochs = max(counted.Epochs, votes.Epochs)
		counted.Lost = added(counted.Lost, votes.Lost)
		for reason, count := range failures {
			reasons[objectName.ReplaceAllString(reason, "$1")] += count
		}
	}
	for reason, count := range reasons {
		counted.Failures = append(counted.Failures, Failure{reason, count})
	}
	slices.SortFunc(counted.Failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Reason, b.Reason))
	})
	errs = append(errs, n.checkResumed())
	n.mu.Lock()
	n.result.Product = counted
	n.mu.Unlock()
	return errors.Join(errs...)
}

// lastCount is how long the nodes of a session that failed are asked for their counts.
const lastCount = 5 * time.Second

// countAfterAll counts for a session that failed before it came to count: there the reasons matter most.
func (n *network) countAfterAll(ctx context.Context) {
	if n.product == nil || n.result.Product != nil {
		return
	}
	select {
	case <-n.complete:
	default: // there are no jobs
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCount)
	defer cancel()
	_ = n.countProduct(ctx) // nodes that have ended say nothing, and why they did is the session's error
}

// fared says how the votes over OCR3 went, with a comma before it; empty: there were none.
func (p *Product) fared() string {
	if p == nil || p.OCR != 3 {
		return ""
	}
	said := fmt.Sprintf(", %d votes, %d epochs", p.Votes, p.Epochs)
	if p.Epochs == 1 {
		said = fmt.Sprintf(", %d votes in one epoch", p.Votes)
	}
	if len(p.Lost) == 0 {
		return said + ", no call lost"
	}
	var lost []string
	for _, call := range slices.Sorted(maps.Keys(p.Lost)) {
		lost = append(lost, fmt.Sprintf("%s %d", call, p.Lost[call]))
	}
	return said + ", calls lost: " + strings.Join(lost, ", ")
}

// voting are the calls of a product without which a node has no vote.
var voting = []string{"Query", "Observation", "ValidateObservation", "ObservationQuorum", "Outcome"}

// lostVotes is an error when votes were lost other than by the ends of epochs, which a node records as errors of its
// job.
func (p *Product) lostVotes() error {
	for _, call := range voting {
		lost := p.Lost[call]
		for _, failure := range p.Failures {
			if strings.HasPrefix(failure.Reason, call+" did not end before its epoch") {
				lost -= min(lost, failure.Count)
			}
		}
		if lost > 0 {
			return fmt.Errorf("%d votes were lost by %s, though their epochs had not ended; the errors of the jobs, "+
				"and how often each came, are %v", lost, call, p.Failures)
		}
	}
	return nil
}

// resume notes that all nodes are killed now.
func (n *network) resume() error {
	if n.ocr() != 3 {
		return nil
	}
	r := &Resumption{told: map[*member]int{}}
	for _, m := range n.members {
		told, err := m.Tale()
		if err != nil {
			return err
		}
		r.told[m] = len(told.Restored)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.landed) > 0 {
		r.Landed = uint64(n.landed[len(n.landed)-1].Epoch)
	}
	n.resumed = append(n.resumed, r)
	return nil
}

// countResumed counts as countProduct does, once the nodes have said from where they went on, but after settleTimeout
// at most: they are ready before their jobs have begun.
func (n *network) countResumed(ctx context.Context) error {
	patience := cmp.Or(n.config.settleTimeout, settleTimeout)
	if err := look(ctx, patience, func(bool) (bool, error) { return n.checkResumed() == nil, nil }); err != nil {
		return err
	}
	return n.countProduct(ctx)
}

// checkResumed finds out how the network went on. What is on the chain was agreed on before the kill, and a node stores
// what it agrees to before it votes.
func (n *network) checkResumed() error {
	if len(n.resumed) == 0 {
		return nil // and no log is read
	}
	tales := map[*member]node.Tale{}
	for _, m := range n.members {
		told, err := m.Tale()
		if err != nil {
			return err
		}
		tales[m] = told
	}
	n.mu.Lock()
	landed := slices.Clone(n.landed)
	n.mu.Unlock()
	// Of so many that tell, one had agreed to what is on the chain.
	enough := len(n.members) - ocr2.Faulty(len(n.members))
	for i, r := range n.resumed {
		tells := 0
		for m, told := range tales {
			until := len(told.Restored)
			if i+1 < len(n.resumed) {
				until = n.resumed[i+1].told[m]
			}
			if found := told.Restored[r.told[m]:until]; len(found) > 0 {
				tells++
				r.Restored = max(r.Restored, found[0])
			}
		}
		for _, at := range landed {
			if number := uint64(at.Epoch); number > r.Landed {
				r.Next = number
				break
			}
		}
		switch {
		case tells < enough && i+1 < len(n.resumed): // they were killed once more before they had come so far
		case tells == 0 && r.Landed > 0:
			return fmt.Errorf(
				"all nodes were killed when outcome %d was on the chain, and none says from which one it went on: "+
					"they began anew, or word it otherwise than devnet knows",
				r.Landed,
			)
		case r.Restored < r.Landed:
			return fmt.Errorf(
				"all nodes were killed when outcome %d was on the chain, and went on from outcome %d: they forgot "+
					"what they had agreed on",
				r.Landed, r.Restored,
			)
		}
	}
	return nil
}

// counts are what the node counted in all of its generations, and the errors of its job.
func (m *member) counts(ctx context.Context) (votes node.Votes, failures map[string]uint64, err error) {
	if _, err := m.ask(func() (err error) { votes, err = m.Votes(ctx); return err }); err != nil {
		return node.Votes{}, nil, err
	}
	if _, err := m.ask(func() (err error) { failures, err = m.Errors(ctx, m.jobID); return err }); err != nil {
		return node.Votes{}, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.votes.Add(votes), added(m.failures, failures), nil
}

// added are the counts of two generations together.
func added(a, b map[string]uint64) map[string]uint64 {
	all := map[string]uint64{}
	for _, counts := range []map[string]uint64{a, b} {
		for what, count := range counts {
			all[what] += count
		}
	}
	return all
}
