// Package svm runs a Solana chain for tests: a Node process in which LiteSVM executes real programs behind the JSON-RPC
// and WebSocket interfaces of a validator.
//
// It must not know which programs run on it, nor what they are for.
package svm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gagliardetto/solana-go"
)

const (
	// startTimeout is how long the process may take to serve; it takes a third of a second on an idle machine.
	startTimeout = 30 * time.Second
	// grace is how long the process may take to end once its stdin has.
	grace = 5 * time.Second
	// maxTail is how much of what the process prints to stderr is kept for errors.
	maxTail = 8 << 10
)

// Settings say which chain to start. What is zero is as on a real network.
type Settings struct {
	// Dir is the folder that `make solana` makes, with the façade and the programs; see Locate.
	Dir string
	// Nodes is the number of RPC nodes, all of one chain; 0: 1.
	Nodes int
	// SlotTime is the time between slots. 0 means 200 ms, and a negative time means that only Warp makes slots.
	SlotTime time.Duration
	// HashWindow is the age in slots at which blockhashes expire; 0: 150.
	HashWindow int
	// FinalizedAfter is the age in slots at which blocks are final; 0: 31. They are confirmed after one slot.
	FinalizedAfter int
}

// Node is one RPC node of the chain.
type Node struct {
	RPCURL string `json:"rpc_url"`
	WSURL  string `json:"ws_url"`
}

// Chain is a chain that runs.
type Chain struct {
	adminURL  string
	nodes     []Node
	client    *http.Client
	stdin     io.Closer
	tail      *tail
	done      chan struct{}
	closeOnce sync.Once
	kill      func()
}

// Locate finds the folder of the façade and the programs beside the running program or in ./bin.
func Locate() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the folder of this program: %w", err)
	}
	for _, bin := range []string{filepath.Dir(self), "bin"} {
		dir, err := filepath.Abs(filepath.Join(bin, "solana"))
		if err != nil {
			return "", fmt.Errorf("find the folder %s: %w", bin, err)
		}
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("the Solana chain was not built, there is no folder solana beside %s nor in ./bin: run `make "+
		"solana`", filepath.Base(self))
}

// Start starts a chain. Close ends it; it also ends when this process does, in whatever way.
func Start(ctx context.Context, settings Settings) (*Chain, error) {
	interpreter, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("the Solana chain runs in Node.js, and no program node is in the PATH: install Node.js 20 " +
			"or later")
	}
	main := filepath.Join(settings.Dir, "facade", "main.mjs")
	if _, err := os.Stat(filepath.Join(settings.Dir, "facade", "node_modules")); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the Solana chain was not built, %s has no packages: run `make solana`", filepath.Dir(main))
	}
	slot := 200 * time.Millisecond
	switch {
	case settings.SlotTime < 0:
		slot = 0
	case settings.SlotTime > 0:
		slot = settings.SlotTime
	}
	args := []string{main,
		"--nodes", strconv.Itoa(max(settings.Nodes, 1)), "--slot-ms", strconv.FormatInt(slot.Milliseconds(), 10),
		"--hash-window", strconv.Itoa(orElse(settings.HashWindow, 150)),
		"--finalized-after", strconv.Itoa(orElse(settings.FinalizedAfter, 31)),
	}
	cmd := exec.Command(interpreter, args...)
	c := &Chain{tail: &tail{}, done: make(chan struct{}), client: &http.Client{Transport: &http.Transport{}}}
	cmd.Stderr = c.tail
	// A Ctrl-C on a terminal goes to all processes of a group, and is for the one that uses the chain.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the Solana chain: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the Solana chain: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the Solana chain: %w", err)
	}
	c.stdin, c.kill = stdin, func() { _ = cmd.Process.Kill() }
	line := make(chan string, 1)
	go func() {
		defer close(c.done)
		scanner := bufio.NewScanner(stdout)
		if scanner.Scan() {
			line <- scanner.Text()
		}
		_, _ = io.Copy(io.Discard, stdout) // a pipe that nobody reads would stop the process
		_ = cmd.Wait()                     // how it ended is told by what it printed
	}()
	if err := c.hello(ctx, line); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// hello reads the line in which the process says where it serves.
