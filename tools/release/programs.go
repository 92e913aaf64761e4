package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// programs are the packages of the programs that are released.
var programs = []string{
	"host/cmd/loop", "plugins/evm/cmd/loop-evm", "plugins/median/cmd/loop-median", "plugins/solana/cmd/loop-solana",
	"plugins/starknet/cmd/loop-starknet", "tools/conformance",
}

// programs installs the programs for each platform from the proxy, and packs them.
func (r *release) programs(ctx context.Context, targets []string) error {
	native := ""
	// The platform of this machine comes first: its programs write the documents of all archives.
	slices.SortStableFunc(targets, func(a, b string) int { return strings.Compare(abroad(a), abroad(b)) })
	for _, target := range targets {
		system, machine, ok := strings.Cut(target, "/")
		if !ok {
			return fmt.Errorf("--targets names %q; a platform is written SYSTEM/MACHINE, such as linux/amd64", target)
		}
		bin, err := r.install(ctx, system, machine)
		if err != nil {
			return err
		}
		if native == "" {
			if target != here() {
				return fmt.Errorf("--targets does not name %s, whose programs write man pages and completions", here())
			}
			native = bin
			if err := r.documents(ctx, bin); err != nil {
				return err
			}
		}
		name := fmt.Sprintf("loop_%s_%s_%s", r.version, system, machine)
		if err := r.pack(name, bin, system == "linux"); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		r.say("%s.tar.gz", name)
	}
	return r.materials(ctx, native)
}

// abroad is a platform that is not that of this machine; empty: it is.
func abroad(target string) string {
	if target == here() {
		return ""
	}
	return target
}

// environment has go install take this release's modules from its proxy and all others from where they are already, or
// from wherever they come from here. A module cache of its own keeps an earlier run's modules of the same version out.
func (r *release) environment(ctx context.Context) ([]string, error) {
	cache, err := output(ctx, ".", nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	proxy, err := output(ctx, ".", nil, "go", "env", "GOPROXY")
	if err != nil {
		return nil, err
	}
	return []string{
		"GOPROXY=file://" + filepath.Join(r.out, "proxy") + ",file://" + filepath.Join(cache, "cache", "download") + "," +
			proxy,
		"GONOSUMDB=" + project, "GOWORK=off", "GOFLAGS=-trimpath -modcacherw -mod=mod", "GOBIN=",
		"GOPATH=" + filepath.Join(r.work, "go"), "GOMODCACHE=" + filepath.Join(r.work, "go", "pkg", "mod"), "CGO_ENABLED=0",
	}, nil
}

// install returns the folder of the programs for a platform.
func (r *release) install(ctx context.Context, system, machine string) (string, error) {
	env, err := r.environment(ctx)
	if err != nil {
		return "", err
	}
	env = append(env, "GOOS="+system, "GOARCH="+machine)
	linked := fmt.Sprintf("-ldflags=-s -w -X %s/host/internal/build.commit=%s", project, r.commit)
	for _, program := range programs {
		if _, err := output(ctx, r.work, env, "go", "install", "-tags=timetzdata", linked,
			project+"/"+program+"@"+r.version); err != nil {
			return "", err
		}
	}
	if system+"/"+machine == here() {
		return filepath.Join(r.work, "go", "bin"), nil
	}
	return filepath.Join(r.work, "go", "bin", system+"_"+machine), nil
}

// documents has loop write its man pages and completions.
func (r *release) documents(ctx context.Context, bin string) error {
	loop := filepath.Join(bin, "loop")
	told, err := output(ctx, r.work, nil, loop, "version")
	if err != nil {
		return err
	}
	if !strings.Contains(told, r.version) || !strings.Contains(told, r.commit[:12]) {
		return fmt.Errorf("loop version says %q; want %s and %s in it", told, r.version, r.commit[:12])
	}
	if _, err := output(ctx, r.work, nil, loop, "manual", filepath.Join(r.work, "man")); err != nil {
		return err
	}
	completions := filepath.Join(r.work, "completions")
	if err := os.MkdirAll(completions, 0o755); err != nil {
		return err
	}
	for shell, name := range map[string]string{"bash": "loop.bash", "zsh": "_loop", "fish": "loop.fish"} {
		script, err := output(ctx, r.work, nil, loop, "completion", shell)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(completions, name), []byte(script+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pack writes the archive of a platform.
func (r *release) pack(name, bin string, systemd bool) error {
	files := map[string]string{} // in the archive, and where they are
	for _, program := range programs {
		files["bin/"+path.Base(program)] = filepath.Join(bin, path.Base(program))
	}
	for _, document := range []string{"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"} {
		files[document] = filepath.Join(r.source, document)
	}
	if systemd {
		files["systemd/loop.service"] = filepath.Join(r.source, "deploy", "loop.service")
	}
	for _, folder := range []string{"man", "completions"} {
		entries, err := os.ReadDir(filepath.Join(r.work, folder))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			files[folder+"/"+entry.Name()] = filepath.Join(r.work, folder, entry.Name())
		}
	}
	return r.archive(name, files)
}

// modulesArchive packs the module proxy. Its files are in the release as they are served.
func (r *release) modulesArchive() error {
	files := map[string]string{}
	proxy := filepath.Join(r.out, "proxy")
	err := filepath.WalkDir(proxy, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		inside, err := filepath.Rel(proxy, name)
		files[filepath.ToSlash(inside)] = name
		return err
	})
	if err != nil {
		return err
	}
	name := "modules_" + r.version
	r.say("%s.tar.gz", name)
	return r.archive(name, files)
}

// archive writes an archive of files in a folder of its name. Its bytes depend on nothing but their content and the
// commit's date.
func (r *release) archive(name string, files map[string]string) (err error) {
	file, err := os.Create(filepath.Join(r.out, name+".tar.gz"))
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(file)
	archive := tar.NewWriter(zipped)
	defer func() { err = errors.Join(err, archive.Close(), zipped.Close(), file.Close()) }()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, inside := range names {
		if err := r.add(archive, name+"/"+inside, files[inside]); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) add(archive *tar.Writer, name, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if strings.HasSuffix(name, ".md") {
		content = []byte(absolute(string(content), ".", r.version))
	}
	mode := int64(0o644)
	if strings.Contains(name, "/bin/") {
		mode = 0o755
	}
	header := &tar.Header{Name: name, Mode: mode, Size: int64(len(content)), ModTime: r.date, Typeflag: tar.TypeReg}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = archive.Write(content)
	return err
}

// materials writes a bill of materials in CycloneDX for each program: what is linked into it on this platform. Others
// lack modules of one system alone, such as Linux's /proc.
func (r *release) materials(ctx context.Context, bin string) error {
	for _, program := range programs {
		name := path.Base(program)
		if _, err := output(ctx, ".", []string{"GOWORK=off"}, "go", "tool", "-C", "tools/release", "cyclonedx-gomod", "bin",
			"-json", "-licenses=false", "-output", filepath.Join(r.out, name+"_"+r.version+".cdx.json"),
			filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// checksums writes SHA256SUMS, as sha256sum --check reads it.
func (r *release) checksums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(r.out, entry.Name()))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		fmt.Fprintf(&lines, "%s  %s\n", hex.EncodeToString(sum[:]), entry.Name())
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(lines.String()), 0o644)
}

// open is how dirhash reads the one file of a module's go.mod.
func open(name string) func(string) (io.ReadCloser, error) {
	return func(string) (io.ReadCloser, error) {
		return os.DirFS(filepath.Dir(name)).Open(filepath.Base(name))
	}
}
