// Release makes everything that a release of LOOP is made of, from the last commit of a clean checkout: the modules
// without replace directives, tagged, and as a module proxy in files; programs for each platform, installed from that
// proxy as users install them, in archives with man pages, completions and a systemd unit; Python packages; bills of
// materials; and checksums. `make release VERSION=v0.1.0` runs it. It publishes nothing: it says what to push.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// project is the import path that every module begins with.
const project = "github.com/loop-plugins/loop"

// release is one run.
type release struct {
	version string
	commit  string    // that it is made from
	date    time.Time // of the commit: whatever is packed has it, so that two runs make the same bytes
	source  string    // the checkout
	work    string    // a folder for what is thrown away
	out     string
	log     io.Writer
}

func main() {
	version := flag.String("version", "", "the release's version, such as v0.1.0")
	out := flag.String("out", "dist", "folder to make, for what is released")
	python := flag.String("python", "python3", "the Python that builds the Python packages; empty: none are built")
	targets := flag.String("targets", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "platforms of the programs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *version, *out, *python, strings.Split(*targets, ","))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, version, out, python string, targets []string) (err error) {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return fmt.Errorf("--version is %q; a version is written vMAJOR.MINOR.PATCH, such as v0.1.0", version)
	}
	r := &release{version: version, log: os.Stdout}
	if r.out, err = filepath.Abs(out); err != nil {
		return err
	}
	if _, err := os.Stat(r.out); err == nil {
		return fmt.Errorf("%s exists already; remove it, or name another folder with --out", r.out)
	}
	if r.work, err = os.MkdirTemp("", "release-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	if err := r.checkout(ctx); err != nil {
		return err
	}
	defer func() {
		_, removed := output(context.WithoutCancel(ctx), ".", nil, "git", "worktree", "remove", "--force", r.source)
		err = errors.Join(err, removed)
	}()
	if err := r.packages(ctx, python); err != nil {
		return err
	}
	modules, err := r.modules(ctx)
	if err != nil {
		return err
	}
	if err := r.programs(ctx, targets); err != nil {
		return err
	}
	if err := r.modulesArchive(); err != nil {
		return fmt.Errorf("pack the modules: %w", err)
	}
	if err := r.checksums(); err != nil {
		return err
	}
	tags, err := r.tag(ctx, modules)
	if err != nil {
		return err
	}
	r.say("Made %s. To publish it:\n  git push origin %s\n  make image TAG=%s\nand upload %s.",
		r.version, strings.Join(tags, " "), r.version, r.out)
	return nil
}

// checkout finds the commit and copies what it holds.
func (r *release) checkout(ctx context.Context) error {
	changed, err := output(ctx, ".", nil, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("the checkout holds changes that no commit has; commit or remove them:\n%s", changed)
	}
	if r.commit, err = output(ctx, ".", nil, "git", "rev-parse", "HEAD"); err != nil {
		return err
	}
	at, err := output(ctx, ".", nil, "git", "log", "-1", "--format=%cI")
	if err != nil {
		return err
	}
	if r.date, err = time.Parse(time.RFC3339, at); err != nil {
		return fmt.Errorf("read the date of the commit: %w", err)
	}
	r.source = filepath.Join(r.work, "source")
	_, err = output(ctx, ".", nil, "git", "worktree", "add", "--detach", r.source, r.commit)
	return err
}

// tag commits the modules as they are released, tags that commit once for each of them, and returns the tags.
func (r *release) tag(ctx context.Context, modules []*module) (tags []string, err error) {
	for _, args := range [][]string{{"add", "--all"}, {"commit", "--quiet", "--message", "Release " + r.version}} {
		if _, err := output(ctx, r.source, nil, "git", args...); err != nil {
			return nil, err
		}
	}
	for _, m := range modules {
		tag := r.version
		if m.dir != "." {
			tag = m.dir + "/" + r.version
		}
		if _, err := output(ctx, r.source, nil, "git", "tag", tag); err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

func (r *release) say(format string, args ...any) { _, _ = fmt.Fprintf(r.log, format+"\n", args...) }

// output runs a command in a folder and returns what it printed, without the line's end.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// here is the platform that this program runs on.
func here() string { return runtime.GOOS + "/" + runtime.GOARCH }