func (c *Chain) hello(ctx context.Context, line <-chan string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case text := <-line:
		var hello struct {
			AdminURL string `json:"admin_url"`
			Nodes    []Node `json:"nodes"`
		}
		if err := json.Unmarshal([]byte(text), &hello); err != nil {
			return fmt.Errorf("start the Solana chain: its first line %q is not JSON: %w", text, err)
		}
		c.adminURL, c.nodes = hello.AdminURL, hello.Nodes
		return nil
	case <-c.done:
		return fmt.Errorf("start the Solana chain: it ended at once and printed:\n%s", c.tail)
	case <-ctx.Done():
		return fmt.Errorf("start the Solana chain: wait for its addresses: %w", ctx.Err())
	}
}

// Close ends the chain.
func (c *Chain) Close() {
	c.closeOnce.Do(func() {
		_ = c.stdin.Close() // asks it to end; it may have ended already
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-c.done:
		case <-timer.C:
			c.kill()
			<-c.done
		}
		c.client.CloseIdleConnections()
	})
}

// Ended is closed when the chain's process has ended.
func (c *Chain) Ended() <-chan struct{} { return c.done }

// Tail returns the end of the process's stderr.
func (c *Chain) Tail() string { return c.tail.String() }

// Nodes are the chain's RPC nodes.
func (c *Chain) Nodes() []Node { return c.nodes }

// AdminURL serves what a node serves, without faults, and the methods that change the chain.
func (c *Chain) AdminURL() string { return c.adminURL }

// Account is an account to write.
type Account struct {
	Lamports   uint64
	Data       []byte
	Owner      solana.PublicKey
	Executable bool
}

// SetAccount writes an account as no transaction could.
func (c *Chain) SetAccount(ctx context.Context, address solana.PublicKey, account Account) error {
	return c.call(ctx, nil, "loop_setAccount", address, map[string]any{
		"lamports": account.Lamports, "data": account.Data, "owner": account.Owner, "executable": account.Executable,
	})
}

// AddProgram loads a program from its file.
func (c *Chain) AddProgram(ctx context.Context, address solana.PublicKey, file string) error {
	return c.call(ctx, nil, "loop_addProgram", address, file)
}

// Airdrop gives lamports to an account.
func (c *Chain) Airdrop(ctx context.Context, address solana.PublicKey, lamports uint64) error {
	return c.call(ctx, nil, "loop_airdrop", address, lamports)
}

// Warp makes slots at once, and returns the number of the last one.
func (c *Chain) Warp(ctx context.Context, slots int) (slot uint64, err error) {
	err = c.call(ctx, &slot, "loop_warp", slots)
	return slot, err
}

// Fault is a way for a node to fail.
type Fault struct {
	// Kind is one of:
	//   "down"     nobody listens on its port
	//   "hang"     it takes requests and never answers
	//   "garbage"  it answers bytes without sense
	//   "html"     it answers a page
	//   "status"   it answers a page with Status
	//   "lag"      it has seen the chain up to Slots ago; it takes transactions as ever
	//   "drop"     it loses the next Transactions that it is given
	Kind         string `json:"kind"`
	Status       int    `json:"status,omitempty"`
	Slots        int    `json:"slots,omitempty"`
	Transactions int    `json:"transactions,omitempty"`
}

// Fail gives a node a fault in the place of the one that it had.
func (c *Chain) Fail(ctx context.Context, node int, fault Fault) error {
	return c.call(ctx, nil, "loop_fault", node, fault)
}

// Heal takes a node's fault away.
func (c *Chain) Heal(ctx context.Context, node int) error {
	return c.call(ctx, nil, "loop_fault", node, nil)
}

// call calls a method at the admin's URL. If result is nil, the result of the answer is dropped.
func (c *Chain) call(ctx context.Context, result any, method string, params ...any) error {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("call %s of the Solana chain: %w", method, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.adminURL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s of the Solana chain: %w", method, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("call %s of the Solana chain: %w", method, err)
	}
	defer response.Body.Close()
	var answer struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("call %s of the Solana chain: read the answer: %w", method, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("call %s of the Solana chain: %s", method, answer.Error.Message)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("call %s of the Solana chain: read the answer: %w", method, err)
	}
	return nil
}

func orElse(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, text...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(text), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimRight(string(t.text), "\n")
}
