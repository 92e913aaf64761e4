package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/tools/conformance/internal/report"
)

var update = flag.Bool("update", false, "write the cases into docs/conformance.md anew")

// root is the repository.
func root(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// build builds a plugin of the repository. Tools must not import plugins, and judge them as a user would: by their
// programs.
func build(t *testing.T, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(pkg))
	c := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/loop-plugins/loop/"+pkg)
	c.Dir = root(t)
	if os.Getenv("GOWORK") == "off" {
		c.Env = append(os.Environ(), "GOWORK="+filepath.Join(c.Dir, "go.work"))
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
	return program
}

// Our own plugins keep the contract, over each transport.
func TestOwnPlugins(t *testing.T) {
	t.Parallel()
	for kind, pkg := range map[string]string{"median": "plugins/median/cmd/loop-median",
		"relayer": "plugins/evm/cmd/loop-evm"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			program := []string{build(t, pkg)}
			settings := looptest.Settings{Kind: kind, Command: program, Patience: 10}
			t.Run("frames", func(t *testing.T) { looptest.Run(t, settings) })
			settings.GRPC = true
			t.Run("grpc", func(t *testing.T) { looptest.Run(t, settings) })
		})
	}
}

// run runs the program's command.
func run(t *testing.T, arguments ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	c := command(&out, &errs)
	c.SetArgs(arguments)
	err = c.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

// silent is a plugin that does nothing: it conforms to nothing but to ending without its cookie.
func silent(t *testing.T) []string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "plugin")
	if err := executable.Write(script,
		[]byte("#!/bin/sh\necho 'a node starts this program' >&2\necho 'Node.js v20.20.2' >&2\nexit 3\n"),
		0o700); err != nil {
		t.Fatal(err)
	}
	return []string{"--", script}
}

