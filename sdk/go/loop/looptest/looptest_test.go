package looptest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// TestMain is the broken plugins' main too: the suite under test starts this binary again.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
		return
	}
	goleak.VerifyTestMain(m)
}

// environment is that of the broken plugins. Under the race detector a process would otherwise take a second to end.
func environment(t *testing.T) []string {
	t.Helper()
	return environmentIn(t.TempDir())
}

// environmentIn has the broken plugins keep their state in a folder.
func environmentIn(state string) []string {
	return []string{"STATE=" + state, "GORACE=atexit_sleep_ms=0"}
}

// given is what the fake relayer is given, whose accounts sign the SHA-256 of a transaction.
func given() looptest.Relayer {
	r := looptest.DefaultRelayer()
	r.SignedHash = func(b []byte) []byte {
		hash := sha256.Sum256(b)
		return hash[:]
	}
	return r
}

// exceeding are the breakages that show only when a bound has passed, which a test of one waits for.
var exceeding = []string{"any-host-starts", "cancel-lost", "cookie-ignored", "drain-forever", "drain-serves",
	"drain-stays", "drain-watches", "no-contract", "one-at-a-time", "sigterm-ignored", "stdin-ignored", "waits-for-chain"}

// judge runs cases against the fake with something broken. It has as much patience as a busy machine needs to come to
// what is broken, unless that is that a bound is exceeded.
func judge(t *testing.T, kind, what, run string) []looptest.Result {
	t.Helper()
	patience := 10
	if slices.Contains(exceeding, what) {
		patience = 1
	}
	results, err := looptest.Check(t.Context(),
		looptest.Settings{Kind: kind, Command: []string{os.Args[0], "serve", kind, what},
			Env: environment(t), Run: regexp.MustCompile(run), Relayer: given(), Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// A plugin that keeps every promise passes every case, whichever way it runs.
func TestKeptPromisesPass(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"median", "product", "relayer"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			looptest.Run(t, looptest.Settings{Kind: kind, Command: []string{os.Args[0], "serve", kind, ""}, Env: environment(t),
				Relayer: given(), Patience: 10})
		})
		t.Run(kind+" over gRPC", func(t *testing.T) {
			t.Parallel()
			looptest.Run(t,
				looptest.Settings{Kind: kind, Command: []string{os.Args[0], "serve", kind, ""}, Env: environment(t), GRPC: true,
					Relayer: given(), Patience: 10})
		})
		t.Run(kind+" in-process", func(t *testing.T) {
			t.Parallel()
			p := pluginOf(kind, "", nil)
			looptest.Run(t, looptest.Settings{Kind: kind, InProcess: &p, Relayer: given(), Patience: 10})
		})
	}
}

