package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
)

// fakeDigests is a fake of a relayer that says what is signed: a function, with a count of its calls.
type fakeDigests struct {
	calls  atomic.Int64
	answer func(ctx context.Context, r *relayerv1.ReportToDigest) (*relayerv1.DigestReportsResponse, error)
}

// DigestReports implements relayerv1.ReportDigestServiceClient.
func (f *fakeDigests) DigestReports(
	ctx context.Context, in *relayerv1.DigestReportsRequest, _ ...grpc.CallOption,
) (*relayerv1.DigestReportsResponse, error) {
	f.calls.Add(1)
	return f.answer(ctx, in.GetReports()[0])
}

// hashed answers with a hash of everything that was asked about.
func hashed(_ context.Context, r *relayerv1.ReportToDigest) (*relayerv1.DigestReportsResponse, error) {
	at := r.GetReportContext()
	h := sha256.New()
	h.Write(at.GetTimestamp().GetConfigDigest())
	h.Write([]byte{byte(at.GetTimestamp().GetEpoch()), byte(at.GetTimestamp().GetRound())})
	h.Write(at.GetExtraHash())
	h.Write(r.GetReport())
	return digested("plain", h.Sum(nil)), nil
}

func digested(scheme string, message []byte) *relayerv1.DigestReportsResponse {
	return &relayerv1.DigestReportsResponse{Digests: []*relayerv1.ReportDigest{{Scheme: scheme, Message: message}}}
}

