package network

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

func at(epoch, round int) position { return position(epoch<<8 | round) }

// TestJudge finds in a feed what must not be there.
func TestJudge(t *testing.T) {
	t.Parallel()
	zero := time.Unix(1000, 0)
	landed := func(p position, seconds int) sent {
		return sent{position: p, arrived: zero.Add(time.Duration(seconds) * time.Second), landed: true}
	}
	refused := func(p position, seconds int) sent { s := landed(p, seconds); s.landed = false; return s }
	for name, test := range map[string]struct {
		all   []sent
		kills []time.Time
		want  []bool // reports, gaps, epochs
	}{
		"well": {[]sent{landed(at(1, 1), 0), landed(at(1, 2), 1)}, nil, []bool{true, true, true}},
		"stale": {[]sent{landed(at(1, 1), 0), landed(at(1, 2), 1), refused(at(1, 1), 1),
			refused(at(1, 2), 2)}, nil, []bool{true, true, true}},
		"refused when new": {[]sent{landed(at(1, 1), 0), refused(at(1, 3), 1), landed(at(1, 2), 1)}, nil,
			[]bool{false, true, true}},
		"twice": {[]sent{landed(at(1, 1), 0), landed(at(1, 2), 1), landed(at(1, 2), 2)}, nil,
			[]bool{false, true, true}},
		"a gap":                  {[]sent{landed(at(1, 1), 0), landed(at(1, 2), 9)}, nil, []bool{true, false, true}},
		"an epoch for no reason": {[]sent{landed(at(1, 1), 0), landed(at(2, 1), 5)}, nil, []bool{true, true, false}},
		"an epoch after a kill": {[]sent{landed(at(1, 1), 0), landed(at(2, 1), 5)}, []time.Time{zero.Add(time.Second)},
			[]bool{true, true, true}},
		"a kill long before": {[]sent{landed(at(1, 1), 0), landed(at(2, 1), 5)}, []time.Time{zero.Add(-time.Minute)},
			[]bool{true, true, false}},
		"an epoch at its end": {[]sent{landed(at(1, rMax), 0), landed(at(2, 1), 5)}, nil, []bool{true, true, true}},
		"nothing":             {nil, nil, []bool{false, true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r trial.Report
			judge(&r, test.all, test.kills, longestGap)
			var got []bool
			for _, f := range r.Figures {
				got = append(got, f.Met)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("%s\n%+v", d, r.Figures)
			}
		})
	}
}

// TestJudgeDelivery finds each fate that accepted reports must not have.
func TestJudgeDelivery(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		got delivery
		met bool
	}{
		"well":            {delivery{Accepted: 9, Landed: 7, Stale: 2}, true},
		"one lost":        {delivery{Accepted: 9, Landed: 7, Stale: 1, Lost: 1}, false},
		"one is missing":  {delivery{Accepted: 9, Landed: 7, Stale: 1}, false},
		"one twice":       {delivery{Accepted: 9, Landed: 7, Stale: 2, LandedTwice: 1}, false},
		"one in flight":   {delivery{Accepted: 9, Landed: 7, Stale: 2, InFlight: 1}, false},
		"one left out":    {delivery{Accepted: 9, Landed: 7, Stale: 2, NonceGaps: 1}, false},
		"nobody accepted": {delivery{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r trial.Report
			judgeDelivery(&r, outcome{Reports: test.got})
			if len(r.Figures) != 1 || r.Figures[0].Met != test.met {
				t.Errorf("%+v", r.Figures)
			}
		})
	}
}

// TestTake reads what a devnet says: which chain it is, and when it killed.
func TestTake(t *testing.T) {
	t.Parallel()
	d := &devnet{feed: make(chan struct{})}
	for _, line := range []string{
		"Chain 1337 at http://127.0.0.1:41063, contract 0x5798def2a8B429862a933F20A27644c81244c27F. Starting 4 nodes …",
		"Killed the evm plugin of node-2, process 19431.",
		"round 1: answer 1998.18752375 of observers 2,1,3,0, sent by node-1 for 187638 gas",
		"Killed node-1, process 19196, and started it again.",
		"Killed nobody.",
		"A sentence: Killed node-1, process 19196, and started it again.",
	} {
		d.take(line)
	}
	select {
	case <-d.feed:
	default:
		t.Error("the chain is not known")
	}
	if d.url != "http://127.0.0.1:41063" || d.contract != "0x5798def2a8B429862a933F20A27644c81244c27F" ||
		len(d.killed()) != 2 || len(d.last) != 5 {
		t.Errorf("url %q, contract %q, %d kills, %d lines", d.url, d.contract, len(d.killed()), len(d.last))
	}
}

