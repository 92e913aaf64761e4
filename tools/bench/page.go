package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// measureAll measures the figures whose benchmarks match, and writes the page if one is named.
func measureAll(ctx context.Context, stdout, stderr io.Writer, page, only string, pairs int) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only is not a regular expression: %w", err)
	}
	tree, err := root(ctx)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "loop-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }() // if it fails, the system clears its folder for temporary files
	s := side{tree: tree, program: filepath.Join(folder, "head.test")}
	if err := build(ctx, s.tree, s.program); err != nil {
		return err
	}
	all := results{}
	for _, name := range append(benchmarks(figures()), details()...) {
		if _, known := all[name]; known || !match.MatchString(name) {
			continue
		}
		fmt.Fprintln(stderr, "measuring", name)
		got, err := measure(ctx, s.program, s.tree, pattern([]string{name}), iterations(name, pairs), stdout)
		if err != nil {
			return err
		}
		for name, metrics := range got {
			all[name] = metrics
		}
	}
	for _, f := range figures() {
		if v, ok := all.get(f); ok {
			fmt.Fprintf(stderr, "%-8s %s %s%s: %s\n", verdict(f, v), f.what, f.bound, f.unit, shown(v)+f.unit)
		}
	}
	if page == "" {
		return nil
	}
	return write(page, all, thisMachine(ctx))
}

func verdict(f figure, v float64) string {
	switch {
	case f.bound == bound{}:
		return ""
	case f.bound.met(v):
		return "met"
	}
	return "MISSED"
}

// shown writes two decimals, which suffice to compare a value with its bound, or three digits.
func shown(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

const (
	begin = "<!-- bench: begin; `make bench` writes what stands between these lines -->\n"
	end   = "<!-- bench: end -->\n"
)

// write puts the figures into the page, and the plot beside it. A figure that was not measured says so.
func write(page string, all results, machine string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(old, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q, between which the figures stand", page, strings.TrimSpace(begin),
			strings.TrimSpace(end))
	}
	plot := strings.TrimSuffix(page, ".md") + ".svg"
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(begin)
	fmt.Fprintf(&out, "\n%s\n\n", machine)
	out.WriteString(boundsTable(all))
	fmt.Fprintf(&out, "\n![Time and processor time of calls, in ratios to plain go-plugin](%s)\n\n", filepath.Base(plot))
	out.WriteString(detailTable(all))
	out.WriteString("\n" + feedsTable(all))
	out.WriteString("\n" + end)
	out.Write(after)
	if err := os.WriteFile(page, out.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(plot, []byte(bars(all)), 0o644)
}

func boundsTable(all results) string {
	var b strings.Builder
	b.WriteString("| what | must | got |\n| --- | --- | --- |\n")
	for _, f := range figures() {
		must, got := "", "not measured"
		if f.bound != (bound{}) {
			must = f.bound.String() + f.unit
		}
		if v, ok := all.get(f); ok {
			got = shown(v) + f.unit
			if !f.bound.met(v) {
				got = "**" + got + "**"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.what, must, got)
	}
	return b.String()
}

// crossing is one way across the boundary.
type crossing struct{ name, what string }

func crossings() []crossing {
	return []crossing{
		{"call", "a call, node to plugin"},
		{"callback", "a call within which the plugin calls the node"},
		{"forward", "a call of a plugin on another's object, through the node"},
	}
}

func callers() []int { return []int{1, 8, 64} }

func nameOfCrossing(c crossing, callers int) string {
	return fmt.Sprintf("Boundary/%s/c=%d", c.name, callers)
}

// details are the benchmarks of the second and the third table.
func details() (names []string) {
	for _, c := range crossings() {
		for _, n := range callers() {
			names = append(names, nameOfCrossing(c, n))
		}
	}
	for _, n := range feeds() {
		names = append(names, nameOfFeeds(n))
	}
	return names
}

func detailTable(all results) string {
	var b strings.Builder
	b.WriteString("| what | callers | frames: p50 | rate | processor | gRPC: p50 | rate | processor |\n" + "|" +
		strings.Repeat(" --- |", 8) + "\n")
	for _, c := range crossings() {
		what := c.what
		for _, n := range callers() {
			fmt.Fprintf(&b, "| %s | %d |", what, n)
			what = ""
			for _, transport := range []string{"process", "grpc"} {
				for _, metric := range []string{"p50", "rate", "cpu"} {
					got := "–"
					if v, ok := all[nameOfCrossing(c, n)][transport+"-"+metric+"/plain"]; ok {
						got = shown(v)
					}
					fmt.Fprintf(&b, " %s |", got)
				}
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func feeds() []int { return []int{1, 10, 100, 300, 1000} }

func nameOfFeeds(n int) string { return fmt.Sprintf("Feeds/n=%d", n) }

// feedsTable has a column for each number of feeds.
func feedsTable(all results) string {
	var b strings.Builder
	b.WriteString("| feeds, each with a round in a second |")
	for _, n := range feeds() {
		fmt.Fprintf(&b, " %d |", n)
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", 1+len(feeds())) + "\n")
	for _, row := range []struct{ what, metric string }{
		{"rounds that end within their second", "on-time"},
		{"a round: p50, ms", "p50-ms"},
		{"a round: p99, ms", "p99-ms"},
		{"processor time of a round, ms", "round-ms"},
		{"processors in all", "processors"},
		{"all rounds at once: rounds that end within their second", "on-time-at-once"},
		{"all rounds at once: p99, ms", "p99-ms-at-once"},
		{"all rounds at once: processor time of a round, ms", "round-ms-at-once"},
		{"all rounds at once: processors in all", "processors-at-once"},
		{"from the start until each feed had a round, ms", "start-ms"},
		{"both plugins killed until each feed had a round, ms", "again-ms"},
		{"node: goroutines more", "goroutines"},
		{"node: descriptors", "descriptors"},
		{"node: resident, MiB", "host-MiB"},
		{"relayer: resident, MiB", "relayer-MiB"},
		{"median: resident, MiB", "median-MiB"},
	} {
		fmt.Fprintf(&b, "| %s |", row.what)
		for _, n := range feeds() {
			got := "–"
			if v, ok := all[nameOfFeeds(n)][row.metric]; ok {
				got = shown(v)
			}
			fmt.Fprintf(&b, " %s |", got)
		}
		b.WriteString("\n")
	}
	return b.String()
}
