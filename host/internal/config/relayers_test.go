package config_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// relayer is a real one as the node asks it.
type relayer struct {
	description *relayerv1.DescribeRelayerResponse
	client      *relayerv1loophost.Relayer
}

func (r relayer) Section() string { return r.description.GetSection() }

func (r relayer) ValidateChain(ctx context.Context, toml []byte) (problems, warnings []document.Problem, err error) {
	response, err := r.client.ValidateChain(ctx, &relayerv1.ValidateChainRequest{ConfigToml: toml})
	if err != nil {
		return nil, nil, err
	}
	return found(response.GetProblems()), found(response.GetWarnings()), nil
}

func found(list []*pluginv1.Problem) []document.Problem {
	var all []document.Problem
	for _, problem := range list {
		all = append(all, document.Problem{Path: problem.GetPath(), Text: problem.GetMessage()})
	}
	return all
}

// relayers are those that are built in.
func relayers(t *testing.T) []config.Relayer {
	t.Helper()
	runtime, err := loophost.New(loophost.Settings{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.Close(context.Background()) })
	var all []config.Relayer
	for _, name := range []string{"evm", "solana", "starknet"} {
		plugin := fallback.Plugins()[name].New()
		client, err := relayerv1loophost.LaunchRelayer(t.Context(), runtime,
			loophost.PluginSettings{Name: name, InProcess: &plugin})
		if err != nil {
			t.Fatal(err)
		}
		description, err := client.DescribeRelayer(t.Context(), &relayerv1.DescribeRelayerRequest{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, relayer{description: description, client: client})
	}
	slices.SortFunc(all, func(a, b config.Relayer) int { return strings.Compare(a.Section(), b.Section()) })
	return all
}

// builtIn are the names of the plugins that the node under test needs no command for.
var builtIn = []string{"median", "evm", "solana", "starknet"}

// load loads a file as a node does that has all relayers built in.
func load(path string, variables map[string]string) (*config.Config, error) {
	return config.Load(path, environment(variables), []byte(variables["CL_PASSWORD_KEYSTORE"]), builtIn...)
}

// environment has the form of os.Environ.
func environment(variables map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		all = append(all, name+"="+variables[name])
	}
	return all
}
