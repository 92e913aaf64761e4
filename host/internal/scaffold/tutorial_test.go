package scaffold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pythonKey names the interpreter whose environment has the tools of the Python SDK: make test-tutorials sets it.
const pythonKey = "LOOP_TEST_PYTHON"

// checkout is the repository that the templates are built against.
func checkout(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// tutorial runs the commands of a section of docs/plugins.md in a new folder, as a reader does, and returns the folder.
// They write all templates of a language, build them, judge them as they are, and run a feed with them. Programs are
// looked for in path first.
func tutorial(t *testing.T, section string, path ...string) string {
	t.Helper()
	bin := filepath.Join(checkout(t), "bin")
	for _, program := range []string{"loop", "loop-median", "loop-evm", "conformance", "devnet"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			t.Skip("bin/" + program + " is not there: run make build")
		}
	}
	page, err := os.ReadFile(filepath.Join(checkout(t), "docs", "plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(blocks) < 4 {
		t.Fatalf("docs/plugins.md has %d blocks of commands in its section %s; it has lost its tutorial", len(blocks),
			section)
	}
	var script strings.Builder
	for _, block := range blocks {
		// A machine that runs tests has less time for plugins than a reader's.
		script.WriteString(strings.ReplaceAll(block[1], "conformance --kind", "conformance --patience 10 --kind"))
	}
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", script.String())
	c.Dir = dir
	path = append(path, bin, os.Getenv("PATH"))
	c.Env = append(os.Environ(), "LOOP="+checkout(t), "PATH="+strings.Join(path, string(os.PathListSeparator)),
		"GOFLAGS=-trimpath")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v after\n%s", err, out[max(0, len(out)-10_000):])
	}
	t.Logf("%s", out)
	return dir
}

// quiet runs a linter that is to have nothing to say.
func quiet(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s %s in %s: %v\n%s", name, strings.Join(args, " "), filepath.Base(dir), err, out)
	}
}

func TestGoTutorial(t *testing.T) {
	t.Parallel()
	dir := tutorial(t, "Go")
	for _, plugin := range []string{"loop-my-median", "loop-my-product", "loop-my-report", "loop-my-chain"} {
		quiet(t, filepath.Join(dir, plugin), "go", "vet", "./...")
		quiet(t, filepath.Join(dir, plugin), "gofmt", "-l", ".")
	}
}

func TestPythonTutorial(t *testing.T) {
	t.Parallel()
	python := os.Getenv(pythonKey)
	if python == "" {
		t.Skip(pythonKey + " names no interpreter with the tools of the Python SDK: run make test-tutorials")
	}
	tools := filepath.Dir(python)
	dir := tutorial(t, "Python", tools)
	for _, plugin := range []string{"loop-my-median", "loop-my-product", "loop-my-report", "loop-my-chain"} {
		quiet(t, filepath.Join(dir, plugin), filepath.Join(tools, "ruff"), "format", "--check", "--quiet", ".")
	}
}
