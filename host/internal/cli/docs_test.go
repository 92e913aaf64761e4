package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// TestCommandsOfDocuments holds that every command of loop that a document names is there.
func TestCommandsOfDocuments(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("found %d documents: %v", len(pages), err)
	}
	pages = append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md"),
		filepath.Join(root, "tools", "devnet", "README.md"))
	// In code, at its start or at that of a line, behind a prompt or variables; words up to the first argument.
	named := regexp.MustCompile("(?m)(?:`|^(?:\\$ )?)(?:[A-Z_]+=\\S* )*loop ([a-z][a-z-]*(?: [a-z][a-z-]*)*)")
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range named.FindAllStringSubmatch(string(text), -1) {
			found++
			words := strings.Fields(match[1])
			command, rest, err := rootCommand(Streams{}).Find(words)
			if err != nil || command.Parent() == nil || command.HasSubCommands() && len(rest) > 0 {
				t.Errorf("%s names loop %s, which is not a command", filepath.Base(page), match[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d commands; the pattern has lost them", found)
	}
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

// TestExitCodesAreDocumented holds that docs/commands.md has a row for each exit code and no other.
func TestExitCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, row[1])
	}
	var codes []string
	for _, code := range []int{0, ExitFailed, ExitUsage, ExitPlugin, ExitUnreachable} {
		codes = append(codes, strconv.Itoa(code))
	}
	if d := cmp.Diff(codes, documented); d != "" {
		t.Errorf("docs/commands.md has other exit codes (-code +page):\n%s", d)
	}
}

// TestEnvironmentIsDocumented holds that the tables of docs/environment.md have each variable that the host's code
// names, and name no other of the same prefixes.
func TestEnvironmentIsDocumented(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "environment.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	row := regexp.MustCompile(`(?m)^\| (.*?) \|`)
	name := regexp.MustCompile("`((?:CL|LOOP)_[A-Z0-9_]+)`")
	for _, cells := range row.FindAllStringSubmatch(string(page), -1) {
		for _, variable := range name.FindAllStringSubmatch(cells[1], -1) {
			documented[variable[1]] = true
		}
	}
	read := map[string]bool{}
	literal := regexp.MustCompile(`"((?:CL|LOOP)_[A-Z0-9_]*[A-Z0-9])=?"`)
	err = filepath.WalkDir(filepath.Join(root, "host"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, variable := range literal.FindAllStringSubmatch(string(code), -1) {
			read[variable[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(read, documented); d != "" {
		t.Errorf("docs/environment.md has other variables (-code +page):\n%s", d)
	}
}
