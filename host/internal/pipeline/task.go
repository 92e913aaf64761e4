package pipeline

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loop-plugins/loop/host/internal/pipeline/abi"
)

// common is what every task may have.
type common struct {
	index     int32
	indexLine int
	timeout   *time.Duration // of each attempt; nil if not written, 0 if switched off
	failEarly bool
	attempts  uint32 // 1 at least
	backoff   backoff
}

// backoff is the wait between attempts: first, then twice as long each time, up to the cap.
type backoff struct{ first, cap time.Duration }

// The defaults are those of the established node. Its backoff library has a cap of its own, 10 s, which comes through
// where an operator sets the first wait alone.
const (
	defaultFirstBackoff = 5 * time.Second
	defaultBackoffCap   = time.Minute
	libraryBackoffCap   = 10 * time.Second
)

func newBackoff(first, limit time.Duration) backoff {
	switch {
	case first == 0: // a cap alone is ignored
		return backoff{first: defaultFirstBackoff, cap: defaultBackoffCap}
	case limit == 0:
		return backoff{first: first, cap: libraryBackoffCap}
	default:
		return backoff{first: first, cap: limit}
	}
}

// wait returns the pause after so many failed attempts, from 1.
func (b backoff) wait(failed int) time.Duration {
	wait := b.first
	for ; failed > 1; failed-- {
		if wait >= b.cap/2 { // rather than after doubling, which could overflow
			return b.cap
		}
		wait *= 2
	}
	return min(wait, b.cap)
}

// behaviour is what a task does: an evaluator or a preparer.
type behaviour any

// evaluator is a task that only computes. It sees failed inputs only if its type says so.
type evaluator interface {
	evaluate(s scope) (any, error)
}

// preparer is a task that calls out: it prepares the call from what it sees, and the runner makes the call.
type preparer interface {
	prepare(s scope) (call, error)
}

// kind is a type of task.
type kind struct {
	// least and most bound the explicit inputs; most is -1 where there is no bound.
	least, most int
	// tolerant types are given failed inputs; all others fail with their input.
	tolerant bool
	build    func(b *builder) behaviour
}

// kinds are the types of tasks that feeds use.
var kinds = map[string]kind{
	"http":         {0, -1, false, buildHTTP},
	"bridge":       {0, -1, false, buildBridge},
	"jsonparse":    {0, 1, false, buildJSONParse},
	"multiply":     {0, 1, false, buildMultiply},
	"divide":       {0, -1, false, buildDivide},
	"median":       {0, -1, true, buildMedian},
	"mean":         {0, -1, true, buildMean},
	"sum":          {0, -1, true, buildSum},
	"mode":         {0, -1, true, buildMode},
	"any":          {1, -1, true, buildAny},
	"memo":         {0, 1, false, buildMemo},
	"lookup":       {1, 1, false, buildLookup},
	"conditional":  {0, 1, false, buildConditional},
	"lessthan":     {0, 1, false, buildLessThan},
	"merge":        {0, 1, false, buildMerge},
	"fail":         {0, -1, false, buildFail},
	"uppercase":    {0, 1, false, textKind(uppercase)},
	"lowercase":    {0, 1, false, textKind(lowercase)},
	"length":       {0, 1, false, textKind(length)},
	"hexencode":    {0, 1, false, textKind(hexEncode)},
	"hexdecode":    {0, 1, false, textKind(hexDecode)},
	"base64encode": {0, 1, false, textKind(base64Encode)},
	"base64decode": {0, 1, false, textKind(base64Decode)},

	"ethcall":         {0, -1, false, buildETHCall},
	"ethabiencode":    {0, -1, false, abiEncodeKind(abi.ParseFunction)},
	"ethabiencode2":   {0, -1, false, abiEncodeKind(abi.ParseJSON)},
	"ethabidecode":    {0, -1, false, buildABIDecode},
	"ethabidecodelog": {0, -1, false, buildABIDecodeLog},
}

// foreign are types that the established node has and no feed can use here, with the reason.
var foreign = map[string]string{
	"ethtx":            "a feed's pipeline must not send transactions",
	"estimategaslimit": "a feed's pipeline must not send transactions",
	"cborparse":        "it serves direct requests, not feeds",
	"vrf":              "it serves random numbers, not feeds",
	"vrfv2":            "it serves random numbers, not feeds",
	"vrfv2plus":        "it serves random numbers, not feeds",
}

// builder reads the attributes of one task, and remembers which names it was asked for.
type builder struct {
	node   *node
	task   *task
	tasks  map[string]*task
	report *report
	known  []string
}

