package pipeline

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	markToken    tokenKind = iota // punctuation, or a character that the grammar does not know
	wordToken                     // what the grammar calls an ID, quotes included
	keywordToken                  // node, edge, …
)

type token struct {
	kind         tokenKind
	text         string // of a quoted word: without its backslash-newline pairs, as in gonum's tree
	line, column int    // as gonum counts them: columns in characters, a tab being four
	port         bool   // the word stands behind a colon
}

// keywords are the spellings that gonum's lexer takes as keywords; any other case is a name to it.
var keywords = map[string]bool{
	"node": true, "Node": true, "NODE": true,
	"edge": true, "Edge": true, "EDGE": true,
	"graph": true, "Graph": true, "GRAPH": true,
	"digraph": true, "Digraph": true, "diGraph": true, "DiGraph": true, "DIGRAPH": true,
	"subgraph": true, "Subgraph": true, "subGraph": true, "SubGraph": true, "SUBGRAPH": true,
	"strict": true, "Strict": true, "STRICT": true,
}

var numberPattern = regexp.MustCompile(`^-?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)`)

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isWord takes every character beyond ASCII for a letter, as the grammar does.
func isWord(c byte) bool {
	return isDigit(c) || c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf
}

// scan finds the words of the text and their lines. Braces must match, so that none ends the graph around the text, and
// what they nest is bounded.
func scan(source string) (words, tokens []token, err error) {
	line, column := 1, 1
	var open []int // the lines of the braces that are open
	for rest := source; rest != ""; {
		t := token{kind: markToken, line: line, column: column}
		size, skip := 1, false
		switch c := rest[0]; {
		case strings.ContainsRune(" \t\r\n", rune(c)):
			skip = true
		case c == '#', strings.HasPrefix(rest, "//"):
			comment, _, _ := strings.Cut(rest, "\n")
			size, skip = len(comment), true
		case strings.HasPrefix(rest, "/*"):
			if size = strings.Index(rest[2:], "*/") + 4; size < 4 {
				return nil, nil, &Problem{Line: line, Message: "the comment /* is not closed; close it with */"}
			}
			skip = true
		case c == '"':
			if size = quotedSize(rest); size == 0 {
				return nil, nil, &Problem{Line: line, Message: "the quoted string is not closed; close it with a double quote"}
			}
			t.kind = wordToken
		case c == '<':
			if size = angledSize(rest); size == 0 {
				return nil, nil, &Problem{Line: line,
					Message: "the angle bracket < has no matching >; inside <…> brackets must balance, and nest once at most"}
			}
			t.kind = wordToken
		case c == '{':
			if open = append(open, line); len(open) > maxBraces {
				return nil, nil, &Problem{Line: line,
					Message: fmt.Sprintf("braces nest deeper than %d; write arrows between names", maxBraces)}
			}
		case c == '}':
			if len(open) == 0 {
				return nil, nil, &Problem{Line: line, Message: "the brace } closes nothing; remove it"}
			}
			open = open[:len(open)-1]
		case strings.HasPrefix(rest, "->"), strings.HasPrefix(rest, "--"):
			size = 2
		case isWord(c) && !isDigit(c):
			for size < len(rest) && isWord(rest[size]) {
				size++
			}
			if t.kind = wordToken; keywords[rest[:size]] {
				t.kind = keywordToken
			}
		case isDigit(c) || c == '-' || c == '.':
			if number := numberPattern.FindString(rest); number != "" {
				size, t.kind = len(number), wordToken
			}
		}
		text := rest[:size]
		rest = rest[size:]
		if !skip {
			t.text = unfolded(text)
			t.port = len(tokens) > 0 && tokens[len(tokens)-1].text == ":" && tokens[len(tokens)-1].kind == markToken
			tokens = append(tokens, t)
			if t.kind == wordToken {
				words = append(words, t)
			}
		}
		line, column = after(text, line, column)
	}
	if last := len(open) - 1; last >= 0 {
		return nil, nil, &Problem{Line: open[last], Message: "the brace { is not closed; close it with }"}
	}
	return words, tokens, nil
}

// unfolded is a token's text without the line ends that a quoted string escapes.
func unfolded(text string) string {
	if text[0] == '"' {
		return strings.ReplaceAll(text, "\\\n", "")
	}
	return text
}

// after returns the line and column behind a text that begins at some.
func after(text string, line, column int) (int, int) {
	for _, r := range text {
		switch r {
		case '\n':
			line++
			column = 1
		case '\r':
			column = 1
		case '\t':
			column += 4
		default:
			column++
		}
	}
	return line, column
}

// quotedSize returns the length of the quoted string at the start of s, or 0 if it is not closed.
func quotedSize(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// angledSize returns the length of the angle-bracketed text at the start of s, or 0 if it is not closed or nests too
// deep.
func angledSize(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '<':
			if depth++; depth > 2 { // gonum's grammar has one inner level
				return 0
			}
		case '>':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}
