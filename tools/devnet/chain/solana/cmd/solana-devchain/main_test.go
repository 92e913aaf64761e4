package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/tools/devnet/chain/solana/svm"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client library's own HTTP connections, which end with the chain's process.
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func small(t *testing.T) config {
	t.Helper()
	dir := os.Getenv("LOOP_SOLANA_DIR")
	if dir == "" {
		t.Skip("needs the Solana chain: run make test-solana")
	}
	return config{settings: svm.Settings{Dir: dir, Nodes: 2}, feeds: 2, oracles: 4}
}

// TestRun reads what tests of others read, configures a feed again, and lets the end of the input end it all.
func TestRun(t *testing.T) {
	config := small(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in, commands := io.Pipe()
	lines, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(run(ctx, config, in, out), out.Close()) }()
	decoder := json.NewDecoder(bufio.NewReader(lines))
	decoder.DisallowUnknownFields()
	var said chainJSON
	if err := decoder.Decode(&said); err != nil {
		t.Fatal(errors.Join(err, <-ended))
	}
	if len(said.Nodes) != 2 || said.Nodes[0] != said.Node || said.F != 1 || len(said.Oracles) != 4 ||
		len(said.Feeds) != 2 {
		t.Errorf("it said %+v", said)
	}
	for _, f := range said.Feeds {
		if f.ConfigCount != 1 || !strings.HasPrefix(f.ConfigDigest, "0003") || f.State.IsZero() || f.Transmissions.IsZero() {
			t.Errorf("a feed is %+v", f)
		}
	}
	if _, err := io.WriteString(commands, "configure 1\n"); err != nil {
		t.Fatal(err)
	}
	var again feedJSON
	if err := decoder.Decode(&again); err != nil {
		t.Fatal(errors.Join(err, <-ended))
	}
	if again.State != said.Feeds[1].State || again.ConfigCount != 2 || again.ConfigDigest == said.Feeds[1].ConfigDigest {
		t.Errorf("configured again the feed is %+v", again)
	}
	if err := commands.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if response, err := http.Get(said.RPCURL); err == nil {
		response.Body.Close()
		t.Error("the chain still serves")
	}
}

func TestRunRefuses(t *testing.T) {
	if err := run(t.Context(), config{feeds: 1, oracles: 3}, strings.NewReader(""), io.Discard); err == nil ||
		!strings.Contains(err.Error(), "of 4 to 19 oracles") {
		t.Errorf("three oracles end with %v", err)
	}
	for line, want := range map[string]string{"dance": "is not a command", "configure": "from 0 to 1",
		"configure 2": "from 0 to 1"} {
		config := small(t)
		if err := run(t.Context(), config, strings.NewReader(line+"\n"), io.Discard); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q ends with %v, want %q", line, err, want)
		}
	}
}
