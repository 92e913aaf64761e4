package solana

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	sol "github.com/gagliardetto/solana-go"

	"github.com/loop-plugins/loop/plugins/solana/endpoint"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// ledger reads the accounts of all contracts of a chain: all at once again and again, and each when a node pushes it.
type ledger struct {
	chain *Chain
	ttl   time.Duration

	mu     sync.Mutex
	poller *relayer.Poller[struct{}] // nil: not yet
}

// start begins to read.
func (l *ledger) start(chainID string, interval, timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.poller = relayer.NewPoller(relayer.PollerSettings[struct{}]{
		Subject: "what the contracts of chain " + chainID + " hold", Fetch: func(ctx context.Context) (struct{}, error) {
			return struct{}{}, l.fetch(ctx)
		}, Why: l.chain.Pool().Why,
		Interval: interval, Retry: min(interval, time.Second), Gap: min(interval, 250*time.Millisecond), TTL: l.ttl,
		Timeout: 2 * timeout,
	})
}

// served is called when a node begins to serve, maybe before anything is read.
func (l *ledger) served() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poller != nil {
		l.poller.Nudge()
	}
}

// follow makes a contract of its accounts, whose news nodes push from now on, and has it read at once.
func (l *ledger) follow(accounts ocr2.Contract) *contract {
	l.chain.pushes.Add(accounts.State)
	l.chain.pushes.Add(accounts.Feed)
	l.poller.Trigger() // which waits until the chain has the contract
	return &contract{
		accounts: accounts, ledger: l, Publisher: service.NewPublisher(l.chain.Hub()),
		head: newPart[ocr2.Head](), round: newPart[round](),
	}
}

// reading is what an account holds at a slot.
type reading struct {
	slot uint64
	data []byte // nil: there is no such account
}

