package document

import "strings"

// Idle are keys that other nodes have and that have no effect here. They are accepted with a warning, so that a
// document for such a node also serves here. A key with an effect is a field of the struct and is in no list.
type Idle struct {
	// Keys by path without positions.
	Keys []string
	// Why says why they have no effect, as the second half of a sentence.
	Why string
	// Off marks switches that are accepted only while they are false: if they are true, the node would not do what the
	// document asks for.
	Off bool
}

// idle finds a key whatever its letter case, as the decoder finds fields.
func (r *reader) idle(path string) (Idle, bool) {
	for _, idle := range r.settings.Idle {
		for _, key := range idle.Keys {
			if strings.EqualFold(key, path) {
				return idle, true
			}
		}
	}
	return Idle{}, false
}

// expected reports whether a path is that of an idle key or of a table that holds some.
func (r *reader) expected(path string) bool {
	for _, idle := range r.settings.Idle {
		for _, key := range idle.Keys {
			if belongs(key, path) {
				return true
			}
		}
	}
	return false
}

// idleNames are the idle keys and the tables with idle keys that stand directly in a table.
func (r *reader) idleNames(table string) []string {
	var names []string
	for _, idle := range r.settings.Idle {
		for _, key := range idle.Keys {
			if table == "" {
				name, _, _ := strings.Cut(key, ".")
				names = append(names, name)
			} else if belongs(key, table) && len(key) > len(table) {
				name, _, _ := strings.Cut(key[len(table)+1:], ".")
				names = append(names, name)
			}
		}
	}
	return names
}

// belongs reports whether a path is that of a table or of something in it.
func belongs(path, table string) bool {
	if len(path) < len(table) || !strings.EqualFold(path[:len(table)], table) {
		return false
	}
	return len(path) == len(table) || path[len(table)] == '.'
}
