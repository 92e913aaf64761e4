package service

import (
	"context"
	"strings"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/document"
)

// Bounds of ValidateChainResponse and of Problem, as the contract has them.
const (
	mostProblems   = 256
	longestPath    = 256
	longestMessage = 1024
)

// ValidateChain implements relayerv1loop.RelayerService.
func (r *Relayer[C]) ValidateChain(_ context.Context, request *relayerv1.ValidateChainRequest) (*relayerv1.ValidateChainResponse, error) {
	_, problems := r.kind.Parse(request.GetConfigToml())
	return &relayerv1.ValidateChainResponse{Problems: told(problems.List()), Warnings: told(problems.Warnings())}, nil
}

// told are problems in the contract's form. Those beyond what it takes are left out: who mends the first sees the rest.
func told(list []document.Problem) []*relayerv1.Problem {
	var all []*relayerv1.Problem
	for _, problem := range list[:min(len(list), mostProblems)] {
		path := problem.Path
		for len(path) > longestPath { // a hostile document's: the table around it is there too
			path = path[:strings.LastIndexAny(path[:longestPath+1], ".[")]
		}
		all = append(all, &relayerv1.Problem{Path: path, Message: shortened(problem.Alone())})
	}
	return all
}

// shortened is the beginning of a text that is too long.
func shortened(text string) string {
	if len(text) <= longestMessage {
		return text
	}
	return strings.ToValidUTF8(text[:longestMessage-3], "") + "..."
}
