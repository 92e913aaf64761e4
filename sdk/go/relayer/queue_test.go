package relayer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// script is a Sender that does as the test says.
type script struct {
	mu       sync.Mutex
	next     uint64
	outcome  Outcome // of every flight
	verdict  Verdict // of every item
	sendErr  error
	sendErrs map[string]error // by hash, before sendErr
	signErr  error
	signErrs map[string]error // by hash, before signErr
	surveyed int
	unfunded string
	sent     []string
	solvent  bool
	weighed  int
}

func (s *script) Solvent(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.weighed++
	return s.solvent, nil
}

func (s *script) Survey(_ context.Context, flights []Flight, items []Item) (Survey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.surveyed++
	survey := Survey{Next: s.next, Unfunded: s.unfunded}
	for _, f := range flights {
		outcome := s.outcome
		outcome.Hash = f.Attempts[len(f.Attempts)-1].Hash
		survey.Outcomes = append(survey.Outcomes, outcome)
	}
	for range items {
		survey.Verdicts = append(survey.Verdicts, s.verdict)
	}
	return survey, nil
}

func (s *script) Sign(_ context.Context, draft Draft) (Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := string(draft.Payload)
	if draft.Payload == nil {
		what = "filler"
	}
	attempt := Attempt{Hash: fmt.Sprintf("%d %s #%d", draft.Sequence, what, len(draft.Attempts)), Raw: []byte("raw")}
	if err, ok := s.signErrs[attempt.Hash]; ok {
		return attempt, err
	}
	return attempt, s.signErr
}

func (s *script) Send(_ context.Context, attempt Attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, attempt.Hash)
	if err, ok := s.sendErrs[attempt.Hash]; ok {
		return err
	}
	return s.sendErr
}

func (s *script) set(change func(*script)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *script) surveys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.surveyed
}

func item(contract string, epoch uint32) Item {
	return Item{Contract: contract, Epoch: epoch, Round: 1, Payload: []byte(fmt.Sprintf("%s/%d", contract, epoch))}
}

func newScripted(t *testing.T, settings QueueSettings) (*Queue, *script, *relayertest.Store) {
	t.Helper()
	sender, store := &script{}, &relayertest.Store{}
	settings.Account, settings.Sender, settings.Store = "a", sender, store
	return NewQueue(settings), sender, store
}

func step(t *testing.T, q *Queue, want string) {
	t.Helper()
	err := q.Step(t.Context())
	if got := fmt.Sprint(err); got != want {
		t.Fatalf("Step: %s, want %s", got, want)
	}
}

func wantSent(t *testing.T, s *script, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	s.sent = nil
}

