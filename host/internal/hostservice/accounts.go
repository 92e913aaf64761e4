package hostservice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

// Sender is an account that sends transactions. Key signs them, and Account is the name under which the chain counts
// them. The two differ where accounts are contracts.
type Sender struct{ Key, Account string }

// Accounts divides the accounts of one chain among the processes of its relayer, so that no two processes use one
// account: they would race for its sequence numbers. All accounts that are not reserved belong to the shared process.
type Accounts struct {
	// mu is held for reading while a call is served. So when the division changes, no earlier call is in progress.
	mu       sync.RWMutex
	reserved []*Reserved

	seen sync.Mutex
	used map[string]struct{} // what the shared process has named or was told of; guarded by seen
}

// Reserved is an account that belongs to one process only.
type Reserved struct {
	accounts *Accounts
	sender   Sender
}

// NewAccounts returns Accounts without reservations. The relayer's spelling names accounts and keys.
func NewAccounts() *Accounts { return &Accounts{used: map[string]struct{}{}} }

// Reserve takes an account away from the shared process. If that process may have work for the account in its memory,
// restart replaces it and returns when the old process is dead; the new one finds nothing of the account. If Reserve
// fails, nothing has changed.
func (a *Accounts) Reserve(ctx context.Context, s Sender, restart func(context.Context) error) (*Reserved, error) {
	r := &Reserved{accounts: a, sender: s}
	a.mu.Lock()
	if slices.ContainsFunc(a.reserved, func(other *Reserved) bool {
		return other.sender.Key == s.Key || other.sender.Account == s.Account
	}) {
		a.mu.Unlock()
		return nil, fmt.Errorf("account %s is another process's", s.Account)
	}
	a.reserved = append(a.reserved, r)
	a.mu.Unlock()
	if !a.knows(s) {
		return r, nil
	}
	if err := restart(ctx); err != nil {
		r.Free()
		return nil, fmt.Errorf("the shared process, which has used account %s, was not replaced: %w", s.Account, err)
	}
	a.forget(s)
	return r, nil
}

// Free gives the account back to the shared process. The process for which it was reserved must have ended.
func (r *Reserved) Free() {
	r.accounts.mu.Lock()
	defer r.accounts.mu.Unlock()
	r.accounts.reserved = slices.DeleteFunc(r.accounts.reserved, func(other *Reserved) bool { return other == r })
}

// Shared returns what the shared process sees of the chain's keys and entries: everything that is not reserved.
func (a *Accounts) Shared(keys hostservicev1.KeystoreServiceServer, store hostservicev1.StoreServiceServer) *View {
	free := func(name string, of func(Sender) string) bool {
		return !slices.ContainsFunc(a.reserved, func(r *Reserved) bool { return of(r.sender) == name })
	}
	return &View{
		accounts: a, keys: keys, store: store, note: a.note,
		signs: func(key string) bool { return free(key, func(s Sender) string { return s.Key }) },
		holds: func(account string) bool {
			return account == "" || free(account, func(s Sender) string { return s.Account })
		},
	}
}

// View returns what the process sees that has the account: the account and its entries, until it is freed.
func (r *Reserved) View(keys hostservicev1.KeystoreServiceServer, store hostservicev1.StoreServiceServer) *View {
	a := r.accounts
	own := func(name, mine string) bool {
		return slices.Contains(a.reserved, r) && name != "" && name == mine
	}
	return &View{
		accounts: a, keys: keys, store: store, note: func(string) {},
		signs: func(key string) bool { return own(key, r.sender.Key) },
		holds: func(account string) bool { return own(account, r.sender.Account) },
	}
}

func (a *Accounts) note(account string) {
	a.seen.Lock()
	defer a.seen.Unlock()
	a.used[account] = struct{}{}
}

func (a *Accounts) knows(s Sender) bool {
	a.seen.Lock()
	defer a.seen.Unlock()
	_, key := a.used[s.Key]
	_, account := a.used[s.Account]
	return key || account
}

func (a *Accounts) forget(s Sender) {
	a.seen.Lock()
	defer a.seen.Unlock()
	delete(a.used, s.Key)
	delete(a.used, s.Account)
}

// View is one process's part of a chain's keys and entries. The process cannot sign with other accounts, nor read or
// write their entries.
type View struct {
	accounts *Accounts
	keys     hostservicev1.KeystoreServiceServer
	store    hostservicev1.StoreServiceServer
	note     func(account string)
	// signs and holds are asked with accounts.mu held.
	signs func(key string) bool
	holds func(account string) bool
}

