package endpoint

import (
	"context"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// FuzzAnswer has a server answer anything. A body that begins with a comma comes after the id of each answer, without
// which the client would not look at it.
func FuzzAnswer(f *testing.F) {
	body := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body) // of a client of this test
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answerOf(asked, body))
	}))
	f.Cleanup(server.Close)
	d := NewDriver(Settings{HTTPURL: server.URL, ChainID: big.NewInt(1), Contracts: &Contracts{},
		PollInterval: time.Second,
		Timeout:      time.Minute})
	c, err := d.dial(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Disconnect(c) })
	every := func(ctx context.Context) map[string]error {
		failed := map[string]error{}
		var head Head
		var output hexutil.Bytes
		failed["Batch"] = c.Batch(ctx, []rpc.BatchElem{LatestBlock(&head), View(common.Address{1}, []byte{1}, &output)})
		_, failed["Finalized"] = c.Finalized(ctx)
		_, failed["Read"] = c.Read(ctx, Read{Block: "latest"})
		_, _, failed["Logs"] = c.Logs(ctx, Filter{[]common.Address{{1}}, []common.Hash{{1}}}, 1, 5000)
		failed["Call"] = c.Call(ctx, new(string), "eth_sendRawTransaction", "0x00")
		failed["check"] = d.check(ctx, c)
		_, failed["Output"] = Output(output)
		return failed
	}
	relayertest.FuzzAnswers(f, []string{
		``, `{}`, `[]`, `null`, `[null]`, `{"jsonrpc":"2.0","id":1}`, `{"error":{}}`,
		`[{"id":1,"result":"0x1"},{"id":1,"result":"0x1"}]`,
		`,"result":"0x1"`, `,"result":null`, `,"result":1e400`, `,"result":[]`,
		`,"result":[{"address":"0x","topics":[null],"data":null}]`,
		`,"result":{"number":"0x1","hash":"0x","timestamp":"0x1"}`, `,"error":null`,
		`,"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}`,
		`,"error":{"code":-32005,"message":"query returned more than 10000 results. Try with this block range [0x0, 0x1]","data":{"from":"0x0","to":7}}`,
		`,"error":{"code":-32600,"message":"batch of more than 1"}`,
		`,"error":{"code":429,"message":"","data":{"rate":{"backoff_seconds":-1}}}`,
		`,"error":{"code":-32602,"message":"eth_getLogs is limited to a 0 range"}`, `,"error":"x"`,
		`,"error":{"message":"\u001b[2J"}`,
	}, &body, every, func(err error) bool { return relayer.IsAnswered(err) || relayer.Reason(err) != "" })
}

// answerOf is the answer to a request.
func answerOf(asked []byte, body string) string {
	if !strings.HasPrefix(body, ",") {
		return body
	}
	type call struct {
		ID json.RawMessage `json:"id"`
	}
	one := func(c call) string { return `{"jsonrpc":"2.0","id":` + string(c.ID) + body + "}" }
	var all []call
	if json.Unmarshal(asked, &all) != nil {
		var alone call
		_ = json.Unmarshal(asked, &alone) // as above
		return one(alone)
	}
	answers := make([]string, len(all))
	for i, c := range all {
		answers[i] = one(c)
	}
	return "[" + strings.Join(answers, ",") + "]"
}
