package hostservice

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/host/internal/database"
)

func TestStoreKeepsVersions(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := NewStore(d.Store(database.Scope{PluginKind: "evm", Chain: "1"}))
	other := NewStore(d.Store(database.Scope{PluginKind: "evm", Chain: "2"}))
	ctx := t.Context()
	put := func(value string, expected uint64) (uint64, error) {
		r, err := s.Put(ctx, &hostservicev1.PutRequest{Key: "k", Value: []byte(value), ExpectedVersion: expected})
		return r.GetVersion(), err
	}
	_, err := s.Read(ctx, &hostservicev1.ReadRequest{Key: "k"})
	wantCode(t, err, codes.NotFound)
	if v, err := put("a", 0); err != nil || v != 1 {
		t.Errorf("version %d, error %v", v, err)
	}
	_, err = put("b", 0)
	wantCode(t, err, codes.Aborted)
	if v, err := put("b", 1); err != nil || v != 2 {
		t.Errorf("version %d, error %v", v, err)
	}
	r, err := s.Read(ctx, &hostservicev1.ReadRequest{Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&hostservicev1.Entry{Key: "k", Value: []byte("b"), Version: 2}, r.GetEntry(),
		protocmp.Transform()); d != "" {
		t.Errorf("entry (-want +got):\n%s", d)
	}
	_, err = other.Read(ctx, &hostservicev1.ReadRequest{Key: "k"})
	wantCode(t, err, codes.NotFound)
	_, err = s.Delete(ctx, &hostservicev1.DeleteRequest{Key: "k", ExpectedVersion: 1})
	wantCode(t, err, codes.Aborted)
	for range 2 { // a repeat is not an error
		if _, err = s.Delete(ctx, &hostservicev1.DeleteRequest{Key: "k"}); err != nil {
			t.Error(err)
		}
	}
	_, err = s.Put(ctx, &hostservicev1.PutRequest{Key: strings.Repeat("k", database.MaxKeyLength+1)})
	wantCode(t, err, codes.InvalidArgument)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = s.Read(ended, &hostservicev1.ReadRequest{Key: "k"})
	wantCode(t, err, codes.Canceled)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Read(ctx, &hostservicev1.ReadRequest{Key: "k"})
	wantCode(t, err, codes.Unavailable)
}

func TestStorePagesThroughEverything(t *testing.T) {
	t.Parallel()
	s := NewStore(newDatabase(t).Store(database.Scope{PluginKind: "evm", Chain: "1"}))
	var want []string
	for i := range 7 {
		key := fmt.Sprintf("tx/%d", i)
		want = append(want, key)
		if _, err := s.Put(t.Context(), &hostservicev1.PutRequest{Key: key, Value: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Put(t.Context(), &hostservicev1.PutRequest{Key: "other"}); err != nil {
		t.Fatal(err)
	}
	var got, tokens []string
	for token := ""; ; {
		r, err := s.List(t.Context(), &hostservicev1.ListRequest{Prefix: "tx/", PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.GetEntries() {
			got = append(got, e.GetKey())
		}
		if token = r.GetNextPageToken(); token == "" {
			break
		}
		tokens = append(tokens, token)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	if len(tokens) != 2 {
		t.Fatalf("%d tokens; want 2", len(tokens))
	}
	for name, request := range map[string]*hostservicev1.ListRequest{
		"a key is not a token": {PageToken: "tx/1"},
		"another prefix's":     {Prefix: "tx", PageToken: tokens[0]},
		"one that was cut":     {Prefix: "tx/", PageToken: tokens[0][:len(tokens[0])-1]},
		"one that was changed": {Prefix: "tx/", PageToken: "B" + tokens[0][1:]},
		"a sum without a key":  {Prefix: "tx/", PageToken: base64.RawURLEncoding.EncodeToString(make([]byte, sumLength))},
		"other bytes":          {Prefix: "tx/", PageToken: base64.RawURLEncoding.EncodeToString(make([]byte, 40))},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.List(t.Context(), request)
			wantCode(t, err, codes.InvalidArgument)
		})
	}
	longest := toToken("p", strings.Repeat("k", database.MaxKeyLength))
	if len(longest) > 1024 {
		t.Errorf("the longest token has %d bytes; the contract allows 1024", len(longest))
	}
}

func TestStoreThatIsFull(t *testing.T) {
	t.Parallel()
	wantCode(t, storeError(fmt.Errorf("put key: %w", database.ErrFull)), codes.ResourceExhausted)
}
