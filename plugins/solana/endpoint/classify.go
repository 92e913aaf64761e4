package endpoint

import (
	"errors"
	"net/url"
	"strings"

	"github.com/gagliardetto/solana-go/rpc"
	"github.com/gagliardetto/solana-go/rpc/jsonrpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Codes of JSON-RPC errors that speak of the node and not of the call (agave's rpc-client-api/src/custom_error.rs, and the
// standard's).
const (
	codeMethodNotFound     = -32601
	codeInternal           = -32603
	codeUnhealthy          = -32005
	codeScanLimit          = -32012
	codeMinContextSlot     = -32016
	codeNoTransactionState = -32014 // the status of a block is not available yet
	codeTooMany            = 429    // several hosted nodes
)

// CodePreflight is that of a transaction that the node tried and refused.
const CodePreflight = -32002

// faults are texts by which nodes say that they cannot answer now. Compared in lower case.
var faults = []string{"rate limit", "too many requests", "limit exceeded", "timed out", "deadline exceeded", "unhealthy", "service unavailable", "node is behind"}

// Refusal is a JSON-RPC error that is the node's answer.
type Refusal struct {
	Code    int
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// classify tells a node's answer from its failure, and takes the address out of what the libraries say.
func classify(err error) error {
	var (
		answer *jsonrpc.RPCError
		web    *url.Error
	)
	switch {
	case errors.Is(err, rpc.ErrNotFound):
		return relayer.Said("answers without a result")
	case errors.As(err, &answer):
		text := relayer.Said(answer.Message).Error() // without addresses
		switch answer.Code {
		case codeMethodNotFound, codeInternal, codeUnhealthy, codeScanLimit, codeMinContextSlot, codeNoTransactionState, codeTooMany:
			return relayer.Said("answers with the error: " + text)
		}
		for _, fault := range faults {
			if strings.Contains(strings.ToLower(text), fault) {
				return relayer.Said("answers with the error: " + text)
			}
		}
		return relayer.Answered(&Refusal{Code: answer.Code, Message: text})
	case errors.As(err, &web):
		return web.Err // without the address; relayer.Reason knows the rest
	default: // the decoder's words
		return relayer.Said("answers with something other than the JSON expected")
	}
}
