package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
)

// script writes a program that leaves a line in a file and becomes another one: the fakes know themselves by their
// names.
func script(t *testing.T, path, says, file, becomes string) {
	t.Helper()
	text := "#!/bin/sh\necho " + says + " >> " + file + "\nexec " + becomes + "\n"
	if err := executable.Write(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestOwnPlugins(t *testing.T) {
	config, folders := fakes(t, "")
	own := t.TempDir()
	said := filepath.Join(own, "said")
	script(t, filepath.Join(own, "my-median"), "median", said, filepath.Join(own, "loop-median"))
	script(t, filepath.Join(own, "my-relayer"), "relayer", said, filepath.Join(own, "loop-evm"))
	for _, name := range []string{"loop-median", "loop-evm"} { // nobody needs devnet's
		if err := os.Rename(filepath.Join(config.BinDir, name), filepath.Join(own, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(own)
	t.Setenv("PATH", own+string(os.PathListSeparator)+os.Getenv("PATH"))
	config.Plugins = []string{"median=./my-median", "evm=my-relayer"}
	got, err := Run(t.Context(), config, newRecorder(t))
	if err != nil {
		t.Fatal(err)
	}
	if got.PluginProcesses != 8 {
		t.Errorf("%d plugin processes, want 2 on each of 4 nodes", got.PluginProcesses)
	}
	want := map[string]string{"median": filepath.Join(own, "my-median"), "evm": filepath.Join(own, "my-relayer")}
	if diff := cmp.Diff(want, got.Plugins); diff != "" {
		t.Errorf("plugins (-want +got):\n%s", diff)
	}
	lines, err := os.ReadFile(said)
	if err != nil || !strings.Contains(string(lines), "median\n") || !strings.Contains(string(lines), "relayer\n") {
		t.Errorf("the plugins said %q (%v), want both to have been started", lines, err)
	}
	empty(t, folders)
	noChildren(t)
}

func TestOwnPluginsAreChecked(t *testing.T) {
	dir := t.TempDir()
	script(t, filepath.Join(dir, "here"), "", "/dev/null", "true")
	if err := os.WriteFile(filepath.Join(dir, "text"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for want, c := range map[string]Config{
		`--plugin "median" names no command; write one as in --plugin median=./loop-my-median`: {
			Plugins: []string{"median"}},
		`--plugin "evm= " names no command`: {Plugins: []string{"evm= "}},
		`--plugin names "solana"; the plugins of a feed on the chain evm are median and evm, or`: {
			Plugins: []string{"solana=./here"}},
		`--plugin names median twice`: {Plugins: []string{"median=./here", "median=./here -v"}},
		`--plugin median: look for the program "./absent": stat ./absent: no such file or directory; build`: {
			Plugins: []string{"median=./absent"}},
		`--plugin median: look for the program "no-such-plugin": executable file not found in $PATH; build`: {
			Plugins: []string{"median=no-such-plugin -v"}},
		`--plugin median: look for the program "./text": permission denied; build`: {
			Plugins: []string{"median=./text"}},
		`--plugin evm: the quote at the beginning of the command is not closed`: {
			Plugins: []string{`evm="./here -v`}},
		`--plugin names the command of a process, and with --in-process plugins have none; choose one`: {
			Plugins: []string{"evm=./here"}, InProcess: true},
		`--product "twap" names no command; write one as in`: {
			Product: "twap"},
		`--product "twap= " names no command`: {Product: "twap= "},
		`--product names "my-twap"; a plugin's name is a small letter, then small letters and digits`: {
			Product: "my-twap=./here"},
		`--product names median, which is another plugin of the nodes; give the product a name of its own`: {
			Product: "median=./here"},
		`--product names acme, which is another plugin of the nodes`: {
			Product: "acme=./here", Plugins: []string{"relayer:acme=./here"}},
		`--product takes the place of the median, and --plugin names a command of it; choose one of them`: {
			Product: "twap=./here", Plugins: []string{"median=./here"}},
		`--product twap: look for the program "./absent": stat ./absent: no such file or directory; build`: {
			Product: "twap=./absent"},
		`--product names the command of a process, and with --in-process plugins have none; choose one`: {
			Product: "twap=./here", InProcess: true},
		`--product names a plugin for all nodes, and --langs gives them others in turn; choose one of them`: {
			Product: "twap=./here", Langs: []string{"go"}},
		`--plugin names a plugin for all nodes, and --langs gives them others in turn; choose one of them`: {
			Plugins: []string{"evm=./here"}, Langs: []string{"go"}},
	} {
		if _, err := ownPlugins(c, chainEVM); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

func TestAnywhere(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "a b"} {
		script(t, filepath.Join(dir, name), "", "/dev/null", "true")
	}
	t.Chdir(dir)
	for command, want := range map[string]string{
		"./a":                  dir + "/a",
		"./a  --level 'x y' z": dir + "/a  --level 'x y' z",
		dir + "/a\t-v":         dir + "/a\t-v",
		"'./a b' -v":           "'" + dir + "/a b' -v",
		`"./a b"`:              "'" + dir + "/a b'",
	} {
		if got, err := anywhere(command); err != nil || got != want {
			t.Errorf("%s becomes %s (%v), want %s", command, got, err, want)
		}
	}
}
