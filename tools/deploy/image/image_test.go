package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes a Dockerfile, and the files beside it, in a new folder, and returns that folder.
func write(t *testing.T, dockerfile string, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "x.Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// build builds the Dockerfile of a folder on an empty base that sets BASE=1, with the build argument GIVEN=given.
func build(t *testing.T, folder string) (*Image, error) {
	t.Helper()
	file, err := Parse(filepath.Join(folder, "x.Dockerfile"))
	if err != nil {
		return nil, err
	}
	empty := t.TempDir()
	builder := Builder{
		Context: folder,
		Dir:     t.TempDir(),
		Args:    map[string]string{"GIVEN": "given"},
		Base: func(name string) (*Image, error) {
			if name != "base:given" {
				t.Errorf("FROM asks for %q", name)
			}
			return &Image{Root: empty, Env: []string{"BASE=1", "PATH=/bin"}, Command: []string{"sh"}}, nil
		},
	}
	return builder.Build(t.Context(), file)
}

const from = "ARG GIVEN=default\nFROM base:$GIVEN AS first\n"

func TestBuild(t *testing.T) {
	t.Parallel()
	folder := write(t, from+`WORKDIR /made/here
ARG GIVEN ABSENT=fallback
COPY tree/ tree
COPY --chmod=0600 one two ./
COPY one renamed

FROM base:given
COPY --from=first /made/here/ /all/
COPY --from=0 /made/here/one /uno
ARG NEW=new
ENV PATH=/opt:$PATH NEW="$NEW er" LATER=${GIVEN:-unset}
USER 7:8
WORKDIR /mine
WORKDIR below
EXPOSE 1 2
VOLUME /mine
HEALTHCHECK --interval=1s CMD ["true"]
ENTRYPOINT ["program"]
CMD ["a", "b"]
LABEL a=b
`, map[string]string{
		"one": "1", "two": "2", "tree/leaf": "leaf", "tree/deep/er/leaf": "deeper", "tree/left.out": "x",
		"tree/deep/left.out": "x",
		".dockerignore":      "*\n!one\n!two\n!tree\n**/left.out\n",
	})
	built, err := build(t, folder)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err = filepath.WalkDir(built.Root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found[strings.TrimPrefix(path, built.Root)] = info.Mode().String() + " " + string(content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"/all/one": "-rw------- 1", "/all/two": "-rw------- 2", "/all/renamed": "-rw-r--r-- 1", "/uno": "-rw------- 1",
		"/all/tree/leaf": "-rw-r--r-- leaf", "/all/tree/deep/er/leaf": "-rw-r--r-- deeper",
	}
	if diff := cmp.Diff(files, found); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(built.Root, "mine/below")); err != nil || !info.IsDir() {
		t.Errorf("the last WORKDIR was not made: %v", err)
	}
	built.Root = ""
	want := &Image{
		Env: []string{"BASE=1", "PATH=/opt:/bin", "NEW=new er", "LATER=unset"}, User: "7:8", Dir: "/mine/below",
		Entrypoint: []string{"program"}, Command: []string{"a", "b"}, Health: []string{"true"}, Ports: []string{"1", "2"},
		Volumes: []string{"/mine"},
	}
	if diff := cmp.Diff(want, built); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
}

func TestRefusedSteps(t *testing.T) {
	t.Parallel()
	files := map[string]string{"kept": "", "left.out": "", ".dockerignore": "left.out\n"}
	cases := map[string]struct{ step, want string }{
		"instruction":          {"ADD kept /", "x.Dockerfile:3: ADD: this instruction is not known here"},
		"no such file":         {"COPY missing /", "copy missing: "},
		"file left out":        {"COPY left.out /", "copy left.out: it holds no file that .dockerignore leaves in"},
		"no such stage":        {"COPY --from=later /a /b", `there is no earlier stage "later"`},
		"flag of COPY":         {"COPY --link kept /", "only --from and --chmod are known here"},
		"mode":                 {"COPY --chmod=u+x kept /", "--chmod=u+x"},
		"user with a name":     {"USER root", `"root" is not UID:GID in numbers`},
		"user without a group": {"USER 7", `"7" is not UID:GID in numbers`},
		"shell as entrypoint":  {"ENTRYPOINT program", "write it as a JSON array"},
		"shell as command":     {"CMD program", "write it as a JSON array"},
		"shell as check":       {"HEALTHCHECK CMD program", "only a command as a JSON array is known here"},
		"mount": {"RUN --mount=type=cache,target=/cache true",
			"a mount of type cache at /cache is not known here"},
		"RUN as an array": {`RUN ["true"]`, "only the shell's form on one line is known here"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := build(t, write(t, from+c.step+"\n", files)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: error %v, want one with %q", c.step, err, c.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, want string }{
		"unknown instruction": {from + "FLY\n", "unknown instruction: FLY"},
		"no stage":            {"ARG A=b\n", "no FROM"},
		"empty":               {"", "file with no instructions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(filepath.Join(write(t, c.content, nil), "x.Dockerfile")); err == nil ||
				!strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	file, err := Parse(filepath.Join(write(t, from+"FROM first as second\n", nil), "x.Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Warnings) != 1 || !strings.Contains(file.Warnings[0], "x.Dockerfile:3: FromAsCasing: ") {
		t.Errorf("warnings: %q", file.Warnings)
	}
}
