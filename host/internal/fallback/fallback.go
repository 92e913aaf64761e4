// Package fallback holds the plugins that are built into a node: those that it runs inside its own process if no command is
// given for them. It is the only package of the host that imports plugins, and with its tests the only one that knows a chain or a
// product by name.
//
// A node that is built with the tag bare has none.
package fallback
