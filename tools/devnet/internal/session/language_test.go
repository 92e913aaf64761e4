package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
)

// python puts fakes of the plugins in Python where make would put them, beside the folder of the fakes' programs.
func python(t *testing.T, config Config) Config {
	t.Helper()
	bin := filepath.Join(filepath.Dir(config.BinDir), ".venv", "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"loop-median-python": "loop-median", "loop-relayer-python": "loop-evm"} {
		// The fakes know themselves by their names, which a shell keeps.
		script := "#!/bin/sh\nexec " + filepath.Join(config.BinDir, target) + "\n"
		if err := executable.Write(filepath.Join(bin, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

func TestLanguagesTakeTurns(t *testing.T) {
	config, folders := fakes(t, "")
	config = python(t, config)
	config.Langs = []string{"go", "python"}
	got, err := Run(t.Context(), config, newRecorder(t))
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for name, l := range got.Languages {
		if l.Nodes != 2 || l.Observations != 10 || l.LeastObservations != 5 {
			t.Errorf("%s: %+v; 2 nodes observed 5 rounds each", name, *l)
		}
		sent += l.Transmissions
	}
	if len(got.Languages) != 2 || sent != 5 {
		t.Errorf("%d languages sent %d transmissions, want 2 and 5", len(got.Languages), sent)
	}
	empty(t, folders)
}

func TestLanguagesAreChecked(t *testing.T) {
	config, _ := fakes(t, "")
	for want, change := range map[string]func(*Config){
		`--langs names "cobol"; the languages are go and python`: func(c *Config) { c.Langs = []string{"cobol"} },
		"--langs names go twice":                                 func(c *Config) { c.Langs = []string{"go", "go"} },
		"and with --in-process there are none": func(c *Config) {
			c.Langs = []string{"go"}
			c.InProcess = true
		},
		"loop-median-python is not there: run `make python`": func(c *Config) { c.Langs = []string{"python"} },
	} {
		c := config
		change(&c)
		if _, err := Run(t.Context(), c, newRecorder(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
	for _, chain := range []string{chainSolana, chainStarknet} {
		want := "--langs names python, but the relayer in Python is for EVM chains and --chain is " + chain
		if _, err := findLanguages(Config{Langs: []string{"go", "python"}, Chain: chain}, plugins{relay: chain},
			binaries{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
	found := binaries{node: "/x/bin/loop", median: "m", relayer: "e"}
	got, err := findLanguages(Config{}, plugins{relay: chainEVM, agreeing: medianPlugin}, found)
	if diff := cmp.Diff([]language{{"go", "m", "e"}}, got, cmp.AllowUnexported(language{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
