package main

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fetchVariable has this program ask for a URL and print the answer's status and body, in the network of a process.
const fetchVariable = "LOOP_DEPLOY_FETCH"

func TestMain(m *testing.M) {
	if url, asked := os.LookupEnv(fetchVariable); asked {
		fetch(url)
		return
	}
	os.Exit(m.Run())
}

func fetch(url string) {
	answer, err := http.Get(url)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	fmt.Println(answer.StatusCode)
	_, _ = io.Copy(os.Stdout, answer.Body)
}

// chains are the EVM, Solana and Starknet chains of a node in whose network nobody answers.
const chains = `
[[EVM]]
ChainID = '1337'
[[EVM.Nodes]]
Name = 'primary'
HTTPURL = 'http://127.0.0.1:1'
[[Solana]]
ChainID = 'localnet'
[[Solana.Nodes]]
Name = 'primary'
URL = 'http://127.0.0.1:1'
[[Starknet]]
ChainID = 'SN_SEPOLIA'
[[Starknet.Nodes]]
Name = 'primary'
URL = 'http://127.0.0.1:1'
`

// TestImages builds the images as docker would, and runs the node from them as its user, without privileges and with
// the root folder read-only. `make test-deploy` asks for it; LOOP_DEPLOY_DIR is where the engine keeps its images.
//
// Only the bases are not the ones that the Dockerfiles name: debian is the same release from debootstrap, and golang
// that with this machine's own Go at its place.
func TestImages(t *testing.T) {
	dir := os.Getenv("LOOP_DEPLOY_DIR")
	if dir == "" {
		t.Skip("The images are built and run by `make test-deploy`.")
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("The images were not built: that wants Linux and root; run make test-deploy as root.")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("The images were not built: there is no %s; install it (apt-get install %s), then run make test-deploy.",
				program, strings.Join(programs, " "))
		}
	}
	e := newEngine(t, dir)
	bases := map[string]string{"debian": e.debian("bookworm")}
	bases["golang"] = e.golang(bases["debian"])
	node := e.build("node.Dockerfile", bases)
	bases["loop-node"] = node.id
	plugins := e.build("plugins.Dockerfile", bases)

	t.Run("content", func(t *testing.T) { checkContent(t, node, plugins) })
	t.Run("plugins are processes", func(t *testing.T) {
		n := e.start(t, plugins, "")
		n.expect(map[string]string{"median": "process", "evm": "process", "solana": "process", "starknet": "process"})
		n.answers()
		n.stop()
	})
	t.Run("an empty variable is the runtime in the node", func(t *testing.T) {
		n := e.start(t, plugins, chains, "CL_MEDIAN_CMD=", "CL_SOLANA_CMD=")
		n.expect(map[string]string{"median": "in the node", "evm": "process", "solana": "in the node", "starknet": "process"})
		n.answers()
		n.stop()
	})
	t.Run("the node's image has no process besides", func(t *testing.T) {
		n := e.start(t, node, chains)
		n.expect(map[string]string{"median": "in the node", "evm": "in the node", "solana": "in the node",
			"starknet": "in the node"})
		n.answers()
		n.stop()
	})
	t.Run("without a password", func(t *testing.T) {
		cmd := e.command(append(e.container(t, "loop-alone", ""), node.id)...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), "CL_PASSWORD_KEYSTORE") {
			t.Errorf("exit code %d (%v), want 2 and a word of CL_PASSWORD_KEYSTORE:\n%s", code, err, out)
		}
	})
}

