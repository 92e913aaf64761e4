package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
	"github.com/loop-plugins/loop/tools/devnet/internal/cost"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
)

// Feeds is how a network of many feeds fared, and what it cost: means of the nodes over a time that began when every
// node had observed in every feed.
type Feeds struct {
	// Feeds is their number, and RoundSeconds the time between two rounds of each.
	Feeds        int     `json:"feeds"`
	RoundSeconds float64 `json:"round_seconds"`
	// FirstSeconds is from the start of the first node until every feed had an answer, and AllSeconds until every node had
	// observed in every feed.
	FirstSeconds float64 `json:"first_seconds"`
	AllSeconds   float64 `json:"all_seconds"`
	// WindowSeconds is how long was measured, Blocks and Rounds how many there were, of all feeds.
	WindowSeconds float64 `json:"window_seconds"`
	Blocks        int     `json:"blocks"`
	Rounds        int     `json:"rounds"`
	// Transmissions are those of that time, and Observers is how many nodes observed in them on average.
	Transmissions int     `json:"transmissions"`
	Observers     float64 `json:"observers"`
	// Processes are the processes of a node: loop, and its plugins by name.
	Processes map[string]Process `json:"processes"`
	// CPUPerRoundMS is the processor time of all of them for one round of one feed.
	CPUPerRoundMS float64 `json:"cpu_per_round_ms"`
	// CallsPerBlock are calls of a node to the chain, Calls the same by method, and PostsPerBlock the requests that held
	// them.
	CallsPerBlock float64            `json:"calls_per_block"`
	PostsPerBlock float64            `json:"posts_per_block"`
	Calls         map[string]float64 `json:"calls"`
	// MetricsBytes and MetricsMS are of a scrape of /metrics, LogLinesPerMinute of the node's log at the level info.
	MetricsBytes      int     `json:"metrics_bytes"`
	MetricsMS         float64 `json:"metrics_ms"`
	LogLinesPerMinute float64 `json:"log_lines_per_minute"`
	// WrittenPerMinute is how much the node wrote to disks, in bytes.
	WrittenPerMinute float64 `json:"written_per_minute"`
	// ReadySeconds is how long the first node took in the end, killed and started again, until it was ready, and
	// ObservingSeconds until it had observed for all feeds.
	ReadySeconds     float64 `json:"ready_seconds"`
	ObservingSeconds float64 `json:"observing_seconds"`
	// Each is how each feed fared in the time.
	Each []Feed `json:"each"`
}

// Process is the usage of a process: memory in MiB, the peak since the node was ready, and its share of a processor.
type Process struct {
	ResidentMiB float64 `json:"resident_mib"`
	PeakMiB     float64 `json:"peak_mib"`
	CPU         float64 `json:"cpu"`
	Goroutines  float64 `json:"goroutines"`
	Descriptors float64 `json:"descriptors"`
	Threads     float64 `json:"threads"`
}

// Feed is how one feed fared.
type Feed struct {
	Contract      string  `json:"contract"`
	Transmissions int     `json:"transmissions"`
	Observers     float64 `json:"observers"`
	Epochs        int     `json:"epochs"`
}

// feeds are those of a session that measures.
type feeds struct {
	counter *cost.Counter
	pace    time.Duration

	mu      sync.Mutex
	fares   []fare
	first   time.Time // when every feed had an answer
	all     time.Time // when every node had observed in every feed
	begun   chan struct{}
	started mark
}

// fare is how one feed fares.
type fare struct {
	observers map[int]bool // so far
	counting  bool         // the time has begun
	epoch     uint32
	Feed
	observed int
}

// mark is what was counted up to a moment.
type mark struct {
	at    time.Time
	block uint64
	calls cost.Calls
	nodes []nodeMark
}

type nodeMark struct {
	processes map[string]cost.Usage
	lines     int
}

// pace is the time between two rounds of a feed. By default it keeps two processors busy with a hundred feeds, and with
// more of them no busier.
func pace(config Config) time.Duration {
	return cmp.Or(config.Pace, max(10*time.Second, time.Duration(config.Feeds)*100*time.Millisecond))
}

// FeedsLength is the most that the feeds of a measured session are given: a second each to begin, and five rounds for
// each of Config.Rounds, as a feed reports every second or third.
func FeedsLength(config Config) time.Duration {
	if config.Feeds == 0 {
		return 0
	}
	return time.Duration(config.Feeds)*time.Second + time.Duration(config.Rounds)*5*pace(config)
}

