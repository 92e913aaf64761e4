package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/loop-plugins/loop/tools/devnet/internal/node"
)

// What a session can kill.
const (
	killNodes   = "nodes"
	killPlugins = "plugins"
	killNetwork = "network" // all nodes at once
)

// victims are all that there are.
var victims = []string{killNodes, killPlugins, killNetwork}

const (
	// aimWait is how long a kill that aims waits for its moment: with four nodes and two rounds a second, each hands one
	// over every two seconds in the mean.
	aimWait = 4 * time.Second
	// aimSpread is how long after its moment such a kill may come: a relayer stores, signs and sends within it.
	aimSpread = 50 * time.Millisecond
)

// returnTimeout bounds how long a killed node may take until it is ready again.
const returnTimeout = time.Minute

// gatherTimeout bounds the reading of a node's database.
const gatherTimeout = 10 * time.Second

// checkKills reports what is wrong with the user's choice of kills, and fills in the default.
func checkKills(config *Config) error {
	for i, what := range config.Kill {
		switch {
		case !slices.Contains(victims, what):
			return fmt.Errorf("--kill names %q; what can be killed are %s, %s and %s", what, killNodes, killPlugins, killNetwork)
		case slices.Contains(config.Kill[:i], what):
			return fmt.Errorf("--kill names %s twice; name each once", what)
		}
	}
	switch {
	case config.KillEvery < 0:
		return fmt.Errorf("--kill-every is %s; give a time above zero", config.KillEvery)
	case config.Kills < 0:
		return fmt.Errorf("--kills is %d; give the number of kills, or 0 to go on killing", config.Kills)
	case config.KillEvery == 0 && len(config.Kill) > 0:
		return errors.New("--kill says what is killed, but nothing is without --kill-every; give it a time")
	case config.KillEvery == 0 && config.Kills > 0:
		return fmt.Errorf("--kills is %d, but nothing is killed without --kill-every; give it a time", config.Kills)
	case config.KillEvery == 0 && config.Aim:
		return errors.New("--aim says when to kill, but nothing is killed without --kill-every; give it a time")
	case config.KillEvery == 0:
		return nil
	}
	if len(config.Kill) == 0 {
		config.Kill = []string{killPlugins}
	}
	if config.InProcess && slices.Contains(config.Kill, killPlugins) {
		return fmt.Errorf("--kill-every kills plugin processes, and with --in-process there are none; leave one of them "+
			"out, or kill nodes with --kill %s", killNodes)
	}
	return nil
}

// kill kills a random process now and then, until it has killed enough, the session has what it wants, or ctx ends.
func (n *network) kill(ctx context.Context, group *errgroup.Group) error {
	defer close(n.spared)
	random := rand.New(rand.NewPCG(n.config.Seed, 1))
	for n.config.Kills == 0 || n.kills() < n.config.Kills {
		// Rounds come at an even pace: even kills would meet them at the same moment again and again.
		pause := time.NewTimer(n.config.KillEvery/2 + time.Duration(random.Int64N(int64(n.config.KillEvery))))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-n.enough:
			pause.Stop()
			return nil
		case <-pause.C:
		}
		present := slices.DeleteFunc(slices.Clone(n.members), (*member).isAway)
		if len(present) == 0 {
			continue
		}
		m := present[random.IntN(len(present))]
		// Asked now: an old process number may belong to somebody else.
		plugins, err := m.Plugins(ctx)
		if err != nil {
			return err
		}
		var running []node.Plugin
		for _, plugin := range plugins {
			if plugin.PID > 0 && slices.Contains(n.config.Kill, killPlugins) {
				running = append(running, plugin)
			}
		}
		var deeds []func() error
		for _, victim := range running {
			deeds = append(deeds, func() error { return n.killPlugin(ctx, m, victim) })
		}
		if slices.Contains(n.config.Kill, killNodes) {
			deeds = append(deeds, func() error { return n.killNode(ctx, group, m, plugins) })
		}
		if slices.Contains(n.config.Kill, killNetwork) && len(present) == len(n.members) {
			deeds = append(deeds, func() error { return n.killAll(ctx, group) })
		}
		if len(deeds) == 0 {
			continue // all of them are between two generations
		}
		chosen := random.IntN(len(deeds))
		if delay := time.Duration(random.Int64N(int64(aimSpread))); n.config.Aim && random.IntN(2) == 0 {
			n.aim(ctx, m, delay)
		}
		if err := deeds[chosen](); err != nil {
			return err
		}
	}
	return nil
}

