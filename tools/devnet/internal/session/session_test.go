package session

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/table"
)

// TestMain lets the test binary be the node and the plugins that a session starts: fakes, see fakeNode.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "node" && os.Args[2] == "start" && os.Args[3] == "--config" {
		if err := runFakeNode(os.Args[4]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if name := filepath.Base(os.Args[0]); name == "loop-evm" || name == "loop-median" {
		time.Sleep(5 * time.Minute) // far longer than a test on a busy machine
		return
	}
	goleak.VerifyTestMain(m,
		// go-ethereum starts these once for the whole process.
		goleak.IgnoreTopFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		// goleveldb's buffers drain at their next tick, up to 30 s after the database was closed.
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
	)
}

// fakes makes a folder with the fakes under the names of the programs, and makes them behave as mode says. Folders of
// nodes are made in another one, which is returned, so that a test sees what is left.
func fakes(t *testing.T, mode string) (config Config, folders string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, name := range []string{"loop", "loop-median", "loop-evm"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	if folders, err = os.MkdirTemp("", "fakes"); err != nil { // the test's own folder is too deep for sockets
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folders) })
	t.Setenv("TMPDIR", folders)
	t.Setenv("FAKE_MODE", mode)
	t.Setenv("CL_SOLANA_CMD", "must not reach a node")
	return Config{MaxDurationQuery: DefaultMaxDurationQuery, Rounds: 5, Nodes: 4, BinDir: bin, Seed: 1,
		Timeout: 2 * time.Minute}, folders
}

// recorder is a Display that keeps what it was shown.
type recorder struct {
	lines  *table.Lines
	onStep func(string)
	rounds chan table.Round
}

func newRecorder(t *testing.T) *recorder {
	return &recorder{lines: table.NewLines(t.Output()), onStep: func(string) {}, rounds: make(chan table.Round, 1000)}
}

func (r *recorder) Step(text string)         { r.lines.Step(text); r.onStep(text) }
func (r *recorder) Round(round table.Round)  { r.lines.Round(round); r.rounds <- round }
func (r *recorder) Nodes(nodes []table.Node) { r.lines.Nodes(nodes) }

func empty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("the session left %s behind", entry.Name())
	}
}

// noChildren fails when a process that the session started, or that one of those started, still runs.
func noChildren(t *testing.T) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if fields[1] == strconv.Itoa(os.Getpid()) {
			t.Errorf("the session left a process behind: %s", text)
		}
	}
}

func TestRun(t *testing.T) {
	config, folders := fakes(t, "")
	display := newRecorder(t)
	got, err := Run(t.Context(), config, display)
	if err != nil {
		t.Fatal(err)
	}
	want := Result{
		Chain: "evm", Nodes: 4, Rounds: 5, Transmissions: 5, Verified: 5, PluginProcesses: 8, Seed: 1,
		Answers: []string{"2000.00001001", "2000.00002001", "2000.00003001", "2000.00004001", "2000.00005001"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "FirstTransmissionMS", "DurationMS")); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if got.FirstTransmissionMS <= 0 || got.DurationMS < got.FirstTransmissionMS {
		t.Errorf("the first transmission came after %d ms of %d", got.FirstTransmissionMS, got.DurationMS)
	}
	round := <-display.rounds
	if diff := cmp.Diff([]int{0, 1, 2}, round.Observers); diff != "" || round.Transmitter != "node-0" ||
		round.Number != 1 {
		t.Errorf("the first round is shown as %+v", round)
	}
	empty(t, folders)
	noChildren(t)
}

