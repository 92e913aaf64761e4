package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// maxBody is the largest request that is read, in bytes.
const maxBody = 4 << 20

// Codes of JSON-RPC itself.
const (
	codeParse          = -32700
	codeInvalidRequest = -32600
	codeNoMethod       = -32601
)

// method is one method: the names of its parameters, the last of which may be left out, and what it does.
type method struct {
	parameters []string
	optional   int
	call       func(arguments) (any, *chain.Failure)
}

// arguments are those of a call, in the order of the method's parameters; those that were left out are nil.
type arguments []json.RawMessage

// read decodes an argument.
func (a arguments) read(i int, name string, into any) *chain.Failure {
	if err := json.Unmarshal(a[i], into); err != nil {
		return invalid("%s: %s", name, err)
	}
	return nil
}

func invalid(format string, args ...any) *chain.Failure {
	return &chain.Failure{Code: chain.CodeInvalidParams, Message: "Invalid params", Data: fmt.Sprintf(format, args...)}
}

// handler serves methods by JSON-RPC 2.0, alone or in batches.
type handler struct{ methods map[string]method }

type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

type response struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  any             `json:"result,omitempty"`
	Error   *chain.Failure  `json:"error,omitempty"`
}

// ServeHTTP implements http.Handler.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "JSON-RPC is sent by POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		http.Error(w, "the request is too large or was cut off", http.StatusRequestEntityTooLarge)
		return
	}
	answer := h.answer(body)
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // whoever does not read it has gone
}

// answer is the answer to a request or a batch; nil: there is none to notifications.
func (h handler) answer(body []byte) []byte {
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '[' {
		if one := h.one(body); one != nil {
			return encode(one)
		}
		return nil
	}
	var batch []json.RawMessage
	switch err := json.Unmarshal(body, &batch); {
	case err != nil:
		return encode(failed(codeParse, "Parse error"))
	case len(batch) == 0:
		return encode(failed(codeInvalidRequest, "Invalid Request"))
	}
	var all []*response
	for _, each := range batch {
		if one := h.one(each); one != nil {
			all = append(all, one)
		}
	}
	if all == nil {
		return nil
	}
	return encode(all)
}

func encode(answer any) []byte {
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err) // all results are made of what JSON has
	}
	return text
}

func failed(code int, message string) *response {
	return &response{Version: "2.0", ID: json.RawMessage("null"), Error: &chain.Failure{Code: code, Message: message}}
}

func (h handler) one(body []byte) *response {
	if !json.Valid(body) {
		return failed(codeParse, "Parse error")
	}
	var r request
	if json.Unmarshal(body, &r) != nil || r.Version != "2.0" || r.Method == "" {
		return failed(codeInvalidRequest, "Invalid Request")
	}
	m, ok := h.methods[r.Method]
	var result any
	failure := &chain.Failure{Code: codeNoMethod, Message: "Method not found"}
	if ok {
		var args arguments
		if args, failure = m.arguments(r.Params); failure == nil {
			result, failure = m.call(args)
		}
	}
	switch {
	case r.ID == nil:
		return nil
	case failure != nil:
		return &response{Version: "2.0", ID: r.ID, Error: failure}
	}
	if result == nil {
		result = json.RawMessage("null")
	}
	return &response{Version: "2.0", ID: r.ID, Result: result}
}

// arguments puts parameters in order, which come by position or by name.
func (m method) arguments(params json.RawMessage) (arguments, *chain.Failure) {
	args := make(arguments, len(m.parameters))
	var listed []json.RawMessage
	var named map[string]json.RawMessage
	switch {
	case len(params) == 0 || string(params) == "null":
	case json.Unmarshal(params, &listed) == nil:
		if len(listed) > len(args) {
			return nil, invalid("%d parameters are given, and there are %d", len(listed), len(args))
		}
		copy(args, listed)
	case json.Unmarshal(params, &named) == nil:
		for i, name := range m.parameters {
			args[i] = named[name]
			delete(named, name)
		}
		for name := range named {
			return nil, invalid("there is no parameter %.40q", name)
		}
	default:
		return nil, invalid("params must be an array or an object")
	}
	for i, name := range m.parameters[:len(m.parameters)-m.optional] {
		if args[i] == nil {
			return nil, invalid("the parameter %s is missing", name)
		}
	}
	return args, nil
}
