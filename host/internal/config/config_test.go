package config_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/host/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (run with -update if that is meant):\n%s", path, diff)
	}
}

func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

var compare = cmp.Options{cmpopts.IgnoreUnexported(config.Duration{}, config.EVMChain{}), cmpopts.EquateEmpty()}

func duration(d time.Duration) config.Duration { return config.Duration{Duration: d} }

func TestLoadReadsEverySection(t *testing.T) {
	t.Parallel()
	got, err := config.Load("testdata/valid/node.toml", environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	evm, other := got.EVM[0], got.EVM[1]
	got.EVM = nil

	want := config.Default()
	want.RootDir = "/var/lib/loop"
	want.Log = config.Log{Level: "debug", Format: "json"}
	want.Database = config.Database{URL: config.NewSecret("sqlite:/var/lib/loop/feeds.db"), Path: "/var/lib/loop/feeds.db"}
	want.Keystore = config.Keystore{PasswordFile: "testdata/valid/password", Password: config.NewSecret("correct horse battery staple")}
	want.WebServer = config.WebServer{
		ListenIP: "0.0.0.0", AllowedHosts: []string{"oracle-1.example"}, Socket: "/run/loop/node.sock",
		TLS: config.WebServerTLS{
			ListenIP: "::", HTTPSPort: 6689, CertPath: "/etc/loop/cert.pem", KeyPath: "/etc/loop/key.pem",
		},
	}
	want.P2P.IncomingMessageBufferSize = 128
	want.P2P.V2.ListenAddresses = []string{"127.0.0.1:7001", "[::1]:7001"}
	want.P2P.V2.AnnounceAddresses = []string{"oracle-1.example:7001"}
	want.P2P.V2.DefaultBootstrappers = []config.Bootstrapper{{PeerID: "12D3KooWBootOne", Addresses: []string{"boot.example:6690", "10.0.0.7:6690"}}}
	want.P2P.V2.DeltaDial = duration(250 * time.Millisecond)
	want.OCR2.BlockchainTimeout = duration(5 * time.Second)
	want.OCR2.ContractConfirmations = 1
	want.OCR2.KeyBundleID = "73e8966a78ca09bb912e9565cfb79fbe8a6048fab1f0cf49b18047c3895e0447"
	want.JobPipeline.MaxRunDuration = duration(90 * time.Second)
	want.JobPipeline.HTTPRequest.DefaultTimeout = duration(2 * time.Second)
	want.Plugins.StopTimeout = duration(5 * time.Second)
	want.Plugins.SocketDir = "/run/loop"
	if len(got.Solana) != 1 {
		t.Fatalf("%d Solana chains", len(got.Solana))
	}
	solana := got.Solana[0]
	got.Solana = nil
	want.Starknet = []config.StarknetChain{{
		ChainID: "SN_SEPOLIA", Enabled: true, OCR2CachePollPeriod: duration(5 * time.Second), OCR2CacheTTL: duration(time.Minute), RequestTimeout: duration(10 * time.Second),
		TxTimeout: duration(time.Minute), ConfirmationPoll: duration(5 * time.Second), FeeMultiplier: 1.5, FeeEstimationMaxAttempts: 5,
		FeeToken: "0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d", Accounts: []string{},
		Nodes: []config.StarknetNode{{Name: "primary", URL: config.NewSecret("http://127.0.0.1:5050"), APIKey: config.NewSecret("a-key")}},
	}}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Error(diff)
	}

	if evm.FinalityDepth != 1 || !evm.Enabled || evm.GasLimitDefault != 500_000 || evm.PollInterval != duration(time.Second) {
		t.Errorf("the first chain lacks what it sets or the defaults of what it does not: %+v", evm)
	}
	if fee := evm.FeeCapDefault.Big().String(); fee != "200000000" {
		t.Errorf("0.2 gwei is %s wei", fee)
	}
	if tip := evm.TipCapDefault.Big().Sign(); tip != 0 {
		t.Error("a tip of 0 wei was replaced by the default")
	}
	if solana.ChainID != "devnet" || !solana.Enabled || solana.Commitment != "confirmed" || !solana.SkipPreflight || solana.ComputeUnitPriceMax != 1000 || solana.OCR2CacheTTL != duration(time.Minute) ||
		solana.Nodes[0].URL.Reveal() != "https://solana.example?api-key=secret" || !solana.Nodes[0].WSURL.IsEmpty() {
		t.Errorf("the Solana chain lacks what it sets or the defaults of what it does not: %+v", solana)
	}
	if other.Enabled || other.FeeCapDefault.String() != "100 gwei" {
		t.Errorf("the second chain is %+v", other)
	}
}

