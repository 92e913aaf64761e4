package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
	"github.com/loop-plugins/loop/host/internal/oracle/ocr3"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
)

// ocr3Config is a configuration of the nodes as oracles on OCR3. Epochs are short enough for a node that starts late,
// which takes part from the next one on. An epoch that makes no progress lasts for long: a plugin that dies comes back
// in it, and in the time for decisions, also on a busy machine.
func ocr3Config(t *testing.T, nodes ...*keystore.Keystore) types.ContractConfig {
	t.Helper()
	oracles, _ := identities(nodes)
	initialization := time.Minute
	signers, transmitters, f, onchain, version, offchain, err := ocr3confighelper.ContractSetConfigArgsForTests(
		10*time.Second, 500*time.Millisecond, 500*time.Millisecond, 200*time.Millisecond, 50*time.Millisecond,
		500*time.Millisecond, time.Second,
		100, []int{1, 1, 1, 1}, oracles, nil, &initialization, 0, 400*time.Millisecond, 20*time.Second, 20*time.Second, 1,
		nil,
	)
	if err != nil {
		t.Fatal(err)
	}
	return types.ContractConfig{
		Signers: signers, Transmitters: transmitters, F: f, OnchainConfig: onchain, OffchainConfigVersion: version,
		OffchainConfig: offchain,
	}
}

// productNetwork is four nodes with a product each, and a contract that they share.
type productNetwork struct {
	t          *testing.T
	contract   *aggregator
	nodes      []*testNode
	settings   []Settings
	registries []*prometheus.Registry
	oracles    []*Oracle
}

// newProductNetwork gives the product of each node one of the modes.
func newProductNetwork(t *testing.T, version int, modes ...string) *productNetwork {
	t.Helper()
	n := &productNetwork{t: t, contract: newAggregator()}
	n.contract.verify = func(signer types.OnchainPublicKey, at types.ReportContext, report types.Report,
		signature []byte) bool {
		asked, err := hashed(
			t.Context(),
			&relayerv1.ReportToDigest{ReportContext: ocr2.ReportContextTo(at), Report: report},
		)
		return err == nil && keystore.Secp256k1.VerifyReport(signer, asked.GetDigests()[0].GetMessage(), signature)
	}
	var keys []*keystore.Keystore
	var locators []string
	for _, mode := range modes {
		node := newNode(t, nodeSettings{contract: n.contract, inProcess: inProcess(&fakeMedian{})})
		node.launchProcess(mode)
		n.nodes = append(n.nodes, node)
		keys, locators = append(keys, node.keys), append(locators, node.locator())
	}
	if version == 3 {
		n.contract.setConfig(ocr3Config(t, keys...))
	} else {
		n.contract.setConfig(contractConfig(t, keys...))
	}
	for _, node := range n.nodes {
		s, registry := node.productJob(version, locators...), prometheus.NewRegistry()
		s.Metrics = NewMetrics(registry)
		n.settings, n.registries = append(n.settings, s), append(n.registries, registry)
	}
	return n
}

// start starts all oracles, and end ends them at once.
func (n *productNetwork) start() {
	n.t.Helper()
	n.oracles = nil
	for i, node := range n.nodes {
		n.oracles = append(n.oracles, node.start(n.settings[i]))
	}
}

func (n *productNetwork) end() {
	var all sync.WaitGroup
	for _, o := range n.oracles {
		all.Go(o.Close)
	}
	all.Wait()
}

func (n *productNetwork) more(what string, reports int) {
	n.t.Helper()
	from := n.contract.count()
	eventually(n.t, what, func() bool { return n.contract.count() >= from+reports })
}

// counted are the values of a counter at all nodes.
func (n *productNetwork) counted(name string) []float64 {
	n.t.Helper()
	var all []float64
	for _, registry := range n.registries {
		families, err := registry.Gather()
		if err != nil {
			n.t.Fatal(err)
		}
		sum := 0.0
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				if family.GetName() == name {
					sum += metric.GetCounter().GetValue()
				}
			}
		}
		all = append(all, sum)
	}
	return all
}

