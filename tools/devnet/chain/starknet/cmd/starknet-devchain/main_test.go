package main

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDevchain(t *testing.T) {
	t.Parallel()
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	c := command(in, out)
	c.SetArgs([]string{"--feeds", "2", "--nodes", "3", "--oracles", "7", "--chain-id", "SN_TEST", "--rpc", "0.9,0.8"})
	ended := make(chan error, 1)
	go func() { ended <- c.ExecuteContext(t.Context()) }()
	decoder := json.NewDecoder(bufio.NewReader(stdout))
	var said chainJSON
	if err := decoder.Decode(&said); err != nil {
		t.Fatal(err)
	}
	if len(said.Feeds) != 2 || len(said.Nodes) != 3 || said.RPCURL != said.Nodes[0] || len(said.Oracles) != 7 ||
		said.F != 2 || said.ChainID != "SN_TEST" {
		t.Errorf("it says %+v", said)
	}
	if _, err := io.WriteString(stdin, "configure 1\n"); err != nil {
		t.Fatal(err)
	}
	var feed feedJSON
	if err := decoder.Decode(&feed); err != nil {
		t.Fatal(err)
	}
	if first := said.Feeds[1]; feed.Address != first.Address || feed.ConfigCount != 2 ||
		feed.ConfigDigest == first.ConfigDigest {
		t.Errorf("configured again, it is %+v after %+v", feed, first)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDevchainRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		line string
		want string
	}{
		"too few oracles": {args: []string{"--oracles", "3"}, want: "4 to 31 oracles"},
		"a version of no sort": {args: []string{"--rpc", "0.10,0.7"},
			want: `--rpc: the version "0.7" of the JSON-RPC is not known; give 0.8, 0.9 or 0.10`},
		"no feeds":          {args: []string{"--feeds", "0"}, want: "1 feed or more"},
		"a name too long":   {args: []string{"--chain-id", strings.Repeat("x", 32)}, want: "31 of a short string"},
		"a line of no sort": {line: "stop\n", want: `"stop"`},
		"a feed of no sort": {line: "configure 1\n", want: "from 0 to 0"},
	} {
		c := command(strings.NewReader(test.line), io.Discard)
		c.SetArgs(test.args)
		if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
