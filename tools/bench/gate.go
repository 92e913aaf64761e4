package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// worse is the factor by which a ratio may worsen.
	worse = 1.15
	// leastRounds is how often both commits are measured, in turns, whatever the budget.
	leastRounds = 3
	// agreeing is the share of the rounds that must find a figure worse: a busy machine disturbs some, a change all.
	agreeing = 0.75
)

// holdGate measures this working tree and another commit in turns, and fails if a gated figure has worsened.
func holdGate(ctx context.Context, stdout, stderr io.Writer, base string, budget time.Duration) error {
	tree, err := root(ctx)
	if err != nil {
		return err
	}
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", tree}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, why := baseOf(git, base)
	if why != "" {
		fmt.Fprintln(stdout, "The gate on what a call costs is left out: "+why)
		return nil
	}
	folder, err := os.MkdirTemp("", "loop-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }() // if it fails, the system clears its folder for temporary files
	before := filepath.Join(folder, "base")
	if err := unpack(ctx, tree, commit, before); err != nil {
		return err
	}
	sides := [2]side{{tree: before, program: filepath.Join(folder, "base.test")},
		{tree: tree, program: filepath.Join(folder, "head.test")}}
	for _, s := range sides {
		if err := build(ctx, s.tree, s.program); err != nil {
			return err
		}
	}
	gated := slices.DeleteFunc(figures(), func(f figure) bool { return !f.gated })
	rounds, err := alternate(ctx, stderr, sides, gated, budget*2/3)
	if err != nil {
		return err
	}
	if none := unmeasured(gated, rounds); len(none) > 0 {
		return fmt.Errorf("the benchmarks of %s give nothing for: %s; name them in tools/bench/figures.go as they are",
			benchmarked, strings.Join(named(none), "; "))
	}
	suspects := worsened(gated, rounds)
	if len(suspects) > 0 { // a busy machine is not a fault of a change
		fmt.Fprintln(stderr, "What seems worse is measured once more.")
		more, err := alternate(ctx, stderr, sides, suspects, budget/3)
		if err != nil {
			return err
		}
		suspects = worsened(suspects, append(rounds, more...))
		rounds = append(rounds, more...)
	}
	tell(stdout, commit, gated, rounds)
	if len(suspects) == 0 {
		return nil
	}
	return fmt.Errorf("worse than at %s by more than %.0f %%: %s; see docs/performance.md for what a call is made of",
		commit, (worse-1)*100, strings.Join(named(suspects), "; "))
}

// unpack writes the files of a commit into a folder. It leaves no trace in the repository, as a worktree would.
func unpack(ctx context.Context, tree, commit, folder string) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", `git archive --format=tar "$1" | tar -x -C "$2"`, "sh", commit, folder)
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking the files of %s failed: %w\n%s", commit, err, out)
	}
	return nil
}

// made are the files and folders whose changes can change what a call through the boundary costs.
var made = []string{"sdk/go", "gen/go", "proto", "go.mod", "go.sum"}

// baseOf returns the commit to compare with, or why nothing is compared.
func baseOf(git func(...string) (string, error), asked string) (commit, why string) {
	if asked == "" {
		head, _ := git("rev-parse", "HEAD")
		if asked, _ = git("merge-base", "HEAD", "origin/main"); asked == "" || asked == head {
			asked = "HEAD~1"
		}
	}
	commit, err := git("rev-parse", "--short", "--verify", "--quiet", asked+"^{commit}")
	if err != nil {
		return "", fmt.Sprintf("there is no commit %s to compare with.", asked)
	}
	if _, err := git(append([]string{"diff", "--quiet", commit, "--"}, made...)...); err == nil {
		return "", fmt.Sprintf("nothing that the boundary is made of has changed since %s.", commit)
	}
	return commit, ""
}

// side is a commit's benchmarks.
type side struct{ tree, program string }

// round holds the results of one turn: those of the base, then those of the working tree.
type round [2]results

// alternate measures both sides in turns for about the budget, and at least leastRounds times.
func alternate(ctx context.Context, stderr io.Writer, sides [2]side, of []figure,
	budget time.Duration) (rounds []round, err error) {
	for begin := time.Now(); len(rounds) < leastRounds || time.Since(begin) < budget; {
		var r round
		for at, s := range sides {
			if r[at], err = measure(ctx, s.program, s.tree, pattern(benchmarks(of)), 1, io.Discard); err != nil {
				return nil, err
			}
		}
		rounds = append(rounds, r)
		fmt.Fprintf(stderr, "round %d of both commits after %s\n", len(rounds), time.Since(begin).Round(time.Second))
	}
	return rounds, nil
}

// changes are how many times worse a figure is in each round; below 1: better.
func changes(f figure, rounds []round) (all []float64) {
	for _, r := range rounds {
		before, ok := r[0].get(f)
		after, ok2 := r[1].get(f)
		if !ok || !ok2 || before <= 0 || after <= 0 {
			continue // a figure that one of the commits does not have
		}
		if f.bound.least > 0 || strings.Contains(f.metric, "rate") {
			before, after = after, before
		}
		all = append(all, after/before)
	}
	slices.Sort(all)
	return all
}

// unmeasured are the figures that the change's own benchmarks do not give: a gate without them would let all pass.
func unmeasured(of []figure, rounds []round) []figure {
	return slices.DeleteFunc(slices.Clone(of), func(f figure) bool {
		return slices.ContainsFunc(rounds, func(r round) bool {
			_, ok := r[1].get(f)
			return ok
		})
	})
}

func named(all []figure) (names []string) {
	for _, f := range all {
		names = append(names, f.what)
	}
	return names
}

// worsened are the figures that are worse by the factor in the median of the rounds, and worse at all in most of them.
func worsened(of []figure, rounds []round) (bad []figure) {
	for _, f := range of {
		all := changes(f, rounds)
		if len(all) == 0 {
			continue
		}
		agree := 0
		for _, c := range all {
			if c > 1 {
				agree++
			}
		}
		if median(all) > worse && float64(agree) >= agreeing*float64(len(all)) {
			bad = append(bad, f)
		}
	}
	return bad
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

func tell(w io.Writer, commit string, of []figure, rounds []round) {
	fmt.Fprintf(w, "Times the cost at %s, medians of rounds in turns:\n", commit)
	for _, f := range of {
		if all := changes(f, rounds); len(all) > 0 {
			fmt.Fprintf(w, "  %.2f  %s (%d rounds, %.2f to %.2f)\n", median(all), f.what, len(all), all[0], all[len(all)-1])
		}
	}
}