func TestRunInProcess(t *testing.T) {
	config, folders := fakes(t, "")
	config.InProcess, config.Nodes, config.Keep = true, 5, true
	// Nobody needs the plugins' programs.
	for _, name := range []string{"loop-median", "loop-evm"} {
		if err := os.Remove(filepath.Join(config.BinDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Run(t.Context(), config, newRecorder(t))
	if err != nil {
		t.Fatal(err)
	}
	if !got.InProcess || got.PluginProcesses != 0 || got.Transmissions != 5 || got.Nodes != 5 {
		t.Errorf("the result is %+v", got)
	}
	kept, err := filepath.Glob(filepath.Join(folders, "*", "node-[0-4]", "node.log"))
	if err != nil || len(kept) != 5 {
		t.Errorf("--keep kept the logs %v (%v), want 5", kept, err)
	}
	noChildren(t)
}

func TestRunKills(t *testing.T) {
	config, folders := fakes(t, "")
	config.Rounds, config.KillEvery = 20, 100*time.Millisecond
	got, err := Run(t.Context(), config, newRecorder(t))
	if err != nil {
		t.Fatal(err)
	}
	// Victims may be between two generations when the end comes, on a busy machine more than one.
	if got.Kills < 5 || got.Restarts < uint64(got.Kills)/2 || got.Restarts > uint64(got.Kills) ||
		got.Transmissions != 20 || got.NodeRestarts != 0 {
		t.Errorf("the result is %+v", got)
	}
	// The fake may have one more on its way when it is asked to end.
	if r := got.Reports; r == nil || r.Accepted < 20 || r.Landed != r.Accepted ||
		*r != (audit.Delivery{Accepted: r.Accepted, Landed: r.Landed}) {
		t.Errorf("the reports are %+v", r)
	}
	empty(t, folders)
	noChildren(t)
}

// TestRunKillsNodes proves that nodes are killed and come again as the same, and that the session goes on until there
// are as many kills as were asked for.
func TestRunKillsNodes(t *testing.T) {
	config, folders := fakes(t, "")
	config.Rounds, config.KillEvery, config.Kill, config.Kills, config.Aim = 1, 50*time.Millisecond, []string{"nodes",
		"plugins"}, 12, true
	display := newRecorder(t)
	var killed []string
	display.onStep = func(text string) {
		if strings.HasPrefix(text, "Killed ") {
			killed = append(killed, text)
		}
	}
	got, err := Run(t.Context(), config, display)
	if err != nil {
		t.Fatal(err)
	}
	nodes := 0
	for _, text := range killed {
		if strings.Contains(text, "and started it again") {
			nodes++
		}
	}
	if got.Kills != 12 || len(killed) != 12 || got.NodeRestarts != nodes || nodes == 0 || nodes == 12 {
		t.Errorf("of %d kills %d are shown, and of %d nodes %d", got.Kills, len(killed), got.NodeRestarts, nodes)
	}
	// Each node that comes again has two plugins anew.
	if most := uint64(got.Kills + nodes); got.Restarts < uint64(nodes) || got.Restarts > most {
		t.Errorf("%d generations of plugins after the first, want %d to %d", got.Restarts, nodes, most)
	}
	if r := got.Reports; r == nil || r.Accepted == 0 || r.Lost+r.LandedTwice+r.InFlight+r.NonceGaps > 0 {
		t.Errorf("the reports are %+v", r)
	}
	empty(t, folders)
	noChildren(t)
}

// TestRunEndsAtItsTime proves that a session without rounds is audited when its time is over.
func TestRunEndsAtItsTime(t *testing.T) {
	for lasts := time.Second; ; lasts *= 2 { // how long fakes take to begin depends on the machine
		config, folders := fakes(t, "")
		config.Rounds, config.KillEvery, config.Kill, config.InProcess = 0, 200*time.Millisecond, []string{"nodes"}, true
		config.Timeout = lasts
		got, err := Run(t.Context(), config, newRecorder(t))
		if err != nil {
			t.Fatal(err)
		}
		empty(t, folders)
		noChildren(t)
		if got.Kills == 0 || got.Transmissions == 0 {
			continue
		}
		if got.Reports == nil || got.Kills != got.NodeRestarts {
			t.Errorf("the result is %+v", got)
		}
		return
	}
}

// TestRunElsewhere proves that a session uses the chain that it is told, audits it without a kill, and shows no more of
// its URL than the host, whether it goes well or not.
func TestRunElsewhere(t *testing.T) {
	theirs, err := evm.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := theirs.Close(); err != nil {
			t.Error(err)
		}
	}()
	defer http.DefaultClient.CloseIdleConnections()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.Fund(t.Context(), crypto.PubkeyToAddress(key.PublicKey)); err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := crypto.SaveECDSA(keyFile, key); err != nil { // with the mode 600
		t.Fatal(err)
	}
	url, err := url.Parse(theirs.HTTPURL())
	if err != nil {
		t.Fatal(err)
	}
	const secret = "the-key-of-a-provider"
	proxy := httptest.NewServer(http.StripPrefix("/v3/"+secret, httputil.NewSingleHostReverseProxy(url)))
	defer proxy.Close()
	config, folders := fakes(t, "")
	config.RPC, config.KeyFile, config.Fund = strings.Replace(proxy.URL, "://", "://user:"+secret+"@", 1)+"/v3/"+secret+
		"?key="+secret, keyFile, "0.25"
	display := newRecorder(t)
	display.onStep = func(text string) {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows a secret", text)
		}
	}
	got, err := Run(t.Context(), config, display)
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Reports; got.Transmissions != 5 || r == nil || r.Accepted < 5 ||
		*r != (audit.Delivery{Accepted: r.Accepted, Landed: r.Landed}) {
		t.Errorf("the result is %+v with the reports %+v", got, got.Reports)
	}
	proxy.Close()
	got, err = Run(t.Context(), config, display)
	if want := "ask " + proxy.URL + " for the id of its chain: "; err == nil || !strings.Contains(err.Error(), want) ||
		strings.Contains(err.Error(), secret) || got.Error != err.Error() {
		t.Errorf("got error %v, want one with %q and no secret", err, want)
	}
	empty(t, folders)
	noChildren(t)
}

// TestRunFindsWhatIsLost proves that each thing that must not be is found, and named.
func TestRunFindsWhatIsLost(t *testing.T) {
	tests := map[string]struct {
		mode string
		want string
		is   audit.Delivery // without what landed
	}{
		"a report that nobody sends": {"loses a report", "the report of epoch 2, round 3", audit.Delivery{Lost: 1}},
		"a report in the Store":      {"forgets a report", "the report of epoch 9, round 9", audit.Delivery{Lost: 1}},
		"a number that leaves a gap": {"leaves a number", "the account of node-0 has no transaction of the number",
			audit.Delivery{InFlight: 1}},
		"nodes that tell nothing": {"says nothing", "tell of none that was handed to a relayer", audit.Delivery{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			gaps := test.mode == "leaves a number"
			// What is lost is found when the time to settle is over. What the machine is too slow to finish until then is
			// found with it, and is not there with more time.
			for settles := 2 * time.Second; ; settles *= 2 {
				config, folders := fakes(t, test.mode)
				config.KillEvery, config.settleTimeout = 100*time.Millisecond, settles
				got, err := Run(t.Context(), config, newRecorder(t))
				empty(t, folders)
				noChildren(t)
				r := got.Reports
				if r != nil && settles < 32*time.Second &&
					(r.Lost > test.is.Lost || r.InFlight > test.is.InFlight || r.NonceGaps > 0 && !gaps) {
					continue
				}
				waited := fmt.Sprintf("waited %s until all that the nodes accepted", settles)
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), waited) {
					t.Fatalf("got error %v, want one with %q and %q", err, test.want, waited)
				}
				if r == nil || r.Lost != test.is.Lost || r.InFlight != test.is.InFlight || (r.NonceGaps > 0) != gaps {
					t.Errorf("the reports are %+v", r)
				}
				return
			}
		})
	}
}

