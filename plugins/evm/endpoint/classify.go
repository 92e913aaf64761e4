package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Codes of JSON-RPC errors that speak of the server and not of the call.
const (
	codeMethodNotFound = -32601
	codeInternal       = -32603
	codePruned         = 4444 // EIP-4444
)

// classify tells a node's answer from its failure, and has words for errors of packages that relayer.Reason does not
// know.
func classify(err error) error {
	var answer rpc.Error
	switch {
	case err == nil || isAnswer(err):
		return err
	case errors.As(err, &answer):
		return classifyAnswer(answer)
	case errors.Is(err, rpc.ErrNoResult), errors.Is(err, rpc.ErrMissingBatchResponse):
		return relayer.Said("answers without a result")
	case strings.Contains(err.Error(), "read limit exceeded"): // of the WebSocket package, which is not imported here
		return relayer.Said("answers with more than is read of one message")
	case errors.Is(err, rpc.ErrClientQuit):
		return relayer.Said("closed the connection")
	case errors.Is(err, rpc.ErrSubscriptionQueueOverflow):
		return relayer.Said("pushes faster than can be read")
	default:
		return refusedHandshake(err)
	}
}

// handshake is how go-ethereum's client says that a server answered a WebSocket handshake otherwise than by opening
// one. The status stands nowhere else in its error, and the answer's headers, Retry-After among them, are lost: neither
// that package nor the WebSocket package's Dialer hands them on. After the number comes the server's own text.
var handshake = regexp.MustCompile(`^websocket: bad handshake \(HTTP status (\d{3})\b`)

// refusedHandshake makes of a refused WebSocket handshake what relayer.Transport makes of the same status over HTTP. It
// returns every other error as it is.
func refusedHandshake(err error) error {
	found := handshake.FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	code, _ := strconv.Atoi(found[1]) // three digits
	status := relayer.StatusCode(code)
	switch {
	case code < http.StatusMultipleChoices: // such as at a node's port for HTTP alone
		return fmt.Errorf("%w (%w)", relayer.Said("answers with "+status.Error()+" and opens no WebSocket"), status)
	case code == http.StatusPaymentRequired, code == http.StatusTooManyRequests:
		return relayer.Throttled(status, 0)
	default:
		return status
	}
}

func classifyAnswer(answer rpc.Error) error {
	text := answer.Error()
	fault, throttle := relayer.Said("answers with the error: "+text), throttleOf(answer)
	switch code := answer.ErrorCode(); {
	case says(text, answers):
		return relayer.Answered(relayer.Said(text))
	case throttle != nil:
		return throttle
	case code == codeMethodNotFound:
		return relayer.Unserved(fault)
	case code == codeInternal, code == codePruned, says(text, faults):
		return fault
	default:
		return relayer.Answered(relayer.Said(text))
	}
}

// throttleOf is what relayer.ThrottleOf makes of a server's error.
func throttleOf(answer rpc.Error) error {
	if revertOf(answer) != nil { // a contract's reason may have any words
		return nil
	}
	var data any
	var detailed rpc.DataError
	if errors.As(answer, &detailed) {
		data = detailed.ErrorData()
	}
	return relayer.ThrottleOf(answer.ErrorCode(), answer.Error(), data)
}

// isAnswer reports whether an error is marked by relayer.Answered.
func isAnswer(err error) bool { return relayer.IsAnswered(err) }

func unmarshal(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return relayer.Said("answers with something other than the JSON expected")
	}
	return nil
}
