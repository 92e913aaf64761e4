package loophost

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// shell is a plugin whose generations begin and end as a test says, in the time of a bubble.
type shell struct {
	*Plugin
	generations uint64
	// takes is how long a call takes, constructors included.
	takes func() time.Duration
	// construct, if set, has a say in constructors.
	construct func(ctx context.Context, object string) error

	mu      sync.Mutex
	running int // constructors
	most    int
}

// newShell returns a plugin without a generation. It belongs to a runtime that starts nothing.
func newShell(ctx context.Context, name string) *shell {
	r := &Runtime{settings: Settings{}.withDefaults(), ctx: ctx}
	return &shell{Plugin: newPlugin(r, wire.Kind{Name: "relayer"}, PluginSettings{Name: name}),
		takes: func() time.Duration { return time.Millisecond }}
}

// begin begins a generation.
func (s *shell) begin() *fakeProcess {
	s.generations++
	f := &fakeProcess{shell: s, generation: newGeneration(s.Plugin, s.generations), objects: map[string]bool{"": true},
		broken: make(chan struct{})}
	f.generation.conn = f
	s.Plugin.mu.Lock()
	defer s.Plugin.mu.Unlock()
	s.Plugin.generation, f.generation.ready = f.generation, true
	s.stepLocked(journal.Event{What: journal.Ready, Generation: s.generations})
	return f
}

// end ends a generation: its connection breaks at once, its end is noticed a moment later, and soon nothing is left of
// it.
func (f *fakeProcess) end() {
	close(f.broken)
	time.Sleep(100 * time.Microsecond)
	f.generation.cancel()
	time.Sleep(time.Millisecond)
	f.shell.Plugin.mu.Lock()
	defer f.shell.Plugin.mu.Unlock()
	f.shell.Plugin.generation = nil
	f.shell.stepLocked(journal.Event{What: journal.Ended, Generation: f.generation.number})
}

// create makes an object that serves a chain's calls.
func (s *shell) create(name, parent string, lent ...Lendable) *Object {
	c := Constructor{
		Method: "/test.Service/Create", Name: name, Type: "Chain", Services: []string{"loop.relayer.v1.ChainService"},
		Request:  &relayerv1.CreateChainRequest{Name: name, ChainId: "1", Keystore: "k", Store: "s"},
		Response: func() proto.Message { return &relayerv1.CreateChainResponse{} },
	}
	for _, l := range lent {
		c.Loans = append(c.Loans, Loan{Lent: l, Set: func(string) {}, Services: []string{"loop.relayer.v1.ChainService"}})
	}
	return s.Plugin.create(parent, c, nil)
}

// call asks an object for something that may be asked twice.
func call(ctx context.Context, o *Object) error {
	return o.seam.Invoke(ctx, relayerv1.ChainService_LatestHead_FullMethodName, &relayerv1.LatestHeadRequest{},
		&relayerv1.LatestHeadResponse{Timestamp: timestamppb.Now()})
}

// transact asks for something that may not.
func transact(ctx context.Context, o *Object) error {
	return o.seam.Invoke(ctx, relayerv1.ChainService_Transact_FullMethodName,
		&relayerv1.TransactRequest{From: "a", To: "b", Amount: wire.BigInt(big.NewInt(1))}, &relayerv1.TransactResponse{})
}

// fakeProcess answers as a plugin's process would: it knows the objects that were made in it and not released.
type fakeProcess struct {
	shell      *shell
	generation *generation
	mu         sync.Mutex
	objects    map[string]bool // false: released
	draining   bool
	broken     chan struct{} // closed when its connections break
}

// Invoke implements grpc.ClientConnInterface.
func (f *fakeProcess) Invoke(ctx context.Context, method string, args, _ any, opts ...grpc.CallOption) error {
	trailer := metadata.Pairs(wire.GenerationKey, "1")
	var err error
	f.mu.Lock()
	draining := f.draining
	f.mu.Unlock()
	if draining {
		trailer.Set(wire.DrainingKey, "1")
		err = status.Error(codes.Unavailable, "draining")
	} else {
		select {
		case <-time.After(f.shell.takes()):
			err = f.serve(ctx, args)
		case <-ctx.Done():
			err = status.FromContextError(ctx.Err()).Err()
		case <-f.broken:
		}
	}
	select {
	case <-f.broken:
		return status.Error(codes.Unavailable, "the connection is closing")
	default:
	}
	for _, o := range opts {
		if t, ok := o.(grpc.TrailerCallOption); ok {
			*t.TrailerAddr = trailer
		}
	}
	return err
}

