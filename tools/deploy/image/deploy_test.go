package image

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// repository is the root of the checkout.
const repository = "../../.."

func dockerfiles(t *testing.T) map[string]*File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(repository, "deploy", "*.Dockerfile"))
	if err != nil || len(names) < 2 {
		t.Fatalf("Dockerfiles in deploy/: %q, %v", names, err)
	}
	files := map[string]*File{}
	for _, name := range names {
		file, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = file
	}
	return files
}

func TestDockerfilesHaveNoWarnings(t *testing.T) {
	t.Parallel()
	for _, file := range dockerfiles(t) {
		for _, warning := range file.Warnings {
			t.Error(warning)
		}
	}
}

var pinnedImage = regexp.MustCompile(`^[a-z]+:[a-z0-9.-]*[0-9]+\.?[a-z0-9.-]*@sha256:[0-9a-f]{64}$`)

// Images of others are pinned by tag and digest; all Dockerfiles name the same ones, so that they share layers.
func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	byRepository := map[string]string{}
	for name, file := range dockerfiles(t) {
		for _, stage := range file.Stages {
			if stage.BaseName == "${NODE_IMAGE}" {
				continue // our own
			}
			if !pinnedImage.MatchString(stage.BaseName) {
				t.Errorf("%s: FROM %s is not pinned by a tag with a version and a digest", name, stage.BaseName)
			}
			repository, _, _ := strings.Cut(stage.BaseName, ":")
			if before, known := byRepository[repository]; known && before != stage.BaseName {
				t.Errorf("%s: FROM %s, elsewhere %s", name, stage.BaseName, before)
			}
			byRepository[repository] = stage.BaseName
		}
	}
	if byRepository["golang"] == "" || byRepository["debian"] == "" {
		t.Errorf("images: %v", byRepository)
	}
}

var (
	goImage     = regexp.MustCompile(`^golang:(\d+\.\d+)\.(\d+)-`)
	goDirective = regexp.MustCompile(`(?m)^go (\d+\.\d+)\.(\d+)$`)
)

// The image of Go has the release that go.mod names, in a patch that every module takes: it must not fetch another.
func TestImageOfGoFitsTheModules(t *testing.T) {
	t.Parallel()
	build := dockerfiles(t)["node.Dockerfile"].Stages[0].BaseName
	image := goImage.FindStringSubmatch(build)
	if image == nil {
		t.Fatalf("the build stage is FROM %s", build)
	}
	patch, err := strconv.Atoi(image[2])
	if err != nil {
		t.Fatal(err)
	}
	modules := []string{"go.mod", "host/go.mod", "plugins/stark/go.mod"}
	plugins, err := filepath.Glob(filepath.Join(repository, "plugins/*/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range plugins {
		modules = append(modules, strings.TrimPrefix(name, repository+"/"))
	}
	for _, name := range modules {
		content, err := os.ReadFile(filepath.Join(repository, name))
		if err != nil {
			t.Fatal(err)
		}
		named := goDirective.FindSubmatch(content)
		if named == nil {
			t.Fatalf("%s has no go directive", name)
		}
		least, err := strconv.Atoi(string(named[2]))
		if err != nil {
			t.Fatal(err)
		}
		if string(named[1]) != image[1] || least > patch {
			t.Errorf("%s says %s, and deploy/ builds with %s", name, named[0], build)
		}
	}
}

func TestNobodyIsRoot(t *testing.T) {
	t.Parallel()
	for name, file := range dockerfiles(t) {
		user := ""
		last := file.Stages[len(file.Stages)-1]
		for _, command := range last.Commands {
			if c, ok := command.(*instructions.UserCommand); ok {
				user = c.User
			}
		}
		uid, gid, err := owner(user)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if inherits := last.BaseName == "${NODE_IMAGE}" && user == ""; !inherits && (uid == 0 || gid == 0) {
			t.Errorf("%s: the image's user is %q", name, user)
		}
	}
}

// Every plugin that ships has its variable, and no other.
func TestEveryPluginHasItsVariable(t *testing.T) {
	t.Parallel()
	commands, err := filepath.Glob(filepath.Join(repository, "plugins/*/cmd/loop-*"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for _, command := range commands {
		binary := filepath.Base(command)
		want = append(want,
			fmt.Sprintf("CL_%s_CMD=/usr/local/bin/%s", strings.ToUpper(strings.TrimPrefix(binary, "loop-")), binary))
	}
	got := []string{}
	stages := dockerfiles(t)["plugins.Dockerfile"].Stages
	for _, command := range stages[len(stages)-1].Commands {
		if env, ok := command.(*instructions.EnvCommand); ok {
			for _, pair := range env.Env {
				got = append(got, pair.String())
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ENV of plugins.Dockerfile (-want +got):\n%s", diff)
	}
}

// What the steps copy from the repository is there and passes .dockerignore, whose other purpose is to keep the rest
// out.
func TestContextHoldsWhatIsCopied(t *testing.T) {
	t.Parallel()
	for name, file := range dockerfiles(t) {
		for number, parsed := range file.Stages {
			s := &stage{builder: &Builder{Context: repository}, image: &Image{Root: t.TempDir(), Dir: "/src"}}
			for _, command := range parsed.Commands {
				if c, ok := command.(*instructions.CopyCommand); ok && c.From == "" {
					if err := s.copy(c); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			if number > 0 {
				continue
			}
			for file, there := range map[string]bool{
				"go.mod": true, "go.sum": true, "plugins/median/cmd/loop-median/main.go": true, "plugins/examples": false,
				"gen/python": false, "sdk/python": false, "plugins/median/median_test.go": false, "tools": false, ".git": false,
			} {
				if _, err := os.Stat(filepath.Join(s.image.Root, "src", file)); (err == nil) != there {
					t.Errorf("%s: %s is in the build stage: %t, want %t", name, file, err == nil, there)
				}
			}
		}
	}
	ignored, err := ignore(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{".git/config", ".venv/ready", "bin/loop", "node.toml", "loop.db", "deploy/password"} {
		if left, err := ignored.MatchesOrParentMatches(secret); err != nil || !left {
			t.Errorf("%s goes to the builder: %v", secret, err)
		}
	}
}
