package document_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/document"
)

// config is a document as a reader has it.
type config struct {
	ID     string
	Whole  uint16            `bounds:"1 100"`
	Signed *int32            `bounds:"-5 5"`
	Factor float64           `bounds:"1 10"`
	Poll   document.Duration `comment:"How often." bounds:"50ms 5m"`
	Free   document.Duration
	On     bool
	Words  []string
	Pool   pool
	Nodes  []node `toml:",omitempty"`
	Hidden string `toml:"-"`
}

type pool struct {
	Mode string
	Wait *document.Duration `bounds:"0s 1h"`
}

type node struct {
	Name string
	URL  document.Secret `comment:"Where the node is."`
	Key  document.Secret `toml:",omitempty"`
}

func defaults() config {
	return config{Whole: 7, Factor: 1.5, Poll: document.Lasting(time.Second), Pool: pool{Mode: "first"}}
}

var settings = document.Settings{
	Idle: []document.Idle{
		{Keys: []string{"Old", "Pool.Old", "Nodes.Old", "Past.Deep.Old"}, Why: "nothing reads it"},
		{Keys: []string{"Pool.Forward"}, Why: "nothing is forwarded", Off: true},
	},
	Elsewhere: []string{"Other", "Pool.Theirs"},
}

// lines are problems or warnings as a golden text has them.
func lines(list []document.Problem) string {
	var text strings.Builder
	for _, problem := range list {
		fmt.Fprintf(&text, "%d %s\n", problem.Line, problem)
	}
	return text.String()
}

func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, problems, warnings string }{
		"good": {"id = 'x'\nPool = {wait = '1m'}\n[[Nodes]]\nName = 'a'\n", "", ""},
		"unknown keys": {
			"Whol = 1\nzzz = 1\nHidden = 'x'\n[Poool]\na = 1\n[Pool]\nMod = 'x'\n[[Nodes]]\n[[Nodes]]\nURI = 'hunter2'\n",
			"1 Whol: unknown key; did you mean Whole?\n2 zzz: unknown key\n3 Hidden: unknown key\n4 Poool: unknown key; did " +
				"you mean Pool?\n" +
				"7 Pool.Mod: unknown key; did you mean Mode?\n10 Nodes[1].URI: unknown key; did you mean URL?\n", "",
		},
		"unknown keys of one line": {
			"Nodes = [{Nam = 1}, {N.x = 1}]\n", "1 Nodes[0].Nam: unknown key; did you mean Name?\n1 Nodes[1].N.x: unknown key\n",
			"",
		},
		"types": {
			"ID = 1\nWhole = 'hunter2'\nSigned = 1.5\nFactor = 'hunter2'\nOn = 'hunter2'\nWords = 'hunter2'\nPool = " +
				"'hunter2'\nNodes = {Name = 'a'}\n",
			"1 ID: want a string in quotes, have another number\n2 Whole: want a whole number from 0 to 65535, have a string\n" +
				"3 Signed: want a whole number, have a number with a fraction\n4 Factor: want a number, have a string\n" +
				"5 On: want true or false, have a string\n6 Words: want a list of strings, have a string\n7 Pool: want a table, " +
				"have a string\n" +
				"8 Nodes: want a list of tables, have a table\n", "",
		},
		"bounds": {
			"Whole = 0\nSigned = -6\nFactor = nan\nPoll = '1ms'\nFree = '-1s'\nPool.Wait = '2h'\n",
			"1 Whole: 0 is not between 1 and 100\n2 Signed: -6 is not between -5 and 5\n3 Factor: NaN is not between 1 and " +
				"10\n" +
				"4 Poll: 1ms is not between 50ms and 5m\n6 Pool.Wait: 2h is not between 0s and 1h\n", "",
		},
		"durations": {
			"Poll = 5\nFree = 'hunter2'\nPool.Wait = ''\n",
			"1 Poll: \"5\" is not a duration; write a number with a unit, such as \"10s\" or \"1m30s\"\n" +
				"2 Free: this is not a duration; write a number with a unit, such as \"10s\" or \"1m30s\"\n" +
				"3 Pool.Wait: an empty text is not a duration; write a number with a unit, such as \"10s\" or \"1m30s\"\n", "",
		},
		"twice":  {"ID = 'hunter2'\nID = 'hunter2'\n", "2 ID: this key is given on line 1 already\n", ""},
		"syntax": {"ID = 'x'\nWhole = \n", "2 this is not TOML: unexpected character U+000A at start of value\n", ""},
		"header": {"[ID]\na = 1\n", "1 ID: want a string in quotes, have a table\n", ""},
		"idle keys": {
			"old = 'hunter2'\nPool = {Old = 1, Forward = false}\n[[Nodes]]\nOld = true\n[Past.Deep]\nOld = []\n", "",
			"1 old: it has no effect: nothing reads it\n2 Pool.Old: it has no effect: nothing reads it\n2 Pool.Forward: it " +
				"has no effect: nothing is forwarded\n" +
				"4 Nodes[0].Old: it has no effect: nothing reads it\n6 Past.Deep.Old: it has no effect: nothing reads it\n",
		},
		"near idle keys": {
			"Oldd = 1\nPool.Forward = true\n[Past]\nDeeq.Old = 1\n[Past.Deep]\nOlder = 1\n",
			"1 Oldd: unknown key; did you mean Old?\n2 Pool.Forward: this cannot be true here: nothing is forwarded\n" +
				"4 Past.Deeq.Old: unknown key\n6 Past.Deep.Older: unknown key\n", "",
		},
		"read elsewhere": {"[[Other]]\na = 1\n[Other.b]\n[Pool.Theirs]\nc = 1\n", "", ""},
	} {
		got := defaults()
		problems, whole := document.Read([]byte(c.document), &got, settings)
		if whole == (name == "syntax" || name == "header") {
			t.Errorf("%s: read to its end: %v", name, whole)
		}
		if diff := cmp.Diff([2]string{c.problems, c.warnings},
			[2]string{lines(problems.List()), lines(problems.Warnings())}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if text := lines(problems.List()) + lines(problems.Warnings()) +
			fmt.Sprint(problems.Err()); strings.Contains(text, "hunter2") {
			t.Errorf("%s: a value is shown: %s", name, text)
		}
	}
}