// breaks are, for each case, what is broken and the sentence that tells it. Cases that both kinds have are broken in a
// median.
var breaks = map[string][]struct{ what, sentence string }{
	"handshake/line": {
		{"greeting", `printed "Hello, I am a plugin." as its first line`},
		{"no-tls", "the plugin offers no TLS"},
		{"tcp", "want a unix socket"},
		{"padding", "ends with the padding =; want raw base64"},
	},
	"handshake/answers":           {{"another-certificate", "UNAVAILABLE"}, {"health-none", "NOT_SERVING; want SERVING"}},
	"handshake/no-certificate":    {{"any-caller", "a call by a caller without a certificate was answered with success"}},
	"handshake/wrong-certificate": {{"any-certificate", "another certificate than the host's was answered with success"}},
	"handshake/no-cookie": {{"cookie-ignored", "goes on with the magic cookie"},
		{"cookie-zero", "ended with status 0"}, {"cookie-silent", `said ""; want a sentence`}},
	"handshake/wrong-cookie": {{"cookie-ignored", `goes on with the magic cookie "loop-conformance"`},
		{"cookie-zero", "ended with status 0"}},
	"handshake/no-host":           {{"any-host-starts", "the process goes on without PLUGIN_CLIENT_CERT"}},
	"handshake/versions":          {{"highest-version", "the plugin took 98; want 1"}},
	"handshake/no-common-version": {{"highest-version", "was told 97"}},
	"init/before":                 {{"early", "before Init was answered with success; want FAILED_PRECONDITION"}},
	"init/certificates": {{"init-anything", "was answered with success; want INVALID_ARGUMENT"},
		{"init-once", "Init with the right certificates, after others were refused, was answered with FAILED_PRECONDITION"}},
	"init/no-telemetry": {{"telemetry-required",
		"Init without a telemetry, which no rule requires, was answered with INVALID_ARGUMENT"}},
	"init/other-host": {{"any-host",
		"at a host that showed another certificate than Init's host_certificate_pem"}},
	"init/twice": {{"init-again", "a second Init was answered with success"}},
	"objects/repeat": {{"second-object", "a repeated construction made a second object"}, {"busy", "ABORTED"},
		{"unasked", `on "Keystore/guessed", which is not lent`}},
	"objects/at-once": {{"busy", "of eight constructions at once by one name one failed"}},
	"objects/caller-gone": {{"constructors-cut", "the constructor's call at the host was ended"},
		{"half-made", "the same construction again, whose first caller went away: "}},
	"objects/another-request": {{"another-request",
		"another request by the name of a parent was answered with success"}},
	"objects/unknown":         {{"vague", "a call on a name that was never given was answered with UNKNOWN"}},
	"objects/no-name":         {{"nameless", "a call that names no object was answered with success"}},
	"objects/other-service":   {{"wrong-service", "called on its parent was answered with UNIMPLEMENTED"}},
	"objects/release":         {{"release-ignored", "a call on a released child was answered with success"}},
	"objects/release-unknown": {{"release-unknown", "the release of names that are not known"}},
	"objects/late-create":     {{"late-create", "was answered with success; want FAILED_PRECONDITION"}},
	"objects/children":        {{"childless", "a call on a child whose parent was released was answered with success"}},
	"objects/release-early": {{"release-later",
		"a construction during which the object was released was answered with success"}},
	"objects/siblings": {{"release-upward", "the sibling of a released object"}},
	"calls/generation": {{"no-generation", `carries the trailer loop-generation []; want ["7"]`}},
	"calls/deadline":   {{"deadline-lost", "deadlines travel along"}},
	"calls/cancellation": {{"cancel-lost",
		"after the cancellation of ReportingPluginService.Observation its call of DataSourceService.Observe goes on"}},
	"calls/own-deadline": {{"no-deadlines", "called DataSourceService.Observe with a timeout of 0s"}},
	"calls/concurrency":  {{"one-at-a-time", "one of 64 calls at once, while another waited for the host"}},
	"calls/largest":      {{"small", "a message of 16777216 bytes, which is the limit"}},
	"calls/too-large": {{"unlimited",
		"one above the limit was answered with success; want RESOURCE_EXHAUSTED"}},
	"calls/unknown-method": {{"unknown-internal", "which the contract does not have, was answered with INTERNAL"},
		{"unknown-dies", "ended in the middle (exit status 4)"}},
	"calls/broken-host": {{"errors-swallowed", "succeeded although DataSourceService.Observe was answered with"},
		{"errors-die", "the process ended after DataSourceService.Observe was answered with ABORTED"}},
	"health/serving": {{"health-none", "before Init: the health"},
		{"health-missing", "before Init: grpc.health.v1.Health.Check was answered with NOT_FOUND"},
		{"health-anything", "the health of a service that is not there"}},
	"metrics/text": {{"metrics-type", `has the content type "application/json"; want text/plain`},
		{"metrics-empty", "has no sample"}},
	"metrics/openmetrics": {{"metrics-type", `"application/json"; want application/openmetrics-text`},
		{"metrics-unended", "does not end with # EOF"}},
	"logs/json": {{"log-plain", "is not a JSON object"},
		{"log-silent", "none of 0 lines on stderr has the level debug"}},
	"logs/level":  {{"log-everything", "has the level DEBUG; want none below ERROR"}},
	"logs/stdout": {{"stdout", `printed "serving" on stdout after its handshake`}},
	"lifecycle/stdin": {{"stdin-ignored", "1s after the end of stdin the process goes on"},
		{"orphan", "left another behind"}},
	"lifecycle/host-gone": {{"stdin-ignored", "1s after its host died the process goes on"}},
	"lifecycle/recreate":  {{"names-remembered", "in generation 2: "}},
	"lifecycle/drain": {{"drain-serves", "after Drain began; want UNAVAILABLE"},
		{"drain-hurries", "Drain was answered (<nil>) while a call was in flight"},
		{"drain-cuts", "the call in flight was ended by Drain"},
		{"drain-untold", `is refused with the trailer loop-draining []; want ["7"]`}},
	"lifecycle/drain-exit": {{"drain-stays", "3s after Drain the process goes on"},
		{"drain-fails", "after Drain the process ended with exit status 3"}},
	"lifecycle/drain-grace": {{"drain-forever", "LifecycleService.Drain"}},
	"lifecycle/sigterm":     {{"sigterm-ignored", "3s after SIGTERM the process goes on"}},
	"median/retry":          {{"failure-remembered", "the same construction again, with the lent codec back"}},
	"median/refused-config": {{"vague-config",
		"was answered with UNKNOWN (something went wrong); want INVALID_ARGUMENT"}},
	"median/deviation-function": {{"any-deviation", "a deviation function that nobody knows was answered with success"}},
	"median/source-failure": {{"vague-source",
		"an observation whose source failed with FAILED_PRECONDITION was answered with UNKNOWN"}},
	"median/broken-answers":      {{"replies-unchecked", "was answered with success; want INTERNAL"}},
	"answers/report/ties":        {{"stable-sort", "step 2, report of epoch 4 round 13: answered"}},
	"answers/report/alpha-large": {{"float-report", "step 1, report of epoch 4 round 1: answered"}},
	"answers/report/alpha-least": {{"float-report", "step "}},
	"answers/report/alpha-most":  {{"float-report", "step "}},
	"answers/accept/alpha-large": {{"float-accept", "step "}},
	"median/large-answer":        {{"small-callbacks", "within the limit of a message"}},
	"product/description": {{"describes-anew", "want the same"},
		{"no-bounds", "want them with version 2, and only then"}},
	"product/job": {{"any-job", `finds no problem in the type of provider "conformance"`},
		{"no-check", "was answered with success; want INVALID_ARGUMENT"}},
	"product/other-version": {{"both-versions",
		"CreateReportingPlugin of a product without OCR2 was answered with success"}},
	"product/limits": {{"too-much", "31 oracles * max_observation_length 1048576"}},
	"product/pipeline-failure": {{"fails-to-see",
		"an observation whose pipeline failed was answered with FAILED_PRECONDITION"}},
	"product/noise":             {{"chokes", "ValidateObservation of 1 bytes of 0x7b was answered with INTERNAL"}},
	"product/network":           {{"impure", "Outcome must be pure"}},
	"product/disturbed-network": {{"remembers", "Outcome must be pure"}},
	"relayer/describe": {
		{"unknown-algorithm", "names the account algorithm 99, which hosts do not have"},
		{"unknown-report-algorithm", "names the report algorithm 99, which hosts do not have"},
		{"schemes-alike", `names two report schemes "default"; want a name for each`},
		{"relay-misspelled", `names the relay "Fake"; want a lower-case letter`},
		{"section-astray", `names the section "Other" of the relay "fake"`},
		{"types-twice", "want no empty one and none twice"},
		{"description-changes", "answered twice and otherwise the second time"},
	},
	"relayer/reference": {{"reference-refused", "refuses the relayer's own reference_toml: line 4 cannot be read"}},
	"relayer/validate-chain": {{"path-astray", `names a problem at the path "Nodes[9].HTTPURL", which is not there`},
		{"any-chain", "which RelayerService.CreateChain refuses"}},
	"relayer/accounts": {{"names-fewer", "of three keys answers 2 names; want one for each"},
		{"names-alike", "want a name for each key and always the same"}},
	"relayer/ids": {{"ids-restless", "want its own spellings left as they are"},
		{"ids-turned", "want some with the first and the last, which name nothing"}},
	"relayer/validate-job": {{"any-job", `finds the problems ""; want one at the path`},
		{"sends-otherwise", `says that the job sends from "someone", and ContractTransmitterService.FromAccount`}},
	"relayer/provider-type": {{"any-type",
		"of a provider_type that the relayer does not list was answered with success; want INVALID_ARGUMENT"}},
	"relayer/report-digest": {
		{"digests-turned", "want them in the order of the reports"},
		{"digests-fewer", "of 6 reports answers 5 digests; want one for each"},
		{"unknown-scheme", `answers the scheme "other", which DescribeRelayer does not have`},
		{"short-message", "answers 31 bytes to be signed"},
		{"constant-message", "want whatever is part of a report signed"},
	},
	"relayer/refused-config": {{"config-leaks", "is refused with the RPC address in the text"}},
	"relayer/refused-job": {{"vague-config",
		"was answered with UNKNOWN (something went wrong); want INVALID_ARGUMENT"}},
	"relayer/chain-down": {{"waits-for-chain", "with a chain that does not answer: "}},
	"relayer/no-effects": {{"writes", "construction in generation 1 wrote to the Store: Put made"},
		{"signs", "construction in generation 1 signed 1 times"}},
	"relayer/views": {{"short-digest",
		"LatestTransmissionDetailsResponse.timestamp.config_digest: has 31 bytes"},
		{"no-contract", "LatestTransmissionDetails was answered with UNAVAILABLE"}},
	"relayer/watch": {{"watch-unnamed", `told of "the contract", which no provider is called`}},
	"relayer/drain-watching": {{"drain-watches",
		"while WatchContractConfigs was open: LifecycleService.Drain was answered with DEADLINE_EXCEEDED"},
		{"drain-stays", "3s after Drain and the end of WatchContractConfigs the process goes on"}},
	"relayer/config-provider": {{"all-services", "FromAccount of a config provider was answered with INTERNAL"}},
	"relayer/statuses":        {{"miscounted", "1 nodes, a total of 2"}},
	"relayer/read-contract": {{"reads-anything", "was answered with success; want INVALID_ARGUMENT"},
		{"reads-nothing", "is UNIMPLEMENTED without a word"},
		{"no-contract", "ChainService.ReadContract was answered with UNAVAILABLE"}},
	"relayer/digest":           {{"constant-digest", "have one digest"}},
	"relayer/report":           {{"off-by-one", "want the observation of rank n/2"}},
	"relayer/untrusted-report": {{"any-report", "MedianFromReport of"}},
	"relayer/onchain-config":   {{"bounds-swapped", "the bounds 1 and 1000000 came back as 1000000 and 1"}},
	"relayer/signs-what-it-shows": {{"signs-otherwise", "and shown a transaction whose hash is"},
		{"signs-unseen", "for a signature without the transaction that is signed"}},
	"relayer/transmit":         {{"store-late", "answered before the report was in the Store"}},
	"relayer/transmit-refused": {{"any-report", "Transmit of bytes that are not a report was answered with success"}},
	"relayer/transmit-store": {{"store-ignored",
		"Transmit while the Store is UNAVAILABLE was answered with success"}},
	"input/LifecycleService.Release": {{"unnamed /loop.plugin.v1.LifecycleService/Release",
		`is refused as "this is wrong"; want the field's path in the text`}},
	"relayer/secrets": {{"logs-secrets", "a line of the log holds the RPC address"}},
}

