package session

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/chain"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
	"github.com/loop-plugins/loop/tools/devnet/internal/table"
)

// observePeriod is how often the nodes are asked for their plugins.
const observePeriod = 500 * time.Millisecond

// take checks, counts and shows a transmission. It fails for a wrong one, and with errDone after the last one.
func (n *network) take(ctx context.Context, t transmission) error {
	arrived := time.Now()
	// Three nodes can be faster than the fourth gets its job.
	select {
	case <-n.complete:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := n.check(ctx, t); err != nil {
		return fmt.Errorf("check round %d of the contract (config digest %s, epoch %d, round %d): %w",
			t.RoundID, t.ConfigDigest.Hex(), t.Epoch, t.Round, err)
	}
	round := table.Round{
		Number: t.RoundID, Answer: decimal(t.Answer), Observers: t.Observers, Transmitter: n.nameOf(t.Transmitter),
		Fee: t.Fee, Unit: n.kind.unit,
		Latency: arrived.Sub(time.Unix(int64(t.ObservationsTimestamp), 0)),
	}
	n.mu.Lock()
	if n.result.Transmissions == 0 {
		n.result.FirstTransmissionMS = arrived.Sub(n.started).Milliseconds()
	} else {
		round.Interval = arrived.Sub(n.last)
	}
	n.last = arrived
	n.result.Transmissions++
	n.result.Verified++
	n.taken = append(n.taken, t)
	n.result.Answers = append(n.result.Answers, round.Answer)
	first := n.result.Transmissions == 1
	done := n.config.Rounds > 0 && n.result.Transmissions >= n.config.Rounds
	n.mu.Unlock()
	if first {
		n.display.Step("Every answer shown is the median of what the nodes recorded, or this ends with an error.")
	}
	n.display.Round(round)
	if !done {
		return nil
	}
	if err := n.ask(ctx); err != nil { // for the last word on restarts
		return err
	}
	if err := n.countLanguages(ctx); err != nil {
		return err
	}
	return errDone
}

// check compares a transmission with what its observers' nodes recorded.
func (n *network) check(ctx context.Context, t transmission) error {
	round := node.Round{ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round}
	recorded := make([][]*big.Int, len(n.members))
	for _, observer := range t.Observers {
		if observer < 0 || observer >= len(n.members) {
			continue // the audit has a sentence for it
		}
		var err error
		if recorded[observer], err = n.members[observer].Observed(ctx, n.members[observer].jobID, round); err != nil {
			return err
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
		var err error
		if report.Observations, err = audit.Observations(t.Answer, t.Observers, of); err != nil {
			return err
		}
	}
	return audit.Check(report, len(n.members), chain.Faulty(len(n.members)), of)
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
	err := n.each(ctx, func(ctx context.Context, m *member) error {
		plugins, err := m.Plugins(ctx)
		if err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.plugins = plugins
		return nil
	})
	if err != nil {
		return err
	}
	var nodes []table.Node
	var processes int
	var restarts uint64
	for _, m := range n.members {
		shown := table.Node{Name: m.Name(), URL: m.URL()}
		for _, plugin := range m.known() {
			shown.Plugins = append(shown.Plugins, table.Plugin(plugin))
			restarts += plugin.Restarts
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

// known are the member's plugins as it last reported them.
func (m *member) known() []node.Plugin {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plugins
}

// kill kills a random plugin process now and then until ctx ends.
func (n *network) kill(ctx context.Context) error {
	random := rand.New(rand.NewPCG(n.config.Seed, 1))
	ticker := time.NewTicker(n.config.KillEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		// Asked now: an old process number may belong to somebody else.
		m := n.members[random.IntN(len(n.members))]
		plugins, err := m.Plugins(ctx)
		if err != nil {
			return err
		}
		var running []node.Plugin
		for _, plugin := range plugins {
			if plugin.PID > 0 {
				running = append(running, plugin)
			}
		}
		if len(running) == 0 {
			continue // all of them are between two lives
		}
		victim := running[random.IntN(len(running))]
		switch err := syscall.Kill(victim.PID, syscall.SIGKILL); {
		case errors.Is(err, syscall.ESRCH):
			continue
		case err != nil:
			return fmt.Errorf("kill the %s plugin of %s, process %d: %w", victim.Name, m.Name(), victim.PID, err)
		}
		n.mu.Lock()
		n.result.Kills++
		n.mu.Unlock()
		n.display.Step(fmt.Sprintf("Killed the %s plugin of %s, process %d.", victim.Name, m.Name(), victim.PID))
	}
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
