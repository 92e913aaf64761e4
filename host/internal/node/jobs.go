package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/oracle"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	relayersigning "github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// jobs holds the node's jobs. A job that cannot run stays, with the reason: an operator may have to fix the node, not
// the spec.
type jobs struct {
	node *Node

	mu       sync.Mutex
	all      map[int64]*running
	changing sync.Mutex // one job is checked and added, or removed, at a time

	// reserved and refused are what reserveStored says of isolated jobs: the account that one has, or why it has none.
	reserved map[int64]*hostservice.Reserved
	refused  map[int64]string

	// ending ends the tries of jobs that failed, and trying waits for the last.
	ending context.CancelFunc
	trying sync.WaitGroup
}

// running is a job, whether it runs or not.
type running struct {
	stored database.Job
	// spec is nil if nobody can read it any more.
	spec    *job.Spec
	invalid bool           // the spec is not valid on this node any more
	oracle  *oracle.Oracle // nil when it does not run
	own     *isolation     // the job's own processes; nil when it shares them

	// plugins are those that it needs, of which the relayer's is the first; none while it does not run.
	plugins []*loophost.Plugin

	// patient jobs were accepted before. They do not fail because a process of theirs does not start, and are tried again
	// after a failure that may pass. A job that is being added is not: whoever adds it is told at once.
	patient bool
	again   bool // it failed, and is tried again
	removed bool // it was stopped to be removed, and could not be: nothing but the node's next start runs it

	mu     sync.Mutex
	reason string // why it does not run
}

func (r *running) fail(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = Worded(reason)
}

func (r *running) failure() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason
}

func newJobs(n *Node) *jobs {
	return &jobs{node: n, all: map[int64]*running{}, reserved: map[int64]*hostservice.Reserved{},
		refused: map[int64]string{}, ending: func() {}}
}

// startStored starts the jobs of the database concurrently. A job that does not start does not keep the others from
// starting, and is tried again if that may help.
func (j *jobs) startStored(ctx context.Context) error {
	stored, err := j.node.database.Jobs(ctx)
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	for _, s := range stored {
		wait.Go(func() { j.put(j.open(ctx, s)) })
	}
	wait.Wait()
	j.keepTrying()
	return nil
}

// open starts a job that is stored.
func (j *jobs) open(ctx context.Context, s database.Job) *running {
	r := &running{stored: s, patient: true}
	spec, report := job.Parse(ctx, []byte(s.Spec), j.storedChecks(s))
	r.spec = spec // also of a job that fails: its contract, account and bridges stay its own
	if err := report.Err(); err != nil || spec == nil {
		r.invalid = true
		r.fail(fmt.Sprintf("its spec is not valid on this node any more: %v", err))
		j.release(ctx, r)
		return r
	}
	j.knows(s.ID, spec)
	for _, w := range report.Warnings {
		j.node.logger.Warn("job warning", "job", s.ID, "name", s.Name, "warning", w.String())
	}
	if said := validation(spec); !bytes.Equal(said, s.Validation) {
		if err := j.node.database.PutJobValidation(ctx, s.ID, said); err != nil {
			j.node.logger.Warn("the relayer's answer about a job could not be stored", "job", s.ID, "error", err)
		}
	}
	j.start(ctx, r)
	return r
}

// put has a job among those of the node, in place of the one with its number.
func (j *jobs) put(r *running) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all[r.stored.ID] = r
}

// checks is what the node knows for checking a spec. Stored jobs are not compared with one another again.
func (j *jobs) checks(others job.Jobs) job.Settings {
	n := j.node
	return job.Settings{
		OCR2:                 n.settings.Config.OCR2,
		DefaultBootstrappers: n.settings.Config.P2P.V2.DefaultBootstrappers,
		Relayers:             n.plugins.known,
		Products:             n.plugins.products,
		Chains:               knownChains{n.plugins},
		Keys:                 knownKeys{n},
		Bridges:              bridges{n.database},
		Jobs:                 others,
		Processes:            knownProcesses{n.plugins},
	}
}

// storedChecks are the checks of a stored job. While its relayer cannot be asked, the relayer's earlier answer holds.
func (j *jobs) storedChecks(s database.Job) job.Settings {
	checks, said := j.checks(nil), &relayerv1.ValidateJobResponse{}
	if err := proto.Unmarshal(s.Validation, said); err == nil && len(s.Validation) > 0 {
		checks.Validation = said
	}
	return checks
}

// validation is what the job's relayer said of it, to be stored.
func validation(spec *job.Spec) []byte {
	said, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec.Validation)
	if err != nil {
		return nil // of a message that was received, never
	}
	return said
}

// told answers for a relayer with its earlier answer.
type told struct {
	job.Relayers
	said *relayerv1.ValidateJobResponse
}

// ValidateJob implements job.Relayers.
func (t told) ValidateJob(context.Context, string,
	*relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	return t.said, nil
}

