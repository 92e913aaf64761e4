package oracle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loophost"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/oracle/deadline"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
	"github.com/loop-plugins/loop/host/internal/oracle/making"
	"github.com/loop-plugins/loop/host/internal/oracle/ocr3"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

var (
	_ types.ReportingPluginFactory = (*factory)(nil)
	_ types.ReportingPlugin        = (*plugin)(nil)
)

const (
	// initShare is the part of the time for initialization that the product has, in percent. The rest is for reading the
	// bounds that replace its answer.
	initShare = 80
	// releaseTimeout bounds the release of one object at the end of a configuration or a job.
	releaseTimeout = 2 * time.Second
	// noteTimeout bounds the storing of what an instance declared, and the reading of it.
	noteTimeout = 2 * time.Second
)

// medianBounds are bounds that every median keeps on every chain, for a configuration whose median has not answered
// yet. They are at least as large as those of any median: libocr refuses a message above its limits, and a smaller
// message does no harm.
//
// No query (libocr's numerical median has none). Observations of 4 bytes of time, three values of 24 bytes and 16 of
// encoding (maxObservationLength in libocr's offchainreporting2/reportingplugin/median). Reports of 5 words of 32 bytes
// and one for each of at most 31 oracles (the codec of libocr's own contracts; no other's report is longer).
func medianBounds() types.ReportingPluginInfo {
	return types.ReportingPluginInfo{
		Name: "NumericalMedian",
		Limits: types.ReportingPluginLimits{
			MaxQueryLength:       0,
			MaxObservationLength: 4 + 3*24 + 16,
			MaxReportLength:      32 * (5 + types.MaxOracles),
		},
	}
}

// maker is what makes a job's reporting plugins of OCR2 in the plugin of its product: a median's factory, or a
// product's.
type maker interface {
	CreateReportingPlugin(request *reportingv1.CreateReportingPluginRequest,
		options ...loophost.CreateOption) *reportingv1loophost.ReportingPlugin
}

// factory makes reporting plugins for libocr from those of the job's product. libocr does not ask twice: an error is
// final until the contract's next configuration. So it returns an error only for configurations that the product cannot
// run.
type factory struct {
	name     string // of the product, in errors, with its article
	maker    maker
	created  func(context.Context) error // waits for maker
	bounds   types.ReportingPluginInfo   // what every instance of the product keeps to
	database *database.Database
	jobID    int64
	minQuery time.Duration
	logger   *logger
	// running is called with the configuration that runs, and fail with the reason why the job does not work; empty: it
	// works again. refuse is called instead if that is so until the job is started anew with another plugin.
	running func(digest types.ConfigDigest, interval time.Duration)
	fail    func(reason string)
	refuse  func(reason string)
	feed    *feed.Recorder
	history *history.Job
	// observing is called when libocr waits for an observation.
	observing *hostservice.Rounds
	timed     bool // observations have the time of a median's
}

// NewReportingPlugin implements types.ReportingPluginFactory.
func (f *factory) NewReportingPlugin(ctx context.Context,
	config types.ReportingPluginConfig) (made types.ReportingPlugin, info types.ReportingPluginInfo, err error) {
	defer f.logger.guard("NewReportingPlugin", &err)
	f.running(config.ConfigDigest, config.EstimatedRoundInterval)
	p := &plugin{factory: f, config: config}
	p.remote = f.maker.CreateReportingPlugin(ocr2.PluginConfigTo(config), loophost.OnMade(p.made))
	info, err = f.info(ctx, p)
	if err != nil {
		_ = p.Close() // the error that matters is the one above
		return nil, types.ReportingPluginInfo{}, err
	}
	return p, info, nil
}

