package keys_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

func TestReadFindsEveryKey(t *testing.T) {
	t.Parallel()
	document := `a = 1
b.c = "x"

[T.U] # comment
d = [
  "e",
  {f = 1},
]

[[L]]
g = 1
[[L.M]]
h = 1
[L.N]
"two words" = 1
[[L]]
[[L.M]]
i = '''
x'''
`
	index, err := keys.Read([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range index.Entries() {
		got = append(got, fmt.Sprintf("%d %s", entry.Line, entry.Path))
	}
	want := []string{
		"1 a", "2 b", "2 b.c", "4 T", "4 T.U", "5 T.U.d", "6 T.U.d[0]", "7 T.U.d[1]", "7 T.U.d[1].f",
		"10 L", "10 L[0]", "11 L[0].g", "12 L[0].M", "12 L[0].M[0]", "13 L[0].M[0].h", "14 L[0].N", `15 L[0].N."two words"`,
		"16 L[1]", "17 L[1].M", "17 L[1].M[0]", "18 L[1].M[0].i",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for path, line := range map[string]int{"t.u.D": 5, "T.U.absent": 4, "L[1].M[0].absent.deeper": 17, "absent": 0,
		"L[7].g": 16 - 6} {
		if got := index.Line(path); got != line {
			t.Errorf("Line(%s) = %d, want %d", path, got, line)
		}
	}
	index, err = keys.Read([]byte("key = 1\nKey = 2"))
	if err != nil || index.Line("key") != 1 || index.Line("Key") != 2 || index.Line("KEY") != 1 {
		t.Errorf("two spellings of a key are mixed up: %v", err)
	}
}

// A key is found by where it begins, in headers, in assignments and within inline tables.
func TestKey(t *testing.T) {
	t.Parallel()
	const document = "a.b = 1\n[[ L ]]\nm = [{n = 1}, {o.p = {q = 1}}]\n[L.\"x.y\"]\n"
	index, err := keys.Read([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line, text := range strings.Split(document, "\n") {
		for column := range text {
			if path, ok := index.Key(line+1, column+1); ok {
				got[fmt.Sprintf("%d:%d", line+1, column+1)] = path
			}
		}
	}
	want := map[string]string{
		"1:1": "a.b", "2:4": "L", "3:1": "L[0].m", "3:7": "L[0].m[0].n", "3:16": "L[0].m[1].o.p", "3:23": "L[0].m[1].o.p.q",
		"4:2": `L[0]."x.y"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAssignment(t *testing.T) {
	t.Parallel()
	index, err := keys.Read([]byte("\n\n\n[T.U]\nd = [\n  1,\n  {f = 1},\n]"))
	if err != nil {
		t.Fatal(err)
	}
	if entry, ok := index.Assignment(7, 4); !ok || entry.Path != "T.U.d" {
		t.Errorf("Assignment(7, 4) = %q, %v", entry.Path, ok)
	}
	if entry, ok := index.Assignment(4, 2); ok {
		t.Errorf("Assignment(4, 2) = %q, want none for a header", entry.Path)
	}
}

func TestReadRefusesBadSyntax(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ document, want string }{
		"no value":      {"a = 1\nb = \n", "line 2: unexpected character"},
		"escape":        {"a = \"\\.\"", "line 1: invalid escape"},
		"end of file":   {"a = 1\nb = [1,", "line 2: array is incomplete"},
		"open brackets": {"[a", "line 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keys.Read([]byte(test.document))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error is %v, want it to begin with %q", err, test.want)
			}
		})
	}
}

// The value of each string has a line that reads "mark"; the document says by a comment-like text "HERE" on which of
// its own lines that is.
func TestTextLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		document string
		want     int
	}{
		"one line":                  {"a = \"mark\"", 1},
		"newline escapes":           {"\na = \"x\\ny\\nmark\"", 2},
		"multi-line, newline first": {"a = \"\"\"\nx\nmark\n\"\"\"", 3},
		"multi-line, text first":    {"a = \"\"\"x\ny\nmark\"\"\"", 3},
		"carriage returns":          {"a = \"\"\"\r\nx\r\nmark\r\n\"\"\"", 3},
		"continued lines":           {"a = \"\"\"\nx \\\n\n  y\nmark\"\"\"", 5},
		"escape then newline":       {"a = \"\"\"x\\ny\n\\\"\nmark\"\"\"", 3},
		"escape, more below":        {"a = \"\"\"x\\ny\nmark\nz\"\"\"", 2},
		"literal":                   {"a = '''\nx\\n\nmark'''", 3},
		"literal on one line":       {"a = 'mark'", 1},
		"value below its key":       {"a = [\n\"x\\nmark\"]", 2},
		"quotes inside":             {"a = \"\"\"\n\"\"x\nmark\"\"\"", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var decoded map[string]any
			if err := toml.Unmarshal([]byte(test.document), &decoded); err != nil {
				t.Fatal(err)
			}
			path, text := "a", decoded["a"]
			if list, ok := text.([]any); ok {
				path, text = "a[0]", list[0]
			}
			line := 0
			for at, content := range strings.Split(text.(string), "\n") {
				if strings.TrimSpace(content) == "mark" {
					line = at + 1
				}
			}
			index, err := keys.Read([]byte(test.document))
			if err != nil {
				t.Fatal(err)
			}
			entry, _ := index.Find(path)
			if got := entry.TextLine(line); got != test.want {
				t.Errorf("TextLine(%d) = %d, want %d", line, got, test.want)
			}
		})
	}
}

func TestClosest(t *testing.T) {
	t.Parallel()
	known := []string{"ListenIP", "HTTPPort", "URL", "GasLimitDefault"}
	for key, want := range map[string]string{
		"ListenIp": "ListenIP", "Listen": "ListenIP", "HTPPPort": "HTTPPort", "UR": "URL", "GasLimit": "", "zzz": "", "": "",
	} {
		if got := keys.Closest(key, known); got != want {
			t.Errorf("Closest(%q) = %q, want %q", key, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("a = \"\"\"\n\\\n x\"\"\"\n[[b.c]]\nd = [{e = 1}]"))
	f.Fuzz(func(t *testing.T, document []byte) {
		index, err := keys.Read(document)
		if err != nil {
			return
		}
		lines := strings.Count(string(document), "\n") + 1
		for _, entry := range index.Entries() {
			for n := range 4 {
				if line := entry.TextLine(n); line < 1 || line > lines {
					t.Fatalf("%s: line %d of a text is on line %d of %d", entry.Path, n, line, lines)
				}
			}
		}
	})
}