// Every case fails for a plugin that breaks its promise, and says so in its own words.
func TestBrokenPromisesFail(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"median", "product", "relayer"} {
		cases, err := looptest.Cases(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			tried := breaks[c.Name]
			if service, method, ok := strings.Cut(strings.TrimPrefix(c.Name, "input/"), "."); ok &&
				strings.HasPrefix(c.Name, "input/") {
				full := packageOf(service) + service + "/" + method
				tried = append(tried,
					struct{ what, sentence string }{"unchecked /" + full, "was answered with success; want INVALID_ARGUMENT"})
			}
			if strings.HasPrefix(c.Name, "answers/") {
				tried = append(tried, struct{ what, sentence string }{"wrong-answers", "step "})
			}
			if len(tried) == 0 {
				t.Errorf("no broken plugin fails %s", c.Name)
			}
			if part, _, _ := strings.Cut(c.Name, "/"); kind != "median" && part != kind && part != "input" {
				continue // as for the median
			}
			if kind == "product" && strings.HasPrefix(c.Name, "input/ReportingPluginService.") {
				continue // of OCR2, which the median has
			}
			for _, b := range tried {
				t.Run(c.Name+" "+b.what, func(t *testing.T) {
					t.Parallel()
					got := judge(t, kind, b.what, "^"+regexp.QuoteMeta(c.Name)+"$")[0]
					if got.State != looptest.Failed || !strings.Contains(got.Reason, b.sentence) {
						t.Errorf("%s: %s\nwant it to fail with %q", got.State, got.Reason, b.sentence)
					}
				})
			}
		}
	}
}

