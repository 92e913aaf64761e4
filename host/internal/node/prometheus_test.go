package node

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// scraper is a Prometheus with the configuration that operators are told to write.
type scraper struct {
	t   *testing.T
	url string
}

// documented is the configuration in docs/monitor.md, for a node elsewhere.
func documented(t *testing.T, node string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/monitor.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/monitor.md has %d configurations of Prometheus, not one", len(blocks))
	}
	return strings.NewReplacer("127.0.0.1:6688", node, "refresh_interval: 30s", "refresh_interval: 300ms").
		Replace(string(blocks[0][1]))
}

// newScraper starts a Prometheus that ends with the test. The test is left out where there is none.
func newScraper(t *testing.T, n *Node) *scraper {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed")
	}
	dir, address := t.TempDir(), ports.Address(t)
	file := filepath.Join(dir, "prometheus.yaml")
	config := "global: {scrape_interval: 300ms, scrape_timeout: 300ms}\n" + documented(t, n.Address())
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "--config.file="+file, "--web.listen-address="+address,
		"--storage.tsdb.path="+filepath.Join(dir, "data"))
	var log strings.Builder
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return &scraper{t, "http://" + address}
}

// sample is a series of Prometheus with its value.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// query is what an expression is now; nothing while there is no answer.
func (s *scraper) query(expression string) []sample {
	s.t.Helper()
	a, err := try(s.t, s.url+"/api/v1/query?query="+url.QueryEscape(expression))
	if err != nil {
		return nil
	}
	var reply struct{ Data struct{ Result []sample } }
	if err := json.Unmarshal([]byte(a.body), &reply); err != nil {
		return nil
	}
	return reply.Data.Result
}

// labels are what tells a process apart, among all that have the labels job and instance of one node.
type labels struct{ plugin, kind, job string }

// expressions are those of docs/metrics.md.
func expressions(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/metrics.md shows no expressions")
	}
	return strings.Split(string(block[1]), "\n\n")
}

// processes are the values of an expression by process.
func (s *scraper) processes(expression string) map[labels]string {
	s.t.Helper()
	seen := map[labels]string{}
	for _, r := range s.query(expression) {
		seen[labels{r.Metric["plugin"], r.Metric["kind"], r.Metric["job_id"]}], _ = r.Value[1].(string)
	}
	return seen
}

// sees waits until each process has been scraped with an outcome, 1 or 0, and no others are known.
func (s *scraper) sees(what string, want map[labels]string) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return cmp.Equal(want, s.processes("up")) })
}

// holds waits until an expression has a value.
func (s *scraper) holds(what, expression string) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return len(s.query(expression)) > 0 })
}

// A Prometheus with the documented configuration, as it stands, sees the node and each plugin apart through all that
// becomes of them.
func TestPrometheusTellsProcessesApart(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	delete(f.Environment, "CL_PROMETHEUS_DISCOVERY_HOSTNAME")
	f.Config += patient // after [Plugins]
	f.Chain("1337", "")
	illness := filepath.Join(f.Dir, "ill")
	f.plugin(t, "MEDIAN", "FAIL_WHILE="+illness)
	n := f.start(t)
	s, client := newScraper(t, n), nodetest.Operator(n.Socket())
	restart := func(plugin string) {
		t.Helper()
		if _, err := client.RestartPlugin(t.Context(), &nodev1.RestartPluginRequest{Name: plugin}); err != nil {
			t.Fatal(err)
		}
	}
	node, evm, median := labels{"", "node", ""}, labels{"evm", "relayer", ""}, labels{"median", "median", ""}

	s.sees("a scrape of all", map[labels]string{node: "1", evm: "1", median: "1"})
	for _, r := range s.query("up") {
		if r.Metric["job"] != "loop" || r.Metric["instance"] != n.Address() {
			t.Errorf("a target is job %q, instance %q", r.Metric["job"], r.Metric["instance"])
		}
	}

	for _, expression := range expressions(t) {
		if a := ask(t, s.url+"/api/v1/query?query="+url.QueryEscape(expression)); a.code != 200 {
			t.Errorf("Prometheus does not take what docs/metrics.md shows: %s\n%s", expression, a.body)
		}
	}

	job := addJob(t, n, true).GetId()
	id := fmt.Sprint(job)
	ownEVM, ownMedian := labels{"evm-" + id, "relayer", id}, labels{"median-" + id, "median", id}
	s.sees("a scrape of an isolated job's processes",
		map[labels]string{node: "1", evm: "1", median: "1", ownEVM: "1", ownMedian: "1"})
	one := map[labels]string{node: "1", evm: "1", median: "1", ownEVM: "1", ownMedian: "1"}
	eventually(t, "a series of each process", func() bool {
		return cmp.Equal(one, s.processes("count by (plugin, kind, job_id) (process_start_time_seconds)"))
	})

	signal(t, n, "evm", syscall.SIGKILL)
	s.holds("another generation in the series of the one that was killed",
		`changes(process_start_time_seconds{plugin="evm"}[1h]) == 1`)
	restart("evm")
	s.holds("a third, of an upgrade", `changes(process_start_time_seconds{plugin="evm"}[1h]) == 2`)
	s.holds("generations of others", `changes(process_start_time_seconds{plugin="evm-`+id+`"}[1h]) == 0`)

	signal(t, n, "evm", syscall.SIGSTOP)
	s.sees("a plugin that stands still", map[labels]string{node: "1", evm: "0", median: "1", ownEVM: "1", ownMedian: "1"})
	signal(t, n, "evm", syscall.SIGCONT)

	if err := os.WriteFile(illness, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	signal(t, n, "median", syscall.SIGKILL)
	s.sees("a quarantine", map[labels]string{node: "1", evm: "1", median: "0", ownEVM: "1", ownMedian: "1"})
	if err := os.Remove(illness); err != nil {
		t.Fatal(err)
	}
	restart("median")

	if _, err := client.RemoveJob(t.Context(), &nodev1.RemoveJobRequest{Id: job}); err != nil {
		t.Fatal(err)
	}
	s.sees("the shared processes alone", map[labels]string{node: "1", evm: "1", median: "1"})
	eventually(t, "the end of the job's series", func() bool {
		return len(s.query(`up`)) > 0 && len(s.query(`{job_id="`+id+`"}`)) == 0 && len(s.query(`{plugin=~".*-`+id+`"}`)) == 0
	})
}

// Every metric is named and described as Prometheus's own linter wants it.
func TestMetricsFollowTheConventions(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	f := newFiles(t)
	f.Chain("1337", "")
	n := f.start(t)
	addJob(t, n, true)
	for _, page := range []string{"/metrics", "/plugins/evm/metrics", "/plugins/median/metrics"} {
		command := exec.Command(program, "check", "metrics")
		command.Stdin = strings.NewReader(ask(t, "http://"+n.Address()+page).body)
		if said, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", page, err, said)
		}
	}
}
