// Package anvil runs the devnet's network on anvil, a second EVM client beside the go-ethereum that devnet has in
// itself.
package anvil

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// program is the path of anvil.
func program(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LOOP_ANVIL_DIR")
	if dir == "" {
		t.Skip("anvil comes by npm, and the test needs the devnet's programs: run make test-anvil")
	}
	// The one for this machine is the only one that npm installs.
	programs, err := filepath.Glob(filepath.Join(dir, "node_modules", "@foundry-rs", "anvil-*", "bin", "anvil*"))
	if err != nil || len(programs) != 1 {
		t.Fatalf("%s has the programs %q (%v), want one: npm has anvil for Linux and macOS on x86-64 and ARM", dir, programs,
			err)
	}
	return programs[0]
}

// start starts anvil on a free port and returns its URL. It ends with the test.
func start(t *testing.T, args ...string) string {
	t.Helper()
	anvil := exec.CommandContext(t.Context(), program(t), append([]string{"--port", "0"}, args...)...)
	anvil.Cancel = func() error { return anvil.Process.Signal(syscall.SIGTERM) }
	anvil.WaitDelay = 5 * time.Second
	output, err := anvil.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := anvil.Start(); err != nil {
		t.Fatal(err)
	}
	serves := make(chan string, 1)
	go func() {
		defer close(serves)
		lines := bufio.NewScanner(output)
		for lines.Scan() { // to its end, so that anvil never waits for a reader
			if address, ok := strings.CutPrefix(lines.Text(), "Listening on "); ok {
				serves <- "http://" + address
			}
		}
	}()
	t.Cleanup(func() { // the test's context has ended
		for range serves {
		}
		_ = anvil.Wait() // it was told to end
	})
	url, ok := <-serves
	if !ok {
		t.Fatal("anvil ended before it served")
	}
	return url
}

// result is what the test reads of what devnet prints.
type result struct {
	Transmissions int
	Kills         int
	Reports       struct {
		Accepted, Landed, Lost int
		LandedTwice            int `json:"landed_twice"`
		InFlight               int `json:"in_flight"`
		NonceGaps              int `json:"nonce_gaps"`
	}
	Error string
}

// TestDevnet proves that the network, its resends and its nonces hold on a client that is not go-ethereum.
func TestDevnet(t *testing.T) {
	for name, test := range map[string]struct {
		anvil, devnet []string
		rounds        int
	}{
		"a block for each transaction": {nil, []string{"--rounds", "10"}, 10},
		"a block each second":          {[]string{"--block-time", "1"}, []string{"--rounds", "5"}, 5},
		"killed, a block for each transaction": {
			nil, []string{"--rounds", "10", "--kill-every", "2s", "--kill", "nodes,plugins", "--kills", "3"}, 10,
		},
		"killed, a block each second": {
			[]string{"--block-time", "1"}, []string{"--rounds", "5", "--kill-every", "2s", "--kills", "2"}, 5,
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := start(t, test.anvil...)
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // devnet's own limits are shorter
			defer cancel()
			devnet := exec.CommandContext(ctx, os.Getenv("LOOP_DEVNET"),
				append([]string{"--json", "--http-port", "0", "--rpc", url}, test.devnet...)...)
			devnet.Cancel = func() error { return devnet.Process.Signal(syscall.SIGTERM) }
			devnet.WaitDelay = 30 * time.Second
			devnet.Stderr = t.Output()
			output, err := devnet.Output()
			if err != nil {
				t.Fatalf("devnet: %v\n%s", err, output)
			}
			var got result
			if err := json.Unmarshal(output, &got); err != nil {
				t.Fatalf("devnet printed %q: %v", output, err)
			}
			r := got.Reports
			if got.Error != "" || got.Transmissions < test.rounds || r.Landed < test.rounds || r.Accepted < r.Landed ||
				r.Lost+r.LandedTwice+r.InFlight+r.NonceGaps > 0 {
				t.Errorf("devnet printed %s", output)
			}
			if killing := strings.HasPrefix(name, "killed"); killing != (got.Kills > 0) {
				t.Errorf("%d kills", got.Kills)
			}
		})
	}
}

// TestGettingStarted runs the commands of docs/getting-started.md, on free ports.
func TestGettingStarted(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "getting-started.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 6 {
		t.Fatalf("the page has %d blocks of commands; it has lost its way", len(blocks))
	}
	// What a shell leaves running would outlive a step that fails.
	script := "trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n"
	for _, block := range blocks {
		script += block[1]
	}
	for _, port := range []string{"8545", "8000"} {
		script = strings.ReplaceAll(script, port, free(t))
	}
	row, release, err := ports.ClaimRow(4)
	if err != nil {
		t.Fatal(err)
	}
	release() // to devnet
	script = strings.ReplaceAll(script, "6688", strconv.Itoa(row))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "PATH="+filepath.Dir(program(t))+string(os.PathListSeparator)+
		filepath.Dir(os.Getenv("LOOP_DEVNET"))+string(os.PathListSeparator)+os.Getenv("PATH"))
	shell.Cancel = func() error { return shell.Process.Signal(syscall.SIGTERM) }
	shell.WaitDelay = 30 * time.Second
	output, err := shell.CombinedOutput()
	for _, want := range []string{"tea in USD", "4711.25", "signal: killed"} {
		if err == nil && !strings.Contains(string(output), want) {
			err = fmt.Errorf("%q is not among what was printed", want)
		}
	}
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(shell.Dir, "devnet.log"))
		t.Fatalf("%v after\n%s\ndevnet.log:\n%s", err, output, log)
	}
	t.Logf("%s", output)
}

// free returns a port that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	free, release, err := ports.Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return strconv.Itoa(free[0])
}