// Who looks for the cause of a failure sees the end of stderr, without secrets and without what steers a terminal.
func TestStderrIsShown(t *testing.T) {
	t.Parallel()
	results, err := looptest.Check(t.Context(), looptest.Settings{
		Kind: "median", Command: []string{os.Args[0], "serve", "median", "dies-talking"},
		Env: append(environment(t), "API_KEY=sk-live-0123456789"), Run: regexp.MustCompile("^handshake/line$")})
	if err != nil {
		t.Fatal(err)
	}
	got := results[0]
	if want := "the plugin ended before its handshake (exit status 7)"; got.State != looptest.Failed ||
		got.Reason != want {
		t.Errorf("%s: %s; want %s", got.State, got.Reason, want)
	}
	var want []string
	for i := 13; i < 30; i++ {
		want = append(want, fmt.Sprint("line ", i))
	}
	half := strings.Repeat("x", 504)
	want = append(want, `\x1b[31mError: the key is $API_KEY at https://rpc.example.org/… in /srv/plugin.mjs:3`,
		"begin "+half+" … "+half+"xx end", "Node.js v20.20.2")
	if diff := cmp.Diff(want, got.Stderr); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	explanation := got.Reason + "\nthe end of its stderr:\n| " + strings.Join(want, "\n| ")
	if diff := cmp.Diff(explanation, got.Explanation()); diff != "" {
		t.Errorf("what people are told (-want +got):\n%s", diff)
	}
}

