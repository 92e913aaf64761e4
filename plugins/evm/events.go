package evm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	gethtypes "github.com/ethereum/go-ethereum/core/types"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

const (
	// pages is how many calls read events in one turn: where a server allows few blocks in one, the way back is long,
	// and other calls want to be made too.
	pages = 10
	// gather is how long an event that a node pushes waits for others of its block, and for the block itself.
	gather = 20 * time.Millisecond
	// pardon is how long events are not read after they could not be, and longestPardon how long when that goes on.
	pardon, longestPardon = 5 * time.Second, time.Minute
	// mostAwaited is how many pushed events may wait for their blocks to be read.
	mostAwaited = 1000
)

// events reads the events of all contracts of a chain, which tell what is new of each, so that the contracts themselves
// are read only at first, now and then, and when events leave a doubt. If no events can be read, all contracts are read
// in each turn.
type events struct {
	chain *Chain

	// Used by the reader's goroutine.
	read    map[common.Address]bool // the contracts that this turn has read
	skipped bool                    // this turn reads no events
	last    time.Time               // when events were read last
	live    outage
	old     outage    // of the events from before the start
	behind  time.Time // since when no node has the blocks to go on from; zero: that is not so
	overlap overlap

	mu       sync.Mutex
	base     uint64                      // the block at which reading began
	scanned  uint64                      // the block up to which the events of all contracts were read
	window   map[identity]common.Address // the events of the newest of these blocks
	pushed   uint64                      // the newest block of a pushed event
	awaited  map[identity]common.Address // pushed events of blocks that are not read yet
	pressing bool                        // one was pushed that is not read yet
	waiting  bool                        // for others of its block
}

// topics are the first topics of the events that tell what is new of a contract. The contract logs others with them,
// as AnswerUpdated with NewTransmission.
func topics() []common.Hash {
	return []common.Hash{
		aggregator.ConfigSetTopic(), aggregator.NewTransmissionTopic(), aggregator.RoundRequestedTopic(),
	}
}

// identity tells events apart, those of blocks that took one another's place too.
type identity struct {
	number   uint64
	hash, tx common.Hash
	index    uint
}

func identityOf(log gethtypes.Log) identity {
	return identity{log.BlockNumber, log.BlockHash, log.TxHash, log.Index}
}

// outage is a time in which something cannot be read.
type outage struct {
	since time.Time // the last failure; zero: there is none
	pause time.Duration
}

// holds reports whether it is too early to try again.
func (o *outage) holds() bool { return !o.since.IsZero() && time.Since(o.since) < o.pause }

// end and begin record the end and the beginning of an outage, and report whether that is new.
func (o *outage) end() bool {
	was := !o.since.IsZero()
	*o = outage{}
	return was
}

func (o *outage) begin() bool {
	is := o.since.IsZero()
	o.since, o.pause = time.Now(), min(max(2*o.pause, pardon), longestPardon)
	return is
}

// logged takes an event of a contract that a node has pushed. If the node that was asked for the event's block did not
// have the event, its contract is in doubt.
func (e *events) logged(log gethtypes.Log) {
	if e.hear(log) {
		return
	}
	if c := e.contracts()[log.Address]; c != nil {
		c.Doubt()
		e.chain.reader.Trigger()
	}
}

// hear takes a pushed event, and reports whether it was read, or is yet to be.
func (e *events) hear(log gethtypes.Log) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := identityOf(log)
	e.pushed = max(e.pushed, id.number)
	if id.number <= e.scanned {
		_, read := e.window[id]
		return read || id.number <= e.base
	}
	if len(e.awaited) >= mostAwaited {
		return false
	}
	if e.awaited == nil {
		e.awaited = map[identity]common.Address{}
	}
	e.awaited[id] = log.Address
	e.await()
	return true
}

// await has the blocks of pushed events read, once the other events of the newest one have come too.
func (e *events) await() {
	if e.waiting {
		return
	}
	e.waiting = true
	time.AfterFunc(gather, func() {
		e.mu.Lock()
		e.waiting, e.pressing = false, e.pushed > e.scanned
		pressing := e.pressing
		e.mu.Unlock()
		if pressing {
			e.chain.reader.Trigger()
		}
	})
}

