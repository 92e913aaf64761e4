package node

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const digestText = "00016f09205cb5e65c8d422b9b9c20a8f6c3364c23c6c5de8edd0d3574da41d8"

func digestOf() (digest [32]byte) {
	round, err := roundOf(digestText, "0", "0", 10)
	if err != nil {
		panic(err)
	}
	return round.ConfigDigest
}

// storeOf makes a node with a database that holds entries of a Store, and leaves it as a killed node does: with a log
// of writes that nobody has put into the file yet.
func storeOf(t *testing.T, entries map[string]string) *Node {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(root, "loop.db")+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE store_entries (plugin_kind TEXT, chain TEXT, account TEXT, entry_key BYTEA, content BYTEA, " +
		"version BIGINT)")
	for key, content := range entries {
		exec("INSERT INTO store_entries VALUES ('evm', '1337', '', $1, $2, 1)", []byte(key), []byte(content))
	}
	return &Node{settings: Settings{Name: "node-0", Dir: dir}}
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	n := storeOf(t, map[string]string{
		"transmit/0xA/item/0xC/" + digestText + "/0000000a/ff": `{"payload":"AAAA","accepted":"2026-01-01T00:00:00Z"}`,
		"transmit/0xA/item/0xC/" + digestText + "/0000000b/01": `{"accepted":"2026-01-01T00:00:00Z","done":true}`,
		"transmit/0xA/flight/0000000000000010":                 `{"attempts":[{}]}`,
		"transmit/0xA/flight/0000000000000011":                 `{"attempts":[{}]}`,
		"transmit/0xB/flight/0000000000000001":                 `{"attempts":[{}]}`,
		"transmission/0xA/0xC/otherwise":                       `kept in another way`,
	})
	got, err := n.Unfinished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Unfinished{
		Reports: []Round{{digestOf(), 10, 255}}, Numbers: map[string][]uint64{"0xA": {16, 17}, "0xB": {1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Done() {
		t.Error("there is something left, and it says that there is not")
	}
}

func TestUnfinishedAtTheEdges(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]*Node{
		"no database yet": {settings: Settings{Name: "node-0", Dir: t.TempDir()}},
		"nothing in it":   storeOf(t, nil),
	} {
		if got, err := n.Unfinished(t.Context()); err != nil || !got.Done() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	broken := storeOf(t, map[string]string{"transmit/0xA/item/0xC/" + digestText + "/0000000a/ff": "no JSON"})
	if _, err := broken.Unfinished(t.Context()); err == nil || !strings.Contains(err.Error(), "read the Store of node-0") {
		t.Errorf("a record that cannot be read: got error %v", err)
	}
}

func TestTale(t *testing.T) {
	t.Parallel()
	line := func(rest string) string {
		return `time=2026-11-23T05:23:49.898Z level=INFO msg="a report was handed to the relayer" ` + rest + "\n"
	}
	log := line(`job=1 contract=0x6C86 digest=`+digestText+` epoch=1 round=5 answer=7`) +
		line(`job=1 digest=`+digestText+` epoch=2 round=255`) +
		`time=2026-11-23T05:23:49.898Z level=INFO msg="eventTTransmitTimeout: Transmitting" configDigest=` + digestText +
		" epoch=3 round=1\n" +
		`time=2026-11-23T05:23:49.898Z level=ERROR msg="eventTTransmitTimeout: ContractTransmitter.Transmit error" configDigest=` + digestText + " error=no\n" +
		`time=2026-11-23T05:23:50.000Z level=INFO msg="a line that a kill cut off` + // the next generation goes on behind it
		line(`job=1 digest=`+digestText+` epoch=4 round=7`) +
		strings.Repeat("x", 1<<20) + "\n" +
		`level=INFO msg="a transmission ended" plugin=evm epoch=20 round=17 reason="the contract has a transmission of epoch 24 round 13" ending=reverted` + "\n" +
		`level=INFO msg="a transmission ended" plugin=evm ending=stale round=9 reason="the contract has a transmission of epoch 24 round 13" epoch=10` + "\n" +
		`level=INFO msg="a transmission ended" plugin=evm` + "\n" +
		`level=INFO msg="restoreFromDatabase: did not find cert, starting at genesis" job=1 configDigest=` + digestText +
		"\n" +
		line(`job=1 digest=`+digestText+` epoch=17 round=0`) +
		`level=INFO msg="restoreFromDatabase: successfully restored cert" job=1 certTimestamp="{SeqNr:18 CommittedElsePrepared:true Epoch:2}" configDigest=` + digestText + "\n" +
		strings.TrimSuffix(line(`job=1 digest=`+digestText+` epoch=4 round=8`), "\n")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "node.log"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := (&Node{settings: Settings{Name: "node-0", Dir: dir}}).Tale()
	if err != nil {
		t.Fatal(err)
	}
	digest := digestOf()
	want := Tale{
		Accepted: []Round{{digest, 1, 5}, {digest, 2, 255}, {digest, 4, 7}, {digest, 17, 0}, {digest, 4, 8}},
		Ended:    []Round{{Epoch: 20, Round: 17}, {Epoch: 10, Round: 9}},
		Restored: []uint64{18},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{
		"a round of no byte": line(`job=1 digest=` + digestText + ` epoch=4 round=256`),
		"an epoch too large": line(`job=1 digest=` + digestText + ` epoch=4294967296 round=1`),
		"an end of no byte":  `msg="a transmission ended" epoch=1 round=256`,
		"no number at all":   `successfully restored cert" certTimestamp="{SeqNr:18446744073709551616 `,
	} {
		if _, err := tale(strings.NewReader(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := (&Node{settings: Settings{Name: "node-0", Dir: t.TempDir()}}).Tale(); err == nil {
		t.Error("a log that is not there was taken for an empty one")
	}
}

func TestAwaitHandOver(t *testing.T) {
	t.Parallel()
	n := &Node{settings: Settings{Name: "node-0", Dir: t.TempDir()}}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if n.AwaitHandOver(over) {
		t.Error("a log that is not there told of a report")
	}
	for _, begun := range []string{
		`level=DEBUG msg="eventTTransmitTimeout: Transmitting" epoch=1 round=2` + "\n",
		`level=DEBUG msg="transmitting report" index=0 seqNr=2` + "\n",
	} {
		awaitHandOver(t, n, begun)
	}
}

func awaitHandOver(t *testing.T, n *Node, begun string) {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	log, err := os.Create(n.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	write := func(text string) {
		t.Helper()
		if _, err := log.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write(begun)
	if n.AwaitHandOver(over) {
		t.Error("a report of before was taken for one that comes")
	}
	came := make(chan bool)
	go func() { came <- n.AwaitHandOver(t.Context()) }()
	// Whenever it begins to wait, one comes after that.
	for i := 0; ; i++ {
		write("level=INFO msg=other\n" + begun[:40])
		write(begun[40:])
		select {
		case got := <-came:
			if !got {
				t.Error("it did not see it")
			}
			return
		case <-time.After(time.Millisecond):
		}
		if i > 10_000 {
			t.Fatal("it waits for ever")
		}
	}
}
