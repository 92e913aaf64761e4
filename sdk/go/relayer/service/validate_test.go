package service_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// TestValidateChain checks that a section is told what CreateChain refuses it for, under the name that operators know
// it by and within what the contract takes.
func TestValidateChain(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 600)
	r := service.New(service.Settings{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewPedanticRegistry(),
		Relay: "acme"}, service.Kind[config]{
		Name: "Toy",
		Parse: func(name string, text []byte) (config, *document.Problems) {
			var p document.Problems
			p.Add("Nodes", "add a [[%s.Nodes]]", name)
			p.Add("A."+strings.Repeat("x", 300), "%s", long)
			p.Add(strings.Repeat("x", 300), "it has no name")
			p.Warn("Old", "it has no effect")
			if string(text) == "many" {
				for at := range 300 {
					p.Add(strings.Repeat("y", at+1), "it is one of many")
				}
			}
			return config(text), &p
		},
	})
	got, err := r.ValidateChain(t.Context(), &relayerv1.ValidateChainRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := &relayerv1.ValidateChainResponse{
		Problems: []*pluginv1.Problem{
			{Path: "Nodes", Message: "add a [[Acme.Nodes]]"}, {Path: "A", Message: strings.Repeat("é", 510) + "..."},
			{Message: "it has no name"},
		},
		Warnings: []*pluginv1.Problem{{Path: "Old", Message: "it has no effect"}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if many, err := r.ValidateChain(t.Context(),
		&relayerv1.ValidateChainRequest{ConfigToml: []byte("many")}); err != nil || len(many.GetProblems()) != 256 {
		t.Errorf("of 303 problems %d are told, %v", len(many.GetProblems()), err)
	}
	_, _, err = r.CreateChain(t.Context(), &relayerv1.CreateChainRequest{ChainId: "a"}, relayerv1loop.CreateChainLoans{})
	const refused = "config_toml of Acme chain a: Nodes: add a [[Acme.Nodes]]; A."
	if status.Code(err) != codes.InvalidArgument || !strings.HasPrefix(status.Convert(err).Message(), refused) {
		t.Errorf("CreateChain: %v", err)
	}
}
