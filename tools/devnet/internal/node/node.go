// Package node runs one oracle node of a local network: its folder, its configuration, its process, and its operator's
// API.
//
// It must not know of the network's contract, nor of what the other nodes do.
package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/tools/devnet/internal/process"
)

// grace is how long a node may take to end before it is killed.
const grace = 5 * time.Second

// Settings say which node to start.
type Settings struct {
	// Name is the node's, such as "node-0".
	Name string
	// Dir is a folder of the node's own. It need not exist.
	Dir string
	// Binary is the node's program.
	Binary string
	// Debug has the node log its debug lines too.
	Debug bool
	// Variables are environment variables that configure the node, such as CL_MIN_OCR2_MAX_DURATION_QUERY.
	Variables map[string]string
	// PluginCommands has the command of each plugin with its own process, by the environment variable for it, such as
	// CL_MEDIAN_CMD. The node splits it like a shell: Word writes a path for it. Plugins without a command run inside
	// the node.
	PluginCommands map[string]string
	// HTTPPort and P2PPort are free ports of 127.0.0.1.
	HTTPPort, P2PPort int
	// Host is where the node runs when that is not among the other processes of this machine.
	Host *Host
	// Chain is the chain that the node works on.
	Chain Chain
}

// Host is a host of a node's own. Its HTTPPort is one of this machine's 127.0.0.1 too.
type Host struct {
	// Namespace is its network namespace.
	Namespace *os.File
	// Address is where the other nodes reach it.
	Address string
}

// Chain is a chain as a node's configuration names it.
type Chain struct {
	// Kind is "evm", "solana" or "starknet".
	Kind string
	// Relay is the relay under which the node's relayer serves the chain; empty: Kind.
	Relay string
	// ID is the name of the chain in the configuration.
	ID string
	// WSURL and HTTPURL are where the chain serves, one of them at least.
	WSURL, HTTPURL string
	// FinalityDepth is how many blocks make a transaction final on an EVM chain; 0: the node's own.
	FinalityDepth uint64
}

// relay is the relay of the chain.
func (c Chain) relay() string { return cmp.Or(c.Relay, c.Kind) }

// Section is the name of the list of such chains in the configuration.
func (c Chain) Section() string {
	if c.relay() == "evm" {
		return "EVM"
	}
	return strings.ToUpper(c.relay()[:1]) + c.relay()[1:]
}

// Origin is where the chain serves, without what may be secret of it.
func (c Chain) Origin() string {
	parsed, err := url.Parse(cmp.Or(c.HTTPURL, c.WSURL))
	if err != nil {
		return "an address that cannot be read"
	}
	return parsed.Scheme + "://" + parsed.Host
}

func (s Settings) namespace() *os.File {
	if s.Host == nil {
		return nil
	}
	return s.Host.Namespace
}

func (s Settings) p2pAddress() string {
	address := "127.0.0.1"
	if s.Host != nil {
		address = s.Host.Address
	}
	return fmt.Sprintf("%s:%d", address, s.P2PPort)
}

// Node is a node that was started.
type Node struct {
	settings   Settings
	configFile string
	transport  *http.Transport // to the open endpoints
	operators  *http.Transport // to the socket
	client     nodev1connect.NodeServiceClient

	generation atomic.Pointer[generation]
}

// generation is one process of the node. Each start of the node makes another.
type generation struct {
	number  int // from 1
	process *process.Process
	killed  atomic.Bool // by Kill
}