func add(t *testing.T, q *Queue, items ...Item) {
	t.Helper()
	for _, i := range items {
		if err := q.Add(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQueueSendsTheNewestOfEachContract(t *testing.T) {
	t.Parallel()
	q, s, _ := newScripted(t, QueueSettings{})
	add(t, q, item("x", 1), item("y", 7), item("x", 3), item("x", 2))
	step(t, q, "<nil>")
	wantSent(t, s, "0 y/7 #0", "1 x/3 #0")
	add(t, q, item("x", 4))
	step(t, q, "<nil>")
	wantSent(t, s, "2 x/4 #0")
	s.set(func(s *script) { s.outcome.State, s.next = RevertedForGood, 3 })
	step(t, q, "<nil>") // 3 and 4 reverted: the next older one is not stale and goes
	wantSent(t, s, "3 x/2 #0")
}

func TestQueueKeepsToItsWindow(t *testing.T) {
	t.Parallel()
	q, s, _ := newScripted(t, QueueSettings{Window: 2})
	add(t, q, item("x", 1), item("y", 1), item("z", 1))
	step(t, q, "<nil>")
	wantSent(t, s, "0 x/1 #0", "1 y/1 #0")
	s.set(func(s *script) { s.outcome.State, s.next = Succeeded, 2 })
	step(t, q, "<nil>") // what is in a block does not count
	wantSent(t, s, "2 z/1 #0")
}

func TestQueueReplacesWhatIsStuck(t *testing.T) {
	t.Parallel()
	q, s, store := newScripted(t, QueueSettings{Resend: time.Hour})
	add(t, q, item("x", 1))
	step(t, q, "<nil>")
	step(t, q, "<nil>")
	wantSent(t, s, "0 x/1 #0") // and not again before Resend
	s.set(func(s *script) { s.outcome.Stuck = true })
	step(t, q, "<nil>")
	wantSent(t, s, "0 x/1 #1")
	s.set(func(s *script) { s.verdict.Stale = "another was first" })
	step(t, q, "<nil>")
	wantSent(t, s, "0 filler #2")
	s.set(func(s *script) { s.signErr = ErrCeiling })
	step(t, q, "<nil>")
	wantSent(t, s, "0 filler #2")
	s.set(func(s *script) { s.outcome, s.next, s.signErr = Outcome{State: SucceededForGood}, 1, nil })
	step(t, q, "<nil>")
	if keys := store.Keys(); len(keys) != 0 {
		t.Errorf("the store holds %v", keys)
	}
}

// TestQueueSendsAgainWhatWouldBeRefusedAnew checks that a stuck transaction whose replacement the chain would refuse is
// sent again as it is, and gives its number up once nodes refuse that too.
func TestQueueSendsAgainWhatWouldBeRefusedAnew(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{"it would revert": ErrRefused, "it is too dear": ErrUnfunded} {
		q, s, _ := newScripted(t, QueueSettings{Resend: time.Hour})
		if _, err := q.Submit(t.Context(), []byte("pay")); err != nil {
			t.Fatal(err)
		}
		s.set(func(s *script) {
			s.outcome.Stuck = true
			s.signErrs = map[string]error{"0 pay #1": fmt.Errorf("%w: %s", refusal, name)}
		})
		step(t, q, "<nil>")
		wantSent(t, s, "0 pay #0", "0 pay #0")
		s.set(func(s *script) { s.sendErrs = map[string]error{"0 pay #0": ErrRefused} })
		step(t, q, "send the transaction with number 0: the chain refused the transaction")
		step(t, q, "<nil>")
		wantSent(t, s, "0 pay #0", "0 filler #1")
	}
}

// TestQueueThatCannotPayForABetterOffer checks that a transaction for whose replacement the account lacks funds, a
// report or a filler, is sent again as it is, holds no other up once nodes have it, and is the account's trouble: the
// account pays for what it has sent, and does not count as unfunded.
func TestQueueThatCannotPayForABetterOffer(t *testing.T) {
	t.Parallel()
	told := false
	q, s, _ := newScripted(t, QueueSettings{Resend: time.Hour, Unfunded: func(bool) { told = true }})
	add(t, q, item("x", 1))
	step(t, q, "<nil>")
	s.set(func(s *script) {
		s.outcome.Stuck = true
		s.signErrs = map[string]error{"0 x/1 #1": ErrUnfunded, "0 filler #1": ErrUnfunded}
	})
	add(t, q, item("y", 1))
	step(t, q, "<nil>")
	wantSent(t, s, "0 x/1 #0", "0 x/1 #0", "1 y/1 #0")
	const want = "account a cannot pay for a better offer in place of its transaction with number 0: replace the " +
		"transaction with number 0: the account cannot pay for the transaction; fund it"
	for _, verdict := range []Verdict{{}, {Stale: "another was first"}} {
		s.set(func(s *script) { s.verdict = verdict })
		step(t, q, "<nil>")
		if got := q.Trouble(); got != want || told {
			t.Errorf("the trouble is %q, want %q; told of the account: %t", got, want, told)
		}
	}
	s.set(func(s *script) { s.outcome.Stuck = false })
	step(t, q, "<nil>")
	if got := q.Trouble(); got != "" {
		t.Errorf("blocks take it now, and the trouble is %q", got)
	}
}

// TestQueueBelievesALossThatLasts checks that a transaction is not sent anew when one survey calls it lost, which may
// have asked two nodes that do not know the same, but once surveys go on saying so, and that others go on meanwhile.
func TestQueueBelievesALossThatLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, s, _ := newScripted(t, QueueSettings{Resend: time.Hour})
		add(t, q, item("x", 1))
		step(t, q, "<nil>")
		wantSent(t, s, "0 x/1 #0")
		lost, found := Outcome{State: Lost}, Outcome{State: Succeeded}
		for _, outcome := range []Outcome{lost, found, lost} { // each later than surveys may contradict each other
			s.set(func(s *script) { s.outcome, s.next = outcome, 1 })
			step(t, q, "<nil>")
			time.Sleep(lossPause)
		}
		wantSent(t, s)
		s.set(func(s *script) { s.outcome = Outcome{} })
		step(t, q, "<nil>")
		s.set(func(s *script) { s.outcome = lost })
		add(t, q, item("y", 1))
		step(t, q, "<nil>")
		wantSent(t, s, "1 y/1 #0")
		time.Sleep(lossPause)
		step(t, q, "<nil>")
		wantSent(t, s, "2 x/1 #0")
	})
}