func (f *fakeProcess) serve(ctx context.Context, args any) error {
	out, _ := metadata.FromOutgoingContext(ctx)
	object := strings.Join(out.Get(wire.ObjectKey), "")
	if r, ok := args.(*relayerv1.CreateChainRequest); ok {
		return f.make(object, r.GetName())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := args.(*pluginv1.ReleaseRequest); ok {
		for _, name := range r.GetObjects() {
			f.objects[name] = false
		}
	} else if !f.objects[object] {
		return status.Errorf(codes.NotFound, "the process has no %s", object)
	}
	return nil
}

func (f *fakeProcess) make(parent, name string) error {
	s := f.shell
	s.mu.Lock()
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running--
	}()
	select {
	case <-time.After(s.takes()):
	case <-f.broken:
		return nil
	}
	if s.construct != nil {
		if err := s.construct(f.generation.ctx, name); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.objects[parent] {
		return status.Errorf(codes.Internal, "the process has no %s to make %s of", parent, name)
	}
	if made, known := f.objects[name]; known && !made {
		return status.Errorf(codes.FailedPrecondition, "object %s was released", name)
	}
	f.objects[name] = true
	return nil
}

// NewStream implements grpc.ClientConnInterface.
func (*fakeProcess) NewStream(context.Context, *grpc.StreamDesc, string,
	...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "no streams here")
}

// within runs f in a bubble with a context that ends before it.
func within(t *testing.T, f func(t *testing.T, ctx context.Context)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f(t, ctx)
	})
}

// TestMakingsAreBounded brings a thousand objects back at once.
func TestMakingsAreBounded(t *testing.T) {
	within(t, func(t *testing.T, ctx context.Context) {
		s := newShell(ctx, "p")
		var all []*Object
		for i := range 1000 {
			all = append(all, s.create(fmt.Sprint(i), ""))
		}
		for range 2 {
			s.most = 0
			begin := time.Now()
			f := s.begin()
			for _, o := range all {
				if err := call(ctx, o); err != nil {
					t.Fatal(err)
				}
			}
			if s.most != journal.Makings {
				t.Errorf("%d constructors ran at once; %d were wanted", s.most, journal.Makings)
			}
			t.Logf("all were back after %s", time.Since(begin))
			f.end()
		}
	})
}

// TestPauses fails a constructor for long, and measures when it is asked again.
func TestPauses(t *testing.T) {
	within(t, func(t *testing.T, ctx context.Context) {
		s := newShell(ctx, "p")
		s.takes = func() time.Duration { return 0 }
		var asked []time.Time
		s.construct = func(_ context.Context, name string) error {
			if name == "child" {
				return nil
			}
			if asked = append(asked, time.Now()); len(asked) < 12 {
				return status.Error(codes.Unavailable, "not yet")
			}
			return nil
		}
		s.begin()
		o := s.create("o", "")
		child := s.create("child", "o")
		time.Sleep(time.Nanosecond)
		if err := call(ctx, child); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "not yet") {
			t.Errorf("a child of what fails: %v", err)
		}
		if _, err := Created[*relayerv1.CreateChainResponse](ctx, o); err != nil {
			t.Fatal(err)
		}
		want := journal.FirstPause
		for i := range asked[1:] {
			if got := asked[i+1].Sub(asked[i]); got < want/2 || got > want+want/2 {
				t.Errorf("pause %d took %s; half of %s to one and a half of it were wanted", i, got, want)
			}
			want = min(2*want, journal.LongestPause)
		}
		if err := call(ctx, child); err != nil {
			t.Error(err)
		}
	})
}

// TestCallersWaitForThemselves has callers of a plugin that is down wait, each until its own deadline to the
// nanosecond.
func TestCallersWaitForThemselves(t *testing.T) {
	within(t, func(t *testing.T, ctx context.Context) {
		s := newShell(ctx, "p")
		o := s.create("o", "")
		begin := time.Now()
		var calls sync.WaitGroup
		for i := range 100 {
			calls.Go(func() {
				patience := time.Duration(i) * time.Second
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				if err := call(ctx, o); status.Code(err) != codes.DeadlineExceeded || time.Since(begin) != patience {
					t.Errorf("after %s: %v", time.Since(begin), err)
				}
			})
		}
		calls.Wait()
	})
}

