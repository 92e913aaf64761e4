package rpc

import (
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// Fault is a way for a node to fail. The zero value is none.
type Fault struct {
	// Kind is one of:
	//   "down"     nobody listens on its port
	//   "hang"     it takes requests and never answers
	//   "garbage"  it answers bytes without sense
	//   "html"     it answers a page
	//   "status"   it answers a page with Status, such as 429
	//   "error"    it answers everything with the error Code
	//   "lag"      it has seen the network up to Blocks ago; it takes transactions as ever
	//   "refuse"   it refuses the next Transactions with the error Code
	//   "reject"   it takes the next Transactions, and rejects them later
	//   "drop"     it takes the next Transactions, and loses them
	//   "lose"     it takes the next Transactions, and goes on to call them RECEIVED though the sequencer has dropped them
	//   "mute"     it takes the next Transactions, and cuts the connection instead of an answer
	Kind         string `json:"kind"`
	Status       int    `json:"status,omitempty"`
	Code         int    `json:"code,omitempty"`
	Blocks       uint64 `json:"blocks,omitempty"`
	Transactions int    `json:"transactions,omitempty"`
}

func (f Fault) check() error {
	switch f.Kind {
	case "", "down", "hang", "garbage", "html", "lag", "reject", "drop", "lose", "mute":
	case "status":
		if f.Status < 200 || f.Status > 599 {
			return fmt.Errorf("the fault status wants a status of HTTP from 200 to 599, not %d", f.Status)
		}
	case "error", "refuse":
		if f.Code == 0 {
			return fmt.Errorf("the fault %s wants a code", f.Kind)
		}
	default:
		return fmt.Errorf("there is no fault %.40q", f.Kind)
	}
	return nil
}

// Node is one node of a network.
type Node struct {
	chain    *chain.Chain
	version  chain.Version
	listener listener

	failing sync.Mutex // one change of the fault at a time

	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed when the fault is another one
}

func (n *Node) start() error {
	n.changed = make(chan struct{})
	n.listener.handler = http.HandlerFunc(n.serve)
	return n.listener.open()
}

func (n *Node) close() error {
	n.set(Fault{})
	return n.listener.close()
}

// set sets the fault and returns the one before.
func (n *Node) set(fault Fault) Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.fault
	n.fault = fault
	if n.changed != nil {
		close(n.changed)
	}
	n.changed = make(chan struct{})
	return before
}

// fail changes the fault, and opens or closes the port if it comes to that.
func (n *Node) fail(fault Fault) error {
	if err := fault.check(); err != nil {
		return err
	}
	n.failing.Lock()
	defer n.failing.Unlock()
	before := n.set(fault)
	switch {
	case before.Kind != "down" && fault.Kind == "down":
		return n.listener.close()
	case before.Kind == "down" && fault.Kind != "down":
		return n.listener.open()
	}
	return nil
}

func (n *Node) current() (Fault, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fault, n.changed
}

// spend uses up one of the transactions of a fault, if the fault is one of transactions and some are left.
func (n *Node) spend() Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch n.fault.Kind {
	case "refuse", "reject", "drop", "lose", "mute":
		if n.fault.Transactions > 0 {
			n.fault.Transactions--
			return n.fault
		}
	}
	return Fault{}
}

// page is what gateways answer for nodes that do not.
const page = "<!DOCTYPE html>\n<html><head><title>Service</title></head><body><h1>Sorry</h1></body></html>\n"

func (n *Node) serve(w http.ResponseWriter, r *http.Request) {
	fault, changed := n.current()
	html := func(status int) {
		w.Header().Set("Content-Type", "text/html")
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(page)) // whoever does not read it has gone
	}
	switch fault.Kind {
	case "down": // this connection came just before
		panic(http.ErrAbortHandler)
	case "hang":
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody)) // or it would not be seen that the caller has gone
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler) // without an answer, and without a line in the log
	case "garbage":
		_, _ = w.Write([]byte("\x00\xff{]"))
		return
	case "html":
		html(http.StatusOK)
		return
	case "status":
		html(fault.Status)
		return
	}
	muted := false
	add := func(inv chain.Invoke) (stark.Felt, *chain.Failure) {
		switch fault := n.spend(); fault.Kind {
		case "refuse":
			return stark.Felt{}, chain.Fail(fault.Code)
		case "reject":
			return n.chain.Reject(inv, "Rejected on demand.")
		case "drop":
			return n.chain.Check(inv)
		case "lose":
			return n.chain.Lose(inv)
		case "mute":
			muted = true
		}
		return n.chain.Add(inv)
	}
	view := func() chain.View { return n.chain.View(n.version, fault.Blocks) }
	served := methods(n.chain, n.version, view, add)
	if fault.Kind == "error" {
		for name, m := range served {
			m.call = func(arguments) (any, *chain.Failure) { return nil, chain.Fail(fault.Code) }
			served[name] = m
		}
	}
	if fault.Kind != "mute" {
		handler{served}.ServeHTTP(w, r)
		return
	}
	recorded := &recorder{header: http.Header{}}
	handler{served}.ServeHTTP(recorded, r)
	if muted {
		panic(http.ErrAbortHandler)
	}
	recorded.replay(w)
}