// What a plugin wrote before a case is not a part of what is shown of it.
func TestStderrIsOfItsCase(t *testing.T) {
	t.Parallel()
	for _, r := range judge(t, "median", "errors-die", "^(calls/generation|answers/observation/(plain|query))$") {
		if (r.State == looptest.Failed) != (r.Name == "answers/observation/query") {
			t.Errorf("%s: %s, %s", r.Name, r.State, r.Reason)
		}
		var want []string
		if r.State == looptest.Failed {
			want = []string{`{"level":"ERROR","msg":"this is too much"}`}
		}
		if diff := cmp.Diff(want, r.Stderr); diff != "" {
			t.Errorf("stderr of %s (-want +got):\n%s", r.Name, diff)
		}
	}
}

// Each of these plugins has one fault that once passed, and fails the cases that are about it and no others.
func TestOneFaultFailsItsCases(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		run  string // the cases that are about the same part of the contract
		want []string
	}{
		"telemetry-required": {"^(init|objects|calls)/", []string{"init/no-telemetry"}},
		"any-host":           {"^(handshake|init|objects|calls)/", []string{"init/other-host"}},
		"stable-sort":        {"^(median|answers)/", []string{"answers/report/ties"}},
		"float-report": {"^(median|answers)/", []string{
			"answers/report/alpha-large", "answers/report/alpha-least", "answers/report/alpha-most"}},
		"float-accept":      {"^(median|answers)/", []string{"answers/accept/alpha-large"}},
		"replies-unchecked": {"^(calls|median|answers)/", []string{"median/broken-answers"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var failed []string
			for _, r := range judge(t, "median", what, test.run) {
				if r.State == looptest.Failed {
					failed = append(failed, r.Name)
				}
			}
			if diff := cmp.Diff(test.want, failed); diff != "" {
				t.Errorf("cases that failed (-want +got):\n%s", diff)
			}
		})
	}
}

// Who writes an SDK has Init before any call of a kind, see "Another language" of docs/plugins.md.
func TestInitNeedsNoOtherCall(t *testing.T) {
	t.Parallel()
	for _, r := range judge(t, "product", "undescribed", "^init/(before|certificates)$") {
		if r.State != looptest.Passed {
			t.Errorf("%s: %s, %s", r.Name, r.State, r.Reason)
		}
	}
}

// A relayer that was built before ReadContract, or whose chain has no such calls, keeps the contract.
func TestOptionalMethodIsLeftOut(t *testing.T) {
	t.Parallel()
	got := judge(t, "relayer", "reads-nothing", `^input/ChainService\.ReadContract$`)[0]
	if got.State != looptest.Skipped ||
		!strings.Contains(got.Reason, "the plugin leaves out ChainService.ReadContract, which it may") {
		t.Errorf("%s: %s", got.State, got.Reason)
	}
}

