package node

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/loop-plugins/loop/host/internal/build"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// labelJobID distinguishes the series of jobs. The other labels of a job are on loop_job_info, which is joined by it.
const labelJobID = "job_id"

var (
	jobInfoDesc = desc("loop_job_info",
		"1 for each job, with what it is: joined by job_id, and with relayers' metrics by relay, chain_id and contract, or "+
			"account, which sends its reports. The configuration's digest is empty while none runs.",
		labelJobID, "job_name", "external_job_id", "type", "relay", "chain_id", "contract", "account", "config_digest",
		"isolated")
	roundDesc = desc("loop_job_round_timestamp_seconds",
		"When libocr last asked for an observation of the job, since 1970; absent before the first.",
		labelJobID)
	observationDesc = desc("loop_job_observation",
		"Newest value that this node observed for the job, in the answer's unit; absent while its source fails.",
		labelJobID)
	observationsDesc = desc("loop_job_observations_total",
		"Observations that libocr asked of the job, by outcome: ok or fault.",
		labelJobID, "outcome")
	reportsDesc = desc("loop_job_reports_total",
		"Reports that this node handed to the relayer when its turn came, by outcome: ok or fault.",
		labelJobID, "outcome")
	reportDesc = desc("loop_job_report_timestamp_seconds",
		"When this node last handed a report to the relayer, since 1970; absent before the first.",
		labelJobID)
	delayDesc = desc("loop_job_report_delay_seconds",
		"Of OCR2: from when libocr asked for a round's observation to when the relayer took its report; absent before the "+
			"first.",
		labelJobID)
	peersDesc = desc("loop_job_peers",
		"Oracles of the contract's configuration beside this node; absent while there is none.",
		labelJobID)
	heardDesc = desc("loop_job_peers_heard",
		"Those of them that sent something for the job in the last 15 s, or in five rounds if they are longer.",
		labelJobID)
	clockDesc = desc("loop_job_clock_offset_seconds",
		"Of medians: by how much this node's clock was ahead of most other oracles' in the newest round; absent before "+
			"the first.",
		labelJobID)
	databaseSizeDesc = desc("loop_database_size_bytes",
		"What the node's database takes on disk, with the log of what is not in its file yet.")
	databaseErrorsDesc = desc("loop_database_errors_total",
		"Reads and writes that failed by the fault of the database's file or disk.")
	jobStateDesc = desc("loop_job_state",
		"Which of its states a job is in: 1 for that, 0 for the others.",
		labelJobID, "job_name", labelState)
	chainStateDesc = desc("loop_chain_state",
		"Which of its states a chain is in, as a process of its relayer serves it: 1 for that, 0 for the others.",
		"plugin", "relay", "chain_id", labelState)
	pluginStateDesc = desc("loop_plugin_state",
		"Which of its states a plugin is in: 1 for that, 0 for the others.",
		"plugin", labelState)
	bridgeStateDesc = desc("loop_bridge_state",
		"Which of its states a bridge is in that a job uses: 1 for that, 0 for the others.",
		"bridge", labelState)
	configurationStateDesc = desc("loop_configuration_state",
		"Which of its states the configuration is in, as it was read again last: 1 for that, 0 for the others.",
		labelState)
	databaseStateDesc = desc("loop_database_state",
		"Which of its states the database is in: 1 for that, 0 for the others.",
		labelState)
)

// labelState has a state's name: running, degraded, waiting or failed.
const labelState = "state"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// collector asks the node's parts for their metrics at each scrape, so that a part that has gone has none.
type collector struct{ node *Node }

// Describe implements prometheus.Collector.
func (collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		jobInfoDesc, roundDesc, observationDesc, observationsDesc, reportsDesc, reportDesc, delayDesc, peersDesc, heardDesc,
		clockDesc, databaseSizeDesc, databaseErrorsDesc,
		jobStateDesc, chainStateDesc, pluginStateDesc, bridgeStateDesc, databaseStateDesc, configurationStateDesc,
	} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	if size, err := c.node.database.Size(); err == nil { // of a file that cannot be looked at, the errors tell
		metrics <- prometheus.MustNewConstMetric(databaseSizeDesc, prometheus.GaugeValue, float64(size))
	}
	metrics <- prometheus.MustNewConstMetric(databaseErrorsDesc, prometheus.CounterValue,
		float64(c.node.database.Faults()))
	c.states(metrics)
	for _, r := range c.node.jobs.list() {
		r.info(metrics)
		if r.oracle != nil {
			r.collect(metrics, time.Now())
		}
	}
}

// states reports the states of the present parts, as of the last look at them.
func (c collector) states(metrics chan<- prometheus.Metric) {
	n := c.node
	tell := func(id partID, desc *prometheus.Desc, labels ...string) {
		part, known := n.states.of(id)
		if !known {
			return
		}
		for _, level := range health.Levels() {
			value := 0.0
			if level == part.Level {
				value = 1
			}
			of := append(slices.Clone(labels), level.String())
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, of...)
		}
	}
	tell(databasePart(), databaseStateDesc)
	tell(configurationPart(), configurationStateDesc)
	for _, p := range n.runtime.Plugins() {
		tell(pluginPart(p.Name()), pluginStateDesc, p.Name())
	}
	for plugin, r := range n.plugins.running() {
		for id := range r.all() {
			tell(chainPart(plugin, id), chainStateDesc, plugin, r.relayer.Relay(), id)
		}
	}
	jobs := n.jobs.list()
	for _, bridge := range bridgesOf(jobs) {
		tell(bridgePart(bridge), bridgeStateDesc, bridge)
	}
	for _, r := range jobs {
		tell(jobPart(r.stored.ID), jobStateDesc, r.id(), r.stored.Name)
	}
}

