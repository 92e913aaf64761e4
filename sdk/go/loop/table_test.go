package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

const testMethod = reportingv1.ReportingPluginFactoryService_CreateReportingPlugin_FullMethodName

// under is the context of a constructor that is called on an object.
func under(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return metadata.NewIncomingContext(ctx, metadata.Pairs(wire.ObjectKey, parent))
}

func request(s string) proto.Message { return wrapperspb.String(s) }

// closer is a fake of an author's object.
type closer struct{ closed func() error }

func (c closer) Close() error { return c.closed() }

func made(value any, response string) *object {
	return &object{value: value, response: request(response), services: map[string]any{"service": "impl"}}
}

func newTestTable() *table { return newTable(slog.New(slog.DiscardHandler)) }

// model is what a table must hold, in plain terms.
type model struct {
	alive    map[string]*modelObject
	released map[string]bool
	all      []*modelObject
	order    []*modelObject // as they were closed
}

type modelObject struct {
	name, request string
	parent        *modelObject
	children      []*modelObject
	finish        chan error // what a constructor that blocks waits for; nil once it ended
	made          bool
	failed        bool
	released      bool
	calls         []func()
	waiters       []chan error
	closed        atomic.Int32
}

// mayClose is whether nobody needs an object any more.
func (o *modelObject) mayClose() bool {
	if !o.made || !o.released || len(o.calls) > 0 {
		return false
	}
	for _, c := range o.children {
		if !c.failed && c.closed.Load() == 0 {
			return false
		}
	}
	return true
}

func (m *model) release(name string) {
	m.released[name] = true
	o := m.alive[name]
	if o == nil {
		return
	}
	for _, c := range o.children {
		if m.alive[c.name] == c {
			m.release(c.name)
		}
	}
	o.released = true
	delete(m.alive, name)
}

