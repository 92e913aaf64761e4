package document

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a length of time written in Go's syntax, such as "1m30s".
//
// Decoding never fails: a bad text is kept, and reported with all other problems. (The TOML library stops at the first
// value that fails to decode, and gives no line if that value is a bare number.)
type Duration struct {
	time.Duration
	bad string
}

// Lasting returns d as a Duration.
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
