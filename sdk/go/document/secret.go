package document

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
)

const redacted = "[redacted]"

// Secret is a text that no log, error or encoding shows, such as a password, or an RPC address, which may hold keys.
// The text lies behind a pointer because fmt calls no methods on unexported fields: a struct with a Secret in such a
// field prints an address.
type Secret struct {
	text *string
	bare bool // set only on what Example makes
}

// NewSecret wraps a text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Example returns a Secret that is not secret: Write shows its text. References of configurations use it.
func Example(text string) Secret { return Secret{text: &text, bare: true} }

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsEmpty reports whether there is no text.
func (s Secret) IsEmpty() bool { return s.text == nil }

// Equal compares the texts.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// IsURL reports whether the text is an address with one of the schemes.
func (s Secret) IsURL(schemes ...string) bool {
	parsed, err := url.Parse(s.Reveal())
	return err == nil && parsed.Host != "" && slices.Contains(schemes, strings.ToLower(parsed.Scheme))
}

// String hides the text. An empty one stays empty, so that "not set" can be seen.
func (s Secret) String() string {
	if s.IsEmpty() {
		return ""
	}
	return redacted
}

// GoString hides the text.
func (s Secret) GoString() string { return redacted }

// Format hides the text under every verb of fmt.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(redacted)) }

// LogValue hides the text.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the text, unless it is an example.
func (s Secret) MarshalText() ([]byte, error) {
	if s.bare {
		return []byte(s.Reveal()), nil
	}
	return []byte(s.String()), nil
}

// UnmarshalText accepts any text.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