// The table against a model: creates that succeed, fail, panic, block and join, releases at any moment, calls in
// flight, and objects closed once each, children first, when nobody needs them.
func TestTableIsItsModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// rapid asks a *testing.T for its deadline, which a bubble refuses; it asks nobody else.
		rapid.Check(struct{ *testing.T }{t}, func(r *rapid.T) {
			table := newTestTable()
			m := &model{alive: map[string]*modelObject{}, released: map[string]bool{}}
			names := []string{"a", "b", "c", "d", "e", "f"}
			var mu sync.Mutex // of m.order

			wants := func(what string, err error, code codes.Code) {
				r.Helper()
				if status.Code(err) != code {
					r.Fatalf("%s: %v; want %s", what, err, code)
				}
			}
			finish := func(o *modelObject, err error) {
				o.finish <- err
				synctest.Wait()
				o.finish = nil
				want := codes.OK
				switch {
				case err != nil:
					o.failed = true
					want = codes.Unavailable
					if m.alive[o.name] == o {
						delete(m.alive, o.name)
					}
				case o.released:
					o.made = true
					want = codes.FailedPrecondition
				default:
					o.made = true
				}
				for _, w := range o.waiters {
					if len(w) == 0 {
						r.Fatalf("a caller of create %s still waits", o.name)
					}
					wants("create "+o.name+" that blocked", <-w, want)
				}
				o.waiters = nil
			}
			defer func() { // no goroutine may outlive the bubble, also of a run that failed
				for _, o := range m.all {
					if o.finish != nil {
						o.finish <- errors.New("the test is over")
					}
				}
				synctest.Wait()
			}()

			r.Repeat(map[string]func(*rapid.T){
				"": func(r *rapid.T) {
					synctest.Wait()
					if len(table.objects) != len(m.alive) ||
						!maps.EqualFunc(table.objects, m.alive, func(*object, *modelObject) bool { return true }) {
						r.Fatalf("the table holds %v; want %v", slices.Sorted(maps.Keys(table.objects)),
							slices.Sorted(maps.Keys(m.alive)))
					}
					for name, o := range m.alive {
						alive := 0
						for _, c := range o.children {
							if m.alive[c.name] == c {
								alive++
							}
						}
						if got := len(table.objects[name].children); got != alive {
							r.Fatalf("%s remembers %d children; %d are alive", name, got, alive)
						}
					}
					for _, o := range m.all {
						want := int32(0)
						if o.mayClose() {
							want = 1
						}
						if got := o.closed.Load(); got != want {
							r.Fatalf("%s was closed %d times; want %d (made %t, released %t, %d calls, %d children)", o.name, got, want,
								o.made, o.released, len(o.calls), len(o.children))
						}
					}
					mu.Lock()
					defer mu.Unlock()
					for i, o := range m.order {
						if o.parent != nil && slices.Contains(m.order[:i], o.parent) {
							r.Fatalf("%s was closed after its parent %s", o.name, o.parent.name)
						}
					}
				},
				"create": func(r *rapid.T) {
					name := rapid.SampledFrom(names).Draw(r, "name")
					parent := rapid.SampledFrom(append([]string{"", ""}, names...)).Draw(r, "parent")
					body := rapid.SampledFrom([]string{"same", "same", "same", "other"}).Draw(r, "request")
					how := rapid.SampledFrom([]string{"ok", "ok", "fails", "panics", "blocks", "blocks"}).Draw(r, "constructor")
					o := &modelObject{name: name, request: body}
					construct := func(context.Context) (*object, error) {
						switch how {
						case "fails":
							return nil, errors.New("why")
						case "panics":
							panic("boom")
						case "blocks":
							if err := <-o.finish; err != nil {
								return nil, err
							}
						}
						return made(closer{func() error {
							mu.Lock()
							defer mu.Unlock()
							o.closed.Add(1)
							m.order = append(m.order, o)
							return nil
						}}, name+body), nil
					}
					existing := m.alive[name]
					want := codes.OK
					switch {
					case m.released[name]:
						want = codes.FailedPrecondition
					case parent != "" && (m.alive[parent] == nil || !m.alive[parent].made):
						want = codes.NotFound
					case existing != nil && existing.request != body:
						want = codes.AlreadyExists
					case existing != nil:
					case how == "fails":
						want = codes.Unknown
					case how == "panics":
						want = codes.Internal
					}
					isNew := existing == nil && !m.released[name] && want != codes.NotFound
					if isNew {
						o.parent = m.alive[parent]
						if how == "blocks" {
							o.finish = make(chan error)
						}
					}
					result := make(chan error, 1)
					go func() {
						response, err := table.create(under(t.Context(), parent), testMethod, name, request(body), construct)
						if err == nil && response.(*wrapperspb.StringValue).GetValue() != name+body {
							err = fmt.Errorf("another's response: %v", response)
						}
						result <- err
					}()
					synctest.Wait()
					if isNew && how != "fails" && how != "panics" {
						m.alive[name] = o
						m.all = append(m.all, o)
						o.made = how == "ok"
						if o.parent != nil {
							o.parent.children = append(o.parent.children, o)
						}
					}
					joined := m.alive[name]
					if want == codes.OK && joined.finish != nil {
						if len(result) > 0 {
							r.Fatalf("create %s returned before its constructor: %v", name, <-result)
						}
						joined.waiters = append(joined.waiters, result)
						return
					}
					wants("create "+name, <-result, want)
				},
				"finish": func(r *rapid.T) {
					var blocked []*modelObject
					for _, o := range m.all {
						if o.finish != nil {
							blocked = append(blocked, o)
						}
					}
					if len(blocked) == 0 {
						r.Skip("nothing blocks")
					}
					finish(rapid.SampledFrom(blocked).Draw(r, "object"),
						rapid.SampledFrom([]error{nil, nil, status.Error(codes.Unavailable, "later")}).Draw(r, "error"))
				},
				"release": func(r *rapid.T) {
					released := rapid.SliceOfN(rapid.SampledFrom(names), 1, 2).Draw(r, "names")
					for _, n := range released {
						m.release(n)
					}
					table.releaseAll(released)
				},
				"begin a call": func(r *rapid.T) {
					name := rapid.SampledFrom(names).Draw(r, "name")
					target, err := table.Resolve("service", name)
					o := m.alive[name]
					if o == nil || !o.made {
						wants("a call on "+name, err, codes.NotFound)
						return
					}
					wants("a call on "+name, err, codes.OK)
					if target.Impl != "impl" || target.Context.Err() != nil {
						r.Fatalf("target of %s is %v, its context %v", name, target.Impl, target.Context.Err())
					}
					o.calls = append(o.calls, func() {
						if (target.Context.Err() != nil) != o.released {
							r.Fatalf("the context of %s, released %t, is %v", name, o.released, target.Context.Err())
						}
						target.Done()
					})
					_, err = table.Resolve("another service", name)
					wants("a call on a service that "+name+" does not serve", err, codes.NotFound)
				},
				"end a call": func(r *rapid.T) {
					var called []*modelObject
					for _, o := range m.all {
						if len(o.calls) > 0 {
							called = append(called, o)
						}
					}
					if len(called) == 0 {
						r.Skip("no call is in flight")
					}
					o := rapid.SampledFrom(called).Draw(r, "object")
					end := o.calls[0]
					o.calls = o.calls[1:]
					end()
				},
				"end of the process": func(r *rapid.T) {
					if rapid.IntRange(0, 20).Draw(r, "seldom") > 0 {
						r.Skip("not yet")
					}
					for _, n := range slices.Collect(maps.Keys(m.alive)) {
						m.release(n)
					}
					table.closeAll()
				},
			})
		})
	})
}

