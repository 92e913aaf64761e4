package service

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/document"
)

// scheme is the name of the one kind of reports of a relayer's contracts.
const scheme = "default"

// DescribeRelayer implements relayerv1loop.RelayerService.
func (r *Relayer[C]) DescribeRelayer(context.Context,
	*relayerv1.DescribeRelayerRequest) (*relayerv1.DescribeRelayerResponse, error) {
	reference, err := r.kind.Reference.Redacted()
	if err != nil {
		return nil, err
	}
	return &relayerv1.DescribeRelayerResponse{
		Relay: strings.ToLower(r.kind.Name), Section: r.kind.Name, AccountAlgorithm: r.kind.AccountAlgorithm,
		ReportSchemes: []*relayerv1.ReportScheme{{Name: scheme, Algorithm: r.kind.ReportAlgorithm}},
		ReferenceToml: reference, Features: r.kind.Features, ProviderTypes: providerTypes,
	}, nil
}

// DescribeAccounts implements relayerv1loop.RelayerService.
func (r *Relayer[C]) DescribeAccounts(_ context.Context,
	request *relayerv1.DescribeAccountsRequest) (*relayerv1.DescribeAccountsResponse, error) {
	response := &relayerv1.DescribeAccountsResponse{}
	for i, key := range request.GetPublicKeys() {
		name, err := r.kind.AccountName(key)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "public_keys[%d]: %v", i, err)
		}
		response.Names = append(response.Names, name)
	}
	return response, nil
}

// NormalizeIds implements relayerv1loop.RelayerService.
func (r *Relayer[C]) NormalizeIds(_ context.Context,
	request *relayerv1.NormalizeIdsRequest) (*relayerv1.NormalizeIdsResponse, error) {
	response := &relayerv1.NormalizeIdsResponse{}
	for _, id := range request.GetIds() {
		normal := &relayerv1.NormalizedId{}
		text, err := r.kind.Spell(id.GetKind(), id.GetText())
		if err != nil {
			normal.Problem = shortened(err.Error())
		} else {
			normal.Text = text
		}
		response.Ids = append(response.Ids, normal)
	}
	return response, nil
}

// ValidateChain implements relayerv1loop.RelayerService.
func (r *Relayer[C]) ValidateChain(_ context.Context,
	request *relayerv1.ValidateChainRequest) (*relayerv1.ValidateChainResponse, error) {
	_, found := r.kind.Parse(r.kind.Name, request.GetConfigToml())
	return &relayerv1.ValidateChainResponse{Problems: told(found.List()), Warnings: told(found.Warnings())}, nil
}

// told are problems in the contract's form.
func told(list []document.Problem) []*pluginv1.Problem {
	var all []*pluginv1.Problem
	for _, found := range list {
		all = append(all, problem(found.Path, found.Alone()))
	}
	return most(all)
}
