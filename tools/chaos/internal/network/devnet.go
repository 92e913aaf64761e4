package network

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/tools/chaos/internal/machine"
)

// nodes is how many a devnet has here.
const nodes = 4

// Timing of devnet's feed, by its README and its contract's configuration: the bound for a gap follows from these.
const (
	deltaProgress = 3 * time.Second
	deltaStage    = 2 * time.Second
	longestGap    = 2*deltaProgress + deltaStage
	// rMax is the number of rounds after which an epoch ends by itself.
	rMax = 100
)

// devnet is a running devnet.
type devnet struct {
	cmd    *exec.Cmd
	port   int // of the first node
	stdout bytes.Buffer
	ended  chan struct{}
	feed   chan struct{} // closed when chain and contract are known

	mu            sync.Mutex
	url, contract string
	kills         []time.Time
	last          []string // lines
}

var (
	chainLine = regexp.MustCompile(`at (http://\S+), contract (0x[0-9a-fA-F]{40})`)
	killLine  = regexp.MustCompile(`^Killed (the \S+ plugin of )?\S+, process`)
)

// start starts a devnet that ends by itself after a time, with the programs of a folder, and returns when its chain is
// there.
func start(ctx context.Context, program, bin string, lasts time.Duration, more ...string) (*devnet, error) {
	port, release, err := ports.ClaimRow(nodes)
	if err != nil {
		return nil, err
	}
	d := &devnet{port: port, ended: make(chan struct{}), feed: make(chan struct{})}
	args := append([]string{"--json", "--seed", "7", "--nodes", strconv.Itoa(nodes), "--bin-dir", bin, "--http-port",
		strconv.Itoa(d.port), "--timeout", lasts.String()}, more...)
	d.cmd = exec.CommandContext(ctx, program, args...)
	d.cmd.Stdout = &d.stdout
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	d.cmd.WaitDelay = 20 * time.Second
	lines, err := d.cmd.StderrPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		release()
		return nil, fmt.Errorf("starting a devnet: %w; run make build", err)
	}
	go func() {
		defer close(d.ended)
		defer release()
		for s := bufio.NewScanner(lines); s.Scan(); {
			d.take(s.Text())
		}
		_ = d.cmd.Wait() // what it says is in its JSON
	}()
	select {
	case <-d.feed:
		return d, nil
	case <-d.ended:
		return nil, fmt.Errorf("the devnet ended at once: %s", d.said())
	case <-ctx.Done():
		<-d.ended
		return nil, ctx.Err()
	}
}

func (d *devnet) take(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found := chainLine.FindStringSubmatch(line); found != nil && d.url == "" {
		d.url, d.contract = found[1], found[2]
		close(d.feed)
	}
	if killLine.MatchString(line) {
		d.kills = append(d.kills, time.Now())
	}
	if d.last = append(d.last, line); len(d.last) > 5 {
		d.last = d.last[1:]
	}
}

func (d *devnet) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.last, " / ")
}

func (d *devnet) killed() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]time.Time(nil), d.kills...)
}

// stop ends it ahead of its time.
func (d *devnet) stop() {
	select {
	case <-d.ended:
	default:
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		<-d.ended
	}
}

// outcome is what a devnet says at its end.
type outcome struct {
	Transmissions, Verified, Kills int
	Restarts                       uint64
	NodeRestarts                   int `json:"node_restarts"`
	Reports                        delivery
	Error                          string
}

// delivery is what became of the reports that nodes accepted.
type delivery struct {
	Accepted, Landed, Stale, Unsent, Unexplained, Lost int

	LandedTwice int `json:"landed_twice"`
	InFlight    int `json:"in_flight"`
	NonceGaps   int `json:"nonce_gaps"`
}

func (d *devnet) outcome() (outcome, error) {
	<-d.ended
	var o outcome
	if err := json.Unmarshal(d.stdout.Bytes(), &o); err != nil {
		return o, fmt.Errorf("the devnet did not say how it ended: %s", d.said())
	}
	return o, nil
}

// operator is the operator of one node.
func (d *devnet) operator(i int) operator {
	url := fmt.Sprintf("http://127.0.0.1:%d", d.port+i)
	local := &http.Client{Timeout: quiet.Timeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			socket, err := d.socket(i)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	return operator{devnet: d, url: url, node: nodev1connect.NewNodeServiceClient(local, "http://node")}
}

// socket finds a node's socket for operators: it lies beside the configuration that the node's process was started
// with.
func (d *devnet) socket(i int) (string, error) {
	name := fmt.Sprintf("node-%d", i)
	for _, pid := range machine.Descendants(d.cmd.Process.Pid) {
		words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(words), "\x00--config\x00")
		config, _, _ := strings.Cut(after, "\x00")
		if folder := filepath.Dir(config); filepath.Base(folder) == name {
			return filepath.Join(folder, "root", "loop.sock"), nil
		}
	}
	return "", fmt.Errorf("the devnet has no process of %s", name)
}

// program is the path of devnet's program.
func (b Bench) program() string { return filepath.Join(b.Bin, "devnet") }
