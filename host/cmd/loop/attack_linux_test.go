package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

var update = flag.Bool("update", false, "write the table of attacks into docs/security.md")

const (
	attackPage  = "../../../docs/security.md"
	attackBegin = "<!-- The table is written by make attack. -->\n"
	attackEnd   = "<!-- The table ends. -->\n"
	stopped     = "."
	succeeded   = "S"

	ordinary = 10001 // a user without a name
)

// battle is a node whose median is hostile.
type battle struct {
	level confine.Level
	root  bool
	// bare is a kernel without Landlock.
	bare bool
	// python is the interpreter of a median in Python; without one it is that in Go, or another program named.
	python, program string
}

func (b battle) String() string {
	name := string(b.level)
	if b.root {
		name += ", root"
	}
	if b.bare {
		name += ", no Landlock"
	}
	return name
}

var battles = []battle{
	{level: confine.None}, {level: confine.Limits}, {level: confine.Landlock},
	{level: confine.Namespace},
	{level: confine.Landlock, root: true}, {level: confine.User, root: true}, {level: confine.Namespace, root: true},
	{level: confine.Namespace, bare: true}, {level: confine.User, root: true, bare: true},
	{level: confine.Namespace, root: true, bare: true},
}

// What a hostile plugin achieves is what docs/security.md says, as root and as an ordinary user, and what it starts
// ends with it.
func TestAttacks(t *testing.T) {
	columns := map[string]map[string]string{}
	var names, refused []string
	for _, a := range attempts() {
		names = append(names, a.what)
	}
	names = append(names, "live on when the plugin has ended")
	for _, b := range battles {
		t.Run(b.String(), func(t *testing.T) {
			switch {
			case b.level == confine.Landlock && confine.ABI() == 0:
				t.Skip("this kernel has no Landlock")
			case b.root && os.Geteuid() != 0:
				t.Skip("this test is not root's")
			}
			columns[b.String()], refused = b.fight(t)
			if made := len(columns[b.String()]); made != len(names) {
				t.Errorf("%d of %d attempts were made", made, len(names))
			}
			for _, said := range refused {
				t.Log(said)
			}
		})
	}
	if t.Failed() {
		return
	}
	before, table, after := readAttackPage(t)
	if *update {
		if len(columns) < len(battles) {
			t.Fatal("a table wants a kernel with Landlock, and root")
		}
		page := before + attackBegin + attackTable(names, columns) + attackEnd + after
		if err := os.WriteFile(attackPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	stated := readAttackTable(table)
	if diff := cmp.Diff(names, stated[""]); diff != "" {
		t.Errorf("the table of docs/security.md has other attacks (-has +wants; run make attack as root):\n%s", diff)
	}
	for name, column := range columns {
		// An older kernel prevents less, and a container's filter of system calls prevents more. The page states the least
		// that this kernel prevents.
		if name != string(confine.None) && name != string(confine.Limits) && confine.ABI() < 6 {
			continue
		}
		for at, what := range names {
			if len(stated[name]) == len(names) && stated[name][at] == stopped && column[what] == succeeded {
				t.Errorf("%s: docs/security.md says that a plugin cannot %s, and it can", name, what)
			}
		}
	}
}

// A plugin in Python achieves no more than one in Go.
func TestAttacksInPython(t *testing.T) {
	python := os.Getenv("LOOP_TEST_PYTHON")
	if python == "" {
		t.Skip("LOOP_TEST_PYTHON names no Python that has the plugins: run make test-python")
	}
	b := battle{level: confine.Landlock, root: os.Geteuid() == 0, python: python} // who can read that Python
	if confine.ABI() < 6 {
		t.Skip("this kernel's Landlock is older than the table's")
	}
	outcome, said := b.fight(t)
	t.Log(strings.Join(said, "\n"))
	b.asStated(t, outcome)
}

// asStated checks that no attempt succeeds that docs/security.md says does not.
func (b battle) asStated(t *testing.T, outcome map[string]string) {
	t.Helper()
	_, table, _ := readAttackPage(t)
	stated := readAttackTable(table)
	if len(outcome) < 20 {
		t.Errorf("%d attempts were made", len(outcome))
	}
	for what, came := range outcome {
		at := slices.Index(stated[""], what)
		if at < 0 {
			t.Errorf("the table of docs/security.md lacks %q", what)
		} else if stated[b.String()][at] == stopped && came == succeeded {
			t.Errorf("docs/security.md says that a plugin cannot %s, and it can", what)
		}
	}
}

// readAttackPage reads the page: the table, and what stands before and after it.
func readAttackPage(t *testing.T) (before, table, after string) {
	t.Helper()
	page, err := os.ReadFile(attackPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), attackBegin)
	table, after, ended := strings.Cut(rest, attackEnd)
	if !found || !ended {
		t.Fatal("docs/security.md has lost its table of attacks")
	}
	return before, table, after
}

// attackTable is the table for people.
func attackTable(names []string, columns map[string]map[string]string) string {
	var b strings.Builder
	b.WriteString("| a plugin tries to |")
	for _, battle := range battles {
		fmt.Fprintf(&b, " %s |", battle)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(battles)) + "\n")
	for _, what := range names {
		fmt.Fprintf(&b, "| %s |", what)
		for _, battle := range battles {
			fmt.Fprintf(&b, " %s |", columns[battle.String()][what])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// readAttackTable returns the table's columns by their heads. The column of the attacks has the empty head.
func readAttackTable(table string) map[string][]string {
	columns := map[string][]string{}
	var heads []string
	for at, line := range strings.Split(strings.TrimSpace(table), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case at == 0:
			heads = append([]string{""}, cells[1:]...)
		case at > 1 && len(cells) == len(heads):
			for i, head := range heads {
				columns[head] = append(columns[head], cells[i])
			}
		}
	}
	return columns
}

// fight runs a node with a hostile median and returns what came of each attempt, and what was said to it.
func (b battle) fight(t *testing.T) (map[string]string, []string) {
	n := b.start(t)
	median, evm := n.plugin(t, "median"), n.plugin(t, "evm")
	folder := folderOf(t, median)
	abstract := fmt.Sprintf("loop-attack-%d", n.cmd.Process.Pid)
	l, err := net.Listen("unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address, err := url.Parse(n.url)
	if err != nil {
		t.Fatal(err)
	}
	outcome, said := attackFrom(t, folder, target{
		Host: n.cmd.Process.Pid, Victim: evm, Password: n.password,
		Root: n.root, Database: filepath.Join(n.root, "loop.db"), Config: n.config, Other: n.other,
		Socket: n.socket, TCP: address.Host, Abstract: abstract,
	})
	// The node and the other plugin go on.
	if now := n.plugin(t, "evm"); now != evm {
		t.Errorf("the other plugin ended: its process was %d and is %d", evm, now)
	}
	n.loop(t, "plugins", "restart", "median")
	outcome["live on when the plugin has ended"] = stopped
	if left := staying(t, n.bin); len(left) > 0 {
		outcome["live on when the plugin has ended"] = succeeded
		t.Errorf("the plugin has ended and %v lives on", left)
	}
	return outcome, said
}

// attackFrom has the hostile plugin of a folder attack, and returns what came of each attempt and what was said to it.
func attackFrom(t *testing.T, folder string, what target) (outcome map[string]string, said []string) {
	t.Helper()
	what.VictimFolder = folderOf(t, what.Victim)
	what.VictimSocket = socketIn(t, what.VictimFolder)
	callbacks, err := filepath.Glob(filepath.Join(filepath.Dir(folder), "h*"))
	if err != nil || len(callbacks) == 0 {
		t.Fatalf("the node has no sockets for plugins: %v", err)
	}
	what.Callbacks = callbacks[0]
	c, err := net.Dial("unix", filepath.Join(folder, "attack"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The plugin reads to the end: bytes that it left unread would reset the connection, and lose answers on their way.
	if err := errors.Join(json.NewEncoder(c).Encode(what), c.(*net.UnixConn).CloseWrite()); err != nil {
		t.Fatal(err)
	}
	outcome = map[string]string{}
	for lines := json.NewDecoder(c); ; {
		var line [2]string
		if err := lines.Decode(&line); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return outcome, said
		}
		outcome[line[0]] = succeeded
		if line[1] != "" {
			outcome[line[0]] = stopped
			said = append(said, line[0]+": "+line[1])
		}
	}
}

// staying are the processes that a hostile plugin of a folder has left behind.
func staying(t *testing.T, bin string) []string {
	t.Helper()
	var left []string
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environments {
		text, _ := os.ReadFile(path) // it may have ended, or be another user's
		program, _ := os.Readlink(filepath.Join(filepath.Dir(path), "exe"))
		if bytes.Contains(text, []byte("HOSTILE_STAYS=")) && strings.HasPrefix(program, bin) {
			left = append(left, path)
		}
	}
	return left
}

// folderOf is the folder of a plugin's process.
func folderOf(t *testing.T, pid int) string {
	t.Helper()
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	for variable := range strings.SplitSeq(string(environment), "\x00") {
		if folder, found := strings.CutPrefix(variable, "PLUGIN_UNIX_SOCKET_DIR="); found {
			return folder
		}
	}
	t.Fatal("a plugin has no folder")
	return ""
}

// socketIn is the socket in a plugin's folder.
func socketIn(t *testing.T, folder string) string {
	t.Helper()
	var socket string
	if err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type() == fs.ModeSocket {
			socket = path
		}
		return err
	}); err != nil || socket == "" {
		t.Fatalf("a plugin has no socket in %s: %v", folder, err)
	}
	return socket
}

// besieged is a running node and what is around it.
type besieged struct {
	cmd                                             *exec.Cmd
	bin, root, config, other, password, socket, url string
}

// start starts the node as the user of the battle.
func (b battle) start(t *testing.T) *besieged {
	t.Helper()
	dir, err := os.MkdirTemp("", "loop") // a test's own folder is too deep for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &besieged{
		bin: filepath.Join(dir, "bin"), root: filepath.Join(dir, "node"), password: "correct horse battery staple",
		config: filepath.Join(dir, "etc", "node.toml"), other: filepath.Join(dir, "etc", "other"),
	}
	sockets := filepath.Join(dir, "s")
	for _, folder := range []string{n.bin, n.root, filepath.Dir(n.config), sockets} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"loop", "hostile", "flooder", "bare", "loop-evm"} {
		install(t, n.bin, name, program)
	}
	text := fmt.Sprintf(`RootDir = %q
[WebServer]
HTTPPort = 0
[P2P.V2]
ListenAddresses = [%q]
[Plugins]
SocketDir = %q
HealthTimeout = "30s" # a machine that is busy with attacks must not be what ends the other plugin
[Plugins.Median]
Confine = %q
[Plugins.EVM]
Confine = %q
[[EVM]]
ChainID = "1"
[[EVM.Nodes]]
Name = "nobody"
HTTPURL = "http://127.0.0.1:9"
`, n.root, ports.Address(t), sockets, b.level, b.level)
	for path, content := range map[string]string{n.config: text, n.other: "other"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.cmd = exec.Command(filepath.Join(n.bin, "loop"), "node", "start", "--json", "--config", n.config)
	if b.bare {
		n.cmd = exec.Command(filepath.Join(n.bin, "bare"), n.cmd.Args...)
	}
	n.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "CL_PASSWORD_KEYSTORE=" + n.password,
		"CL_EVM_CMD=" + filepath.Join(n.bin, "loop-evm"), "CL_MEDIAN_CMD=" + b.median(t, n.bin)}
	if !b.root && os.Geteuid() == 0 {
		n.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
		for _, path := range []string{dir, n.root, n.config, n.other, filepath.Dir(n.config), sockets} {
			if err := os.Chown(path, ordinary, ordinary); err != nil {
				t.Fatal(err)
			}
		}
	}
	var log bytes.Buffer
	n.cmd.Stderr = &log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		_ = n.cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	var said struct{ URL, Socket string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&said); err != nil {
		t.Fatalf("the node does not start: %v", err)
	}
	n.url, n.socket = said.URL, said.Socket
	return n
}

