package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/gonum/graph/formats/dot"
	"gonum.org/v1/gonum/graph/formats/dot/ast"
)

const (
	// maxAttributes bounds the attributes of one task; no type has more than a dozen.
	maxAttributes = 100
	// maxArrows bounds the arrows of a pipeline: of two sets, each member has one to each of the other's.
	maxArrows = 50_000
	// maxBraces bounds how deep braces nest, and so the recursion over them.
	maxBraces = 16
)

// drawing is what the text draws: nodes in order of first mention, and arrows.
type drawing struct {
	nodes []*node
	edges []edge
}

type node struct {
	name       string
	line       int // of the first statement that gives attributes, else of the first mention
	attributes []*attribute
}

// attribute returns the attribute of a name, in whatever case it was written, or nil.
func (n *node) attribute(name string) *attribute {
	for _, attr := range n.attributes {
		if strings.EqualFold(attr.key, name) {
			return attr
		}
	}
	return nil
}

type attribute struct {
	key    string
	value  string
	line   int
	quoted bool // the value has the quotes around it that are written, since what they hold is not valid
}

type edge struct {
	from, to int // indexes into drawing.nodes
	line     int
}

// draw parses the text with gonum's DOT parser, which is the grammar's authority. gonum's syntax tree has no positions,
// so the text is scanned once more for them: the tree's names, taken in order, are the scanner's words, taken in order.
func draw(source string) (*drawing, *report, error) {
	switch {
	case len(source) > maxSource:
		return nil, nil, fmt.Errorf("the pipeline has %d bytes, and at most %d are allowed; shorten it", len(source),
			maxSource)
	case !utf8.ValidString(source):
		valid := strings.ToValidUTF8(source, "\x00")
		return nil, nil, &Problem{Line: 1 + strings.Count(source[:commonPrefix(source, valid)], "\n"),
			Message: "the text is not valid UTF-8; save it as UTF-8"}
	case strings.ContainsRune(source, 0):
		return nil, nil, &Problem{Line: 1 + strings.Count(source[:strings.IndexByte(source, 0)], "\n"),
			Message: "the text has a NUL character; remove it"}
	}
	words, tokens, err := scan(source)
	if err != nil {
		return nil, nil, err
	}
	file, err := dot.ParseString("digraph {\n" + source + "\n}")
	if err != nil {
		return nil, nil, syntaxError(err, tokens, 1+strings.Count(source, "\n"))
	}
	d := &drafter{words: words, nodes: map[string]int{}, report: &report{}}
	for _, stmt := range file.Graphs[0].Stmts {
		if err := d.statement(stmt); err != nil {
			return nil, nil, err
		}
	}
	return &d.drawing, d.report, nil
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

var syntaxErrorPattern = regexp.MustCompile(`^(\d+):(\d+): error: `)

// syntaxError says where gonum gave up. Its own text is not shown: it quotes the token, which may be a header with a
// key.
func syntaxError(err error, tokens []token, lines int) error {
	match := syntaxErrorPattern.FindStringSubmatch(err.Error())
	if match == nil {
		return errors.New("the pipeline's text is not valid DOT; look for a bracket or quote that is not closed")
	}
	line, _ := strconv.Atoi(match[1])
	column, _ := strconv.Atoi(match[2])
	line-- // the line that wraps the text
	if line > lines {
		return &Problem{Line: lines, Message: "the text ends inside a statement; look for a bracket [ that is not closed"}
	}
	what := "this place"
	hint := "names and bare values are letters, digits and underscores, or a plain number; anything else goes into " +
		"double quotes or angle brackets"
	for _, t := range tokens {
		if t.line != line || t.column != column {
			continue
		}
		switch {
		case t.text == "->" || t.text == "--":
			what, hint = "the arrow", "an arrow joins two names, and attributes in [brackets] stand in a statement of their own"
		case t.text == ">":
			what, hint = `">"`, "an arrow is written ->"
		case t.kind == wordToken && t.text[0] == '"':
			what = "a quoted string"
			hint = `a double quote in a quoted value ends it: write the value in <angle brackets>, or each quote in it as \", ` +
				`which a TOML text in """ has as \\\"`
		case t.kind == wordToken && t.text[0] == '<':
			what = "a value in angle brackets"
		default:
			what = strconv.Quote(shorten(t.text, 32))
		}
		break
	}
	return &Problem{Line: line, Message: fmt.Sprintf("syntax error at %s (column %d): %s", what, column, hint)}
}

// drafter walks gonum's syntax tree.
type drafter struct {
	drawing
	words []token
	// by the name as written, quotes included: gonum keeps "a" and a apart, and so the repeat is seen
	nodes  map[string]int
	sets   []*set // around this place, from the outside in
	report *report
}

// set is what stands in braces at an end of an arrow. Its members are the nodes that are first mentioned inside: as the
// established node reads it, those mentioned before get no arrow.
type set struct {
	members []int
	others  []mention // the nodes mentioned before
}

type mention struct{ node, line int }

var errOutOfStep = errors.New("the pipeline's text could not be located line by line; write it with plain names and " +
	"arrows")

// next returns the line of the next word, which must be the one that the tree has here.
func (d *drafter) next(text string) (int, error) {
	if len(d.words) == 0 || d.words[0].text != text {
		return 0, errOutOfStep
	}
	line := d.words[0].line
	d.words = d.words[1:]
	return line, nil
}

func (d *drafter) statement(stmt ast.Stmt) error {
	switch stmt := stmt.(type) {
	case *ast.NodeStmt:
		at, line, err := d.mention(stmt.Node)
		if err != nil {
			return err
		}
		attrs, err := d.attributes(stmt.Attrs)
		if err != nil {
			return err
		}
		n := d.drawing.nodes[at]
		if len(attrs) > 0 && len(n.attributes) == 0 {
			n.line = line
		}
		for _, attr := range attrs {
			if earlier := n.attribute(attr.key); earlier != nil {
				*earlier = *attr // later wins
			} else if len(n.attributes) < maxAttributes {
				n.attributes = append(n.attributes, attr)
			} else {
				return &Problem{Line: attr.line, Task: n.name,
					Message: fmt.Sprintf("the task has more than %d attributes; remove those without effect", maxAttributes)}
			}
			if attr.quoted {
				why := "the quoted value has a line break or an unknown escape, so it is used with its quotes and backslashes; " +
					"write it in <angle brackets>"
				if bracketedInQuotes(attr.value) {
					why = quotesStay
				}
				d.report.warning(attr.line, n.name, attr.key, "%s", why)
			}
		}
		return nil
	case *ast.EdgeStmt:
		from, line, err := d.vertex(stmt.From)
		if err != nil {
			return err
		}
		for to := stmt.To; to != nil; to = to.To {
			next, nextLine, err := d.vertex(to.Vertex)
			if err != nil {
				return err
			}
			if len(d.edges)+len(from)*len(next) > maxArrows {
				message := fmt.Sprintf("the pipeline has more than %d arrows; split it into several jobs", maxArrows)
				return &Problem{Line: line, Message: message}
			}
			for _, f := range from {
				for _, t := range next {
					d.edges = append(d.edges, edge{from: f, to: t, line: line})
				}
			}
			from, line = next, nextLine
		}
		_, err = d.attributes(stmt.Attrs) // without effect
		return err
	case *ast.Subgraph: // one that no arrow leads to or from groups its statements and nothing else
		return d.braces(stmt)
	case *ast.AttrStmt: // without effect
		_, err := d.attributes(stmt.Attrs)
		return err
	case *ast.Attr: // without effect
		_, err := d.attributes([]*ast.Attr{stmt})
		return err
	default:
		return errOutOfStep
	}
}

// vertex returns the nodes at one end of an arrow, and the line where they begin.
func (d *drafter) vertex(v ast.Vertex) (nodes []int, line int, err error) {
	switch v := v.(type) {
	case *ast.Node:
		at, line, err := d.mention(v)
		return []int{at}, line, err
	case *ast.Subgraph:
		if len(d.words) > 0 {
			line = d.words[0].line
		}
		around := &set{}
		d.sets = append(d.sets, around)
		err := d.braces(v)
		d.sets = d.sets[:len(d.sets)-1]
		for _, other := range around.others {
			if name := d.drawing.nodes[other.node].name; !slices.Contains(around.members, other.node) {
				d.report.dropped = true
				d.report.warning(other.line, name, "", "the arrow of the braces is dropped for this task, since it is mentioned "+
					"before them; write an arrow of its own")
			}
		}
		return around.members, line, err
	default:
		return nil, 0, errOutOfStep
	}
}

// braces walks the statements of a set or subgraph.
func (d *drafter) braces(s *ast.Subgraph) error {
	if s.ID != "" {
		if _, err := d.next(s.ID); err != nil {
			return err
		}
	}
	for _, stmt := range s.Stmts {
		if err := d.statement(stmt); err != nil {
			return err
		}
	}
	return nil
}

// mention returns the index of a node, which its first mention creates, and the line of this mention.
func (d *drafter) mention(n *ast.Node) (at, line int, err error) {
	if line, err = d.next(n.ID); err != nil {
		return 0, 0, err
	}
	if n.Port != nil { // without effect; of two parts, the tree drops what is no compass point, so count the scanner's
		for len(d.words) > 0 && d.words[0].port {
			d.words = d.words[1:]
		}
	}
	at, ok := d.nodes[n.ID]
	if !ok {
		if len(d.nodes) == maxTasks {
			return 0, 0, &Problem{Line: line,
				Message: fmt.Sprintf("the pipeline has more than %d tasks; split it into several jobs", maxTasks)}
		}
		at = len(d.drawing.nodes)
		d.nodes[n.ID] = at
		d.drawing.nodes = append(d.drawing.nodes, &node{name: unquote(n.ID), line: line})
	}
	for _, around := range d.sets {
		if ok {
			around.others = append(around.others, mention{at, line})
		} else {
			around.members = append(around.members, at)
		}
	}
	return at, line, nil
}

func (d *drafter) attributes(attrs []*ast.Attr) ([]*attribute, error) {
	out := make([]*attribute, len(attrs))
	for i, attr := range attrs {
		line, err := d.next(attr.Key)
		if err != nil {
			return nil, err
		}
		if _, err := d.next(attr.Val); err != nil {
			return nil, err
		}
		value := unquote(attr.Val)
		quoted := strings.HasPrefix(attr.Val, `"`) && value == attr.Val
		out[i] = &attribute{key: unquote(attr.Key), value: plain(value), line: line, quoted: quoted}
	}
	return out, nil
}

// unquote removes the quotes as the established node's reader does: with Go's escapes; and where these are not valid,
// or the quotes hold one angle-bracketed text, the quotes and backslashes stay.
func unquote(s string) string {
	if bracketedInQuotes(s) {
		return s
	}
	if text, err := strconv.Unquote(s); err == nil {
		return text
	}
	return s
}

// bracketedInQuotes reports whether a value keeps its quotes since they hold angle brackets.
func bracketedInQuotes(s string) bool {
	return len(s) >= 4 && strings.HasPrefix(s, `"<`) && strings.HasSuffix(s, `>"`)
}

// quotesStay says what becomes of such a value.
const quotesStay = "quotes around angle brackets are a part of the value, and so are the brackets; write the " +
	"brackets alone"

// bracketed reports whether a value is in angle brackets, which plain has left there.
func bracketed(s string) bool { return strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") }

// plain removes the brackets of a value that is one <…> with no angle bracket inside; others keep them.
func plain(s string) string {
	if len(s) >= 2 && s[0] == '<' && s[len(s)-1] == '>' && !strings.ContainsAny(s[1:len(s)-1], "<>") {
		return s[1 : len(s)-1]
	}
	return s
}
