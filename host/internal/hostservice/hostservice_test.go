package hostservice

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/host/internal/database"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDatabase(t *testing.T) *database.Database {
	t.Helper()
	d, err := database.Open(t.Context(), database.Settings{Path: filepath.Join(t.TempDir(), "loop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("error %v has code %s; want %s", err, got, want)
	}
}