// TestProductOnOCR3 runs four oracles on libocr's own network, each with a product in a process of its own: while the
// products die under the calls of a round, and across the end of all nodes at once.
func TestProductOnOCR3(t *testing.T) {
	var modes []string
	for _, method := range []string{"Observation", "ValidateObservation", "Outcome", "Reports"} {
		modes = append(modes, "die:"+method+":"+filepath.Join(t.TempDir(), "died"))
	}
	n := newProductNetwork(t, 3, modes...)
	n.start()
	n.more("the first reports", 3)
	for i, node := range n.nodes {
		eventually(t, "the relaunch of a product", func() bool { return node.product.Status().Generation >= 2 })
		votes := n.counted("loop_ocr3_outcomes_total")[i]
		eventually(t, "votes of the oracle whose product died", func() bool {
			return n.counted("loop_ocr3_outcomes_total")[i] >= votes+3
		})
	}
	n.nodes[0].price.set("200")
	n.nodes[1].price.set("200")
	n.nodes[2].price.set("200")
	eventually(t, "the new price", func() bool {
		n.contract.mu.Lock()
		defer n.contract.mu.Unlock()
		return n.contract.answer.Int64() == 200
	})
	n.nodes[3].price.Close()
	eventually(t, "the state of a node that sees nothing", func() bool {
		return n.oracles[3].Facts().State(time.Now()).Cause == "observations fail"
	})
	for i, o := range n.oracles[:3] {
		if state := o.Facts().State(time.Now()); state.Level != health.Running || o.Failed() != "" {
			t.Errorf("oracle %d: %+v, failed %q", i, state, o.Failed())
		}
		// Only the product knows what was observed. When this node sent a report is told.
		for _, round := range o.Observations(t.Context(), 100) {
			if round.GetValue() != nil || round.GetAnswer() != nil || round.GetSentAt() == nil {
				t.Errorf("oracle %d: round %v", i, round)
			}
		}
		runs, _, err := o.settings.History.Runs(t.Context(), 0, 100, false)
		if err != nil || !slices.ContainsFunc(runs, func(r *history.Run) bool {
			return r.Source == "observationSource" && r.Trace.Value == "" && r.Trace.Result != nil
		}) {
			t.Errorf("oracle %d: runs %+v, %v", i, runs, err)
		}
		if facts := o.Facts(); facts.Interval != 200*time.Millisecond || facts.Members == nil || !facts.Members.Signer {
			t.Errorf("oracle %d: facts %+v", i, facts)
		}
	}
	if lost := n.counted("loop_ocr3_lost_total"); cmp.Diff(make([]float64, 4), lost) != "" {
		for _, o := range n.oracles {
			t.Error(o.Errors())
		}
		t.Errorf("lost at the nodes: %v", lost)
	}
	for _, name := range []string{"loop_ocr3_reports_total", "loop_ocr3_epochs_total"} {
		for i, count := range n.counted(name) {
			if count < 1 {
				t.Errorf("node %d: %s is %g", i, name, count)
			}
		}
	}
	// The end of all at once loses no outcome, and nothing that is repeated after it has an effect.
	n.end()
	n.contract.mu.Lock()
	before, handed := n.contract.latest.Epoch, len(n.contract.handed)
	n.contract.mu.Unlock()
	n.start()
	n.more("reports after the end of all nodes", 3)
	n.end()
	n.contract.mu.Lock()
	defer n.contract.mu.Unlock()
	for _, again := range n.contract.handed[handed:] {
		if again.Epoch < before {
			t.Errorf("after the end of all nodes at outcome %d there is a report of outcome %d", before, again.Epoch)
		}
	}
	last := uint32(0)
	for _, landed := range n.contract.transmissions {
		if landed.at.Epoch <= last || landed.at.Round != 0 {
			t.Errorf("after a report of outcome %d one of %+v has an effect", last, landed.at)
		}
		last = landed.at.Epoch
	}
	for _, node := range n.nodes {
		if objects := node.product.Status().Objects; len(objects) > 0 {
			t.Errorf("after the end the product still has %v", objects)
		}
	}
}

