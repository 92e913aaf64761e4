package node

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A Prometheus that knows nothing but /discovery scrapes the node and its plugins, and sees one that stops answering. The test is
// left out where there is no Prometheus.
func TestPrometheusFindsTheNodeAndItsPlugins(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed")
	}
	f := newFiles(t)
	f.environment["CL_PROMETHEUS_DISCOVERY_HOSTNAME"] = "127.0.0.1"
	f.config += patient // after [Plugins]
	f.chain("1337", "")
	n := f.start(t)

	file, address := filepath.Join(f.dir, "prometheus.yaml"), freeAddress(t)
	if err := os.WriteFile(file, []byte(`
global: {scrape_interval: 300ms, scrape_timeout: 300ms}
scrape_configs:
  - job_name: loop
    http_sd_configs: [{url: "http://`+n.Address()+`/discovery", refresh_interval: 300ms}]
    relabel_configs: [{source_labels: [__meta_plugin_name], target_label: plugin}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "--config.file="+file, "--web.listen-address="+address, "--storage.tsdb.path="+filepath.Join(f.dir, "prometheus"))
	var log strings.Builder
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	// up is what Prometheus last saw of each plugin, and under no name of the node.
	up := func() map[string]string {
		a, err := try(t, "http://"+address+"/api/v1/query?query=up")
		if err != nil {
			return nil
		}
		var reply struct {
			Data struct {
				Result []struct {
					Metric map[string]string
					Value  [2]any
				}
			}
		}
		if err := json.Unmarshal([]byte(a.body), &reply); err != nil {
			return nil
		}
		seen := map[string]string{}
		for _, r := range reply.Data.Result {
			seen[r.Metric["plugin"]], _ = r.Value[1].(string)
		}
		return seen
	}
	eventually(t, "a scrape of all", func() bool { return cmp.Equal(up(), map[string]string{"": "1", "evm": "1", "median": "1"}) })
	signal(t, n, "evm", syscall.SIGSTOP)
	eventually(t, "a failed scrape", func() bool { return cmp.Equal(up(), map[string]string{"": "1", "evm": "0", "median": "1"}) })
	signal(t, n, "evm", syscall.SIGCONT)
	eventually(t, "a scrape of all again", func() bool { return cmp.Equal(up(), map[string]string{"": "1", "evm": "1", "median": "1"}) })
}
