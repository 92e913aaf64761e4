// Package oracle runs OCR2 and OCR3: libocr's oracles and bootstrappers for the node's jobs, on libocr's peer-to-peer
// network, with the jobs' relayers and products behind them.
//
// It is the only package of the host that adapts libocr's interfaces to the contract of plugins. It must not know a
// chain, a pipeline's tasks or how jobs are stored and listed. No part of it may panic under libocr, which recovers
// nowhere.
package oracle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/smartcontractkit/libocr/commontypes"
	ocr "github.com/smartcontractkit/libocr/offchainreporting2plus"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
	"github.com/loop-plugins/loop/host/internal/oracle/source"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Settings configure Start. All are required unless they say otherwise.
type Settings struct {
	// JobID is the job's row in Database.
	JobID int64
	// ExternalJobID is the job's UUID.
	ExternalJobID string
	// Spec is the job, as job.Parse returns it: a median, a product's job or a bootstrap job.
	Spec *job.Spec
	// Chain is the job's chain, and Watch the watch of its relayer.
	Chain *relayerv1loophost.Chain
	Watch *Watch
	// Median is the plugin that reports in a median job; others need none.
	Median *medianv1loophost.Median
	// Product is the plugin that reports in a product's job; others need none.
	Product *productv1loophost.Product
	// ProductBounds are the limits of every instance of Product under OCR2, as it describes them; jobs on OCR3 need
	// none.
	ProductBounds types.ReportingPluginInfo
	// Runtime is the runtime of the plugins.
	Runtime  *loophost.Runtime
	Database *database.Database
	// Bundle signs; a bootstrap job needs none.
	Bundle *keystore.OCR2Bundle
	// Schemes are the relayer's signature schemes for reports, by name; a bootstrap job needs none.
	Schemes   map[string]keystore.Algorithm
	Peer      *Peer
	Handovers *Handovers // of the node
	// Config has [OCR2], [P2P.V2] DefaultBootstrappers and the least time for queries.
	Config *config.Config
	// Pipelines runs the job's sources; a bootstrap job needs none.
	Pipelines *pipeline.Runner
	// History is the history of the job. Default: one that ends with the oracle.
	History *history.Job
	// Metrics are those of all jobs. Default: some that nobody reads.
	Metrics *Metrics
	// Logger has the job's fields.
	Logger *slog.Logger
	// Failed is called with the reason why the job does not work, and with an empty reason when it works again. It must
	// not call the oracle. Default: none.
	Failed func(reason string)
}

func (s *Settings) check() error {
	missing := func(name string) error {
		return fmt.Errorf("starting the oracle of job %d: the settings have no %s", s.JobID, name)
	}
	for _, needed := range []struct {
		name string
		ok   bool
	}{
		{"Spec", s.Spec != nil}, {"Chain", s.Chain != nil}, {"Watch", s.Watch != nil}, {"Runtime", s.Runtime != nil},
		{"Database", s.Database != nil}, {"Handovers", s.Handovers != nil},
		{"Peer", s.Peer != nil}, {"Config", s.Config != nil}, {"Logger", s.Logger != nil},
	} {
		if !needed.ok {
			return missing(needed.name)
		}
	}
	median, product := s.Spec.PluginType == job.PluginMedian, s.Spec.PluginType == job.PluginProduct &&
		s.Spec.Product != nil
	switch {
	case s.Spec.Type == job.TypeBootstrap:
		return nil
	case s.Spec.Type != job.TypeOCR2 || !median && !product:
		return fmt.Errorf("starting the oracle of job %d: type %q with pluginType %q does not run here; this node runs "+
			"medians, products and bootstrap jobs", s.JobID, s.Spec.Type, s.Spec.PluginType)
	case median && s.Median == nil:
		return missing("Median")
	case product && s.Product == nil:
		return missing("Product")
	case product && s.Spec.Product.OCRVersion != 2 && s.Spec.Product.OCRVersion != ocr3Version:
		return fmt.Errorf("starting the oracle of job %d: OCR%d does not run here; name 2 or 3 by OCRVersion in pluginConfig",
			s.JobID, s.Spec.Product.OCRVersion)
	case s.Bundle == nil:
		return missing("Bundle")
	case s.Pipelines == nil:
		return missing("Pipelines")
	case s.Spec.Account() == "":
		return fmt.Errorf("starting the oracle of job %d: the relayer named no account that sends reports; name one by "+
			"transmitterID", s.JobID)
	}
	return nil
}

