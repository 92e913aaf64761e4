package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-plugin"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// TestMain makes programs of this binary that scripts start by name.
func TestMain(m *testing.M) { testscript.Main(m, programs()) }

// programs are the node, its plugins, and binaries that are none.
func programs() map[string]func() {
	return map[string]func(){
		"hostile":       hostile,
		"flooder":       floodHost,
		"bare":          bare,
		"loop":          main,
		"loop-median":   func() { loop.Serve(fallback.Plugins()["median"].New()) },
		"loop-evm":      func() { loop.Serve(fallback.Plugins()["evm"].New()) },
		"loop-acme":     serveAcme,
		"other-cookie":  func() { serveOther("SOMEBODY_ELSES_COOKIE", "d0c2", 1) },
		"other-version": func() { serveOther(wire.CookieKey, medianv1loop.MedianKind().Cookie, 99) },
		"garbage":       func() { fmt.Println("Welcome to garbage 3.1"); time.Sleep(time.Minute) },
		"silent":        func() { time.Sleep(time.Minute) },
		"dying": func() {
			fmt.Fprintln(os.Stderr, "no licence for this machine")
			os.Exit(7)
		},
	}
}

// serveOther is a go-plugin plugin of somebody else's.
func serveOther(key, value string, version uint) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{ProtocolVersion: version, MagicCookieKey: key, MagicCookieValue: value},
		Plugins:         plugin.PluginSet{},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

func TestCommandLine(t *testing.T) {
	chain := httptest.NewServer(http.HandlerFunc(idleChain))
	t.Cleanup(chain.Close)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>Under maintenance</html>"))
	}))
	t.Cleanup(page.Close)
	adapters := httptest.NewServer(http.HandlerFunc(adapter))
	t.Cleanup(adapters.Close)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			// Sockets have short names, and the script's own folder is deep.
			sockets, err := os.MkdirTemp("", "loop")
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(sockets) })
			e.Values[nodeKey{}] = &running{}
			e.Values[plantedKey{}] = planted{}
			e.Setenv("SOCKETS", sockets)
			e.Setenv("RPC", chain.URL)
			e.Setenv("RPC_HOST", strings.TrimPrefix(chain.URL, "http://"))
			e.Setenv("PAGE_HOST", strings.TrimPrefix(page.URL, "http://"))
			e.Setenv("PAGE", page.URL)
			e.Setenv("ADAPTER", strings.TrimPrefix(adapters.URL, "http://"))
			e.Setenv("CLOSED", ports.Address(t))
			e.Setenv("P2P", ports.Address(t))
			e.Setenv("HTTPS", strings.TrimPrefix(ports.Address(t), "127.0.0.1:"))
			e.Setenv("CL_CONFIG", "node.toml")
			e.Setenv("CL_PASSWORD_KEYSTORE", "correct horse battery staple")
			return os.WriteFile(filepath.Join(e.WorkDir, "node.toml"), []byte(os.Expand(config, e.Getenv)), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"expand": expand,
			"set":    set,
			"shape":  shape,
			"until":  until,
			"start":  start,
			"end":    end,
			"empty":  empty,
			"mode":   mode,
			"gone":   gone,
			"flood":  flood,
			"hides":  hides,
			"plant":  plant,

			"searched":         searched,
			"searched-at-rest": searchedAtRest,

			"certificate": certificate,
		},
	})
}

// config is the node's configuration file that every script begins with.
const config = `RootDir = "$WORK/root"
[WebServer]
HTTPPort = 0
[P2P.V2]
ListenAddresses = ["$P2P"]
[Plugins]
SocketDir = "$SOCKETS"
[[EVM]]
ChainID = "1337"
PollInterval = "100ms"
[[EVM.Nodes]]
Name = "idle"
HTTPURL = "$RPC"
`