// TestQueueAtTheCeiling checks that what no node takes for its price, while no better price is allowed, is the
// account's trouble until a node takes it, and that a node which fails, or one that refuses it for another reason, is
// not called one that wants more.
func TestQueueAtTheCeiling(t *testing.T) {
	t.Parallel()
	q, s, _ := newScripted(t, QueueSettings{Resend: time.Hour})
	s.set(func(s *script) { s.sendErr = errors.New("transaction underpriced") })
	add(t, q, item("x", 1))
	step(t, q, "send the transaction with number 0: transaction underpriced")
	s.set(func(s *script) { s.outcome.Stuck, s.signErr = true, fmt.Errorf("%w: FeeCapMax is 5", ErrCeiling) })
	const want = "nodes want more for transaction number 0 of account a, behind which all others wait, than may be " +
		"offered: send the transaction with number 0: transaction underpriced; replace the transaction with number 0: " +
		"the transaction already offers the highest fee allowed: FeeCapMax is 5"
	for _, c := range []struct {
		sendErr error
		want    string
	}{
		{errors.New("transaction underpriced"), want}, {status.Error(codes.Unavailable, "no RPC node serves"), ""},
		{errors.New("transaction underpriced"), want}, {ErrUnfunded, ""},
		{errors.New("transaction underpriced"), want}, {nil, ""},
	} {
		s.set(func(s *script) { s.sendErr = c.sendErr })
		if _ = q.Step(t.Context()); q.Trouble() != c.want {
			t.Errorf("with %v the trouble is %q, want %q", c.sendErr, q.Trouble(), c.want)
		}
	}
}

// TestQueueFillsWhatIsNotSignedAgain checks that a replacement that the node refuses to sign gives its number up to a
// filler, and that one for which no filler is signed either goes again as it is and is the account's trouble.
func TestQueueFillsWhatIsNotSignedAgain(t *testing.T) {
	t.Parallel()
	refused := fmt.Errorf("sign: %w", status.Error(codes.PermissionDenied, "no reason is known"))
	q, s, store := newScripted(t, QueueSettings{Resend: time.Hour})
	add(t, q, item("x", 1))
	step(t, q, "<nil>")
	if _, err := q.Submit(t.Context(), []byte("pay")); err != nil {
		t.Fatal(err)
	}
	wantSent(t, s, "0 x/1 #0", "1 pay #0")
	s.set(func(s *script) {
		s.outcome.Stuck = true
		s.signErrs = map[string]error{"0 x/1 #1": refused, "1 pay #1": refused, "1 filler #1": refused}
	})
	step(t, q, "replace the transaction with number 1: sign: rpc error: code = PermissionDenied desc = no reason is known")
	wantSent(t, s, "0 filler #1", "1 pay #0")
	const trouble = "the node signs nothing that would free number 1 of account a, behind which all others wait: "
	if got := q.Trouble(); !strings.HasPrefix(got, trouble) || !strings.HasSuffix(got, "no reason is known") {
		t.Errorf("the trouble is %q", got)
	}
	q = NewQueue(QueueSettings{Account: "a", Store: store, Sender: s, Resend: time.Hour}) // it knows what was given up
	s.set(func(s *script) { s.signErrs = nil })
	step(t, q, "<nil>")
	wantSent(t, s, "0 filler #2", "1 filler #1")
	if got := q.Trouble(); got != "" {
		t.Errorf("the trouble is over and is %q", got)
	}
}

func TestQueueDropsWhatIsStaleBeforeItTakesANumber(t *testing.T) {
	t.Parallel()
	var endings []string
	q, s, store := newScripted(t,
		QueueSettings{Settled: func(i Item, ending string) { endings = append(endings, fmt.Sprint(i.Epoch, " ", ending)) }})
	s.verdict.Wait = true
	add(t, q, item("x", 1))
	step(t, q, "<nil>")
	s.verdict = Verdict{Stale: "another was first"}
	step(t, q, "<nil>")
	wantSent(t, s)
	if diff := cmp.Diff([]string{"1 stale"}, endings); diff != "" || len(store.Keys()) != 0 {
		t.Errorf("endings (-want +got):\n%s and the store holds %v", diff, store.Keys())
	}
}

