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

// parts are those that a relayer gives this package, each with its files in the template and in LOOP's own relayers.
// A folder stands for all files in it.
var parts = []struct{ what, purpose, template, evm, solana, starknet string }{
	{
		"`Kind`",
		"the algorithms of its keys; the names and spellings of accounts, the keys of a job's relayConfig, and the bytes " +
			"of a report that are signed",
		"relayer/relayer.go", "evm.go job.go", "solana.go job.go", "starknet.go job.go",
	},
	{
		"`Config`",
		"the keys of a chain's section with their comments, defaults and bounds, and the keys of other node software " +
			"that have no effect",
		"relayer/config.go", "config.go gas.go wei.go idle.go", "config.go idle.go", "config.go",
	},
	{
		"`relayer.Driver`", "the client of an RPC node",
		"relayer/endpoint.go", "endpoint", "endpoint", "endpoint",
	},
	{
		"`PolledSettings`, `Payload`",
		"a contract's state as a node has it, the digest of its configuration, and the call that transmits a report",
		"relayer/contract.go", "contract.go events.go nitro.go overlap.go aggregator", "contract.go ledger.go ocr2",
		"contract.go transmitters.go aggregator",
	},
	{
		"`Codec`", "the contract's encoding of reports and on-chain configurations",
		"relayer/codec.go", "codec.go", "codec.go", "codec.go",
	},
	{
		"`Account`",
		"signing and sending the transactions of one account, asking for their state, and the check of what a node signs",
		"relayer/account.go", "account policy.go", "account market.go policy.go", "account policy.go",
	},
	{
		"`ChainSettings`", "all of these put together; transfers and reads of contracts, where the relayer has them",
		"relayer/chain.go", "chain.go provider.go call.go", "chain.go provider.go call.go", "chain.go provider.go",
	},
	{"the program", "all of this served as a plugin", "main.go.tmpl", "cmd/loop-evm", "cmd/loop-solana",
		"cmd/loop-starknet"},
}

// lines counts the lines of each file of a relayer that is not a test.
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

// TestLines checks that the page counts the lines of each part of a relayer right, and counts all of its files.
func TestLines(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..", "..")
	template := filepath.Join(root, "plugins", "templates", "go-relayer")
	counts := []map[string]int{lines(t, template)}
	for _, own := range []string{"evm", "solana", "starknet"} {
		counts = append(counts, lines(t, filepath.Join(root, "plugins", own)))
	}
	const head = "| part of a relayer | what it is for | file of the template | lines | EVM | Solana | Starknet |\n"
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
			if i > 0 { // only the template's counts are exact, so that not every change of a relayer changes the page
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
		t.Fatal("docs/plugins.md has lost the table of the parts of a relayer, which begins with\n" + head)
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
