package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// thisMachine is one sentence on what the figures come from. It names no host.
func thisMachine(ctx context.Context) string {
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		version = []byte(runtime.Version())
	}
	return fmt.Sprintf("Measured on %s: %d processors of %s, %s, %s; load average over the last minute at the end %s.",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), model(), kernel(), strings.TrimSpace(string(version)),
		load())
}

// model is the processor's, as Linux names it.
func model() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range bytes.Lines(info) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(release))
}

func load() string {
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(average), " ")
	return first
}
