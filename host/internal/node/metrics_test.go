package node

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	diff "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

// metric is what the page says of one.
type metric struct {
	name, kind, unit, help string
	labels                 []string
}

// description is how client_golang writes a prometheus.Desc; it tells in no other way.
var description = regexp.MustCompile(
	`fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"),.* constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// describedIn are the metrics of a registry that are LOOP's own, by name, whether they have a value yet or not.
func describedIn(t *testing.T, registry *prometheus.Registry) map[string]metric {
	t.Helper()
	descs := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descs)
		close(descs)
	}()
	all := map[string]metric{}
	for desc := range descs {
		parts := description.FindStringSubmatch(desc.String())
		if parts == nil {
			t.Fatalf("a description of a metric is of another form: %s", desc)
		}
		name, err := strconv.Unquote(parts[1])
		help, err2 := strconv.Unquote(parts[2])
		if cmp.Or(err, err2) != nil {
			t.Fatalf("%s: %v, %v", desc, err, err2)
		}
		if !strings.HasPrefix(name, "loop_") {
			continue
		}
		var labels []string
		for constant := range strings.SplitSeq(parts[3], ",") {
			if label, _, ok := strings.Cut(constant, "="); ok {
				labels = append(labels, label)
			}
		}
		if parts[4] != "" {
			labels = append(labels, strings.Split(parts[4], ",")...)
		}
		all[name] = metric{name: name, kind: kindByName(name), unit: unitByName(name), help: help, labels: labels}
	}
	return all
}

// kindByName is the type of a metric as the project names them.
func kindByName(name string) string {
	switch {
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case strings.HasSuffix(name, "_duration_seconds"):
		return "histogram"
	}
	return "gauge"
}

// unitByName is the unit that a metric's name ends with.
func unitByName(name string) string {
	name = strings.TrimSuffix(name, "_total")
	for _, unit := range []string{"seconds", "bytes"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}

// named checks that each metric that has a value is of the type that its name says.
func named(t *testing.T, registry *prometheus.Registry, all map[string]metric) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		m, ok := all[family.GetName()]
		if !ok {
			continue
		}
		if family.GetType().String() != strings.ToUpper(m.kind) {
			t.Errorf("%s is a %s, and its name is that of a %s", m.name, family.GetType(), m.kind)
		}
	}
}

// measured starts a node with every plugin that is built in, and returns its registry and theirs by name.
func measured(t *testing.T) (node *prometheus.Registry, plugins map[string]*prometheus.Registry) {
	t.Helper()
	f := twap(t, "") // a product on OCR3, which counts what medians on OCR2 do not
	delete(f.Environment, "CL_EVM_CMD")
	delete(f.Environment, "CL_MEDIAN_CMD")
	var mu sync.Mutex
	plugins = map[string]*prometheus.Registry{}
	f.Builtin = maps.Clone(f.Builtin)
	for name, inside := range f.Builtin {
		build := inside.New
		f.Builtin[name] = fallback.Plugin{Files: inside.Files, New: func() loop.Plugin {
			p := build()
			root := p.New
			p.New = func(h *loop.Host) any {
				mu.Lock()
				defer mu.Unlock()
				plugins[name] = h.Registry() // of the one that was made last: one that only describes itself comes before
				return root(h)
			}
			return p
		}}
	}
	for section, id := range map[string]string{"Solana": "localnet", "Starknet": "SN_SEPOLIA"} {
		f.Section = section
		f.Chain(id, "")
	}
	f.Config = strings.NewReplacer(
		"[[Solana.Nodes]]\nName = \"nobody\"\nHTTPURL", "[[Solana.Nodes]]\nName = \"nobody\"\nURL",
		"[[Starknet.Nodes]]\nName = \"nobody\"\nHTTPURL", "[[Starknet.Nodes]]\nName = \"nobody\"\nURL").Replace(f.Config)
	n := f.start(t)
	addJob(t, n, false)
	spec := strings.Replace(productSpec(n, "window = 1"), "0000Aa", "0000Bb", 1)
	if _, err := nodetest.Operator(n.Socket()).AddJob(t.Context(), &nodev1.AddJobRequest{SpecToml: spec}); err != nil {
		t.Fatal(err)
	}
	return n.registry, plugins
}

// docs/metrics.md says of every metric what the code says of it.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	node, registries := measured(t)
	own := describedIn(t, node)
	named(t, node, own)
	plugins := map[string]map[string]metric{}
	for name, registry := range registries {
		plugins[name] = describedIn(t, registry)
		named(t, registry, plugins[name])
	}
	all := []map[string]metric{plugins["evm"], plugins["solana"], plugins["starknet"], plugins["median"]}
	every := shared(all)
	relayers := without(shared(all[:3]), every)
	var page bytes.Buffer
	page.WriteString(metricsIntroduction)
	for _, section := range []struct {
		title, about string
		metrics      map[string]metric
	}{
		{"The node", "At `/metrics`.", own},
		{"Relayers",
			"At `/plugins/<name>/metrics` of every relayer that is made with `sdk/go/relayer/service`, as LOOP's own are.",
			relayers},
		{"The relayer of Solana", "Besides.", without(plugins["solana"], every, relayers)},
		{"The median", "At `/plugins/<name>/metrics` of the median.", without(plugins["median"], every)},
		{"Every plugin", "At `/plugins/<name>/metrics` of every plugin in Go.", every},
	} {
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n", section.title, section.about)
		page.WriteString("| metric | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n")
		for _, name := range slices.Sorted(maps.Keys(section.metrics)) {
			m := section.metrics[name]
			labels := "–"
			if len(m.labels) > 0 {
				labels = "`" + strings.Join(m.labels, "`, `") + "`"
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", m.name, m.kind, cmp.Or(m.unit, "–"), labels, m.help)
		}
	}
	const file = "../../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff(string(written), page.String()); d != "" {
		t.Errorf("docs/metrics.md is not what the code says; write it anew with: "+
			"go test ./host/internal/node -run TestMetricsPage -update\n%s", d)
	}
}

// shared are the metrics that all have.
func shared(all []map[string]metric) map[string]metric {
	in := maps.Clone(all[0])
	maps.DeleteFunc(in, func(name string, _ metric) bool {
		return slices.ContainsFunc(all, func(other map[string]metric) bool { return other[name].name == "" })
	})
	return in
}

// without are the metrics that none of the others has.
func without(all map[string]metric, others ...map[string]metric) map[string]metric {
	left := maps.Clone(all)
	maps.DeleteFunc(left, func(name string, _ metric) bool {
		return slices.ContainsFunc(others, func(other map[string]metric) bool { return other[name].name != "" })
	})
	return left
}
