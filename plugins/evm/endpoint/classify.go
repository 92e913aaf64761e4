package endpoint

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Codes of JSON-RPC errors that speak of the node and not of the call.
const (
	codeMethodNotFound = -32601
	codeInternal       = -32603
	codeLimitExceeded  = -32005 // EIP-1474
	codeTooMany        = 429    // several hosted nodes
)

// faults are texts by which nodes say that they cannot answer now: they lag, prune or limit. Compared in lower case.
var faults = []string{
	"header not found", "missing trie node", "unknown block", "block not found", "historical state", "rate limit", "too many requests",
	"limit exceeded", "request timed out", "context deadline exceeded", "still syncing", "service unavailable", "capacity exceeded",
}

// classify tells a node's answer from its failure, and takes the address out of what Go's packages say.
func classify(err error) error {
	var (
		status rpc.HTTPError
		answer rpc.Error
	)
	switch {
	case err == nil || isAnswer(err):
		return err
	case errors.As(err, &status):
		return relayer.StatusCode(status.StatusCode) // its body may be a page
	case errors.As(err, &answer):
		text := strings.ToLower(answer.Error())
		switch answer.ErrorCode() {
		case codeMethodNotFound, codeInternal, codeLimitExceeded, codeTooMany:
			return relayer.Said("answers with the error: " + answer.Error())
		}
		for _, fault := range faults {
			if strings.Contains(text, fault) {
				return relayer.Said("answers with the error: " + answer.Error())
			}
		}
		return relayer.Answered(relayer.Said(answer.Error()))
	case errors.Is(err, rpc.ErrNoResult), errors.Is(err, rpc.ErrMissingBatchResponse):
		return relayer.Said("answers without a result")
	case strings.Contains(err.Error(), "read limit exceeded"): // of the WebSocket package, which is not linked by name
		return relayer.Said("answers with more than is read of one message")
	case errors.Is(err, rpc.ErrClientQuit):
		return relayer.Said("closed the connection")
	case errors.Is(err, rpc.ErrSubscriptionQueueOverflow):
		return relayer.Said("pushes faster than can be read")
	default:
		return err
	}
}

// isAnswer tells whether an error is marked by relayer.Answered.
func isAnswer(err error) bool { return relayer.IsAnswered(err) }

func unmarshal(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return relayer.Said("answers with something other than the JSON expected")
	}
	return nil
}