// add checks, stores and starts a job.
func (j *jobs) add(ctx context.Context, spec string) (*running, *job.Report, error) {
	j.changing.Lock()
	defer j.changing.Unlock()
	parsed, report := job.Parse(ctx, []byte(spec), j.checks(j))
	if report.Err() != nil {
		return nil, report, nil
	}
	id := parsed.ExternalJobID
	if id == uuid.Nil {
		id = uuid.New()
	}
	stored, err := j.node.database.AddJob(ctx,
		database.Job{ExternalID: id.String(), Name: parsed.Name, Spec: spec, Validation: validation(parsed)})
	if err != nil {
		return nil, report, err
	}
	// The job is stored: a caller who has gone meanwhile would only keep it from running until the node's next start.
	ctx = context.WithoutCancel(ctx)
	r := &running{stored: stored, spec: parsed}
	j.knows(stored.ID, parsed)
	j.start(ctx, r)
	j.put(r)
	return r, report, nil
}

// start runs a job. An error becomes its reason.
func (j *jobs) start(ctx context.Context, r *running) {
	if err := j.run(ctx, r); err != nil {
		reason := err.Error()
		if r.again = r.patient && mayPass(err); r.again {
			reason += triedAgain
		} else {
			j.release(ctx, r)
		}
		r.fail(reason)
		j.node.logger.Error("a job does not run", "job", r.stored.ID, "name", r.stored.Name, "error", err)
	}
}

func (j *jobs) run(ctx context.Context, r *running) (err error) {
	n := j.node
	relay, chain, err := n.plugins.chain(r.spec.Relay, r.spec.ChainID)
	if err != nil {
		return err
	}
	reports, err := n.plugins.reporter(r.spec)
	if err != nil {
		return err
	}
	// An isolated job takes its account from the shared relayer, which may have to be replaced for it. What can fail
	// without that comes first: a failure would give the account back, and the next try replace the relayer again.
	past, err := n.history.Job(ctx, r.stored.ID)
	if err != nil {
		return passing{err}
	}
	var bundle *keystore.OCR2Bundle
	if r.spec.Type == job.TypeOCR2 {
		if bundle, err = j.bundle(r.spec); err != nil {
			return err
		}
	}
	if r.spec.Isolated {
		if r.own, err = j.isolate(ctx, r); err != nil {
			return err
		}
		relay, chain, reports = r.own.relay, r.own.chain, r.own.reports
		defer func() {
			if err != nil {
				r.own.close(context.WithoutCancel(ctx))
				j.giveBack(context.WithoutCancel(ctx), r.own.reserved, r)
				r.own = nil
			}
		}()
	}
	r.plugins = []*loophost.Plugin{relay.plugin.Plugin}
	if plugin := reports.plugin(); plugin != nil {
		r.plugins = append(r.plugins, plugin)
	}
	settings := oracle.Settings{
		JobID:         r.stored.ID,
		ExternalJobID: r.stored.ExternalID,
		Spec:          r.spec,
		Chain:         chain,
		Watch:         relay.watch,
		Median:        reports.median,
		Runtime:       n.runtime,
		Database:      n.database,
		Bundle:        bundle,
		Schemes:       relay.relayer.Schemes(),
		Peer:          n.peer,
		Config:        n.settings.Config,
		Pipelines:     n.runner,
		History:       past,
		Handovers:     n.handovers,
		Metrics:       n.metrics,
		Logger:        n.logger.With("job", r.stored.ID, "contract", r.spec.ContractID),
		Failed:        r.fail,
	}
	if of := reports.product; of != nil {
		settings.Product, settings.ProductBounds = of.plugin, of.Bounds()
	}
	r.oracle, err = oracle.Start(ctx, settings)
	return err
}

// knows allows signatures of transmissions to a job's contract.
func (j *jobs) knows(id int64, s *job.Spec) {
	if s.Type == job.TypeOCR2 {
		j.node.contracts.Add(s.Relay, s.ChainID, relayersigning.Contract{
			Job: id, ID: s.ContractID, Transmitter: s.TransmitterID, RelayConfigJSON: s.WrittenRelayConfigJSON,
			GasLimit: s.GasLimit,
		})
	}
}

// bundle is the spec's key bundle, or the only one of the relay.
func (j *jobs) bundle(s *job.Spec) (*keystore.OCR2Bundle, error) {
	if s.KeyBundleID != "" {
		return j.node.keys.Bundle(s.KeyBundleID)
	}
	all := j.node.keys.Bundles(s.Relay)
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no OCR2 key bundle for %s; make one with: loop keys create ocr2 --relay %[1]s",
			s.Relay)
	}
	return all[0], nil
}