// TestQueueTellsFees checks that what a transaction cost is reported once, when it is final, also if the transaction
// reverted.
func TestQueueTellsFees(t *testing.T) {
	t.Parallel()
	var spent []int64
	q, s, _ := newScripted(t, QueueSettings{Spent: func(fee *big.Int) { spent = append(spent, fee.Int64()) }})
	for round, ending := range []State{SucceededForGood, RevertedForGood, Lost} {
		add(t, q, item("x", uint32(round)+1))
		s.set(func(s *script) { s.outcome, s.next = Outcome{}, uint64(round) })
		step(t, q, "<nil>")
		s.set(func(s *script) { s.outcome = Outcome{State: Succeeded, Fee: big.NewInt(7)} })
		step(t, q, "<nil>")
		s.set(func(s *script) {
			s.outcome, s.next = Outcome{State: ending, Fee: big.NewInt(int64(round) + 8)}, uint64(round)+1
		})
		step(t, q, "<nil>")
	}
	if diff := cmp.Diff([]int64{8, 9}, spent); diff != "" {
		t.Errorf("fees (-want +got):\n%s", diff)
	}
}

// TestQueueTellsLandings checks that a transaction is reported once when it is in a block, with the time since its
// report was taken over, and that the queue's age is that of the oldest report.
func TestQueueTellsLandings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var landed []time.Duration
		q, s, _ := newScripted(t, QueueSettings{Landed: func(took time.Duration) { landed = append(landed, took) }})
		if age := q.Age(); age != 0 {
			t.Errorf("an empty queue is %s old", age)
		}
		add(t, q, item("x", 1))
		step(t, q, "<nil>")
		time.Sleep(3 * time.Second)
		add(t, q, item("y", 1))
		time.Sleep(time.Second)
		if age := q.Age(); age != 4*time.Second {
			t.Errorf("the queue is %s old", age)
		}
		s.outcome = Outcome{State: Succeeded}
		step(t, q, "<nil>") // it lands, and y is sent
		s.outcome = Outcome{}
		if d := cmp.Diff([]time.Duration{4 * time.Second}, landed); d != "" {
			t.Errorf("landings (-want +got):\n%s", d)
		}
		if age := q.Age(); age != time.Second {
			t.Errorf("with the first report landed the queue is %s old", age)
		}
	})
}

func TestQueueHoldsBackWhileSendingFails(t *testing.T) {
	t.Parallel()
	q, s, store := newScripted(t, QueueSettings{})
	s.sendErr = errors.New("no node serves")
	add(t, q, item("x", 1), item("y", 1))
	step(t, q, "send the transaction with number 0: no node serves")
	step(t, q, "send the transaction with number 0: no node serves")
	wantSent(t, s, "0 x/1 #0", "0 x/1 #0")
	s.sendErr = nil
	// A new generation finds the number taken, and sends what it stored.
	q = NewQueue(QueueSettings{Account: "a", Store: store, Sender: s})
	step(t, q, "<nil>")
	wantSent(t, s, "0 x/1 #0", "1 y/1 #0")
}

// TestQueueSendsOthersWhileOneFails checks that neither a report that the chain refuses for good, at once or when it is
// sent again, nor one that the chain has and that cannot be sent again keeps others from being sent.
func TestQueueSendsOthersWhileOneFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &bytes.Buffer{}
		q, s, store := newScripted(t, QueueSettings{Logger: slog.New(slog.NewTextHandler(log, nil))})
		s.sendErrs = map[string]error{"0 x/1 #0": ErrRefused}
		add(t, q, item("x", 1))
		time.Sleep(time.Second)
		add(t, q, item("y", 1))
		step(t, q, "<nil>")
		wantSent(t, s, "0 x/1 #0", "0 y/1 #0") // the number was never used
		step(t, q, "<nil>")
		wantSent(t, s) // what was refused rests
		if !strings.Contains(log.String(), "contract=x epoch=1 round=1") {
			t.Errorf("the log does not name the report that was refused:\n%s", log)
		}
		add(t, q, item("x", 2))
		step(t, q, "<nil>")
		wantSent(t, s, "1 x/2 #0") // and the feed's next report does not

		time.Sleep(40 * time.Second)
		s.sendErrs = map[string]error{"0 y/1 #0": errors.New("does not take what it has"), "1 x/2 #0": ErrRefused}
		add(t, q, item("z", 1))
		step(t, q, "send the transaction with number 0: does not take what it has")
		wantSent(t, s, "0 y/1 #0", "1 x/2 #0", "2 z/1 #0")
		add(t, q, item("w", 1))
		step(t, q, "send the transaction with number 0: does not take what it has")
		wantSent(t, s, "0 y/1 #0", "1 filler #1", "3 w/1 #0") // somebody may have the number, so that it is used up
		s.outcome.State, s.next, s.sendErrs = SucceededForGood, 4, nil
		step(t, q, "<nil>")
		wantSent(t, s)
		time.Sleep(time.Hour)
		step(t, q, "<nil>")
		wantSent(t, s, "4 x/2 #0") // it has rested
		s.verdict.Stale, s.next = "it is there", 5
		step(t, q, "<nil>")
		if keys := store.Keys(); len(keys) != 0 {
			t.Errorf("the store holds %v", keys)
		}
	})
}