// Start starts a node and does not wait for it.
func Start(launcher *process.Launcher, settings Settings) (*Node, error) {
	configFile, err := writeFolder(settings)
	if err != nil {
		return nil, fmt.Errorf("prepare the folder of %s: %w", settings.Name, err)
	}
	transport := &http.Transport{}
	n := &Node{settings: settings, configFile: configFile, transport: transport}
	n.operators = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", n.Socket())
	}}
	n.client = nodev1connect.NewNodeServiceClient(&http.Client{Transport: n.operators}, "http://"+settings.Name)
	if err := n.start(launcher, 1); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Node) start(launcher *process.Launcher, number int) error {
	started, err := launcher.Start(process.Command{
		Path:    n.settings.Binary,
		Args:    []string{"node", "start", "--config", n.configFile},
		Env:     environment(os.Environ(), n.settings.PluginCommands, n.settings.Variables),
		Dir:     n.settings.Dir,
		LogFile: n.LogFile(), Namespace: n.settings.namespace(),
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", n.settings.Name, err)
	}
	n.generation.Store(&generation{number: number, process: started})
	return nil
}

// Kill kills the node's process and returns when it has ended; its plugins are left to find out by themselves. Again
// starts it once more.
func (n *Node) Kill() {
	now := n.generation.Load()
	now.killed.Store(true)
	now.process.Kill()
	n.transport.CloseIdleConnections()
	n.operators.CloseIdleConnections()
}

// Again starts a node that was killed, with the same folder, ports, keys and jobs, and does not wait for it. It must
// not be called while Stop is.
func (n *Node) Again(launcher *process.Launcher) error { return n.start(launcher, n.Generation()+1) }

// Generation counts the processes of the node so far. What was asked in one generation is not answered in the next.
func (n *Node) Generation() int { return n.generation.Load().number }

// PID is the number of the node's process.
func (n *Node) PID() int { return n.generation.Load().process.PID() }

// Watch waits until the process of this generation ends by itself, and returns Exit then; nil when Kill ended it, or
// ctx the waiting.
func (n *Node) Watch(ctx context.Context) error {
	now := n.generation.Load()
	select {
	case <-now.process.Done():
	case <-ctx.Done():
		return nil
	}
	if now.killed.Load() && now.process.Killed() {
		return nil
	}
	return n.exit(now)
}

// Name is the node's.
func (n *Node) Name() string { return n.settings.Name }

// Socket is where the node serves operators.
func (n *Node) Socket() string { return filepath.Join(n.settings.Dir, "root", "loop.sock") }

// URL is where the node serves metrics and its health.
func (n *Node) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", n.settings.HTTPPort) }

// P2PAddress is where the node serves the other nodes.
func (n *Node) P2PAddress() string { return n.settings.p2pAddress() }

// Move says that the node, which was killed, is at another address of its host when it is started again.
func (n *Node) Move(address string) error {
	n.settings.Host = &Host{Namespace: n.settings.Host.Namespace, Address: address}
	if err := writeConfig(n.settings, n.configFile); err != nil {
		return fmt.Errorf("write the configuration of %s: %w", n.Name(), err)
	}
	return nil
}

// Ended is closed when the node's process has ended.
func (n *Node) Ended() <-chan struct{} { return n.generation.Load().process.Done() }

// Exit says how the process ended, and what it said last.
func (n *Node) Exit() error { return n.exit(n.generation.Load()) }

func (n *Node) exit(l *generation) error {
	return fmt.Errorf("%s ended by itself (%s); its last lines:\n%s", n.Name(), l.process.Exit(),
		lastWords(l.process.Tail(math.MaxInt)))
}

// shownLines is how much of a log is shown.
const shownLines = 20

// lastWords are the last lines of a log, or the first of a panic in it, whose stack traces may be longer.
func lastWords(tail string) string {
	lines := strings.Split(tail, "\n")
	begin := max(0, len(lines)-shownLines)
	for i, line := range lines[:begin] {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			begin = i
		}
	}
	return strings.Join(lines[begin:min(begin+shownLines, len(lines))], "\n")
}

// Tail is the last lines of the node's log.
func (n *Node) Tail() string { return n.generation.Load().process.Tail(shownLines) }

// Stop ends the node, by force when it takes longer than 5 s.
func (n *Node) Stop() {
	n.generation.Load().process.Stop(grace)
	n.transport.CloseIdleConnections()
	n.operators.CloseIdleConnections()
}

// WaitReady waits until the node says that it is ready.
func (n *Node) WaitReady(ctx context.Context) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	last := "it does not answer"
	for {
		select {
		case <-n.Ended():
			return n.Exit()
		case <-ctx.Done():
			return fmt.Errorf("wait until %s is ready at %s/readyz: %w, and %s", n.Name(), n.URL(), context.Cause(ctx), last)
		case <-ticker.C:
		}
		if answer, ok := n.ready(ctx); ok {
			return nil
		} else if answer != "" {
			last = answer
		}
	}
}

// ready says whether the node is ready and, if not, what it answered.
func (n *Node) ready(ctx context.Context) (answer string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// Another process may have got the port, and answer there. A node that listens on its socket has its port.
	connection, err := new(net.Dialer).DialContext(ctx, "unix", n.Socket())
	if err != nil {
		return "", false
	}
	defer connection.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/readyz", nil)
	if err != nil {
		return err.Error(), false
	}
	response, err := n.transport.RoundTrip(request)
	if err != nil {
		return "", false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return "", false
	}
	return fmt.Sprintf("it answers %s %s", response.Status,
		strings.TrimSpace(string(body))), response.StatusCode == http.StatusOK
}

// environment is what a node gets: the caller's, for proxies, certificates and locale, without variables of the kind
// that configure a node.
func environment(caller []string, pluginCommands, variables map[string]string) []string {
	own := slices.DeleteFunc(slices.Clone(caller), func(variable string) bool {
		return strings.HasPrefix(variable, "CL_") || strings.HasPrefix(variable, "LOOP_")
	})
	for name, command := range pluginCommands {
		own = append(own, name+"="+command)
	}
	for name, value := range variables {
		own = append(own, name+"="+value)
	}
	return own
}

// plain are the characters that stand for themselves in a command.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)

// Word writes a path so that a node, which splits commands as a shell does, reads it as one word.
func Word(path string) string {
	if plain.MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// password makes a password for a keystore that nobody will open again.
func password() string { return rand.Text() }
