package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// step is one step of a path: a key, or a position in a list.
type step struct {
	name     string
	position int // of a list; -1 in the step of a key
}

// split reads the path of a problem: keys with dots between, a position in brackets after a list's key. A key that is not a bare
// one stands in double quotes.
func split(path string) ([]step, error) {
	if path == "" {
		return nil, nil
	}
	var steps []step
	for rest := path; ; {
		name, after, err := cutName(rest)
		if err != nil {
			return nil, err
		}
		steps, rest = append(steps, step{name, -1}), after
		for strings.HasPrefix(rest, "[") {
			digits, after, closed := strings.Cut(rest[1:], "]")
			position, err := strconv.ParseUint(digits, 10, 31)
			if !closed || err != nil {
				return nil, fmt.Errorf("%.32q is not a position in brackets", rest)
			}
			steps, rest = append(steps, step{"", int(position)}), after
		}
		switch {
		case rest == "":
			return steps, nil
		case rest[0] != '.':
			return nil, fmt.Errorf("%.32q does not begin with a dot", rest)
		}
		rest = rest[1:]
	}
}

// cutName cuts a key off the beginning of a path.
func cutName(path string) (name, rest string, err error) {
	if strings.HasPrefix(path, `"`) {
		quoted, err := strconv.QuotedPrefix(path)
		if err != nil {
			return "", "", errors.New("a quote is not closed")
		}
		name, err = strconv.Unquote(quoted)
		return name, path[len(quoted):], err
	}
	end := strings.IndexFunc(path, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	})
	if end < 0 {
		end = len(path)
	}
	if end == 0 {
		return "", "", fmt.Errorf("%.32q does not begin with a key", path)
	}
	return path[:end], path[end:], nil
}

// follow walks a path through what was checked. A key may be missing, which may be the problem, and with it the tables below it;
// a position must be there, and nothing lies below what is no table.
func follow(value any, steps []step) error {
	for at, s := range steps {
		if s.position >= 0 {
			list, ok := value.([]any)
			if !ok || s.position >= len(list) {
				return fmt.Errorf("it has no position %d", s.position)
			}
			value = list[s.position]
			continue
		}
		table, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("%q lies below what is not a table", s.name)
		}
		if value, ok = lookup(table, s.name); ok {
			continue
		}
		for _, below := range steps[at+1:] {
			if below.position >= 0 {
				return fmt.Errorf("%q is not there, and has no position %d", s.name, below.position)
			}
		}
		return nil
	}
	return nil
}

// lookup finds a key in the letter case of its file: decoders bind keys so.
func lookup(table map[string]any, name string) (any, bool) {
	if value, ok := table[name]; ok {
		return value, true
	}
	for key, value := range table {
		if strings.EqualFold(key, name) {
			return value, true
		}
	}
	return nil, false
}

func has(table map[string]any, name string) bool {
	_, ok := lookup(table, name)
	return ok
}
