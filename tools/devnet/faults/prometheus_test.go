package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// rules is the folder of what operators are given for Prometheus.
const rules = "../../../deploy/prometheus"

// prometheus watches nodes with the rules that operators are given; nil where there is no such program.
type prometheus struct{ url string }

func (p *prometheus) watches() bool { return p != nil }

// newPrometheus starts one that ends with the test. What lasts minutes for people lasts seconds here.
func newPrometheus(t *testing.T, nodes ...*node) *prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Log("prometheus is not installed: the alerts are left out")
		return nil
	}
	dir, address := t.TempDir(), ports.Address(t)
	var discovery strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&discovery, "      - url: http://%s/discovery\n        refresh_interval: 1s\n", n.http)
	}
	config := regexp.MustCompile(`(?s)      - url: .*?refresh_interval: `+
		`\S+\n`).ReplaceAllLiteralString(read(t, "prometheus.yml"), discovery.String())
	files := map[string]string{
		"prometheus.yml": "global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}\n" + config,
		"alerts.yml":     hurried(read(t, "alerts.yml")), "recording.yml": hurried(read(t, "recording.yml")),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--web.listen-address="+address, "--storage.tsdb.path="+filepath.Join(dir, "data"))
	var log strings.Builder
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Log(tail(log.String()))
		}
	})
	return &prometheus{"http://" + address}
}

// hurried has rules of minutes be rules of seconds: an alert fires at once, and rates are of eight seconds.
func hurried(text string) string {
	text = regexp.MustCompile(`(?m)^( +for: ).*$`).ReplaceAllString(text, "${1}0s")
	return regexp.MustCompile(`\[\d+[mhd]\]`).ReplaceAllString(text, "[8s]")
}

// firing are the names of the alerts that fire of a node, and if they are of a job, of that job.
func (p *prometheus) firing(t *testing.T, n *node, job int64) []string {
	t.Helper()
	if !p.watches() {
		return nil
	}
	query := fmt.Sprintf(`ALERTS{alertstate="firing",instance=%q}`, n.http)
	response, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return nil // it starts
	}
	defer response.Body.Close()
	var reply struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		return nil
	}
	var names []string
	for _, r := range reply.Data.Result {
		if of := r.Metric["job_id"]; of == "" || of == strconv.FormatInt(job, 10) {
			names = append(names, r.Metric["alertname"])
		}
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rules, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alertNames are the alerts of deploy/prometheus/alerts.yml.
func alertNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^ +- alert: (\S+)$`).FindAllStringSubmatch(read(t, "alerts.yml"), -1) {
		names = append(names, found[1])
	}
	return names
}

// TestRules holds that Prometheus takes what operators are given, that the configuration is the documented one, and
// that each alert fires and does not fire when it should.
func TestRules(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/monitor.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```").FindSubmatch(page)
	if documented == nil || !strings.Contains(read(t, "prometheus.yml"), string(documented[1])) {
		t.Error("deploy/prometheus/prometheus.yml has not the scrape_configs of docs/monitor.md")
	}
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"}} {
		command := exec.Command(program, args...)
		command.Dir = rules
		if said, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
}

// TestAlertsAreFired holds that a fault of the table fires each alert, and that a test of rules has each.
func TestAlertsAreFired(t *testing.T) {
	t.Parallel()
	var fired []string
	for _, c := range chapters() {
		for _, f := range c.faults {
			fired = append(fired, f.says.alerts...)
		}
	}
	slices.Sort(fired)
	if diff := cmp.Diff(slices.Sorted(slices.Values(alertNames(t))), slices.Compact(fired)); diff != "" {
		t.Errorf("the alerts and those of the table differ (-alerts +table):\n%s", diff)
	}
	tested := read(t, "alerts_test.yml")
	for _, name := range alertNames(t) {
		if !strings.Contains(tested, `alertname="`+name+`"`) {
			t.Errorf("deploy/prometheus/alerts_test.yml does not test %s", name)
		}
	}
}
