// Package image makes container images in plain folders: it takes the steps of a Dockerfile as BuildKit's parser reads
// them and carries them out beneath root folders, without a container engine. It knows the instructions that the
// Dockerfiles of this project use and refuses others, and it must not know what is in an image or what it is for.
//
// RUN, and Process, want root and Linux's namespaces.
package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// File is a Dockerfile that was read.
type File struct {
	// Path is as it was given to Parse.
	Path string
	// Args are the ARG instructions before the first FROM.
	Args []instructions.ArgCommand
	// Stages are its stages; the last is the image.
	Stages []instructions.Stage
	// Warnings are what BuildKit's linter says of the syntax, each with its line.
	Warnings []string
}

// Parse reads a Dockerfile.
func Parse(name string) (*File, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read a Dockerfile: %w", err)
	}
	parsed, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	file := &File{Path: name}
	for _, warning := range parsed.Warnings {
		file.Warnings = append(file.Warnings, fmt.Sprintf("%s: %s", name, warning.Short))
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		file.Warnings = append(file.Warnings, fmt.Sprintf("%s:%d: %s: %s", name, line, rule, message))
	}})
	if file.Stages, file.Args, err = instructions.Parse(parsed.AST, lint); err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	if len(file.Stages) == 0 {
		return nil, fmt.Errorf("parse %s: it has no FROM", name)
	}
	return file, nil
}

// Image is a root folder and how its process is started, which is all that an image is.
type Image struct {
	Root       string
	Env        []string // as in os.Environ
	User       string   // UID:GID in numbers; empty is root
	Dir        string
	Entrypoint []string
	Command    []string
	Health     []string // command of the health check, empty without one
	Ports      []string
	Volumes    []string
	// Mounts are those that every process in Root needs besides the usual: a base may lend a folder of this machine.
	Mounts []Mount
}

// Builder builds images from Dockerfiles.
type Builder struct {
	// Context is the folder that COPY takes files from, less what its .dockerignore leaves out.
	Context string
	// Dir is the folder in which the stages' root folders are made.
	Dir string
	// Base gives the image that a FROM names. Its Root is copied and stays as it is.
	Base func(name string) (*Image, error)
	// Args are build arguments, among them those that a builder gives by itself, such as TARGETOS.
	Args map[string]string
	// Caches are the folders of this machine that stand for RUN's mounts of type cache, by their targets.
	Caches map[string]string
	// Env is added to the environment of each RUN.
	Env []string
	// Output is what RUN prints to.
	Output io.Writer
}

// stage is one stage under way.
type stage struct {
	builder *Builder
	image   *Image
	args    map[string]string // declared in this stage
	before  map[string]*Image // earlier stages, by name and number
}

// Build carries out all stages of a Dockerfile and returns the image that its last one is.
func (b *Builder) Build(ctx context.Context, file *File) (*Image, error) {
	global := map[string]string{}
	for _, arg := range file.Args {
		for _, a := range arg.Args {
			global[a.Key] = a.ValueString()
			if given, ok := b.Args[a.Key]; ok {
				global[a.Key] = given
			}
		}
	}
	done := map[string]*Image{}
	var last *Image
	for at, parsed := range file.Stages {
		name, err := expand(parsed.BaseName, environ(global))
		if err != nil {
			return nil, fmt.Errorf("%s, stage %d: %w", file.Path, at, err)
		}
		base, known := done[name]
		if !known {
			if base, err = b.Base(name); err != nil {
				return nil, fmt.Errorf("%s, FROM %s: %w", file.Path, name, err)
			}
		}
		root := filepath.Join(b.Dir, strings.TrimSuffix(filepath.Base(file.Path), ".Dockerfile")+"-"+strconv.Itoa(at))
		// cp knows owners, modes, links and devices, and shares blocks where the file system can.
		if out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", base.Root, root).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("copy the root folder of %s: %w: %s", name, err, bytes.TrimSpace(out))
		}
		copied := *base
		copied.Root, copied.Env = root, append([]string(nil), base.Env...)
		s := &stage{builder: b, image: &copied, args: map[string]string{}, before: done}
		for _, command := range parsed.Commands {
			if err := s.apply(ctx, command); err != nil {
				return nil, fmt.Errorf("%s:%d: %s: %w", file.Path, command.Location()[0].Start.Line,
					strings.ToUpper(command.Name()), err)
			}
		}
		last = s.image
		done[strconv.Itoa(at)] = last
		if parsed.Name != "" {
			done[parsed.Name] = last
		}
	}
	return last, nil
}

