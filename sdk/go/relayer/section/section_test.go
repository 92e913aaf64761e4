package section_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/relayer/section"
)

// config is a section as a relayer has it.
type config struct {
	ChainID string
	Depth   uint32
	Poll    section.Duration
	Mode    string
	Nodes   []node
}

type node struct {
	Name   string
	URL    section.Secret
	APIKey section.Secret `toml:",omitempty"`
	Order  *uint8         `toml:",omitempty"`
}

func (c config) check() error {
	var problems section.Problems
	problems.Refuse(c.ChainID == "", "ChainID must not be empty")
	problems.Period("Poll", c.Poll)
	problems.Selection("Mode", c.Mode)
	for i, n := range c.Nodes {
		problems.Node(i, n.Name)
		problems.Refuse(!n.URL.Is("http", "https"), "Nodes[%d].URL must be an http:// or https:// address", i)
	}
	return problems.Err()
}

func parse(document string) (config, error) {
	c := config{Depth: 5, Poll: section.Duration(time.Second), Mode: "PriorityLevel"}
	if err := section.Parse([]byte(document), &c); err != nil {
		return config{}, err
	}
	return c, c.check()
}

const plain = "\n[[Nodes]]\nName = 'a'\nURL = 'http://u:geheim@h/geheim'\n"

// TestProblems holds that each problem is told by its key and line, and no value, which may be a secret in the wrong place.
func TestProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, want string }{
		"least":            {"ChainID = 'x'" + plain, ""},
		"unknown key":      {"ChainID = 'x'\nDeph = 3" + plain, "line 2: the key Deph is not known; remove it or correct its spelling"},
		"unknown node key": {"ChainID = 'x'" + plain + "WSURL = 'ws://geheim'", "line 5: the key Nodes.WSURL is not known; remove it or correct its spelling"},
		"twice a key":      {"ChainID = 'x'\nDepth = 1\nDepth = 2" + plain, "line 3: the key Depth is given twice; remove one"},
		"wrong type":       {"ChainID = 'x'\nDepth = 'geheim'" + plain, "line 2: the value of Depth cannot be read; check its type, its unit and its quotes"},
		"bad duration":     {"ChainID = 'x'\nPoll = 'geheim'" + plain, "line 2: the value of Poll cannot be read; check its type, its unit and its quotes"},
		"number as a key":  {"ChainID = 'x'" + plain + "APIKey = 3", "line 5: the value of Nodes.APIKey cannot be read; check its type, its unit and its quotes"},
		"no TOML":          {"[", "line 1: the value of  cannot be read; check its type, its unit and its quotes"},
		"several":          {"Poll = '0s'\nMode = 'Best'", "ChainID must not be empty; Poll must be at least 10ms; Mode must be PriorityLevel, HighestHead, TotalDifficulty or RoundRobin"},
		"twice a name":     {"ChainID = 'x'" + plain + plain, "Nodes[1].Name is that of another node"},
		"no name":          {"ChainID = 'x'\n[[Nodes]]\nURL = 'http://h'", "Nodes[0].Name must not be empty"},
		"scheme":           {"ChainID = 'x'\n[[Nodes]]\nName = 'a'\nURL = 'ws://geheim'", "Nodes[0].URL must be an http:// or https:// address"},
		"no host":          {"ChainID = 'x'\n[[Nodes]]\nName = 'a'\nURL = 'http:geheim'", "Nodes[0].URL must be an http:// or https:// address"},
	} {
		_, err := parse(c.document)
		if got := fmt.Sprint(err); err != nil && got != c.want || err == nil && c.want != "" {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestSecretsAreNotShown holds that no way to print or to write a configuration shows a secret, and that the redacted one can be
// read again.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	c, err := parse("ChainID = 'x'" + plain + "APIKey = 'geheim'\n")
	if err != nil || c.Nodes[0].APIKey != "geheim" {
		t.Fatalf("%v, %v", c, err)
	}
	text, err := section.Redacted(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{text, fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q", c, c, c.Nodes[0].URL, c.Nodes[0].URL)} {
		if strings.Contains(shown, "geheim") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
	again, err := parse(strings.ReplaceAll(text, "[redacted]", "http://h"))
	if err != nil {
		t.Fatalf("%v, of\n%s", err, text)
	}
	want := c
	want.Nodes = []node{{Name: "a", URL: "http://h", APIKey: "http://h"}}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	bare, err := section.Redacted(config{Nodes: []node{{Name: "a"}}})
	if err != nil || strings.Contains(bare, "redacted") || strings.Contains(bare, "APIKey") {
		t.Errorf("of a node without secrets: %v\n%s", err, bare)
	}
}

// TestInOrder holds that nodes stand by their order, and as the section has them where it is the same.
func TestInOrder(t *testing.T) {
	t.Parallel()
	order := func(n uint8) *uint8 { return &n }
	nodes := []node{{Name: "last", Order: order(100)}, {Name: "unsaid"}, {Name: "second", Order: order(1)}, {Name: "third", Order: order(1)}, {Name: "first", Order: order(0)}}
	var names []string
	for _, n := range section.InOrder(nodes, func(n node) *uint8 { return n.Order }) {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"first", "second", "third", "last", "unsaid"}, names); diff != "" {
		t.Error(diff)
	}
}
