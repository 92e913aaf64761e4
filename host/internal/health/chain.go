package health

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Chain is the known facts about a chain, as served by a process of its relayer.
type Chain struct {
	// ID is the chain's id, and Section its table of the node's configuration.
	ID, Section string
	// Plugin is the state of the relayer's process.
	Plugin State
	// Told has the outcomes of asking the relayer for the following facts.
	Told Attempts
	// Begun is when the chain was first looked at.
	Begun time.Time
	// Nodes are its RPC nodes in the order of the configuration.
	Nodes []RPCNode
	// Served is when one of them was last seen to serve; zero means never.
	Served time.Time
	// Accounts are the accounts that transmit on the chain.
	Accounts []Account
}

// RPCNode is the known facts about an RPC node.
type RPCNode struct {
	Name string
	// Serves reports whether it answers correctly.
	Serves bool
	// WrongChain reports whether it answers for another chain.
	WrongChain bool
	// Reason is why it does not serve or, if it does, why it is asked last; without addresses.
	Reason string
	// Since is when it was last seen to serve without a reason, or first looked at.
	Since time.Time
}

// Account is the known facts about an account that transmits.
type Account struct {
	Name string
	// Trouble is why its latest transaction has no effect, as its relayer says; empty if there is none.
	Trouble string
	// Empty reports whether it is known to hold nothing.
	Empty bool
	// Waiting is for how long its oldest transmission that is in no block has waited; 0 if there is none.
	Waiting time.Duration
}

const (
	// outage is how long no RPC node may serve before that is reported. A node that drops a connection is connected again
	// in less.
	outage = 5 * time.Second
	// landing is how long a transmission may wait for a block: several blocks of any chain, and replacements at a higher
	// price.
	landing = 2 * time.Minute
)

// State returns the state that follows from the facts at a time.
func (c Chain) State(now time.Time) State {
	return of(&c, now, []rule[Chain]{
		{"plugin", processless}, {"relayer silent", silent}, {"no RPC node", unreachable}, {"connecting", connecting},
		{"RPC nodes", fewer}, {"accounts", ailing},
	})
}

func processless(c *Chain, _ time.Time) (State, bool) {
	return c.Plugin, c.Plugin.Level == Failed || c.Plugin.Level == Waiting
}

// silent is a relayer whose process runs but says nothing about the chain, such as one that hangs inside the node.
func silent(c *Chain, now time.Time) (State, bool) {
	if !c.Told.lasting(now) {
		return State{}, false
	}
	return State{
		Level: Failed, Reason: "its relayer has not told of it " + c.Told.told(now),
		Remedy: "see loop plugins list; a relayer inside the node that hangs ends with the node alone",
	}, true
}

// serving is how many RPC nodes serve.
func (c *Chain) serving() int {
	serve := 0
	for _, n := range c.Nodes {
		if n.Serves {
			serve++
		}
	}
	return serve
}

// out tells whether no RPC node serves. If a relayer names no RPC nodes, this is not known.
func (c *Chain) out() bool { return len(c.Nodes) > 0 && c.serving() == 0 }

func unreachable(c *Chain, now time.Time) (State, bool) {
	last := c.Served
	if last.IsZero() {
		last = c.Begun
	}
	if !c.out() || now.Sub(last) < outage {
		return State{}, false
	}
	whose := "its RPC node"
	if len(c.Nodes) > 1 {
		whose = fmt.Sprintf("none of its %d RPC nodes serves:", len(c.Nodes))
	}
	return State{Level: Failed, Reason: whose + " " + c.reasons(), Remedy: c.reach()}, true
}

func connecting(c *Chain, _ time.Time) (State, bool) {
	return State{Level: Waiting, Reason: "no RPC node has answered yet"}, c.out() && c.Served.IsZero()
}

// reasons are those of the RPC nodes that have one.
func (c *Chain) reasons() string {
	var all []string
	for _, n := range c.Nodes {
		if n.Reason != "" || !n.Serves {
			all = append(all, n.Name+" "+cmp.Or(n.Reason, "does not serve"))
		}
	}
	return strings.Join(all, "; ")
}

// reach is what to do about RPC nodes.
func (c *Chain) reach() string {
	for _, n := range c.Nodes {
		if n.WrongChain {
			return fmt.Sprintf("name RPC nodes of chain %s in [[%s.Nodes]], or give the chain its own "+
				"ChainID", c.ID, c.Section)
		}
	}
	return fmt.Sprintf("see that they run and that this machine reaches the addresses in [[%s.Nodes]] of chain "+
		"%s", c.Section, c.ID)
}

// fewer is a chain of which some RPC nodes do not serve, or are behind, for long.
func fewer(c *Chain, now time.Time) (State, bool) {
	ill := 0
	for _, n := range c.Nodes {
		if (!n.Serves || n.Reason != "") && now.Sub(n.Since) >= patience {
			ill++
		}
	}
	return State{
		Level: Degraded, Reason: fmt.Sprintf("%d of its %d RPC nodes do not serve as they should: "+
			"%s", ill, len(c.Nodes), c.reasons()),
		Remedy: c.reach(),
	}, ill > 0 && !c.out()
}

// ailing is a chain on which an account's transactions have no effect.
func ailing(c *Chain, now time.Time) (State, bool) {
	var all []string
	remedy := ""
	for _, a := range c.Accounts {
		if s := a.State(now); s.Level != Running {
			all = append(all, s.Reason)
			remedy = s.Remedy
		}
	}
	if len(all) > 1 {
		remedy = "see loop chains list"
	}
	return State{Level: Degraded, Reason: strings.Join(all, "; "), Remedy: remedy}, len(all) > 0
}

// State returns the state that follows from the facts at a time.
func (a Account) State(now time.Time) State {
	return of(&a, now, []rule[Account]{{"trouble", troubled}, {"empty", empty}, {"waits", waits}})
}

func troubled(a *Account, _ time.Time) (State, bool) {
	return State{
		Level: Degraded, Reason: a.Trouble,
		Remedy: "see what the account holds by loop chains list, and send it coins if it cannot pay",
	}, a.Trouble != ""
}

// empty is an account without funds. On a chain without fees this does no harm.
func empty(a *Account, _ time.Time) (State, bool) {
	return State{
		Level: Degraded, Remedy: "send it funds",
		Reason: fmt.Sprintf("account %s holds nothing, and its oldest transmission has waited for "+
			"%s", a.Name, a.Waiting.Round(time.Second)),
	}, a.Empty && a.Waiting >= patience
}

func waits(a *Account, _ time.Time) (State, bool) {
	return State{
		Level: Degraded, Remedy: "see that the chain makes blocks, and that the ceiling of its fees is not below what " +
			"it asks",
		Reason: fmt.Sprintf("the oldest transmission of account %s has waited for a block for "+
			"%s", a.Name, a.Waiting.Round(time.Second)),
	}, a.Waiting >= landing
}
