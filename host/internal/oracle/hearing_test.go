package oracle

import (
	"testing"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/host/internal/oracle/feed"
)

// fakeNetwork is a fake of libocr's: one endpoint, whose messages a test makes.
type fakeNetwork struct {
	commontypes.BinaryNetworkEndpoint
	messages chan commontypes.BinaryMessageWithSender
	started  bool
	closed   int
}

func (n *fakeNetwork) NewEndpoint(
	types.ConfigDigest, []string, []commontypes.BootstrapperLocator, int, types.BinaryNetworkEndpointLimits,
) (commontypes.BinaryNetworkEndpoint, error) {
	return n, nil
}

func (n *fakeNetwork) PeerID() string                                      { return "own" }
func (n *fakeNetwork) Start() error                                        { n.started = true; return nil }
func (n *fakeNetwork) Receive() <-chan commontypes.BinaryMessageWithSender { return n.messages }
func (n *fakeNetwork) Close() error                                        { n.closed++; return nil }

// TestHearing holds that every message passes in its order, that its sender is heard, and that nothing is left of a
// closed endpoint.
func TestHearing(t *testing.T) {
	t.Parallel()
	network := &fakeNetwork{messages: make(chan commontypes.BinaryMessageWithSender, 10)}
	facts := feed.New(false)
	endpoint, err := (&hearing{network, facts}).NewEndpoint(types.ConfigDigest{}, []string{"a", "own", "c"}, nil,
		0, types.BinaryNetworkEndpointLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := endpoint.Start(); err != nil || !network.started {
		t.Fatal(err)
	}
	for i := range byte(3) {
		network.messages <- commontypes.BinaryMessageWithSender{Msg: []byte{i}, Sender: 2}
	}
	network.messages <- commontypes.BinaryMessageWithSender{Msg: []byte{3}, Sender: 1} // its own
	for i := range byte(4) {
		if m := <-endpoint.Receive(); m.Msg[0] != i {
			t.Errorf("message %d in place of %d", m.Msg[0], i)
		}
	}
	known := facts.Facts().Heard
	if _, own := known[1]; own || len(known) != 2 || !known[0].IsZero() || known[2].IsZero() {
		t.Errorf("heard %v", known)
	}
	network.messages <- commontypes.BinaryMessageWithSender{Sender: 2} // which nobody takes any more
	if err := endpoint.Close(); err != nil || network.closed != 1 {
		t.Errorf("closed %d times, %v", network.closed, err)
	}
	_ = endpoint.Close() // must not panic
}
