package oracle

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// labelJobID tells the series of jobs apart.
const labelJobID = "job_id"

// Metrics are what the oracles of all jobs count. Series go with their job.
type Metrics struct {
	// Of jobs on OCR3.
	outcomes, reports, epochs, lost *prometheus.CounterVec

	libocr *libocrSeries
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help},
			append([]string{labelJobID}, labels...))
	}
	m := &Metrics{
		outcomes: counter("loop_ocr3_outcomes_total",
			"Outcomes that the job's oracle has computed, each of which is a vote."),
		reports: counter("loop_ocr3_reports_total", "Reports that the job's oracle has made of outcomes agreed on."),
		epochs: counter("loop_ocr3_epochs_total",
			"Epochs that have begun since the job's oracle took part in its first round."),
		lost: counter("loop_ocr3_lost_total",
			"Calls of libocr that came to nothing at the job's oracle, each of which costs it a vote, a round or a report.",
			"call"),
		libocr: &libocrSeries{all: map[seriesID]*series{}},
	}
	registerer.MustRegister(m.outcomes, m.reports, m.epochs, m.lost, m.libocr)
	return m
}

// forget ends the series of a job that ends. libocr takes its own back.
func (m *Metrics) forget(job int64) {
	of := prometheus.Labels{labelJobID: strconv.FormatInt(job, 10)}
	for _, vector := range []*prometheus.CounterVec{m.outcomes, m.reports, m.epochs, m.lost} {
		vector.DeletePartialMatch(of)
	}
}

// needless are prefixes of names of series that libocr counts and no scrape needs. One kind is the parameters of the
// contract's configuration, which do not change while loop_job_info has the same digest. The other is messages of
// telemetry, which nobody collects. They were 16 of 22 series of each job.
var needless = []string{"ocr2_config_", "ocr3_config_", "ocr_telemetry_"}

// libocrSeries are libocr's series of all jobs. libocr labels each series with a configuration's digest and the node's
// key, which loop_job_info and the list of keys have, and describes each series anew at every scrape. With 200 feeds
// this was most of a scrape's size and time. So each series is described once, with its job as the only label.
type libocrSeries struct {
	mu  sync.Mutex
	all map[seriesID]*series
}

type seriesID struct {
	job  int64
	name string
}

// Describe implements prometheus.Collector. What libocr counts is known when it does.
func (l *libocrSeries) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (l *libocrSeries) Collect(metrics chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		metrics <- s
	}
}

// series is one of a job.
type series struct {
	prometheus.Metric // libocr's, which knows the value

	desc   *prometheus.Desc
	labels []*dto.LabelPair
}

// Desc implements prometheus.Metric.
func (s *series) Desc() *prometheus.Desc { return s.desc }

// Write implements prometheus.Metric.
func (s *series) Write(to *dto.Metric) error {
	err := s.Metric.Write(to)
	to.Label = s.labels
	return err
}

// jobRegisterer takes what libocr counts of one job.
type jobRegisterer struct {
	*libocrSeries
	job int64
}

// Register implements prometheus.Registerer.
func (r jobRegisterer) Register(c prometheus.Collector) error {
	name, help, err := identify(c)
	if err != nil {
		return err
	}
	for _, prefix := range needless {
		if strings.HasPrefix(name, prefix) {
			return nil
		}
	}
	metrics := make(chan prometheus.Metric, 1) // as many as identify has found
	c.Collect(metrics)
	label, job := labelJobID, strconv.FormatInt(r.job, 10)
	r.mu.Lock()
	defer r.mu.Unlock()
	id := seriesID{r.job, name}
	if r.all[id] != nil {
		return fmt.Errorf("job %s counts %s already", job, name)
	}
	r.all[id] = &series{
		Metric: <-metrics, desc: prometheus.NewDesc(name, help, []string{labelJobID}, nil),
		labels: []*dto.LabelPair{{Name: &label, Value: &job}},
	}
	return nil
}

// MustRegister implements prometheus.Registerer.
func (r jobRegisterer) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (r jobRegisterer) Unregister(c prometheus.Collector) bool {
	name, _, err := identify(c)
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.all)
	delete(r.all, seriesID{r.job, name})
	return len(r.all) < before
}

// identify finds out what a collector of one series counts. A registry tells, and a prometheus.Desc does not.
func identify(c prometheus.Collector) (name, help string, err error) {
	registry := prometheus.NewRegistry()
	if err := registry.Register(c); err != nil {
		return "", "", err
	}
	families, err := registry.Gather()
	if err != nil {
		return "", "", err
	}
	if len(families) != 1 || len(families[0].GetMetric()) != 1 {
		return "", "", fmt.Errorf("a collector of libocr has %d families of series; those of a job have one, with one series",
			len(families))
	}
	return families[0].GetName(), families[0].GetHelp(), nil
}
