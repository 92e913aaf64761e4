package session

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ofProduct is a session whose nodes run the fake of a product.
func ofProduct(t *testing.T, mode string) (Config, string) {
	t.Helper()
	config, folders := fakes(t, mode)
	config.Product = "twap=" + filepath.Join(config.BinDir, "loop-median")
	return config, folders
}

func TestProduct(t *testing.T) {
	for check, price := range map[string]string{
		"default": "", "range": "", "median": "", "twap": "1565616210741547008", "none": "",
	} {
		t.Run(check, func(t *testing.T) {
			config, folders := ofProduct(t, "")
			config.Check, config.Price, config.ProductConfig = check, price, `{"window": 5}`
			if check == "default" {
				config.Check, check = "", "range"
			}
			display := newRecorder(t)
			var mu sync.Mutex // nodes warn of their jobs at one time
			var steps []string
			display.onStep = func(text string) {
				mu.Lock()
				defer mu.Unlock()
				steps = append(steps, text)
			}
			got, err := Run(t.Context(), config, display)
			if err != nil {
				t.Fatal(err)
			}
			if got.Transmissions != 5 || got.Verified != 5 || got.PluginProcesses != 8 || got.Plugins["twap"] == "" {
				t.Errorf("the result is %+v", got)
			}
			want := &Product{
				Name: "twap", OCR: 3, Check: check,
				Votes: 80, Reports: 76, Epochs: 2, Lost: map[string]uint64{"Observation": 4},
				Failures: []Failure{
					{"fake: all, by Fake", 8},
					{"fake: node-0", 1}, {"fake: node-1", 1}, {"fake: node-2", 1}, {"fake: node-3", 1},
				},
			}
			if diff := cmp.Diff(want, got.Product); diff != "" {
				t.Errorf("product (-want +got):\n%s", diff)
			}
			all := strings.Join(steps, "\n")
			for _, said := range []string{
				"The nodes run OCR3 on contract",
				"after the nodes were started, 80 votes, 2 epochs, calls lost: Observation 4; each",
			} {
				if !strings.Contains(all, said) {
					t.Errorf("the steps do not say %q:\n%s", said, all)
				}
			}
			if strings.Contains(all, "median of what the nodes recorded") {
				t.Errorf("the steps speak of another check:\n%s", all)
			}
			empty(t, folders)
			noChildren(t)
		})
	}
}

// TestProductAllKilled proves that all nodes are killed at one time, and go on from what they had agreed on.
func TestProductAllKilled(t *testing.T) {
	config, folders := ofProduct(t, "")
	config.Rounds, config.KillEvery, config.Kill, config.Kills = 3, 500*time.Millisecond, []string{"network"}, 8
	got, err := Run(t.Context(), config, newRecorder(t))
	if err != nil {
		t.Fatal(err)
	}
	if got.Kills != 8 || got.NodeRestarts != 8 || len(got.Product.Resumed) != 2 {
		t.Errorf("the result is %+v, resumed %+v", got, got.Product.Resumed)
	}
	for _, r := range got.Product.Resumed {
		if r.Restored < r.Landed || r.Next <= r.Landed || r.Next > r.Restored+1 {
			t.Errorf("after outcome %d, %d was found and %d landed", r.Landed, r.Restored, r.Next)
		}
	}
	// Each of the three generations of each node counts anew.
	if p := got.Product; p.Votes != 3*80 || p.Lost["Observation"] != 3*4 || p.Epochs != 6 ||
		p.Failures[0] != (Failure{"fake: all, by Fake", 24}) {
		t.Errorf("the product's counts are %+v", p)
	}
	if r := got.Reports; r == nil || r.Accepted == 0 || r.Lost+r.LandedTwice+r.InFlight+r.NonceGaps > 0 {
		t.Errorf("the reports are %+v", r)
	}
	empty(t, folders)
	noChildren(t)
}

func TestProductFails(t *testing.T) {
	for name, test := range map[string]struct {
		mode  string
		spoil func(*Config)
		want  []string
	}{
		"an observation that nobody was told": {
			"lie", func(c *Config) { c.Check = "median" },
			[]string{"check round 3 of the contract", "of observer 1, whose node recorded ["},
		},
		"no average": {
			"", func(c *Config) { c.Check = "twap" },
			[]string{"check round ", "is not an average over the 60 s"},
		},
		"lost votes": {
			"", func(c *Config) { c.NoLostVotes, c.Rounds = true, 1 },
			[]string{"4 votes were lost by Observation, though their epochs had not ended", "[{fake: all, by Fake 8}"},
		},
		"nodes that forget": {
			"forgets outcomes", func(c *Config) {
				c.KillEvery, c.Kill, c.Kills = 500*time.Millisecond, []string{"network"}, 8
				c.settleTimeout = time.Second
			},
			[]string{"and went on from outcome 0: they forgot what they had agreed on"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, folders := ofProduct(t, test.mode)
			config.Rounds = 20
			test.spoil(&config)
			got, err := Run(t.Context(), config, newRecorder(t))
			landed := func(r *Resumption) bool { return r.Landed > 0 }
			// What nodes forget shows if something had landed when they were killed, which takes longer on a busy machine.
			for test.mode == "forgets outcomes" && got.Product != nil && config.KillEvery < 8*time.Second &&
				!slices.ContainsFunc(got.Product.Resumed, landed) {
				config.KillEvery *= 2
				got, err = Run(t.Context(), config, newRecorder(t))
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got error %v, want one with %q, and the result %+v", err, want, got)
				}
			}
			if got.Product == nil || got.Product.Votes == 0 {
				t.Errorf("what the nodes counted is lost: %+v", got.Product)
			}
			empty(t, folders)
			noChildren(t)
		})
	}
}