var (
	_ hostservicev1.KeystoreServiceServer = (*View)(nil)
	_ hostservicev1.StoreServiceServer    = (*View)(nil)
)

// AccountOf returns the account that an entry belongs to, according to its key: the text between the first two slashes.
// The contract requires relayers to write keys in this form.
func AccountOf(key string) string {
	_, rest, _ := strings.Cut(key, "/")
	account, _, found := strings.Cut(rest, "/")
	if !found {
		return ""
	}
	return account
}

// ListAccounts implements hostservicev1.KeystoreServiceServer.
func (v *View) ListAccounts(ctx context.Context,
	request *hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	v.accounts.mu.RLock()
	defer v.accounts.mu.RUnlock()
	all, err := v.keys.ListAccounts(ctx, request)
	if err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(slices.Clone(all.GetAccounts()), func(key string) bool { return !v.signs(key) })
	return &hostservicev1.ListAccountsResponse{Accounts: own}, nil
}

// Sign implements hostservicev1.KeystoreServiceServer.
func (v *View) Sign(ctx context.Context, request *hostservicev1.SignRequest) (*hostservicev1.SignResponse, error) {
	v.accounts.mu.RLock()
	defer v.accounts.mu.RUnlock()
	if !v.signs(request.GetAccount()) {
		return nil, status.Errorf(codes.NotFound,
			"no account %.128q is lent to this plugin; ListAccounts names those that are", request.GetAccount())
	}
	v.note(request.GetAccount())
	return v.keys.Sign(ctx, request)
}

// Read implements hostservicev1.StoreServiceServer.
func (v *View) Read(ctx context.Context, request *hostservicev1.ReadRequest) (*hostservicev1.ReadResponse, error) {
	v.accounts.mu.RLock()
	defer v.accounts.mu.RUnlock()
	if !v.enter(request.GetKey()) {
		return nil, status.Errorf(codes.NotFound, "key %.64q is not this process's", request.GetKey())
	}
	return v.store.Read(ctx, request)
}

// Put implements hostservicev1.StoreServiceServer.
func (v *View) Put(ctx context.Context, request *hostservicev1.PutRequest) (*hostservicev1.PutResponse, error) {
	v.accounts.mu.RLock()
	defer v.accounts.mu.RUnlock()
	if !v.enter(request.GetKey()) {
		return nil, v.refused(request.GetKey())
	}
	return v.store.Put(ctx, request)
}

// Delete implements hostservicev1.StoreServiceServer.
func (v *View) Delete(ctx context.Context,
	request *hostservicev1.DeleteRequest) (*hostservicev1.DeleteResponse, error) {
	v.accounts.mu.RLock()
	defer v.accounts.mu.RUnlock()
	if !v.enter(request.GetKey()) {
		return nil, v.refused(request.GetKey())
	}
	return v.store.Delete(ctx, request)
}

// List implements hostservicev1.StoreServiceServer. A page has fewer entries than asked for if entries of others were
// among them.
func (v *View) List(ctx context.Context, request *hostservicev1.ListRequest) (*hostservicev1.ListResponse, error) {
	v.accounts.mu.RLock()
	defer v.accounts.mu.RUnlock()
	v.enter(request.GetPrefix())
	page, err := v.store.List(ctx, request)
	if err != nil {
		return nil, err
	}
	own := &hostservicev1.ListResponse{NextPageToken: page.GetNextPageToken()}
	for _, entry := range page.GetEntries() {
		if v.enter(entry.GetKey()) {
			own.Entries = append(own.Entries, entry)
		}
	}
	return own, nil
}

// enter notes the account of a named entry, and reports whether it is this process's.
func (v *View) enter(key string) bool {
	account := AccountOf(key)
	if !v.holds(account) {
		return false
	}
	if account != "" {
		v.note(account)
	}
	return true
}

func (v *View) refused(key string) error {
	if AccountOf(key) == "" {
		return status.Errorf(codes.InvalidArgument,
			"key: %.64q names no account between its first two slashes, and a process that has one account alone keeps "+
				"nothing else", key)
	}
	return status.Errorf(codes.Unavailable, "account %.128q is another process's now", AccountOf(key))
}
