package evm_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// call encodes a call of the aggregator.
func call(t *testing.T, method string, arguments ...any) []byte {
	t.Helper()
	contract, err := ocr2aggregator.OCR2AggregatorMetaData.GetAbi()
	must(t, err)
	data, err := contract.Pack(method, arguments...)
	must(t, err)
	return data
}

func TestReadContract(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	chain, _ := newFixture(t).chain(settings("", [2]string{"", d.url}))
	eventually(t, "the chain is reached", func() bool { _, err := chain.LatestHead(t.Context(), nil); return err == nil })
	owner, err := f.Owner(nil)
	must(t, err)
	nobody := common.Address{9}.Hex()
	decimals := call(t, "decimals")
	for name, c := range map[string]struct {
		request *relayerv1.ReadContractRequest
		code    codes.Code
		want    string // a part of the error, or the last byte of the answer
	}{
		"answers": {&relayerv1.ReadContractRequest{CallData: decimals}, codes.OK, "\x08"},
		"at a word's block": {&relayerv1.ReadContractRequest{CallData: decimals, Block: "Latest", GasLimit: 100_000},
			codes.OK, "\x08"},
		"pending": {&relayerv1.ReadContractRequest{CallData: decimals, Block: "pending"}, codes.OK, "\x08"},
		"at a number": {&relayerv1.ReadContractRequest{CallData: decimals, Block: "1"}, codes.NotFound,
			"nothing answers at " + f.address.Hex() + " on chain 1337"},
		"above the head": {&relayerv1.ReadContractRequest{CallData: decimals, Block: "1000000"}, codes.Unavailable,
			d.says("header not found", "BlockOutOfRangeError")},
		"reverts": {&relayerv1.ReadContractRequest{CallData: call(t, "transferOwnership", common.Address{1})},
			codes.FailedPrecondition, `reverts the call: "Only callable by owner"`},
		"from the owner": {&relayerv1.ReadContractRequest{CallData: call(t, "typeAndVersion"), From: owner.Hex()},
			codes.OK, "\x00"},
		"no such function": {&relayerv1.ReadContractRequest{CallData: []byte{1, 2, 3, 4}}, codes.FailedPrecondition,
			"reverts the call"},
		"too little gas": {&relayerv1.ReadContractRequest{CallData: decimals, GasLimit: 21_200}, codes.FailedPrecondition,
			d.says("out of gas", "OutOfGas")},
		"no contract": {&relayerv1.ReadContractRequest{ContractId: nobody, CallData: decimals}, codes.NotFound,
			"nothing answers at " + nobody},
		"no address": {&relayerv1.ReadContractRequest{ContractId: "0x12", CallData: decimals}, codes.InvalidArgument,
			`contract_id: "0x12" is not an address`},
		"no account": {&relayerv1.ReadContractRequest{CallData: decimals, From: "me"}, codes.InvalidArgument,
			`from: "me" is not an address`},
		"no block": {&relayerv1.ReadContractRequest{CallData: decimals, Block: "0x1"}, codes.InvalidArgument,
			`block: "0x1" is not a block; write its number, or one of latest`},
		"a block too large": {&relayerv1.ReadContractRequest{CallData: decimals, Block: "18446744073709551616"},
			codes.InvalidArgument, "is not a block"},
		"a word of no chain": {&relayerv1.ReadContractRequest{CallData: decimals, Block: "yesterday"}, codes.InvalidArgument,
			"is not a block"},
	} {
		if c.request.ContractId == "" {
			c.request.ContractId = f.address.Hex()
		}
		response, err := chain.ReadContract(t.Context(), c.request)
		if status.Code(err) != c.code || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %v with %q", name, err, c.code, c.want)
		}
		if output := response.GetReturnData(); err == nil && (len(output) < 32 || string(output[len(output)-1:]) != c.want) {
			t.Errorf("%s: answered %x", name, output)
		}
	}
}

// A read goes to the next node when one fails, and no error tells where the nodes are.
func TestReadContractFailsOver(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	first, second := relayertest.NewServer(t, d.url), relayertest.NewServer(t, d.url)
	chain, _ := newFixture(t).chain(settings("", [2]string{"", first.HTTPURL}, [2]string{"", second.HTTPURL}))
	read := func(ctx context.Context) error {
		_, err := chain.ReadContract(ctx,
			&relayerv1.ReadContractRequest{ContractId: f.address.Hex(), CallData: call(t, "decimals")})
		return err
	}
	allServe(t, chain)
	for _, fault := range []relayertest.Fault{relayertest.Down, relayertest.HTML, relayertest.Limit, relayertest.Garbage} {
		first.SetFault(fault)
		if err := read(t.Context()); err != nil {
			t.Errorf("with fault %d of the first node: %v", fault, err)
		}
	}
	second.SetFault(relayertest.Down)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := read(ctx)
	if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("with all nodes down: %v", err)
	}
}

// An answer that the contract between host and plugins has no room for is refused at its source.
func TestReadContractBoundsAnswers(t *testing.T) {
	t.Parallel()
	server := relayertest.NewServer(t, newDevchain(t).url)
	chain, _ := newFixture(t).chain(settings("", [2]string{"", server.HTTPURL}))
	eventually(t, "the chain is reached", func() bool { _, err := chain.LatestHead(t.Context(), nil); return err == nil })
	for size, want := range map[int]codes.Code{1 << 20: codes.OK, 1<<20 + 1: codes.ResourceExhausted} {
		server.Answer("eth_call", func(json.RawMessage) (any, error) { return "0x" + strings.Repeat("00", size), nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := chain.ReadContract(ctx,
			&relayerv1.ReadContractRequest{ContractId: common.Address{1}.Hex(), CallData: []byte{1}})
		cancel()
		if status.Code(err) != want {
			t.Errorf("an answer of %d bytes: %v; want %v", size, err, want)
		}
	}
}
