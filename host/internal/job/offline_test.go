package job_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/loop-plugins/loop/host/internal/job"
)

// Without a node a spec has the problems that need none, and whatever a node would find beyond them is listed as
// unchecked.
func TestOffline(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no specs")
	}
	var got strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, online := job.Parse(t.Context(), data, settings())
		_, offline := job.Parse(t.Context(), data, job.Settings{Relayers: relayers, Products: node{}, Offline: true})
		warned := slices.DeleteFunc(slices.Clone(online.Warnings), func(w job.Finding) bool {
			return slices.ContainsFunc(offline.Unchecked, func(f job.Finding) bool { return f.Key == w.Key })
		})
		if diff := cmp.Diff(warned, offline.Warnings, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: warnings (-with a node +without):\n%s", file, diff)
		}
		for _, f := range online.Problems {
			if inFile := f.Stage == job.StageCommon || f.Stage == job.StageOCR2; inFile &&
				!slices.Contains(offline.Problems, f) {
				t.Errorf("%s: without a node this is missing: %s", file, f)
			}
			known := func(other job.Finding) bool { return other.Key == f.Key }
			if !slices.ContainsFunc(slices.Concat(offline.Problems, offline.Unchecked), known) {
				t.Errorf("%s: without a node nothing is said of %s", file, f)
			}
		}
		if len(offline.Problems) > 0 {
			continue // TestReports has their texts
		}
		fmt.Fprintf(&got, "%s\n", filepath.Base(file))
		for _, f := range offline.Unchecked {
			fmt.Fprintf(&got, "\t%s\n", f)
		}
	}
	const golden = "testdata/offline.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}
