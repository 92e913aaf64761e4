package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/pipeline/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network answers requests in memory.
type network func(*http.Request) (status int, body string, err error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body, err := n(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Request: r, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// spec is a job with these pipelines; the last may be empty.
func spec(t *testing.T, value, juels, gas string) *job.Spec {
	t.Helper()
	text := fmt.Sprintf(`type = "offchainreporting2"
schemaVersion = 1
name = "a trial"
externalJobID = "0eec7e1d-d0d2-476c-a1a8-72dfb6633f46"
pluginType = "median"
relay = "evm"
contractID = "0x00000000000000000000000000000000000000aa"
transmitterID = "0x00000000000000000000000000000000000000bb"
observationSource = '''%s'''
relayConfig.chainID = 1337
pluginConfig.juelsPerFeeCoinSource = '''%s'''
pluginConfig.gasPriceSubunitsSource = '''%s'''
`, value, juels, gas)
	parsed, report := job.Parse(t.Context(), []byte(text), job.Settings{Offline: true})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	return parsed
}

const one = "one [type=sum values=<[1]>]"

// value runs the value of a job alone.
func value(t *testing.T, source string, net network) *trace.Source {
	t.Helper()
	observed, err := Run(t.Context(), Settings{
		Spec: spec(t, source, one, ""), Sources: []string{"value"}, Limits: config.Default().JobPipeline,
		Bridges: map[string]string{"prices": "http://prices.example"}, HTTP: &http.Client{Transport: net},
	})
	if err != nil || len(observed) != 1 {
		t.Fatalf("Run = %v, %v", observed, err)
	}
	return observed[0]
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

var times = cmp.Options{cmpopts.IgnoreFields(trace.Source{}, "Duration"),
	cmpopts.IgnoreFields(trace.Task{}, "Duration")}

// Every task is told with what it was given and came to, in the words of the node.
func TestRun(t *testing.T) {
	t.Parallel()
	const unread = "the call of contract 0x00000000000000000000000000000000000000cc on chain 1337 failed: " +
		"contracts are read through a relayer of a node, and a trial has none; add the job to a node to see it run"
	const down = "the request to bridge prices failed: connection refused"
	const refused = `GET http://a.example/?… was answered with status 500: "no … here"`
	const unclear = `the input from task ask: "no … here" is not a decimal number`
	wide := "3139" + strings.Repeat("0", 57)
	result := func(text string) trace.Outcome { return trace.Outcome{Result: json.RawMessage(text)} }
	reply := result(`"{\"price\":20.5,\"open\":true}"`)
	for name, test := range map[string]struct {
		source string
		net    network
		want   trace.Source
	}{
		"cut toward zero": {
			`ask [type=bridge name=Prices]; parse [type=jsonparse path=price data="$(ask)"]; open [type=jsonparse path=open]
			ask -> open -> guard; guard [type=conditional]; guard -> parse -> scaled; scaled [type=multiply times="-3"]`,
			func(*http.Request) (int, string, error) { return 200, `{"price":20.5,"open":true}`, nil },
			trace.Source{Name: "value", Value: "-61", Result: raw("-61.5"), Tasks: []trace.Task{
				{ID: "ask", Type: "bridge", Input: []trace.Given{}, Outcome: reply, Attempts: 1},
				{ID: "open", Type: "jsonparse", Input: []trace.Given{{ID: "ask", Outcome: reply}}, Outcome: result("true"),
					Attempts: 1},
				{
					ID: "guard", Type: "conditional", Attempts: 1, Outcome: result("true"),
					Input: []trace.Given{{ID: "open", Outcome: result("true")}},
				},
				{
					ID: "parse", Type: "jsonparse", Attempts: 1, Outcome: result("20.5"),
					Input: []trace.Given{{ID: "guard", Outcome: result("true")}, {ID: "ask", Outcome: reply}},
				},
				{
					ID: "scaled", Type: "multiply", Attempts: 1, Outcome: result("-61.5"),
					Input: []trace.Given{{ID: "parse", Outcome: result("20.5")}},
				},
			}},
		},
		"ended early": {
			`ask [type=http url="http://a.example/?key=sesame-open" retries=2 minBackoff="1ms" failEarly=true]
			ask -> last; last [type=any]`,
			func(*http.Request) (int, string, error) { return 500, `{"error":"no sesame-open here"}`, nil },
			trace.Source{
				Name:  "value",
				Error: "task last (any): task run cancelled (fail early), since task ask (http): " + refused,
				Tasks: []trace.Task{
					{ID: "ask", Type: "http", Input: []trace.Given{}, Attempts: 1, Outcome: trace.Outcome{Error: refused}},
					{ID: "last", Type: "any", Input: []trace.Given{},
						Outcome: trace.Outcome{Error: "task run cancelled (fail early)"}},
				},
			},
		},
		"ended early by a reply with the key": {
			`ask [type=http url="http://a.example/?key=sesame-open"]; ask -> times -> last
			times [type=multiply times=2 failEarly=true]; last [type=any]`,
			func(*http.Request) (int, string, error) { return 200, "no sesame-open here", nil },
			trace.Source{
				Name:  "value",
				Error: "task last (any): task run cancelled (fail early), since task times (multiply): " + unclear,
				Tasks: []trace.Task{
					{ID: "ask", Type: "http", Input: []trace.Given{}, Attempts: 1, Outcome: result(`"no … here"`)},
					{ID: "times", Type: "multiply", Input: []trace.Given{{ID: "ask", Outcome: result(`"no … here"`)}}, Attempts: 1,
						Outcome: trace.Outcome{Error: unclear}},
					{ID: "last", Type: "any", Input: []trace.Given{},
						Outcome: trace.Outcome{Error: "task run cancelled (fail early)"}},
				},
			},
		},
		"one source of two is down": {
			`a [type=bridge name=prices]; b [type=sum values=<[4]>]; a -> m; b -> m; m [type=median]`,
			func(*http.Request) (int, string, error) { return 0, "", errors.New("connection refused") },
			trace.Source{Name: "value", Value: "4", Result: raw("4"), Tasks: []trace.Task{
				{ID: "a", Type: "bridge", Input: []trace.Given{}, Attempts: 1, Outcome: trace.Outcome{Error: down}},
				{ID: "b", Type: "sum", Input: []trace.Given{}, Outcome: result("4"), Attempts: 1},
				{ID: "m", Type: "median", Attempts: 1, Outcome: result("4"), Input: []trace.Given{
					{ID: "a", Outcome: trace.Outcome{Error: down}}, {ID: "b", Outcome: result("4")},
				}},
			}},
		},
		"too wide for an answer": {
			`a [type=multiply input="1e57" times="3139"]`, nil,
			trace.Source{
				Name: "value", Result: raw(wide),
				Error: "the pipeline's result " + wide + " does not fit the 192 bits of an answer; scale it down",
				Tasks: []trace.Task{{ID: "a", Type: "multiply", Input: []trace.Given{}, Attempts: 1, Outcome: result(wide)}},
			},
		},
		"what is not a number": {
			`a [type=lookup key=x]; b [type=memo value="{}"]; b -> a`, nil,
			trace.Source{
				Name: "value", Result: raw("null"),
				Error: "cannot make an integer of the pipeline's result: nothing (null) is not a number; " +
					"end the pipeline in a number",
				Tasks: []trace.Task{
					{ID: "b", Type: "memo", Input: []trace.Given{}, Outcome: result("{}"), Attempts: 1},
					{
						ID: "a", Type: "lookup", Attempts: 1, Outcome: result("null"),
						Input: []trace.Given{{ID: "b", Outcome: result("{}")}},
					},
				},
			},
		},
		"a contract": {
			`a [type=ethcall contract="0x00000000000000000000000000000000000000cc" data="0x01020304"]`, nil,
			trace.Source{
				Name: "value", Error: "task a (ethcall): " + unread,
				Tasks: []trace.Task{{ID: "a", Type: "ethcall", Input: []trace.Given{}, Attempts: 1,
					Outcome: trace.Outcome{Error: unread}}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(&test.want, value(t, test.source, test.net), times); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The sources come in one order, those that are asked for alone, and one without a pipeline is 0. A run sees the job's
// name and ID.
func TestSources(t *testing.T) {
	t.Parallel()
	s := Settings{
		Spec:    spec(t, one, `a [type=bridge name=prices requestData=<{"job": [$(jb.name), $(jb.externalJobID)]}>]`, ""),
		Sources: []string{"gas", "juels", "value"}, Bridges: map[string]string{"prices": "http://prices.example"},
		HTTP: &http.Client{Transport: network(func(r *http.Request) (int, string, error) {
			body, err := io.ReadAll(r.Body)
			want := `{"job":["a trial","0eec7e1d-d0d2-476c-a1a8-72dfb6633f46"],"meta":{"latestAnswer":null,"updatedAt":null}}`
			if err != nil || string(body) != want {
				return 400, fmt.Sprintf(`{"error":%q}`, body), err
			}
			return 200, "2", nil
		})},
	}
	observed, err := Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, source := range observed {
		got = append(got, source.Name, source.Value, source.Error)
	}
	if diff := cmp.Diff([]string{"value", "1", "", "juels", "2", "", "gas", "0", ""}, got); diff != "" {
		t.Error(diff)
	}
	s.Limits.MaxRunDuration.Duration = -1
	if _, err := Run(t.Context(), s); err == nil {
		t.Error("a negative limit was taken")
	}
}

// The answer that a bridge gave to one source does not stand in for its failure with another, though their texts are
// the same.
func TestSourcesShareNoAnswers(t *testing.T) {
	t.Parallel()
	const source = `gate [type=http url="http://gate.example"]; ask [type=bridge name=prices cacheTTL="60s"]
		end [type=http url="http://end.example"]; gate -> ask -> end`
	var gates, asked atomic.Int32
	answered := make(chan struct{}) // to the source that asked first, which has its answer
	tell := sync.OnceFunc(func() { close(answered) })
	observed, err := Run(t.Context(), Settings{
		Spec: spec(t, source, source, ""), Sources: []string{"value", "juels"},
		Bridges: map[string]string{"prices": "http://prices.example"},
		HTTP: &http.Client{Transport: network(func(r *http.Request) (int, string, error) {
			switch {
			case r.URL.Host == "gate.example" && gates.Add(1) > 1:
				<-answered
			case r.URL.Host == "prices.example" && asked.Add(1) > 1:
				return 502, "", nil
			case r.URL.Host == "end.example":
				tell()
			}
			return 200, "2", nil
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if value, juels := observed[0], observed[1]; (value.Error == "") == (juels.Error == "") {
		t.Errorf("value %s %s, juels %s %s: want one failure", value.Value, value.Error, juels.Value, juels.Error)
	}
}

// A long trial says every five seconds which tasks it waits for, keeps the node's limits, and ends with its context.
func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 22*time.Second, errors.New("enough"))
		defer cancel()
		var said []string
		limits := config.Default().JobPipeline
		limits.HTTPRequest.DefaultTimeout.Duration = 12 * time.Second
		observed, err := Run(ctx, Settings{
			Spec: spec(t, `a [type=http url="http://slow.example"]; b [type=http url="http://slow.example" timeout="0s"]
				c [type=any]; a -> c -> d; b -> d; d [type=median]`, `a [type=http url="http://slow.example" timeout="7s"]`, one),
			Sources: []string{"value", "juels", "gas"}, Limits: limits,
			Progress: func(text string) { said = append(said, text) },
			HTTP: &http.Client{Transport: network(func(r *http.Request) (int, string, error) {
				<-r.Context().Done()
				return 0, "", r.Context().Err()
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"after 5s waiting for value: a (http), b (http); juels: a (http)",
			"after 10s waiting for value: a (http), b (http)",
			"after 15s waiting for value: b (http)",
			"after 20s waiting for value: b (http)",
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Error(diff)
		}
		var got []string
		for _, task := range observed[0].Tasks[:2] {
			got = append(got, task.ID, task.Error, task.Duration)
		}
		if diff := cmp.Diff([]string{
			"a", "GET http://slow.example got no answer: the time for one attempt is over (timeout is 12s)", "12000ms",
			"b", "GET http://slow.example got no answer: enough", "22000ms",
		}, got); diff != "" {
			t.Error(diff)
		}
		if observed[2].Value != "1" {
			t.Errorf("gas is %+v", observed[2])
		}
	})
}
