package hostservice

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/host/internal/database"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

var _ hostservicev1.StoreServiceServer = (*Store)(nil)

// Store serves the entries of one scope, and no others: the scope is part of the Store, not of a request.
type Store struct{ entries *database.Store }

// NewStore returns a Store of entries.
func NewStore(entries *database.Store) *Store { return &Store{entries: entries} }

// Read implements hostservicev1.StoreServiceServer.
func (s *Store) Read(ctx context.Context, request *hostservicev1.ReadRequest) (*hostservicev1.ReadResponse, error) {
	entry, err := s.entries.Get(ctx, request.GetKey())
	if err != nil {
		return nil, storeError(err)
	}
	return &hostservicev1.ReadResponse{Entry: entryOf(entry)}, nil
}

// Put implements hostservicev1.StoreServiceServer.
func (s *Store) Put(ctx context.Context, request *hostservicev1.PutRequest) (*hostservicev1.PutResponse, error) {
	version, err := s.entries.Put(ctx, request.GetKey(), request.GetValue(), request.GetExpectedVersion())
	if err != nil {
		return nil, storeError(err)
	}
	return &hostservicev1.PutResponse{Version: version}, nil
}

// Delete implements hostservicev1.StoreServiceServer.
func (s *Store) Delete(ctx context.Context,
	request *hostservicev1.DeleteRequest) (*hostservicev1.DeleteResponse, error) {
	if err := s.entries.Delete(ctx, request.GetKey(), request.GetExpectedVersion()); err != nil {
		return nil, storeError(err)
	}
	return &hostservicev1.DeleteResponse{}, nil
}

// List implements hostservicev1.StoreServiceServer.
func (s *Store) List(ctx context.Context, request *hostservicev1.ListRequest) (*hostservicev1.ListResponse, error) {
	after, ok := fromToken(request.GetPrefix(), request.GetPageToken())
	if !ok {
		return nil, status.Error(codes.InvalidArgument,
			"page_token: is not one that List gave for this prefix; begin again without a token")
	}
	entries, more, err := s.entries.List(ctx, request.GetPrefix(), after, int(request.GetPageSize()))
	if err != nil {
		return nil, storeError(err)
	}
	response := &hostservicev1.ListResponse{Entries: make([]*hostservicev1.Entry, len(entries))}
	for i, entry := range entries {
		response.Entries[i] = entryOf(entry)
	}
	if more {
		response.NextPageToken = toToken(request.GetPrefix(), entries[len(entries)-1].Key)
	}
	return response, nil
}

func entryOf(entry database.Entry) *hostservicev1.Entry {
	return &hostservicev1.Entry{Key: entry.Key, Value: entry.Value, Version: entry.Version}
}

func storeError(err error) error {
	var version *database.VersionError
	switch {
	case errors.Is(err, database.ErrNotFound):
		return status.Errorf(codes.NotFound, "%v", err)
	case errors.As(err, &version):
		return status.Errorf(codes.Aborted, "%v", err)
	case errors.Is(err, database.ErrFull):
		return status.Errorf(codes.ResourceExhausted, "%v", err)
	case errors.Is(err, database.ErrInvalid):
		return status.Errorf(codes.InvalidArgument, "%v", err)
	default:
		return unavailable(err)
	}
}

// sumLength is the length of the checksum by which a token is recognised. It guards only against mistakes: a plugin may
// list everything in its scope.
const sumLength = 8

func tokenSum(prefix, key string) []byte {
	hash := sha256.New()
	for _, part := range []string{"loop store page", prefix, key} {
		length := len(part)
		hash.Write([]byte{byte(length >> 8), byte(length)})
		hash.Write([]byte(part))
	}
	return hash.Sum(nil)[:sumLength]
}

// toToken names the page after a key. It stays valid across restarts of the host, unlike a token for a state of the
// store.
func toToken(prefix, key string) string {
	return base64.RawURLEncoding.EncodeToString(append(tokenSum(prefix, key), key...))
}

func fromToken(prefix, token string) (key string, ok bool) {
	if token == "" {
		return "", true
	}
	content, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(content) <= sumLength {
		return "", false
	}
	key = string(content[sumLength:])
	return key, string(tokenSum(prefix, key)) == string(content[:sumLength])
}
