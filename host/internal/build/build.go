// Package build says what the running program was built from.
package build

import "runtime/debug"

// commit is set by the linker when a release is made. A program that is installed from a module proxy has none.
var commit string

// Version is the program's version, such as v0.1.0; (devel) if it is not known.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// Commit is the commit that the program was built from, in hexadecimal; empty if it is not known.
func Commit() string {
	if info, ok := debug.ReadBuildInfo(); ok && commit == "" {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return commit
}