// A command that starts no node takes the same file, and wants neither a home nor a password.
func TestReadWantsNothingOfANode(t *testing.T) {
	t.Parallel()
	got, err := config.Read("testdata/valid/node.toml", environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Load("testdata/valid/node.toml", environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.JobPipeline, got.JobPipeline, compare); diff != "" {
		t.Error(diff)
	}
	if got.Database.Path != "" || !got.Keystore.Password.IsEmpty() {
		t.Errorf("the database's path is %q, and the password is read: %v", got.Database.Path, !got.Keystore.Password.IsEmpty())
	}
	if _, err := config.Read("", environment(nil)); err != nil {
		t.Errorf("without a file: %v", err)
	}
	const problem = "testdata/invalid/bounds.toml:36: JobPipeline.MaxRunDuration: 25h is not between 1s and 24h"
	if _, err := config.Read("testdata/invalid/bounds.toml", environment(nil)); err == nil || !strings.Contains(err.Error(), problem) {
		t.Errorf("a file with problems gives %v", err)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		variables map[string]string
		root      string
	}{
		"home":         {map[string]string{"HOME": "/home/op"}, "/home/op/.local/share/loop"},
		"XDG":          {map[string]string{"HOME": "/home/op", "XDG_DATA_HOME": "/data"}, "/data/loop"},
		"relative XDG": {map[string]string{"HOME": "/home/op", "XDG_DATA_HOME": "data"}, "/home/op/.local/share/loop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.variables["CL_PASSWORD_KEYSTORE"] = "pw"
			got, err := config.Load("", environment(test.variables))
			if err != nil {
				t.Fatal(err)
			}
			if got.RootDir != test.root || got.Database.Path != test.root+"/loop.db" || got.Keystore.Password.Reveal() != "pw" {
				t.Errorf("RootDir %q, database %q", got.RootDir, got.Database.Path)
			}
		})
	}
}

func TestLoadTakesThePathFromTheEnvironment(t *testing.T) {
	t.Parallel()
	got, err := config.Load("", environment(map[string]string{"CL_CONFIG": "testdata/valid/node.toml", "CL_PASSWORD_KEYSTORE": "mine"}))
	if err != nil {
		t.Fatal(err)
	}
	if got.RootDir != "/var/lib/loop" {
		t.Errorf("RootDir is %q", got.RootDir)
	}
	if got.Keystore.Password.Reveal() != "mine" {
		t.Error("the file's password went before the environment's")
	}
}

func TestLoadReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	got, err := config.Load("", environment(map[string]string{
		"HOME": "/home/op", "CL_PASSWORD_KEYSTORE": "pw",
		"CL_MEDIAN_CMD": `/opt/loop median --name "a b" 'c"d' e\ f "" $HOME "\$x\y"`, "CL_MEDIAN_ENV": "testdata/valid/plugin.env",
		"CL_EVM_CMD": "  ", "CL_MIN_OCR2_MAX_DURATION_QUERY": "250ms", "CL_PROMETHEUS_DISCOVERY_HOSTNAME": "node.example",
	}))
	if err != nil {
		t.Fatal(err)
	}
	environment := got.Environment
	if diff := cmp.Diff([]string{"/opt/loop", "median", "--name", "a b", `c"d`, "e f", "", "$HOME", `$x\y`}, environment.Median.Command); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"HTTP_PROXY=http://user:pass@proxy.example:3128", "LOG_LEVEL=debug", "QUOTED=two words", "EMPTY=", "EQUALS=a=b"}, environment.Median.Environ()); diff != "" {
		t.Error(diff)
	}
	if !environment.EVM.InProcess() || !environment.Solana.InProcess() || environment.Median.InProcess() {
		t.Error("a plugin is in-process if and only if its command is empty")
	}
	if environment.MinOCR2MaxDurationQuery != 250*time.Millisecond || environment.DiscoveryHostname != "node.example" {
		t.Errorf("environment is %+v", environment)
	}
	if config.Default().Environment.MinOCR2MaxDurationQuery != 100*time.Millisecond {
		t.Error("the default of CL_MIN_OCR2_MAX_DURATION_QUERY is 100ms")
	}
}

