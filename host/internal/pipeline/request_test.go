package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// final runs a pipeline against real servers.
func final(t *testing.T, settings Settings, source string, in Input) (any, error) {
	t.Helper()
	if settings.Bridges == nil {
		settings.Bridges = registry{}
	}
	return newRunner(t, settings).Run(t.Context(), mustParse(t, source), in).Final()
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestHTTPRequest(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s host=%s type=%s key=%s length=%d %s", r.Method, r.URL, r.Host, r.Header.Get("Content-Type"),
			r.Header.Get("X-Key"), r.ContentLength, body)
	})
	host := strings.TrimPrefix(server.URL, "http://")
	for name, test := range map[string]struct{ source, want string }{
		"plain": {
			`a [type=http url="URL/p?q=1"]`, "GET /p?q=1 host=" + host + " type=application/json key= length=0 ",
		},
		"body and method": {
			`x [type=memo value=<{"n":"5"}>] a [type=http url="URL" method=post requestData=<{"b": 1.50, "a": $(x)}>]`,
			"POST / host=" + host + ` type=application/json key= length=23 {"a":{"n":"5"},"b":1.5}`,
		},
		"body from a variable": {
			`x [type=memo value=<{"n":5}>] a [type=http url="URL" method=PUT requestData="$(x)"]`,
			"PUT / host=" + host + ` type=application/json key= length=7 {"n":5}`,
		},
		"body from a text": {
			`x [type=memo value=<"{\"n\":5}">] a [type=http url="URL" method=PUT requestData="$(x)"]`,
			"PUT / host=" + host + ` type=application/json key= length=7 {"n":5}`,
		},
		"bytes in a body": {
			`x [type=ethabiencode abi="decimals()"] y [type=hexdecode input="0x0a0b"] z [type=ethabidecode abi="bytes4 a, (uint8 b, bytes1 c) d" data="$(w)"]
			w [type=ethabiencode abi="bytes4 a, (uint8 b, bytes1 c) d" data=<{"a": "0x01020304", "d": {"b": 5, "c": "0xff"}}>]
			a [type=http url="URL" method=PUT requestData=<{"x": $(x), "y": [$(y)], "z": $(z)}>]`,
			"PUT / host=" + host +
				` type=application/json key= length=79 {"x":"0x313ce567","y":["0x0a0b"],"z":{"a":"0x01020304","d":{"b":5,"c":"0xff"}}}`,
		},
		"blanks around literals": {
			`a [type=http url=" URL/p " method=" put " requestData=" {\"n\":5} " headers=<
			["x-key", "k"] > allowUnrestrictedNetworkAccess=" true "]`,
			"PUT /p host=" + host + ` type=application/json key=k length=7 {"n":5}`,
		},
		"headers from a text": {
			`x [type=memo value=<"[\"x-key\", \"k\"]">] a [type=http url="URL" headers="$(x)"]`,
			"GET / host=" + host + " type=application/json key=k length=0 ",
		},
		"headers": {
			`x [type=memo value="\"k\""] a [type=http url="URL" headers=<["x-key", $(x), "content-type", "text/plain", "Host", "other.example"]>]`,
			"GET / host=other.example type=text/plain key=k length=0 ",
		},
		"url from a variable": {
			`x [type=memo value="\"URL/v\""] a [type=http url="$(x)" allowUnrestrictedNetworkAccess=true]`,
			"GET /v host=" + host + " type=application/json key= length=0 ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := final(t, Settings{}, strings.ReplaceAll(test.source, "URL", server.URL), Input{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHTTPFailures(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/error":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"error":"key %s for %s is bad"}`, r.Header.Get("X-Key"), r.URL.RawQuery)
		case "/message":
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"errorMessage":"bad pair"}`)
		case "/object":
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, `{"error":{"name":"TimeoutError","message":"slow"}}`)
		case "/html":
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, `<h1>Bad gateway</h1>`)
		case "/large":
			w.Write(make([]byte, 1025))
		case "/exact":
			w.Write(make([]byte, 1024))
		case "/endless":
			chunk := make([]byte, 64<<10)
			for range 1600 { // 100 MB
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		case "/loop":
			http.Redirect(w, r, "/loop?token=s3cret-token", http.StatusFound)
		case "/cut":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "x")
		}
	})
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	secret := "http://s3cret-user:s3cret-pass@" + address.Host
	for name, test := range map[string]struct{ source, want string }{
		"quotes the error": {`a [type=http url="URL/error"]`,
			`GET http://HOST/error was answered with status 403: "key  for  is bad"`},
		"hides what was sent": {`a [type=http url="SECRET/error?token=s3cret-token" headers=<["X-Key", "s3cret-key"]>]`,
			`GET http://HOST/error?… was answered with status 403: "key … for … is bad"`},
		"hides a bare query":  {`a [type=http url="URL/error?s3cret-token"]`, `status 403: "key  for … is bad"`},
		"quotes errorMessage": {`a [type=http url="URL/message"]`, `status 400: "bad pair"`},
		"quotes an object": {`a [type=http url="URL/object"]`,
			`status 500: "{\"message\":\"slow\",\"name\":\"TimeoutError\"}"`},
		"no JSON": {`a [type=http url="URL/html"]`, `status 502`},
		"too large": {`a [type=http url="URL/large"]`,
			`GET http://HOST/large: HTTP response too large, must be less than 1024 bytes`},
		"far too large":      {`a [type=http url="URL/endless"]`, `HTTP response too large, must be less than 1024 bytes`},
		"redirects for ever": {`a [type=http url="SECRET/loop"]`, `GET http://HOST/loop failed: stopped after 10 redirects`},
		"cut":                {`a [type=http url="URL/cut"]`, `GET http://HOST/cut failed: unexpected EOF`},
		"a key in the path": {`a [type=http url="http://127.0.0.1:1/v3/0123456789abcdef/price-of-link-and-usd"]`,
			`GET http://127.0.0.1:1/v3/…/price-of-link-and-usd failed: dial tcp 127.0.0.1:1: connect: connection refused`},
		"nobody there": {`a [type=http url="http://s3cret-user:s3cret-pass@127.0.0.1:1/x?s3cret=token"]`,
			`GET http://127.0.0.1:1/x?… failed: dial tcp 127.0.0.1:1: connect: connection refused`},
		"url of a number": {`x [type=memo value=1] a [type=http url="$(x)"]`,
			`attribute url: the URL must be a text, not a number`},
		"url of nonsense": {`x [type=memo value=<"http://s3cret-user:%zz@x">] a [type=http url="$(x)"]`,
			`attribute url: the URL cannot be parsed`},
		"headers of a map": {`x [type=memo value=<{}>] a [type=http url="URL" headers="$(x)"]`,
			`attribute headers: the value must be a list, not a map`},
		"odd headers": {`x [type=memo value=<["a"]>] a [type=http url="URL" headers="$(x)"]`,
			`attribute headers: the list has 1 elements`},
		"data of a list": {`x [type=memo value=<[1]>] a [type=http url="URL" requestData="$(x)"]`,
			`attribute requestData: the value must be a map, not a list`},
		"failed input": {`x [type=fail msg=asleep] a [type=http url="URL/exact"] x -> a`,
			`task a (http): not run, since task x (fail): asleep`},
		"local by default": {`x [type=memo value="\"URL/exact\""] a [type=http url="$(x)"]`,
			`the address is local, and this request may reach public addresses only; set allowUnrestrictedNetworkAccess=true`},
		"local by a name": {`x [type=memo value="\"http://localhost:PORT/exact\""] a [type=http url="$(x)"]`,
			`set allowUnrestrictedNetworkAccess=true`},
		"local on demand": {`a [type=http url="URL/exact" allowUnrestrictedNetworkAccess=false]`,
			`set allowUnrestrictedNetworkAccess=true`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := strings.NewReplacer("URL", server.URL, "SECRET", secret, "PORT", address.Port()).Replace(test.source)
			_, err := final(t, Settings{MaxResponse: 1024}, source, Input{})
			if want := strings.ReplaceAll(test.want, "HOST", address.Host); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	if _, err := final(t, Settings{MaxResponse: 1024}, `a [type=http url="`+server.URL+`/exact"]`, Input{}); err != nil {
		t.Errorf("a reply as large as the limit: %v", err)
	}
}

func TestBridgeRequest(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("Content-Type"), body)
	})
	settings := Settings{Bridges: registry{"echo": server.URL}}
	seen := Meta{LatestAnswer: big.NewInt(123), UpdatedAt: time.Unix(1700000000, 5)}
	huge, _ := new(big.Int).SetString("1234567890123456789012", 10)
	for name, test := range map[string]struct {
		source string
		meta   Meta
		want   string
	}{
		"meta alone, before the first answer": {
			`a [type=bridge name=echo]`, Meta{}, `{"meta":{"latestAnswer":null,"updatedAt":null}}`,
		},
		"meta wins over the one written, and no id is added": {
			`a [type=bridge name=echo requestData=<{"id":"0","meta":5,"data":{"from":"ETH"}}>]`, seen,
			`{"data":{"from":"ETH"},"id":"0","meta":{"latestAnswer":123,"updatedAt":1700000000}}`,
		},
		"meta of many digits": {
			`a [type=bridge name=echo]`, Meta{LatestAnswer: huge, UpdatedAt: time.Unix(1, 0)},
			`{"meta":{"latestAnswer":1234567890123456789012,"updatedAt":1}}`,
		},
		"integers of many digits": {
			`x [type=memo value=<"{\"n\":[1565616210741547008]}">] y [type=jsonparse] a [type=bridge name=echo includeInputAtKey=in requestData=<{"n":-123456789012345678901234567, "f":0.10}>] x -> y -> a`,
			Meta{},
			`{"f":0.1,"in":{"n":[1565616210741547008]},"meta":{"latestAnswer":null,"updatedAt":null},"n":-123456789012345678901234567}`,
		},
		"input at a key": {
			`x [type=memo value=<[1]>] y [type=memo value=2] a [type=bridge name=echo includeInputAtKey=in requestData=<{"in":0}>] x -> a y -> a`, Meta{},
			`{"in":[1],"meta":{"latestAnswer":null,"updatedAt":null}}`,
		},
		"variables in the data": {
			`x [type=memo value=<"e">] y [type=sum values=<[0.1, 0.2]>] a [type=bridge name=echo requestData=<{"d":[$(x), $(y), $(jobRun.meta), $(jb.name)]}>]`, seen,
			`{"d":["e","0.3",{"latestAnswer":123,"updatedAt":1700000000},"job"],"meta":{"latestAnswer":123,"updatedAt":1700000000}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := final(t, settings, test.source, Input{Name: "job", Meta: test.meta})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("POST application/json "+test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBridgeStatus(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status     int
		body, want string // want is empty for success
	}{
		"plain":                    {200, `{"data":1}`, ""},
		"no JSON":                  {200, `hello`, ""},
		"a list":                   {200, `[1]`, ""},
		"created":                  {201, `{"data":1}`, "bridge b answered with status 201"},
		"created, in an envelope":  {201, `{"statusCode":200,"data":1}`, ""},
		"created, with a failure":  {201, `{"statusCode":500}`, "bridge b reports status 500"},
		"failed around a good one": {502, `{"statusCode":200,"data":1}`, "bridge b answered with status 502"},
		"no content":               {204, ``, "bridge b answered with status 204"},
		"failed":                   {502, `{"error":"no"}`, `bridge b answered with status 502: "no"`},
		"good envelope":            {200, `{"statusCode":200,"providerStatusCode":200,"error":null,"data":1}`, ""},
		"bad status": {200, `{"statusCode":429,"error":{"name":"RateLimit","message":"slow down"}}`,
			`bridge b reports status 429: "{\"message\":\"slow down\",\"name\":\"RateLimit\"}"`},
		"status as a text is none": {200, `{"statusCode":"500"}`, ""},
		"bad provider status": {200, `{"statusCode":200,"providerStatusCode":503}`,
			"bridge b reports status 503"},
		"provider status alone is a key":  {200, `{"providerStatusCode":503}`, ""},
		"status beside a huge number":     {200, `{"statusCode":500,"x":1e400}`, "bridge b reports status 500"},
		"status before more text":         {200, `{"statusCode":500} x`, "bridge b reports status 500"},
		"status that no float holds":      {200, `{"statusCode":1e400}`, "bridge b reports status 1e400"},
		"status with a fraction of none":  {200, `{"statusCode":200.0}`, ""},
		"error with a status":             {200, `{"statusCode":200,"error":"x"}`, `bridge b reports status 500: "x"`},
		"error without a status is a key": {200, `{"error":"x","data":1}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			got, err := final(t, Settings{Bridges: registry{"b": server.URL}}, `a [type=bridge name=b]`, Input{})
			switch {
			case test.want == "" && (err != nil || got != test.body):
				t.Errorf("got %v, %v", got, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A bridge that sends 100 MB is heard to its limit and no further, whatever it says of the length.
func TestBridgeReplyIsBounded(t *testing.T) {
	t.Parallel()
	const size = 100 << 20
	for name, length := range map[string]string{"of a length": strconv.Itoa(size), "of none": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan int, 1)
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				chunk, n := make([]byte, 64<<10), 0
				for n < size {
					if _, err := w.Write(chunk); err != nil {
						break
					}
					n += len(chunk)
				}
				sent <- n
			})
			_, err := final(t, Settings{Bridges: registry{"b": server.URL}}, `a [type=bridge name=b]`, Input{})
			if err == nil ||
				!strings.Contains(err.Error(), "the request to bridge b: HTTP response too large, must be less than 32768 bytes") {
				t.Errorf("got %v", err)
			}
			if n := <-sent; n == size {
				t.Error("all of it was taken")
			}
		})
	}
}

