package loophost_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// A plugin that is waited for is there though it does not start, is tried again as any other, and what was made in it
// comes when it does.
func TestPatience(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	program := t.TempDir() + "/plugin"
	write(t, program, "echo it is ill >&2; exit 3")
	s := loophost.PluginSettings{Name: "patient", Command: []string{program}, Hint: "check it"}
	if _, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s); err == nil || !process.EndedEarly(err) {
		t.Fatalf("without patience: %v; want the end of a process", err)
	}
	sums, err := r.ChecksumsOf(s.Command)
	if err != nil || len(sums) != 1 || len(sums[0].SHA256) != 64 {
		t.Errorf("the checksums of the command are %v, %v", sums, err)
	}
	s.Patient = true
	p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	c := newChain(r, p, "")
	for end := time.Now().Add(time.Minute); p.Status().State != supervise.Quarantined; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the plugin is %s; want it quarantined, as one that dies again and again", p.Status().State)
		}
	}
	if _, err := p.DescribeRelayer(t.Context(),
		&relayerv1.DescribeRelayerRequest{}); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(),
		"it is ill") {
		t.Errorf("a call says %v", err)
	}
	write(t, program, "exec "+os.Args[0])
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Created(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.ChecksumsOf([]string{program + ".not"}); err == nil || process.EndedEarly(err) {
		t.Errorf("the checksums of nothing: %v", err)
	}
}

// What needs no object can be asked of a plugin inside the host that nobody supervises.
func TestInside(t *testing.T) {
	t.Parallel()
	conn, err := loophost.Inside(t.Context(), relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return describing{newFakeRelayer(h)}
	}))
	if err != nil {
		t.Fatal(err)
	}
	said, err := relayerv1.NewRelayerServiceClient(conn).NormalizeIds(t.Context(), &relayerv1.NormalizeIdsRequest{
		Ids: []*relayerv1.Id{{Kind: relayerv1.IdKind_ID_KIND_ACCOUNT, Text: "a"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := said.GetIds(); len(got) != 1 || got[0].GetText() != "A" {
		t.Errorf("it says %v", got)
	}
}

// describing is the fake with a spelling.
type describing struct{ relayerv1loop.RelayerService }

func (describing) NormalizeIds(_ context.Context,
	r *relayerv1.NormalizeIdsRequest) (*relayerv1.NormalizeIdsResponse, error) {
	return &relayerv1.NormalizeIdsResponse{
		Ids: []*relayerv1.NormalizedId{{Text: strings.ToUpper(r.GetIds()[0].GetText())}}}, nil
}
