package oracle

import (
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestHandovers holds that a node of many feeds logs less than a line a second of its transmissions, and counts each in
// one of its lines; and that a node of few has a line for each.
func TestHandovers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		jobs int
		each time.Duration // between two reports of a job
		all  bool          // have lines of their own
	}{
		"a feed":                             {1, 10 * time.Second, true},
		"ten feeds":                          {10, 30 * time.Second, true},
		"200 feeds":                          {200, 20 * time.Second, false},
		"1,000 feeds":                        {1000, 10 * time.Second, false},
		"a feed that transmits all the time": {1, 100 * time.Millisecond, false},
		"twenty feeds":                       {20, 5 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const minutes = 20
				out := &logs{}
				h := NewHandovers(slog.New(slog.NewTextHandler(out, nil)))
				begun, reports, own, most := time.Now(), 0, 0, 0
				for range minutes {
					before := strings.Count(out.String(), "\n") + own
					for minute := time.Now(); time.Since(minute) < time.Minute; time.Sleep(c.each / time.Duration(c.jobs)) {
						if h.level(int64(reports%c.jobs)) == slog.LevelInfo {
							own++
						}
						reports++
					}
					synctest.Wait()
					most = max(most, strings.Count(out.String(), "\n")+own-before)
				}
				h.Close()
				h.Close() // which has nothing to tell any more
				counted := 0
				for _, found := range regexp.MustCompile(`level=INFO msg="more reports were handed to the relayer" reports=(\d+) `+
					`jobs=\d+ in=\d`).FindAllStringSubmatch(out.String(), -1) {
					n, err := strconv.Atoi(found[1])
					if err != nil {
						t.Fatal(err)
					}
					counted += n
				}
				if own+counted != reports || c.all && own != reports {
					t.Errorf("of %d reports %d had lines and %d were counted:\n%.1000s", reports, own, counted, out)
				}
				// The first minute has the burst besides.
				if perMinute := float64(strings.Count(out.String(), "\n")+own) / time.Since(begun).Minutes(); perMinute >= 60 ||
					most > 60+handoverBurst {
					t.Errorf("%.1f lines a minute, at most %d", perMinute, most)
				}
			})
		})
	}
}

// TestHandoversCountJobs holds what the line that counts has.
func TestHandoversCountJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &logs{}
		h := NewHandovers(slog.New(slog.NewTextHandler(out, nil)))
		for range handoverBurst {
			h.level(1)
		}
		for job := range int64(6) {
			h.level(job % 3)
		}
		time.Sleep(handoverPeriod)
		synctest.Wait()
		const want = `level=INFO msg="more reports were handed to the relayer" reports=6 jobs=3 in=10s`
		if got := out.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("the log has %q, want %q", got, want)
		}
	})
}
