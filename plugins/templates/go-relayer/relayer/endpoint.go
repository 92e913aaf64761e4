package relayer

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// endpoint reaches one RPC node. It must not know that there are others.
type endpoint struct {
	url               string
	id                *big.Int // of the chain that the node must serve
	interval, timeout time.Duration
}

var _ relayer.Driver[*client] = (*endpoint)(nil)

// client makes calls at one node.
type client struct {
	rpc  *rpc.Client
	http *http.Transport
	head atomic.Pointer[service.Head]
}

// longest is the most MiB of an answer that are read.
const longest = 16

// Connect implements relayer.Driver.
func (e *endpoint) Connect(ctx context.Context) (*client, error) {
	c := &client{http: relayer.Connections()}
	calls := &http.Client{Transport: relayer.Transport(c.http, longest)}
	var err error
	c.rpc, err = rpc.DialOptions(ctx, e.url, rpc.WithHTTPClient(calls))
	if err != nil {
		return nil, err
	}
	if _, err := e.look(ctx, c); err != nil {
		e.Disconnect(c)
		return nil, err
	}
	return c, nil
}

// Watch implements relayer.Driver.
func (e *endpoint) Watch(ctx context.Context, c *client, report func(height uint64)) error {
	report(c.Head().Number)
	look := func(ctx context.Context) (uint64, error) { return e.look(ctx, c) }
	return relayer.Poll(ctx, e.interval, e.timeout, look, report)
}

// Disconnect implements relayer.Driver.
func (e *endpoint) Disconnect(c *client) {
	c.rpc.Close()
	c.http.CloseIdleConnections()
}

// look checks that the node serves the right chain, and reads its newest block.
func (e *endpoint) look(ctx context.Context, c *client) (height uint64, err error) {
	var id hexutil.Big
	if err := c.call(ctx, &id, "eth_chainId"); err != nil {
		return 0, err
	}
	if id.ToInt().Cmp(e.id) != 0 {
		return 0, relayer.WrongChain("chain " + id.ToInt().String())
	}
	head, err := c.latest(ctx)
	if err != nil {
		return 0, err
	}
	c.head.Store(&head)
	return head.Number, nil
}

// Head returns the newest block that the node has reported.
func (c *client) Head() service.Head { return *c.head.Load() }

// latest reads the newest block.
func (c *client) latest(ctx context.Context) (service.Head, error) {
	var block *struct {
		Number, Timestamp hexutil.Uint64
		Hash              common.Hash
	}
	if err := c.call(ctx, &block, "eth_getBlockByNumber", "latest", false); err != nil {
		return service.Head{}, err
	}
	if block == nil {
		return service.Head{}, relayer.Said("has no newest block")
	}
	at := time.Unix(int64(block.Timestamp), 0).UTC()
	return service.Head{Number: uint64(block.Number), Hash: block.Hash[:], Time: at}, nil
}

// Codes of JSON-RPC errors: by the first a contract speaks, by the others a server of itself and not of the call.
const (
	reverted       = 3
	methodNotFound = -32601
	internalError  = -32603
)

// call makes one call. Its error is a fault of the node, so that the next one is asked, unless it is marked as an
// answer: no other node would give another.
func (c *client) call(ctx context.Context, result any, method string, params ...any) error {
	err := c.rpc.CallContext(ctx, result, method, params...)
	if answer := rpc.Error(nil); errors.As(err, &answer) {
		code, text := answer.ErrorCode(), answer.Error()
		throttle := relayer.ThrottleOf(code, text, nil)
		switch err = relayer.Said(text); {
		case throttle != nil && code != reverted:
			err = throttle
		case code != methodNotFound && code != internalError:
			err = relayer.Answered(err)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
