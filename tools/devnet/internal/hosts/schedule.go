package hosts

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Act is something that is done to a node.
type Act string

// What can be done to a node. All of it begins with SIGKILL.
const (
	// Restart starts the node again at once.
	Restart Act = "restart"
	// Move starts it again at a new address that nobody knows.
	Move Act = "move"
	// Stop starts it again when the event is over.
	Stop Act = "stop"
)

// Event is a condition of the network, or something that is done to a node.
type Event struct {
	// Text is the user's text.
	Text string
	// Condition is the network's; nil: Act is done to Node.
	Condition *Condition
	Act       Act
	Node      int
	// Timed says that the event begins At, counted from the first round. Others hold from before the nodes start.
	Timed bool
	At    time.Duration
	// For is how long it lasts; 0: to the end.
	For time.Duration
}

// Examples are events, one a line, with what they mean.
const Examples = `  split 0,1|2,3 at 20s for 60s     no packets between these groups for a minute, from 20 s on
  cut 3 at 10s for 30s             none between node 3 and all others, including the chain
  cut 3|chain at 10s               none between node 3 and the chain, to the end
  delay 300ms                      every packet between two nodes takes 300 ms longer
  delay 1s 3|0,1,2                 a round trip of 2 s between node 3 and the other nodes
  loss 5% at 10s for 1m            packets between nodes are lost at random
  rate 64kbit 3                    64,000 bits a second to node 3 and from it
  hole 500 3 at 10s for 30s        packets of over 500 bytes to node 3 and from it are lost
  restart 3 at 30s                 node 3 is killed and started again
  move 3 at 30s                    the same, at another address that nobody knows
  stop 0 at 5s for 20s             node 0 is killed, and started again 20 s later`

// verbs are the words with which events begin, with what follows each: a value, and where it holds.
var verbs = []struct {
	word, value, where string
	read               func(e *Event, value string) error
}{
	{"cut", "", "NODES[|NODES…]", func(e *Event, _ string) error { e.Condition.Cut = true; return nil }},
	{"split", "", "NODES|NODES…", func(e *Event, _ string) error { e.Condition.Cut = true; return nil }},
	{"delay", "TIME", "[NODES[|NODES…]]", readDelay},
	{"loss", "PERCENT", "[NODES[|NODES…]]", readLoss},
	{"rate", "BITS", "[NODES[|NODES…]]", readRate},
	{"hole", "BYTES", "[NODES[|NODES…]]", readHole},
	{string(Restart), "", "NODE", nil},
	{string(Move), "", "NODE", nil},
	{string(Stop), "", "NODE", nil},
}

// ParseEvent reads an event of a network with so many nodes: VERB [VALUE] [WHERE] [at TIME] [for TIME].
func ParseEvent(text string, nodes int) (Event, error) {
	e, err := parseEvent(text, nodes)
	if err != nil {
		return Event{}, fmt.Errorf("--net %q: %w", text, err)
	}
	return e, nil
}

func parseEvent(text string, nodes int) (Event, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return Event{}, errors.New("it is empty; devnet --help has examples")
	}
	known := make([]string, len(verbs))
	for at, verb := range verbs {
		known[at] = verb.word
	}
	at := slices.Index(known, words[0])
	if at < 0 {
		return Event{}, fmt.Errorf("it begins with %q, but events begin with %s", words[0], strings.Join(known, ", "))
	}
	verb, words := verbs[at], words[1:]
	e := Event{Text: text}
	usage := fmt.Errorf("write %s [at TIME] [for TIME]",
		strings.Join(strings.Fields(verb.word+" "+verb.value+" "+verb.where), " "))
	if verb.read != nil {
		e.Condition = &Condition{}
		value := ""
		if verb.value != "" {
			if len(words) == 0 {
				return Event{}, usage
			}
			value, words = words[0], words[1:]
		}
		if err := verb.read(&e, value); err != nil {
			return Event{}, err
		}
	}
	where := ""
	if len(words) > 0 && words[0] != "at" && words[0] != "for" {
		where, words = words[0], words[1:]
	}
	if where == "" && !strings.HasPrefix(verb.where, "[") || verb.word == "split" && !strings.Contains(where, "|") {
		return Event{}, usage
	}
	words, err := e.readTimes(words)
	if err != nil {
		return Event{}, err
	}
	if len(words) > 0 {
		return Event{}, fmt.Errorf("%q is too much; %w", strings.Join(words, " "), usage)
	}
	if e.Condition != nil {
		e.Condition.Groups, err = parseGroups(where, nodes)
		return e, err
	}
	e.Act = Act(verb.word)
	switch {
	case !e.Timed:
		return Event{}, fmt.Errorf("say when with at TIME, such as: %s %s at 30s", verb.word, where)
	case e.Act == Stop && e.For == 0:
		return Event{}, fmt.Errorf("say with for TIME when it is started again, such as: %s %s at 30s for 20s",
			verb.word, where)
	case e.Act != Stop && e.For != 0:
		return Event{}, fmt.Errorf("the node is started again at once, so that for %s says nothing", e.For)
	}
	e.Node, err = parseNode(where, nodes)
	return e, err
}