func TestProductOnOCR2(t *testing.T) {
	n := newProductNetwork(t, 2, make([]string, 4)...)
	n.start()
	n.more("reports of a product on OCR2", 3)
	for _, node := range n.nodes {
		if err := syscall.Kill(node.product.Status().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		node.price.set("300")
	}
	eventually(t, "the new price", func() bool {
		n.contract.mu.Lock()
		defer n.contract.mu.Unlock()
		return n.contract.answer.Int64() == 300
	})
	for i, o := range n.oracles {
		if o.Failed() != "" {
			t.Errorf("oracle %d: failed %q, observed %v", i, o.Failed(), o.Observations(t.Context(), 5))
		}
	}
}

func TestProductIsToldOfItsJob(t *testing.T) {
	t.Parallel()
	fake := &fakeProduct{}
	n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{})})
	n.launch(fake)
	s := n.productJob(3, n.locator())
	s.Spec.Product.ProviderType = "plugin"
	n.start(s)
	fake.mu.Lock()
	defer fake.mu.Unlock()
	want := &productv1.CreateProductFactoryRequest{
		OcrVersion: productv1.OcrVersion_OCR_VERSION_3, ProviderType: "plugin",
		PluginConfigJson: []byte(`{"pluginName":"fake"}`),
	}
	if d := cmp.Diff(want, fake.asked, protocmp.Transform(),
		protocmp.IgnoreFields(want, "name", "provider", "pipelines", "error_log")); d != "" {
		t.Errorf("the product was asked (-want +got):\n%s", d)
	}
	n.fake.mu.Lock()
	defer n.fake.mu.Unlock()
	if made := n.fake.made[0]; made.GetProviderType() != "plugin" || made.GetTransmitterId() != s.Spec.Transmitter() {
		t.Errorf("the relayer was asked for the provider %v", made)
	}
}

func TestProductThatRefuses(t *testing.T) {
	t.Parallel()
	t.Run("the job", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{})})
		n.launch(&fakeProduct{mode: "refuse-factory"})
		_, err := Start(t.Context(), n.productJob(3, n.locator()))
		if err == nil || !strings.Contains(err.Error(), "the product fake refuses the job") ||
			!strings.Contains(err.Error(), "knows no such window") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a configuration", func(t *testing.T) {
		t.Parallel()
		contract, fake := newAggregator(), &fakeProduct{mode: "refuse-config"}
		n := newNode(t, nodeSettings{contract: contract, inProcess: inProcess(&fakeMedian{})})
		n.launch(fake)
		keys := []*keystore.Keystore{n.keys}
		for range 3 {
			_, other := newKeys(t)
			keys = append(keys, other)
		}
		contract.setConfig(ocr3Config(t, keys...))
		o := n.start(n.productJob(3, n.locator()))
		eventually(t, "the failure of the job", func() bool {
			return strings.HasPrefix(o.Failed(), "the product fake refuses the configuration") &&
				strings.Contains(o.Failed(), "cannot run this")
		})
		// libocr asks again under OCR3, and what failed is past.
		fake.become("")
		eventually(t, "the end of the failure", func() bool { return o.Failed() == "" })
		if _, ok := o.ConfigDigest(); !ok {
			t.Error("no configuration runs")
		}
	})
}

func TestProductJobNeedsItsPlugin(t *testing.T) {
	t.Parallel()
	n := newNode(t, nodeSettings{contract: newAggregator(), inProcess: inProcess(&fakeMedian{})})
	s := n.productJob(3, n.locator())
	if _, err := Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "no Product") {
		t.Errorf("error %v", err)
	}
	n.launch(&fakeProduct{})
	s = n.productJob(0, n.locator()) // as long as neither the job nor its product says which
	if _, err := Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "OCRVersion") {
		t.Errorf("error %v", err)
	}
}

