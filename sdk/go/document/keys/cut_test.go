package keys_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/sdk/go/document/keys"
)

// A table can be cut out however it is written, and what stands in it stays as it is.
func TestCut(t *testing.T) {
	t.Parallel()
	document := `top = 1
P.Q = {z = 1}
P.B.y = 2
S = [{a = 1, n = [{b = 2}], x.y = 1}, {a = 2, big = 115792089237316195423570985008687907853269984665640564039457584007913129639935}]
[[L]] # a comment
a = "[[L]]"# near
b.c = [
  "d", # another
]
[L.M]
e = 1
[[L.N]]
f = 1
["L".N.'two words'.O]
g = 1
[Own]
h = 1
[P.A]
i = 1
[[l]]
j = '''
[Own]
'''
[[L.N]]
k = 1
[P.A.sub]
l = 1
`
	wanted := func(path string) bool {
		list, isElement := strings.CutSuffix(strings.TrimRight(path, "0123456789"+"]"), "[")
		table, name, isTable := strings.Cut(path, ".")
		return isElement && !strings.Contains(list, ".") || isTable && table == "P" && !strings.Contains(name, ".")
	}
	want := []keys.Table{
		{Path: "P.Q", Text: []byte("z = 1\n")},
		{Path: "P.B", Text: []byte("y = 2\n")},
		{Path: "S[0]", Text: []byte("a = 1\nn = [{b = 2}]\nx.y = 1\n")},
		{Path: "S[1]",
			Text: []byte("a = 2\nbig = 115792089237316195423570985008687907853269984665640564039457584007913129639935\n")},
		{Path: "L[0]",
			Text: []byte("a = \"[[L]]\"\nb.c = [\n  \"d\", # another\n]\n[M]\ne = 1\n[[N]]\nf = 1\n[N.'two words'.O]\ng = 1\n")},
		{Path: "P.A", Text: []byte("i = 1\n[sub]\nl = 1\n")},
		{Path: "l[1]", Text: []byte("j = '''\n[Own]\n'''\n[[N]]\nk = 1\n")},
	}
	got := keys.Cut([]byte(document), wanted)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, table := range got {
		if err := toml.Unmarshal([]byte(strings.ReplaceAll(string(table.Text), "115792", "1 #")),
			&map[string]any{}); err != nil {
			t.Errorf("%s is not TOML: %v", table.Path, err)
		}
	}
}
