package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
	"github.com/loop-plugins/loop/host/internal/web"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// queueing is a relayer that does with an account what a queue does and sends nothing: it finds what is unfinished,
// keeps an item for each job, and goes on until its process ends. While it uses an account it holds a lock on a file of
// that name, so that two processes that do so at once are seen.
type queueing struct {
	nodetest.Relayer
	dir string
}

// conflicts is the file that is there when two processes have used an account at once, and closing one that a test
// locks for as long as the closing of chains is to last.
const (
	conflicts = "conflicts"
	closing   = "closing"
)

func (q queueing) CreateChain(_ context.Context, r *relayerv1.CreateChainRequest,
	loans relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	if strings.Contains(string(r.GetConfigToml()), "Refused") {
		return nil, nil, status.Error(codes.InvalidArgument, "Refused: a key that no check looks at")
	}
	c := &queueChain{Chain: nodetest.Chain{Loans: loans}, dir: q.dir, held: map[string]*os.File{}}
	go func() {
		page, err := loans.Store.List(context.Background(), &hostservicev1.ListRequest{Prefix: "transmit/"})
		if err != nil {
			fmt.Fprintln(os.Stderr, "listing the store:", err)
		}
		for _, e := range page.GetEntries() {
			c.use(strings.Split(e.GetKey(), "/")[1])
		}
	}()
	return c, &relayerv1.CreateChainResponse{}, nil
}

// Files in its directory by which the relayer is another build.
const (
	away      = "away"
	refusing  = "refusing"
	objecting = "objecting"
)

func marked(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}

func (q queueing) ValidateJob(ctx context.Context,
	r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	if marked(q.dir, objecting) {
		return &relayerv1.ValidateJobResponse{Problems: []*pluginv1.Problem{{Path: "contractID",
			Message: "this build knows no such contract"}}}, nil
	}
	return q.Relayer.ValidateJob(ctx, r)
}

type queueChain struct {
	nodetest.Chain
	dir  string
	mu   sync.Mutex
	held map[string]*os.File
}

// use takes an account's lock for the rest of the process's lifetime and writes down who has it, with the number of its
// entries.
func (c *queueChain) use(account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[account] != nil {
		return
	}
	page, err := c.Loans.Store.List(context.Background(), &hostservicev1.ListRequest{Prefix: "transmit/" + account + "/"})
	if err != nil {
		fmt.Fprintln(os.Stderr, "listing the account's entries:", err)
		return
	}
	f, err := os.OpenFile(filepath.Join(c.dir, account), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	c.held[account] = f
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = os.WriteFile(filepath.Join(c.dir, conflicts), []byte(account+": "+err.Error()), 0o600)
	}
	fmt.Fprintln(f, os.Getpid(), len(page.GetEntries()))
}

// Close lets go of the accounts: a chain that is made anew in the process has them next.
func (c *queueChain) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for account, f := range c.held {
		_ = f.Close()
		delete(c.held, account)
	}
	f, err := os.Open(filepath.Join(c.dir, closing))
	if err != nil {
		return nil // it is to last no time
	}
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_SH), f.Close())
}

func (c *queueChain) CreateProvider(ctx context.Context,
	r *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	switch {
	case marked(c.dir, away):
		return nil, nil, status.Error(codes.Unavailable, "its chain is away")
	case marked(c.dir, refusing):
		return nil, nil, status.Error(codes.InvalidArgument, "this build knows no such contract")
	}
	c.use(r.GetTransmitterId())
	key := "transmit/" + r.GetTransmitterId() + "/item/" + r.GetConfig().GetContractId()
	if _, err := c.Loans.Store.Put(ctx, &hostservicev1.PutRequest{Key: key}); err != nil &&
		status.Code(err) != codes.Aborted {
		return nil, nil, err
	}
	return &nodetest.Provider{}, &relayerv1.CreateProviderResponse{}, nil
}

// feeding is a node whose relayer queues.
type feeding struct {
	*testing.T
	files  *files
	dir    string
	node   *Node
	client nodev1connect.NodeServiceClient
	source string // of the jobs that are added
}

// notFed is a feeding whose node has not started.
func notFed(t *testing.T) *feeding {
	return &feeding{T: t, files: newFiles(t), dir: t.TempDir(), source: "one [type=sum values=<[1]>]"}
}

