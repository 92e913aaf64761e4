package ocr3median

import (
	"context"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/simulation"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func root(h *loop.Host) productv1loop.ProductService { return New(h) }

// TestMain is also the plugin's main.
func TestMain(m *testing.M) {
	if os.Getenv(wire.CookieKey) == productv1loop.ProductKind().Cookie {
		productv1loop.ServeProduct(root)
		return
	}
	goleak.VerifyTestMain(m)
}

// prices are what oracles see at each run: they go up, and one oracle is far away.
func prices(oracle int, r *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) {
	seqNr := 0
	if _, err := fmt.Sscanf(strings.Split(r.GetRunId(), "/")[1], "%d", &seqNr); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	switch {
	case oracle == 3:
		return simulation.Value("-7.9"), nil
	case seqNr%10 == 5: // the sources of two oracles fail
		if oracle > 1 {
			return &hostservicev1.RunResponse{
				Results: []*hostservicev1.TaskResult{{Task: "value", Terminal: true, Error: "timeout"}}}, nil
		}
	}
	return simulation.Value(fmt.Sprintf("%q", fmt.Sprint(1_000_000+1000*seqNr+oracle)+".5")), nil
}

// TestSimulation runs networks and computes their answers once more, independently, from what went into each outcome.
func TestSimulation(t *testing.T) {
	t.Parallel()
	plugin := productv1loop.ProductPlugin(root)
	for name, s := range map[string]simulation.Settings{
		"quiet":     {Outcomes: 50},
		"disturbed": {Outcomes: 300, Lose: 0.1, Double: 0.2, Garble: 0.3, Restart: 0.05, Seed: 1},
		"deviation": {Outcomes: 100, Lose: 0.1, Restart: 0.05,
			OffchainConfig: []byte(`{"deviationPPB": 5000000, "heartbeatSeconds": 3600}`)},
		"processes": {Outcomes: 15, Lose: 0.05, Double: 0.2, Garble: 0.3, Restart: 0.02, Command: []string{os.Args[0]}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(s.Command) == 0 {
				s.InProcess = &plugin
			}
			s.Pipeline = prices
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			result, err := simulation.Run(ctx, s)
			if err != nil {
				t.Fatal(err)
			}
			reported := check(t, s, result)
			if want := map[bool]int{true: 10, false: s.Outcomes / 2}[name == "deviation"]; reported < want ||
				name == "deviation" && reported > s.Outcomes/3 {
				t.Errorf("%d of %d outcomes were reported", reported, s.Outcomes)
			}
		})
	}
}

// check computes each outcome's answer and whether it is reported, without the plugin's code, and returns how many are.
func check(t *testing.T, s simulation.Settings, result *simulation.Result) (reported int) {
	t.Helper()
	var last *int64
	for _, o := range result.Outcomes {
		var all []int64
		for _, observation := range o.Observations {
			if b := observation.GetObservation(); len(b) == 28 {
				v := new(big.Int).SetBytes(b[4:])
				if b[4]&0x80 != 0 {
					v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 192))
				}
				if !v.IsInt64() {
					v = big.NewInt(1 << 62 * int64(v.Sign())) // a faulty oracle's; where it is in the order is all that counts
				}
				all = append(all, v.Int64())
			}
		}
		slices.Sort(all)
		want := len(all) >= 3
		if want && last != nil && len(s.OffchainConfig) > 0 {
			distance := all[len(all)/2] - *last
			want = max(distance, -distance)*1000 >= *last*5
		}
		if want != (len(o.Reports) == 1) {
			t.Fatalf("seq_nr %d of the values %v, after %v: %d reports", o.SeqNr, all, last, len(o.Reports))
		}
		if !want {
			continue
		}
		reported++
		last = &all[len(all)/2]
		report := o.Reports[0].GetReport().GetReport()
		middle := report[len(report)/77/2*77:] // of the suite's codec: observer, time, three values
		if got := decodeValue(middle[5:29]).Int64(); got != *last && *last != 1<<62 && *last != -1<<62 {
			t.Errorf("seq_nr %d of the values %v reports %d", o.SeqNr, all, got)
		}
	}
	return reported
}

func TestValidateProductJob(t *testing.T) {
	t.Parallel()
	good := &productv1.ValidateProductJobRequest{OcrVersion: 3, ProviderType: "median", Pipelines: []string{"", "backup"},
		PluginConfigJson: []byte(`{"pluginName": "x", "OCRVersion": 3, "window": 1}`)}
	p := &Product{}
	answer, err := p.ValidateProductJob(t.Context(), good)
	if err != nil || len(answer.GetProblems()) > 0 || len(answer.GetWarnings()) != 1 ||
		answer.GetWarnings()[0].GetPath() != "pluginConfig.window" {
		t.Errorf("a good job: %v, error %v", answer, err)
	}
	answer, err = p.ValidateProductJob(t.Context(),
		&productv1.ValidateProductJobRequest{OcrVersion: 2, ProviderType: "plugin", PluginConfigJson: []byte(`[]`)})
	var paths []string
	for _, problem := range answer.GetProblems() {
		paths = append(paths, problem.GetPath())
	}
	if want := []string{"observationSource", "pluginConfig.OCRVersion", "pluginConfig.providerType",
		"pluginConfig"}; !slices.Equal(paths, want) || err != nil {
		t.Errorf("problems of %v, error %v; want %v", paths, err, want)
	}
}

