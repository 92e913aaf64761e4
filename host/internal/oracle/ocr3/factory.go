// Package ocr3 adapts the OCR3 reporting plugins of products to libocr, so that a plugin that is restarted, slow or
// gone costs no vote that its network could still have had.
//
// It is the only package of the host that adapts OCR3's reporting plugins to the contract of plugins. It must not know
// any product or chain, nor how jobs and answers are stored. No part of it may panic under libocr, which recovers
// nowhere.
package ocr3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loophost"
	"github.com/loop-plugins/loop/host/internal/oracle/deadline"
	"github.com/loop-plugins/loop/host/internal/oracle/making"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/reporting"
)

// Info is what keyring and transmitter learn about a report.
type Info = []byte

var _ ocr3types.ReportingPluginFactory[Info] = (*Factory)(nil)

// overdue is the duration beyond which a call should have been over: a restarted plugin is back within it, and products
// answer in milliseconds.
const overdue = time.Second

// releaseTimeout bounds the release of an instance at the end of a configuration.
const releaseTimeout = 2 * time.Second

// Answers keeps what products answered to ShouldAcceptAttestedReport, across restarts of the node.
type Answers interface {
	// Accepted returns the stored answer for a report, and whether there is one.
	Accepted(
		ctx context.Context,
		digest types.ConfigDigest,
		seqNr uint64,
		report [sha256.Size]byte,
	) (answer, known bool, err error)
	// PutAccepted stores an answer unless there is one already, and returns the stored one.
	PutAccepted(
		ctx context.Context,
		digest types.ConfigDigest,
		seqNr uint64,
		report [sha256.Size]byte,
		answer bool,
	) (kept bool, err error)
}

// Rounds is told what this oracle does in rounds. Calls are concurrent, and must return soon.
type Rounds interface {
	// Asked is called when libocr asks for an observation in an epoch, and Observed with the result.
	Asked(epoch uint64)
	Observed(err error)
	// Voted is called with each outcome that this oracle has computed, which is its vote.
	Voted()
	// Reported is called with an agreed outcome's number and how many reports were made from it.
	Reported(seqNr uint64, reports int)
	// Lost is called when a call by libocr failed, which costs a vote or a report. ctx is libocr's.
	Lost(ctx context.Context, call string, err error)
}

// Settings configure a Factory. All are required.
type Settings struct {
	// Name is the name of the product in errors, with its article.
	Name string
	// Product is the job's factory in the product's plugin.
	Product *productv1loophost.ProductFactory
	Answers Answers
	// Logger has the job's fields.
	Logger *slog.Logger
	Rounds Rounds
	// Running is called with the configuration that libocr begins to run and the time between its rounds. Fail is
	// called with the reason why the job does not work; empty if it works again.
	Running func(digest types.ConfigDigest, interval time.Duration)
	Fail    func(reason string)
}

// Factory makes reporting plugins for libocr from those of a job's product. Unlike in OCR2, libocr asks again after an
// error in OCR3, after 1 s up to 2 minutes.
type Factory struct{ settings Settings }

// NewFactory returns the factory of one job.
func NewFactory(s Settings) *Factory { return &Factory{s} }

// NewReportingPlugin implements ocr3types.ReportingPluginFactory.
func (f *Factory) NewReportingPlugin(
	ctx context.Context,
	config ocr3types.ReportingPluginConfig,
) (_ ocr3types.ReportingPlugin[Info], _ ocr3types.ReportingPluginInfo, err error) {
	defer f.guard("NewReportingPlugin", &err)
	p := &plugin{factory: f, config: config, decisions: make(chan struct{}, maxDecisions)}
	p.remote = f.settings.Product.CreateOcr3Plugin(configTo(config), loophost.OnMade(p.made))
	info, err := f.info(ctx, p)
	if err != nil {
		_ = p.Close() // the error that matters is the one above
		return nil, ocr3types.ReportingPluginInfo{}, err
	}
	return p, info, nil
}

