package signing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is a guard with all that it tells.
type room struct {
	database  *database.Database
	contracts *Contracts
	transfers *Transfers
	record    *Record
	metrics   *prometheus.Registry
	log       *bytes.Buffer
}

func newRoom(t *testing.T) *room {
	t.Helper()
	r := &room{metrics: prometheus.NewPedanticRegistry(), transfers: NewTransfers(), log: &bytes.Buffer{}}
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	path := filepath.Join(t.TempDir(), "db")
	if r.database, err = database.Open(t.Context(), database.Settings{Path: path, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.database.Close() })
	if r.contracts, err = NewContracts(t.Context(), r.database); err != nil {
		t.Fatal(err)
	}
	if r.record, err = NewRecord(t.Context(), r.database, r.metrics, logger); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.record.Close)
	return r
}

// ofJobs is a check that lets through what names the contract of a job.
func ofJobs(r signing.Request, f signing.Facts) (signing.Verdict, error) {
	for _, c := range f.Contracts {
		if string(r.Transaction) == c.ID {
			return signing.Verdict{Kind: signing.Transmission, Job: c.Job, To: c.ID, Slot: "1"}, nil
		}
	}
	return signing.Verdict{}, errors.New("it is for no contract")
}

func request(transaction string) *hostservicev1.SignRequest {
	return &hostservicev1.SignRequest{Account: "me", Data: []byte{1}, Transaction: []byte(transaction)}
}

func (r *room) list(t *testing.T, f database.SignatureFilter) []database.Signature {
	t.Helper()
	all, err := r.record.List(t.Context(), f, 10)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGuard(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	g := NewGuard(Settings{Plugin: "acme", Relay: "acme", Chain: "7", Check: ofJobs}, r.contracts, r.transfers, r.record)
	if err := g.Judge(t.Context(), request("feed")); status.Code(err) != codes.PermissionDenied ||
		!strings.Contains(err.Error(), "it is for no contract") {
		t.Errorf("before the job: %v", err)
	}
	r.contracts.Add("acme", "8", signing.Contract{Job: 2, ID: "feed"}) // on another chain
	if err := g.Judge(t.Context(), request("feed")); status.Code(err) != codes.PermissionDenied {
		t.Errorf("of another chain's job: %v", err)
	}
	r.contracts.Add("acme", "7", signing.Contract{Job: 3, ID: "feed"})
	if err := g.Judge(t.Context(), request("feed")); err != nil {
		t.Errorf("of the job: %v", err)
	}
	want := []database.Signature{
		{ID: 3, Plugin: "acme", Relay: "acme", Chain: "7", Account: "me", JobID: 3, What: "transmission to feed, 1"},
		{ID: 2, Plugin: "acme", Relay: "acme", Chain: "7", Account: "me", Refused: "it is for no contract"},
		{ID: 1, Plugin: "acme", Relay: "acme", Chain: "7", Account: "me", Refused: "it is for no contract"},
	}
	untimed := cmpopts.IgnoreFields(database.Signature{}, "At")
	if diff := cmp.Diff(want, r.list(t, database.SignatureFilter{}), untimed); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[2:], r.list(t, database.SignatureFilter{Refused: true, Before: 2}), untimed); diff != "" {
		t.Errorf("the refused before the second (-want +got):\n%s", diff)
	}
	if all := r.list(t, database.SignatureFilter{Account: "you"}); len(all) != 0 {
		t.Errorf("of another account: %+v", all)
	}
	if err := testutil.CollectAndCompare(r.record.metric, strings.NewReader(`
# HELP loop_signatures_total Transactions that relayers asked to have signed, by outcome: checked or unchecked, which were signed, or refused by the check, or by the rate.
# TYPE loop_signatures_total counter
loop_signatures_total{chain_id="7",outcome="checked",relay="acme"} 1
loop_signatures_total{chain_id="7",outcome="refused",relay="acme"} 2
`)); err != nil {
		t.Error(err)
	}
	for _, line := range []string{
		`level=DEBUG msg=audit audit.who.plugin=acme audit.who.relay=acme audit.who.chain=7 audit.who.job=3 audit.method=Sign ` +
			`audit.object="account me" audit.outcome="done: transmission to feed, 1"`,
		`level=WARN msg=audit audit.who.plugin=acme audit.who.relay=acme audit.who.chain=7 audit.who.job=0 audit.method=Sign ` +
			`audit.object="account me" audit.outcome="refused: it is for no contract"`,
	} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log lacks %s:\n%s", line, r.log)
		}
	}
}

