package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/proto"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/job"
)

// mostMemory is what any flood may add to the node's memory, in bytes.
const mostMemory = 64 << 20

// flood TOKEN, on Linux: what one caller with a token, and many without, send at once costs the node no more memory
// than mostMemory.
func flood(ts *testscript.TestScript, _ bool, args []string) {
	token := strings.TrimSpace(ts.ReadFile(args[0]))
	f := flooded{ts: ts, address: strings.TrimPrefix(ts.Getenv("NODE_URL"), "http://"), token: token}
	f.reset()
	f.before = f.peak()
	f.bounded("bombs of gzip", func() { f.calls(64, packed(300<<20), "gzip", "429") })
	f.bounded("bombs that are sent in full", func() { f.calls(64, packed(200<<20), "gzip", "429") })
	f.bounded("large bodies", func() { f.calls(64, bytes.Repeat([]byte{0}, 100<<20), "identity", "429") })
	for name, text := range map[string]string{
		"blank lines": "\n", "tables": "[a]\n", "nested keys": "a.", "quotes": `"`, "nested lists": "[", "comments": "#\n",
	} {
		spec := &nodev1.ValidateJobRequest{SpecToml: strings.Repeat(text, job.MaxSize/len(text)-1) + "a=1"}
		body, err := proto.Marshal(spec)
		ts.Check(err)
		f.bounded("specs of "+name, func() { f.calls(48, body, "identity", "200", "429") })
	}
	f.bounded("connections that say nothing", func() { f.connections(500, "") })
	f.bounded("headers without an end", func() { f.connections(500, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ") })
	f.bounded("bodies that are not sent", func() { f.connections(500, f.head(200<<10, "identity")) })
	f.bounded("scrapes", func() { f.connections(500, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n") })
}

// packed compresses zeros, to about a thousandth of their number.
func packed(zeros int) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for block := make([]byte, 1<<20); zeros > 0; zeros -= len(block) {
		_, _ = w.Write(block) // a buffer takes all
	}
	_ = w.Close() // as before
	return b.Bytes()
}

type flooded struct {
	ts             *testscript.TestScript
	address, token string
	before         int // the node's memory
}

var peakMemory = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that the node has had since reset, in bytes.
func (f flooded) peak() int {
	status, err := os.ReadFile("/proc/" + f.ts.Getenv("NODE_PID") + "/status")
	f.ts.Check(err)
	kB, err := strconv.Atoi(string(peakMemory.FindSubmatch(status)[1]))
	f.ts.Check(err)
	return kB << 10
}

// reset forgets the peak until now.
func (f flooded) reset() {
	f.ts.Check(os.WriteFile("/proc/"+f.ts.Getenv("NODE_PID")+"/clear_refs", []byte("5"), 0))
}

// bounded checks that the node's memory grows by mostMemory at most above what it was before all floods.
func (f flooded) bounded(what string, send func()) {
	send()
	more := f.peak() - f.before
	f.ts.Logf("%s: %d MiB more than %d", what, more>>20, f.before>>20)
	if more > mostMemory {
		f.ts.Fatalf("%s cost the node %d MiB, and %d are the most", what, more>>20, mostMemory>>20)
	}
}

// calls has many callers check a job at once, and checks that each answer has one of some codes.
func (f flooded) calls(times int, body []byte, encoding string, codes ...string) {
	var all sync.WaitGroup
	said := make(chan string, times)
	gate := make(chan struct{}, 32)
	for range times {
		gate <- struct{}{}
		all.Go(func() {
			defer func() { <-gate }()
			said <- f.call(body, encoding)
		})
	}
	all.Wait()
	close(said)
	for code := range said {
		if !strings.Contains(" "+strings.Join(codes, " ")+" ", " "+code+" ") {
			f.ts.Fatalf("an answer is %s, and not of %v", code, codes)
		}
	}
}

func (f flooded) head(length int, encoding string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/proto\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n",
		nodev1connect.NodeServiceValidateJobProcedure, f.token, encoding, length)
}

// call is the code of an answer; "429" too where the node ended the connection before it had the whole body.
func (f flooded) call(body []byte, encoding string) string {
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if _, err := io.WriteString(c, f.head(len(body), encoding)); err != nil {
		return err.Error()
	}
	go func() { _, _ = c.Write(body) }() // the node need not take it all
	answer := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(c, answer); err != nil {
		return strconv.Itoa(http.StatusTooManyRequests)
	}
	return string(answer[len(answer)-3:])
}

// connections are many at once that say something and read nothing.
func (f flooded) connections(number int, say string) {
	for range number {
		c, err := net.Dial("tcp", f.address)
		f.ts.Check(err)
		defer c.Close()
		_, _ = io.WriteString(c, say) // it may be closed already
	}
}
