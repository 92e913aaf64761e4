// Package keys finds the keys of a TOML document: on which line each one stands, and which known key a mistyped one is
// closest to. Readers of configuration and of job specs use it to say where a problem is after the document was
// decoded.
//
// It must not know what any key means.
package keys

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Entry is one key of a document, or one element of an array.
type Entry struct {
	// Path is the key as the document spells it: tables joined by dots, elements of arrays and of arrays of tables by
	// an index in brackets, as in EVM[0].Nodes[1].WSURL.
	Path string
	// Line is the 1-based line of the key; for an element of an array, of the element.
	Line int
	// Kind is the kind of the value as written; Table for a header and for a table that only dotted keys imply.
	Kind unstable.Kind
	// True reports whether the value is the bool true.
	True bool
	// Start and End are the bounds, in bytes of the document, of the whole assignment that the entry came with. Both
	// are 0 for entries that come from a table header.
	Start, End int

	raw     []byte // a string's text with its quotes
	rawLine int    // the line of its opening quote
}

// maxDepth is how many levels of tables and arrays are indexed. No reader here looks deeper than five; without a
// limit, the paths of a hostile document would grow with the square of its length.
const maxDepth = 16

// Index holds the entries of one document.
type Index struct {
	entries []Entry
	byPath  map[string]int // path to the first entry that has it
	folded  map[string]int // the same by lower-cased path
	keyed   map[int]string // path by the offset at which its key begins, in a header or an assignment
	lines   lineTable
}