// TestQueueWithoutFunds checks that an account without funds is told of once, sends one transaction now and then as it
// is, and pays for nothing that became stale meanwhile.
func TestQueueWithoutFunds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		log := &bytes.Buffer{}
		q, s, store := newScripted(t, QueueSettings{
			Interval: 5 * time.Second, Unfunded: func(unfunded bool) { told = append(told, unfunded) },
			Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		s.set(func(s *script) { s.sendErr = fmt.Errorf("%w: %w", ErrRefused, ErrUnfunded) })
		add(t, q, item("x", 1))
		q.Start()
		synctest.Wait()
		add(t, q, item("y", 1))
		for range 20 { // blocks
			time.Sleep(500 * time.Millisecond)
			q.Trigger()
		}
		synctest.Wait()
		wantSent(t, s, "0 x/1 #0", "0 x/1 #0", "0 x/1 #0")
		s.set(func(s *script) { s.verdict.Stale = "another was first" })
		q.Trigger()
		synctest.Wait()
		wantSent(t, s)
		if keys := store.Keys(); len(keys) != 0 {
			t.Errorf("the store holds %v, want nothing: no number was used", keys)
		}
		s.set(func(s *script) { s.verdict = Verdict{} })
		add(t, q, item("x", 2))
		synctest.Wait()
		s.set(func(s *script) { s.sendErr = nil })
		time.Sleep(5 * time.Second)
		add(t, q, item("y", 2))
		synctest.Wait()
		wantSent(t, s, "0 x/2 #0", "0 x/2 #0", "1 y/2 #0")
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]bool{true, false}, told); diff != "" || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("told (-want +got):\n%s and the log has\n%s", diff, log)
		}
	})
}

// TestQueueOfAnAccountThatASurveyFindsPoor checks that an account that cannot pay for what nodes have taken is told of
// once, offers no more and sends nothing until it is funded.
func TestQueueOfAnAccountThatASurveyFindsPoor(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		var told []bool
		log := &bytes.Buffer{}
		q, s, _ := newScripted(t, QueueSettings{
			Unordered: unordered, Resend: time.Nanosecond, Unfunded: func(unfunded bool) { told = append(told, unfunded) },
			Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
		add(t, q, item("x", 1))
		step(t, q, "<nil>")
		wantSent(t, s, "0 x/1 #0")
		add(t, q, item("y", 1))
		s.set(func(s *script) { s.outcome.Stuck, s.unfunded = true, "it holds 3 and needs 5" })
		for range 3 {
			step(t, q, "<nil>")
		}
		wantSent(t, s)
		s.set(func(s *script) { s.outcome.Stuck, s.unfunded = false, "" })
		step(t, q, "<nil>")
		wantSent(t, s, "0 x/1 #0", "1 y/1 #0")
		if diff := cmp.Diff([]bool{true, false}, told); diff != "" || strings.Count(log.String(), "\n") != 2 ||
			!strings.Contains(log.String(), "it holds 3 and needs 5") {
			t.Errorf("unordered %v: told (-want +got):\n%s and the log has\n%s", unordered, diff, log)
		}
	}
}

// TestQueueWithNothingToSendAndNoFunds checks that an account without funds stays one while its reports go stale, until
// the chain says otherwise, and that the chain is not asked at each step.
func TestQueueWithNothingToSendAndNoFunds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		q, s, _ := newScripted(t,
			QueueSettings{Unordered: true, Unfunded: func(unfunded bool) { told = append(told, unfunded) }})
		add(t, q, item("x", 1))
		step(t, q, "<nil>")
		s.set(func(s *script) {
			s.outcome, s.verdict, s.unfunded = Outcome{State: Lost}, Verdict{Stale: "another was first"}, "no coin"
		})
		step(t, q, "<nil>")
		asked := s.surveys()
		for range 9 {
			time.Sleep(fundsInterval / 10)
			step(t, q, "<nil>")
		}
		if got := q.Trouble(); s.surveys() != asked || !strings.HasSuffix(got, "no coin") {
			t.Errorf("%d surveys, want %d; the trouble is %q", s.surveys(), asked, got)
		}
		s.set(func(s *script) { s.unfunded = "" })
		time.Sleep(fundsInterval / 10)
		step(t, q, "<nil>")
		if got := q.Trouble(); got != "" {
			t.Errorf("once funded, the trouble is %q", got)
		}
		if diff := cmp.Diff([]bool{true, false}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// TestQueueLearnsThatItsAccountIsFunded checks that an account that was refused for lack of funds, and has nothing to
// send since, counts as funded once the sender says so, and that the sender is not asked at each step.
func TestQueueLearnsThatItsAccountIsFunded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		q, s, _ := newScripted(t, QueueSettings{Unfunded: func(unfunded bool) { told = append(told, unfunded) }})
		add(t, q, item("z", 1))
		step(t, q, "<nil>")
		s.set(func(s *script) { s.outcome, s.next = Outcome{State: RevertedForGood}, 1 })
		step(t, q, "<nil>") // z is kept, since the contract does not show it
		s.set(func(s *script) { s.outcome, s.sendErr = Outcome{}, fmt.Errorf("%w: %w", ErrRefused, ErrUnfunded) })
		add(t, q, item("x", 1))
		const refusal = "send the transaction with number 1: the chain refused the transaction: the account cannot pay for " +
			"the transaction"
		step(t, q, refusal)
		time.Sleep(fundsInterval)
		step(t, q, refusal) // which shows it
		s.set(func(s *script) { s.verdict.Stale = "another was first" })
		step(t, q, "<nil>")
		s.set(func(s *script) { s.verdict = Verdict{} })
		if s.weighed != 0 || len(q.flights) != 0 {
			t.Fatalf("asked %d times, and %d transactions are under way", s.weighed, len(q.flights))
		}
		for range 20 {
			step(t, q, "<nil>")
			time.Sleep(fundsInterval / 10)
		}
		if s.weighed != 2 || len(told) != 1 {
			t.Errorf("asked %d times in twice the interval, and told %v", s.weighed, told)
		}
		s.set(func(s *script) { s.solvent = true })
		step(t, q, "<nil>")
		time.Sleep(fundsInterval)
		step(t, q, "<nil>")
		if diff := cmp.Diff([]bool{true, false}, told); diff != "" || s.weighed != 3 {
			t.Errorf("told (-want +got):\n%s and asked %d times", diff, s.weighed)
		}
	})
}

