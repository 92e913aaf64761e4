package endpoint

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// batchOverWebSocket is the most calls in a batch over WebSocket, where hosted nodes allow fewer (Alchemy 20). There
// a refusal of the whole batch belongs to none of its calls, and go-ethereum's client waits for their answers until
// the call's deadline.
const batchOverWebSocket = 20

// Batch makes several calls, in order. Every error of every call is the error of the batch: a fault of the node, or one
// marked relayer.Answered.
func (c *Client) Batch(ctx context.Context, calls []rpc.BatchElem) error {
	if err := c.Each(ctx, calls); err != nil {
		return err
	}
	for _, call := range calls {
		if call.Error != nil {
			return call.Error
		}
	}
	return nil
}

// Each makes several calls, in order. If the node answers one with an error, that is in the element's Error, marked
// relayer.Answered. A fault of the node in any of them is the error of all.
func (c *Client) Each(ctx context.Context, calls []rpc.BatchElem) error {
	return c.inTurn(ctx, calls, func(done []rpc.BatchElem) error {
		for _, call := range done {
			if call.Error != nil && !isAnswer(call.Error) {
				return call.Error
			}
		}
		return nil
	})
}

// Every makes several calls, in order. If one of them fails, that is in the element's Error, which is marked
// relayer.Answered if it is the node's answer and not a fault. If a request fails as a whole, that is the error of all.
func (c *Client) Every(ctx context.Context, calls []rpc.BatchElem) error {
	return c.inTurn(ctx, calls, func([]rpc.BatchElem) error { return nil })
}

// inTurn makes calls, as many in one request as the server takes, which its refusals tell. It ends early if failed
// returns an error for the calls of a request.
func (c *Client) inTurn(ctx context.Context, calls []rpc.BatchElem, failed func(done []rpc.BatchElem) error) error {
	for len(calls) > 0 {
		n, err := c.some(ctx, calls)
		if err != nil {
			return err
		}
		done := calls[:n]
		for i := range done {
			call := &done[i]
			if call.Error = classify(call.Error); call.Error != nil && !isAnswer(call.Error) {
				call.Error = fmt.Errorf("%s: %w", call.Method, call.Error)
			}
		}
		if err := failed(done); err != nil {
			return err
		}
		calls = calls[n:]
	}
	return nil
}

// some makes the first of the calls, in one request, and returns how many were made.
func (c *Client) some(ctx context.Context, calls []rpc.BatchElem) (int, error) {
	size := int(min(uint64(len(calls)), c.limits.batch.atMost(c.batch)))
	for i := range calls[:size] {
		if c.limits.goesAlone(calls[i].Method) {
			size = max(i, 1)
			break
		}
	}
	lasts := time.Duration(0) // how long a limit is believed after a refusal; 0: nothing was refused
	for size > 1 {
		err := c.rpc.BatchCallContext(ctx, calls[:size])
		done, fewer, sure := c.judge(calls[:size], err)
		switch {
		case fewer > 0:
			if size = fewer; sure {
				lasts = believed
			} else {
				lasts = max(lasts, supposed)
			}
			continue
		case err != nil:
			return 0, classify(err)
		case done == 0: // the first goes alone from now on
			size, lasts = 1, 0
			continue
		case lasts > 0:
			c.limits.batch.learn(uint64(size), lasts)
		}
		return done, nil
	}
	err := c.rpc.CallContext(ctx, calls[0].Result, calls[0].Method, calls[0].Args...)
	var answer rpc.Error
	if err != nil && !errors.As(err, &answer) {
		return 0, fmt.Errorf("%s: %w", calls[0].Method, classify(err))
	}
	if lasts == believed || lasts > 0 && err == nil { // a server that fails at everything says nothing of batches
		c.limits.batch.learn(1, lasts)
	}
	calls[0].Error = err
	return 1, nil
}

