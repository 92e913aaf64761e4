package simulation_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/simulation"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// TestMain is also the main of the tests' product.
func TestMain(m *testing.M) {
	if os.Getenv(wire.CookieKey) == productv1loop.ProductKind().Cookie {
		productv1loop.ServeProduct(newCounter(""))
		return
	}
	goleak.VerifyTestMain(m)
}

// counter is a product whose outcome is the sum of all medians so far. fault says what is wrong with it.
type counter struct {
	productv1loop.UnimplementedProductService
	reportingv1loop.UnimplementedReportingPluginFactoryService
	fault     string
	oracle    uint32
	pipelines hostservicev1.PipelineServiceClient
	asked     atomic.Uint64
	accepted  atomic.Uint64
}

// generations counts those of all plugins of a fault.
var generations atomic.Uint32

func newCounter(fault string) func(*loop.Host) productv1loop.ProductService {
	return func(*loop.Host) productv1loop.ProductService { return &counter{fault: fault} }
}

func (c *counter) DescribeProduct(context.Context,
	*productv1.DescribeProductRequest) (*productv1.DescribeProductResponse, error) {
	return &productv1.DescribeProductResponse{Product: "counter",
		OcrVersions: []productv1.OcrVersion{productv1.OcrVersion_OCR_VERSION_3}, ProviderTypes: []string{"median"}}, nil
}

func (c *counter) CreateProductFactory(_ context.Context, _ *productv1.CreateProductFactoryRequest,
	loans productv1loop.CreateProductFactoryLoans) (
	productv1loop.ProductFactory, *productv1.CreateProductFactoryResponse, error) {
	c.pipelines = loans.Pipelines
	return c, &productv1.CreateProductFactoryResponse{}, nil
}

func (c *counter) CreateOcr3Plugin(_ context.Context,
	r *reportingv1.CreateOcr3PluginRequest) (reportingv1loop.Ocr3Plugin, *reportingv1.CreateOcr3PluginResponse, error) {
	c.oracle = r.GetOracleId()
	response := &reportingv1.CreateOcr3PluginResponse{
		Product: "counter", ObservationQuorum: reportingv1.ObservationQuorum_OBSERVATION_QUORUM_CALL,
		Limits: &reportingv1.Ocr3PluginLimits{MaxObservationLength: 8, MaxOutcomeLength: 16, MaxReportLength: 16,
			MaxReportCount: 1},
	}
	switch c.fault {
	case "declares too much":
		response.Limits.MaxReportCount, response.Limits.MaxReportLength = 2000, 1<<20
	case "declares something else each time":
		response.Limits.MaxReportLength = 16 + generations.Add(1)
	case "quorum by number":
		response.ObservationQuorum = reportingv1.ObservationQuorum_OBSERVATION_QUORUM_TWO_F_PLUS_ONE
	}
	return c, response, nil
}

func (c *counter) Query(_ context.Context,
	r *reportingv1.Ocr3PluginServiceQueryRequest) (*reportingv1.Ocr3PluginServiceQueryResponse, error) {
	if c.fault == "long query" {
		return &reportingv1.Ocr3PluginServiceQueryResponse{Query: []byte{1}}, nil
	}
	return &reportingv1.Ocr3PluginServiceQueryResponse{}, nil
}

