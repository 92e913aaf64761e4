package relayer

import (
	"fmt"
	"io"
)

// Limited bounds the answers of an RPC node: a body that is longer than that many MiB ends in an error that says so,
// and the rest is not read. Decoders would hold all of it in memory.
func Limited(body io.Reader, mebibytes int64) io.Reader {
	return &limited{body: body, left: mebibytes << 20, most: mebibytes}
}

type limited struct {
	body       io.Reader
	left, most int64 // bytes, MiB
}

// Read implements io.Reader.
func (l *limited) Read(into []byte) (int, error) {
	if l.left < 0 {
		return 0, l.tooLong()
	}
	if int64(len(into)) > l.left+1 { // the byte beyond the limit tells that there are more
		into = into[:l.left+1]
	}
	n, err := l.body.Read(into)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, l.tooLong()
	}
	return n, err
}

func (l *limited) tooLong() error {
	return Said(fmt.Sprintf("answers with more than %d MiB", l.most))
}
