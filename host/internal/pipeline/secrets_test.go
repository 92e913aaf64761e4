package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// A key that a reply repeats is in no error of the run, whoever asks for it, and the errors stay of their kinds.
func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	const said = `{"status":"0","result":"Invalid API Key|ABCDEF0123456789"}`
	net := &network{replies: map[string]reply{
		"api.example/gas": {200, said}, "bridges.example/b": {200, said}, "other.example/": {200, said},
	}}
	for name, test := range map[string]struct{ source, want string }{
		"a task that does not understand it": {
			`ds [type=http url="https://api.example/gas?apikey=ABCDEF0123456789"]; p [type=jsonparse path=result]
			ds -> p -> m; m [type=multiply times=1]`,
			`task m (multiply): the input from task p: "Invalid API Key|…" is not a decimal number`,
		},
		"a task after it": {
			`ds [type=bridge name=b]; p [type=jsonparse path=result]; ds -> p -> m -> l; m [type=multiply times=1]; l [type=length]`,
			`task l (length): not run, since task m (multiply): the input from task p: "Invalid API Key|…" is not a decimal number`,
		},
		"a task that ends the run": {
			`ds [type=bridge name=b]; p [type=jsonparse path=result]; ds -> p -> m -> l; m [type=multiply times=1 failEarly=true]
			l [type=any]`, `task l (any): task run cancelled (fail early)`,
		},
		"the result": {
			`ds [type=bridge name=b headers=<["X-Key", "ABCDEF0123456789"]>]; p [type=jsonparse path=result]; ds -> p`,
			`cannot make an integer of the pipeline's result: "Invalid API Key|…" is not a decimal number; ` +
				`end the pipeline in a number`,
		},
		"a request's that ends later": {
			`a [type=http url="https://other.example/"]; p [type=jsonparse path=result]; m [type=multiply times=1]
			a -> p -> m -> z; one [type=memo value=1]; one -> z; z [type=any]
			z -> ds; ds [type=http url="https://api.example/gas?apikey=ABCDEF0123456789"]; ds -> k; k [type=memo value="$(m)"]`,
			`task k (memo): attribute value: not run, since task m (multiply): the input from task p: "Invalid API Key|…" ` +
				`is not a decimal number`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			r := newRunner(t, Settings{
				Bridges: registry{"b": "http://user:ABCDEF0123456789@bridges.example/b"}, HTTP: &http.Client{Transport: net},
				Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			r.restricted = r.client
			var told []Result
			run := r.Run(t.Context(), mustParse(t, test.source), Input{Finished: func(r Result) { told = append(told, r) }})
			_, err := run.Integer()
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
			all := fmt.Sprint(log.String(), err)
			for _, result := range append(told, run.Results...) {
				if result.Err != nil {
					all += result.Err.Error() + result.Reason()
				}
				if result.Task.ID == "l" && !NotRun(result.Err) {
					t.Errorf("a task that did not run has the error %v", result.Err)
				}
			}
			if strings.Contains(all, "ABCDEF") {
				t.Errorf("the key is told: %s", all)
			}
			if name == "a task that ends the run" && !errors.Is(err, ErrCancelled) {
				t.Errorf("the last task's error is %v", err)
			}
		})
	}
}

