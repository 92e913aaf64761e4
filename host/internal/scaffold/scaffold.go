// Package scaffold writes new plugins from the templates of plugins/templates.
//
// It knows files and names. It must not know the contract: tests build and run the templates.
package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/loop-plugins/loop/plugins/templates"
)

// Settings say what to write.
type Settings struct {
	// Kind is the kind of plugin: "median", "product" or "relayer".
	Kind string
	// Lang is the language: "go" or "python".
	Lang string
	// OCR is the version of the protocol that a product runs on, 2 or 3; 0 means 3, and is the only value for other
	// kinds.
	OCR int
	// Name is the plugin's name, which becomes loop-<name>: small letters, digits and dashes.
	Name string
	// Dir is the folder to make; it must not exist. Default: loop-<name> in the working directory.
	Dir string
	// SDK is a checkout of LOOP to build against; empty means the released modules.
	SDK string
	// Version is the version of the released modules, such as v0.1.0. Any other text means that there are none, and SDK
	// is required.
	Version string
}

// name is what a plugin may be called: it becomes a program, a Go module's last element and a Python package.
var name = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// taken are names of plugins in Python that would hide a package which they import.
var taken = []string{"contract", "median-python", "plugin", "relayer-python", "twap"}

// longestName leaves room for the program's name in a process list.
const longestName = 40

// Kinds and Languages are those that have templates.
func Kinds() []string     { return list(1) }
func Languages() []string { return list(0) }

// list returns the distinct parts of the templates' folders, which are called <language>-<kind>, and of products over
// OCR2 <language>-<kind>-ocr2.
func list(part int) []string {
	folders, err := fs.ReadDir(templates.FS, ".")
	if err != nil {
		return nil // they are part of the binary
	}
	var all []string
	for _, f := range folders {
		all = append(all, strings.Split(f.Name(), "-")[part])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Write writes a plugin and returns its folder and files. If it fails midway, it leaves nothing behind.
func Write(s Settings) (dir string, files []string, err error) {
	root, err := s.template()
	if err != nil {
		return "", nil, err
	}
	if s.SDK == "" && !released.MatchString(s.Version) {
		return "", nil, fmt.Errorf("this loop is not a release (%s), so that there are no modules to build a plugin "+
			"against: "+
			"name a checkout of LOOP with --sdk", s.Version)
	}
	if s.SDK != "" {
		if s.SDK, err = filepath.Abs(s.SDK); err != nil {
			return "", nil, err
		}
		if _, err := os.Stat(filepath.Join(s.SDK, "sdk", "go", "loop")); err != nil {
			return "", nil, fmt.Errorf("--sdk %q is not a checkout of LOOP: it has no sdk/go/loop", s.SDK)
		}
	}
	dir = s.Dir
	if dir == "" {
		dir = "loop-" + s.Name
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return "", nil, fmt.Errorf("%s exists already; name another folder with --dir", dir)
		}
		return "", nil, fmt.Errorf("making %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir) // it was made above
		}
	}()
	v := valuesOf(s)
	err = fs.WalkDir(templates.FS, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fill(p, v)
		if err != nil {
			return err
		}
		relative := strings.TrimSuffix(strings.TrimPrefix(p, root+"/"), templated)
		relative = strings.ReplaceAll(relative, "NAME", v.Package)
		to := filepath.Join(dir, filepath.FromSlash(relative))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		files = append(files, relative)
		return os.WriteFile(to, text, 0o644)
	})
	if err != nil {
		return "", nil, fmt.Errorf("writing the plugin: %w", err)
	}
	slices.Sort(files)
	return dir, files, nil
}

// template returns the folder of the template that is asked for.
func (s Settings) template() (string, error) {
	if !slices.Contains(Kinds(), s.Kind) {
		return "", fmt.Errorf("--kind %q: there are templates for %s", s.Kind, strings.Join(Kinds(), ", "))
	}
	if !slices.Contains(Languages(), s.Lang) {
		return "", fmt.Errorf("--lang %q: there are templates for %s", s.Lang, strings.Join(Languages(), ", "))
	}
	if !name.MatchString(s.Name) || len(s.Name) > longestName {
		return "", fmt.Errorf("%q is not a name for a plugin: small letters, digits and single dashes are wanted, a "+
			"letter first, %d at most", s.Name, longestName)
	}
	if s.Lang == "python" && slices.Contains(taken, s.Name) {
		return "", fmt.Errorf("loop-%s is a package that plugins in Python import: choose another name than %q", s.Name,
			s.Name)
	}
	root := s.Lang + "-" + s.Kind
	switch {
	case s.OCR != 0 && s.Kind != "product":
		return "", fmt.Errorf("--ocr %d: only products are begun for a version of OCR", s.OCR)
	case s.OCR == 2:
		root += "-ocr2"
	case s.OCR != 0 && s.OCR != 3:
		return "", fmt.Errorf("--ocr %d: there are templates of products for 2 and 3", s.OCR)
	}
	if _, err := fs.Stat(templates.FS, root); err != nil {
		return "", fmt.Errorf("there is no template of a %s in %s yet", s.Kind, s.Lang)
	}
	return root, nil
}

// values are what templates ask for.
type values struct{ Name, Package, Relay, Variable, Section, SDK, SDKURL, Version string }

// released matches the versions of releases, and not those that Go makes up for other commits.
var released = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[a-z]+\.\d+)?$`)

// unreleased is what modules that a replace directive stands for are required at.
const unreleased = "v0.0.0-00010101000000-000000000000"

func valuesOf(s Settings) values {
	relay := strings.ReplaceAll(s.Name, "-", "")
	version := s.Version
	if s.SDK != "" {
		version = unreleased
	}
	return values{
		Name: s.Name, Package: strings.ReplaceAll(s.Name, "-", "_"),
		Relay: relay, Variable: "CL_" + strings.ToUpper(relay) + "_CMD", Section: strings.ToUpper(relay[:1]) + relay[1:],
		Version: version, SDK: s.SDK, SDKURL: (&url.URL{Scheme: "file", Path: filepath.ToSlash(s.SDK)}).String(),
	}
}

// templated is how the names of files end that are templates. All others are written as they stand.
const templated = ".tmpl"

// fill is a file's content in a new plugin.
func fill(file string, v values) ([]byte, error) {
	text, err := fs.ReadFile(templates.FS, file)
	if err != nil || !strings.HasSuffix(file, templated) {
		return text, err
	}
	parsed, err := template.New(path.Base(file)).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
