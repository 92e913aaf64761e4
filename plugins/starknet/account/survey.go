package account

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// most is how many calls are made at one node at once.
const most = 8

// contractView is what one contract answered, or why there is no answer.
type contractView struct {
	latest aggregator.TransmissionDetails
	err    error
}

// Survey implements relayer.Sender. It makes all calls to one node, nonces before statuses, so that the status shows a
// transaction that is accepted in between, and it never counts as lost.
func (a *Account) Survey(ctx context.Context, flights []relayer.Flight, items []relayer.Item) (relayer.Survey, error) {
	a.learn(flights)
	known := a.settings.Pool.Height()
	var survey relayer.Survey
	err := a.settings.Pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		var err error
		survey, err = a.survey(ctx, client, known, flights, items)
		return err
	})
	return survey, err
}

// learn finds the key in what was signed before, for a process that starts again without the job.
func (a *Account) learn(flights []relayer.Flight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range flights {
		if !a.key.IsZero() {
			return
		}
		if t, err := decodeTerms(f.Attempts[len(f.Attempts)-1]); err == nil {
			a.key = t.Key
		}
	}
}

func (a *Account) survey(ctx context.Context, client *endpoint.Client, known uint64, flights []relayer.Flight,
	items []relayer.Item) (relayer.Survey, error) {
	head := client.Head()
	complete, err := client.Nonce(ctx, endpoint.Latest, a.settings.Address)
	// Its contract may be as new as the block that is being made.
	if err != nil && !endpoint.IsCode(err, endpoint.CodeContractNotFound) {
		return relayer.Survey{}, err
	}
	next, err := client.Nonce(ctx, endpoint.PreConfirmed, a.settings.Address)
	if err := a.explain(err); err != nil {
		return relayer.Survey{}, err
	}
	calls, together := errgroup.WithContext(ctx)
	calls.SetLimit(most)
	statuses := make([][]endpoint.Status, len(flights))
	for i, f := range flights {
		statuses[i] = make([]endpoint.Status, len(f.Attempts))
		for j, attempt := range f.Attempts {
			calls.Go(func() (err error) {
				statuses[i][j], err = client.TransactionStatus(together, attempt.Hash)
				return err
			})
		}
	}
	views := map[string]*contractView{}
	for _, item := range items {
		if views[item.Contract] != nil {
			continue
		}
		v := &contractView{}
		views[item.Contract] = v
		calls.Go(func() error { v.read(together, client, a.settings.Pool, item.Contract); return nil })
	}
	if err := calls.Wait(); err != nil {
		return relayer.Survey{}, err
	}
	survey := relayer.Survey{Next: next}
	for i, f := range flights {
		outcome := a.outcome(f, statuses[i], next, complete)
		if outcome.State == relayer.SucceededForGood || outcome.State == relayer.RevertedForGood {
			// A fee that a node does not tell is not counted: a feed does not wait for it.
			outcome.Fee, _ = client.Fee(ctx, outcome.Hash)
		}
		survey.Outcomes = append(survey.Outcomes, outcome)
	}
	a.report(flights, statuses)
	survey.Verdicts = a.doubts.Verdicts(items, func(contract string) *relayer.Standing {
		v := views[contract]
		if v.err != nil {
			return nil
		}
		latest := v.latest // whose digest is that of the contract's configuration, also before its first transmission
		return &relayer.Standing{Config: latest.Digest, Digest: latest.Digest, Epoch: latest.Epoch, Round: latest.Round}
	}, head.Time, head.Number < known)
	return survey, nil
}

// read asks a contract. If the contract answers with an error, v has that. A contract of which the node gives no answer
// is asked at any node, and keeps only its own reports waiting if none gives one.
func (v *contractView) read(ctx context.Context, client *endpoint.Client, pool *Pool, contract string) {
	address, err := stark.ParseFelt(contract)
	if err == nil {
		var answer []stark.Felt
		view := func(ctx context.Context, client *endpoint.Client) error {
			answer, err = client.View(ctx, address, aggregator.Selector(aggregator.TransmissionDetailsView))
			return err
		}
		if err = view(ctx, client); err != nil && !relayer.IsAnswered(err) {
			err = pool.Do(ctx, view)
		}
		if err == nil {
			v.latest, err = aggregator.ParseTransmissionDetails(answer)
		}
	}
	v.err = err
}

// outcome says where a flight stands. complete is the nonce after the newest complete block: what it has used stays
// used, since Starknet does not undo those.
func (a *Account) outcome(f relayer.Flight, statuses []endpoint.Status, next, complete uint64) relayer.Outcome {
	for i, s := range statuses {
		if !s.Accepted {
			continue
		}
		outcome := relayer.Outcome{State: relayer.Succeeded, Hash: f.Attempts[i].Hash}
		switch forGood := complete > f.Sequence; {
		case s.Reverted && forGood:
			outcome.State = relayer.RevertedForGood
		case s.Reverted:
			outcome.State = relayer.Reverted
		case forGood:
			outcome.State = relayer.SucceededForGood
		}
		return outcome
	}
	if complete > f.Sequence {
		// An attempt that is on its way may be what used the number: an address may have several nodes, and the one that
		// answers for the attempt may be behind the one that answered for the nonce.
		if slices.ContainsFunc(statuses, func(s endpoint.Status) bool { return s.Known && !s.Rejected }) {
			return relayer.Outcome{}
		}
		return relayer.Outcome{State: relayer.Lost}
	}
	if next != f.Sequence { // only the next in line can be held up by its terms
		return relayer.Outcome{}
	}
	last := len(f.Attempts) - 1
	// A transaction that no node ever had, say of an account without funds, is not better on other terms: it is sent again
	// as it is.
	said, had := a.answer(f.Attempts[last].Hash), slices.ContainsFunc(statuses, func(s endpoint.Status) bool {
		return s.Known
	})
	late := time.Since(f.Attempts[last].Signed) > a.settings.Timeout<<min(last, 6)
	return relayer.Outcome{Stuck: statuses[last].Rejected || said == cheap || late && (had || said == taken)}
}

func (a *Account) answer(hash string) answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.said[hash]
}

// report logs each transaction that had no effect, once, and records what came of the latest.
func (a *Account) report(flights []relayer.Flight, statuses [][]endpoint.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	told := map[string]struct{}{}
	for i, f := range flights {
		for j, attempt := range f.Attempts {
			s := statuses[i][j]
			if s.Accepted && !s.Reverted {
				a.trouble = ""
			}
			if !s.Reverted && !s.Rejected {
				continue
			}
			told[attempt.Hash] = struct{}{}
			if _, known := a.reverted[attempt.Hash]; known {
				continue
			}
			text, what := "a transaction reverted: it paid its fee and had no effect", "reverted"
			if s.Rejected {
				text, what = "a transaction was rejected and is signed again", "was rejected"
			}
			a.trouble = fmt.Sprintf("account %s: its latest transaction, %s, %s: %s", a.settings.Address, attempt.Hash, what,
				s.Reason)
			a.settings.Logger.Error(text, "account", a.settings.Address, "nonce", f.Sequence, "hash", attempt.Hash, "reason",
				s.Reason)
		}
	}
	a.reverted = told
	maps.DeleteFunc(a.said, func(hash string, _ answer) bool {
		return !slices.ContainsFunc(flights, func(f relayer.Flight) bool {
			return slices.ContainsFunc(f.Attempts, func(attempt relayer.Attempt) bool { return attempt.Hash == hash })
		})
	})
}