func newFeed(t *testing.T) *feeding {
	f := notFed(t)
	f.files.Config += fmt.Sprintf("[Plugins.Acme]\nWrite = [%q]\n", f.dir)
	f.files.acme(t, "RELAYER=queueing\nQUEUE_DIR="+f.dir)
	f.files.Chain("1", "")
	f.start()
	return f
}

func (f *feeding) start() {
	f.node = f.files.start(f.T)
	f.client = nodetest.Operator(f.node.Socket())
}

func (f *feeding) account() string {
	f.Helper()
	return newAccount(f.T, f.node)
}

func (f *feeding) add(contract, account string, isolated bool) (*nodev1.Job, error) {
	f.Helper()
	r, err := f.client.AddJob(f.Context(), &nodev1.AddJobRequest{SpecToml: fmt.Sprintf(`
type = "offchainreporting2"
schemaVersion = 1
pluginType = "median"
relay = "acme"
contractID = "0x00000000000000000000000000000000000000%s"
transmitterID = %q
ocrKeyBundleID = %q
allowNoBootstrappers = true
isolated = %v
observationSource = '%s'
[relayConfig]
chainID = 1
[pluginConfig]
juelsPerFeeCoinSource = "one [type=sum values=<[1]>]"
`, contract, account, f.node.keys.Bundles("acme")[0].ID(), isolated, f.source)})
	return r.GetJob(), err
}

func (f *feeding) runs(contract, account string, isolated bool) *nodev1.Job {
	f.Helper()
	j, err := f.add(contract, account, isolated)
	if err != nil {
		f.Fatal(err)
	}
	if j.GetState() == nodev1.JobState_JOB_STATE_FAILED { // it waits: the fake contract has no configuration
		f.Fatalf("job %d is %s: %s", j.GetId(), j.GetState(), j.GetReason())
	}
	return j
}

func (f *feeding) remove(j *nodev1.Job) {
	f.Helper()
	if _, err := f.client.RemoveJob(f.Context(), &nodev1.RemoveJobRequest{Id: j.GetId()}); err != nil {
		f.Fatal(err)
	}
}

func (f *feeding) pid(plugin string) int {
	if p := f.node.runtime.Plugin(plugin); p != nil {
		return p.Status().PID
	}
	return 0
}

// held waits until a plugin's present process uses an account and has found so many of its entries.
func (f *feeding) held(account, plugin string, entries int) {
	f.Helper()
	var last string
	eventually(f.T, "the use of "+account+" by "+plugin, func() bool {
		text, _ := os.ReadFile(filepath.Join(f.dir, account))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		last = lines[len(lines)-1]
		pid := f.pid(plugin)
		return pid != 0 && last == fmt.Sprint(pid, " ", entries)
	})
	if text, err := os.ReadFile(filepath.Join(f.dir, conflicts)); err == nil {
		f.Fatalf("two processes used an account at once: %s", text)
	}
}

// lent are the accounts that a plugin may sign with.
func (f *feeding) lent(plugin string) []string {
	f.Helper()
	r, err := f.node.plugins.running()[plugin].chains["1"].ListNodeStatuses(f.Context(),
		&relayerv1.ListNodeStatusesRequest{})
	if err != nil {
		f.Fatal(err)
	}
	var accounts []string
	for _, n := range r.GetNodes() {
		accounts = append(accounts, n.GetName())
	}
	return accounts
}

func (f *feeding) refused(contract, account string, isolated bool, want string) {
	f.Helper()
	if _, err := f.add(contract, account, isolated); err == nil || !strings.Contains(err.Error(), want) {
		f.Errorf("the job is answered %v, want %q", err, want)
	}
}