// TestQueueRestsWhatIsNotSigned checks that a report that the chain would refuse, or that the node does not sign, is
// not tried again at each block, and that one for which the account lacks funds is told of.
func TestQueueRestsWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		q, s, _ := newScripted(t, QueueSettings{Unfunded: func(unfunded bool) { told = append(told, unfunded) }})
		s.signErrs = map[string]error{
			"0 x/1 #0": fmt.Errorf("%w: it would revert", ErrRefused), "0 z/1 #0": status.Error(codes.PermissionDenied, "no"),
		}
		add(t, q, item("x", 1), item("z", 1))
		step(t, q, "<nil>")
		add(t, q, item("y", 1))
		step(t, q, "<nil>")
		wantSent(t, s, "0 y/1 #0")
		s.signErrs = nil
		step(t, q, "<nil>")
		wantSent(t, s)
		time.Sleep(firstPause)
		step(t, q, "<nil>")
		wantSent(t, s, "0 y/1 #0", "1 x/1 #0", "2 z/1 #0")
		s.signErrs = map[string]error{"3 w/1 #0": ErrUnfunded}
		add(t, q, item("w", 1), item("w2", 1))
		step(t, q, "sign a transaction with number 3: the account cannot pay for the transaction")
		wantSent(t, s)
		s.signErrs = nil
		step(t, q, "<nil>")
		wantSent(t, s, "3 w/1 #0", "4 w2/1 #0")
		if diff := cmp.Diff([]bool{true, false}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// TestQueueRemembersWhatRests checks that a report that was refused rests although its Add ends only after that, or the
// Store is read once more.
func TestQueueRemembersWhatRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, s, store := newScripted(t, QueueSettings{})
		s.signErrs = map[string]error{"0 x/1 #0": ErrRefused}
		store.After = func(string) error {
			store.After = nil
			return q.Step(t.Context())
		}
		add(t, q, item("x", 1))
		s.signErrs = nil
		step(t, q, "<nil>")
		wantSent(t, s)
		q.doubt()
		step(t, q, "<nil>")
		wantSent(t, s)
		time.Sleep(firstPause)
		step(t, q, "<nil>")
		wantSent(t, s, "0 x/1 #0")
	})
}

