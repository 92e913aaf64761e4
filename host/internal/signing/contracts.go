package signing

import (
	"context"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// lastingAfterRemoval is how long transmissions to the contract of a removed job are signed: its relayer goes on with
// the reports that it accepted, and on a full chain they may need higher fees for hours.
const lastingAfterRemoval = 24 * time.Hour

// chainKey names a chain of the node.
type chainKey struct{ relay, chain string }

// Contracts are the contracts of the node's jobs, as their operators wrote them.
type Contracts struct {
	database *database.Database

	mu  sync.Mutex
	all map[chainKey]map[int64]contract
}

type contract struct {
	signing.Contract
	until time.Time // zero: while the job is there
}

// NewContracts returns Contracts with those of recently removed jobs.
func NewContracts(ctx context.Context, d *database.Database) (*Contracts, error) {
	c := &Contracts{database: d, all: map[chainKey]map[int64]contract{}}
	removed, err := d.RemovedContracts(ctx, time.Now().Add(-lastingAfterRemoval))
	if err != nil {
		return nil, err
	}
	for _, r := range removed {
		c.put(chainKey{r.Relay, r.Chain}, contract{
			Contract: signing.Contract{
				Job: r.JobID, ID: r.Contract, Transmitter: r.Transmitter, RelayConfigJSON: r.RelayConfig, GasLimit: r.GasLimit,
			},
			until: r.RemovedAt.Add(lastingAfterRemoval),
		})
	}
	return c, nil
}

// Add allows signatures for transmissions to a job's contract.
func (c *Contracts) Add(relay, chain string, of signing.Contract) {
	c.put(chainKey{relay, chain}, contract{Contract: of})
}

func (c *Contracts) put(key chainKey, of contract) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[key] == nil {
		c.all[key] = map[int64]contract{}
	}
	c.all[key][of.Job] = of
}

// Remove removes a job. From now on its contract counts for a limited time.
func (c *Contracts) Remove(ctx context.Context, job int64) error {
	now := time.Now()
	c.mu.Lock()
	var removed []database.RemovedContract
	for key, jobs := range c.all {
		of, known := jobs[job]
		if !known {
			continue
		}
		of.until = now.Add(lastingAfterRemoval)
		jobs[job] = of
		removed = append(removed, database.RemovedContract{
			JobID: job, Relay: key.relay, Chain: key.chain, Contract: of.ID, Transmitter: of.Transmitter,
			RelayConfig: of.RelayConfigJSON, GasLimit: of.GasLimit, RemovedAt: now,
		})
	}
	c.mu.Unlock()
	for _, r := range removed {
		if err := c.database.PutRemovedContract(ctx, r, now.Add(-lastingAfterRemoval)); err != nil {
			return err
		}
	}
	return nil
}

// of are the contracts on a chain to which transmissions are signed at that time.
func (c *Contracts) of(key chainKey, now time.Time) []signing.Contract {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []signing.Contract
	for job, of := range c.all[key] {
		if !of.until.IsZero() && now.After(of.until) {
			delete(c.all[key], job)
			continue
		}
		all = append(all, of.Contract)
	}
	return all
}