// aim waits until a node hands a report to its relayer, and then for a delay: most can be lost in that time.
func (n *network) aim(ctx context.Context, m *member, delay time.Duration) {
	waiting, cancel := context.WithTimeout(ctx, aimWait)
	defer cancel()
	if m.AwaitHandOver(waiting) {
		time.Sleep(delay)
	}
}

func (n *network) kills() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.result.Kills
}

func (n *network) killPlugin(ctx context.Context, m *member, victim node.Plugin) error {
	switch err := syscall.Kill(victim.PID, syscall.SIGKILL); {
	case errors.Is(err, syscall.ESRCH):
		return nil
	case err != nil:
		return fmt.Errorf("kill the %s plugin of %s, process %d: %w", victim.Name, m.Name(), victim.PID, err)
	}
	n.mu.Lock()
	n.result.Kills++
	n.mu.Unlock()
	n.display.Step(fmt.Sprintf("Killed the %s plugin of %s, process %d.", victim.Name, m.Name(), victim.PID))
	// What it accepted is in the node's Store, whether or not it had time to log it.
	_, err := m.gather(ctx)
	return err
}

// killNode kills a node's process and starts the node again.
func (n *network) killNode(ctx context.Context, group *errgroup.Group, m *member, plugins []node.Plugin) error {
	pid := m.PID()
	if err := n.endNode(ctx, m, plugins); err != nil {
		return err
	}
	if err := n.beginNode(ctx, group, m); err != nil {
		return err
	}
	n.display.Step(fmt.Sprintf("Killed %s, process %d, and started it again.", m.Name(), pid))
	return nil
}

// killAll kills the processes of all nodes, so that none runs any more, and starts the nodes again.
func (n *network) killAll(ctx context.Context, group *errgroup.Group) error {
	err := n.each(ctx, func(ctx context.Context, m *member) error {
		plugins, err := m.Plugins(ctx)
		if err != nil {
			return err
		}
		return n.leave(ctx, m, plugins)
	})
	if err != nil {
		return err
	}
	if err := n.each(ctx, func(ctx context.Context, m *member) error { return n.endProcess(ctx, m) }); err != nil {
		return err
	}
	if err := n.resume(); err != nil {
		return err
	}
	for _, m := range n.members {
		if err := n.beginNode(ctx, group, m); err != nil {
			return err
		}
	}
	n.display.Step(fmt.Sprintf("Killed all %d nodes at once, and started them again.", len(n.members)))
	return nil
}

// endNode kills a node's process. Its plugins end with it, by themselves.
func (n *network) endNode(ctx context.Context, m *member, plugins []node.Plugin) error {
	if err := n.leave(ctx, m, plugins); err != nil {
		return err
	}
	return n.endProcess(ctx, m)
}

// leave asks a node for what dies with its process, and notes that it is to be killed.
func (n *network) leave(ctx context.Context, m *member, plugins []node.Plugin) (err error) {
	last := memory{plugins: plugins}
	if n.product == nil {
		last.observed, err = m.Observations(ctx, m.jobID)
	} else {
		last.votes, err = m.Votes(ctx)
		if err == nil {
			last.failures, err = m.Errors(ctx, m.jobID)
		}
	}
	if err != nil {
		return err
	}
	m.leave(last)
	return nil
}

// endProcess kills the process of a node that has left.
func (n *network) endProcess(ctx context.Context, m *member) error {
	m.Kill()
	m.gone()
	// While nobody writes, and even if the session ends meanwhile: at its end all nodes must run.
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatherTimeout)
	defer cancel()
	_, err := m.gather(reading)
	return err
}

// beginNode starts a node again that was killed.
func (n *network) beginNode(ctx context.Context, group *errgroup.Group, m *member) error {
	if err := m.Again(n.launcher); err != nil {
		return err
	}
	n.mu.Lock()
	n.result.Kills++
	n.result.NodeRestarts++
	n.mu.Unlock()
	group.Go(func() error { return m.Watch(ctx) })
	group.Go(func() error {
		returning, cancel := context.WithTimeoutCause(ctx, returnTimeout,
			fmt.Errorf("it was killed and started again %s ago", returnTimeout))
		defer cancel()
		if err := m.WaitReady(returning); err != nil {
			return unlessOver(ctx, err)
		}
		m.back()
		n.launcher.Inherit(m.orphans()...)
		return nil
	})
	return nil
}
