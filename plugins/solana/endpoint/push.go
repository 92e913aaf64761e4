package endpoint

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/gorilla/websocket"
)

// solana-go's own WebSocket client serves no plugin: it keeps 5 MB for each subscription, prints to stdout, and a
// message without a result ends the process.

const (
	// silence is how long nothing may come: several slots begin in a second.
	silence = 5 * time.Second
	// longestPush is above the longest account, 10 MiB, in base64.
	longestPush = 16 << 20
)

// news is whether the push works, and if so the newest slot.
type news struct {
	works bool
	slot  uint64
}

// push subscribes to slots and accounts, and again after a failure, until ctx ends.
func (d *Driver) push(ctx context.Context, c *Client, events chan<- news) {
	pause := &backoff.ExponentialBackOff{InitialInterval: 500 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2,
		MaxInterval: 30 * time.Second}
	pause.Reset()
	for {
		if d.subscribe(ctx, c, events) {
			pause.Reset()
		}
		select {
		case <-ctx.Done():
			return
		case events <- news{}:
		}
		timer := time.NewTimer(pause.NextBackOff())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// message is what comes over the connection: the answer to a request, or a notification.
type message struct {
	ID     uint64          `json:"id"`
	Result json.RawMessage `json:"result"` // of an answer
	Error  *Refusal        `json:"error"`
	Method string          `json:"method"`
	Params struct {
		Subscription uint64          `json:"subscription"`
		Result       json.RawMessage `json:"result"`
	} `json:"params"`
}

// subscribe pushes until something fails, and reports whether a slot came.
func (d *Driver) subscribe(ctx context.Context, c *Client, events chan<- news) (worked bool) {
	dial, stop := context.WithTimeout(ctx, d.settings.Timeout)
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment}
	conn, response, err := dialer.DialContext(dial, d.settings.WSURL, nil)
	stop()
	if response != nil {
		_ = response.Body.Close()
	}
	if err != nil {
		return false
	}
	conn.SetReadLimit(longestPush)
	messages := make(chan message)
	done := make(chan struct{})
	var reading sync.WaitGroup
	defer reading.Wait()
	defer conn.Close()
	defer close(done)
	reading.Go(func() { read(conn, d.silence, messages, done) })
	s := subscriptions{conn: conn, client: c, requested: map[uint64]sol.PublicKey{}, open: map[uint64]sol.PublicKey{}}
	if s.call("slotSubscribe") != nil {
		return false
	}
	accounts, changed := d.settings.Accounts.All()
	if s.follow(accounts) != nil {
		return false
	}
	var (
		latest news
		tell   chan<- news
	)
	for {
		select {
		case <-ctx.Done():
			return worked
		case tell <- latest:
			tell = nil
		case <-changed:
			accounts, changed = d.settings.Accounts.All()
			if s.follow(accounts) != nil {
				return worked
			}
		case m, ok := <-messages:
			if !ok {
				return worked
			}
			slot, ok := s.take(m, d.settings.Pushed)
			if !ok {
				return worked
			}
			if slot != 0 {
				worked, latest, tell = true, news{works: true, slot: slot}, events
			}
		}
	}
}

// read passes messages on until the connection ends, nothing comes for the time of silence, or done is closed.
func read(conn *websocket.Conn, silence time.Duration, messages chan<- message, done <-chan struct{}) {
	defer close(messages)
	for {
		var m message
		_ = conn.SetReadDeadline(time.Now().Add(silence))
		if conn.ReadJSON(&m) != nil {
			return
		}
		select {
		case messages <- m:
		case <-done:
			return
		}
	}
}

// take takes a message, and returns the slot that it reports, or 0. ok is false if the connection is of no use.
func (s *subscriptions) take(m message, pushed func(sol.PublicKey, uint64, []byte)) (slot uint64, ok bool) {
	switch m.Method {
	case "":
		return 0, s.answer(m)
	case "slotNotification":
		var told slotted
		ok := json.Unmarshal(m.Params.Result, &told) == nil && told.Slot != 0
		return told.Slot, ok
	case "accountNotification":
		return 0, s.account(m, pushed)
	}
	return 0, true
}

// subscriptions are those of one connection.
type subscriptions struct {
	conn      *websocket.Conn
	client    *Client
	last      uint64                   // id of the last request
	requested map[uint64]sol.PublicKey // by request: not answered yet
	open      map[uint64]sol.PublicKey // by subscription
}

func (s *subscriptions) call(method string, params ...any) error {
	s.last++
	_ = s.conn.SetWriteDeadline(time.Now().Add(silence))
	return s.conn.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": s.last, "method": method, "params": params})
}

// follow subscribes to what is new among the accounts and ends the subscriptions of others. One that is asked for and
// not answered yet ends at the next change.
func (s *subscriptions) follow(accounts []sol.PublicKey) error {
	commitment := s.client.commitments.instead(s.client.commitment)
	have := map[sol.PublicKey]bool{}
	for _, account := range s.requested {
		have[account] = true
	}
	want := map[sol.PublicKey]bool{}
	for _, account := range accounts {
		want[account] = true
	}
	for id, account := range s.open {
		if want[account] {
			have[account] = true
			continue
		}
		delete(s.open, id)
		if err := s.call("accountUnsubscribe", id); err != nil {
			return err
		}
	}
	for account := range want {
		if have[account] {
			continue
		}
		if err := s.call("accountSubscribe", account, rpc.M{"encoding": "base64", "commitment": commitment}); err != nil {
			return err
		}
		s.requested[s.last] = account
	}
	return nil
}

// answer takes the answer to a request, and reports whether it is a good one. After one that refuses the commitment the
// next connection asks for another.
func (s *subscriptions) answer(m message) bool {
	if m.Error != nil {
		s.client.commitments.learn(s.client.commitment, m.Error)
		return false
	}
	account, ok := s.requested[m.ID]
	if !ok {
		return true // to a subscription of slots, or to an end
	}
	delete(s.requested, m.ID)
	var id uint64
	if json.Unmarshal(m.Result, &id) != nil {
		return false
	}
	s.open[id] = account
	return true
}

// account takes what an account holds, and reports whether it can be read.
func (s *subscriptions) account(m message, pushed func(sol.PublicKey, uint64, []byte)) bool {
	key, ok := s.open[m.Params.Subscription]
	if !ok {
		return true // it was ended, and this was on its way
	}
	var result struct {
		Context slotted `json:"context"`
		Value   *held   `json:"value"`
	}
	if json.Unmarshal(m.Params.Result, &result) != nil {
		return false
	}
	data, err := result.Value.content()
	if err != nil {
		return false
	}
	pushed(key, result.Context.Slot, data)
	return true
}