// due implements service.ReaderSettings: first what is known to need it, and then what events tell.
func (e *events) due(ctx context.Context, first bool) []common.Address {
	contracts := e.contracts()
	if first {
		seldom := !e.last.IsZero() && time.Since(e.last) < e.chain.config.LogPollInterval.Duration
		e.skipped = e.live.holds() || seldom && !e.presses()
		e.read = map[common.Address]bool{}
		for address, c := range contracts {
			if e.skipped || c.due() {
				e.read[address] = true
			}
		}
		return slices.Collect(maps.Keys(e.read))
	}
	if e.skipped || len(contracts) == 0 {
		return nil
	}
	began := time.Now()
	told := e.listen(ctx, contracts)
	var due []common.Address
	for address, c := range contracts {
		if !told && !e.read[address] || c.doubtedSince(began) {
			due = append(due, address)
		}
	}
	return due
}

// contracts are all that are followed. A new one may be the reader's before it is the chain's; it is read in the next
// turn.
func (e *events) contracts() map[common.Address]*contract {
	contracts := map[common.Address]*contract{}
	for _, c := range e.chain.Contracts() {
		contracts[c.address] = c
	}
	return contracts
}

func (e *events) presses() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pressing
}

// listen reads events up to the newest block, or as far as it gets in one turn, and reports whether they tell anything
// of the contracts. If a server does not let them be read, that is logged once.
func (e *events) listen(ctx context.Context, contracts map[common.Address]*contract) (told bool) {
	e.last = time.Now()
	told, err := e.follow(ctx, contracts)
	if errors.Is(ctx.Err(), context.Canceled) {
		return true // nobody wants to know it any more
	}
	if e.tell(&e.live, err); err != nil {
		for _, c := range contracts {
			c.look()
		}
	}
	return told
}

// then looks for the requests from before contracts were followed.
func (e *events) then(ctx context.Context) {
	if e.skipped || e.live.since != (time.Time{}) || e.old.holds() {
		return
	}
	err := e.fill(ctx, e.contracts())
	if !errors.Is(ctx.Err(), context.Canceled) {
		e.tell(&e.old, err)
	}
}

// tell logs when events begin to be unreadable and when they are read again.
func (e *events) tell(o *outage, err error) {
	switch {
	case err != nil && o.begin():
		e.chain.Logger().Warn("events of contracts cannot be read; requests for rounds on the chain are missed",
			"reason", status.Convert(err).Message())
	case err == nil && o.end():
		e.chain.Logger().Info("events of contracts are read again")
	}
}

// follow reads the events of the blocks since the last turn. It has nothing to tell if the nodes are further behind
// than blocks are read again; if they stay so, the chain itself has gone back, and reading begins anew.
func (e *events) follow(ctx context.Context, contracts map[common.Address]*contract) (told bool, err error) {
	head := e.chain.Pool().Height()
	e.mu.Lock()
	if !e.behind.IsZero() && time.Since(e.behind) > steady {
		e.scanned, e.window, e.behind = 0, nil, time.Time{}
	}
	scanned := e.scanned
	e.pressing = false
	if scanned == 0 { // the contracts were just read, and hold what came before
		e.scanned, e.base = head, head
	}
	e.mu.Unlock()
	if scanned == 0 {
		return true, nil
	}
	began := time.Now()
	again, whole := e.overlap.again(began)
	from := scanned + 1 - min(scanned, again)
	for page := 0; from <= head; page++ {
		if page == pages {
			e.chain.reader.Nudge()
			break
		}
		next, err := e.scan(ctx, contracts, from, head)
		if err != nil {
			return false, err
		}
		if next == from {
			break
		}
		from, told = next, true
	}
	switch {
	case told:
		e.behind = time.Time{}
		if whole {
			e.overlap.whole = began
		}
	case e.behind.IsZero():
		e.behind = time.Now()
	}
	return told, nil
}

// scan reads all events from one block to another, or as far as one call gets, and returns the block to go on from.
// That is from itself if the node that is asked does not have it.
func (e *events) scan(
	ctx context.Context, contracts map[common.Address]*contract, from, to uint64,
) (next uint64, err error) {
	var (
		logs []gethtypes.Log
		head endpoint.Head
	)
	filter := endpoint.Filter{Contracts: slices.Collect(maps.Keys(contracts)), Topics: topics()}
	err = e.chain.Pool().Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		head = client.Head()
		to := min(to, head.Number) // of the future, nodes answer with an error, or with nothing
		if next = from; to < from {
			return nil
		}
		found, reached, err := client.Logs(ctx, filter, from, to)
		if err != nil {
			return err
		}
		logs, next = found, reached+1
		e.overlap.answered(to-from+1, next-from)
		return date(ctx, client, logs)
	})
	if err != nil || next == from {
		return from, err
	}
	e.overlap.measure(head)
	e.take(contracts, logs, from, next-1, head)
	return next, nil
}

