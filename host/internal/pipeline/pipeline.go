// Package pipeline runs the observation pipelines of jobs: graphs of small tasks, written in DOT, that fetch values
// over HTTP or from contracts and compute with them. A median's end in one number, those of other products in any
// value.
//
// It knows the grammar, the tasks and how a run is timed. It must not know jobs, databases, chains or libocr: the
// caller supplies what a run may see ([Input]), where bridges are found ([Bridges]) and how contracts are read
// ([Contracts]), and keeps the result.
//
// Parsing ([Parse]) and evaluation touch nothing outside memory; only a [Runner] opens connections.
package pipeline

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"

	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

const (
	// maxSource bounds the text of a pipeline, in bytes. The largest public specs are under 10 KiB; 256 KiB of the worst
	// text still parses in well under a second, and bounds everything that is derived from the text.
	maxSource = 256 << 10
	// maxTasks bounds the tasks of a pipeline. Public specs have under 50. Each task of a run may hold one goroutine and
	// one value, so this is also what bounds a run's memory.
	maxTasks = 1000
	// maxProblems bounds how many problems Parse reports; a text that is wrong everywhere needs no more to be fixed.
	maxProblems = 50
)

// Problem is one fault in the text of a pipeline.
type Problem struct {
	Line      int    // of the text given to Parse, from 1; 0 if the fault has no line
	Task      string // the task's ID, or empty
	Attribute string // the attribute's name as documented, or empty
	Message   string
}

// Error says where the fault is and what it is.
func (p *Problem) Error() string {
	var out strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&out, "line %d: ", p.Line)
	}
	if p.Task != "" {
		fmt.Fprintf(&out, "task %s: ", shorten(p.Task, 64))
	}
	if p.Attribute != "" {
		fmt.Fprintf(&out, "attribute %s: ", shorten(p.Attribute, 64))
	}
	out.WriteString(p.Message)
	return out.String()
}

// report collects the problems and warnings of one text.
type report struct {
	problems []*Problem
	more     bool // some were left out
	warnings []string
	// undefined says that a name has no definition. Tasks without inputs and several ends mostly follow from that, so that
	// nothing is said of them.
	undefined bool
	// dropped says that braces have no arrow for a task, which is mostly why one lacks.
	dropped bool
}

// why goes on where a problem says that an arrow lacks.
func (r *report) why() string {
	if !r.dropped {
		return ""
	}
	return "; mind that the arrows of braces are dropped for tasks that are mentioned before them"
}

func (r *report) problem(line int, task, attribute, format string, args ...any) {
	if len(r.problems) == maxProblems {
		r.more = true
		return
	}
	r.problems = append(r.problems,
		&Problem{Line: line, Task: task, Attribute: attribute, Message: fmt.Sprintf(format, args...)})
}

// err joins the problems, in the order of their lines.
func (r *report) err() error {
	slices.SortStableFunc(r.problems, func(a, b *Problem) int { return cmp.Compare(a.Line, b.Line) })
	all := make([]error, len(r.problems), len(r.problems)+1)
	for i, p := range r.problems {
		all[i] = p
	}
	if r.more {
		all = append(all, errors.New("there are more problems; fix these first"))
	}
	return errors.Join(all...)
}

func (r *report) warning(line int, task, attribute, format string, args ...any) {
	if len(r.warnings) < maxProblems {
		p := &Problem{Line: line, Task: task, Attribute: attribute, Message: fmt.Sprintf(format, args...)}
		r.warnings = append(r.warnings, p.Error())
	}
}

// Task describes one task of a pipeline.
type Task struct {
	ID   string
	Type string
	Line int // where the source defines it, from 1
}

// Pipeline is a parsed pipeline. It is immutable, and any number of runs may share it.
type Pipeline struct {
	tasks    []*task // in topological order
	terminal *task
	named    []int // positions of tasks, in the order in which the source first names them
	warnings []string
	digest   [sha256.Size]byte // of the source, part of the key of cached bridge answers
}

// task is one node of the graph.
type task struct {
	name       string
	kind       string
	line       int
	position   int // in Pipeline.tasks
	common     common
	inputs     []*task // explicit predecessors, by index, then by position
	dependents []*task // successors, explicit and implicit
	awaits     int     // the number of distinct predecessors, explicit and implicit
	tolerant   bool    // is evaluated with failed inputs too
	behaviour  behaviour
}

