package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
)

// accounts divides the accounts of each chain among the processes of its relayer. The zero value is ready.
type accounts struct {
	mu  sync.Mutex
	all map[chainKey]*hostservice.Accounts
}

func (a *accounts) of(relay, chain string) *hostservice.Accounts {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := chainKey{relay, chain}
	if a.all == nil {
		a.all = map[chainKey]*hostservice.Accounts{}
	}
	if a.all[key] == nil {
		a.all[key] = hostservice.NewAccounts()
	}
	return a.all[key]
}

func senderOf(s *job.Spec) hostservice.Sender {
	return hostservice.Sender{Key: s.Transmitter(), Account: s.Account()}
}

// sameSender tells whether two jobs would race for an account's sequence numbers, or one could sign for the other.
func sameSender(a, b *job.Spec) bool {
	return a.TransmitterID != "" && a.Relay == b.Relay && a.ChainID == b.ChainID &&
		(a.Transmitter() == b.Transmitter() || a.Account() == b.Account())
}

// ownName is the name of the process that an isolated job has of a plugin.
func ownName(plugin string, job int64) string { return plugin + "-" + strconv.FormatInt(job, 10) }

// ownerOf is the id of the job that has the plugin of a name for itself; empty if all jobs share it. Other names of
// plugins have only letters and digits.
func ownerOf(name string) string {
	_, job, _ := strings.Cut(name, "-")
	return job
}

// isolation is what an isolated job has for itself: the account that it sends from, a process of its relayer that has
// no other account, and a process of its median or product.
type isolation struct {
	plugins  *plugins
	name     string // of the relayer's process
	reserved *hostservice.Reserved
	relay    *served
	chain    *relayerv1loophost.Chain
	reports  reporter
}

// reserveStored reserves the accounts of the isolated jobs in the database, before any process can use them. If a job
// cannot have its account, it fails with the reason when it starts.
func (j *jobs) reserveStored(ctx context.Context) error {
	stored, err := j.node.database.Jobs(ctx)
	if err != nil {
		return err
	}
	specs, well := map[int64]*job.Spec{}, map[int64]bool{}
	for _, s := range stored {
		checks := j.storedChecks(s)
		if checks.Validation != nil {
			checks.Relayers = told{checks.Relayers, checks.Validation} // the relayer is asked when the job starts
		}
		spec, report := job.Parse(ctx, []byte(s.Spec), job.Settings{
			OCR2: checks.OCR2, DefaultBootstrappers: checks.DefaultBootstrappers, Validation: checks.Validation,
			Relayers: checks.Relayers, Processes: checks.Processes,
		})
		if spec != nil {
			specs[s.ID], well[s.ID] = spec, report.Err() == nil
			if well[s.ID] {
				j.knows(s.ID, spec) // a relayer goes on with its reports as soon as it has its chain
			}
		}
	}
	for _, s := range stored {
		spec := specs[s.ID]
		if !well[s.ID] || !spec.Isolated {
			continue
		}
		for _, other := range stored {
			if o := specs[other.ID]; o != nil && other.ID != s.ID && sameSender(spec, o) {
				j.refused[s.ID] = fmt.Sprintf("job %d sends from its account on %s chain %s too, and an isolated job needs one "+
					"that no other job there has; remove one of the two", other.ID, spec.Relay, spec.ChainID)
			}
		}
		if j.refused[s.ID] != "" {
			continue
		}
		if j.reserved[s.ID], err = j.node.accounts.of(spec.Relay, spec.ChainID).Reserve(ctx, senderOf(spec),
			nil); err != nil {
			return fmt.Errorf("reserving the account of job %d: %w", s.ID, err) // no process has run yet that could have used it
		}
	}
	return nil
}

// kept is what reserveStored has decided on a job, once: a later job may get its number.
func (j *jobs) kept(id int64) (reserved *hostservice.Reserved, refused string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	reserved, refused = j.reserved[id], j.refused[id]
	delete(j.reserved, id)
	delete(j.refused, id)
	return reserved, refused
}

// release gives back the account that an isolated job has kept until it is opened again. Why another has none stays to
// be told.
func (j *jobs) release(ctx context.Context, r *running) {
	j.mu.Lock()
	kept := j.reserved[r.stored.ID]
	delete(j.reserved, r.stored.ID)
	j.mu.Unlock()
	if kept != nil {
		j.giveBack(ctx, kept, r)
	}
}

