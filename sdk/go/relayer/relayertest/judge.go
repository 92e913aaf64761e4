package relayertest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// judge is a keystore that, like a host's, signs only what a relayer's own check lets through. If the check refuses
// something of a relayer that does its work, the check is wrong.
type judge struct {
	Keystore
	t        testing.TB
	newCheck signing.New

	mu     sync.Mutex
	checks []signing.Check // of the chains
	facts  signing.Facts
}

// serves is called with the section of each chain. One that the relayer refuses has no check.
func (j *judge) serves(section []byte) {
	if check, err := j.newCheck(section); err == nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.checks = append(j.checks, check)
	}
}

// knows is called with each job.
func (j *judge) knows(r *relayerv1.CreateProviderRequest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.facts.Contracts = append(j.facts.Contracts, signing.Contract{
		Job: int64(len(j.facts.Contracts) + 1), ID: r.GetConfig().GetContractId(), Transmitter: r.GetTransmitterId(),
		RelayConfigJSON: r.GetConfig().GetRelayConfigJson(), GasLimit: r.GetGasLimit(),
	})
}

func (j *judge) asked(transfers ...signing.Transfer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.facts.Transfers = append(j.facts.Transfers, transfers...)
}

// Sign implements KeystoreServiceClient.
func (j *judge) Sign(ctx context.Context, in *hostservicev1.SignRequest,
	options ...grpc.CallOption) (*hostservicev1.SignResponse, error) {
	if err := j.judge(in); err != nil {
		j.t.Errorf("the relayer's own check refuses what the relayer asks to have signed: %v", err)
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	return j.Keystore.Sign(ctx, in, options...)
}

// judge asks the checks of all chains, one of which must let the request through.
func (j *judge) judge(in *hostservicev1.SignRequest) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	facts := j.facts
	facts.Transfers = slices.Clone(facts.Transfers)
	for _, check := range j.checks {
		var verdict signing.Verdict
		verdict, err = check(
			signing.Request{Account: in.GetAccount(), Data: in.GetData(), Transaction: in.GetTransaction()}, facts)
		if err == nil {
			if verdict.Kind == signing.Coins {
				j.facts.Transfers[verdict.Transfer].Slot = verdict.Slot
			}
			return nil
		}
	}
	return err
}