// checkFeeds says whether a session can have as many feeds as it is asked for.
func checkFeeds(config Config, chain string) error {
	switch {
	case config.Pace != 0 && config.Feeds == 0:
		return errors.New("--pace is the time between two rounds of each of many feeds; say how many by --feeds")
	case config.Feeds == 0:
		return nil
	case config.Pace != 0 && (config.Pace < leastPace || config.Pace > mostPace):
		return fmt.Errorf("--pace is %s; give %s to %s", config.Pace, leastPace, mostPace)
	case config.Feeds < 0 || config.Feeds > mostFeeds:
		return fmt.Errorf("--feeds is %d; give 1 to %d", config.Feeds, mostFeeds)
	case chain != chainEVM || config.RPC != "" || config.Hosts || config.KillEvery > 0 || config.Product != "" ||
		config.Price != "" || config.JobTemplate != "":
		return errors.New("--feeds measures medians on devnet's own EVM chain; leave out --chain, --rpc, --hosts, " +
			"--kill-every, --product, --price and --job-template")
	case config.InProcess:
		return errors.New("--feeds measures plugins in processes of their own; leave out --in-process")
	}
	return nil
}

// mostFeeds is as many as a chain inside devnet was seen to hold. A feed with rounds faster than leastPace is devnet's
// own without --feeds, and one slower than mostPace would be watched for hours.
const (
	mostFeeds = 2000
	leastPace = time.Second
	mostPace  = 10 * time.Minute
)

// addFeeds gives a node the jobs of all feeds but the first, which it has.
func (n *network) addFeeds(ctx context.Context, m *member, fields job.Fields) error {
	for i, feed := range n.ledger.(*evmLedger).feeds[1:] {
		fields.Contract, fields.Feed = feed.Address().Hex(), i+2
		spec, err := n.template.Spec(fields)
		if err != nil {
			return err
		}
		if _, _, err := m.AddJob(ctx, spec); err != nil {
			return err
		}
	}
	return nil
}

// newFeeds begins to count what the nodes ask of the chain.
func (n *network) newFeeds() error {
	e := n.ledger.(*evmLedger)
	counter, err := cost.Count(e.chain.HTTPURL())
	if err != nil {
		return err
	}
	e.httpURL = counter.URL
	n.feeds = &feeds{counter: counter, pace: pace(n.config), begun: make(chan struct{})}
	for _, feed := range e.feeds {
		n.feeds.fares = append(n.feeds.fares, fare{observers: map[int]bool{}, Feed: Feed{Contract: feed.Address().Hex()}})
	}
	return nil
}

// watchFeeds takes the transmissions of all feeds.
func (n *network) watchFeeds(ctx context.Context) error {
	e := n.ledger.(*evmLedger)
	return e.chain.WatchFeeds(ctx, e.feeds, func(feed int, t evm.Transmission) error {
		median := slices.SortedFunc(slices.Values(t.Observations), (*big.Int).Cmp)[len(t.Observations)/2]
		if median.Cmp(t.Answer) != 0 {
			return fmt.Errorf("feed %d: the answer %s of round %d is not the median of its observations %v",
				feed, decimal(t.Answer), t.RoundID, t.Observations)
		}
		n.mu.Lock()
		if n.result.Transmissions == 0 {
			n.result.FirstTransmissionMS = time.Since(n.started).Milliseconds()
			close(n.begun)
		}
		n.result.Transmissions++
		n.result.Verified++
		n.mu.Unlock()
		if n.feeds.take(feed, t, len(n.members), n.config.Rounds) {
			n.finish()
		}
		return nil
	})
}

// take counts a transmission and tells whether every feed has had its rounds.
func (f *feeds) take(feed int, t evm.Transmission, nodes, rounds int) (done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := &f.fares[feed]
	for _, observer := range t.Observers {
		of.observers[observer] = true
	}
	has := func(has func(fare) bool) bool {
		return !slices.ContainsFunc(f.fares, func(f fare) bool { return !has(f) })
	}
	if f.first.IsZero() && has(func(f fare) bool { return len(f.observers) > 0 }) {
		f.first = time.Now()
	}
	if f.all.IsZero() && has(func(f fare) bool { return len(f.observers) == nodes }) {
		f.all = time.Now()
		close(f.begun)
	}
	if f.started.at.IsZero() {
		return false
	}
	if of.counting && of.epoch != t.Epoch {
		of.Epochs++
	}
	of.counting, of.epoch = true, t.Epoch
	of.Transmissions++
	of.observed += len(t.Observers)
	return rounds > 0 && has(func(f fare) bool { return f.Transmissions >= rounds })
}

