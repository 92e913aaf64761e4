package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	modpath "golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

// module is one module of the workspace.
type module struct {
	dir  string // below the checkout, with slashes; "." for the one at its root
	file *modfile.File
	sums []string // lines for the go.sum files of those that require it
}

func (m *module) path() string { return m.file.Module.Mod.Path }

// modules releases the modules of the workspace into a module proxy in files. Each is rewritten first to require the
// others at this version, so a module comes after all that it requires.
func (r *release) modules(ctx context.Context) ([]*module, error) {
	listed, err := output(ctx, r.source, nil, "go", "work", "edit", "-json")
	if err != nil {
		return nil, err
	}
	var work struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal([]byte(listed), &work); err != nil {
		return nil, fmt.Errorf("read go.work: %w", err)
	}
	all := map[string]*module{}
	for _, use := range work.Use {
		m := &module{dir: filepath.ToSlash(filepath.Clean(use.DiskPath))}
		name := filepath.Join(r.source, m.dir, "go.mod")
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if m.file, err = modfile.Parse(m.dir+"/go.mod", content, nil); err != nil {
			return nil, err
		}
		all[m.path()] = m
	}
	ordered, err := order(all)
	if err != nil {
		return nil, err
	}
	for _, m := range ordered {
		if err := r.release(m, all); err != nil {
			return nil, fmt.Errorf("release %s: %w", m.path(), err)
		}
	}
	r.say("%d modules at %s in %s", len(ordered), r.version, filepath.Join(r.out, "proxy"))
	return ordered, nil
}

// order puts modules behind those that they require.
func order(all map[string]*module) ([]*module, error) {
	var ordered []*module
	state := map[*module]int{} // 1: what it requires is looked at, 2: done
	var visit func(m *module) error
	visit = func(m *module) error {
		switch state[m] {
		case 1:
			return fmt.Errorf("modules require one another in a circle, and %s is one of them", m.path())
		case 2:
			return nil
		}
		state[m] = 1
		for _, require := range m.file.Require {
			if other := all[require.Mod.Path]; other != nil {
				if err := visit(other); err != nil {
					return err
				}
			}
		}
		state[m] = 2
		ordered = append(ordered, m)
		return nil
	}
	paths := make([]string, 0, len(all))
	for path := range all {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		if err := visit(all[path]); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// rewrite makes a module require the others at a version, and drops the replace directives that stood for them. It
// returns what go.sum has to hold besides.
func rewrite(m *module, all map[string]*module, version string) (sums []string, err error) {
	for _, replace := range slices.Clone(m.file.Replace) {
		if !modfile.IsDirectoryPath(replace.New.Path) {
			return nil, fmt.Errorf("%s is replaced by %s, which no release can be", replace.Old.Path, replace.New.Path)
		}
		if err := m.file.DropReplace(replace.Old.Path, replace.Old.Version); err != nil {
			return nil, err
		}
	}
	for _, require := range m.file.Require {
		other := all[require.Mod.Path]
		if other == nil {
			if strings.HasPrefix(require.Mod.Path, project) {
				return nil, fmt.Errorf("it requires %s, which is not in go.work", require.Mod.Path)
			}
			continue
		}
		if err := m.file.AddRequire(require.Mod.Path, version); err != nil {
			return nil, err
		}
		sums = append(sums, other.sums...)
	}
	m.file.Cleanup()
	return sums, nil
}

// release writes a module's go.mod and go.sum as they are released, and its files of the proxy.
func (r *release) release(m *module, all map[string]*module) error {
	sums, err := rewrite(m, all, r.version)
	if err != nil {
		return err
	}
	content, err := m.file.Format()
	if err != nil {
		return err
	}
	dir := filepath.Join(r.source, m.dir)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), content, 0o644); err != nil {
		return err
	}
	if err := addLines(filepath.Join(dir, "go.sum"), sums); err != nil {
		return err
	}
	if m.dir != "." { // a module's zip holds what is below its folder, and its licence must be there
		licence, err := os.ReadFile(filepath.Join(r.source, "LICENSE"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "LICENSE"), licence, 0o644); err != nil {
			return err
		}
	}
	at := modpath.Version{Path: m.path(), Version: r.version}
	escaped, err := modpath.EscapePath(at.Path)
	if err != nil {
		return err
	}
	folder := filepath.Join(r.out, "proxy", filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": r.version, "Time": r.date.UTC()})
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"list": []byte(r.version + "\n"), r.version + ".info": info,
		r.version + ".mod": content} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	packed := filepath.Join(folder, r.version+".zip")
	file, err := os.Create(packed)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := zip.CreateFromDir(file, at, dir); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return m.sum(packed, filepath.Join(folder, r.version+".mod"), r.version)
}

// sum makes the module's lines of other modules' go.sum files.
func (m *module) sum(packed, mod, version string) error {
	whole, err := dirhash.HashZip(packed, dirhash.Hash1)
	if err != nil {
		return err
	}
	alone, err := dirhash.Hash1([]string{"go.mod"}, open(mod))
	if err != nil {
		return err
	}
	m.sums = []string{m.path() + " " + version + " " + whole, m.path() + " " + version + "/go.mod " + alone}
	return nil
}

// addLines adds lines to a file of sorted lines.
func addLines(name string, more []string) error {
	content, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	lines := append(strings.Split(strings.TrimSuffix(string(content), "\n"), "\n"), more...)
	slices.Sort(lines)
	lines = slices.DeleteFunc(slices.Compact(lines), func(line string) bool { return line == "" })
	return os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}
