package product

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/sdk/go/document"
)

// checked are the keys of a job that a product judges.
var checked = []string{"pluginConfig", "observationSource"}

// ValidateJob lets the product check its part of a job.
func (p *Product) ValidateJob(
	ctx context.Context,
	request *productv1.ValidateProductJobRequest,
) (*productv1.ValidateProductJobResponse, error) {
	pluginConfig := map[string]any{}
	if err := json.Unmarshal(request.GetPluginConfigJson(), &pluginConfig); err != nil {
		return nil, fmt.Errorf("pluginConfig is not JSON: %w", err)
	}
	response, err := p.client.ValidateProductJob(ctx, request)
	if err != nil {
		return nil, p.failed("check the job", err)
	}
	job := map[string]any{"pluginConfig": pluginConfig, "observationSource": ""}
	for _, found := range [][]*pluginv1.Problem{response.GetProblems(), response.GetWarnings()} {
		for _, problem := range found {
			switch path := problem.GetPath(); {
			case !document.Leads(job, path):
				return nil, p.nonsense("ValidateProductJob", "names a problem at %q, where there is nothing (%s)",
					path, problem.GetMessage())
			case !ofJob(path):
				return nil, p.nonsense("ValidateProductJob", "names a problem at %q, and a product checks %s (%s)",
					path, strings.Join(checked, " and "), problem.GetMessage())
			}
		}
	}
	return response, nil
}

// ofJob tells whether a path lies in what a product judges. The empty one is the whole.
func ofJob(path string) bool {
	for _, key := range checked {
		if rest, ok := strings.CutPrefix(path, key); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return path == ""
}
