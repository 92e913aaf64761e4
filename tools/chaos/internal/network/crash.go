package network

import (
	"context"
	"fmt"
	"time"

	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

const (
	// crashPause is the mean time between two kills, without the wait of every second kill for its moment.
	crashPause = 500 * time.Millisecond
	// crashMost is what a kill may take on a busy machine.
	crashMost = 5 * time.Second
	// unexplainedMost is how many accepted reports may be stale and unsent without a line in the log that says so: once in
	// fifty runs a kill comes after a relayer drops one and before it writes the line.
	unexplainedMost = 1
)

// crash kills nodes and plugins under a devnet, and looks for accepted reports that are lost.
func (b Bench) crash(ctx context.Context, r *trial.Report) error {
	kills := 200
	if r.Short {
		kills = 40
	}
	lasts := time.Duration(kills)*crashMost + 3*time.Minute
	d, err := start(ctx, b.program(), b.Bin, lasts, "--kill-every", crashPause.String(), "--kill", "nodes,plugins",
		"--aim", "--kills", fmt.Sprint(kills))
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
	r.Holds("the devnet, which goes on after its last kill until there is one report more", "ends well",
		fmt.Sprintf("%d kills, %d of them of nodes; %d transmissions, %d of them checked; %s", o.Kills, o.NodeRestarts,
			o.Transmissions, o.Verified, orWell(o.Error)),
		o.Error == "" && o.Kills == kills && o.NodeRestarts > 0 && o.NodeRestarts < kills && o.Transmissions > 0)
	judgeDelivery(r, o)
	r.AtMost("of the stale ones that were never sent, those of which no relayer said that it found them stale", "",
		float64(o.Reports.Unexplained), unexplainedMost)
	gaps := gapsOf(judgeReports(r, chain.sent()))
	// Without a bound: two nodes of four may be away at once, and then there is no quorum until one is back.
	r.Span("time between transmissions", gaps)
	return nil
}