// checkContent looks at what the images hold, without running it.
func checkContent(t *testing.T, node, plugins *image) {
	want := map[string]string{"loop": "-tags=timetzdata"}
	for _, plugin := range []string{"median", "evm", "solana", "starknet"} {
		want["loop-"+plugin] = "CGO_ENABLED=0"
	}
	total := int64(0)
	for binary, setting := range want {
		path := filepath.Join(plugins.root, "usr/local/bin", binary)
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			t.Errorf("%s: %v", binary, err)
			continue
		}
		settings := map[string]bool{}
		for _, s := range info.Settings {
			settings[s.Key+"="+s.Value] = true
			if strings.HasPrefix(s.Key, "vcs") {
				t.Errorf("%s was built with %s=%s", binary, s.Key, s.Value)
			}
		}
		for _, needed := range []string{"CGO_ENABLED=0", "-trimpath=true", setting} {
			if !settings[needed] {
				t.Errorf("%s was built without %s: %v", binary, needed, info.Settings)
			}
		}
		if stat, err := os.Stat(path); err != nil || stat.Mode() != 0o755 {
			t.Errorf("%s: mode %v, error %v", binary, stat.Mode(), err)
		} else {
			total += stat.Size()
		}
	}
	t.Logf("the binaries of the image with plugins take %d MB", total>>20)
	if _, err := os.Stat(filepath.Join(node.root, "usr/local/bin/loop-median")); err == nil {
		t.Error("the node's image holds a plugin")
	}
	for _, absent := range []string{"src", "usr/local/go", "go"} {
		if _, err := os.Stat(filepath.Join(plugins.root, absent)); err == nil {
			t.Errorf("the image holds /%s", absent)
		}
	}
	for file, mode := range map[string]os.FileMode{"etc/ssl/certs/ca-certificates.crt": 0o644,
		"etc/loop/node.toml": 0o644} {
		if info, err := os.Stat(filepath.Join(node.root, file)); err != nil || info.Mode() != mode {
			t.Errorf("/%s: %v, error %v", file, info, err)
		}
	}
	var data syscall.Stat_t
	if err := syscall.Stat(filepath.Join(node.root, "var/lib/loop"), &data); err != nil || data.Uid != 10001 ||
		data.Gid != 10001 {
		t.Errorf("/var/lib/loop belongs to %d:%d, error %v", data.Uid, data.Gid, err)
	}
	if diff := cmp.Diff(map[string]struct{}{"6688/tcp": {}, "6690/tcp": {}}, plugins.Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

// container is a node that runs.
type container struct {
	t       *testing.T
	engine  *engine
	name    string
	pid     string // of the node, on this machine
	cmd     *exec.Cmd
	data    string
	said    *bytes.Buffer // complete once ended is closed
	ended   chan struct{}
	endedBy error
}

// container is the call of podman for a container: the image's own command in a network without a way out, with the
// root folder read-only and without privileges. A config replaces the image's own.
func (e *engine) container(t *testing.T, name, config string, mounts ...string) []string {
	t.Helper()
	args := append([]string{
		"run", "--rm", "--name", name, "--network=none", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges",
	}, limits...)
	if config != "" {
		file := filepath.Join(t.TempDir(), "node.toml")
		if err := os.WriteFile(file, []byte("[Log]\nFormat = 'json'\n"+config), 0o644); err != nil {
			t.Fatal(err)
		}
		mounts = append(mounts, file+":/etc/loop/node.toml:ro")
	}
	for _, mount := range mounts {
		args = append(args, "--volume", mount)
	}
	return args
}

// volume is a folder of this test as the volume of an image, which belongs to the image's user.
func volume(t *testing.T, of *image) string {
	t.Helper()
	if diff := cmp.Diff(map[string]struct{}{"/var/lib/loop": {}}, of.Volumes); diff != "" {
		t.Fatalf("volumes (-want +got):\n%s", diff)
	}
	if of.User != "10001:10001" {
		t.Fatalf("the image's user is %q", of.User)
	}
	data := t.TempDir()
	if err := errors.Join(os.Chown(data, 10001, 10001), os.Chmod(data, 0o700)); err != nil {
		t.Fatal(err)
	}
	return data
}

// start runs the image's own command and waits until the node says that it is ready.
func (e *engine) start(t *testing.T, of *image, config string, env ...string) *container {
	t.Helper()
	n := &container{
		t: t, engine: e, name: "loop-" + strconv.Itoa(os.Getpid()), data: volume(t, of), said: &bytes.Buffer{},
		ended: make(chan struct{}),
	}
	args := e.container(t, n.name, config, n.data+":/var/lib/loop")
	for _, pair := range append(env, "CL_PASSWORD_KEYSTORE=correct horse battery staple") {
		args = append(args, "--env", pair)
	}
	n.cmd = e.command(append(args, of.id)...)
	reader, err := n.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.command("rm", "--force", "--ignore", "--time=0", n.name).Run()
		<-n.ended
	})
	ready := make(chan struct{})
	go func() {
		defer close(n.ended)
		waiting := true
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			n.said.WriteString(scanner.Text() + "\n")
			if waiting && strings.Contains(scanner.Text(), "the node is ready") {
				close(ready)
				waiting = false
			}
		}
		n.endedBy = n.cmd.Wait()
	}()
	select {
	case <-ready:
	case <-n.ended:
		t.Fatalf("the node ended before it was ready: %v\n%s", n.endedBy, n.said)
	case <-time.After(time.Minute):
		t.Fatal("the node was not ready within a minute")
	}
	n.pid = e.run("inspect", "--format={{.State.Pid}}", n.name)
	return n
}

