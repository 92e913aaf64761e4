package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/relay"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// relayers are the relayers that a node knows, by relay: those of its plugins, and the built-in ones whose relay no
// plugin has. It implements job.Relayers.
type relayers map[string]*relay.Relayer

var _ job.Relayers = relayers{}

// builtinRelayers asks the built-in relayers inside this process what they are.
func builtinRelayers(ctx context.Context, s Settings) (relayers, error) {
	all := relayers{}
	for _, name := range slices.Sorted(maps.Keys(s.Builtin)) {
		plugin := s.Builtin[name].New()
		if plugin.Kind.Name != kindRelayer {
			continue
		}
		conn, err := loophost.Inside(ctx, plugin)
		if err != nil {
			return nil, fmt.Errorf("plugin %s, which is built in: %w", name, err)
		}
		r, err := relay.Ask(ctx, name, relayerv1.NewRelayerServiceClient(conn))
		if err != nil {
			return nil, &pluginError{err}
		}
		all[r.Relay()] = r
	}
	return all, nil
}

// Relays implements job.Relayers.
func (k relayers) Relays() []string { return slices.Sorted(maps.Keys(k)) }

// ReadsContracts implements job.Relayers.
func (k relayers) ReadsContracts(relay string) bool {
	return k[relay] != nil && k[relay].ReadsContracts()
}

// ValidateJob implements job.Relayers.
func (k relayers) ValidateJob(ctx context.Context, relay string,
	r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	if k[relay] == nil {
		return nil, status.Errorf(codes.NotFound, "there is no relayer of the relay %q", relay)
	}
	return k[relay].ValidateJob(ctx, r)
}

// sections are the relayers that check the configuration. A relayer that is down cannot check it: its chains were
// checked when it was up, or are checked when they are made.
func (k relayers) sections(warn func(section string, err error)) []config.Relayer {
	var all []config.Relayer
	for _, name := range k.Relays() {
		all = append(all, section{k[name], warn})
	}
	return all
}

type section struct {
	*relay.Relayer
	warn func(section string, err error)
}

// ValidateChain implements config.Relayer.
func (s section) ValidateChain(ctx context.Context, toml []byte) (problems, warnings []document.Problem, err error) {
	problems, warnings, err = s.Relayer.ValidateChain(ctx, toml)
	if code := status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded {
		s.warn(s.Section(), err)
		return nil, nil, nil
	}
	return problems, warnings, err
}

// wanted is what a relay needs of the keystore.
func (n *Node) wanted(r *relay.Relayer) keystore.Wanted {
	return keystore.Wanted{
		Relay: r.Relay(), Account: r.AccountAlgorithm(), Report: r.ReportAlgorithm(), Name: r.AccountName,
		File: n.settings.Builtin[r.Plugin()].Files,
	}
}

// Relayers returns the relayers that the node knows, by relay: those that a process serves, and the built-in ones.
func (n *Node) Relayers() map[string]*relay.Relayer { return maps.Clone(n.plugins.known) }

// WantedOf returns what a relay needs of the keystore, and false if the node does not know the relay.
func (n *Node) WantedOf(relay string) (keystore.Wanted, bool) {
	r := n.plugins.known[relay]
	if r == nil {
		return keystore.Wanted{}, false
	}
	return n.wanted(r), true
}

// chains are the enabled chains of a relayer, in the order of the configuration.
func (n *Node) chains(r *relay.Relayer) []config.Chain { return enabled(n.tables.all(), r) }

// enabled are those of chains that are a relayer's, and enabled.
func enabled(chains []config.Chain, r *relay.Relayer) []config.Chain {
	return slices.DeleteFunc(slices.Clone(chains), func(c config.Chain) bool {
		return !c.Enabled || !strings.EqualFold(c.Section, r.Section())
	})
}

// checkConfig has all relayers of the node check the chains of the configuration, once, and puts the accounts that it
// names into their one spelling.
func (n *Node) checkConfig(ctx context.Context, known relayers) error {
	if n.tables.checked() {
		return nil
	}
	if err := n.settings.Config.CheckChains(ctx, known.sections(func(section string, err error) {
		n.logger.Warn("the chains of a relayer are not checked because it is down", "section", section, "error", err)
	})); err != nil {
		return &configError{err}
	}
	spelled, err := spellAccounts(ctx, known, n.tables.all())
	if err == nil {
		n.tables.spell(spelled)
	}
	return err
}

// foreign are the names of commands whose plugins may describe themselves: those whose name is not that of a built-in
// plugin of another kind.
func (n *Node) foreign() []string {
	return slices.DeleteFunc(n.commanded(),
		func(name string) bool { return n.insideKind(name) != "" && n.insideKind(name) != kindRelayer })
}