// What a document leaves out has its default, and what it has goes before, in tables too.
func TestReadFillsIn(t *testing.T) {
	t.Parallel()
	got := defaults()
	problems, whole := document.Read([]byte("Whole = 9\nPool.Wait = '3s'\nAny = 1\n"), &got, document.Settings{Open: true})
	if err := problems.Err(); err != nil || !whole {
		t.Fatal(err)
	}
	want := defaults()
	want.Whole, want.Pool.Wait = 9, new(document.Lasting(3*time.Second))
	if fmt.Sprint(want.Pool.Wait, want.Whole, want.Poll, want.Pool.Mode) != fmt.Sprint(got.Pool.Wait, got.Whole, got.Poll,
		got.Pool.Mode) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	if !problems.Has("pool.wait") || problems.Has("Poll") {
		t.Error("which keys the document has is not told")
	}
}

// A value of a wrong type costs a decoding: there is a bound to how many are told.
func TestReadEnds(t *testing.T) {
	t.Parallel()
	got := config{}
	problems, whole := document.Read([]byte(strings.Repeat("[[Nodes]]\nName = 1\n", 60)), &got, settings)
	list := problems.List()
	if whole || len(list) != 51 || list[50].Text != "more problems follow; fix these first" {
		t.Errorf("%d problems, read to the end: %v; the last is %v", len(list), whole, list[len(list)-1])
	}
}