// info returns what libocr is told of an instance: what the instance declares, or what it declared under this
// configuration before, or what every instance of its product keeps to.
func (f *factory) info(ctx context.Context, p *plugin) (types.ReportingPluginInfo, error) {
	wait, cancel := ctx, context.CancelFunc(func() {})
	if end, ok := ctx.Deadline(); ok { // which may have passed: libocr takes any time from a configuration, and waits
		wait, cancel = deadline.Own(ctx, max(time.Until(end)*initShare/100, deadline.Floor))
	}
	defer cancel()
	// The job's factory first: while it is refused, its instances merely do not come.
	err := f.created(wait)
	var response *reportingv1.CreateReportingPluginResponse
	if err == nil {
		response, err = p.remote.Created(wait)
	}
	switch {
	case err == nil:
		declared := ocr2.PluginInfoOf(response)
		if err := checkLimits(declared.Limits, p.config.N); err != nil {
			err = fmt.Errorf("the reporting plugin of %s cannot run under the configuration %s: %w", f.name,
				p.config.ConfigDigest, err)
			f.refuse(err.Error())
			return types.ReportingPluginInfo{}, err
		}
		return p.give(declared, true), nil
	case refused(err):
		err = fmt.Errorf("%s refuses the configuration %s, and the feed rests until the contract has another, or the plugin "+
			"is replaced: %w", f.name, p.config.ConfigDigest, err)
		f.refuse(err.Error())
		return types.ReportingPluginInfo{}, err
	case deadline.Cancelled(ctx): // the job ends, or the contract has another configuration already
		return types.ReportingPluginInfo{}, ctx.Err()
	}
	f.logger.slog.Warn(f.name+" has not answered in time; the feed goes on with its known limits", "configDigest",
		p.config.ConfigDigest, "error", err)
	read, end := deadline.Own(ctx, noteTimeout)
	defer end()
	known, err := f.database.ReportingInfo(read, f.jobID, p.config.ConfigDigest)
	if err == nil {
		return p.give(known, true), nil
	}
	if !errors.Is(err, database.ErrNotFound) {
		f.logger.slog.Error("the limits of "+f.name+" could not be read; its declared bounds are used", "error", err)
	}
	return p.give(f.bounds, false), nil
}

// mostBytes is what libocr's messages of one round may take together: it counts twice their number in an int32. The
// rest is for its own fields and signatures.
const mostBytes = math.MaxInt32/2 - 1<<20

// checkLimits returns why libocr would not run with an instance's limits in a network of n oracles, or nil: it would
// end for good, with only a line in its log.
func checkLimits(l types.ReportingPluginLimits, n int) error {
	for _, limit := range []struct {
		name       string
		have, most int
	}{
		{"max_query_length", l.MaxQueryLength, types.MaxMaxQueryLength},
		{"max_observation_length", l.MaxObservationLength, types.MaxMaxObservationLength},
		{"max_report_length", l.MaxReportLength, types.MaxMaxReportLength},
		{fmt.Sprintf("max_query_length + %d * max_observation_length + 3 * max_report_length", n+1),
			l.MaxQueryLength + (n+1)*l.MaxObservationLength + 3*l.MaxReportLength, mostBytes},
	} {
		if limit.have > limit.most {
			return fmt.Errorf("%s is %d bytes, and OCR2 has at most %d; declare smaller limits", limit.name, limit.have,
				limit.most)
		}
	}
	return nil
}

// plugin is one instance of the product for libocr, under one configuration and across the restarts of its process.
type plugin struct {
	factory *factory
	config  types.ReportingPluginConfig
	remote  *reportingv1loophost.ReportingPlugin
	makings making.Counter

	mu      sync.Mutex
	given   *types.ReportingPluginInfo // what libocr was told; nil until it was
	exact   bool                       // given is what an instance declared, and not a bound
	latest  *types.ReportingPluginInfo // what the newest making declared; nil before the first
	failing bool                       // the job was told to fail for this instance's limits
}

// made is called at each making of the instance, before any call reaches it.
func (p *plugin) made(response *reportingv1.CreateReportingPluginResponse) {
	info := ocr2.PluginInfoOf(response)
	p.makings.Made()
	p.mu.Lock()
	known := p.latest != nil && *p.latest == info
	p.latest = &info
	report := p.problem()
	p.mu.Unlock()
	report()
	if known || checkLimits(info.Limits, p.config.N) != nil {
		return // the next start must not run with what libocr cannot
	}
	ctx, cancel := context.WithTimeout(context.Background(), noteTimeout)
	defer cancel()
	if err := p.factory.database.PutReportingInfo(ctx, p.factory.jobID, p.config.ConfigDigest, info); err != nil {
		p.factory.logger.slog.Warn("the limits of "+p.factory.name+
			" could not be stored; a start while it is down uses its declared bounds", "error", err)
	}
}

// give notes what libocr is told.
func (p *plugin) give(info types.ReportingPluginInfo, exact bool) types.ReportingPluginInfo {
	p.mu.Lock()
	p.given, p.exact = &info, exact
	report := p.problem()
	p.mu.Unlock()
	report()
	return info
}

