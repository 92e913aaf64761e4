package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// upgradePause is the time between two upgrades of a network: two rounds.
const upgradePause = time.Second

// upgrade replaces the plugins of a devnet, which has copies of their programs for itself.
func (b Bench) upgrade(ctx context.Context, r *trial.Report) error {
	n := 20
	if r.Short {
		n = 8
	}
	bin, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	if err := b.copyInto(bin, "loop", "loop-median", "loop-evm"); err != nil {
		return err
	}
	d, err := start(ctx, b.program(), bin, 2*time.Minute)
	if err != nil {
		return err
	}
	defer d.stop()
	chain := newReader(d.url, d.contract)
	reading, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); chain.run(reading) }()
	defer func() { end(); <-done }()
	if err := d.more(chain, 3); err != nil {
		return err
	}
	first := len(chain.sent())
	before, err := failuresOf(d)
	if err != nil {
		return err
	}
	samples, err := b.restarts(ctx, d, bin, n)
	if err != nil {
		return err
	}
	r.Times("restart of a plugin by the operator's API, until it serves again", samples, n, 0, 0)
	if err := d.more(chain, 2); err != nil {
		return err
	}
	during := chain.sent()[first-1:]
	after, err := failuresOf(d)
	if err != nil {
		return err
	}
	subtract(after, before)
	observed, err := d.observations(ctx)
	if err != nil {
		return err
	}
	rounds, idle, failed := missed(during, observed)
	r.Holds("rounds meanwhile", "none fails",
		fmt.Sprintf("%d landed, %d brought no report because no node saw another price, %d failed", rounds, idle, failed),
		failed == 0)
	r.Tell("calls across the boundary that failed meanwhile, on all nodes", list(after))
	judge(r, during, nil, longestGap)
	if err := b.brokenUpgrade(ctx, r, d, bin); err != nil {
		return err
	}
	if err := d.more(chain, 2); err != nil {
		return err
	}
	r.Holds("the feed after the broken program", "goes on", "2 transmissions more", true)
	d.stop()
	o, err := d.outcome()
	if err == nil {
		r.Holds("the devnet", "ends well", fmt.Sprintf("%d transmissions, %d of them checked; %s",
			o.Transmissions, o.Verified, orWell(o.Error)), o.Error == "")
	}
	return err
}

