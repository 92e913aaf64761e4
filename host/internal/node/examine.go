package node

import (
	"context"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/doctor"
)

// Examine checks what can be checked while no node runs: the configuration, disks, plugins and chains. It reports what
// only a running node knows as unchecked.
func Examine(ctx context.Context, s Settings) []*nodev1.Finding {
	found := ofConfig(s.Config)
	n, end, err := openChecked(ctx, s)
	if err != nil {
		return append(append(found, ofStart(err)), unknown()...)
	}
	defer end()
	found = append(found, n.ofPlugins()...)
	wait, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, r := range n.plugins.running() {
		for _, c := range r.all() {
			awaitHead(wait, c)
		}
	}
	return append(append(found, n.ofChains(ctx)...), unknown()...)
}

// ofStart is why a node would not start.
func ofStart(err error) *nodev1.Finding {
	if IsPlugin(err) {
		return doctor.Failed(doctor.Plugin, "plugins", err.Error(), "fix it: a node does not start without it")
	}
	return doctor.Failed(doctor.Configuration, "configuration", err.Error(), "fix it: a node does not start so")
}

// unknown has the checks that only a running node can make.
func unknown() []*nodev1.Finding {
	const start = "start the node, and ask again"
	return []*nodev1.Finding{
		doctor.Unchecked(doctor.Job, "jobs", "which jobs there are, and their contracts, oracles, peers and times", start),
		doctor.Unchecked(doctor.Funds, "accounts", "what the accounts hold that send reports", start),
		doctor.Unchecked(doctor.Clock, "peers", "whether this machine's clock is that of most peers", start),
		doctor.Unchecked(doctor.Bridge, "bridges", "which bridges there are, and whether they answer", start),
	}
}