// judge looks at what became of a batch. If the server refused it for its length, fewer is how many calls to try next,
// and sure reports that the server said so. Otherwise done is how many of the first calls are made.
func (c *Client) judge(calls []rpc.BatchElem, err error) (done, fewer int, sure bool) {
	if err != nil {
		var (
			whole  *refusal
			status relayer.StatusCode
		)
		switch {
		case errors.As(err, &whole) && (says(whole.Message, noBatches) || throttleOf(whole) == nil):
			fewer, sure = shorter(whole.Message, len(calls))
		case errors.As(err, &status) && mayRefuse(status):
			fewer = len(calls) / 2
		}
		return 0, fewer, sure
	}
	refused, missing := 0, 0
	for i := range calls {
		switch failure := calls[i].Error; {
		case errors.Is(failure, rpc.ErrMissingBatchResponse):
			missing++
		case isRefused(failure):
			refused++
		}
	}
	switch {
	case refused+missing == 0:
		return len(calls), 0, false
	case refused+missing == len(calls) && refused > 0: // go-ethereum answers only the first call
		fewer, sure = shorter(refusalOf(calls), len(calls))
		return 0, fewer, sure
	case missing == len(calls):
		return 0, len(calls) / 2, false
	}
	for i := range calls {
		switch {
		case isRefused(calls[i].Error):
			c.limits.leaveAlone(calls[i].Method)
			return i, 0, false
		case errors.Is(calls[i].Error, rpc.ErrMissingBatchResponse):
			if i > 0 { // the rest was cut off
				c.limits.batch.learn(uint64(i), believed)
			}
			return max(i, 1), 0, false
		}
	}
	return len(calls), 0, false
}

// mayRefuse reports whether a status may be all that a server says to refuse an array.
func mayRefuse(status relayer.StatusCode) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return false
}

// isRefused reports whether a call was refused because it stood in a batch.
func isRefused(err error) bool {
	var answer rpc.Error
	return errors.As(err, &answer) && revertOf(err) == nil && says(answer.Error(), noBatches)
}

// refusalOf is what the server said to the first call of a batch that it refused.
func refusalOf(calls []rpc.BatchElem) string {
	for i := range calls {
		if isRefused(calls[i].Error) {
			return calls[i].Error.Error()
		}
	}
	return ""
}

// shorter is how long a batch may be by a server's words for its refusal: as it says, or one call, or half as long.
// sure reports that it spoke of batches.
func shorter(words string, refused int) (fewer int, sure bool) {
	if !says(words, noBatches) {
		return refused / 2, false
	}
	if n := named(words, uint64(refused)); n > 0 {
		return int(n), true
	}
	if says(words, never) {
		return 1, true
	}
	return refused / 2, true
}

// arrays turns the object by which a server refuses an array into an error: go-ethereum's client would take it for a
// broken answer.
type arrays struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a arrays) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := a.RoundTripper.RoundTrip(r)
	if err != nil || !isArray(r) {
		return response, err
	}
	body := bufio.NewReader(response.Body)
	for {
		first, err := body.Peek(1)
		if err == nil && (first[0] == ' ' || first[0] == '\t' || first[0] == '\r' || first[0] == '\n') {
			_, _ = body.Discard(1)
			continue
		}
		if err != nil || first[0] != '{' {
			response.Body = struct {
				io.Reader
				io.Closer
			}{body, response.Body}
			return response, nil
		}
		break
	}
	defer response.Body.Close()
	var answer struct{ Error *refusal }
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Error == nil {
		return nil, relayer.Said("answers with something other than the JSON expected")
	}
	return nil, answer.Error
}

// isArray reports whether a request holds a batch.
func isArray(r *http.Request) bool {
	if r.GetBody == nil {
		return false
	}
	body, err := r.GetBody()
	if err != nil {
		return false
	}
	defer body.Close()
	var first [1]byte
	_, err = io.ReadFull(body, first[:])
	return err == nil && first[0] == '['
}
