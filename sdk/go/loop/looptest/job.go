package looptest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// job is the request to validate the job that the suite uses, with a change.
func (b *bench) job(change func(*relayerv1.ValidateJobRequest)) *relayerv1.ValidateJobRequest {
	r := b.settings.Relayer
	request := &relayerv1.ValidateJobRequest{
		ChainId: r.ChainID, ContractId: r.ContractID, TransmitterId: r.TransmitterID,
		RelayConfigJson: []byte(r.RelayConfigJSON), ProviderType: relayer.ProviderMedian,
	}
	change(request)
	return request
}

func (l *generation) validateJob(ctx context.Context, request *relayerv1.ValidateJobRequest,
	what string) (*relayerv1.ValidateJobResponse, error) {
	var r relayerv1.ValidateJobResponse
	if err := l.call(ctx, "", relayerv1.RelayerService_ValidateJob_FullMethodName, request, &r); err != nil {
		return nil, wrap("RelayerService.ValidateJob of "+what, err)
	}
	return &r, nil
}

func relayerValidateJob(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	const method = "RelayerService.ValidateJob"
	good, err := l.validateJob(ctx, b.job(func(*relayerv1.ValidateJobRequest) {}), "the job that the suite uses")
	if err != nil {
		return err
	}
	if len(good.GetProblems()) > 0 {
		return fmt.Errorf("%s refuses the job that ChainService.CreateProvider takes: %s", method,
			sentenceOf(good.GetProblems()))
	}
	if err := l.isThatOfTheProvider(ctx, good); err != nil {
		return err
	}
	for key, change := range map[string]func(*relayerv1.ValidateJobRequest){
		"contractID":    func(r *relayerv1.ValidateJobRequest) { r.ContractId = nameless },
		"transmitterID": func(r *relayerv1.ValidateJobRequest) { r.TransmitterId = nameless },
		"relayConfig":   func(r *relayerv1.ValidateJobRequest) { r.RelayConfigJson = []byte("{") },
		"":              func(r *relayerv1.ValidateJobRequest) { r.ProviderType = "conformance" },
	} {
		what := "a job whose " + key + " is none"
		if key == "" {
			what = "a job of a type of provider that the relayer does not have"
		}
		bad, err := l.validateJob(ctx, b.job(change), what)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(bad.GetProblems(), func(p *pluginv1.Problem) bool { return p.GetPath() == key }) {
			return fmt.Errorf("%s of %s finds the problems %q; want one at the path %q", method, what,
				sentenceOf(bad.GetProblems()), key)
		}
	}
	return nil
}

// isThatOfTheProvider checks that ValidateJob says the same of a job as the job's provider and NormalizeIds.
func (l *generation) isThatOfTheProvider(ctx context.Context, said *relayerv1.ValidateJobResponse) error {
	if !json.Valid(said.GetRelayConfigJson()) {
		return fmt.Errorf("RelayerService.ValidateJob gives the relay configuration %q; want JSON",
			cut(string(said.GetRelayConfigJson())))
	}
	r := l.bench.settings.Relayer
	for _, id := range []struct {
		kind      relayerv1.IdKind
		text, got string
	}{
		{relayerv1.IdKind_ID_KIND_CONTRACT, r.ContractID, said.GetContractKey()},
		{relayerv1.IdKind_ID_KIND_ACCOUNT, r.TransmitterID, said.GetTransmitterKey()},
	} {
		normal, err := l.normalize(ctx, id.kind, id.text)
		if err != nil {
			return err
		}
		if normal[0].GetText() != id.got {
			return fmt.Errorf("RelayerService.ValidateJob spells %q as %q, and RelayerService.NormalizeIds as %q; want one "+
				"spelling", id.text, id.got, normal[0].GetText())
		}
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	provider := loan.Name("Conformance")
	method, request, reply := l.childRequest(provider, false)
	request.(*relayerv1.CreateProviderRequest).Config.RelayConfigJson = said.GetRelayConfigJson()
	if err := l.call(ctx, parent, method, request, reply); err != nil {
		return wrap(short(method)+" with the relay configuration that RelayerService.ValidateJob gives", err)
	}
	var from relayerv1.FromAccountResponse
	if err := l.call(ctx, provider, relayerv1.ContractTransmitterService_FromAccount_FullMethodName,
		&relayerv1.FromAccountRequest{}, &from); err != nil {
		return wrap("ContractTransmitterService.FromAccount", err)
	}
	if from.GetAccount() != said.GetFromAccount() {
		return fmt.Errorf("RelayerService.ValidateJob says that the job sends from %q, and "+
			"ContractTransmitterService.FromAccount %q", said.GetFromAccount(), from.GetAccount())
	}
	return nil
}

func relayerProviderType(ctx context.Context, b *bench) error {
	l, err := b.plugin(ctx)
	if err != nil {
		return err
	}
	parent, err := l.parent(ctx)
	if err != nil {
		return err
	}
	method, request, reply := l.childRequest(loan.Name("Conformance"), false)
	request.(*relayerv1.CreateProviderRequest).ProviderType = "conformance"
	return want(short(method)+" of a provider_type that the relayer does not list",
		l.call(ctx, parent, method, request, reply), codes.InvalidArgument)
}