// A relayer keeps the contract while its own chain has not answered, or has no such contract yet.
func TestContractMayNotBeThere(t *testing.T) {
	t.Parallel()
	r := given()
	r.ConfigTOML = strings.ReplaceAll(r.ConfigTOML, "$RPC_URL", "http://127.0.0.1:1")
	for _, name := range []string{"relayer/views", "relayer/read-contract"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results, err := looptest.Check(t.Context(), looptest.Settings{Kind: "relayer", Relayer: r,
				Command: []string{os.Args[0], "serve", "relayer", "no-contract"}, Env: environment(t),
				Run: regexp.MustCompile("^" + name + "$")})
			if err != nil {
				t.Fatal(err)
			}
			if got := results[0]; got.State != looptest.Passed {
				t.Errorf("%s: %s", got.State, got.Reason)
			}
		})
	}
}

func packageOf(service string) string {
	switch service {
	case "LifecycleService":
		return "loop.plugin.v1."
	case "MedianService", "MedianContractService", "ReportCodecService", "OnchainConfigCodecService":
		return "loop.median.v1."
	case "ProductService":
		return "loop.product.v1."
	case "ReportingPluginFactoryService", "ReportingPluginService", "Ocr3PluginFactoryService", "Ocr3PluginService":
		return "loop.reporting.v1."
	}
	return "loop.relayer.v1."
}

func TestKnownFailures(t *testing.T) {
	t.Parallel()
	got, err := looptest.Check(context.Background(), looptest.Settings{
		Kind: "median", Command: []string{os.Args[0], "serve", "median", "log-silent"}, Run: regexp.MustCompile("^logs/"),
		KnownFailures: map[string]string{"logs/json": "it is shy", "logs/stdout": "it was loud"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		state  looptest.State
		reason string
	}{
		"logs/json":   {looptest.Known, "(known: it is shy)"},
		"logs/level":  {looptest.Passed, ""},
		"logs/stdout": {looptest.Fixed, "remove it from the list"},
	}
	for _, r := range got {
		if w := want[r.Name]; r.State != w.state || !strings.Contains(r.Reason, w.reason) {
			t.Errorf("%s: %s, %q; want %s and %q", r.Name, r.State, r.Reason, w.state, w.reason)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d results; want %d", len(got), len(want))
	}
}

func TestSettingsAreRefused(t *testing.T) {
	t.Parallel()
	p := pluginOf("median", "", nil)
	for name, test := range map[string]struct {
		settings looptest.Settings
		sentence string
	}{
		"no kind": {looptest.Settings{Command: []string{"x"}},
			`the kind "" is not known: want median, product or relayer`},
		"no command": {looptest.Settings{Kind: "median"}, "one of a command and an in-process plugin is wanted"},
		"both": {looptest.Settings{Kind: "median", Command: []string{"x"}, InProcess: &p},
			"one of a command and an in-process plugin is wanted"},
		"nothing to do": {looptest.Settings{Kind: "median", InProcess: &p, Run: regexp.MustCompile("conformance")},
			"no case of kind median has a name that matches conformance"},
		"no such case": {looptest.Settings{Kind: "median", InProcess: &p, KnownFailures: map[string]string{"x": "y"}},
			`the known failure "x" is not a case`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := looptest.Check(t.Context(), test.settings); err == nil ||
				!strings.Contains(err.Error(), test.sentence) {
				t.Errorf("got %v; want %q", err, test.sentence)
			}
		})
	}
}

// When the time of a case ends before that of a plugin's start, the plugin is not said to have had all of the latter.
func TestCaseEndsDuringStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	state := t.TempDir()
	go func() {
		// Not after a fixed time, which may be over before the case begins. If the process never comes so far, the start's
		// own bound ends the case, with other words than those below.
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(state, "mute")); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	got, err := looptest.Check(ctx, looptest.Settings{Kind: "median", Env: environmentIn(state), StartTimeout: time.Minute,
		Command: []string{os.Args[0], "serve", "median", "mute"}, Run: regexp.MustCompile("^handshake/line$")})
	if err != nil {
		t.Fatal(err)
	}
	if r := got[0]; r.State != looptest.Failed || !strings.Contains(r.Reason, "when the case's time was over") {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
}

// A command that cannot be started fails each case with the reason.
func TestCommandThatIsNotThere(t *testing.T) {
	t.Parallel()
	got, err := looptest.Check(t.Context(),
		looptest.Settings{Kind: "median", Command: []string{"/nowhere/loop-median"},
			Run: regexp.MustCompile("^handshake/line$")})
	if err != nil {
		t.Fatal(err)
	}
	if r := got[0]; r.State != looptest.Failed || !strings.Contains(r.Reason, `starting "/nowhere/loop-median" failed`) {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
}