func newKeyring(t *testing.T, relayer *fakeDigests, log *bytes.Buffer) *keyring {
	t.Helper()
	keys, err := keystore.Open(t.Context(), keystore.Settings{
		Store: noRows{}, Password: keystore.NewPassword("correct horse battery staple"),
		Scrypt: keystore.Scrypt{N: 2, R: 1, P: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := keys.CreateOCR2(t.Context(), "acme", keystore.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return &keyring{
		key: bundle.Report(), provider: relayer, feed: feed.New(false),
		logger:  &logger{slog: slog.New(slog.NewTextHandler(log, nil))},
		schemes: map[string]keystore.Algorithm{"plain": keystore.Ed25519, "other": keystore.Secp256k1},
	}
}

// noRows is a fake of a database, which keeps nothing.
type noRows struct{}

func (noRows) Keys(context.Context) ([]database.Key, error)   { return nil, nil }
func (noRows) AddKeys(context.Context, ...database.Key) error { return nil }

func contextOf(epoch uint32, round uint8) types.ReportContext {
	return types.ReportContext{
		ReportTimestamp: types.ReportTimestamp{ConfigDigest: types.ConfigDigest{9}, Epoch: epoch, Round: round},
		ExtraHash:       [32]byte{7},
	}
}

// TestReportsAreDigestedOnce holds that a relayer is asked once for each report, whoever signed it and however many at
// once.
func TestReportsAreDigestedOnce(t *testing.T) {
	t.Parallel()
	relayer := &fakeDigests{answer: hashed}
	var log bytes.Buffer
	one, other := newKeyring(t, relayer, &log), newKeyring(t, relayer, &log)
	at, report := contextOf(4, 2), types.Report("report")
	signature, err := one.Sign(at, report)
	if err != nil || len(signature) != one.key.Algorithm().MaxSignatureLength() ||
		one.MaxSignatureLength() < len(signature) {
		t.Fatalf("signature %x, %v", signature, err)
	}
	var all sync.WaitGroup
	for range 31 {
		all.Go(func() {
			if !other.Verify(one.PublicKey(), at, report, signature) {
				t.Error("a good signature is refused")
			}
		})
	}
	all.Wait()
	if n := relayer.calls.Load(); n != 2 {
		t.Errorf("%d calls for a report in two nodes", n)
	}
	digest, extra := at, at
	digest.ConfigDigest[31]++
	extra.ExtraHash[31]++
	for name, c := range map[string]struct {
		signer    types.OnchainPublicKey
		at        types.ReportContext
		report    types.Report
		signature []byte
	}{
		"other signer":     {other.PublicKey(), at, report, signature},
		"other epoch":      {one.PublicKey(), contextOf(5, 2), report, signature},
		"other round":      {one.PublicKey(), contextOf(4, 3), report, signature},
		"other digest":     {one.PublicKey(), digest, report, signature},
		"other extra hash": {one.PublicKey(), extra, report, signature},
		"other report":     {one.PublicKey(), at, types.Report("Report"), signature},
		"no report":        {one.PublicKey(), at, nil, signature},
		"no signature":     {one.PublicKey(), at, report, nil},
	} {
		if other.Verify(c.signer, c.at, c.report, c.signature) {
			t.Errorf("%s: verified", name)
		}
	}
	before := relayer.calls.Load()
	for round := range uint8(2 * keptDigests) {
		other.Verify(one.PublicKey(), contextOf(6, round), report, signature)
	}
	if len(other.latest) != keptDigests {
		t.Errorf("%d digests are kept", len(other.latest))
	}
	other.Verify(one.PublicKey(), contextOf(6, 2*keptDigests-1), report, signature)
	other.Verify(one.PublicKey(), contextOf(6, 0), report, signature)
	if n := relayer.calls.Load() - before; n != 2*keptDigests+1 {
		t.Errorf("%d calls, want one for each report and one for that which was dropped", n)
	}
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

// TestReportsWithoutDigest holds what a node does with a report of which the relayer does not say what is signed.
func TestReportsWithoutDigest(t *testing.T) {
	t.Parallel()
	problem := &relayerv1.DigestReportsResponse{Digests: []*relayerv1.ReportDigest{{Problem: "has no words"}}}
	for name, c := range map[string]struct {
		answer *relayerv1.DigestReportsResponse
		want   string
	}{
		"problem": {problem, "the relayer says of the report: has no words"},
		"unknown scheme": {digested("third", make([]byte, 32)),
			`names the report scheme "third", which it has not described`},
		"other key": {digested("other", make([]byte, 32)),
			"signed with secp256k1, and the job's key bundle signs with Ed25519: make a new bundle"},
		"two": {
			&relayerv1.DigestReportsResponse{Digests: append(digested("plain", nil).Digests, problem.Digests...)},
			"gave 2 digests for one report"},
		"nothing signed": {digested("plain", nil), "data is empty"},
	} {
		relayer := &fakeDigests{answer: func(context.Context,
			*relayerv1.ReportToDigest) (*relayerv1.DigestReportsResponse, error) {
			return c.answer, nil
		}}
		var log bytes.Buffer
		k := newKeyring(t, relayer, &log)
		_, err := k.Sign(contextOf(1, 1), types.Report("r"))
		if err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "signing the report of config 09") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if k.Verify(k.PublicKey(), contextOf(1, 1), types.Report("r"), make([]byte, 96)) {
			t.Errorf("%s: verified", name)
		}
		if n := relayer.calls.Load(); n != 1 {
			t.Errorf("%s: %d calls", name, n)
		}
		f := k.feed.Facts().Signature
		if f.Failures != 1 || !strings.Contains(f.Fault, c.want) || strings.Contains(f.Fault, "epoch") {
			t.Errorf("%s: noted %+v", name, f)
		}
		relayer.answer = hashed
		if _, err := k.Sign(contextOf(1, 2), types.Report("r")); err != nil || k.feed.Facts().Signature.Fault != "" {
			t.Errorf("%s: a report that is signed then: %v, noted %+v", name, err, k.feed.Facts().Signature)
		}
	}
}

// TestDigestsOfARelayerThatIsAway holds that a relayer which does not answer costs one deadline a second, and not one
// for each oracle's signature, and that reports are signed again when it is back.
func TestDigestsOfARelayerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := true
		relayer := &fakeDigests{answer: func(ctx context.Context,
			r *relayerv1.ReportToDigest) (*relayerv1.DigestReportsResponse, error) {
			if !away {
				return hashed(ctx, r)
			}
			<-ctx.Done()
			return nil, status.FromContextError(ctx.Err()).Err()
		}}
		var log bytes.Buffer
		k := newKeyring(t, relayer, &log)
		at, report := contextOf(1, 1), types.Report("r")
		begin := time.Now()
		for range 31 {
			if _, err := k.Sign(at, report); err == nil ||
				!strings.Contains(err.Error(), "asking the relayer what is signed of a report") {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != time.Second || relayer.calls.Load() != 1 ||
			strings.Count(log.String(), "\n") != 1 {
			t.Errorf("took %s, %d calls, log:\n%s", took, relayer.calls.Load(), log.String())
		}
		away = false
		time.Sleep(again)
		if _, err := k.Sign(at, report); err != nil {
			t.Error(err)
		}
		if k.digest(at, report); relayer.calls.Load() != 2 || len(k.latest) != 1 {
			t.Errorf("%d calls, %d kept", relayer.calls.Load(), len(k.latest))
		}

		relayer.answer = func(context.Context, *relayerv1.ReportToDigest) (*relayerv1.DigestReportsResponse, error) {
			panic("boom")
		}
		if _, err := k.Sign(contextOf(2, 1), report); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Error(err)
		}
		noted := k.feed.Facts().Signature.Ill
		if k.Verify(k.PublicKey(), contextOf(3, 1), report, nil) {
			t.Error("verified by a panic")
		}
		if ill := k.feed.Facts().Signature.Ill; noted != 32 || ill != noted {
			t.Errorf("%d failures of signing are noted, then %d with a report of another oracle", noted, ill)
		}
		relayer.answer = func(context.Context, *relayerv1.ReportToDigest) (*relayerv1.DigestReportsResponse, error) {
			return nil, status.Error(codes.Unavailable, "the relayer restarts")
		}
		if _, err := k.Sign(contextOf(4, 1), report); err == nil || !strings.HasSuffix(err.Error(), "the relayer restarts") {
			t.Error(err)
		}
	})
}
