package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/relay"
	"github.com/loop-plugins/loop/host/internal/signing"
	relayersigning "github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// chainTimeout bounds the wait for a chain's object at start. Making one opens no connection, so it exists at once
// unless its plugin is ill. Then the runtime goes on trying.
const chainTimeout = 5 * time.Second

// lender lends the keystore and the store of one chain to a relayer.
type lender func(relay, chain string) relayerv1loophost.CreateChainLoans

// chainKey names a chain of the node.
type chainKey struct{ relay, chain string }

// spellAccounts puts the accounts that the configuration names for chains into their one spelling, in which they are
// lent.
func spellAccounts(ctx context.Context, known relayers, chains []config.Chain) (map[chainKey][]string, error) {
	spelled := map[chainKey][]string{}
	for _, name := range known.Relays() {
		r := known[name]
		for _, c := range enabled(chains, r) {
			if len(c.Accounts) == 0 {
				continue
			}
			names, err := accountsOf(ctx, r, c)
			if err != nil {
				return nil, err
			}
			spelled[chainKey{name, c.ID}] = names
		}
	}
	return spelled, nil
}

func accountsOf(ctx context.Context, r *relay.Relayer, c config.Chain) ([]string, error) {
	spelled, err := r.Accounts(ctx, c.Accounts)
	if code := status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded {
		return c.Accounts, nil // it is down; they are most often written as it spells them
	}
	if err != nil {
		return nil, &pluginError{fmt.Errorf("the accounts of %s chain %s: %w", r.Relay(), c.ID, err)}
	}
	names := make([]string, len(spelled))
	for at, s := range spelled {
		if s.Problem != "" {
			return nil, &configError{
				fmt.Errorf("the account at Accounts[%d] of %s chain %s: %.128q %s; fix it in the node's configuration", at,
					r.Relay(), c.ID, c.Accounts[at], s.Problem)}
		}
		names[at] = s.Text
	}
	return names, nil
}

// lent has the accounts with which a process of a relayer may sign on one chain: those that the configuration names for
// the chain or, if it names none, all of the relay. It also has the check of what the process may have signed.
func (n *Node) lent(relay, chain, process string) *hostservice.Keystore {
	judge := n.guard(relay, chain, process)
	if names := n.tables.accounts(chainKey{relay, chain}); len(names) > 0 {
		return hostservice.NewKeystoreOf(n.keys, relay, judge, names...)
	}
	return hostservice.NewKeystore(n.keys, relay, judge)
}

// guard decides what a process of a relayer may have signed for one chain.
func (n *Node) guard(relay, chain, process string) *signing.Guard {
	s := signing.Settings{Plugin: process, Relay: relay, Chain: chain}
	if served := n.plugins.known[relay]; served != nil {
		rules := n.settings.Config.Environment.Plugins[served.Plugin()].Rules
		s.PerMinute = rules.SignaturesPerMinute
		if own := n.builtin[relay]; own != nil && !rules.SignUnchecked {
			s.Check = check(n.settings.Builtin[own.Plugin()].Check, n.chains(served), chain)
		}
	}
	return signing.NewGuard(s, n.contracts, n.transfers, n.signed)
}

// check is the check of a chain. If it cannot be made, nothing is signed: its chain cannot be made either.
func check(make relayersigning.New, chains []config.Chain, id string) relayersigning.Check {
	if make == nil {
		return nil
	}
	err := fmt.Errorf("it is for a chain %q that the node's configuration does not have", id)
	for _, c := range chains {
		if c.ID != id {
			continue
		}
		var of relayersigning.Check
		if of, err = make(c.TOML()); err == nil {
			return of
		}
		err = fmt.Errorf("it is for a chain whose configuration cannot be read: %w", err)
	}
	return func(relayersigning.Request, relayersigning.Facts) (relayersigning.Verdict, error) {
		return relayersigning.Verdict{}, err
	}
}

// lend gives the shared process of a relayer keys and a store for one chain.
func (n *Node) lend(relay, chain string) relayerv1loophost.CreateChainLoans {
	keys := n.lent(relay, chain, n.plugins.known[relay].Plugin())
	return n.export(n.accounts.of(relay, chain).Shared(keys, n.store(relay, chain)))
}

func (n *Node) store(relay, chain string) *hostservice.Store {
	return hostservice.NewStore(n.database.Store(database.Scope{PluginKind: relay, Chain: chain}))
}

func (n *Node) export(v *hostservice.View) relayerv1loophost.CreateChainLoans {
	return relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(n.runtime, v),
		Store:    hostservicev1loophost.ExportStore(n.runtime, v),
	}
}

// makeChains makes the chains of the shared relayers.
func (p *plugins) makeChains(ctx context.Context, lend lender) error {
	var wait sync.WaitGroup
	var mu sync.Mutex
	var first error
	for _, s := range p.shared {
		wait.Go(func() {
			if err := p.makeChainsOf(ctx, s, p.node.chains(s.relayer), lend); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	wait.Wait()
	return first
}

// makeChainsOf makes chains in a relayer's process.
func (p *plugins) makeChainsOf(ctx context.Context, s *served, chains []config.Chain, lend lender) error {
	for _, c := range chains {
		handle := s.plugin.CreateChain(&relayerv1.CreateChainRequest{ChainId: c.ID, ConfigToml: c.TOML()},
			lend(s.relayer.Relay(), c.ID))
		s.put(c.ID, handle)
		made, cancel := context.WithTimeout(ctx, chainTimeout)
		_, err := handle.Created(made)
		cancel()
		switch status.Code(err) {
		case codes.OK:
		case codes.InvalidArgument, codes.FailedPrecondition, codes.Unimplemented:
			_ = handle.Release(ctx) // of nothing that the plugin has: it is not to be made again and again
			return &configError{
				fmt.Errorf("plugin %s refused the configuration of chain %s: %s; fix it in the node's configuration",
					s.relayer.Plugin(), c.ID, status.Convert(err).Message())}
		default:
			p.node.logger.Error("a chain could not be made; the node goes on and tries again", "plugin",
				s.plugin.Name(), "chain", c.ID, "error", err)
		}
	}
	return nil
}
