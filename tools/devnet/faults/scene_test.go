package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
)

// scene is where a fault is made and looked at.
type scene struct {
	t *testing.T
	*network
	*prometheus
	// node is the row's, and feed the name of the job that is looked at, id its number, contract its contract.
	node     *node
	feed     string
	id       int64
	contract common.Address
	// shared is set where other rows have jobs of their own on the node at the same time.
	shared bool
	// more are keys of the job's spec.
	more string
	// adapter, primary and backup are what the node asks.
	adapter, primary, backup *gate

	undoing []func()
}

// newScene is a node with an adapter and two RPC nodes of its own.
func newScene(t *testing.T, n *network, feed string) *scene {
	t.Helper()
	s := &scene{t: t, network: n, node: newNode(t, n.bin), feed: feed}
	s.adapter = newGate(t, func(w http.ResponseWriter, _ *http.Request) { n.answer(w, "guest") })
	s.primary, s.backup = newGate(t, rpc(n.chain.HTTPURL(), n.swallows)), newGate(t, rpc(n.chain.HTTPURL(), n.swallows))
	s.node.config = chainConfig(s.primary.url(), s.backup.url())
	return s
}

// on is the scene of a row.
func (s *scene) on(t *testing.T) *scene {
	s.t = t
	return s
}

// follow has the node and the company begin a feed.
func (s *scene) follow() {
	s.t.Helper()
	feed := s.deploy(s.t)
	oracles := []evm.Oracle{s.node.keys.oracle()}
	for _, c := range s.company {
		oracles = append(oracles, c.keys.oracle())
	}
	s.set(s.t, feed, timing, oracles...)
	s.contract = feed.Address()
	own := spec{name: s.feed, contract: s.contract, bootstrappers: s.bootstrappers()}
	for _, c := range s.company {
		c.add(s.t, own)
	}
	own.more = s.more
	s.id = s.node.add(s.t, own)
}

// undo has something done when the row is over.
func (s *scene) undo(do func()) { s.undoing = append(s.undoing, do) }

// calm is how long the node may take to be well again after a row, and be well before it.
const calm = 30 * time.Second

// live makes a fault on a node that runs, checks what is said about it, and repairs it.
func (s *scene) live(f fault) {
	s.t.Helper()
	s.quiet(f)
	begun := s.node.log.length()
	defer func() {
		for _, undo := range slices.Backward(s.undoing) {
			undo()
		}
		s.undoing = nil
	}()
	f.make(s)
	within := f.within
	if within == 0 {
		within = patience
	}
	from := time.Now()
	var missing []string
	s.poll(within, func() bool {
		missing = s.missing(f.says, begun)
		return len(missing) == 0
	})
	if len(missing) > 0 {
		h, _ := s.node.health(s.t)
		s.t.Errorf("after %s the node does not say:\n%s\nIt says: "+
			"%s\n%s\n%s\n%s", within, strings.Join(missing, "\n"), h.Status,
			strings.Join(h.ill(), "\n"), s.show(), tail(s.node.log.from(begun)))
		return
	}
	s.t.Logf("named after %s", time.Since(from).Round(100*time.Millisecond))
}

// quiet waits until nothing is left of a row before: alerts that fire already would prove nothing.
func (s *scene) quiet(f fault) {
	s.t.Helper()
	if s.shared {
		return
	}
	var left []string
	s.poll(calm, func() bool {
		left = nil
		h, err := s.node.health(s.t)
		if err != nil || h.Status != "passing" {
			left = append(h.ill(), fmt.Sprint(err))
		}
		firing := s.firing(s.t, s.node, s.id)
		for _, alert := range f.says.alerts {
			if slices.Contains(firing, alert) {
				left = append(left, "alert "+alert)
			}
		}
		return len(left) == 0
	})
	if len(left) > 0 {
		s.t.Fatalf("the node is not well before the row:\n%s\n%s", strings.Join(left, "\n"), tail(s.node.log.all()))
	}
}

// look is the time between two looks at what has no event to await.
const look = 200 * time.Millisecond