// info describes the job. Nothing is known of a job whose spec nobody can read any more.
func (r *running) info(metrics chan<- prometheus.Metric) {
	var kind, relay, chain, contract, account, digest string
	isolated := false
	if s := r.spec; s != nil {
		kind, relay, chain, isolated = s.Type, s.Relay, s.ChainID, s.Isolated
		contract, account = cmp.Or(s.Validation.GetContractKey(), s.ContractID), s.Account()
	}
	if r.oracle != nil {
		digest = r.oracle.Facts().Running
	}
	metrics <- prometheus.MustNewConstMetric(jobInfoDesc, prometheus.GaugeValue, 1,
		r.id(), r.stored.Name, r.stored.ExternalID, kind, relay, chain, contract, account, digest,
		strconv.FormatBool(isolated))
}

// collect reports the metrics of the job.
func (r *running) collect(metrics chan<- prometheus.Metric, now time.Time) {
	facts, id := r.oracle.Facts(), r.id()
	gauge := func(desc *prometheus.Desc, value float64) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, id)
	}
	instant := func(desc *prometheus.Desc, at time.Time) {
		if !at.IsZero() {
			gauge(desc, float64(at.UnixMilli())/1000)
		}
	}
	if len(facts.Heard) > 0 {
		gauge(peersDesc, float64(len(facts.Heard)))
		gauge(heardDesc, float64(facts.Peers(now)))
	}
	if facts.Bootstrap {
		return // it makes no rounds
	}
	instant(roundDesc, facts.Round)
	instant(reportDesc, facts.Transmission.Good)
	if !facts.Compared.IsZero() {
		gauge(clockDesc, facts.Ahead.Seconds())
	}
	if facts.Delay > 0 {
		gauge(delayDesc, facts.Delay.Seconds())
	}
	if newest := r.oracle.Observed(); newest.GetValue() != nil {
		value, _ := wire.Int(newest.GetValue()).Float64()
		gauge(observationDesc, value)
	}
	attempts := func(desc *prometheus.Desc, a health.Attempts) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(a.Well), id, outcomeOK)
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(a.Ill), id, outcomeFault)
	}
	attempts(observationsDesc, facts.Observation)
	attempts(reportsDesc, facts.Transmission)
}

// id is the job's in labels.
func (r *running) id() string { return strconv.FormatInt(r.stored.ID, 10) }

// The values of the label outcome.
const (
	outcomeOK    = "ok"
	outcomeFault = "fault"
)

func outcomeOf(err error) string {
	if err != nil {
		return outcomeFault
	}
	return outcomeOK
}

// buildInfo is what runs.
func buildInfo(version string) prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "loop_build_info",
		Help: "1, with the node's version, the commit that it was built from, and the version of Go.",
	}, []string{"version", "revision", "goversion"})
	g.WithLabelValues(version, build.Commit(), runtime.Version()).Set(1)
	return g
}

// sources are the metrics of what pipelines ask.
type sources struct {
	tasks    *prometheus.CounterVec
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec

	mu      sync.Mutex
	bridges map[string]*health.Attempts // by name
}

func newSources(registerer prometheus.Registerer) *sources {
	s := &sources{
		bridges: map[string]*health.Attempts{},
		tasks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_task_runs_total",
			Help: "Tasks of all jobs' pipelines that ran, by type and outcome: ok, or fault, also of one whose input failed.",
		}, []string{"type", "outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_bridge_requests_total", Help: "Requests to each bridge, by outcome: ok or fault.",
		}, []string{"bridge", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "loop_bridge_request_duration_seconds", Help: "How long requests to each bridge took.",
			// From an adapter beside the node to a task's default timeout.
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"bridge"}),
	}
	registerer.MustRegister(s.tasks, s.requests, s.took)
	return s
}

func (s *sources) ended(task pipeline.Task, _ time.Duration, err error) {
	s.tasks.WithLabelValues(task.Type, outcomeOf(err)).Inc()
}

// asked notes a request to a bridge, whose name has one meaning in any letters.
func (s *sources) asked(bridge string, took time.Duration, err error) {
	bridge = strings.ToLower(bridge)
	s.requests.WithLabelValues(bridge, outcomeOf(err)).Inc()
	s.took.WithLabelValues(bridge).Observe(took.Seconds())
	if errors.Is(err, context.Canceled) {
		return // the run has ended, which says nothing of the bridge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bridges[bridge] == nil {
		s.bridges[bridge] = &health.Attempts{}
	}
	s.bridges[bridge].Note(time.Now(), err)
}

// requestsTo are how those to a bridge went.
func (s *sources) requestsTo(bridge string) health.Attempts {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.bridges[bridge]; a != nil {
		return *a
	}
	return health.Attempts{}
}

// forget ends the series of a bridge that is removed.
func (s *sources) forget(bridge string) {
	of := prometheus.Labels{"bridge": strings.ToLower(bridge)}
	s.requests.DeletePartialMatch(of)
	s.took.DeletePartialMatch(of)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bridges, strings.ToLower(bridge))
}
