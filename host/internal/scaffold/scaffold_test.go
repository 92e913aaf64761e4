package scaffold_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/scaffold"
)

// TestSDK writes every template against a checkout whose path is an awkward one, and against what is released.
func TestSDK(t *testing.T) {
	t.Parallel()
	sdk := filepath.Join(t.TempDir(), "a b#c")
	if err := os.MkdirAll(filepath.Join(sdk, "sdk", "go", "loop"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, lang := range scaffold.Languages() {
		for _, kind := range scaffold.Kinds() {
			file, want := "go.mod", "=> "+strconv.Quote(sdk)+"\n"
			if lang == "python" {
				file, want = "pyproject.toml", "/a%20b%23c/sdk/python\""
			}
			versions := []int{0}
			if kind == "product" {
				versions = []int{2, 3}
			}
			for _, version := range versions {
				for _, from := range []string{sdk, ""} {
					dir, _, err := scaffold.Write(scaffold.Settings{
						Kind: kind, Lang: lang, OCR: version, Name: "x", Dir: filepath.Join(t.TempDir(), "x"), SDK: from,
						Version: "v1.2.3",
					})
					if err != nil {
						t.Fatal(err)
					}
					text, err := os.ReadFile(filepath.Join(dir, file))
					if err != nil {
						t.Fatal(err)
					}
					if lang == "go" && strings.Contains(string(text), "loop v1.2.3\n") != (from == "") {
						t.Errorf("with the SDK of %q, go.mod of a %s requires another version than v1.2.3:\n%s", from, kind, text)
					}
					if strings.Contains(string(text), want) != (from != "") || strings.Contains(string(text), "{{") {
						t.Errorf("with the SDK of %q, %s of a %s in %s is\n%s", from, file, kind, lang, text)
					}
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings scaffold.Settings
		want     string
	}{
		"no release": {scaffold.Settings{Kind: "median", Lang: "go", Name: "x",
			Version: "v0.1.1-0.20261128123456-0123456789ab"},
			`this loop is not a release (v0.1.1-0.20261128123456-0123456789ab), so that there are no modules`},
		"kind": {scaffold.Settings{Kind: "tree", Lang: "go", Name: "x"},
			`--kind "tree": there are templates for median, product, relayer`},
		"lang": {scaffold.Settings{Kind: "median", Lang: "cobol", Name: "x"}, `--lang "cobol"`},
		"ocr": {scaffold.Settings{Kind: "product", Lang: "go", OCR: 1, Name: "x"},
			`--ocr 1: there are templates of products for 2 and 3`},
		"no ocr": {scaffold.Settings{Kind: "median", Lang: "go", OCR: 2, Name: "x"},
			`--ocr 2: only products are begun for a version of OCR`},
		"no name":  {scaffold.Settings{Kind: "median", Lang: "go"}, `"" is not a name for a plugin`},
		"path":     {scaffold.Settings{Kind: "median", Lang: "go", Name: "../x"}, `"../x" is not a name for a plugin`},
		"capitals": {scaffold.Settings{Kind: "median", Lang: "go", Name: "Price"}, `"Price" is not a name`},
		"taken": {scaffold.Settings{Kind: "median", Lang: "python", Name: "median-python"},
			"loop-median-python is a package that plugins in Python import"},
		"long": {scaffold.Settings{Kind: "median", Lang: "go", Name: strings.Repeat("x", 41)}, "is not a name"},
		"sdk":  {scaffold.Settings{Kind: "median", Lang: "go", Name: "x", SDK: t.TempDir()}, "is not a checkout of LOOP"},
		"exists": {scaffold.Settings{Version: "v1.2.3", Kind: "median", Lang: "go", Name: "x", Dir: t.TempDir()},
			"exists already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := scaffold.Write(test.settings); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
}
