package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// Pipelines read contracts through the relayer of the chain that the task or the job names.
func TestPipelinesReadContracts(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.acme(t, "RELAYER=fake")
	f.Chain("5", "")
	f.Chain("1", "")
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
