package templates_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/plugins/templates"
)

// TestVersions checks that new plugins whose code is here require the versions of other modules with which that code is
// built and tested.
func TestVersions(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"go-relayer/go.mod.tmpl", "go-product-ocr2/go.mod.tmpl"} {
		template, err := templates.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		required := regexp.MustCompile(`(?m)^\t\S+ v\S+$`).FindAllString(string(template), -1)
		if len(required) == 0 {
			t.Errorf("%s requires nothing", file)
		}
		for _, line := range required {
			if !strings.Contains(string(own), line+"\n") {
				t.Errorf("%s requires %s, and go.mod another version", file, strings.TrimSpace(line))
			}
		}
	}
}