// date gives requests the time of their block, which not every node puts into its events.
func date(ctx context.Context, client *endpoint.Client, logs []gethtypes.Log) error {
	for i := range logs {
		log := &logs[i]
		if log.Topics[0] != aggregator.RoundRequestedTopic() || log.BlockTimestamp != 0 {
			continue
		}
		var block endpoint.Head
		if err := client.Call(ctx, &block, "eth_getBlockByNumber", hexutil.Uint64(log.BlockNumber), false); err != nil {
			return err
		}
		log.BlockTimestamp = uint64(block.Time.Unix())
	}
	return nil
}

// take compares the events of some blocks with those that were known of them, and tells the contracts.
func (e *events) take(
	contracts map[common.Address]*contract, logs []gethtypes.Log, from, reached uint64, head endpoint.Head,
) {
	e.mu.Lock()
	known, scanned, base := e.window, e.scanned, e.base
	e.mu.Unlock()
	of := map[common.Address][]gethtypes.Log{}
	window := map[identity]common.Address{}
	for _, log := range logs {
		of[log.Address] = append(of[log.Address], log)
		id := identityOf(log)
		window[id] = log.Address
		if _, had := known[id]; !had && id.number > base && id.number <= scanned {
			contracts[log.Address].Doubt() // a block took another's place, or the event came late
		}
	}
	for id, address := range known {
		_, remains := window[id]
		switch c := contracts[address]; {
		case id.number > reached, id.number < from && id.number+mostOverlap > reached:
			window[id] = address
		case id.number >= from && !remains && c != nil:
			c.Doubt()
		}
	}
	for _, address := range e.reach(window, reached) {
		if c := contracts[address]; c != nil {
			c.Doubt()
		}
	}
	for address, c := range contracts {
		c.follows(of[address], from, reached, head)
	}
}

// reach records up to which block events were read, with those of the newest ones, and returns the contracts of pushed
// ones that are not among them.
func (e *events) reach(window map[identity]common.Address, reached uint64) (missed []common.Address) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scanned, e.window = max(e.scanned, reached), window
	for id, address := range e.awaited {
		if id.number > e.scanned {
			continue
		}
		delete(e.awaited, id)
		if _, read := window[id]; !read && id.number > e.base {
			missed = append(missed, address)
		}
	}
	return missed
}

// fill looks for requests in blocks from before the contracts were followed.
func (e *events) fill(ctx context.Context, contracts map[common.Address]*contract) error {
	e.mu.Lock()
	to := e.scanned
	e.mu.Unlock()
	depth := uint64(e.chain.config.LogBackfillDepth)
	var behind []*contract
	from := to + 1
	for _, c := range contracts {
		if begin := c.begin(to - min(to, depth)); begin <= to {
			behind, from = append(behind, c), min(from, begin)
		}
	}
	var err error
	for page := 0; from <= to && err == nil; page++ {
		if page == pages {
			e.chain.reader.Nudge()
			break
		}
		begin := from
		if from, err = e.requests(ctx, behind, from, to); from == begin {
			break
		}
	}
	for _, c := range behind {
		c.look()
	}
	return err
}

// requests looks for the requests for rounds of some contracts from one block to another, or as far as one call gets,
// and returns the block to go on from: from itself if the node that is asked does not have it.
func (e *events) requests(ctx context.Context, contracts []*contract, from, to uint64) (next uint64, err error) {
	filter := endpoint.Filter{Topics: []common.Hash{aggregator.RoundRequestedTopic()}}
	of := map[common.Address]*contract{}
	for _, c := range contracts {
		filter.Contracts = append(filter.Contracts, c.address)
		of[c.address] = c
	}
	err = e.chain.Pool().Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		to := min(to, client.Head().Number)
		if next = from; to < from {
			return nil
		}
		logs, reached, err := client.Logs(ctx, filter, from, to)
		if err == nil {
			err = date(ctx, client, logs)
		}
		if err != nil {
			return err
		}
		for _, log := range logs {
			r, err := requestOf(log)
			if err != nil {
				return relayer.Said(err.Error())
			}
			of[log.Address].note(r)
		}
		next = reached + 1
		return nil
	})
	if err != nil || next == from {
		return from, err
	}
	for _, c := range contracts {
		c.reach(next - 1)
	}
	return next, nil
}

// replay looks for requests from a block on.
func (e *events) replay(ctx context.Context, from uint64) error {
	contracts := slices.Collect(maps.Values(e.contracts()))
	if len(contracts) == 0 {
		return nil
	}
	for head := e.chain.Pool().Height(); from <= head; {
		next, err := e.requests(ctx, contracts, from, head)
		if err != nil {
			return err
		}
		if next == from { // the newest blocks are read as ever, when the node has them
			break
		}
		from = next
	}
	return nil
}