// TestRepeats checks what becomes of calls that are refused, lost, and lost twice.
func TestRepeats(t *testing.T) {
	within(t, func(t *testing.T, ctx context.Context) {
		s := newShell(ctx, "p")
		s.takes = func() time.Duration { return 10 * time.Millisecond }
		o, other := s.create("o", ""), s.create("other", "")
		f := s.begin()
		for _, o := range []*Object{o, other} {
			if err := call(ctx, o); err != nil {
				t.Fatal(err)
			}
		}
		// in has a call of each kind in flight when something happens to the process, which is then replaced.
		in := func(what func()) (may, mayNot error) {
			var calls sync.WaitGroup
			calls.Go(func() { may = call(ctx, o) })
			calls.Go(func() { mayNot = transact(ctx, other) })
			time.Sleep(time.Millisecond)
			what()
			f = s.begin()
			calls.Wait()
			return may, mayNot
		}
		may, mayNot := in(func() { f.end() })
		if may != nil || status.Code(mayNot) != codes.Unavailable || !strings.Contains(mayNot.Error(), "outcome is unknown") {
			t.Errorf("one death: %v, %v", may, mayNot)
		}
		// A process that drains refuses calls: they wait for the next one, whatever they do, and are not counted.
		f.draining = true
		may, mayNot = in(func() { time.Sleep(time.Second); f.end() })
		if may != nil || mayNot != nil {
			t.Errorf("a process that drained: %v, %v", may, mayNot)
		}
		may, _ = in(func() {
			f.end()
			second := s.begin()
			time.Sleep(15 * time.Millisecond) // the object is back, and its call in flight again
			for second.generation.calls.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			second.end()
		})
		if status.Code(may) != codes.Unavailable || !strings.Contains(may.Error(), "two generations in a row") {
			t.Errorf("two deaths: %v", may)
		}
		if err := call(ctx, other); err != nil {
			t.Errorf("another object: %v", err)
		}
		if err := call(ctx, o); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "rests for 10s") {
			t.Errorf("the suspect: %v", err)
		}
		time.Sleep(journal.Rest)
		time.Sleep(50 * time.Millisecond)
		if err := call(ctx, o); err != nil {
			t.Errorf("the suspect after its rest: %v", err)
		}
	})
}

// TestSuspectConstructor ends a process twice in the middle of a constructor.
func TestSuspectConstructor(t *testing.T) {
	within(t, func(t *testing.T, ctx context.Context) {
		s := newShell(ctx, "p")
		s.construct = func(ctx context.Context, name string) error {
			if name == "slow" {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
			return nil
		}
		slow, other := s.create("slow", ""), s.create("other", "")
		for range 2 {
			f := s.begin()
			if err := call(ctx, other); err != nil {
				t.Fatal(err)
			}
			f.end()
		}
		begin := time.Now()
		s.begin()
		if err := call(ctx, other); err != nil {
			t.Fatal(err)
		}
		if err := call(ctx, slow); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "rests") {
			t.Errorf("the suspect: %v", err)
		}
		if _, err := Created[*relayerv1.CreateChainResponse](ctx, slow); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < journal.Rest || took > journal.Rest+2*time.Second {
			t.Errorf("it was made after %s", took)
		}
	})
}

// TestBorrowers makes objects that borrow of a plugin that is down, is given up and comes back, and releases one of
// them meanwhile: nothing is left of it.
func TestBorrowers(t *testing.T) {
	within(t, func(t *testing.T, ctx context.Context) {
		owner, borrower := newShell(ctx, "owner"), newShell(ctx, "borrower")
		lent := owner.create("lent", "")
		o, released := borrower.create("o", "", lent), borrower.create("released", "", lent)
		f := borrower.begin()
		time.Sleep(time.Minute)
		if s := borrower.journal.Look("o").State; s != Creating {
			t.Errorf("with its loan down it is %s", s)
		}
		if err := released.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := (loans{borrower.Plugin}).Resolve("loop.relayer.v1.ChainService", "lent"); err != nil {
			t.Errorf("the loan of the other was taken back: %v", err)
		}
		owner.begin()
		if err := call(ctx, o); err != nil {
			t.Fatal(err)
		}
		if err := o.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := (loans{borrower.Plugin}).Resolve("loop.relayer.v1.ChainService",
			"lent"); status.Code(err) != codes.NotFound {
			t.Errorf("the loan was not taken back: %v", err)
		}
		f.end()
		owner.tell(journal.Event{What: journal.Unreachable, Reason: status.Error(codes.Unavailable, "given up")})
		last := borrower.create("last", "", lent)
		borrower.begin()
		if err := call(ctx, last); err != nil {
			t.Errorf("what is known to fail is settled: %v", err)
		}
	})
}

