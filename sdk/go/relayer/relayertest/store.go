package relayertest

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Store is a fake of the host's StoreService in memory. It follows store.proto in versions, order and paging, so that
// code that works with it works with the host's.
type Store struct {
	// Before, if set, is called with the method's name before each call takes effect. An error becomes the call's
	// answer.
	Before func(method string) error
	// After, if set, is called after the effect. An error becomes the answer of a call that took effect.
	After func(method string) error

	mu      sync.Mutex
	entries map[string]*hostservicev1.Entry
}

var _ hostservicev1.StoreServiceClient = (*Store)(nil)

// Keys returns the keys held, in order.
func (s *Store) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.entries))
}

// Corrupt stores a value under a key without any checks and hooks.
func (s *Store) Corrupt(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = map[string]*hostservicev1.Entry{}
	}
	s.entries[key] = &hostservicev1.Entry{Key: key, Value: value, Version: 1}
}

// call runs an effect between the hooks.
func (s *Store) call(ctx context.Context, method string, effect func() error) error {
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	if s.Before != nil {
		if err := s.Before(method); err != nil {
			return err
		}
	}
	s.mu.Lock()
	if s.entries == nil {
		s.entries = map[string]*hostservicev1.Entry{}
	}
	err := effect()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if s.After != nil {
		return s.After(method)
	}
	return nil
}

// Read implements StoreServiceClient.
func (s *Store) Read(ctx context.Context, in *hostservicev1.ReadRequest,
	_ ...grpc.CallOption) (*hostservicev1.ReadResponse, error) {
	var out *hostservicev1.ReadResponse
	err := s.call(ctx, "Read", func() error {
		e, ok := s.entries[in.GetKey()]
		if !ok {
			return status.Errorf(codes.NotFound, "no key %q", in.GetKey())
		}
		out = &hostservicev1.ReadResponse{Entry: proto.CloneOf(e)}
		return nil
	})
	return out, err
}

// Put implements StoreServiceClient.
func (s *Store) Put(ctx context.Context, in *hostservicev1.PutRequest,
	_ ...grpc.CallOption) (*hostservicev1.PutResponse, error) {
	var out *hostservicev1.PutResponse
	err := s.call(ctx, "Put", func() error {
		if len(in.GetKey()) == 0 || len(in.GetKey()) > 512 || len(in.GetValue()) > 64<<10 {
			return status.Errorf(codes.InvalidArgument, "key of %d and value of %d bytes", len(in.GetKey()), len(in.GetValue()))
		}
		if version := s.entries[in.GetKey()].GetVersion(); version != in.GetExpectedVersion() {
			return status.Errorf(codes.Aborted, "version %d of %q is stored, not %d", version, in.GetKey(),
				in.GetExpectedVersion())
		}
		version := in.GetExpectedVersion() + 1
		s.entries[in.GetKey()] = &hostservicev1.Entry{Key: in.GetKey(), Value: slices.Clone(in.GetValue()), Version: version}
		out = &hostservicev1.PutResponse{Version: version}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Delete implements StoreServiceClient.
func (s *Store) Delete(ctx context.Context, in *hostservicev1.DeleteRequest,
	_ ...grpc.CallOption) (*hostservicev1.DeleteResponse, error) {
	err := s.call(ctx, "Delete", func() error {
		e, ok := s.entries[in.GetKey()]
		if ok && in.GetExpectedVersion() != 0 && e.GetVersion() != in.GetExpectedVersion() {
			return status.Errorf(codes.Aborted, "version %d of %q is stored, not %d", e.GetVersion(), in.GetKey(),
				in.GetExpectedVersion())
		}
		delete(s.entries, in.GetKey())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &hostservicev1.DeleteResponse{}, nil
}

// List implements StoreServiceClient. Its pages are small, so that tests cover paging.
func (s *Store) List(ctx context.Context, in *hostservicev1.ListRequest,
	_ ...grpc.CallOption) (*hostservicev1.ListResponse, error) {
	out := &hostservicev1.ListResponse{}
	err := s.call(ctx, "List", func() error {
		after, err := hex.DecodeString(in.GetPageToken())
		if err != nil {
			return status.Error(codes.InvalidArgument, "page token of another list")
		}
		const page = 3
		for _, key := range slices.Sorted(maps.Keys(s.entries)) {
			if !strings.HasPrefix(key, in.GetPrefix()) || len(after) > 0 && key <= string(after) {
				continue
			}
			if len(out.Entries) == page {
				out.NextPageToken = hex.EncodeToString([]byte(out.Entries[page-1].GetKey()))
				break
			}
			out.Entries = append(out.Entries, proto.CloneOf(s.entries[key]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
