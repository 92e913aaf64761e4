// Package cost measures what processes take of the machine, what a node says of itself, and what it asks of a chain.
//
// It must not know what the processes are for.
package cost

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used so far, according to Linux.
type Usage struct {
	// Resident and Peak are its memory in bytes, now and at most since Forget.
	Resident, Peak int64
	// CPU is the time that it ran on processors.
	CPU time.Duration
	// Written is how much it has written to disks, in bytes.
	Written              int64
	Descriptors, Threads int
}

// tick is the unit of the times in /proc: USER_HZ, which is 100 on all of Linux's usual machines.
const tick = 10 * time.Millisecond

// Of measures a process.
func Of(pid int) (Usage, error) {
	folder := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := fields(filepath.Join(folder, "status"))
	if err != nil {
		return Usage{}, err
	}
	written, err := fields(filepath.Join(folder, "io"))
	if err != nil {
		return Usage{}, err
	}
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return Usage{}, err
	}
	descriptors, err := os.ReadDir(filepath.Join(folder, "fd"))
	if err != nil {
		return Usage{}, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the name, which may hold anything
	times := strings.Fields(rest)
	if len(times) < 13 {
		return Usage{}, fmt.Errorf("%s/stat has %d fields behind the name, want 13 at least", folder, len(times))
	}
	return Usage{
		Resident: status["VmRSS"] << 10, Peak: status["VmHWM"] << 10, Threads: int(status["Threads"]),
		CPU: time.Duration(number(times[11])+number(times[12])) * tick, Written: written["write_bytes"],
		Descriptors: len(descriptors),
	}, nil
}

// Forget makes Linux count the peak of a process's memory from the beginning.
func Forget(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0)
}

// fields reads a file of lines "name: number …".
func fields(file string) (map[string]int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found {
			values[name] = number(value)
		}
	}
	return values, nil
}

// number is the first number in a text; 0 if there is none.
func number(text string) int64 {
	words := strings.Fields(text)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(words[0], 10, 64)
	return n
}

// Page is an answer to a scraper.
type Page struct {
	Size int
	Took time.Duration
	text string
}

// Scrape reads a page of metrics.
func Scrape(ctx context.Context, url string) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Page{}, err
	}
	begin := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Page{}, fmt.Errorf("scrape: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return Page{}, fmt.Errorf("scrape %s: %s: %w", url, response.Status, err)
	}
	return Page{Size: len(text), Took: time.Since(begin), text: string(text)}, nil
}

// Series counts the lines of a metric.
func (p Page) Series(metric string) int {
	return len(regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(metric)+`[ {]`).FindAllString(p.text, -1))
}

// Value returns the value of a metric without labels; 0 if the page has none.
func (p Page) Value(metric string) float64 {
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(metric) + ` (\S+)$`).FindStringSubmatch(p.text)
	if found == nil {
		return 0
	}
	value, _ := strconv.ParseFloat(found[1], 64)
	return value
}
