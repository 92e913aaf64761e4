package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func (c *command) plugins() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the plugins with their state", Args: none,
		Example: "  loop plugins list\n  loop plugins list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListPlugins, &nodev1.ListPluginsRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { pluginTable(w, r.GetPlugins()) })
		},
	}
	return group("plugins", "List, inspect and restart plugins", list, c.inspect(), c.pluginLogs(), c.restart())
}

func pluginTable(w io.Writer, plugins []*nodev1.PluginStatus) {
	row(w, "NAME", "KIND", "STATE", "PROCESS", "PID", "GENERATION", "RESTARTS", "OBJECTS", "UP", "STANDBY", "CONFINEMENT",
		"VERSION",
		"LAST EXIT")
	for _, p := range plugins {
		pid := "in-process"
		if !p.GetInProcess() {
			pid = strconv.Itoa(int(p.GetPid()))
		}
		open := 0
		for _, o := range p.GetObjects() {
			if o.GetState() == nodev1.ObjectState_OBJECT_STATE_OPEN {
				open++
			}
		}
		process := strings.ToLower(strings.TrimPrefix(p.GetState().String(), "PLUGIN_STATE_"))
		row(w, p.GetName(), p.GetKind(), partState(p.GetHealth()), process, pid, strconv.FormatUint(p.GetGeneration(), 10),
			strconv.FormatUint(p.GetRestarts(), 10),
			fmt.Sprintf("%d/%d", open, len(p.GetObjects())), age(p.GetReadyAt()), standby(p.GetStandby()),
			dash(p.GetConfinement()),
			dash(p.GetVersion()), dash(brief(p.GetLastExit())))
	}
}

// standby is the process that stands by; a dash if there should be none.
func standby(s *nodev1.StandbyStatus) string {
	switch {
	case s == nil:
		return "-"
	case s.GetPid() == 0:
		return "none"
	}
	return strconv.Itoa(int(s.GetPid()))
}

func (c *command) inspect() *cobra.Command {
	return &cobra.Command{
		Use: "inspect NAME", Short: "Show a plugin, its objects and how its last generation ended",
		Args:              one("a plugin's name"),
		Example:           "  loop plugins inspect median",
		ValidArgsFunction: c.complete(pluginNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.ListPlugins, &nodev1.ListPluginsRequest{})
			if err != nil {
				return err
			}
			for _, p := range r.GetPlugins() {
				if p.GetName() == args[0] {
					return c.show(p, func(w io.Writer) { pluginDetails(w, p) })
				}
			}
			return exit(ExitFailed, fmt.Errorf("there is no plugin %q; see: loop plugins list", args[0]))
		},
	}
}

func pluginDetails(w io.Writer, p *nodev1.PluginStatus) {
	pluginTable(w, []*nodev1.PluginStatus{p})
	row(w)
	if h := p.GetHealth(); h.GetReason() != "" {
		row(w, "FOR", "STATE")
		row(w, age(h.GetSince()), explained(partState(h), h.GetReason(), h.GetRemedy()))
		row(w)
	}
	row(w, "MEMORY", "LIMIT", "TRANSPORT", "CONFINEMENT LACKS")
	row(w, memory(p.GetMemoryBytes()), memory(p.GetMemoryLimitBytes()), dash(p.GetTransport()),
		dash(strings.Join(p.GetConfinementLacks(), ", ")))
	row(w)
	if s := p.GetStandby(); s != nil {
		row(w, "STANDBY", "MEMORY", "PROBLEM")
		row(w, standby(s), memory(s.GetMemoryBytes()), dash(s.GetProblem()))
		row(w)
	}
	if len(p.GetStart()) > 0 {
		row(w, "STEP OF THE START", "TOOK")
		for _, step := range p.GetStart() {
			row(w, step.GetWhat(), step.GetTook().AsDuration().Round(time.Microsecond).String())
		}
		row(w)
	}
	if len(p.GetFiles()) > 0 {
		row(w, "FILE", "SHA-256", "PINNED")
		for _, f := range p.GetFiles() {
			row(w, f.GetPath(), f.GetSha256(), yes(p.GetPinned()))
		}
		row(w)
	}
	row(w, "OBJECT", "STATE", "OF", "PARENT", "REASON")
	for _, o := range p.GetObjects() {
		row(w, o.GetName(), strings.ToLower(strings.TrimPrefix(o.GetState().String(), "OBJECT_STATE_")),
			dash(o.GetOwner()), dash(o.GetParent()),
			dash(o.GetReason()))
	}
	if len(p.GetLastStderr()) > 0 {
		row(w)
		row(w, "The last lines on stderr of the last generation:")
		for _, line := range p.GetLastStderr() {
			row(w, "  "+strconv.QuoteToGraphic(line))
		}
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// memory is an amount for people; none is a dash.
func memory(bytes uint64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.4g MiB", float64(bytes)/(1<<20))
}

func (c *command) restart() *cobra.Command {
	return &cobra.Command{
		Use: "restart NAME", Short: "Replace a plugin's process by a new one, such as one of a new build",
		Example:           "  loop plugins restart median",
		ValidArgsFunction: c.complete(pluginNames),
		Args:              one("a plugin's name"),
		Long: "restart starts a new process of the plugin, which shakes hands before the old process drains.\n" +
			"Calls wait in between and feeds go on. If the new process does not start, the old one stays, and\n" +
			"the command says why. A restart ends a quarantine.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.RestartPlugin, &nodev1.RestartPluginRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { pluginTable(w, []*nodev1.PluginStatus{r.GetPlugin()}) })
		},
	}
}
