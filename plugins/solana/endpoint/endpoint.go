// Package endpoint connects to one RPC node of a Solana chain. Calls go over HTTP. Slots and accounts are pushed over
// WebSocket if the node supports it, and slots are polled while nothing is pushed.
//
// It must not know contracts, jobs or keys, nor that there are other nodes.
package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/gagliardetto/solana-go/rpc/jsonrpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Settings configure a Driver. URL, ChainID, Commitment, the durations, Accounts and Pushed are required.
type Settings struct {
	// URL is http:// or https://; WSURL, if any, is ws:// or wss://.
	URL, WSURL string
	// ChainID is mainnet, testnet or devnet, or any other name for another chain.
	ChainID string
	// Commitment of reads and pushes.
	Commitment rpc.CommitmentType
	// PollInterval is how often the newest slot is asked for while nothing is pushed.
	PollInterval time.Duration
	// SendOnly means that the node is asked only which chain it serves, and is believed if it does not say, since some
	// nodes that accept transactions answer nothing else.
	SendOnly bool
	// Timeout bounds each call.
	Timeout time.Duration
	// Accounts are the accounts to be pushed.
	Accounts *relayer.Followed[sol.PublicKey]
	// Pushed is called with an account's content at a slot; nil data means that there is no such account. It must not
	// block.
	Pushed func(account sol.PublicKey, slot uint64, data []byte)
}

// Driver connects to one node; it implements relayer.Driver.
type Driver struct {
	settings Settings
	longest  int64         // MiB of an answer that are read
	silence  time.Duration // how long nothing may be pushed
}

var _ relayer.Driver[*Client] = (*Driver)(nil)

// NewDriver makes a driver. It does not connect yet.
func NewDriver(settings Settings) *Driver { return &Driver{settings, longest, silence} }

// Client makes calls at one node.
type Client struct {
	rpc         *rpc.Client
	commitment  rpc.CommitmentType
	commitments commitments
	slot        atomic.Uint64
}

// Horizon is the newest slot at which any node has answered, under the commitment of reads. An answer from an earlier
// slot may lack what is known already. The zero value is ready.
type Horizon struct{ slot atomic.Uint64 }

// Reach moves the horizon to a slot unless it is already beyond it.
func (h *Horizon) Reach(slot uint64) {
	for {
		known := h.slot.Load()
		if slot <= known || h.slot.CompareAndSwap(known, slot) {
			return
		}
	}
}

// Slot returns the slot of the horizon.
func (h *Horizon) Slot() uint64 { return h.slot.Load() }

// Connect implements relayer.Driver.
func (d *Driver) Connect(ctx context.Context) (*Client, error) {
	transport := relayer.Connections()
	c := &Client{commitment: d.settings.Commitment,
		rpc: rpc.NewWithCustomRPCClient(jsonrpc.NewClientWithOpts(d.settings.URL, &jsonrpc.RPCClientOpts{
			HTTPClient: &http.Client{Transport: checked{transport, d.longest}},
		}))}
	if err := d.check(ctx, c); err != nil {
		d.Disconnect(c)
		return nil, err
	}
	return c, nil
}

// Disconnect implements relayer.Driver.
func (d *Driver) Disconnect(c *Client) { _ = c.rpc.Close() }

// genesis are the hashes of the first blocks of the public chains.
func genesis(chainID string) string {
	switch chainID {
	case "mainnet":
		return "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
	case "testnet":
		return "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY"
	case "devnet":
		return "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"
	default:
		return ""
	}
}

// otherChain names the chain of a first block, if it is a public one.
func otherChain(first string) error {
	for _, known := range []string{"mainnet", "testnet", "devnet"} {
		if first == genesis(known) {
			return relayer.WrongChain(known)
		}
	}
	return relayer.ErrWrongChain
}

// check asks which chain the node serves and, unless it is for sending only, for its newest slot.
func (d *Driver) check(ctx context.Context, c *Client) error {
	var first string
	err := c.call(ctx, &first, "getGenesisHash")
	if d.settings.SendOnly && (errors.Is(err, errNoMethod) || relayer.IsAnswered(err)) {
		return nil
	}
	if err != nil {
		return err
	}
	right := first == genesis(d.settings.ChainID)
	if genesis(d.settings.ChainID) == "" {
		right = first != "" && first != genesis("mainnet") && first != genesis("testnet") && first != genesis("devnet")
	}
	if !right {
		return otherChain(first)
	}
	if d.settings.SendOnly {
		return nil
	}
	return c.look(ctx)
}

// look asks for the newest slot.
func (c *Client) look(ctx context.Context) error {
	slot, err := c.Slot(ctx, rpc.CommitmentProcessed)
	if err == nil {
		c.slot.Store(slot)
	}
	return err
}

// checked lets pass what relayer.Transport lets pass and is JSON. solana-go would take a page for a fault of the
// connection, and its errors quote the node's address.
type checked struct {
	*http.Transport
	longest int64
}

// longest is the most MiB of an answer that are read: several times the largest block.
const longest = 64

// RoundTrip implements http.RoundTripper.
func (t checked) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := relayer.Transport(t.Transport, t.longest).RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, err
	case !json.Valid(body):
		return nil, relayer.Said("answers with something other than the JSON expected")
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
