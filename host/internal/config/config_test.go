package config_test

import (
	"errors"
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
	"github.com/loop-plugins/loop/sdk/go/document"
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

var compare = cmp.Options{cmpopts.IgnoreUnexported(document.Duration{}, config.Config{}, config.Chain{},
	config.Plugin{}), cmpopts.EquateEmpty()}

func TestLoadReadsEverySection(t *testing.T) {
	t.Parallel()
	// In a checkout every user can read it, which would be warned of.
	if err := os.Chmod("testdata/valid/password", 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := load("testdata/valid/node.toml", map[string]string{"CL_EVM_CMD": "loop-evm"})
	if err != nil {
		t.Fatal(err)
	}
	chains := got.Chains
	got.Chains = nil
	if password := got.Keystore.Password; string(password.Take()) != "correct horse battery staple" ||
		password.Take() != nil {
		t.Error("the password is not that of its file, or is there twice")
	}

	want := config.Default()
	want.RootDir = "/var/lib/loop"
	want.Log = config.Log{Level: "debug", Format: "json"}
	want.Database = config.Database{URL: document.NewSecret("sqlite:/var/lib/loop/feeds.db"),
		Path: "/var/lib/loop/feeds.db"}
	want.Keystore = config.Keystore{PasswordFile: "testdata/valid/password"}
	want.WebServer = config.WebServer{
		ListenIP: "0.0.0.0", AllowedHosts: []string{"oracle-1.example"}, Socket: "/run/loop/node.sock",
		TLS: config.WebServerTLS{
			ListenIP: "::", HTTPSPort: 6689, CertPath: "/etc/loop/cert.pem", KeyPath: "/etc/loop/key.pem",
		},
	}
	want.P2P.IncomingMessageBufferSize = 128
	want.P2P.V2.ListenAddresses = []string{"127.0.0.1:7001", "[::1]:7001"}
	want.P2P.V2.AnnounceAddresses = []string{"oracle-1.example:7001"}
	want.P2P.V2.DefaultBootstrappers = []config.Bootstrapper{{PeerID: "12D3KooWBootOne",
		Addresses: []string{"boot.example:6690", "10.0.0.7:6690"}}}
	want.P2P.V2.DeltaDial = document.Lasting(250 * time.Millisecond)
	want.OCR2.BlockchainTimeout = document.Lasting(5 * time.Second)
	want.OCR2.ContractConfirmations = 1
	want.OCR2.KeyBundleID = "73e8966a78ca09bb912e9565cfb79fbe8a6048fab1f0cf49b18047c3895e0447"
	want.JobPipeline.MaxRunDuration = document.Lasting(90 * time.Second)
	want.JobPipeline.MaxSuccessfulRuns, want.JobPipeline.MaxFailedRuns = 0, 10
	want.JobPipeline.ReaperThreshold, want.JobPipeline.ReaperInterval = document.Lasting(48*time.Hour), document.Lasting(
		5*time.Minute)
	want.JobPipeline.HTTPRequest.DefaultTimeout = document.Lasting(2 * time.Second)
	want.Plugins.StopTimeout = document.Lasting(5 * time.Second)
	want.Plugins.SocketDir = "/run/loop"
	want.Environment.ConfigPath = "testdata/valid/node.toml"
	want.Environment.Plugins = map[string]config.Plugin{"evm": {Command: []string{"loop-evm"}, Rules: config.PluginRules{
		Read: []string{"/srv/plugin"}, Write: []string{"/dev/shm"}, Connect: []uint16{443, 8545}, Descriptors: 100,
	}}}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Error(diff)
	}

	want.Chains = []config.Chain{
		{Section: "EVM", ID: "1337", Enabled: true}, {Section: "EVM", ID: "10"},
		{Section: "Solana", ID: "devnet", Enabled: true},
		{Section: "Starknet", ID: "SN_SEPOLIA", Enabled: true, Accounts: []string{"0xabc"}},
	}
	if diff := cmp.Diff(want.Chains, chains, compare); diff != "" {
		t.Error(diff)
	}
	const handed = "chainid = \"SN_SEPOLIA\"\nAccounts = [\"0xabc\"]\n[[Nodes]]\nName = \"primary\"\nURL = " +
		"\"http://127.0.0.1:5050\"\nAPIKey = \"a-key\"\n"
	if diff := cmp.Diff(handed, string(chains[3].TOML())); diff != "" {
		t.Errorf("what a relayer is handed:\n%s", diff)
	}
	checkHidden(t, strings.ReplaceAll(fmt.Sprintf("%v %+v %#v", chains, chains, chains[3]), "a-key", "hunter2"))
	if err := got.CheckChains(t.Context(), nil); err != nil {
		t.Errorf("a file without chains, and no relayer: %v", err)
	}
}

// A command that starts no node takes the same file, and wants neither a home nor a password.
func TestReadWantsNothingOfANode(t *testing.T) {
	t.Parallel()
	got, err := config.Read("testdata/valid/node.toml", nil, builtIn...)
	if err != nil {
		t.Fatal(err)
	}
	want, err := load("testdata/valid/node.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.JobPipeline, got.JobPipeline, compare); diff != "" {
		t.Error(diff)
	}
	if got.Database.Path != "" || !got.Keystore.Password.IsEmpty() {
		t.Errorf("the database's path is %q, and the password is read: %v", got.Database.Path,
			!got.Keystore.Password.IsEmpty())
	}
	if _, err := config.Read("", nil, builtIn...); err != nil {
		t.Errorf("without a file: %v", err)
	}
	const problem = "testdata/invalid/bounds.toml:36: JobPipeline.MaxRunDuration: 25h is not between 1s and 24h"
	if _, err := config.Read("testdata/invalid/bounds.toml", nil, builtIn...); err == nil ||
		!strings.Contains(err.Error(), problem) {
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
			got, err := load("", test.variables)
			if err != nil {
				t.Fatal(err)
			}
			if got.RootDir != test.root || got.Database.Path != test.root+"/loop.db" ||
				string(got.Keystore.Password.Take()) != "pw" {
				t.Errorf("RootDir %q, database %q", got.RootDir, got.Database.Path)
			}
		})
	}
}

