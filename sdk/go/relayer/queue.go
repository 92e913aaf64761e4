package relayer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// QueueSettings configure a Queue. Account, Store and Sender are required.
type QueueSettings struct {
	// Account as the chain writes it, without a slash.
	Account string
	Store   hostservicev1.StoreServiceClient
	Sender  Sender
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Window is the largest number of transactions that are sent and not in a block; 0 means 16, which is what
	// go-ethereum's pool keeps of one account when it is full (its AccountSlots).
	Window int
	// Unordered says that transactions of the chain need no sequence numbers and expire by themselves (Solana). Then a
	// number only names a flight, gaps do not matter, there are no fillers, and a refused transaction delays no other.
	Unordered bool
	// Interval is how often the chain is asked while anything is unfinished and there is no trigger; 0 means 5 s.
	Interval time.Duration
	// Resend is how long a transaction that the chain accepted may stay out of blocks before it is sent again; 0 means
	// 30 s.
	Resend time.Duration
	// Settled, if set, is called with how each item ended: "transmitted", "reverted" or "stale". It must not block.
	Settled func(item Item, ending string)
	// Landed, if set, is called with the time between the queue's acceptance of an item and the block with its
	// transaction, for items that this queue and not an earlier one has sent. It must not block.
	Landed func(took time.Duration)
	// Spent, if set, is called with the cost of each transaction that is final, even if it had no effect. It must not
	// block.
	Spent func(fee *big.Int)
	// Depth, if set, is called with the number of waiting items and of unfinished flights. It must not block.
	Depth func(waiting, flying int)
	// Unfunded, if set, is called when the account begins to lack funds for its transactions, and when it has them
	// again. It must not block.
	Unfunded func(unfunded bool)
}

// Queue turns accepted reports into transactions of one account, in the order of its sequence numbers, even if
// processes end in between. All feeds of an account share one Queue, because two would race for numbers.
//
// It guarantees:
//   - An item that Add accepted is sent, or was found stale, even if any process ends at any moment.
//   - A sequence number is stored with its signed transaction before that is sent. Numbers leave no gaps, and an item
//     never holds two numbers that can both be used.
//   - An item that became stale before it took a number is never sent. If it became stale later, a filler replaces it
//     when it stays out of blocks, or it gives its number back if no node ever accepted it.
//   - A report that the chain refuses, or that the node refuses to sign, delays no other report. A report that is
//     refused for lack of funds is sent again unchanged.
type Queue struct {
	settings QueueSettings
	shelf    shelf
	trigger  chan struct{}
	cancel   context.CancelFunc
	done     chan struct{}

	// stepping is held while the chain is asked and flights change; a channel, so that waiting for it obeys contexts.
	stepping chan struct{}
	flights  []*flight // by sequence; guarded by stepping
	floor    uint64    // the largest Next that was seen; guarded by stepping
	floorAt  time.Time
	unfunded bool      // guarded by stepping
	weighed  time.Time // when the Sender was last asked whether that is over; guarded by stepping
	short    bool      // the last survey said that the account is unfunded; guarded by stepping
	surveyed time.Time // the last survey that was answered; guarded by stepping
	barred   string    // the trouble that this step has found; guarded by stepping

	mu     sync.Mutex
	items  map[string]*queued
	loaded bool // false: the Store may hold what memory does not
	epoch  int  // counts the calls of doubt, so that a load under way notices one
	// trouble is what the last step that got an answer from the chain has found
	trouble string
}

// The pauses of an item that the chain refused: the chain may change its mind, and each try costs a signature.
const (
	firstPause   = time.Minute
	longestPause = 15 * time.Minute
)

// patience is how long a node may claim a lower sequence number than was seen before it is believed: a node that lags
// says so for seconds, a chain that was reorganised goes on saying it.
const patience = time.Minute

// leastPause is how soon after a step that failed the next is made at the earliest, whatever the news: a chain may make
// a block each quarter of a second, and each step asks and sends much.
const leastPause = time.Second

// fundsInterval is how often an account without funds is looked at while it has nothing to send.
const fundsInterval = 10 * time.Second