// Oracle is a running job.
type Oracle struct {
	settings Settings
	logger   *logger
	ctx      context.Context
	cancel   context.CancelFunc
	work     sync.WaitGroup

	provider  *loophost.Object            // the provider's handle
	reader    *relayerv1loophost.Provider // the same, which reads answers of a median job; nil of others
	reporter  *reporter
	sources   *source.Sources        // of a median job
	observing *hostservice.Rounds    // those of sources
	pipelines *hostservice.Pipelines // of a product's
	feed      *feed.Recorder
	running   interface{ Close() error } // libocr's part

	mu      sync.Mutex
	digest  *types.ConfigDigest
	reason  string
	refusal string // the last reason that is a plugin's refusal
	closed  bool
}

// Start runs a job. It fails for reasons that time does not fix: settings, or a relayer or product that refuses the
// job. The running job waits for plugins and chains that are away. ctx bounds only Start.
func Start(ctx context.Context, s Settings) (_ *Oracle, err error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Metrics == nil {
		s.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if s.Failed == nil {
		s.Failed = func(string) {}
	}
	if s.History == nil {
		if s.History, err = history.New(history.Settings{Limits: s.Config.JobPipeline, Logger: s.Logger}).Job(ctx,
			s.JobID); err != nil {
			return nil, err
		}
	}
	o := &Oracle{settings: s, feed: feed.New(s.Spec.Type == job.TypeBootstrap)}
	o.logger = &logger{slog: s.Logger, trace: s.Config.OCR2.TraceLogging, record: s.History.Errors.Record}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	if s.Spec.Type == job.TypeBootstrap {
		err = o.startBootstrapper(ctx)
	} else {
		err = o.startReporter(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("starting the oracle of job %d: %w", s.JobID, err)
	}
	return o, nil
}

func (o *Oracle) providerConfig() *relayerv1.ProviderConfig {
	s := o.settings
	return &relayerv1.ProviderConfig{ExternalJobId: s.ExternalJobID, ContractId: s.Spec.ContractID,
		RelayConfigJson: s.Spec.RelayConfigJSON}
}

func (o *Oracle) startReporter(ctx context.Context) error {
	s := o.settings
	if len(o.bootstrappers()) == 0 {
		// Peers find one another through a bootstrapper alone, and libocr never says that it has none.
		o.logger.Error("the job has no bootstrapper and finds no peers unless they connect to this node; name "+
			"bootstrappers in p2pv2Bootstrappers or in [P2P.V2] DefaultBootstrappers", nil)
	}
	provider := s.Chain.CreateProvider(&relayerv1.CreateProviderRequest{
		ProviderType: s.Spec.ProviderType(), Config: o.providerConfig(), TransmitterId: s.Spec.Transmitter(),
		GasLimit: s.Spec.GasLimit,
	})
	o.provider = provider.Object
	if s.Spec.Product == nil {
		o.reader = provider
	}
	if err := o.lend(provider); err != nil {
		return err
	}
	if err := o.verdict(ctx, relayerObject(provider), object{o.reporter.name, o.reporter.created}); err != nil {
		return err
	}
	keys := &keyring{key: s.Bundle.Report(), schemes: s.Schemes, provider: provider, logger: o.logger, feed: o.feed}
	ocr2 := o.ocr2Args(provider, keys)
	args := ocr.OracleArgs(ocr2)
	if o.reporter.ocr3 != nil {
		rounds := newRounds(s.Metrics, s.JobID, o.feed, o.logger, func() bool { return o.ctx.Err() != nil })
		args = o.ocr3Args(ocr2, keys, rounds)
	}
	oracle, err := ocr.NewOracle(args)
	if err != nil {
		return err
	}
	if err := oracle.Start(); err != nil {
		return err
	}
	o.running = oracle
	return nil
}

// ocr2Args has no MonitoringEndpoint: nobody collects libocr's telemetry.
func (o *Oracle) ocr2Args(provider *relayerv1loophost.Provider, keys *keyring) ocr.OCR2OracleArgs {
	s := o.settings
	local := localConfigTo(s.Config, s.Spec)
	limit := min(local.BlockchainTimeout, local.ContractConfigLoadTimeout)
	return ocr.OCR2OracleArgs{
		BinaryNetworkEndpointFactory: &hearing{s.Peer.endpoints, o.feed},
		V2Bootstrappers:              o.bootstrappers(),
		ContractConfigTracker: &tracker{provider: provider, changes: s.Watch.follow(provider.Name()), limit: limit,
			logger: o.logger, feed: o.feed, own: o.own(), confirmations: local.ContractConfigConfirmations},
		ContractTransmitter: &transmitter{
			provider: provider, account: types.Account(s.Spec.Account()),
			transmitLimit: local.ContractTransmitterTransmitTimeout, readLimit: local.BlockchainTimeout, logger: o.logger,
			feed: o.feed, history: s.History, handovers: s.Handovers, job: s.JobID, answer: o.Answer,
		},
		Database:               s.Database.OCR2(s.JobID),
		LocalConfig:            local,
		Logger:                 o.logger,
		MetricsRegisterer:      jobRegisterer{s.Metrics.libocr, s.JobID},
		OffchainConfigDigester: &digester{provider: provider, limit: limit, logger: o.logger},
		OffchainKeyring:        s.Bundle.Offchain(),
		OnchainKeyring:         keys,
		ReportingPluginFactory: &factory{
			name: o.reporter.name, maker: o.reporter.maker, created: o.reporter.created, bounds: o.reporter.bounds,
			database: s.Database, jobID: s.JobID, minQuery: local.MinOCR2MaxDurationQuery, logger: o.logger,
			running: o.runs, fail: o.fail, refuse: o.refuse, feed: o.feed, history: s.History, observing: o.observing,
			timed: s.Spec.Product == nil,
		},
	}
}

func (o *Oracle) startBootstrapper(ctx context.Context) error {
	s := o.settings
	local := localConfigTo(s.Config, s.Spec)
	provider := s.Chain.CreateProvider(&relayerv1.CreateProviderRequest{ProviderType: relayer.ProviderConfig,
		Config: o.providerConfig()})
	o.provider = provider.Object
	if err := o.verdict(ctx, relayerObject(provider)); err != nil {
		return err
	}
	limit := min(local.BlockchainTimeout, local.ContractConfigLoadTimeout)
	bootstrapper, err := ocr.NewBootstrapper(ocr.BootstrapperArgs{
		BootstrapperFactory: &bootstrappers{BootstrapperFactory: s.Peer.bootstrappers,
			running: func(digest types.ConfigDigest) {
				o.runs(digest, 0)
			}},
		V2Bootstrappers: o.bootstrappers(),
		ContractConfigTracker: &tracker{provider: provider, changes: s.Watch.follow(provider.Name()), limit: limit,
			logger: o.logger, feed: o.feed, own: o.own(), confirmations: local.ContractConfigConfirmations},
		Database:               s.Database.OCR2(s.JobID),
		LocalConfig:            local,
		Logger:                 o.logger,
		OffchainConfigDigester: &digester{provider: provider, limit: limit, logger: o.logger},
	})
	if err != nil {
		return err
	}
	if err := bootstrapper.Start(); err != nil {
		return err
	}
	o.running = bootstrapper
	return nil
}

// bootstrappers tells which configuration a bootstrap job serves; libocr says it nowhere else.
type bootstrappers struct {
	types.BootstrapperFactory
	running func(types.ConfigDigest)
}

// NewBootstrapper implements types.BootstrapperFactory.
func (b *bootstrappers) NewBootstrapper(digest types.ConfigDigest, peers []string,
	locators []commontypes.BootstrapperLocator, f int) (commontypes.Bootstrapper, error) {
	b.running(digest)
	return b.BootstrapperFactory.NewBootstrapper(digest, peers, locators, f)
}

func (o *Oracle) bootstrappers() []commontypes.BootstrapperLocator {
	if named := o.settings.Spec.Bootstrappers; len(named) > 0 {
		return locatorsTo(named)
	}
	return locatorsTo(o.settings.Config.P2P.V2.DefaultBootstrappers)
}

// runs notes the configuration that libocr begins to run. Failures under the one before no longer count.
func (o *Oracle) runs(digest types.ConfigDigest, interval time.Duration) {
	o.mu.Lock()
	o.digest = &digest
	o.mu.Unlock()
	o.feed.Runs(digest.Hex(), interval)
	o.fail("")
}

func (o *Oracle) fail(reason string) {
	o.mu.Lock()
	changed := o.reason != reason
	o.reason = reason
	o.mu.Unlock()
	o.feed.Failed(reason)
	if changed {
		o.settings.Failed(reason)
	}
}

// refuse fails the job for a plugin's refusal, which only another plugin, or another configuration, ends.
func (o *Oracle) refuse(reason string) {
	o.mu.Lock()
	o.refusal = reason
	o.mu.Unlock()
	o.fail(reason)
}

// ConfigDigest returns the digest of the configuration that runs, and whether there is one yet.
func (o *Oracle) ConfigDigest() (types.ConfigDigest, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.digest == nil {
		return types.ConfigDigest{}, false
	}
	return *o.digest, true
}

// Failed returns why the job does not work; empty if it does.
func (o *Oracle) Failed() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reason
}

// Refused reports whether the job does not work because a plugin refuses it, or its configuration. libocr does not ask
// again, so that the job must be started anew once the plugin is replaced.
func (o *Oracle) Refused() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reason != "" && o.reason == o.refusal
}