// What a request has of a URL or a header is hidden in each form in which a server gets it, and as a whole.
func TestSecretsOfRequests(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ ask, said, want string }{
		"the token of a header": {
			`[type=http url="https://api.example/" headers=<["Authorization", "Bearer abcdef0123456789"]>]`,
			"Bearer wants another than abcdef0123456789", "Bearer wants another than …",
		},
		"a header as a whole": {
			`[type=http url="https://api.example/" headers=<["Authorization", "Key abcdef0123456789"]>]`,
			"not Key abcdef0123456789", "not …",
		},
		"a user and a password": {
			`[type=http url="https://me:sesame-one@api.example/"]`,
			"no bWU6c2VzYW1lLW9uZQ==, no sesame-one", "no …, no …",
		},
		"a user alone": {`[type=http url="https://mytoken123@api.example/"]`, "no mytoken123", "no …"},
		"a bridge's user alone": {
			`[type=bridge name=b]`, "no bridgetoken, no YnJpZGdldG9rZW46", "no …, no …",
		},
		"one that is a part of another": {
			`[type=http url="https://api.example/" headers=<["A", "abcdef", "B", "abcdef0123456789"]>]`,
			"abcdef0123456789 abcdef", "… …",
		},
		"one that is a part of another request's": {
			`[type=http url="https://api.example/" headers=<["A", "abcdef"]>]
			other [type=http url="https://api.example/?k=abcdef0123456789"]; a -> other -> m`,
			"abcdef0123456789 abcdef", "… …",
		},
		"one with quotes": {
			`[type=http url="https://api.example/" headers=<["A", "sesame\"open"]>]`, `no sesame"open`, "no …",
		},
		"one that JSON escapes": {
			`[type=http url="https://api.example/" headers=<["A", "key/&\\end"]>]`,
			`key/&\end key\/&\\end key/\u0026\\end key\/\u0026\\end`, "… … … …",
		},
		"one that a URL escapes": {
			`[type=http url="https://api.example/?k=a%2Fb+c%3Dd%2B1"]`, "a/b c=d+1, a%2Fb+c%3Dd%2B1, a%2Fb%20c=d+1", "…, …, …",
		},
		"what a server says with a status": {
			`[type=bridge name=down headers=<["A", "abcdef", "B", "abcdef0123456789"]>]`, "abcdef0123456789", "…",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			net := &network{replies: map[string]reply{
				"api.example/": {200, test.said}, "bridges.example/b": {200, test.said},
				"bridges.example/down": {500, fmt.Sprintf(`{"error": %q}`, test.said)},
			}}
			r := newRunner(t, Settings{HTTP: &http.Client{Transport: net}, Bridges: registry{
				"b": "http://bridgetoken@bridges.example/b", "down": "http://bridges.example/down",
			}})
			r.restricted = r.client
			_, err := r.Run(t.Context(), mustParse(t, "a "+test.ask+`; a -> m; m [type=mean values="[$(a)]"]`), Input{}).Final()
			if err == nil || !strings.Contains(err.Error(), `"`+test.want+`"`) {
				t.Errorf("a reply of %q fails with %v, want %q", test.said, err, test.want)
			}
		})
	}
}

// What an error quotes ends within no secret, however long it is and wherever the secret stands.
func TestQuotesEndWithinNoSecret(t *testing.T) {
	t.Parallel()
	const key = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for at := range 1200 {
		said := strings.Repeat("x", at) + key
		net := &network{replies: map[string]reply{
			"bridges.example/b":   {200, said},
			"bridges.example/bad": {500, fmt.Sprintf(`{"error": %q}`, said)},
		}}
		r := newRunner(t, Settings{HTTP: &http.Client{Transport: net}, Bridges: registry{
			"b": "http://bridges.example/b?key=" + key, "bad": "http://bridges.example/bad?key=" + key,
		}})
		run := r.Run(t.Context(), mustParse(t, `a [type=bridge name=b]; bad [type=bridge name=bad]; bad -> m
			a -> number -> m; number [type=multiply times=1]
			a -> condition -> m; condition [type=conditional]
			a -> path -> m; path [type=jsonparse data="$(json)" path="$(a)"]; json [type=memo value=<"{}">]
			m [type=median allowedFaults=0]; m -> last; last [type=median allowedFaults=0]`), Input{})
		for _, result := range run.Results {
			if result.Err != nil && strings.Contains(result.Err.Error(), key[:6]) {
				t.Fatalf("after %d bytes: %v", at, result.Err)
			}
		}
	}
}
