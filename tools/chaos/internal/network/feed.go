package network

import (
	"context"
	"fmt"
	"time"

	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// feed kills a plugin a second under a devnet and reads its chain.
func (b Bench) feed(ctx context.Context, r *trial.Report) error {
	lasts := 70 * time.Second
	if r.Short {
		lasts = 30 * time.Second
	}
	d, err := start(ctx, b.program(), b.Bin, lasts, "--kill-every", "1s")
	if err != nil {
		return err
	}
	defer d.stop()
	chain := newReader(d.url, d.contract)
	chain.follow(ctx, d)
	o, err := d.outcome()
	if err != nil {
		return err
	}
	r.Holds("the devnet, which checks that every answer is the median of what the nodes recorded", "ends well",
		fmt.Sprintf("%d transmissions, %d of them checked, %d kills, %d generations after the first; %s", o.Transmissions,
			o.Verified, o.Kills, o.Restarts, orWell(o.Error)), o.Error == "" && o.Transmissions > 0)
	judgeDelivery(r, o)
	judge(r, chain.sent(), d.killed(), longestGap)
	return nil
}

// judgeDelivery checks that no report that nodes accepted was lost, as the devnet read it from their logs and Stores.
func judgeDelivery(r *trial.Report, o outcome) {
	got := o.Reports
	r.Holds("reports that nodes handed to their relayers",
		"each landed once or is stale, no transaction is left, no nonce is left out",
		fmt.Sprintf("%d accepted: %d landed, %d stale (%d refused by the contract, %d before they were sent), %d lost, %d "+
			"landed twice; %d transactions left, %d nonces left out",
			got.Accepted, got.Landed, got.Stale, got.Stale-got.Unsent, got.Unsent, got.Lost, got.LandedTwice, got.InFlight,
			got.NonceGaps),
		got.Accepted > 0 && got.Landed+got.Stale == got.Accepted && got.LandedTwice == 0 && got.InFlight == 0 &&
			got.NonceGaps == 0)
}

func orWell(text string) string {
	if text == "" {
		return "no error"
	}
	return text
}

// judge compares what was read of a feed with what its readers may expect.
func judge(r *trial.Report, all []sent, kills []time.Time, most time.Duration) {
	landed := judgeReports(r, all)
	gaps := gapsOf(landed)
	changes, explained, rollovers := 0, 0, 0
	for i := 1; i < len(landed); i++ {
		before, now := landed[i-1], landed[i]
		if now.position.epoch() == before.position.epoch() {
			continue
		}
		if before.position.round() >= rMax-1 {
			rollovers++
			continue
		}
		changes++
		// A leader is replaced when it made no progress for deltaProgress: whatever stopped it lies in that time before.
		for _, k := range kills {
			if k.After(before.arrived.Add(-deltaProgress)) && k.Before(now.arrived) {
				explained++
				break
			}
		}
	}
	r.Times("time between transmissions", gaps, len(gaps), 0, most)
	r.Holds("changes of the epoch", "each explained by a kill",
		fmt.Sprintf("%d, %d of them explained; %d epochs ran to their end", changes, explained, rollovers),
		changes == explained)
}

// judgeReports checks that each report on the chain took effect once, and returns those that did.
func judgeReports(r *trial.Report, all []sent) []sent {
	var landed []sent
	var stale, wrong, twice int
	var newest position
	for _, s := range all {
		switch {
		case s.landed && s.position <= newest && len(landed) > 0:
			twice++
		case s.landed:
			landed = append(landed, s)
			newest = s.position
		case s.position <= newest:
			stale++
		default:
			wrong++
		}
	}
	r.Holds("reports on the chain", "each lands once; another sending of it is refused as stale, and nothing else fails",
		fmt.Sprintf("%d landed, %d refused as stale, %d twice with effect, %d failed otherwise", len(landed), stale, twice,
			wrong), twice == 0 && wrong == 0 && len(landed) > 1)
	return landed
}

// gapsOf are the times between transmissions.
func gapsOf(landed []sent) []time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(landed); i++ {
		gaps = append(gaps, landed[i].arrived.Sub(landed[i-1].arrived))
	}
	return gaps
}