// Longest returns the longest observation of the rounds that are kept; 0 if none is known.
func (o *Oracle) Longest() time.Duration {
	var longest time.Duration
	for _, observed := range o.settings.History.Observations(math.MaxInt) {
		longest = max(longest, observed.GetTook().AsDuration())
	}
	return longest
}

// Facts returns the known facts about the job's feed.
func (o *Oracle) Facts() health.Feed { return o.feed.Facts() }

// own is how a contract's configuration names this node; nil for a job that takes no part in reports.
func (o *Oracle) own() *own {
	if o.settings.Spec.Type == job.TypeBootstrap {
		return nil
	}
	s, version := o.settings, 2
	if s.Spec.Product != nil {
		version = s.Spec.Product.OCRVersion
	}
	return &own{
		signer: s.Bundle.Report().Public(), offchain: s.Bundle.Offchain().OffchainPublicKey(), peer: s.Peer.ID(),
		account: s.Spec.Account(), version: version, minQuery: s.Config.Environment.MinOCR2MaxDurationQuery,
	}
}

// Objects returns the names of the objects that plugins have made for the job, without their children.
func (o *Oracle) Objects() []string {
	var names []string
	if o.provider != nil {
		names = append(names, o.provider.Name())
	}
	if o.reporter != nil {
		names = append(names, o.reporter.Name())
	}
	return names
}

