package hostservice

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/host/internal/database"
)

// anyKey signs with whatever it is asked to.
type anyKey []string

func (k anyKey) ListAccounts(context.Context,
	*hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	return &hostservicev1.ListAccountsResponse{Accounts: k}, nil
}

func (anyKey) Sign(_ context.Context, r *hostservicev1.SignRequest) (*hostservicev1.SignResponse, error) {
	return &hostservicev1.SignResponse{Signature: []byte(r.GetAccount())}, nil
}

func keysOf(t *testing.T, v *View, prefix string) []string {
	t.Helper()
	var keys []string
	for token := ""; ; {
		page, err := v.List(t.Context(), &hostservicev1.ListRequest{Prefix: prefix, PageSize: 1, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			keys = append(keys, e.GetKey())
		}
		if token = page.GetNextPageToken(); token == "" {
			return keys
		}
	}
}

func noRestart(context.Context) error { return errors.New("nobody should be restarted") }

// What is reserved can be used by one process and seen by no other, and goes back with all its entries. The key and the
// account differ, as on Starknet.
func TestReservedAccountIsOneProcess(t *testing.T) {
	t.Parallel()
	keys, store := anyKey{"0xK1", "0xK2"}, NewStore(newDatabase(t).Store(database.Scope{PluginKind: "evm", Chain: "1"}))
	a := NewAccounts()
	all := []string{"plain", "transmit/0xA1/item/1", "transmit/0xA1/item/2", "transmit/0xA2/item/1",
		"transmit/0xA3/item/1"}
	for _, key := range all {
		if _, err := store.Put(t.Context(), &hostservicev1.PutRequest{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	shared := a.Shared(keys, store)
	r, err := a.Reserve(t.Context(), Sender{Key: "0xK1", Account: "0xA1"}, noRestart)
	if err != nil {
		t.Fatal(err)
	}
	own := r.View(keys, store)
	if _, err := a.Reserve(t.Context(), Sender{Key: "0xk9", Account: "0xA1"}, noRestart); err == nil {
		t.Error("one account was reserved twice")
	}

	check := func(what string, v *View, accounts, keys, foreign []string) {
		t.Helper()
		r, err := v.ListAccounts(t.Context(), &hostservicev1.ListAccountsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(accounts, r.GetAccounts()); d != "" {
			t.Errorf("%s: accounts (-want +got):\n%s", what, d)
		}
		if d := cmp.Diff(keys, keysOf(t, v, "")); d != "" {
			t.Errorf("%s: keys (-want +got):\n%s", what, d)
		}
		for _, account := range []string{"0xK1", "0xK2"} {
			want := codes.NotFound
			for _, lent := range accounts {
				if lent == account {
					want = codes.OK
				}
			}
			_, err := v.Sign(t.Context(), &hostservicev1.SignRequest{Account: account})
			wantCode(t, err, want)
		}
		for _, key := range foreign {
			refused := codes.Unavailable
			if key == "plain" {
				refused = codes.InvalidArgument
			}
			_, err := v.Read(t.Context(), &hostservicev1.ReadRequest{Key: key})
			wantCode(t, err, codes.NotFound)
			_, err = v.Put(t.Context(), &hostservicev1.PutRequest{Key: key, ExpectedVersion: 1})
			wantCode(t, err, refused)
			_, err = v.Delete(t.Context(), &hostservicev1.DeleteRequest{Key: key})
			wantCode(t, err, refused)
		}
	}
	check("the shared process", shared, []string{"0xK2"},
		[]string{"plain", "transmit/0xA2/item/1", "transmit/0xA3/item/1"}, all[1:3])
	check("the job's own", own, []string{"0xK1"}, all[1:3], []string{"plain", all[3], all[4]})
	if _, err := own.Put(t.Context(), &hostservicev1.PutRequest{Key: all[1], ExpectedVersion: 1}); err != nil {
		t.Error(err)
	}
	r.Free()
	check("the shared process, afterwards", shared, keys, all, nil)
	check("the job's own, afterwards", own, []string{}, nil, all)
}

// The shared process is replaced if it can hold anything of the account in its memory, and only then.
func TestReserveReplacesWhoeverUsedTheAccount(t *testing.T) {
	t.Parallel()
	s := Sender{Key: "0xK", Account: "0xA"}
	for name, c := range map[string]struct {
		use  func(ctx context.Context, v *View) error
		want int
	}{
		"nothing": {func(context.Context, *View) error { return nil }, 0},
		"it named the accounts": {func(ctx context.Context, v *View) error {
			_, err := v.ListAccounts(ctx, &hostservicev1.ListAccountsRequest{})
			return err
		}, 0},
		"another account": {func(ctx context.Context, v *View) error {
			_, err := v.Put(ctx, &hostservicev1.PutRequest{Key: "transmit/0xB/item"})
			return err
		}, 0},
		"it signed": {func(ctx context.Context, v *View) error {
			_, err := v.Sign(ctx, &hostservicev1.SignRequest{Account: "0xK"})
			return err
		}, 1},
		"it looked for entries": {func(ctx context.Context, v *View) error {
			_, err := v.List(ctx, &hostservicev1.ListRequest{Prefix: "transmit/0xA/"})
			return err
		}, 1},
		"it found an entry": {func(ctx context.Context, v *View) error {
			_, err := v.List(ctx, &hostservicev1.ListRequest{Prefix: "transmit/"})
			return err
		}, 1},
		"it wrote an entry": {func(ctx context.Context, v *View) error {
			_, err := v.Put(ctx, &hostservicev1.PutRequest{Key: "transmit/0xA/item/2"})
			return err
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := NewStore(newDatabase(t).Store(database.Scope{PluginKind: "evm", Chain: "1"}))
			if _, err := store.Put(t.Context(), &hostservicev1.PutRequest{Key: "transmit/0xA/item/1"}); err != nil {
				t.Fatal(err)
			}
			a := NewAccounts()
			shared := a.Shared(anyKey{"0xK"}, store)
			if err := c.use(t.Context(), shared); err != nil {
				t.Fatal(err)
			}
			restarts := 0
			failing := errors.New("it does not start")
			restart := func(context.Context) error {
				restarts++
				if keys := keysOf(t, shared, ""); len(keys) > 0 && strings.HasPrefix(keys[0], "transmit/0xA/") {
					t.Error("the new process would find entries of the account")
				}
				return failing
			}
			_, err := a.Reserve(t.Context(), s, restart)
			if c.want == 0 {
				if err != nil || restarts > 0 {
					t.Errorf("%d restarts, %v", restarts, err)
				}
				return
			}
			if !errors.Is(err, failing) || restarts != 1 {
				t.Fatalf("%d restarts, %v", restarts, err)
			}
			if _, err := shared.Sign(t.Context(), &hostservicev1.SignRequest{Account: "0xK"}); err != nil {
				t.Errorf("a reservation that failed holds: %v", err)
			}
			failing = nil
			r, err := a.Reserve(t.Context(), s, restart)
			if err != nil || restarts != 2 {
				t.Fatalf("%d restarts, %v", restarts, err)
			}
			r.Free()
			if _, err := a.Reserve(t.Context(), s, noRestart); err != nil {
				t.Errorf("the new process has not used the account: %v", err)
			}
		})
	}
}

// slow is a store whose Put takes until it is told to end.
type slow struct {
	hostservicev1.StoreServiceServer
	entered, leave chan struct{}
	order          chan string
}

func (s slow) Put(context.Context, *hostservicev1.PutRequest) (*hostservicev1.PutResponse, error) {
	close(s.entered)
	<-s.leave
	s.order <- "written"
	return &hostservicev1.PutResponse{}, nil
}

// What the shared process was writing is there before the account is another's: none of its writes comes later.
func TestReserveWaitsForCallsUnderWay(t *testing.T) {
	t.Parallel()
	a := NewAccounts()
	store := slow{entered: make(chan struct{}), leave: make(chan struct{}), order: make(chan string, 2)}
	shared := a.Shared(anyKey{"0xK"}, store)
	var calls sync.WaitGroup
	calls.Go(func() {
		if _, err := shared.Put(t.Context(), &hostservicev1.PutRequest{Key: "transmit/0xA/item"}); err != nil {
			t.Error(err)
		}
	})
	<-store.entered
	calls.Go(func() {
		_, err := a.Reserve(t.Context(), Sender{Key: "0xK", Account: "0xA"}, func(context.Context) error { return nil })
		if err != nil {
			t.Error(err)
		}
		store.order <- "reserved"
	})
	for len(store.order) == 0 && a.mu.TryRLock() { // until Reserve waits, or has not
		a.mu.RUnlock()
		runtime.Gosched()
	}
	close(store.leave)
	calls.Wait()
	if first := <-store.order; first != "written" {
		t.Error("the account was another's while the shared process was writing")
	}
}