// Children may use what their parent holds: it is closed after them, also when it is released while one is being made
// and another is in a call.
func TestParentsAreClosedLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTestTable()
		var closed []string
		makes := func(name string) *object {
			return made(closer{func() error { closed = append(closed, name); return nil }}, name)
		}
		finish := map[string]chan error{"late": make(chan error), "failing": make(chan error)}
		for _, o := range []struct{ name, parent string }{{"parent", ""}, {"child", "parent"}, {"grandchild", "child"}} {
			if _, err := table.create(under(t.Context(), o.parent), testMethod, o.name, request("r"),
				func(context.Context) (*object, error) { return makes(o.name), nil }); err != nil {
				t.Fatal(err)
			}
		}
		for name, end := range finish {
			go func() {
				_, _ = table.create(under(t.Context(), "parent"), testMethod, name, request("r"),
					func(context.Context) (*object, error) {
						return makes(name), <-end
					})
			}()
		}
		synctest.Wait()
		call, err := table.Resolve("service", "grandchild")
		if err != nil {
			t.Fatal(err)
		}
		step := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(closed, want) {
				t.Errorf("%s: closed %q; want %q", what, closed, want)
			}
		}
		table.releaseAll([]string{"parent"})
		step("with a call in flight and two constructors at work")
		call.Done()
		step("with two constructors at work", "grandchild", "child")
		finish["late"] <- nil
		step("with one constructor at work", "grandchild", "child", "late")
		finish["failing"] <- errors.New("why")
		step("at the end", "grandchild", "child", "late", "parent")
	})
}

// A constructor outlives the caller that asked for it, and no longer than its method's own deadline.
func TestConstructorOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTestTable()
		begin := time.Now()
		deadlines := make(chan time.Time, 1)
		finish := make(chan struct{})
		construct := func(ctx context.Context) (*object, error) {
			deadline, _ := ctx.Deadline()
			deadlines <- deadline
			select {
			case <-finish:
				return made(nil, "first"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := table.create(short, testMethod, "n", request("r"),
			construct); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the caller's deadline: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := table.create(gone, testMethod, "n", request("r"), construct); status.Code(err) != codes.Canceled {
			t.Errorf("a caller that goes: %v", err)
		}
		if deadline := <-deadlines; !deadline.Equal(begin.Add(10 * time.Second)) {
			t.Errorf("the constructor's deadline is after %s; the method's timeout is 10s", deadline.Sub(begin))
		}
		close(finish)
		response, err := table.create(t.Context(), testMethod, "n", request("r"), func(context.Context) (*object, error) {
			t.Error("a second constructor ran")
			return nil, errors.New("second")
		})
		if err != nil || response.(*wrapperspb.StringValue).GetValue() != "first" {
			t.Errorf("the next caller got %v, %v", response, err)
		}
		if _, err := table.create(t.Context(), testMethod, "hangs", request("r"), func(ctx context.Context) (*object, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a constructor that hung: %v", err)
		}
	})
}

