package doctor

import (
	"cmp"
	"fmt"
	"strings"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// PluginFacts are the known facts about a plugin.
type PluginFacts struct {
	loophost.Status
	// Protocol is the version of the contract by which the node calls it.
	Protocol int
	// Changed are files that the process was started from and that have changed since.
	Changed []string
}

// OfPlugin checks a plugin that serves: its version and its confinement. OfPart reports its other problems.
func OfPlugin(p PluginFacts) []*nodev1.Finding {
	if p.State != supervise.Ready {
		return nil
	}
	return []*nodev1.Finding{Good(Plugin, "plugin "+p.Name, "it serves"), ofVersion(p), ofConfinement(p)}
}

func ofVersion(p PluginFacts) *nodev1.Finding {
	subject := "plugin " + p.Name
	text := fmt.Sprintf("it runs %s (%s) on protocol %d", cmp.Or(p.Version, "a version that it does not tell"),
		cmp.Or(p.Runtime, "of no known language"), p.Protocol)
	if len(p.Changed) > 0 {
		return Warning(Version, subject, text+", and another file lies by now at "+strings.Join(p.Changed, " and "),
			"take it by loop plugins restart "+p.Name)
	}
	return Good(Version, subject, text)
}

func ofConfinement(p PluginFacts) *nodev1.Finding {
	subject := "plugin " + p.Name
	switch {
	case p.InProcess:
		return Good(Confinement, subject, "it runs inside the node, where nothing can be taken from it")
	case p.Confinement == "":
		return Warning(Confinement, subject, "the node has attached to its process and confines it in nothing",
			"unset LOOP_REATTACH when you have debugged it")
	case p.Confinement == confine.None:
		return Warning(Confinement, subject, "nothing is taken from its process, which may do all that the node may",
			"see Confine of the plugin in the configuration, and the node's log for why")
	case p.Confinement == confine.Limits:
		return Warning(Confinement, subject, "it is confined at the level limits, which leaves it the node's user's files",
			"run the node where Linux has Landlock (5.13 or later), or say Confine = \"limits\" if that is meant")
	}
	text := "it is confined at the level " + string(p.Confinement)
	if len(p.Lacks) > 0 {
		text += ", which leaves it what this kernel is too old to take: " + strings.Join(p.Lacks, ", ")
	}
	return Good(Confinement, subject, text)
}
