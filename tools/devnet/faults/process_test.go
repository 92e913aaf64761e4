package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// programs is the folder of the programs that make build makes. The test is left out without them.
func programs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LOOP_BIN_DIR")
	if dir == "" {
		t.Skip("the faults are made on programs that make build makes: run make test-faults")
	}
	return dir
}

// node is a node of the program loop, as an operator runs it.
type node struct {
	dir string
	// bin is the folder of the programs, http where it serves metrics and health, peers where it serves other nodes.
	bin, http, peers string
	// config is its configuration after the first lines, and environment is added to what each command gets.
	config      string
	environment []string
	// wrap is a command that runs the node's; empty: none does.
	wrap []string

	process *exec.Cmd
	ready   chan error // that it is, or why it is not
	ends    bool       // with a test
	log     *journal
	keys    keys
}

// newNode is one that is not started yet.
func newNode(t *testing.T, bin string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "faults-") // the test's own folder is too deep for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &node{dir: dir, bin: bin, http: ports.Address(t), peers: ports.Address(t), log: &journal{}}
	n.write(t, "password", "correct horse battery staple\n")
	return n
}

// write writes a file into the node's folder and returns its path.
func (n *node) write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(n.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// configure writes the configuration and returns its path.
func (n *node) configure(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(n.http)
	if err != nil {
		t.Fatal(err)
	}
	return n.write(t, "node.toml", fmt.Sprintf(`RootDir = %q

[Keystore]
PasswordFile = %q

[WebServer]
HTTPPort = %s
Socket = %q

[P2P.V2]
ListenAddresses = [%q]
DeltaDial = "500ms"
DeltaReconcile = "1s"

[OCR2]
ContractPollInterval = "1s"
ContractConfirmations = 1
BlockchainTimeout = "5s"
DatabaseTimeout = "5s"
%s`, n.root(), filepath.Join(n.dir, "password"), port, n.socket(), n.peers, n.config))
}

func (n *node) root() string { return filepath.Join(n.dir, "root") }

func (n *node) socket() string { return filepath.Join(n.dir, "loop.sock") }

// command is loop with arguments.
func (n *node) command(args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(n.bin, "loop"), args...)
	command.Env = append([]string{"CL_CONFIG=" + filepath.Join(n.dir, "node.toml"), "PATH=" + os.Getenv("PATH")},
		n.environment...)
	command.Dir = n.dir
	return command
}

// said is what came of a command.
type said struct {
	code           int
	stdout, stderr string
}

// run runs loop to its end, which a time bounds that no command needs.
func (n *node) run(t *testing.T, stdin string, args ...string) said {
	t.Helper()
	command := n.command(args...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(5*time.Minute, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := command.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return said{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// start starts the node, which ends with the test, and returns when it is ready.
func (n *node) start(t *testing.T) {
	t.Helper()
	n.begin(t)
	n.wait(t)
}

// begin starts the node.
func (n *node) begin(t *testing.T) {
	t.Helper()
	n.configure(t)
	command := n.command("node", "start", "--json")
	if len(n.wrap) > 0 {
		command.Path, command.Args = n.wrap[0], append(slices.Clone(n.wrap), command.Args...)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = n.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	n.process, n.ready = command, make(chan error, 1)
	if !n.ends { // it ends with the first test that started it, whoever starts it anew
		n.ends = true
		t.Cleanup(func() { n.stop(t) })
	}
	go func(ready chan<- error) {
		_, err := bufio.NewReader(stdout).ReadString('}')
		ready <- err
		_, _ = io.Copy(io.Discard, stdout) // to its end
	}(n.ready)
}

// wait waits until the node is ready.
func (n *node) wait(t *testing.T) {
	t.Helper()
	var err error
	select {
	case err = <-n.ready:
	case <-time.After(5 * time.Minute): // all start at once, on a machine that may have much else to do
		err = errors.New("five minutes have gone")
	}
	if err != nil {
		t.Fatalf("the node does not get ready: %v\n%s", err, n.log.all())
	}
	if n.keys.account == "" {
		n.keys = keysOf(t, n)
	}
}

// stop ends the node, if it runs.
func (n *node) stop(t *testing.T) {
	t.Helper()
	if n.process == nil {
		return
	}
	_ = n.process.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	timer := time.AfterFunc(20*time.Second, func() { _ = n.process.Process.Kill() })
	defer timer.Stop()
	_ = n.process.Wait() // how it ended is for those to say who ended it in another way
	n.process = nil
}

// operator speaks to the node as loop does.
func (n *node) operator() nodev1connect.NodeServiceClient {
	return nodev1connect.NewNodeServiceClient(&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", n.socket())
		},
	}}, "http://node")
}

// health is what /health says.
type health struct {
	Status     string
	Components []component
}

// component is a part of the node with its state.
type component struct{ Name, State, Reason, Remedy string }

// String is a part with all that is said of it: NAME: STATE: REASON; REMEDY.
func (c component) String() string {
	text := c.Name + ": " + c.State
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	if c.Remedy != "" {
		text += "; " + c.Remedy
	}
	return text
}

// ill are the parts that do not run.
func (h health) ill() []string {
	var all []string
	for _, c := range h.Components {
		if c.State != running {
			all = append(all, c.String())
		}
	}
	return all
}

// running is the state of a part that does all that it should.
const running = "running"

// of is the status that the part of this name alone would give the node.
func (h health) of(name string) (status string, ill []string) {
	for _, c := range h.Components {
		switch {
		case c.Name != name || c.State == running:
		case c.State == "failed":
			return "failing", []string{c.String()}
		default:
			return "degraded", []string{c.String()}
		}
	}
	return "passing", nil
}

// health asks the node for its health.
func (n *node) health(t *testing.T) (health, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+"/health", nil)
	if err != nil {
		return health{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return health{}, err
	}
	defer response.Body.Close()
	var h health
	return h, json.NewDecoder(response.Body).Decode(&h)
}

// journal is a node's log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) all() string { return j.from(0) }

// from is the log behind a length.
func (j *journal) from(length int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text.Bytes()[length:])
}

func (j *journal) length() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Len()
}