func TestRunFails(t *testing.T) {
	tests := map[string]struct {
		mode    string
		timeout time.Duration
		want    []string // in the error
	}{
		"an observation that the node did not record": {"lie", 0,
			[]string{"check round 3", "200000003001 of observer 1, whose node recorded [200000003002]"}},
		"a node that ends at start": {"die at start", 0,
			[]string{"node-2 ended by itself (exit status 1)", "fake: the database is gone"}},
		"a node that ends later": {"die later", 0,
			[]string{"node-0 ended by itself (exit status 2)", "fake: out of memory"}},
		"a node that does not come again": {"never back", 0,
			[]string{" ended by itself (exit status 1)", "fake: the database is broken"}},
		// The nodes must have started by then, on a busy machine too.
		"nodes that do not transmit": {"mute", 15 * time.Second,
			[]string{"waited 15s and saw 0 of 5 rounds", "Last lines of node-0:\nnode-0 is a fake"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, folders := fakes(t, test.mode)
			if test.timeout > 0 {
				config.Timeout = test.timeout
			}
			if test.mode == "never back" {
				config.KillEvery, config.Kill, config.Kills = 100*time.Millisecond, []string{"nodes"}, 1
				config.Rounds = 200 // more than there can be before a busy machine has seen that it is gone
			}
			got, err := Run(t.Context(), config, newRecorder(t))
			if err == nil {
				t.Fatalf("no error, and the result %+v", got)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got error %q, want one with %q", err, want)
				}
			}
			if got.Error != err.Error() || got.Transmissions >= config.Rounds {
				t.Errorf("the result is %+v", got)
			}
			empty(t, folders)
			noChildren(t)
		})
	}
}

