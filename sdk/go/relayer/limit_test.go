package relayer

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func TestLimited(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	for name, c := range map[string]struct {
		length int
		want   string
	}{
		"nothing":       {0, ""},
		"as much as is": {most, ""},
		"a byte more":   {most + 1, "answers with more than 1 MiB"},
		"much more":     {3 * most, "answers with more than 1 MiB"},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r },
			"in halves": iotest.HalfReader, "with its end": iotest.DataErrReader} {
			sent := bytes.Repeat([]byte("x"), c.length)
			body := wrap(bytes.NewReader(sent))
			limited := Limited(body, 1)
			got, err := io.ReadAll(limited)
			if Reason(err) != c.want || len(got) != min(c.length, most) {
				t.Errorf("%s, %s: %d bytes and %v, want %q", name, how, len(got), err, c.want)
			}
			if n, again := limited.Read(make([]byte, 8)); n != 0 || again == nil {
				t.Errorf("%s, %s: reading on gives %d bytes and %v", name, how, n, again)
			}
		}
	}
}