// TestCreateJoins creates a name twice.
func TestCreateJoins(t *testing.T) {
	within(t, func(t *testing.T, ctx context.Context) {
		s := newShell(ctx, "p")
		o := s.create("o", "")
		if s.create("o", "") != o {
			t.Error("the same request made another object")
		}
		s.create("parent", "")
		if err := call(ctx, s.create("o", "parent")); status.Code(err) != codes.AlreadyExists {
			t.Errorf("another request: %v", err)
		}
		s.begin()
		if err := call(ctx, o); err != nil {
			t.Error(err)
		}
	})
}

// TestGenerations has random things happen to a plugin's objects while its generations begin and end, calls in flight:
// an object answers for as long as it was not released, and never again after.
func TestGenerations(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		type step struct{ do, object, millis int }
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{rapid.IntRange(0, 7).Draw(t, "do"), rapid.IntRange(0, 100).Draw(t, "object"),
				rapid.IntRange(0, 30).Draw(t, "millis")}
		}), 20, 100).Draw(rt, "steps")
		var wrong []string
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := newShell(ctx, "p")
			s.takes = func() time.Duration { return 3 * time.Millisecond }
			var mu sync.Mutex
			bad := func(format string, a ...any) {
				mu.Lock()
				defer mu.Unlock()
				wrong = append(wrong, fmt.Sprintf(format, a...))
			}
			type modelled struct {
				*Object
				parent   int // -1: none
				released bool
			}
			var all []*modelled
			var release func(i int)
			release = func(i int) {
				all[i].released = true
				for j, m := range all {
					if m.parent == i && !m.released {
						release(j)
					}
				}
			}
			var calls sync.WaitGroup
			deaths := 0
			check := func(m *modelled, calm bool) {
				mu.Lock()
				before, gone := deaths, m.released
				mu.Unlock()
				err := call(ctx, m.Object)
				mu.Lock()
				during, now := deaths-before, m.released
				mu.Unlock()
				switch {
				case gone && status.Code(err) != codes.NotFound:
					bad("%s was released: %v", m, err)
				case now || err == nil || !calm && strings.Contains(err.Error(), "rests") ||
					during > 0 && strings.Contains(err.Error(), "in two generations in a row"):
				default:
					bad("%s lives: %v", m, err)
				}
			}
			f := s.begin()
			for _, p := range steps {
				var m *modelled
				if len(all) > 0 {
					m = all[p.object%len(all)]
				}
				switch {
				case p.do == 0:
					time.Sleep(time.Duration(p.millis) * time.Millisecond)
				case p.do <= 2 || m == nil:
					parent, name := -1, ""
					if m != nil && p.millis%2 == 0 {
						parent, name = p.object%len(all), m.Name()
					}
					mu.Lock()
					all = append(all, &modelled{s.create(fmt.Sprint("o", len(all)), name), parent, parent >= 0 && m.released})
					mu.Unlock()
				case p.do == 3:
					synctest.Wait() // calls that were made before have begun
					mu.Lock()
					release(p.object % len(all))
					mu.Unlock()
					calls.Go(func() {
						if err := m.Release(ctx); err != nil {
							bad("releasing %s: %v", m, err)
						}
					})
					synctest.Wait() // it is in the journal, and on its way to the plugin
				case p.do <= 6:
					calls.Go(func() { check(m, false) })
				default:
					mu.Lock()
					deaths++
					mu.Unlock()
					f.end()
					time.Sleep(time.Duration(p.millis) * time.Millisecond)
					f = s.begin()
				}
			}
			calls.Wait()
			time.Sleep(journal.Rest + time.Second) // whoever is suspect has rested
			var want, got []string
			for _, m := range all {
				check(m, true)
				if !m.released {
					want = append(want, m.Name())
				}
			}
			for _, o := range s.journal.Objects() {
				got = append(got, o.Name)
			}
			if !slices.Equal(want, got) {
				bad("the journal has %v; want %v", got, want)
			}
		})
		if len(wrong) > 0 {
			rt.Fatal(strings.Join(wrong, "\n"))
		}
	})
}
