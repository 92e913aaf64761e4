package loophost_test

import (
	"context"
	"errors"
	"flag"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// modelled is an object beside what the model says of it.
type modelled struct {
	object   *loophost.Object
	chain    *relayerv1loophost.Chain // nil: it is a provider
	provider *relayerv1loophost.Provider
	parent   *modelled
	released bool
}

func (m *modelled) call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if m.chain != nil {
		_, err := m.chain.LatestHead(ctx, &relayerv1.LatestHeadRequest{})
		return err
	}
	_, err := m.provider.LatestBlockHeight(ctx, &relayerv1.LatestBlockHeightRequest{})
	return err
}

// release is what the model says of one: children go with their parents.
func (m *modelled) release(all []*modelled) {
	m.released = true
	for _, child := range all {
		if child.parent == m && !child.released {
			child.release(all)
		}
	}
}

// killsInARow is how often the process is killed from one moment in which all objects have answered to the next: an
// object is suspect, and rests, when two deaths have interrupted its making.
const killsInARow = 2

// TestLifetimes makes, calls and releases objects of a real process at random while it is killed and replaced, against
// a model: an object lives until it or its parent is released, however often its process ends, and never again after.
func TestLifetimes(t *testing.T) {
	t.Parallel()
	fewer(t, 6)
	processes(t, func(t *testing.T, m mode) {
		rapid.Check(t, func(rt *rapid.T) {
			// A process that is only slow to answer a health check must not be killed: the model does not count that death.
			r, err := loophost.New(loophost.Settings{HealthTimeout: time.Minute, StopTimeout: 20 * time.Second})
			if err != nil {
				rt.Fatal(err)
			}
			defer r.Close(context.Background())
			p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, settings(m, "fake"))
			if err != nil {
				rt.Fatal(err)
			}
			var all []*modelled
			pick := func(rt *rapid.T, what string, of func(*modelled) bool) *modelled {
				var some []*modelled
				for _, m := range all {
					if of(m) {
						some = append(some, m)
					}
				}
				if len(some) == 0 {
					rt.Skip("there is no " + what)
				}
				return rapid.SampledFrom(some).Draw(rt, what)
			}
			live := func(m *modelled) bool { return !m.released }
			check := func(rt *rapid.T, m *modelled) {
				err := m.call(t.Context())
				switch {
				case m.released && status.Code(err) != codes.NotFound:
					rt.Fatalf("%s was released: %v", m.object, err)
				case !m.released && err != nil:
					rt.Fatalf("%s lives: %v", m.object, err)
				}
			}
			kills, made := 0, 0
			process := func(rt *rapid.T) int {
				if kills == 0 {
					for _, m := range all {
						check(rt, m)
					}
				}
				pid := p.Status().PID
				// What was made since the first of these kills may have been interrupted by it. Without a process there is
				// nothing to kill, and the process id 0 would be the test's own group.
				if kills == killsInARow || pid == 0 || kills > 0 && made != len(all) {
					rt.Skip("it was killed enough")
				}
				kills, made = kills+1, len(all)
				return pid
			}
			end := func(rt *rapid.T, pid int) {
				// A process that was killed just now may be gone before the host has seen it.
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					rt.Fatal(err)
				}
			}
			settle := func(rt *rapid.T) {
				for _, m := range all {
					check(rt, m)
				}
				if kills > 0 {
					// An operator's restart clears the count of short generations, which would end in quarantine.
					if err := p.Restart(t.Context()); err != nil {
						rt.Fatal(err)
					}
					kills = 0
				}
			}
			rt.Repeat(map[string]func(*rapid.T){
				"create a chain": func(rt *rapid.T) {
					c := newChain(r, p, "")
					all = append(all, &modelled{object: c.Object, chain: c})
				},
				"create a provider": func(rt *rapid.T) {
					parent := pick(rt, "chain", func(m *modelled) bool { return m.chain != nil })
					provider := providerOf(parent.chain)
					// An object of a released parent is never made.
					all = append(all,
						&modelled{object: provider.Object, provider: provider, parent: parent, released: parent.released})
				},
				"release": func(rt *rapid.T) {
					m := pick(rt, "object", func(*modelled) bool { return true })
					if err := m.object.Release(t.Context()); err != nil {
						rt.Fatalf("releasing %s: %v", m.object, err)
					}
					m.release(all)
				},
				"call": func(rt *rapid.T) { check(rt, pick(rt, "object", func(*modelled) bool { return true })) },
				"kill under calls": func(rt *rapid.T) {
					pid := process(rt)
					var calls sync.WaitGroup
					errs := make([]error, len(all))
					for i, m := range all {
						if live(m) {
							calls.Go(func() { errs[i] = m.call(t.Context()) })
						}
					}
					end(rt, pid)
					calls.Wait()
					for i, err := range errs {
						if err != nil {
							rt.Fatalf("%s lives: %v", all[i].object, err)
						}
					}
				},
				"kill": func(rt *rapid.T) {
					pid := process(rt)
					end(rt, pid)
				},
				"settle": settle,
			})
			settle(rt)
			var want, got []string
			for _, m := range all {
				if live(m) {
					want = append(want, m.object.Name())
				}
			}
			s := p.Status()
			for _, o := range s.Objects {
				got = append(got, o.Name)
			}
			slices.Sort(want)
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				rt.Fatalf("the journal's objects (-want +got):\n%s", d)
			}
			if s.State != supervise.Ready {
				rt.Fatalf("the plugin is %s: %s", s.State, s.LastExit)
			}
		})
	})
}

// fewer has rapid check n sequences, unless its flag asks for others: each of these starts processes.
func fewer(t *testing.T, n int) {
	t.Helper()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
	}
}
