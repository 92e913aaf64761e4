package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
				t.Errorf("%s names loop %s, which is no command", filepath.Base(page), match[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d commands; the pattern has lost them", found)
	}
}
