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

// Problem is something wrong with what somebody wrote, or something that he should know.
type Problem struct {
	// Path is the key from the top of the document: names with dots between, a position in a list in brackets after
	// the list's name, from 0, as in Nodes[1].HTTPURL. A key that is missing is named as it would be if it were there.
	// Empty: the whole.
	Path string
	// Line is the key's or, if that is missing, that of the table around it; 0: not known.
	Line int
	// Text follows the path and a colon: what is wrong and what to do.
	Text string
}

// String is the problem without its line.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// Alone is the text for who sees no line: a problem with the whole would be hard to find without.
func (p Problem) Alone() string {
	if p.Path == "" && p.Line > 0 {
		return fmt.Sprintf("line %d: %s", p.Line, p.Text)
	}
	return p.Text
}

// Problems gathers what is wrong, so that who wrote a document hears of all of it at once. The zero value is of no
// document, and its problems have no lines.
type Problems struct {
	index    *keys.Index
	list     []Problem
	warnings []Problem
	// reported are paths in small letters that have a problem: what follows from it is not told again.
	reported map[string]bool
}

// Add has a problem with a key, unless it or a table around it has one already.
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

// Include adds the problems of a table that was read by itself. Of those that follow from one another its reader has
// left out the others already; what is told twice is told once.
func (p *Problems) Include(table string, found []Problem) {
	for _, problem := range found {
		if path := Under(table, problem.Path); !p.reported[strings.ToLower(path)] {
			p.addAt(path, p.line(path), problem.Text)
		}
	}
}

// Under is the path of something in a table.
func Under(table, path string) string {
	switch "" {
	case path:
		return table
	case table:
		return path
	}
	return table + "." + path
}

// Warn tells something of a key that is no problem.
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

// List is the problems by line.
func (p *Problems) List() []Problem { return byLine(p.list) }

// Warnings are by line.
func (p *Problems) Warnings() []Problem { return byLine(p.warnings) }

// Err is all problems in one error of one line, or nil if there is none.
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

// mark takes note that a path has its problem.
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

// shortest is from how many characters on a value may be the key of a server: those have 32 and more.
const shortest = 24

// Shown is a value as problems repeat it, in quotes, if it begins as a number does: a slip of the hand in a number is
// shown. Any other could be a secret on the wrong line, and is "this".
func Shown(value string) string {
	switch {
	case value == "":
		return "an empty text"
	case len(value) >= shortest, !strings.ContainsRune("0123456789+-.", rune(value[0])), strings.ContainsAny(value, "/@"):
		return "this"
	}
	return strconv.Quote(value)
}
