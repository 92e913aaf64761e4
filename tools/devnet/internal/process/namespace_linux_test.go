package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/tools/devnet/internal/hosts"
)

// TestStartInNamespace starts a program on a host of its own and then one without, from the same thread.
func TestStartInNamespace(t *testing.T) {
	network, err := hosts.Start(1, 1)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = network.Close() }()
	l, err := NewLauncher()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	folder := t.TempDir()
	devices := func(name string, namespace *os.File) string {
		t.Helper()
		log := filepath.Join(folder, name)
		p, err := l.Start(Command{Path: "/bin/cat", Args: []string{"/proc/self/net/dev"}, LogFile: log, Namespace: namespace})
		if err != nil {
			t.Fatal(err)
		}
		if exit := p.Exit(); exit != "exit status 0" {
			t.Fatalf("cat ended with %s: %s", exit, p.Tail(5))
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if text := devices("inside", network.Namespace(0)); !strings.Contains(text, "net0:") {
		t.Errorf("a program on a host of its own sees other devices:\n%s", text)
	}
	if text := devices("outside", nil); strings.Contains(text, "net0:") {
		t.Errorf("the program after it is on that host too:\n%s", text)
	}
}
