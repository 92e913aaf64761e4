package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the exit codes into docs/commands.md")

// TestCommandsOfDocuments holds that every command of loop that a document names is there, with its flags.
func TestCommandsOfDocuments(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("found %d documents: %v", len(pages), err)
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "sdk/python/README.md",
		"tools/devnet/README.md"} {
		pages = append(pages, filepath.Join(root, name))
	}
	// At the start of a code span or of a line of a block, behind a prompt or variables: words up to the first argument,
	// and what comes then, up to a comment or another command.
	named := regexp.MustCompile(`(?m)^(?:\$ )?(?:[A-Z_]+=\S* )*loop ([a-z][a-z-]*(?: [a-z][a-z-]*)*)([^\n#|&;]*)`)
	given := regexp.MustCompile(` --([a-z-]+)`)
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range named.FindAllStringSubmatch(codeOf(string(text)), -1) {
			found++
			words := strings.Fields(match[1])
			command, rest, err := rootCommand(Streams{}).Find(words)
			if err != nil || command.Parent() == nil || command.HasSubCommands() && len(rest) > 0 {
				t.Errorf("%s names loop %s, which is not a command", filepath.Base(page), match[1])
				continue
			}
			arguments, _, _ := strings.Cut(match[2], " -- ")
			for _, flag := range given.FindAllStringSubmatch(arguments, -1) {
				if flag[1] != "help" && command.Flag(flag[1]) == nil {
					t.Errorf("%s names loop %s --%s, and there is no such flag", filepath.Base(page), match[1], flag[1])
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d commands; the pattern has lost them", found)
	}
}

// codeOf returns the code of a document in Markdown: its blocks, and each code span of its prose as lines of its own.
func codeOf(document string) string {
	var code strings.Builder
	for i, part := range strings.Split(document, "```") {
		if i%2 == 1 {
			code.WriteString(part)
			continue
		}
		for j, span := range strings.Split(part, "`") {
			if j%2 == 1 {
				code.WriteString("\n" + span + "\n")
			}
		}
	}
	return code.String()
}

// TestHelpFitsATerminal holds that no line of any command's help is wider than a terminal beside another one.
func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	seen := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		seen++
		for line := range strings.Lines(c.Long + "\n" + c.UsageString()) {
			if utf8.RuneCountInString(line) > 101 {
				t.Errorf("a line of the help of %s is wider than 100 columns: %s", c.CommandPath(), line)
			}
		}
		if c.Name() == "completion" {
			return // cobra's own
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(rootCommand(Streams{}))
	if seen < 40 {
		t.Errorf("saw %d commands", seen)
	}
}

// TestExitCodesAreDocumented holds that docs/commands.md has the exit codes as the code has them; -update writes them.
func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	const (
		begin = "<!-- exit codes: begin; `go test ./host/internal/cli -run TestExitCodesAreDocumented -update` writes what " +
			"stands between these lines -->\n"
		end = "<!-- exit codes: end -->\n"
	)
	file := filepath.Join("..", "..", "..", "docs", "commands.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("docs/commands.md has lost the lines around its exit codes:\n%s%s", begin, end)
	}
	var table strings.Builder
	table.WriteString("| exit code | meaning |\n| --- | --- |\n")
	for code, meaning := range exitCodes {
		fmt.Fprintf(&table, "| %d | %s |\n", code, meaning)
	}
	want := before + begin + table.String() + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(page), want); d != "" {
		t.Errorf("docs/commands.md has other exit codes; run go test ./host/internal/cli -run TestExitCodesAreDocumented "+
			"-update (-page +code):\n%s", d)
	}
}
