//go:build bare

package fallback

import "github.com/loop-plugins/loop/sdk/go/loop"

// Plugins are the built-in plugins by name: none.
func Plugins() map[string]func() loop.Plugin { return nil }