// Errors returns the job's latest errors, newest first: its tasks', the plugins', and those that libocr logged.
func (o *Oracle) Errors() []hostservice.JobError { return o.settings.History.Errors.Latest() }

// Close ends the job. When it returns, libocr has left the network for it, so that the same job can be started again at
// once.
func (o *Oracle) Close() {
	o.mu.Lock()
	closed := o.closed
	o.closed = true
	o.mu.Unlock()
	if closed {
		return
	}
	o.cancel()
	// End libocr before the objects that it calls, and the borrower before the objects that it has borrowed.
	if o.running != nil {
		if err := o.running.Close(); err != nil {
			o.settings.Logger.Error("ending the job's oracle failed", "error", err)
		}
	}
	o.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 2*releaseTimeout)
	defer cancel()
	var err error
	if o.reporter != nil {
		err = o.reporter.Release(ctx)
	}
	if o.sources != nil {
		o.sources.Close()
	}
	if o.pipelines != nil {
		o.pipelines.Close()
	}
	if o.provider != nil {
		o.settings.Watch.forget(o.provider.Name())
		err = errors.Join(err, o.provider.Release(ctx))
	}
	if err != nil {
		o.settings.Logger.Warn("releasing the job's objects failed; they end with their plugins", "error", err)
	}
	o.settings.Metrics.forget(o.settings.JobID)
}
