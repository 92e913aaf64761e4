package keystore

import (
	"fmt"
	"io"
	"log/slog"
)

const redactedText = "[redacted]"

// redacted is embedded in every type that holds a secret: code that prints, logs or marshals the type gets
// "[redacted]". This is only for display; hidden keeps the secret.
type redacted struct{}

// String returns "[redacted]".
func (redacted) String() string { return redactedText }

// Format writes "[redacted]" for every verb.
func (redacted) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redactedText) }

// MarshalText returns "[redacted]".
func (redacted) MarshalText() ([]byte, error) { return []byte(redactedText), nil }

// LogValue returns "[redacted]".
func (redacted) LogValue() slog.Value { return slog.StringValue(redactedText) }

// hidden holds a secret in a place where reflection finds only an address. fmt calls no methods on unexported fields,
// nor for the verb w, and follows a pointer if the verb does not suit it. But it never looks into a function.
type hidden[T any] func() T

func hide[T any](secret T) hidden[T] { return func() T { return secret } }

// Password is a password that nothing prints.
type Password struct {
	redacted
	text hidden[[]byte]
}

// NewPassword makes a Password from its text. It takes the bytes over without copying: Clear overwrites them.
func NewPassword[Text string | []byte](text Text) Password { return Password{text: hide([]byte(text))} }

// Clear overwrites the password, which is empty bytes afterwards.
func (p Password) Clear() { clear(p.bytes()) }

// bytes are the password itself, not a copy.
func (p Password) bytes() []byte {
	if p.text == nil {
		return nil
	}
	return p.text()
}

// after is the password with a text before it. Clear it.
func (p Password) after(prefix string) Password {
	return NewPassword(append([]byte(prefix), p.bytes()...))
}
