package section_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// TestCheck checks what every section is refused for, by the key at fault.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		id      string
		enabled bool
		nodes   []section.Node
		want    string
	}{
		"good":     {"x", true, []section.Node{{Name: "a"}, {Name: "b", SendOnly: true}}, ""},
		"disabled": {"x", false, nil, ""},
		"no id":    {"", true, []section.Node{{Name: "a"}}, "ChainID: every chain needs a ChainID"},
		"no node":  {"x", true, nil, `Nodes: Toy chain "x" has no node; add a [[Toy.Nodes]] or set Enabled = false`},
		"none to read": {"x", true, []section.Node{{Name: "a", SendOnly: true}},
			"Nodes: every node of the chain is SendOnly; one must be for reading too"},
		"no name": {"x", true, []section.Node{{}}, `Nodes[0].Name: a node of Toy chain "x" has no Name`},
		"twice a name": {"x", false, []section.Node{{Name: "a"}, {Name: "a"}},
			`Nodes[1].Name: node "a" of Toy chain "x" has the name of an earlier one`},
		"twice no name": {"x", true, []section.Node{{}, {}},
			`Nodes[0].Name: a node of Toy chain "x" has no Name; Nodes[1].Name: a node of Toy chain "x" has no Name`},
	} {
		var problems document.Problems
		section.Check(&problems, "Toy", c.id, c.enabled, c.nodes)
		got := ""
		if err := problems.Err(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestAddress checks that an address is refused for its scheme, and not repeated.
func TestAddress(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"": true, "http://h": true, "HTTPS://u:geheim@h/geheim": true, "ws://geheim": false, "http:geheim": false,
		"%zzgeheim": false,
	} {
		var problems document.Problems
		section.Check(&problems, "Toy", "x", true, []section.Node{{Name: "a"}}).Address("Nodes[0].URL",
			"a", document.NewSecret(address), "http", "https")
		want := []document.Problem{{Path: "Nodes[0].URL",
			Text: `the address of node "a" of Toy chain "x" is not a http:// or https:// URL`}}
		if good {
			want = nil
		}
		if diff := cmp.Diff(want, problems.List()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", address, diff)
		}
	}
}

// TestSelection checks that the established names mean the modes that the pool has, and no other name does.
func TestSelection(t *testing.T) {
	t.Parallel()
	want := map[string]relayer.Selection{
		"PriorityLevel": relayer.InOrder, "HighestHead": relayer.HighestHead, "TotalDifficulty": relayer.HighestHead,
		"RoundRobin": relayer.RoundRobin,
	}
	for name, mode := range want {
		var problems document.Problems
		section.Check(&problems, "Toy", "x", false, nil).Selects("Mode", name)
		if err := problems.Err(); err != nil || section.Selection(name) != mode {
			t.Errorf("%s: %v, %v", name, section.Selection(name), err)
		}
	}
	var problems document.Problems
	section.Check(&problems, "Toy", "x", false, nil).Selects("Mode", "Best")
	const refused = "Mode: this is not one of PriorityLevel, HighestHead, TotalDifficulty, RoundRobin"
	if err := problems.Err(); err == nil || err.Error() != refused {
		t.Errorf("Best: %v, want %s", err, refused)
	}
}

// TestInOrder checks that nodes stand by their order, and as the section has them where it is the same.
func TestInOrder(t *testing.T) {
	t.Parallel()
	type node struct {
		Name  string
		Order *uint8
	}
	order := func(n uint8) *uint8 { return &n }
	nodes := []node{{Name: "last", Order: order(100)}, {Name: "unsaid"}, {Name: "second", Order: order(1)},
		{Name: "third", Order: order(1)}, {Name: "first", Order: order(0)}}
	var names []string
	for _, n := range section.InOrder(nodes, func(n node) *uint8 { return n.Order }) {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"first", "second", "third", "last", "unsaid"}, names); diff != "" {
		t.Error(diff)
	}
}
