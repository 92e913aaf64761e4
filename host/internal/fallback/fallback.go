// Package fallback holds the plugins that are built into a node: those that it runs inside its own process if no
// command is given for them. It is the only package of the host that imports plugins and, with its tests, the only one
// that knows a chain by name.
//
// A node that is built with the tag bare has none.
package fallback

import (
	"maps"
	"slices"

	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// Plugin is a built-in plugin.
type Plugin struct {
	New func() loop.Plugin
	// Files is how established nodes write the accounts of a relayer's relay.
	Files keystore.FileForm
	// Check makes the signing check for a chain of a relayer's relay, whichever plugin serves it; nil if there is none.
	Check signing.New
}

// Names returns the names of the built-in plugins.
func Names() []string { return slices.Sorted(maps.Keys(Plugins())) }