// What follows from a problem is not told, and a table that was read by itself brings its own.
func TestProblems(t *testing.T) {
	t.Parallel()
	got := defaults()
	p, _ := document.Read([]byte("ID = 'x'\n[[Nodes]]\nName = 'a'\n"), &got, settings)
	p.Add("Nodes[0].URL", "it is missing")
	p.Add("Nodes", "one is %s", "bad")
	p.Add("Nodes[0]", "it follows")
	p.Add("nodes[0].url.host", "it follows")
	p.Include("Nodes[0]",
		[]document.Problem{{Path: "Name", Text: "it is bad"}, {Path: "URL", Text: "it is told already"},
			{Text: "the whole is bad"}})
	const want = "2 Nodes[0].URL: it is missing\n2 Nodes: one is bad\n2 Nodes[0]: the whole is bad\n3 Nodes[0].Name: it " +
		"is bad\n"
	if diff := cmp.Diff(want, lines(p.List())); diff != "" {
		t.Error(diff)
	}
	const joined = "Nodes[0].URL: it is missing; Nodes: one is bad; Nodes[0]: the whole is bad; Nodes[0].Name: it is bad"
	if err := p.Err(); err == nil || err.Error() != joined {
		t.Errorf("joined they are %v", err)
	}
	if none := (&document.Problems{}).Err(); none != nil {
		t.Errorf("no problems are %v", none)
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		check func(p *document.Problems)
		want  string
	}{
		"one of": {func(p *document.Problems) { document.OneOf(p, "k", "first", "first", "second") }, ""},
		"none of": {func(p *document.Problems) { document.OneOf(p, "k", "hunter2", "first", "second") },
			"k: this is not one of first, second"},
		"nearly one of": {func(p *document.Problems) { document.OneOf(p, "k", "fist", "first", "second") },
			`k: "fist" is not one of first, second; did you mean first?`},
		"no address": {func(p *document.Problems) { document.URL(p, "k", "it", document.Secret{}, "http") }, ""},
		"an address": {func(p *document.Problems) {
			document.URL(p, "k", "it", document.NewSecret("http://h"), "ws", "http")
		}, ""},
		"other scheme": {func(p *document.Problems) {
			document.URL(p, "k", "it", document.NewSecret("ftp://hunter2"), "ws", "wss")
		}, "k: the address of it is not a ws:// or wss:// URL"},
		"within": {func(p *document.Problems) { document.Within(p, "k", 3, 3, 4) }, ""},
		"beyond": {func(p *document.Problems) { document.Within(p, "k", 5, 3, 4) }, "k: 5 is not between 3 and 4"},
		"long enough": {func(p *document.Problems) {
			document.Lasts(p, "k", document.Lasting(time.Second), 0, time.Second)
		}, ""},
		"too long": {func(p *document.Problems) {
			document.Lasts(p, "k", document.Lasting(time.Minute), 0, time.Second)
		}, "k: 1m is not between 0s and 1s"},
		"a long number": {func(p *document.Problems) {
			p.Add("k", "%s", document.Shown("0123456789abcdef0123456789abcdef"))
		}, "k: this"},
		"an address, as": {func(p *document.Problems) { p.Add("k", "%s", document.Shown("1/hunter2")) }, "k: this"},
	} {
		var p document.Problems
		c.check(&p)
		got := ""
		if err := p.Err(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"1m0s": "1m", "60m": "1h", "1h0m1s": "1h0m1s", "0": "0s", "1500ms": "1.5s",
		"90s": "1m30s"} {
		var d document.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Fault() != "" || d.String() != want {
			t.Errorf("%s is %s, want %s: %v, %s", text, d, want, err, d.Fault())
		}
	}
}

// A document stands in another one as it is, but for its headers.
func TestNest(t *testing.T) {
	t.Parallel()
	const inner = "# The name.\nID = 'a' # [no header]\n\n# The nodes.\n[[Nodes]]\nName = 'n'\n[ Nodes . Deep ]\ntext = " +
		"'''\n[no header]\n'''\n"
	const want = "[[Acme]]\n# The name.\nID = 'a' # [no header]\n\n# The nodes.\n[[Acme.Nodes]]\nName = 'n'\n[ " +
		"Acme.Nodes . Deep ]\ntext = '''\n[no header]\n'''\n"
	got, err := document.Nest("Acme", inner)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := document.Nest("Acme", "[["); err == nil {
		t.Error("what is not TOML is nested")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("ID = 'x'\nOld = 1\nPool = {Old = 1}\n[[Nodes]]\nName = 1\n[Other]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := defaults()
		problems, whole := document.Read(text, &got, settings)
		if !whole && len(problems.List()) == 0 {
			t.Error("a document cannot be read, and nothing says why")
		}
		if whole && problems.Err() == nil {
			if _, err := document.Write(got); err != nil {
				t.Errorf("what was read cannot be written: %v", err)
			}
		}
	})
}

func ExampleRead() {
	type chain struct {
		ChainID string
		Poll    document.Duration `comment:"How often blocks are asked for, 50ms to 5m." bounds:"50ms 5m"`
		URL     document.Secret   `comment:"Where the chain's node is."`
	}
	read := chain{Poll: document.Lasting(time.Second)}
	problems, _ := document.Read([]byte("ChainID = 'a'\nPol = '1s'\nPoll = '1ms'\nURL = 'ws://key@h'\n"), &read,
		document.Settings{})
	document.URL(problems, "URL", "the node", read.URL, "http", "https")
	for _, problem := range problems.List() {
		fmt.Printf("line %d: %s\n", problem.Line, problem)
	}
	// Output:
	// line 2: Pol: unknown key; did you mean Poll?
	// line 3: Poll: 1ms is not between 50ms and 5m
	// line 4: URL: the address of the node is not a http:// or https:// URL
}
