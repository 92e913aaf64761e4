package document

import (
	"strconv"
	"strings"
)

// Leads reports whether the path of a problem leads to a place in the checked document, as decoded from TOML or JSON
// into maps and slices. A path is keys joined by dots, with a position in brackets after the key of a list. A key may
// be missing, since that may be the problem, and so may the tables below it. A position must exist, and nothing lies
// below a value that is not a table. An existing key matches with or without quotes, and may have any characters.
func Leads(value any, path string) bool {
	if path == "" {
		return true
	}
	switch value := value.(type) {
	case []any:
		digits, rest, closed := strings.Cut(strings.TrimPrefix(path, "["), "]")
		position, err := strconv.ParseUint(digits, 10, 31)
		return path[0] == '[' && closed && err == nil && position < uint64(len(value)) && below(value[position], rest)
	case map[string]any:
		known := false
		for key, inner := range value {
			for _, spelling := range []string{key, strconv.Quote(key)} {
				if len(path) < len(spelling) || !strings.EqualFold(path[:len(spelling)], spelling) { // decoders bind keys so
					continue
				}
				rest := path[len(spelling):]
				whole := rest == "" || rest[0] == '.' || rest[0] == '['
				if whole && below(inner, rest) {
					return true
				}
				known = known || whole
			}
		}
		return !known && !strings.ContainsAny(path, "[]") && !strings.Contains("."+path+".", "..")
	}
	return false
}

// below follows what comes after a key or a position.
func below(value any, rest string) bool {
	name, dotted := strings.CutPrefix(rest, ".")
	_, list := value.([]any)
	return rest == "" || dotted != list && name != "" && Leads(value, name)
}
