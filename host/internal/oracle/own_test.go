package oracle

import (
	"strings"
	"testing"

	"github.com/loop-plugins/loop/host/internal/keystore"
)

// TestOwnKeys has configurations that a relayer vouches for, and what the node says of its part in them.
func TestOwnKeys(t *testing.T) {
	t.Parallel()
	var keys []*keystore.Keystore
	for range 4 {
		_, k := newKeys(t)
		keys = append(keys, k)
	}
	config := contractConfig(t, keys...)
	bundle, other := keys[2].Bundles(fakeRelay)[0], keys[3].Bundles(fakeRelay)[0]
	mine := own{
		signer: bundle.Report().Public(), offchain: bundle.Offchain().OffchainPublicKey(), peer: keys[2].P2PKeys()[0].ID(),
	}
	for name, c := range map[string]struct {
		change func(*own)
		signer bool
		want   string // in the fault; empty: there is none
	}{
		"all are this node's": {func(*own) {}, true, ""},
		"another off-chain key": {
			func(o *own) {
				o.offchain = other.Offchain().OffchainPublicKey()
			}, true, "an off-chain key that is not the bundle's"},
		"another peer": {func(o *own) { o.peer = keys[3].P2PKeys()[0].ID() }, true, "which is not this node's, " +
			keys[3].P2PKeys()[0].ID()},
		"another on-chain key": {func(o *own) { o.signer = []byte("nobody's") }, false, ""},
	} {
		o := mine
		c.change(&o)
		m := o.among(config)
		if m.Signer != c.signer || (m.Fault == "") != (c.want == "") || !strings.Contains(m.Fault, c.want) {
			t.Errorf("%s: %+v, want %q", name, m, c.want)
		}
	}
	config.OffchainConfig = []byte{1}
	if m := mine.among(config); !strings.Contains(m.Fault, "cannot be read") {
		t.Errorf("bytes that are not a configuration: %+v", m)
	}
}