// NewQueue makes a queue. The queue does nothing until Start.
func NewQueue(settings QueueSettings) *Queue {
	if settings.Logger == nil {
		settings.Logger = slog.New(slog.DiscardHandler)
	}
	settings.Window = cmp.Or(settings.Window, 16)
	settings.Interval = cmp.Or(settings.Interval, 5*time.Second)
	settings.Resend = cmp.Or(settings.Resend, 30*time.Second)
	return &Queue{
		settings: settings,
		shelf:    newShelf(settings.Store, settings.Account, settings.Logger),
		trigger:  make(chan struct{}, 1),
		stepping: make(chan struct{}, 1),
		items:    map[string]*queued{},
	}
}

// Start begins to process what the Store holds and what Add brings, until Close.
func (q *Queue) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel, q.done = cancel, make(chan struct{})
	go q.run(ctx)
}

// Close stops the work and waits for its end. Nothing is lost: the next Queue of the account continues from the Store.
func (q *Queue) Close() error {
	if q.cancel != nil {
		q.cancel()
		<-q.done
	}
	return nil
}

// Trigger asks the queue to look at the chain now, because there is news.
func (q *Queue) Trigger() {
	select {
	case q.trigger <- struct{}{}:
	default: // one is asked for already
	}
}

// Add accepts an item: it is in the Store when Add returns nil. A repeated Add has no effect. It never waits for the
// chain.
//
// Errors are statuses: INVALID_ARGUMENT (the Store cannot hold the item), UNAVAILABLE (the Store does not answer),
// DEADLINE_EXCEEDED and CANCELLED (the call ended first; the host ends its part a moment before ctx does).
func (q *Queue) Add(ctx context.Context, item Item) error {
	if item.Contract == "" || strings.Contains(item.Contract, "/") || len(item.Payload) == 0 {
		return status.Errorf(codes.InvalidArgument,
			"a transmission needs a contract without slashes and a payload, got contract %q and %d bytes", item.Contract,
			len(item.Payload))
	}
	added := &queued{item: item, entry: entry[itemRecord]{
		key:    q.shelf.itemKey(item),
		record: itemRecord{Payload: item.Payload, Accepted: time.Now().UTC()},
	}}
	q.mu.Lock()
	_, known := q.items[added.key]
	q.mu.Unlock()
	if known {
		return nil
	}
	switch err := put(ctx, q.shelf, &added.entry); status.Code(err) {
	case codes.OK:
		q.mu.Lock()
		if _, known := q.items[added.key]; !known { // else a step has read it from the Store meanwhile, and gone on with it
			q.items[added.key] = added
		}
		q.mu.Unlock()
	case codes.Aborted: // it was there: an earlier call's answer was lost, or an earlier process took it
		q.doubt()
	case codes.InvalidArgument:
		return err
	default: // the Store may have it all the same
		q.doubt()
		code := status.Code(err)
		if code != codes.DeadlineExceeded && code != codes.Canceled {
			code = codes.Unavailable
		}
		return status.Errorf(code,
			"keep the report of epoch %d round %d for %s: %v; libocr's other oracles transmit it meanwhile",
			item.Epoch, item.Round, item.Contract, err)
	}
	q.Trigger()
	return nil
}