// TestQueueThatFailsSkipsBlocks checks that blocks make a queue whose steps fail try again sooner than it would without
// them, but not at each block of a fast chain.
func TestQueueThatFailsSkipsBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, s, _ := newScripted(t, QueueSettings{})
		s.set(func(s *script) { s.sendErr = errors.New("txpool is full") })
		add(t, q, item("x", 1))
		q.Start()
		for range 10 * 60 {
			q.Trigger()
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.surveys(); n < 55 || n > 65 {
			t.Errorf("%d steps in a minute of 600 blocks, want about one a second", n)
		}
		s.set(func(s *script) { s.sendErr = nil })
		time.Sleep(time.Second)
		before := s.surveys()
		for range 10 {
			q.Trigger()
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.surveys() - before; n != 10 {
			t.Errorf("%d steps in 10 blocks, now that they succeed", n)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestQueueTellsATroubleOnce checks that a trouble which lasts has one line in the log, and its end another.
func TestQueueTellsATroubleOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &bytes.Buffer{}
		q, s, _ := newScripted(t, QueueSettings{Logger: slog.New(slog.NewTextHandler(log, nil))})
		s.set(func(s *script) { s.sendErr = errors.New("no node serves") })
		add(t, q, item("x", 1))
		q.Start()
		time.Sleep(time.Minute)
		s.set(func(s *script) { s.sendErr = nil })
		time.Sleep(time.Minute)
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 {
			t.Errorf("%d lines, want the trouble and its end:\n%s", lines, log)
		}
	})
}

func TestUnorderedQueueNeedsNoFillers(t *testing.T) {
	t.Parallel()
	q, s, store := newScripted(t, QueueSettings{Unordered: true})
	add(t, q, item("x", 1))
	step(t, q, "<nil>")
	add(t, q, item("y", 1))
	step(t, q, "<nil>")
	wantSent(t, s, "0 x/1 #0", "1 y/1 #0")
	first := q.flights[0]
	if err := q.land(t.Context(), first); err != nil { // the first ends before the second, which leaves a gap
		t.Fatal(err)
	}
	delete(q.items, first.record.Item)
	s.verdict.Stale, s.outcome.Stuck = "another was first", true
	step(t, q, "<nil>")
	wantSent(t, s)
	s.outcome = Outcome{State: Lost}
	step(t, q, "<nil>") // its time is over
	wantSent(t, s)
	if keys := store.Keys(); len(keys) != 1 { // the item that the test took out of memory alone
		t.Errorf("the store holds %v", keys)
	}
	s.verdict, s.outcome = Verdict{}, Outcome{}
	add(t, q, item("z", 1))
	step(t, q, "<nil>")
	s.outcome = Outcome{State: Lost}
	step(t, q, "<nil>") // what expired and is not stale goes again
	wantSent(t, s, "0 z/1 #0", "0 z/1 #0")
}

// TestUnorderedQueueHoldsNoOtherUp checks that neither what is refused at once nor what is refused again keeps other
// contracts' reports from being sent.
func TestUnorderedQueueHoldsNoOtherUp(t *testing.T) {
	t.Parallel()
	q, s, _ := newScripted(t, QueueSettings{Unordered: true})
	s.sendErr = ErrRefused
	add(t, q, item("x", 1), item("y", 1))
	step(t, q, "send the transaction with number 0: the chain refused the transaction")
	wantSent(t, s, "0 x/1 #0", "1 y/1 #0")
	add(t, q, item("z", 1))
	step(t, q, "send the transaction with number 0: the chain refused the transaction")
	wantSent(t, s, "0 x/1 #0", "1 y/1 #0", "2 z/1 #0")
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	q, s, store := newScripted(t, QueueSettings{})
	s.next = 5
	hash, err := q.Submit(t.Context(), []byte("coins"))
	if hash != "5 coins #0" || err != nil {
		t.Errorf("Submit = %q, %v", hash, err)
	}
	s.sendErr = fmt.Errorf("%w: insufficient funds", ErrRefused)
	if _, err := q.Submit(t.Context(), []byte("too many coins")); !errors.Is(err, ErrRefused) {
		t.Errorf("a refused payload: %v", err)
	}
	if keys := store.Keys(); len(keys) != 1 {
		t.Errorf("the store holds %v, want the first alone: the refused number is free", keys)
	}
	s.sendErr = errors.New("maybe")
	hash, err = q.Submit(t.Context(), []byte("more coins"))
	if hash != "6 more coins #0" || err != nil {
		t.Errorf("Submit with an unknown outcome = %q, %v: it is stored and sent again", hash, err)
	}
	s.sent, s.sendErr = nil, fmt.Errorf("%w: insufficient funds", ErrRefused)
	_ = q.Step(t.Context())
	_ = q.Step(t.Context())
	wantSent(t, s, "6 more coins #0", "6 filler #1") // its number holds up others: a filler takes it
}

