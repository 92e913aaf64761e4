package job

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func fields() Fields {
	return Fields{
		Node: "node-2", Relay: "evm", ChainID: "1337", Contract: "0x5FbDB2315678afecb367f032d93F642f64180aa3",
		TransmitterID: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", BundleID: "bundle",
		Bootstrappers: []string{"peer0@127.0.0.1:1", "peer1@127.0.0.1:2"},
		PriceURL:      "http://127.0.0.1:3/price/node-2", PricePath: "data,result", BridgeName: "price",
		BridgeURL: "http://127.0.0.1:3/bridge/node-2", JuelsURL: "http://127.0.0.1:3/juels", Decimals: 8, Scale: "100000000",
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	onSolana := fields()
	onSolana.Relay, onSolana.ChainID, onSolana.Contract = "solana", "localnet",
		"EgsT6XvornaefbNE7XLPjELnQPj1gjNbRoZqpKWCvgr5"
	onSolana.OCR2Program, onSolana.StoreProgram = "cjg3oHmg9uuPsP8D6g29NWvhySJkdYdAo9D25PRbKXJ",
		"HEvSKofvBgfaexv23kMabbYqxasxU3mQ4ibBMEmJWHny"
	onSolana.Transmissions = "5biDvCZjcnWYEnQp1qhBa64QYXnL1Aqwf28fp91uJEpn"
	onStarknet := fields()
	onStarknet.Relay, onStarknet.ChainID, onStarknet.Contract = "starknet", "LOOP_DEVNET",
		"0x38ad7f67464a933ee7efbb7c729e88757d6bc05645b9c834307979b647c7647"
	onStarknet.TransmitterID, onStarknet.AccountAddress = "0x416b6de2b24f7256", "0x171146c52c65fd36"
	onStarknet.GasPriceURL = "http://127.0.0.1:3/gas/fri"
	ofProduct := fields()
	ofProduct.Product, ofProduct.OCRVersion = "twap", 3
	for name, test := range map[string]struct {
		template *Template
		fields   Fields
	}{"median.toml": {Default(), fields()}, "product.toml": {DefaultProduct(), ofProduct},
		"solana.toml": {DefaultSolana(), onSolana}, "starknet.toml": {DefaultStarknet(), onStarknet}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, test.template, test.fields)
		})
	}
}

func golden(t *testing.T, name string, template *Template, fields Fields) {
	t.Helper()
	got, err := template.Spec(fields)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("spec (-want +got), run with -update when it is meant:\n%s", diff)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	const every = "{{.Node}} {{.ChainID}} {{.Contract}} {{.TransmitterID}} {{.BundleID}} {{range .Bootstrappers}}{{.}} " +
		"{{end}}" +
		"{{.PriceURL}} {{.PricePath}} {{.BridgeName}} {{.BridgeURL}} {{.JuelsURL}} {{.Decimals}} {{.Scale}}"
	tests := map[string]struct{ text, want, err string }{
		"every field": {every,
			"node-2 1337 0x5FbDB2315678afecb367f032d93F642f64180aa3 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 " +
				"bundle peer0@127.0.0.1:1 peer1@127.0.0.1:2 http://127.0.0.1:3/price/node-2 data,result price " +
				"http://127.0.0.1:3/bridge/node-2 http://127.0.0.1:3/juels 8 100000000", ""},
		"quoted":               {"[{{quoted .Bootstrappers}}]", `["peer0@127.0.0.1:1", "peer1@127.0.0.1:2"]`, ""},
		"quoted number":        {"\n{{quoted .Decimals}}", "", ":2:2: executing"},
		"unknown field":        {"a = 1\nb = {{.Kontract}}", "", ":2:6: executing"},
		"bootstrapper's index": {"{{index .Bootstrappers 0}}", "peer0@127.0.0.1:1", ""},
		"unknown function":     {"a = 1\n\n{{nothing}}", "", ":3: function"},
		"open action":          {"a = 1\nb = {{.Node", "", ":2: unclosed action"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "job.tmpl")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			template, err := Load(path)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), path+test.err) {
					t.Errorf("got error %v, want one with %q", err, path+test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := template.Spec(fields())
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("absent", func(t *testing.T) {
		t.Parallel()
		if _, err := Load(filepath.Join(t.TempDir(), "absent")); err == nil ||
			!strings.Contains(err.Error(), "check --job-template") {
			t.Errorf("got error %v, want one that says to check --job-template", err)
		}
	})
}
