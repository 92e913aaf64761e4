package document

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Range is the smallest and the largest value that a setting may have.
type Range[T cmp.Ordered] struct{ Min, Max T }

// Contains reports whether a value is neither below nor above the bounds.
func (r Range[T]) Contains(value T) bool { return r.Min <= value && value <= r.Max }

// Within refuses a number that is out of its bounds.
func Within[T cmp.Ordered](p *Problems, path string, value, low, high T) {
	if !(Range[T]{low, high}).Contains(value) {
		p.Add(path, "%v is not between %v and %v", value, low, high)
	}
}

// Lasts refuses a Duration that is out of its bounds. It skips one that could not be read, because Read has reported
// that.
func Lasts(p *Problems, path string, value Duration, low, high time.Duration) {
	if value.bad == "" && !(Range[time.Duration]{low, high}).Contains(value.Duration) {
		p.Add(path, "%s is not between %s and %s", value, Lasting(low), Lasting(high))
	}
}

// OneOf refuses a text that is not one of the allowed ones. Its problem repeats the text if it is near an allowed one.
func OneOf(p *Problems, path, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	shown, near := Shown(value), DidYouMean(value, allowed)
	if near != "" {
		shown = strconv.Quote(value)
	}
	p.Add(path, "%s is not one of %s%s", shown, strings.Join(allowed, ", "), near)
}

// URL refuses an address that is given and has none of the schemes. Its problem never repeats the address, since user,
// path and query may be keys, nor the parser's error, which quotes its input.
func URL(p *Problems, path, who string, address Secret, schemes ...string) {
	if !address.IsEmpty() && !address.IsURL(schemes...) {
		p.Add(path, "the address of %s is not a %s URL", who, strings.Join(schemes, ":// or ")+"://")
	}
}
