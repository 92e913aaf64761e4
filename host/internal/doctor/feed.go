package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/health"
)

// tight is how much of its time an observation may take, in percent, before it needs a person soon.
const tight = 80

// OfJob checks the work of a job: its contract, its configuration, whether this node is among the oracles, its rounds.
func OfJob(title string, s health.State) *nodev1.Finding {
	switch s.Level {
	case health.Running:
		return Good(Job, title, "it runs")
	case health.Failed:
		return Failed(Job, title, s.Reason, s.Remedy)
	case health.Degraded, health.Waiting:
	}
	return Warning(Job, title, s.Reason, s.Remedy)
}

// OfPeers checks which peers a job hears. It returns nothing while the job has not met its peers.
func OfPeers(title string, f health.Feed, now time.Time) []*nodev1.Finding {
	if len(f.Heard) == 0 {
		return nil
	}
	var silent []string
	for _, oracle := range slices.Sorted(maps.Keys(f.Heard)) {
		switch at := f.Heard[oracle]; {
		case f.Hears(oracle, now):
		case at.IsZero():
			silent = append(silent, fmt.Sprintf("oracle %d was never heard", oracle))
		default:
			silent = append(silent, fmt.Sprintf("oracle %d was last heard %s ago", oracle, now.Sub(at).Round(time.Second)))
		}
	}
	text := fmt.Sprintf("it hears %d of %d peers", len(f.Heard)-len(silent), len(f.Heard))
	if len(silent) == 0 {
		return []*nodev1.Finding{Good(Peers, title, text)}
	}
	return []*nodev1.Finding{Warning(Peers, title, text+": "+strings.Join(silent, ", "),
		"ask those who run these nodes whether they are up and reach this one's [P2P.V2] AnnounceAddresses")}
}

// OfClocks compares this machine's clock with those of a job's peers, as their observations show them.
func OfClocks(title string, f health.Feed) *nodev1.Finding {
	if f.Compared.IsZero() {
		return Unchecked(Clock, title, "no round has told the clocks of peers yet", "look again when the feed runs")
	}
	if f.Ahead.Abs() > health.ClocksApart {
		return Warning(Clock, title, "this machine's clock is "+health.Apart(f.Ahead)+" most peers'", health.KeepClock)
	}
	return Good(Clock, title, fmt.Sprintf("this machine's clock is within %s of most peers'", health.ClocksApart))
}

// OfBudgets checks the times that a contract's configuration gives the parts of a round, and the longest recent
// observation; 0 means that nothing was observed.
func OfBudgets(title string, m *health.Members, took time.Duration) []*nodev1.Finding {
	if m == nil || m.Budgets == nil {
		return []*nodev1.Finding{Unchecked(Budgets, title, "the contract's configuration has not been read yet",
			"look again when the job runs")}
	}
	var found []*nodev1.Finding
	for _, b := range m.Budgets {
		switch {
		case b.Time > 0, b.Advice:
		case b.Least > 0:
			found = append(found, Good(Budgets, title,
				fmt.Sprintf("the contract's configuration has %s = 0, in whose place this node takes %s", b.Name, b.Least)))
		default:
			remedy := "have the contract's owner set it above 0"
			if b.Variable != "" {
				remedy += ", or unset " + b.Variable + ", which gives it none either"
			}
			found = append(found, Failed(Budgets, title,
				fmt.Sprintf("the contract's configuration has %s = 0, so that it fails in every round", b.Name), remedy))
		}
		if b.Observes && b.Time > 0 && took*100 >= b.Time*tight {
			found = append(found, Warning(Budgets, title,
				fmt.Sprintf("an observation took %s lately, of the %s that %s gives", took.Round(time.Millisecond), b.Time, b.Name),
				"see what is slow by loop jobs runs, or have the contract's owner give it more"))
		}
	}
	if len(found) == 0 {
		found = append(found, Good(Budgets, title, "the contract's configuration gives every part of a round its time"))
	}
	return found
}
