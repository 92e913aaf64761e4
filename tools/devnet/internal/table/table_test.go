package table

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

var nodes = []Node{
	{"node-0", "http://127.0.0.1:6688",
		[]Plugin{{"evm", "ready", false, 101, 1, 0}, {"median", "restarting", false, 0, 12, 11}}, 0, false},
	{"node-1", "http://127.0.0.1:6689", []Plugin{{"evm", "ready", true, 0, 1, 0}, {"median", "ready", false, 10400, 1, 0}},
		3, false},
	{"node-2", "http://127.0.0.1:6690", nil, 12, true},
}

func round(number uint32) Round {
	return Round{
		Number: number, Answer: "2000.12345678", Observers: []int{2, 0, 1}, Transmitter: "node-1", Fee: 182_331, Unit: "gas",
		Latency: 1234 * time.Millisecond, Interval: time.Duration(number-1) * 512 * time.Millisecond,
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got), run with -update when it is meant:\n%s", diff)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	lines := NewLines(&out)
	lines.Step("4 nodes are ready")
	lines.Nodes(nodes)
	lines.Round(round(1))
	lines.Round(round(2))
	golden(t, "lines.txt", out.String())
}

func TestRender(t *testing.T) {
	t.Parallel()
	m := model{step: "killed median of node-0", nodes: nodes, rounds: []Round{round(1), round(2), round(3)}}
	golden(t, "table.txt", strings.Join(m.render(24), "\n")+"\n")
}

func TestRenderKeepsToHeight(t *testing.T) {
	t.Parallel()
	m := model{nodes: nodes}
	for number := range uint32(50) {
		m.rounds = append(m.rounds, round(number+1))
		if got := len(m.render(20)) + 1; got > 20 {
			t.Fatalf("%d rounds take %d lines of 20", number+1, got)
		}
	}
	if got := m.render(20); !strings.HasPrefix(got[12], "50 ") {
		t.Errorf("the newest round is not the last one shown:\n%s", strings.Join(got, "\n"))
	}
	if got := len(m.render(1)); got != 8 {
		t.Errorf("a terminal without room gets %d lines, want the nodes and one round in 8", got)
	}
}

// TestScreenPaintsOver reads the screen as a terminal would.
func TestScreenPaintsOver(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &Screen{out: &out, size: func() (int, int) { return 40, 24 }}
	s.Step("starting")
	s.Nodes(nodes)
	s.Round(round(1))
	s.Nodes(nodes[:1])
	golden(t, "screen.txt", strings.Join(terminal(t, out.String()), "\n")+"\n")
}

// terminal is what stands on an endless terminal after it was written to.
func terminal(t *testing.T, text string) []string {
	t.Helper()
	var lines []string
	at := 0
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[J"):
			lines, text = lines[:at], text[3:]
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexByte(text, 'A')
			up := 0
			for _, digit := range text[2:end] {
				up = up*10 + int(digit-'0')
			}
			at, text = at-up, text[end+1:]
		default:
			line, rest, ok := strings.Cut(text, "\x1b[K\n")
			if !ok || !strings.HasPrefix(line, "\r") || strings.Contains(line, "\n") {
				t.Fatalf("what does a terminal do with %q?", text)
			}
			lines, at, text = append(lines[:at], append([]string{line[1:]}, lines[min(len(lines), at+1):]...)...), at+1, rest
		}
	}
	return lines
}
