package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
)

// refusing are the faults for which a node refuses a job. Each make says which spec, in the order of the rows.
func refusing() chapter {
	return chapter{
		title: "A job that is refused",
		about: "`loop jobs add` ends with these lines on stderr and with exit code 1, and changes nothing in the node. " +
			"`loop jobs validate` says the same.",
		faults: []fault{
			{
				name: "a job's bridge does not exist",
				says: says{exit: 1, stderr: `-:…: observationSource: …bridge…nowhere… [create]`},
				todo: "add it first: loop bridges add NAME URL",
			},
			{
				name: "a job's key bundle is not this node's",
				says: says{exit: 1, stderr: "-:…: ocrKeyBundleID: this node has no OCR2 key bundle … for evm; list its keys to " +
					"find one [create]"},
				todo: "name one that loop keys list shows",
			},
			{
				name: "a job's transmitter is not this node's",
				says: says{exit: 1, stderr: "-:…: transmitterID: this node has no key … for evm chain 1337; list its keys to " +
					"find one [create]"},
				todo: "name an account that loop keys list shows, and see the chain's Accounts",
			},
			{
				name: "a job's chain is not configured",
				says: says{exit: 1, stderr: "-:…: relayConfig.chainID: this node has no enabled evm chain …; add it to the " +
					"node's configuration [start]"},
				todo: "add the chain to the configuration, or correct relayConfig.chainID",
			},
			{
				name: "a job is added twice",
				says: says{exit: 1, stderr: "-:…: contractID: job … serves this contract already; remove it first [create]"},
				todo: "to replace the first job by the second, remove the first by loop jobs rm",
			},
			{
				name: "two jobs have one name",
				says: says{stderr: "-:…: name: job … has this name already: the log and alerts tell the two apart by their " +
					"numbers alone [warning]"},
				todo: "give it another name",
			},
			{
				name: "a job's pipeline is not valid",
				says: says{exit: 1, stderr: "-:…: observationSource: task parse: … [common]"},
				todo: "correct the line; loop jobs try runs the pipelines without a node",
			},
		},
	}
}

// refusals are the specs of refusing, by name.
func refusals(first spec) map[string]spec {
	other := common.HexToAddress("0x00000000000000000000000000000000000000aa")
	usual := spec{name: "refused", contract: other, bootstrappers: first.bootstrappers}
	with := func(change func(*spec)) spec {
		s := usual
		change(&s)
		return s
	}
	return map[string]spec{
		"a job's bridge does not exist":          with(func(s *spec) { s.bridge = "nowhere" }),
		"a job's key bundle is not this node's":  with(func(s *spec) { s.bundle = strings.Repeat("a", 64) }),
		"a job's transmitter is not this node's": with(func(s *spec) { s.account = other.Hex() }),
		"a job's chain is not configured":        with(func(s *spec) { s.chain = "5" }),
		"a job is added twice":                   first,
		"two jobs have one name":                 with(func(s *spec) { s.name = first.name }),
		"a job's pipeline is not valid":          with(func(s *spec) { s.source = "parse [type=jsonpars]; ds -> parse;" }),
	}
}

// runRefusing adds the jobs to one node, which has a job.
func runRefusing(t *testing.T, n *network, at *node) {
	first := spec{name: "first", contract: common.HexToAddress("0x00000000000000000000000000000000000000bb")}
	first.bootstrappers = n.bootstrappers()
	id := at.add(t, first)
	defer at.remove(t, id)
	specs := refusals(first)
	for _, f := range refusing().faults {
		t.Run(f.name, func(t *testing.T) {
			s := &scene{t: t, network: n, node: at}
			s.tells(f, specs[f.name].toml(at), "jobs", "add", "-")
			for _, other := range at.jobs(t) { // that was taken all the same
				if other != id {
					at.remove(t, other)
				}
			}
		})
	}
}