// readTimes reads [at TIME] [for TIME], and returns the words behind them.
func (e *Event) readTimes(words []string) ([]string, error) {
	for _, part := range []struct {
		word string
		into *time.Duration
	}{{"at", &e.At}, {"for", &e.For}} {
		if len(words) == 0 || words[0] != part.word {
			continue
		}
		if len(words) == 1 {
			return nil, fmt.Errorf("a time is missing behind %q", part.word)
		}
		value, err := time.ParseDuration(words[1])
		if err != nil || value < 0 || value == 0 && part.word == "for" {
			return nil, fmt.Errorf("%s %s is not a time above zero with a unit, such as 20s or 1m30s", part.word, words[1])
		}
		*part.into, words = value, words[2:]
		e.Timed = e.Timed || part.word == "at"
	}
	if e.For > 0 && !e.Timed {
		return nil, fmt.Errorf("for %s says how long, but not from when; "+
			"say it with at TIME, counted from the first round", e.For)
	}
	return words, nil
}

func readDelay(e *Event, value string) (err error) {
	if e.Condition.Delay, err = time.ParseDuration(value); err != nil || e.Condition.Delay <= 0 {
		return fmt.Errorf("delay %s is not a time above zero with a unit, such as 300ms", value)
	}
	return nil
}

func readLoss(e *Event, value string) error {
	number, isPercent := strings.CutSuffix(value, "%")
	percent, err := strconv.ParseFloat(number, 64)
	if err != nil || !isPercent || !(percent > 0 && percent <= 100) {
		return fmt.Errorf("loss %s is not a part above 0%% and up to 100%%, such as 5%%", value)
	}
	e.Condition.Loss = percent / 100
	return nil
}

func readRate(e *Event, value string) error {
	factor := int64(1)
	number, isBits := strings.CutSuffix(value, "bit")
	if thousands, ok := strings.CutSuffix(number, "k"); ok {
		number, factor = thousands, 1000
	} else if millions, ok := strings.CutSuffix(number, "M"); ok {
		number, factor = millions, 1_000_000
	}
	rate, err := strconv.ParseUint(number, 10, 32)
	if err != nil || !isBits || rate == 0 {
		return fmt.Errorf("rate %s is not a number of bits a second, such as 9600bit, 64kbit or 10Mbit", value)
	}
	e.Condition.Rate = int64(rate) * factor
	return nil
}

func readHole(e *Event, value string) error {
	size, err := strconv.Atoi(value)
	if err != nil || size <= 0 {
		return fmt.Errorf("hole %s is not a number of bytes above zero, such as 500", value)
	}
	e.Condition.Hole = size
	return nil
}

// parseGroups reads groups of hosts with bars between them, hosts with commas. Nothing means each node by itself, and a
// single group all others on the other side.
func parseGroups(where string, nodes int) ([][]int, error) {
	var groups [][]int
	if where == "" {
		for node := range nodes {
			groups = append(groups, []int{node})
		}
		return groups, nil
	}
	seen := map[int]bool{}
	for part := range strings.SplitSeq(where, "|") {
		var group []int
		for name := range strings.SplitSeq(part, ",") {
			host, err := Outside, error(nil)
			if name != "chain" {
				host, err = parseNode(name, nodes)
			}
			if err != nil {
				return nil, err
			}
			if seen[host] {
				return nil, fmt.Errorf("%s names %s twice", where, name)
			}
			seen[host] = true
			group = append(group, host)
		}
		groups = append(groups, group)
	}
	if len(groups) == 1 {
		groups = append(groups, nil)
	}
	return groups, nil
}

func parseNode(name string, nodes int) (int, error) {
	node, err := strconv.Atoi(name)
	if err != nil || node < 0 || node >= nodes {
		return 0, fmt.Errorf("%q is not a node; the nodes are 0 to %d", cmp.Or(name, " "), nodes-1)
	}
	return node, nil
}
