package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// What a reader can take in at once. A tab counts as one column.
const (
	maxColumns       = 120
	maxFileLines     = 500
	maxFunctionLines = 70
)

// longFile is the line at the top of a file of the product that is longer than the others: why it is one file.
var longFile = regexp.MustCompile(`(?m)^// Over 500 lines: \S`)

// checkShape reads every Go file that people write: how long its lines are and, in the product, how long it is itself
// and its functions.
func checkShape(ctx context.Context, out io.Writer, _ []string) ([]string, error) {
	listed, err := output(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.go",
		":!gen")
	if err != nil {
		return nil, err
	}
	var findings []string
	read := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed, but not yet from the index
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		read++
		findings = append(findings, shapeOf(name, content)...)
	}
	fmt.Fprintf(out, "shape: %d files\n", read)
	return findings, nil
}

func shapeOf(name string, content []byte) []string {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, content, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	var findings []string
	for _, line := range longLines(content) {
		findings = append(findings, fmt.Sprintf("%s:%d is over %d columns: break the line", name, line, maxColumns))
	}
	if strings.HasSuffix(name, "_test.go") {
		return findings
	}
	beforePackage := content[:files.Position(parsed.Package).Offset]
	if lines := bytes.Count(content, []byte("\n")); lines > maxFileLines && !longFile.Match(beforePackage) {
		findings = append(findings, fmt.Sprintf(
			"%s has %d lines, and %d are many: split it, or say above its package clause why not (// Over 500 lines: …)",
			name, lines, maxFileLines))
	}
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		at := files.Position(function.Pos()).Line
		if lines := files.Position(function.End()).Line - at + 1; lines > maxFunctionLines {
			findings = append(findings, fmt.Sprintf("%s:%d: %s has %d lines, and %d are many: split it",
				name, at, function.Name, lines, maxFunctionLines))
		}
	}
	return findings
}

// longLines returns the numbers of the lines that are too long and can be broken: not where a raw string reaches over
// the limit, which a break would change, nor where a quoted one does that has no blank to break it at.
func longLines(content []byte) []int {
	var long []int
	for at, line := range bytes.Split(content, []byte("\n")) {
		if utf8.RuneCount(line) > maxColumns {
			long = append(long, at+1)
		}
	}
	if len(long) == 0 {
		return nil
	}
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(content))
	var tokens scanner.Scanner
	tokens.Init(file, content, nil, 0)
	unbroken := map[int]bool{}
	for {
		position, kind, literal := tokens.Scan()
		if kind == token.EOF {
			break
		}
		if kind != token.STRING || literal[0] == '"' && strings.Contains(literal, " ") {
			continue
		}
		start := file.Position(position)
		for number, line := range strings.Split(literal, "\n") {
			before := 0
			if number == 0 {
				from := start.Offset - (start.Column - 1)
				before = utf8.RuneCount(content[from:start.Offset])
			}
			if before+utf8.RuneCountInString(line) > maxColumns-2 { // a quote or a comma may follow
				unbroken[start.Line+number] = true
			}
		}
	}
	var findings []int
	for _, line := range long {
		if !unbroken[line] {
			findings = append(findings, line)
		}
	}
	return findings
}
