package scaffold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/scaffold"
)

// checkout is the repository that the templates are built against.
func checkout(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a command outside the workspace, as an author does.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-trimpath")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestGoTemplates writes, builds and vets each template for Go, and runs the conformance suite against it as it is.
func TestGoTemplates(t *testing.T) {
	t.Parallel()
	suite := filepath.Join(t.TempDir(), "conformance")
	run(t, filepath.Join(checkout(t), "tools", "conformance"), "go", "build", "-o", suite, ".")
	for _, kind := range scaffold.Kinds() {
		t.Run(kind, func(t *testing.T) { // one after another: the suite times what it sees
			dir, files, err := scaffold.Write(scaffold.Settings{Kind: kind, Lang: "go", Name: "my-first", Dir: filepath.Join(t.TempDir(), "plugin"), SDK: checkout(t)})
			if err != nil {
				t.Fatal(err)
			}
			if len(files) < 3 {
				t.Fatalf("only %v were written", files)
			}
			run(t, dir, "go", "mod", "tidy")
			run(t, dir, "go", "vet", "./...")
			if unformatted := run(t, dir, "gofmt", "-l", "."); unformatted != "" {
				t.Errorf("not formatted: %s", unformatted)
			}
			run(t, dir, "go", "build", "-o", "loop-my-first", ".")
			run(t, dir, suite, "--kind", kind, "--", "./loop-my-first")
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings scaffold.Settings
		want     string
	}{
		"kind":     {scaffold.Settings{Kind: "tree", Lang: "go", Name: "x"}, `--kind "tree": there are templates for median and relayer`},
		"lang":     {scaffold.Settings{Kind: "median", Lang: "cobol", Name: "x"}, `--lang "cobol"`},
		"no name":  {scaffold.Settings{Kind: "median", Lang: "go"}, `"" is no name for a plugin`},
		"path":     {scaffold.Settings{Kind: "median", Lang: "go", Name: "../x"}, `"../x" is no name for a plugin`},
		"capitals": {scaffold.Settings{Kind: "median", Lang: "go", Name: "Price"}, `"Price" is no name`},
		"long":     {scaffold.Settings{Kind: "median", Lang: "go", Name: strings.Repeat("x", 41)}, "is no name"},
		"sdk":      {scaffold.Settings{Kind: "median", Lang: "go", Name: "x", SDK: t.TempDir()}, "is no checkout of LOOP"},
		"exists":   {scaffold.Settings{Kind: "median", Lang: "go", Name: "x", Dir: t.TempDir()}, "exists already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := scaffold.Write(test.settings); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
}
