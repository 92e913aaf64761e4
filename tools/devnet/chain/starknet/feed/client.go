package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// preConfirmed is the tag by which the node knows the block that is being made.
func preConfirmed(ctx context.Context, url string) (string, error) {
	var spec string
	if err := call(ctx, url, &spec, "starknet_specVersion"); err != nil {
		return "", err
	}
	version, err := chain.ParseVersion(spec)
	if err != nil {
		return "", fmt.Errorf("the node serves what this program does not speak: %w", err)
	}
	return version.PreConfirmed(), nil
}

// call calls a method of a node.
func call(ctx context.Context, url string, result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	defer response.Body.Close()
	var answer struct {
		Result json.RawMessage
		Error  *chain.Failure
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("call %s: read the answer: %w", method, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("call %s: %w", method, answer.Error)
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("call %s: read the answer: %w", method, err)
	}
	return nil
}
