package network

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// position names a round of the protocol, in the order of time: the epoch, then one byte of round.
type position uint64

func (p position) epoch() uint64 { return uint64(p >> 8) }
func (p position) round() uint64 { return uint64(p & 0xff) }

func (p position) String() string { return fmt.Sprintf("%d/%d", p.epoch(), p.round()) }

// sent is a transaction that brought a report to the contract.
type sent struct {
	position position
	arrived  time.Time // when its block was seen
	landed   bool      // the contract took it
	sender   string
}

// reader reads a feed's transmissions from its chain, block by block, including those that the contract refused.
type reader struct {
	url, contract string
	client        *http.Client
	next          uint64

	mu  sync.Mutex
	all []sent
}

// The ABI of OCR2Aggregator's transmit, by Solidity's rules: the selector of
// transmit(bytes32[3],bytes,bytes32[],bytes32[],bytes32), then the digest, then a word that ends in four bytes of epoch
// and one of round.
const (
	transmitSelector = "0xb1dc65a4"
	epochAndRound    = len(transmitSelector) + 2*64 - 2*5
)

// pollPeriod is how often blocks are asked for, and so how exact arrivals are.
const pollPeriod = 50 * time.Millisecond

func newReader(url, contract string) *reader {
	return &reader{url: url, contract: strings.ToLower(contract), client: &http.Client{Timeout: 10 * time.Second}}
}

// run reads until ctx ends or the chain does.
func (r *reader) run(ctx context.Context) {
	defer r.client.CloseIdleConnections()
	for ctx.Err() == nil {
		if err := r.poll(ctx); err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "connection refused") {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollPeriod):
		}
	}
}

// follow reads until a devnet has ended.
func (r *reader) follow(ctx context.Context, d *devnet) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		<-d.ended
		end()
	}()
	r.run(ctx)
}

// sent returns what was read so far, in the order of the chain.
func (r *reader) sent() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]sent(nil), r.all...)
}

func (r *reader) poll(ctx context.Context) error {
	var newest string
	if err := r.call(ctx, &newest, "eth_blockNumber"); err != nil {
		return err
	}
	last, err := strconv.ParseUint(strings.TrimPrefix(newest, "0x"), 16, 64)
	if err != nil {
		return fmt.Errorf("the number of the newest block is %q: %w", newest, err)
	}
	for ; r.next <= last; r.next++ {
		if err := r.block(ctx, fmt.Sprintf("0x%x", r.next)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) block(ctx context.Context, number string) error {
	var block struct {
		Transactions []struct{ Hash, From, To, Input string }
	}
	if err := r.call(ctx, &block, "eth_getBlockByNumber", number, true); err != nil {
		return err
	}
	var receipts []struct{ TransactionHash, Status string }
	if err := r.call(ctx, &receipts, "eth_getBlockReceipts", number); err != nil {
		return err
	}
	status := map[string]string{}
	for _, receipt := range receipts {
		status[receipt.TransactionHash] = receipt.Status
	}
	now := time.Now()
	for _, tx := range block.Transactions {
		if strings.ToLower(tx.To) != r.contract || !strings.HasPrefix(tx.Input, transmitSelector) ||
			len(tx.Input) < epochAndRound+10 {
			continue
		}
		b, err := hex.DecodeString(tx.Input[epochAndRound : epochAndRound+10])
		if err != nil {
			return fmt.Errorf("transaction %s: %w", tx.Hash, err)
		}
		var p position
		for _, x := range b {
			p = p<<8 | position(x)
		}
		r.mu.Lock()
		r.all = append(r.all, sent{position: p, arrived: now, landed: status[tx.Hash] == "0x1", sender: tx.From})
		r.mu.Unlock()
	}
	return nil
}

func (r *reader) call(ctx context.Context, result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer response.Body.Close()
	answer := struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}{}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s", method, answer.Error.Message)
	}
	return json.Unmarshal(answer.Result, result)
}