// TestOutcomesBeyondContracts checks where the numbers of OCR3 end on contracts of OCR2.
func TestOutcomesBeyondContracts(t *testing.T) {
	t.Parallel()
	r := testRounds(t)
	key := newKeyring(t, &fakeDigests{answer: hashed}, &bytes.Buffer{})
	a := &attester{key, r}
	report := ocr3types.ReportWithInfo[ocr3.Info]{Report: types.Report("report"), Info: []byte("not signed")}
	last := uint64(math.MaxUint32)
	signature, err := a.Sign(testDigest, last, report)
	if err != nil {
		t.Fatal(err)
	}
	want := types.ReportContext{ReportTimestamp: types.ReportTimestamp{ConfigDigest: testDigest, Epoch: math.MaxUint32}}
	if !key.Verify(key.PublicKey(), want, report.Report, signature) ||
		!a.Verify(key.PublicKey(), testDigest, last, report, signature) {
		t.Error("a report is not signed as one of OCR2")
	}
	if a.Verify(key.PublicKey(), testDigest, last-1, report, signature) ||
		a.Verify(key.PublicKey(), testDigest, last+1, report, signature) {
		t.Error("the signature holds for another outcome")
	}
	if _, err = a.Sign(testDigest, last+1, report); err == nil || !strings.Contains(err.Error(), "4294967296") {
		t.Errorf("error %v", err)
	}
	if noted := key.feed.Facts().Signature; noted.Failures != 1 || !strings.Contains(noted.Fault, "4294967295") {
		t.Errorf("noted %+v", noted)
	}
	if err = (&sender{rounds: r}).Transmit(t.Context(), testDigest, last+1, report, nil); err == nil ||
		!strings.Contains(err.Error(), "4294967295") {
		t.Errorf("error %v", err)
	}
	if a.Verify(key.PublicKey(), testDigest, last, report, []byte("wrong")) {
		t.Error("a wrong signature holds") // and is the fault of its oracle
	}
	if d := testutil.CollectAndCompare(r.lost, strings.NewReader(`
# HELP loop_ocr3_lost_total Calls of libocr that came to nothing at the job's oracle, each of which costs it a vote, a round or a report.
# TYPE loop_ocr3_lost_total counter
loop_ocr3_lost_total{call="Sign",job_id="7"} 1
loop_ocr3_lost_total{call="Transmit",job_id="7"} 1
loop_ocr3_lost_total{call="Verify",job_id="7"} 1
`)); d != nil {
		t.Error(d)
	}
}

// handed counts what a relayer is handed.
type handed struct {
	types.ContractTransmitter
	reports []string
}

func (h *handed) Transmit(_ context.Context, at types.ReportContext, report types.Report,
	_ []types.AttributedOnchainSignature) error {
	h.reports = append(h.reports, fmt.Sprint(at.Epoch, " ", string(report)))
	return nil
}

// TestSecondReportOfAnOutcome holds that it is not said to be handed over: the relayer takes it for the first.
func TestSecondReportOfAnOutcome(t *testing.T) {
	t.Parallel()
	relayer := &handed{}
	s := &sender{transmitter: relayer, rounds: testRounds(t)}
	transmit := func(digest types.ConfigDigest, seqNr uint64, report string) error {
		return s.Transmit(t.Context(), digest, seqNr, ocr3types.ReportWithInfo[ocr3.Info]{Report: types.Report(report)}, nil)
	}
	for seqNr := uint64(1); seqNr <= 2*rememberedOutcomes; seqNr++ {
		if err := transmit(testDigest, seqNr, "first"); err != nil {
			t.Fatal(err)
		}
	}
	relayer.reports = nil
	if err := transmit(testDigest, 200, "second"); err == nil || !strings.Contains(err.Error(), "the outcome 200 of") {
		t.Errorf("of a second report libocr is told %v", err)
	}
	if err := errors.Join(transmit(testDigest, 200, "first"), transmit(types.ConfigDigest{1}, 200, "second")); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"200 first", "200 second"}, relayer.reports); d != "" {
		t.Errorf("handed over (-want +got):\n%s", d)
	}
	if got := testutil.ToFloat64(s.rounds.lost.WithLabelValues("Transmit")); got != 1 {
		t.Errorf("%v reports are counted as lost; want 1", got)
	}
	for seqNr := range uint64(3 * rememberedOutcomes) {
		_ = transmit(testDigest, seqNr, "first")
	}
	if len(s.first) > rememberedOutcomes+1 {
		t.Errorf("%d outcomes are remembered", len(s.first))
	}
}

// testRounds are rounds of a job that goes on.
func testRounds(t *testing.T) *rounds {
	t.Helper()
	slog, _ := newLogger(t)
	return newRounds(NewMetrics(prometheus.NewRegistry()), 7, feed.New(false), &logger{slog: slog},
		func() bool { return false })
}

