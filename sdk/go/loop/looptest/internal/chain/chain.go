// Package chain is a JSON-RPC server that a relayer under test calls. By itself it is a fake: it answers like an idle
// Ethereum chain on which every contract holds zeros. If it has a node's address, it passes requests on. In both cases
// it records the requests, so that an unwanted transaction is seen.
//
// It must not know relayers, nor the contract between host and plugins.
package chain

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is the JSON-RPC server.
type Server struct {
	// URL is where it listens.
	URL string
	// Secret is a part of URL that nobody may print, because operators' addresses contain such keys.
	Secret string

	chainID uint64
	node    string
	started time.Time
	server  *http.Server
	served  chan struct{}

	mu      sync.Mutex
	hang    chan struct{} // nil: answers
	fail    bool
	methods map[string]int
}

// Start starts a server for a chain of that id. node is the HTTP address of a node; empty for the fake.
func Start(chainID uint64, node string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a port for the chain's JSON-RPC: %w", err)
	}
	s := &Server{Secret: "key-" + rand.Text(), chainID: chainID, node: node, started: time.Now(),
		served: make(chan struct{}), methods: map[string]int{}}
	s.URL = "http://" + l.Addr().String() + "/" + s.Secret
	s.server = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(l) // ends with Close
	}()
	return s, nil
}

// Close ends the server.
func (s *Server) Close() {
	s.Hang(false)
	_ = s.server.Close()
	<-s.served
}

// Hang makes requests wait until ended.
func (s *Server) Hang(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang != nil {
		close(s.hang)
		s.hang = nil
	}
	if on {
		s.hang = make(chan struct{})
	}
}

// Fail makes the server answer requests with an error.
func (s *Server) Fail(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = on
}

// Transactions returns the methods that sent transactions, as "eth_sendRawTransaction x2".
func (s *Server) Transactions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sent []string
	for m, n := range s.methods {
		// eth_sendRawTransaction, sendTransaction of Solana, starknet_addInvokeTransaction and their relatives.
		if strings.HasSuffix(m, "Transaction") && (strings.Contains(m, "send") || strings.Contains(m, "_add")) {
			sent = append(sent, fmt.Sprintf("%s x%d", m, n))
		}
	}
	slices.Sort(sent)
	return sent
}

type request struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

type reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  any             `json:"result"`
	Error   *failure        `json:"error,omitempty"`
}

type failure struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/"+s.Secret {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the relayer went
	}
	single := !bytes.HasPrefix(bytes.TrimSpace(body), []byte("["))
	var batch []request
	if single {
		batch = make([]request, 1)
		err = json.Unmarshal(body, &batch[0])
	} else {
		err = json.Unmarshal(body, &batch)
	}
	if err != nil {
		http.Error(w, "this is not a JSON-RPC request", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	for _, one := range batch {
		s.methods[one.Method]++
	}
	hang, fail := s.hang, s.fail
	s.mu.Unlock()
	if fail {
		http.Error(w, "the conformance suite's chain fails", http.StatusInternalServerError)
		return
	}
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if s.node != "" {
		if err := s.forward(r.Context(), w, body); err != nil {
			http.Error(w, "the node does not answer", http.StatusBadGateway)
		}
		return
	}
	replies := make([]reply, len(batch))
	for i, one := range batch {
		replies[i] = reply{Version: "2.0", ID: one.ID}
		if replies[i].Result, err = s.answer(one); err != nil {
			replies[i].Error = &failure{-32601, err.Error()}
		}
	}
	if single {
		err = json.NewEncoder(w).Encode(replies[0])
	} else {
		err = json.NewEncoder(w).Encode(replies)
	}
	_ = err // the relayer went
}

func (s *Server) forward(ctx context.Context, w io.Writer, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.node, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(w, response.Body)
	return err
}

// words is an answer that is long enough for every view of an OCR2 aggregator: five words of zero.
var words = "0x" + strings.Repeat("0", 5*64)

// answer answers like an idle chain: one block a second, without transactions.
func (s *Server) answer(r request) (any, error) {
	quantity := func(n uint64) string { return fmt.Sprintf("0x%x", n) }
	hash := func(n uint64) string { return fmt.Sprintf("0x%064x", n+1) }
	const first = 1000
	age := uint64(time.Since(s.started) / time.Second)
	head := first + age
	switch r.Method {
	case "eth_chainId":
		return quantity(s.chainID), nil
	case "net_version":
		return fmt.Sprint(s.chainID), nil
	case "web3_clientVersion":
		return "loop-conformance/fake", nil
	case "eth_syncing":
		return false, nil
	case "eth_blockNumber":
		return quantity(head), nil
	case "eth_getBlockByNumber", "eth_getBlockByHash":
		n := head
		if len(r.Params) > 0 {
			var asked string
			if json.Unmarshal(r.Params[0], &asked) == nil && r.Method == "eth_getBlockByNumber" {
				_, _ = fmt.Sscanf(asked, "0x%x", &n) // a tag such as latest leaves it
			}
		}
		if n > head {
			return nil, nil
		}
		at := uint64(s.started.Unix()) + age - (head - n)
		return map[string]any{
			"number": quantity(n), "hash": hash(n), "parentHash": hash(n - 1), "timestamp": quantity(at),
			"baseFeePerGas": quantity(1e9),
			"gasLimit":      quantity(30_000_000), "gasUsed": "0x0", "difficulty": "0x0", "extraData": "0x",
			"nonce": "0x0000000000000000",
			"miner": "0x" + strings.Repeat("0", 40), "mixHash": hash(0), "stateRoot": hash(0), "receiptsRoot": hash(0),
			"transactionsRoot": hash(0),
			"sha3Uncles":       hash(0), "logsBloom": "0x" + strings.Repeat("0", 512), "size": "0x200", "transactions": []any{},
			"uncles": []any{},
		}, nil
	case "eth_call":
		return words, nil
	case "eth_getCode":
		return "0x00", nil
	case "eth_getLogs":
		return []any{}, nil
	case "eth_getTransactionCount", "eth_getBalance":
		return "0x0", nil
	case "eth_gasPrice", "eth_maxPriorityFeePerGas":
		return quantity(1e9), nil
	case "eth_estimateGas":
		return quantity(21_000), nil
	case "eth_getTransactionReceipt", "eth_getTransactionByHash":
		return nil, nil
	case "eth_feeHistory":
		return map[string]any{"oldestBlock": quantity(head), "baseFeePerGas": []string{quantity(1e9), quantity(1e9)},
			"gasUsedRatio": []float64{0}, "reward": [][]string{{quantity(1e9)}}}, nil
	case "eth_sendRawTransaction":
		return hash(head), nil
	}
	return nil, errors.New("the conformance suite's fake chain has no method " + r.Method)
}
