package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPathsIn(t *testing.T) {
	t.Parallel()
	// Spelt in two halves, so that the check does not find them in this file.
	root, home, checkout := "/"+"root", "/"+"home/ada", "/"+"srv/checkouts/loop"
	pattern := machinePath(checkout, "/")
	finding := func(place, path string) []string {
		return []string{place + " names " + path +
			", a path of one machine: make it relative, or take it from the environment"}
	}
	cases := map[string]struct {
		content string
		want    []string
	}{
		"home of root":         {"a\ncd " + root + "/x\n", finding("f:2", root+"/x")},
		"home of a person":     {`dir = "` + home + `/go"`, finding("f:1", home+"/go")},
		"this checkout":        {"(" + checkout + "/bin/loop)", finding("f:1", checkout+"/bin/loop)")},
		"at the start":         {root + "/x", finding("f:1", root+"/x")},
		"behind one of nobody": {"/home/op/bin " + home + "/go", finding("f:1", home+"/go")},
		"home of nobody":       {"HOME=/home/op/.local", nil},
		"relative":             {"see ./root/x and host/root/x and ../root/x", nil},
		"address":              {"https://example.org/root/x and https://example.org/home/ada/x", nil},
		"from a variable":      {"${DIR}/root/x, $HOME/root/x and ~/root/x", nil},
		"folder of its own":    {"/usr/bin/env and /tmp/loop and /var/lib/loop", nil},
		"bytes that no text":   {"\x00 " + root + "/x", nil},
		"empty":                {"", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, pathsIn("f", []byte(c.content), pattern)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
