package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// TestPasswordLeavesMemory holds that a node that runs has no copy of the keystore's password, however it was given it
// and whether it has just made its keystore or opened it. A secret that the node still needs is found, so that the
// search is known to work.
func TestPasswordLeavesMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the memory of a node is root's to read")
	}
	const secret, needed = "hedge rumour kettle 7301", "kp4wz8example"
	dir, err := os.MkdirTemp("", "loop") // a test's own folder is too deep for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text := fmt.Sprintf("RootDir = %q\n[WebServer]\nHTTPPort = 0\n[P2P.V2]\nListenAddresses = [%q]\n"+
		"[Plugins]\nSocketDir = %q\n[[EVM]]\nChainID = \"1\"\n[[EVM.Nodes]]\nName = \"nobody\"\nHTTPURL = "+
		"\"http://127.0.0.1:9/%s\"\n",
		filepath.Join(dir, "node"), ports.Address(t), dir, needed)
	for name, content := range map[string]string{
		"variable.toml": text, "password": secret + "\n",
		"file.toml": text + "[Keystore]\nPasswordFile = \"" + filepath.Join(dir, "password") + "\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, given := range []string{"variable", "file"} {
		config := filepath.Join(dir, given+".toml")
		var environment []string
		if given == "variable" {
			environment = []string{"CL_PASSWORD_KEYSTORE=" + secret}
		}
		memory := memoryOfNode(t, config, environment)
		if !bytes.Contains(memory, []byte(needed)) {
			t.Error("what the node needs is not found in its memory: the search does not work")
		}
		for at, found := range indices(memory, secret) {
			t.Errorf("given by a %s, the password is in the node's memory (%d): %q", given, at+1,
				memory[max(0, found-32):min(len(memory), found+len(secret)+32)])
		}
	}
}

func indices(memory []byte, text string) []int {
	var all []int
	for from := 0; ; {
		at := bytes.Index(memory[from:], []byte(text))
		if at < 0 {
			return all
		}
		all = append(all, from+at)
		from += at + len(text)
	}
}

// memoryOfNode is what a node that is ready can write to.
func memoryOfNode(t *testing.T, config string, environment []string) []byte {
	t.Helper()
	program, err := exec.LookPath("loop")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "node", "start", "--json", "--config", config)
	cmd.Env = append(environment, "PATH="+os.Getenv("PATH"), "HOME="+filepath.Dir(config))
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	var said struct{ URL string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&said); err != nil {
		t.Fatalf("the node does not start: %v", err)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	var all []byte
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		part := make([]byte, to-from)
		if n, err := memory.ReadAt(part, from); err == nil || n > 0 { // it may be given back meanwhile
			all = append(all, part[:n]...)
		}
	}
	return all
}
