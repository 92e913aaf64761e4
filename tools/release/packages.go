package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// projects are the Python packages that are released, the SDK first: the plugins of loop new plugin need them.
var projects = []string{
	"sdk/python", "plugins/examples/python-median", "plugins/examples/python-relayer", "plugins/examples/python-twap",
}

// packages builds a wheel and a source distribution of each Python project at the release's version. What it changes in
// the checkout for that is part of the release's commit, and so it comes before the modules.
func (r *release) packages(ctx context.Context, python string) error {
	if python == "" {
		r.say("no Python packages, since --python is empty")
		return nil
	}
	environment := filepath.Join(r.work, "python")
	if _, err := output(ctx, ".", nil, python, "-m", "venv", environment); err != nil {
		return fmt.Errorf("make a Python environment: %w; install Python 3.10 or later with venv, or leave the packages "+
			"out with --python ''", err)
	}
	pip, inside := filepath.Join(environment, "bin", "pip"), filepath.Join(environment, "bin", "python")
	if _, err := output(ctx, r.source, nil, pip, "install", "--quiet", "--disable-pip-version-check",
		"--constraint", "sdk/python/requirements-dev.txt", "hatchling"); err != nil {
		return err
	}
	epoch := fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.date.Unix()) // of the files in the archives
	for _, project := range projects {
		dir := filepath.Join(r.source, project)
		if _, err := output(ctx, dir, nil, inside, "-m", "hatchling", "version", r.version[1:]); err != nil {
			return err
		}
		version, err := output(ctx, dir, nil, inside, "-m", "hatchling", "version") // as Python writes it
		if err != nil {
			return err
		}
		if err := r.prepare(project, version); err != nil {
			return fmt.Errorf("prepare %s: %w", project, err)
		}
		if _, err := output(ctx, dir, []string{epoch}, inside, "-m", "hatchling", "build", "--directory", r.out); err != nil {
			return err
		}
	}
	r.say("%d Python packages", len(projects))
	return nil
}

// prepare gives a project the licence and a README whose links lead somewhere. A plugin requires the SDK of the same
// release.
func (r *release) prepare(project, version string) error {
	dir := filepath.Join(r.source, project)
	licence, err := os.ReadFile(filepath.Join(r.source, "LICENSE"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), licence, 0o644); err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		return err
	}
	text := absolute(string(readme), project, r.version)
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte(text), 0o644); err != nil || project == projects[0] {
		return err
	}
	name := filepath.Join(dir, "pyproject.toml")
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	pinned := bytes.Replace(content, []byte(`"loop-plugin"`), []byte(`"loop-plugin==`+version+`"`), 1)
	if bytes.Equal(pinned, content) {
		return fmt.Errorf("%s does not require \"loop-plugin\"", name)
	}
	return os.WriteFile(name, pinned, 0o644)
}
