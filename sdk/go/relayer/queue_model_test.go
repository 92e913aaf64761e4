package relayer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"
)

// confirmations is how many blocks, its own included, make a block of the model final.
const confirmations = 3

// modelTx is a transaction of the model: what Attempt.Raw encodes.
type modelTx struct {
	Hash     string
	Sequence uint64
	Fee      int
	Report   string // the report's name, empty for fillers and for others' transactions
	Bad      bool   // reverts whatever the contract's state
	Unfit    bool   // no node ever takes it
	foreign  bool   // takes one of our account's numbers without the queue's knowledge
	transmit *Item  // another oracle's transmission
	digest   *byte  // a new configuration
}

// modelChain is a chain of one account and contracts that accept growing (epoch, round). It is derived from its blocks,
// so that taking blocks off is a reorganisation.
type modelChain struct {
	blocks  [][]modelTx
	pool    map[uint64]modelTx
	reports map[string]modelReport
	stuck   bool // what the sender says of transactions that are next to be mined
	poor    bool // nobody takes anything for lack of funds
	signed  int
	fuse    func(call string, before bool) error
}

type modelReport struct {
	item       Item
	bad, unfit bool
}

type modelState struct {
	next   uint64
	latest map[string]Item // by contract
	digest byte
	mined  map[string]bool // by hash: whether it succeeded
	height map[string]int
	sent   map[string]int // by report: how many of its transactions are in blocks
}

func (c *modelChain) state(blocks int) modelState {
	s := modelState{latest: map[string]Item{}, mined: map[string]bool{}, height: map[string]int{}, sent: map[string]int{}}
	for height, block := range c.blocks[:blocks] {
		for _, tx := range block {
			switch {
			case tx.foreign:
				s.next++
			case tx.transmit != nil:
				if age(s.latest[tx.transmit.Contract], *tx.transmit) < 0 {
					s.latest[tx.transmit.Contract] = *tx.transmit
				}
			case tx.digest != nil:
				s.digest = *tx.digest
				s.latest = map[string]Item{}
			default:
				s.next++
				s.height[tx.Hash] = height
				ok := true
				if tx.Report != "" {
					report := c.reports[tx.Report]
					s.sent[tx.Report]++
					ok = !tx.Bad && report.item.Digest[0] == s.digest && age(s.latest[report.item.Contract], report.item) < 0
					if ok {
						s.latest[report.item.Contract] = report.item
					}
				}
				s.mined[tx.Hash] = ok
			}
		}
	}
	return s
}

func (s modelState) stale(i Item) string {
	if i.Digest[0] != s.digest {
		return "another configuration"
	}
	if age(s.latest[i.Contract], i) >= 0 {
		return "a newer transmission"
	}
	return ""
}

func (c *modelChain) Survey(_ context.Context, flights []Flight, items []Item) (Survey, error) {
	if err := c.fuse("Survey", true); err != nil {
		return Survey{}, err
	}
	now, final := c.state(len(c.blocks)), c.state(max(0, len(c.blocks)-confirmations))
	survey := Survey{Next: now.next}
	for _, f := range flights {
		outcome := Outcome{}
		for _, attempt := range f.Attempts {
			ok, mined := now.mined[attempt.Hash]
			if !mined {
				continue
			}
			_, forGood := final.mined[attempt.Hash]
			outcome.Hash = attempt.Hash
			switch {
			case ok && forGood:
				outcome.State = SucceededForGood
			case forGood:
				outcome.State = RevertedForGood
			case ok:
				outcome.State = Succeeded
			default:
				outcome.State = Reverted
			}
		}
		if !outcome.State.Mined() {
			if final.next > f.Sequence {
				outcome.State = Lost
			}
			outcome.Stuck = c.stuck && now.next == f.Sequence
		}
		survey.Outcomes = append(survey.Outcomes, outcome)
	}
	for _, item := range items {
		survey.Verdicts = append(survey.Verdicts, Verdict{Stale: now.stale(item)})
	}
	return survey, nil
}