func TestBridgeErrorsHideTheAddress(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		fmt.Fprintf(w, `{"error":"no route for %s"}`, r.URL.RawQuery)
	})
	for name, address := range map[string]string{
		"answers":      server.URL + "/?s3cret-token",
		"down":         "http://s3cret-user:s3cret-pass@127.0.0.1:1/s3cret?s3cret=token",
		"not a URL":    "s3cret://%zz",
		"no host":      "s3cret",
		"other scheme": "ftp://s3cret",
	} {
		_, err := final(t, Settings{Bridges: registry{"b": address}}, `a [type=bridge name=b]`, Input{})
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "bridge b") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// lost is a registry without bridges, in whose words they are missing.
type lost string

func (l lost) Bridge(context.Context, string) (string, error) { return "", errors.New(string(l)) }

// That a bridge is not found is said once: the registry says only why.
func TestMissingBridgeIsSaidOnce(t *testing.T) {
	t.Parallel()
	const want = "task a (bridge): could not find bridge b: the database is closed"
	_, err := final(t, Settings{Bridges: lost("the database is closed")}, `a [type=bridge name=b]`, Input{})
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	// Each task's value is two of the last one's: 2^64 elements if anybody were to write them out.
	var nested strings.Builder
	nested.WriteString(`t0 [type=memo value=<[1,1]>]` + "\n")
	for i := 1; i < 64; i++ {
		fmt.Fprintf(&nested, "t%d [type=memo value=<[$(t%d),$(t%d)]>]\n", i, i-1, i-1)
	}
	// And each of these is twice the length of the last.
	var doubled strings.Builder
	doubled.WriteString(`t0 [type=hexencode input="x"]` + "\n")
	for i := 1; i < 64; i++ {
		fmt.Fprintf(&doubled, "t%d [type=hexencode]\nt%d -> t%d\n", i, i-1, i)
	}
	for name, source := range map[string]string{"nested": nested.String(), "doubled": doubled.String()} {
		if _, err := final(t, Settings{}, source, Input{}); err == nil ||
			!strings.Contains(err.Error(), "the result is larger than 1048576 bytes") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Bodies of values that are each within bounds.
	number := strings.Repeat("9", 10_000)
	for _, task := range []string{"memo value=" + number, "sum values=<[" + number + "]>"} {
		source := "x [type=" + task + `] a [type=http url="http://127.0.0.1:1" requestData=<{"d":[` +
			strings.Repeat("$(x),", 200) + `0]}>]`
		if _, err := final(t, Settings{}, source, Input{}); err == nil ||
			!strings.Contains(err.Error(), "attribute requestData: the request is larger than") {
			t.Errorf("%.20s: %v", task, err)
		}
	}
	source := `x [type=uppercase input="` + strings.Repeat("y", 200_000) +
		`"] a [type=http url="http://127.0.0.1:1" requestData=<{"d":[$(x),$(x),$(x),$(x),$(x),$(x)]}>]`
	if _, err := final(t, Settings{}, source, Input{}); err == nil ||
		!strings.Contains(err.Error(), "attribute requestData: the request is larger than") {
		t.Error(err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := cache{entries: map[cacheKey]cached{}}
	for i := range maxCached + 10 {
		c.put(cacheKey{task: fmt.Sprint(i)}, "x")
	}
	if len(c.entries) != maxCached {
		t.Errorf("%d entries", len(c.entries))
	}
	if _, _, ok := c.get(cacheKey{task: fmt.Sprint(maxCached + 9)}, time.Hour); !ok {
		t.Error("the newest entry is gone")
	}
}

func BenchmarkRun(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"data":{"result":1234.5678}}`)
	}))
	defer server.Close()
	var source strings.Builder
	for i := range 3 {
		fmt.Fprintf(&source,
			"s%d [type=bridge name=b] p%d [type=jsonparse path=\"data,result\"] m%d [type=multiply times=100000000]\ns%d -> "+
				"p%d -> m%d -> end\n", i, i, i, i, i, i)
	}
	source.WriteString("end [type=median]")
	p := mustParse(b, source.String())
	r := newRunner(b, Settings{Bridges: registry{"b": server.URL}})
	b.ReportAllocs()
	for b.Loop() {
		value, err := r.Run(context.Background(), p, Input{}).Final()
		if err != nil {
			b.Fatal(err)
		}
		if answer, err := Integer(value); err != nil || answer.String() != "123456780000" {
			b.Fatal(answer, err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	source := "a [type=bridge name=b requestData=<{\"data\":{\"from\":\"ETH\"}}>] p [type=jsonparse " +
		"path=\"data,result\"] m [type=multiply times=100000000]\na -> p -> m"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(source); err != nil {
			b.Fatal(err)
		}
	}
}

// Whoever counts hears of each task that ran and of each request to a bridge, with why it failed.
func TestRunnerTellsWhatItDid(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/bad") {
			w.WriteHeader(http.StatusBadGateway)
		}
		io.WriteString(w, "1")
	})
	var mu sync.Mutex
	heard := map[string]int{}
	note := func(what string, took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		heard[fmt.Sprint(what, " ", err == nil)]++
		if took < 0 {
			t.Errorf("%s took %s", what, took)
		}
	}
	settings := Settings{
		Bridges: registry{"good": server.URL, "bad": server.URL + "/bad"},
		Ended:   func(task Task, took time.Duration, err error) { note(task.Type, took, err) },
		Asked:   note,
	}
	if _, err := final(t, settings,
		`a [type=bridge name=good] b [type=bridge name=bad retries=2 minBackoff="1ms" maxBackoff="1ms"]
		c [type=bridge name=nobody] m [type=median] a -> m b -> m c -> m`, Input{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"good true": 1, "bad false": 2, "nobody false": 1, "bridge true": 1, "bridge false": 2,
		"median true": 1}
	if d := cmp.Diff(want, heard); d != "" {
		t.Errorf("heard (-want +got):\n%s", d)
	}
}
