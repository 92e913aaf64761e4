package main

import (
	"bytes"
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
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// repository is the root of the checkout.
const repository = "../.."

// dockerfiles are the stages of each Dockerfile in deploy/; the last is the image.
func dockerfiles(t *testing.T) map[string][]instructions.Stage {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(repository, "deploy", "*.Dockerfile"))
	if err != nil || len(names) < 2 {
		t.Fatalf("Dockerfiles in deploy/: %q, %v", names, err)
	}
	files := map[string][]instructions.Stage{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.Parse(bytes.NewReader(content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		stages, _, err := instructions.Parse(parsed.AST, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files[filepath.Base(name)] = stages
	}
	return files
}

var pinnedImage = regexp.MustCompile(`^[a-z]+:[a-z0-9.-]*[0-9]+\.?[a-z0-9.-]*@sha256:[0-9a-f]{64}$`)

// Images of others are pinned by tag and digest; all Dockerfiles name the same ones, so that they share layers.
func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	byRepository := map[string]string{}
	for name, stages := range dockerfiles(t) {
		for _, stage := range stages {
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
	build := dockerfiles(t)["node.Dockerfile"][0].BaseName
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

// numbers are a user and a group that no table need know.
var numbers = regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`)

func TestNobodyIsRoot(t *testing.T) {
	t.Parallel()
	for name, stages := range dockerfiles(t) {
		user := ""
		last := stages[len(stages)-1]
		for _, command := range last.Commands {
			if c, ok := command.(*instructions.UserCommand); ok {
				user = c.User
			}
		}
		if inherits := last.BaseName == "${NODE_IMAGE}" && user == ""; !inherits && !numbers.MatchString(user) {
			t.Errorf("%s: the image's user is %q, want UID:GID in numbers above 0", name, user)
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
	stages := dockerfiles(t)["plugins.Dockerfile"]
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
	content, err := os.ReadFile(filepath.Join(repository, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"go.mod": true, "go.sum": true, "plugins/median/cmd/loop-median/main.go": true,
		"plugins/examples": false, "gen/python": false, "sdk/python": false, "plugins/median/median_test.go": false,
		"tools": false, ".git/config": false, ".venv/ready": false, "bin/loop": false, "node.toml": false, "loop.db": false,
		"deploy/password": false,
	}
	for name, stages := range dockerfiles(t) {
		for _, stage := range stages {
			for _, command := range stage.Commands {
				c, ok := command.(*instructions.CopyCommand)
				if !ok || c.From != "" {
					continue
				}
				for _, source := range c.SourcePaths {
					want[source] = true
					if _, err := os.Stat(filepath.Join(repository, source)); err != nil {
						t.Errorf("%s: COPY %s: %v", name, source, err)
					}
				}
			}
		}
	}
	for file, copied := range want {
		if left, err := ignored.MatchesOrParentMatches(file); err != nil || left == copied {
			t.Errorf("%s goes to the builder: %t, want %t; error %v", file, !left, copied, err)
		}
	}
}
