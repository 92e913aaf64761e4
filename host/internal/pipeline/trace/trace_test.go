package trace

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/host/internal/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bridges are URLs by name.
type bridges map[string]string

func (b bridges) Bridge(_ context.Context, name string) (string, error) { return b[name], nil }

// What a run's requests hold as a secret is in nothing that is told of it, though an adapter repeats it and tasks pass
// it on; and what is long is cut.
func TestSecretsAndLongResults(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 200)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		_ = json.NewEncoder(w).Encode(map[string]any{
			"you": r.URL.String(), "key": r.URL.Query().Get("key"), "user": user, "password": password,
			"header": r.Header.Get("X-Key"),
			"zz":     long, "price": 7,
		})
	}))
	t.Cleanup(server.Close)
	p, err := pipeline.Parse(`ask [type=bridge name=prices headers=<["X-Key", "header-secret"]>]
		whole [type=jsonparse path=""]; ask -> whole
		long [type=jsonparse path="zz"]; ask -> long
		wrong [type=jsonparse path="key"]; ask -> wrong -> times; times [type=multiply times=2]
		page [type=http url="` + server.URL + `/path-secret-01234567?key=page-secret"]
		price [type=jsonparse path="price"]; ask -> price
		whole -> m; long -> m; page -> m; times -> m; price -> m; m [type=sum values="[$(price)]"]`)
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(server.URL, "http://")
	runner, err := pipeline.NewRunner(pipeline.Settings{
		Bridges: bridges{"prices": "http://user-secret:password-secret@" + host + "/bridge-secret-01234567?key=query-secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Close)
	const longest = 1000
	ran := runner.Run(t.Context(), p, pipeline.Input{})
	told := Of("value", p, ran, true, longest)
	text, err := json.Marshal(told)
	if err != nil || told.Value != "7" {
		t.Fatalf("%s, %v", text, err)
	}
	if strings.Contains(string(text), "secret") {
		t.Errorf("a secret is told: %s", text)
	}
	for _, task := range told.Tasks {
		if len(task.Result) > longest+100 { // quotes are escaped once more
			t.Errorf("the result of %s has %d bytes", task.ID, len(task.Result))
		}
		if want := `"` + long[:longest] + `… (of 2002 bytes)"`; task.ID == "long" && string(task.Result) != want {
			t.Errorf("the long result is %s, want %s", task.Result, want)
		}
	}
}