// poll looks until something holds, as often as fits into a time. On a busy machine looks take longer, and so do nodes:
// they get as many looks, in at most ten times the time.
func (s *scene) poll(within time.Duration, holds func() bool) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*within)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for range within / look {
		if holds() {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// missing is what the node does not say yet, or says too much.
func (s *scene) missing(want says, begun int) []string {
	missing := s.unhealthy(want)
	log := s.node.log.from(begun)
	for _, line := range want.log {
		if !pattern(line).MatchString(log) {
			missing = append(missing, "log: "+line)
		}
	}
	if want.job != nil && want.job.state != "" && !pattern(s.logged(want.job)).MatchString(log) {
		missing = append(missing, "log: "+s.logged(want.job))
	}
	firing := s.firing(s.t, s.node, s.id)
	for _, alert := range want.alerts {
		if s.watches() && !slices.Contains(firing, alert) {
			missing = append(missing, "alert: "+alert)
		}
	}
	if len(missing) == 0 && want.job != nil {
		missing = s.unshown(want)
	}
	if len(missing) == 0 {
		missing = s.undiagnosed(want)
	}
	return missing
}

// undiagnosed holds that loop doctor names the fault too: in what is said of the job, or of a part.
func (s *scene) undiagnosed(want says) []string {
	var told struct {
		Findings []struct{ Severity, Text, Remedy string }
	}
	said := s.node.run(s.t, "", "doctor", "--json")
	if err := json.Unmarshal([]byte(said.stdout), &told); err != nil {
		return []string{"loop doctor: " + err.Error() + said.stderr}
	}
	var reasons, found []string
	if want.job != nil {
		reasons = append(reasons, want.job.reason)
	}
	for _, c := range want.parts {
		reasons = append(reasons, c.Reason)
	}
	for _, f := range told.Findings {
		if f.Severity != "SEVERITY_FAILED" && f.Severity != "SEVERITY_WARNING" {
			continue
		}
		found = append(found, f.Severity+" "+f.Text)
		for _, reason := range reasons {
			if pattern(reason).MatchString(f.Text) {
				return nil
			}
		}
	}
	return []string{"loop doctor: any of " + strings.Join(reasons, " | ") + "; it says: " + strings.Join(found, " | ")}
}

// logged is the line that says that the job's state has changed. A state is logged when it begins, with the first of
// its reasons. The remedy shows which reason that is; if there is none, the reason itself does.
func (s *scene) logged(j *job) string {
	text := fmt.Sprintf(`msg="a job's state changed" job=%d …state=%s…`, s.id, j.state)
	if j.remedy != "" {
		return text + "remedy=…" + escaped(j.remedy)
	}
	return text + "reason=…" + escaped(j.reason)
}

// escaped is a text within the quotes of the log's.
func escaped(text string) string { return strings.ReplaceAll(text, `"`, `\"`) }

// unhealthy compares what /health says.
func (s *scene) unhealthy(want says) []string {
	h, err := s.node.health(s.t)
	if err != nil {
		return []string{"health: " + err.Error()}
	}
	var expected, may []string
	for _, c := range want.parts {
		expected = append(expected, c.String())
	}
	for _, c := range want.may {
		may = append(may, c.String())
	}
	own := fmt.Sprintf("job %d (%s)", s.id, s.feed)
	if j := want.job; j != nil {
		expected = append(expected, component{own, j.state, j.reason, j.remedy}.String())
	}
	status, ill := h.Status, h.ill()
	if s.shared {
		status, ill = h.of(own)
	}
	var missing []string
	if status != want.status {
		missing = append(missing, "health: "+want.status)
	}
	for _, text := range expected {
		if !slices.ContainsFunc(h.ill(), func(c string) bool { return whole(text, c) }) {
			missing = append(missing, "health: "+text)
		}
	}
	for _, text := range ill { // what is not the fault may not be named
		if !slices.ContainsFunc(slices.Concat(expected, may), func(want string) bool { return whole(want, text) }) {
			missing = append(missing, "nothing of: "+text)
		}
	}
	return missing
}

// show is what loop jobs show prints, with one blank for several.
func (s *scene) show() string {
	if s.id == 0 {
		return ""
	}
	said := s.node.run(s.t, "", "jobs", "show", strconv.FormatInt(s.id, 10))
	return regexp.MustCompile(`  +`).ReplaceAllString(said.stdout+said.stderr, " ")
}

// unshown compares what loop jobs show prints.
func (s *scene) unshown(want says) []string {
	lines := strings.Split(s.show(), "\n")
	expected := append([]string{"state " + want.job.state + " for …", "reason " + want.job.reason}, want.show...)
	if want.job.remedy != "" {
		expected = append(expected, "what to do "+want.job.remedy)
	}
	var missing []string
	for _, text := range expected {
		if !slices.ContainsFunc(lines, func(line string) bool { return whole(text, strings.TrimSpace(line)) }) {
			missing = append(missing, "loop jobs show: "+text)
		}
	}
	return missing
}

// tells runs a command that tells of the fault.
func (s *scene) tells(f fault, stdin string, args ...string) {
	s.t.Helper()
	got := s.node.run(s.t, stdin, args...)
	if got.code != f.says.exit {
		s.t.Errorf("exit code %d, want %d", got.code, f.says.exit)
	}
	lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
	if !slices.ContainsFunc(lines, func(line string) bool { return whole(f.says.stderr, line) }) {
		s.t.Errorf("it says:\n%s\nwant:\n%s", got.stderr, f.says.stderr)
	}
}

// tail is the end of a log, without what is said when all is well.
func tail(log string) string {
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(log), "\n"), func(line string) bool {
		return strings.Contains(line, "level=INFO")
	})
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
