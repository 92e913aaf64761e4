package config_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/sdk/go/document"
)

// toy is a relayer that answers as the test wants.
type toy struct {
	section            string
	problems, warnings []document.Problem
	err                error
}

func (r toy) Section() string { return r.section }

func (r toy) ValidateChain(context.Context, []byte) (problems, warnings []document.Problem, err error) {
	return r.problems, r.warnings, r.err
}

// A list of tables belongs to the relayer that has its name, in any letter case, and to none if no relayer has it.
func TestSections(t *testing.T) {
	t.Parallel()
	acme := []config.Relayer{toy{section: "Acme"}}
	for name, c := range map[string]struct{ file, want string }{
		"known":        {"[[ACME]]\nChainID = 'a'\n", ""},
		"inline":       {"acme = [{ChainID = 'a'}, {ChainID = 'b', Enabled = false}]\n", ""},
		"mistyped":     {"[Log]\n[[Acne]]\nChainID = 'a'\n", ":2: Acne[0]: unknown key; did you mean Acme?"},
		"near the own": {"[[Databse]]\nChainID = 'a'\n", ":1: Databse[0]: unknown key; did you mean Database?"},
		"unknown": {"[[Zeta]]\nChainID = 'a'\n",
			":1: Zeta[0]: no relayer of this node has such tables; remove it, or start the relayer that has by a variable " +
				"CL_<NAME>_CMD"},
		"no list":  {"[Acme]\nChainID = 'a'\n", ":1: Acme: unknown key"},
		"no table": {"Acme = [1]\n", ":1: Acme: unknown key"},
		"no id":    {"[[Acme]]\nEnabled = false\n", ":1: Acme[0].ChainID: every chain needs a ChainID"},
		"twice": {"[[Acme]]\nChainID = 'a'\n[[acme]]\nChainID = 'a'\n",
			":4: acme[1].ChainID: acme chain \"a\" is configured twice; merge the two entries"},
		"wrong types": {"[[Acme]]\nChainID = 7\nAccounts = 'hunter2'\n",
			":2: Acme[0].ChainID: want a string in quotes, have another number\n:3: Acme[0].Accounts: want a list of strings, " +
				"have a string"},
		"a key twice": {"[[Acme]]\nChainID = 'a'\nX = 1\nX = 2\n", ":4: Acme[0].X: this key is given on line 3 already"},
		"own and theirs": {"[Log]\nLevle = 'x'\n[[Zeta]]\nChainID = 'a'\n",
			":2: Log.Levle: unknown key; did you mean Level?\n:3: Zeta[0]: no relayer of this node has such tables; remove " +
				"it, or start the relayer that has by a variable CL_<NAME>_CMD"},
	} {
		loaded, err := loadText(t, c.file, nil)
		if loaded == nil {
			t.Fatal(err)
		}
		got := ""
		if err := loaded.CheckChains(t.Context(), acme); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				_, problem, _ := strings.Cut(line, "node.toml")
				got += problem + "\n"
			}
		}
		if diff := cmp.Diff(c.want, strings.TrimSuffix(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What a relayer says is shown with the file's lines.
func TestWhatRelayersSay(t *testing.T) {
	t.Parallel()
	const file = "[[Acme]]\nChainID = 'a'\n\"a.b[1]\" = 1\n[[Acme.Nodes]]\nURL = 'x'\n[[Acme.Nodes]]\n"
	for name, c := range map[string]struct {
		relayer        toy
		want, warnings string
	}{
		"nothing": {},
		"problems": {
			toy{problems: []document.Problem{
				{Path: "Nodes[1].URL", Text: "it is missing"}, {Path: "Nodes[0].URL", Text: "it is bad"},
				{Path: "Fee.Cap", Text: "it is missing"}, {Text: "the whole is bad"},
			}},
			":1: Acme[0].Fee.Cap: it is missing\n:1: Acme[0]: the whole is bad\n:5: Acme[0].Nodes[0].URL: it is bad\n:6: " +
				"Acme[0].Nodes[1].URL: it is missing", "",
		},
		"warnings": {toy{warnings: []document.Problem{{Path: "ChainID", Text: "it is odd"}}},
			"", ":2: Acme[0].ChainID: it is odd"},
		"odd names": {toy{problems: []document.Problem{{Path: `"a.b[1]"`, Text: "it is odd"}}},
			`:3: Acme[0]."a.b[1]": it is odd`, ""},
		"does not say": {toy{err: errors.New("it is down")}, "checking Acme[0]: it is down", ""},
	} {
		loaded, err := loadText(t, file, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.relayer.section = "acme"
		got := ""
		if err := loaded.CheckChains(t.Context(), []config.Relayer{c.relayer}); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if _, problem, ok := strings.Cut(line, "node.toml"); ok {
					line = problem
				}
				got += line + "\n"
			}
		}
		warnings := ""
		for _, w := range loaded.Warnings {
			_, text, _ := strings.Cut(w.String(), "node.toml")
			warnings += text
		}
		if diff := cmp.Diff([2]string{c.want, c.warnings}, [2]string{strings.TrimSuffix(got, "\n"), warnings}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Plugins have any name; a rule or a variable for a plugin that there is not is a mistake.
func TestPluginsByName(t *testing.T) {
	t.Parallel()
	loaded, err := loadText(t, "[Plugins]\nacme = {MemoryLimit = '1GiB'}\nZeta.MemoryLimit = '2GiB'\n", map[string]string{
		"CL_ACME_CMD": "loop-acme --x", "CL_ZETA9_CMD": "loop-zeta", "LOOP_REATTACH": "zeta=/run/z.json",
		"CL_EVM_ENV": "testdata/valid/plugin.env",
	})
	if err != nil {
		t.Fatal(err)
	}
	plugins := loaded.Environment.Plugins
	if diff := cmp.Diff([]string{"acme", "evm", "zeta", "zeta9"}, slices.Sorted(maps.Keys(plugins))); diff != "" {
		t.Error(diff)
	}
	if got := fmt.Sprintln(plugins["acme"].Command, plugins["acme"].Rules.MemoryLimit, plugins["zeta"].Attach,
		plugins["zeta"].Rules.MemoryLimit,
		plugins["evm"].InProcess()); got != "[loop-acme --x] 1GiB /run/z.json 2GiB true\n" {
		t.Error(got)
	}
	for name, c := range map[string]struct {
		file      string
		variables map[string]string
		want      string
	}{
		"mistyped rules": {"[Plugins.Acmee]\n", map[string]string{"CL_ACME_CMD": "x"},
			"Plugins.Acmee: this node has no plugin of this name; did you mean acme?"},
		"rules of nothing": {"[Plugins.Zeta]\n", nil,
			"Plugins.Zeta: this node has no plugin of this name; set CL_ZETA_CMD to its command"},
		"unknown rule": {"[Plugins.EVM]\nMemoryLimits = ''\n", nil,
			"Plugins.EVM.MemoryLimits: unknown key; did you mean MemoryLimit?"},
		"type of a rule": {"[Plugins.EVM]\nSHA256 = []\n", nil,
			"Plugins.EVM.SHA256: want a string in quotes, have a list of something else"},
		"mistyped key": {"[Plugins]\nStopTimeoutt = '1s'\n", nil,
			"Plugins.StopTimeoutt: unknown key; did you mean StopTimeout?"},
		"small letters": {"", map[string]string{"CL_acme_CMD": "x"},
			`CL_acme_CMD: "acme" is not a plugin's name as variables have it, which is a capital letter, then capital letters and digits`},
		"two words": {"", map[string]string{"CL_MY_ACME_CMD": "x"},
			`CL_MY_ACME_CMD: "MY_ACME" is not a plugin's name as variables have it, which is a capital letter, then capital letters and digits`},
		"no command": {"", map[string]string{"CL_ACME_ENV": "testdata/valid/plugin.env"},
			"CL_ACME_ENV: this node has no plugin of this name; set CL_ACME_CMD to its command"},
		"pin, no command": {"", map[string]string{"CL_ACME_SHA256": strings.Repeat("a1", 32)},
			"CL_ACME_SHA256: this node has no plugin of this name; set CL_ACME_CMD to its command"},
	} {
		_, err := loadText(t, c.file, c.variables)
		if err == nil || !strings.HasSuffix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
