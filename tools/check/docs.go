package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// docLink matches a link or an image of Markdown, without its title.
var docLink = regexp.MustCompile(`\]\(([^()\s]+)[^()]*\)`)

// Commands that documents have make run: in a span of code, and on a line of a block of code.
var (
	docSpan  = regexp.MustCompile("`make((?: [a-z][a-z-]*)+)")
	docBlock = regexp.MustCompile(`^(?:\$ )?make((?: [a-z][a-z-]*)+)`)
)

// makeTarget is how make writes a target that it knows.
var makeTarget = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)

// checkDocs follows the links between documents, to files and to headings in them, and looks for the targets of make
// that they name.
func checkDocs(ctx context.Context, out io.Writer, _ []string) ([]string, error) {
	listed, err := output(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md")
	if err != nil {
		return nil, err
	}
	database, err := output(ctx, "make", "-pnRr", "--no-print-directory", "help")
	if err != nil {
		return nil, err
	}
	targets := map[string]bool{}
	for _, target := range makeTarget.FindAllStringSubmatch(string(database), -1) {
		targets[target[1]] = true
	}
	var findings []string
	pages := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed, but not yet from the index
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		pages[name] = withoutCode(string(content))
		findings = append(findings, targetsIn(name, string(content), targets)...)
	}
	exists := func(name string) bool { _, err := os.Stat(name); return err == nil }
	fmt.Fprintf(out, "docs: %d pages\n", len(pages))
	return append(findings, linksIn(pages, exists)...), nil
}

// targetsIn returns each target that a page has make make and that there is not.
func targetsIn(name, page string, targets map[string]bool) []string {
	var findings []string
	inside := false
	for at, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
		}
		command := docSpan
		if inside {
			command = docBlock
		}
		for _, found := range command.FindAllStringSubmatch(line, -1) {
			for target := range strings.FieldsSeq(found[1]) {
				if !targets[target] {
					findings = append(findings, fmt.Sprintf("%s:%d: the Makefile has no target %s", name, at+1, target))
				}
			}
		}
	}
	return findings
}

// linksIn returns each link of the pages that leads nowhere.
func linksIn(pages map[string]string, exists func(string) bool) []string {
	var findings []string
	for _, name := range sortedKeys(pages) {
		for at, line := range strings.Split(pages[name], "\n") {
			for _, link := range docLink.FindAllStringSubmatch(line, -1) {
				target, heading, _ := strings.Cut(link[1], "#")
				if strings.Contains(target, ":") { // of another site
					continue
				}
				to := name
				if target != "" {
					to = path.Join(path.Dir(name), target)
				}
				page, known := pages[to]
				switch {
				case !known && !exists(to):
					findings = append(findings, fmt.Sprintf("%s:%d links to %s, which is not there", name, at+1, link[1]))
				case heading != "" && known && !hasHeading(page, heading):
					findings = append(findings, fmt.Sprintf("%s:%d links to %s, and %s has no such heading", name, at+1, link[1],
						to))
				}
			}
		}
	}
	return findings
}

// hasHeading tells whether a page has a heading that is found by an anchor.
func hasHeading(page, anchor string) bool {
	for line := range strings.SplitSeq(page, "\n") {
		if title := strings.TrimLeft(line, "#"); title != line && slug(strings.TrimSpace(title)) == anchor {
			return true
		}
	}
	return false
}

// slug is the anchor of a heading, as the sites that show Markdown make it.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

// withoutCode blanks blocks of code: what they hold is no link and no heading.
func withoutCode(page string) string {
	var b bytes.Buffer
	inside := false
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
			line = ""
		}
		if !inside {
			b.WriteString(line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