// info waits for the instance and returns what libocr is told of it.
func (f *Factory) info(ctx context.Context, p *plugin) (ocr3types.ReportingPluginInfo, error) {
	// libocr's time may have passed already, in each of its attempts: it takes any from a configuration, and waits.
	if end, ok := ctx.Deadline(); ok {
		own, cancel := deadline.Own(ctx, max(time.Until(end), deadline.Floor))
		defer cancel()
		ctx = own
	}
	// The job's factory first: while it is refused, its instances merely do not come.
	_, err := f.settings.Product.Created(ctx)
	var response *reportingv1.CreateOcr3PluginResponse
	if err == nil {
		response, err = p.remote.Created(ctx)
	}
	switch code := status.Code(err); {
	case code == codes.InvalidArgument || code == codes.FailedPrecondition:
		err = fmt.Errorf(
			"%s refuses the configuration %s, and the job rests until the contract has another, or the plugin is replaced: %w",
			f.settings.Name,
			p.config.ConfigDigest,
			err,
		)
		f.settings.Fail(err.Error())
		return ocr3types.ReportingPluginInfo{}, err
	case err != nil:
		return ocr3types.ReportingPluginInfo{}, fmt.Errorf(
			"%s has made no reporting plugin for the configuration %s: %w",
			f.settings.Name,
			p.config.ConfigDigest,
			err,
		)
	}
	err = reporting.CheckLimits(response.GetLimits(), uint32(p.config.N))
	if quorum := response.GetObservationQuorum(); err == nil && reportingv1.ObservationQuorum_name[int32(quorum)] == "" {
		err = fmt.Errorf("observation_quorum is %d, which this node does not have; upgrade the node or the plugin", quorum)
	}
	if err != nil {
		err = fmt.Errorf(
			"the reporting plugin of %s cannot run under the configuration %s: %w",
			f.settings.Name,
			p.config.ConfigDigest,
			err,
		)
		f.settings.Fail(err.Error())
		return ocr3types.ReportingPluginInfo{}, err
	}
	f.settings.Running(p.config.ConfigDigest, p.config.EstimatedRoundInterval)
	p.give(response)
	return infoOf(response), nil
}

// guard turns a panic under libocr into an error of the call.
func (f *Factory) guard(call string, err *error) {
	if fault := recover(); fault != nil {
		f.panicked(call, fault, err)
	}
}

func (f *Factory) panicked(call string, fault any, err *error) {
	f.settings.Logger.Error("a call by libocr panicked", "call", call, "panic", fault, "stack", string(debug.Stack()))
	*err = fmt.Errorf("%s panicked: %v", call, fault)
}

// end ends a call of a round that began at a time. A panic becomes an error, and an error counts as a loss. If the
// epoch ended during the call, that is not a loss unless the call should have been over by then: epochs end for many
// reasons.
func (p *plugin) end(ctx context.Context, call string, began time.Time, err *error) {
	if fault := recover(); fault != nil {
		p.factory.panicked(call, fault, err)
	}
	var invalid *invalidError
	if *err == nil || errors.As(*err, &invalid) || errors.Is(ctx.Err(), context.Canceled) && time.Since(began) < overdue {
		return
	}
	p.factory.settings.Rounds.Lost(ctx, call, *err)
}

// plugin is one instance of the product for libocr, under one configuration and across the restarts of its process.
type plugin struct {
	factory   *Factory
	config    ocr3types.ReportingPluginConfig
	remote    *reportingv1loophost.Ocr3Plugin
	makings   making.Counter
	decisions chan struct{} // holds one for each decision that is asked for at a time

	mu      sync.Mutex
	given   *reportingv1.CreateOcr3PluginResponse // what libocr was told; nil until it was
	latest  *reportingv1.CreateOcr3PluginResponse // what the newest making declared; nil before the first
	failing bool                                  // the job was told to fail for what the newest declared
	newest  uint64                                // the latest round that libocr has asked for
}

// made is called at each making of the instance, before any call reaches it.
func (p *plugin) made(response *reportingv1.CreateOcr3PluginResponse) {
	p.makings.Made()
	p.mu.Lock()
	p.latest = response
	report := p.compareLocked()
	p.mu.Unlock()
	report()
}

// give notes what libocr is told.
func (p *plugin) give(response *reportingv1.CreateOcr3PluginResponse) {
	p.mu.Lock()
	p.given = response
	report := p.compareLocked()
	p.mu.Unlock()
	report()
}

// compareLocked compares the newest instance with what libocr was told, and returns what to do about a difference:
// libocr and the other oracles keep what they were told until the next configuration.
func (p *plugin) compareLocked() (report func()) {
	if p.given == nil || p.latest == nil {
		return func() {}
	}
	given, latest, failed := p.given, p.latest, p.failing
	p.failing = !proto.Equal(given.GetLimits(), latest.GetLimits()) ||
		given.GetObservationQuorum() != latest.GetObservationQuorum()
	switch {
	case p.failing:
		problem := fmt.Sprintf(
			"%s came back with other limits (%v, %s) than those that OCR3 runs with (%v, %s); run the plugin that was there "+
				"before, or restart the node to take the new limits",
			p.factory.settings.Name,
			latest.GetLimits(),
			latest.GetObservationQuorum(),
			given.GetLimits(),
			given.GetObservationQuorum(),
		)
		return func() {
			p.factory.settings.Logger.Error(problem, "configDigest", p.config.ConfigDigest)
			p.factory.settings.Fail(problem)
		}
	case failed:
		return func() { p.factory.settings.Fail("") }
	}
	return func() {}
}

// Close implements ocr3types.ReportingPlugin. It releases the instance, whose limits are nobody's concern from then
// on. A second time it does nothing.
func (p *plugin) Close() (err error) {
	defer p.factory.guard("Close", &err)
	p.mu.Lock()
	p.given = nil
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	return p.remote.Release(ctx)
}