func (c *modelChain) Sign(_ context.Context, draft Draft) (Attempt, error) {
	if err := c.fuse("Sign", true); err != nil {
		return Attempt{}, err
	}
	c.signed++
	tx := modelTx{Hash: fmt.Sprintf("tx-%d-%d", draft.Sequence, c.signed), Sequence: draft.Sequence,
		Fee: len(draft.Attempts), Report: string(draft.Payload)}
	tx.Bad, tx.Unfit = c.reports[tx.Report].bad, c.reports[tx.Report].unfit
	raw, err := json.Marshal(tx)
	return Attempt{Hash: tx.Hash, Raw: raw}, err
}

func (c *modelChain) Send(_ context.Context, attempt Attempt) error {
	if err := c.fuse("Send", true); err != nil {
		return err
	}
	var tx modelTx
	if err := json.Unmarshal(attempt.Raw, &tx); err != nil {
		return fmt.Errorf("the queue sends what was not signed: %w", err)
	}
	if tx.Sequence < c.state(len(c.blocks)).next {
		return errors.New("number too low")
	}
	if _, ok := c.pool[tx.Sequence]; c.poor && !ok {
		return fmt.Errorf("%w: %w", ErrRefused, ErrUnfunded)
	}
	if tx.Unfit {
		return ErrRefused
	}
	if old, ok := c.pool[tx.Sequence]; ok && old.Fee >= tx.Fee && old.Hash != tx.Hash {
		return errors.New("replacement underpriced")
	}
	c.pool[tx.Sequence] = tx
	return c.fuse("Send", false)
}

// mine puts at most n transactions of the pool, and some others, into a new block.
func (c *modelChain) mine(n int, others ...modelTx) {
	block := others
	next := c.state(len(c.blocks)).next
	for _, tx := range others {
		if tx.foreign {
			delete(c.pool, next)
			next++
		}
	}
	for ; n > 0; n-- {
		tx, ok := c.pool[next]
		if !ok {
			break
		}
		delete(c.pool, next)
		block = append(block, tx)
		next++
	}
	c.blocks = append(c.blocks, block)
}

// reorganise takes blocks off. What others did happens again at once; ours go back to the pool or are forgotten.
func (c *modelChain) reorganise(n int, keep bool) {
	var again []modelTx
	for range n {
		last := c.blocks[len(c.blocks)-1]
		c.blocks = c.blocks[:len(c.blocks)-1]
		var others []modelTx
		for _, tx := range last {
			switch {
			case tx.transmit != nil || tx.digest != nil:
				others = append(others, tx)
			case keep && !tx.foreign:
				c.pool[tx.Sequence] = tx
			}
		}
		again = append(others, again...)
	}
	c.mine(0, again...)
}

// pass makes it for a queue as if a minute had passed.
func pass(q *Queue) {
	q.floorAt = time.Time{}
	for _, f := range q.flights {
		if !f.lost.IsZero() {
			f.lost = f.lost.Add(-time.Minute)
		}
	}
}

type crash struct{}