// median is the command of a hostile median in a folder.
func (b battle) median(t *testing.T, bin string) string {
	t.Helper()
	if b.python == "" && b.program == "" {
		return filepath.Join(bin, "hostile")
	} else if b.python == "" {
		return filepath.Join(bin, b.program)
	}
	script := filepath.Join(bin, "hostile.py")
	text, err := os.ReadFile("testdata/hostile.py")
	if err == nil {
		err = executable.Write(script, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.python + " " + script
}

// loop runs the command line of the node's user.
func (n *besieged) loop(t *testing.T, arguments ...string) []byte {
	t.Helper()
	cmd := exec.Command(filepath.Join(n.bin, "loop"), append(arguments, "--json")...)
	cmd.Env, cmd.SysProcAttr = []string{"LOOP_NODE_SOCKET=" + n.socket}, n.cmd.SysProcAttr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("loop %s: %v", strings.Join(arguments, " "), err)
	}
	return out
}

// plugin is the process of a plugin.
func (n *besieged) plugin(t *testing.T, name string) int {
	t.Helper()
	var list struct {
		Plugins []struct {
			Name string
			PID  int
		}
	}
	if err := json.Unmarshal(n.loop(t, "plugins", "list"), &list); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(list.Plugins, func(p struct {
		Name string
		PID  int
	}) bool {
		return p.Name == name
	})
	if at < 0 {
		t.Fatalf("there is no plugin %s", name)
	}
	return list.Plugins[at].PID
}