// reserve takes the job's account away from the shared process of its relayer.
func (j *jobs) reserve(ctx context.Context, r *running) (*hostservice.Reserved, error) {
	switch kept, refused := j.kept(r.stored.ID); {
	case refused != "":
		return nil, errors.New(refused)
	case kept != nil:
		return kept, nil
	}
	// Half of a replacement must not be left because whoever asked has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replaceTimeout)
	defer cancel()
	shared, _, err := j.node.plugins.chain(r.spec.Relay, r.spec.ChainID)
	if err != nil {
		return nil, err
	}
	reserved, err := j.node.accounts.of(r.spec.Relay, r.spec.ChainID).Reserve(ctx, senderOf(r.spec),
		func(ctx context.Context) error {
			j.node.logger.Info("the shared relayer is replaced because it has used the account of a job that becomes isolated",
				"plugin", r.spec.Relay, "job", r.stored.ID, "account", r.spec.Account())
			return shared.plugin.Restart(ctx)
		})
	if err != nil {
		return nil, passing{err}
	}
	return reserved, nil
}

// replaceTimeout bounds the replacement of a shared process: the start of the new one (30 s) and the end of the old
// one.
const replaceTimeout = time.Minute

// isolate starts the processes of an isolated job. If one fails nothing is left of the others. For a patient job, a
// process that does not start is no failure. It is down, like a shared one, and the runtime goes on trying. The shared
// process has already said what the job needs to know of the plugin.
func (j *jobs) isolate(ctx context.Context, r *running) (_ *isolation, err error) {
	n := j.node
	reserved, err := j.reserve(ctx, r)
	if err != nil {
		return nil, err
	}
	shared := n.plugins.shared[r.spec.Relay]
	own := &isolation{plugins: n.plugins, name: ownName(shared.relayer.Plugin(), r.stored.ID), reserved: reserved}
	defer func() {
		if err != nil {
			own.close(context.WithoutCancel(ctx))
			j.giveBack(context.WithoutCancel(ctx), reserved, r)
		}
	}()
	reports, err := n.plugins.reporter(r.spec)
	if err != nil {
		return nil, err
	}
	commands := n.settings.Config.Environment.Plugins
	if commands[reports.plugin().Name()].Attach != "" || commands[shared.relayer.Plugin()].Attach != "" {
		return nil, errors.New("an isolated job has processes of its own, and LOOP_REATTACH names one for all jobs; debug " +
			"it as a shared job")
	}
	if own.relay, err = n.plugins.serve(ctx, shared.relayer, own.name, ownName(r.spec.Relay, r.stored.ID),
		r.patient); err != nil {
		return nil, passing{err}
	}
	// The job's chain alone: of the others it has no account.
	chains := slices.DeleteFunc(n.chains(shared.relayer), func(c config.Chain) bool { return c.ID != r.spec.ChainID })
	if err = n.plugins.makeChainsOf(ctx, own.relay, chains, func(relay, chain string) relayerv1loophost.CreateChainLoans {
		return n.export(reserved.View(n.lent(relay, chain, own.name), n.store(relay, chain)))
	}); err != nil {
		return nil, err
	}
	if own.chain = own.relay.chain(r.spec.ChainID); own.chain == nil {
		return nil, fmt.Errorf("this node has no %s chain %s: add it to its configuration", r.spec.Relay, r.spec.ChainID)
	}
	n.plugins.keep(own.relay)
	if own.reports, err = reports.launchAlone(ctx, n, r.stored.ID, r.patient); err != nil {
		return nil, passing{err}
	}
	return own, nil
}

// close ends the job's processes. When it returns they are dead.
func (i *isolation) close(ctx context.Context) {
	if plugin := i.reports.plugin(); plugin != nil {
		plugin.Close(ctx)
	}
	if i.relay != nil {
		i.relay.close(ctx)
		i.plugins.drop(i.name)
	}
}

// adoptTimeout bounds the wait for the shared process to take over what an isolated job has left.
const adoptTimeout = 5 * time.Second

// giveBack returns the account of an isolated job whose processes have ended to the shared process, with the reports
// that were accepted and have not landed.
func (j *jobs) giveBack(ctx context.Context, reserved *hostservice.Reserved, r *running) {
	n := j.node
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	reserved.Free()
	// A provider makes its relayer work for the account. The relayer goes on with the accepted reports after the provider
	// is released, as it does when a job that shared the process is removed.
	_, chain, err := n.plugins.chain(r.spec.Relay, r.spec.ChainID)
	if err == nil {
		provider := chain.CreateProvider(&relayerv1.CreateProviderRequest{
			ProviderType: r.spec.ProviderType(),
			Config: &relayerv1.ProviderConfig{ExternalJobId: r.stored.ExternalID, ContractId: r.spec.ContractID,
				RelayConfigJson: r.spec.RelayConfigJSON},
			TransmitterId: r.spec.Transmitter(), GasLimit: r.spec.GasLimit,
		})
		_, err = provider.Created(ctx)
		if release := provider.Release(ctx); err == nil {
			err = release
		}
	}
	if err != nil {
		n.logger.Warn("the shared relayer could not take over the transmissions of an isolated job; it does at its next "+
			"start", "plugin", r.spec.Relay, "job", r.stored.ID, "error", err)
	}
}
