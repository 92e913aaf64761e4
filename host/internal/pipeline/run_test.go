package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// network is an internet in memory: replies by host and path. It records what it was asked.
type network struct {
	mu      sync.Mutex
	replies map[string]reply
	seen    []seen
}

type reply struct {
	status int // 0: the connection is refused
	body   string
}

type seen struct {
	method, url, body string
	header            http.Header
}

func (n *network) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	var body []byte
	if request.Body != nil {
		body, _ = io.ReadAll(request.Body)
	}
	n.mu.Lock()
	n.seen = append(n.seen, seen{request.Method, request.URL.String(), string(body), request.Header})
	r := n.replies[request.URL.Host+request.URL.Path]
	n.mu.Unlock()
	if r.status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{
		StatusCode: r.status, Request: request, Header: http.Header{}, ContentLength: -1,
		Body: io.NopCloser(strings.NewReader(r.body)),
	}, nil
}

// registry is a list of bridges.
type registry map[string]string

func (r registry) Bridge(_ context.Context, name string) (string, error) {
	if address, ok := r[name]; ok {
		return address, nil
	}
	return "", fmt.Errorf("no bridge %s is registered", name)
}

func newRunner(t testing.TB, settings Settings) *Runner {
	t.Helper()
	r, err := NewRunner(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func mustParse(t testing.TB, source string) *Pipeline {
	t.Helper()
	p, err := Parse(source)
	if err != nil {
		t.Fatalf("cannot parse %s: %v", source, err)
	}
	return p
}

// observe runs a pipeline in a network in memory, and returns its answer.
func observe(t testing.TB, source string, net *network, in Input) (string, error) {
	t.Helper()
	bridges := registry{}
	for at := range net.replies {
		if name, ok := strings.CutPrefix(at, "bridges.example/"); ok {
			bridges[name] = "http://" + at
		}
	}
	r := newRunner(t, Settings{Bridges: bridges, HTTP: &http.Client{Transport: net}})
	r.restricted = r.client // whatever the transport, the real one would dial
	value, err := r.Run(t.Context(), mustParse(t, source), in).Final()
	if err != nil {
		return "", err
	}
	answer, err := Integer(value)
	if err != nil {
		return "", err
	}
	return answer.String(), nil
}

func TestSources(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/sources.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(text), "\n=== ")[1:]
	for _, c := range cases {
		name, rest, _ := strings.Cut(c, "\n")
		parts := strings.Split("\n"+rest, "\n---\n")
		if len(parts) != 3 {
			t.Fatalf("case %q has %d parts", name, len(parts))
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			net := &network{replies: map[string]reply{}}
			for line := range strings.Lines(parts[0]) {
				fields := strings.SplitN(strings.TrimSpace(line), " ", 4)
				if len(fields) < 3 {
					continue
				}
				at := fields[1]
				if fields[0] == "bridge" {
					at = "bridges.example/" + at
				}
				status, err := strconv.Atoi(fields[2])
				if err != nil {
					t.Fatal(err)
				}
				r := reply{status: status}
				if len(fields) == 4 {
					r.body = fields[3]
				}
				net.replies[at] = r
			}
			kind, want, _ := strings.Cut(strings.TrimSpace(parts[2]), " ")
			if kind == "parse" {
				if _, err := Parse(parts[1]); err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("Parse = %v, want an error with %q", err, want)
				}
				return
			}
			got, err := observe(t, parts[1], net, Input{})
			switch kind {
			case "answer":
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			case "error":
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %s and %v, want an error with %q", got, err, want)
				}
			default:
				t.Fatalf("unknown expectation %q", kind)
			}
		})
	}
}

// TestFinished holds that whoever watches a run is told what its record will say: each task once, after those that it
// awaits.
func TestFinished(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"to its end": `a [type=sum values=<[1]>]; b [type=fail msg="no"]; c [type=median]; a -> c; b -> c
			d [type=multiply input="$(c)" times="$(a)"]`,
		"cancelled": `a [type=sum values=<[1]>]; b [type=fail msg="no" failEarly=true]; a -> b -> c; c [type=median]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustParse(t, source)
			var told []Result
			in := Input{Finished: func(r Result) { told = append(told, r) }}
			run := newRunner(t, Settings{Bridges: registry{}}).Run(t.Context(), p, in)

			position, finished := map[string]int{}, map[int]bool{}
			for at, task := range p.Tasks() {
				position[task.ID] = at
			}
			got := make([]string, len(run.Results))
			for _, r := range told {
				at := position[r.Task.ID]
				for _, awaited := range p.Awaits()[at] {
					if !finished[awaited] {
						t.Errorf("%s was told before %s, which it awaits", r.Task.ID, p.Tasks()[awaited].ID)
					}
				}
				finished[at] = true
				got[at] += fmt.Sprint(r)
			}
			for at, r := range run.Results {
				if diff := cmp.Diff(fmt.Sprint(r), got[at]); diff != "" {
					t.Errorf("what was told of %s (-record +told):\n%s", r.Task.ID, diff)
				}
			}
		})
	}
}