// progress says how much of what was asked for there is.
func (f *feeds) progress(rounds int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	count := func(has func(fare) bool) (n int) {
		for _, fare := range f.fares {
			if has(fare) {
				n++
			}
		}
		return n
	}
	if f.started.at.IsZero() {
		return fmt.Sprintf("an answer in %d of %d feeds, but not yet an observation of every node in every feed",
			count(func(f fare) bool { return len(f.observers) > 0 }), len(f.fares))
	}
	return fmt.Sprintf("all %d rounds in %d of %d feeds", rounds,
		count(func(f fare) bool { return f.Transmissions >= rounds }), len(f.fares))
}

// beginFeeds waits until all nodes observe in all feeds and begins to measure.
func (n *network) beginFeeds(ctx context.Context) error {
	for _, m := range n.members {
		for _, pid := range n.pids(ctx, m) {
			if err := cost.Forget(pid); err != nil {
				return fmt.Errorf("forget the peak of the memory of %s: %w", m.Name(), err)
			}
		}
	}
	select {
	case <-n.feeds.begun:
	case <-ctx.Done():
		return ctx.Err()
	}
	began, err := n.mark(ctx)
	if err != nil {
		return err
	}
	n.feeds.mu.Lock()
	n.feeds.started = began
	n.feeds.mu.Unlock()
	n.display.Step(fmt.Sprintf("All nodes observe in all %d feeds, %.1f s after the first was started. Measuring …",
		n.config.Feeds, n.feeds.all.Sub(n.started).Seconds()))
	return nil
}

// pids are the processes of a node by name, as far as it tells.
func (n *network) pids(ctx context.Context, m *member) map[string]int {
	pids := map[string]int{"loop": m.PID()}
	if plugins, err := m.Plugins(ctx); err == nil {
		for _, plugin := range plugins {
			if plugin.PID > 0 {
				pids[plugin.Name] = plugin.PID
			}
		}
	}
	return pids
}

func (n *network) mark(ctx context.Context) (mark, error) {
	block, err := n.ledger.(*evmLedger).chain.Head(ctx)
	if err != nil {
		return mark{}, err
	}
	m := mark{at: time.Now(), block: block, calls: n.feeds.counter.Sum()}
	for _, member := range n.members {
		of := nodeMark{processes: map[string]cost.Usage{}}
		for name, pid := range n.pids(ctx, member) {
			if of.processes[name], err = cost.Of(pid); err != nil {
				return mark{}, fmt.Errorf("measure the process %s of %s: %w", name, member.Name(), err)
			}
		}
		text, err := os.ReadFile(member.LogFile())
		if err != nil {
			return mark{}, fmt.Errorf("read the log of %s: %w", member.Name(), err)
		}
		of.lines = bytes.Count(text, []byte("\n"))
		m.nodes = append(m.nodes, of)
	}
	return m, nil
}

// endFeeds measures, and starts the first node once more to see how long that takes.
func (n *network) endFeeds(ctx context.Context) error {
	f := n.feeds
	f.mu.Lock()
	began, fares := f.started, slices.Clone(f.fares)
	f.mu.Unlock()
	if began.at.IsZero() {
		return nil // it ended before there was anything to measure
	}
	ended, err := n.mark(ctx)
	if err != nil {
		return err
	}
	window := ended.at.Sub(began.at)
	r := &Feeds{
		Feeds: n.config.Feeds, RoundSeconds: f.pace.Seconds(), FirstSeconds: f.first.Sub(n.started).Seconds(),
		AllSeconds: f.all.Sub(n.started).Seconds(), WindowSeconds: window.Seconds(),
		Blocks: int(ended.block - began.block), Rounds: int(window * time.Duration(n.config.Feeds) / f.pace),
		Processes: map[string]Process{}, Calls: map[string]float64{},
	}
	observed := 0
	for _, of := range fares {
		r.Transmissions += of.Transmissions
		observed += of.observed
		of.Observers = float64(of.observed) / float64(max(1, of.Transmissions))
		r.Each = append(r.Each, of.Feed)
	}
	r.Observers = float64(observed) / float64(max(1, r.Transmissions))
	r.calls(began, ended, float64(len(n.members)))
	r.usage(began, ended)
	if err := n.scrape(ctx, r); err != nil {
		return err
	}
	n.result.Feeds = r
	n.display.Step(r.String())
	if err := n.startAgain(ctx, r); err != nil {
		return err
	}
	n.display.Step(fmt.Sprintf("Killed and started again, %s is ready after %.1f s and has observed in all feeds after "+
		"%.1f s.", n.members[0].Name(), r.ReadySeconds, r.ObservingSeconds))
	return nil
}