// idleChain is the RPC node of a chain on which nothing happens, and whose contracts have no configuration. At /slow it
// takes its time.
func idleChain(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/slow" {
		time.Sleep(500 * time.Millisecond)
	}
	type call struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var calls []call
	batch := bytes.HasPrefix(bytes.TrimSpace(raw), []byte("["))
	if !batch {
		raw = slices.Concat(json.RawMessage("["), raw, json.RawMessage("]"))
	}
	if err := json.Unmarshal(raw, &calls); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var replies []any
	for _, c := range calls {
		results := map[string]any{
			"eth_chainId":             "0x539",
			"eth_getTransactionCount": "0x0",
			"eth_getLogs":             []any{},
			"eth_getBalance":          "0x0",
			"eth_call":                "0x" + strings.Repeat("0", 5*64), // as many words as the longest answer has
			"eth_getBlockByNumber": map[string]string{
				"number": "0x10", "hash": "0x" + strings.Repeat("10", 32), "parentHash": "0x" + strings.Repeat("0f", 32),
				"timestamp": "0x65000000",
			},
		}
		reply := map[string]any{"jsonrpc": "2.0", "id": c.ID}
		if result, ok := results[c.Method]; ok {
			reply["result"] = result
		} else {
			reply["error"] = map[string]any{"code": -32601, "message": "the idle chain has no " + c.Method}
		}
		replies = append(replies, reply)
	}
	w.Header().Set("Content-Type", "application/json")
	if batch {
		_ = json.NewEncoder(w).Encode(replies)
	} else {
		_ = json.NewEncoder(w).Encode(replies[0])
	}
}

// adapter answers as external adapters and public servers of prices do.
func adapter(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Data struct{ Market, From string } `json:"data"`
	}
	_ = json.NewDecoder(r.Body).Decode(&asked) // without a body the path decides
	switch {
	case r.URL.Path == "/down":
		w.WriteHeader(http.StatusBadGateway)
		_, _ = fmt.Fprintf(w, `{"error":"no upstream for %s"}`, r.Header.Get("X-Api-Key"))
	case r.URL.Path == "/echo": // as a public server of prices refuses a key
		_, _ = fmt.Fprintf(w, `{"data":{"price":"Invalid API Key %s"}}`, r.URL.Query().Get("key"))
	case r.URL.Path == "/hostile": // clears a terminal, by either of two ways, and turns the text around
		_, _ = io.WriteString(w, "{\"\u009b2J\x1b[2J\u202e\"")
	case asked.Data.From == "ETH":
		_, _ = io.WriteString(w, `{"data":{"result":175.125}}`)
	case asked.Data.Market != "":
		_, _ = fmt.Fprintf(w, `{"data":{"marketOpen":%t,"result":0.9876}}`, r.URL.Path == "/open")
	case r.URL.Path == "/quote":
		_, _ = io.WriteString(w, `{"data":{"price":"41.5"}}`)
	default:
		_, _ = io.WriteString(w, `{"data":{"price":40}}`)
	}
}

// exits CODE PROGRAM ARGS...: the program ends with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s ended with exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
	said := ts.ReadFile("stderr")
	for _, goism := range []string{"rpc error", "goroutine ", "panic:", "%!", "<nil>", "connect: connection refused: ",
		"invalid_argument", "context deadline exceeded"} {
		if strings.Contains(said, goism) {
			ts.Fatalf("stderr has %q, which says nothing to an operator:\n%s", goism, said)
		}
	}
}

// until PATTERN PROGRAM ARGS...: the program is run again and again, until a line of its stdout matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM ARGS...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(time.Minute); ; {
		exits(ts, false, append([]string{"0"}, args[1:]...))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("within a minute %s said nothing that matches %s", strings.Join(args[1:], " "), args[0])
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// expand FILE...: $VARIABLES of the script are put into files.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o600))
	}
}

// set VARIABLE PATTERN: the first group of a pattern in stdout becomes a variable.
func set(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: set VARIABLE PATTERN")
	}
	found := regexp.MustCompile(`(?m)` + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("stdout has no %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// shape FILE: stdout is JSON with the keys that the file lists, each with its type; those after a ? may be missing.
func shape(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: shape FILE")
	}
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &v); err != nil {
		ts.Fatalf("stdout is not JSON: %v", err)
	}
	lines := map[string]bool{}
	walk("", v, lines)
	var want []string
	for _, line := range strings.Fields(ts.ReadFile(args[0])) {
		if optional, ok := strings.CutPrefix(line, "?"); ok {
			delete(lines, optional)
		} else {
			want = append(want, line)
		}
	}
	got := slices.Sorted(maps.Keys(lines))
	if d := cmp.Diff(want, got); d != "" {
		ts.Fatalf("keys (-want +got):\n%s", d)
	}
}

