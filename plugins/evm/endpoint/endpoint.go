// Package endpoint connects to one RPC node of an EVM chain. Calls go over HTTP, or over WebSocket if there is nothing
// else. New blocks and events are pushed over WebSocket, and polled while the push is broken.
//
// It must not know contracts, jobs or accounts, nor that there are other nodes.
package endpoint

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Head is a block as far as a relayer needs it.
type Head struct {
	Number uint64
	Hash   common.Hash
	Time   time.Time
	// BaseFee is nil on chains before EIP-1559.
	BaseFee *big.Int
	// Parent is the number of the parent chain's block, which contracts see as theirs on chains of Arbitrum's Nitro; nil
	// on others.
	Parent *uint64
}

// UnmarshalJSON reads a block or header of the JSON-RPC. It takes the hash from the node, since other chains hash other
// fields.
func (h *Head) UnmarshalJSON(text []byte) error {
	var block struct {
		Number        *hexutil.Big    `json:"number"`
		Hash          *common.Hash    `json:"hash"`
		Timestamp     *hexutil.Uint64 `json:"timestamp"`
		BaseFeePerGas *hexutil.Big    `json:"baseFeePerGas"`
		L1BlockNumber *hexutil.Uint64 `json:"l1BlockNumber"`
	}
	if err := unmarshal(text, &block); err != nil {
		return err
	}
	if block.Number == nil || !block.Number.ToInt().IsUint64() || block.Hash == nil || block.Timestamp == nil {
		return relayer.Said("answers with a block without number, hash or time")
	}
	*h = Head{Number: block.Number.ToInt().Uint64(), Hash: *block.Hash, Time: time.Unix(int64(*block.Timestamp), 0).UTC(),
		BaseFee: (*big.Int)(block.BaseFeePerGas), Parent: (*uint64)(block.L1BlockNumber)}
	return nil
}

// Settings configure a Driver. ChainID and one of the addresses are required.
type Settings struct {
	WSURL, HTTPURL string
	ChainID        *big.Int
	// PollInterval is how often the newest block is asked for while nothing is pushed.
	PollInterval time.Duration
	// Timeout bounds each call.
	Timeout time.Duration
	// BatchSize is the largest number of calls in one request; 0 means 100. The driver finds out if a server accepts
	// fewer.
	BatchSize uint64
	// Page is the largest number of blocks for which one call reads events; 0 means 1000. The same holds.
	Page uint64
	// SendOnly means that the node is asked only which chain it serves, since some nodes that accept transactions
	// answer nothing else.
	SendOnly bool
	// Contracts are the contracts whose events are to be pushed, and Topics the first topics of these events.
	Contracts *Contracts
	Topics    []common.Hash
	// Logged is called with each of these events. It must not block.
	Logged func(log types.Log)
}

// Driver connects to one node; it implements relayer.Driver.
type Driver struct {
	settings Settings
	longest  int64 // MiB of an answer that are read
	limits   limits
}

var _ relayer.Driver[*Client] = (*Driver)(nil)

// NewDriver makes a driver. It does not connect yet.
func NewDriver(settings Settings) *Driver {
	settings.BatchSize = cmp.Or(settings.BatchSize, 100)
	settings.Page = cmp.Or(settings.Page, 1000)
	if settings.HTTPURL == "" {
		settings.BatchSize = min(settings.BatchSize, batchOverWebSocket)
	}
	return &Driver{settings: settings, longest: longest}
}

// Client makes calls at one node.
type Client struct {
	rpc         *rpc.Client
	http        *http.Transport // nil over WebSocket
	head        atomic.Pointer[Head]
	batch, page uint64
	limits      *limits
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
	c, err := d.dial(ctx)
	if err != nil {
		return nil, classify(err)
	}
	if err := d.check(ctx, c); err != nil {
		d.Disconnect(c)
		return nil, err
	}
	return c, nil
}

func (d *Driver) dial(ctx context.Context) (*Client, error) {
	if d.settings.HTTPURL == "" {
		inner, err := rpc.DialOptions(ctx, d.settings.WSURL, rpc.WithWebsocketMessageSizeLimit(d.longest<<20))
		if err != nil {
			return nil, err
		}
		return d.client(inner, nil), nil
	}
	transport := relayer.Connections()
	inner, err := rpc.DialOptions(ctx, d.settings.HTTPURL,
		rpc.WithHTTPClient(&http.Client{Transport: arrays{relayer.Transport(transport, d.longest)}}))
	if err != nil {
		return nil, err
	}
	return d.client(inner, transport), nil
}

func (d *Driver) client(inner *rpc.Client, transport *http.Transport) *Client {
	return &Client{rpc: inner, http: transport, batch: d.settings.BatchSize, page: d.settings.Page, limits: &d.limits}
}

// Disconnect implements relayer.Driver.
func (d *Driver) Disconnect(c *Client) {
	c.rpc.Close()
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

// check asks which chain the node serves and, unless it is for sending only, for its newest block.
func (d *Driver) check(ctx context.Context, c *Client) error {
	var (
		id   hexutil.Big
		head Head
	)
	batch := []rpc.BatchElem{{Method: "eth_chainId", Result: &id}}
	if !d.settings.SendOnly {
		batch = append(batch, LatestBlock(&head))
	}
	if err := c.Batch(ctx, batch); err != nil {
		return err
	}
	if id.ToInt().Cmp(d.settings.ChainID) != 0 {
		return relayer.WrongChain("chain " + id.ToInt().String())
	}
	c.head.Store(&head)
	return nil
}

// Call makes one call. Its error is a fault of the node, or is marked relayer.Answered.
func (c *Client) Call(ctx context.Context, result any, method string, args ...any) error {
	if err := c.rpc.CallContext(ctx, result, method, args...); err != nil {
		return fmt.Errorf("%s: %w", method, classify(err))
	}
	return nil
}

// longest is the most MiB of an answer that are read: several times the largest answer to a page of logs.
const longest = 64