// remove stops and forgets a job. It goes on when the caller has gone: a job that was stopped and not forgotten would
// run again at the node's next start. One that cannot be forgotten is among the jobs again, stopped, and its reason
// says so.
func (j *jobs) remove(ctx context.Context, id int64) error {
	j.changing.Lock()
	defer j.changing.Unlock()
	ctx = context.WithoutCancel(ctx)
	j.mu.Lock()
	r := j.all[id]
	delete(j.all, id)
	j.mu.Unlock()
	if r != nil {
		j.halt(ctx, r)
		j.release(ctx, r)
		_, _ = j.kept(id) // why it had no account is not why a later job of its number has none
		if r.own != nil {
			for _, p := range r.plugins {
				j.node.lines.Forget(p.Name())
			}
		}
	}
	j.node.history.Forget(id)
	err := j.node.contracts.Remove(ctx, id)
	if err == nil {
		err = j.node.database.RemoveJob(ctx, id)
	}
	if err != nil && r != nil && !errors.Is(err, database.ErrNotFound) {
		stopped := &running{stored: r.stored, spec: r.spec, removed: true}
		stopped.fail(fmt.Sprintf("it was stopped and could not be removed, so that it would run again at the node's next "+
			"start: %v; remove it again", err))
		j.put(stopped)
	}
	return err
}

func (r *running) stop(ctx context.Context) {
	if r.oracle != nil {
		r.oracle.Close()
	}
	if r.own != nil {
		r.own.close(ctx)
	}
}

func (j *jobs) close() {
	j.ending()
	j.trying.Wait()
	var wait sync.WaitGroup
	for _, r := range j.list() {
		wait.Go(func() { r.stop(context.Background()) })
	}
	wait.Wait()
}

func (j *jobs) list() []*running {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.SortedFunc(maps.Values(j.all), func(a, b *running) int { return cmp.Compare(a.stored.ID, b.stored.ID) })
}

func (j *jobs) get(id int64) *running {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all[id]
}

func (j *jobs) count() int { return len(j.list()) }

// ByContract implements job.Jobs.
func (j *jobs) ByContract(key string) (string, bool) {
	for _, r := range j.list() {
		if r.spec != nil && r.spec.ContractKey() == key {
			return r.label(), true
		}
	}
	return "", false
}

// ByExternalID implements job.Jobs.
func (j *jobs) ByExternalID(id uuid.UUID) (string, bool) {
	for _, r := range j.list() {
		if r.stored.ExternalID == id.String() {
			return r.label(), true
		}
	}
	return "", false
}

// ByName implements job.Jobs.
func (j *jobs) ByName(given string) (string, bool) {
	for _, r := range j.list() {
		if r.stored.Name == given {
			return r.label(), true
		}
	}
	return "", false
}

// BySender implements job.Jobs.
func (j *jobs) BySender(spec *job.Spec) (name string, isolated, found bool) {
	for _, r := range j.list() {
		if r.spec == nil || !sameSender(r.spec, spec) {
			continue
		}
		if name, found = r.label(), true; r.spec.Isolated {
			return name, true, true
		}
	}
	return name, false, found
}

// label is how people call the job.
func (r *running) label() string {
	if r.stored.Name != "" {
		return fmt.Sprintf("%d (%s)", r.stored.ID, r.stored.Name)
	}
	return strconv.FormatInt(r.stored.ID, 10)
}

// title is the name of the job for people, in a context that does not say that it is a job.
func (r *running) title() string { return "job " + r.label() }

// knownChains implements job.Chains.
type knownChains struct{ plugins *plugins }

// HasChain implements job.Chains.
func (k knownChains) HasChain(relay, id string) bool {
	_, _, err := k.plugins.chain(relay, id)
	return err == nil
}

// ChainIDs implements job.Chains.
func (k knownChains) ChainIDs(relay string) []string { return k.plugins.chainIDs(relay) }

// knownProcesses implements job.Processes.
type knownProcesses struct{ plugins *plugins }

// InProcess implements job.Processes.
func (k knownProcesses) InProcess(name string) (string, bool) {
	var plugin *loophost.Plugin
	if name == kindMedian && k.plugins.median != nil {
		plugin = k.plugins.median.Plugin
	} else if of := k.plugins.products[name]; of != nil {
		plugin = of.plugin.Plugin
	} else if s := k.plugins.shared[name]; s != nil {
		plugin = s.plugin.Plugin
	}
	if plugin == nil {
		return variable(name), true
	}
	return variable(plugin.Name()), plugin.Status().InProcess
}

// knownKeys implements job.Keys.
type knownKeys struct{ node *Node }

// HasKeyBundle implements job.Keys.
func (k knownKeys) HasKeyBundle(relay, id string) bool {
	b, err := k.node.keys.Bundle(id)
	return err == nil && b.Relay() == relay
}

// HasTransmitter implements job.Keys. An account that the chain's relayer may not use to sign does not count.
func (k knownKeys) HasTransmitter(relay, chain, id string) bool {
	return slices.Contains(k.node.lent(relay, chain, "").Accounts(), id)
}