// contracts are the faults of a contract and of its configuration, as a job meets them from its beginning.
func contracts() chapter {
	const (
		nodes = "see that the chain's RPC nodes answer and that contractID names the feed's contract"
		peers = "see that the other nodes run, that this one reaches a bootstrapper (p2pv2Bootstrappers), and that the " +
			"others reach its " +
			"[P2P.V2] AnnounceAddresses"
	)
	configured := func(timing evm.Timing, oracles func(s *scene) []evm.Oracle, more string) func(*scene) {
		return func(s *scene) {
			feed := s.deploy(s.t)
			s.set(s.t, feed, timing, oracles(s)...)
			s.begin(feed.Address(), more)
		}
	}
	// with are the node, so many of the company and nobody else.
	with := func(company int) func(s *scene) []evm.Oracle {
		return func(s *scene) []evm.Oracle {
			all := []evm.Oracle{s.node.keys.oracle()}
			for len(all) < companions+1 {
				if len(all) <= company {
					all = append(all, s.company[len(all)-1].keys.oracle())
					continue
				}
				all = append(all, nobody(s.t))
			}
			return all
		}
	}
	return chapter{
		title: "A contract and its configuration",
		about: "The node runs, and the state of the job says why the job does not.",
		faults: []fault{
			{
				name: "there is no contract at the address",
				make: func(s *scene) { s.begin(common.HexToAddress("0x00000000000000000000000000000000000000cc"), "") },
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed"},
					job: &job{"failed", "the contract's configuration has not been read for …: …there is no contract at this " +
						"address…", nodes},
				},
			},
			{
				name: "the contract is not configured",
				make: func(s *scene) { s.begin(s.deploy(s.t).Address(), "") },
				says: says{
					status: "degraded", alerts: []string{"LoopJobWaiting"},
					job: &job{"waiting", "the contract has no configuration", "its owner sets one with the public keys of the " +
						"network's nodes, see loop keys list"},
				},
			},
			{
				name: "this node is not among the contract's oracles",
				make: configured(timing, func(s *scene) []evm.Oracle {
					return []evm.Oracle{nobody(s.t), nobody(s.t), nobody(s.t), nobody(s.t)}
				}, ""),
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed"},
					job: &job{"failed", "this node is not among the 4 oracles of the contract's configuration …: none has the " +
						"on-chain key of the job's key bundle",
						"name the bundle that the configuration has by ocrKeyBundleID, or have the contract's owner set this node's " +
							"keys, see loop keys list"},
					show: []string{"oracle not one of the 4"},
				},
			},
			{
				name: "the contract has another transmitter for this node",
				make: configured(timing, func(s *scene) []evm.Oracle {
					all := with(0)(s)
					all[0].Transmitter = nobody(s.t).Transmitter
					return all
				}, ""),
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed"},
					job: &job{"failed", "the contract's configuration … has 0x… for this node's transmitter, and the job " +
						"transmits from 0x…",
						"name that account by transmitterID, or have the contract's owner set this one"},
				},
			},
			{
				name:   "no other node is heard",
				make:   configured(timing, with(0), ""),
				within: 2 * patience,
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed", "LoopPeersNotHeard"},
					job:  &job{"failed", "no round for …; hears 0 of 3 peers, needs 2", peers},
					show: []string{"peers heard 0 of 3; oracle 1 never, oracle 2 never, oracle 3 never"},
				},
			},
			{
				name: "the network is split",
				make: func(s *scene) {
					configured(timing, with(1), "")(s)
					s.join(0)
				},
				within: 2 * patience,
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed", "LoopPeersNotHeard"},
					job:  &job{"failed", "no round for …; hears 1 of 3 peers, needs 2", peers},
					show: []string{"peers heard 1 of 3; oracle 2 never, oracle 3 never"},
				},
			},
			{
				name: "the contract's configuration gives queries no time, and neither does the node",
				make: func(s *scene) {
					configured(evm.Timing{}, with(companions), "")(s)
					s.join(0, 1, 2)
				},
				within: 2 * patience,
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed"},
					job: &job{"failed", "no round for … though enough peers are heard", "see loop jobs errors, and the state of " +
						"the other nodes"},
				},
				todo: "raise CL_MIN_OCR2_MAX_DURATION_QUERY, whose default is 100ms, on all nodes: leaders have no time for " +
					"their query",
			},
			{
				name: "no transaction of the network gets into a block",
				make: (*scene).vanish,
				// Several blocks of any chain, and replacements at a higher price, are waited for.
				within: 2*time.Minute + 2*patience,
				says: says{
					status: "failing", alerts: []string{"LoopJobFailed", "LoopChainDegraded"},
					job: &job{"failed", "the contract has taken no report for …, since this node handed one to its relayer: the " +
						"oldest transmission of account 0x… has waited for a block for …",
						"see that the chain makes blocks, and that the ceiling of its fees is not below what it asks"},
				},
				todo: "see the fees that the chain wants, and whether its RPC nodes pass transactions on",
			},
		},
	}
}

// begin gives the row's node the job that is looked at.
func (s *scene) begin(contract common.Address, more string) {
	s.id = s.node.add(s.t, spec{name: s.feed, contract: contract, bootstrappers: s.bootstrappers(), more: more})
	s.contract = contract
	node, id := s.node, s.id
	s.undo(func() { node.remove(s.t, id) })
}

// vanish begins a feed whose contract no transaction gets to.
func (s *scene) vanish() {
	feed := s.deploy(s.t)
	s.contract = feed.Address()
	s.mu.Lock()
	s.swallowed[s.contract] = true
	s.mu.Unlock()
	var oracles []evm.Oracle
	nodes := append([]*node{s.node}, s.company...)
	var accounts []string
	for _, n := range nodes {
		k := s.another(n)
		accounts, oracles = append(accounts, k.account), append(oracles, k.oracle())
	}
	s.set(s.t, feed, timing, oracles...)
	for i, n := range nodes {
		id := n.add(s.t, spec{name: s.feed, contract: s.contract, account: accounts[i], bootstrappers: s.bootstrappers()})
		s.undo(func() { n.remove(s.t, id) })
		if n == s.node {
			s.id = id
		}
	}
}

// join gives nodes of the company the same feed.
func (s *scene) join(which ...int) {
	for _, i := range which {
		c := s.company[i]
		id := c.add(s.t, spec{name: s.feed, contract: s.contract, bootstrappers: s.bootstrappers()})
		s.undo(func() { c.remove(s.t, id) })
	}
}

// runContracts has all jobs on one node at once.
func runContracts(t *testing.T, n *network, p *prometheus, at *node) {
	for _, f := range contracts().faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := &scene{t: t, network: n, prometheus: p, node: at, feed: f.name, shared: true}
			s.live(f)
		})
	}
}
