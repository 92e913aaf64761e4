package health

import (
	"testing"
	"time"
)

// begin is when the feeds of these tests began.
var begin = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }

// healthy is a feed of four oracles that does all that it should at second 100.
func healthy() Feed {
	return Feed{
		Config: Attempts{Good: at(95)}, Digest: "0001ab", Ready: at(1),
		Running: "0001ab", Begun: at(2), Interval: time.Second,
		Members: &Members{Oracles: 4, Faulty: 1, Signer: true, Account: "0xA", Own: "0xA"},
		Heard:   map[int]time.Time{1: at(99), 2: at(99), 3: at(98)},
		Plugins: make([]State, 2), ChainName: "evm chain 1",
		Round: at(99), Observation: Attempts{Good: at(99)}, Transmission: Attempts{Good: at(60)},
	}
}

func failing(since, failures int, fault string) Attempts {
	return Attempts{Fault: fault, Since: at(since), Failures: failures}
}

// TestFeeds has the faults of a feed, and what is said of each 100 s after its start.
func TestFeeds(t *testing.T) {
	t.Parallel()
	const (
		configure = "its owner sets one with the public keys of the network's nodes, see loop keys list"
		nodes     = "see that the chain's RPC nodes answer and that contractID names the feed's contract"
		peers     = "see that the other nodes run, that this one reaches a bootstrapper (p2pv2Bootstrappers), and that " +
			"the " +
			"others reach its " +
			"[P2P.V2] AnnounceAddresses"
		plugins = "see loop jobs errors ID, and the state of the job's plugins: loop plugins list"
		sources = "see which task failed by loop jobs runs ID --failed, and its input by loop jobs runs ID RUN"
	)
	hold(t, healthy, stated[Feed]{
		"healthy": {func(*Feed) {}, State{}},
		"other keys": {func(f *Feed) { f.Members.Fault = "has another off-chain key" },
			State{Failed, "other keys", "the contract's configuration 0001ab has another off-chain key",
				"have the contract's owner set this node's keys, see loop keys list"}},
		"quiet price": {func(f *Feed) { f.Transmission = Attempts{} }, State{}},
		"refused": {func(f *Feed) { f.Failure = "the median refuses the configuration" },
			State{Level: Failed, Cause: "failed", Reason: "the median refuses the configuration"}},
		"median quarantined": {
			func(f *Feed) {
				f.Plugins[1] = State{Failed, "quarantined", "plugin median is quarantined: exit status 2", "fix it"}
			},
			State{Failed, "plugin", "plugin median is quarantined: exit status 2", "fix it"}},
		"median starts again": {
			func(f *Feed) { f.Plugins[1] = State{Level: Waiting, Reason: "plugin median starts again"} }, State{}},
		"chain out": {
			func(f *Feed) {
				f.Chain = State{Failed, "no RPC node", "its RPC node a refuses connections", "see that it runs"}
				f.Config = failing(60, 9, "no RPC node serves")
			},
			State{Failed, "chain", "evm chain 1: its RPC node a refuses connections", "see that it runs"}},
		"one RPC node of two": {func(f *Feed) {
			f.Chain = State{Level: Degraded, Reason: "1 of its 2 RPC " +
				"nodes"}
		}, State{}},
		"another clock": {func(f *Feed) { f.Ahead, f.Clock = 61*time.Second, failing(80, 2, "apart") },
			State{Degraded, "clock", "this machine's clock is 1m1s ahead of most peers'", KeepClock}},
		"a clock that is late": {func(f *Feed) { f.Ahead, f.Clock = -9*time.Second, failing(97, 3, "apart") },
			State{Degraded, "clock", "this machine's clock is 9s behind most peers'", KeepClock}},
		"another clock for a moment": {func(f *Feed) { f.Ahead, f.Clock = time.Minute, failing(60, 1, "apart") }, State{}},
		"a report waits":             {func(f *Feed) { f.Unlanded = at(1) }, State{}},
		"relayer away at start": {func(f *Feed) {
			*f = Feed{Absent: map[string]string{"the relayer has not taken the job": "it is quarantined"}}
		},
			State{Level: Waiting, Cause: "absent", Reason: "the relayer has not taken the job: it is quarantined"}},
		"no contract at the address": {func(f *Feed) {
			*f = Feed{Config: failing(1, 60, "there is no contract at this address")}
		},
			State{Failed, "config unread",
				"the contract's configuration has not been read for 1m39s: there is no contract at this address", nodes}},
		"RPC nodes down while it runs": {func(f *Feed) {
			f.Config = Attempts{Good: at(60), Fault: "no RPC node serves", Since: at(61), Failures: 3}
		},
			State{Failed, "config unread", "the contract's configuration has not been read for 39s: no RPC node " +
				"serves", nodes}},
		"one reading that failed": {func(f *Feed) {
			f.Config = Attempts{Good: at(90), Fault: "timeout", Since: at(91), Failures: 1}
		}, State{}},
		"not configured": {func(f *Feed) { f.Digest, f.Running, f.Members = "", "", nil },
			State{Waiting, "not configured", "the contract has no configuration", configure}},
		"not configured, bootstrap": {func(f *Feed) { f.Bootstrap, f.Digest, f.Running, f.Members = true, "", "", nil },
			State{Waiting, "not configured", "the contract has no configuration", configure}},
		"not among the oracles": {func(f *Feed) { f.Members.Signer, f.Members.Account, f.Running = false, "", "" },
			State{Failed, "not an oracle",
				"this node is not among the 4 oracles of the contract's configuration 0001ab: none has the on-chain key of " +
					"the " +
					"job's " +
					"key bundle",
				"name the bundle that the configuration has by ocrKeyBundleID, or have the contract's owner set this node's " +
					"keys, see loop keys list"}},
		"another transmitter": {func(f *Feed) { f.Members.Account, f.Running = "0xB", "" },
			State{Failed, "other transmitter",
				"the contract's configuration 0001ab has 0xB for this node's transmitter, and the job transmits from 0xA",
				"name that account by transmitterID, or have the contract's owner set this one"}},
		"between reading and running": {func(f *Feed) {
			f.Running = ""
		}, State{Waiting, "starting", "OCR starts for the contract's configuration", ""}},
		"libocr takes its time": {func(f *Feed) { f.Running, f.Ready = "", at(-199) },
			State{Waiting, "starting", "OCR starts for the contract's configuration", ""}},
		"libocr begins nothing": {func(f *Feed) { f.Running, f.Ready, f.Round = "", at(-200), time.Time{} },
			State{Failed, "not begun", "libocr has not begun the contract's configuration 0001ab for 5m0s",
				"see loop jobs errors ID"}},
		"libocr begins no other configuration": {func(f *Feed) { f.Running, f.Ready, f.Round = "0001aa", at(-260), at(0) },
			State{Failed, "not begun", "libocr has not begun the contract's configuration 0001ab for 6m0s",
				"see loop jobs errors ID"}},
		"bootstrap job that begins nothing": {
			func(f *Feed) { f.Bootstrap, f.Running, f.Ready, f.Members = true, "", at(-200), nil },
			State{Failed, "not begun", "libocr has not begun the contract's configuration 0001ab for 5m0s",
				"see loop jobs errors ID"}},
		"an unconfirmed configuration": {func(f *Feed) { f.Running, f.Ready, f.Begun = "", time.Time{}, time.Time{} },
			State{Waiting, "starting",
				"the contract's configuration has not yet been confirmed by as many blocks as libocr waits for", ""}},
		"just added": {func(f *Feed) {
			*f = Feed{}
		}, State{Waiting, "starting", "the contract's configuration is being read", ""}},
		"bootstrap job": {
			func(f *Feed) { f.Bootstrap, f.Round, f.Members, f.Heard = true, time.Time{}, nil, nil },
			State{},
		},
		"peers not heard": {func(f *Feed) { f.Round, f.Heard = at(60), map[int]time.Time{1: at(99), 2: at(59), 3: {}} },
			State{Failed, "peers not heard", "no round for 40s; hears 1 of 3 peers, needs 2", peers}},
		"never a peer": {func(f *Feed) { f.Round, f.Heard = time.Time{}, map[int]time.Time{1: {}, 2: {}, 3: {}} },
			State{Failed, "peers not heard", "no round for 1m38s; hears 0 of 3 peers, needs 2", peers}},
		"peers not heard after a restart": {func(f *Feed) {
			f.Members, f.Round, f.Heard = nil, at(60), map[int]time.Time{1: at(99), 2: {}, 3: {}}
		},
			State{Failed, "peers not heard", "no round for 40s; hears 1 of 3 peers, needs 2", peers}},
		"no round, peers heard": {func(f *Feed) { f.Round = at(60) },
			State{Failed, "no rounds", "no round for 40s though enough peers are heard",
				"see loop jobs errors, and the state of the other nodes"}},
		"a slow feed": {func(f *Feed) { f.Interval, f.Round = 30*time.Second, at(0) }, State{}},
		"just begun": {func(f *Feed) { f.Begun, f.Round, f.Heard = at(90), time.Time{}, map[int]time.Time{1: {}} },
			State{}},
		"adapter down": {func(f *Feed) { f.Observation = failing(60, 40, "task ds1: bridge a: connection refused") },
			State{Degraded, "observations fail",
				"this node has observed nothing for 40s (failures: 40): task ds1: bridge a: connection refused", sources}},
		"adapter failed once": {func(f *Feed) { f.Observation = failing(99, 1, "timeout") }, State{}},
		"adapter failed once, and rounds are rare": {func(f *Feed) {
			f.Interval, f.Observation = time.Minute, failing(45, 1, "timeout")
		}, State{}},
		"adapter failed twice, and rounds are rare": {func(f *Feed) {
			f.Interval, f.Observation = time.Minute, failing(30, 2, "timeout")
		}, State{Degraded, "observations fail", "this node has observed nothing for 1m10s (failures: 2): timeout", sources}},
		"adapter failed thrice": {func(f *Feed) {
			f.Observation = failing(97, 3, "timeout")
		}, State{Degraded, "observations fail", "this node has observed nothing for 3s (failures: 3): timeout", sources}},
		"the codec fails": {func(f *Feed) { f.Report = failing(60, 40, "the relayer knows no such type") },
			State{Degraded, "makes no reports",
				"this node has made no report for 40s (failures: 40): the relayer knows no such type", plugins}},
		"the codec failed once":  {func(f *Feed) { f.Report = failing(60, 1, "timeout") }, State{}},
		"the codec failed twice": {func(f *Feed) { f.Report = failing(97, 2, "timeout") }, State{}},
		"the codec failed twice, and rounds are rare": {func(f *Feed) { f.Report = failing(30, 2, "timeout") },
			State{Degraded, "makes no reports", "this node has made no report for 1m10s (failures: 2): timeout", plugins}},
		"the codec works again, and a quiet price": {func(f *Feed) { f.Report = Attempts{Good: at(99), Ill: 9} }, State{}},
		"outcomes fail": {func(f *Feed) { f.Outcome, f.Report = failing(97, 3, "no median"), Attempts{Good: at(99)} },
			State{Degraded, "makes no reports", "this node has computed no outcome for 3s (failures: 3): no median", plugins}},
		"signatures fail": {func(f *Feed) { f.Signature, f.Report = failing(97, 3, "no scheme"), Attempts{Good: at(99)} },
			State{Degraded, "makes no reports", "this node has signed no report for 3s (failures: 3): no scheme", plugins}},
		"stale source": {func(f *Feed) { f.Agreement = failing(60, 20, "90 is 10.0 % below 100") },
			State{Degraded, "observations stray",
				"this node's observations have been away from the contract's answer for 40s: 90 is 10.0 % below 100",
				"see that the job's sources are not stale and ask for the right price: loop jobs runs shows what each gave"}},
		"a leap": {func(f *Feed) { f.Agreement = failing(90, 5, "90 is 10.0 % below 100") }, State{}},
		"relayer down": {func(f *Feed) { f.Transmission = failing(70, 2, "plugin evm is quarantined") },
			State{Degraded, "relayer takes no reports",
				"no report has reached the relayer for 30s (failures: 2): plugin evm is quarantined",
				"see the state of the job's relayer: loop plugins list"}},
		"no funds": {func(f *Feed) {
			f.Account = State{Level: Degraded, Reason: "account 0xA holds nothing", Remedy: "send it funds"}
		},
			State{Degraded, "account", "account 0xA holds nothing", "send it funds"}},
		"nothing lands": {func(f *Feed) { f.Unlanded = at(-30) },
			State{Failed, "nothing lands", "the contract has taken no report for 2m10s, since this node handed one to its " +
				"relayer",
				"see loop chains list and loop keys audit, and that the accounts of the network's nodes have funds"}},
		"nothing lands, and no funds": {func(f *Feed) {
			f.Unlanded = at(-30)
			f.Account = State{Level: Degraded, Reason: "account 0xA holds nothing", Remedy: "send it funds"}
		}, State{Failed, "nothing lands",
			"the contract has taken no report for 2m10s, since this node handed one to its relayer: account 0xA holds " +
				"nothing",
			"send it funds"}},
		"the cause before what follows": {func(f *Feed) {
			f.Failure, f.Round, f.Observation = "the plugin came back with other limits", at(0), failing(0, 9, "x")
			f.Account = State{Level: Degraded, Reason: "no funds"}
		}, State{Level: Failed, Cause: "failed", Reason: "the plugin came back with other limits"}},
	})
}
