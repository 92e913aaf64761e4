package keys

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Table is a table of a document, as a document by itself.
type Table struct {
	// Path is the path of the table, in the form of Entry.Path.
	Path string
	// Text is the content of the table as it was written, under headers without the table's own path.
	Text []byte
}

// Cut returns the tables whose paths are wanted, in the order in which they begin. A table within a wanted one is part
// of it. The document must be one that Read has accepted.
func Cut(document []byte, wanted func(path string) bool) []Table {
	c := cutter{wanted: wanted, arrays: map[string]int{}, found: map[string]*cut{}}
	c.parser.Reset(document)
	for c.parser.NextExpression() {
		switch node := c.parser.Expression(); node.Kind {
		case unstable.Table, unstable.ArrayTable:
			c.header(node)
		case unstable.KeyValue:
			c.assignment(c.table, node)
		}
	}
	tables := make([]Table, len(c.order))
	for at, path := range c.order {
		found := c.found[strings.ToLower(path)]
		tables[at] = Table{Path: path, Text: append(found.keys.Bytes(), found.tables.Bytes()...)}
	}
	return tables
}

// cut is a table while it is put together: its own keys, which must stand first, and the tables in it.
type cut struct{ keys, tables bytes.Buffer }

type cutter struct {
	wanted func(path string) bool
	parser unstable.Parser
	table  string         // path of the table whose header came last
	into   *bytes.Buffer  // where its assignments go; nil if no wanted table holds it
	arrays map[string]int // lower-cased path of an array of tables to how many headers it had
	order  []string
	found  map[string]*cut // by lower-cased path
}

func (c *cutter) start(path string) *cut {
	folded := strings.ToLower(path)
	if c.found[folded] == nil {
		c.found[folded] = &cut{}
		c.order = append(c.order, path)
	}
	return c.found[folded]
}

func (c *cutter) header(node *unstable.Node) {
	path, depth := "", 0
	var within *cut
	var rest []string // the header's parts below the wanted table
	for parts := node.Key(); parts.Next(); {
		part := parts.Node()
		if depth++; depth > maxDepth {
			break
		}
		if within != nil {
			rest = append(rest, string(c.parser.Raw(part.Raw)))
		}
		path = Join(path, string(part.Data))
		folded := strings.ToLower(path)
		if node.Kind == unstable.ArrayTable && parts.IsLast() {
			c.arrays[folded]++
		}
		// A header below an array of tables means the array's last element.
		if count := c.arrays[folded]; count > 0 {
			path += "[" + strconv.Itoa(count-1) + "]"
		}
		if within == nil && c.wanted(path) {
			within = c.start(path)
		}
	}
	c.table, c.into = path, nil
	if within == nil {
		return
	}
	c.into = &within.keys
	if len(rest) > 0 {
		c.into = &within.tables
		text := "[" + strings.Join(rest, ".") + "]"
		if node.Kind == unstable.ArrayTable {
			text = "[" + text + "]"
		}
		c.into.WriteString(text + "\n")
	}
}

// assignment copies an assignment in a wanted table. In any other it looks for wanted tables, which dotted keys and
// inline tables make.
func (c *cutter) assignment(table string, node *unstable.Node) {
	text := c.parser.Raw(node.Raw)
	if c.into != nil {
		line(c.into, text)
		return
	}
	path, depth := table, 0
	var within *cut
	for parts := node.Key(); parts.Next(); {
		part := parts.Node()
		if depth++; depth > maxDepth {
			return
		}
		if within != nil {
			line(&within.keys, text[part.Raw.Offset-node.Raw.Offset:])
			return
		}
		path = Join(path, string(part.Data))
		if table := !parts.IsLast() || node.Value().Kind == unstable.InlineTable; table && c.wanted(path) {
			within = c.start(path)
		}
	}
	c.value(path, within, node.Value())
}

// value looks into a value that is a table or a list of tables.
func (c *cutter) value(path string, within *cut, node *unstable.Node) {
	switch node.Kind {
	case unstable.Array:
		at := 0
		for elements := node.Children(); elements.Next(); at++ {
			if element := path + "[" + strconv.Itoa(at) + "]"; elements.Node().Kind == unstable.InlineTable &&
				c.wanted(element) {
				c.value(element, c.start(element), elements.Node())
			}
		}
	case unstable.InlineTable:
		for pairs := node.Children(); pairs.Next(); {
			if within == nil {
				c.assignment(path, pairs.Node())
				continue
			}
			line(&within.keys, c.parser.Raw(pairs.Node().Raw))
		}
	}
}

// line writes an assignment. The text is a part of the document, to which nothing must be appended.
func line(to *bytes.Buffer, text []byte) {
	to.Write(text)
	to.WriteByte('\n')
}
