package config

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
)

// Password is the keystore's password, as bytes that can be overwritten: a configuration is kept as long as its node
// runs, but the password is needed only at the start. Nothing prints it.
type Password struct{ text *[]byte }

func newPassword(text []byte) Password { return Password{text: &text} }

// Take returns the bytes, which the caller must overwrite after use. Afterwards the Password is empty.
func (p Password) Take() []byte {
	if p.text == nil {
		return nil
	}
	text := *p.text
	*p.text = nil
	return text
}

// IsEmpty reports whether there is no password, or not any more.
func (p Password) IsEmpty() bool { return p.text == nil || len(*p.text) == 0 }

// Equal compares the texts.
func (p Password) Equal(other Password) bool {
	return p.IsEmpty() && other.IsEmpty() || !p.IsEmpty() && !other.IsEmpty() && bytes.Equal(*p.text, *other.text)
}

// Format hides the text under every verb of fmt.
func (p Password) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[redacted]") }

// LogValue hides the text.
func (p Password) LogValue() slog.Value { return slog.StringValue("[redacted]") }
