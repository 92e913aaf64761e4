package oracle

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// asLibocr registers as libocr does: under a configuration's digest.
func asLibocr(m *Metrics, job int64, digest string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"config_digest": digest}, jobRegisterer{m.libocr, job})
}

func TestSeriesOfLibocr(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	holds := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
	rounds := prometheus.NewCounter(prometheus.CounterOpts{Name: "ocr2_rounds_total", Help: "Rounds."})
	epoch := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ocr2_epoch", Help: "The epoch."})
	n := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ocr2_config_n"})
	sent := prometheus.NewCounter(prometheus.CounterOpts{Name: "ocr_telemetry_sent_messages_total"})
	asLibocr(m, 1, "a").MustRegister(rounds, epoch, n, sent)
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ocr2_epoch", Help: "The epoch."})
	asLibocr(m, 12, "b").MustRegister(other)
	rounds.Add(3)
	epoch.Set(7)
	other.Set(9)
	holds(`
# HELP ocr2_epoch The epoch.
# TYPE ocr2_epoch gauge
ocr2_epoch{job_id="1"} 7
ocr2_epoch{job_id="12"} 9
# HELP ocr2_rounds_total Rounds.
# TYPE ocr2_rounds_total counter
ocr2_rounds_total{job_id="1"} 3
`)
	// What is not one series of its own is refused, and libocr logs that.
	again := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ocr2_epoch", Help: "The epoch."})
	vector := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ocr2_vector"}, []string{"peer"})
	for about, c := range map[string]prometheus.Collector{"job 1 counts ocr2_epoch already": again, "0 families": vector} {
		if err := asLibocr(m, 1, "c").Register(c); err == nil || !strings.Contains(err.Error(), about) {
			t.Errorf("error %v; want one about %q", err, about)
		}
	}
	// Under its next configuration a job counts from the beginning.
	for c, known := range map[prometheus.Collector]bool{rounds: true, epoch: true, n: false} {
		if asLibocr(m, 1, "a").Unregister(c) != known {
			t.Errorf("a series is taken back: %t; want %t", !known, known)
		}
	}
	asLibocr(m, 1, "c").MustRegister(again)
	holds(`
# HELP ocr2_epoch The epoch.
# TYPE ocr2_epoch gauge
ocr2_epoch{job_id="1"} 0
ocr2_epoch{job_id="12"} 9
`)
}

// countedByLibocr holds what libocr counts of a job on OCR2 that runs: six series, which its id alone tells apart.
func countedByLibocr(t *testing.T, registry *prometheus.Registry, job int64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				got = append(got, family.GetName()+" "+label.GetName()+"="+label.GetValue())
			}
		}
	}
	var want []string
	for _, name := range []string{"ocr2_completed_rounds_total", "ocr2_epoch", "ocr2_experimental_leader_oid",
		"ocr2_included_observations_total", "ocr2_led_completed_rounds_total", "ocr2_sent_observations_total"} {
		want = append(want, name+" job_id="+strconv.FormatInt(job, 10))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("libocr's series of the job (-want +got):\n%s", d)
	}
}