func (s *stage) apply(ctx context.Context, command instructions.Command) error {
	if expandable, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		if err := expandable.Expand(func(word string) (string, error) { return expand(word, s.variables()) }); err != nil {
			return err
		}
	}
	switch c := command.(type) {
	case *instructions.ArgCommand:
		for _, a := range c.Args {
			given, ok := s.builder.Args[a.Key]
			switch {
			case ok:
				s.args[a.Key] = given
			case a.Value != nil:
				s.args[a.Key] = *a.Value
			}
		}
	case *instructions.EnvCommand:
		for _, pair := range c.Env {
			s.image.Env = With(s.image.Env, pair.Key+"="+pair.Value)
		}
	case *instructions.WorkdirCommand:
		s.image.Dir = path.Join("/", s.image.Dir, c.Path)
		if path.IsAbs(c.Path) {
			s.image.Dir = path.Clean(c.Path)
		}
		return s.makeFolder(s.image.Dir)
	case *instructions.CopyCommand:
		return s.copy(c)
	case *instructions.RunCommand:
		return s.run(ctx, c)
	case *instructions.UserCommand:
		if _, _, err := owner(c.User); err != nil {
			return err
		}
		s.image.User = c.User
	case *instructions.EntrypointCommand:
		if c.PrependShell {
			return errors.New("the shell's form would not pass signals on; write it as a JSON array")
		}
		s.image.Entrypoint, s.image.Command = c.CmdLine, nil
	case *instructions.CmdCommand:
		if c.PrependShell {
			return errors.New("the shell's form would not pass signals on; write it as a JSON array")
		}
		s.image.Command = c.CmdLine
	case *instructions.HealthCheckCommand:
		if len(c.Health.Test) == 0 || c.Health.Test[0] != "CMD" {
			return errors.New("only a command as a JSON array is known here")
		}
		s.image.Health = c.Health.Test[1:]
	case *instructions.ExposeCommand:
		s.image.Ports = append(s.image.Ports, c.Ports...)
	case *instructions.VolumeCommand:
		s.image.Volumes = append(s.image.Volumes, c.Volumes...)
	case *instructions.LabelCommand:
	default:
		return errors.New("this instruction is not known here")
	}
	return nil
}

// variables are what words of this stage are expanded with, and what RUN has in its environment: ENV goes before ARG.
func (s *stage) variables() []string {
	return With(environ(s.args), s.image.Env...)
}

func (s *stage) run(ctx context.Context, c *instructions.RunCommand) error {
	if !c.PrependShell || len(c.Files) > 0 {
		return errors.New("only the shell's form on one line is known here")
	}
	mounts := append([]Mount(nil), s.image.Mounts...)
	for _, mount := range instructions.GetMounts(c) {
		source, known := s.builder.Caches[mount.Target]
		if mount.Type != instructions.MountTypeCache || !known {
			return fmt.Errorf("a mount of type %s at %s is not known here", mount.Type, mount.Target)
		}
		mounts = append(mounts, Mount{Source: source, Target: mount.Target})
	}
	process := Process{
		Root: s.image.Root, Mounts: mounts, Dir: s.image.Dir, User: s.image.User,
		Env:  With(s.variables(), s.builder.Env...),
		Args: append([]string{"/bin/sh", "-c"}, c.CmdLine...),
	}
	running, err := process.Command(ctx)
	if err != nil {
		return err
	}
	running.Stdout, running.Stderr = s.builder.Output, s.builder.Output
	return running.Run()
}

// makeFolder makes a folder beneath the root, and the user of this moment the owner of what it makes, as BuildKit does.
func (s *stage) makeFolder(name string) error {
	uid, gid, err := owner(s.image.User)
	if err != nil {
		return err
	}
	inside := ""
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		inside = filepath.Join(inside, part)
		folder := filepath.Join(s.image.Root, inside)
		switch err := os.Mkdir(folder, 0o755); {
		case errors.Is(err, os.ErrExist):
		case err != nil:
			return err
		default:
			if err := own(folder, uid, gid); err != nil {
				return err
			}
		}
	}
	return nil
}

// expand replaces variables in a word of a Dockerfile.
func expand(word string, variables []string) (string, error) {
	expanded, _, err := shell.NewLex('\\').ProcessWord(word, shell.EnvsFromSlice(variables))
	return expanded, err
}

// With returns a list of KEY=VALUE in which the later ones replace earlier ones of the same key.
func With(list []string, more ...string) []string {
	merged := append([]string(nil), list...)
next:
	for _, pair := range more {
		key, _, _ := strings.Cut(pair, "=")
		for at := range merged {
			if strings.HasPrefix(merged[at], key+"=") {
				merged[at] = pair
				continue next
			}
		}
		merged = append(merged, pair)
	}
	return merged
}

func environ(variables map[string]string) []string {
	var list []string
	for key, value := range variables {
		list = append(list, key+"="+value)
	}
	return list
}

// owner parses UID:GID. Names are refused: an image must not need a table of users.
func owner(user string) (uid, gid int, err error) {
	if user == "" {
		return 0, 0, nil
	}
	first, second, both := strings.Cut(user, ":")
	uid, uidErr := strconv.Atoi(first)
	gid, gidErr := strconv.Atoi(second)
	if !both || uidErr != nil || gidErr != nil || uid < 0 || gid < 0 {
		return 0, 0, fmt.Errorf("%q is not UID:GID in numbers", user)
	}
	return uid, gid, nil
}

// own gives a file to somebody. Only root can, and for anybody else everything belongs to him.
func own(name string, uid, gid int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(name, uid, gid)
}
