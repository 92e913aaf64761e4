package endpoint

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// dataError is a node's JSON-RPC error with data.
type dataError struct {
	rpcError
	data any
}

func (e dataError) ErrorData() any { return e.data }

func TestRevertOf(t *testing.T) {
	t.Parallel()
	const reason = "0x08c379a0" + // Error(string)
		"0000000000000000000000000000000000000000000000000000000000000020" +
		"000000000000000000000000000000000000000000000000000000000000000a" +
		"72617465206c696d697400000000000000000000000000000000000000000000"
	const overflow = "0x4e487b71" + // Panic(uint256)
		"0000000000000000000000000000000000000000000000000000000000000011"
	for name, c := range map[string]struct {
		err  error
		want string // empty: no revert
	}{
		// which is not a fault of the node
		"reason":               {dataError{rpcError{3, "execution reverted: rate limit"}, reason}, `"rate limit"`},
		"reason, OpenEthereum": {dataError{rpcError{-32015, "VM execution error."}, "Reverted " + reason}, `"rate limit"`},
		"panic": {dataError{rpcError{3, "execution reverted"}, overflow},
			`"arithmetic underflow or overflow"`},
		"an error of its own": {dataError{rpcError{3, "execution reverted"}, "0x11223344aabb"},
			"an error of its own, 0x11223344"},
		"data that is none": {dataError{rpcError{3, "execution reverted"}, "0x1"},
			`the node says "execution reverted"`},
		"data that is not text": {dataError{rpcError{3, "execution reverted"}, map[string]any{}},
			`the node says "execution reverted"`},
		"no data": {rpcError{-32000, "execution reverted"}, `the node says "execution reverted"`},
		"by text, internal error": {rpcError{-32603, "VM Exception while processing transaction: revert"},
			`the node says "VM Exception while processing transaction: revert"`},
		"wrapped":            {fmt.Errorf("call: %w", rpcError{3, "no"}), `the node says "no"`},
		"an address":         {rpcError{3, "reverted by https://key@host"}, `the node says "reverted by [address]"`},
		"control characters": {rpcError{3, "a\x1b[2Jb"}, "the node says \"a\ufffd[2Jb\""},
		"a page":             {rpcError{3, strings.Repeat("x", 1<<20)}, `the node says "` + strings.Repeat("x", 200) + `…"`},
		"another answer":     {rpcError{-32000, "nonce too low"}, ""},
		"a fault":            {errors.New("reverted"), ""},
		"nothing":            {nil, ""},
	} {
		got := ""
		if reverted := revertOf(c.err); reverted != nil {
			got = reverted.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s; want %s", name, got, c.want)
		}
	}
}
