package endpoint

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Code is the number of an error of Starknet's JSON-RPC.
type Code int

// The errors that callers distinguish. All versions use these numbers, except as noted.
const (
	CodeInvalidRequest       Code = -32600
	CodeMethodNotFound       Code = -32601
	CodeInvalidParams        Code = -32602
	CodeContractNotFound     Code = 20
	CodeEntrypointNotFound   Code = 21
	CodeHashNotFound         Code = 29
	CodeContractError        Code = 40
	CodeExecutionError       Code = 41
	CodeInvalidNonce         Code = 52
	CodeInsufficientResource Code = 53
	CodeInsufficientBalance  Code = 54
	CodeValidationFailure    Code = 55
	CodeNonAccount           Code = 58
	CodeDuplicate            Code = 59
	CodeUnsupportedVersion   Code = 61
	CodeUnexpected           Code = 63 // all that has no number of its own
	CodeUnderpriced          Code = 64 // from 0.9 on; 52 before
	CodeFeeBelowMinimum      Code = 65 // from 0.9 on; 53 before
)

// faults are errors of Starknet that speak of the node and not of the call.
var faults = map[Code]bool{
	24: true, 32: true, // it does not have the block
	CodeUnexpected: true, // it met that itself
}

// troubles are texts by which a hosted node says that it cannot answer now, even with a code that speaks of the call.
// Compared in lower case. What providers say of their limits is in relayer.ThrottleOf.
var troubles = []string{"timed out", "service unavailable"}

// fault reports whether an error speaks of the node, so that another one may serve the same call. Starknet's own errors
// are small positive numbers. The others are JSON-RPC's, of which two speak of the call, and those of the software in
// front of a node, which has numbers of its own for what it cannot reach or do.
func (e *answerError) fault() bool {
	switch {
	case e.Code > 0:
		return faults[e.Code]
	case e.Code != CodeInvalidRequest && e.Code != CodeInvalidParams:
		return true
	}
	return e.says(troubles)
}

// AnswerError is a node's answer that a call cannot be served.
type AnswerError struct {
	Code Code
	// Reason returns the node's message with the content of its data, without addresses, cut to a sentence.
	Reason string
}

// Error implements error.
func (e *AnswerError) Error() string { return e.Reason }

// Unwrap gives relayer.Reason the reason.
func (e *AnswerError) Unwrap() error { return relayer.Said(e.Reason) }

// IsCode reports whether an error is a node's answer with that code.
func IsCode(err error, code Code) bool {
	var answer *AnswerError
	return errors.As(err, &answer) && answer.Code == code
}

// IsNonce reports whether an error is a node's answer that a transaction's nonce is not the account's next. An estimate
// says so in the text of an execution error.
func IsNonce(err error) bool {
	var answer *AnswerError
	return errors.As(err, &answer) && (answer.Code == CodeInvalidNonce ||
		answer.Code == CodeExecutionError && strings.Contains(strings.ToLower(answer.Reason), "invalid transaction nonce"))
}

// unfunded are the words by which a sequencer says that an account cannot pay, of several of its versions. Compared in
// lower case, as are all words here.
var unfunded = []string{"exceed balance (", "exceeds balance (", "exceedbalance", "exceedsbalance"}

// penniless is what the specification has a node say of such an account.
const penniless = "Account balance is smaller than the transaction's maximal fee"

// tooCheap are the words by which a sequencer says that a transaction offers too little for a resource.
var tooCheap = []string{
	// L2 gas, against the last block's price
	"gas_price_too_low", "below the required threshold",
	// L2 gas, against the network's least price
	"max gas price is too low",
	// any resource
	"is lower than the actual gas price", "is lower than the minimal gas amount",
}

// answerError is an error of JSON-RPC.
type answerError struct {
	Code    Code            `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// text is what the node says, with the cause in the error's data.
func (e *answerError) text() string {
	if detail := Innermost(e.Data); detail != "" {
		return e.Message + ": " + detail
	}
	return e.Message
}

// says reports whether the node says one of some words, anywhere in the error: a sequencer puts them behind all bounds
// of a transaction. What is quoted is left out, since those are a contract's words.
func (e *answerError) says(words []string) bool {
	said, _, _ := strings.Cut(e.Message+" "+string(e.Data), "('")
	said = strings.ToLower(said)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
}

// plain is the error with the code that the specification has for what the sequencer says. The sequencer checks much as
// part of an account's validation, and nodes hand all that on as one failure of it. What nodes have no number for they
// hand on as something unexpected.
func (e *answerError) plain() *answerError {
	switch e.Code {
	case CodeValidationFailure, CodeUnexpected, CodeInsufficientResource:
	default:
		return e
	}
	switch {
	case e.Code == CodeValidationFailure && e.says(unfunded):
		return &answerError{Code: CodeInsufficientBalance, Message: penniless}
	case e.says(tooCheap):
		return &answerError{Code: CodeFeeBelowMinimum, Message: e.Message, Data: e.Data}
	}
	return e
}

// throttle is what relayer.ThrottleOf makes of the error.
func (e *answerError) throttle() error {
	quotes := e.Code == CodeContractError || e.Code == CodeExecutionError || e.Code == CodeValidationFailure
	if quotes { // the words are a contract's
		return nil
	}
	return relayer.ThrottleOf(int(e.Code), e.text(), e.Data)
}

// classify tells a node's answer from its failure.
func (e *answerError) classify() error {
	if throttle := e.throttle(); throttle != nil {
		return throttle
	}
	e = e.plain()
	text := e.text()
	if e.fault() {
		fault := relayer.Said("answers with the error: " + text)
		if e.Code == CodeMethodNotFound {
			return relayer.Unserved(fault)
		}
		return fault
	}
	return relayer.Answered(&AnswerError{Code: e.Code, Reason: relayer.Said(text).Error()})
}

// ofBatch is an error by which a node answers a batch as a whole: a refusal of the batch, unless the node is asked too
// often, for then it would be asked even more often without the batch.
func (e *answerError) ofBatch() error {
	if throttle := e.throttle(); throttle != nil && !strings.Contains(strings.ToLower(e.Message), "batch") {
		return throttle
	}
	return &refusal{e.classify()}
}

// Innermost returns the cause in the data of an error, or in the reason of a revert: they have calls nested within
// calls, and the innermost is the one that failed.
func Innermost(data json.RawMessage) string {
	var text string
	if json.Unmarshal(data, &text) == nil {
		return Readable(text)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return ""
	}
	for _, key := range []string{"revert_error", "execution_error", "error", "reason"} {
		if inner, ok := object[key]; ok {
			return Innermost(inner)
		}
	}
	return ""
}

// Readable extracts the contract's message from the text of a revert: the quoted part at its end, or its last line.
func Readable(text string) string {
	var said []string
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "('")
		if !found {
			break
		}
		quoted, next, closed := strings.Cut(after, "')")
		if !closed {
			break
		}
		said = append(said, quoted)
		rest = next
	}
	// Nodes list the whole way up: what follows the contract's words is said by the accounts that called it.
	for _, s := range said {
		if s != "" && s != "ENTRYPOINT_FAILED" && s != "argent/multicall-failed" {
			return s
		}
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return ""
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
