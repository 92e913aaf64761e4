package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/encoding/dot"
	"gonum.org/v1/gonum/graph/simple"
	"pgregory.net/rapid"
)

// named is a graph as the established node has gonum fill it: its nodes know their names.
type named struct{ *simple.DirectedGraph }

type namedNode struct {
	graph.Node
	name string
}

func (n *namedNode) SetDOTID(id string) { n.name = id }

func (g named) NewNode() graph.Node { return &namedNode{Node: g.DirectedGraph.NewNode()} }

// statements draws what may stand in a graph or in braces.
func statements(t *rapid.T, depth int) string {
	var out strings.Builder
	for range rapid.IntRange(0, 4).Draw(t, "statements") {
		ends := make([]string, rapid.IntRange(1, 3).Draw(t, "ends"))
		for i := range ends {
			ends[i] = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", `"g h"`}).Draw(t, "name")
			if depth > 0 && rapid.IntRange(0, 2).Draw(t, "braces") == 0 {
				prefix := rapid.SampledFrom([]string{"", "", "subgraph ", "subgraph s "}).Draw(t, "prefix")
				ends[i] = prefix + "{" + statements(t, depth-1) + "}"
			}
		}
		out.WriteString(strings.Join(ends, " -> ") + rapid.SampledFrom([]string{" ", "\n", "; ", " k=v "}).Draw(t, "end"))
	}
	return out.String()
}

// TestBracesAsGonumReadsThem draws graphs with sets and subgraphs, and compares the arrows with those that gonum makes
// of the same text, which are the established node's.
func TestBracesAsGonumReadsThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		source := statements(t, 3)
		drawn, _, err := draw(source)
		if err != nil {
			t.Fatalf("%s\n%v", source, err)
		}
		got := []string{}
		for _, e := range drawn.edges {
			if e.from == e.to {
				t.Skip("gonum refuses an arrow from a node to itself, as Parse does")
			}
			got = append(got, fmt.Sprintf("%s -> %s", drawn.nodes[e.from].name, drawn.nodes[e.to].name))
		}
		slices.Sort(got)
		got = slices.Compact(got)

		g := named{simple.NewDirectedGraph()}
		if err := dot.Unmarshal([]byte("digraph {\n"+source+"\n}"), g); err != nil {
			t.Fatalf("%s\n%v", source, err)
		}
		want := []string{}
		for _, e := range graph.EdgesOf(g.Edges()) {
			want = append(want, fmt.Sprintf("%s -> %s", e.From().(*namedNode).name, e.To().(*namedNode).name))
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", source, diff)
		}
	})
}
