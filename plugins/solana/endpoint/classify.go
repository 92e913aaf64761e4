package endpoint

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/gagliardetto/solana-go/rpc"
	"github.com/gagliardetto/solana-go/rpc/jsonrpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Codes of JSON-RPC errors that speak of the node and not of the call (agave's rpc-client-api/src/custom_error.rs, and
// the standard's).
const (
	codeMethodNotFound = -32601
	codeInternal       = -32603
	codeUnhealthy      = -32005
	codeScanLimit      = -32012
	codeMinContextSlot = -32016
)

// noBlock are codes by which a node says that it has no block of a slot: it was cleaned up, is not there yet, was
// skipped, was skipped or lost long ago, or is not confirmed yet.
var noBlock = []int{-32001, -32004, -32007, -32009, -32014}

// CodeVersion is the code for a block with a transaction of a newer version than the caller knows.
const CodeVersion = -32015

// faults are texts by which nodes say that they cannot answer now. Compared in lower case. What providers say of their
// limits is in relayer.ThrottleOf.
var faults = []string{"timed out", "deadline exceeded", "unhealthy", "service unavailable", "node is behind"}

// Refusal is a JSON-RPC error that is the node's answer.
type Refusal struct {
	Code    int
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// Unwrap gives relayer.Reason the node's message.
func (r *Refusal) Unwrap() error { return relayer.Said(r.Message) }

// errNoMethod marks a call of a method that the node does not have, as Firedancer lacks several.
var errNoMethod = errors.New("a method is missing")

// classify tells a node's answer from its failure, and takes the address out of what the libraries say.
func classify(method string, err error) error {
	var (
		answer *jsonrpc.RPCError
		web    *url.Error
	)
	switch {
	case errors.Is(err, rpc.ErrNotFound):
		return relayer.Said("answers without a result")
	case errors.As(err, &answer):
		return classifyAnswer(method, answer)
	case errors.As(err, &web):
		return web.Err // without the address; relayer.Reason knows the rest
	default: // the decoder's words
		return relayer.Said("answers with something other than the JSON expected")
	}
}

func classifyAnswer(method string, answer *jsonrpc.RPCError) error {
	if throttle := throttleOf(answer); throttle != nil {
		return throttle
	}
	text := relayer.Said(answer.Message).Error() // without addresses
	switch answer.Code {
	case codeMethodNotFound:
		return fmt.Errorf("%w: %w", errNoMethod, relayer.Said("has no method "+method))
	case codeInternal, codeUnhealthy, codeScanLimit, codeMinContextSlot:
		return relayer.Said("answers with the error: " + text)
	}
	for _, fault := range faults {
		if strings.Contains(strings.ToLower(text), fault) {
			return relayer.Said("answers with the error: " + text)
		}
	}
	return relayer.Answered(&Refusal{Code: answer.Code, Message: text})
}

// throttleOf is what relayer.ThrottleOf makes of an error.
func throttleOf(answer *jsonrpc.RPCError) error {
	code := answer.Code
	switch {
	case strings.Contains(strings.ToLower(answer.Message), "simulation failed"):
		return nil // what follows is said of a transaction
	case -32099 <= code && code <= -32000:
		code = 0 // agave's: -32007 is a slot that was skipped, and a limit of QuickNode's as well, so the words tell
	}
	return relayer.ThrottleOf(code, answer.Message, answer.Data)
}
