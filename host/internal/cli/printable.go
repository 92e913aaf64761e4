package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is an output to which only text is written, whatever plugins, peers and specs say: a terminal would obey
// control characters, and would not say so. It escapes them as JSON and TOML do, so that documents in either stay
// valid. Ends of lines and tabs stay, since the command itself writes them.
type printable struct {
	out  io.Writer
	rest []byte // the beginning of a character whose end is not written yet
}

// Write implements io.Writer.
func (p *printable) Write(b []byte) (int, error) {
	text := append(p.rest, b...)
	p.rest = nil
	var shown strings.Builder
	for len(text) > 0 {
		if !utf8.FullRune(text) {
			p.rest = append(p.rest, text...)
			break
		}
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			shown.WriteRune(utf8.RuneError) // a byte by which some terminals begin a command
		case r == '\r' && len(text) > 1 && text[1] == '\n', r == '\n', r == '\t':
			shown.WriteRune(r)
		default:
			shown.WriteString(escaped(r))
		}
		text = text[size:]
	}
	if _, err := io.WriteString(p.out, shown.String()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// escaped is a character, or its escape in JSON and TOML if it controls the terminal or the direction of writing.
func escaped(r rune) string {
	if unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
		return fmt.Sprintf(`\u%04x`, r)
	}
	return string(r)
}

// cell is a text in a table, where ends of lines and tabs would make rows and columns.
func cell(text string) string {
	var shown strings.Builder
	for _, r := range text {
		shown.WriteString(escaped(r))
	}
	return shown.String()
}
