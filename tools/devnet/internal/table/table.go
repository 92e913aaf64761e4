// Package table shows a network's progress to people: a table that is painted over and over on a terminal, or plain
// lines.
//
// It must not know how the network comes by it.
package table

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Round is an answer on the chain.
type Round struct {
	// Number counts the contract's answers.
	Number uint32
	// Answer is the price, a decimal number.
	Answer string
	// Observers are the oracles whose observations have the answer as their median.
	Observers []int
	// Transmitter is the node that sent it.
	Transmitter string
	// Fee is the cost, in Unit: gas or lamports.
	Fee  uint64
	Unit string
	// Latency is the time from the observations, which the report gives only in seconds.
	Latency time.Duration
	// Interval is the time since the previous round, 0 for the first.
	Interval time.Duration
}

// Node is a node of the network.
type Node struct {
	// Name and URL are the node's, the latter for operators.
	Name, URL string
	// Plugins are the node's plugins by name.
	Plugins []Plugin
	// Restarts counts the times that the node was killed and started again; Away says that it is not ready since.
	Restarts int
	Away     bool
}

// Plugin is a plugin of a node.
type Plugin struct {
	Name, State string
	// InProcess says that it runs inside the node.
	InProcess bool
	// PID is its process; 0 if it has none now, or none of its own.
	PID                  int
	Generation, Restarts uint64
}

// Lines shows every event as a line.
type Lines struct{ out io.Writer }

// NewLines makes Lines that write to out.
func NewLines(out io.Writer) *Lines { return &Lines{out} }

// Step says what the network does now.
func (l *Lines) Step(text string) { fmt.Fprintln(l.out, text) }

// Round shows an answer.
func (l *Lines) Round(r Round) {
	var since string
	if r.Interval > 0 {
		since = fmt.Sprintf(", %s after the round before", seconds(r.Interval))
	}
	fmt.Fprintf(l.out, "round %d: answer %s of observers %s, sent by %s for %d %s, %s after the observations%s\n",
		r.Number, r.Answer, observers(r.Observers), r.Transmitter, r.Fee, r.Unit, seconds(r.Latency), since)
}

// Nodes shows nothing: states that come twice a second are no lines for a log.
func (l *Lines) Nodes([]Node) {}

// model is what stands on a screen.
type model struct {
	step   string
	rounds []Round
	nodes  []Node
}

// render lays the model out in lines, with the last rounds as far as height allows.
func (m model) render(height int) []string {
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "round\tanswer\tobservers\ttransmitter\tfee\tlatency\tinterval")
	// The heading, the blank line, the nodes' heading and the step take a line each, and the cursor the last.
	for _, r := range m.rounds[max(0, len(m.rounds)-max(1, height-len(m.nodes)-5)):] {
		fmt.Fprintf(columns, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n",
			r.Number, r.Answer, observers(r.Observers), r.Transmitter, r.Fee, seconds(r.Latency), interval(r.Interval))
	}
	_ = columns.Flush() // writes to memory
	fmt.Fprintln(&text)
	columns = tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "node\turl\trestarts\tplugins: state, generation, restarts, pid")
	for _, node := range m.nodes {
		fmt.Fprintf(columns, "%s\t%s\t%d", node.Name, node.URL, node.Restarts)
		if node.Away {
			fmt.Fprint(columns, "\tkilled, and starting again")
		}
		for _, plugin := range node.Plugins {
			pid := "-"
			switch {
			case plugin.InProcess:
				pid = "in-process"
			case plugin.PID != 0:
				pid = strconv.Itoa(plugin.PID)
			}
			fmt.Fprintf(columns, "\t%s: %s, %d, %d, %s", plugin.Name, plugin.State, plugin.Generation, plugin.Restarts, pid)
		}
		fmt.Fprintln(columns)
	}
	_ = columns.Flush()
	lines := strings.Split(text.String(), "\n")
	lines[len(lines)-1] = m.step
	return lines
}

func observers(all []int) string {
	texts := make([]string, 0, len(all))
	for _, observer := range all {
		texts = append(texts, strconv.Itoa(observer))
	}
	return strings.Join(texts, ",")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

func interval(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return seconds(d)
}