// TestRunHoldsAnswersToPrice proves that a median which is not the fixed price ends the session, although the nodes
// recorded it.
func TestRunHoldsAnswersToPrice(t *testing.T) {
	for price, want := range map[string]string{
		"2000.00001001": "check round 2 of the contract", // the fakes count up from it
		"2000.00001":    "the answer is 2000.00001001, and the price that all nodes read is 2000.00001000",
	} {
		config, folders := fakes(t, "")
		config.Price = price
		if _, err := Run(t.Context(), config, newRecorder(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with the price %s: got error %v, want one with %q", price, err, want)
		}
		empty(t, folders)
		noChildren(t)
	}
}

// TestRunNeverReady proves that a session which waits for its nodes in vain says what they answered.
func TestRunNeverReady(t *testing.T) {
	const answer = "503 Service Unavailable the chain is not reachable"
	for lasts := time.Second; ; lasts *= 2 { // how long fakes take until they answer depends on the machine
		config, folders := fakes(t, "never ready")
		config.Timeout = lasts
		_, err := Run(t.Context(), config, newRecorder(t))
		empty(t, folders)
		noChildren(t)
		lacks := func(text string) bool { return !strings.Contains(err.Error(), text) }
		if err != nil && (lacks(answer) || lacks("node-3 is a fake")) && lasts < 30*time.Second {
			continue
		}
		for _, want := range []string{
			fmt.Sprintf("waited %s and saw 0 of 5 rounds", lasts), answer, "Last lines of node-3:\nnode-3 is a fake",
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		}
		return
	}
}

// TestRunLosesAPort has another node take a port that was free a moment before: it is not taken for the session's own.
func TestRunLosesAPort(t *testing.T) {
	config, folders := fakes(t, "slow")
	first, release, err := ports.ClaimRow(config.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	release() // to the session
	config.HTTPPort = first
	display := newRecorder(t)
	display.onStep = func(text string) {
		if !strings.HasPrefix(text, "Chain") { // after it the nodes are started
			return
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(config.HTTPPort+2)))
		if err != nil {
			t.Error(err)
			return
		}
		other := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // it is ready
		_ = other.Listener.Close()
		other.Listener = listener
		other.Start()
		t.Cleanup(other.Close)
	}
	_, err = Run(t.Context(), config, display)
	if err == nil || !strings.Contains(err.Error(), "node-2 ended by itself") ||
		!strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got error %v, want one that says that node-2 found its port in use", err)
	}
	empty(t, folders)
	noChildren(t)
}