// Requests of two methods differ even if their bytes are the same.
func TestAnotherMethodIsAnotherRequest(t *testing.T) {
	t.Parallel()
	table := newTestTable()
	construct := func(context.Context) (*object, error) { return made(nil, ""), nil }
	if _, err := table.create(t.Context(), testMethod, "n", request("r"), construct); err != nil {
		t.Fatal(err)
	}
	if _, err := table.create(t.Context(), "/another/Method", "n", request("r"),
		construct); status.Code(err) != codes.AlreadyExists {
		t.Errorf("got %v", err)
	}
}

func TestCallsWithoutAName(t *testing.T) {
	t.Parallel()
	table := newTestTable()
	table.root["root"] = "impl"
	if target, err := table.Resolve("root", ""); err != nil || target.Impl != "impl" {
		t.Errorf("the root: %v, %v", target.Impl, err)
	}
	if _, err := table.Resolve("service", ""); status.Code(err) != codes.InvalidArgument ||
		!strings.Contains(err.Error(), wire.ObjectKey) {
		t.Errorf("an object's service: %v", err)
	}
}

// An author's Close that fails or panics keeps nobody else from being closed.
func TestCloseThatFails(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	table := newTable(slog.New(slog.NewTextHandler(&log, nil)))
	closed := 0
	for name, c := range map[string]closer{
		"fails":  {func() error { closed++; return errors.New("why") }},
		"panics": {func() error { closed++; panic("boom") }},
		"works":  {func() error { closed++; return nil }},
	} {
		if _, err := table.create(t.Context(), testMethod, name, request("r"), func(context.Context) (*object, error) {
			return made(c, ""), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	table.closeAll()
	if closed != 3 || !strings.Contains(log.String(), "error=why") || !strings.Contains(log.String(), "panic=boom") {
		t.Errorf("closed %d of 3; log:\n%s", closed, log.String())
	}
}

func TestMadeRefusesNothing(t *testing.T) {
	t.Parallel()
	var none *wrapperspb.StringValue
	why := errors.New("why")
	for name, test := range map[string]struct {
		value    any
		response *wrapperspb.StringValue
		err      error
		want     error
	}{
		"object":      {value: 1, response: wrapperspb.String("r")},
		"error":       {err: why, want: why},
		"no object":   {response: wrapperspb.String("r"), want: errEmptyChild},
		"no response": {value: 1, response: none, want: errEmptyChild},
	} {
		if _, err := Made(test.value, test.response, test.err); !errors.Is(err, test.want) {
			t.Errorf("%s: %v; want %v", name, err, test.want)
		}
	}
}

// Many at once, for the race detector: no object outlives its release, and none is closed twice.
func TestTableUnderLoad(t *testing.T) {
	t.Parallel()
	table := newTestTable()
	var open, closedTwice atomic.Int64
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := range 200 {
				parent, child := fmt.Sprintf("p%d", i), fmt.Sprintf("c%d", i)
				construct := func(context.Context) (*object, error) {
					open.Add(1)
					var closed atomic.Bool
					return made(closer{func() error {
						if closed.Swap(true) {
							closedTwice.Add(1)
						}
						open.Add(-1)
						return nil
					}}, "r"), nil
				}
				_, _ = table.create(t.Context(), testMethod, parent, request("r"), construct)
				_, _ = table.create(under(t.Context(), parent), testMethod, child, request("r"), construct)
				for _, name := range []string{parent, child} {
					if target, err := table.Resolve("service", name); err == nil {
						defer target.Done()
					}
				}
				if (w+i)%3 == 0 {
					table.releaseAll([]string{parent})
				}
			}
		})
	}
	workers.Wait()
	table.closeAll()
	if open.Load() != 0 || closedTwice.Load() != 0 || len(table.objects) != 0 {
		t.Errorf("%d objects are open, %d were closed twice, the table holds %d", open.Load(), closedTwice.Load(),
			len(table.objects))
	}
}