// build makes the task that a node describes.
func build(t *task, n *node, tasks map[string]*task, rep *report) {
	b := &builder{node: n, task: t, tasks: tasks, report: rep}
	written := ""
	if attr := b.trimmed("type"); attr != nil {
		written = attr.value
	}
	t.kind = strings.ToLower(written)
	t.common = b.common()
	k, ok := kinds[t.kind]
	if why := foreign[t.kind]; why != "" {
		b.problem("type", "task type %s is not supported: %s", t.kind, why)
		return
	} else if !ok {
		b.problem("type", "unknown task type: %q; the types are %s", shorten(written, 64),
			strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		return
	}
	if count := len(t.inputs); (count < k.least || k.most >= 0 && count > k.most) && !rep.undefined {
		b.problem("", "a task of type %s takes %s, but %d arrows lead to it", t.kind, arity(k), count)
	}
	t.tolerant = k.tolerant
	t.behaviour = k.build(b)
	for _, attr := range n.attributes {
		if !slices.ContainsFunc(b.known, func(name string) bool { return strings.EqualFold(name, attr.key) }) {
			rep.warning(attr.line, t.name, attr.key, "no attribute of a task of type %s, so it has no effect", t.kind)
		}
	}
}

func arity(k kind) string {
	switch {
	case k.most < 0:
		return fmt.Sprintf("at least %d input", k.least)
	case k.least == k.most:
		return fmt.Sprintf("exactly %d input", k.most)
	default:
		return fmt.Sprintf("at most %d input", k.most)
	}
}

func (b *builder) common() common {
	c := common{indexLine: b.node.line}
	if attr := b.node.attribute("index"); attr != nil {
		c.indexLine = attr.line
	}
	c.index = int32(b.integer("index", 0, math.MinInt32, math.MaxInt32)) // the one integer in Go's syntax
	c.timeout = b.duration("timeout")
	c.failEarly = b.boolean("failEarly", false)
	c.attempts = uint32(max(1, b.integer("retries", 10, 0, math.MaxUint32)))
	var first, limit time.Duration
	if d := b.duration("minBackoff"); d != nil {
		first = *d
	}
	if d := b.duration("maxBackoff"); d != nil {
		limit = *d
	}
	c.backoff = newBackoff(first, limit)
	return c
}

func (b *builder) problem(attribute, format string, args ...any) {
	line := b.node.line
	if attr := b.node.attribute(attribute); attr != nil && attribute != "" {
		line = attr.line
	}
	b.report.problem(line, b.node.name, attribute, format, args...)
}

// find returns the attribute as it is written, blanks around it included.
func (b *builder) find(name string) *attribute {
	b.known = append(b.known, name)
	return b.node.attribute(name)
}

// trimmed returns the attribute without blanks around it.
func (b *builder) trimmed(name string) *attribute {
	attr := b.find(name)
	if attr == nil {
		return nil
	}
	return &attribute{key: attr.key, value: strings.TrimSpace(attr.value), line: attr.line, quoted: attr.quoted}
}

// written returns the attribute without blanks around it, unless it is absent or empty, which are the same for most.
func (b *builder) written(name string) *attribute {
	if attr := b.trimmed(name); attr != nil && attr.value != "" {
		return attr
	}
	return nil
}

// integer reads a literal integer to a base, 0 where there is none; base 0 is Go's syntax.
func (b *builder) integer(name string, base int, least, most int64) int64 {
	attr := b.written(name)
	if attr == nil {
		return 0
	}
	n, err := strconv.ParseInt(attr.value, base, 64)
	if err != nil || n < least || n > most {
		b.problem(name, "%q is not an integer from %d to %d", shorten(attr.value, 64), least, most)
		return 0
	}
	return n
}

func (b *builder) boolean(name string, otherwise bool) bool {
	attr := b.written(name)
	if attr == nil {
		return otherwise
	}
	v, err := strconv.ParseBool(attr.value)
	if err != nil {
		b.problem(name, "%q is neither true nor false", shorten(attr.value, 64))
	}
	return v
}

// duration reads a literal duration; unlike with others, an empty text is an error and not the default.
func (b *builder) duration(name string) *time.Duration {
	attr := b.trimmed(name)
	if attr == nil {
		return nil
	}
	d, err := time.ParseDuration(attr.value)
	if err != nil || d < 0 {
		b.problem(name, "%q is not a duration such as 5s, 500ms or 1m30s", shorten(attr.value, 64))
		return nil
	}
	return &d
}

// variable reads an attribute that is one variable, and reports whether it was.
func (b *builder) variable(attr *attribute, name string) (parameter, bool) {
	inside, ok := wholeVariable(attr.value)
	if !ok {
		return parameter{}, false
	}
	p := parameter{name: name, present: true}
	if !variablePattern.MatchString(attr.value) {
		b.problem(name, "$(%s) is not a variable: names have letters, digits, underscores and points", shorten(inside, 64))
		return p, true
	}
	ref, err := newReference(inside, b.tasks)
	if err != nil {
		b.problem(name, "%v", err)
	}
	p.ref = ref
	return p, true
}

// reference reads an attribute that is one variable. A text instead has no effect, as with the established node.
func (b *builder) reference(name string) parameter {
	attr := b.written(name)
	if attr == nil {
		return parameter{name: name}
	}
	p, ok := b.variable(attr, name)
	if !ok {
		b.report.warning(attr.line, b.node.name, name, "only a variable $(…) counts here, so the text has no effect")
		p.name = name
	}
	return p
}

// text reads a variable or any literal text.
func (b *builder) text(name string) parameter { return b.textOf(name, b.written(name)) }

// verbatim reads a variable or a literal text whose blanks count: those around keys of a path, or a separator.
func (b *builder) verbatim(name string) parameter { return b.textOf(name, b.find(name)) }

func (b *builder) textOf(name string, attr *attribute) parameter {
	if attr == nil || attr.value == "" {
		return parameter{name: name}
	}
	if p, ok := b.variable(attr, name); ok {
		return p
	}
	if inside := variablePattern.FindString(attr.value); inside != "" {
		b.report.warning(attr.line, b.node.name, name, "%s in a text is used as it is written: only a value that is one "+
			"variable and nothing else is replaced", shorten(inside, 64))
	}
	return parameter{name: name, present: true, literal: attr.value}
}

// decimal reads a variable or a literal number.
func (b *builder) decimal(name string) parameter {
	p := b.text(name)
	if text, ok := p.literal.(string); ok {
		d, err := parseDecimal(text)
		if err != nil {
			b.problem(name, "%v; write a number or one variable $(…)", err)
			return parameter{name: name, present: true}
		}
		p.literal = d
	}
	return p
}

// places reads a variable or a literal number of decimal places.
func (b *builder) places() parameter {
	p := b.text("precision")
	if p.present && p.ref == nil {
		p.literal = b.integer("precision", 10, -maxScale, maxScale)
	}
	return p
}

// json reads a variable or JSON with variables. A literal must be what is wanted: "a map", "a list" or "", which is
// anything.
func (b *builder) json(name, want string) parameter {
	attr := b.written(name)
	if attr == nil {
		return parameter{name: name}
	}
	if p, ok := b.variable(attr, name); ok {
		return p
	}
	read, err := compileJSON(attr.value, b.tasks)
	p := parameter{name: name, present: true, literal: read.literal, open: read.open}
	switch {
	case err != nil && bracketed(attr.value):
		b.problem(name, "the value is not JSON, since its angle brackets stay where there are others inside: write it in "+
			`double quotes, and each quote in it as \"`)
		return p
	case err != nil:
		b.problem(name, "%v", err)
		return p
	case read.more:
		b.report.warning(attr.line, b.node.name, name, "the text after the end of the JSON value has no effect")
	}
	_, variable := p.literal.(*reference)
	switch got := describe(p.literal); {
	case want == "" || got == want:
	case variable:
		b.problem(name, "the value must be one variable alone or %s in JSON, such as %s", want,
			map[string]string{"a list": "[$(a), $(b)]", "a map": `{"x": $(a)}`}[want])
	case attr.quoted && bracketedInQuotes(attr.value):
		b.problem(name, "the value must be %s in JSON: %s", want, quotesStay)
	default:
		b.problem(name, "the value must be %s in JSON, not %s", want, got)
	}
	return p
}

// need reports a required attribute that is absent.
func (b *builder) need(p parameter) parameter {
	if !p.present {
		b.problem("", "attribute %s is required for a task of type %s", p.name, b.task.kind)
	}
	return p
}

// needInput reports a task that has neither the attribute nor an input to take the value from.
func (b *builder) needInput(p parameter) parameter {
	if !p.present && len(b.task.inputs) == 0 && !b.report.undefined {
		b.problem("", "the task has nothing to work on: draw an arrow to it or set the attribute %s%s", p.name,
			b.report.why())
	}
	return p
}
