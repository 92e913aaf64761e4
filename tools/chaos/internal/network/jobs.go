package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/tools/chaos/internal/machine"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// source finds the observations of a devnet's job.
var source = regexp.MustCompile(`(?s)observationSource = """.*?"""`)

// nothing takes their place. The job runs in full and observes nothing, because devnet compares what the contract holds
// with the observations of the job that devnet itself added.
const nothing = `observationSource = """
    nothing [type="http" method="GET" url="http://127.0.0.1:9" timeout="100ms"];
"""`

// jobs removes the job of one of a devnet's nodes, and adds and removes it again and again. The other nodes keep the
// feed up.
func (b Bench) jobs(ctx context.Context, r *trial.Report) error {
	n := 50
	if r.Short {
		n = 10
	}
	d, err := start(ctx, b.program(), b.Bin, 10*time.Minute)
	if err != nil {
		return err
	}
	defer d.stop()
	o := d.operator(nodes - 1)
	first, err := o.running(ctx)
	if err != nil {
		return err
	}
	whole, err := o.node.RevealJob(ctx, &nodev1.RevealJobRequest{Id: first.GetId()})
	if err != nil {
		return fmt.Errorf("reading the spec of job %d: %w", first.GetId(), err)
	}
	if err := o.remove(ctx, first); err != nil {
		return err
	}
	spec := source.ReplaceAllString(whole.GetJob().GetSpecToml(), nothing)
	cycle := func(n int) error { return o.cycle(ctx, spec, n) }
	// What jobs leave behind never goes away. What pools keep (connections, and the goroutines that serve them) comes and
	// goes. So the greatest of two counts before counts. A greater count afterwards is repeated after as many further
	// jobs, and the least of these counts.
	counted := func(n int) (tallies, error) {
		if err := cycle(n); err != nil {
			return tallies{}, err
		}
		return o.count(ctx)
	}
	var before tallies
	for range 2 {
		now, err := counted(15)
		if err != nil {
			return err
		}
		before = before.most(now)
	}
	after, err := counted(n)
	added := n
	for err == nil && added < 3*n && after.over(before) {
		var now tallies
		now, err = counted(n)
		added += n
		after = after.least(now)
	}
	if err != nil {
		return err
	}
	for _, v := range []struct {
		what          string
		before, after int
	}{
		{"goroutines of the node less those of TCP connections", before.node.goroutines, after.node.goroutines},
		{"descriptors of the node less TCP connections and the database's", before.node.descriptors, after.node.descriptors},
		{"goroutines of its plugins less those of TCP connections", before.plugins.goroutines, after.plugins.goroutines},
		{"descriptors of its plugins less TCP connections", before.plugins.descriptors, after.plugins.descriptors},
		{"socket files", before.sockets, after.sockets},
	} {
		r.Holds(fmt.Sprintf("%s after %d jobs", v.what, added), "0 more",
			fmt.Sprintf("%d before, %d after", v.before, v.after), v.after <= v.before)
	}
	return nil
}

