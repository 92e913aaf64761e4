package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// engine is podman with a store of its own: it needs no daemon, builds Dockerfiles by buildah's code, and touches no
// image of this machine.
type engine struct {
	t   *testing.T
	dir string
}

// limits are of a container's processes and files. What podman would raise them to is more than root may on some
// machines.
var limits = []string{"--ulimit=nproc=4096:4096", "--ulimit=nofile=4096:4096"}

// programs are what TestImages needs besides Go, by the Debian packages of the same names.
var programs = []string{"podman", "runc", "debootstrap"}

// newEngine keeps its images in a folder, where the next run finds those that did not change.
func newEngine(t *testing.T, dir string) *engine {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	return e
}

// command is a call of podman. runc, not crun, because machines with both versions of cgroups are among CI's.
func (e *engine) command(args ...string) *exec.Cmd {
	// Cleanups call it too, when the test's context has ended.
	cmd := exec.CommandContext(context.WithoutCancel(e.t.Context()), "podman", append([]string{
		"--root", filepath.Join(e.dir, "storage"), "--runroot", filepath.Join(e.dir, "run"), "--runtime", "runc",
		"--cgroup-manager", "cgroupfs", "--events-backend", "none",
	}, args...)...)
	// Cache mounts are kept in the folder for temporary files.
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(e.dir, "tmp"))
	return cmd
}

// run calls podman and returns what it prints, without the last line's end.
func (e *engine) run(args ...string) string {
	e.t.Helper()
	return said(e.t, e.command(args...))
}

// said runs a command to its end, and returns what it prints.
func said(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v:\n%s%s", cmd, err, tail(out), tail(stderr.Bytes()))
	}
	return strings.TrimSuffix(string(out), "\n")
}

// tail is the end of what a program printed.
func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }

// debian makes the image of a release of Debian once, by debootstrap, from where this machine has its packages.
func (e *engine) debian(release string) string {
	e.t.Helper()
	image := "localhost/debian:" + release
	if e.command("image", "exists", image).Run() == nil {
		return image
	}
	begun := time.Now()
	root := filepath.Join(e.t.TempDir(), release)
	// A mirror may name packages newer than this machine's clock believes, so that only the output says what is wrong.
	mirror := e.mirror(release)
	if out, err := exec.CommandContext(e.t.Context(), "debootstrap", "--variant=minbase", release, root,
		mirror).CombinedOutput(); err != nil {
		e.t.Fatalf("debootstrap: %v:\n%s", err, tail(bytes.ReplaceAll(out, []byte(mirror), []byte("MIRROR"))))
	}
	packed := filepath.Join(e.t.TempDir(), "debian.tar")
	said(e.t, exec.CommandContext(e.t.Context(), "tar", "-C", root, "--exclude=./var/cache/apt/*",
		"--exclude=./var/lib/apt/lists/*", "-cf", packed, "."))
	e.run("import", "--change", "ENV PATH="+binaries, "--change", `CMD ["bash"]`, packed, image)
	e.t.Logf("the image of Debian took %v", time.Since(begun).Round(time.Second))
	return image
}

const binaries = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// mirror is where this machine has packages of a release of Debian.
func (e *engine) mirror(release string) string {
	e.t.Helper()
	mirrors, err := exec.CommandContext(e.t.Context(), "apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)",
		"Created-By: Packages").Output()
	if err != nil {
		e.t.Skipf("The images were not built: apt-get does not say where this machine has its packages: %v.", err)
	}
	for line := range strings.Lines(string(mirrors)) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == release {
			return words[1]
		}
	}
	e.t.Skipf("The images were not built: this machine's apt has no source of Debian %s; add one, then run "+
		"make test-deploy.", release)
	return ""
}

// golang makes an image of Debian with what golang's has besides, all of it this machine's: certificates and, mounted
// while something is built, Go and the modules that are downloaded here.
func (e *engine) golang(debian string) string {
	e.t.Helper()
	const certificates = "/etc/ssl/certs/ca-certificates.crt"
	folder := e.t.TempDir()
	content, err := os.ReadFile(certificates)
	if err != nil {
		e.t.Skipf("The images were not built: golang's image has certificates, and this machine has none (%v): install "+
			"ca-certificates.", err)
	}
	dockerfile := "FROM " + debian + "\nCOPY ca-certificates.crt /etc/ssl/certs/\nWORKDIR /go\n" +
		"ENV PATH=/go/bin:/usr/local/go/bin:" + binaries + " GOPATH=/go GOTOOLCHAIN=local " +
		"GOPROXY=file:///proxy GOSUMDB=off GOFLAGS=-mod=readonly\n"
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "ca-certificates.crt"), content, 0o644),
		os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(dockerfile), 0o644)); err != nil {
		e.t.Fatal(err)
	}
	const image = "localhost/golang"
	e.run("build", "--quiet", "--tag", image, folder)
	return image
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return said(t, exec.CommandContext(t.Context(), "go", "env", name))
}

// image is what an image says of itself, and its files.
type image struct {
	id, root   string
	User       string
	Env        []string
	WorkingDir string
	Entrypoint []string
	Cmd        []string
	Volumes    map[string]struct{}
	Ports      map[string]struct{} `json:"ExposedPorts"`
}

// build builds a Dockerfile of deploy/ as docker would, without a network; bases stand for the images that it names.
func (e *engine) build(name string, bases map[string]string) *image {
	e.t.Helper()
	begun := time.Now()
	args := append([]string{"build", "--quiet", "--format=docker", "--network=none", "--pull=never",
		"--file", filepath.Join(repository, "deploy", name),
		"--volume", goEnv(e.t, "GOROOT") + ":/usr/local/go:ro",
		"--volume", filepath.Join(goEnv(e.t, "GOMODCACHE"), "cache/download") + ":/proxy:ro",
	}, limits...)
	for _, stage := range dockerfiles(e.t)[name] {
		repository, _, _ := strings.Cut(stage.BaseName, ":")
		if base, known := bases[repository]; known {
			args = append(args, "--build-context="+stage.BaseName+"=container-image://"+base)
		}
	}
	if node, known := bases["loop-node"]; known {
		args = append(args, "--build-arg=NODE_IMAGE="+node)
	}
	built := &image{id: e.run(append(args, repository)...)}
	e.t.Logf("building %s took %v", name, time.Since(begun).Round(time.Second))
	if err := json.Unmarshal([]byte(e.run("image", "inspect", "--format={{json .Config}}", built.id)), built); err != nil {
		e.t.Fatal(err)
	}
	built.root = e.run("image", "mount", built.id)
	e.t.Cleanup(func() { e.run("image", "unmount", built.id) })
	return built
}
