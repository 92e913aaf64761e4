// Package price serves the prices of a local network over HTTP, in the shapes that http and bridge tasks of a job read:
//
//	GET  /price/<node>    {"data":{"result":"2000.12345678"}}
//	POST /bridge/<node>   the same, for a bridge's request
//	GET  /juels           {"data":{"result":"130500000000000000000"}}
//	GET  /juels/lamport   {"data":{"result":"8100000000"}}
//	GET  /juels/fri       {"data":{"result":"1"}}
//	GET  /gas/fri         {"data":{"result":"3000000000"}}
//
// The price walks, and every node sees it with a little noise of its own, so that there is something to agree on. Or it
// stands still, and is a JSON number, with all the digits that it was given. What each node was told is remembered. The
// package must not know of chains, nodes or jobs.
package price

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// JuelsPerFeeCoin is the answer of /juels: the price of one ether in juels, 10^-18 LINK.
const JuelsPerFeeCoin = "130500000000000000000"

// JuelsPerLamport is the answer of /juels/lamport: the price of 10^-9 SOL in juels, which on Solana has 63 bits.
const JuelsPerLamport = "8100000000"

// JuelsPerFRI is the answer of /juels/fri: the price of 10^-18 STRK in juels. It is less than one, so no integer can be
// exact.
const JuelsPerFRI = "1"

// GasPrice is the answer of /gas/fri: the price of gas on Starknet in FRI.
const GasPrice = "3000000000"

// maxBridgeBody is as much as a node sends to a bridge with a wide margin.
const maxBridgeBody = 64 << 10

// Server serves prices until Close.
type Server struct {
	http   *http.Server
	served chan error
	base   string // of the URLs
	record *record
}

// Start serves prices on a free port of 127.0.0.1: those of the walk with this seed, or fixed, a JSON number, when it
// is not empty.
func Start(seed uint64, fixed string) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve prices on 127.0.0.1: %w", err)
	}
	walk := newWalk(seed, time.Now)
	record := newRecord(time.Now)
	result := func(node string) string {
		text := cmp.Or(fixed, walk.price(node))
		if value, err := Units(text); err == nil { // another is no price, and nodes will say so
			record.add(node, value)
		}
		if fixed != "" {
			return text
		}
		return strconv.Quote(text)
	}
	s := &Server{
		http:   &http.Server{Handler: handler(result), ReadHeaderTimeout: 5 * time.Second},
		served: make(chan error, 1),
		base:   "http://" + listener.Addr().String(),
		record: record,
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// PriceURL is where an http task of this node reads the price.
func (s *Server) PriceURL(node string) string { return s.base + "/price/" + node }

// BridgeURL is where a bridge of this node reads the price.
func (s *Server) BridgeURL(node string) string { return s.base + "/bridge/" + node }

// JuelsURL is where an http task reads the price of ether in juels.
func (s *Server) JuelsURL() string { return s.base + "/juels" }

// LamportURL is where an http task reads the price of a lamport in juels.
func (s *Server) LamportURL() string { return s.base + "/juels/lamport" }

// FRIURL is where an http task reads the price of a FRI in juels.
func (s *Server) FRIURL() string { return s.base + "/juels/fri" }

// GasPriceURL is where an http task reads the price of gas in FRI.
func (s *Server) GasPriceURL() string { return s.base + "/gas/fri" }

// Through has all URLs go through whatever translates that of the server, before any of them is asked for.
func (s *Server) Through(translate func(url string) (string, error)) (err error) {
	s.base, err = translate(s.base)
	return err
}

// Close ends the server, waiting a second at most for answers under way.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // what did not end in time is cut off
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve prices: %w", err)
	}
	return nil
}

// handler answers with the JSON value that result gives for a node.
func handler(result func(node string) string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /price/{node}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, result(r.PathValue("node")))
	})
	mux.HandleFunc("POST /bridge/{node}", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBridgeBody)).Decode(&body); err != nil {
			http.Error(w, "the body of a bridge's request must be a JSON object: "+err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, result(r.PathValue("node")))
	})
	mux.HandleFunc("GET /juels", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, strconv.Quote(JuelsPerFeeCoin))
	})
	mux.HandleFunc("GET /juels/lamport", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, strconv.Quote(JuelsPerLamport))
	})
	mux.HandleFunc("GET /juels/fri", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, strconv.Quote(JuelsPerFRI))
	})
	mux.HandleFunc("GET /gas/fri", func(w http.ResponseWriter, _ *http.Request) { answer(w, strconv.Quote(GasPrice)) })
	return mux
}

// answer sends a JSON value.
func answer(w http.ResponseWriter, result string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"data":{"result":%s}}`+"\n", result)
}
