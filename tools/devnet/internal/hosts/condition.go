package hosts

import (
	"slices"
	"time"
)

// Outside is the host of all that is not a node: the chain and the prices.
const Outside = -1

// Condition is what the network does to packets between groups of hosts. Several conditions at the same time add up.
type Condition struct {
	// Groups are hosts: nodes by their numbers, and Outside. The condition does not affect packets within a group, or
	// of hosts in no group. A nil group means all hosts that no other group names.
	Groups [][]int
	// Cut drops every packet.
	Cut bool
	// Delay holds every packet up; a round trip takes twice as long.
	Delay time.Duration
	// Loss is the part of the packets that is dropped at random, 0 to 1.
	Loss float64
	// Rate is how many bits a second go from a group to another; 0: any number.
	Rate int64
	// Hole drops packets of more bytes, headers included; 0: none.
	Hole int
}

// lane is the way from a group to another, by their places in Groups.
type lane struct{ from, to int }

// lane finds the way that a packet takes from a host to another; false: the condition does not concern it.
func (c *Condition) lane(from, to int) (lane, bool) {
	l := lane{c.group(from), c.group(to)}
	return l, l.from >= 0 && l.to >= 0 && l.from != l.to
}

// Parts says whether the condition concerns some packets among any quorum of so many nodes.
func (c *Condition) Parts(nodes, quorum int) bool {
	together, free := make([]int, len(c.Groups)), 0
	for node := range nodes {
		if at := c.group(node); at >= 0 {
			together[at]++
		} else {
			free++
		}
	}
	return slices.Max(together)+free < quorum
}

func (c *Condition) group(host int) int {
	rest := -1
	for at, group := range c.Groups {
		if slices.Contains(group, host) {
			return at
		}
		if group == nil {
			rest = at
		}
	}
	return rest
}