// cycle adds and removes n jobs, one after the other.
func (o operator) cycle(ctx context.Context, spec string, n int) error {
	for i := range n {
		// Every fifth has processes of its own. isolated stands above the tables of a spec.
		if _, err := o.node.AddJob(ctx,
			&nodev1.AddJobRequest{SpecToml: fmt.Sprintf("isolated = %v\n%s", i%5 == 4, spec)}); err != nil {
			return fmt.Errorf("adding job %d: %w", i, err)
		}
		j, err := o.running(ctx)
		if err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // it takes part in a round, most often
		if err := o.remove(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// operator is the operator of a node of a devnet.
type operator struct {
	devnet *devnet
	node   nodev1connect.NodeServiceClient
	url    string
}

// running waits until the node's one job runs a configuration.
func (o operator) running(ctx context.Context) (*nodev1.Job, error) {
	last := "none"
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(pollPeriod) {
		list, err := o.node.ListJobs(ctx, &nodev1.ListJobsRequest{})
		if err != nil || len(list.GetJobs()) == 0 {
			continue // it is starting
		}
		j := list.GetJobs()[0]
		if len(j.GetConfigDigest()) > 0 && j.GetState() != nodev1.JobState_JOB_STATE_FAILED {
			return j, nil
		}
		last = j.GetState().String() + " " + j.GetReason()
	}
	return nil, fmt.Errorf("no job ran a configuration within 30 s; the last was %s; the devnet said %s", last,
		o.devnet.said())
}

func (o operator) remove(ctx context.Context, j *nodev1.Job) error {
	if _, err := o.node.RemoveJob(ctx, &nodev1.RemoveJobRequest{Id: j.GetId()}); err != nil {
		return fmt.Errorf("removing job %d: %w", j.GetId(), err)
	}
	return nil
}

// tally is what a process holds.
type tally struct{ goroutines, descriptors int }

func (t tally) least(u tally) tally {
	return tally{min(t.goroutines, u.goroutines), min(t.descriptors, u.descriptors)}
}

func (t tally) most(u tally) tally {
	return tally{max(t.goroutines, u.goroutines), max(t.descriptors, u.descriptors)}
}

// tallies are the node's and its plugins'.
type tallies struct {
	node, plugins tally
	sockets       int
}

func (t tallies) least(u tallies) tallies {
	return tallies{t.node.least(u.node), t.plugins.least(u.plugins), min(t.sockets, u.sockets)}
}

func (t tallies) most(u tallies) tallies {
	return tallies{t.node.most(u.node), t.plugins.most(u.plugins), max(t.sockets, u.sockets)}
}

// over is whether any of them is higher than before.
func (t tallies) over(before tallies) bool {
	return t.node.goroutines > before.node.goroutines || t.node.descriptors > before.node.descriptors ||
		t.plugins.goroutines > before.plugins.goroutines || t.plugins.descriptors > before.plugins.descriptors ||
		t.sockets > before.sockets
}

// A node lets go of what it held within settleFor, and has done so when nothing has gone for quietFor: peers end
// connections by timers of their own.
const (
	quietFor  = 2 * time.Second
	settleFor = 20 * time.Second
)

// count counts what the node and its plugins hold, without pools, whose sizes follow their use: TCP connections to RPC
// nodes and to peers, and those to the database.
func (o operator) count(ctx context.Context) (t tallies, err error) {
	list, err := o.node.ListPlugins(ctx, &nodev1.ListPluginsRequest{})
	if err != nil {
		return t, fmt.Errorf("listing a node's plugins: %w", err)
	}
	node := 0
	for _, p := range list.GetPlugins() {
		node = machine.Parent(int(p.GetPid()))
		if err := o.add(&t.plugins, "/plugins/"+p.GetName()+"/metrics", int(p.GetPid()), perRPC); err != nil {
			return t, err
		}
	}
	if err := o.add(&t.node, "/metrics", node, perPeer); err != nil {
		return t, err
	}
	t.sockets, err = machine.Settle(quietFor, settleFor, func() (int, error) { return socketFiles(node) })
	return t, err
}

// Goroutines that serve a pooled connection: libocr has three for each peer of a node, clients of RPC nodes have two.
const (
	perPeer = 3
	perRPC  = 2
)

// add adds what one process holds. It leaves out the goroutines that serve pooled connections: each is how many serve
// one of them.
func (o operator) add(t *tally, path string, pid, each int) error {
	goroutines, err := machine.Settle(quietFor, settleFor, func() (int, error) {
		pooled, err := machine.Connections(pid) // before the metric is read over one more
		if err != nil {
			return 0, err
		}
		n, err := o.metric(path, "go_goroutines")
		return int(n) - each*pooled, err
	})
	if err != nil {
		return err
	}
	descriptors, err := machine.Settle(quietFor, settleFor, func() (int, error) {
		all, err := machine.Descriptors(pid)
		if err != nil {
			return 0, err
		}
		pooled, err := machine.Connections(pid)
		if err != nil {
			return 0, err
		}
		database, err := machine.Files(pid, "loop.db")
		return all - pooled - database, err
	})
	t.goroutines += goroutines
	t.descriptors += descriptors
	return err
}

// quiet keeps no connection: it would be counted.
var quiet = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// exposition reads the metrics of a node or a plugin.
func (o operator) exposition(path string) (string, error) {
	response, err := quiet.Get(o.url + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("reading %s: %s", path, response.Status)
	}
	return string(body), err
}

// metric reads one metric of a node or a plugin.
func (o operator) metric(path, name string) (float64, error) {
	body, err := o.exposition(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(body, "\n") {
		if n, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(n, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// failures counts the calls across the boundary that did not end well, in either direction, by method and code.
func (o operator) failures() (map[string]int, error) {
	body, err := o.exposition("/metrics")
	if err != nil {
		return nil, err
	}
	failed := map[string]int{}
	for line := range strings.SplitSeq(body, "\n") {
		found := ended.FindStringSubmatch(line)
		if found == nil || found[1] == "OK" {
			continue
		}
		n, err := strconv.ParseFloat(found[3], 64)
		if err != nil {
			return nil, fmt.Errorf("the metric %q: %w", line, err)
		}
		failed[found[2]+" "+found[1]] += int(n)
	}
	return failed, nil
}

// ended matches a count of calls that have ended. client_golang sorts the labels by name.
var ended = regexp.MustCompile(
	`^loop_(?:call|callback)_duration_seconds_count\{code="(\w+)",method="([^"]*)",plugin="[^"]*"\} (\S+)$`)

// socketFiles counts the files in a node's folder for sockets, whose name holds the number of its process.
func socketFiles(node int) (int, error) {
	n := 0
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()} {
		folders, err := filepath.Glob(filepath.Join(base, fmt.Sprintf("loop-%d-*", node)))
		if err != nil || base == "" {
			continue // the pattern is well-formed
		}
		for _, folder := range folders {
			err := filepath.WalkDir(folder, func(_ string, d os.DirEntry, err error) error {
				if errors.Is(err, os.ErrNotExist) {
					return nil // it ended meanwhile
				}
				if err == nil && !d.IsDir() {
					n++
				}
				return err
			})
			if err != nil {
				return 0, err
			}
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("node %d has no sockets", node)
	}
	return n, nil
}

// pluginOf is one plugin of a node.
func pluginOf(ctx context.Context, node nodev1connect.NodeServiceClient, name string) (*nodev1.PluginStatus, error) {
	list, err := node.ListPlugins(ctx, &nodev1.ListPluginsRequest{})
	if err != nil {
		return nil, fmt.Errorf("listing a node's plugins: %w", err)
	}
	for _, p := range list.GetPlugins() {
		if p.GetName() == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("the node has no plugin %s", name)
}
