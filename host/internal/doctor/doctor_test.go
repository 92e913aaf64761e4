package doctor

import (
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func ago(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }

// one is what a check that finds one thing has found.
func one(f *nodev1.Finding) []*nodev1.Finding { return []*nodev1.Finding{f} }

// serving is a plugin with nothing wrong.
func serving() PluginFacts {
	return PluginFacts{Protocol: 1, Status: loophost.Status{
		Name: "evm", State: supervise.Ready, Version: "v1.2.0", Runtime: "go1.26", Confinement: confine.Landlock,
	}}
}

func with(change func(*PluginFacts)) []*nodev1.Finding {
	p := serving()
	change(&p)
	return OfPlugin(p)
}

// worst is a finding as the table has it: of several, the worst.
type worst struct {
	severity     nodev1.Severity
	check        string
	text, remedy string
}

const (
	ok        = nodev1.Severity_SEVERITY_OK
	unchecked = nodev1.Severity_SEVERITY_UNCHECKED
	warning   = nodev1.Severity_SEVERITY_WARNING
	failed    = nodev1.Severity_SEVERITY_FAILED
)

// TestChecks has what each check says of what it looks at.
func TestChecks(t *testing.T) {
	t.Parallel()
	heard := health.Feed{Heard: map[int]time.Time{1: ago(1), 2: ago(130), 3: {}}, Interval: time.Second}
	budgets := func(b ...health.Budget) *health.Members {
		return &health.Members{Budgets: append([]health.Budget{}, b...)}
	}
	query := health.Budget{Name: "MaxDurationQuery", Least: 100 * time.Millisecond, Variable: "CL_X"}
	observation := health.Budget{Name: "MaxDurationObservation", Time: time.Second, Observes: true}
	const (
		keep = "have a time server keep this machine's clock, such as by chrony"
		rpc  = "see that it runs and follows the chain, and check the chain's Nodes in the configuration"
		ask  = "see that its adapter runs and that the node reaches it; another URL is given by loop bridges update"
	)
	for name, c := range map[string]struct {
		found []*nodev1.Finding
		want  worst
	}{
		"disk with room": {one(OfVolume(Volume{"the database", "/srv", 40 << 30, 100 << 30})),
			worst{ok, Disk, "40 GiB of 100 GiB are free for the database at /srv", ""}},
		"disk that fills": {one(OfVolume(Volume{"the database", "/srv", 500 << 20, 8 << 30})),
			worst{warning, Disk, "500 MiB of 8192 MiB are free for the database at /srv",
				"make room on that disk before it is full"}},
		"full disk": {one(OfVolume(Volume{"the database", "/srv", 0, 8 << 30})),
			worst{failed, Disk, "0 MiB of 8192 MiB are free for the database at /srv, so that writing fails now or soon",
				"make room on that disk"}},

		"head of now": {one(OfHead("c", ago(2), now)), worst{ok, Clock,
			"the newest block is 2s old by this machine's clock", ""}},
		"clock behind": {one(OfHead("c", ago(-60), now)), worst{warning, Clock,
			"the newest block is 1m0s ahead of this machine's clock", keep}},
		"old head": {one(OfHead("c", ago(600), now)), worst{warning, Clock,
			"the newest block is 10m0s old by this machine's clock",
			"see that the chain makes blocks and its RPC nodes follow it; if they do, " + keep}},
		"clock of peers": {one(OfClocks("j", health.Feed{Compared: now, Ahead: -5 * time.Second})),
			worst{ok, Clock, "this machine's clock is within 5s of most peers'", ""}},
		"clock before peers'": {one(OfClocks("j", health.Feed{Compared: now, Ahead: 9 * time.Second})),
			worst{warning, Clock, "this machine's clock is 9s ahead of most peers'", keep}},
		"clock behind peers'": {one(OfClocks("j", health.Feed{Compared: now, Ahead: -time.Minute})),
			worst{warning, Clock, "this machine's clock is 1m0s behind most peers'", keep}},
		"clock never compared": {one(OfClocks("j", health.Feed{})),
			worst{unchecked, Clock, "no round has told the clocks of peers yet", "look again when the feed runs"}},

		"plugin": {with(func(*PluginFacts) {}), worst{ok, Plugin, "it serves", ""}},
		"plugin replaced on disk": {with(func(p *PluginFacts) { p.Changed = []string{"/bin/loop-evm"} }),
			worst{warning, Version, "it runs v1.2.0 (go1.26) on protocol 1, and another file lies by now at /bin/loop-evm",
				"take it by loop plugins restart evm"}},
		"plugin that may do all": {with(func(p *PluginFacts) { p.Confinement = confine.None }),
			worst{warning, Confinement, "nothing is taken from its process, which may do all that the node may",
				"see Confine of the plugin in the configuration, and the node's log for why"}},
		"plugin under a debugger": {with(func(p *PluginFacts) { p.Confinement = "" }),
			worst{warning, Confinement, "the node has attached to its process and confines it in nothing",
				"unset LOOP_REATTACH when you have debugged it"}},
		"plugin inside": {with(func(p *PluginFacts) { p.Confinement, p.InProcess = "", true }), worst{ok, Plugin,
			"it serves", ""}},

		"RPC nodes": {OfNodes("c", []RPC{{"a", "alive", true}}), worst{ok, Chain, "RPC node a: alive", ""}},
		"one RPC node down": {OfNodes("c", []RPC{{"a", "alive", true}, {"b", "unreachable", false}}),
			worst{warning, Chain, "RPC node b: unreachable", rpc}},
		"all RPC nodes down": {OfNodes("c", []RPC{{"b", "wrong chain, it answers for 5", false}}),
			worst{failed, Chain, "RPC node b: wrong chain, it answers for 5; no other serves", rpc}},
		"no RPC node": {OfNodes("c", nil), worst{failed, Chain, "it has no RPC node",
			"name one by the chain's Nodes in the configuration"}},

		"funds": {one(OfFunds("c", Account{"0xA", big.NewInt(1_250), 3})), worst{ok, Funds,
			"account 0xA has 1.25 of the chain's coin", ""}},
		"whole coins": {one(OfFunds("c", Account{"0xA", big.NewInt(100), 0})), worst{ok, Funds,
			"account 0xA has 100 of the chain's coin", ""}},
		"no funds": {one(OfFunds("c", Account{"0xA", new(big.Int), 18})), worst{failed, Funds,
			"account 0xA has nothing to pay for transmissions with", "send it the chain's coin"}},
		"funds unknown": {one(OfFunds("c", Account{Name: "0xA"})), worst{unchecked, Funds,
			"what account 0xA holds is not known", "look at the account on the chain"}},

		"job": {one(OfJob("j", health.State{})), worst{ok, Job, "it runs", ""}},
		"job that failed": {one(OfJob("j", health.State{Level: health.Failed, Reason: "r", Remedy: "m"})), worst{failed, Job,
			"r", "m"}},
		"job that waits": {one(OfJob("j", health.State{Level: health.Waiting, Reason: "r", Remedy: "m"})), worst{warning, Job,
			"r", "m"}},
		"degraded job": {one(OfJob("j", health.State{Level: health.Degraded, Reason: "r", Remedy: "m"})), worst{warning,
			Job, "r", "m"}},
		"peers not heard": {OfPeers("j", heard, now), worst{warning, Peers,
			"it hears 1 of 3 peers: oracle 2 was last heard 2m10s ago, " +
				"oracle 3 was never heard",
			"ask those who run these nodes whether they are up and reach this one's [P2P.V2] AnnounceAddresses"}},
		"peers heard": {OfPeers("j", health.Feed{Heard: map[int]time.Time{1: ago(1)}}, now), worst{ok, Peers,
			"it hears 1 of 1 peers", ""}},

		"times": {OfBudgets("j", budgets(observation), 0), worst{ok, Budgets,
			"the contract's configuration gives every part of a round its time", ""}},
		"query's own": {OfBudgets("j", budgets(query, observation), 0), worst{ok, Budgets,
			"the contract's configuration has MaxDurationQuery = 0, in whose place this node takes 100ms", ""}},
		"times not read": {OfBudgets("j", &health.Members{}, 0), worst{unchecked, Budgets,
			"the contract's configuration has not been read yet", "look again when the job runs"}},
		"no time for queries": {OfBudgets("j", budgets(health.Budget{Name: "MaxDurationQuery", Variable: "CL_X"}), 0),
			worst{failed, Budgets, "the contract's configuration has MaxDurationQuery = 0, so that it fails in every round",
				"have the contract's owner set it above 0, or unset CL_X, which gives it none either"}},
		"no time for reports": {OfBudgets("j", budgets(health.Budget{Name: "MaxDurationReport"}), 0),
			worst{failed, Budgets, "the contract's configuration has MaxDurationReport = 0, so that it fails in every round",
				"have the contract's owner set it above 0"}},
		"a time that is advice": {OfBudgets("j", budgets(health.Budget{Name: "MaxDurationObservation", Observes: true,
			Advice: true}), time.Second),
			worst{ok, Budgets, "the contract's configuration gives every part of a round its time", ""}},
		"slow observations": {OfBudgets("j", budgets(observation), 800*time.Millisecond),
			worst{warning, Budgets, "an observation took 800ms lately, of the 1s that MaxDurationObservation gives",
				"see what is slow by loop jobs runs, or have the contract's owner give it more"}},

		"ailing part": {OfPart(health.Part{Kind: health.KindChain, Name: "evm chain 1", State: health.State{
			Level: health.Degraded, Reason: "it lags", Remedy: "wait"}}), worst{warning, Chain, "it lags", "wait"}},
		"failed part": {OfPart(health.Part{Kind: health.KindDatabase, Name: "database", State: health.State{
			Level: health.Failed, Reason: "its disk is full", Remedy: "make room"}}), worst{failed, Database,
			"its disk is full", "make room"}},

		"bridge": {one(OfBridge("b", true, Answer{Status: 404, Took: 3 * time.Millisecond})), worst{ok, Bridge,
			"it answers, in 3ms", ""}},
		"bridge down": {one(OfBridge("b", true, Answer{Fault: "connection refused"})), worst{failed, Bridge,
			"it does not answer: connection refused", ask}},
		"unused bridge": {one(OfBridge("b", false, Answer{Fault: "connection refused"})), worst{warning, Bridge,
			"it does not answer, and no job uses it: connection refused", "remove it, or " + ask}},
		"bridge's upstream": {one(OfBridge("b", true, Answer{Status: 502})), worst{warning, Bridge,
			"it answers with status 502", ask}},
		"slow bridge": {one(OfBridge("b", true, Answer{Status: 200, Took: 2 * time.Second})), worst{warning, Bridge,
			"it took 2s to answer", "see why its adapter is slow"}},
	} {
		Sort(c.found)
		f := c.found[0]
		got := worst{f.GetSeverity(), f.GetCheck(), f.GetText(), f.GetRemedy()}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(worst{}), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if found := OfPeers("j", health.Feed{}, now); found != nil {
		t.Errorf("of peers that nobody has met: %v", found)
	}
}

// TestSort holds that the worst stands first and the rest in its order.
func TestSort(t *testing.T) {
	t.Parallel()
	found := []*nodev1.Finding{Good(Job, "1", ""), Failed(Job, "2", "", ""), Unchecked(Job, "3", "", ""), Good(Job, "4",
		""), Warning(Job, "5", "", "")}
	Sort(found)
	var order string
	for _, f := range found {
		order += f.GetSubject() + " " + Name(f.GetSeverity()) + " "
	}
	if want := "2 failed 5 warning 3 unchecked 1 ok 4 ok "; order != want || Count(found, ok) != 2 {
		t.Errorf("the order is %s, want %s", order, want)
	}
}
