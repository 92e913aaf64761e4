package faults

import (
	"syscall"
	"testing"
)

// reloading are the faults of a configuration that a node reads again while it runs.
func reloading() chapter {
	return chapter{
		title: "A configuration that is read again",
		about: "A node reads its file again by `loop node reload` or the signal SIGHUP. A file with an error changes " +
			"nothing. A file without one takes effect, even if its values do not work.",
		faults: []fault{
			{
				name: "the configuration is wrong when it is read again",
				make: func(s *scene) {
					s.rewrite(s.node.config + "\n[JobPipeline]\nMaxRunDuratoin = \"1m\"\n")
					if err := s.node.process.Process.Signal(syscall.SIGHUP); err != nil {
						s.t.Fatal(err)
					}
				},
				says: says{
					status: "degraded", alerts: []string{"LoopConfigurationNotTaken"},
					parts: []component{{"configuration", "degraded", "it was not taken when it was read again: " +
						"…node.toml:…: JobPipeline.MaxRunDuratoin: unknown key; did you mean MaxRunDuration?",
						"correct it and run loop node reload: the node goes on with the one before, and would not start with this"}},
					log: []string{`level=ERROR msg="the configuration could not be reloaded; the node keeps the old one" ` +
						`error="…node.toml:…: JobPipeline.MaxRunDuratoin: unknown key; did you mean MaxRunDuration?`},
				},
			},
			{
				name: "the RPC nodes that a reload names are of another chain",
				make: func(s *scene) {
					s.rewrite(chainConfig(newGate(s.t, rpc(s.chain.HTTPURL(), elsewhere)).url()))
					s.reload()
				},
				within: 2 * patience,
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed", "LoopChainFailed"},
					job: &job{"failed", "evm chain 1337: its RPC node primary answers for chain 5…", otherChain},
					parts: []component{{"evm chain 1337", "failed", "its RPC node primary answers for chain 5…",
						otherChain}},
				},
				todo: "correct the chain's Nodes, and run loop node reload again",
			},
			{
				name: "the RPC node that a reload names does not run",
				make: func(s *scene) {
					g := newGate(s.t, rpc(s.chain.HTTPURL(), s.swallows))
					g.shut()
					s.rewrite(chainConfig(g.url()))
					s.reload()
				},
				within: 2 * patience,
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed", "LoopChainFailed"},
					job: &job{"failed", "evm chain 1337: its RPC node primary refuses connections", unreached},
					parts: []component{{"evm chain 1337", "failed", "its RPC node primary refuses connections",
						unreached}},
				},
				todo: "correct the chain's Nodes, and run loop node reload again",
			},
		},
	}
}

// What to do about RPC nodes.
const (
	unreached  = "see that they run and that this machine reaches the addresses in [[EVM.Nodes]] of chain 1337"
	otherChain = "name RPC nodes of chain 1337 in [[EVM.Nodes]], or give the chain its own ChainID"
)

// rewrite gives the row's node another configuration, which it does not read yet. In the end it gets its own again.
func (s *scene) rewrite(config string) {
	s.t.Helper()
	before := s.node.config
	s.undo(func() {
		s.node.config = before
		s.node.configure(s.t)
		s.reload()
	})
	s.node.config = config
	s.node.configure(s.t)
}

// reload has the node read its configuration.
func (s *scene) reload() {
	s.t.Helper()
	if got := s.node.run(s.t, "", "node", "reload"); got.code != 0 {
		s.t.Errorf("loop node reload ends with %d: %s", got.code, got.stderr)
	}
}

// runReloading makes them one after another on a node whose feed goes on.
func runReloading(t *testing.T, at *scene) {
	for _, f := range reloading().faults {
		t.Run(f.name, func(t *testing.T) { at.on(t).live(f) })
	}
}
