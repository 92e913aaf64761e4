package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// Plugin is how a plugin is run. The zero Plugin runs inside the node.
type Plugin struct {
	// Command is the program and its arguments; empty means in-process, unless Attach is set.
	Command []string
	// Attach is the file of a process to attach to instead of starting one. It takes precedence over Command.
	Attach string
	// Variables are the variables in the file that CL_<NAME>_ENV names.
	Variables     []Variable
	VariablesFile string
	// Rules are [Plugins.<Name>] of the file, with the checksums of CL_<NAME>_SHA256 instead of theirs if that is set.
	Rules PluginRules

	network []Variable // the node's, for a relayer
}

// InProcess reports whether the plugin has no process of its own.
func (p Plugin) InProcess() bool { return len(p.Command) == 0 && p.Attach == "" }

// Environ returns the whole environment of a plugin in the form of os.Environ, with full values: never log it. A
// relayer also gets the node's variables for trust and proxies, unless its file has them in either letter case, since
// programs differ in which they read first.
func (p Plugin) Environ(relayer bool) []string {
	all := slices.Clone(p.Variables)
	if relayer {
		for _, variable := range p.network {
			if !slices.ContainsFunc(p.Variables, func(own Variable) bool { return strings.EqualFold(own.Name, variable.Name) }) {
				all = append(all, variable)
			}
		}
	}
	list := make([]string, len(all))
	for at, variable := range all {
		list[at] = variable.Name + "=" + variable.Value.Reveal()
	}
	return list
}

// PluginRules is [Plugins.<Name>]: what the processes of one plugin may do and use.
type PluginRules struct {
	SHA256      Pin    `comment:"SHA-256 checksum that the plugin's program must have, as sha256sum prints it. A second one, behind a blank, is its script's. Empty: any program.\nThe environment variable CL_<NAME>_SHA256 takes precedence over it."`
	MemoryLimit Size   `comment:"Resident memory, children included, at which a process is killed and started again, 16MiB to 1TiB. Needs /proc. Empty: no limit."`
	Standby     bool   `comment:"Whether to keep one more process started, which takes over when the plugin's process ends. It takes the memory of an idle plugin."`
	Transport   string `comment:"How node and plugin call one another: auto (by frames if the plugin supports them, see docs/wire.md, else over gRPC) or grpc. Empty: auto."`

	Confine     string   `comment:"What a process is denied: none, limits, landlock, user or namespace, each with all before it, or auto: landlock where Linux has it,\nelse limits. A level other than auto that the node cannot enforce is an error. Empty: auto."`
	Read        []string `comment:"Absolute paths that it may read and execute besides its program, its interpreter and the system's libraries."`
	Write       []string `comment:"Absolute paths that it may read and write besides its own folder."`
	Connect     []uint16 `comment:"TCP ports that it may connect to. Empty: any for relayers, none for products."`
	Descriptors uint32   `comment:"Most file descriptors that it may have open, 64 to 1048576. 0: 4096."`

	SignaturesPerMinute uint32 `comment:"Most transactions per minute that the node signs for a relayer with one account, up to 1000000. 0: 600, or 6000 where it\nchecks what they are for."`
	SignUnchecked       bool   `comment:"Whether the node signs all that a relayer asks for, within that rate, even where it could check what a transaction is for."`
}

// Values of PluginRules.Transport.
const (
	TransportAuto = "auto"
	TransportGRPC = "grpc"
)

// readRules reads the tables of plugins. Each must be that of a plugin that is built in or that the environment names.
func (c *Config) readRules(tables []keys.Table, builtIn []string) {
	p, plugins := &c.problems, c.Environment.Plugins
	for _, table := range tables {
		_, written, _ := strings.Cut(table.Path, ".")
		name := strings.ToLower(written)
		plugin, named := plugins[name]
		if !named && !slices.Contains(builtIn, name) {
			near := document.DidYouMean(name, slices.AppendSeq(slices.Clone(builtIn), maps.Keys(plugins)))
			if near == "" {
				near = fmt.Sprintf("; set %s to its command", commandVariable(name))
			}
			p.add(table.Path, "this node has no plugin of this name%s", near)
			continue
		}
		var rules PluginRules
		found, _ := document.Read(table.Text, &rules, document.Settings{})
		p.file.Include(table.Path, found.List())
		rules.check(p, table.Path, commandVariable(name), plugin.InProcess())
		if len(plugin.Rules.SHA256.Sums) > 0 { // the environment's
			rules.SHA256 = plugin.Rules.SHA256
		}
		plugin.Rules = rules
		plugins[name] = plugin
	}
}

// maxSignatures is more than any chain has transactions in a minute.
const maxSignatures = 1_000_000

// memoryLimits catch a slip of the unit: no plugin starts in less, and no machine has more.
var memoryLimits = document.Range[uint64]{Min: 16 << 20, Max: 1 << 40}

const pinInside = "the plugin runs inside the node and has no file of its own; give it a process by %s, or remove " +
	"the checksum"

func (r PluginRules) check(p *problems, path, command string, inProcess bool) {
	r.checkConfinement(p, path, command, inProcess)
	if r.SignaturesPerMinute > maxSignatures {
		p.add(path+".SignaturesPerMinute", "%d is more than %d", r.SignaturesPerMinute, maxSignatures)
	}
	if len(r.SHA256.Sums) > 0 && inProcess {
		p.add(path+".SHA256", pinInside, command)
	}
	switch r.Transport {
	case "", TransportAuto, TransportGRPC:
	default:
		p.add(path+".Transport", "%q is not a transport; write %s or %s", r.Transport, TransportAuto, TransportGRPC)
	}
	if r.Standby && inProcess {
		p.add(path+".Standby", "the plugin runs inside the node, where no process can stand by; give it a process by %s, or "+
			"remove it", command)
	}
	switch limit := r.MemoryLimit; {
	case limit == Size{}, limit.bad != "":
	case !memoryLimits.Contains(limit.Bytes):
		p.add(path+".MemoryLimit", "%s is not between %s and %s; leave it empty for no limit", limit,
			Size{Bytes: memoryLimits.Min}, Size{Bytes: memoryLimits.Max})
	case inProcess:
		p.add(path+".MemoryLimit",
			"the plugin runs inside the node, where its memory cannot be told from the node's; give it a process by %s, or "+
				"remove the limit", command)
	}
}
