package keys

import (
	"slices"
	"strings"
)

// Spelled is how a table spells a key: as given if it can, else the first spelling of another letter case, as on
// established nodes.
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
