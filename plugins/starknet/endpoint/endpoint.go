// Package endpoint connects to one RPC node of a Starknet network, by JSON-RPC of the versions 0.8, 0.9 and 0.10 over
// HTTP.
//
// The calls are typed here and sent with net/http. github.com/NethermindEth/starknet.go v0.8.0 has them too. But each
// of its packages for calls links gnark-crypto's Pedersen tables, which take 150 ms at the start of every process that
// links them, including the node. Its client also shows a node's address in errors, and does not bound the size of
// answers.
//
// It must not know contracts, jobs or accounts, nor that there are other nodes.
package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Settings configure a Driver. All except the key are required.
type Settings struct {
	URL string
	// APIKey, if there is one, is sent with each call, in the header from which Nethermind's nodes read it.
	APIKey  string
	ChainID stark.Felt
	// PollInterval is how often the newest block is asked for.
	PollInterval time.Duration
	// Timeout bounds each request for a block.
	Timeout time.Duration
}

// Driver connects to one node; it implements relayer.Driver.
type Driver struct{ settings Settings }

var _ relayer.Driver[*Client] = (*Driver)(nil)

// NewDriver makes a driver. It does not connect yet.
func NewDriver(settings Settings) *Driver { return &Driver{settings} }

// Client makes calls at one node.
type Client struct {
	url  string
	key  string
	http *http.Client
	id   atomic.Uint64
	head atomic.Pointer[Head]

	longest atomic.Int64 // how many calls a request may have, as far as is known

	preConfirmed string      // what the node's version calls the block that is being made
	changed      atomic.Bool // the node seems to serve another version by now
}

// Head returns the newest block that the node has reported; zero before the first.
func (c *Client) Head() Head {
	if h := c.head.Load(); h != nil {
		return *h
	}
	return Head{}
}

// Connect implements relayer.Driver.
func (d *Driver) Connect(ctx context.Context) (*Client, error) {
	c := d.client()
	if err := c.checkVersion(ctx); err != nil {
		d.Disconnect(c)
		return nil, err
	}
	if err := d.check(ctx, c); err != nil {
		d.Disconnect(c)
		return nil, err
	}
	return c, nil
}

func (d *Driver) client() *Client {
	transport := relayer.Connections()
	c := &Client{
		url: d.settings.URL, key: d.settings.APIKey,
		http: &http.Client{Transport: relayer.Transport(transport, longest), CheckRedirect: redirect},
	}
	c.longest.Store(longestBatch)
	return c
}

// keyHeader is where the nodes of Nethermind, and gateways that keep to its name, read a key.
const keyHeader = "x-apikey"

// redirects is how many a call follows, as http.Client would.
const redirects = 10

// redirect keeps the key from other hosts than the configured one, and from connections without TLS: http.Client would
// repeat a header that it does not know to be a secret.
func redirect(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.URL.Host != first.Host || first.Scheme == "https" && next.URL.Scheme != "https" {
		next.Header.Del(keyHeader)
	}
	if len(via) >= redirects {
		return relayer.Said("redirects a call too often")
	}
	return nil
}

// Disconnect implements relayer.Driver.
func (d *Driver) Disconnect(c *Client) { c.http.CloseIdleConnections() }

// name is the id of a chain as people write it: SN_MAIN.
func name(id stark.Felt) string {
	raw := id.Bytes()
	text := strings.TrimLeft(string(raw[:]), "\x00")
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return id.String()
	}
	return text
}

// check asks which chain the node serves and for its newest block.
func (d *Driver) check(ctx context.Context, c *Client) error {
	var id stark.Felt
	if err := c.call(ctx, &id, "starknet_chainId"); err != nil {
		return err
	}
	if id != d.settings.ChainID {
		return relayer.WrongChain("chain " + name(id))
	}
	head, err := c.LatestHead(ctx)
	if err != nil {
		return err
	}
	c.head.Store(&head)
	return nil
}

// Watch implements relayer.Driver.
func (d *Driver) Watch(ctx context.Context, c *Client, report func(height uint64)) error {
	report(c.Head().Number)
	return relayer.Poll(ctx, d.settings.PollInterval, d.settings.Timeout, func(ctx context.Context) (uint64, error) {
		if c.changed.Load() {
			return 0, relayer.Said("has come to serve another version of the JSON-RPC")
		}
		err := d.check(ctx, c)
		return c.Head().Number, err
	}, report)
}

type request struct {
	Version string `json:"jsonrpc"`
	ID      uint64 `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

type response struct {
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *answerError    `json:"error"`
}

// longest is the most MiB of an answer that are read: several times the largest block's.
const longest = 16

// call makes one call. Its error is a fault of the node, or an *AnswerError that is marked relayer.Answered.
func (c *Client) call(ctx context.Context, result any, method string, params ...any) error {
	if err := c.do(ctx, result, method, params); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, result any, method string, params []any) error {
	if params == nil {
		params = []any{}
	}
	var answer response
	if err := c.post(ctx, request{Version: "2.0", ID: c.id.Add(1), Method: method, Params: params}, &answer); err != nil {
		return err
	}
	return answer.into(result)
}

// post sends what is to be called, and decodes what comes back.
func (c *Client) post(ctx context.Context, calls, into any) error {
	body, err := json.Marshal(calls)
	if err != nil {
		return fmt.Errorf("encode the call: %w", err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return relayer.Said("has an address that cannot be used")
	}
	post.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		post.Header.Set(keyHeader, c.key)
	}
	reply, err := c.http.Do(post)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.Copy(io.Discard, reply.Body) // so that the connection serves the next call
		_ = reply.Body.Close()
	}()
	return json.NewDecoder(reply.Body).Decode(into)
}

// into takes the result of an answer.
func (r *response) into(result any) error {
	switch {
	case r.Error != nil:
		return r.Error.classify()
	case len(r.Result) == 0 || string(r.Result) == "null":
		return relayer.Said("answers without a result")
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		return relayer.Said("answers with something other than the JSON expected")
	}
	return nil
}