// An isolated job's relayer has the job's account and no other, and whatever happens the account is never two
// processes': not when the job is added for an account that the shared process works for, not when either is killed,
// not when the job is removed, and not when the node starts again. Whoever gets the account finds what is unfinished.
func TestIsolatedJobIsAloneWithItsAccount(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	own, other := f.account(), f.account()
	shared := f.runs("a1", own, false)
	f.held(own, "acme", 0)
	f.refused("a2", own, true,
		fmt.Sprintf("transmitterID: job %d sends from this account on acme chain 1, and an isolated job needs one that no "+
			"other job there has; make one with: loop keys create acme", shared.GetId()))

	// The shared process has not used the other account: it need not be replaced.
	second := f.runs("b1", other, true)
	name := fmt.Sprintf("acme-%d", second.GetId())
	f.held(other, name, 0)
	if g := f.node.runtime.Plugin("acme").Status().Generation; g != 1 {
		t.Errorf("the shared process is in generation %d", g)
	}
	if lent := f.lent(name); !slices.Equal(lent, []string{other}) {
		t.Errorf("the job's own relayer may sign with %v", lent)
	}
	if lent := f.lent("acme"); slices.Contains(lent, other) || !slices.Contains(lent, own) {
		t.Errorf("the shared relayer may sign with %v", lent)
	}
	alone := fmt.Sprintf("transmitterID: job %d is isolated, and no other may send from its account on acme chain 1; "+
		"name another one", second.GetId())
	f.refused("b2", strings.ToUpper(other), false, alone)

	// The first job becomes isolated: the shared process, which may have its transactions in memory, is replaced.
	f.remove(shared)
	first := f.runs("a1", own, true)
	f.held(own, fmt.Sprintf("acme-%d", first.GetId()), 1)
	if g := f.node.runtime.Plugin("acme").Status().Generation; g != 2 {
		t.Errorf("the shared process is in generation %d", g)
	}

	// Whoever dies, its next generation has the same accounts.
	for _, plugin := range []string{"acme", name} {
		generation := f.node.runtime.Plugin(plugin).Status().Generation
		signal(t, f.node, plugin, syscall.SIGKILL)
		eventually(t, "the next generation of "+plugin, func() bool {
			st := f.node.runtime.Plugin(plugin).Status()
			return st.Generation > generation && st.State.String() == "ready"
		})
	}
	f.held(other, name, 1)
	f.held(own, fmt.Sprintf("acme-%d", first.GetId()), 1)

	// Removed, the shared process finishes what it has left, without being replaced.
	pid := f.pid(fmt.Sprintf("acme-%d", first.GetId()))
	f.remove(first)
	f.held(own, "acme", 1)
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the job's relayer lives on without it")
	}
	f.runs("a3", own, false)

	f.node.Close(t.Context())
	f.start()
	f.held(own, "acme", 2)
	f.held(other, name, 1)
	f.refused("b2", other, false, alone)
	if lent := f.lent("acme"); slices.Contains(lent, other) {
		t.Errorf("after a restart of the node the shared relayer may sign with %v", lent)
	}
}

// A product's job that leaves its type of provider to the product has its account when the node starts again, before
// the product is asked, and however the spec writes it.
func TestIsolatedJobOfAProduct(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	f.files.Environment["CL_TWAP_CMD"] = os.Args[0]
	f.files.plugin(t, "TWAP", "PRODUCT=fake")
	f.node.Close(t.Context())
	f.start()
	add := func(contract, account string) *nodev1.Job {
		t.Helper()
		r, err := f.client.AddJob(t.Context(), &nodev1.AddJobRequest{SpecToml: fmt.Sprintf(`
type = "offchainreporting2"
schemaVersion = 1
pluginType = "plugin"
relay = "acme"
contractID = %q
transmitterID = %q
ocrKeyBundleID = %q
allowNoBootstrappers = true
isolated = true
[relayConfig]
chainID = 1
[pluginConfig]
pluginName = "twap"
window = 1
`, contract, strings.ToUpper(account), f.node.keys.Bundles("acme")[0].ID())})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetJob()
	}
	accounts := []string{f.account(), f.account()}
	jobs := []*nodev1.Job{add("a", accounts[0]), add("b", accounts[1])}
	for entries := range 2 {
		for i, j := range jobs {
			name := ownName("acme", j.GetId())
			f.held(accounts[i], name, entries)
			if lent := f.lent(name); !slices.Equal(lent, accounts[i:i+1]) {
				t.Errorf("job %d's relayer may sign with %v", j.GetId(), lent)
			}
		}
		f.node.Close(t.Context())
		f.start()
	}
}

