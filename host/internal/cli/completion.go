package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// completionTimeout is how long a person who presses the tabulator waits for a node.
const completionTimeout = 2 * time.Second

// names asks a node for the values that an argument may have. Each has its description behind a tabulator.
type names func(context.Context, api) ([]string, error)

// complete completes the first argument of a command with the names that the node has, or not at all if no node
// answers.
func (c *command) complete(ask names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		node, err := c.target.client(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := ask(ctx, node)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func jobIDs(ctx context.Context, a api) ([]string, error) {
	r, err := a.ListJobs(ctx, &nodev1.ListJobsRequest{})
	var found []string
	for _, j := range r.GetJobs() {
		found = append(found, cobra.CompletionWithDesc(strconv.FormatInt(j.GetId(), 10), j.GetName()))
	}
	return found, err
}

func bridgeNames(ctx context.Context, a api) ([]string, error) {
	r, err := a.ListBridges(ctx, &nodev1.ListBridgesRequest{})
	var found []string
	for _, b := range r.GetBridges() {
		found = append(found, cobra.CompletionWithDesc(b.GetName(), b.GetUrl()))
	}
	return found, err
}

func pluginNames(ctx context.Context, a api) ([]string, error) {
	r, err := a.ListPlugins(ctx, &nodev1.ListPluginsRequest{})
	var found []string
	for _, p := range r.GetPlugins() {
		found = append(found, cobra.CompletionWithDesc(p.GetName(), p.GetKind()))
	}
	return found, err
}

func chainIDs(ctx context.Context, a api) ([]string, error) {
	r, err := a.ListChains(ctx, &nodev1.ListChainsRequest{})
	var found []string
	for _, c := range r.GetChains() {
		found = append(found, cobra.CompletionWithDesc(c.GetId(), c.GetRelay()+" by "+c.GetPlugin()))
	}
	return found, err
}

func keyIDs(ctx context.Context, a api) ([]string, error) {
	r, err := a.ListKeys(ctx, &nodev1.ListKeysRequest{})
	var found []string
	for _, k := range r.GetKeys() {
		found = append(found, cobra.CompletionWithDesc(k.GetId(), keyKind(k)))
	}
	return found, err
}

// keyKinds are the kinds of keys that can be made: those that belong to no relay, and the relays of existing keys.
func keyKinds(ctx context.Context, a api) ([]string, error) {
	r, err := a.ListKeys(ctx, &nodev1.ListKeysRequest{})
	found, seen := []string{"p2p", "ocr2"}, map[string]bool{}
	for _, k := range r.GetKeys() {
		if relay := k.GetRelay(); relay != "" && !seen[relay] {
			seen[relay] = true
			found = append(found, relay)
		}
	}
	return found, err
}

func tokenNames(ctx context.Context, a api) ([]string, error) {
	r, err := a.ListTokens(ctx, &nodev1.ListTokensRequest{})
	var found []string
	for _, t := range r.GetTokens() {
		found = append(found, t.GetName())
	}
	return found, err
}
