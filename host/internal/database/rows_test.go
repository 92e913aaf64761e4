package database

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestJobs(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()

	before := time.Now()
	a, b := testJob(t, d, "a"), testJob(t, d, "b")
	if a.ID != 1 || b.ID != 2 {
		t.Errorf("ids %d and %d", a.ID, b.ID)
	}
	if a.CreatedAt.Before(before) || a.CreatedAt.After(time.Now()) || a.CreatedAt.Location() != time.UTC {
		t.Errorf("created at %v", a.CreatedAt)
	}
	got, err := d.Job(ctx, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, got); diff != "" {
		t.Error(diff)
	}

	_, err = d.AddJob(ctx, Job{ExternalID: "a", Spec: "other"})
	wantError(t, err, ErrExists, `"a"`)
	_, err = d.AddJob(ctx, Job{Name: "nameless"})
	wantError(t, err, ErrInvalid, "external id is empty")

	// The newest job's id must not come back: its oracle may still be closing.
	if err := d.RemoveJob(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	wantError(t, d.RemoveJob(ctx, b.ID), ErrNotFound, "remove job 2")
	_, err = d.Job(ctx, b.ID)
	wantError(t, err, ErrNotFound, "read job 2")
	c := testJob(t, d, "b")
	if c.ID <= b.ID {
		t.Errorf("id %d came back as %d", b.ID, c.ID)
	}
	jobs, err := d.Jobs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Job{a, c}, jobs); diff != "" {
		t.Error(diff)
	}
}

func TestJobKeepsItsText(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	spec := "name = \"ETH / USD ✓\"\r\nobservationSource = '''\n\tds [type=http]\n'''\n" + strings.Repeat("#", 1<<20)
	job, err := d.AddJob(t.Context(), Job{ExternalID: "a", Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Job(t.Context(), job.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Spec != spec {
		t.Error("the spec came back changed")
	}
}

func TestJobsAddedTogetherGetDifferentIDs(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	const n = 20
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		group.Go(func() {
			_, errs[i] = d.AddJob(t.Context(), Job{ExternalID: fmt.Sprint(i % (n / 2))})
		})
	}
	group.Wait()
	jobs, err := d.Jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(jobs) != n/2 {
		t.Errorf("%d jobs", len(jobs))
	}
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) != n/2 {
		t.Errorf("%d errors", len(failed))
	}
	for _, err := range failed {
		wantError(t, err, ErrExists)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	a := Key{Kind: "evm", ID: "0xAb", Relay: "evm", Public: []byte(`{"address":"0xAb"}`), Sealed: []byte{0, 1, 0xff}}
	b := Key{Kind: "p2p", ID: "0xAb", Public: []byte{}, Sealed: []byte{}}
	if err := d.AddKeys(ctx, a, b); err != nil {
		t.Fatal(err)
	}
	ignoreTime := cmpopts.IgnoreFields(Key{}, "CreatedAt")

	// All or none.
	err := d.AddKeys(ctx, Key{Kind: "evm", ID: "new"}, Key{Kind: "p2p", ID: "0xAb"})
	wantError(t, err, ErrExists, `p2p key "0xAb"`)

	keys, err := d.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Key{a, b}, keys, ignoreTime); diff != "" {
		t.Error(diff)
	}
	if since := time.Since(keys[0].CreatedAt); since < 0 || since > time.Minute {
		t.Errorf("created at %v", keys[0].CreatedAt)
	}
}

func TestBridges(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	b, err := d.AddBridge(ctx, Bridge{Name: "Bridge-B_1", URL: "https://b.example/path?token=x"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.AddBridge(ctx, Bridge{Name: "a", URL: "http://localhost:8080"})
	if err != nil {
		t.Fatal(err)
	}
	if b.Name != "bridge-b_1" {
		t.Errorf("name %q", b.Name)
	}
	bridges, err := d.Bridges(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Bridge{a, b}, bridges); diff != "" {
		t.Error(diff)
	}
	got, err := d.Bridge(ctx, "BRIDGE-B_1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, got); diff != "" {
		t.Error(diff)
	}
	_, err = d.AddBridge(ctx, Bridge{Name: "A", URL: "http://other"})
	wantError(t, err, ErrExists, `"a"`)
	if err := d.RemoveBridge(ctx, "A"); err != nil {
		t.Fatal(err)
	}
	wantError(t, d.RemoveBridge(ctx, "A"), ErrNotFound)
	_, err = d.Bridge(ctx, "a")
	wantError(t, err, ErrNotFound)
}

func TestAddBridgeRefuses(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	tests := map[string]struct {
		bridge Bridge
		part   string
	}{
		"no name":     {Bridge{URL: "http://a"}, "name"},
		"a space":     {Bridge{Name: "a b", URL: "http://a"}, "name"},
		"too long":    {Bridge{Name: strings.Repeat("a", 101), URL: "http://a"}, "name"},
		"a line":      {Bridge{Name: "a\n", URL: "http://a"}, "name"},
		"no url":      {Bridge{Name: "a"}, "url"},
		"no host":     {Bridge{Name: "a", URL: "http:///secret"}, "url"},
		"no scheme":   {Bridge{Name: "a", URL: "secret.example"}, "url"},
		"other":       {Bridge{Name: "a", URL: "ftp://secret"}, "url"},
		"unparseable": {Bridge{Name: "a", URL: "http://secret\x7f"}, "url"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := d.AddBridge(t.Context(), test.bridge)
			wantError(t, err, ErrInvalid, test.part)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats the url: %v", err)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	d := testOpen(t, path)
	added, err := d.AddToken(t.Context(), Token{Name: "Grafana-1", Role: "view"}, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddToken(t.Context(), Token{Name: "a", Role: "admin"}, []byte("two")); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]Token{"no name": {}, "a blank": {Name: "a b"},
		"a long one": {Name: strings.Repeat("x", 65)}} {
		if _, err := d.AddToken(t.Context(), token, []byte("three")); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = d.AddToken(t.Context(), Token{Name: "a", Role: "view"}, []byte("three"))
	wantError(t, err, ErrExists)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = testOpen(t, path)
	got, err := d.Token(t.Context(), []byte("one"))
	if err != nil || got != added {
		t.Errorf("got %v, %v, want %v", got, err, added)
	}
	_, err = d.Token(t.Context(), []byte("three"))
	wantError(t, err, ErrNotFound)
	if err := d.RemoveToken(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantError(t, d.RemoveToken(t.Context(), "a"), ErrNotFound)
	_, err = d.Token(t.Context(), []byte("two"))
	wantError(t, err, ErrNotFound)
	all, err := d.Tokens(t.Context())
	if err != nil || len(all) != 1 || all[0] != added {
		t.Errorf("there are %v, %v", all, err)
	}
}
