// Package signing decides what the node signs for its relayers, which are programs of strangers that control coins, and
// keeps a record of it.
//
// A relayer's own library finds out the purpose of a transaction, by a check that is built in for its chains. For a
// relayer without a check everything is signed, within a rate. It must not know a chain, nor how keys sign.
package signing

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// Signatures a minute of one account where the configuration names no number.
const (
	// PerMinute is the limit for relayers without a check: twenty feeds that transmit every two seconds.
	PerMinute = 600
	// CheckedPerMinute is the limit for relayers with a check, so that permitted transactions cannot flood the chain
	// and the record.
	CheckedPerMinute = 6000
)

// Settings identify whose requests a Guard decides on.
type Settings struct {
	// Plugin is the process, and Relay and Chain are what it serves.
	Plugin, Relay, Chain string
	// Check finds out the purpose of a transaction; nil if there is no check for the relay.
	Check signing.Check
	// PerMinute is how many signatures an account may get in a minute; 0 means the constant PerMinute, or
	// CheckedPerMinute with a Check.
	PerMinute uint32
}

// Guard decides on the requests of one process for one chain.
type Guard struct {
	settings  Settings
	contracts *Contracts
	transfers *Transfers
	record    *Record
	fillers   fillers

	mu      sync.Mutex
	limiter map[string]*rate.Limiter // by account
}

// NewGuard returns a guard that knows the contracts of jobs and the transfers that operators asked for, and reports
// each request to the record.
func NewGuard(s Settings, contracts *Contracts, transfers *Transfers, record *Record) *Guard {
	s.PerMinute = cmp.Or(s.PerMinute, map[bool]uint32{false: PerMinute, true: CheckedPerMinute}[s.Check != nil])
	return &Guard{
		settings: s, contracts: contracts, transfers: transfers, record: record,
		fillers: fillers{accounts: map[string]*filled{}}, limiter: map[string]*rate.Limiter{},
	}
}

// Judge decides on a request for an account that is lent to the process. Its error is the answer to the relayer:
// PERMISSION_DENIED or RESOURCE_EXHAUSTED.
func (g *Guard) Judge(ctx context.Context, r *hostservicev1.SignRequest) error {
	s := g.settings
	entry := database.Signature{
		At: time.Now().UTC(), Plugin: s.Plugin, Relay: s.Relay, Chain: s.Chain, Account: r.GetAccount(),
	}
	if !g.within(r.GetAccount()) {
		entry.Refused = fmt.Sprintf("the account has had the %d signatures that it may have a minute", s.PerMinute)
		g.record.put(ctx, entry, outcomeRate)
		return status.Errorf(
			codes.ResourceExhausted,
			"not signed: %s; [Plugins.<Name>] SignaturesPerMinute of the node's configuration "+
				"says how many",
			entry.Refused,
		)
	}
	if s.Check == nil {
		entry.What = "not checked"
		g.record.put(ctx, entry, outcomeUnchecked)
		return nil
	}
	verdict, err := g.check(signing.Request{Account: r.GetAccount(), Data: r.GetData(), Transaction: r.GetTransaction()})
	if err != nil {
		entry.Refused = fmt.Sprintf("%.512s", err)
		g.record.put(ctx, entry, outcomeRefused)
		return status.Errorf(
			codes.PermissionDenied,
			"not signed: the node knows no reason for this transaction: %s",
			entry.Refused,
		)
	}
	entry.JobID, entry.What = verdict.Job, fmt.Sprintf("%s to %s, %s", verdict.Kind, verdict.To, verdict.Slot)
	g.record.put(ctx, entry, outcomeChecked)
	return nil
}

// check finds out what a transaction is for, and whether it may be signed that often.
func (g *Guard) check(r signing.Request) (signing.Verdict, error) {
	key, now := chainKey{g.settings.Relay, g.settings.Chain}, time.Now()
	asked, transfers := g.transfers.of(key, now)
	verdict, err := g.settings.Check(r, signing.Facts{Contracts: g.contracts.of(key, now), Transfers: transfers})
	if err != nil {
		return verdict, err
	}
	switch verdict.Kind {
	case signing.Filler:
		err = g.fillers.admit(r.Account, verdict.Slot)
	case signing.Coins:
		err = g.transfers.sign(key, asked[verdict.Transfer], verdict.Slot, now)
	case signing.Transmission:
	}
	return verdict, err
}

// within tells whether an account may have another signature now. It may have the number of a tenth of a minute at
// once.
func (g *Guard) within(account string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limiter[account] == nil {
		each := rate.Every(time.Minute / time.Duration(g.settings.PerMinute))
		g.limiter[account] = rate.NewLimiter(each, max(1, int(g.settings.PerMinute)/10))
	}
	return g.limiter[account].Allow()
}
