package loan

import (
	"context"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	telemetryv1 "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// script replaces answers.
type script struct {
	mu   sync.Mutex
	next func() (any, error)
}

// Script makes next answer every call; nil ends that.
func (s *script) Script(next func() (any, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
}

func (s *script) scripted() func() (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// Source is a data source.
type Source struct {
	Hold
	script
	value *big.Int
}

// NewSource returns a source of one value.
func NewSource(value *big.Int) *Source { return &Source{Hold: newHold(), value: value} }

// Answer implements Object.
func (s *Source) Answer(ctx context.Context, _ string, _ proto.Message) (any, error) {
	if err := s.pass(ctx); err != nil {
		return nil, err
	}
	if next := s.scripted(); next != nil {
		return next()
	}
	return &hostservicev1.ObserveResponse{Value: wire.BigInt(s.value)}, nil
}

// Sink takes errors and telemetry.
type Sink struct{}

// Answer implements Object.
func (Sink) Answer(_ context.Context, method string, request proto.Message) (any, error) {
	if method == "SendTelemetry" {
		return &telemetryv1.SendTelemetryResponse{
			Accepted: uint32(len(request.(*telemetryv1.SendTelemetryRequest).GetEntries()))}, nil
	}
	return &hostservicev1.RecordErrorResponse{}, nil
}

// Keystore lends accounts. Its signatures have the right length for EVM and no meaning.
type Keystore struct {
	Accounts []string
	// Asked receives signing requests as long as it has room.
	Asked chan *hostservicev1.SignRequest

	mu    sync.Mutex
	signs int
}

// NewKeystore returns a keystore that lends accounts.
func NewKeystore(accounts ...string) *Keystore {
	return &Keystore{Accounts: accounts, Asked: make(chan *hostservicev1.SignRequest, 16)}
}

// Signs counts the signatures given.
func (k *Keystore) Signs() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signs
}

// Answer implements Object.
func (k *Keystore) Answer(_ context.Context, _ string, request proto.Message) (any, error) {
	r, ok := request.(*hostservicev1.SignRequest)
	if !ok {
		return &hostservicev1.ListAccountsResponse{Accounts: k.Accounts}, nil
	}
	if !slices.Contains(k.Accounts, r.GetAccount()) {
		return nil, status.Errorf(codes.NotFound, "the account %s is not lent", r.GetAccount())
	}
	select {
	case k.Asked <- r:
	default: // the first ones are enough
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signs++
	return &hostservicev1.SignResponse{Signature: make([]byte, 65)}, nil
}

// Store keeps values in memory. Hold affects only writes.
type Store struct {
	Hold
	script

	mu      sync.Mutex
	entries map[string]*hostservicev1.Entry
	writes  []string
}

// NewStore returns an empty store.
func NewStore() *Store { return &Store{Hold: newHold(), entries: map[string]*hostservicev1.Entry{}} }

// Writes returns the requested writes, such as "Put transmit/1".
func (s *Store) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// Keys returns the keys held, in order.
func (s *Store) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.entries))
}

// Answer implements Object.
func (s *Store) Answer(ctx context.Context, method string, request proto.Message) (any, error) {
	if method == "Put" || method == "Delete" {
		if err := s.pass(ctx); err != nil {
			return nil, err
		}
		if next := s.scripted(); next != nil {
			return next()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r := request.(type) {
	case *hostservicev1.ReadRequest:
		e := s.entries[r.GetKey()]
		if e == nil {
			return nil, status.Errorf(codes.NotFound, "there is no key %q", r.GetKey())
		}
		return &hostservicev1.ReadResponse{Entry: proto.CloneOf(e)}, nil
	case *hostservicev1.PutRequest:
		s.writes = append(s.writes, "Put "+r.GetKey())
		version := s.entries[r.GetKey()].GetVersion()
		if version != r.GetExpectedVersion() {
			return nil, status.Errorf(codes.Aborted, "version %d is stored, not %d", version, r.GetExpectedVersion())
		}
		s.entries[r.GetKey()] = &hostservicev1.Entry{Key: r.GetKey(), Value: slices.Clone(r.GetValue()), Version: version + 1}
		return &hostservicev1.PutResponse{Version: version + 1}, nil
	case *hostservicev1.DeleteRequest:
		s.writes = append(s.writes, "Delete "+r.GetKey())
		if e := s.entries[r.GetKey()]; e != nil && r.GetExpectedVersion() != 0 && e.GetVersion() != r.GetExpectedVersion() {
			return nil, status.Errorf(codes.Aborted, "version %d is stored, not %d", e.GetVersion(), r.GetExpectedVersion())
		}
		delete(s.entries, r.GetKey())
		return &hostservicev1.DeleteResponse{}, nil
	case *hostservicev1.ListRequest:
		return s.listLocked(r), nil
	}
	return nil, status.Errorf(codes.Unimplemented, "the store has no %s", method)
}

// listLocked answers pages of two, so that paging is tried. Its tokens are keys.
func (s *Store) listLocked(r *hostservicev1.ListRequest) *hostservicev1.ListResponse {
	var keys []string
	for k := range s.entries {
		if strings.HasPrefix(k, r.GetPrefix()) && k > r.GetPageToken() {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	page := &hostservicev1.ListResponse{}
	for i, k := range keys {
		if i == 2 {
			page.NextPageToken = keys[1]
			break
		}
		page.Entries = append(page.Entries, proto.CloneOf(s.entries[k]))
	}
	return page
}