func TestMissed(t *testing.T) {
	t.Parallel()
	all := []sent{{position: at(1, 1), landed: true}, {position: at(1, 2)}, {position: at(1, 5), landed: true},
		{position: at(2, 9), landed: true}}
	observed := map[position]string{at(1, 1): "x", at(1, 2): "x", at(1, 3): "y", at(1, 5): "z"}
	landed, idle, failed := missed(all, observed)
	if landed != 3 || idle != 1 || failed != 2 {
		t.Errorf("%d landed, %d idle, %d failed", landed, idle, failed)
	}
}

// TestReader reads two blocks off a node that answers what go-ethereum does.
func TestReader(t *testing.T) {
	t.Parallel()
	const contract = "0x00000000000000000000000000000000000000AA"
	transmit := func(epochAndRound string) string {
		return transmitSelector + strings.Repeat("d", 64) + strings.Repeat("0", 54) + epochAndRound + strings.Repeat("e", 64)
	}
	answers := map[string]string{
		"eth_blockNumber":          `"0x1"`,
		"eth_getBlockByNumber 0x0": `{"transactions":[]}`,
		"eth_getBlockReceipts 0x0": `[]`,
		"eth_getBlockByNumber 0x1": fmt.Sprintf(
			`{"transactions":[{"hash":"0x1","from":"0xb","to":%q,"input":%q},{"hash":"0x2","to":%q,"input":%q},{"hash":"0x3","to":null,"input":"0x"},{"hash":"0x4","to":%q,"input":"0x1234"}]}`,
			strings.ToLower(contract), transmit("0000000203"), contract, transmit("0000000204"), contract),
		"eth_getBlockReceipts " +
			"0x1": `[{"transactionHash":"0x1","status":"0x1"},{"transactionHash":"0x2","status":"0x0"},{"transactionHash":"0x3","status":"0x1"}]`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Method string
			Params []any
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			t.Error(err)
		}
		key := call.Method
		if len(call.Params) > 0 {
			key += fmt.Sprint(" ", call.Params[0])
		}
		if answers[key] == "" {
			_, _ = fmt.Fprint(w, `{"error":{"message":"no such thing"}}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"result":%s}`, answers[key])
	}))
	defer server.Close()
	r := newReader(server.URL, contract)
	if err := r.poll(context.Background()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range r.sent() {
		got = append(got, fmt.Sprint(s.position, " ", s.landed))
	}
	if d := cmp.Diff([]string{"2/3 true", "2/4 false"}, got); d != "" {
		t.Error(d)
	}
	delete(answers, "eth_blockNumber")
	if err := r.poll(context.Background()); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("an error of the node: %v", err)
	}
}

func TestCountOfFailures(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		`loop_call_duration_seconds_count{code="Unavailable",method="/a.B/C",plugin="evm"} 3`: {"Unavailable", "/a.B/C", "3"},
		`loop_callback_duration_seconds_count{code="OK",method="/a.B/C",plugin="evm"} 1e+06`:  {"OK", "/a.B/C", "1e+06"},
		`loop_call_duration_seconds_sum{code="OK",method="/a.B/C",plugin="evm"} 3`:            nil,
	} {
		found := ended.FindStringSubmatch(line)
		if found != nil {
			found = found[1:]
		}
		if d := cmp.Diff(want, found); d != "" {
			t.Errorf("%s\n%s", line, d)
		}
	}
}

// A node's socket lies beside the configuration that its process was started with, whatever generation of it that is.
func TestSocketOfANode(t *testing.T) {
	t.Parallel()
	const node = `sh -c 'echo; read x' sh --config /net/node-%d/config.toml`
	d := &devnet{cmd: exec.Command("sh", "-c", fmt.Sprintf("exec 3<&0; "+node+" <&3 & "+node+" <&3 & wait", 10, 1))}
	in, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 2)); err != nil { // both run
		t.Fatal(err)
	}
	if got, err := d.socket(1); err != nil || got != "/net/node-1/root/loop.sock" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := d.socket(2); err == nil || !strings.Contains(err.Error(), "no process of node-2") {
		t.Errorf("of a node that is not there: %q, %v", got, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