func walk(path string, v any, lines map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			walk(path+"."+key, value, lines)
		}
	case []any:
		for _, value := range v {
			walk(path+"[]", value, lines)
		}
		if len(v) == 0 {
			lines[path+"[]"] = true
		}
	default:
		kind := map[string]string{"string": "text", "float64": "number", "bool": "flag",
			"<nil>": "null"}[fmt.Sprintf("%T", v)]
		lines[path+":"+kind] = true
	}
}

// running is the node that a script has started, kept among its values.
type running struct {
	command *exec.Cmd
	ended   chan error
}

type nodeKey struct{}

var starting = regexp.MustCompile(`"url": "(.*)"`)

// start ARGS...: loop node start runs in the background, and its log goes to node.log. The command line finds it by the
// socket of the configuration, whatever LOOP_NODE_URL named before; NODE_URL is where it is reached by TCP.
func start(ts *testscript.TestScript, _ bool, args []string) {
	log, err := os.OpenFile(ts.MkAbs("node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	program, err := lookPath(ts)
	ts.Check(err)
	command := exec.Command(program, append([]string{"node", "start", "--json"}, args...)...)
	command.Dir, command.Stderr = ts.MkAbs("."), log
	for _, name := range []string{
		"PATH", "HOME", "CL_CONFIG", "CL_PASSWORD_KEYSTORE", "CL_MEDIAN_CMD", "CL_EVM_CMD", "CL_EVM_ENV", "CL_ACME_CMD",
		"CL_PROMETHEUS_DISCOVERY_HOSTNAME",
	} {
		command.Env = append(command.Env, name+"="+ts.Getenv(name))
	}
	out, err := command.StdoutPipe()
	ts.Check(err)
	ts.Check(command.Start())
	node := ts.Value(nodeKey{}).(*running)
	node.command, node.ended = command, make(chan error, 1)
	url := make(chan string, 1)
	go func() {
		defer close(url)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if found := starting.FindStringSubmatch(lines.Text()); found != nil {
				url <- found[1]
			}
		}
		node.ended <- command.Wait()
	}()
	ts.Defer(func() { _ = command.Process.Kill() })
	address, ok := <-url
	if !ok {
		ts.Fatalf("the node did not start:\n%s", ts.ReadFile("node.log"))
	}
	ts.Setenv("LOOP_NODE_URL", "")
	ts.Setenv("NODE_URL", address)
	ts.Setenv("NODE_PID", strconv.Itoa(command.Process.Pid))
	ts.Setenv("PORT", address[strings.LastIndex(address, ":")+1:])
}

func lookPath(ts *testscript.TestScript) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, "loop")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no loop in PATH")
}

// endLimit is how long a node may take to end: its own bound and some for a busy machine.
const endLimit = 30 * time.Second

// end SIGNAL: the node that the script has started ends with exit code 0.
func end(ts *testscript.TestScript, _ bool, args []string) {
	node := ts.Value(nodeKey{}).(*running)
	if node.command == nil || len(args) != 1 {
		ts.Fatalf("usage: end INT|TERM|KILL, after start")
	}
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	ts.Check(node.command.Process.Signal(signals[args[0]]))
	select {
	case err := <-node.ended:
		if err != nil && args[0] != "KILL" {
			ts.Fatalf("the node ended with %v:\n%s", err, ts.ReadFile("node.log"))
		}
	case <-time.After(endLimit):
		ts.Fatalf("the node goes on after SIG%s:\n%s", args[0], ts.ReadFile("node.log"))
	}
}

// empty FOLDER: there is nothing in it.
func empty(ts *testscript.TestScript, _ bool, args []string) {
	found, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(found) > 0 {
		ts.Fatalf("%s has %v", args[0], found)
	}
}

// mode OCTAL FILE: the file has these permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// gone PID...: no such process is left, or is soon.
func gone(ts *testscript.TestScript, _ bool, args []string) {
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		ts.Check(err)
		for end := time.Now().Add(endLimit); !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH); {
			if time.Now().After(end) {
				ts.Fatalf("process %d is still there", pid)
			}
			time.Sleep(10 * time.Millisecond) // a process that is nobody's child here has no event to await
		}
	}
}
