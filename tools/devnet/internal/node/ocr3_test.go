package node

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVotes(t *testing.T) {
	t.Parallel()
	const metrics = `# HELP loop_ocr3_outcomes_total Outcomes.
# TYPE loop_ocr3_outcomes_total counter
loop_ocr3_outcomes_total{job_id="1"} 20
loop_ocr3_outcomes_total{job_id="2"} 3
# TYPE loop_ocr3_reports_total counter
loop_ocr3_reports_total{job_id="1"} 19
# TYPE loop_ocr3_epochs_total counter
loop_ocr3_epochs_total{job_id="1"} 2
# TYPE loop_ocr3_lost_total counter
loop_ocr3_lost_total{call="Observation",job_id="1"} 1
loop_ocr3_lost_total{call="Observation",job_id="2"} 2
loop_ocr3_lost_total{call="Outcome",job_id="1"} 0
# TYPE loop_plugin_generation gauge
loop_plugin_generation{plugin="evm"} 1
`
	got, err := votes(strings.NewReader(metrics))
	if err != nil {
		t.Fatal(err)
	}
	want := Votes{Outcomes: 23, Reports: 19, Epochs: 2, Lost: map[string]uint64{"Observation": 3}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	added := Votes{}.Add(got).Add(Votes{Epochs: 1, Lost: map[string]uint64{"Observation": 1, "Outcome": 1}})
	want = Votes{Outcomes: 23, Reports: 19, Epochs: 3, Lost: map[string]uint64{"Observation": 4, "Outcome": 1}}
	if diff := cmp.Diff(want, added); diff != "" || got.Lost["Observation"] != 3 {
		t.Errorf("two generations (-want +got), of which the first is %v:\n%s", got, diff)
	}
	if got, err := votes(strings.NewReader("")); err != nil || got.Outcomes+got.Epochs != 0 {
		t.Errorf("no metrics: %+v, %v", got, err)
	}
	if _, err := votes(strings.NewReader("<html>")); err == nil {
		t.Error("a page of another kind was taken for metrics")
	}
}