// TestRunInterrupted proves that an interrupt at any step clears up, and when it is the good end.
func TestRunInterrupted(t *testing.T) {
	tests := map[string]struct {
		rounds int
		step   string // the interrupt comes with it; empty: with the second round
		want   string // in the error; empty: none
	}{
		"while the contract is deployed": {0, "Deploying", ""},
		"while the nodes start":          {0, "Chain", ""},
		"while the jobs are added":       {5, "4 nodes are ready", "interrupted after 0 of 5 rounds"},
		"in the middle with rounds":      {1000, "", "interrupted after "},
		"in the middle without":          {0, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, folders := fakes(t, "")
			config.Rounds = test.rounds
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			display := newRecorder(t)
			if test.step == "" {
				go func() {
					<-display.rounds
					<-display.rounds
					interrupt()
				}()
			} else {
				display.onStep = func(text string) {
					if strings.HasPrefix(text, test.step) {
						interrupt()
					}
				}
			}
			_, err := Run(ctx, config, display)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
			empty(t, folders)
			noChildren(t)
		})
	}
}

func TestRunRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	busyPort := busy.Addr().(*net.TCPAddr).Port
	tests := map[string]struct {
		spoil func(*Config)
		want  string
	}{
		"three nodes":    {func(c *Config) { c.Nodes = 3 }, "--nodes is 3, but a feed takes 4 to 31 oracles"},
		"too many nodes": {func(c *Config) { c.Nodes = 32 }, "--nodes is 32"},
		"another chain": {func(c *Config) {
			c.Chain = "bitcoin"
		}, `--chain is "bitcoin"; the chains are evm, solana and starknet`},
		"version on EVM": {func(c *Config) {
			c.StarknetRPC = "0.9"
		}, "--starknet-rpc is 0.9, but --chain is evm; leave one of them out"},
		"many on Solana": {func(c *Config) {
			c.Chain, c.Nodes = "solana", 20
		}, "--nodes is 20, but a feed takes 4 to 19 oracles"},
		"no relayer": {func(c *Config) { c.Chain = "solana" }, "loop-solana not found: run `make build`"},
		"query": {func(c *Config) {
			c.MaxDurationQuery = -1
		}, "--max-duration-query is -1ns; give 0 or a time above it"},
		"rounds":          {func(c *Config) { c.Rounds = -1 }, "--rounds is -1"},
		"kill-every":      {func(c *Config) { c.KillEvery = -1 }, "--kill-every is -1ns"},
		"kills":           {func(c *Config) { c.Kills = -1 }, "--kills is -1"},
		"no time to kill": {func(c *Config) { c.Kills = 200 }, "--kills is 200, but nothing is killed without --kill-every"},
		"no kills": {func(c *Config) {
			c.Kill = []string{"nodes"}
		}, "--kill says what is killed, but nothing is without --kill-every"},
		"nothing to aim": {func(c *Config) {
			c.Aim = true
		}, "--aim says when to kill, but nothing is killed without --kill-every"},
		"kill what": {func(c *Config) {
			c.Kill, c.KillEvery = []string{"cats"}, 1
		}, `--kill names "cats"; what can be killed are nodes, plugins and network`},
		"OCR3 of median": {func(c *Config) { c.OCR = 3 }, "--ocr is 3, and the median runs on OCR2 alone"},
		"no product": {func(c *Config) {
			c.Product = "twap=./absent"
		}, `--product twap: look for the program "./absent"`},
		"kill twice": {func(c *Config) {
			c.Kill, c.KillEvery = []string{"nodes", "nodes"}, 1
		}, "--kill names nodes twice"},
		"timeout": {func(c *Config) { c.Timeout = -1 }, "--timeout is -1ns"},
		"port": {func(c *Config) {
			c.HTTPPort = 65533
		}, "--http-port is 65533, but the ports of 4 nodes end at 65535"},
		"nobody to kill": {func(c *Config) { c.KillEvery, c.InProcess = 1, true }, "with --in-process there are none"},
		"busy port":      {func(c *Config) { c.HTTPPort = busyPort }, "choose others with --http-port, or 0 for free ones"},
		"no template":    {func(c *Config) { c.JobTemplate = "absent" }, "absent does not exist; check --job-template"},
		"no source": {func(c *Config) {
			c.Source = "http://127.0.0.1:1"
		}, "check that it runs and that --source is right"},
		"source with a key": {func(c *Config) {
			c.Source = "http://127.0.0.1:1/v3/key-of-a-provider?key=another"
		}, `Get "http://127.0.0.1:1/…"`},
		"fixed and given": {func(c *Config) {
			c.Price, c.Source = "1", "http://127.0.0.1:1"
		}, "--price is one of devnet's own, and --source names another's"},
		"no price": {func(c *Config) {
			c.Price = "1e3"
		}, `--price is "1e3": give a decimal number with at most 8 decimals`},
		"price of zero": {func(c *Config) {
			c.Price = "0.00000000"
		}, "a feed takes answers above zero and up to 10000000000000000000000.00000000"},
		"highest price": {func(c *Config) {
			c.Price = "10000000000000000000000.00000001"
		}, "a feed takes answers above zero"},
		"rpc of another": {func(c *Config) { c.Chain, c.Nodes, c.RPC = "starknet", 4, "http://127.0.0.1:1" },
			"--rpc names an EVM chain, and --chain is starknet"},
		"key of nothing": {func(c *Config) { c.KeyFile = "key" }, "give --rpc, or leave them out"},
		"no fund": {func(c *Config) {
			c.RPC, c.Fund = "http://127.0.0.1:1", "0.0"
		}, `--fund is "0.0": give an amount above zero`},
		"fine fund": {func(c *Config) { c.RPC, c.Fund = "http://127.0.0.1:1", "1.0000000000000000001" },
			"with at most 18 decimals"},
		"negative fund":   {func(c *Config) { c.RPC, c.Fund = "http://127.0.0.1:1", "-1" }, `--fund is "-1"`},
		"no programs":     {func(c *Config) { c.BinDir += "/absent" }, "absent/loop not found: run `make build`"},
		"not a program":   {func(c *Config) { c.BinDir = "testdata/bin" }, "bin/loop is not a program"},
		"no programs yet": {func(c *Config) { c.BinDir = "" }, "loop not found: run `make build`"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, folders := fakes(t, "")
			test.spoil(&config)
			got, err := Run(t.Context(), config, table.NewLines(io.Discard))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got error %v, want one with %q", err, test.want)
			}
			if got.Error != err.Error() {
				t.Errorf("the result is %+v", got)
			}
			empty(t, folders)
		})
	}
	t.Run("no Solana chain", func(t *testing.T) {
		config, folders := fakes(t, "")
		config.Chain = "solana"
		if err := os.Symlink(filepath.Join(config.BinDir, "loop"), filepath.Join(config.BinDir, "loop-solana")); err != nil {
			t.Fatal(err)
		}
		// Which of the two is missing depends on the machine.
		if _, err := Run(t.Context(), config, table.NewLines(io.Discard)); err == nil ||
			!strings.Contains(err.Error(), "run `make solana`") && !strings.Contains(err.Error(), "install Node.js") {
			t.Errorf("got error %v, want one that says what to do", err)
		}
		empty(t, folders)
		noChildren(t)
	})
	// One that another session has chosen, whose node does not listen yet, is as good as busy.
	chosen, release, err := ports.ClaimRow(4)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for name, port := range map[string]int{"busy": busyPort, "chosen": chosen} {
		t.Run(name+" port that may be another", func(t *testing.T) {
			config, _ := fakes(t, "")
			config.HTTPPort, config.FallBack, config.Rounds = port, true, 1
			display := newRecorder(t)
			display.onStep = func(text string) {
				if strings.HasPrefix(text, "4 nodes are ready") {
					if listens, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", chosen)); err == nil {
						_ = listens.Close()
						t.Error("a node listens on the port that is another's")
					}
				}
			}
			if _, err := Run(t.Context(), config, display); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	for want, answer := range map[string]int64{
		"0.00000000": 0, "0.00000001": 1, "-0.00000001": -1, "1.00000000": 100_000_000, "-1234.56789012": -123456789012,
	} {
		if got := decimal(big.NewInt(answer)); got != want {
			t.Errorf("decimal(%d) = %q, want %q", answer, got, want)
		}
	}
}