func TestReports(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	known := filepath.Join(folder, "known")
	if err := os.WriteFile(known,
		[]byte("# of this test\n\nhandshake/line it never prints one\nhandshake/no-cookie it was silent\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	junit := filepath.Join(folder, "junit.xml")
	arguments := append([]string{"--kind", "median", "--run", "^handshake/(line|no-cookie|wrong-cookie|answers)$",
		"--json", "--junit", junit, "--known-failures", known}, silent(t)...)
	stdout, stderr, err := run(t, arguments...)
	if !errors.Is(err, errFailed) {
		t.Errorf("ended with %v; want cases to fail", err)
	}
	for _, text := range []string{"failed  handshake/answers", "known   handshake/line", "fixed   handshake/no-cookie",
		"ok      handshake/wrong-cookie",
		"\n        the end of its stderr:\n        | a node starts this program\n        | Node.js v20.20.2\n",
		"2 passed, 1 failed, 1 known to fail, 0 skipped", "remove them from the list",
		"\nfailed: handshake/answers: the plugin ended before its handshake (exit status 3)\n"} {
		if !strings.Contains(stderr, text) {
			t.Errorf("people are not told %q:\n%s", text, stderr)
		}
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var got report.Total
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatalf("the last line is not JSON: %v\n%s", err, stdout)
	}
	if got.Passed != 1 || got.Failed != 1 || got.Known != 1 || got.Fixed != 1 || got.Skipped != 0 || len(got.Cases) != 4 ||
		got.Kind != "median" || len(got.Command) != 1 {
		t.Errorf("the totals are %+v", got)
	}
	i := slices.IndexFunc(got.Cases, func(e report.Entry) bool { return e.Name == "handshake/answers" })
	if e := got.Cases[i]; e.Reason != "the plugin ended before its handshake (exit status 3)" ||
		!slices.Equal(e.Stderr, []string{"a node starts this program", "Node.js v20.20.2"}) {
		t.Errorf("the reason is %q, with %q", e.Reason, e.Stderr)
	}
	document, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Err     string    `xml:"system-err"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(document, &s); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Cases {
		if want := "a node starts this program\nNode.js v20.20.2"; c.Failure != nil && c.Err != want {
			t.Errorf("JUnit's stderr of %s is %q; want %q", c.Name, c.Err, want)
		}
	}
	if s.Tests != 4 || s.Failures != 1 || s.Skipped != 1 || len(s.Cases) != 4 {
		t.Errorf("JUnit says %d tests, %d failures, %d skipped, %d cases", s.Tests, s.Failures, s.Skipped, len(s.Cases))
	}
}

// The names that programs read stand in the help.
func TestJSONIsDocumented(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.JSON(&b,
		report.Count(looptest.Settings{}, []looptest.Result{{Reason: "x"}}, time.Second)); err != nil {
		t.Fatal(err)
	}
	if strings.Count(b.String(), "\n") != 1 {
		t.Errorf("%q is not one line", b.String())
	}
	var object map[string]any
	if err := json.Unmarshal(b.Bytes(), &object); err != nil {
		t.Fatal(err)
	}
	for name := range object {
		if !strings.Contains(long, name) {
			t.Errorf("the help says nothing of %s", name)
		}
	}
}

func TestUsageIsRefused(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		arguments []string
		sentence  string
	}{
		"no kind": {[]string{"--", "x"},
			"--kind: the kind \"\" is not known: want median, product or relayer"},
		"no command": {[]string{"--kind", "median"}, "no plugin is named: write its command after --"},
		"no regular expression": {[]string{"--kind", "median", "--run", "(", "--", "x"},
			"--run is not a regular expression"},
		"no patience": {[]string{"--kind", "median", "--patience", "0", "--", "x"},
			"--patience is 0; it multiplies bounds and is 1 at least"},
		"no case": {[]string{"--kind", "median", "--run", "nonsense", "--", "x"},
			"no case of kind median has a name that matches nonsense"},
		"no list": {[]string{"--kind", "median", "--known-failures", "/nowhere/list", "--", "x"},
			"reading the known failures"},
		"known failure unknown": {[]string{"--kind", "median", "--known-failures", file("x it is not a case\n"), "--", "x"},
			`the known failure "x" is not a case`},
		"known failure unreasoned": {[]string{"--kind", "median", "--known-failures", file("\nlogs/json\n"), "--", "x"},
			":2: the known failure logs/json has no reason"},
		"known failure twice": {[]string{"--kind", "median", "--known-failures", file("logs/json a\nlogs/json b\n"),
			"--", "x"}, ":2: the known failure logs/json is listed twice"},
		"no configuration": {[]string{"--kind", "relayer", "--config", "/nowhere/config", "--", "x"},
			"reading the configuration"},
		"configuration, unknown key": {[]string{"--kind", "relayer", "--config", file("chain_id = '1'\nchain = 2\n"), "--",
			"x"}, ":2: the key chain is not known"},
		"configuration, signature": {[]string{"--kind", "relayer", "--config", file("signature = 'xyz'\n"), "--", "x"},
			`signature: "xyz" is not hexadecimal`},
		"configuration, bytes": {[]string{"--kind", "product", "--config", file("offchain_config = '{}'\n"), "--", "x"},
			`offchain_config: "{}" is not hexadecimal`},
		"configuration, signer": {[]string{"--kind", "relayer", "--config", file("signers = ['0x00', 'xyz']\n"), "--", "x"},
			`signers[1]: "xyz" is not hexadecimal`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := run(t, test.arguments...)
			if err == nil || errors.Is(err, errFailed) || !strings.Contains(err.Error(), test.sentence) {
				t.Errorf("got %v; want %q", err, test.sentence)
			}
		})
	}
}

func TestConfigIsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "relayer.toml")
	if err := os.WriteFile(path,
		[]byte("chain_id = 'mainnet'\nconfig_toml = '''\nURL = '$RPC_URL'\n'''\nsigners = ['0x0102']\nsignature = "+
			"'0304'\nsigned_hash = 'keccak256'\noffchain_config = '0x7b7d'\nvalue = '7'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, product, err := readConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.ChainID != "mainnet" || got.ConfigTOML != "URL = '$RPC_URL'\n" || len(got.Signers) != 1 ||
		!bytes.Equal(got.Signers[0], []byte{1, 2}) ||
		!bytes.Equal(got.Signature, []byte{3, 4}) || got.ContractID != looptest.DefaultRelayer().ContractID ||
		hex.EncodeToString(got.SignedHash(nil)) != "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" {
		t.Errorf("read %+v", got)
	}
	if string(product.OffchainConfig) != "{}" || product.Value != "7" {
		t.Errorf("read %+v", product)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	stdout, _, err := run(t, "--kind", "relayer", "--list")
	if err != nil || !strings.Contains(stdout, "relayer/transmit ") || strings.Contains(stdout, "answers/") {
		t.Errorf("ended with %v:\n%s", err, stdout)
	}
}

// Every case stands in the page that authors read, with its promise.
func TestCasesAreDocumented(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root(t), "docs", "conformance.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), "<!-- cases: begin;")
	mark, rest, ended := strings.Cut(rest, "\n")
	_, after, closed := strings.Cut(rest, "<!-- cases: end -->")
	if !found || !ended || !closed {
		t.Fatal("docs/conformance.md has lost the marks around its cases")
	}
	want := before + "<!-- cases: begin;" + mark + "\n" + casesTable(t) + "<!-- cases: end -->" + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Error("docs/conformance.md does not list the suite's cases as they are; run: go test ./tools/conformance -run " +
			"TestCasesAreDocumented -update")
	}
}

// casesTable has a row for each case; those of input/, which all promise the same, have one for each kind.
func casesTable(t *testing.T) string {
	kinds := map[string][]string{}
	var order []looptest.Result
	for _, kind := range []string{"median", "product", "relayer"} {
		cases, err := looptest.Cases(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			if strings.HasPrefix(c.Name, "input/") {
				c.Name = "input/*"
			}
			if len(kinds[c.Name]) == 0 {
				order = append(order, c)
			}
			if !slices.Contains(kinds[c.Name], kind) {
				kinds[c.Name] = append(kinds[c.Name], kind)
			}
		}
	}
	// What holds for all kinds comes first, as it is tried.
	slices.SortStableFunc(order, func(a, b looptest.Result) int { return len(kinds[b.Name]) - len(kinds[a.Name]) })
	lines := []string{"| case | kinds | promise |", "| --- | --- | --- |"}
	for _, c := range order {
		of := "all"
		if len(kinds[c.Name]) == 1 {
			of = kinds[c.Name][0]
		}
		lines = append(lines, "| `"+c.Name+"` | "+of+" | "+c.About+" |")
	}
	return strings.Join(lines, "\n") + "\n"
}

// An interrupted run says how far it came.
func TestInterruption(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	c := command(&out, &errs)
	c.SetArgs(append([]string{"--kind", "median"}, silent(t)...))
	if err := c.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), "the run was ended after 0 of") {
		t.Errorf("got %v", err)
	}
}

// TestHelpFitsATerminal holds that no line of the help is wider than a terminal beside another one.
func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	c := command(io.Discard, io.Discard)
	for line := range strings.Lines(c.Long + "\n" + c.UsageString()) {
		if utf8.RuneCountInString(line) > 101 {
			t.Errorf("a line of the help is wider than 100 columns: %s", line)
		}
	}
}
