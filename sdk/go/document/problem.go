package document

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// Problem is something wrong in a document, or something that its author should know.
type Problem struct {
	// Path is the key from the top of the document: names joined by dots, with a position in brackets after the name of
	// a list, from 0, as in Nodes[1].HTTPURL. A missing key is named as if it were there. Empty means the whole
	// document.
	Path string
	// Line is the line of the key or, if that is missing, of the table around it; 0 if it is not known.
	Line int
	// Text follows the path and a colon. It says what is wrong and what to do.
	Text string
}

// String returns the problem without its line.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// Alone returns the text for readers who see no line, since a problem with the whole document would be hard to find
// without one.
func (p Problem) Alone() string {
	if p.Path == "" && p.Line > 0 {
		return fmt.Sprintf("line %d: %s", p.Line, p.Text)
	}
	return p.Text
}

// Problems gathers what is wrong, so that the author of a document learns of everything at once. The zero value belongs
// to no document, and its problems have no lines.
type Problems struct {
	index    *keys.Index
	list     []Problem
	warnings []Problem
	// reported are the paths, in small letters, that have been reported: what follows from a problem is left out.
	reported map[string]bool
}

// Add adds a problem with a key, unless the key or a table around it has one already.
func (p *Problems) Add(path, format string, arguments ...any) {
	folded := strings.ToLower(path)
	for prefix := folded; ; {
		if p.reported[prefix] {
			return
		}
		cut := strings.LastIndexAny(prefix, ".[")
		if cut < 0 {
			break
		}
		prefix = prefix[:cut]
	}
	p.addAt(path, p.line(path), fmt.Sprintf(format, arguments...))
}

// Include adds the problems of a table that was read separately. That table's reader has already left out problems that
// follow from others; a problem that occurs twice is reported once.
func (p *Problems) Include(table string, found []Problem) {
	for _, problem := range found {
		if path := Under(table, problem.Path); !p.reported[strings.ToLower(path)] {
			p.addAt(path, p.line(path), problem.Text)
		}
	}
}

// Under returns the path of a key within a table.
func Under(table, path string) string {
	switch "" {
	case path:
		return table
	case table:
		return path
	}
	return table + "." + path
}

// Warn adds a warning about a key, which is not a problem.
func (p *Problems) Warn(path, format string, arguments ...any) {
	p.warnings = append(p.warnings, Problem{Path: path, Line: p.line(path), Text: fmt.Sprintf(format, arguments...)})
}

// Has reports whether the document has a key.
func (p *Problems) Has(path string) bool {
	if p.index == nil {
		return false
	}
	_, ok := p.index.Find(path)
	return ok
}

// List returns the problems in the order of their lines.
func (p *Problems) List() []Problem { return byLine(p.list) }

// Warnings returns the warnings in the order of their lines.
func (p *Problems) Warnings() []Problem { return byLine(p.warnings) }

// Err returns all problems as one error of one line, or nil if there is none.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	var texts []string
	for _, problem := range p.List() {
		problem.Text = problem.Alone()
		texts = append(texts, problem.String())
	}
	return errors.New(strings.Join(texts, "; "))
}

func (p *Problems) addAt(path string, line int, text string) {
	p.list = append(p.list, Problem{Path: path, Line: line, Text: text})
	p.mark(path)
}

// mark notes that a path has been reported.
func (p *Problems) mark(path string) {
	if p.reported == nil {
		p.reported = map[string]bool{}
	}
	p.reported[strings.ToLower(path)] = true
}

func (p *Problems) line(path string) int {
	if p.index == nil {
		return 0
	}
	return p.index.Line(path)
}

func byLine(list []Problem) []Problem {
	return slices.SortedStableFunc(slices.Values(list), func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}

// shortest is the length from which a value may be a server's key: such keys have 32 characters and more.
const shortest = 24

// Shown returns a value as problems repeat it: in quotes if it begins like a number, so that a typo in a number is
// visible. Any other value could be a secret on the wrong line, and is shown as "this".
func Shown(value string) string {
	switch {
	case value == "":
		return "an empty text"
	case len(value) >= shortest, !strings.ContainsRune("0123456789+-.", rune(value[0])), strings.ContainsAny(value, "/@"):
		return "this"
	}
	return strconv.Quote(value)
}
