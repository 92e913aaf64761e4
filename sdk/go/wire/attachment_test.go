package wire_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestAttachment(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "attach.json")
	a := wire.Attachment{Kind: "median", ProtocolVersion: 1, PID: 7, Address: "unix:/s", CertificatePEM: "c",
		HostCertificatePEM: "h", HostKeyPEM: "key"}
	for range 2 { // the second replaces the first
		if err := a.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := wire.ReadAttachment(path)
	if d := cmp.Diff(a, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.ReadAttachment(path); err == nil ||
		!strings.Contains(err.Error(), "may be read by others (mode 640) and holds a key: chmod 600 it") {
		t.Errorf("a file that others may read: %v", err)
	}
	for _, content := range []string{"", "{}", "[]", `{"pid":"x"}`, `{"pid":7}`, `{"pid":-1,"address":"unix:/s"}`} {
		other := filepath.Join(t.TempDir(), "attach.json")
		if err := os.WriteFile(other, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ReadAttachment(other); err == nil ||
			err.Error() != other+" is not what a plugin with --debug writes" {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := wire.ReadAttachment(path + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}
