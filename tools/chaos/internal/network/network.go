// Package network breaks plugins under whole nodes: those of a devnet, which agree on a price and write it to a chain.
//
// It sees what an operator and a reader of the chain see: processes, the operator's API, metrics, blocks. It must not
// know the runtime.
package network

import "github.com/loop-plugins/loop/tools/chaos/internal/trial"

// Bench is where the trials are held.
type Bench struct {
	// Bin holds the programs loop, loop-median, loop-evm and devnet.
	Bin string
}

// Trials lists them.
func (b Bench) Trials() []trial.Trial {
	return []trial.Trial{
		{Name: "jobs", Fault: "a feed's job added to a node and removed 50 times, every fifth time with a process of its own",
			Established: "1,000s of goroutines and descriptors", Run: b.jobs},
		{Name: "feed", Fault: "devnet, fixed seed: one plugin of a random node killed every second for 60 s",
			Established: "the job is dead after the first", Run: b.feed},
		{Name: "crash",
			Fault: "devnet, fixed seed: 200 times SIGKILL of a random node or a random plugin, at random moments, half of " +
				"them within 50 ms after the node begins to hand a report to its relayer",
			Established: "Transmit is made again blindly", Run: b.crash},
		{Name: "upgrade",
			Fault:       "devnet: a plugin's program replaced and restarted 20 times under load, then by a broken one",
			Established: "restart of the node", Run: b.upgrade},
		{Name: "conformance",
			Fault: "bad input, lost replies, cancelled calls, kills: the conformance suite; the plugins' own tests hold the " +
				"same cases within a host", Established: "none", Run: b.conformance},
	}
}
