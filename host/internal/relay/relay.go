// Package relay knows a relayer's description: its name, its keys, the form of its configuration, and the problems that
// it finds in chains, jobs and names. It checks these answers against the contract, so that the rest of the host can
// rely on them.
//
// It must not know how a plugin is started or what is done with an answer; and it knows no chain.
package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// Client makes calls to a relayer. Calls without a deadline get the contract's.
type Client interface {
	DescribeRelayer(context.Context, *relayerv1.DescribeRelayerRequest,
		...grpc.CallOption) (*relayerv1.DescribeRelayerResponse, error)
	DescribeAccounts(context.Context, *relayerv1.DescribeAccountsRequest,
		...grpc.CallOption) (*relayerv1.DescribeAccountsResponse, error)
	NormalizeIds(context.Context, *relayerv1.NormalizeIdsRequest,
		...grpc.CallOption) (*relayerv1.NormalizeIdsResponse, error)
	ValidateChain(context.Context, *relayerv1.ValidateChainRequest,
		...grpc.CallOption) (*relayerv1.ValidateChainResponse, error)
	ValidateJob(context.Context, *relayerv1.ValidateJobRequest,
		...grpc.CallOption) (*relayerv1.ValidateJobResponse, error)
}

// Relayer is a relayer with a valid description.
type Relayer struct {
	plugin      string
	client      Client
	description *relayerv1.DescribeRelayerResponse
}

// Ask asks a plugin for its description. If that is not usable, the error is one sentence for people.
func Ask(ctx context.Context, plugin string, client Client) (*Relayer, error) {
	description, err := client.DescribeRelayer(ctx, &relayerv1.DescribeRelayerRequest{})
	if err != nil {
		return nil, fmt.Errorf("plugin %s did not describe its relayer: %s", plugin, sentence(err))
	}
	r := &Relayer{plugin: plugin, client: client, description: description}
	if err = check(description); err == nil {
		err = r.checkReference(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("plugin %s describes a relayer that this node cannot use: %w; upgrade the plugin or the node",
			plugin, err)
	}
	return r, nil
}

// Restore returns a relayer from Stored, while its plugin is down. Calls go to client, which may answer when the plugin
// is back.
func Restore(plugin string, client Client, stored []byte) (*Relayer, error) {
	description := &relayerv1.DescribeRelayerResponse{}
	err := proto.Unmarshal(stored, description)
	if err == nil {
		err = check(description) // another version of the node may have kept it
	}
	if err != nil {
		return nil, fmt.Errorf("the description that was kept of plugin %s cannot be used: %w", plugin, err)
	}
	return &Relayer{plugin: plugin, client: client, description: description}, nil
}

// Stored returns what Restore needs.
func (r *Relayer) Stored() ([]byte, error) { return proto.Marshal(r.description) }

// Plugin returns the name of the relayer's plugin.
func (r *Relayer) Plugin() string { return r.plugin }

// Relay returns the name under which the relayer serves jobs.
func (r *Relayer) Relay() string { return r.description.GetRelay() }

// Section returns the name of the relayer's tables in the node's configuration, as operators write it.
func (r *Relayer) Section() string { return r.description.GetSection() }

// ReferenceTOML returns one such table with every key, its default and a comment for each.
func (r *Relayer) ReferenceTOML() string { return r.description.GetReferenceToml() }

// ReadsContracts reports whether the relayer's chains answer calls in Solidity's ABI.
func (r *Relayer) ReadsContracts() bool {
	return slices.Contains(r.description.GetFeatures(), relayerv1.Feature_FEATURE_READ_CONTRACT)
}

// Provides reports whether the relayer has providers of a type.
func (r *Relayer) Provides(providerType string) bool {
	return slices.Contains(r.description.GetProviderTypes(), providerType)
}

// ProviderTypes returns the types of providers that the relayer has.
func (r *Relayer) ProviderTypes() []string { return r.description.GetProviderTypes() }

// AccountName returns the name of the account of a public key.
func (r *Relayer) AccountName(ctx context.Context, publicKey []byte) (string, error) {
	names, err := r.AccountNames(ctx, [][]byte{publicKey})
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// AccountNames returns the names of the accounts of public keys.
func (r *Relayer) AccountNames(ctx context.Context, publicKeys [][]byte) ([]string, error) {
	response, err := r.client.DescribeAccounts(ctx, &relayerv1.DescribeAccountsRequest{PublicKeys: publicKeys})
	if err != nil {
		return nil, r.failed("name accounts", err)
	}
	names := response.GetNames()
	if len(names) != len(publicKeys) {
		return nil, r.nonsense("DescribeAccounts", "names %d accounts of %d", len(names), len(publicKeys))
	}
	for at, name := range names {
		if strings.TrimSpace(name) == "" {
			return nil, r.nonsense("DescribeAccounts", "gives the account of names[%d] an empty name", at)
		}
	}
	return names, nil
}

// Spelling returns the canonical spelling of a text, or why it cannot name what it should.
type Spelling struct {
	Text    string
	Problem string
}

// Accounts returns the canonical spellings of names of accounts.
func (r *Relayer) Accounts(ctx context.Context, names []string) ([]Spelling, error) {
	request := &relayerv1.NormalizeIdsRequest{}
	for _, name := range names {
		request.Ids = append(request.Ids, &relayerv1.Id{Kind: relayerv1.IdKind_ID_KIND_ACCOUNT, Text: name})
	}
	response, err := r.client.NormalizeIds(ctx, request)
	if err != nil {
		return nil, r.failed("spell accounts", err)
	}
	if len(response.GetIds()) != len(names) {
		return nil, r.nonsense("NormalizeIds", "spells %d names of %d", len(response.GetIds()), len(names))
	}
	all := make([]Spelling, len(names))
	for at, id := range response.GetIds() {
		if (id.GetText() == "") == (id.GetProblem() == "") {
			return nil, r.nonsense("NormalizeIds", "has neither or both of a text and a problem in ids[%d]", at)
		}
		all[at] = Spelling{Text: id.GetText(), Problem: id.GetProblem()}
	}
	return all, nil
}

// failed is the error of a call that the relayer did not answer.
func (r *Relayer) failed(what string, err error) error {
	return status.Errorf(status.Code(err), "plugin %s did not %s: %s", r.plugin, what, sentence(err))
}

// nonsense is the error of an answer that makes no sense.
func (r *Relayer) nonsense(method, format string, arguments ...any) error {
	return status.Errorf(codes.Internal, "plugin %s: its answer to %s %s; upgrade the plugin", r.plugin, method,
		fmt.Sprintf(format, arguments...))
}

// sentence is an error's text without the kind of call that failed.
func sentence(err error) string { return status.Convert(err).Message() }
