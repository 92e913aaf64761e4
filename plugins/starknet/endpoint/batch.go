package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Asked is a request for a view of a contract, with its result.
type Asked struct {
	Contract, Selector stark.Felt
	Answer             []stark.Felt
	Err                error // as View's
}

const (
	// longestBatch is how many calls one request has at most: most hosted nodes that name a limit name this or a higher
	// one.
	longestBatch = 100
	// atOnce is how many calls are under way at a node that takes one in a request.
	atOnce = 8
)

// Views asks for views at the newest complete block, as many in one request as the node accepts. Its error is a fault
// of the node in all of them.
func (c *Client) Views(ctx context.Context, asked []Asked) error {
	for len(asked) > 0 {
		longest := int(c.longest.Load())
		if longest <= 1 || len(asked) == 1 {
			c.each(ctx, asked)
			return nil
		}
		some := asked[:min(longest, len(asked))]
		err := c.batch(ctx, some)
		switch {
		case refuses(err):
			c.longest.Store(int64(max(len(some)/2, 1)))
			continue
		case err != nil:
			return fmt.Errorf("starknet_call: %w", err)
		}
		asked = asked[len(some):]
	}
	return nil
}

// each asks for each view by itself.
func (c *Client) each(ctx context.Context, asked []Asked) {
	var all errgroup.Group
	all.SetLimit(atOnce)
	for i := range asked {
		one := &asked[i]
		all.Go(func() error {
			one.Answer, one.Err = c.View(ctx, one.Contract, one.Selector)
			return nil
		})
	}
	_ = all.Wait() // each has its own error
}

// batch asks for views in one request.
func (c *Client) batch(ctx context.Context, asked []Asked) error {
	first := c.id.Add(uint64(len(asked))) - uint64(len(asked)) + 1
	batch := make([]request, len(asked))
	for i := range asked {
		asked[i].Answer, asked[i].Err = nil, relayer.Said("leaves a call of a batch unanswered")
		batch[i] = request{Version: "2.0", ID: first + uint64(i), Method: "starknet_call", Params: []any{
			functionCall{asked[i].Contract, asked[i].Selector, []stark.Felt{}}, Latest,
		}}
	}
	var body json.RawMessage
	if err := c.post(ctx, batch, &body); err != nil {
		return err
	}
	var answers []response
	if json.Unmarshal(body, &answers) != nil {
		var one response
		if json.Unmarshal(body, &one) == nil && one.Error != nil {
			return one.Error.ofBatch()
		}
		return relayer.Said("answers with something other than the JSON expected")
	}
	found, whole := false, error(&refusal{relayer.Said("answers none of the calls of a batch")})
	for _, answer := range answers {
		id, err := strconv.ParseUint(string(answer.ID), 10, 64)
		at := id - first
		switch {
		case err == nil && at < uint64(len(asked)):
			found = true
			asked[at].Err = answer.into(&asked[at].Answer)
			if asked[at].Err != nil {
				asked[at].Err = fmt.Errorf("starknet_call: %w", asked[at].Err)
			}
		case answer.Error != nil:
			whole = answer.Error.ofBatch()
		}
	}
	if !found {
		return whole
	}
	return nil
}

// refusal is an error by which a node answers a batch as a whole.
type refusal struct{ error }

// refuses reports whether an error may be all that a node has to say about a batch: that it is too long, or that it
// takes none.
func refuses(err error) bool {
	var whole *refusal
	var status relayer.StatusCode
	if errors.As(err, &whole) || !errors.As(err, &status) {
		return whole != nil
	}
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusInternalServerError,
		http.StatusNotImplemented:
		return true
	}
	return false
}