func TestLoadTakesThePathFromTheEnvironment(t *testing.T) {
	t.Parallel()
	got, err := load("", map[string]string{"CL_CONFIG": "testdata/valid/node.toml", "CL_PASSWORD_KEYSTORE": "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if got.RootDir != "/var/lib/loop" {
		t.Errorf("RootDir is %q", got.RootDir)
	}
	if string(got.Keystore.Password.Take()) != "mine" {
		t.Error("the file's password went before the environment's")
	}
}

func TestLoadReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	got, err := load("", map[string]string{
		"HOME": "/home/op", "CL_PASSWORD_KEYSTORE": "pw",
		"CL_MEDIAN_CMD": `/opt/loop median --name "a b" 'c"d' e\ f "" $HOME "\$x\y"`,
		"CL_MEDIAN_ENV": "testdata/valid/plugin.env",
		"CL_EVM_CMD":    "  ", "CL_MIN_OCR2_MAX_DURATION_QUERY": "250ms", "CL_PROMETHEUS_DISCOVERY_HOSTNAME": "node.example",
	})
	if err != nil {
		t.Fatal(err)
	}
	environment := got.Environment
	if diff := cmp.Diff([]string{"/opt/loop", "median", "--name", "a b", `c"d`, "e f", "", "$HOME", `$x\y`},
		environment.Plugins["median"].Command); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"HTTP_PROXY=http://user:pass@proxy.example:3128", "LOG_LEVEL=debug", "QUOTED=two words",
		"EMPTY=", "EQUALS=a=b"}, environment.Plugins["median"].Environ(false)); diff != "" {
		t.Error(diff)
	}
	if !environment.Plugins["evm"].InProcess() || !environment.Plugins["solana"].InProcess() ||
		environment.Plugins["median"].InProcess() {
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
	loaded, err := loadText(t, "",
		map[string]string{"LOOP_REATTACH": " evm=/run/a.json, median=/run/b=c.json,", "CL_EVM_CMD": "loop-evm"})
	if err != nil {
		t.Fatal(err)
	}
	e := loaded.Environment.Plugins
	if e["evm"].Attach != "/run/a.json" || e["median"].Attach != "/run/b=c.json" || e["median"].InProcess() ||
		e["solana"].Attach != "" || !e["solana"].InProcess() {
		t.Errorf("plugins are %+v", e)
	}
	for _, text := range []string{"/run/a.json", "evm=", "EVM=/run/a.json", "evm=/run/a.json,near"} {
		if _, err := loadText(t, "", map[string]string{"LOOP_REATTACH": text}); err == nil ||
			!strings.HasPrefix(err.Error(), "LOOP_REATTACH: ") || !strings.Contains(err.Error(), "is not NAME=FILE") {
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
	all := relayers(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			variables := map[string]string{"HOME": "/home/op", "CL_PASSWORD_KEYSTORE": "pw"}
			if strings.Contains(file, "bounds") {
				delete(variables, "CL_PASSWORD_KEYSTORE")
			}
			loaded, err := load(file, variables)
			if err == nil && loaded == nil {
				t.Fatal("neither a configuration nor an error")
			}
			if loaded != nil {
				err = loaded.CheckChains(t.Context(), all)
			}
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
		"no password": {map[string]string{"HOME": "/h"},
			"Keystore.PasswordFile: the keystore has no password; name a file with it here, or set the environment variable " +
				"CL_PASSWORD_KEYSTORE"},
		"no home": {map[string]string{"CL_PASSWORD_KEYSTORE": "pw"},
			"RootDir: the home folder is unknown since HOME is not set; give RootDir as an absolute path"},
		"query": {map[string]string{"CL_MIN_OCR2_MAX_DURATION_QUERY": "fast"},
			`CL_MIN_OCR2_MAX_DURATION_QUERY: "fast" is not a duration; write a number with a unit, such as 100ms`},
		"negative query": {map[string]string{"CL_MIN_OCR2_MAX_DURATION_QUERY": "-1s"},
			`CL_MIN_OCR2_MAX_DURATION_QUERY: -1s is negative; write a duration such as 100ms`},
		"quote":     {map[string]string{"CL_EVM_CMD": `a "b`}, "CL_EVM_CMD: a quote in the command is not closed"},
		"backslash": {map[string]string{"CL_SOLANA_CMD": `a \`}, "CL_SOLANA_CMD: the command ends in a backslash"},
		"no program": {map[string]string{"CL_STARKNET_CMD": `"" a`},
			"CL_STARKNET_CMD: the command's first word, the program, is empty"},
		"no variables file": {map[string]string{"CL_EVM_ENV": "testdata/absent"},
			"CL_EVM_ENV: reading the plugin's environment: stat testdata/absent: no such file or directory"},
		"variables": {map[string]string{"CL_EVM_ENV": "testdata/invalid/plugin.env"},
			`testdata/invalid/plugin.env:2: this line of the file that CL_EVM_ENV names is not of the form KEY=VALUE
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
			_, err := load("", test.variables)
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
	got, err := load(file, map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"})
	if err != nil {
		t.Fatal(err)
	}
	if got.RootDir != "/h/node" {
		t.Errorf("RootDir is %q", got.RootDir)
	}
}

func TestLoadJoinsFileAndEnvironment(t *testing.T) {
	t.Parallel()
	_, err := load("testdata/invalid/unknown.toml", map[string]string{"CL_MIN_OCR2_MAX_DURATION_QUERY": "x"})
	if err == nil || !strings.Contains(err.Error(), "unknown.toml:1: RotDir") ||
		!strings.Contains(err.Error(), "CL_MIN_OCR2") {
		t.Errorf("error is %v", err)
	}
	if _, err := load("testdata/absent.toml", nil); err == nil || !strings.Contains(err.Error(), "testdata/absent.toml") {
		t.Errorf("error is %v", err)
	}
	if _, err := load("testdata", nil); err == nil {
		t.Error("a folder was read as a file")
	}
}

func TestRulesOfPlugins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		bytes uint64
		shown string
	}{
		"512MiB": {512 << 20, "512MiB"}, "1.5GiB": {3 << 29, "1536MiB"}, "1024 mib": {1 << 30, "1GiB"},
		"500MB": {500e6, "500MB"}, "2gb": {2e9, "2GB"},
		"20480KiB": {20 << 20, "20MiB"}, "33554433B": {33554433, "33554433B"}, "1TiB": {1 << 40, "1TiB"}, "": {0, ""},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			loaded, err := loadText(t, "[Plugins.Median]\nMemoryLimit = \""+text+"\"\n",
				map[string]string{"CL_MEDIAN_CMD": "loop-median"})
			if err != nil {
				t.Fatal(err)
			}
			limit := loaded.Environment.Plugins["median"].Rules.MemoryLimit
			shown, err := limit.MarshalText()
			if err != nil || limit.Bytes != want.bytes || string(shown) != want.shown {
				t.Errorf("%d bytes, shown as %s, %v", limit.Bytes, shown, err)
			}
			if loaded.Environment.Plugins["evm"].Rules.MemoryLimit.Bytes != 0 {
				t.Error("the limit of one kind of plugin is another's")
			}
		})
	}
	for _, text := range []string{"512", "MiB", "-1MiB", "1e3MiB", "0x10MiB", "512 MiB of RAM", ".5GiB", "0.3B",
		"512Mib/s", "1,5GiB", "99999999999999999999999MiB", "1/2GiB"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := loadText(t, "[Plugins.Median]\nMemoryLimit = \""+text+"\"\n",
				map[string]string{"CL_MEDIAN_CMD": "loop-median"})
			if err == nil ||
				!strings.Contains(err.Error(), ":2: Plugins.Median.MemoryLimit: \""+text+
					"\" is not an amount of memory; write a number with a unit, such as \"512MiB\" or \"1.5GiB\"") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestPins(t *testing.T) {
	t.Parallel()
	one, two := strings.Repeat("a1", 32), strings.Repeat("0f", 32)
	const bad = " is not one or two SHA-256 checksums of 64 hexadecimal digits with a blank between; sha256sum FILE " +
		"prints one"
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
			loaded, err := loadText(t, "[Plugins.EVM]\nSHA256 = \""+c.file+"\"\n",
				map[string]string{"CL_EVM_CMD": "loop-evm", "CL_EVM_SHA256": c.variable})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasSuffix(err.Error(), bad) {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, loaded.Environment.Plugins["evm"].Rules.SHA256.Sums, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			if len(loaded.Environment.Plugins["median"].Rules.SHA256.Sums) > 0 {
				t.Error("the checksum of one kind of plugin is another's")
			}
		})
	}
	if _, err := loadText(t, "", map[string]string{"CL_EVM_SHA256": one}); err == nil ||
		err.Error() != "CL_EVM_SHA256: the plugin runs inside the node and has no file of its own; give it a process by "+
			"CL_EVM_CMD, or remove the checksum" {
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
	return load(file, all)
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
			for value, good := range map[string]bool{bounds.low: true, bounds.high: true, bounds.below: false,
				bounds.above: false} {
				file := filepath.Join(t.TempDir(), "node.toml")
				if err := os.WriteFile(file, []byte("[OCR2]\n"+key+" = "+value+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := load(file, map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"})
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

// The reference is a valid file of the defaults, and what relayers describe stands in it as it is.
func TestReference(t *testing.T) {
	t.Parallel()
	all := relayers(t)
	plugins := []string{"Median"}
	var described []config.Described
	for _, r := range all {
		plugins = append(plugins, r.Section())
		described = append(described,
			config.Described{Section: r.Section(), TOML: r.(relayer).description.GetReferenceToml()})
	}
	reference, err := config.Reference(plugins, described)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/reference.golden", reference)

	loaded, err := loadText(t, reference, nil)
	if err != nil {
		t.Fatalf("the reference is not a valid file: %v", err)
	}
	if err := loaded.CheckChains(t.Context(), all); err != nil || len(loaded.Warnings) > 0 {
		t.Errorf("its chains: %v, %v", err, loaded.Warnings)
	}
	loaded.Chains, loaded.Environment.Plugins, loaded.Environment.ConfigPath = nil, nil, ""
	want, err := load("", map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, loaded, compare); diff != "" {
		t.Errorf("the reference shows other values than the defaults:\n%s", diff)
	}
	if _, err := config.Reference(nil, []config.Described{{Section: "Acme", TOML: "[["}}); err == nil {
		t.Error("a description that is not TOML is printed")
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
		loaded, err := load(file, map[string]string{"HOME": "/h", "CL_PASSWORD_KEYSTORE": "pw"})
		if err != nil {
			return
		}
		for _, chain := range loaded.Chains {
			if err := toml.Unmarshal(chain.TOML(), &map[string]any{}); err != nil {
				t.Errorf("a chain's table is not TOML any more: %v\n%s", err, chain.TOML())
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

// A relayer that becomes a process keeps the node's trust and its way out; a product has no use for either, and a
// plugin's own file goes before the node's variables, whatever the case of their letters.
func TestRelayersInheritTheNetwork(t *testing.T) {
	t.Parallel()
	got, err := load("", map[string]string{
		"HOME": "/home/op", "CL_PASSWORD_KEYSTORE": "pw", "PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s3cret",
		"SSL_CERT_FILE": "/ca.pem", "SSL_CERT_DIR": "/ca", "HTTPS_PROXY": "http://p:1", "https_proxy": "http://p:2",
		"HTTP_PROXY": "http://p:3", "http_proxy": "http://p:4", "NO_PROXY": "a", "no_proxy": "",
		"CL_EVM_ENV": "testdata/valid/plugin.env", "CL_MEDIAN_ENV": "testdata/valid/plugin.env",
		"CL_SOLANA_CMD": "loop-solana", "CL_ACME_CMD": "loop-acme",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := []string{"HTTP_PROXY=http://user:pass@proxy.example:3128", "LOG_LEVEL=debug", "QUOTED=two words", "EMPTY=",
		"EQUALS=a=b"}
	trust := []string{"SSL_CERT_FILE=/ca.pem", "SSL_CERT_DIR=/ca", "HTTPS_PROXY=http://p:1", "https_proxy=http://p:2"}
	all := slices.Concat(trust, []string{"HTTP_PROXY=http://p:3", "http_proxy=http://p:4", "NO_PROXY=a"})
	for name, test := range map[string]struct {
		relayer bool
		want    []string
	}{
		"median": {false, file},
		"evm":    {true, slices.Concat(file, trust, []string{"NO_PROXY=a"})},
		"solana": {true, all},
		"acme":   {true, all},
	} {
		if diff := cmp.Diff(test.want, got.Environment.Plugins[name].Environ(test.relayer)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestOpenPassword holds that a password that every user can read is told of, and that one that a group can read, as of
// a mounted secret, is not.
func TestOpenPassword(t *testing.T) {
	t.Parallel()
	for mode, told := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		dir := t.TempDir()
		password, file := filepath.Join(dir, "password"), filepath.Join(dir, "node.toml")
		text := fmt.Sprintf("[Keystore]\nPasswordFile = %q\n", password)
		if err := errors.Join(os.WriteFile(password, []byte("x"), mode), os.Chmod(password, mode),
			os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(file, []string{"HOME=" + dir}, nil)
		if err != nil || c.CheckChains(t.Context(), nil) != nil {
			t.Fatal(err)
		}
		var warnings []string
		for _, w := range c.Warnings {
			warnings = append(warnings, w.String())
		}
		want := []string{file + ":2: Keystore.PasswordFile: every user of this machine can read " + password + "; " +
			"chmod it to 600"}
		if !told {
			want = nil
		}
		if diff := cmp.Diff(want, warnings); diff != "" {
			t.Errorf("%o (-want +got):\n%s", mode, diff)
		}
	}
}