// SyntaxError says on which line a document stops being TOML. Its text repeats nothing of the document except the
// offending character.
type SyntaxError struct {
	Line int
	Text string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// Read indexes a document. It fails with a *SyntaxError, and only for syntax: the decoder refuses a key that is given
// twice.
func Read(document []byte) (*Index, error) {
	index := &Index{byPath: map[string]int{}, folded: map[string]int{}, keyed: map[int]string{},
		lines: newLineTable(document)}
	var parser unstable.Parser
	parser.Reset(document)
	walk := walker{index: index, parser: &parser, lines: index.lines, arrays: map[string]int{}}
	for parser.NextExpression() {
		walk.expression(parser.Expression())
	}
	if err := parser.Error(); err != nil {
		var syntax *unstable.ParserError
		if errors.As(err, &syntax) {
			line := 1
			if len(syntax.Highlight) > 0 {
				line = walk.lines.at(int(parser.Range(syntax.Highlight).Offset))
			}
			return nil, &SyntaxError{Line: line, Text: syntax.Message}
		}
		return nil, &SyntaxError{Line: 1, Text: err.Error()}
	}
	return index, nil
}

// Entries returns all entries in the order of the document.
func (x *Index) Entries() []Entry { return x.entries }

// Find returns the first entry with the given path or, if there is none, the first whose path differs only in letter
// case, since decoders bind keys that way.
func (x *Index) Find(path string) (Entry, bool) {
	at, ok := x.byPath[path]
	if !ok {
		at, ok = x.folded[strings.ToLower(path)]
	}
	if !ok {
		return Entry{}, false
	}
	return x.entries[at], true
}

// Line returns the line of a path or, if the key is absent, of the closest table around it; 0 if that is the document.
func (x *Index) Line(path string) int {
	for {
		if entry, ok := x.Find(path); ok {
			return entry.Line
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return 0
		}
		path = path[:cut]
	}
}

// Assignment returns the top-level assignment (key, equals sign, value) that covers a position, both counted from 1.
func (x *Index) Assignment(line, column int) (Entry, bool) {
	if line < 1 || line > len(x.lines) {
		return Entry{}, false
	}
	offset := x.lines[line-1] + column - 1
	for _, entry := range x.entries {
		if entry.Start <= offset && offset < entry.End {
			return entry, true
		}
	}
	return Entry{}, false
}

// Key returns the path of the key, in a header or an assignment, that begins at a position, both counted from 1. In the
// header of a list of tables that is the path of the list.
func (x *Index) Key(line, column int) (path string, ok bool) {
	if line < 1 || line > len(x.lines) {
		return "", false
	}
	path, ok = x.keyed[x.lines[line-1]+column-1]
	return path, ok
}

type walker struct {
	index  *Index
	parser *unstable.Parser
	lines  lineTable
	table  string         // path of the table whose header came last
	depth  int            // of that table
	arrays map[string]int // lower-cased path of an array of tables to how many headers it had
}

func (w *walker) expression(node *unstable.Node) {
	switch node.Kind {
	case unstable.Table, unstable.ArrayTable:
		w.header(node)
	case unstable.KeyValue:
		w.assignment(Entry{Path: w.table, Start: int(node.Raw.Offset), End: int(node.Raw.Offset + node.Raw.Length)}, node,
			w.depth)
	}
}

func (w *walker) header(node *unstable.Node) {
	path, start := "", -1
	w.depth = 0
	for parts := node.Key(); parts.Next(); {
		if w.depth++; w.depth > maxDepth {
			break
		}
		part := parts.Node()
		path = Join(path, string(part.Data))
		if start < 0 {
			start = int(part.Raw.Offset)
		}
		w.index.keyed[start] = path
		line := w.lines.at(int(part.Raw.Offset))
		folded := strings.ToLower(path)
		if node.Kind == unstable.ArrayTable && parts.IsLast() {
			w.add(Entry{Path: path, Line: line, Kind: unstable.ArrayTable})
			count := w.arrays[folded]
			w.arrays[folded] = count + 1
			path += "[" + strconv.Itoa(count) + "]"
			w.add(Entry{Path: path, Line: line, Kind: unstable.Table})
			continue
		}
		w.add(Entry{Path: path, Line: line, Kind: unstable.Table})
		// A header below an array of tables means the array's last element.
		if count := w.arrays[folded]; count > 0 {
			path += "[" + strconv.Itoa(count-1) + "]"
		}
	}
	w.table = path
}

func (w *walker) assignment(table Entry, node *unstable.Node, depth int) {
	entry, start := Entry{Path: table.Path, Kind: unstable.Table, Start: table.Start, End: table.End}, -1
	for parts := node.Key(); parts.Next(); {
		if depth++; depth > maxDepth {
			return
		}
		part := parts.Node()
		entry.Path = Join(entry.Path, string(part.Data))
		entry.Line = w.lines.at(int(part.Raw.Offset))
		if start < 0 {
			start = int(part.Raw.Offset)
		}
		if parts.IsLast() {
			w.index.keyed[start] = entry.Path
			w.value(entry, node.Value(), depth)
			return
		}
		w.add(entry)
	}
}

func (w *walker) value(entry Entry, node *unstable.Node, depth int) {
	entry.Kind = node.Kind
	entry.True = node.Kind == unstable.Bool && string(node.Data) == "true"
	if node.Kind == unstable.String {
		entry.raw = w.parser.Raw(node.Raw)
		entry.rawLine = w.lines.at(int(node.Raw.Offset))
	}
	w.add(entry)
	if depth++; depth > maxDepth {
		return
	}
	switch node.Kind {
	case unstable.Array:
		at := 0
		for elements := node.Children(); elements.Next(); at++ {
			element := entry
			element.Path = entry.Path + "[" + strconv.Itoa(at) + "]"
			element.raw = nil
			// A nested array has no range of its own in the parser's tree: it keeps its parent's line.
			if raw := elements.Node().Raw; raw.Length > 0 {
				element.Line = w.lines.at(int(raw.Offset))
			}
			w.value(element, elements.Node(), depth)
		}
	case unstable.InlineTable:
		for pairs := node.Children(); pairs.Next(); {
			w.assignment(entry, pairs.Node(), depth)
		}
	}
}

func (w *walker) add(entry Entry) {
	if _, ok := w.index.byPath[entry.Path]; !ok {
		w.index.byPath[entry.Path] = len(w.index.entries)
	} else if entry.Kind == unstable.Table || entry.Kind == unstable.ArrayTable {
		return // a table is mentioned by each of its headers and dotted keys
	}
	if folded := strings.ToLower(entry.Path); !w.index.has(folded) {
		w.index.folded[folded] = len(w.index.entries)
	}
	w.index.entries = append(w.index.entries, entry)
}

func (x *Index) has(folded string) bool {
	_, ok := x.folded[folded]
	return ok
}

// Join appends one key to a path, quoted if it is not a bare key.
func Join(path, key string) string {
	for _, c := range []byte(key) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			key = strconv.Quote(key)
			break
		}
	}
	if key == "" {
		key = `""`
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// lineTable holds the offset at which each line of a document begins.
type lineTable []int

func newLineTable(document []byte) lineTable {
	table := lineTable{0}
	for at, c := range document {
		if c == '\n' {
			table = append(table, at+1)
		}
	}
	return table
}

func (t lineTable) at(offset int) int {
	low, high := 0, len(t)
	for high-low > 1 {
		if middle := (low + high) / 2; t[middle] <= offset {
			low = middle
		} else {
			high = middle
		}
	}
	return low + 1
}