// A relayer's accepted reports outlast its job, and the node that it ran on; not for ever.
func TestContractsOfRemovedJobs(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	key, now := chainKey{"acme", "7"}, time.Now()
	contract := signing.Contract{Job: 3, ID: "feed", Transmitter: "me", RelayConfigJSON: []byte(`{"a":1}`), GasLimit: 5}
	r.contracts.Add("acme", "7", contract)
	if err := r.contracts.Remove(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	again, err := NewContracts(t.Context(), r.database)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Contracts{"the same node": r.contracts, "a node that starts again": again} {
		if diff := cmp.Diff([]signing.Contract{contract}, c.of(key, now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if all := c.of(key, now.Add(lastingAfterRemoval+time.Minute)); len(all) != 0 {
			t.Errorf("%s, a day later: %+v", name, all)
		}
	}
}

// TestRate checks what relayers without a check may have signed: so many a minute of each account, and each is in the
// record.
func TestRate(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard(Settings{Plugin: "acme", Relay: "acme", Chain: "7", PerMinute: 60}, r.contracts, r.transfers, r.record)
		signed := func(account string) (n int) {
			for {
				err := g.Judge(context.Background(), &hostservicev1.SignRequest{Account: account, Data: []byte{1}})
				if err != nil {
					if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "SignaturesPerMinute") {
						t.Errorf("refused by %v", err)
					}
					return n
				}
				n++
			}
		}
		if n := signed("me"); n != 6 {
			t.Errorf("%d at once, want a tenth of a minute's 60", n)
		}
		if n := signed("you"); n != 6 {
			t.Errorf("%d of another account", n)
		}
		time.Sleep(3 * time.Second)
		if n := signed("me"); n != 3 {
			t.Errorf("%d after 3 s, want 3", n)
		}
	})
	all := r.list(t, database.SignatureFilter{Account: "me"})
	if len(all) != 10 || all[0].Refused == "" || all[1].What != "not checked" {
		t.Errorf("the record has %+v", all)
	}
}

func TestRatesByDefault(t *testing.T) {
	t.Parallel()
	for want, s := range map[uint32]Settings{
		PerMinute: {}, CheckedPerMinute: {Check: ofJobs}, 7: {PerMinute: 7}, 8: {PerMinute: 8, Check: ofJobs},
	} {
		if got := NewGuard(s, nil, nil, nil).settings.PerMinute; got != want {
			t.Errorf("%d a minute, want %d", got, want)
		}
	}
}

// A relayer that floods the node with what it refuses fills neither the log nor the record.
func TestFloodOfRefusals(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for range 3 * mostRefusals {
		r.record.put(t.Context(), database.Signature{At: time.Now(), Account: "me", Refused: "no"}, outcomeRefused)
	}
	if n := strings.Count(r.log.String(), "msg=audit"); n != mostRefusals {
		t.Errorf("%d lines, want %d", n, mostRefusals)
	}
	all, err := r.record.List(t.Context(), database.SignatureFilter{}, 10*mostRefusals)
	if err != nil || len(all) != mostRefusals {
		t.Errorf("%d in the record: %v", len(all), err)
	}
}

// What cannot be stored is in the log, at the level that operators read.
func TestRecordWithoutADatabase(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	if err := r.database.Close(); err != nil {
		t.Fatal(err)
	}
	sign := func(what string) {
		r.record.put(t.Context(), database.Signature{At: time.Now(), Account: "me", What: what}, outcomeChecked)
	}
	sign("the first")
	r.record.flush(t.Context())
	sign("the second")
	for range 2 * mostPending {
		sign("another")
	}
	r.record.flush(t.Context())
	lines := func(level, what string) int {
		return strings.Count(r.log.String(),
			"level="+level+` msg=audit audit.who.plugin="" audit.who.relay="" audit.who.chain="" audit.who.job=0 `+
				`audit.method=Sign audit.object="account me" audit.outcome="done: `+what+`"`)
	}
	if lines("DEBUG", "the first") != 1 || lines("INFO", "the second") != 1 || lines("INFO", "another") != 2*mostPending ||
		strings.Count(r.log.String(), "level=ERROR") != 1 {
		t.Errorf("the log has\n%.2000s", r.log)
	}
	if n := len(r.record.pending); n != mostPending {
		t.Errorf("%d wait for the database, want %d", n, mostPending)
	}
}

// The record of an account is bounded, and what it is refused takes no place from what it had signed. What is too much
// is deleted once in so many signatures.
func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.record.writing.Lock()
	r.record.most, r.record.every = 3, 12
	r.record.writing.Unlock()
	for id := range int64(12) {
		s := database.Signature{At: time.Now(), Relay: "acme", Account: "me", What: fmt.Sprint(id)}
		if id > 3 {
			s.What, s.Refused = "", "no"
		}
		r.record.put(t.Context(), s, outcomeRefused)
		all, err := r.record.List(t.Context(), database.SignatureFilter{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for _, s := range all {
			ids = append(ids, s.ID)
		}
		switch {
		case id < 11 && len(ids) != int(id)+1:
			t.Errorf("behind the %dth there are %d", id+1, len(ids))
		case id == 11:
			if diff := cmp.Diff([]int64{12, 11, 10, 4, 3, 2}, ids); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	}
	again, err := NewRecord(t.Context(), r.database, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.last != 12 {
		t.Errorf("the record goes on behind %d", again.last)
	}
}