// Submit sends a payload that is not a report, once, and returns the transaction's hash. The transaction is in the
// Store before it is sent. If the chain refuses the payload, Submit gives up, and the error wraps ErrRefused. If the
// Store may hold the transaction although it did not say so, the error has the hash under which it may still be sent.
func (q *Queue) Submit(ctx context.Context, payload []byte) (hash string, err error) {
	if len(payload) == 0 {
		return "", errors.New("submit a transaction: the payload is empty")
	}
	if err := q.enter(ctx); err != nil {
		return "", fmt.Errorf("submit a transaction: wait for the account's queue: %w", err)
	}
	defer q.leave()
	if err := q.load(ctx); err != nil {
		return "", fmt.Errorf("submit a transaction: %w", err)
	}
	survey, err := q.settings.Sender.Survey(ctx, q.view(nil, nil), nil)
	if err != nil {
		return "", fmt.Errorf("submit a transaction: ask the chain for the account's state: %w", err)
	}
	f, err := q.launch(ctx, q.free(q.next(survey.Next)), flightRecord{Payload: payload}, payload)
	switch {
	case err != nil && f != nil:
		return "", fmt.Errorf("submit a transaction: %w; it may still be sent, as %s: look for that on the chain before you "+
			"submit it again", err, f.newest().Hash)
	case err != nil:
		return "", fmt.Errorf("submit a transaction: %w", err)
	}
	hash = f.newest().Hash
	if err := q.send(ctx, f); errors.Is(err, ErrRefused) {
		// No node has it, so the number is free again. If the removal fails, the next step finds it refused and fills it.
		if removal := q.land(ctx, f); removal != nil {
			q.settings.Logger.Warn("the sequence number of a refused transaction is taken until it is filled",
				"sequence", f.sequence, "error", removal)
		}
		return "", fmt.Errorf("submit a transaction: %w", err)
	}
	q.Trigger()
	return hash, nil
}

// run steps when triggered, at an interval while anything is unfinished, and after a delay that grows while steps fail.
func (q *Queue) run(ctx context.Context) {
	defer close(q.done)
	retry := &backoff.ExponentialBackOff{InitialInterval: 250 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2,
		MaxInterval: 15 * time.Second}
	retry.Reset()
	told := "" // the trouble that was logged last
	for ctx.Err() == nil {
		pause, deaf := q.settings.Interval, time.Duration(0)
		switch err := q.Step(ctx); {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrUnfunded): // it was logged when it began
		case err != nil:
			pause = retry.NextBackOff()
			deaf = min(pause, leastPause)
			if told != err.Error() {
				told = err.Error()
				q.settings.Logger.Warn("the transmission queue failed and tries again", "account", q.settings.Account,
					"pause", pause, "error", err)
			}
		default:
			retry.Reset()
			if told != "" {
				told = ""
				q.settings.Logger.Info("the transmission queue works again", "account", q.settings.Account)
			}
		}
		within(ctx, deaf, nil)
		within(ctx, pause-deaf, q.trigger)
	}
}

// within waits for a time, or until there is a trigger or ctx ends.
func within(ctx context.Context, pause time.Duration, trigger <-chan struct{}) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-trigger:
	case <-timer.C:
	}
}

// Step does all work that is due: it asks the chain about everything unfinished, settles what ended, drops what is
// stale, replaces what is stuck and sends what waits. Start calls it; tests may.
func (q *Queue) Step(ctx context.Context) error {
	if err := q.enter(ctx); err != nil {
		return err
	}
	defer q.leave()
	if err := q.load(ctx); err != nil {
		return err
	}
	items := q.snapshot()
	q.weigh(ctx, items)
	if len(items) == 0 && len(q.flights) == 0 && (!q.short || time.Since(q.surveyed) < fundsInterval) {
		if !q.short {
			q.barred = ""
		}
		q.report()
		return nil
	}
	q.barred = ""
	plain := make([]Item, len(items))
	for i, item := range items {
		plain[i] = item.item
	}
	survey, err := q.settings.Sender.Survey(ctx, q.view(items, plain), plain)
	if err != nil {
		return fmt.Errorf("ask the chain for the account's state: %w", err)
	}
	if len(survey.Outcomes) != len(q.flights) || len(survey.Verdicts) != len(items) {
		return fmt.Errorf("the chain's survey answers %d flights of %d and %d items of %d", len(survey.Outcomes),
			len(q.flights), len(survey.Verdicts), len(items))
	}
	q.surveyed = time.Now()
	q.afford(survey.Unfunded)
	next := q.next(survey.Next)
	verdicts := make(map[string]Verdict, len(items))
	for i, item := range items {
		verdicts[item.key] = survey.Verdicts[i]
	}
	defer q.report()

	var failures []error
	flying := map[string]*flight{} // by item
	for i, f := range slices.Clone(q.flights) {
		ended, err := q.advance(ctx, f, survey.Outcomes[i], verdicts)
		if err != nil {
			if !q.sure() { // memory and Store may differ: nothing more before it is read again
				return err
			}
			failures = append(failures, err)
		}
		if !ended && f.record.Item != "" {
			flying[f.record.Item] = f
		}
	}
	if err := q.drop(ctx, items, verdicts, flying); err != nil {
		return err
	}
	if q.blocked(next) { // an item that cannot be sent now would only lengthen the row
		return first(failures)
	}
	more, err := q.begin(ctx, next, q.candidates(items, verdicts, flying))
	if err != nil {
		return err
	}
	if !q.settings.Unordered {
		if err := q.fill(ctx, next); err != nil {
			return err
		}
	}
	return first(append(failures, more...))
}