func TestLoadReadsWhatIsDebugged(t *testing.T) {
	t.Parallel()
	loaded, err := loadText(t, "", map[string]string{"LOOP_REATTACH": " evm=/run/a.json, median=/run/b=c.json,", "CL_EVM_CMD": "loop-evm"})
	if err != nil {
		t.Fatal(err)
	}
	e := loaded.Environment
	if e.EVM.Attach != "/run/a.json" || e.Median.Attach != "/run/b=c.json" || e.Median.InProcess() || e.Solana.Attach != "" || !e.Solana.InProcess() {
		t.Errorf("environment is %+v", e)
	}
	for _, text := range []string{"/run/a.json", "evm=", "EVM=/run/a.json", "evm=/run/a.json,near=/run/b.json"} {
		if _, err := loadText(t, "", map[string]string{"LOOP_REATTACH": text}); err == nil || !strings.HasPrefix(err.Error(), "LOOP_REATTACH: ") || !strings.Contains(err.Error(), "is not NAME=FILE") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLoadReportsEveryProblem(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/invalid/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no invalid files")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			variables := map[string]string{"HOME": "/home/op", "CL_PASSWORD_KEYSTORE": "pw"}
			if strings.Contains(file, "bounds") {
				delete(variables, "CL_PASSWORD_KEYSTORE")
			}
			_, err := config.Load(file, environment(variables))
			if err == nil {
				t.Fatal("no error")
			}
			checkHidden(t, err.Error())
			golden(t, strings.TrimSuffix(file, ".toml")+".golden", err.Error()+"\n")
		})
	}
}