// A job that cannot have its processes, or its account, says why, and leaves the account where it was.
func TestIsolatedJobThatDoesNotStart(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	own := f.account()
	illness := filepath.Join(f.dir, "ill")
	f.files.plugin(t, "MEDIAN", "FAIL_WHILE="+illness)
	f.node.Close(t.Context())
	f.start()
	if err := os.WriteFile(illness, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ill, err := f.add("a1", own, true)
	if err != nil || ill.GetState() != nodev1.JobState_JOB_STATE_FAILED ||
		!strings.Contains(ill.GetReason(), "plugin median-") || !strings.Contains(ill.GetReason(), "not today") {
		t.Fatalf("job: %v, %v", ill, err)
	}
	left := []web.Plugin{{Name: "acme", Kind: "relayer"}, {Name: "median", Kind: "median"}}
	if d := cmp.Diff(left, scrape{f.node.runtime}.List()); d != "" {
		t.Errorf("plugins that are left (-want +got):\n%s", d)
	}
	if !slices.Contains(f.lent("acme"), own) {
		t.Error("the account was not given back")
	}
	f.refused("a2", own, false, "is isolated, and no other may send from its account")
	f.remove(ill)
	if err := os.Remove(illness); err != nil {
		t.Fatal(err)
	}
	shared := f.runs("a2", own, false)
	f.held(own, "acme", 0)

	// Two jobs that are in the database as they should not be: the shared one runs.
	stored := f.runs("c1", f.account(), true)
	for _, j := range f.node.jobs.list() {
		if j.stored.ID == stored.GetId() {
			j.stored.Spec, j.stored.Validation = strings.Replace(j.stored.Spec, j.spec.TransmitterID, own, 1), nil
			if err := f.node.database.RemoveJob(t.Context(), stored.GetId()); err != nil {
				t.Fatal(err)
			}
			if j.stored, err = f.node.database.AddJob(t.Context(), j.stored); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.node.Close(t.Context())
	f.start()
	f.held(own, "acme", 2)
	list, err := f.client.ListJobs(t.Context(), &nodev1.ListJobsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("job %d sends from its account on acme chain 1 too, and an isolated job needs one that no other "+
		"job there has; remove one of the two", shared.GetId())
	for _, j := range list.GetJobs() {
		if j.GetId() != shared.GetId() && (j.GetState() != nodev1.JobState_JOB_STATE_FAILED || j.GetReason() != want) {
			t.Errorf("job %d is %s: %s", j.GetId(), j.GetState(), j.GetReason())
		}
	}

	// Inside the node there are no processes to have.
	f.node.Close(t.Context())
	delete(f.files.Environment, "CL_ACME_CMD")
	delete(f.files.Environment, "CL_ACME_ENV")
	f.files.Builtin["acme"] = nodetest.Inside(queueing{nodetest.Acme(), f.dir})
	f.start()
	f.refused("d1", f.account(), true,
		"isolated: an isolated job has processes of its own, and the acme plugin runs inside this node; set CL_ACME_CMD, "+
			"or remove the key")
}

// A plugin in a debugger is one process for all jobs: the node calls it, and a job that wants one of its own says why
// it has none.
func TestIsolatedJobOfAPluginInADebugger(t *testing.T) {
	t.Parallel()
	f := notFed(t)
	folder, err := os.MkdirTemp("", "loop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	cmd := exec.Command(os.Args[0], "--debug")
	cmd.Env = []string{wire.CookieKey + "=" + relayerv1loop.RelayerKind().Cookie, "RELAYER=queueing", "QUEUE_DIR=" + f.dir,
		"XDG_RUNTIME_DIR=" + folder}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var written []string
	eventually(t, "the file of the plugin", func() bool {
		written, _ = filepath.Glob(filepath.Join(folder, "loop-debug-*.json"))
		return len(written) == 1
	})
	f.files.acme(t, "")
	f.files.Environment["LOOP_REATTACH"] = "acme=" + written[0]
	f.files.Chain("1", "")
	f.start()
	if pid := f.pid("acme"); pid != cmd.Process.Pid {
		t.Errorf("the node calls process %d and not %d", pid, cmd.Process.Pid)
	}
	own := f.account()
	j, err := f.add("a1", own, true)
	if err != nil || j.GetState() != nodev1.JobState_JOB_STATE_FAILED ||
		j.GetReason() != "an isolated job has processes of its own, and LOOP_REATTACH names one for all jobs; debug it as "+
			"a shared job" {
		t.Errorf("job: %v, %v", j, err)
	}
	f.remove(j)
	f.runs("a1", own, false)
	f.held(own, "acme", 0)
}

// newAccount makes an account of acme.
func newAccount(t *testing.T, n *Node) string {
	t.Helper()
	r := n.plugins.known["acme"]
	account, err := n.keys.CreateAccount(t.Context(), r.Relay(), r.AccountAlgorithm(), r.AccountName)
	if err != nil {
		t.Fatal(err)
	}
	return account.ID()
}
