// Package node runs one oracle node of a local network: its folder, its configuration, its process, and its operator's API.
//
// It must not know of the network's contract, nor of what the other nodes do.
package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	// Variables are environment variables that configure the node, such as CL_MIN_OCR2_MAX_DURATION_QUERY.
	Variables map[string]string
	// PluginCommands has the command of each plugin that gets a process of its own, by the environment variable that
	// says so, such as CL_MEDIAN_CMD. The node splits it as a shell does: Word writes a path for it. Plugins without one run
	// inside the node.
	PluginCommands map[string]string
	// HTTPPort and P2PPort are free ports of 127.0.0.1.
	HTTPPort, P2PPort int
	// Chain is the chain that the node works on.
	Chain Chain
}

// Chain is a chain as a node's configuration names it.
type Chain struct {
	// Kind is "evm", "solana" or "starknet".
	Kind string
	// ID is what the configuration calls the chain.
	ID string
	// WSURL and HTTPURL are where the chain serves.
	WSURL, HTTPURL string
}

// Node is a node that was started.
type Node struct {
	settings  Settings
	process   *process.Process
	transport *http.Transport
	client    nodev1connect.NodeServiceClient
}

// Start starts a node and does not wait for it.
func Start(launcher *process.Launcher, settings Settings) (*Node, error) {
	configFile, err := writeFolder(settings)
	if err != nil {
		return nil, fmt.Errorf("prepare the folder of %s: %w", settings.Name, err)
	}
	started, err := launcher.Start(process.Command{
		Path:    settings.Binary,
		Args:    []string{"node", "start", "--config", configFile},
		Env:     environment(os.Environ(), settings.PluginCommands, settings.Variables),
		Dir:     settings.Dir,
		LogFile: filepath.Join(settings.Dir, "node.log"),
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", settings.Name, err)
	}
	transport := &http.Transport{}
	n := &Node{settings: settings, process: started, transport: transport}
	n.client = nodev1connect.NewNodeServiceClient(&http.Client{Transport: transport}, n.URL())
	return n, nil
}

// Name is the node's.
func (n *Node) Name() string { return n.settings.Name }

// URL is where the node serves operators.
func (n *Node) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", n.settings.HTTPPort) }

// P2PAddress is where the node serves the other nodes.
func (n *Node) P2PAddress() string { return fmt.Sprintf("127.0.0.1:%d", n.settings.P2PPort) }

// Ended is closed when the node's process has ended.
func (n *Node) Ended() <-chan struct{} { return n.process.Done() }

// Exit says how the process ended, and what it said last.
func (n *Node) Exit() error {
	return fmt.Errorf("%s ended by itself (%s); its last lines:\n%s", n.Name(), n.process.Exit(), n.Tail())
}

// Tail is the last lines of the node's log.
func (n *Node) Tail() string { return n.process.Tail(20) }

// Stop ends the node, by force when it takes longer than 5 s.
func (n *Node) Stop() {
	n.process.Stop(grace)
	n.transport.CloseIdleConnections()
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

// ready says whether the node is, and if not, what it answered.
func (n *Node) ready(ctx context.Context) (answer string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
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
	return fmt.Sprintf("it answers %s %s", response.Status, strings.TrimSpace(string(body))), response.StatusCode == http.StatusOK
}

// environment is what a node gets: the caller's, for proxies, certificates and locale, without variables of the kind that
// configure a node.
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

// FreePorts finds n free ports of 127.0.0.1. Nothing keeps others from taking them meanwhile.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port of 127.0.0.1: %w", err)
		}
		defer listener.Close() // only when all are found: or one would be found twice
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// PortsFrom are the n ports of 127.0.0.1 from first on, all of which must be free.
func PortsFrom(first, n int) ([]int, error) {
	var ports []int
	for port := first; port < first+n; port++ {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, fmt.Errorf("take the ports %d to %d of 127.0.0.1: %w; choose others with --http-port, or 0 for free ones",
				first, first+n-1, err)
		}
		defer listener.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

// password makes one for a keystore that nobody will open again.
func password() string { return rand.Text() }