func (c *counter) Observation(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceObservationRequest) (*reportingv1.Ocr3PluginServiceObservationResponse, error) {
	if c.fault == "no observation" {
		return nil, status.Error(codes.FailedPrecondition, "there is nothing to see")
	}
	if c.fault == "asks for time" && c.asked.Add(1)%3 != 0 {
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	answer, err := c.pipelines.Run(ctx, &hostservicev1.RunRequest{RunId: fmt.Sprint(r.GetContext().GetSeqNr())})
	if err != nil {
		return nil, err
	}
	value, err := strconv.ParseUint(string(answer.GetResults()[0].GetValueJson()), 10, 64)
	if err != nil {
		return nil, err
	}
	return &reportingv1.Ocr3PluginServiceObservationResponse{Observation: binary.BigEndian.AppendUint64(nil, value)}, nil
}

func (c *counter) ValidateObservation(_ context.Context,
	r *reportingv1.Ocr3PluginServiceValidateObservationRequest) (
	*reportingv1.Ocr3PluginServiceValidateObservationResponse, error) {
	switch {
	case len(r.GetObservation().GetObservation()) != 8,
		c.fault == "validates by itself" && r.GetObservation().GetObserver() != c.oracle,
		c.fault == "validates by count" && c.asked.Add(1)%2 == 0:
		return &reportingv1.Ocr3PluginServiceValidateObservationResponse{Problem: "it has not 8 bytes"}, nil
	}
	return &reportingv1.Ocr3PluginServiceValidateObservationResponse{}, nil
}

func (c *counter) ObservationQuorum(_ context.Context,
	r *reportingv1.Ocr3PluginServiceObservationQuorumRequest) (
	*reportingv1.Ocr3PluginServiceObservationQuorumResponse, error) {
	n := len(r.GetObservations())
	reached := n >= 3
	if c.fault == "odd quorum" {
		reached = n%2 == 1
	}
	return &reportingv1.Ocr3PluginServiceObservationQuorumResponse{QuorumReached: reached}, nil
}

func (c *counter) Outcome(_ context.Context,
	r *reportingv1.Ocr3PluginServiceOutcomeRequest) (*reportingv1.Ocr3PluginServiceOutcomeResponse, error) {
	var all []uint64
	for _, o := range r.GetObservations() {
		all = append(all, binary.BigEndian.Uint64(o.GetObservation()))
	}
	slices.Sort(all)
	sum := all[len(all)/2]
	if previous := r.GetContext().GetPreviousOutcome(); len(previous) > 0 {
		sum += binary.BigEndian.Uint64(previous)
	}
	switch c.fault {
	case "reads the clock":
		sum += uint64(time.Now().UnixNano())
	case "remembers by itself":
		sum = c.asked.Add(sum)
	case "long outcome":
		return &reportingv1.Ocr3PluginServiceOutcomeResponse{Outcome: make([]byte, 17)}, nil
	case "fails an outcome":
		return nil, status.Error(codes.Internal, "division by zero")
	}
	return &reportingv1.Ocr3PluginServiceOutcomeResponse{Outcome: binary.BigEndian.AppendUint64(nil, sum)}, nil
}

func (c *counter) Reports(_ context.Context,
	r *reportingv1.Ocr3PluginServiceReportsRequest) (*reportingv1.Ocr3PluginServiceReportsResponse, error) {
	report := &reportingv1.ReportPlus{
		Report: &reportingv1.ReportWithInfo{Report: append(bytes.Clone(r.GetOutcome()), byte(r.GetSeqNr()))}}
	answer := &reportingv1.Ocr3PluginServiceReportsResponse{Reports: []*reportingv1.ReportPlus{report}}
	switch c.fault {
	case "signs its number":
		report.Report.Report[0] = byte(c.oracle)
	case "many reports":
		answer.Reports = append(answer.Reports, report)
	case "info":
		report.Report.Info = []byte{1}
	case "nobody's schedule":
		report.Schedule = schedule(9)
	case "one transmitter":
		report.Schedule = schedule(2)
	}
	return answer, nil
}

func (c *counter) ShouldAcceptAttestedReport(_ context.Context,
	r *reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportRequest) (
	*reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse, error) {
	for {
		latest := c.accepted.Load()
		if r.GetSeqNr() <= latest {
			return &reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse{}, nil
		}
		if c.accepted.CompareAndSwap(latest, r.GetSeqNr()) {
			return &reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse{ShouldAccept: true}, nil
		}
	}
}

func (c *counter) ShouldTransmitAcceptedReport(context.Context,
	*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportRequest) (
	*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse, error) {
	return &reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse{ShouldTransmit: true}, nil
}

func schedule(oracle uint32) *reportingv1.TransmissionSchedule {
	return &reportingv1.TransmissionSchedule{Transmitters: []uint32{oracle},
		Delays: []*durationpb.Duration{durationpb.New(time.Second)}}
}

func run(t *testing.T, fault string, s simulation.Settings) (*simulation.Result, error) {
	t.Helper()
	if len(s.Command) == 0 {
		plugin := productv1loop.ProductPlugin(newCounter(fault))
		s.InProcess = &plugin
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return simulation.Run(ctx, s)
}

// sums computes the outcomes independently of the product.
func sums(t *testing.T, result *simulation.Result) {
	t.Helper()
	var sum uint64
	for i, o := range result.Outcomes {
		var all []uint64
		for _, observation := range o.Observations {
			all = append(all, binary.BigEndian.Uint64(observation.GetObservation()))
		}
		slices.Sort(all)
		sum += all[len(all)/2]
		if got := binary.BigEndian.Uint64(o.Outcome); got != sum || o.SeqNr != uint64(i+1) {
			t.Errorf("outcome %d has seq_nr %d and sum %d; want %d", i+1, o.SeqNr, got, sum)
		}
	}
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]simulation.Settings{
		"quiet":     {Outcomes: 50},
		"disturbed": {Outcomes: 200, Lose: 0.1, Double: 0.2, Garble: 0.3, Restart: 0.05, Seed: 7},
		"one":       {N: 1, F: 0, Outcomes: 5},
		"large":     {N: 31, F: 10, Outcomes: 5, Lose: 0.05, Garble: 0.1},
		"processes": {Outcomes: 20, Lose: 0.05, Double: 0.2, Garble: 0.3, Restart: 0.02, Command: []string{os.Args[0]}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := run(t, "quorum by number", s)
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Outcomes) != s.Outcomes || result.Attempts < s.Outcomes || len(result.Errors) > 0 {
				t.Errorf("%d outcomes in %d rounds, errors %q", len(result.Outcomes), result.Attempts, result.Errors)
			}
			for what, c := range map[string]struct {
				chance float64
				count  int
			}{"lost": {s.Lose, result.Lost}, "doubled": {s.Double, result.Doubled}, "garbled": {s.Garble, result.Garbled},
				"restarted": {s.Restart, result.Restarts}} {
				if (c.chance > 0) != (c.count > 0) {
					t.Errorf("%d times something was %s, by a chance of %g", c.count, what, c.chance)
				}
			}
			if s.Garble == 0 {
				sums(t, result)
			}
			for _, o := range result.Outcomes {
				if len(o.Transmitted) != 1 || len(o.Transmitted[0]) == 0 {
					t.Errorf("seq_nr %d: transmitted by %v", o.SeqNr, o.Transmitted)
				}
			}
		})
	}
}

