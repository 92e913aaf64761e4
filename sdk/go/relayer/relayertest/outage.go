package relayertest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
)

// FirstFaults are what the first of two nodes is tried with, and how long at most a call has to find out: of a node that hangs, a
// quarter of the time that one call may take.
var FirstFaults = map[string]struct {
	Faults map[string]Fault
	Wait   time.Duration
}{
	"fails": {map[string]Fault{"down": Down, "HTML": HTML, "garbage": Garbage, "limits": Limit, "lags": Lag}, 0},
	"hangs": {map[string]Fault{"hangs": Hang}, 2500 * time.Millisecond},
}

// NodeStates asks a chain for the status of one of its nodes.
func NodeStates(t testing.TB, chain relayerv1loop.Chain) func(node int) *relayerv1.NodeStatus {
	return func(node int) *relayerv1.NodeStatus {
		t.Helper()
		r, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
		Must(t, err)
		return r.GetNodes()[node]
	}
}

// Serving waits until the first n nodes serve and the provider's contract is read.
func Serving(t testing.TB, state func(node int) *relayerv1.NodeStatus, n int, p relayerv1loop.ConfigProvider) {
	t.Helper()
	Eventually(t, "all nodes serve and the contract is read", func() bool {
		for node := range n {
			if state(node).GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
				return false
			}
		}
		_, err := p.LatestConfigDetails(t.Context(), nil)
		return err == nil
	})
}

// Blurred is a reason with # for each number in it.
func Blurred(reason string) string {
	return strings.Join(strings.FieldsFunc(reason, func(r rune) bool { return r >= '0' && r <= '9' }), "#")
}

// Receives holds that the next that a watch tells of are these configurations, by provider.
func Receives(t testing.TB, configs <-chan *relayerv1.WatchContractConfigsResponse, want map[string]*relayerv1.WatchContractConfigsResponse) {
	t.Helper()
	got := map[string]*relayerv1.WatchContractConfigsResponse{}
	for range want {
		m := <-configs
		got[m.GetProvider()] = m
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Fatalf("watched configurations (-want +got):\n%s", diff)
	}
}

// Refuses holds that parse says of each document what is wanted, or takes it if that is empty, and never repeats "geheim", which
// stands in the documents where secrets would. What is wrong with a document that is no TOML goes by the decoder's words.
func Refuses(t *testing.T, cases map[string][2]string, parse func(document []byte) error) {
	t.Helper()
	for name, c := range cases {
		err := parse([]byte(c[0]))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if name == "no TOML" && got != "" {
			got = c[1]
		}
		if got != c[1] || err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: got %v, want %q", name, err, c[1])
		}
	}
}
