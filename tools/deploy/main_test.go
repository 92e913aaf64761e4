package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const pinned = "FROM debian:bookworm-slim AS base\n"

func TestLint(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		content string
		finding string // a part of the only one; empty for none
	}{
		"clean":                       {pinned + "ENV A=b\nCMD [\"true\"]\n", ""},
		"command in the shell's form": {pinned + "CMD true\n", ":2: JSONArgsRecommended: "},
		"variable that nobody set":    {pinned + "ENV A=$NOBODY\n", ":2: UndefinedVar: "},
		"stage that nobody knows":     {pinned + "COPY --from=nobody /a /b\nARG A=$B\n", "nobody"},
		"secret in the image":         {pinned + "ENV CL_PASSWORD_KEYSTORE=x\n", ":2: SecretsUsedInArgOrEnv: "},
		"no instruction":              {pinned + "FLY\n", "unknown instruction: FLY"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "Dockerfile")
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), &stdout, &stderr, []string{file})
			if c.finding == "" {
				if code != 0 || stderr.Len() > 0 {
					t.Fatalf("code %d and findings: %s", code, stderr.String())
				}
				return
			}
			if code != 1 || !strings.Contains(stderr.String(), c.finding) {
				t.Errorf("code %d and findings without %q: %s", code, c.finding, stderr.String())
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), &stdout, &stderr, nil); code != 2 || !strings.Contains(stderr.String(), "deploy FILE...") {
		t.Errorf("without a file: code %d, %s", code, stderr.String())
	}
	if code := run(t.Context(), &stdout, &stderr, []string{"nowhere"}); code != 1 ||
		!strings.Contains(stderr.String(), "nowhere could not be linted") {
		t.Errorf("with a file that is not there: code %d, %s", code, stderr.String())
	}
}
