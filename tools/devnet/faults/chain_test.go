package faults

import (
	"net/http"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// chains are the faults of a chain, its RPC nodes and the account on it. Both RPC nodes stand behind gates.
func chains() chapter {
	const chain = "evm chain 1337"
	out := func(why, remedy string) says {
		reason := "none of its 2 RPC nodes serves: primary " + why + "; backup " + why
		return says{
			status: "failing", alerts: []string{"LoopJobFailed", "LoopChainFailed"},
			job: &job{"failed", chain + ": " + reason, remedy}, parts: []component{{chain, "failed", reason, remedy}},
		}
	}
	both := func(s *scene, do, undo func(*gate)) {
		for _, g := range []*gate{s.primary, s.backup} {
			do(g)
			s.undo(func() { undo(g) })
		}
	}
	const pay = "see what the account holds by loop chains list, and send it coins if it cannot pay"
	well := func(g *gate) { g.broken(nil) }
	return chapter{
		title: "A chain and its RPC nodes",
		about: "Reports wait in the node's database. Once the chain is back, they land, unless they are stale by then.",
		faults: []fault{
			{
				name:   "the account has no funds",
				make:   func(s *scene) { s.follow(); s.undo(func() { s.fund(s.t, common.HexToAddress(s.node.keys.account)) }) },
				within: 2 * patience,
				says: says{
					status: "degraded", alerts: []string{"LoopAccountUnfunded", "LoopChainDegraded", "LoopJobDegraded"},
					job: &job{"degraded", "0x…: the chain refused the transaction: the account cannot pay for the transaction…: " +
						"insufficient funds …", pay},
					parts: []component{{chain, "degraded", "0x…: the chain refused the transaction: the account cannot pay for " +
						"the transaction…: insufficient funds …", pay}},
				},
				todo: "once it is funded, reports land at once",
			},
			{
				name:   "one of several RPC nodes is down",
				make:   func(s *scene) { s.primary.shut(); s.undo(func() { s.primary.open(s.t) }) },
				within: 2 * patience,
				says: says{
					status: "degraded", alerts: []string{"LoopChainDegraded"},
					parts: []component{{chain, "degraded", "1 of its 2 RPC nodes do not serve as they should: primary refuses " +
						"connections", unreached}},
				},
				todo: "start it again, or take it out of the chain's Nodes; the others serve meanwhile",
			},
			{
				name: "all RPC nodes refuse connections",
				make: func(s *scene) {
					both(s, (*gate).shut, func(g *gate) { g.open(s.t) })
				},
				within: 2 * patience,
				says:   out("refuses connections", unreached),
			},
			{
				name:   "all RPC nodes hang",
				make:   func(s *scene) { both(s, (*gate).hang, well) },
				within: 2 * patience,
				says:   out("does not answer in time", unreached),
			},
			{
				name: "all RPC nodes are of another chain",
				make: func(s *scene) {
					both(s, func(g *gate) { g.broken(rpc(s.chain.HTTPURL(), elsewhere)) }, well)
				},
				within: 2 * patience,
				says:   out("answers for chain 5…", otherChain),
				todo:   "correct the chain's Nodes or its ChainID",
			},
			{
				name: "all RPC nodes limit the rate of requests",
				make: func(s *scene) {
					both(s, func(g *gate) { g.broken(answering(http.StatusTooManyRequests, "slow down")) }, well)
				},
				within: 2 * patience,
				says:   out("answers with HTTP status 429: it limits the rate of requests", unreached),
				todo:   "raise the plan of the RPC nodes, or add others",
			},
			{
				name:   "the chain stands still",
				make:   func(s *scene) { both(s, func(g *gate) { g.broken(standing(s.chain.HTTPURL())) }, well) },
				within: 2 * patience,
				says: says{
					status: "degraded", alerts: []string{"LoopChainDegraded"},
					parts: []component{{chain, "degraded", "2 of its 2 RPC nodes do not serve as they should: primary has told of " +
						"no new block for … and is asked last; backup has told of no new block for … and is asked last", unreached}},
				},
				todo: "see whether the chain itself has stopped, or its nodes have lost their peers",
			},
		},
	}
}

// runChains makes them one after another on a node whose feed goes on.
func runChains(t *testing.T, at *scene) {
	for _, f := range chains().faults { // the first begins the feed, with an account that holds nothing
		t.Run(f.name, func(t *testing.T) { at.on(t).live(f) })
	}
}
