package starknet

import (
	"context"

	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// farthest is how many blocks back events are read, after an outage. Who sent an older report stays unknown.
const farthest = 100

// transmitters finds out who sent the newest report of each contract: the contract's view does not say so, its event
// does. The poller of all contracts calls it, one turn after another.
type transmitters struct {
	chain *Chain
	next  uint64 // the first block whose events were not read; 0: none were
}

// find reads the events of all contracts in the blocks since the last, in one request, if there is a report whose
// sender is not known. What cannot be read is read with the next block. Feeds need none of it, so that it takes no
// longer than the time between two readings.
func (t *transmitters) find(ctx context.Context) {
	to, unknown := t.shown(ctx)
	if t.next == 0 {
		t.next = to // what came before is not looked for
	}
	if !unknown || to < t.next {
		return
	}
	client, err := t.chain.Pool().Best()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.chain.config.OCR2CachePollPeriod.Duration)
	defer cancel()
	if to >= farthest {
		t.next = max(t.next, to-farthest+1)
	}
	events, err := client.EventsOfAll(ctx, aggregator.Selector(aggregator.NewTransmissionEvent), t.next, to)
	if err != nil {
		return
	}
	t.next = to + 1
	contracts := t.chain.reader.Contracts()
	for _, event := range events {
		contract := contracts[event.From]
		if contract == nil || contract.Viewed().IsZero() {
			continue
		}
		told, err := aggregator.ParseNewTransmission(event.Keys, event.Data)
		if err != nil {
			continue // the contract is not what its views say
		}
		round := service.Round{Digest: told.Digest, Epoch: told.Epoch, Round: told.Round}
		contract.Amend(func(v *service.View) bool {
			if v.Transmission.Round == round {
				v.Transmission.Transmitter = told.Transmitter.String()
			}
			return true
		})
	}
}

// shown is the newest block up to which all contracts that were read show their reports, and whether one shows a report
// whose sender is not known.
func (t *transmitters) shown(ctx context.Context) (block uint64, unknown bool) {
	for _, contract := range t.chain.reader.Contracts() {
		if contract.Viewed().IsZero() {
			continue // it could not be read, or was not yet
		}
		view, err := contract.View(ctx)
		if err != nil {
			continue
		}
		if block == 0 || view.Block < block {
			block = view.Block
		}
		of := view.Transmission
		unknown = unknown || of.Epoch > 0 && of.Transmitter == ""
	}
	return block, unknown
}