// copyInto copies programs into a folder.
func (b Bench) copyInto(dir string, programs ...string) error {
	for _, name := range programs {
		if err := replace(filepath.Join(dir, name), filepath.Join(b.Bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// subtract leaves in counts only what has been added since before.
func subtract(counts, before map[string]int) {
	for name, n := range counts {
		if counts[name] = n - before[name]; counts[name] == 0 {
			delete(counts, name)
		}
	}
}

// restarts replaces the program of one plugin of one node after another and has it started again, n times in all, and
// returns how long each took.
func (b Bench) restarts(ctx context.Context, d *devnet, bin string, n int) ([]time.Duration, error) {
	var samples []time.Duration
	var failures []string
	for i := range n {
		name := []string{"median", "evm"}[i%2]
		if err := b.copyInto(bin, "loop-"+name); err != nil {
			return nil, err
		}
		begin := time.Now()
		if _, err := d.operator(i/2%nodes).node.RestartPlugin(ctx, &nodev1.RestartPluginRequest{Name: name}); err != nil {
			failures = append(failures, err.Error())
		} else {
			samples = append(samples, time.Since(begin))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(upgradePause):
		}
	}
	if len(failures) > 0 {
		return nil, errors.New(strings.Join(failures, "; "))
	}
	return samples, nil
}

// more waits until n further transmissions have landed.
func (d *devnet) more(chain *reader, n int) error {
	landed := func() int {
		n := 0
		for _, s := range chain.sent() {
			if s.landed {
				n++
			}
		}
		return n
	}
	want := landed() + n
	for deadline := time.Now().Add(30 * time.Second); landed() < want; {
		select {
		case <-d.ended:
			return fmt.Errorf("the devnet ended: %s", d.said())
		case <-time.After(pollPeriod):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited 30 s for %d transmissions: %s", n, d.said())
		}
	}
	return nil
}

// failuresOf counts calls that failed over all nodes.
func failuresOf(d *devnet) (map[string]int, error) {
	all := map[string]int{}
	for i := range nodes {
		failed, err := d.operator(i).failures()
		if err != nil {
			return nil, err
		}
		for name, n := range failed {
			all[name] += n
		}
	}
	return all, nil
}

// list writes counts, the greatest first.
func list(counts map[string]int) string {
	if len(counts) == 0 {
		return "none"
	}
	var all []string
	for _, name := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		all = append(all, fmt.Sprintf("%d of %s", counts[name], name[strings.LastIndexByte(name, '/')+1:]))
	}
	return strings.Join(all, ", ")
}

// missed counts the rounds of an epoch that left nothing on the chain between those that did. A round is idle, and has
// not failed, when no node observed in it what it had not observed when the last report landed: the median reports no
// price twice within its heartbeat.
func missed(all []sent, observed map[position]string) (landed, idle, failed int) {
	var last position
	for _, s := range all {
		if !s.landed {
			continue
		}
		landed++
		if last != 0 && s.position.epoch() == last.epoch() {
			for p := last + 1; p < s.position; p++ {
				if observed[p] != "" && observed[p] == observed[last] {
					idle++
				} else {
					failed++
				}
			}
		}
		last = s.position
	}
	return landed, idle, failed
}

// observations are what the nodes say that they observed, all of a round as one text.
func (d *devnet) observations(ctx context.Context) (map[position]string, error) {
	all := map[position]string{}
	for i := range nodes {
		o := d.operator(i)
		jobs, err := o.node.ListJobs(ctx, &nodev1.ListJobsRequest{})
		if err != nil || len(jobs.GetJobs()) != 1 {
			return nil, fmt.Errorf("listing the jobs of node %d: %d found: %w", i, len(jobs.GetJobs()), err)
		}
		list, err := o.node.ListObservations(ctx, &nodev1.ListObservationsRequest{JobId: jobs.GetJobs()[0].GetId()})
		if err != nil {
			return nil, fmt.Errorf("listing the observations of node %d: %w", i, err)
		}
		for _, observation := range list.GetObservations() {
			t := observation.GetTimestamp()
			all[position(t.GetEpoch())<<8|position(t.GetRound())] += fmt.Sprintf("%d: %x; ", i,
				observation.GetValue().GetMagnitude())
		}
	}
	return all, nil
}

// brokenUpgrade replaces a plugin's program by one that does not start, and asks for a restart.
func (b Bench) brokenUpgrade(ctx context.Context, r *trial.Report, d *devnet, bin string) error {
	node := d.operator(0).node
	before, err := pluginOf(ctx, node, "median")
	if err != nil {
		return err
	}
	path := filepath.Join(bin, "loop-median")
	if err := write(path, []byte("#!/bin/sh\necho broken >&2\nexit 7\n")); err != nil {
		return err
	}
	_, refused := node.RestartPlugin(ctx, &nodev1.RestartPluginRequest{Name: "median"})
	after, err := pluginOf(ctx, node, "median")
	if err != nil {
		return err
	}
	got := "it was restarted"
	if refused != nil {
		_, said, _ := strings.Cut(refused.Error(), "ended before")
		got = "refused: ended before" + said
	}
	r.Holds("a new program that does not start", "is refused with the reason, and the old process serves on", got,
		refused != nil && strings.Contains(refused.Error(), "exit status 7; it said: broken") &&
			after.GetPid() == before.GetPid() && after.GetGeneration() == before.GetGeneration())
	return replace(path, filepath.Join(b.Bin, "loop-median"))
}

// replace makes a copy of a program take the place of another, as an upgrade does.
func replace(path, by string) error {
	program, err := os.ReadFile(by)
	if err != nil {
		return fmt.Errorf("copying a program: %w; run make build", err)
	}
	return write(path, program)
}

func write(path string, program []byte) error {
	if err := executable.Write(path+".new", program, 0o700); err != nil {
		return fmt.Errorf("replacing a program: %w", err)
	}
	return os.Rename(path+".new", path)
}
