package session

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
	"github.com/loop-plugins/loop/tools/devnet/internal/table"
)

// observePeriod is how often the nodes are asked for their plugins.
const observePeriod = 500 * time.Millisecond

// take checks, counts and shows a transmission, and finishes with the last one. It fails for a wrong one.
func (n *network) take(ctx context.Context, t transmission) error {
	arrived := time.Now()
	// Three nodes can be faster than the fourth gets its job.
	select {
	case <-n.complete:
	case <-ctx.Done():
		return ctx.Err()
	}
	n.mu.Lock()
	n.landed = append(n.landed, audit.Position{ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round})
	kills := n.result.Kills // before the check, in which the next one may come
	n.mu.Unlock()
	verified, err := n.check(ctx, t)
	n.mu.Lock()
	if n.over { // its job may be gone already, and with it what the nodes could say of this one
		n.mu.Unlock()
		return nil
	}
	if err != nil {
		n.mu.Unlock()
		return fmt.Errorf("check round %d of the contract (config digest %s, epoch %d, round %d): %w",
			t.RoundID, t.ConfigDigest.Hex(), t.Epoch, t.Round, err)
	}
	round := table.Round{
		Number: t.RoundID, Answer: decimal(t.Answer), Observers: t.Observers, Transmitter: n.nameOf(t.Transmitter),
		Fee: t.Fee, Unit: n.kind.unit,
		Latency: arrived.Sub(time.Unix(int64(t.ObservationsTimestamp), 0)),
	}
	if n.result.Transmissions == 0 {
		n.result.FirstTransmissionMS = arrived.Sub(n.started).Milliseconds()
		close(n.begun)
	} else {
		round.Interval = arrived.Sub(n.times[len(n.times)-1])
	}
	n.times = append(n.times, arrived)
	n.result.Transmissions++
	if verified {
		n.result.Verified++
	}
	n.taken = append(n.taken, t)
	n.result.Answers = append(n.result.Answers, round.Answer)
	first := n.result.Transmissions == 1
	// The last kill was before this transmission, so that a feed that the kill ended does not pass for a healthy one. A
	// report from the pool may land when all nodes are away.
	runs := slices.ContainsFunc(n.members, func(m *member) bool { return !m.isAway() })
	if n.calm && runs && n.bounded() && n.result.Transmissions >= n.config.Rounds && kills >= n.config.Kills {
		n.finishLocked()
	}
	n.mu.Unlock()
	if first {
		n.display.Step(fmt.Sprintf("Every answer shown %s, or this ends with an error.", n.claim()))
	}
	n.display.Round(round)
	return nil
}

// check compares a transmission with what its observers' nodes recorded. A transmission with an observation that died
// with a killed node is not verified.
func (n *network) check(ctx context.Context, t transmission) (verified bool, err error) {
	if n.exact != nil && t.Answer.Cmp(n.exact) != 0 {
		return false, fmt.Errorf("the answer is %s, and the price that all nodes read is %s", decimal(t.Answer),
			decimal(n.exact))
	}
	if n.product != nil {
		return n.checkProduct(t)
	}
	round := node.Round{ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round}
	recorded := make([][]*big.Int, len(n.members))
	verified = true
	for i, observer := range t.Observers {
		if observer < 0 || observer >= len(n.members) {
			continue // the audit has a sentence for it
		}
		var forgotten bool
		recorded[observer], forgotten, err = n.members[observer].observations(ctx, round,
			time.Unix(int64(t.ObservationsTimestamp), 0))
		switch {
		case err != nil:
			return false, err
		case forgotten && t.Observations == nil:
			return false, nil
		case forgotten && i < len(t.Observations):
			recorded[observer] = t.Observations[i : i+1] // the rest of the report is held to its rules all the same
			verified = false
		}
	}
	of := func(oracle int) []*big.Int {
		if oracle < 0 || oracle >= len(recorded) {
			return nil
		}
		return recorded[oracle]
	}
	report := audit.Report{Answer: t.Answer, Observations: t.Observations, Observers: t.Observers}
	if report.Observations == nil {
		if report.Observations, err = audit.Observations(t.Answer, t.Observers, of); err != nil {
			return false, err
		}
	}
	return verified, audit.Check(report, len(n.members), ocr2.Faulty(len(n.members)), of)
}

// nameOf is the name of the node that has an account.
func (n *network) nameOf(account string) string {
	for _, m := range n.members {
		if m.keys.Account == account {
			return m.Name()
		}
	}
	return account
}

// observe shows the nodes' plugins until ctx ends.
func (n *network) observe(ctx context.Context) error {
	ticker := time.NewTicker(observePeriod)
	defer ticker.Stop()
	for {
		if err := n.ask(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// ask asks all nodes for their plugins, counts them and shows them.
func (n *network) ask(ctx context.Context) error {
	if err := n.each(ctx, func(ctx context.Context, m *member) error { return m.refresh(ctx) }); err != nil {
		return err
	}
	var nodes []table.Node
	var processes int
	var restarts uint64
	for _, m := range n.members {
		shown := table.Node{Name: m.Name(), URL: m.URL(), Restarts: m.Generation() - 1, Away: m.isAway()}
		plugins, again := m.known()
		restarts += again
		for _, plugin := range plugins {
			shown.Plugins = append(shown.Plugins, table.Plugin(plugin))
			if plugin.PID > 0 {
				processes++
			}
		}
		nodes = append(nodes, shown)
	}
	n.mu.Lock()
	n.result.PluginProcesses = max(n.result.PluginProcesses, processes)
	n.result.Restarts = max(n.result.Restarts, restarts) // of two asks at once, the older may end last
	n.mu.Unlock()
	n.display.Nodes(nodes)
	return nil
}

// highestAnswer is the highest answer that feeds take, on every chain.
var highestAnswer = new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)

// exactAnswer is the answer that a constant price must give.
func exactAnswer(fixed string) (*big.Int, error) {
	answer, err := price.Units(fixed)
	if err != nil {
		return nil, err
	}
	if answer.Sign() == 0 || answer.Cmp(highestAnswer) > 0 {
		return nil, fmt.Errorf("a feed takes answers above zero and up to %s", decimal(highestAnswer))
	}
	return answer, nil
}

// decimal writes an answer as a price.
func decimal(answer *big.Int) string {
	digits := new(big.Int).Abs(answer).String()
	if missing := decimals + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	sign := ""
	if answer.Sign() < 0 {
		sign = "-"
	}
	point := len(digits) - decimals
	return sign + digits[:point] + "." + digits[point:]
}
