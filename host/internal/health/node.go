package health

import "time"

// Kind is the kind of a part of the node.
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
	// Name is its name for people, such as "job 3 (ETH/USD)".
	Name string
	State
	// Since is when it came into its state.
	Since time.Time
}

// Verdict is the state of a node as a whole.
type Verdict int

// The verdicts, the best first.
const (
	// Passing means that the node's feeds work.
	Passing Verdict = iota
	// Ailing means that its feeds work, or will, but something needs a person soon.
	Ailing
	// Failing means that a feed does not work, or none can.
	Failing
)

// String returns the verdict as /health has it.
func (v Verdict) String() string { return [...]string{"passing", "degraded", "failing"}[v] }

// Overall returns the verdict over a node's parts. A failed chain or bridge counts through the feeds that need it; one
// that nothing needs stops nothing. All feeds need plugins and the database.
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
