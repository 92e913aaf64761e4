package relayertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
)

// Devchain is a chain of the devnet in a process of its own. It ends with the test.
type Devchain struct {
	Stdin  io.Writer
	Stdout *json.Decoder // it says on stdout what there is on it, as JSON
}

// StartDevchain starts a chain's program and reads the line that it prints first. It skips the test in short mode, or
// if the program was not built.
func StartDevchain(t *testing.T, said any, program string, args ...string) Devchain {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a chain")
	}
	path, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("there is no chain to try this on: build %s with make", program)
	}
	command := exec.Command(path, args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("the chain ended with %v: %s", err, stderr.String())
		}
	})
	d := Devchain{Stdin: stdin, Stdout: json.NewDecoder(bufio.NewReader(stdout))}
	if err := d.Stdout.Decode(said); err != nil {
		t.Fatalf("the chain does not start: %v: %s", err, stderr.String())
	}
	return d
}

// IsAway checks that a chain without nodes says so, without the nodes' addresses.
func IsAway(t *testing.T, chain relayerv1loop.Chain) {
	t.Helper()
	_, err := chain.LatestHead(t.Context(), &relayerv1.LatestHeadRequest{})
	if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("LatestHead without a chain: %v", err)
	}
}

// TransmitAtOnce makes each of the providers transmit a report, concurrently.
func TransmitAtOnce(t *testing.T, providers []relayerv1loop.Provider, report func(i int) *relayerv1.TransmitRequest) {
	t.Helper()
	var transmitting sync.WaitGroup
	for i, p := range providers {
		request := report(i)
		transmitting.Go(func() {
			if _, err := p.Transmit(context.Background(), request); err != nil {
				t.Error(err)
			}
		})
	}
	transmitting.Wait()
}

// FuzzAnswers checks that no answer of a node causes a panic, nor an error without a reason. A node answers with body,
// every makes each of the client's calls, and told reports whether an error has a reason.
func FuzzAnswers(
	f *testing.F, seeds []string, body *string, every func(ctx context.Context) map[string]error, told func(error) bool,
) {
	f.Helper()
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		*body = answer
		for method, err := range every(t.Context()) {
			if err != nil && !told(err) {
				t.Errorf("%s fails without a reason: %v", method, err)
			}
		}
	})
}
