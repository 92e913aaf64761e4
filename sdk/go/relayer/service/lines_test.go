package service_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/plugins.md anew")

// parts are what a relayer gives this package, each with its files in the template of a new one and in LOOP's own.
// A folder stands for all files in it.
var parts = []struct{ what, purpose, template, evm, solana, starknet string }{
	{
		"`Kind`",
		"the algorithms of its keys; how accounts are named and spelled, what a job's relayConfig says, what is signed of " +
			"a report",
		"relayer/relayer.go", "evm.go job.go", "solana.go job.go", "starknet.go job.go",
	},
	{
		"`Config`",
		"the keys of a section with their comments, defaults and bounds, and those of other nodes that have no effect",
		"relayer/config.go", "config.go gas.go wei.go idle.go", "config.go idle.go", "config.go",
	},
	{
		"`relayer.Driver`", "the client of an RPC node",
		"relayer/endpoint.go", "endpoint", "endpoint", "endpoint",
	},
	{
		"`PolledSettings`, `Payload`",
		"what a contract holds at a node, the digest of its configuration, and the call that hands a report in",
		"relayer/contract.go", "contract.go events.go overlap.go aggregator", "contract.go ledger.go ocr2",
		"contract.go transmitters.go aggregator",
	},
	{
		"`Codec`", "how the contract writes reports and on-chain configurations",
		"relayer/codec.go", "codec.go", "codec.go", "codec.go",
	},
	{
		"`Account`",
		"signing, sending and asking after the transactions of one account, and which of them a node signs",
		"relayer/account.go", "account policy.go", "account market.go policy.go", "account policy.go",
	},
	{
		"`ChainSettings`", "all of these put together; transfers and reads of contracts, where the relayer has them",
		"relayer/chain.go", "chain.go provider.go call.go", "chain.go provider.go call.go", "chain.go provider.go",
	},
	{"the program", "all of this served as a plugin", "main.go.tmpl", "cmd/loop-evm", "cmd/loop-solana",
		"cmd/loop-starknet"},
}

// lines counts those of each file of a relayer that is no test.
func lines(t *testing.T, root string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		file := strings.TrimSuffix(path, ".tmpl")
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		counts[filepath.ToSlash(relative)] = bytes.Count(text, []byte("\n"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// take removes from the counts of a relayer those of files, and returns their sum.
func take(counts map[string]int, files string) (sum int) {
	for file := range strings.FieldsSeq(files) {
		for counted, n := range counts {
			if counted == file || strings.HasPrefix(counted, file+"/") {
				sum += n
				delete(counts, counted)
			}
		}
	}
	return sum
}

// twoDigits rounds a number to its first two digits.
func twoDigits(n int) int {
	unit := 1
	for n >= 100*unit {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// TestLines holds the page to how many lines each part of a relayer really has, and to all of its files.
func TestLines(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..", "..")
	template := filepath.Join(root, "plugins", "templates", "go-relayer")
	counts := []map[string]int{lines(t, template)}
	for _, own := range []string{"evm", "solana", "starknet"} {
		counts = append(counts, lines(t, filepath.Join(root, "plugins", own)))
	}
	const head = "| what a relayer gives | what it is for | file of the template | lines | EVM | Solana | Starknet |\n"
	var table strings.Builder
	table.WriteString(head + "| --- | --- | --- | ---: | ---: | ---: | ---: |\n")
	var sums [4]int
	for _, part := range parts {
		fmt.Fprintf(&table, "| %s | %s | `%s` |", part.what, part.purpose, strings.TrimSuffix(part.template, ".tmpl"))
		for i, files := range []string{part.template, part.evm, part.solana, part.starknet} {
			n := take(counts[i], files)
			if n == 0 {
				t.Errorf("%s: a relayer has none of %s; it was renamed", part.what, files)
			}
			sums[i] += n
			if i > 0 { // only what the author of a new one gets is told to the line, so that not every change is one of the page
				n = twoDigits(n)
			}
			fmt.Fprintf(&table, " %d |", n)
		}
		table.WriteString("\n")
	}
	fmt.Fprintf(&table, "| together | | | %d | %d | %d | %d |\n", sums[0], twoDigits(sums[1]), twoDigits(sums[2]),
		twoDigits(sums[3]))
	if diff := cmp.Diff([]map[string]int{{}, {}, {}, {}}, counts); diff != "" {
		t.Errorf("files that no row counts (+):\n%s", diff)
	}

	file := filepath.Join(root, "docs", "plugins.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), head)
	written, after, ends := strings.Cut(rest, "\n\n")
	if !found || !ends {
		t.Fatal("docs/plugins.md has lost the table of what a relayer gives, which begins with\n" + head)
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+table.String()+"\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table.String(), head+written+"\n"); diff != "" {
		t.Errorf("the table of docs/plugins.md (-counted +written); go test -run TestLines ./sdk/go/relayer/service "+
			"-update writes it anew:\n%s", diff)
	}
}
