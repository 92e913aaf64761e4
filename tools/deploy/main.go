// Deploy lints Dockerfiles with BuildKit's own linter, which `docker build --check` runs, too. It needs no container
// engine and no network: what an image in a FROM holds is not looked at.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	os.Exit(run(context.Background(), os.Stdout, os.Stderr, os.Args[1:]))
}

// run lints the files and returns the exit code: 0 when all are clean, 1 when not, 2 for wrong usage.
func run(ctx context.Context, stdout, stderr io.Writer, files []string) int {
	if len(files) == 0 {
		fmt.Fprintln(stderr, "No Dockerfile was named; call it as: deploy FILE...")
		return 2
	}
	code := 0
	for _, file := range files {
		findings, err := lint(ctx, file)
		if err != nil {
			fmt.Fprintf(stderr, "%s could not be linted: %v.\n", file, err)
			return 1
		}
		for _, finding := range findings {
			fmt.Fprintln(stderr, finding)
			code = 1
		}
		fmt.Fprintf(stdout, "lint: %s, %d findings\n", file, len(findings))
	}
	return code
}

// lint returns what is wrong with a Dockerfile, each with its line. Rules that are experimental in BuildKit count.
func lint(ctx context.Context, file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	source := llb.NewSourceMap(nil, file, "Dockerfile", content)
	source.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(ctx, content, dockerfile2llb.ConvertOpt{
		Config:       dockerui.Config{LinterConfig: &linter.Config{ExperimentalAll: true}},
		SourceMap:    source,
		MetaResolver: offline{},
	})
	if err != nil {
		return nil, err
	}
	var findings []string
	for _, warning := range results.Warnings {
		line := 0
		if ranges := warning.Location.GetRanges(); len(ranges) > 0 {
			line = int(ranges[0].GetStart().GetLine())
		}
		findings = append(findings, fmt.Sprintf("%s:%d: %s: %s", file, line, warning.RuleName, warning.Detail))
	}
	if results.Error != nil {
		findings = append(findings, fmt.Sprintf("%s: %s", file, results.Error.Message))
	}
	return findings, nil
}

// offline says of every image that it is there and holds no settings.
type offline struct{}

// ResolveImageConfig implements sourceresolver.ImageMetaResolver.
func (offline) ResolveImageConfig(_ context.Context, name string,
	options sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	image := specs.Image{Platform: specs.Platform{OS: "linux", Architecture: "amd64"}}
	if options.ImageOpt != nil && options.ImageOpt.Platform != nil {
		image.Platform = *options.ImageOpt.Platform
	}
	encoded, err := json.Marshal(image)
	return name, "", encoded, err
}
