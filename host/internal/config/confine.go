package config

import (
	"path/filepath"
	"slices"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// descriptorLimits leave a plugin what it starts with, and the machine the rest.
var descriptorLimits = Range[uint32]{Min: 64, Max: 1 << 20}

// Needs returns what the processes of a plugin may use. A plugin that needs no network, such as a product, may connect
// nowhere unless the file says otherwise.
func (r PluginRules) Needs(network bool) confine.Needs {
	n := confine.Needs{Level: confine.Level(r.Confine), Read: r.Read, Write: r.Write, Descriptors: uint64(r.Descriptors)}
	if len(r.Connect) > 0 || !network {
		n.Connect = append([]uint16{}, r.Connect...)
	}
	return n
}

const confineInside = "the plugin runs inside the node, where nothing can be taken from it; give it a process by %s, " +
	"or leave this out"

func (r PluginRules) checkConfinement(p *problems, path, command string, inProcess bool) {
	level := confine.Level(r.Confine)
	switch {
	case level != "" && !slices.Contains(confine.Levels(), level):
		p.add(path+".Confine", "%q is none of %v", r.Confine, confine.Levels())
	case inProcess && level != "" && level != confine.Auto && level != confine.None:
		p.add(path+".Confine", confineInside, command)
	}
	absolute := func(key string, paths []string) {
		for _, named := range paths {
			if !filepath.IsAbs(named) {
				p.add(path+"."+key, "%q is not an absolute path", named)
			}
		}
	}
	absolute("Read", r.Read)
	absolute("Write", r.Write)
	if slices.Contains(r.Connect, 0) {
		p.add(path+".Connect", "0 is not a TCP port; leave the list empty for the default")
	}
	if r.Descriptors != 0 && !descriptorLimits.Contains(r.Descriptors) {
		p.add(path+".Descriptors", "%d is not between %d and %d; leave it out for %d", r.Descriptors,
			descriptorLimits.Min, descriptorLimits.Max, confine.Descriptors)
	}
}

// Kept returns the node's files and folders that no plugin may open.
func (c *Config) Kept() []string {
	kept := []string{c.RootDir, c.WebServer.Socket}
	for _, file := range []string{"", "-wal", "-shm", "-journal"} {
		kept = append(kept, c.Database.Path+file)
	}
	files := []string{c.Keystore.PasswordFile, c.WebServer.TLS.KeyPath, c.Environment.ConfigPath}
	for _, plugin := range c.Environment.Plugins {
		files = append(files, plugin.VariablesFile, plugin.Attach)
	}
	return append(kept, slices.DeleteFunc(files, func(file string) bool { return file == "" })...)
}
