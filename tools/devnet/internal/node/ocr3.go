package node

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// Votes are a node's counts for its jobs over OCR3 in one generation. Each generation counts from zero.
type Votes struct {
	// Outcomes are those that its products computed and it voted for, Reports those made from them, and Epochs those
	// that it entered.
	Outcomes, Reports, Epochs uint64
	// Lost are the calls of products whose error cost the node its vote or a report, by their names.
	Lost map[string]uint64
}

// Add adds what was counted in another generation.
func (v Votes) Add(other Votes) Votes {
	v.Outcomes += other.Outcomes
	v.Reports += other.Reports
	v.Epochs += other.Epochs
	lost := maps.Clone(v.Lost)
	if lost == nil {
		lost = map[string]uint64{}
	}
	for call, count := range other.Lost {
		lost[call] += count
	}
	v.Lost = lost
	return v
}

// maxMetrics is far more than a node's metrics take.
const maxMetrics = 16 << 20

// Votes reads the node's metrics.
func (n *Node) Votes(ctx context.Context) (Votes, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	votes, err := n.readVotes(ctx)
	if err != nil {
		return Votes{}, fmt.Errorf("read the metrics of %s at %s/metrics: %w", n.Name(), n.URL(), n.reason(ctx, err))
	}
	return votes, nil
}

func (n *Node) readVotes(ctx context.Context) (Votes, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/metrics", nil)
	if err != nil {
		return Votes{}, err
	}
	response, err := n.transport.RoundTrip(request)
	if err != nil {
		return Votes{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Votes{}, fmt.Errorf("the node answers %s", response.Status)
	}
	return votes(io.LimitReader(response.Body, maxMetrics))
}

func votes(metrics io.Reader) (Votes, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(metrics)
	if err != nil {
		return Votes{}, err
	}
	total := func(name string) (sum uint64) {
		for _, metric := range families[name].GetMetric() {
			sum += counted(metric)
		}
		return sum
	}
	counts := Votes{
		Outcomes: total("loop_ocr3_outcomes_total"), Reports: total("loop_ocr3_reports_total"),
		Epochs: total("loop_ocr3_epochs_total"), Lost: map[string]uint64{},
	}
	for _, metric := range families["loop_ocr3_lost_total"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if count := counted(metric); label.GetName() == "call" && count > 0 {
				counts.Lost[label.GetValue()] += count
			}
		}
	}
	return counts, nil
}

func counted(metric *dto.Metric) uint64 { return uint64(metric.GetCounter().GetValue()) }

// Errors asks the node for a job's latest errors, with their counts. A node keeps them only in memory.
func (n *Node) Errors(ctx context.Context, jobID int64) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := n.client.ListJobs(ctx, &nodev1.ListJobsRequest{})
	if err != nil {
		return nil, fmt.Errorf("list the jobs of %s: %w", n.Name(), n.reason(ctx, err))
	}
	found := map[string]uint64{}
	for _, job := range response.GetJobs() {
		if job.GetId() != jobID {
			continue
		}
		for _, e := range job.GetErrors() {
			found[e.GetMessage()] += e.GetCount()
		}
	}
	return found, nil
}