// Parse reads the text of a pipeline. Its error joins a [Problem] for each fault found, and nothing that a run could
// find in the text alone is left to the run: a pipeline without exactly one terminal task, for one, is refused here.
func Parse(source string) (*Pipeline, error) {
	drawn, rep, err := draw(source)
	if err != nil {
		return nil, err
	}
	if len(drawn.nodes) == 0 {
		return nil, errors.New("the pipeline is empty: write at least one task, such as price [type=bridge name=\"prices\"]")
	}
	p := &Pipeline{digest: sha256.Sum256([]byte(source))}

	tasks := make([]*task, len(drawn.nodes))
	byName := make(map[string]*task, len(drawn.nodes))
	for i, node := range drawn.nodes {
		tasks[i] = &task{name: node.name, line: node.line}
		switch {
		case byName[node.name] != nil:
			rep.problem(node.line, node.name, "",
				"another task has the same name once the quotes are removed; write the name the same way everywhere")
		case reservedNames[node.name]:
			rep.problem(node.line, node.name, "", "the name %s is reserved; choose another", node.name)
		case node.name == "" || len(node.name) > 256 || strings.ContainsFunc(node.name, unicode.IsControl):
			rep.problem(node.line, "", "", "a task's name must have 1 to 256 bytes and no control characters")
		}
		byName[node.name] = tasks[i]
	}

	undefined(drawn.nodes, rep)
	edges := newEdges(tasks)
	for _, edge := range drawn.edges {
		edges.explicit(edge, rep)
	}
	for i, node := range drawn.nodes {
		edges.implicit(tasks[i], node, byName, rep)
	}
	edges.sort(p, rep)

	for i, node := range drawn.nodes {
		if len(node.attributes) > 0 {
			build(tasks[i], node, byName, rep)
		}
	}
	p.order(tasks, rep)
	for _, t := range tasks {
		p.named = append(p.named, t.position)
	}
	if err := rep.err(); err != nil {
		return nil, err
	}
	p.warnings = rep.warnings
	return p, nil
}

// undefined reports the names that are mentioned and have no attributes anywhere: most are others mistyped, or arrows.
func undefined(nodes []*node, rep *report) {
	var defined []string
	for _, n := range nodes {
		if len(n.attributes) > 0 {
			defined = append(defined, n.name)
		}
	}
	rep.undefined = len(defined) < len(nodes)
	for _, n := range nodes {
		if len(n.attributes) > 0 {
			continue
		}
		if rep.more {
			return
		}
		name, hint := shorten(n.name, 64), ""
		if closest := keys.Closest(n.name, defined); closest != "" {
			hint = fmt.Sprintf("; did you mean %s?", shorten(closest, 64))
		}
		if !strings.ContainsFunc(n.name, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			hint = "; an arrow is written ->"
		}
		rep.problem(n.line, n.name, "type", `unknown task type: "": the task has no attributes; write %s [type=…], or fix `+
			"the name%s", name, hint)
	}
}

// edges is the graph while it is built.
type edges struct {
	tasks  []*task
	index  map[*task]int
	graph  *simple.DirectedGraph
	inputs map[[2]int]bool
}

func newEdges(tasks []*task) *edges {
	e := &edges{tasks: tasks, index: make(map[*task]int, len(tasks)), graph: simple.NewDirectedGraph(),
		inputs: map[[2]int]bool{}}
	for i, t := range tasks {
		e.index[t] = i
		e.graph.AddNode(simple.Node(i))
	}
	return e
}

// connect orders two tasks, once however often it is asked to.
func (e *edges) connect(from, to int) {
	if e.graph.HasEdgeFromTo(int64(from), int64(to)) {
		return
	}
	e.graph.SetEdge(simple.Edge{F: simple.Node(from), T: simple.Node(to)})
	e.tasks[from].dependents = append(e.tasks[from].dependents, e.tasks[to])
	e.tasks[to].awaits++
}

func (e *edges) explicit(edge edge, rep *report) {
	if edge.from == edge.to {
		rep.problem(edge.line, e.tasks[edge.from].name, "", "an arrow leads from the task to itself; remove it")
		return
	}
	if key := [2]int{edge.from, edge.to}; !e.inputs[key] {
		e.inputs[key] = true
		e.tasks[edge.to].inputs = append(e.tasks[edge.to].inputs, e.tasks[edge.from])
	}
	e.connect(edge.from, edge.to)
}

// implicit orders a task after every task that its attributes refer to, whatever the attribute, known or not.
func (e *edges) implicit(t *task, node *node, byName map[string]*task, rep *report) {
	for _, attr := range node.attributes {
		for _, match := range variablePattern.FindAllStringSubmatch(attr.value, -1) {
			root, _, _ := strings.Cut(match[1], ".")
			switch source := byName[root]; {
			case source == nil:
			case source == t:
				rep.problem(attr.line, t.name, attr.key,
					"$(%s) refers to the task itself; its result is not known before it has run", match[1])
			default:
				e.connect(e.index[source], e.index[t])
			}
		}
	}
}

