package source

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// world answers bridges, pages and contracts. Its keys are "bridge", "bridge/word" for a request whose data holds that
// word, "GET /path", and "chain/contract" and the call in hexadecimal; what it has no answer for is down.
type world map[string]string

// ServeHTTP implements http.Handler.
func (w world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.Path
	if name, ok := strings.CutPrefix(r.URL.Path, "/bridges/"); ok && r.Method == http.MethodPost {
		var body struct {
			Data map[string]string
			Meta map[string]any
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Meta == nil ||
			r.Header.Get("Content-Type") != "application/json" {
			http.Error(out, "this is not how bridges are asked", http.StatusBadRequest)
			return
		}
		key = name
		for _, field := range []string{"market", "from"} {
			if word := body.Data[field]; word != "" {
				key += "/" + word
			}
		}
	}
	answer, ok := w[key]
	if !ok {
		http.Error(out, "down", http.StatusServiceUnavailable)
		return
	}
	_, _ = out.Write([]byte(answer))
}

// Bridge implements pipeline.Bridges over the server's address.
type worldBridges string

func (w worldBridges) Bridge(_ context.Context, name string) (string, error) {
	return string(w) + "/bridges/" + name, nil
}

// ReadContract implements pipeline.Contracts.
func (w world) ReadContract(_ context.Context, r pipeline.ContractRead) ([]byte, error) {
	answer, ok := w[fmt.Sprintf("%s/%s %x", r.ChainID, r.Contract, r.Data)]
	if !ok {
		return nil, errors.New("the chain does not answer")
	}
	return hex.DecodeString(strings.Repeat("0", 64-len(answer)) + answer)
}

// sample is a spec, the world that it meets and what it observes there: a number, or "error: " and what the error says.
type sample struct {
	file              string
	pages             string // where the spec has the world's pages; empty: at http://prices.example
	world             world
	value, juels, gas string
}

func (s sample) check(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(s.world)
	t.Cleanup(server.Close)
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	pages := s.pages
	if pages == "" {
		pages = "http://prices.example"
	}
	spec, report := job.Parse(t.Context(), []byte(strings.ReplaceAll(string(text), pages, server.URL)), job.Settings{})
	if spec == nil {
		t.Fatal(report.Err())
	}
	spec.ReadsContracts = spec.Relay == "evm" // as its relayer says
	runner, err := pipeline.NewRunner(pipeline.Settings{Bridges: worldBridges(server.URL), Contracts: s.world})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Close)
	db, err := database.Open(t.Context(), database.Settings{Path: filepath.Join(t.TempDir(), "loop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	stored, err := db.AddJob(t.Context(), database.Job{ExternalID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	past, err := history.New(history.Settings{Limits: config.Default().JobPipeline}).Job(t.Context(), stored.ID)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := New(Settings{
		JobID: stored.ID, ExternalJobID: "x", Spec: spec, Pipelines: runner, Database: db, History: past,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sources.Close)
	for name, c := range map[string]struct {
		source *hostservice.DataSource
		want   string
	}{"value": {sources.Value, s.value}, "juels": {sources.JuelsPerFeeCoin, s.juels},
		"gas price": {sources.GasPriceSubunits, s.gas}} {
		got := observed(t, c.source)
		if text, wanted := strings.CutPrefix(c.want, "error: "); wanted && strings.HasPrefix(got, "error: ") &&
			strings.Contains(got, text) {
			continue
		}
		if got != c.want {
			t.Errorf("%s is %q, want %q", name, got, c.want)
		}
	}
}

func observed(t *testing.T, s *hostservice.DataSource) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := s.Observe(ctx,
		&hostservicev1.ObserveRequest{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32), Epoch: 1,
			Round: 1}})
	if err != nil {
		return "error: " + err.Error()
	}
	return wire.Int(r.GetValue()).String()
}

// Specs in the shapes that operators have observe what established nodes observe, with every source up and with some
// down.
func TestSamples(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sample{
		"one bridge, a fraction cut": {
			file: "turnout.toml", world: world{"poll": `{"district":{"share":"40.25"}}`}, value: "100", juels: "40", gas: "0",
		},
		"one bridge, below zero": {
			file: "turnout.toml", world: world{"poll": `{"district":{"share":"-40.7"}}`}, value: "-101", juels: "-40", gas: "0",
		},
		"one bridge, down": {
			file: "turnout.toml", world: world{}, value: "error: too many", juels: "error: ", gas: "0",
		},
		"two sources": {
			file: "two-sources.toml", world: world{"market-a": `{"price":20}`, "GET /b": `{"price":21}`}, value: "143",
			juels: "20", gas: "20",
		},
		"two sources, the page down": {
			file: "two-sources.toml", world: world{"market-a": `{"price":20}`}, value: "140", juels: "20", gas: "20",
		},
		"two sources, the bridge down": {
			file: "two-sources.toml", world: world{"GET /b": `{"price":21}`}, value: "147", juels: "21", gas: "error: ",
		},
		"tables for other readers": {
			file: "reader.toml", world: world{"market-a": `{"price":20}`}, value: "20", juels: "20", gas: "0",
		},
		"a constant price of the fee coin": {
			file: "constant-juels.toml", world: world{"mock": `{"answer":{"value":6}}`}, value: "6", juels: "230005", gas: "0",
		},
		"a rate of the chain and a price": {
			file: "rate.toml",
			world: world{
				"1337/0x00000000000000000000000000000000000000cC " +
					"07a2d13a0000000000000000000000000000000000000000000000000de0b6b3a7640000": "0ebec21ee1da4000",
				"1/0x00000000000000000000000000000000000000dD 50d25bcd": "1f", "market-a": `{"price":"2000.5"}`,
			},
			value: "2125531", juels: "31", gas: "0",
		},
		"a rate, the chain down": {
			file: "rate.toml", world: world{"market-a": `{"price":"2000.5"}`}, value: "error: the chain does not answer",
			juels: "error: the chain does not answer", gas: "0",
		},
		"a market that is open": {
			file:  "guarded.toml",
			world: world{"ratio/GOLD": `{"data":{"open":true,"result":0.8642}}`, "ratio/ETH": `{"data":{"result":199.75}}`},
			value: "864200000000000000", juels: "199750000000000000000", gas: "0",
		},
		"a market that is closed": {
			file:  "guarded.toml",
			world: world{"ratio/GOLD": `{"data":{"open":false,"result":0.8642}}`, "ratio/ETH": `{"data":{"result":199.75}}`},
			value: "error: task run cancelled (fail early)", juels: "199750000000000000000", gas: "0",
		},
	} {
		s.file = filepath.Join("testdata", s.file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.check(t)
		})
	}
}
