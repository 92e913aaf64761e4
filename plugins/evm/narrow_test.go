package evm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// everyRound asks for the latest round of a day.
var everyRound = &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(24 * time.Hour)}

// TestServerOfFewBlocks checks that a contract is read, and its events found, at a server that allows fewer blocks in
// one call than are read again each time.
func TestServerOfFewBlocks(t *testing.T) {
	t.Parallel()
	const most = 5
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	f.configure("a")
	d.send(func(o *bind.TransactOpts) (*types.Transaction, error) { return f.RequestNewRound(o) })
	for range 80 {
		d.mine()
	}
	server := relayertest.NewServer(t, d.url)
	server.Answer("eth_getLogs", func(params json.RawMessage) (any, error) {
		var filter []struct {
			FromBlock, ToBlock hexutil.Uint64
			Topics             []common.Hash
		}
		if err := json.Unmarshal(params, &filter); err != nil {
			return nil, err
		}
		if blocks := filter[0].ToBlock - filter[0].FromBlock + 1; blocks > most {
			return nil, fmt.Errorf("eth_getLogs is limited to a range of %d blocks", most)
		}
		return d.client().FilterLogs(t.Context(), ethereum.FilterQuery{
			FromBlock: new(big.Int).SetUint64(uint64(filter[0].FromBlock)),
			ToBlock:   new(big.Int).SetUint64(uint64(filter[0].ToBlock)),
			Addresses: []common.Address{f.address}, Topics: [][]common.Hash{filter[0].Topics},
		})
	})
	x := newFixture(t)
	chain, _ := x.chain(settings("", [2]string{"", server.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, f.address)
	if _, err := p.LatestConfigDetails(t.Context(), nil); err != nil {
		t.Errorf("the contract cannot be read: %v", err)
	}
	eventually(t, "the round that was asked for is found", func() bool {
		r, err := p.LatestRoundRequested(t.Context(), everyRound)
		must(t, err)
		return [32]byte(r.GetTimestamp().GetConfigDigest()) != [32]byte{}
	})
}

// TestServerWithoutEvents checks that a server which lets no events be read is a good node of a configured feed: what
// it does serve is read, no round is asked for, and the reason is told once.
func TestServerWithoutEvents(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	f.configure("a")
	for name, failure := range map[string]error{
		"answers": errors.New("eth_getLogs is not allowed on this plan"), "has no such method": methodNotFound{},
	} {
		server := relayertest.NewServer(t, d.url)
		server.Answer("eth_getLogs", func(json.RawMessage) (any, error) { return nil, failure })
		x := newFixture(t)
		chain, _ := x.chain(settings("", [2]string{"", server.HTTPURL}))
		p, _ := x.provider(chain, "p", f.address, f.address)
		if _, err := p.LatestConfigDetails(t.Context(), nil); err != nil {
			t.Errorf("%s: the contract cannot be read: %v", name, err)
		}
		r, err := p.LatestRoundRequested(t.Context(), everyRound)
		if err != nil || [32]byte(r.GetTimestamp().GetConfigDigest()) != [32]byte{} {
			t.Errorf("%s: the round asked for is %v, %v", name, r, err)
		}
		d.mine()
		_, err = p.LatestConfig(t.Context(), &relayerv1.LatestConfigRequest{ChangedInBlock: 1})
		if err == nil || !strings.Contains(err.Error(), failure.Error()) {
			t.Errorf("%s: the configuration, which needs events, fails with %v", name, err)
		}
		statuses, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
		must(t, err)
		if s := statuses.GetNodes()[0]; s.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
			t.Errorf("%s: the node is %s: %s", name, s.GetState(), s.GetReason())
		}
	}
}

// methodNotFound is what the server answers for a method that it has not.
type methodNotFound struct{}

func (methodNotFound) Error() string  { return "the method eth_getLogs does not exist/is not available" }
func (methodNotFound) ErrorCode() int { return -32601 }

// TestConfigOfAnotherNode checks that a configuration is read from a node that has its event if the best one has
// dropped it, with an error or without.
func TestConfigOfAnotherNode(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	digest := f.configure("a")
	for name, failure := range map[string]error{
		"nothing": nil, "an error": errors.New("pruned history unavailable"),
	} {
		server := relayertest.NewServer(t, d.url)
		var asked atomic.Int64
		server.Answer("eth_getLogs", func(json.RawMessage) (any, error) {
			asked.Add(1)
			return []any{}, failure
		})
		x := newFixture(t)
		chain, _ := x.chain(settings("", [2]string{"", server.HTTPURL}, [2]string{"", d.url}))
		allServe(t, chain)
		p, _ := x.provider(chain, "p", f.address, f.address)
		holdsConfig(t, f, p, digest, "a")
		if asked.Load() == 0 {
			t.Errorf("%s: the node without it was not asked", name)
		}
		_, err := p.LatestConfig(t.Context(), &relayerv1.LatestConfigRequest{ChangedInBlock: 1})
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s: no node has it: %v", name, err)
		}
	}
}

// TestEventsAreReadSeldom checks that LogPollInterval bounds how often events are read while none is pushed, and
// nothing else.
func TestEventsAreReadSeldom(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	f.configure("a")
	server := relayertest.NewServer(t, d.url)
	x := newFixture(t)
	chain, _ := x.chain(settings("LogPollInterval = '1h'\n", [2]string{"", server.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, f.address)
	_, err := p.LatestRoundRequested(t.Context(), everyRound)
	must(t, err)
	for range 3 {
		before := server.Requests("eth_call")
		d.mine()
		eventually(t, "the views are read again", func() bool { return server.Requests("eth_call") > before })
	}
	if n := server.Requests("eth_getLogs"); n != 1 {
		t.Errorf("events were read %d times", n)
	}
}
