package health

import "time"

// Kind is what a part of the node is.
type Kind string

// The kinds.
const (
	KindNode          Kind = "node"
	KindConfiguration Kind = "configuration"
	KindDatabase      Kind = "database"
	KindPlugin        Kind = "plugin"
	KindChain         Kind = "chain"
	KindBridge        Kind = "bridge"
	KindJob           Kind = "job"
)

// Part is a part of the node with its state.
type Part struct {
	Kind Kind
	// Name is how people call it, such as "job 3 (ETH/USD)".
	Name string
	State
	// Since is when it came into its state.
	Since time.Time
}

// Verdict is how a node does as a whole.
type Verdict int

// The verdicts, the best first.
const (
	// Passing is a node whose feeds work.
	Passing Verdict = iota
	// Ailing is one whose feeds work, or will, while something needs a person soon.
	Ailing
	// Failing is one on which a feed does not work, or none can.
	Failing
)

// String is the verdict as /health has it.
func (v Verdict) String() string { return [...]string{"passing", "degraded", "failing"}[v] }

// Overall is the verdict over a node's parts. A chain and a bridge that fail do so to the feeds that need them, which
// say it: one that nothing needs stops nothing. Plugins and the database are needed by all.
func Overall(parts []Part) Verdict {
	verdict := Passing
	for _, p := range parts {
		switch {
		case p.Level == Running:
		case p.Kind == KindNode, p.Level == Failed && p.Kind != KindChain && p.Kind != KindBridge:
			return Failing
		default:
			verdict = Ailing
		}
	}
	return verdict
}