// firstProcess is the line of /proc/PID/status with a process's numbers, from this machine's to its own namespace's.
var firstProcess = regexp.MustCompile(`(?m)^NSpid:.*\t1$`)

// expect compares where plugins run, as the node tells and as /proc does.
func (n *container) expect(want map[string]string) {
	n.t.Helper()
	var listed struct {
		Plugins []struct {
			Name, State string
			InProcess   bool
			Pid         int
		}
	}
	n.engine.run("healthcheck", "run", n.name)
	said := n.engine.run("exec", n.name, "loop", "plugins", "list", "--json")
	if err := json.Unmarshal([]byte(said), &listed); err != nil {
		n.t.Fatalf("%v: %s", err, said)
	}
	got := map[string]string{}
	for _, plugin := range listed.Plugins {
		got[plugin.Name] = "process"
		if plugin.InProcess {
			got[plugin.Name] = "in the node"
			continue
		}
		// Process numbers are those of the container, and so is the /proc that is mounted in it.
		here := fmt.Sprintf("/proc/%s/root/proc/%d", n.pid, plugin.Pid)
		status, err := os.ReadFile(filepath.Join(here, "status"))
		if err != nil || !strings.Contains(string(status), "\nUid:\t10001\t10001\t10001\t10001\n") {
			n.t.Errorf("%s is not a process of user 10001: %v\n%s", plugin.Name, err, status)
		}
		words, err := os.ReadFile(filepath.Join(here, "cmdline"))
		if binary, _, _ := strings.Cut(string(words), "\x00"); err != nil || filepath.Base(binary) != "loop-"+plugin.Name {
			n.t.Errorf("%s is the process %q, error %v", plugin.Name, words, err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		n.t.Errorf("plugins (-want +got):\n%s\n%s", diff, said)
	}
	status, err := os.ReadFile("/proc/" + n.pid + "/status")
	if err != nil || !strings.Contains(string(status), "\nUid:\t10001\t") || !firstProcess.Match(status) {
		n.t.Errorf("the node is not the first process, of user 10001: %v\n%s", err, status)
	}
}

// answers asks for what an orchestrator asks for.
func (n *container) answers() {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, path := range []string{"/readyz", "/health", "/metrics", "/discovery"} {
		cmd := exec.CommandContext(n.t.Context(), "nsenter", "--target", n.pid, "--net", self)
		cmd.Env = []string{fetchVariable + "=http://127.0.0.1:6688" + path}
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("200\n")) {
			n.t.Errorf("%s: %v: %s", path, err, out)
		}
	}
	var database syscall.Stat_t
	if err := syscall.Stat(filepath.Join(n.data, "loop.db"), &database); err != nil || database.Uid != 10001 ||
		database.Mode&0o777 != 0o600 {
		n.t.Errorf("loop.db on the volume: %+v, error %v", database, err)
	}
}

// stop tells the node to end, as engines do, and wants it to end by itself.
func (n *container) stop() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	select {
	case <-n.ended:
	case <-time.After(30 * time.Second):
		n.t.Fatal("the node did not end within 30 s of SIGTERM")
	}
	if n.endedBy != nil || strings.Contains(n.said.String(), "panic") {
		n.t.Errorf("the node ended with %v:\n%s", n.endedBy, n.said)
	}
}
