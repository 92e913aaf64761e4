package api

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
)

// Keys are imported and exported one at a time: each takes hundreds of MiB.
func TestOnePasswordAtATime(t *testing.T) {
	t.Parallel()
	d := start(t, onEVM(t))
	client := connect.NewClient[nodev1.ExportKeyRequest, nodev1.ExportKeyResponse](
		nodetest.OverSocket(d.Socket()), "http://node"+nodev1connect.NodeServiceExportKeyProcedure)
	export := func(header ...string) error {
		request := connect.NewRequest(&nodev1.ExportKeyRequest{
			Id: d.Keys().Accounts("evm")[0], Password: "of the file, and long",
		})
		for i := 0; i < len(header); i += 2 {
			request.Header().Set(header[i], header[i+1])
		}
		_, err := client.CallUnary(t.Context(), request)
		return err
	}
	d.service.stretching <- struct{}{}
	err := export("Connect-Timeout-Ms", "50")
	if connect.CodeOf(err) != connect.CodeDeadlineExceeded ||
		!strings.Contains(err.Error(), "another key was being imported or exported") {
		t.Errorf("while another is: %v", err)
	}
	<-d.service.stretching
	if err := export(); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestExportThatIsOff(t *testing.T) {
	t.Parallel()
	f := onEVM(t)
	f.Config += "[Keystore]\nAllowExport = false\n"
	d := start(t, f)
	account := d.Keys().Accounts("evm")[0]
	_, err := d.admin.ExportKey(t.Context(), &nodev1.ExportKeyRequest{Id: account, Password: "x"})
	wantCode(t, "an export", err, connect.CodeFailedPrecondition)
	if err == nil || !strings.Contains(err.Error(), "[Keystore] AllowExport is false") {
		t.Errorf("the export says %v", err)
	}
}
