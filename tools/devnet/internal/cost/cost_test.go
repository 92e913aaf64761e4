package cost

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOf measures this process.
func TestOf(t *testing.T) {
	t.Parallel()
	usage, err := Of(os.Getpid())
	if err != nil {
		t.Skipf("this machine has no /proc of Linux: %v", err)
	}
	if usage.Resident < 1<<20 || usage.Peak < usage.Resident || usage.Descriptors < 3 || usage.Threads < 1 {
		t.Errorf("this process takes %+v", usage)
	}
	if _, err := Of(-1); err == nil {
		t.Error("a process that does not exist is measured")
	}
}

// TestCounter holds that each call of a batch is counted, and that the server's answer comes back.
func TestCounter(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d bytes", len(body))
	}))
	defer server.Close()
	counter, err := Count(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"method":"a"}`, `[{"method":"a"},{"method":"b"}]`} {
		response, err := http.Post(counter.URL, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if want := fmt.Sprintf("%d bytes", len(body)); err != nil || string(answer) != want {
			t.Errorf("the answer is %q, %v, want %q", answer, err, want)
		}
	}
	if diff := cmp.Diff(Calls{Posts: 2, ByMethod: map[string]int{"a": 2, "b": 1}}, counter.Sum()); diff != "" {
		t.Errorf("what was asked (-want +got):\n%s", diff)
	}
	if err := counter.Close(); err != nil {
		t.Error(err)
	}
}

// TestScrape checks what is read from a page of metrics.
func TestScrape(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# HELP a b\nloop_job_observation{job_id=\"1\"} 2\nloop_job_observation{job_id=\"2\"} 3\n"+
			"loop_job_observations_total{job_id=\"1\"} 2\ngo_goroutines 17\n")
	}))
	defer server.Close()
	page, err := Scrape(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if n := page.Series("loop_job_observation"); n != 2 {
		t.Errorf("%d series, want 2", n)
	}
	if value := page.Value("go_goroutines"); value != 17 {
		t.Errorf("%v goroutines, want 17", value)
	}
}