func (r *Feeds) calls(began, ended mark, nodes float64) {
	share := nodes * float64(max(1, r.Blocks))
	r.PostsPerBlock = float64(ended.calls.Posts-began.calls.Posts) / share
	for method, count := range ended.calls.ByMethod {
		each := float64(count-began.calls.ByMethod[method]) / share
		r.Calls[method] = each
		r.CallsPerBlock += each
	}
}

func (r *Feeds) usage(began, ended mark) {
	minutes := r.WindowSeconds / 60
	share := float64(len(ended.nodes))
	var total time.Duration
	for i, after := range ended.nodes {
		before := began.nodes[i]
		r.LogLinesPerMinute += float64(after.lines-before.lines) / minutes / share
		for name, now := range after.processes {
			took := now.CPU - before.processes[name].CPU
			total += took
			r.WrittenPerMinute += float64(now.Written-before.processes[name].Written) / minutes / share
			p := r.Processes[name]
			p.ResidentMiB += float64(now.Resident) / (1 << 20) / share
			p.PeakMiB += float64(now.Peak) / (1 << 20) / share
			p.CPU += took.Seconds() / r.WindowSeconds / share
			p.Descriptors += float64(now.Descriptors) / share
			p.Threads += float64(now.Threads) / share
			r.Processes[name] = p
		}
	}
	r.CPUPerRoundMS = float64(total.Milliseconds()) / share / float64(max(1, r.Rounds))
}

// scrape reads the metrics of the first node and of its plugins.
func (n *network) scrape(ctx context.Context, r *Feeds) error {
	url := n.members[0].URL()
	for name, p := range r.Processes {
		address := url + "/plugins/" + name + "/metrics"
		if name == "loop" {
			address = url + "/metrics"
		}
		page, err := cost.Scrape(ctx, address)
		if err != nil {
			return err
		}
		if name == "loop" {
			r.MetricsBytes, r.MetricsMS = page.Size, float64(page.Took.Microseconds())/1000
		}
		p.Goroutines = page.Value("go_goroutines")
		r.Processes[name] = p
	}
	return nil
}

// startAgain kills the first node and starts it again, and waits until it has observed for all feeds.
func (n *network) startAgain(ctx context.Context, r *Feeds) error {
	m := n.members[0]
	m.Kill()
	began := time.Now()
	if err := m.Again(n.launcher); err != nil {
		return err
	}
	if err := m.WaitReady(ctx); err != nil {
		return err
	}
	r.ReadySeconds = time.Since(began).Seconds()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(3*n.feeds.pace + time.Minute)
	for {
		page, err := cost.Scrape(ctx, m.URL()+"/metrics")
		if err == nil && page.Series("loop_job_observation") >= n.config.Feeds {
			r.ObservingSeconds = time.Since(began).Seconds()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("%s, started again, has observed for %d of %d feeds", m.Name(),
				page.Series("loop_job_observation"), n.config.Feeds)
		case <-ticker.C:
		}
	}
}

// String is the result for people.
func (r *Feeds) String() string {
	text := fmt.Sprintf("%d feeds, a round each in %.0f s: %d transmissions of %.2f observers in %.0f s and %d blocks. A "+
		"node: %.1f ms of processor for a round, %.1f calls of the chain in %.1f requests a block, %.0f lines of log a "+
		"minute, /metrics of %d KiB in %.0f ms.",
		r.Feeds, r.RoundSeconds, r.Transmissions, r.Observers, r.WindowSeconds, r.Blocks, r.CPUPerRoundMS, r.CallsPerBlock,
		r.PostsPerBlock, r.LogLinesPerMinute, r.MetricsBytes>>10, r.MetricsMS)
	for name, p := range r.Processes {
		text += fmt.Sprintf("\n%-7s %4.0f MiB, at most %.0f; %.2f of a processor; %.0f goroutines, %.0f descriptors",
			name, p.ResidentMiB, p.PeakMiB, p.CPU, p.Goroutines, p.Descriptors)
	}
	return text
}
