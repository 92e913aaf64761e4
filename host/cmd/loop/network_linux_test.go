package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// networkLimit is what a network may take in all, and roundLimit what a round of it may on a busy machine.
const networkLimit, roundLimit = 4 * time.Minute, time.Minute

// landed matches a line in which a devnet tells of a round.
var landed = regexp.MustCompile(`^round (\d+): answer`)

// In a network of nodes whose medians are hostile, all that the page says of one that attacks its node holds at the
// default level, under root and under an ordinary user, and the feed goes on, that node's plugins in it.
func TestAttacksOnANetwork(t *testing.T) {
	devnet := os.Getenv("LOOP_DEVNET")
	if devnet == "" {
		t.Skip("LOOP_DEVNET names no devnet: run make test-attacks")
	}
	if confine.ABI() < 6 {
		t.Skip("this kernel's Landlock is older than the table's")
	}
	battles := []battle{{level: confine.Landlock, root: os.Geteuid() == 0}}
	if os.Geteuid() == 0 {
		battles = append(battles, battle{level: confine.Landlock})
	}
	if python := os.Getenv("LOOP_TEST_PYTHON"); python != "" { // for those who may read that Python
		battles = append(battles, battle{level: confine.Landlock, root: os.Geteuid() == 0, python: python})
	}
	for _, b := range battles {
		name := b.String()
		if b.python != "" {
			name += ", Python"
		}
		t.Run(name, func(t *testing.T) { b.onNetwork(t, devnet) })
	}
}

// onNetwork starts a network, has one of its medians attack, and waits for rounds after that.
func (b battle) onNetwork(t *testing.T, devnet string) {
	dir, err := os.MkdirTemp("", "net") // a test's own folder is too deep for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	network := &network{tmp: filepath.Join(dir, "t"), bin: filepath.Join(dir, "bin"), rounds: make(chan int, 1000)}
	for _, folder := range []string{network.tmp, network.bin} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	install(t, network.bin, "loop", own)
	install(t, network.bin, "loop-evm", own)
	install(t, network.bin, "hostile", own)
	program, err := os.ReadFile(devnet)
	if err != nil {
		t.Fatal(err)
	}
	install(t, network.bin, "devnet", program)
	network.start(t, b)
	network.await(t, 1)
	outcome := network.attack(t)
	if now := network.last; now > 0 {
		network.await(t, now+5)
	}
	result := network.end(t)
	b.asStated(t, outcome)
	if len(outcome) > 40 == (b.python != "") {
		t.Errorf("%d attempts were made", len(outcome))
	}
	if result.Transmissions < network.last || result.Verified != result.Transmissions || result.Restarts > 0 ||
		result.Error != "" {
		t.Errorf("of the network came %+v", result)
	}
}

// network is a devnet.
type network struct {
	tmp, bin string
	cmd      *exec.Cmd
	out      bytes.Buffer
	rounds   chan int // closed at its end
	last     int
}

// networkResult is what the test reads of what devnet prints.
type networkResult struct {
	Transmissions, Verified, Restarts int
	Error                             string
}

func (n *network) start(t *testing.T, b battle) {
	t.Helper()
	n.cmd = exec.CommandContext(t.Context(), filepath.Join(n.bin, "devnet"), "--json", "--http-port", "0",
		"--bin-dir", n.bin, "--plugin", "median="+b.median(t, n.bin))
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
	n.cmd.WaitDelay = networkLimit
	n.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.tmp, "TMPDIR=" + n.tmp}
	if !b.root && os.Geteuid() == 0 {
		n.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
		if err := os.Chown(n.tmp, ordinary, ordinary); err != nil {
			t.Fatal(err)
		}
	}
	n.cmd.Stdout = &n.out
	said, err := n.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // its context has ended
		for range n.rounds {
		}
		_ = n.cmd.Wait() // it has been waited for if all went well
	})
	go func() {
		defer close(n.rounds)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			t.Log(lines.Text())
			if found := landed.FindStringSubmatch(lines.Text()); found != nil {
				number, _ := strconv.Atoi(found[1]) // digits
				n.rounds <- number
			}
		}
	}()
}

// await waits for a round.
func (n *network) await(t *testing.T, round int) {
	t.Helper()
	for n.last < round {
		select {
		case number, going := <-n.rounds:
			if !going {
				t.Fatalf("the network ended after round %d: %s", n.last, n.out.String())
			}
			n.last = number
		case <-time.After(roundLimit):
			t.Fatalf("no round came after %d", n.last)
		}
	}
}

// attack has the median of one node attack.
func (n *network) attack(t *testing.T) map[string]string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(n.tmp, "*", "node-0"))
	if err != nil || len(folders) != 1 {
		t.Fatal(folders, err)
	}
	dir := folders[0]
	password, err := os.ReadFile(filepath.Join(dir, "password"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(dir, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	port := regexp.MustCompile(`HTTPPort = (\d+)`).FindSubmatch(config)
	if port == nil {
		t.Fatalf("the node has no port in %s", config)
	}
	node := &besieged{cmd: n.cmd, bin: n.bin, root: filepath.Join(dir, "root"),
		socket: filepath.Join(dir, "root", "loop.sock")}
	median, evm := node.plugin(t, "median"), node.plugin(t, "evm")
	host := parentOf(t, median)
	abstract := fmt.Sprintf("loop-attack-%d", host)
	l, err := net.Listen("unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	outcome, said := attackFrom(t, folderOf(t, median), target{
		Host: host, Victim: evm, Password: strings.TrimSpace(string(password)), Root: node.root,
		Database: filepath.Join(node.root, "loop.db"), Config: filepath.Join(dir, "config.toml"),
		Other: filepath.Join(dir, "password"), Socket: node.socket, TCP: "127.0.0.1:" + string(port[1]), Abstract: abstract,
	})
	t.Log(strings.Join(said, "\n"))
	if now := node.plugin(t, "evm"); now != evm {
		t.Errorf("the other plugin ended: its process was %d and is %d", evm, now)
	}
	if now := node.plugin(t, "median"); now != median {
		t.Errorf("the plugin ended while it attacked: its process was %d and is %d", median, now)
	}
	return outcome
}

// end ends the network as its user does.
func (n *network) end(t *testing.T) (result networkResult) {
	t.Helper()
	if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for range n.rounds {
	}
	err := n.cmd.Wait()
	if err := json.Unmarshal(n.out.Bytes(), &result); err != nil {
		t.Fatalf("devnet printed %q: %v", n.out.String(), err)
	}
	if err != nil {
		t.Errorf("devnet ended with %v", err)
	}
	return result
}

// install puts a program into a folder from which every user starts it.
func install(t *testing.T, folder, name string, program []byte) {
	t.Helper()
	if err := executable.Write(filepath.Join(folder, name), program, 0o755); err != nil {
		t.Fatal(err)
	}
}

// parentOf is the parent of a process.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}
