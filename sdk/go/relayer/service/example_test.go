package service_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/relayer/section"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// oakConfig is a chain's section of the node's configuration.
type oakConfig struct {
	ChainID string `comment:"The chain's name. Required."`
	Enabled bool   `comment:"false keeps the entry but starts nothing for it."`
}

func (c oakConfig) ID() string                { return c.ChainID }
func (c oakConfig) Serves() bool              { return c.Enabled }
func (c oakConfig) Redacted() (string, error) { return document.Write(c) }

// A relayer is a Kind, which says what is peculiar to its chains, and the service, which serves the contract. The
// relayer template (loop new plugin --kind relayer) has a whole one; this one only checks what operators write.
func Example() {
	settings := service.Settings{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
	relayer := service.New(settings, service.Kind[oakConfig]{
		Name: "Oak",
		Parse: func(_ string, text []byte) (oakConfig, *document.Problems) {
			config := oakConfig{Enabled: true}
			return config, section.Read(text, &config, nil, func(p *document.Problems) {
				if config.ChainID == "" {
					p.Add("ChainID", "it is missing")
				}
			})
		},
		Reference: oakConfig{ChainID: "oaknet", Enabled: true},
	})
	response, err := relayer.ValidateChain(context.Background(),
		&relayerv1.ValidateChainRequest{ConfigToml: []byte("Enable = false\n")})
	for _, problem := range response.GetProblems() {
		fmt.Printf("%s: %s\n", problem.GetPath(), problem.GetMessage())
	}
	fmt.Println(err)
	// Output:
	// ChainID: it is missing
	// Enable: unknown key; did you mean Enabled?
	// <nil>
}
