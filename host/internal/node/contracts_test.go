package node

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// ReadContract answers with what it was asked.
func (*fakeChain) ReadContract(_ context.Context,
	r *relayerv1.ReadContractRequest) (*relayerv1.ReadContractResponse, error) {
	switch r.GetBlock() {
	case "earliest":
		return nil, status.Error(codes.Unimplemented, "it reads none")
	case "safe":
		return nil, status.Error(codes.FailedPrecondition, `the contract reverts the call: "asleep"`)
	}
	asked := []string{r.GetContractId(), string(r.GetCallData()), r.GetFrom(), r.GetBlock()}
	if r.GetGasLimit() != 7 {
		asked = append(asked, "with another limit of gas")
	}
	return &relayerv1.ReadContractResponse{ReturnData: []byte(strings.Join(asked, " "))}, nil
}

// Pipelines read contracts through the relayer of the chain that the task or the job names.
func TestPipelinesReadContracts(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.acme(t, "RELAYER=fake")
	f.chain("5", "")
	f.chain("1", "")
	n := f.start(t)
	const one, other = "0x00000000000000000000000000000000000000aa", "0x00000000000000000000000000000000000000bb"
	for name, c := range map[string]struct{ attributes, chain, want string }{
		"the job's chain":  {"from=\"" + other + "\" block=latest gas=7", "1", one + " call " + other + " latest"},
		"the task's chain": {"evmChainID=5 gas=7", "2", one + " call  "},
		"an unknown chain": {"", "2", `this node has no enabled acme or evm chain "2"; it has 5, 1`},
		"a refusal":        {"block=safe", "1", `on chain 1 failed: the contract reverts the call: "asleep"`},
		"no reading relayer": {"block=earliest", "1",
			"the relayer of acme chain 1 reads no contracts (it reads none); read this one through a bridge"},
		"a variable's chain":   {`evmChainID="$(jb.name)" gas=7`, "2", one + " call  "},
		"a variable's nothing": {`evmChainID="$(jb.externalJobID)" gas=7`, "2", `has no enabled acme or evm chain "404"`},
	} {
		p, err := pipeline.Parse(`a [type=ethcall contract="` + one + `" data="0x63616c6c" ` + c.attributes +
			`] b [type=lowercase] a -> b`)
		if err != nil {
			t.Fatal(err)
		}
		got, err := n.runner.Run(t.Context(), p, pipeline.Input{ChainID: c.chain, Name: "5", ExternalJobID: "404"}).Final()
		switch {
		case err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "rpc error")):
			t.Errorf("%s: %v; want %s", name, err, c.want)
		case err == nil && got != strings.TrimSpace(c.want) && got != c.want:
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
	if ids := (knownChains{n.plugins}).ChainIDs("acme"); !slices.Equal(ids, []string{"5", "1"}) {
		t.Errorf("the chains are %v", ids)
	}
}