func TestLosses(t *testing.T) {
	t.Parallel()
	r := testRounds(t)
	told := hostservice.NewErrorLog()
	r.logger.record = told.Record
	over, cancel := context.WithCancel(t.Context())
	cancel()
	r.Lost(t.Context(), "Observation", fmt.Errorf("libocr logs this")) // as it does
	if len(told.Latest()) != 0 {
		t.Errorf("told %v", told.Latest())
	}
	r.Lost(over, "Observation", fmt.Errorf("the plugin is away"))
	if latest := told.Latest(); len(latest) != 1 ||
		!strings.Contains(latest[0].Message, "Observation did not end before its epoch: the plugin is away") {
		t.Errorf("told %v", latest)
	}
	r.ended = func() bool { return true }
	r.Lost(over, "Observation", fmt.Errorf("the job ends"))
	if got := testutil.ToFloat64(r.lost.WithLabelValues("Observation")); got != 2 {
		t.Errorf("%g are lost; want 2", got)
	}
}

// TestOutcomesAndReportsThatAreLost holds that a product of OCR3 that fails each outcome, or each call for reports, is
// known to fail, and that it is not once it answers.
func TestOutcomesAndReportsThatAreLost(t *testing.T) {
	t.Parallel()
	r := testRounds(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		r.Lost(t.Context(), "Query", errors.New("none")) // costs this oracle no report
		r.Lost(t.Context(), "Outcome", status.Error(codes.Internal, "no median"))
		r.Lost(over, "Reports", errors.New("the codec waits"))
	}
	f := r.feed.Facts()
	if f.Outcome.Failures != 3 || f.Outcome.Fault != "no median" || f.Report.Failures != 3 ||
		f.Report.Fault != "Reports did not end before its epoch: the codec waits" {
		t.Errorf("noted %+v and %+v", f.Outcome, f.Report)
	}
	r.Voted()
	r.Reported(9, 0) // no report is due
	if f = r.feed.Facts(); f.Outcome.Fault != "" || f.Report.Fault != "" {
		t.Errorf("noted %+v and %+v", f.Outcome, f.Report)
	}
	r.ended = func() bool { return true }
	r.Lost(over, "Outcome", errors.New("the job ends"))
	if f = r.feed.Facts(); f.Outcome.Fault != "" {
		t.Errorf("noted %+v at the job's end", f.Outcome)
	}
}

func TestEpochsAreCounted(t *testing.T) {
	t.Parallel()
	r := testRounds(t)
	for _, step := range []struct{ epoch, want uint64 }{
		{7, 1}, {7, 1}, {8, 2}, {11, 5}, // two led to no round here
		{1, 6}, {2, 7}, // of the next configuration
	} {
		r.Asked(step.epoch)
		if got := testutil.ToFloat64(r.epochs); got != float64(step.want) {
			t.Errorf("after epoch %d: %g; want %d", step.epoch, got, step.want)
		}
	}
}

// TestReportsAreAwaited holds that the contract is asked what it has taken once an outcome has a report.
func TestReportsAreAwaited(t *testing.T) {
	t.Parallel()
	r := testRounds(t)
	r.feed.Landed(6, 0)
	if r.Reported(7, 0); r.feed.Awaits() {
		t.Error("an outcome without a report is awaited")
	}
	if r.Reported(8, 2); !r.feed.Awaits() {
		t.Error("an outcome with reports is not awaited")
	}
	if r.feed.Landed(8, 0); r.feed.Awaits() {
		t.Error("an outcome is awaited that has landed")
	}
	if got := testutil.ToFloat64(r.reports); got != 2 {
		t.Errorf("%g reports are counted; want 2", got)
	}
}

// TestStatesThatAreNotWritten holds that the loss of a round to the disk is counted.
func TestStatesThatAreNotWritten(t *testing.T) {
	t.Parallel()
	d, _ := newKeys(t)
	r := testRounds(t)
	s := &states{d.OCR3(77), r} // there is no such job
	if err := s.WriteProtocolState(t.Context(), testDigest, "cert", []byte{1}); err == nil {
		t.Fatal("no error")
	}
	if got := testutil.ToFloat64(r.lost.WithLabelValues("WriteProtocolState")); got != 1 {
		t.Errorf("%g are lost; want 1", got)
	}
}