// sort puts the tasks into p in a topological order that keeps the order of first mention where it can.
func (e *edges) sort(p *Pipeline, rep *report) {
	sorted, err := topo.SortStabilized(e.graph, nil)
	if err != nil {
		var cycles topo.Unorderable
		if !errors.As(err, &cycles) {
			rep.problem(0, "", "", "the tasks cannot be put in order: %v", err)
		}
		for _, cycle := range cycles {
			slices.SortFunc(cycle, func(a, b graph.Node) int { return cmp.Compare(a.ID(), b.ID()) })
			first := e.tasks[cycle[0].ID()]
			names := make([]string, 0, 5)
			for _, member := range cycle[:min(len(cycle), 5)] {
				names = append(names, shorten(e.tasks[member.ID()].name, 64))
			}
			if len(cycle) > 5 {
				names = append(names, "…")
			}
			rep.problem(first.line, first.name,
				"", "cycle detected among the tasks %s: arrows and $(…) references must not lead back", strings.Join(names, ", "))
		}
		return
	}
	for _, node := range sorted {
		t := e.tasks[node.ID()]
		t.position = len(p.tasks)
		p.tasks = append(p.tasks, t)
	}
}

// order checks the indexes, sorts the inputs of each task and finds the terminal one.
func (p *Pipeline) order(tasks []*task, rep *report) {
	indexes := map[int32]*task{}
	for _, t := range tasks {
		if other := indexes[t.common.index]; t.common.index > 0 && other != nil {
			rep.problem(t.common.indexLine, t.name, "index", "duplicate sorting indexes: task %s has the index %d too",
				shorten(other.name, 64), t.common.index)
		}
		indexes[t.common.index] = t
		slices.SortStableFunc(t.inputs, func(a, b *task) int {
			return cmp.Or(cmp.Compare(a.common.index, b.common.index), cmp.Compare(a.position, b.position))
		})
	}
	if len(p.tasks) == 0 {
		return // a cycle, which has been reported
	}
	var ends []*task
	for _, t := range p.tasks {
		if len(t.dependents) == 0 {
			ends = append(ends, t)
		}
	}
	p.terminal = ends[0]
	if len(ends) > 1 && !rep.undefined {
		names := make([]string, 0, 5)
		for _, t := range ends[:min(len(ends), 5)] {
			names = append(names, shorten(t.name, 64))
		}
		rep.problem(ends[1].line, ends[1].name, "",
			"the pipeline must end in exactly one task, but %d have no task after them (%s): "+
				"join them with arrows into one task, such as a median%s", len(ends), strings.Join(names, ", "), rep.why())
	}
}

// Bridges returns the names of the bridges that the pipeline uses, sorted and without duplicates.
func (p *Pipeline) Bridges() []string {
	var names []string
	for _, t := range p.tasks {
		if bridge, ok := t.behaviour.(*bridgeTask); ok {
			names = append(names, bridge.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Tasks returns the tasks in the order in which a run with one worker would run them.
func (p *Pipeline) Tasks() []Task {
	tasks := make([]Task, len(p.tasks))
	for i, t := range p.tasks {
		tasks[i] = Task{ID: t.name, Type: t.kind, Line: t.line}
	}
	return tasks
}

// Named returns the positions in Tasks of the tasks in the order in which the source first names them.
func (p *Pipeline) Named() []int { return slices.Clone(p.named) }

// Terminal returns the position in Tasks of the last task, whose result is the pipeline's.
func (p *Pipeline) Terminal() int { return p.terminal.position }

// Awaits returns for each of Tasks the positions of the tasks that it waits for: first those with an arrow to it, in
// the order in which it takes their results as inputs, then those that only its attributes name.
func (p *Pipeline) Awaits() [][]int {
	awaits := make([][]int, len(p.tasks))
	for i, t := range p.tasks {
		for _, input := range t.inputs {
			awaits[i] = append(awaits[i], input.position)
		}
	}
	for i, t := range p.tasks {
		for _, next := range t.dependents {
			if !slices.Contains(next.inputs, t) {
				awaits[next.position] = append(awaits[next.position], i)
			}
		}
	}
	return awaits
}

// Warnings returns the parts of the text that have no effect, such as attributes that no task of the type knows.
func (p *Pipeline) Warnings() []string { return slices.Clone(p.warnings) }

// shorten cuts a text to n bytes at most, for errors, and marks the cut.
func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