// TestQueueModel drives a queue through crashes before and after every call, lost answers, reorganisations, others'
// transactions and new configurations, and checks what the queue promises.
func TestQueueModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var (
			store    = &relayertest.Store{}
			calls    = -1 // calls until the fault; negative: none
			kind     string
			tripping = func(before bool) error {
				if calls < 0 {
					return nil
				}
				if calls--; calls >= 0 {
					return nil
				}
				switch {
				case kind == "crash before" && before, kind == "crash after" && !before:
					panic(crash{})
				case kind == "error before" && before, kind == "error after" && !before:
					return status.Error(codes.Unavailable, "fault")
				}
				calls = 0 // wait for the other side of a call
				return nil
			}
			chain = &modelChain{pool: map[uint64]modelTx{}, reports: map[string]modelReport{},
				fuse: func(_ string, before bool) error {
					return tripping(before)
				}}
		)
		store.Before = func(string) error { return tripping(true) }
		store.After = func(string) error { return tripping(false) }
		make := func() *Queue {
			return NewQueue(QueueSettings{Account: "a", Store: store, Sender: chain, Window: 3, Resend: time.Nanosecond,
				Interval: time.Nanosecond})
		}
		queue := make()
		accepted := map[string]bool{}
		guarded := func(f func() error) (err error) {
			defer func() {
				switch r := recover().(type) {
				case nil:
				case crash:
					queue, err = make(), errors.New("crashed")
				default:
					panic(r)
				}
				calls = -1
			}()
			calls = rapid.OneOf(rapid.Just(-1), rapid.IntRange(0, 12)).Draw(t, "calls")
			kind = rapid.SampledFrom([]string{"crash before", "crash after", "error before", "error after"}).Draw(t, "kind")
			return f()
		}
		check := func() {
			state := chain.state(len(chain.blocks))
			for name, n := range state.sent {
				if n > 1 {
					t.Fatalf("report %s is in %d blocks", name, n)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"add": func(t *rapid.T) {
				item := Item{
					Contract: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "contract"),
					Epoch:    rapid.Uint32Range(1, 6).Draw(t, "epoch"),
					Round:    rapid.Uint8Range(1, 2).Draw(t, "round"),
				}
				item.Digest[0] = chain.state(len(chain.blocks)).digest
				name := fmt.Sprintf("%s/%d/%d/%d", item.Contract, item.Digest[0], item.Epoch, item.Round)
				item.Payload = []byte(name)
				if _, ok := chain.reports[name]; !ok {
					kind := rapid.IntRange(0, 19).Draw(t, "kind")
					chain.reports[name] = modelReport{item: item, bad: kind < 2, unfit: kind == 2}
				}
				if guarded(func() error { return queue.Add(context.Background(), item) }) == nil {
					accepted[name] = true
				}
			},
			"step": func(t *rapid.T) {
				chain.stuck = rapid.Bool().Draw(t, "stuck")
				chain.poor = rapid.IntRange(0, 4).Draw(t, "funds") == 0
				_ = guarded(func() error { return queue.Step(context.Background()) })
			},
			"mine":    func(t *rapid.T) { chain.mine(rapid.IntRange(0, 3).Draw(t, "n")) },
			"restart": func(*rapid.T) { queue = make() },
			"wait":    func(*rapid.T) { pass(queue) },
			"evict": func(t *rapid.T) {
				for sequence := range chain.pool {
					delete(chain.pool, sequence)
					return
				}
			},
			"foreign number": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "seldom") == 0 {
					chain.mine(1, modelTx{foreign: true})
				}
			},
			"other transmission": func(t *rapid.T) {
				item := Item{Contract: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "contract"),
					Epoch: rapid.Uint32Range(1, 4).Draw(t, "epoch")}
				chain.mine(1, modelTx{transmit: &item})
			},
			"new configuration": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "seldom") == 0 {
					digest := chain.state(len(chain.blocks)).digest + 1
					chain.mine(0, modelTx{digest: &digest})
				}
			},
			"reorganise": func(t *rapid.T) {
				if n := rapid.IntRange(1, confirmations-1).Draw(t, "depth"); n <= len(chain.blocks) {
					chain.reorganise(n, rapid.Bool().Draw(t, "keep"))
				}
			},
		})
		// Then everything works again, and the queue must come to rest.
		chain.stuck, chain.poor = true, false
		for range 60 {
			pass(queue)
			_ = queue.Step(context.Background())
			chain.mine(2)
			check()
		}
		state := chain.state(len(chain.blocks))
		if len(chain.pool) > 0 {
			t.Fatalf("transactions with numbers above a gap: %v, next is %d", chain.pool, state.next)
		}
		for name := range accepted {
			report := chain.reports[name]
			if stale := state.stale(report.item); stale == "" && state.sent[name] == 0 && !report.unfit {
				t.Fatalf("report %s was accepted, is not stale and was never sent", name)
			}
		}
		for _, key := range store.Keys() {
			i := slices.IndexFunc(queue.snapshot(), func(q *queued) bool {
				return q.key == key && (q.record.Done || chain.reports[string(q.item.Payload)].unfit)
			})
			if i < 0 {
				t.Fatalf("the store still holds %s", key)
			}
		}
	})
}
