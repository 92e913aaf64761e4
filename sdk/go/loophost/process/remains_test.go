package process

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// What a process wrote before its end is read although nobody came to read it in time, and no more than that.
func TestRemains(t *testing.T) {
	t.Parallel()
	for name, wrote := range map[string]string{
		"nothing": "", "a line": "the disk is full\n", "a full pipe": strings.Repeat("x", pipeSize),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close() // another process may hold it for ever
			if _, err := w.WriteString(wrote); err != nil {
				t.Fatal(err)
			}
			if err := r.SetReadDeadline(time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(&remains{File: r})
			if err != nil || string(got) != wrote {
				t.Errorf("read %d bytes and %v; want %d", len(got), err, len(wrote))
			}
		})
	}
}
