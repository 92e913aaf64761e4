//go:build bare

package fallback

// Plugins are the built-in plugins by name: none.
func Plugins() map[string]Plugin { return nil }
