package image

import (
	"bufio"
	"bytes"
	"context"
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
	"slices"
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
	Enter()
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

// TestImages carries out the Dockerfiles' own steps in root folders that debootstrap made, and runs the node from them,
// as its user, with the root folder read-only. `make test-deploy` asks for it; LOOP_DEPLOY_DIR is where the base is
// kept.
//
// Only the bases are not the ones that the Dockerfiles name: debian is the same release from debootstrap, and golang
// that with this machine's own Go at its place.
func TestImages(t *testing.T) {
	dir := os.Getenv("LOOP_DEPLOY_DIR")
	if dir == "" {
		t.Skip("The images are built and run by `make test-deploy`.")
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("The steps of the images were not run: root folders want Linux and root; run make test-deploy as root.")
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		t.Skip("The steps of the images were not run: there is no debootstrap; install it (apt-get install debootstrap), " +
			"then run make test-deploy.")
	}
	root := debian(t, dir, "bookworm")
	node := buildImage(t, "node.Dockerfile", bases(t, root, nil))
	plugins := buildImage(t, "plugins.Dockerfile", bases(t, root, node))

	t.Run("content", func(t *testing.T) { checkContent(t, node, plugins) })
	t.Run("plugins are processes", func(t *testing.T) {
		n := start(t, plugins, "")
		n.expect(map[string]string{"median": "process", "evm": "process", "solana": "process", "starknet": "process"})
		n.answers()
		n.stop()
	})
	t.Run("an empty variable is the runtime in the node", func(t *testing.T) {
		n := start(t, plugins, chains, "CL_MEDIAN_CMD=", "CL_SOLANA_CMD=")
		n.expect(map[string]string{"median": "in the node", "evm": "process", "solana": "in the node", "starknet": "process"})
		n.answers()
		n.stop()
	})
	t.Run("the node's image has no process besides", func(t *testing.T) {
		n := start(t, node, chains)
		n.expect(map[string]string{"median": "in the node", "evm": "in the node", "solana": "in the node",
			"starknet": "in the node"})
		n.answers()
		n.stop()
	})
	t.Run("without a password", func(t *testing.T) {
		said, code := once(t, node, nil)
		if code != 2 || !strings.Contains(said, "CL_PASSWORD_KEYSTORE") {
			t.Errorf("exit code %d, want 2 and a word of CL_PASSWORD_KEYSTORE:\n%s", code, said)
		}
	})
}

// debian returns a root folder of a release of Debian, which debootstrap makes once, from where this machine has its
// packages.
func debian(t *testing.T, dir, release string) string {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, release)
	if _, err := os.Stat(root); err == nil {
		return root
	}
	mirrors, err := exec.CommandContext(t.Context(), "apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)",
		"Created-By: Packages").Output()
	if err != nil {
		t.Skipf("The steps of the images were not run: apt-get does not say where this machine has its packages: %v.", err)
	}
	mirror := ""
	for line := range strings.Lines(string(mirrors)) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == release && mirror == "" {
			mirror = words[1]
		}
	}
	if mirror == "" {
		t.Skipf("The steps of the images were not run: this machine's apt has no source of Debian %s; add one, then run "+
			"make test-deploy.", release)
	}
	begun := time.Now()
	making, err := os.MkdirTemp(dir, release+"-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(making)
	// A mirror may name packages newer than this machine's clock believes, so that only the output says what is wrong.
	if out, err := exec.CommandContext(t.Context(), "debootstrap", "--variant=minbase", release, making,
		mirror).CombinedOutput(); err != nil {
		said := strings.ReplaceAll(string(out), mirror, "MIRROR")
		t.Fatalf("debootstrap: %v:\n%s", err, said[max(0, len(said)-2000):])
	}
	for _, spare := range []string{"var/cache/apt", "var/lib/apt/lists"} {
		if err := os.RemoveAll(filepath.Join(making, spare)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(making, 0o755), os.Rename(making, root)); err != nil {
		t.Fatal(err)
	}
	t.Logf("debootstrap took %v", time.Since(begun).Round(time.Second))
	return root
}

// bases are the images that the Dockerfiles name, and what their own Dockerfiles set.
func bases(t *testing.T, root string, node *Image) func(string) (*Image, error) {
	t.Helper()
	const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	certificates, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		t.Skipf("The steps of the images were not run: golang's image has certificates, and this machine has none (%v): "+
			"install ca-certificates.", err)
	}
	golang := filepath.Join(t.TempDir(), "golang")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", "--reflink=auto", root,
		golang).CombinedOutput(); err != nil {
		t.Fatalf("copy the root folder: %v: %s", err, out)
	}
	file := filepath.Join(golang, "etc/ssl/certs/ca-certificates.crt")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, certificates, 0o644)); err != nil {
		t.Fatal(err)
	}
	return func(name string) (*Image, error) {
		repository, _, _ := strings.Cut(name, ":")
		switch repository {
		case "golang":
			return &Image{
				Root: golang, Env: []string{"PATH=/go/bin:/usr/local/go/bin:" + path, "GOPATH=/go", "GOTOOLCHAIN=local"},
				Dir:    "/go",
				Mounts: []Mount{{goEnv(t, "GOROOT"), "/usr/local/go"}},
			}, nil
		case "debian":
			return &Image{Root: root, Env: []string{"PATH=" + path}, Command: []string{"bash"}}, nil
		case "loop-node":
			if node != nil {
				return node, nil
			}
		}
		return nil, errors.New("this test has no such image")
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

func buildImage(t *testing.T, name string, base func(string) (*Image, error)) *Image {
	t.Helper()
	begun := time.Now()
	file, err := Parse(filepath.Join(repository, "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	builder := Builder{
		Context: repository, Dir: t.TempDir(), Base: base, Output: &output,
		Args:   map[string]string{"TARGETOS": runtime.GOOS, "TARGETARCH": runtime.GOARCH},
		Caches: map[string]string{"/go/pkg/mod": goEnv(t, "GOMODCACHE"), "/var/cache/go-build": goEnv(t, "GOCACHE")},
		// The steps have no network here: whoever asks for this test has downloaded the modules.
		Env: []string{"GOPROXY=off", "GOFLAGS=-mod=readonly"},
	}
	built, err := builder.Build(t.Context(), file)
	if err != nil {
		t.Fatalf("%v\n%s", err, output.String())
	}
	t.Logf("the steps of %s took %v", name, time.Since(begun).Round(time.Second))
	return built
}

// checkContent looks at what the images hold, without running it.
func checkContent(t *testing.T, node, plugins *Image) {
	want := map[string]string{"loop": "-tags=timetzdata"}
	for _, plugin := range []string{"median", "evm", "solana", "starknet"} {
		want["loop-"+plugin] = "CGO_ENABLED=0"
	}
	total := int64(0)
	for binary, setting := range want {
		path := filepath.Join(plugins.Root, "usr/local/bin", binary)
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
	if _, err := os.Stat(filepath.Join(node.Root, "usr/local/bin/loop-median")); err == nil {
		t.Error("the node's image holds a plugin")
	}
	for _, absent := range []string{"src", "usr/local/go", "go"} {
		if _, err := os.Stat(filepath.Join(plugins.Root, absent)); err == nil {
			t.Errorf("the image holds /%s", absent)
		}
	}
	for file, mode := range map[string]os.FileMode{"etc/ssl/certs/ca-certificates.crt": 0o644,
		"etc/loop/node.toml": 0o644} {
		if info, err := os.Stat(filepath.Join(node.Root, file)); err != nil || info.Mode() != mode {
			t.Errorf("/%s: %v, error %v", file, info, err)
		}
	}
	var data syscall.Stat_t
	if err := syscall.Stat(filepath.Join(node.Root, "var/lib/loop"), &data); err != nil || data.Uid != 10001 ||
		data.Gid != 10001 {
		t.Errorf("/var/lib/loop belongs to %d:%d, error %v", data.Uid, data.Gid, err)
	}
	if diff := cmp.Diff([]string{"6688", "6690"}, plugins.Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

// container is a node that runs.
type container struct {
	t       *testing.T
	image   *Image
	env     []string
	cmd     *exec.Cmd
	data    string
	said    *bytes.Buffer // complete once ended is closed
	ended   chan struct{}
	endedBy error
}

// process is the image's own command, with the root folder read-only, a folder of this test as the volume and /tmp in
// memory.
func process(t *testing.T, image *Image, config string, env []string) (p Process, data string) {
	t.Helper()
	if diff := cmp.Diff([]string{"/var/lib/loop"}, image.Volumes); diff != "" {
		t.Fatalf("volumes (-want +got):\n%s", diff)
	}
	uid, gid, err := owner(image.User)
	if err != nil {
		t.Fatal(err)
	}
	data = t.TempDir()
	if err := errors.Join(os.Chown(data, uid, gid), os.Chmod(data, 0o700)); err != nil {
		t.Fatal(err)
	}
	mounts := []Mount{{Source: data, Target: image.Volumes[0]}, {Target: "/tmp"}}
	if config != "" {
		file := filepath.Join(t.TempDir(), "node.toml")
		if err := os.WriteFile(file, []byte("[Log]\nFormat = 'json'\n"+config), 0o644); err != nil {
			t.Fatal(err)
		}
		mounts = append(mounts, Mount{Source: file, Target: "/etc/loop/node.toml"})
	}
	return Process{
		Root: image.Root, ReadOnly: true, Mounts: mounts, Env: With(image.Env, env...), Dir: image.Dir, User: image.User,
		Args: slices.Concat(image.Entrypoint, image.Command),
	}, data
}

// start runs the image's own command and waits until the node says that it is ready. config replaces the image's, if
// there is one.
func start(t *testing.T, image *Image, config string, env ...string) *container {
	t.Helper()
	env = append(env, "CL_PASSWORD_KEYSTORE=correct horse battery staple")
	p, data := process(t, image, config, env)
	n := &container{t: t, image: image, env: p.Env, data: data, said: &bytes.Buffer{}, ended: make(chan struct{})}
	var err error
	if n.cmd, err = p.Command(t.Context()); err != nil {
		t.Fatal(err)
	}
	reader, err := n.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
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
		_ = n.cmd.Process.Kill()
		<-n.ended
		t.Fatalf("the node was not ready within a minute\n%s", n.said)
	}
	return n
}

// once runs the image's command to its end.
func once(t *testing.T, image *Image, env []string) (said string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, _ := process(t, image, "", env)
	cmd, err := p.Command(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// inside runs a command as the node's user in the node's root folder, processes and network.
func (n *container) inside(args ...string) []byte {
	n.t.Helper()
	uid, gid, err := owner(n.image.User)
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.CommandContext(n.t.Context(), "nsenter", append([]string{
		"--target", strconv.Itoa(n.cmd.Process.Pid), "--mount", "--net", "--pid", "--root", "--wd",
		"--setuid", strconv.Itoa(uid), "--setgid", strconv.Itoa(gid), "--",
	}, args...)...)
	cmd.Env = n.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("%s: %v: %s", args, err, stderr.String())
	}
	return out
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
	said := n.inside(slices.Concat(n.image.Health, []string{"--json"})...)
	if err := json.Unmarshal(said, &listed); err != nil {
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
		here := fmt.Sprintf("/proc/%d/root/proc/%d", n.cmd.Process.Pid, plugin.Pid)
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
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
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
		cmd := exec.CommandContext(n.t.Context(), "nsenter", "--target", strconv.Itoa(n.cmd.Process.Pid), "--net", self)
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