func TestInteger(t *testing.T) {
	t.Parallel()
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 191), big.NewInt(1)).String()
	for encoded, want := range map[string]string{
		"7": "7", `"-12.99"`: "-12", "1e3": "1000", "0.4": "0", most: most, `"` + most + `.9"`: most,
		"null": "", `"a"`: "", `""`: "", "1e400": "", `"Inf"`: "", `1e9999999999`: "", "[1]": "", `"` + most + `0"`: "",
		"-1" + most: "",
	} {
		got, err := integer([]byte(encoded))
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%s: %v, error %v; want %s", encoded, got, err, want)
		}
	}
}

func TestOffchainConfigOfAnotherProduct(t *testing.T) {
	t.Parallel()
	_, _, err := (&factory{}).CreateOcr3Plugin(t.Context(),
		&reportingv1.CreateOcr3PluginRequest{OffchainConfig: []byte(`{"window": 5}`)})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "deviationPPB") {
		t.Errorf("error %v", err)
	}
}

// TestBounds has a network whose answers leave the contract's bounds, both of which are included, and come back: the
// contract would refuse reports of the others.
func TestBounds(t *testing.T) {
	t.Parallel()
	plugin := productv1loop.ProductPlugin(root)
	onchain := encodeValue(encodeValue([]byte{1}, big.NewInt(3)), big.NewInt(5)) // as the simulation's codec has it
	result, err := simulation.Run(t.Context(), simulation.Settings{
		InProcess: &plugin, Outcomes: 7, OnchainConfig: onchain,
		Pipeline: func(_ int, r *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) {
			return simulation.Value(strings.Split(r.GetRunId(), "/")[1]), nil // the number of the outcome
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range result.Outcomes {
		if within := o.SeqNr >= 3 && o.SeqNr <= 5; within != (len(o.Reports) == 1) {
			t.Errorf("the answer %d has %d reports", o.SeqNr, len(o.Reports))
		}
	}
}

func TestBoundsOfAnotherProduct(t *testing.T) {
	t.Parallel()
	plugin := productv1loop.ProductPlugin(root)
	_, err := simulation.Run(t.Context(), simulation.Settings{
		InProcess: &plugin, Outcomes: 1, OnchainConfig: []byte("x"),
		Pipeline: func(int, *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) {
			return simulation.Value("1"), nil
		},
	})
	if err == nil || !strings.Contains(err.Error(), "reading the contract's bounds") {
		t.Errorf("error %v", err)
	}
}

func TestOutcomesReturn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Custom(func(t *rapid.T) *big.Int {
			return decodeValue(rapid.SliceOfN(rapid.Byte(), valueLength, valueLength).Draw(t, "value"))
		})
		o := outcome{at: rapid.Uint32().Draw(t, "at")}
		if rapid.Bool().Draw(t, "last") {
			o.last = &observation{rapid.Uint32().Draw(t, "last at"), value.Draw(t, "last value")}
		}
		for i := range rapid.IntRange(0, 31).Draw(t, "entries") {
			o.entries = append(o.entries, entry{uint32(i), value.Draw(t, "entry")})
		}
		encoded := o.encode()
		if len(encoded) > int(maxOutcomeLength(uint32(len(o.entries)))) {
			t.Fatalf("%d bytes", len(encoded))
		}
		again, err := decodeOutcome(encoded)
		if err != nil || string(again.encode()) != string(encoded) || len(again.entries) != len(o.entries) {
			t.Fatalf("%v, error %v", again, err)
		}
	})
}

func FuzzBytesOfOthers(f *testing.F) {
	f.Add([]byte{1, 3})
	f.Add(outcome{last: &observation{1, big.NewInt(-1)}, entries: []entry{{0, big.NewInt(1)}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := decodeOutcome(b); err == nil && len(b) > 0 && string(o.encode()) != string(b) {
			t.Errorf("%x was read as %x", b, o.encode())
		}
		previous, _ := decodeOutcome(b)
		decide(Config{DeviationPPB: 1}, 0, previous,
			[]*reportingv1.AttributedObservation{{Observation: b}, {Observation: b[:len(b)/2]}})
		_, _ = integer(b)
	})
}