// begin sends items, each at a sequence number of its own, as many as the window takes. It returns the errors of those
// that hold no other up, and the one behind which none can be sent.
func (q *Queue) begin(ctx context.Context, next uint64, items []*queued) (failures []error, _ error) {
	for _, item := range items {
		if q.unmined() >= q.settings.Window {
			break
		}
		f, err := q.launch(ctx, q.free(next), flightRecord{Item: item.key}, item.item.Payload)
		switch {
		case err != nil && !q.sure():
			return nil, err
		case errors.Is(err, ErrUnfunded):
			q.lack(err)
			return nil, err
		case errors.Is(err, ErrRefused), unsigned(err): // each try costs the chain's nodes or the node a question
			q.rest(item, err)
			continue
		case err != nil: // this one cannot be signed; others may
			failures = append(failures, err)
			continue
		}
		err = q.send(ctx, f)
		switch {
		case err == nil:
			continue
		case q.settings.Unordered: // others do not stand behind it
		case errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnfunded): // it refuses only this one
			q.rest(item, err)
			if err := q.land(ctx, f); err != nil {
				return nil, err
			}
			continue
		default:
			return nil, err
		}
		failures = append(failures, err)
	}
	return failures, nil
}

// blocked reports whether nothing more can be sent: the account cannot pay, or no node has taken one of its
// transactions, so that those behind it could not be mined.
func (q *Queue) blocked(next uint64) bool {
	return q.short || !q.settings.Unordered && slices.ContainsFunc(q.flights, func(f *flight) bool {
		return f.sequence >= next && !f.mined && (!f.held || !f.taken && q.unfunded)
	})
}

func first(failures []error) error {
	if len(failures) > 0 {
		return failures[0]
	}
	return nil
}

// Age returns for how long the oldest item that is in no block has been in the queue; 0 if there is none.
func (q *Queue) Age() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	var age time.Duration
	for _, item := range q.items {
		if !item.record.Done && !item.mined {
			age = max(age, time.Since(item.record.Accepted))
		}
	}
	return age
}

// load reads the Store if memory may differ from it.
func (q *Queue) load(ctx context.Context) error {
	q.mu.Lock()
	loaded, epoch := q.loaded, q.epoch
	q.mu.Unlock()
	if loaded {
		return nil
	}
	items, flights, err := q.shelf.load(ctx)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = mergeItems(q.items, items)
	q.flights = flights
	q.loaded = q.epoch == epoch // otherwise it is read once more
	return nil
}

// doubt makes the next step read the Store again: a write's outcome is not known.
func (q *Queue) doubt() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.loaded = false
	q.epoch++
}

func (q *Queue) sure() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.loaded
}

// Trouble says in one sentence why the account makes no progress although the chain would accept its transactions;
// empty if it makes progress.
func (q *Queue) Trouble() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.trouble
}

// report reports the state of the queue after a step.
func (q *Queue) report() {
	q.mu.Lock()
	q.trouble = q.barred
	q.mu.Unlock()
	if q.settings.Depth == nil {
		return
	}
	flying := map[string]bool{}
	for _, f := range q.flights {
		flying[f.record.Item] = true
	}
	waiting := 0
	for _, item := range q.snapshot() {
		if !item.record.Done && !flying[item.key] {
			waiting++
		}
	}
	q.settings.Depth(waiting, len(q.flights))
}

func (q *Queue) enter(ctx context.Context) error {
	select {
	case q.stepping <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *Queue) leave() { <-q.stepping }