func TestLoadReportsTheEnvironment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		variables map[string]string
		want      string
	}{
		"no password":       {map[string]string{"HOME": "/h"}, "Keystore.PasswordFile: the keystore has no password; name a file with it here, or set the environment variable CL_PASSWORD_KEYSTORE"},
		"no home":           {map[string]string{"CL_PASSWORD_KEYSTORE": "pw"}, "RootDir: the home folder is unknown since HOME is not set; give RootDir as an absolute path"},
		"query":             {map[string]string{"CL_MIN_OCR2_MAX_DURATION_QUERY": "fast"}, `CL_MIN_OCR2_MAX_DURATION_QUERY: "fast" is not a duration; write a number with a unit, such as 100ms`},
		"negative query":    {map[string]string{"CL_MIN_OCR2_MAX_DURATION_QUERY": "-1s"}, `CL_MIN_OCR2_MAX_DURATION_QUERY: -1s is negative; write a duration such as 100ms`},
		"quote":             {map[string]string{"CL_EVM_CMD": `a "b`}, "CL_EVM_CMD: a quote in the command is not closed"},
		"backslash":         {map[string]string{"CL_SOLANA_CMD": `a \`}, "CL_SOLANA_CMD: the command ends in a backslash"},
		"no program":        {map[string]string{"CL_STARKNET_CMD": `"" a`}, "CL_STARKNET_CMD: the command's first word, the program, is empty"},
		"no variables file": {map[string]string{"CL_EVM_ENV": "testdata/absent"}, "CL_EVM_ENV: reading the plugin's environment: stat testdata/absent: no such file or directory"},
		"variables": {map[string]string{"CL_EVM_ENV": "testdata/invalid/plugin.env"}, `testdata/invalid/plugin.env:2: this line of the file that CL_EVM_ENV names is not of the form KEY=VALUE
testdata/invalid/plugin.env:3: the key on this line of the file that CL_EVM_ENV names is not a variable's name
testdata/invalid/plugin.env:4: A is set on line 1 already`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, ok := test.variables["HOME"]; !ok && name != "no home" {
				test.variables["HOME"] = "/h"
			}
			if name != "no password" {
				test.variables["CL_PASSWORD_KEYSTORE"] = "pw"
			}
			_, err := config.Load("", environment(test.variables))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadSkipsAByteOrderMark(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "node.toml")
	if err := os.WriteFile(file, []byte("\xef\xbb\xbfRootDir = '~/node'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(file, environment(map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}))
	if err != nil {
		t.Fatal(err)
	}
	if got.RootDir != "/h/node" {
		t.Errorf("RootDir is %q", got.RootDir)
	}
}

func TestLoadJoinsFileAndEnvironment(t *testing.T) {
	t.Parallel()
	_, err := config.Load("testdata/invalid/unknown.toml", environment(map[string]string{"CL_MIN_OCR2_MAX_DURATION_QUERY": "x"}))
	if err == nil || !strings.Contains(err.Error(), "unknown.toml:1: RotDir") || !strings.Contains(err.Error(), "CL_MIN_OCR2") {
		t.Errorf("error is %v", err)
	}
	if _, err := config.Load("testdata/absent.toml", environment(nil)); err == nil || !strings.Contains(err.Error(), "testdata/absent.toml") {
		t.Errorf("error is %v", err)
	}
	if _, err := config.Load("testdata", environment(nil)); err == nil {
		t.Error("a folder was read as a file")
	}
}

func TestRulesOfPlugins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		bytes uint64
		shown string
	}{
		"512MiB": {512 << 20, "512MiB"}, "1.5GiB": {3 << 29, "1536MiB"}, "1024 mib": {1 << 30, "1GiB"}, "500MB": {500e6, "500MB"}, "2gb": {2e9, "2GB"},
		"20480KiB": {20 << 20, "20MiB"}, "33554433B": {33554433, "33554433B"}, "1TiB": {1 << 40, "1TiB"}, "": {0, ""},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			loaded, err := loadText(t, "[Plugins.Median]\nMemoryLimit = \""+text+"\"\n", map[string]string{"CL_MEDIAN_CMD": "loop-median"})
			if err != nil {
				t.Fatal(err)
			}
			limit := loaded.Environment.Median.Rules.MemoryLimit
			shown, err := limit.MarshalText()
			if err != nil || limit.Bytes != want.bytes || string(shown) != want.shown {
				t.Errorf("%d bytes, shown as %s, %v", limit.Bytes, shown, err)
			}
			if loaded.Environment.EVM.Rules.MemoryLimit.Bytes != 0 {
				t.Error("the limit of one kind of plugin is another's")
			}
		})
	}
	for _, text := range []string{"512", "MiB", "-1MiB", "1e3MiB", "0x10MiB", "512 MiB of RAM", ".5GiB", "0.3B", "512Mib/s", "1,5GiB", "99999999999999999999999MiB", "1/2GiB"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := loadText(t, "[Plugins.Median]\nMemoryLimit = \""+text+"\"\n", map[string]string{"CL_MEDIAN_CMD": "loop-median"})
			if err == nil || !strings.Contains(err.Error(), ":2: Plugins.Median.MemoryLimit: \""+text+"\" is not an amount of memory; write a number with a unit, such as \"512MiB\" or \"1.5GiB\"") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestPins(t *testing.T) {
	t.Parallel()
	one, two := strings.Repeat("a1", 32), strings.Repeat("0f", 32)
	const bad = " is not one or two SHA-256 checksums of 64 hexadecimal digits with a blank between; sha256sum FILE prints one"
	for name, c := range map[string]struct {
		file, variable string
		want           []string
		err            string
	}{
		"none":                          {"", "", nil, ""},
		"the file's":                    {one, "", []string{one}, ""},
		"the environment's":             {"", one, []string{one}, ""},
		"the environment's goes before": {one, two, []string{two}, ""},
		"two, and capitals":             {strings.ToUpper(one) + " " + two, "", []string{one, two}, ""},
		"three":                         {one + " " + two + " " + one, "", nil, ":2: Plugins.EVM.SHA256: "},
		"a digit short":                 {one[1:], "", nil, ":2: Plugins.EVM.SHA256: \"" + one[1:] + "\"" + bad},
		"no digit":                      {"", "g" + one[1:], nil, "CL_EVM_SHA256: \"g" + one[1:] + "\"" + bad},
		"sha256sum's line":              {"", one + "  loop-evm", nil, "CL_EVM_SHA256: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loaded, err := loadText(t, "[Plugins.EVM]\nSHA256 = \""+c.file+"\"\n", map[string]string{"CL_EVM_CMD": "loop-evm", "CL_EVM_SHA256": c.variable})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasSuffix(err.Error(), bad) {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, loaded.Environment.EVM.Rules.SHA256.Sums, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			if len(loaded.Environment.Median.Rules.SHA256.Sums) > 0 {
				t.Error("the checksum of one kind of plugin is another's")
			}
		})
	}
	if _, err := loadText(t, "", map[string]string{"CL_EVM_SHA256": one}); err == nil || err.Error() != "CL_EVM_SHA256: the plugin runs inside the node and has no file of its own; give it a process by CL_EVM_CMD, or remove the checksum" {
		t.Errorf("a plugin without a process is pinned: %v", err)
	}
}

// loadText loads a configuration file of the text given.
func loadText(t *testing.T, text string, variables map[string]string) (*config.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "node.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}
	maps.Copy(all, variables)
	return config.Load(file, environment(all))
}

func TestOCR2Bounds(t *testing.T) {
	t.Parallel()
	for key, bounds := range map[string]struct{ low, high, below, above string }{
		"BlockchainTimeout":                  {`"1s"`, `"20s"`, `"999ms"`, `"20001ms"`},
		"ContractPollInterval":               {`"1s"`, `"120s"`, `"999ms"`, `"121s"`},
		"ContractConfirmations":              {`1`, `100`, `0`, `101`},
		"ContractTransmitterTransmitTimeout": {`"1s"`, `"1m"`, `"999ms"`, `"61s"`},
		"DatabaseTimeout":                    {`"100ms"`, `"10s"`, `"99ms"`, `"10001ms"`},
		"ContractConfigLoadTimeout":          {`"1s"`, `"1h"`, `"0s"`, `"3601s"`},
		"DefaultMaxDurationInitialization":   {`"1s"`, `"1h"`, `"999ms"`, `"3601s"`},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			for value, good := range map[string]bool{bounds.low: true, bounds.high: true, bounds.below: false, bounds.above: false} {
				file := filepath.Join(t.TempDir(), "node.toml")
				if err := os.WriteFile(file, []byte("[OCR2]\n"+key+" = "+value+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := config.Load(file, environment(map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}))
				if good != (err == nil) {
					t.Errorf("%s = %s gives %v", key, value, err)
				}
				if err != nil && !strings.Contains(err.Error(), ":2: OCR2."+key+": ") {
					t.Errorf("%v does not name the line and the key", err)
				}
			}
		})
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	reference := config.Reference()
	golden(t, "testdata/reference.golden", reference)

	file := filepath.Join(t.TempDir(), "node.toml")
	if err := os.WriteFile(file, []byte(reference), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(file, environment(map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}))
	if err != nil {
		t.Fatalf("the reference is no valid file: %v", err)
	}
	got.EVM, got.Solana, got.Starknet = nil, nil, nil
	want, err := config.Load("", environment(map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("the reference shows other values than the defaults:\n%s", diff)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	var visit func(path string, at reflect.Type)
	visit = func(path string, at reflect.Type) {
		for n := range at.NumField() {
			field := at.Field(n)
			inner := field.Type
			for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			_, isText := reflect.New(inner).Interface().(interface{ UnmarshalText([]byte) error })
			switch {
			case field.Tag.Get("toml") == "-", !field.IsExported():
			case inner.Kind() == reflect.Struct && !isText:
				visit(path+field.Name+".", inner)
			case field.Tag.Get("comment") == "":
				t.Errorf("%s%s has no comment", path, field.Name)
			}
		}
	}
	visit("", reflect.TypeFor[config.Config]())
}

func TestEVMChainTOML(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load("testdata/valid/node.toml", environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	chain := loaded.EVM[0]
	document, err := chain.TOML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/chain.golden", string(document))
	var back config.EVMChain
	if err := toml.Unmarshal(document, &back); err != nil {
		t.Fatal(err)
	}
	// The relayer has defaults of its own for these, which differ between chains: only what the file has is handed on.
	chain.FeeCapMax, chain.FeeBumpThreshold, chain.FeeBumpPercent = config.Wei{}, 0, 0
	chain.NoNewHeadsThreshold = config.Duration{}
	if diff := cmp.Diff(chain, back, compare); diff != "" {
		t.Errorf("the chain changed on its way:\n%s", diff)
	}
	checkHidden(t, strings.ReplaceAll(fmt.Sprintf("%v", chain), "pass", "hunter2"))
}

// The keys by which operators know prices and gas limits reach the relayer as they are written, those that change nothing are
// named, and a default that the file does not have is left to the relayer.
func TestEVMGasKeys(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load("testdata/idle/gas.toml", environment(map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, w := range loaded.Warnings {
		text.WriteString(w.String() + "\n")
	}
	for _, chain := range loaded.EVM {
		document, err := chain.TOML()
		if err != nil {
			t.Fatal(err)
		}
		text.Write(document)
	}
	golden(t, "testdata/idle/gas.golden", text.String())
}

func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		document, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(document)
	}
	file := filepath.Join(f.TempDir(), "node.toml")
	f.Fuzz(func(t *testing.T, document []byte) {
		if err := os.WriteFile(file, document, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := config.Load(file, environment(map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}))
		if err != nil {
			return
		}
		for _, chain := range loaded.EVM {
			if _, err := chain.TOML(); err != nil {
				t.Error(err)
			}
		}
	})
}

// checkHidden fails if a text shows what the test files use as a secret.
func checkHidden(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "hunter2") && !strings.Contains(text, `Name = "hunter2"`) {
		t.Errorf("a secret is shown: %s", text)
	}
}

// The relayer gets the key of its node, and nothing else shows it.
func TestStarknetChainTOML(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load("testdata/valid/node.toml", environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	chain := loaded.Starknet[0]
	document, err := chain.TOML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/starknet.golden", string(document))
	shown, err := toml.Marshal(chain)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(shown), fmt.Sprintf("%+v", chain)} {
		checkHidden(t, strings.ReplaceAll(text, "a-key", "hunter2"))
	}
}

// A Starknet chain as the established node has it is taken, and named is what has no effect.
func TestEstablishedStarknetChain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "node.toml")
	if err := os.WriteFile(file, []byte(`[[Starknet]]
ChainID = 'Ibiza-808'
FeederURL = 'http://hunter2'
Enabled = true
OCR2CachePollPeriod = '5s'
OCR2CacheTTL = '1m'
RequestTimeout = '10s'
TxTimeout = '10s'
ConfirmationPoll = '5s'
FeeEstimationMaxAttempts = 7
[[Starknet.Nodes]]
Name = 'primary'
URL = 'http://stark.node'
APIKey = 'key'
`), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(file, environment(map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{file + ":3: Starknet.FeederURL has no effect: what became of a transaction is asked of the chain's " +
		"own nodes, and no feeder gateway"}
	var got []string
	for _, warning := range loaded.Warnings {
		got = append(got, warning.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if attempts := loaded.Starknet[0].FeeEstimationMaxAttempts; attempts != 7 {
		t.Errorf("FeeEstimationMaxAttempts is %d, want 7", attempts)
	}
}

func TestSolanaChainTOML(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load("testdata/valid/node.toml", environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	document, err := loaded.Solana[0].TOML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/solana.golden", string(document))
}

// A relayer that becomes a process keeps the node's trust and its way out; a product has no use for either, and a plugin's own file
// goes before the node's variables, whatever the case of their letters.
func TestRelayersInheritTheNetwork(t *testing.T) {
	t.Parallel()
	got, err := config.Load("", environment(map[string]string{
		"HOME": "/home/op", "CL_PASSWORD_KEYSTORE": "pw", "PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s3cret",
		"SSL_CERT_FILE": "/ca.pem", "SSL_CERT_DIR": "/ca", "HTTPS_PROXY": "http://p:1", "https_proxy": "http://p:2",
		"HTTP_PROXY": "http://p:3", "http_proxy": "http://p:4", "NO_PROXY": "a", "no_proxy": "",
		"CL_EVM_ENV": "testdata/valid/plugin.env", "CL_MEDIAN_ENV": "testdata/valid/plugin.env",
	}))
	if err != nil {
		t.Fatal(err)
	}
	file := []string{"HTTP_PROXY=http://user:pass@proxy.example:3128", "LOG_LEVEL=debug", "QUOTED=two words", "EMPTY=", "EQUALS=a=b"}
	trust := []string{"SSL_CERT_FILE=/ca.pem", "SSL_CERT_DIR=/ca", "HTTPS_PROXY=http://p:1", "https_proxy=http://p:2"}
	all := slices.Concat(trust, []string{"HTTP_PROXY=http://p:3", "http_proxy=http://p:4", "NO_PROXY=a"})
	for name, test := range map[string]struct {
		plugin config.Plugin
		want   []string
	}{
		"median":   {got.Environment.Median, file},
		"evm":      {got.Environment.EVM, slices.Concat(file, trust, []string{"NO_PROXY=a"})},
		"solana":   {got.Environment.Solana, all},
		"starknet": {got.Environment.Starknet, all},
	} {
		if diff := cmp.Diff(test.want, test.plugin.Environ()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
