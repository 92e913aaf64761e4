package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/loop-plugins/loop/host/internal/job"
)

func (c *command) spec(file string) (string, error) {
	if file != "-" {
		b, err := read(file, job.MaxSize, "job spec")
		return string(b), err
	}
	b, err := readAll(c.streams.In, "standard input", job.MaxSize, "job spec")
	return string(b), err
}

// read reads a file that should not be longer than most.
func read(file string, most int, what string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, exit(ExitUsage, fmt.Errorf("reading the %s failed: %w", what, err))
	}
	defer f.Close()
	return readAll(f, file, most, what)
}

func readAll(in io.Reader, from string, most int, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, int64(most)+1))
	if err != nil {
		return nil, exit(ExitUsage, fmt.Errorf("reading the %s failed: %w", what, err))
	}
	if len(b) > most {
		return nil, exit(ExitUsage, fmt.Errorf("%s is longer than a %s may be (%d bytes)", from, what, most))
	}
	return b, nil
}