// TestSubmitThatMayStillBeSent checks that Submit names the transaction when it does not hear whether the Store took
// it, since a later step finds and sends it, and that it does not when the Store cannot have taken it.
func TestSubmitThatMayStillBeSent(t *testing.T) {
	t.Parallel()
	q, s, store := newScripted(t, QueueSettings{})
	const want = "it may still be sent, as 0 coins #0: look for that on the chain before you submit it again"
	store.After = func(method string) error {
		if method != "Put" {
			return nil
		}
		return status.Error(codes.Unavailable, "the reply was lost")
	}
	if _, err := q.Submit(t.Context(), []byte("coins")); !strings.HasSuffix(fmt.Sprint(err), want) ||
		status.Code(err) != codes.Unavailable {
		t.Errorf("a lost reply: %v, want that %s", err, want)
	}
	store.After = nil
	step(t, q, "<nil>")
	wantSent(t, s, "0 coins #0")
	if _, err := q.Submit(t.Context(), make([]byte, maxValue)); status.Code(err) != codes.InvalidArgument ||
		strings.Contains(fmt.Sprint(err), "may still be sent") {
		t.Errorf("too large: %v", err)
	}
}

func TestAddTellsWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	q, _, store := newScripted(t, QueueSettings{})
	for name, c := range map[string]Item{
		"slash":   {Contract: "a/b", Payload: []byte("x")},
		"nothing": {Contract: "a"},
		"large":   {Contract: "a", Payload: make([]byte, maxValue)},
	} {
		if err := q.Add(t.Context(), c); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	store.After = func(string) error { return status.Error(codes.Unavailable, "the reply was lost") }
	if err := q.Add(t.Context(), item("x", 1)); status.Code(err) != codes.Unavailable {
		t.Errorf("a lost reply: %v", err)
	}
	store.After = nil
	add(t, q, item("x", 1), item("x", 1)) // the host tries again
	step(t, q, "<nil>")
	if n := len(store.Keys()); n != 2 {
		t.Errorf("the store holds %d entries, want the report and its number", n)
	}
}

// The host ends what a plugin asks of it a moment before the plugin's own call ends: the caller hears whose time was
// over.
func TestAddSaysThatItsCallEnded(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]codes.Code{
		codes.Internal:         codes.Unavailable,
		codes.DeadlineExceeded: codes.DeadlineExceeded,
		codes.Canceled:         codes.Canceled,
	} {
		q, _, store := newScripted(t, QueueSettings{})
		store.After = func(string) error { return status.Error(code, "the reply was lost") }
		if err := q.Add(t.Context(), item("x", 1)); status.Code(err) != want {
			t.Errorf("a reply lost as %s: %v; want %s", code, err, want)
		}
	}
}

func TestQueueRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, s, store := newScripted(t, QueueSettings{Interval: time.Minute})
		var back atomic.Bool
		store.Before = func(string) error {
			if !back.Load() {
				return status.Error(codes.Unavailable, "the host restarts")
			}
			return nil
		}
		q.Start()
		time.Sleep(time.Second)
		back.Store(true)
		time.Sleep(20 * time.Second)
		add(t, q, item("x", 1))
		synctest.Wait()
		wantSent(t, s, "0 x/1 #0")
		surveyed := s.surveys()
		time.Sleep(2*time.Minute + time.Second)
		if n := s.surveys() - surveyed; n != 2 {
			t.Errorf("%d surveys in two minutes, want 2", n)
		}
		s.set(func(s *script) { s.outcome.State, s.verdict.Stale = SucceededForGood, "it is there" })
		q.Trigger()
		synctest.Wait()
		surveyed = s.surveys()
		time.Sleep(time.Hour)
		if n := s.surveys() - surveyed; n != 0 {
			t.Errorf("%d surveys with nothing to do", n)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestUnreadableRecords(t *testing.T) {
	t.Parallel()
	q, s, store := newScripted(t, QueueSettings{})
	store.Corrupt("transmit/a/item/x/no digest", []byte("{}"))
	store.Corrupt(q.shelf.itemKey(item("x", 9)), []byte("no JSON"))
	add(t, q, item("x", 1))
	step(t, q, "<nil>")
	wantSent(t, s, "0 x/1 #0")
	store.Corrupt(q.shelf.flightKey(5), []byte("{}"))
	q = NewQueue(QueueSettings{Account: "a", Store: store, Sender: s})
	step(t, q, "transmit/a/flight/0000000000000005 in the store has no attempt")
	wantSent(t, s)
}