// fetch reads the beginnings of all accounts, and the newest records of feeds if they are new. Nothing else of an
// account changes.
func (l *ledger) fetch(ctx context.Context) error {
	contracts := l.chain.Contracts()
	var keys []sol.PublicKey
	known := map[sol.PublicKey]bool{}
	for _, c := range contracts {
		for _, key := range []sol.PublicKey{c.accounts.State, c.accounts.Feed} {
			if !known[key] {
				known[key] = true
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := l.chain.Pool().Await(ctx); err != nil {
		return err
	}
	var p page
	err := l.chain.Pool().Do(ctx, func(ctx context.Context, client *endpoint.Client) (err error) {
		p, err = readPage(ctx, client, keys, contracts)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range contracts {
		state, feed := p.beginnings[c.accounts.State], p.beginnings[c.accounts.Feed]
		l.chain.horizon.Reach(max(state.slot, feed.slot))
		head, err := parseHead(state)
		c.setHead(state.slot, head, err)
		header, ok := p.headers[c.accounts.Feed]
		record, fresh := p.records[c.accounts.Feed]
		switch {
		case !ok:
			_, err := parseFeedHeader(feed)
			c.setRound(feed.slot, header, ocr2.Record{}, err)
		case header.LatestRoundID == 0:
			c.setRound(feed.slot, header, ocr2.NoRecord(), nil)
		case fresh:
			parsed, err := ocr2.ParseRecord(record.data)
			c.setRound(feed.slot, header, parsed, err)
		default:
			c.confirmRound(feed.slot)
		}
	}
	return nil
}

// page is what accounts hold: their beginnings, the headers of feeds in them, and the newest records that are new.
type page struct {
	beginnings, records map[sol.PublicKey]reading
	headers             map[sol.PublicKey]ocr2.FeedHeader
}

func readPage(ctx context.Context, client *endpoint.Client, keys []sol.PublicKey, contracts []*contract) (page, error) {
	p := page{map[sol.PublicKey]reading{}, map[sol.PublicKey]reading{}, map[sol.PublicKey]ocr2.FeedHeader{}}
	if err := read(ctx, client, keys, endpoint.Slice{Length: ocr2.HeadLength}, p.beginnings); err != nil {
		return page{}, err
	}
	fresh := map[uint64][]sol.PublicKey{} // by the offset of the newest record
	for _, c := range contracts {
		header, err := ocr2.ParseFeedHeader(p.beginnings[c.accounts.Feed].data)
		if err != nil || p.headers[c.accounts.Feed] != (ocr2.FeedHeader{}) {
			continue // fetch tells the contract of the error; or another contract has the same feed
		}
		p.headers[c.accounts.Feed] = header
		if header.LatestRoundID != 0 && !c.has(header) {
			fresh[header.LatestOffset()] = append(fresh[header.LatestOffset()], c.accounts.Feed)
		}
	}
	for offset, feeds := range fresh {
		at := endpoint.Slice{Offset: offset, Length: ocr2.RecordLength}
		if err := read(ctx, client, feeds, at, p.records); err != nil {
			return page{}, err
		}
		for _, feed := range feeds {
			if p.records[feed].slot < p.beginnings[feed].slot { // another backend of the node: there is an old record
				return page{}, relayer.Said("answers from an older slot than it did before")
			}
		}
	}
	return p, nil
}

// read reads a part of accounts, as many at once as a node gives.
func read(ctx context.Context, client *endpoint.Client, keys []sol.PublicKey, part endpoint.Slice,
	into map[sol.PublicKey]reading) error {
	for start := 0; start < len(keys); start += endpoint.MaxAccounts {
		some := keys[start:min(start+endpoint.MaxAccounts, len(keys))]
		slot, contents, err := client.Accounts(ctx, some, part)
		if err != nil {
			return err
		}
		for i, key := range some {
			into[key] = reading{slot: slot, data: contents[i]}
		}
	}
	return nil
}

func parseHead(r reading) (ocr2.Head, error) {
	if r.data == nil {
		return ocr2.Head{}, errNoState
	}
	return ocr2.ParseHead(r.data)
}

func parseFeedHeader(r reading) (ocr2.FeedHeader, error) {
	if r.data == nil {
		return ocr2.FeedHeader{}, errNoFeed
	}
	return ocr2.ParseFeedHeader(r.data)
}

var (
	errNoState = errors.New("there is no State account at this address; check the job's contractID and the chain")
	errNoFeed  = errors.New("there is no Transmissions account at the job's transmissionsID; check it and the chain")
)

// pushed takes an account's whole content, from any node.
func (l *ledger) pushed(key sol.PublicKey, slot uint64, data []byte) {
	l.chain.horizon.Reach(slot)
	for _, c := range l.chain.Contracts() {
		if c.accounts.State == key {
			state, err := ocr2.State{}, errNoState
			if data != nil {
				state, err = ocr2.ParseState(data)
			}
			c.setHead(slot, state.Head, err)
			if err == nil {
				c.keep(state)
			}
		}
		if c.accounts.Feed == key {
			header, record, err := ocr2.FeedHeader{}, ocr2.Record{}, errNoFeed
			if data != nil {
				header, record, err = ocr2.ParseLatest(data)
			}
			c.setRound(slot, header, record, err)
		}
	}
}

// state reads a contract's whole State, of a slot or later.
func (l *ledger) state(ctx context.Context, c *contract, configSlot uint64) (state ocr2.State, err error) {
	err = l.chain.Pool().Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		_, contents, err := client.Accounts(ctx, []sol.PublicKey{c.accounts.State}, endpoint.Slice{})
		if err != nil {
			return err
		}
		if contents[0] == nil {
			return relayer.Answered(errNoState)
		}
		if state, err = ocr2.ParseState(contents[0]); err != nil {
			return relayer.Answered(err)
		}
		if state.ConfigSlot < configSlot {
			return relayer.Said(fmt.Sprintf("has not seen the configuration of slot %d yet", configSlot))
		}
		if err := c.verify(state); err != nil {
			return err
		}
		return nil
	})
	return state, err
}