// problem compares the newest instance with what libocr was told, and returns what to do about it. libocr keeps what it
// was told until the next configuration. If an instance has larger limits, libocr would refuse its messages; if it
// differs in another way, it may disagree with its network. Limits below the declared bounds are right by design. The
// lock is held.
func (p *plugin) problem() (report func()) {
	if p.given == nil || p.latest == nil {
		return func() {}
	}
	given, latest := *p.given, *p.latest
	fits := latest.Limits == given.Limits
	if !p.exact {
		fits = latest.Limits.MaxQueryLength <= given.Limits.MaxQueryLength &&
			latest.Limits.MaxObservationLength <= given.Limits.MaxObservationLength &&
			latest.Limits.MaxReportLength <= given.Limits.MaxReportLength
	}
	failed := p.failing
	p.failing = !fits || latest.UniqueReports != given.UniqueReports
	switch {
	case p.failing:
		problem := fmt.Sprintf("%s came back with other limits (%+v, unique reports %t) than those that OCR2 runs with "+
			"(%+v, unique reports %t); run the plugin that was there before, or restart the node to take the new limits",
			p.factory.name, latest.Limits, latest.UniqueReports, given.Limits, given.UniqueReports)
		return func() {
			p.factory.logger.Error(problem, map[string]any{"configDigest": p.config.ConfigDigest})
			p.factory.fail(problem)
		}
	case failed:
		return func() { p.factory.fail("") }
	}
	return func() {}
}

// limits are those that libocr was told.
func (p *plugin) limits() types.ReportingPluginLimits {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given == nil { // it was closed, and answers nothing
		return types.ReportingPluginLimits{}
	}
	return p.given.Limits
}

// roundOf is a round as the job's history names it.
func roundOf(at types.ReportTimestamp) hostservice.Round {
	return hostservice.Round{ConfigDigest: at.ConfigDigest, Epoch: at.Epoch, Round: at.Round}
}

// bounded gives a call libocr's own deadline, or where libocr passes none the configuration's, or else the contract's.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok || limit <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// Query implements types.ReportingPlugin.
func (p *plugin) Query(ctx context.Context, at types.ReportTimestamp) (query types.Query, err error) {
	defer p.factory.logger.guard("Query", &err)
	ctx, cancel := bounded(ctx, max(p.config.MaxDurationQuery, p.factory.minQuery))
	defer cancel()
	response, err := p.remote.Query(ctx, &reportingv1.QueryRequest{Timestamp: ocr2.TimestampTo(at)})
	if err == nil {
		err = ocr3.Fits("query", len(response.GetQuery()), p.limits().MaxQueryLength)
	}
	if err != nil {
		return nil, err
	}
	return response.GetQuery(), nil
}

// Observation implements types.ReportingPlugin.
func (p *plugin) Observation(ctx context.Context, at types.ReportTimestamp,
	query types.Query) (observation types.Observation, err error) {
	defer p.factory.logger.guard("Observation", &err)
	ctx, cancel := bounded(ctx, p.config.MaxDurationObservation)
	defer cancel()
	p.factory.feed.Asked()
	p.factory.feed.Begins(at.Epoch, at.Round)
	defer p.factory.observing.Begin(roundOf(at))()
	response, err := p.remote.Observation(ctx,
		&reportingv1.ObservationRequest{Timestamp: ocr2.TimestampTo(at), Query: query})
	if err == nil {
		err = ocr3.Fits("observation", len(response.GetObservation()), p.limits().MaxObservationLength)
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // else libocr has gone on to another round
		p.factory.feed.Observed(said(err))
	}
	if err != nil {
		return nil, err
	}
	return response.GetObservation(), nil
}

// Report implements types.ReportingPlugin.
func (p *plugin) Report(ctx context.Context, at types.ReportTimestamp, query types.Query,
	observations []types.AttributedObservation) (should bool, report types.Report, err error) {
	defer p.factory.logger.guard("Report", &err)
	if by, known := ahead(observations, p.config.OracleID); known && p.factory.timed {
		p.factory.feed.Compares(by)
	}
	ctx, cancel := bounded(ctx, p.config.MaxDurationReport)
	defer cancel()
	response, err := p.remote.Report(ctx,
		&reportingv1.ReportRequest{Timestamp: ocr2.TimestampTo(at), Query: query,
			Observations: ocr2.ObservationsTo(observations)})
	if err == nil {
		err = ocr3.Fits("report", len(response.GetReport()), p.limits().MaxReportLength)
	}
	p.notes(ctx, err)
	if err != nil {
		return false, nil, err
	}
	if response.GetShouldReport() {
		p.factory.feed.Reports(at.Epoch, at.Round)
		p.factory.history.Reported(roundOf(at), response.GetReport())
	}
	return response.GetShouldReport(), response.GetReport(), nil
}

