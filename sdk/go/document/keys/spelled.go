package keys

import (
	"slices"
	"strings"
)

// Spelled returns the spelling of a key in a table: the given one if the table has it, else the first that differs only
// in letter case, as on established nodes.
func Spelled(table map[string]any, key string) (string, bool) {
	if _, ok := table[key]; ok {
		return key, true
	}
	var found []string
	for other := range table {
		if strings.EqualFold(other, key) {
			found = append(found, other)
		}
	}
	if len(found) == 0 {
		return "", false
	}
	return slices.Min(found), true
}