func TestLostVotes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		product Product
		want    string
	}{
		"none":    {Product{}, ""},
		"no vote": {Product{Lost: map[string]uint64{"ShouldAcceptAttestedReport": 3, "Transmit": 1}}, ""},
		"epochs that ended": {Product{
			Lost: map[string]uint64{"Outcome": 3},
			Failures: []Failure{
				{"Outcome did not end before its epoch: UNAVAILABLE", 2},
				{"Outcome did not end before its epoch: CANCELLED", 1},
			},
		}, ""},
		"epochs that others lost by": {Product{
			Lost:     map[string]uint64{"Query": 1, "Outcome": 3},
			Failures: []Failure{{"Outcome did not end before its epoch: UNAVAILABLE", 5}},
		}, "1 votes were lost by Query"},
	} {
		err := test.product.lostVotes()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, test.want)
		}
	}
}

func TestProductIsChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("window: 5"), 0o600); err != nil {
		t.Fatal(err)
	}
	is := Config{Product: "twap=./here"}
	of := func(change func(*Config)) Config {
		c := is
		change(&c)
		return c
	}
	for want, change := range map[string]func(*Config){
		"--ocr is 4; the versions are 2 and 3":                         func(c *Config) { c.OCR = 4 },
		"--ocr is 3, and the median runs on OCR2 alone":                func(c *Config) { *c = Config{OCR: 3} },
		"--product-config is a product's, and there is none":           func(c *Config) { *c = Config{ProductConfig: "{}"} },
		"--no-lost-votes is for products over OCR3, and there is none": func(c *Config) { *c = Config{NoLostVotes: true} },
		"--check is for the answers of a product":                      func(c *Config) { *c = Config{Check: "range"} },
		"--no-lost-votes counts OCR3's votes, and --ocr is 2":          func(c *Config) { c.OCR, c.NoLostVotes = 2, true },
		"--product-config is neither JSON nor a file":                  func(c *Config) { c.ProductConfig = "{" },
		`--check is "mean"; the checks are range, median, twap and`:    func(c *Config) { c.Check = "mean" },
		"--check range compares answers with devnet's prices, and with --source they": func(c *Config) {
			c.Check, c.Source = "range", "http://x"
		},
		"and with --job-template they are made of others": func(c *Config) { c.Check, c.JobTemplate = "twap", "x" },
		"--check twap follows the outcomes of OCR3, and --ocr is 2": func(c *Config) {
			c.Check, c.OCR = "twap", 2
		},
		`the product's configuration, as {"window": SECONDS}, and it is "window: 5"`: func(c *Config) {
			c.Check, c.ProductConfig = "twap", file
		},
		`and it is "{\"window\": 0}"`: func(c *Config) { c.Check, c.ProductConfig = "twap", `{"window": 0}` },
	} {
		c := of(change)
		if p, err := productOf(c, chainEVM, "twap"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %+v and error %v; want %q", p, err, want)
		}
	}
	for _, chain := range []string{chainSolana, chainStarknet} {
		want := "--product is for feeds on EVM chains, and --chain is " + chain
		if _, err := productOf(is, chain, "twap"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("on %s: got error %v", chain, err)
		}
	}
	plain := product{name: "twap", ocr: 3, config: []byte{}, check: "range"}
	like := func(change func(*product)) product {
		p := plain
		change(&p)
		return p
	}
	window := `{"window": 5}`
	for name, test := range map[string]struct {
		config Config
		want   product
	}{
		"plain": {is, plain},
		"of a file": {
			of(func(c *Config) { c.OCR, c.ProductConfig = 2, file }),
			like(func(p *product) { p.ocr, p.config = 2, []byte("window: 5") }),
		},
		"a window": {
			of(func(c *Config) { c.Check, c.ProductConfig = "twap", window }),
			like(func(p *product) { p.config, p.check, p.window = []byte(window), "twap", 5 }),
		},
		"no window": {
			of(func(c *Config) { c.Check = "twap" }), like(func(p *product) { p.check, p.window = "twap", 60 }),
		},
		"prices of others": {of(func(c *Config) { c.Source = "http://x" }), like(func(p *product) { p.check = "none" })},
		"another job":      {of(func(c *Config) { c.JobTemplate = "x" }), like(func(p *product) { p.check = "none" })},
	} {
		got, err := productOf(test.config, chainEVM, "twap")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(test.want, *got, cmp.AllowUnexported(product{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
