package health

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stated is what a table of states has for each name: facts that change with the test, and what is said of them.
type stated[F any] map[string]struct {
	change func(*F)
	want   State
}

// hold checks a table of parts that are well until a row changes them, at second 100.
func hold[F interface{ State(time.Time) State }](t *testing.T, well func() F, table stated[F]) {
	t.Helper()
	for name, c := range table {
		f := well()
		c.change(&f)
		if diff := cmp.Diff(c.want, f.State(at(100))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPlugins(t *testing.T) {
	t.Parallel()
	const words = "see its log by loop plugins logs median, fix what ends it, then loop plugins restart median"
	well := func() Plugin { return Plugin{Name: "median", Phase: Serving, Since: at(10)} }
	hold(t, well, stated[Plugin]{
		"serves":       {func(*Plugin) {}, State{}},
		"ended before": {func(p *Plugin) { p.Exit, p.Ends = "exit status 2", 2 }, State{}},
		"quarantined": {func(p *Plugin) { p.Phase, p.Exit = Quarantined, "exit status 2" },
			State{Failed, "quarantined", "plugin median is quarantined: exit status 2", words}},
		"starts": {func(p *Plugin) { p.Phase, p.Since = Starting, at(98) },
			State{Level: Waiting, Cause: "starting first", Reason: "plugin median starts"}},
		"starts for long": {func(p *Plugin) { p.Phase = Starting },
			State{Failed, "away", "plugin median has not served for 1m30s", words}},
		"starts again": {func(p *Plugin) { p.Phase, p.Since, p.Exit = Restarting, at(99), "signal: killed" },
			State{Level: Waiting, Cause: "starting again", Reason: "plugin median starts again: signal: killed"}},
		"hung, and starts again for long": {
			func(p *Plugin) { p.Phase, p.Since, p.Exit = Restarting, at(60), "it did not answer health checks" },
			State{Failed, "away", "plugin median has not served for 40s: it did not answer health checks", words}},
		"ends often": {func(p *Plugin) { p.Exit, p.Ends = "exit status 2", 3 },
			State{Degraded, "ends often", "plugin median has ended 3 times in the last 10m0s, last: exit status 2",
				"see its log by loop plugins logs median"}},
		"objects parked": {func(p *Plugin) { p.Parked = []string{"b: no funds", "a: no key"} },
			State{Degraded, "objects parked", "plugin median could not make a: no key; b: no funds",
				"fix what the reason names: what may succeed is tried again"}},
	})
}

func TestChains(t *testing.T) {
	t.Parallel()
	const reach = "see that they run and that this machine reaches the addresses in [[EVM.Nodes]] of chain 1"
	down := func(c *Chain, reason string, nodes ...int) {
		for _, n := range nodes {
			c.Nodes[n].Serves, c.Nodes[n].Reason, c.Nodes[n].Since = false, reason, at(60)
		}
	}
	well := func() Chain {
		return Chain{
			ID: "1", Section: "EVM", Told: Attempts{Good: at(99)}, Begun: at(0), Served: at(99),
			Nodes:    []RPCNode{{Name: "a", Serves: true, Since: at(99)}, {Name: "b", Serves: true, Since: at(99)}},
			Accounts: []Account{{Name: "0xA"}},
		}
	}
	hold(t, well, stated[Chain]{
		"well":         {func(*Chain) {}, State{}},
		"tells little": {func(c *Chain) { c.Nodes, c.Accounts, c.Served = nil, nil, time.Time{} }, State{}},
		"relayer quarantined": {func(c *Chain) {
			c.Plugin = State{Level: Failed, Reason: "plugin evm is quarantined", Remedy: "fix it"}
		},
			State{Failed, "plugin", "plugin evm is quarantined", "fix it"}},
		"relayer that ends often": {func(c *Chain) {
			c.Plugin = State{Level: Degraded, Reason: "plugin evm ends " +
				"often"}
		}, State{}},
		"relayer that hangs": {func(c *Chain) { c.Told = failing(80, 5, "no answer in 1s") },
			State{Failed, "relayer silent", "its relayer has not told of it for 20s (failures: 5): no answer in 1s",
				"see loop plugins list; a relayer inside the node that hangs ends with the node alone"}},
		"all down": {func(c *Chain) { down(c, "refuses connections", 0, 1); c.Served = at(60) },
			State{Failed, "no RPC node", "none of its 2 RPC nodes serves: a refuses connections; b refuses " +
				"connections", reach}},
		"all down for a moment": {func(c *Chain) { down(c, "refuses connections", 0, 1); c.Served = at(98) }, State{}},
		"never there": {func(c *Chain) { down(c, "does not answer in time", 0, 1); c.Served = time.Time{} },
			State{Failed, "no RPC node", "none of its 2 RPC nodes serves: a does not answer in time; b does not answer in " +
				"time", reach}},
		"one and wrong": {func(c *Chain) {
			c.Nodes = []RPCNode{{Name: "a", WrongChain: true, Reason: "answers for chain 5, not 1", Since: at(0)}}
			c.Served = time.Time{}
		}, State{Failed, "no RPC node", "its RPC node a answers for chain 5, not 1",
			"name RPC nodes of chain 1 in [[EVM.Nodes]], or give the chain its own ChainID"}},
		"connecting": {func(c *Chain) { down(c, "has not answered yet", 0, 1); c.Begun, c.Served = at(98), time.Time{} },
			State{Level: Waiting, Cause: "connecting", Reason: "no RPC node has answered yet"}},
		"one down": {func(c *Chain) { down(c, "refuses connections", 1) },
			State{Degraded, "RPC nodes", "1 of its 2 RPC nodes do not serve as they should: b refuses connections", reach}},
		"one behind": {func(c *Chain) {
			c.Nodes[0].Reason, c.Nodes[0].Since = "has told of no new block for 4m0s and is asked last", at(0)
		},
			State{Degraded, "RPC nodes", "1 of its 2 RPC nodes do not serve as they should: a has told of no new block " +
				"for 4m0s and is asked last",
				reach}},
		"one down for a moment": {func(c *Chain) {
			down(c, "closed the "+
				"connection", 1)
			c.Nodes[1].Since = at(95)
		}, State{}},
		"no funds": {func(c *Chain) { c.Accounts[0].Trouble = "account 0xA has no funds: send it some" },
			State{Level: Degraded, Cause: "accounts", Reason: "account 0xA has no funds: send it some",
				Remedy: "see what the account holds by loop chains list, and send it coins if it cannot pay"}},
		"two accounts": {func(c *Chain) {
			c.Accounts = []Account{
				{Name: "0xA", Empty: true, Waiting: 20 * time.Second},
				{Name: "0xB", Waiting: 3 * time.Minute},
			}
		}, State{Degraded, "accounts", "account 0xA holds nothing, and its oldest transmission has waited for 20s; " +
			"the oldest transmission of account 0xB has waited for a block for 3m0s", "see loop chains list"}},
		"empty and idle": {func(c *Chain) { c.Accounts[0].Empty = true }, State{}},
	})
}

func TestBridges(t *testing.T) {
	t.Parallel()
	const see = "see that its adapter runs at the address of loop bridges url prices, and what the adapter's own log says"
	hold(t, func() Bridge { return Bridge{"prices", Attempts{Good: at(99)}} }, stated[Bridge]{
		"well":        {func(*Bridge) {}, State{}},
		"never asked": {func(b *Bridge) { b.Requests = Attempts{} }, State{}},
		"dead": {func(b *Bridge) { b.Requests = failing(60, 40, "connection refused") },
			State{Failed, "no answers", "bridge prices has given no good answer for 40s (failures: 40): connection " +
				"refused", see}},
		"failed once": {func(b *Bridge) { b.Requests = failing(99, 1, "timeout") }, State{}},
	})
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	const room = "make room on the disk of /var/lib/loop/loop.db"
	well := func() Database {
		return Database{Path: "/var/lib/loop/loop.db", Writes: Attempts{Good: at(99)}, Free: 50 << 30, Disk: 100 << 30}
	}
	hold(t, well, stated[Database]{
		"well":               {func(*Database) {}, State{}},
		"of an unknown disk": {func(d *Database) { d.Free, d.Disk = 0, 0 }, State{}},
		"full": {func(d *Database) { d.Free = 4 << 10 }, State{Failed, "disk full", "its disk is full: 4 " +
			"KiB are left", room}},
		"nearly full": {func(d *Database) { d.Free = 200 << 20 },
			State{Degraded, "disk nearly full", "its disk is nearly full: 200 MiB of 102400 are left", room}},
		"a small disk with room": {func(d *Database) { d.Free, d.Disk = 20<<20, 64<<20 }, State{}},
		"not written": {func(d *Database) { d.Writes = failing(70, 30, "attempt to write a readonly database") },
			State{Failed, "not written", "nothing could be written for 30s (failures: 30): attempt to write a readonly " +
				"database",
				"see that /var/lib/loop/loop.db and its folder can be written and that their disk has room"}},
		"damaged": {func(d *Database) { d.Reads = failing(70, 30, "database disk image is malformed") },
			State{Failed, "not read", "nothing could be read for 30s (failures: 30): database disk image is malformed",
				"see that the disk of /var/lib/loop/loop.db is well, and put a backup in its place if the file is damaged"}},
	})
}

func TestConfigurations(t *testing.T) {
	t.Parallel()
	hold(t, func() Configuration { return Configuration{} }, stated[Configuration]{
		"taken": {func(*Configuration) {}, State{}},
		"not taken": {func(c *Configuration) { c.Fault = "node.toml:3: Log.Levl: unknown key" },
			State{Degraded, "not taken", "it was not taken when it was read again: node.toml:3: Log.Levl: unknown key",
				"correct it and run loop node reload: the node goes on with the one before, and would not start with this"}},
	})
}

// TestOverall checks what a node's health is made of.
func TestOverall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parts []Part
		want  Verdict
	}{
		"nothing":      {nil, Passing},
		"all well":     {[]Part{{Kind: KindJob}, {Kind: KindChain}}, Passing},
		"node starts":  {[]Part{{Kind: KindNode, State: State{Level: Waiting}}}, Failing},
		"feed waits":   {[]Part{{Kind: KindJob, State: State{Level: Waiting}}}, Ailing},
		"feed ails":    {[]Part{{Kind: KindJob}, {Kind: KindJob, State: State{Level: Degraded}}}, Ailing},
		"feed fails":   {[]Part{{Kind: KindJob, State: State{Level: Failed}}, {Kind: KindJob}}, Failing},
		"idle chain":   {[]Part{{Kind: KindJob}, {Kind: KindChain, State: State{Level: Failed}}}, Ailing},
		"dead adapter": {[]Part{{Kind: KindBridge, State: State{Level: Failed}}}, Ailing},
		"plugin":       {[]Part{{Kind: KindPlugin, State: State{Level: Failed}}}, Failing},
		"reload":       {[]Part{{Kind: KindJob}, {Kind: KindConfiguration, State: State{Level: Degraded}}}, Ailing},
		"full disk":    {[]Part{{Kind: KindDatabase, State: State{Level: Failed}}}, Failing},
	} {
		if got := Overall(c.parts); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
