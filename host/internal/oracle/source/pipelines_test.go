package source

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// TestPipelinesOfAProduct runs what a job's text says, and tells of each task what it came to.
func TestPipelinesOfAProduct(t *testing.T) {
	t.Parallel()
	price := &adapter{answer: `{"price": "1565616210741547008000.125"}`}
	server := httptest.NewServer(price)
	t.Cleanup(server.Close)
	runner, err := pipeline.NewRunner(pipeline.Settings{Bridges: bridges{"price": server.URL + "/?key=s3cr3t"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Close)
	var failed []bool
	past, err := history.New(history.Settings{Limits: config.Default().JobPipeline}).Job(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	all := NewPipelines(Settings{JobID: 4, History: past, Pipelines: runner, Logger: slog.New(slog.DiscardHandler),
		Spec: &job.Spec{
			Name: "feed", MaxTaskDuration: time.Minute,
			Product: &job.Product{Pipelines: []job.Pipeline{
				{Name: "", Pipeline: parse(t, `
				scaled [type=multiply times=1000]
				ds     [type=bridge name="price"]
				parse  [type=jsonparse path="result,price"]
				ds -> parse -> scaled`)},
				{Name: "bytes", Pipeline: parse(t, `b [type=base64decode input="AP8="]`)},
			}},
		}}, func(err error) { failed = append(failed, err != nil) })
	t.Cleanup(all.Close)
	run := func(name, id string) []*hostservicev1.TaskResult {
		t.Helper()
		answer, err := all.Run(t.Context(), &hostservicev1.RunRequest{Pipeline: name, RunId: id})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetResults()
	}
	want := []*hostservicev1.TaskResult{
		{Task: "scaled", Terminal: true, ValueJson: []byte("1565616210741547008000125")},
		{Task: "ds", ValueJson: []byte(`"{\"result\": {\"price\": \"1565616210741547008000.125\"}}"`)},
		{Task: "parse", ValueJson: []byte(`"1565616210741547008000.125"`)},
	}
	if d := cmp.Diff(want, run("", "1"), protocmp.Transform()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	want = []*hostservicev1.TaskResult{{Task: "b", Terminal: true, ValueJson: []byte(`"0x00ff"`)}}
	if d := cmp.Diff(want, run("bytes", "2"), protocmp.Transform()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}

	price.set("")
	for _, r := range run("", "3") {
		if r.GetValueJson() != nil || r.GetError() == "" || strings.Contains(r.GetError(), "s3cr3t") ||
			strings.HasPrefix(r.GetError(), "task "+r.GetTask()) {
			t.Errorf("of a failed task: %v", r)
		}
	}
	price.set(`{"price": "2"}`)
	if got := run("", "3")[0]; got.GetError() == "" {
		t.Errorf("a repeat is told %v; want the first answer", got)
	}
	run("", "4")
	// 24 bytes hold the first answer: bridges are told of it until there is another.
	price.mu.Lock()
	defer price.mu.Unlock()
	if first := price.metas[0]; len(price.metas) != 3 || strings.Contains(first, "125") ||
		!strings.Contains(price.metas[2], "1565616210741547008000125") {
		t.Errorf("the adapter was told %q", price.metas)
	}
	if d := cmp.Diff([]bool{false, false, true, false}, failed); d != "" {
		t.Errorf("which runs failed (-want +told):\n%s", d)
	}
	_, err = all.Run(t.Context(), &hostservicev1.RunRequest{Pipeline: "backup", RunId: "5"})
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), `"", "bytes"`) {
		t.Errorf("of a pipeline that is not there: %v", err)
	}
}
