package document

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a length of time written in Go's syntax, such as "1m30s".
//
// Decoding never fails: that the text is bad is kept, and told with all other problems. (The TOML library stops at the
// first value that fails to decode, and gives no line when that value is a bare number.)
type Duration struct {
	time.Duration
	bad string
}

// Lasting is a Duration of d.
func Lasting(d time.Duration) Duration { return Duration{Duration: d} }

// Fault implements Faulty.
func (d Duration) Fault() string { return d.bad }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		*d = Duration{bad: fmt.Sprintf(`%s is not a duration; write a number with a unit, such as "10s" or "1m30s"`,
			Shown(string(text)))}
		return nil
	}
	*d = Duration{Duration: parsed}
	return nil
}

// MarshalText writes the shortest usual form: 1m and not 1m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the shortest usual form: 1m and not 1m0s.
func (d Duration) String() string {
	text := d.Duration.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
