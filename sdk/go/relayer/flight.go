package relayer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type flight struct {
	entry[flightRecord]
	sequence uint64
	mined    bool
	taken    bool // the chain has taken the newest attempt
	held     bool // the chain has taken one of the attempts since the queue first knew of the flight
	// the queue made the flight itself and the chain has refused all that it sent: the number is as good as free
	unsent bool
	sent   time.Time // when it was last sent
	lost   time.Time // since when each survey has called it lost; zero: the last one did not
}

// lossPause is for how long surveys must call a flight lost until it is. An address of a provider has several nodes,
// one of which may know that a block used the number and another not yet that this very transaction did. The
// transaction would be sent and paid for twice.
const lossPause = 5 * time.Second

func (f *flight) newest() Attempt { return f.record.Attempts[len(f.record.Attempts)-1] }

// fill takes the free numbers below one in use: a reorganisation took their transactions out for good, and all above
// would wait for ever.
func (q *Queue) fill(ctx context.Context, next uint64) error {
	for free := q.free(next); len(q.flights) > 0 && free < q.flights[len(q.flights)-1].sequence; free = q.free(next) {
		f, err := q.launch(ctx, free, flightRecord{Abandoned: true}, nil)
		if err != nil {
			return err
		}
		if err := q.send(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// advance acts on what the chain says of one flight, and reports whether the flight ended.
func (q *Queue) advance(ctx context.Context, f *flight, outcome Outcome,
	verdicts map[string]Verdict) (ended bool, err error) {
	q.landed(f, outcome)
	switch {
	case outcome.State != Lost:
		f.lost = time.Time{}
	case f.lost.IsZero():
		f.lost = time.Now()
	}
	switch outcome.State {
	case Succeeded, Reverted:
		return false, nil
	case SucceededForGood, RevertedForGood:
		if err := q.settle(ctx, f, outcome, verdicts); err != nil {
			return false, err
		}
		if err := q.land(ctx, f); err != nil {
			return true, err
		}
		if q.settings.Spent != nil && outcome.Fee != nil {
			q.settings.Spent(outcome.Fee)
		}
		return true, nil
	case Lost:
		if !q.settings.Unordered && time.Since(f.lost) < lossPause { // else a repeat has no effect and costs little
			return false, nil
		}
		why := "another transaction took the sequence number of a transaction"
		if q.settings.Unordered {
			why = "a transaction expired before a block included it"
		}
		q.settings.Logger.Warn(why, "account", q.settings.Account, "sequence", f.sequence, "hash", f.newest().Hash)
		return true, q.land(ctx, f) // the item, if any, waits again
	case Pending:
	}
	q.mu.Lock()
	item, waiting := q.items[f.record.Item]
	q.mu.Unlock()
	payload := f.record.Payload
	if waiting && !item.record.Done && verdicts[item.key].Stale == "" && !item.resting() {
		payload = item.item.Payload
	}
	useless := f.record.Abandoned || len(payload) == 0
	switch {
	case useless && q.settings.Unordered:
		return false, nil // it expires, and is lost
	case useless && f.unsent && f == q.flights[len(q.flights)-1]: // no gap, and nothing to pay
		return true, q.land(ctx, f)
	case q.short:
		return false, nil // the better terms of another attempt could be paid even less
	case outcome.Stuck, useless && !f.taken && !f.newest().Fill:
		if useless {
			payload = nil
		}
		return false, q.improve(ctx, f, payload)
	case !f.taken && q.unfunded && time.Since(f.sent) < q.settings.Interval:
		return false, nil // no block brings funds more often than that
	case !f.taken, time.Since(f.sent) >= q.settings.Resend:
		return false, q.resend(ctx, f)
	}
	return false, nil
}

// improve replaces a flight's newest attempt and sends it. If the node refuses to sign it, a filler takes the number.
// If no other attempt can be signed, the newest one is sent again.
func (q *Queue) improve(ctx context.Context, f *flight, payload []byte) error {
	err := q.replace(ctx, f, payload)
	if unsigned(err) && payload != nil && !q.settings.Unordered {
		if failure := q.abandon(ctx, f); failure != nil {
			return failure
		}
		q.mu.Lock()
		item, waiting := q.items[f.record.Item]
		q.mu.Unlock()
		if waiting {
			q.rest(item, err)
		} else {
			q.settings.Logger.Warn("a transaction is given up because the node refuses to sign it again", "account",
				q.settings.Account, "sequence", f.sequence, "reason", err)
		}
		err = q.replace(ctx, f, nil)
	}
	var capped error
	switch {
	// A chain that would refuse the new attempt, or the account that cannot pay for it, says nothing of the earlier one: a
	// node that has dropped it says by its answer what is to become of it.
	case errors.Is(err, ErrCeiling):
		capped, err = err, nil
	case errors.Is(err, ErrUnfunded):
		q.barred = fmt.Sprintf("account %s cannot pay for a better offer in place of its transaction with number %d: %v; "+
			"fund it", q.settings.Account, f.sequence, err)
		err = nil
	case errors.Is(err, ErrRefused):
		err = nil
	case err != nil && !unsigned(err):
		return err
	}
	failure := q.resend(ctx, f)
	// The account tells of what is refused for good or for lack of funds, and the chain of nodes that do not serve.
	if capped != nil && failure != nil && status.Code(failure) != codes.Unavailable &&
		!errors.Is(failure, ErrRefused) && !errors.Is(failure, ErrUnfunded) {
		q.barred = fmt.Sprintf("nodes want more for transaction number %d of account %s, behind which all others wait, than "+
			"may be offered: %v; %v", f.sequence, q.settings.Account, failure, capped)
	}
	return cmp.Or(failure, err)
}

// unsigned reports whether the node refused to sign a transaction, because it knows no reason for it.
func unsigned(err error) bool { return status.Code(err) == codes.PermissionDenied }

// sign has a transaction signed. A filler that is not signed is a trouble of the account: all later numbers wait for
// it.
func (q *Queue) sign(ctx context.Context, draft Draft) (Attempt, error) {
	attempt, err := q.settings.Sender.Sign(ctx, draft)
	attempt.Signed, attempt.Fill = time.Now().UTC(), draft.Payload == nil
	if attempt.Fill && errors.Is(err, ErrUnfunded) && len(draft.Attempts) == 0 { // else it may pay for an earlier one
		q.lack(err)
	}
	if unsigned(err) && attempt.Fill && q.barred == "" {
		q.barred = fmt.Sprintf("the node signs nothing that would free number %d of account %s, behind which all others "+
			"wait: %s", draft.Sequence, q.settings.Account, status.Convert(err).Message())
	}
	return attempt, err
}

// abandon gives up a flight's payload: only a filler may take the number.
func (q *Queue) abandon(ctx context.Context, f *flight) error {
	f.record.Abandoned = true
	if err := put(ctx, q.shelf, &f.entry); err != nil {
		q.doubt()
		return err
	}
	return nil
}

// resend sends the newest attempt. If the chain refuses it for good, it gives up its number at the next step: a
// submitted payload for ever, a report until it has rested.
func (q *Queue) resend(ctx context.Context, f *flight) error {
	err := q.send(ctx, f)
	if !errors.Is(err, ErrRefused) || f.newest().Fill || f.record.Abandoned {
		return err
	}
	if f.record.Item == "" {
		return cmp.Or(q.abandon(ctx, f), err)
	}
	q.mu.Lock()
	item, waiting := q.items[f.record.Item]
	q.mu.Unlock()
	if waiting && !q.settings.Unordered && !errors.Is(err, ErrUnfunded) {
		q.rest(item, err)
		q.Trigger() // to give the number up
		return nil
	}
	return err
}

// settle ends the item of a flight that is in the chain for good.
func (q *Queue) settle(ctx context.Context, f *flight, outcome Outcome, verdicts map[string]Verdict) error {
	q.mu.Lock()
	item, known := q.items[f.record.Item]
	q.mu.Unlock()
	if !known || item.record.Done {
		return nil
	}
	ending := transmitted
	if outcome.State == RevertedForGood {
		ending = reverted
	}
	for _, attempt := range f.record.Attempts {
		if attempt.Hash == outcome.Hash && attempt.Fill {
			ending = stale // the filler took the place of a stale report
		}
	}
	verdict := verdicts[item.key]
	if ending == stale && verdict.Stale == "" {
		return nil // it is not stale any more (the chain was reorganised): it waits again once the flight has landed
	}
	if verdict.Stale != "" {
		if err := q.forget(ctx, item); err != nil {
			return err
		}
	} else {
		done := *item
		done.record = itemRecord{Accepted: item.record.Accepted, Done: true}
		done.item.Payload = nil
		if err := put(ctx, q.shelf, &done.entry); err != nil {
			q.doubt()
			return err
		}
		q.mu.Lock()
		q.items[done.key] = &done
		q.mu.Unlock()
	}
	why := verdict.Stale
	if ending == transmitted {
		why = "" // what makes it stale is this very transmission
	}
	q.ended(item.item, ending, why, outcome.Hash)
	return nil
}

// landed records whether a block has a flight, and reports it when one first does.
func (q *Queue) landed(f *flight, outcome Outcome) {
	mined := outcome.State.Mined()
	news := mined && !f.mined
	f.mined = mined
	q.mu.Lock()
	item, known := q.items[f.record.Item]
	if known {
		item.mined = mined
	}
	q.mu.Unlock()
	filled := slices.ContainsFunc(f.record.Attempts, func(a Attempt) bool { return a.Fill && a.Hash == outcome.Hash })
	if known && news && !filled && !f.sent.IsZero() && q.settings.Landed != nil {
		q.settings.Landed(time.Since(item.record.Accepted))
	}
}

// launch takes a number: the signed transaction is in the Store when it returns. With an error, it returns a flight
// that the Store may hold all the same, so that a later step finds and sends it; nil if the Store does not.
func (q *Queue) launch(ctx context.Context, sequence uint64, record flightRecord, payload []byte) (*flight, error) {
	attempt, err := q.sign(ctx, Draft{Sequence: sequence, Payload: payload})
	if err != nil {
		return nil, fmt.Errorf("sign a transaction with number %d: %w", sequence, err)
	}
	record.Attempts = []Attempt{attempt}
	f := &flight{sequence: sequence, unsent: true,
		entry: entry[flightRecord]{key: q.shelf.flightKey(sequence), record: record}}
	if err := put(ctx, q.shelf, &f.entry); err != nil {
		q.doubt()
		if status.Code(err) == codes.InvalidArgument { // the record is too large for any store
			return nil, err
		}
		return f, err
	}
	q.flights = append(q.flights, f)
	slices.SortFunc(q.flights, func(a, b *flight) int { return cmp.Compare(a.sequence, b.sequence) })
	return f, nil
}

// replace makes a further attempt at a flight's number and stores it.
func (q *Queue) replace(ctx context.Context, f *flight, payload []byte) error {
	attempt, err := q.sign(ctx,
		Draft{Sequence: f.sequence, Payload: payload, Attempts: slices.Clone(f.record.Attempts)})
	if err != nil {
		return fmt.Errorf("replace the transaction with number %d: %w", f.sequence, err)
	}
	changed := f.entry
	changed.record.Attempts = append(slices.Clone(f.record.Attempts), attempt)
	changed.record.Attempts[len(changed.record.Attempts)-2].Raw = nil
	if err := put(ctx, q.shelf, &changed); err != nil {
		q.doubt()
		return err
	}
	f.entry, f.taken = changed, false
	q.settings.Logger.Info("replaced a transaction that was not mined", "account", q.settings.Account, "sequence",
		f.sequence, "hash", attempt.Hash, "attempt", len(changed.record.Attempts), "filler", attempt.Fill)
	return nil
}

func (q *Queue) send(ctx context.Context, f *flight) error {
	f.sent = time.Now()
	err := q.settings.Sender.Send(ctx, f.newest())
	f.taken = err == nil
	f.held = f.held || f.taken
	f.unsent = f.unsent && errors.Is(err, ErrRefused)
	switch {
	case len(f.record.Payload) > 0: // a submitted payload that is too dear says nothing of the others
	case errors.Is(err, ErrUnfunded):
		q.fund(err)
	case f.taken && !q.short:
		q.fund(nil)
	}
	if err != nil {
		return fmt.Errorf("send the transaction with number %d: %w", f.sequence, err)
	}
	return nil
}

// afford records what a survey says of the account's funds. What it does not say, sending may have found out.
func (q *Queue) afford(unfunded string) {
	before := q.short
	q.short = unfunded != ""
	switch {
	case q.short:
		q.lack(errors.New(unfunded))
	case before:
		q.fund(nil)
	}
}

// weigh asks now and then whether an account without funds has been funded, if it has nothing to send: a transaction
// would show it otherwise, and so would a survey that told of the lack.
func (q *Queue) weigh(ctx context.Context, items []*queued) {
	sender, weighs := q.settings.Sender.(Solvent)
	if !weighs || !q.unfunded || q.short || len(q.flights) > 0 || time.Since(q.weighed) < fundsInterval ||
		slices.ContainsFunc(items, func(item *queued) bool { return !item.record.Done }) {
		return
	}
	q.weighed = time.Now()
	if funded, err := sender.Solvent(ctx); err == nil && funded { // a node that fails says so where more depends on it
		q.fund(nil)
	}
}

// lack records that the account cannot pay although no node has said so of a transaction that was sent.
func (q *Queue) lack(why error) {
	q.fund(why)
	q.barred = fmt.Sprintf("account %s cannot pay for its transactions, which wait until it is funded: %v",
		q.settings.Account, why)
}

// fund records why the account cannot pay for its transactions, nil if it can, and tells of it when that changes.
func (q *Queue) fund(lack error) {
	if q.unfunded == (lack != nil) {
		return
	}
	q.unfunded = lack != nil
	if q.unfunded {
		q.settings.Logger.Warn("the account cannot pay for its transactions, which wait until it is funded", "account",
			q.settings.Account, "reason", lack)
	} else {
		q.settings.Logger.Info("the account can pay for its transactions again", "account", q.settings.Account)
	}
	if q.settings.Unfunded != nil {
		q.settings.Unfunded(q.unfunded)
	}
}

// land frees a number.
func (q *Queue) land(ctx context.Context, f *flight) error {
	if err := q.shelf.remove(ctx, f.key, f.version); err != nil {
		q.doubt()
		return err
	}
	q.flights = slices.DeleteFunc(q.flights, func(other *flight) bool { return other == f })
	return nil
}

// next is the lowest number to use, given what a node says.
func (q *Queue) next(claimed uint64) uint64 {
	if claimed < q.floor && time.Since(q.floorAt) < patience {
		return q.floor
	}
	q.floor, q.floorAt = claimed, time.Now()
	return claimed
}

// free is the lowest number from next on that no flight holds.
func (q *Queue) free(next uint64) uint64 {
	for _, f := range q.flights {
		if f.sequence == next {
			next++
		}
	}
	return next
}

func (q *Queue) unmined() int {
	n := 0
	for _, f := range q.flights {
		if !f.mined {
			n++
		}
	}
	return n
}

// view returns the flights as a Survey of some items wants them. plain has the same items in a Survey's form.
func (q *Queue) view(items []*queued, plain []Item) []Flight {
	of := make(map[string]*Item, len(items))
	for i, item := range items {
		of[item.key] = &plain[i]
	}
	flights := make([]Flight, len(q.flights))
	for i, f := range q.flights {
		flights[i] = Flight{Sequence: f.sequence, Attempts: slices.Clone(f.record.Attempts), Item: of[f.record.Item]}
	}
	return flights
}
