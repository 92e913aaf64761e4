package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// large is an integer that is too large for the decoder and that a relayer may accept: an amount in a chain's smallest
// unit. Its value does not matter here, only its place.
var large = regexp.MustCompile(`((?:=\s*\[?|,)\s*[+-]?)(?:0x[0-9a-fA-F_]{16,}|[0-9][0-9_]{16,})`)

// ValidateChain lets the relayer check one of its tables, given without its header.
func (r *Relayer) ValidateChain(ctx context.Context, table []byte) (problems, warnings []document.Problem, err error) {
	var values map[string]any
	if err := toml.Unmarshal(large.ReplaceAll(table, []byte("${1}0")), &values); err != nil {
		return nil, nil, fmt.Errorf("the table is not TOML: %w", err)
	}
	response, err := r.client.ValidateChain(ctx, &relayerv1.ValidateChainRequest{ConfigToml: table})
	if err != nil {
		return nil, nil, r.failed("check the configuration of a chain", err)
	}
	for _, found := range [][]*pluginv1.Problem{response.GetProblems(), response.GetWarnings()} {
		if err := r.places("ValidateChain", values, found); err != nil {
			return nil, nil, err
		}
	}
	return documented(response.GetProblems()), documented(response.GetWarnings()), nil
}

func documented(found []*pluginv1.Problem) []document.Problem {
	var all []document.Problem
	for _, p := range found {
		all = append(all, document.Problem{Path: p.GetPath(), Text: p.GetMessage()})
	}
	return all
}

// ValidateJob lets the relayer check its part of a job.
func (r *Relayer) ValidateJob(ctx context.Context,
	request *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	if !r.Provides(request.GetProviderType()) {
		return &relayerv1.ValidateJobResponse{Problems: []*pluginv1.Problem{{Path: "relay", Message: fmt.Sprintf(
			"the relayer of %s has nothing for jobs of this type (%s); it has providers of the types %s",
			r.Relay(), request.GetProviderType(), strings.Join(r.ProviderTypes(), ", "))}}}, nil
	}
	relayConfig := map[string]any{}
	if err := json.Unmarshal(request.GetRelayConfigJson(), &relayConfig); err != nil {
		return nil, fmt.Errorf("relayConfig is not JSON: %w", err)
	}
	response, err := r.client.ValidateJob(ctx, request)
	if err != nil {
		return nil, r.failed("check the job", err)
	}
	job := map[string]any{"relay": r.Relay(), "contractID": request.GetContractId(),
		"transmitterID": request.GetTransmitterId(), "relayConfig": relayConfig}
	for _, found := range [][]*pluginv1.Problem{response.GetProblems(), response.GetWarnings()} {
		if err := r.places("ValidateJob", job, found); err != nil {
			return nil, err
		}
		for _, p := range found {
			if top := strings.FieldsFunc(p.GetPath(),
				func(c rune) bool { return c == '.' || c == '[' }); len(top) > 0 && job[top[0]] == nil {
				return nil, r.nonsense("ValidateJob",
					"names a problem at %q, and a relayer checks contractID, transmitterID and relayConfig (%s)", p.GetPath(),
					p.GetMessage())
			}
		}
	}
	if len(response.GetProblems()) > 0 {
		return response, nil
	}
	switch {
	case !json.Valid(response.GetRelayConfigJson()):
		return nil, r.nonsense("ValidateJob", "has no JSON in relay_config_json")
	case request.GetContractId() != "" && response.GetContractKey() == "":
		return nil, r.nonsense("ValidateJob", "has no contract_key for the contract %q", request.GetContractId())
	case request.GetTransmitterId() != "" && response.GetTransmitterKey() == "":
		return nil, r.nonsense("ValidateJob", "has no transmitter_key for the account %q", request.GetTransmitterId())
	case request.GetTransmitterId() != "" && request.GetProviderType() != relayer.ProviderConfig &&
		response.GetFromAccount() == "":
		return nil, r.nonsense("ValidateJob",
			"has no from_account for the account %q, and the contract's configuration names one", request.GetTransmitterId())
	}
	return response, nil
}

// places checks that the paths of problems lead somewhere.
func (r *Relayer) places(method string, values map[string]any, found []*pluginv1.Problem) error {
	for _, p := range found {
		if !document.Leads(values, p.GetPath()) {
			return r.nonsense(method, "names a problem at %q, where there is nothing (%s)", p.GetPath(), p.GetMessage())
		}
	}
	return nil
}
