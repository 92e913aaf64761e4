package node

import (
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestWriteFolder(t *testing.T) {
	t.Parallel()
	evm := Chain{Kind: "evm", ID: "1337", WSURL: "ws://127.0.0.1:1", HTTPURL: "http://127.0.0.1:2"}
	for name, settings := range map[string]Settings{
		"config.toml": {Chain: evm},
		"host.toml":   {Chain: evm, Host: &Host{Address: "10.99.0.1"}},
		"remote.toml": {Chain: Chain{Kind: "evm", ID: "31337", WSURL: "ws://127.0.0.1:1", FinalityDepth: 12}},
		"solana.toml": {Chain: Chain{Kind: "solana", ID: "localnet", WSURL: "ws://127.0.0.1:1",
			HTTPURL: "http://127.0.0.1:2"}},
		"starknet.toml": {Chain: Chain{Kind: "starknet", ID: "LOOP_DEVNET", HTTPURL: "http://127.0.0.1:2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testWriteFolder(t, name, settings)
		})
	}
}

func testWriteFolder(t *testing.T, name string, settings Settings) {
	dir := t.TempDir()
	settings.Name, settings.Dir, settings.HTTPPort, settings.P2PPort = "node-0", filepath.Join(dir, "node-0"), 6688, 40001
	file, err := writeFolder(settings)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(string(text), dir, "/folder")
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("configuration (-want +got), run with -update when it is meant:\n%s", diff)
	}
	password, err := os.ReadFile(filepath.Join(dir, "node-0", "password"))
	if err != nil || len(strings.TrimSpace(string(password))) < 16 {
		t.Errorf("the password file holds %d bytes (%v), want a password", len(password), err)
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	ocr2 := func(id, chain string) *nodev1.Key {
		return &nodev1.Key{Kind: nodev1.KeyKind_KEY_KIND_OCR2, Id: id, Relay: chain, Ocr2: &nodev1.Ocr2PublicKeys{
			OffchainPublicKey: []byte{1}, ConfigEncryptionPublicKey: []byte{2}, OnchainPublicKey: []byte{3}}}
	}
	p2p := &nodev1.Key{Kind: nodev1.KeyKind_KEY_KIND_P2P, Id: "peer"}
	evm := &nodev1.Key{Kind: nodev1.KeyKind_KEY_KIND_ACCOUNT, Relay: "evm", Id: "0x01"}
	other := &nodev1.Key{Kind: nodev1.KeyKind_KEY_KIND_ACCOUNT, Relay: "evm", Id: "0x02"}
	tests := map[string]struct {
		keys []*nodev1.Key
		err  string
	}{
		"one of each":        {[]*nodev1.Key{p2p, ocr2("bundle", "evm"), evm}, ""},
		"more than one":      {[]*nodev1.Key{evm, other, ocr2("other", "solana"), ocr2("bundle", "evm"), p2p}, ""},
		"no peer":            {[]*nodev1.Key{ocr2("bundle", "evm"), evm}, "no key of the kind P2P"},
		"bundle of no use":   {[]*nodev1.Key{p2p, ocr2("bundle", "solana"), evm}, "no key of the kind OCR2 for evm"},
		"no account":         {[]*nodev1.Key{p2p, ocr2("bundle", "evm")}, "no account of evm"},
		"keys without sense": {[]*nodev1.Key{nil, {}}, "no key of the kind P2P"},
	}
	want := Keys{
		PeerID: "peer", BundleID: "bundle", OffchainPublicKey: []byte{1}, ConfigEncryptionPublicKey: []byte{2},
		OnchainPublicKey: []byte{3}, Account: "0x01",
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pick(test.keys, "evm")
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("error %v, keys (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestObservations(t *testing.T) {
	t.Parallel()
	digest := [32]byte{1, 2, 3}
	at := func(digest []byte, epoch, round uint32, value *big.Int) *nodev1.RoundObservation {
		return &nodev1.RoundObservation{
			Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: digest, Epoch: epoch, Round: round}, Value: wire.BigInt(value)}
	}
	other := [32]byte{9}
	got := observations([]*nodev1.RoundObservation{
		at(digest[:], 4, 5, big.NewInt(-7)),
		at(digest[:], 4, 6, big.NewInt(1)),
		at(digest[:], 5, 5, big.NewInt(2)),
		at(other[:], 4, 5, big.NewInt(3)),
		at(digest[:31], 4, 5, big.NewInt(4)),
		at(digest[:], 4, 5+256, big.NewInt(4)),
		at(digest[:], 4, 5, nil), // the source failed
		at(digest[:], 4, 5, big.NewInt(0)),
		nil,
	})
	want := Observations{
		{digest, 4, 5}: {big.NewInt(-7), big.NewInt(0)}, {digest, 4, 6}: {big.NewInt(1)}, {digest, 5, 5}: {big.NewInt(2)},
		{other, 4, 5}: {big.NewInt(3)},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	numbered := func(n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "\nline %d", i)
		}
		return text.String()
	}
	tests := map[string]struct{ tail, first, last string }{
		"short":                 {"a" + numbered(2), "a", "line 1"},
		"long":                  {"a" + numbered(40), "line 20", "line 39"},
		"a panic far above":     {"a\npanic: no\ngoroutine 1" + numbered(40), "panic: no", "line 17"},
		"a fault of Go's":       {"a\nfatal error: all asleep" + numbered(40), "fatal error: all asleep", "line 18"},
		"a panic that is shown": {"a" + numbered(40) + "\npanic: no", "line 21", "panic: no"},
		"a line about a panic":  {"a\nwhat panic: none" + numbered(40), "line 20", "line 39"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Split(lastWords(test.tail), "\n")
			if len(got) > shownLines || got[0] != test.first || got[len(got)-1] != test.last {
				t.Errorf("%d lines from %q to %q, want %q to %q", len(got), got[0], got[len(got)-1], test.first, test.last)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	caller := []string{"PATH=/bin", "CL_SOLANA_CMD=/x", "LOOP_REATTACH=/y", "HTTPS_PROXY=http://p", "CLASSPATH=z"}
	want := []string{"PATH=/bin", "HTTPS_PROXY=http://p", "CLASSPATH=z", "CL_EVM_CMD=/b/loop-evm", "CL_X=1 s"}
	if diff := cmp.Diff(want,
		environment(caller, map[string]string{"CL_EVM_CMD": "/b/loop-evm"}, map[string]string{"CL_X": "1 s"})); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if caller[1] != "CL_SOLANA_CMD=/x" {
		t.Error("the caller's environment was changed")
	}
}

func TestWord(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/b/loop-evm": "/b/loop-evm", "/my bin/loop": "'/my bin/loop'", "/it's/$x": `'/it'\''s/$x'`,
	} {
		if got := Word(path); got != want {
			t.Errorf("%s is written as %s, want %s", path, got, want)
		}
	}
}