// notes notes the outcome of a call for a report: libocr only logs an error, and goes on without this node's report.
func (p *plugin) notes(ctx context.Context, err error) {
	err = said(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled): // libocr has gone on to another round, or the job ends
		return
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("%s has not answered within MaxDurationReport, %s: %w", p.factory.name, p.config.MaxDurationReport,
			err)
	}
	p.factory.feed.Made(err)
}

// ShouldAcceptFinalizedReport implements types.ReportingPlugin. An instance says yes once: it remembers what it
// accepted and takes a repeat for stale. libocr may repeat after a restart of the node, so that the first answer for a
// (digest, epoch, round) is kept in the database, before libocr has it, and a repeat is answered from there.
//
// When the instance's process dies under the call, nobody knows whether it had accepted: package making says what then
// is asked of whom. An instance that is not asked again would answer a repeat with no, which would be kept and would
// silence this oracle for the report; libocr drops the report here, and the other oracles transmit it. The product's
// own UNAVAILABLE, because the chain was not there for it, is an answer, and libocr shall have it at once: one that
// waited for the chain would stall the protocol. An answer of the transport's is told from the product's by the
// generation that every answer of a plugin carries.
//
// A new instance does not know what the old one accepted in earlier rounds either, and may accept a report that
// deviates little from one under way. That costs a transaction at most: ShouldTransmitAcceptedReport asks the contract
// once more.
func (p *plugin) ShouldAcceptFinalizedReport(ctx context.Context, at types.ReportTimestamp,
	report types.Report) (accept bool, err error) {
	defer p.factory.logger.guard("ShouldAcceptFinalizedReport", &err)
	ctx, cancel := bounded(ctx, p.config.MaxDurationShouldAcceptFinalizedReport)
	defer cancel()
	answer, err := p.factory.database.Accepted(ctx, p.factory.jobID, at)
	switch {
	case err == nil:
		return answer, nil
	case !errors.Is(err, database.ErrNotFound):
		p.factory.logger.slog.Warn("the stored answer for a report could not be read; "+p.factory.name+" is asked again",
			"epoch", at.Epoch, "round", at.Round, "error", err)
	}
	answer, err = making.Once(ctx, &p.makings, func(ctx context.Context) (bool, bool, error) {
		return p.shouldAccept(ctx, at, report)
	})
	if err != nil {
		return false, err
	}
	kept, err := p.factory.database.PutAccepted(ctx, p.factory.jobID, at, answer)
	if err != nil {
		// The answer still stands. Otherwise a report would be lost. The risk is a second answer to a repeated call, and the
		// relayer takes no report twice.
		p.factory.logger.slog.Warn("the answer for a report could not be stored", "epoch", at.Epoch, "round", at.Round,
			"error", err)
		return answer, nil
	}
	return kept, nil
}

// shouldAccept asks the product. lost means that its answer, if it gave one, did not arrive.
func (p *plugin) shouldAccept(ctx context.Context, at types.ReportTimestamp,
	report types.Report) (answer, lost bool, err error) {
	var trailer metadata.MD
	response, err := p.remote.ShouldAcceptFinalizedReport(ctx,
		&reportingv1.ShouldAcceptFinalizedReportRequest{Timestamp: ocr2.TimestampTo(at), Report: report},
		grpc.Trailer(&trailer))
	if err != nil {
		return false, status.Code(err) == codes.Unavailable && len(trailer.Get(wire.GenerationKey)) == 0, err
	}
	return response.GetShouldAccept(), false, nil
}

// ShouldTransmitAcceptedReport implements types.ReportingPlugin.
func (p *plugin) ShouldTransmitAcceptedReport(ctx context.Context, at types.ReportTimestamp,
	report types.Report) (transmit bool, err error) {
	defer p.factory.logger.guard("ShouldTransmitAcceptedReport", &err)
	ctx, cancel := bounded(ctx, p.config.MaxDurationShouldTransmitAcceptedReport)
	defer cancel()
	response, err := p.remote.ShouldTransmitAcceptedReport(ctx,
		&reportingv1.ShouldTransmitAcceptedReportRequest{Timestamp: ocr2.TimestampTo(at), Report: report})
	if err != nil {
		return false, err
	}
	return response.GetShouldTransmit(), nil
}

// Close implements types.ReportingPlugin. It releases the instance, whose limits are nobody's concern from then on.
func (p *plugin) Close() (err error) {
	defer p.factory.logger.guard("Close", &err)
	p.mu.Lock()
	p.given = nil
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	return p.remote.Release(ctx)
}
