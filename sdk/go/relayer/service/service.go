// Package service is the part of a relayer above its chain: the objects that serve LOOP's contract, on the pools,
// queues and pollers of package relayer.
//
// A relayer gives New a Kind: how to read its section of the configuration and its jobs, how to name accounts, and how
// to open a chain. To open a chain, it calls NewChain with the nodes of its endpoint and with functions that open an
// account and follow a contract, and embeds the result. If the chain has no better way, a contract is a Polled with a
// function that reads it from a node. Provider makes a chain's providers from a Codec for reports and a function that
// returns what is signed. The package must not know any chain.
package service

import (
	"context"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Settings configure a Relayer. Logger and Registerer are required; a plugin's *loop.Host has them.
type Settings struct {
	Logger *slog.Logger
	// Registerer takes the relayer's metrics. One Relayer per Registerer.
	Registerer prometheus.Registerer
	// Relay is the name under which the relayer serves jobs, instead of its Kind's: acme, with sections [[Acme]].
	Relay string
}

// Config is a chain's section of the configuration, read and checked.
type Config interface {
	// ID returns the chain's id as the node names it.
	ID() string
	// Serves returns false for a section that is kept but connects to nothing.
	Serves() bool
	// Redacted returns the configuration as TOML without secrets, for operators.
	Redacted() (string, error)
}

// Kind describes what all chains of a relayer have in common.
type Kind[C Config] struct {
	// Name of the kind of chain in messages, and of its sections: "EVM" for [[EVM]]. In small letters it is the relay
	// that jobs name, and that metrics are labelled with.
	Name string
	// Own are metrics beside those that all relayers have. Each has the label chain_id, and loses its series of a chain
	// that is released.
	Own []Vector
	// Parse reads a section with the name that operators write in its header, and reports problems. If there are none,
	// the configuration can be opened.
	Parse func(name string, text []byte) (C, *document.Problems)
	// Reference is a section with every key and its default, for operators. Parse reports no problem with it.
	Reference C
	// AccountAlgorithm is the signature algorithm of the accounts that pay for transactions. AccountName returns the
	// name of an account by its public key, as operators and jobs write it; its error says what a key is.
	AccountAlgorithm relayerv1.AccountAlgorithm
	AccountName      func(publicKey []byte) (string, error)
	// ReportAlgorithm is how oracles sign the result of Served.Digest.
	ReportAlgorithm relayerv1.ReportAlgorithm
	// Features are the optional features of the relayer's chains.
	Features []relayerv1.Feature
	// Spell returns the canonical spelling of a text that names an account or a contract. Its error is a clause that
	// follows the text: "is not an address, which is ...". A spelling must hold no slash, since slashes divide the keys by
	// which reports are kept in the Store: where the chain writes one, spell it by another sign, and take both as input.
	Spell func(kind relayerv1.IdKind, text string) (string, error)
	// Job, if set, reads a job's relayConfig: it asks for every key that has a meaning, sets defaults, and reports
	// problems.
	Job func(job *Job)
	// Open makes a chain, after the section was checked to be for the requested chain. It does not wait for a node.
	Open func(config C, env Env) (relayerv1loop.Chain, error)
}

// Env is the environment of a chain.
type Env struct {
	Loans   relayerv1loop.CreateChainLoans
	Logger  *slog.Logger // names the chain
	Metrics *Metrics
	Hub     *relayer.Hub

	job func(*relayerv1.CreateProviderRequest) (*Job, error)
}

// Relayer is the plugin's root.
type Relayer[C Config] struct {
	kind    Kind[C]
	logger  *slog.Logger
	metrics *Metrics
	hub     relayer.Hub
}

// New makes a relayer without chains.
func New[C Config](settings Settings, kind Kind[C]) *Relayer[C] {
	if relay := settings.Relay; relay != "" {
		kind.Name = strings.ToUpper(relay[:1]) + relay[1:]
	}
	metrics := newMetrics(settings.Registerer, strings.ToLower(kind.Name), kind.Own)
	return &Relayer[C]{kind: kind, logger: settings.Logger, metrics: metrics}
}

// CreateChain implements relayerv1loop.RelayerService.
func (r *Relayer[C]) CreateChain(_ context.Context, request *relayerv1.CreateChainRequest,
	loans relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	config, problems := r.kind.Parse(r.kind.Name, request.GetConfigToml())
	if err := problems.Err(); err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "config_toml of %s chain %s: %v", r.kind.Name,
			request.GetChainId(), err)
	}
	if config.ID() != request.GetChainId() {
		return nil, nil, status.Errorf(codes.InvalidArgument, "config_toml: ChainID is %s, but chain_id is %s", config.ID(),
			request.GetChainId())
	}
	chain, err := r.kind.Open(config, Env{
		Loans: loans, Logger: r.logger.With("chain", config.ID()), Metrics: r.metrics, Hub: &r.hub,
		job: func(request *relayerv1.CreateProviderRequest) (*Job, error) { return r.provided(request, config.ID()) },
	})
	if err != nil {
		return nil, nil, err
	}
	return chain, &relayerv1.CreateChainResponse{}, nil
}

// WatchContractConfigs implements relayerv1loop.RelayerService.
func (r *Relayer[C]) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	stream grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	if err := r.hub.Watch(stream.Context(), stream.Send); err != nil && stream.Context().Err() == nil {
		return err
	}
	return status.FromContextError(stream.Context().Err()).Err()
}

// AsUnavailable turns an error of the chain into a status, if it is not one.
func AsUnavailable(err error) error {
	if code := status.Code(err); code != codes.Unknown {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}
