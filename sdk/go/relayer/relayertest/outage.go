package relayertest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
)

// FirstFaults are faults for the first of two nodes, with the longest time that a call may take to notice: if a node
// hangs, a quarter of the time that one call may take.
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

// TakeOver is a feed whose first node of two gets a fault.
type TakeOver struct {
	// Spoil gives the node its fault, and Fix takes it away.
	Spoil, Fix func()
	// State and Reason are what the chain reports about the node meanwhile; # stands for a number, and an empty Reason
	// accepts any.
	State  relayerv1.NodeState
	Reason string
	// Report makes the report for Transmit.
	Report func(epoch uint32, round uint8, answer int64) *relayerv1.TransmitRequest
	// Answer returns the contract's newest answer, and Until makes blocks until a condition holds.
	Answer func() int64
	Until  func(what string, holds func() bool)
}

// TakesOver checks that a report lands while the first node has its fault, that the chain says what is wrong with the
// node and shows no address, and that the node serves again when it is fixed.
func (f *Fixture) TakesOver(chain relayerv1loop.Chain, p relayerv1loop.Provider, s TakeOver) {
	f.t.Helper()
	ctx, state := f.t.Context(), NodeStates(f.t, chain)
	alive := func(node int) bool { return state(node).GetState() == relayerv1.NodeState_NODE_STATE_ALIVE }
	Eventually(f.t, "both nodes serve and the contract is read", func() bool {
		_, err := p.LatestConfigDetails(ctx, nil)
		return err == nil && alive(0) && alive(1)
	})
	s.Spoil()
	_, err := p.Transmit(ctx, s.Report(1, 1, 42))
	Must(f.t, err)
	s.Until("the report is in the contract", func() bool { return s.Answer() == 42 })
	s.Until("the cache shows it, and the node's state is told", func() bool {
		latest, err := p.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
		reason := state(0).GetReason()
		if strings.Contains(s.Reason, "#") {
			reason = strings.Join(strings.FieldsFunc(reason, func(r rune) bool { return r >= '0' && r <= '9' }), "#")
		}
		return err == nil && latest.GetTimestamp().GetEpoch() == 1 && state(0).GetState() == s.State &&
			(s.Reason == "" || reason == s.Reason)
	})
	if r := state(0).GetReason(); strings.Contains(r, "127.0.0.1") {
		f.t.Errorf("the reason %q holds an address", r)
	}
	s.Fix()
	s.Until("the node serves again", func() bool { return alive(0) && state(0).GetReason() == "" })
	_, err = p.Transmit(ctx, s.Report(2, 1, 43))
	Must(f.t, err)
	s.Until("all is settled", func() bool { return s.Answer() == 43 && len(f.Keys()) == 0 })
}

// Receives checks that a watch next reports these configurations, by provider.
func Receives(t testing.TB, configs <-chan *relayerv1.WatchContractConfigsResponse,
	want map[string]*relayerv1.WatchContractConfigsResponse) {
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

// Refuses checks that parse reports the wanted problem for each document, or accepts the document if that is empty, and
// never repeats "geheim", which stands where secrets would be. For a document that is not TOML the problem is the
// decoder's text.
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
