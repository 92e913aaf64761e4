package keys

import (
	"bytes"
	"strings"
)

// TextLine returns the line of the document that holds line n (from 1) of a string's value. So a problem in a program
// that is kept in a string is shown where the operator wrote it. It accounts for escapes, continued lines and the
// newline that TOML drops after opening quotes. For anything but a string it is the line of the entry.
func (e Entry) TextLine(n int) int {
	raw := e.raw
	if len(raw) == 0 {
		return e.Line
	}
	quotes := 1
	if len(raw) >= 6 && raw[1] == raw[0] && raw[2] == raw[0] {
		quotes = 3
	}
	body, line, basic := raw[quotes:len(raw)-quotes], e.rawLine, raw[0] == '"'
	if quotes == 3 {
		if trimmed, ok := bytes.CutPrefix(bytes.TrimPrefix(body, []byte("\r")), []byte("\n")); ok {
			body, line = trimmed, line+1
		}
	}
	for at, left := 0, n-1; at < len(body) && left > 0; at++ {
		switch {
		case body[at] == '\n':
			line++
			left--
		case basic && body[at] == '\\' && at+1 < len(body):
			at++
			switch body[at] {
			case 'n':
				left--
			case ' ', '\t', '\r', '\n':
				// A backslash at a line's end joins it with the next text, over any number of empty lines.
				for ; at < len(body) && strings.IndexByte(" \t\r\n", body[at]) >= 0; at++ {
					if body[at] == '\n' {
						line++
					}
				}
				at--
			}
		}
	}
	return line
}