// A simulation is repeated by its seed.
func TestSameSeed(t *testing.T) {
	t.Parallel()
	s := simulation.Settings{Lose: 0.2, Double: 0.2, Garble: 0.2, Restart: 0.1, Seed: 3}
	first, err := run(t, "", s)
	if err != nil {
		t.Fatal(err)
	}
	second, err := run(t, "", s)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(first, second, protocmp.Transform()); d != "" {
		t.Errorf("the same seed gave (-first +second):\n%s", d)
	}
	s.Seed++
	if third, err := run(t, "", s); err != nil || cmp.Equal(first, third, protocmp.Transform()) {
		t.Errorf("another seed gave the same, error %v", err)
	}
}

// Each thing that OCR3 does not allow is found.
func TestFaults(t *testing.T) {
	t.Parallel()
	disturbed := simulation.Settings{Double: 0.5, Restart: 0.1}
	for fault, want := range map[string]string{
		"reads the clock":     "Outcome must be pure",
		"remembers by itself": "Outcome must be pure",
		"long outcome":        "Outcome answered 17 bytes; the plugin declared at most 16",
		"fails an outcome":    "division by zero",
		"signs its number":    "Reports must be pure",
		"many reports":        "answered 2 reports; the plugin declared at most 1",
		"info":                "Reports with an info answered 1 bytes; the plugin declared at most 0",
		"nobody's schedule":   "transmitters[0]: is 9",
		"odd quorum":          "ObservationQuorum of oracle",
		"validates by itself": "the network rests", // no leader gathers more than its own
		"validates by count":  "ValidateObservation of oracle",
		"no observation": "the network rests at seq_nr 1: 100 rounds in a row came to nothing; the " +
			"latest error is Observation of oracle",
		"long query":                        "Query answered 1 bytes; the plugin declared at most 0",
		"declares too much":                 "max_report_count 2000",
		"declares something else each time": "a network counts on the first answer",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, fault, disturbed)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v; want %q", err, want)
			}
		})
	}
	for _, borne := range []string{"", "asks for time", "one transmitter"} {
		result, err := run(t, borne, disturbed)
		if err != nil || len(result.Errors) > 0 {
			t.Errorf("a product that %s: error %v, %q", borne, err, result.Errors)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]simulation.Settings{
		"one of a command and an in-process plugin": {Command: []string{"a"}, InProcess: &loop.Plugin{}},
		"no network of 3 oracles of which 1":        {N: 3, F: 1, Command: []string{"a"}},
		"no network of 32 oracles":                  {N: 32, F: 1, Command: []string{"a"}},
		"no network of 0 oracles of which 1":        {F: 1, Command: []string{"a"}},
		"check the command":                         {Command: []string{"/nowhere/at/all"}},
	} {
		if _, err := simulation.Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q", err, want)
		}
	}
}
