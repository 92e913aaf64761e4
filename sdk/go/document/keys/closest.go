package keys

import "strings"

// Closest returns the known key that a mistyped one most likely stands for, ignoring letter case, or "" if none is
// near: at most a third of its letters, and never more than three, may differ.
func Closest(key string, known []string) string {
	best, bestDistance := "", 4
	for _, candidate := range known {
		limit := min(3, max(1, len(candidate)/3))
		if d := distance(strings.ToLower(key), strings.ToLower(candidate), limit); d <= limit && d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours that turn a into b; beyond the limit
// it may return any larger number.
func distance(a, b string, limit int) int {
	if gap := len(a) - len(b); gap > limit || -gap > limit {
		return limit + 1
	}
	previous, current, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range current {
		current[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(current[j]+1, next[j-1]+1, current[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], previous[j-2]+1)
			}
		}
		previous, current, next = current, next, previous
	}
	return current[len(b)]
}
